"""Who is at the other end, and from which page.

Everything follows Django's own session and host rules, read-only: a WebSocket cannot set a cookie, so a session is neither
saved, cycled nor flushed here. A person without an account is a guest, whose name stays the same while their session does.
"""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSession
from django.core.exceptions import DisallowedHost, ValidationError
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from realtime import conf
from realtime.kinds import Actor

GUEST_SESSION_KEY = "realtime_guest"
_GUEST = re.compile(r"[0-9a-f]{1,64}")
_LONGEST_NAME = 200
# Controls, line breaks, and what changes the direction of the text around it (Unicode's UAX #9, 2): no part of a name.
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Grant(msgspec.Struct, frozen=True):
    """What an API key is for: rooms, by slug, and commands, by name. Nothing else."""

    key_pk: int
    rooms: frozenset[str]
    commands: frozenset[str]


class Person(msgspec.Struct, frozen=True):
    """Somebody, as the rooms see them. `user_pk` is None for a guest, `session_key` None without a session.

    Who comes with an API key has its `grant`, and the `user_pk` of its owner.
    """

    id: str
    name: str
    user_pk: str | None = None
    is_staff: bool = False
    session_key: str | None = None
    grant: Grant | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.name)

    @property
    def ids(self) -> tuple[str, ...]:
        """Under which ids something said of somebody is said of this person: an API key answers for its owner, too."""
        return (self.id,) if self.grant is None else (self.id, f"user:{self.user_pk}")


NOBODY = Person(id="guest:", name="Guest")
"""A visitor whose session has not been looked at."""


def person_of(user: Any, session_key: str | None = None) -> Person:
    """Return a user as a `Person`; an anonymous one is nobody in particular."""
    if not user.is_authenticated:
        return NOBODY
    return Person(
        id=f"user:{user.pk}",
        name=_name(user) or f"user:{user.pk}",
        user_pk=str(user.pk),
        is_staff=bool(getattr(user, "is_staff", False)),
        session_key=session_key,
    )


def _name(user: Any) -> str:
    """Return the name that others see, in which nothing can reorder or break the line that it stands in."""
    given = str(import_string(conf.current().DISPLAY_NAME)(user))
    return _NOT_IN_NAMES.sub("", given).strip()[:_LONGEST_NAME]


def display_name(user: AbstractBaseUser) -> str:
    """Return the name that others see: the default of `DISPLAY_NAME`."""
    return user.get_username()


def of_id(person_id: str) -> Person | None:
    """Return the user or the guest whom others see under this id, or None where it is no such id, or nobody's."""
    sort, _, mark = person_id.partition(":")
    if sort == "guest" and _GUEST.fullmatch(mark):
        return Person(person_id, _guest_name(mark))
    model = auth.get_user_model()
    try:
        pk = model._meta.pk.to_python(mark) if sort == "user" and "\0" not in mark else None
    except ValidationError:
        return None
    user = None if pk is None else model._default_manager.filter(pk=pk).first()
    return None if user is None or f"user:{user.pk}" != person_id else person_of(user)


def of_request(request: HttpRequest) -> Person:
    """Return who made an HTTP request. A visitor without an account gets a guest's name, kept in their session."""
    session = request.session
    if request.user.is_authenticated:
        return person_of(request.user, session.session_key)
    if GUEST_SESSION_KEY not in session:
        session[GUEST_SESSION_KEY] = secrets.token_hex(4)
    return _guest(session)


def of_visit(request: HttpRequest) -> Person:
    """Return who made an HTTP request, likewise, but give no name to a visitor who has none: their session stays as it is."""
    known = request.user.is_authenticated or GUEST_SESSION_KEY in request.session
    return of_request(request) if known else NOBODY


def can_be_asked_for(cookies: Mapping[str, str]) -> bool:
    """Say whether the database takes a question for the session of these cookies: a quoted one may hold a NUL, which raises."""
    return "\0" not in cookies.get(settings.SESSION_COOKIE_NAME, "")


def of_cookies(headers: Sequence[str]) -> list[Person]:
    """Return who each `Cookie` header belongs to.

    With Django's own backends that is one query for all sessions and one for all users.
    """
    return of_sessions([_session_key(header) for header in headers])


def of_sessions(keys: Sequence[str | None]) -> list[Person]:
    """Return who each session belongs to, likewise. Without one it is a guest."""
    sessions = _sessions(keys)
    users = _users(sessions)
    return [
        _guest(session) if user is None else person_of(user, session.session_key)
        for session, user in zip(sessions, users, strict=True)
    ]


