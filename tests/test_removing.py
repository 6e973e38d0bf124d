"""A removed event: what it said is nowhere any more, its place stays, and everybody learns of it in order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import bus, log, protocol, rings, rooms
from realtime.errors import Forbidden, Invalid, UnknownEvent, UnknownRoom
from realtime.feed import Feed
from realtime.hub import Hub
from realtime.kinds import Actor, Fact
from realtime.log import Entry
from realtime.models import Event
from realtime.protocol import Frame
from realtime.rings import Removed, Ring
from tests.support import rows
from tests.support.fakes import FakeClient, FakeLog, FakeNode, event, settle

ALICE, BOB = Actor("user:1", "alice"), Actor("user:2", "bob")
SECRET = "the secret"
database = pytest.mark.django_db
really = pytest.mark.django_db(transaction=True)


def told(frame: Frame) -> dict[str, Any]:
    """An event as a client sees it."""
    item: dict[str, Any] = msgspec.json.decode(frame.event)
    return item


def removal(seq: int, target: int) -> Frame:
    return protocol.removal("room:lobby", seq, datetime(2026, 11, 21, 10, 15, tzinfo=UTC), BOB, target)


# In the log


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    heard: list[Ring] = []
    monkeypatch.setattr(bus, "publish", heard.append)
    return heard


def said(room: Any, *texts: str, actor: Actor | None = ALICE) -> None:
    for text in texts:
        rooms.publish(room, "message", {"text": text}, actor=actor, key=f"key-{text[:3]}")


@database
def test_the_text_leaves_the_table_and_every_later_reading(rung: list[Ring]) -> None:
    room = rows.room("x")
    said(room, "one", SECRET, "two")
    assert rooms.remove(room, 2, by=BOB) == 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM realtime_event")
        stored = repr(cursor.fetchall()) + repr(rows.again(room).state)
    assert SECRET not in stored
    after, before = log.since(room.pk, "room:x", 0, 100, 10**6), log.before(room.pk, "room:x", None, 100, 10**6)
    assert [frame.body for frame in after] == [frame.body for frame in before]
    assert SECRET.encode() not in b"".join(frame.body for frame in after)
    assert [frame.seq for frame in after] == [1, 2, 3, 4]
    gone, saying = told(after[1]), told(after[3])
    assert (gone["name"], gone["by"]["name"], gone["data"], gone["removed"]) == ("message", "alice", {}, True)
    assert [told(frame)["key"] for frame in after] == ["key-one", None, "key-two", None], (
        "a key is the sender's text, too"
    )
    assert (saying["name"], saying["by"]["name"], saying["data"]) == ("room_removed", "bob", {"seq": 2})
    assert ["removed" in told(frame) for frame in after] == [False, True, False, False]
    assert [frame.removes for frame in after] == [0, 0, 0, 2]


@database
def test_what_is_told_is_what_is_read_back(rung: list[Ring]) -> None:
    room = rows.room("x")
    said(room, SECRET)
    before = log.since(room.pk, "room:x", 0, 1, 10**6)[0]
    outcome = log.remove(room.pk, 1, BOB)
    assert outcome.frame is not None
    gone, saying = log.since(room.pk, "room:x", 0, 100, 10**6)
    assert saying.body == outcome.frame.body
    assert gone.body == protocol.without_data(before).body


@really
def test_everybody_is_told_after_the_commit_and_once(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, SECRET)
    rung.clear()
    with transaction.atomic():
        rooms.remove(room, 1, by=BOB)
        assert rung == []
    assert [rooms.remove(room, 1), rooms.remove(room, 1, by=ALICE)] == [2, 2]
    (ring,) = rung
    assert isinstance(ring, Removed)
    assert (ring.room_pk, ring.seq, ring.target) == (room.pk, 2, 1)
    assert rows.again(room).head == 2


@really
def test_a_removal_that_was_rolled_back_never_was(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, SECRET)
    rung.clear()
    rows.rolled_back(lambda: rooms.remove(room, 1))
    assert (rung, rows.events(room)) == ([], [(1, "message", {"text": SECRET})])


@database
def test_what_is_no_event_cannot_be_removed(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, "one")
    rooms.remove(room, 1)
    for seq, refusal in ((0, UnknownEvent), (-1, UnknownEvent), (3, UnknownEvent), (2**70, UnknownEvent), (2, Invalid)):
        with pytest.raises(refusal):
            rooms.remove(room, seq)
    with pytest.raises(UnknownRoom):
        rooms.remove("nowhere", 1)
    assert rows.again(room).head == 2


@database
def test_own_is_only_what_one_said_oneself(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, "one")
    said(room, "two", actor=None)
    for seq, by in ((1, BOB), (1, None), (2, None), (2, ALICE)):
        with pytest.raises(Forbidden):
            rooms.remove(room, seq, by=by, own=True)
    assert rooms.remove(room, 1, by=ALICE, own=True) == 3


@database
def test_of_an_event_that_is_no_longer_kept_it_is_only_said(rung: list[Ring]) -> None:
    """A page that has been open for long may still show it."""
    room = rows.room()
    said(room, "one", "two")
    rooms.clear(room)
    assert rooms.remove(room, 1) == 3
    assert rows.events(room) == [(3, "room_removed", {"seq": 1})]
    with pytest.raises(Forbidden):
        rooms.remove(room, 2, by=ALICE, own=True)


@database
def test_the_state_stays_as_the_kind_made_it(rung: list[Ring]) -> None:
    room = rows.room(kind="counter")
    log.append([Entry(room.pk, Fact("added", {"by": by})) for by in (5, 2)])
    rooms.remove(room, 1)
    assert (rows.again(room).state, rows.again(room).head) == ({"value": 7}, 3)
    log.append([Entry(room.pk, Fact("added", {"by": 1}))])
    assert rows.again(room).state == {"value": 8}


@database
def test_a_key_sent_again_still_gives_the_seq_of_the_removed_event(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, "one")
    rooms.remove(room, 1)
    assert rooms.publish(room, "message", {"text": "one"}, actor=ALICE, key="key-one") == 1
    assert rows.again(room).head == 2


@database
def test_what_a_kind_that_is_gone_left_behind_can_be_removed(rung: list[Ring]) -> None:
    room = rows.room()
    said(room, SECRET)
    type(room).objects.update(kind="poem")
    assert rooms.remove(room.slug, 1) == 2
    assert Event.objects.get(seq=1).data == {}


@database
def test_removals_trim_the_log_as_other_events_do(rung: list[Ring], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_TRIM_EVERY", 4)
    room = rows.room(keep_events=2)
    said(room, "one", "two", "tri")
    rooms.remove(room, 3)
    assert [seq for seq, _, _ in rows.events(room)] == [3, 4]
    assert rows.again(room).tail == 2


@database
def test_nobody_publishes_a_removal_by_hand(rung: list[Ring]) -> None:
    with pytest.raises(TypeError):
        rooms.publish(rows.room(), "room_removed", {"seq": 1})


@database
def test_a_removal_costs_a_handful_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries, rung: list[Ring]
) -> None:
    room = rows.room()
    said(room, "one")
    with django_assert_num_queries(7):  # a savepoint's two; lock, event, its data, the removal, the room's head
        log.remove(room.pk, 1, None)


@really
def test_many_who_remove_the_same_at_once_make_one_removal() -> None:
    room = rows.room()
    said(room, SECRET)
    assert rows.in_threads(6, lambda _: rooms.remove(room, 1)) == [2] * 6
    assert rows.events(room) == [(1, "message", {}), (2, "room_removed", {"seq": 1})]


# In a process's memory


def feed(*frames: Frame, most: int = 100) -> Feed:
    made = Feed(frames[0].seq - 1 if frames else 0, most, 10**6)
    made.take(frames)
    return made


def shown(frames: list[Frame] | None) -> dict[int, str]:
    assert frames is not None
    return {frame.seq: told(frame)["data"].get("text", "") for frame in frames}


def test_a_removal_that_is_handed_on_empties_the_frame_that_is_kept() -> None:
    it = feed(event(1), event(2), event(3), removal(4, 2))
    assert shown(it.after(0)) == {1: "number 1", 2: "", 3: "number 3", 4: ""}
    (gone,) = (frame for frame in it.after(0) or [] if frame.seq == 2)
    assert told(gone) == told(event(2)) | {"key": None, "data": {}, "removed": True}
    assert msgspec.json.decode(gone.body) == [None, None, "room:lobby", "message", told(gone)]


def test_a_removal_that_comes_early_counts_when_its_turn_has_come() -> None:
    it = feed(event(1))
    assert it.take([removal(3, 1)]) == []
    assert shown(it.after(0)) == {1: "number 1"}
    assert [frame.seq for frame in it.take([event(2)])] == [2, 3]
    assert shown(it.after(0)) == {1: "", 2: "number 2", 3: ""}


def test_a_removal_of_what_is_not_in_memory_changes_nothing() -> None:
    it = feed(event(8), event(9), removal(10, 3), removal(11, 20))
    assert shown(it.after(7)) == {8: "number 8", 9: "number 9", 10: "", 11: ""}


def test_what_was_read_before_the_removal_comes_into_memory_without_its_data() -> None:
    it = feed(event(4), removal(5, 2))
    it.backfill([event(1), event(2), event(3)])
    assert shown(it.after(0)) == {1: "number 1", 2: "", 3: "number 3", 4: "number 4", 5: ""}


def test_a_page_with_both_the_event_and_its_removal_is_emptied() -> None:
    it = feed(event(6))
    assert shown(it.without_removed([event(3), event(4), removal(5, 3)])) == {3: "", 4: "number 4", 5: ""}


def test_the_bytes_that_are_kept_are_counted_anew() -> None:
    large = event(1, text="x" * 5000)
    it = Feed(0, 100, 6000)
    it.take([large, removal(2, 1)])
    it.take([event(seq) for seq in range(3, 20)])
    assert it.first_recent == 1, "the room that the text took is not free"


# To those who are there


@pytest.fixture
def stored(settings: Settings) -> FakeLog:
    settings.REALTIME = {"PRESENCE_GATHER_SECONDS": 0, "RECENT_EVENTS": 10, "CATCH_UP_SECONDS": 3600}
    return FakeLog()


@pytest.fixture
async def hub(stored: FakeLog, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setattr("realtime.hub._GRACE_SECONDS", 0)
    hub = Hub("here", stored, lambda *_: None)
    yield hub
    stored.gate.set()
    await hub.stop()


def remove(stored: FakeLog, target: int) -> Frame:
    """Remove as the log does, and return the frame for a bus to ring, or to lose."""
    kept = stored.rooms[1]
    kept[:] = [protocol.without_data(frame) if frame.seq == target else frame for frame in kept]
    (placeholder,) = stored.append()
    kept[-1] = removal(placeholder.seq, target)
    return kept[-1]


async def test_who_is_there_hears_of_it_and_who_comes_later_never_sees_the_text(hub: Hub, stored: FakeLog) -> None:
    alice = FakeClient(hub)
    await alice.join()
    hub.hear(rings.happened(1, stored.append(2)))
    hub.hear(rings.removed(1, remove(stored, 1)))
    await settle()
    assert alice.seqs == [1, 2, 3]
    assert alice.named("room_removed")[0].payload["data"] == {"seq": 1}
    assert shown(await hub.after(hub.rooms[1], 0)) == {1: "", 2: "number 2", 3: ""}
    assert stored.asked("page") == [], "it was read from the log"


async def test_a_removal_whose_ring_was_lost_is_found_in_the_log(hub: Hub, stored: FakeLog) -> None:
    alice = FakeClient(hub)
    await alice.join()
    hub.hear(rings.happened(1, stored.append(2)))
    remove(stored, 1)
    await hub.watch()
    await settle()
    assert alice.seqs == [1, 2, 3]
    assert shown(await hub.after(hub.rooms[1], 0)) == {1: "", 2: "number 2", 3: ""}


async def test_a_reading_under_way_while_it_is_removed_shows_nothing(hub: Hub, stored: FakeLog) -> None:
    stored.append(20)
    alice = FakeClient(hub)
    await alice.join(head=20)
    read = list(stored.rooms[1])
    ring = remove(stored, 3)
    stored.rooms[1], now = read, stored.rooms[1]
    stored.gate.clear()
    reading = hub._spawn(hub.after(hub.rooms[1], 2))
    await settle()
    hub.hear(rings.removed(1, ring))
    stored.gate.set()
    assert shown(await reading)[3] == ""
    stored.rooms[1] = now


async def test_history_asked_for_before_the_removal_and_answered_after_shows_nothing(stored: FakeLog) -> None:
    node = FakeNode(stored)
    connection, lane = node.connect()
    stored.append(3)
    read = list(stored.rooms[1])
    await connection.receive('["1","1","room:lobby","phx_join",{}]')
    node.hub.hear(rings.removed(1, remove(stored, 2)))
    stored.rooms[1] = read
    await connection.receive('["1","2","room:lobby","room_history",{}]')
    answer = (await lane.reply("2")).response
    assert [item["data"].get("text", "") for item in answer["events"]] == ["number 1", "", "number 3"]
    await node.hub.stop()
