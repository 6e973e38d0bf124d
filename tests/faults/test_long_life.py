"""A process that runs for long: the layer forgets nothing that is still wanted, and memory holds nothing that is not.

The first part is told with real servers and a real Redis whose memberships lapse within seconds. The second lets a week pass in a
process over a real database: what it does now and then is done as often as the hour has come, without waiting for the hour.
"""

import asyncio
import gc
import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import redis.asyncio
from asgiref.sync import sync_to_async
from pytest_django import Settings

from realtime import metrics
from realtime import node as nodes
from realtime.auth import Person
from realtime.bus import Bus
from realtime.connection import Connection
from realtime.errors import Refusal
from realtime.models import Event, Node, Presence, Room
from realtime.protocol import Batch
from tests.faults.stage import DAPHNE, DEFAULTS, LANE, Stage, Troupe
from tests.faults.test_redis import rings_again
from tests.support import gauges, ledger
from tests.support.fakes import settle
from tests.support.sites import CORE, Backend
from tests.support.waiting import eventually

# The core layer alone lets memberships lapse: a group is a sorted set of channels by the time at which they joined.
REDIS = Backend("sqlite+redis-core", postgres=False, layer=CORE.layer)
GROUP_EXPIRY_SECONDS = 3
NEVER = 86_400.0


@pytest.fixture
async def remembering(troupe: Troupe, stage: Callable[..., Any]) -> AsyncIterator[Callable[..., Awaitable[Stage]]]:
    """A stage whose layer forgets a membership after three seconds: `await remembering(**REALTIME settings)`."""
    with troupe.new_site(REDIS) as site:

        async def make(**settings: Any) -> Stage:
            assert site.redis is not None
            config = {"hosts": [site.redis.url], "group_expiry": GROUP_EXPIRY_SECONDS}
            wanted = {
                "REALTIME": DEFAULTS | settings,
                "CHANNEL_LAYERS": {"default": {"BACKEND": REDIS.layer, "CONFIG": config}},
            }
            found: Stage = await stage(site=site, servings=(DAPHNE, LANE), env={"TEST_SETTINGS": json.dumps(wanted)})
            return found

        yield make


async def memberships(stage: Stage) -> dict[str, list[float]]:
    """When, by the clock of this machine, the members of each room's group joined it last."""
    async with redis.asyncio.from_url(stage.site.redis.url) as client:
        groups = sorted([key async for key in client.scan_iter("asgi:group:realtime.room.*")])
        return {
            key.decode(): [score for _, score in await client.zrange(key, 0, -1, withscores=True)] for key in groups
        }


async def wait_for(stage: Stage, fits: Callable[[dict[str, list[float]]], bool], what: str) -> None:
    deadline = time.monotonic() + 20 * GROUP_EXPIRY_SECONDS
    while not fits(found := await memberships(stage)):
        assert time.monotonic() < deadline, f"{what}: not in time; they are {found}"


async def test_memberships_are_renewed_before_they_lapse(remembering: Callable[..., Awaitable[Stage]]) -> None:
    """Nobody looks into the log unasked here: long after the first memberships have lapsed, the layer still rings everybody."""
    set_up = await remembering(GROUP_RENEW_SECONDS=0.5, CATCH_UP_SECONDS=NEVER)
    async with set_up.crowd() as crowd:
        joined = await memberships(set_up)
        assert len(joined) >= len(set_up.slugs)
        first = max(itertools.chain(*joined.values()))
        lapsed_twice = first + 2 * GROUP_EXPIRY_SECONDS + 1
        await wait_for(
            set_up,
            lambda now: now.keys() >= joined.keys() and min(itertools.chain(*now.values())) > lapsed_twice,
            "all memberships are renewed",
        )
        for _ in range(40):
            crowd.say_something()
        await ledger.audit(set_up.site, crowd)


