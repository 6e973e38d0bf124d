"""Coming in with a ticket: from another origin, as a program, in the handshake or in the first join; and in no log."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Connect, in_pairs
from tests.support.logs import Logs
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.visitor import Visitor
from tests.support.wsclient import Client

ELSEWHERE = "https://elsewhere.example"
Fetch = Callable[[str], str]


@pytest.fixture
def fetch(server: Server) -> Fetch:
    """Log in and get a ticket: `fetch("alice")`."""
    visits: dict[str, Visitor] = {}

    def fetch(name: str) -> str:
        if name not in visits:
            visits[name] = Visitor(server.url).login(name)
        answer = visits[name].post("/realtime/ticket")
        assert answer.status == 200, answer
        ticket: str = json.loads(answer.text)["ticket"]
        return ticket

    return fetch


def auth_token(ticket: str) -> list[str]:
    """The subprotocols that a Phoenix client offers with this token."""
    return ["phoenix", "base64url.bearer.phx." + base64.b64encode(ticket.encode()).decode().rstrip("=")]


async def you(client: Client, slug: str = "lobby") -> str:
    """Whom the server takes a client for."""
    name: str = (await client.join(slug)).response["you"]["name"]
    return name


async def refused(connect: Connect, server: Server, **options: Any) -> bool:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.url, **options)
    return refusal.value.response.status_code == 403


@in_pairs
async def test_a_page_of_another_origin_gets_in_with_a_ticket(server: Server, connect: Connect, fetch: Fetch) -> None:
    client = await connect(server.url, origin=ELSEWHERE, subprotocols=auth_token(fetch("alice")))
    assert client.socket.subprotocol == "phoenix"
    assert await you(client) == "alice"


@in_pairs
async def test_with_a_ticket_the_cookie_is_not_looked_at(
    site: Site, server: Server, connect: Connect, cookies: Callable[..., str], fetch: Fetch
) -> None:
    bobs = cookies(site, server, "bob")
    assert await refused(connect, server, cookie=bobs, origin=ELSEWHERE)
    assert await refused(connect, server, cookie=bobs, subprotocols=auth_token("rt_ticket_" + "x" * 43))
    client = await connect(server.url, cookie=bobs, subprotocols=auth_token(fetch("alice")))
    assert await you(client) == "alice"


@in_pairs
async def test_a_program_gives_its_ticket_in_a_header(server: Server, connect: Connect, fetch: Fetch) -> None:
    client = await connect(server.url, origin="", headers={"Authorization": f"Bearer {fetch('alice')}"})
    assert await you(client) == "alice"


@in_pairs
async def test_or_in_its_first_join(server: Server, connect: Connect, fetch: Fetch) -> None:
    client = await connect(server.url, origin="")
    ticket = fetch("alice")
    assert (await client.join("lobby", ticket=ticket)).response["you"]["name"] == "alice"
    other = await connect(server.url, origin="")
    assert (await other.join("lobby", ticket=ticket)).response["code"] == "bad_credentials"
    await other.event("phx_close")
    assert (await other.heartbeat()).ok


@pytest.mark.parametrize(
    "token", ["", "x", "rt_ticket_" + "x" * 43, "rt_ticket_", "\u00e9", "a" * 5000], ids=lambda token: token[:12]
)
@in_pairs
async def test_what_is_no_ticket_is_refused(server: Server, connect: Connect, token: str) -> None:
    assert await refused(connect, server, subprotocols=auth_token(token))


@in_pairs
async def test_a_ticket_in_the_address_is_not_read(server: Server, connect: Connect, fetch: Fetch) -> None:
    ticket = fetch("alice")
    query = f"/realtime/websocket?vsn=2.0.0&token={ticket}&ticket={ticket}&auth_token={ticket}"
    assert await refused(connect, server, origin=ELSEWHERE, path=query)
    assert (await you(await connect(server.url, path=query))).startswith("Guest")


@in_pairs
async def test_it_works_once_and_on_every_process(
    server: Server, neighbour: Server, connect: Connect, fetch: Fetch
) -> None:
    ticket = fetch("alice")
    assert await you(await connect(neighbour.url, subprotocols=auth_token(ticket))) == "alice"
    assert await refused(connect, server, subprotocols=auth_token(ticket))
    assert await refused(connect, neighbour, subprotocols=auth_token(ticket))


@in_pairs
async def test_logging_out_closes_what_came_with_the_sessions_ticket(server: Server, connect: Connect) -> None:
    visitor = Visitor(server.url).login("alice")
    ticket = json.loads(visitor.post("/realtime/ticket").text)["ticket"]
    client = await connect(server.url, origin=ELSEWHERE, subprotocols=auth_token(ticket))
    assert await you(client) == "alice"
    visitor.post("/accounts/logout/")
    assert (await client.event("refusal")).payload["code"] == "access_ended"
    assert await client.closed() == 4501


@in_pairs
async def test_no_ticket_is_ever_logged(site: Site, server: Server, connect: Connect, fetch: Fetch, logs: Logs) -> None:
    logs.take()
    used, joined, lost = [fetch("alice") for _ in range(3)]
    await connect(server.url, origin=ELSEWHERE, subprotocols=auth_token(used))
    await refused(connect, server, subprotocols=auth_token(used))
    await refused(connect, server, headers={"Authorization": f"Bearer {used}"})
    await (await connect(server.url, origin="")).join("lobby", ticket=joined)
    await (await connect(server.url, origin="")).send(f'["1","1","room:lobby","phx_join",{{"ticket":"{lost}",}}]')
    await refused(connect, server, path="/nowhere", subprotocols=auth_token(lost))
    text = logs.take()
    assert "/realtime/websocket" in text, "the server logs its handshakes"
    for ticket in (used, joined, lost):
        assert ticket not in text
        assert auth_token(ticket)[1].rpartition(".")[2] not in text
