"""Servers come and go in the middle of things: who comes back has missed nothing and sees nothing twice."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract.conftest import Connect
from tests.contract.test_resume import WRITE, Reader
from tests.support.servers import PROGRAMS, Program, Server
from tests.support.sites import CORE, EMBEDDED, PUBSUB, Backend, Site

STAY_AWAY = range(4500, 5000)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_client_misses_nothing_over_a_crash(embedded_site: Site, connect: Connect, program: Program) -> None:
    server = embedded_site.serve(program)
    cookie = embedded_site.cookie(server, "alice")  # a key is its sender's own, so it has to be the same person
    reader = Reader(slug := embedded_site.room())
    before = await connect(server.url, cookie=cookie)
    await reader.join(before)
    assert (await before.push(slug, "message", text="acknowledged", key="k")).response == {"seq": 1}
    await reader.read(before, 1)
    embedded_site.console.run(WRITE, slug=slug, count=5)
    await asyncio.to_thread(server.kill)
    code = await before.closed()
    assert code not in STAY_AWAY
    assert code != 1000
    embedded_site.console.run(WRITE, slug=slug, count=300)
    await asyncio.to_thread(server.start)
    after = await connect(server.url, cookie=cookie)
    await reader.join(after)
    assert (await after.push(slug, "message", text="acknowledged", key="k")).ok
    assert (await after.push(slug, "message", text="the last")).response == {"seq": 307}
    await reader.read(after, 307)
    assert reader.seqs == list(range(1, 308))
    server.stop()


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB, CORE], ids=str)
async def test_a_client_goes_on_at_the_other_server(
    backend: Backend,
    sites: Callable[[Backend], Site],
    servers: Callable[[Site, Program], Server],
    connect: Connect,
) -> None:
    """One of two servers is killed under a stream of commands. What was acknowledged is there once, in one order."""
    site = await asyncio.to_thread(sites, backend)
    doomed, stays = [site.serve("uvicorn"), servers(site, "daphne")]
    slug, cookie = site.room("counter"), site.cookie(stays, "alice")
    witness = await connect(stays.url)
    await witness.join(slug)
    client = await connect(doomed.url, cookie=cookie)
    await client.join(slug)
    acknowledged: dict[int, int] = {}
    killing: asyncio.Task[None] | None = None
    for number in range(40):
        if number == 20:
            killing = asyncio.create_task(asyncio.to_thread(doomed.kill))
        while number not in acknowledged:
            try:
                reply = await client.push(slug, "add", by=1, key=f"add-{number}")
                acknowledged[number] = reply.response["seq"]
            except (AssertionError, ConnectionClosed):
                client = await connect(stays.url, cookie=cookie)
                await client.join(slug)
    assert killing
    await killing
    assert sorted(acknowledged.values()) == list(range(1, 41))
    assert [event["seq"] for event in await witness.events("added", slug, 40)] == list(range(1, 41))
    assert site.console.run("result = Room.objects.get(slug=slug).state", slug=slug) == {"value": 40}
    late = await connect(stays.url)
    assert [event["seq"] for event in (await late.join(slug, since=0)).response["events"]] == list(range(1, 41))
