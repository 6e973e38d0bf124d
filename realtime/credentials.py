"""What somebody shows to say who they are: the cookies of a browser, or a token in their place. Never both.

A token is a secret that this site made: a ticket (`tickets`) or an API key (`apikeys`). It travels in a header, never in an
address, as addresses end up in logs. It is kept as its digest only, and what holds one does not show it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

TICKET = "rt_ticket_"
"""How a ticket begins, so that people and programs that look for leaked secrets know it when they see it."""

KEY = "rt_key_"
"""How an API key begins."""

_PHOENIX = "base64url.bearer.phx."
_STANDARD = str.maketrans("-_", "+/")  # phoenix.js writes the standard alphabet, whatever its prefix says
_TOKEN = re.compile(r"rt_[a-z]{1,20}_[-\w]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credentials:
    """`token` is None where the cookies count, and empty where one was given that cannot be read."""

    cookies: str = field(default="", repr=False)
    token: str | None = field(default=None, repr=False)


def new(prefix: str) -> str:
    """Return a new token: 256 random bits, so nobody guesses one, and a plain digest hides it as well as a slow one would."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return what is kept of a token, and what it is looked up by: the look-up's timing tells nothing about the token."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(text: str | None, prefix: str) -> bool:
    """Say whether a text has the form of a token of ours that begins so."""
    return text is not None and text.startswith(prefix) and _TOKEN.fullmatch(text) is not None


def of_scope(scope: dict[str, Any]) -> Credentials:
    """Return what a WebSocket's handshake shows. Where it has a token, its cookies are not looked at."""
    token = bearer(_header(scope, b"authorization", ", "))
    if token is None:
        token = _offered(scope.get("subprotocols", ()))
    return Credentials(cookies=_header(scope, b"cookie", "; ")) if token is None else Credentials(token=token)


def bearer(authorization: str) -> str | None:
    """Return the token in an `Authorization` header. What is not one of ours may be a proxy's, and is left alone."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip().startswith("rt_") else None


def _offered(subprotocols: Any) -> str | None:
    """Return the `authToken` of a Phoenix client, which stands among the subprotocols as base64 without padding."""
    encoded = next((name.removeprefix(_PHOENIX) for name in subprotocols if name.startswith(_PHOENIX)), None)
    if encoded is None:
        return None
    try:
        padded = encoded.translate(_STANDARD) + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _header(scope: dict[str, Any], wanted: bytes, glue: str) -> str:
    return glue.join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)