async def test_memberships_that_lapsed_are_made_up_for(remembering: Callable[..., Awaitable[Stage]]) -> None:
    """What the test before would look like without renewal; and the safety net, which notices and joins the groups again."""
    set_up = await remembering(GROUP_RENEW_SECONDS=NEVER)
    async with set_up.crowd() as crowd:
        await wait_for(set_up, lambda now: not any(now.values()), "all memberships have lapsed")
        for _ in range(40):
            crowd.say_something()
        await ledger.audit(set_up.site, crowd)
        await rings_again(set_up, crowd)


# A week


SLUGS = [f"room-{number}" for number in range(5)]
HOURS = 7 * 24
VISITS_AN_HOUR = 60
SECONDS = 120.0


class Ear:
    """A lane that keeps nothing but the answers that somebody waits for."""

    paused = False
    direct = None

    def __init__(self) -> None:
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}

    def write(self, batch: Batch) -> None:
        for frame in batch.frames:
            if b'"phx_reply"' in frame.body:
                answer = self._answers.pop(frame.body.split(b",", 2)[1], None)
                if answer is not None:
                    answer.set_result(frame.body)

    def close(self, code: int, reason: str) -> None: ...

    def answer(self, ref: str) -> asyncio.Future[bytes]:
        self._answers[b'"%b"' % ref.encode()] = future = asyncio.get_running_loop().create_future()
        return future


async def ask(connection: Connection, ear: Ear, ref: str, slug: str, event: str, **payload: Any) -> None:
    answer = ear.answer(ref)
    await connection.receive(json.dumps(["1", ref, f"room:{slug}", event, payload]))
    assert b'"ok"' in await answer


async def visit(node: nodes.Node, name: str, slug: str) -> None:
    """Come, say something, go."""
    ear = Ear()
    connection = Connection(node, Person(f"user:{name}", name, user_pk=None), ear)
    await ask(connection, ear, "1", slug, "phx_join", since=0)
    await ask(connection, ear, "2", slug, "message", text=f"It is me, {name}.", key=name)
    connection.closed()


async def an_hour_passes(node: nodes.Node) -> None:
    """Everything that a process does now and then, but for what a test cannot wait for, by what the node calls itself."""
    for work in (node._watch, node._renew_lease, node.hub.reconcile, node._sweep, node.hub.renew):
        try:
            await work()
        except Refusal as refusal:
            pytest.fail(f"{work.__qualname__}: {refusal}")


POOLS_THREADS = 8  # writer, doors, clerk and moderator with one, reader and keeper with two


@dataclass(frozen=True)
class Weight:
    """What the process holds: blocks of memory that Python has handed out, objects by type, megabytes."""

    blocks: int
    objects: Counter[str]
    megabytes: float
    tasks: Counter[str]
    threads: int

    @classmethod
    async def now(cls, node: nodes.Node) -> "Weight":
        """After what is under way has come to its end."""
        await eventually(lambda: not node.hub._tasks, SECONDS, "the hub's tasks have ended")
        await node._clerk.finish()
        await node.hub._bus.bell.flush(SECONDS)
        await settle()
        gc.collect()
        objects = Counter(type(each).__qualname__ for each in gc.get_objects())
        megabytes = gauges.resident_megabytes(os.getpid())
        tasks = Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
        # A pool starts its next thread when it first has need of it, and never has more than it was made with.
        threads = [thread for thread in threading.enumerate() if not thread.name.startswith("realtime-")]
        assert threading.active_count() - len(threads) <= POOLS_THREADS
        return cls(sys.getallocatedblocks(), objects, megabytes, tasks, len(threads))

    def is_no_more_than(self, other: "Weight", blocks: int) -> None:
        """`blocks`: how many more are the noise of lists and dictionaries that were just resized."""
        grown = {name: number for name, number in (self.objects - other.objects).items() if number > 20}
        assert self.blocks - other.blocks < blocks, f"{self.blocks - other.blocks} more blocks, of objects {grown}"
        assert self.megabytes - other.megabytes < 10
        assert not self.tasks - other.tasks
        assert self.threads <= other.threads


