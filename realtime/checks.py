"""What is set up wrongly, said at start-up by `manage.py check`, each with an id and a fix."""

from __future__ import annotations

from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from realtime import conf, log


@checks.register("realtime")
def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: REALTIME does not hold what it should. E002: something it names cannot be imported."""
    try:
        found = conf.load(getattr(settings, "REALTIME", {}))
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), hint="docs/settings.md lists the settings.", id="realtime.E001")]
    return [message for name in ("POLICY", "DISPLAY_NAME") for message in _check_import(name, getattr(found, name))]


def _check_import(name: str, path: str) -> list[checks.CheckMessage]:
    try:
        import_string(path)
    except ImportError as error:
        return [
            checks.Error(f"settings.REALTIME[{name!r}]: {error}", hint="Give the full import path.", id="realtime.E002")
        ]
    return []


@checks.register("realtime", "database")
def check_sqlite(**kwargs: Any) -> list[checks.CheckMessage]:
    """W001: SQLite transactions begin without the write lock, so that writers fail at once instead of waiting."""
    connection = connections[log.database()]
    if connection.vendor != "sqlite" or connection.settings_dict["OPTIONS"].get("transaction_mode") == "IMMEDIATE":
        return []
    hint = 'Set OPTIONS = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"} for it.'
    return [
        checks.Warning(
            "SQLite transactions that read before they write can fail as locked.", hint=hint, id="realtime.W001"
        )
    ]


@checks.register("realtime", deploy=True)
def check_layer(**kwargs: Any) -> list[checks.CheckMessage]:
    """W002: the channel layer reaches no other process, so that events reach other processes only once a second."""
    alias = conf.current().CHANNEL_LAYER
    try:
        layer = channel_layers[alias]
    except (KeyError, InvalidChannelLayerError):
        layer = None
    if layer is not None and not isinstance(layer, InMemoryChannelLayer):
        return []
    hint = "Use channels_redis.pubsub.RedisPubSubChannelLayer when more than one process serves or publishes."
    return [checks.Warning(f"CHANNEL_LAYERS[{alias!r}] reaches no other process.", hint=hint, id="realtime.W002")]
