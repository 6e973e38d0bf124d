"""The demo's settings, in production. `CHANNEL_LAYER` names the class of the channel layer where it is not the demo's own."""

import os

os.environ.setdefault("SECRET_KEY", "for the benchmarks only")
os.environ.setdefault("ALLOWED_HOSTS", "127.0.0.1,testserver")

from project.settings import *  # noqa: F403
from project.settings import CHANNEL_LAYERS, INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.site"]
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"

if layer := os.environ.get("CHANNEL_LAYER"):
    CHANNEL_LAYERS["default"]["BACKEND"] = layer

# Limits are on and looked at with every command, but high enough for the load.
REALTIME = {
    "COMMANDS_PER_SECOND": 100_000,
    "COMMANDS_BURST": 100_000,
    "PERSON_COMMANDS_PER_SECOND": 100_000,
    "PERSON_COMMANDS_BURST": 100_000,
    "EPHEMERAL_PER_SECOND": 100_000,
    "EPHEMERAL_BURST": 100_000,
    "CONNECTIONS_PER_PERSON": 100_000,
    "CONNECTIONS_PER_ADDRESS": 100_000,
}
ROOM_COMMANDS_PER_SECOND: float | None = 100_000
