"""For clients, over HTTP: a ticket for a connection that has no cookie, and a backend's command.

A command goes the way that one on a connection goes: the same limits, policy, kind and log, and the same refusals.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from realtime import (
    admissions,
    apikeys,
    conf,
    credentials,
    kinds,
    limits,
    log,
    metrics,
    moderation,
    policy,
    protocol,
    rooms,
    tickets,
)
from realtime.admissions import Admission
from realtime.allowances import Allowance, Allowances
from realtime.auth import Person
from realtime.errors import BadCredentials, Failed, Invalid, RateLimited, Refusal, TooLarge, Unavailable
from realtime.kinds import Command, Ephemeral
from realtime.log import Entry
from realtime.moderation import Asked

logger = logging.getLogger("realtime.api")

_STATUS = {
    "malformed": 400,
    "invalid": 400,
    "bad_credentials": 401,
    "login_required": 403,
    "forbidden": 403,
    "banned": 403,
    "muted": 403,
    "unknown_room": 404,
    "unknown_command": 404,
    "too_large": 413,
    "overloaded": 503,
    "unavailable": 503,
    "failed": 500,
}
_TRY_AGAIN, _NOT_NOW = 429, 409

_allowances = Allowances()
_lock = threading.Lock()


@require_POST
@never_cache
@csrf_protect
def ticket(request: HttpRequest) -> JsonResponse:
    """Answer who is logged in `{"ticket", "expires_in"}`, for one connection without a cookie; else 403 or 429 with a refusal."""
    try:
        return JsonResponse({"ticket": tickets.issue(request), "expires_in": conf.current().TICKET_SECONDS})
    except Refusal as refusal:
        return _refused(refusal)


@csrf_exempt
@require_POST
@never_cache
def command(request: HttpRequest, slug: str, name: str) -> JsonResponse:
    """Carry out a command for who has an API key. The body holds its arguments, perhaps a `key`; answer `{"seq"}`, or a refusal.

    Its cookies count for nothing, so that no page can make a visitor's browser act.
    """
    try:
        person = _holder(request)
        with _allowance(person) as allowance:
            return JsonResponse(_carry_out(request, person, allowance, slug, name))
    except Refusal as refusal:
        return _refused(refusal)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database did not answer: %s", error)
        return _refused(Unavailable())
    except Exception:
        logger.exception("The command %s for %s failed", name, slug)
        return _refused(Failed())


@sensitive_variables()
def _holder(request: HttpRequest) -> Person:
    key = credentials.bearer(request.headers.get("Authorization", ""))
    if not credentials.is_token(key, credentials.KEY):
        raise BadCredentials
    (found,) = apikeys.identify([key or ""])
    if isinstance(found, BadCredentials):
        raise found
    return found


@contextmanager
def _allowance(person: Person) -> Iterator[Allowance]:
    """Count a request among the key's own, like a connection that is open for as long."""
    with _lock:
        allowance = _allowances.enter(person, time.monotonic())
    try:
        yield allowance
    finally:
        with _lock:
            _allowances.leave(allowance)


def _carry_out(request: HttpRequest, person: Person, allowance: Allowance, slug: str, name: str) -> dict[str, Any]:
    policy.check_command(person, name)
    _spend(allowance.commands)
    body = _body(request)
    arguments = _decoded(body)
    key = rooms.checked_key(arguments.pop("key", None))
    (admission,) = admissions.admit([(slug, person)])
    if isinstance(admission, Refusal):
        raise admission
    if admission.max_bytes is not None and len(body) > admission.max_bytes:
        raise TooLarge(len(body), admission.max_bytes)
    if admission.commands_per_second:
        _spend(allowance.room(admission.room_pk, admission.commands_per_second, time.monotonic()))
    if name in moderation.REQUESTS:
        return _moderated(Asked(admission.room_pk, person, moderation.parse(name, arguments)))
    return _done(person, admission, name, kinds.get(admission.kind).parse(name, arguments), key)


def _moderated(asked: Asked) -> dict[str, Any]:
    (done,) = moderation.carry_out([asked])
    if isinstance(done, Refusal):
        raise done
    return done


def _done(person: Person, admission: Admission, name: str, parsed: Command, key: str | None) -> dict[str, Any]:
    if isinstance(parsed, Ephemeral):
        if "act" not in admission.can:
            admission.held.check_mute()
            raise policy.no(person)
        topic = protocol.topic(admission.slug)
        rooms.signal(admission.room_pk, protocol.ephemeral(topic, name, person.actor, log.checked(parsed)).body)
        return {}
    (outcome,) = rooms.commit([Entry(admission.room_pk, parsed, person.actor, key, person)])
    if isinstance(outcome, Refusal):
        raise outcome
    return {"seq": outcome.seq}


def _spend(bucket: limits.Bucket) -> None:
    with _lock:
        wait = bucket.take(time.monotonic())
    if wait:
        raise RateLimited(wait)


def _body(request: HttpRequest) -> bytes:
    """Read what is not too large, and of what is no more than is needed to know it."""
    most = conf.current().MAX_BYTES
    try:
        body: bytes = request.read(most + 1)
    except UnreadablePostError:
        raise Invalid("The body did not arrive in full.") from None
    if len(body) > most:
        raise TooLarge(max(len(body), _length(request)), most)
    return body


def _length(request: HttpRequest) -> int:
    """Return the length that a request says it has, 0 where it says none."""
    said = request.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() and len(said) < 20 else 0


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        arguments: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Invalid("Expected the command's arguments as a JSON object.") from None
    return arguments


def _refused(refusal: Refusal) -> JsonResponse:
    metrics.refusals.add(value=refusal.code)
    status = _STATUS.get(refusal.code, _NOT_NOW if refusal.final else _TRY_AGAIN)
    answer = JsonResponse(refusal.response(), status=status)
    if refusal.retry_after is not None:
        answer.headers["Retry-After"] = str(math.ceil(refusal.retry_after))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
