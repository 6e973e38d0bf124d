"""A server is asked to stop, as in every deployment: its clients come back elsewhere, spread over a while, and lose nothing."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stage import DAPHNE, LANE, SERVINGS, Serving
from tests.faults.test_sqlite import locked
from tests.support import ledger
from tests.support.sites import EMBEDDED, PUBSUB, Backend
from tests.support.waiting import eventually
from tests.support.wsclient import Client

COME_BACK = {4000, 1012}
TURNED_AWAY = 4002  # who comes while the server is stopping

NODES = "result = sorted(set(models.Presence.objects.filter(room__slug__in=slugs).values_list('node', flat=True)))"
LEFT = "result = [models.Node.objects.filter(pk=node).count(), models.Presence.objects.filter(node=node).count()]"


@pytest.mark.alone
@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_a_server_that_stops_says_when_to_come_back_answers_and_frees_its_lease(
    stage: Callable[..., Any], serving: Serving
) -> None:
    leaving = await stage(EMBEDDED, (serving,), RETURNS_PER_SECOND=10)
    other = await stage(EMBEDDED, (DAPHNE,))
    server = leaving.servers[0]
    async with leaving.crowd(24, slugs=other.slugs, addresses=[server.url]) as crowd:
        (node,) = await asyncio.to_thread(leaving.site.console.run, NODES, slugs=crowd.slugs)
        for regular in crowd.regulars:
            regular.addresses = [other.servers[0].url]
        async with crowd.talking(100):
            await asyncio.sleep(0.5)
            began = time.monotonic()
            await asyncio.to_thread(server.stop, 30)
            took = time.monotonic() - began
            assert await asyncio.to_thread(leaving.site.console.run, LEFT, node=node) == [0, 0], (
                "the lease is not freed"
            )
            await crowd.joined()
        await ledger.audit(leaving.site, crowd)
        leaving.note(f"{serving} stops within {took:.1f} s, with 24 clients who talk")
        assert set(crowd.closes) <= COME_BACK, crowd.closes
        for regular in crowd.regulars:
            assert regular.windows == [2.4], f"{regular.name} was told {regular.windows}"
        returns = sorted(regular.opened[1] - began for regular in crowd.regulars)
        assert returns[-1] > 1.0, f"all came back at once: {returns}"
        first_fifth = sum(moment < 0.5 for moment in returns)
        assert first_fifth < 16, f"a spike: {returns}"
    assert took < 10


@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_what_is_being_committed_when_a_server_is_asked_to_stop_is_answered(
    stage: Callable[..., Any], serving: Serving
) -> None:
    """Another writer holds the database for a moment: nothing that comes meanwhile is taken, and what was taken is answered."""
    template = await stage(EMBEDDED, ())
    file = template.site.folder / "site.sqlite3"
    set_up = await stage(EMBEDDED, (serving,), env={"DATABASE_URL": f"sqlite:///{file}?timeout=30"})
    (slug,) = set_up.chats(1)
    server = set_up.servers[0]
    client = await Client.connect(server.url)
    try:
        await client.join(slug)
        with locked(file):
            taken = await client.cast(slug, "message", text="taken", key="taken")
            await client.heartbeat()
            server.signal(signal.SIGTERM)
            await eventually(lambda: refused(client, slug), 4, "the server takes no more")
            assert client.close_code is None
        assert (await client.reply(taken, 5)).ok
        await eventually(lambda: client.close_code is not None, 5, "it is closed")
        assert client.close_code in COME_BACK
    finally:
        await client.drop()
        await asyncio.to_thread(server.stop, 30)


async def refused(client: Client, slug: str) -> bool:
    """Say something, and say whether anything was refused because the server stops."""
    await client.cast(slug, "message", text="late")
    return any(frame.payload.get("response", {}).get("code") == "going_away" for frame in client.frames)


@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_a_server_that_is_stopped_while_people_come_in_ends_in_order(
    stage: Callable[..., Any], serving: Serving
) -> None:
    """Whether they listen or not. A crash on the way out, which `stop` would tell of, is what a supervisor wakes somebody for."""
    set_up = await stage(EMBEDDED, (serving,))
    (server,), (slug,) = set_up.servers, set_up.chats(1)
    clients = [await Client.connect(server.url) for _ in range(20)]
    attentive, deaf = clients[::2], clients[1::2]
    try:
        for client in attentive:
            await client.join(slug)
        for client in deaf:
            client.socket.transport.pause_reading()
        await asyncio.to_thread(server.stop, 30)
        await eventually(lambda: all(client.close_code is not None for client in attentive), 5, "all are closed")
        assert {client.close_code for client in attentive} <= COME_BACK
    finally:
        for client in clients:
            await client.drop()


@pytest.mark.alone
@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_a_rolling_restart_under_load_loses_nothing_and_brings_no_spike(
    stage: Callable[..., Any], backend: Backend
) -> None:
    set_up = await stage(backend, (DAPHNE, LANE), RETURNS_PER_SECOND=10)
    async with set_up.crowd() as crowd:
        async with crowd.talking(60):
            for server in set_up.servers:
                await asyncio.sleep(set_up.dice.random())
                await asyncio.to_thread(server.stop, 30)
                await asyncio.to_thread(server.start)
                await crowd.joined()
        await ledger.audit(set_up.site, crowd)
        assert set(crowd.closes) <= COME_BACK | {TURNED_AWAY}, crowd.closes
        assert crowd.refusals.keys() <= {"going_away", "overloaded"}, crowd.refusals
        assert crowd.refusals["going_away"] >= len(crowd.regulars)
        windows = [window for regular in crowd.regulars for window in regular.windows]
        assert min(windows) >= 1.0, f"they were all asked to come back at once: {windows}"
        await crowd.see_each_other()
        assert not crowd.wrongs
