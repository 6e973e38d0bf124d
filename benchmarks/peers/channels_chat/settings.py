"""A Django project around the tutorial's chat, on the same databases, sessions and options as `benchmarks.site` has."""

import os

os.environ.setdefault("SECRET_KEY", "for the benchmarks only")

from project.settings import DATABASES, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ  # noqa: F401

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "benchmarks.peers.channels_chat",
]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "benchmarks.peers.channels_chat.asgi"
ASGI_APPLICATION = "benchmarks.peers.channels_chat.asgi.application"

if url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {"BACKEND": os.environ["CHANNEL_LAYER"], "CONFIG": {"hosts": [url]}},
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
