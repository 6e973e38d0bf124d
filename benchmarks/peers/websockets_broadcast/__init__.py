"""A chat with the `websockets` library."""
