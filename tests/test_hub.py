"""The way out: every event once and in order to everybody, with one read for all and one write a turn."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from pytest_django import Settings

from realtime import local, rest, rings
from realtime.errors import RoomFull, Unavailable
from realtime.hub import Hub
from realtime.kinds import Actor
from realtime.local import Subscription
from realtime.protocol import Batch, Frame
from realtime.rings import Cleared, Ended, Kicked, Moved, Signalled
from tests.support.fakes import SECONDS, FakeClient, FakeLog, frames_of, settle

Ring = Callable[[list[Frame]], None]


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture(autouse=True)
def _at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is gathered for longer than a turn, unless a test wants it."""
    settings.REALTIME = {"PRESENCE_GATHER_SECONDS": 0, "RECENT_EVENTS": 10}
    monkeypatch.setattr(local, "_BIG_ROOM_GATHER_SECONDS", 0)
    monkeypatch.setattr("realtime.hub._GRACE_SECONDS", 0)


@pytest.fixture
async def hub(log: FakeLog, _at_once: None) -> AsyncIterator[Hub]:
    hub = Hub("here", log, lambda *_: None)
    yield hub
    log.gate.set()
    await hub.stop()


@pytest.fixture
def ring(hub: Hub) -> Ring:
    """What the bus brings."""
    return lambda frames: hub.hear(rings.happened(1, frames))


def writes(client: FakeClient, name: str = "message") -> list[int]:
    """How many frames of a name came with each write, where any came."""
    counts = [sum(b'"%b"' % name.encode() in frame.body for frame in batch.frames) for batch in client.batches]
    return [count for count in counts if count]


# Order


async def test_an_event_goes_to_everyone_in_the_room(hub: Hub, log: FakeLog, ring: Ring) -> None:
    clients = [FakeClient(hub, name) for name in ("alice", "bob")]
    for client in clients:
        await client.join()
    ring(log.append())
    await settle()
    assert [client.seqs for client in clients] == [[1], [1]]


async def test_a_room_that_nobody_here_is_in_is_overheard(hub: Hub, log: FakeLog, ring: Ring) -> None:
    ring(log.append())
    await settle()
    assert (hub.rooms, log.reads) == ({}, [])


