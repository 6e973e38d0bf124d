"""What the tests stand on: the real product and the real services, started on free ports and stopped again."""
