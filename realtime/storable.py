"""What may be stored as an event's data or a room's state: JSON objects that every database and every parser takes."""

from __future__ import annotations

from typing import Any

import msgspec

from realtime.errors import Invalid, StateTooLarge

_DEEPEST = 64


def data(data: Any, max_bytes: int) -> bytes:
    """Return an event's data as JSON that every database takes, or raise `Invalid`."""
    try:
        encoded = msgspec.json.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"The data cannot be written as JSON: {error}.") from None
    if len(encoded) > max_bytes:
        raise Invalid(f"The data of an event may have {max_bytes} bytes, this has {len(encoded)}.")
    flaw = _flaw(encoded)
    if flaw:
        raise Invalid(f"The data of an event cannot be kept: {flaw}.")
    return encoded


def state(state: Any, max_bytes: int) -> bytes:
    """Return a room's state as JSON that every database takes, or raise `TypeError` or `StateTooLarge`: its kind is at fault."""
    encoded = msgspec.json.encode(state)
    if len(encoded) > max_bytes:
        raise StateTooLarge(len(encoded), max_bytes)
    flaw = _flaw(encoded)
    if flaw:
        raise TypeError(f"reduce: {flaw}; got {state!r:.200}.")
    return encoded


def _flaw(encoded: bytes) -> str:
    """Say why JSON cannot be stored in every database, or in none as an object; empty where it can."""
    if not encoded.startswith(b"{"):
        return "expected a JSON object"
    if encoded.count(b"{") + encoded.count(b"[") > _DEEPEST and _too_deep(encoded):
        return f"expected at most {_DEEPEST} levels of nesting"
    if b"\\u0000" in encoded and _has_nul(msgspec.json.decode(encoded)):
        return "text may not contain the character NUL"
    return ""


def _too_deep(encoded: bytes) -> bool:
    """Say so before a database or a parser does, each of which has a limit of its own."""
    try:
        level = [msgspec.json.decode(encoded)]
    except RecursionError:
        return True
    for _ in range(_DEEPEST):
        insides = (value.values() if isinstance(value, dict) else value for value in level)
        level = [inner for inside in insides for inner in inside if isinstance(inner, dict | list)]
    return bool(level)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))
