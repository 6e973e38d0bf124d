"""Rooms as rows: what saving leaves alone, and what the tables do not allow."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from realtime import rooms
from realtime.models import Event, Membership, Presence, Room
from tests.support import rows

pytestmark = pytest.mark.django_db


def test_saving_a_room_leaves_the_log_alone() -> None:
    row = rows.room(kind="counter")
    rooms.publish(row, "added", {"by": 5})
    row.title = "Renamed"
    row.save()
    stored = rows.again(row)
    assert (stored.title, stored.head, stored.state) == ("Renamed", 1, {"value": 5})


def test_saving_a_deferred_room_leaves_the_log_alone() -> None:
    row = Room.objects.defer("title").get(pk=rows.room().pk)
    rooms.publish(row.slug, "message", {})
    row.closed = True
    row.save()
    assert (rows.again(row).head, rows.again(row).closed) == (1, True)


def test_a_new_room_can_be_saved_with_everything() -> None:
    row = Room(slug="moved", title="Moved", kind="counter", head=7, tail=7, state={"value": 3})
    row.save()
    assert (rows.again(row).head, rows.again(row).state) == (7, {"value": 3})


def test_one_who_says_which_fields_is_taken_at_their_word() -> None:
    row = rows.room()
    row.head, row.title = 9, "unsaved"
    row.save(update_fields=["head"])
    assert (rows.again(row).head, rows.again(row).title == "unsaved") == (9, False)


def event(room: Room, seq: int, **fields: object) -> Event:
    return Event.objects.create(room=room, seq=seq, name="message", at=timezone.now(), **fields)


def refused_by_the_database(room: Room, seq: int, **fields: object) -> bool:
    try:
        with transaction.atomic():
            event(room, seq, **fields)
    except IntegrityError:
        return True
    return False


def test_a_seq_is_taken_once_in_a_room() -> None:
    one, other = rows.room(), rows.room()
    event(one, 1)
    assert refused_by_the_database(one, 1)
    assert not refused_by_the_database(other, 1)


def test_a_key_is_taken_once_by_a_person_in_a_room() -> None:
    one, other = rows.room(), rows.room()
    event(one, 1, actor="user:1", key="k")
    assert refused_by_the_database(one, 2, actor="user:1", key="k")
    assert not refused_by_the_database(one, 3, actor="user:2", key="k")
    assert not refused_by_the_database(other, 1, actor="user:1", key="k")


def test_events_without_a_key_do_not_collide() -> None:
    room = rows.room()
    event(room, 1)
    assert not refused_by_the_database(room, 2)


def test_a_person_is_a_member_once() -> None:
    room, alice = rows.room(), rows.user()
    rows.member(room, alice)
    with pytest.raises(IntegrityError):
        rows.member(room, alice, "moderator")


def test_a_room_takes_what_is_its_own_with_it() -> None:
    room = rows.room()
    event(room, 1)
    rows.member(room, rows.user())
    Presence.objects.create(node_id="n", connection="c", room=room, person="user:1", name="alice")
    room.delete()
    assert not Event.objects.exists()
    assert not Membership.objects.exists()
    assert not Presence.objects.exists()


def test_rows_have_names_to_be_read_in_the_admin() -> None:
    room, alice = rows.room("tea", title="Tea"), rows.user("alice")
    assert str(room) == "Tea"
    assert str(rows.member(room, alice)) == "alice · Tea"
    assert str(event(room, 4)) == "message 4"


def test_rooms_are_listed_by_title() -> None:
    rows.room(title="b")
    rows.room(title="a")
    assert [room.title for room in Room.objects.all()] == ["a", "b"]
