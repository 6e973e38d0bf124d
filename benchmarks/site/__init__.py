"""The site under test: the demo project with limits that do not get in the way, and one more kind."""
