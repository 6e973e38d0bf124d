"""The chat of the Channels tutorial, part 3 (asynchronous), and the same with every message saved by the ORM."""
