"""The tests of `realtime`: `test_x.py` covers `realtime/x.py`; stories that cross modules have files of their own."""
