"""Fast lanes into particular ASGI servers, and bounds to what these leave unbounded. Nothing depends on them: without a lane,
frames go through ASGI `send`.
"""
