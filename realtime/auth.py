"""Who is at the other end, and from which page.

Everything follows Django's own session and host rules, read-only: a WebSocket cannot set a cookie, so a session is neither
saved, cycled nor flushed here. A person without an account is a guest, whose name stays the same while their session does.
"""

from __future__ import annotations

import io
import secrets
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import DisallowedHost, ValidationError
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, parse_cookie
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from realtime import conf
from realtime.kinds import Actor

GUEST_SESSION_KEY = "realtime_guest"


class Person(msgspec.Struct, frozen=True):
    """Somebody, as the rooms see them. `user_pk` is None for a guest, `session_key` None without a session."""

    id: str
    name: str
    user_pk: str | None = None
    is_staff: bool = False
    session_key: str | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.name)


NOBODY = Person(id="guest:", name="Guest")
"""A visitor whose session has not been looked at."""


def person_of(user: Any, session_key: str | None = None) -> Person:
    """Return a user as a `Person`."""
    return Person(
        id=f"user:{user.pk}",
        name=str(import_string(conf.current().DISPLAY_NAME)(user))[:200],
        user_pk=str(user.pk),
        is_staff=bool(getattr(user, "is_staff", False)),
        session_key=session_key,
    )


def display_name(user: AbstractBaseUser) -> str:
    """Return the name that others see: the default of `DISPLAY_NAME`."""
    return user.get_username()


def of_request(request: HttpRequest) -> Person:
    """Return who made an HTTP request. A visitor without an account gets a guest's name, kept in their session."""
    session = request.session
    if request.user.is_authenticated:
        return person_of(request.user, session.session_key)
    if GUEST_SESSION_KEY not in session:
        session[GUEST_SESSION_KEY] = secrets.token_hex(4)
    return _guest(session)


def of_cookies(header: str) -> Person:
    """Return who a `Cookie` header belongs to. Reads the session and the user."""
    cookies = parse_cookie(header)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    session: SessionBase = store(cookies.get(settings.SESSION_COOKIE_NAME))
    user = _user(session)
    return person_of(user, session.session_key) if user is not None else _guest(session)


def _guest(session: SessionBase) -> Person:
    stored = session.get(GUEST_SESSION_KEY)
    mark = stored if isinstance(stored, str) else secrets.token_hex(4)
    return Person(id=f"guest:{mark}", name=f"Guest {mark[:4]}", session_key=session.session_key)


def _user(session: SessionBase) -> Any:
    """Return the session's user or None, as `django.contrib.auth.get_user` would, but without writing to the session."""
    model = auth.get_user_model()
    try:
        pk = model._meta.pk.to_python(session[auth.SESSION_KEY])
        path = session[auth.BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if path not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = auth.load_backend(path).get_user(pk)
    return user if user is not None and _verified(user, session.get(auth.HASH_SESSION_KEY)) else None


def _verified(user: Any, session_hash: str | None) -> bool:
    """Say whether the session was made under the user's present password, under this secret key or a fallback."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if not session_hash:
        return False
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(session_hash, known) for known in hashes)


def same_site(scope: dict[str, Any]) -> bool:
    """Say whether a handshake comes from a page of this site, or from no page at all.

    Scheme, host and port count, as Django's CSRF check has them, and CSRF_TRUSTED_ORIGINS adds to them, whatever
    ALLOWED_HOSTS lets in.
    """
    schemes = {"ws": "http", "wss": "https"}
    scheme = scope.get("scheme", "ws")
    request = ASGIRequest({**scope, "method": "GET", "scheme": schemes.get(scheme, scheme)}, io.BytesIO())
    try:
        host = request.get_host()
    except DisallowedHost:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return True
    given = _normal(origin)
    return given is not None and (given == _normal(f"{request.scheme}://{host}") or _trusted(given))


def _normal(origin: str) -> tuple[str, str, int] | None:
    """Return (scheme, host, port), or None where the text is no origin of the web."""
    try:
        parts = urlsplit(origin)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _trusted(given: tuple[str, str, int]) -> bool:
    """Say whether CSRF_TRUSTED_ORIGINS names the origin, as `https://example.com` or `https://*.example.com`."""
    for pattern in settings.CSRF_TRUSTED_ORIGINS:
        trusted = _normal(pattern.replace("*.", "", 1))
        if trusted is None or (trusted[0], trusted[2]) != (given[0], given[2]):
            continue
        if given[1].endswith(f".{trusted[1]}") if "*." in pattern else given[1] == trusted[1]:
            return True
    return False
