"""The load generator: one process on a core of its own, thousands of clients, told what to do in JSON, a line at a time."""
