"""What is set up wrongly, said at start-up by `manage.py check`, each with an id and a fix."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from realtime import conf, log

_DAPHNE = (4, 2, 2)
_TOKEN_LENGTH = 20


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
    alias = _found().CHANNEL_LAYER
    try:
        layer = channel_layers[alias]
    except (KeyError, InvalidChannelLayerError):
        layer = None
    if layer is not None and not isinstance(layer, InMemoryChannelLayer):
        return []
    hint = "Use channels_redis.pubsub.RedisPubSubChannelLayer when more than one process serves or publishes."
    return [checks.Warning(f"CHANNEL_LAYERS[{alias!r}] reaches no other process.", hint=hint, id="realtime.W002")]


@checks.register("realtime", deploy=True)
def check_hosts(**kwargs: Any) -> list[checks.CheckMessage]:
    """W003: any name is this site's, so a page whose name was pointed here (DNS rebinding) counts as one of its own."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Name the hosts: a page's origin is compared with the host that it asks for."
    return [checks.Warning("ALLOWED_HOSTS lets in every host.", hint=hint, id="realtime.W003")]


@checks.register("realtime", deploy=True)
def check_sessions(**kwargs: Any) -> list[checks.CheckMessage]:
    """W004: a session is nowhere but in its cookie, so that a logout ends no copy of it."""
    if not settings.SESSION_ENGINE.endswith(".signed_cookies"):
        return []
    hint = "Use django.contrib.sessions.backends.db, or cached_db."
    return [
        checks.Warning(
            "Sessions that live in cookies cannot be revoked: whoever copied one connects after the logout, too.",
            hint=hint,
            id="realtime.W004",
        )
    ]


@checks.register("realtime", deploy=True)
def check_same_site(**kwargs: Any) -> list[checks.CheckMessage]:
    """W005: browsers send the session cookie with connections that other sites' pages open."""
    if settings.SESSION_COOKIE_SAMESITE in ("Lax", "Strict"):
        return []
    hint = 'Set SESSION_COOKIE_SAMESITE = "Lax" and give tickets to pages of other sites.'
    return [
        checks.Warning(
            "SESSION_COOKIE_SAMESITE is off: pages of other sites are kept out by the check of their origin alone.",
            hint=hint,
            id="realtime.W005",
        )
    ]


@checks.register("realtime", deploy=True)
def check_trusted_origins(**kwargs: Any) -> list[checks.CheckMessage]:
    """W006: a page that came in the clear, which anybody on its way may have changed, may connect."""
    found = [origin for origin in settings.CSRF_TRUSTED_ORIGINS if origin.lower().startswith("http://")]
    if not found:
        return []
    hint = "Serve those pages over https, and write https:// here."
    return [
        checks.Warning(f"CSRF_TRUSTED_ORIGINS trusts {', '.join(found)} in the clear.", hint=hint, id="realtime.W006")
    ]


@checks.register("realtime", deploy=True)
def check_daphne(**kwargs: Any) -> list[checks.CheckMessage]:
    """W007: a daphne with CVE-2026-44545 (messages without a bound) and CVE-2026-44546 (headers from outside)."""
    installed = version("daphne")
    if tuple(int(number) for number in re.findall(r"\d+", installed)[:3]) >= _DAPHNE:
        return []
    hint = f"Install daphne {'.'.join(map(str, _DAPHNE))} or later."
    return [checks.Warning(f"daphne {installed} has CVE-2026-44545 and CVE-2026-44546.", hint=hint, id="realtime.W007")]


@checks.register("realtime", deploy=True)
def check_scheme(**kwargs: Any) -> list[checks.CheckMessage]:
    """W008: the site is for https, and is not told how a proxy says so: every page's connection would be answered 403."""
    if not settings.SESSION_COOKIE_SECURE or settings.SECURE_PROXY_SSL_HEADER:
        return []
    hint = (
        'Behind a proxy set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https"). Where the server has the '
        'certificate itself, add "realtime.W008" to SILENCED_SYSTEM_CHECKS.'
    )
    return [
        checks.Warning("SECURE_PROXY_SSL_HEADER is missing: wss:// looks like ws://.", hint=hint, id="realtime.W008")
    ]


@checks.register("realtime", deploy=True)
def check_metrics(**kwargs: Any) -> list[checks.CheckMessage]:
    """W009: what opens the metrics can be guessed."""
    if not 0 < len(_found().METRICS_TOKEN) < _TOKEN_LENGTH:
        return []
    hint = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    return [
        checks.Warning(
            f"METRICS_TOKEN has fewer than {_TOKEN_LENGTH} characters.",
            hint=hint,
            id="realtime.W009",
        )
    ]


@checks.register("realtime", deploy=True)
def check_proxies(**kwargs: Any) -> list[checks.CheckMessage]:
    """W010: the site is behind a proxy that nobody named: limits by address hold for all people together, or for nobody."""
    behind_one = settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST or settings.USE_X_FORWARDED_PORT
    if not behind_one or _found().TRUSTED_PROXIES:
        return []
    hint = (
        'Name it: REALTIME = {"TRUSTED_PROXIES": ["127.0.0.1", "::1"]}. Where uvicorn believes the proxy '
        '(--forwarded-allow-ips), add "realtime.W010" to SILENCED_SYSTEM_CHECKS.'
    )
    return [
        checks.Warning(
            "TRUSTED_PROXIES is empty: everybody seems to come from the address of the proxy.",
            hint=hint,
            id="realtime.W010",
        )
    ]


@checks.register("realtime", deploy=True)
def check_compression(**kwargs: Any) -> list[checks.CheckMessage]:
    """W011: compression makes frames differ by connection, so that the fast lane, though it is on, is not taken by browsers."""
    found = _found()
    if not (found.COMPRESSION and found.FAST_LANES):
        return []
    hint = (
        "Take COMPRESSION out of REALTIME. Where bandwidth is dearer than CPU, add "
        '"realtime.W011" to SILENCED_SYSTEM_CHECKS.'
    )
    return [
        checks.Warning(
            "COMPRESSION is on while FAST_LANES is: browsers cannot have the fast lane.", hint=hint, id="realtime.W011"
        )
    ]


def _found() -> conf.Settings:
    """Return the settings, or the defaults where E001 says what is wrong with them."""
    try:
        return conf.current()
    except ImproperlyConfigured:
        return conf.Settings()
