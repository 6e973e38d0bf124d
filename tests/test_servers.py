"""The product as people run it, over every backend and under every server: one wire, the same answers."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.servers import PROGRAMS, Program, Server
from tests.support.sites import Site


async def test_what_one_writes_the_other_reads(site: Site, server: Server, connect: Callable[..., Any]) -> None:
    alice = await connect(server.url, cookie=site.cookie(server, "alice"))
    guest = await connect(server.url)
    slug = site.room(act_access="login")
    assert (await alice.join(slug)).ok
    assert (await guest.join(slug)).ok
    reply = await alice.push(slug, "message", text="hello", key="k1")
    assert reply.payload == {"status": "ok", "response": {"seq": 1}}
    for client in (alice, guest):
        event = await client.event("message", slug)
        assert (event.payload["seq"], event.payload["by"]["name"]) == (1, "alice")
        assert event.payload["data"] == {"text": "hello"}


async def test_a_word_from_another_process_reaches_open_connections(
    site: Site, server: Server, connect: Callable[..., Any]
) -> None:
    slug = site.room()
    guest = await connect(server.url)
    assert (await guest.join(slug)).ok
    seq = site.console.run("result = rooms.publish(slug, 'message', {'text': 'from the shell'})", slug=slug)
    event = await guest.event("message", slug, within=5)
    assert (event.payload["seq"], event.payload["by"]) == (seq, None)


async def test_two_processes_are_one_room(site: Site, server: Server, connect: Callable[..., Any]) -> None:
    slug = site.room("counter")
    neighbour = site.serve("uvicorn" if "daphne" in server.name else "daphne")
    here, there = await connect(server.url), await connect(neighbour.url)
    assert (await here.join(slug)).ok
    assert (await there.join(slug)).ok
    assert (await here.push(slug, "add", by=2)).ok
    assert (await there.push(slug, "add", by=3)).ok
    for client in (here, there):
        seqs = [(await client.event("added", slug)).payload["seq"] for _ in range(2)]
        assert seqs == [1, 2]
    assert site.console.run("result = Room.objects.get(slug=slug).state", slug=slug) == {"value": 5}
    neighbour.stop()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_client_that_was_away_hears_what_it_missed(
    program: Program, new_site: Callable[..., Site], connect: Callable[..., Any]
) -> None:
    site = new_site()
    server = site.serve(program)
    before = await connect(server.url)
    await before.join("visits")
    assert (await before.push("visits", "add", by=1)).response == {"seq": 1}
    server.kill()
    await before.closed()
    site.console.run("rooms.publish('visits', 'added', {'by': 41})")
    server.start()
    after = await connect(server.url)
    welcome = (await after.join("visits", since=1)).response
    assert [event["seq"] for event in welcome["events"]] == [2]
    assert welcome["complete"] is True
    assert welcome["state"] == {"value": 42}
