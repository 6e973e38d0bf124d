"""Coming in with an API key: as a program, from any origin, within its bounds; out at once when it is revoked; and in no log."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Connect, in_pairs
from tests.support.logs import Logs
from tests.support.servers import Server
from tests.support.sites import Site

pytestmark = in_pairs

MAKE = """
from realtime import apikeys
owner = User.objects.get(username="alice")
result = apikeys.make("Builds", owner, rooms=Room.objects.filter(slug__in=slugs), commands=["message"])
"""
REVOKE = """
from realtime import apikeys, credentials
apikeys.revoke(ApiKey.objects.filter(digest=credentials.digest(key)))
"""
Make = Callable[..., str]


@pytest.fixture
def make(site: Site) -> Make:
    """Make a key of alice's for rooms: `make(slug)`."""
    return lambda *slugs: str(site.console.run(MAKE, slugs=slugs))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def auth_token(key: str) -> list[str]:
    return ["phoenix", "base64url.bearer.phx." + base64.b64encode(key.encode()).decode().rstrip("=")]


async def test_a_program_comes_in_with_its_key(site: Site, server: Server, connect: Connect, make: Make) -> None:
    slug, other = site.room(), site.room()
    key = make(slug)
    for how in (
        {"origin": "", "headers": bearer(key)},
        {"origin": "https://a.example", "subprotocols": auth_token(key)},
    ):
        client = await connect(server.url, **how)
        assert (await client.join(other)).response["code"] == "forbidden"
        assert (await client.join(slug)).response["you"]["name"] == "Builds"
        assert (await client.push(slug, "message", text="done")).ok
        assert (await client.push(slug, "typing")).response["code"] == "forbidden"


async def test_revoked_it_is_out_on_every_process_and_not_let_in_again(
    site: Site, server: Server, neighbour: Server, connect: Connect, make: Make
) -> None:
    slug = site.room()
    key, kept = make(slug), make(slug)
    clients = [await connect(at.url, headers=bearer(key)) for at in (server, neighbour)]
    other = await connect(server.url, headers=bearer(kept))
    for client in (*clients, other):
        assert (await client.join(slug)).ok
    site.console.run(REVOKE, key=key)
    if site.redis is not None:  # else another process hears of it at its next look
        for client in clients:
            assert (await client.event("refusal")).payload["code"] == "access_ended"
            assert await client.closed() == 4501
    assert (await other.heartbeat()).ok
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.url, headers=bearer(key))
    assert refusal.value.response.status_code == 403


async def test_no_key_is_ever_logged(server: Server, connect: Connect, make: Make, logs: Logs) -> None:
    logs.take()
    key = make()
    client = await connect(server.url, headers=bearer(key))
    await client.join("lobby", ticket=key)
    await connect(server.url, subprotocols=auth_token(key))
    for how in ({"headers": bearer(key + "x")}, {"subprotocols": auth_token(key), "path": "/nowhere"}):
        with pytest.raises(InvalidStatus):
            await connect(server.url, **how)
    text = logs.take()
    assert "/realtime/websocket" in text
    assert key not in text
    assert auth_token(key)[1].rpartition(".")[2][:-4] not in text


def post(server: Server, slug: str, name: str, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send a command over HTTP, and return the status and what is said."""
    url = f"{server.url}/realtime/rooms/{slug}/{name}"
    request = urllib.request.Request(url, body, bearer(key) | {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


async def test_a_command_over_http_reaches_everyone(
    site: Site, server: Server, neighbour: Server, enter: Connect, make: Make, logs: Logs
) -> None:
    slug, other = site.room(), site.room()
    key = make(slug)
    here, there = await enter(slug), await enter(slug, at=neighbour)
    logs.take()
    assert await asyncio.to_thread(post, server, slug, "message", key, b'{"text": "built"}') == (200, {"seq": 1})
    for client in (here, there):
        heard = (await client.event("message", slug)).payload
        assert (heard["seq"], heard["by"]["name"], heard["data"]) == (1, "Builds", {"text": "built"})
    refusals = [
        await asyncio.to_thread(post, server, *asked)
        for asked in (
            (slug, "message", key + "x", b"{}"),
            (other, "message", key, b"{}"),
            (slug, "message", key, b"x"),
            (slug, "message", key, b'{"text": "%b"}' % (b"x" * 100_000)),
        )
    ]
    assert [(status, said["code"]) for status, said in refusals] == [
        (401, "bad_credentials"),
        (403, "forbidden"),
        (400, "invalid"),
        (413, "too_large"),
    ]
    text = logs.take()
    assert f"/realtime/rooms/{slug}/message" in text
    assert key not in text
