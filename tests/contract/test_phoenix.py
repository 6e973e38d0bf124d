"""A stock Phoenix client works as it is: no line of it knows of us."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.contract.conftest import Connect
from tests.support import phoenix
from tests.support.phoenix import Phoenix
from tests.support.servers import PROGRAMS, Program, Server
from tests.support.sites import Site
from tests.support.visitor import Visitor

Start = Callable[..., Awaitable[Phoenix]]


@pytest.fixture(scope="session")
def _installed() -> None:
    phoenix.install()


@pytest.fixture
async def start(embedded_site: Site, _installed: None) -> Any:
    """Start a client that is logged in, `await start(server, "alice")`, or comes from elsewhere, `start(server, "", ticket)`."""
    clients: list[Phoenix] = []

    async def start(server: Server, name: str, *tickets: str) -> Phoenix:
        cookie = embedded_site.cookie(server, name) if name else ""
        clients.append(await Phoenix.start(f"{server.ws_url}/realtime", cookie, *tickets))
        await clients[-1].see("open")
        return clients[-1]

    yield start
    for client in clients:
        await client.stop()


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, embedded_site: Site, servers: Callable[[Site, Program], Server]) -> Server:
    """The embedded site's server, under each program."""
    return servers(embedded_site, request.param)


async def test_it_joins_the_lobby_writes_and_hears(start: Start, server: Server) -> None:
    alice = await start(server, "alice")
    alice.do("join", topic="room:lobby")
    welcome = (await alice.see("joined", topic="room:lobby"))["welcome"]
    assert welcome["you"]["name"] == "alice"
    alice.do("push", topic="room:lobby", name="message", payload={"text": "from phoenix.js"})
    seq = welcome["seq"] + 1
    assert (await alice.see("answered", status="ok"))["response"] == {"seq": seq}
    heard = (await alice.see("heard", name="message"))["payload"]
    assert (heard["seq"], heard["by"]["name"], heard["data"]) == (seq, "alice", {"text": "from phoenix.js"})


async def test_from_another_origin_it_comes_in_with_a_ticket_each_time(start: Start, server: Server) -> None:
    visitor = await asyncio.to_thread(Visitor(server.url).login, "alice")
    tickets = [json.loads(visitor.post("/realtime/ticket").text)["ticket"] for _ in range(2)]
    alice = await start(server, "", *tickets)
    alice.do("join", topic="room:lobby")
    assert (await alice.see("joined"))["welcome"]["you"]["name"] == "alice"
    alice.do("reconnect")
    assert (await alice.see("joined"))["welcome"]["you"]["name"] == "alice"


async def test_its_presence_lists_who_is_here(
    embedded_site: Site, start: Start, server: Server, connect: Connect
) -> None:
    topic = f"room:{embedded_site.room()}"
    alice, bob = await start(server, "alice"), await start(server, "bob")
    alice.do("join", topic=topic)
    await alice.see("present", names=["alice"])
    bob.do("join", topic=topic)
    await bob.see("present", names=["alice", "bob"])
    await alice.see("present", names=["alice", "bob"])
    bob.do("push", topic=topic, name="typing", payload={})
    assert (await alice.see("heard", name="typing"))["payload"]["by"]["name"] == "bob"
    bob.do("leave", topic=topic)
    await bob.see("left", topic=topic)
    await alice.see("present", names=["alice"])


async def test_what_is_refused_is_said(embedded_site: Site, start: Start, server: Server) -> None:
    topic = f"room:{embedded_site.room()}"
    guest = await start(server, "")
    guest.do("join", topic=topic)
    await guest.see("joined")
    guest.do("push", topic=topic, name="message", payload={"text": ""})
    assert (await guest.see("answered", name="message", status="error"))["response"]["code"] == "invalid"
    guest.do("push", topic=topic, name="shout", payload={})
    assert (await guest.see("answered", name="shout", status="error"))["response"]["code"] == "unknown_command"


