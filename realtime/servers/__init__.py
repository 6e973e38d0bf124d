"""Fast lanes into particular ASGI servers. Nothing depends on them: without one, frames go through ASGI `send`."""
