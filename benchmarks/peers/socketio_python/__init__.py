"""A chat with python-socketio."""