async def test_leaving_ends_the_channel(embedded_site: Site, start: Start, server: Server) -> None:
    topic = f"room:{embedded_site.room()}"
    alice = await start(server, "alice")
    alice.do("join", topic=topic)
    await alice.see("joined")
    alice.do("leave", topic=topic)
    await alice.see("left")
    alice.do("look", topic=topic)
    assert (await alice.see("state"))["state"] == "closed"


@pytest.mark.parametrize("topic", ["room:no-such-room", "room:staff-only", "lobby"])
async def test_a_final_no_stops_it_from_joining_again(
    embedded_site: Site, start: Start, server: Server, topic: str
) -> None:
    embedded_site.console.run(
        "Room.objects.get_or_create(slug='staff-only', defaults={'title': 's', 'kind': 'chat', 'join_access': 'staff'})"
    )
    alice = await start(server, "alice")
    alice.do("join", topic=topic)
    assert "retry_after" not in (await alice.see("refused"))["refusal"]
    await alice.see("closed", topic=topic)
    alice.do("look", topic=topic)
    look = await alice.see("state")
    assert (look["state"], look["willRejoin"], look["known"]) == ("closed", False, 0)


async def test_the_end_of_a_room_ends_the_channel(embedded_site: Site, start: Start, server: Server) -> None:
    slug = embedded_site.room()
    alice = await start(server, "alice")
    alice.do("join", topic=f"room:{slug}")
    await alice.see("joined")
    embedded_site.console.run("rooms.close(slug)", slug=slug)
    assert (await alice.see("heard", name="room_ended"))["payload"]["code"] == "room_closed"
    await alice.see("closed")


async def test_a_ban_ends_the_channel_and_keeps_it_from_joining_again(
    embedded_site: Site, start: Start, server: Server
) -> None:
    slug = embedded_site.room()
    topic = f"room:{slug}"
    alice = await start(server, "alice")
    alice.do("join", topic=topic)
    await alice.see("joined")
    code = (
        "from datetime import timedelta; rooms.ban(User.objects.get(username='alice'), slug, until=timedelta(hours=1))"
    )
    embedded_site.console.run(code, slug=slug)
    alice.do("push", topic=topic, name="message", payload={"text": "me again"})
    assert (await alice.see("answered", name="message", status="error"))["response"]["code"] == "banned"
    again = await start(server, "alice")
    again.do("join", topic=topic)
    refusal = (await again.see("refused"))["refusal"]
    assert (refusal["code"], "retry_after" in refusal) == ("banned", False)
    await again.see("closed", topic=topic)
    again.do("look", topic=topic)
    look = await again.see("state")
    assert (look["state"], look["willRejoin"], look["known"]) == ("closed", False, 0)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_it_comes_back_by_itself_after_a_restart_and_has_missed_nothing(
    embedded_site: Site, start: Start, program: Program
) -> None:
    server = await asyncio.to_thread(embedded_site.serve, program)
    slug = embedded_site.room()
    topic = f"room:{slug}"
    alice = await start(server, "alice")
    alice.do("join", topic=topic)
    await alice.see("joined")
    alice.do("push", topic=topic, name="message", payload={"text": "before"})
    await alice.see("heard", name="message")
    await asyncio.to_thread(server.stop)
    assert (await alice.see("lost"))["code"] != 1000
    code = "for text in 'abc': rooms.publish(slug, 'message', {'text': text})"
    embedded_site.console.run(code, slug=slug)
    await asyncio.to_thread(server.start)
    await alice.see("open", within=30)
    welcome = (await alice.see("joined", within=30))["welcome"]
    assert [(event["seq"], event["data"]["text"]) for event in welcome["events"]] == [(2, "a"), (3, "b"), (4, "c")]
    assert welcome["complete"] is True
    alice.do("push", topic=topic, name="message", payload={"text": "after"})
    assert (await alice.see("heard", name="message"))["payload"]["seq"] == 5
    server.stop()
