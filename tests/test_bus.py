"""The doorbell: this process hears at once, the others if the layer is willing, and nobody waits for it."""

import asyncio
import os
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from channels.layers import InMemoryChannelLayer

from realtime import bus, metrics, rings
from realtime.bus import Bus
from realtime.kinds import Actor
from realtime.rings import Changed, Cleared, Ended, Happened, Kicked, Moved, Removed, Ring, Signalled
from tests.support.fakes import SECONDS, FakeLayer, event, settle

RINGS: list[Ring] = [
    rings.happened(7, [event(1), event(2)]),
    Signalled(7, b'{"x":1}'),
    Moved(7, "node", [("c1", Actor("user:1", "alice")), ("c2", None)]),
    Cleared(7, 40),
    Ended(7, "room_closed", "This room is closed."),
    Kicked(7, "user:1", "kicked", "You have been taken out of this room."),
    Changed(user="1", room=7),
]
EVERYBODYS = f"realtime.room.{rings.EVERYWHERE}"
Start = Callable[[], "Ear"]


class Ear:
    """A bus and what it heard."""

    def __init__(self) -> None:
        self.heard: list[Ring] = []
        self.bus = Bus(self.heard.append)

    async def hears(self, count: int) -> list[Ring]:
        async with asyncio.timeout(SECONDS):
            while len(self.heard) < count:
                await asyncio.sleep(0)
        return self.heard


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start listening; all is stopped at the end of the test."""
    ears: list[Ear] = []

    def new() -> Ear:
        ears.append(Ear())
        ears[-1].bus.start()
        return ears[-1]

    yield new
    for ear in ears:
        await ear.bus.stop()


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> FakeLayer:
    """A layer that reaches other processes."""
    it = FakeLayer()
    monkeypatch.setattr(bus, "_layer", lambda: it)
    return it


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "channel_layers", {"default": InMemoryChannelLayer()})


def elsewhere(ring: Ring) -> dict[str, Any]:
    """A ring as another process sends it."""
    return {"type": "realtime.ring", "from": "another process", "ring": msgspec.msgpack.encode(ring)}


def rung(layer: FakeLayer) -> list[Ring]:
    return [msgspec.msgpack.decode(told["ring"], type=Ring) for _, told in layer.sent]


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: type(ring).__name__)
async def test_a_process_hears_itself_without_the_layer(start: Start, ring: Ring) -> None:
    ear = start()
    bus.publish(ring)
    assert await ear.hears(1) == [ring]


@pytest.mark.usefixtures("in_memory")
async def test_an_in_memory_layer_is_left_alone(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setattr(bus, "_bell", lambda: pytest.fail("a bell was made"))
    monkeypatch.delattr(InMemoryChannelLayer, "group_send")
    monkeypatch.delattr(InMemoryChannelLayer, "group_add")
    ear = start()
    await ear.bus.join(7)
    bus.publish(RINGS[0])
    assert await ear.hears(1)


@pytest.mark.usefixtures("in_memory")
async def test_what_is_published_in_a_thread_is_heard_on_the_loop(start: Start) -> None:
    ear = start()
    loop_thread = threading.get_ident()
    threads: list[int] = []
    ear.bus._hear = lambda ring: threads.append(threading.get_ident())
    await asyncio.to_thread(bus.publish, RINGS[0])
    await settle()
    assert threads == [loop_thread]


@pytest.mark.usefixtures("in_memory")
async def test_one_who_has_stopped_hears_nothing(start: Start) -> None:
    ear = start()
    await ear.bus.stop()
    bus.publish(RINGS[0])
    await settle()
    assert ear.heard == []


@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: type(ring).__name__)
async def test_another_process_hears_through_the_layer(start: Start, layer: FakeLayer, ring: Ring) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)
    await layer.group_send("realtime.room.7", elsewhere(ring))
    assert await ear.hears(1) == [ring]


async def test_what_is_told_to_the_layer_is_not_heard_twice_at_home(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)
    bus.publish(RINGS[0])
    await ear.hears(1)
    await settle()
    assert (ear.heard, rung(layer)) == ([RINGS[0]], [RINGS[0]])


async def test_rooms_are_joined_and_left_in_the_layer(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)
    assert layer.groups == {EVERYBODYS: set(layer.channels), "realtime.room.7": set(layer.channels)}
    await ear.bus.leave(7)
    assert layer.groups == {EVERYBODYS: set(layer.channels), "realtime.room.7": set()}


async def test_there_is_one_channel_however_many_rooms(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    for room_pk in range(20):
        await ear.bus.join(room_pk)
    assert len(layer.channels) == 1
    assert len(layer.groups) == 20


async def test_only_so_many_calls_wait_for_the_layer_at_once(start: Start, layer: FakeLayer) -> None:
    """It has a pool of connections, which a hundred rooms joined at once would drain."""
    waiting: list[int] = []
    most = 0

    async def group_add(group: str, channel: str) -> None:
        nonlocal most
        waiting.append(1)
        most = max(most, len(waiting))
        await asyncio.sleep(0)
        waiting.pop()
        await FakeLayer.group_add(layer, group, channel)

    ear = start()
    await settle()
    layer.group_add = group_add  # type: ignore[method-assign]
    await asyncio.gather(*(ear.bus.join(room_pk) for room_pk in range(1, 101)))
    assert most == bus._CALLS_AT_ONCE
    assert len(layer.groups) == 101


async def test_rooms_joined_before_the_layer_answered_are_joined_then(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await ear.bus.join(7)
    await settle()
    assert layer.groups == {EVERYBODYS: set(layer.channels), "realtime.room.7": set(layer.channels)}


async def test_a_layer_that_has_forgotten_everything_is_reminded(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)
    layer.groups.clear()
    await ear.bus.renew()
    assert layer.groups == {EVERYBODYS: set(layer.channels), "realtime.room.7": set(layer.channels)}


async def test_a_room_that_is_left_during_a_renewal_is_not_joined_again(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)

    async def group_add(group: str, channel: str) -> None:
        """While everybody's group is renewed, the first, the last one leaves a room."""
        if group == EVERYBODYS:
            await ear.bus.leave(7)
        await FakeLayer.group_add(layer, group, channel)

    layer.group_add = group_add  # type: ignore[method-assign]
    await ear.bus.renew()
    assert layer.groups["realtime.room.7"] == set()