async def test_events_arrive_once_and_in_order_whatever_the_bus_does(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    one, two, three = log.append(3)
    for frame in (one, three, one, two, three):
        ring([frame])
        await settle()
    assert client.seqs == [1, 2, 3]


async def test_a_gap_is_filled_with_one_read_however_many_listen(hub: Hub, log: FakeLog, ring: Ring) -> None:
    clients = [FakeClient(hub, f"person {number}") for number in range(30)]
    for client in clients:
        await client.join()
    log.append(4)
    ring(log.append())
    ring(log.append())
    await settle()
    assert {tuple(client.seqs) for client in clients} == {(1, 2, 3, 4, 5, 6)}
    assert log.asked("page") == [0]


async def test_a_gap_longer_than_a_page_is_read_on(hub: Hub, ring: Ring, log: FakeLog) -> None:
    log._page_size = 3
    client = FakeClient(hub)
    await client.join()
    log.append(7)
    ring(log.append())
    await settle()
    assert client.seqs == list(range(1, 9))


async def test_what_the_bus_brings_while_the_log_is_read_is_not_told_twice(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    missing = log.append(2)
    log.gate.clear()
    ring(log.append())
    await settle()
    ring(missing)
    ring(log.append())
    log.gate.set()
    await settle()
    assert client.seqs == [1, 2, 3, 4]


async def test_while_the_database_is_gone_a_gap_waits(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    log.append()
    log.refusal = Unavailable()
    ring(log.append())
    await settle()
    assert client.seqs == []
    log.refusal = None
    ring(log.append())
    await settle()
    assert client.seqs == [1, 2, 3]


# Fan-out


async def test_what_happens_in_one_turn_is_written_once_to_each(hub: Hub, log: FakeLog, ring: Ring) -> None:
    clients = [FakeClient(hub, name) for name in ("alice", "bob")]
    for client in clients:
        await client.join()
    await settle()
    for _ in range(5):
        ring(log.append())
    await settle()
    assert [writes(client) for client in clients] == [[5], [5]]


async def test_everyone_gets_the_very_same_frames(hub: Hub, log: FakeLog, ring: Ring) -> None:
    clients = [FakeClient(hub, name) for name in ("alice", "bob", "carol")]
    for client in clients:
        await client.join()
    await settle()
    ring(log.append(2))
    await settle()
    batches = [client.batches[-1] for client in clients]
    assert len({id(batch) for batch in batches}) == 1
    assert len({id(batch.packet) for batch in batches}) == 1


async def test_an_ephemeral_broadcast_keeps_its_place_among_the_events(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    await settle()
    ring(log.append())
    hub.hear(Signalled(1, b'[null,null,"room:lobby","typing",{"name":"typing","by":null,"data":{}}]'))
    ring(log.append())
    await settle()
    assert [frame.event for frame in client.frames][-3:] == ["message", "typing", "message"]


async def test_one_who_leaves_hears_no_more(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client, other = FakeClient(hub), FakeClient(hub, "bob")
    subscription = await client.join()
    await other.join()
    ring(log.append())
    hub.leave(subscription)
    ring(log.append())
    await settle()
    assert (client.seqs, other.seqs) == ([], [1, 2])


async def test_a_room_that_the_last_has_left_is_let_go_of(hub: Hub) -> None:
    client = FakeClient(hub)
    subscription = await client.join()
    hub.leave(subscription)
    hub.leave(subscription)
    assert hub.rooms == {}


# Those who do not read


async def test_one_who_does_not_read_is_served_from_memory_when_they_do(hub: Hub, log: FakeLog, ring: Ring) -> None:
    slow, quick = FakeClient(hub, "slow"), FakeClient(hub, "quick")
    subscription = await slow.join()
    await quick.join()
    ring(log.append())
    await settle()
    slow.paused = True
    ring(log.append(3))
    await settle()
    assert (slow.seqs, quick.seqs) == ([1], [1, 2, 3, 4])
    slow.paused = False
    hub.resumed([subscription])
    ring(log.append())
    await settle()
    assert slow.seqs == [1, 2, 3, 4, 5]
    assert log.asked("page") == []


async def test_one_who_did_not_read_for_long_is_served_from_the_log(hub: Hub, log: FakeLog, ring: Ring) -> None:
    log._page_size = 7
    slow, quick = FakeClient(hub, "slow"), FakeClient(hub, "quick")
    subscription = await slow.join()
    await quick.join()
    slow.paused = True
    ring(log.append(30))
    await settle()
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    ring(log.append())
    await settle()
    assert slow.seqs == list(range(1, 32))


async def test_ephemeral_broadcasts_are_dropped_for_those_who_do_not_read(hub: Hub, log: FakeLog, ring: Ring) -> None:
    slow = FakeClient(hub)
    subscription = await slow.join()
    slow.paused = True
    hub.hear(Signalled(1, b'[null,null,"room:lobby","typing",{}]'))
    ring(log.append())
    await settle()
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    assert (slow.seqs, slow.named("typing")) == ([1], [])


async def test_one_who_stops_reading_again_while_catching_up_misses_nothing(hub: Hub, log: FakeLog, ring: Ring) -> None:
    slow = FakeClient(hub)
    subscription = await slow.join()
    slow.paused = True
    ring(log.append(30))
    await settle()
    log.gate.clear()
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    slow.paused = True
    log.gate.set()
    ring(log.append())
    await settle()
    assert slow.seqs == []
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    assert slow.seqs == list(range(1, 32))


async def test_one_who_catches_up_from_a_log_that_is_ahead_of_the_room_hears_nothing_twice(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    slow = FakeClient(hub)
    subscription = await slow.join()
    slow.paused = True
    ring(log.append(30))
    await settle()
    late = log.append(2)
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    ring(late)
    await settle()
    assert slow.seqs == list(range(1, 33))


async def test_the_safety_net_looks_after_those_who_were_forgotten(hub: Hub, log: FakeLog, ring: Ring) -> None:
    slow = FakeClient(hub)
    await slow.join()
    slow.paused = True
    ring(log.append())
    await settle()
    slow.paused = False
    await hub.watch()
    assert slow.seqs == [1]


async def test_what_left_the_log_before_a_slow_reader_read_it_makes_them_join_again(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    slow = FakeClient(hub)
    subscription = await slow.join()
    slow.paused = True
    ring(log.append(30))
    await settle()
    log.remove_up_to(25)
    slow.paused = False
    hub.resumed([subscription])
    await settle()
    assert (slow.restarts, slow.seqs, hub.rooms) == (1, [], {})


# Past the client's objects


class DirectClient(FakeClient):
    """One whose transport the room writes to itself. It pauses after `patience` packets, and is gone where that is 0."""

    def __init__(self, hub: Hub, name: str = "alice", patience: int = 1000) -> None:
        super().__init__(hub, name)
        self.patience = patience
        self.direct = self.take_packet
        self.subscription: Subscription | None = None

    async def join(self, room_pk: int = 1, head: int = 0) -> Subscription:
        self.subscription = await super().join(room_pk, head)
        return self.subscription

    def take_packet(self, packet: bytes) -> None:
        if self.patience == 0:
            raise OSError("the socket is gone")
        self.add(Batch(frames_of(packet)))
        self.patience -= 1
        if self.patience == 0:
            self.paused = True
            assert self.subscription is not None
            self.subscription.room.fall_behind(self.subscription)

    def read_on(self) -> None:
        assert self.subscription is not None
        self.paused, self.patience = False, 1000
        self._hub.resumed([self.subscription])


async def test_a_room_writes_straight_to_the_transports_that_let_it(hub: Hub, log: FakeLog, ring: Ring) -> None:
    direct, other = DirectClient(hub), FakeClient(hub, "bob")
    await direct.join()
    await other.join()
    ring(log.append(3))
    await settle()
    assert (direct.seqs, other.seqs) == ([1, 2, 3], [1, 2, 3])
    assert not [frame for batch in direct.batches for frame in batch.frames if frame.seq]


class Clock:
    """What the rooms take for the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class LaboriousClient(DirectClient):
    """One to whom writing takes a minute."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        super().__init__(hub)
        self.clock = clock

    def take_packet(self, packet: bytes) -> None:
        self.clock.now += 60
        super().take_packet(packet)


@pytest.fixture
async def laborious(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> LaboriousClient:
    clock = Clock()
    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(rest, "time", clock)
    client = LaboriousClient(hub, clock)
    await client.join()
    return client


async def heard_up_to(client: FakeClient, seq: int) -> list[int]:
    """Wait for an event, and return those heard since the last such wait."""
    await client.take(lambda frame: frame.event == "message" and frame.payload["seq"] == seq)
    before = [frame.payload["seq"] for frame in client.named("message")]
    client.frames.clear()
    return [*before, seq]


async def test_a_room_rests_after_several_at_once_so_that_the_next_go_together_too(
    hub: Hub, laborious: LaboriousClient, log: FakeLog, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_MOST_SECONDS", 60)
    ring(log.append(2))
    assert await heard_up_to(laborious, 2) == [1, 2]
    for _ in range(3):
        ring(log.append())
        await settle()
    assert laborious.seqs == []
    hub.rooms[1].flush()
    assert laborious.seqs == [3, 4, 5]


async def test_a_rest_is_short(laborious: LaboriousClient, log: FakeLog, ring: Ring) -> None:
    for _ in range(3):
        ring(log.append(2))
        await heard_up_to(laborious, log.head())


async def test_a_room_that_has_one_at_a_time_does_not_rest(
    laborious: LaboriousClient, log: FakeLog, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_MOST_SECONDS", 60)
    for _ in range(3):
        ring(log.append())
        await heard_up_to(laborious, log.head())


async def test_one_that_pauses_in_the_middle_of_a_fan_out_has_what_it_was_written_and_gets_the_rest_once(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    clients = [DirectClient(hub, "alice", patience=1), DirectClient(hub, "bob")]
    for client in clients:
        await client.join()
    for _ in range(3):
        ring(log.append())
        await settle()
    assert [client.seqs for client in clients] == [[1], [1, 2, 3]]
    clients[0].read_on()
    ring(log.append())
    await settle()
    assert [client.seqs for client in clients] == [[1, 2, 3, 4]] * 2


async def test_a_transport_that_raises_keeps_nothing_from_the_others(hub: Hub, log: FakeLog, ring: Ring) -> None:
    gone, here = DirectClient(hub, "alice", patience=0), DirectClient(hub, "bob")
    await gone.join()
    await here.join()
    ring(log.append(2))
    await settle()
    assert (gone.seqs, here.seqs) == ([], [1, 2])


async def test_who_has_left_is_not_written_to(hub: Hub, log: FakeLog, ring: Ring) -> None:
    leaver, stayer = DirectClient(hub, "alice"), DirectClient(hub, "bob")
    subscription = await leaver.join()
    await stayer.join()
    ring(log.append())
    await settle()
    hub.leave(subscription)
    ring(log.append())
    await settle()
    assert (leaver.seqs, stayer.seqs) == ([1], [1, 2])


async def test_one_who_reads_again_during_a_rest_hears_what_waits_in_it_once_and_so_do_the_others(
    hub: Hub, laborious: LaboriousClient, log: FakeLog, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_MOST_SECONDS", 60)
    slow = FakeClient(hub, "slow")
    subscription = await slow.join()
    slow.paused = True
    ring(log.append(2))
    await laborious.take(lambda frame: frame.event == "message" and frame.payload["seq"] == 2)
    ring(log.append(2))
    await settle()
    assert laborious.seqs == [1]
    slow.paused = False
    hub.resumed([subscription])
    ring(log.append())
    hub.rooms[1].flush()
    assert (slow.seqs, laborious.seqs) == ([1, 2, 3, 4, 5], [1, 3, 4, 5])


async def test_what_waits_in_a_rest_when_the_room_starts_over_is_heard_before_everyone_joins_again(
    hub: Hub, laborious: LaboriousClient, log: FakeLog, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_MOST_SECONDS", 60)
    ring(log.append(2))
    assert await heard_up_to(laborious, 2) == [1, 2]
    ring(log.append(2))
    await settle()
    assert laborious.seqs == []
    log.append(5)
    log.remove_up_to(9)
    ring(log.append())
    await settle()
    assert (laborious.seqs, laborious.restarts) == ([3, 4], 1)


# Coming back


async def after(hub: Hub, seq: int) -> list[int]:
    return [frame.seq for frame in await hub.after(hub.rooms[1], seq)]


async def test_many_who_come_back_at_once_cost_one_read(hub: Hub, log: FakeLog) -> None:
    log.append(50)
    await FakeClient(hub).join(head=50)
    found = await asyncio.gather(*(after(hub, seq) for seq in (41, 45, 49, 50) for _ in range(50)))
    assert found[0] == list(range(42, 51))
    assert found[-1] == []
    assert len(log.asked("page")) == 1


async def test_what_they_read_serves_those_who_come_later(hub: Hub, log: FakeLog) -> None:
    log.append(50)
    await FakeClient(hub).join(head=50)
    await after(hub, 42)
    assert await after(hub, 45) == [46, 47, 48, 49, 50]
    assert len(log.asked("page")) == 1


async def test_one_from_long_ago_gets_a_page(hub: Hub, log: FakeLog) -> None:
    log._page_size = 5
    log.append(50)
    await FakeClient(hub).join(head=50)
    assert await after(hub, 3) == [4, 5, 6, 7, 8]


async def test_a_read_outlives_the_room_that_asked_for_it(hub: Hub, log: FakeLog) -> None:
    log.append(50)
    client = FakeClient(hub)
    subscription = await client.join(head=50)
    log.gate.clear()
    reading = asyncio.create_task(after(hub, 3))
    await settle()
    hub.leave(subscription)
    log.gate.set()
    async with asyncio.timeout(SECONDS):
        assert (await reading)[0] == 4


async def test_a_room_is_not_entered_before_it_has_reached_what_the_client_will_be_told(hub: Hub, log: FakeLog) -> None:
    await FakeClient(hub).join()
    log.append(3)
    late = FakeClient(hub, "late")
    subscription = await hub.enter(late, "1", 1, "room:lobby", 3)
    assert subscription.room.feed.position == 3


async def test_a_room_that_cannot_be_read_is_not_entered(hub: Hub, log: FakeLog) -> None:
    await FakeClient(hub).join()
    log.append(3)
    log.refusal = Unavailable()
    with pytest.raises(Unavailable):
        await hub.enter(FakeClient(hub, "late"), "1", 1, "room:lobby", 3)
    assert len(hub.rooms[1].roster) == 1


async def test_one_who_is_cut_off_while_entering_leaves_no_ghost(hub: Hub, log: FakeLog) -> None:
    log.gate.clear()
    entering = asyncio.create_task(FakeClient(hub).join())
    await settle()
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    assert hub.rooms == {}


async def test_events_between_a_rooms_row_and_its_first_ear_are_not_missed(hub: Hub, log: FakeLog) -> None:
    log.append(2)
    client = FakeClient(hub)
    await client.join(head=0)
    await settle()
    assert client.seqs == [1, 2]


# The safety net


async def test_the_safety_net_lets_nobody_live_before_their_join_is_answered(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    client = FakeClient(hub)
    subscription = await hub.enter(client, "1", 1, "room:lobby", 0)
    ring(log.append())
    await hub.watch()
    await settle()
    assert client.batches == []
    hub.begin(subscription, 0)
    assert client.seqs == [1]


async def test_what_the_bus_lost_arrives_all_the_same(hub: Hub, log: FakeLog) -> None:
    client = FakeClient(hub)
    await client.join()
    log.append(2)
    await hub.watch()
    await settle()
    assert client.seqs == [1, 2]


async def test_all_rooms_are_looked_at_with_one_question(hub: Hub, log: FakeLog) -> None:
    for room_pk in range(1, 6):
        log.rooms[room_pk] = []
        await FakeClient(hub).join(room_pk)
    log.reads.clear()
    await hub.watch()
    assert log.reads == [("heads", [1, 2, 3, 4, 5])]


async def test_nobody_is_asked_where_nobody_is(hub: Hub, log: FakeLog) -> None:
    await hub.watch()
    await hub.reconcile()
    assert log.reads == []


async def test_a_room_that_was_deleted_ends(hub: Hub, log: FakeLog) -> None:
    client = FakeClient(hub)
    await client.join()
    del log.rooms[1]
    await hub.watch()
    assert [refusal.code for refusal in client.ended] == ["unknown_room"]
    assert hub.rooms == {}


async def test_a_room_that_was_closed_without_a_word_ends(hub: Hub, log: FakeLog) -> None:
    client = FakeClient(hub)
    await client.join()
    log.closed.add(1)
    await hub.watch()
    assert [refusal.code for refusal in client.ended] == ["room_closed"]


async def test_the_last_words_before_a_room_was_closed_are_heard_where_the_bus_brought_neither(
    hub: Hub, log: FakeLog
) -> None:
    client = FakeClient(hub)
    await client.join()
    log.append(2)
    log.closed.add(1)
    for _ in range(2):
        await hub.watch()
        await settle()
    assert (client.seqs, [refusal.code for refusal in client.ended]) == ([1, 2], ["room_closed"])


async def test_a_log_that_was_set_back_starts_over(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    ring(log.append(5))
    await settle()
    log._heads[1] = 2
    await hub.watch()
    assert (client.restarts, hub.rooms) == (1, {})


async def test_a_gap_that_left_the_log_makes_everyone_join_again(hub: Hub, log: FakeLog, ring: Ring) -> None:
    clients = [FakeClient(hub, name) for name in ("alice", "bob")]
    for client in clients:
        await client.join()
    log.append(5)
    log.remove_up_to(5)
    ring(log.append())
    await settle()
    assert [(client.restarts, client.seqs) for client in clients] == [(1, []), (1, [])]


# Being told to go


async def test_a_room_that_ends_ends_for_everyone(hub: Hub) -> None:
    live, lagging = FakeClient(hub), FakeClient(hub, "bob")
    await live.join()
    await lagging.join()
    lagging.paused = True
    hub.hear(Ended(1, "room_closed", "This room is closed."))
    await settle()
    assert [refusal.code for client in (live, lagging) for refusal in client.ended] == ["room_closed"] * 2
    assert hub.rooms == {}


async def test_the_last_words_before_a_room_ends_are_heard_though_the_bus_lost_them(hub: Hub, log: FakeLog) -> None:
    client = FakeClient(hub)
    await client.join()
    log.append(2)
    hub.hear(Ended(1, "room_closed", "This room is closed."))
    await settle()
    assert (client.seqs, [refusal.code for refusal in client.ended]) == ([1, 2], ["room_closed"])


async def test_a_room_ends_though_the_log_is_out_of_reach(hub: Hub, log: FakeLog) -> None:
    client = FakeClient(hub)
    await client.join()
    await settle()
    log.refusal = Unavailable()
    hub.hear(Ended(1, "room_closed", "This room is closed."))
    await settle()
    assert [refusal.code for refusal in client.ended] == ["room_closed"]


async def test_one_who_is_taken_out_has_heard_what_was_said_before(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    await settle()
    ring(log.append())
    hub.hear(Kicked(1, client.actor.id, "kicked", "You were taken out of this room."))
    assert (client.seqs, [refusal.code for refusal in client.ended]) == ([1], ["kicked"])


async def test_a_room_that_another_process_cleared_unheard_says_so(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    ring(log.append(5))
    await settle()
    log.remove_up_to(5)
    await hub.watch()
    await hub.watch()
    await settle()
    assert (await client.event("room_cleared")).payload == {"seq": 5}
    assert await after(hub, 2) == []


async def test_a_room_that_is_only_trimmed_says_nothing(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    ring(log.append(5))
    await settle()
    log.remove_up_to(3)
    await hub.watch()
    await settle()
    assert client.named("room_cleared") == []


async def test_a_cleared_room_says_so_and_serves_nobody_what_is_gone(hub: Hub, log: FakeLog, ring: Ring) -> None:
    client = FakeClient(hub)
    await client.join()
    ring(log.append(5))
    log.remove_up_to(5)
    hub.hear(Cleared(1, 5))
    await settle()
    assert (await client.event("room_cleared")).payload == {"seq": 5}
    assert await after(hub, 2) == []


async def test_one_who_did_not_read_while_a_room_was_cleared_is_told_when_they_do(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    slow = FakeClient(hub)
    subscription = await slow.join()
    ring(log.append(5))
    await settle()
    slow.paused = True
    log.remove_up_to(5)
    hub.hear(Cleared(1, 5))
    await settle()
    slow.paused = False
    hub.resumed([subscription])
    assert (await slow.event("room_cleared")).payload == {"seq": 5}


async def test_one_who_joined_while_a_room_was_cleared_is_told(hub: Hub, log: FakeLog, ring: Ring) -> None:
    await FakeClient(hub).join()
    ring(log.append(5))
    late = FakeClient(hub, "late")
    subscription = await hub.enter(late, "1", 1, "room:lobby", 5)
    log.remove_up_to(5)
    hub.hear(Cleared(1, 5))
    hub.begin(subscription, 5, tail=0)
    assert (await late.event("room_cleared")).payload == {"seq": 5}


async def test_a_read_that_began_before_the_room_was_cleared_brings_nothing_back(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    await FakeClient(hub).join()
    log.append(5)
    slow_read = log.rooms[1]
    log.remove_up_to(5)
    hub.hear(Cleared(1, 5))
    hub.rooms[1].feed.backfill(slow_read)
    ring(slow_read)
    await settle()
    assert hub.rooms[1].feed.position == 5
    assert await after(hub, 2) == []


async def test_what_left_the_log_while_a_room_was_opened_is_served_to_nobody(
    hub: Hub, log: FakeLog, ring: Ring
) -> None:
    log.rooms[1] = []
    log.gate.clear()
    entering = asyncio.ensure_future(hub.enter(FakeClient(hub), "1", 1, "room:lobby", 0))
    await settle()
    ring(log.append(5))
    log.remove_up_to(5)
    log.gate.set()
    hub.begin(await entering, 5, tail=5)
    assert hub.rooms[1].feed.position == 5
    assert await after(hub, 2) == []


async def test_what_left_the_log_unheard_is_served_to_nobody(hub: Hub, log: FakeLog, ring: Ring) -> None:
    await FakeClient(hub).join()
    ring(log.append(5))
    log.remove_up_to(5)
    ring(log.append())
    await settle()
    await hub.watch()
    assert await after(hub, 2) == [6]


# Who is here


def people(client: FakeClient) -> list[str]:
    """The names in the newest list that a client got."""
    return sorted(person["metas"][0]["name"] for person in client.named("presence_state")[-1].payload.values())


async def test_a_newcomer_gets_the_list_and_the_others_the_difference(hub: Hub) -> None:
    alice, bob = FakeClient(hub, "alice"), FakeClient(hub, "bob")
    await alice.join()
    await settle()
    await bob.join()
    await settle()
    assert (people(alice), people(bob)) == (["alice"], ["alice", "bob"])
    (diff,) = alice.named("presence_diff")
    assert list(diff.payload["joins"]) == ["user:bob"]
    assert bob.named("presence_diff") == []


async def test_a_second_tab_is_news_to_nobody_but_itself(hub: Hub) -> None:
    first, second = FakeClient(hub, "alice"), FakeClient(hub, "alice")
    await first.join()
    await settle()
    subscription = await second.join()
    await settle()
    assert people(second) == ["alice"]
    hub.leave(subscription)
    await settle()
    assert first.named("presence_diff") == []


async def test_a_person_who_leaves_is_missed(hub: Hub) -> None:
    alice, bob = FakeClient(hub, "alice"), FakeClient(hub, "bob")
    await alice.join()
    subscription = await bob.join()
    await settle()
    hub.leave(subscription)
    await settle()
    assert list(alice.named("presence_diff")[-1].payload["leaves"]) == ["user:bob"]


async def test_many_who_join_within_a_moment_are_told_with_few_frames(hub: Hub, settings: Settings) -> None:
    settings.REALTIME = {"PRESENCE_GATHER_SECONDS": 0.02, "PRESENCE_LIST": 1000}
    clients = [FakeClient(hub, f"person {number:02}") for number in range(60)]
    for client in clients:
        await client.join()
    await clients[0].event("presence_state")
    told = [len([frame for frame in client.frames if frame.event.startswith("presence")]) for client in clients]
    assert sum(told) <= 2 * len(clients)


async def test_above_the_limit_only_the_number_travels_and_below_it_the_list_is_back(
    hub: Hub, settings: Settings
) -> None:
    settings.REALTIME = {"PRESENCE_GATHER_SECONDS": 0, "PRESENCE_LIST": 2}
    alice, bob, carol = (FakeClient(hub, name) for name in ("alice", "bob", "carol"))
    await alice.join()
    await bob.join()
    await settle()
    subscription = await carol.join()
    await settle()
    counts = [client.named("presence_count")[-1].payload for client in (alice, bob, carol)]
    assert counts == [{"count": 3}] * 3
    assert carol.named("presence_state") == []
    hub.leave(subscription)
    await settle()
    assert people(alice) == people(bob) == ["alice", "bob"]


async def test_people_on_other_nodes_come_and_go(hub: Hub) -> None:
    alice = FakeClient(hub, "alice")
    await alice.join()
    await settle()
    hub.hear(Moved(1, "there", [("c", Actor("user:bob", "bob"))]))
    await settle()
    hub.hear(Moved(1, "there", [("c", None)]))
    await settle()
    joined, left = alice.named("presence_diff")
    assert (list(joined.payload["joins"]), list(left.payload["leaves"])) == (["user:bob"], ["user:bob"])


async def test_what_a_node_says_of_itself_it_does_not_hear_twice(hub: Hub) -> None:
    alice = FakeClient(hub, "alice")
    await alice.join()
    await settle()
    hub.hear(Moved(1, "here", [("gone", Actor("user:bob", "bob"))]))
    await settle()
    assert alice.named("presence_diff") == []


async def test_people_who_were_there_before_are_in_the_first_list(hub: Hub, log: FakeLog) -> None:
    log.present[1] = {("there", "c"): Actor("user:bob", "bob")}
    alice = FakeClient(hub, "alice")
    await alice.join()
    await settle()
    assert people(alice) == ["alice", "bob"]


async def test_the_table_puts_right_what_the_bus_lost(hub: Hub, log: FakeLog) -> None:
    alice = FakeClient(hub, "alice")
    await alice.join()
    await settle()
    log.present[1] = {("there", "c"): Actor("user:bob", "bob")}
    await hub.reconcile()
    await settle()
    assert list(alice.named("presence_diff")[-1].payload["joins"]) == ["user:bob"]


async def test_one_who_reads_again_gets_the_list_anew(hub: Hub) -> None:
    alice, bob = FakeClient(hub, "alice"), FakeClient(hub, "bob")
    subscription = await alice.join()
    await settle()
    alice.paused = True
    await bob.join()
    await settle()
    alice.paused = False
    hub.resumed([subscription])
    await settle()
    assert people(alice) == ["alice", "bob"]


async def test_every_entering_and_leaving_is_noted(log: FakeLog) -> None:
    moves: list[tuple[int, str, Actor | None]] = []
    hub = Hub("here", log, lambda *move: moves.append(move))
    client = FakeClient(hub)
    hub.leave(await client.join())
    assert moves == [(1, client.id, client.actor), (1, client.id, None)]
    await hub.stop()


# A room that may be full


async def enter(hub: Hub, client: FakeClient, most: int | None) -> Subscription:
    return await hub.enter(client, "1", 1, "room:lobby", 0, most)


async def test_a_full_room_lets_nobody_else_in_until_somebody_leaves(hub: Hub) -> None:
    first = await enter(hub, FakeClient(hub, "alice"), 2)
    await enter(hub, FakeClient(hub, "bob"), 2)
    with pytest.raises(RoomFull):
        await enter(hub, FakeClient(hub, "carol"), 2)
    assert sorted(hub.rooms[1].roster.people()) == ["user:alice", "user:bob"]
    hub.leave(first)
    await enter(hub, FakeClient(hub, "carol"), 2)
    assert sorted(hub.rooms[1].roster.people()) == ["user:bob", "user:carol"]


async def test_a_room_that_may_be_full_is_let_go_of_when_the_last_one_leaves(hub: Hub) -> None:
    hub.leave(await enter(hub, FakeClient(hub), 1))
    assert hub.rooms == {}


async def test_of_a_full_room_who_is_in_it_and_who_needs_no_place_come_in(hub: Hub) -> None:
    for name, most in (("alice", 1), ("alice", 1), ("admin", None)):
        await enter(hub, FakeClient(hub, name), most)
    assert len(hub.rooms[1].subscriptions()) == 3


async def test_those_on_other_processes_take_places(hub: Hub, log: FakeLog) -> None:
    log.present[1] = {("there", "1"): Actor("user:bob", "bob"), ("there", "2"): Actor("user:carol", "carol")}
    with pytest.raises(RoomFull):
        await enter(hub, FakeClient(hub, "alice"), 2)
    await enter(hub, FakeClient(hub, "alice"), 3)
    hub.hear(Moved(1, "there", [("3", Actor("user:dave", "dave"))]))
    with pytest.raises(RoomFull):
        await enter(hub, FakeClient(hub, "erin"), 4)


async def test_of_those_who_come_at_once_only_as_many_get_in_as_there_are_places(hub: Hub, log: FakeLog) -> None:
    log.gate.clear()
    joins = [asyncio.create_task(enter(hub, FakeClient(hub, f"person {number}"), 3)) for number in range(10)]
    await settle()
    log.gate.set()
    found = await asyncio.gather(*joins, return_exceptions=True)
    assert [isinstance(one, Subscription) for one in found] == [True] * 3 + [False] * 7
    assert {type(one) for one in found[3:]} == {RoomFull}
    assert len(log.asked("seats")) == 1


async def test_a_refused_join_moves_nobody_and_keeps_no_room_open(log: FakeLog) -> None:
    log.present[1] = {("there", "1"): Actor("user:bob", "bob")}
    moves: list[object] = []
    hub = Hub("here", log, lambda *move: moves.append(move))
    with pytest.raises(RoomFull):
        await enter(hub, FakeClient(hub, "alice"), 1)
    assert (hub.rooms, moves) == ({}, [])
    await hub.stop()


async def test_a_join_that_is_given_up_before_there_is_an_answer_keeps_no_room_open(hub: Hub, log: FakeLog) -> None:
    log.gate.clear()
    join = asyncio.create_task(enter(hub, FakeClient(hub), 1))
    await settle()
    join.cancel()
    with pytest.raises(asyncio.CancelledError):
        await join
    assert hub.rooms == {}


async def test_a_room_whose_last_one_leaves_stays_open_for_who_waits_for_an_answer(hub: Hub, log: FakeLog) -> None:
    log.gate.clear()
    first = asyncio.create_task(enter(hub, FakeClient(hub, "alice"), None))
    second = asyncio.create_task(enter(hub, FakeClient(hub, "bob"), 1))
    await settle()
    room = hub.rooms[1]
    hub.leave(*room.subscriptions())
    log.gate.set()
    await asyncio.gather(first, second)
    assert (hub.rooms[1] is room, list(room.roster.people())) == (True, ["user:bob"])