@pytest.fixture
async def node(transactional_db: None, settings: Settings) -> AsyncIterator[nodes.Node]:
    """A node over the test's own database, which does nothing by itself."""
    seldom = ("CATCH_UP_SECONDS", "SWEEP_SECONDS", "LEASE_SECONDS", "GROUP_RENEW_SECONDS", "ACCESS_SECONDS")
    limits = {
        "PRESENCE_GATHER_SECONDS": 0.01,
        "COMMANDS_PER_SECOND": 0,
        "PERSON_COMMANDS_PER_SECOND": 0,
        "RECENT_EVENTS": 50,
        "KEEP_EVENTS": 100,
    }
    settings.REALTIME = dict.fromkeys(seldom, NEVER) | limits
    open_before = (metrics.connections.values[""], metrics.subscriptions.values[""])
    node = nodes.Node()
    await node.start()
    yield node
    async with asyncio.timeout(SECONDS):
        await node.stop()
    assert (metrics.connections.values[""], metrics.subscriptions.values[""]) == open_before


@sync_to_async
def make_rooms(slugs: Iterable[str]) -> None:
    fields = {"kind": "chat", "join_access": "anyone", "act_access": "anyone"}
    Room.objects.bulk_create(Room(slug=slug, title=slug, **fields) for slug in slugs)


@sync_to_async
def rows() -> tuple[int, int, int]:
    """How many events, presences and leases the database holds."""
    return Event.objects.count(), Presence.objects.count(), Node.objects.count()


async def comes_to_rest(node: nodes.Node) -> None:
    """Nobody is here, and once what they left behind is written down, nothing of theirs is left."""
    async with asyncio.timeout(SECONDS):
        for batcher in (node._writer, node._doors, node._reader, node._keeper, node._clerk):
            await batcher._idle.wait()  # type: ignore[attr-defined]
        await asyncio.gather(*node.hub._tasks)
        await asyncio.sleep(0)  # for what they are followed by
    assert (node.hub.rooms, node.connections, node.hub._tasks) == ({}, set(), set())


@pytest.mark.django_db(transaction=True)
async def test_memory_is_flat_over_a_week(node: nodes.Node) -> None:
    """Five rooms with a resident each, and ten thousand who come, say something and go."""
    await make_rooms(SLUGS)
    names = map(str, itertools.count(1))
    residents = [Connection(node, Person(f"guest:{slug}", slug), Ear()) for slug in SLUGS]
    for connection, slug in zip(residents, SLUGS, strict=True):
        await connection.receive(json.dumps(["1", "1", f"room:{slug}", "phx_join", {}]))
    async with asyncio.timeout(SECONDS):
        for hour in range(HOURS):
            await asyncio.gather(*(visit(node, next(names), SLUGS[n % len(SLUGS)]) for n in range(VISITS_AN_HOUR)))
            await an_hour_passes(node)
            if hour == 23:
                day = await Weight.now(node)
    week = await Weight.now(node)
    week.is_no_more_than(day, blocks=2000)
    assert [len(room.roster) for room in node.hub.rooms.values()] == [1] * len(SLUGS)
    events, presences, leases = await rows()
    assert (presences, leases) == (len(SLUGS), 1)
    assert events < len(SLUGS) * (100 + 64)
    for connection in residents:
        connection.closed()
    await eventually(lambda: not node.hub._tasks, SECONDS, "all have left")
    await comes_to_rest(node)


@pytest.mark.django_db(transaction=True)
async def test_nothing_grows_with_the_rooms_that_were_ever_visited(node: nodes.Node) -> None:
    slugs = [f"once-{number}" for number in range(3000)]
    await make_rooms(slugs)
    rooms = iter(slugs)
    async with asyncio.timeout(SECONDS):
        for turn in range(100):
            await asyncio.gather(*(visit(node, "alice", slug) for slug in itertools.islice(rooms, 30)))
            await an_hour_passes(node)
            if turn == 9:
                await comes_to_rest(node)
                before = await Weight.now(node)
    await comes_to_rest(node)
    after = await Weight.now(node)
    bus: Bus = node.hub._bus
    assert len(bus._rooms) <= 1, "groups of rooms that nobody is in"
    after.is_no_more_than(before, blocks=2000)
    assert (await rows())[1:] == (0, 1)
