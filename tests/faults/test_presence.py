"""Who is here stays true, whatever happens to servers, lines and tabs, and costs little however many come."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stage import DAPHNE, DEFAULTS, LANE, Serving
from tests.support.sites import EMBEDDED, PUBSUB, Backend, Site
from tests.support.waiting import eventually

SLOWLY_SECONDS = 10  # for a machine that does other things as well

TABLE = """
living = models.Node.objects.values("pk")
result = [
    models.Presence.objects.filter(room__slug__in=slugs, node__in=living).count(),
    models.Presence.objects.filter(room__slug__in=slugs).exclude(node__in=living).count(),
]
"""


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_the_people_of_a_killed_process_leave_all_rosters_within_its_lease(
    stage: Callable[..., Any], backend: Backend
) -> None:
    set_up = await stage(backend)
    slugs = set_up.chats(3)
    doomed, safe = set_up.servers
    async with (
        set_up.crowd(12, slugs=slugs, addresses=[safe.url], rooms_each=3) as crowd,
        set_up.crowd(12, slugs=slugs, addresses=[doomed.url], rooms_each=3) as lost,
    ):
        onlookers = [place.onlooker for regular in crowd.regulars for place in regular.places.values()]
        everybody = crowd.people(slugs[0]) | lost.people(slugs[0])
        await eventually(lambda: all(o.people == everybody for o in onlookers), 30, "everybody is seen")
        doomed.signal(signal.SIGKILL)
        killed = time.monotonic()
        await asyncio.to_thread(doomed.kill)
        remaining = crowd.people(slugs[0])
        within = DEFAULTS["LEASE_SECONDS"] + SLOWLY_SECONDS
        await eventually(lambda: all(o.people == remaining for o in onlookers), within, "they have left")
        took = time.monotonic() - killed
        set_up.note(f"{backend}: people of a killed process gone after {took:.1f} s of {DEFAULTS['LEASE_SECONDS']}")
        assert took < DEFAULTS["LEASE_SECONDS"] + 3
        assert not crowd.wrongs


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_restarts_cuts_and_second_tabs_show_nobody_twice_and_leave_no_ghost(
    stage: Callable[..., Any], backend: Backend
) -> None:
    set_up = await stage(backend)
    slugs = set_up.chats(3)
    async with set_up.crowd(16, slugs=slugs) as crowd, set_up.tabs(crowd) as tabs:
        for number in range(max(2, int(set_up.seconds / 5))):
            for regular in set_up.dice.sample(crowd.regulars + tabs.regulars, 12):
                regular.cut()
            server = set_up.servers[number % 2]
            await asyncio.to_thread(server.kill if number % 4 < 2 else server.stop)
            await asyncio.to_thread(server.start)
        await tabs.joined()
        await crowd.see_each_other()
        await tabs.see_each_other()
        connected = sum(len(regular.places) for regular in crowd.regulars + tabs.regulars)
        await table_is(set_up.site, slugs, connected)
        for tab in tabs.regulars[:8]:  # their other tab stays
            await tab.stop()
        await table_is(set_up.site, slugs, connected - sum(len(tab.places) for tab in tabs.regulars[:8]))
        await crowd.see_each_other()
        assert not crowd.wrongs + tabs.wrongs


async def table_is(site: Site, slugs: list[str], rows: int) -> None:
    """Wait until the table has a row for each connection in a room, and none of a process that is gone."""

    async def is_so() -> bool:
        return await asyncio.to_thread(site.console.run, TABLE, slugs=slugs) == [rows, 0]

    await eventually(is_so, DEFAULTS["LEASE_SECONDS"] + 2 * SLOWLY_SECONDS, f"there are {rows} rows and no ghosts")


@pytest.mark.parametrize("serving", [DAPHNE, LANE], ids=str)
async def test_a_thousand_people_who_join_at_once_cost_each_a_handful_of_frames(
    stage: Callable[..., Any], serving: Serving
) -> None:
    """In a room above PRESENCE_LIST only the count travels; below it again, the list is back."""
    set_up = await stage(EMBEDDED, (serving,), LEASE_SECONDS=30)
    hall, room = set_up.chats(2)
    async with set_up.crowd(1000, slugs=[hall, room], rooms_each=0, heartbeat_seconds=60) as crowd:
        first, rest = crowd.regulars[:20], crowd.regulars[20:]
        for regular in first:
            regular.enter(room)
        await eventually(lambda: all(len(r.places[room].onlooker.people) == 20 for r in first), 30, "all 20 are listed")
        began = time.monotonic()
        for regular in crowd.regulars:
            regular.enter(hall)
        await crowd.joined()
        took = time.monotonic() - began
        halls = [regular.places[hall].onlooker for regular in crowd.regulars]
        await eventually(lambda: all(o.number == 1000 for o in halls), 60, "the count is 1000")
        spent = max(sum(o.frames.values()) for o in halls)
        set_up.note(f"{serving}: 1,000 joined within {took:.1f} s and got at most {spent} frames about each other")
        assert spent <= 6 + 2 * took, f"{spent} frames about presence in {took:.1f} s"
        assert all(o.frames["presence_diff"] == 0 or o.number == 1000 for o in halls)
        for regular in rest[:-10]:
            await regular.stop()
        staying = frozenset(regular.name for regular in first + rest[-10:])
        halls = [regular.places[hall].onlooker for regular in first]
        await eventually(lambda: all(o.people == staying for o in halls), 60, "the list is back")
        assert all(regular.places[room].onlooker.people == crowd.people(room) for regular in first)
        assert not crowd.wrongs
