"""The demo's settings, quicker: for the tests in this process and for the servers that they start.

`TEST_CHANNEL_LAYER` names the class of the channel layer where it should be another than the demo's own choice;
`TEST_SETTINGS` is a JSON object of any other settings. What is logged begins with its level, so that a test can look for errors.
"""

import json
import os

os.environ.setdefault("SECRET_KEY", "for the tests only")
os.environ.setdefault("DEBUG", "1")

from project.settings import *  # noqa: F403
from project.settings import CHANNEL_LAYERS

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if layer := os.environ.get("TEST_CHANNEL_LAYER"):
    CHANNEL_LAYERS["default"]["BACKEND"] = layer

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"level": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "level"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}

globals().update(json.loads(os.environ.get("TEST_SETTINGS") or "{}"))
