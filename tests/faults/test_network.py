"""The network between the clients and the servers breaks, in all the ways that networks do."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support import ledger
from tests.support.crowd import Crowd
from tests.support.proxy import Proxy
from tests.support.sites import EMBEDDED, PUBSUB, Backend
from tests.support.waiting import eventually

# How long a server takes to find a line dead (see the servings of the stage), and a slow machine to tell everybody.
PINGS_SECONDS = 3 + 7
SLOWLY_SECONDS = 20


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_a_line_cut_in_the_middle_of_a_frame_loses_and_doubles_nothing(
    stage: Callable[..., Any], backend: Backend
) -> None:
    set_up = await stage(backend)
    async with AsyncExitStack() as exits:
        proxies = [await exits.enter_async_context(Proxy(server.port)) for server in set_up.servers]
        async with set_up.crowd(addresses=[proxy.url for proxy in proxies]) as crowd:
            async with crowd.talking(padding=1000):
                for number in range(max(8, int(set_up.seconds * 2))):
                    proxy = set_up.dice.choice(proxies)
                    proxy.cut_in_frame() if number % 4 else proxy.reset()
                    await asyncio.sleep(set_up.dice.random())
            await ledger.audit(set_up.site, crowd)
            assert sum(crowd.closes.values()) > 20, "hardly a line was cut"
            await crowd.see_each_other()
            assert not crowd.wrongs


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_a_command_whose_reply_was_cut_off_is_sent_again_and_has_happened_once(
    stage: Callable[..., Any], backend: Backend
) -> None:
    """Each is alone in a room, so that what is cut is the answer, or the event, and the commit has happened."""
    set_up = await stage(backend)
    async with AsyncExitStack() as exits:
        proxies = [await exits.enter_async_context(Proxy(server.port)) for server in set_up.servers]
        addresses = [proxy.url for proxy in proxies]
        crowd = Crowd([], set_up.dice)
        for slug in set_up.chats(20):
            crowd.regulars += set_up.crowd(1, slugs=[slug], addresses=addresses).regulars
        async with crowd:
            await crowd.see_each_other()
            for proxy in proxies:
                proxy.cut_in_frame(of_server=True)
            for regular in crowd.regulars:
                for slug in regular.places:
                    regular.say(slug, "message", text="Did you hear me?")
            books = await ledger.audit(set_up.site, crowd)
            assert [book.head for book in books.values()] == [1] * 20
            assert sum(crowd.closes.values()) == 20, crowd.closes


async def test_a_network_that_goes_silent_loses_and_doubles_nothing_and_leaves_no_ghosts(
    stage: Callable[..., Any],
) -> None:
    """No FIN, no reset: clients find out by their heartbeats, servers by their pings."""
    set_up = await stage(PUBSUB)
    async with AsyncExitStack() as exits:
        proxies = [await exits.enter_async_context(Proxy(server.port)) for server in set_up.servers]
        quick = {"heartbeat_seconds": 1.0, "open_seconds": 3.0}
        async with set_up.crowd(addresses=[proxy.url for proxy in proxies], **quick) as crowd:
            for silent in proxies:
                async with crowd.talking():
                    silent.stall()
                    for regular in crowd.regulars:
                        regular.addresses = [proxy.url for proxy in proxies if proxy is not silent]
                    await eventually(
                        lambda silent=silent: all(regular.address != silent.url for regular in crowd.regulars),
                        30,
                        "everybody has found out",
                    )
                    await crowd.answered()  # with the help of the other server
                silent.flow()
            await ledger.audit(set_up.site, crowd)
            await crowd.see_each_other()
            assert not crowd.wrongs


async def test_who_falls_silent_leaves_the_rosters_of_the_others(stage: Callable[..., Any]) -> None:
    set_up = await stage(PUBSUB)
    slug = set_up.chats(1)[0]
    async with AsyncExitStack() as exits:
        proxies = [await exits.enter_async_context(Proxy(server.port)) for server in set_up.servers]
        crowd = await exits.enter_async_context(set_up.crowd(12, slugs=[slug]))
        addresses = [proxy.url for proxy in proxies]
        silent = await exits.enter_async_context(set_up.crowd(8, slugs=[slug], addresses=addresses))
        everybody = crowd.people(slug) | silent.people(slug)
        onlookers = [regular.places[slug].onlooker for regular in crowd.regulars]
        await eventually(lambda: all(o.people == everybody for o in onlookers), 30, "everybody is seen")
        for proxy in proxies:
            proxy.stall()
        remaining = crowd.people(slug)
        within = PINGS_SECONDS + SLOWLY_SECONDS
        await eventually(lambda: all(o.people == remaining for o in onlookers), within, "the silent have left")
        assert not crowd.wrongs
