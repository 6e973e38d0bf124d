"""Inputs that a machine makes up, against the real thing: `make fuzz`, and a short form of it in `make test`.

`targets` says what an input is and what must hold, `world` what it is tried on, `seeds` where it starts from, `mutators` how
one becomes the next. None of them knows who makes up the inputs: `python -m tests.fuzz` (atheris), or `tests/test_fuzz.py`.
"""