async def test_a_layer_that_is_gone_troubles_nobody(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    layer.fails = True
    dropped = metrics.drops.values.get("ring_not_sent", 0)
    await ear.bus.join(7)
    await ear.bus.leave(7)
    await ear.bus.join(8)
    await ear.bus.renew()
    bus.publish(RINGS[0])
    assert await ear.hears(1) == [RINGS[0]]
    await settle()
    assert metrics.drops.values["ring_not_sent"] == dropped + 1


async def test_a_layer_that_comes_back_is_used_again(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    layer.fails = True
    bus.publish(RINGS[0])
    await settle()
    layer.fails = False
    bus.publish(RINGS[1])
    await settle()
    assert rung(layer) == [RINGS[1]]
    assert ear.heard == RINGS[:2]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"ring": b""},
        {"ring": b"\xc1"},
        {"ring": "text"},
        {"ring": None},
        {"ring": msgspec.msgpack.encode(["other", 7])},
    ],
    ids=repr,
)
async def test_what_is_no_ring_is_let_go_of(start: Start, layer: FakeLayer, told: dict[str, Any]) -> None:
    ear = start()
    await settle()
    dropped = metrics.drops.values.get("foreign_ring", 0)
    await ear.bus.join(7)
    layer.deliver(layer.channels[0], told)
    layer.deliver(layer.channels[0], elsewhere(RINGS[3]))
    assert await ear.hears(1) == [RINGS[3]]
    assert metrics.drops.values["foreign_ring"] == dropped + 1


async def test_the_layer_may_lose_and_repeat(start: Start, layer: FakeLayer) -> None:
    ear = start()
    await settle()
    await ear.bus.join(7)
    layer.copies = 2
    layer.loses = lambda told: told["ring"] == elsewhere(RINGS[0])["ring"]
    for ring in RINGS[:2]:
        await layer.group_send("realtime.room.7", elsewhere(ring))
    await settle()
    assert ear.heard == [RINGS[1], RINGS[1]]


async def test_rings_wait_in_a_queue_with_a_bound(
    start: Start, layer: FakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "_QUEUED_RINGS", 3)
    dropped = metrics.drops.values.get("ring_queue_full", 0)
    start()
    for seq in range(5):
        bus.publish(Cleared(7, seq))
    await settle()
    assert [ring.seq for ring in rung(layer) if isinstance(ring, Cleared)] == [2, 3, 4]
    assert metrics.drops.values["ring_queue_full"] == dropped + 2


async def test_rings_that_wait_are_bounded_in_bytes_too(
    start: Start, layer: FakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    told = [Happened(7, [(1, b"x" * 600, b"x" * 400)]), Signalled(7, b"x" * 1000), Removed(7, 2, b"x" * 1000, b"", 1)]
    told.append(Moved(7, "n", [("c", None)] * 5))
    monkeypatch.setattr(bus, "_QUEUED_BYTES", 3000)
    for ring in told:
        bus.publish(ring)
    await settle()
    assert rung(layer) == told[1:]


async def test_stopping_tells_the_rest_first(layer: FakeLayer) -> None:
    ear = Ear()
    ear.bus.start()
    bus.publish(RINGS[0])
    await settle(1)
    await ear.bus.stop()
    assert rung(layer) == [RINGS[0]]


def test_a_process_without_an_event_loop_rings_too(layer: FakeLayer) -> None:
    for ring in RINGS:
        bus.publish(ring)
    bus.flush()
    assert rung(layer) == RINGS
    assert {told["from"] for _, told in layer.sent} == {bus.process_id()}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_has_one_name_and_its_child_another() -> None:
    mine = bus.process_id()
    assert bus.process_id() == mine
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, bus.process_id().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read() not in {mine, ""}
    os.waitpid(child, 0)


def test_no_layer_at_all_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus.conf, "current", lambda: bus.conf.Settings(CHANNEL_LAYER="none such"))
    assert bus._layer() is None
    bus.publish(RINGS[0])


def test_a_ring_carries_the_frames_as_they_were_encoded() -> None:
    frames = [event(1), event(2)]
    ring = rings.happened(7, frames)
    assert ring == Happened(7, [(frame.seq, frame.body, frame.event) for frame in frames])


def test_a_child_process_does_not_ring_its_parents_loop() -> None:
    bus._listeners.append(None)  # type: ignore[arg-type]
    read, write = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, which is the point
            child = os.fork()
        if not child:
            os.write(write, str(len(bus._listeners)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 10) == b"0"
        assert len(bus._listeners) == 1
    finally:
        bus._listeners.clear()
        os.close(read)
        os.close(write)