def still(people: Sequence[Person]) -> list[Person | None]:
    """Look again at people who came with a session, and return each as they are now: None who no longer is who they were.

    A session that has ended or expired, a password that was changed, a user who is gone or no longer active. Guests stay guests.
    """
    sessions = _sessions([person.session_key if person.user_pk is not None else None for person in people])
    users = _users(sessions)
    return [_still(person, user) for person, user in zip(people, users, strict=True)]


def _still(person: Person, user: Any) -> Person | None:
    if person.user_pk is None:
        return person
    return person_of(user, person.session_key) if user is not None and str(user.pk) == person.user_pk else None


def _guest(session: SessionBase | _Session) -> Person:
    stored = session.get(GUEST_SESSION_KEY)
    mark = stored if isinstance(stored, str) else secrets.token_hex(4)
    return Person(id=f"guest:{mark}", name=_guest_name(mark), session_key=session.session_key)


def _guest_name(mark: str) -> str:
    return f"Guest {mark[:4]}"


class _Session(dict[str, Any]):
    """What a session holds. It is only read: `session_key` is None where there is none."""

    session_key: str | None = None


def _session_key(header: str) -> str | None:
    """Return the session key in a `Cookie` header."""
    cookies = parse_cookie(header)
    return cookies.get(settings.SESSION_COOKIE_NAME) if can_be_asked_for(cookies) else None


def _sessions(keys: Sequence[str | None]) -> list[_Session]:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    loaded = _load_rows(store, keys) if store is DatabaseSession else _load_each(store, keys)
    return [loaded.get(key or "", _Session()) for key in keys]


def _load_rows(store: type[Any], keys: Sequence[str | None]) -> dict[str, _Session]:
    """Do what the store's `load` does, for many sessions at once."""
    wanted = {key for key in keys if key}
    model: Any = store.get_model_class()
    if not wanted:
        return {}
    rows = model.objects.filter(session_key__in=wanted, expire_date__gt=timezone.now())
    decode = store().decode
    return {key: _session(key, decode(data)) for key, data in rows.values_list("session_key", "session_data")}


def _load_each(store: type[SessionBase], keys: Sequence[str | None]) -> dict[str, _Session]:
    stores = {key: store(key) for key in keys if key}
    held = {key: dict(opened.items()) for key, opened in stores.items()}
    return {key: _session(stores[key].session_key, held[key]) for key in stores}


def _session(key: str | None, held: dict[str, Any]) -> _Session:
    session = _Session(held)
    session.session_key = key
    return session


def _users(sessions: Sequence[_Session]) -> list[Any]:
    """Return each session's user or None, as `django.contrib.auth.get_user` would, but without writing to the session."""
    claims = [_claim(session) for session in sessions]
    found: dict[tuple[str, Any], Any] = {}
    for path in {claim[0] for claim in claims if claim is not None}:
        pks = {claim[1] for claim in claims if claim is not None and claim[0] == path}
        found.update({(path, pk): user for pk, user in _load_users(auth.load_backend(path), pks).items()})
    users = [None if claim is None else found.get(claim) for claim in claims]
    return [
        user if user is not None and _verified(user, session.get(auth.HASH_SESSION_KEY)) else None
        for session, user in zip(sessions, users, strict=True)
    ]


def _claim(session: _Session) -> tuple[str, Any] | None:
    """Return the backend and the user's pk that a session names."""
    try:
        pk = auth.get_user_model()._meta.pk.to_python(session[auth.SESSION_KEY])
        path = session[auth.BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    return (path, pk) if path in settings.AUTHENTICATION_BACKENDS else None


def _load_users(backend: Any, pks: set[Any]) -> dict[Any, Any]:
    """Ask the backend for its users, in one query where its `get_user` is Django's own."""
    if getattr(type(backend), "get_user", None) is not ModelBackend.get_user:
        return {pk: backend.get_user(pk) for pk in pks}
    users = auth.get_user_model()._default_manager.filter(pk__in=pks)
    return {user.pk: user for user in users if backend.user_can_authenticate(user)}


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
    request = _handshake(scope)
    host = _host(request)
    if host is None:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return True
    given = _normal(origin)
    return given is not None and (given == _normal(f"{request.scheme}://{host}") or _trusted(given))


def this_host(scope: dict[str, Any]) -> bool:
    """Say whether a handshake is for a host of ALLOWED_HOSTS, from whatever page."""
    return _host(_handshake(scope)) is not None


def _handshake(scope: dict[str, Any]) -> ASGIRequest:
    """Return a handshake as a request, for Django to read."""
    schemes = {"ws": "http", "wss": "https"}
    scheme = scope.get("scheme", "ws")
    return ASGIRequest({**scope, "method": "GET", "scheme": schemes.get(scheme, scheme)}, io.BytesIO())


def _host(request: ASGIRequest) -> str | None:
    try:
        return request.get_host()
    except DisallowedHost:
        return None


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
