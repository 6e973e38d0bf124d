"""What a handshake shows: cookies or a token, never both; and what a token looks like."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from realtime import credentials
from realtime.credentials import TICKET, Credentials

TOKEN = credentials.new(TICKET)
VECTORS = json.loads((Path(__file__).parent / "vectors" / "tokens.json").read_text())


def phx(token: str, encode: Any = base64.b64encode) -> str:
    """A token as phoenix.js puts it among the subprotocols."""
    return "base64url.bearer.phx." + encode(token.encode()).decode().rstrip("=")


def shown(*subprotocols: str, **headers: str) -> Credentials:
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return credentials.of_scope({"headers": fields, "subprotocols": list(subprotocols)})


def test_without_a_token_the_cookies_count() -> None:
    assert shown(cookie="sessionid=x") == Credentials("sessionid=x")
    assert shown("phoenix", cookie="sessionid=x") == Credentials("sessionid=x")
    assert shown() == Credentials()


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_the_auth_token_of_a_phoenix_client_is_read(encode: Any) -> None:
    assert shown("phoenix", phx(TOKEN, encode)) == Credentials(token=TOKEN)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["token"][:10])
def test_the_auth_token_of_this_apps_own_client_is_read(vector: dict[str, str]) -> None:
    assert shown("phoenix", vector["subprotocol"]) == Credentials(token=vector["token"])


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_bearer_token_is_read(scheme: str) -> None:
    assert shown(authorization=f"{scheme} {TOKEN}") == Credentials(token=TOKEN)


def test_who_shows_a_token_has_no_cookies() -> None:
    assert shown(phx(TOKEN), cookie="sessionid=x").cookies == ""
    assert shown(authorization=f"Bearer {TOKEN}", cookie="sessionid=x").cookies == ""


@pytest.mark.parametrize("encoded", ["", "!", "A", "AAAAA", "/////w", "w6k", "=", "a=b", "\u00e9"])
def test_a_token_that_cannot_be_read_is_still_one_and_not_valid(encoded: str) -> None:
    found = shown("phoenix", "base64url.bearer.phx." + encoded, cookie="sessionid=x")
    assert found.token is not None
    assert found.cookies == ""
    assert not credentials.is_token(found.token, TICKET)


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer", "", "rt_ticket_x"])
def test_what_a_proxy_adds_for_itself_is_left_alone(header: str) -> None:
    assert shown(authorization=header, cookie="sessionid=x") == Credentials("sessionid=x")


def test_a_token_is_known_by_its_beginning_and_never_the_same() -> None:
    assert TOKEN.startswith("rt_ticket_")
    assert len({credentials.new(TICKET) for _ in range(100)}) == 100
    assert credentials.is_token(TOKEN, TICKET)
    assert not credentials.is_token(TOKEN, "rt_other_")


NO_TOKENS = {
    "nothing": None,
    "empty": "",
    "its beginning": "rt_ticket_",
    "too short": TOKEN[:-1],
    "too long": TOKEN + "x",
    "a space before": f" {TOKEN}",
    "a line's end after": f"{TOKEN}\n",
    "half a pair": "\ud800",
}


@pytest.mark.parametrize("text", NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_does_not_look_like_a_token_is_none(text: str | None) -> None:
    assert not credentials.is_token(text, TICKET)


def test_a_token_in_the_standard_alphabet_of_base64_is_a_legal_subprotocol() -> None:
    assert not [token for token in (credentials.new(TICKET) for _ in range(1000)) if set(phx(token)) & set("+/=")]


def test_neither_cookies_nor_tokens_are_shown() -> None:
    assert "x" not in f"{Credentials('x', 'x')!r}{Credentials('x', 'x')}"


def test_a_digest_does_not_give_the_token_away() -> None:
    assert TOKEN not in credentials.digest(TOKEN)
    assert len(credentials.digest(TOKEN)) == 64
