"""The same with the limits that every site has, and who floods comes through a proxy: on the machine itself nobody is counted."""

from benchmarks.site.settings import *  # noqa: F403

REALTIME = {"TRUSTED_PROXIES": ["127.0.0.1"]}
ROOM_COMMANDS_PER_SECOND = None
