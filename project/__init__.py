"""The demo site: the first user of `realtime`, and a starting point for a site of one's own.

It uses the public API of the app and nothing else.
"""
