"""An app of the tests: a kind that has no page of its own."""
