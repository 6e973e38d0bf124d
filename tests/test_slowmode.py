"""Slow mode: one message of a person in so many seconds, over all of their connections; who need not wait; what it costs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import admissions, auth, bus, kinds, log, policy, rooms, slowmode
from realtime.auth import Person
from realtime.errors import RateLimited
from realtime.joined import Joined
from realtime.log import Appended, Entry, Outcome
from realtime.models import Room, Turn
from realtime.rings import Ring
from tests.support import rows

pytestmark = pytest.mark.django_db(transaction=True)

GUEST = Person("guest:4f1d2c00", "Guest 4f1d")
OTHER = Person("guest:00c2d1f4", "Guest 00c2")


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


@pytest.fixture
def room() -> Room:
    return rows.room("lobby", slow_seconds=30)


def message(room: Room, person: Person, text: str = "hi", key: str | None = None) -> Entry:
    return Entry(room.pk, kinds.get("chat").parse("message", {"text": text}), person.actor, key, person)


def say(room: Room, *people: Person) -> list[str]:
    """Have people say something, in one batch, and return `ok` or the codes of the refusals."""
    return [told(outcome) for outcome in log.append([message(room, person) for person in people])]


def told(outcome: Outcome) -> str:
    return "ok" if isinstance(outcome, Appended) else outcome.code


def time_passes(seconds: float) -> None:
    for turn in Turn.objects.all():
        Turn.objects.filter(pk=turn.pk).update(at=turn.at - timedelta(seconds=seconds))


def test_a_person_says_one_thing_in_so_many_seconds(room: Room) -> None:
    assert say(room, GUEST) == ["ok"]
    (refusal,) = log.append([message(room, GUEST)])
    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after is not None
    assert 29 < refusal.retry_after <= 30
    assert say(room, OTHER) == ["ok"]
    time_passes(29)
    assert say(room, GUEST) == ["rate_limited"]
    time_passes(1)
    assert say(room, GUEST) == ["ok"]
    assert rows.again(room).head == 3


def test_it_holds_within_a_batch_and_across_processes(room: Room) -> None:
    assert say(room, GUEST, OTHER, GUEST) == ["ok", "ok", "rate_limited"]
    assert rows.in_threads(3, lambda _: say(room, OTHER)[0]) == ["rate_limited"] * 3


def test_of_many_at_once_one_comes_through(room: Room) -> None:
    assert sorted(rows.in_threads(5, lambda _: say(room, GUEST)[0])) == ["ok", *["rate_limited"] * 4]


def test_moderators_and_staff_and_the_site_need_not_wait(room: Room) -> None:
    alice, boss = rows.user("alice"), rows.user("boss", is_staff=True)
    rows.member(room, alice, "moderator")
    for person in (auth.person_of(alice), auth.person_of(boss)):
        assert say(room, person, person) == ["ok", "ok"]
    rooms.publish(room, "message", {"text": "x"}, actor=rows.user("carol"))
    rooms.publish(room, "message", {"text": "y"}, actor=User.objects.get(username="carol"))
    assert Turn.objects.count() == 0


def test_what_was_refused_takes_nobodys_turn(room: Room) -> None:
    assert told(log.append([message(room, GUEST, " ")])[0]) == "invalid"
    assert say(room, GUEST) == ["ok"]


def test_sent_again_under_its_key_it_is_the_same_message(room: Room) -> None:
    first, again = (log.append([message(room, GUEST, key="k")])[0] for _ in range(2))
    assert isinstance(first, Appended)
    assert isinstance(again, Appended)
    assert (first.seq, again.seq) == (1, 1)


def test_it_holds_whatever_the_log_keeps(room: Room) -> None:
    assert say(room, GUEST) == ["ok"]
    rooms.clear(room)
    assert say(room, GUEST) == ["rate_limited"]


def test_a_change_counts_at_once(room: Room) -> None:
    say(room, GUEST)
    time_passes(10)
    Room.objects.update(slow_seconds=5)
    assert say(room, GUEST) == ["ok"]
    Room.objects.update(slow_seconds=None)
    assert say(room, GUEST, GUEST) == ["ok", "ok"]


def test_a_clock_that_is_behind_makes_nobody_wait_longer_than_that(room: Room) -> None:
    say(room, GUEST)
    time_passes(-3600)
    (refusal,) = log.append([message(room, GUEST)])
    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after == 30


def test_it_works_without_time_zones(room: Room, settings: Settings) -> None:
    settings.USE_TZ = False
    assert say(room, GUEST) == ["ok"]
    assert say(room, GUEST) == ["rate_limited"]
    slowmode.sweep(datetime.now(UTC) + timedelta(days=2))
    assert Turn.objects.count() == 0


# What it costs


def test_a_room_without_slow_mode_costs_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    room = rows.room("quick")
    with django_assert_num_queries(5):  # begin, lock, insert, update, commit
        assert say(room, GUEST, OTHER) == ["ok", "ok"]


def test_turns_that_nobody_can_ask_for_are_swept(room: Room) -> None:
    say(room, GUEST, OTHER)
    slowmode.sweep(datetime.now(UTC) + timedelta(hours=23))
    assert Turn.objects.count() == 2
    slowmode.sweep(datetime.now(UTC) + timedelta(hours=25))
    assert Turn.objects.count() == 0


def test_a_person_has_one_row_in_a_room(room: Room) -> None:
    for _ in range(3):
        assert say(room, GUEST) == ["ok"]
        time_passes(60)
    assert Turn.objects.count() == 1


# Who is told


def standing(room: Room, person: Person) -> Any:
    (admission,) = admissions.admit([(room.slug, person)])
    assert isinstance(admission, admissions.Admission)
    subscription: Any = None
    return Joined(subscription, admission, None).standing()


def test_who_has_to_wait_is_told_how_long(room: Room) -> None:
    boss = auth.person_of(rows.user("boss", is_staff=True))
    assert standing(room, GUEST) == {"can": ["act"], "slow": 30}
    assert standing(room, boss) == {"can": ["act", "moderate"]}
    assert standing(rows.room("quick"), GUEST) == {"can": ["act"]}


def test_the_page_is_told(room: Room) -> None:
    request = RequestFactory().get("/")
    request.user, request.session = rows.user("alice"), SessionStore()
    assert rooms.snapshot(room, request).slow == 30
    rows.member(room, request.user, "moderator")
    assert rooms.snapshot(room, request).slow is None


def test_a_room_in_slow_mode_is_not_plain(room: Room) -> None:
    assert not policy.is_plain(room)
