"""The statements of an append, beside what the ORM makes of the same rows."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from django.db import connection
from pytest_django import Settings

from realtime import log, statements
from realtime.kinds import Fact
from realtime.log import Entry
from realtime.models import Event, Room
from realtime.statements import NewEvent, NewHead
from tests.support import rows

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 11, 21, 10, 15, 30, 123456, tzinfo=UTC)


def new(room: Room, seq: int, key: str | None = None, actor: str = "user:1") -> NewEvent:
    return NewEvent(room.pk, seq, "message", '{"text": "h\u00e9 \\"you\\""}', actor, "alice", AT, key)


def test_a_locked_room_is_the_room_that_the_orm_reads() -> None:
    made = [
        rows.room(closed=True, keep_events=7, commands_per_second=1.5),
        rows.room("counter", state={"value": 3}, head=2),
    ]
    with log.transaction.atomic():
        locked = statements.lock_rooms(log.database(), [room.pk for room in made])
    fields = [field.attname for field in Room._meta.concrete_fields]
    for room in Room.objects.filter(pk__in=locked):
        assert [getattr(locked[room.pk], name) for name in fields] == [getattr(room, name) for name in fields]
        assert locked[room.pk]._state.db == log.database()


def test_rooms_that_do_not_exist_are_not_locked() -> None:
    assert statements.lock_rooms(log.database(), []) == {}
    with log.transaction.atomic():
        assert statements.lock_rooms(log.database(), [2**40]) == {}


@pytest.mark.parametrize("count", [1, 64, 65, 200])
def test_events_are_inserted_whole_however_many(count: int) -> None:
    room = rows.room()
    statements.insert_events(log.database(), [new(room, seq, f"k{seq}") for seq in range(1, count + 1)])
    events = list(Event.objects.order_by("seq"))
    assert [event.seq for event in events] == list(range(1, count + 1))
    last = events[-1]
    assert (last.room_id, last.name, last.data, last.actor, last.actor_name, last.at, last.key) == (
        room.pk, "message", {"text": 'h\u00e9 "you"'}, "user:1", "alice", AT, f"k{count}"
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
def test_the_heads_of_rooms_are_written_and_nothing_else(count: int) -> None:
    made = [rows.room(title=f"Room {number}") for number in range(count)]
    statements.update_rooms(log.database(), [NewHead(5, 2, '{"value": 9}', room.pk) for room in made])
    for room in Room.objects.filter(pk__in=[room.pk for room in made]):
        assert (room.head, room.tail, room.state) == (5, 2, {"value": 9})
        assert room.title.startswith("Room ")


def test_keys_are_found_by_room_actor_and_key() -> None:
    room, other = rows.room(), rows.room()
    statements.insert_events(
        log.database(), [new(room, 1, "a"), new(room, 2, "b", "user:2"), new(other, 1, "a"), new(room, 3)]
    )
    assert statements.seqs_by_key(log.database(), [room.pk], ["a", "b", "c"]) == {
        (room.pk, "user:1", "a"): 1,
        (room.pk, "user:2", "b"): 2,
    }
    assert statements.seqs_by_key(log.database(), [room.pk], []) == {}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite says in words which index it takes")
def test_a_key_is_found_through_its_index_and_not_through_the_rooms_whole_log() -> None:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + statements._select_keys(log.database(), 1, 2), [1, "a", "b"])
        (plan,) = [row[-1] for row in cursor.fetchall() if "realtime_event" in row[-1]]
    assert "realtime_one_event_per_key" in plan
    assert "room_id=? AND key=?" in plan


def test_a_site_without_time_zones_stores_its_local_time_and_says_utc(settings: Settings) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    room = rows.room()
    log.append([Entry(room.pk, Fact("message", {"text": "x"}))])
    at = Event.objects.get().at
    assert at.tzinfo is None
    (frame,) = log.since(room.pk, "room:x", 0, 10, 10_000)
    said = datetime.fromisoformat(msgspec.json.decode(frame.event)["at"])
    assert abs(said - datetime.now(UTC)) < timedelta(minutes=1)
    assert abs((at - timedelta(hours=9)).replace(tzinfo=UTC) - said) < timedelta(seconds=1)


def test_only_so_many_statements_are_kept() -> None:
    room = rows.room()
    for keys in range(1, 400):
        statements.seqs_by_key(log.database(), [room.pk], map(str, range(keys)))
    shapes = [statements._select_rooms, statements._select_keys, statements._insert]
    assert all((shape.cache_info().maxsize or 1e9) <= 256 for shape in shapes)
    assert statements._select_keys.cache_info().currsize <= 256
