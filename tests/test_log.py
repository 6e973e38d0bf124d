"""The log: gapless, once by key, all or nothing, state in the same transaction."""

import itertools
import logging
import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import kinds as registry
from realtime import log, rooms
from realtime.auth import Person
from realtime.errors import Invalid, Refusal, UnknownRoom
from realtime.feed import Standing
from realtime.kinds import Actor, Fact
from realtime.log import Appended, Entry
from realtime.models import Event, Room
from realtime.protocol import Frame
from tests.support import kinds, rows

pytestmark = pytest.mark.django_db

ALICE, BOB = Actor("user:1", "alice"), Actor("user:2", "bob")


@pytest.fixture(autouse=True)
def _odd(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds.install(monkeypatch)


def said(room: Room, text: str = "hi", **more: Any) -> Entry:
    """The site's own word."""
    return Entry(room.pk, Fact("message", {"text": text}), **more)


def asked(room: Room, what: str = "work", actor: Actor = ALICE, **more: Any) -> Entry:
    """A person's command to an odd room."""
    data = more.pop("data", {})
    return Entry(room.pk, registry.get("odd").parse("do", {"what": what, "data": data}), actor, **more)


def seqs(outcomes: list[log.Outcome]) -> list[int | str]:
    """Each outcome in short: its seq, or why not."""
    return [outcome.seq if isinstance(outcome, Appended) else outcome.code for outcome in outcomes]


def numbers(frames: list[Frame]) -> list[int]:
    return [frame.seq for frame in frames]


def since(room: Room, seq: int, limit: int = 100, max_bytes: int = 10**6) -> list[Frame]:
    return log.since(room.pk, "room:x", seq, limit, max_bytes)


def before(room: Room, seq: int | None, limit: int = 100, max_bytes: int = 10**6) -> list[Frame]:
    return log.before(room.pk, "room:x", seq, limit, max_bytes)


# Appending


def test_a_state_that_grows_too_large_is_refused_and_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REALTIME = {"MAX_STATE_BYTES": 256}
    room = rows.room(kind="odd")
    assert seqs(log.append([asked(room), asked(room, "reduce to a lot"), asked(room)])) == [1, "state_too_large", 2]
    assert rows.again(room).state == {"done": 2}
    assert "lets the state grow" in caplog.text
    settings.REALTIME = {"MAX_STATE_BYTES": 512}
    assert seqs(log.append([asked(room, "reduce to a lot")])) == [3]


def test_seqs_are_gapless_in_each_room() -> None:
    tea, cake = rows.room(), rows.room()
    assert seqs(log.append([said(tea), said(cake), said(tea)])) == [1, 1, 2]
    assert seqs(log.append([said(tea)])) == [3]
    assert (rows.again(tea).head, rows.again(cake).head) == (3, 1)
    assert [seq for seq, _, _ in rows.events(tea)] == [1, 2, 3]


def test_what_is_appended_is_what_everyone_hears_and_what_is_read_back() -> None:
    room = rows.room("x")
    data = {"text": "Grüße 👋", "deep": [{"a": [1, 2.5, None, True]}], "big": 2**60, "quote": '"\\'}
    (outcome,) = log.append([Entry(room.pk, Fact("message", data), ALICE, "k1")])
    assert isinstance(outcome, Appended)
    assert outcome.frame is not None
    (kept,) = since(room, 0)
    assert msgspec.json.decode(kept.body) == msgspec.json.decode(outcome.frame.body)
    heard = msgspec.json.decode(outcome.frame.event)
    assert (heard["data"], heard["by"], heard["key"]) == (data, {"id": "user:1", "name": "alice"}, "k1")


def test_the_sites_own_word_is_by_nobody() -> None:
    room = rows.room()
    log.append([said(room)])
    assert msgspec.json.decode(since(room, 0)[0].event)["by"] is None


def test_a_batch_costs_the_same_queries_however_large(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    room = rows.room()
    for size in (2, 60):
        with django_assert_num_queries(3):  # lock, insert, update
            log.append([said(room) for _ in range(size)])


def test_a_key_seen_again_gives_the_same_seq_and_no_second_event() -> None:
    room = rows.room()
    assert seqs(log.append([said(room, actor=ALICE, key="k"), said(room)])) == [1, 2]
    (again,) = log.append([said(room, "other words", actor=ALICE, key="k")])
    assert again == Appended(1, None)
    assert len(rows.events(room)) == rows.again(room).head == 2


def test_a_key_twice_in_one_batch_is_one_event() -> None:
    room = rows.room()
    entries = [said(room, actor=ALICE, key="k"), said(room, actor=BOB, key="k"), said(room, actor=ALICE, key="k")]
    assert seqs(log.append(entries)) == [1, 2, 1]


def test_a_key_is_its_senders_and_its_rooms() -> None:
    tea, cake = rows.room(), rows.room()
    entries = [said(room, actor=actor, key="k") for room, actor in itertools.product((tea, cake), (ALICE, BOB, None))]
    assert seqs(log.append(entries)) == [1, 2, 3, 1, 2, 3]


def test_a_key_whose_command_was_refused_may_be_used_again() -> None:
    room = rows.room(kind="odd")
    assert seqs(log.append([asked(room, "refuse", key="k"), asked(room, "work", key="k")])) == ["not_now", 1]


def test_a_key_seen_again_is_answered_even_after_access_was_lost() -> None:
    room = rows.room(kind="odd")
    person = Person(ALICE.id, "alice", user_pk="1")
    assert seqs(log.append([asked(room, key="k", person=person)])) == [1]
    Room.objects.update(closed=True)
    assert seqs(log.append([asked(room, key="k", person=person), asked(room, person=person)])) == [1, "room_closed"]


def test_the_state_is_folded_with_each_event() -> None:
    room = rows.room(kind="counter")
    log.append([Entry(room.pk, Fact("added", {"by": by})) for by in (1, 10, -4)])
    assert rows.again(room).state == {"value": 7}
    log.append([Entry(room.pk, Fact("added", {"by": 1}))])
    assert rows.again(room).state == {"value": 8}


def test_one_refusal_does_not_touch_its_neighbours() -> None:
    room, other = rows.room(kind="odd"), rows.room(kind="odd")
    outcomes = log.append([asked(room), asked(room, "refuse"), asked(other), asked(room)])
    assert seqs(outcomes) == [1, "not_now", 1, 2]
    assert (rows.again(room).state, rows.again(other).state) == ({"done": 2}, {"done": 1})


def test_a_kinds_own_refusal_arrives_as_it_was_said() -> None:
    (outcome,) = log.append([asked(rows.room(kind="odd"), "refuse")])
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.message, outcome.retry_after) == ("not_now", "Not now.", 5.0)


@pytest.mark.parametrize("what", kinds.WRONG)
def test_a_kind_that_goes_wrong_fails_that_command_alone(what: str, caplog: pytest.LogCaptureFixture) -> None:
    room = rows.room(kind="odd")
    with caplog.at_level(logging.CRITICAL, "realtime.kinds"):
        assert seqs(log.append([asked(room), asked(room, what), asked(room)])) == [1, "failed", 2]
    stored = rows.again(room)
    assert (stored.head, stored.state) == (2, {"done": 2})
    assert [seq for seq, _, _ in rows.events(room)] == [1, 2]


def test_what_went_wrong_in_a_kind_is_in_the_sites_log_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    log.append([asked(rows.room(kind="odd"), "raise")])
    (record,) = [record for record in caplog.records if record.name == "realtime.kinds"]
    assert record.exc_info is not None
    assert "a bug of the site's" in str(record.exc_info[1])


def test_a_kind_that_changes_what_it_was_handed_changes_nothing() -> None:
    room = rows.room(kind="odd")
    log.append([asked(room), asked(room)])
    assert rows.again(room).state == {"done": 2}
    assert rows.events(room) == [(1, "did", {"what": "work"}), (2, "did", {"what": "work"})]
    assert kinds.Odd.initial == {"done": 0}


def test_a_room_whose_kind_is_not_installed_fails_alone() -> None:
    lost, room = rows.room(kind="poem"), rows.room()
    assert seqs(log.append([said(lost), said(room)])) == ["failed", 1]


def test_a_room_that_is_gone_is_unknown_and_its_neighbours_are_not() -> None:
    room = rows.room()
    assert seqs(log.append([Entry(10**9, Fact("message")), said(room)])) == ["unknown_room", 1]


def test_a_persons_command_is_judged_by_policy_under_the_lock() -> None:
    room, alice = rows.room(kind="odd", act_access="members"), rows.user()
    person = Person(f"user:{alice.pk}", "alice", user_pk=str(alice.pk))
    assert seqs(log.append([asked(room, person=person)])) == ["forbidden"]
    rows.member(room, alice)
    assert seqs(log.append([asked(room, person=person)])) == [1]


# What may be stored


@pytest.mark.parametrize(
    "data",
    [
        {"text": "NUL \0"},
        {"NUL \0": 1},
        {"deep": [{"text": "\0"}]},
        {"text": "half a pair \ud800"},
        {"thing": object},
        {"text": "x" * 300_000},
        ["a", "list"],
        "text",
        None,
        {1.5: object},
    ],
    ids=str,
)
def test_data_that_not_every_database_takes_is_refused(data: Any) -> None:
    room = rows.room()
    assert seqs(log.append([Entry(room.pk, Fact("message", data)), said(room)])) == ["invalid", 1]


def nested(depth: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(depth):
        data = {"a": data}
    return data


@pytest.mark.parametrize("depth", [100, 400, 900, 5000])
@pytest.mark.parametrize("leaf", ["", "\0"])
def test_data_nested_without_end_is_refused_and_harms_nobody(depth: int, leaf: str) -> None:
    room = rows.room()
    data = {"leaf": leaf, **nested(depth)}
    assert seqs(log.append([Entry(room.pk, Fact("message", data)), said(room)])) == ["invalid", 1]


def test_nesting_that_anybody_needs_is_kept() -> None:
    room = rows.room()
    log.append([Entry(room.pk, Fact("message", nested(30)))])
    assert rows.events(room)[0][2] == nested(30)


def test_what_is_no_number_becomes_null() -> None:
    room = rows.room()
    log.append([Entry(room.pk, Fact("message", {"a": math.nan, "b": [math.inf]}))])
    assert rows.events(room)[0][2] == {"a": None, "b": [None]}
    assert msgspec.json.decode(since(room, 0)[0].event)["data"] == {"a": None, "b": [None]}


def test_a_backslash_before_u0000_is_no_nul() -> None:
    room = rows.room()
    log.append([said(room, "\\u0000")])
    assert rows.events(room)[0][2] == {"text": "\\u0000"}


def test_checked_data_is_what_travels() -> None:
    assert bytes(log.checked({"x": 1})) == b'{"x":1}'
    with pytest.raises(Invalid, match="expected a JSON object"):
        log.checked([1])


# Reading


def test_reading_on_is_paged_by_count_and_by_bytes() -> None:
    room = rows.room()
    log.append([said(room, "x" * 100) for _ in range(6)])
    size = len(since(room, 0, 1)[0].body)
    assert numbers(since(room, 2, limit=3)) == [3, 4, 5]
    assert numbers(since(room, 0, max_bytes=2 * size)) == [1, 2]
    assert numbers(since(room, 0, max_bytes=1)) == [1]
    assert numbers(since(room, 6)) == []


def test_reading_back_is_oldest_first_and_paged_too() -> None:
    room = rows.room()
    log.append([said(room, "x" * 100) for _ in range(6)])
    size = len(since(room, 0, 1)[0].body)
    assert numbers(before(room, None, limit=2)) == [5, 6]
    assert numbers(before(room, 5, limit=2)) == [3, 4]
    assert numbers(before(room, 5, max_bytes=3 * size)) == [2, 3, 4]
    assert numbers(before(room, 5, max_bytes=1)) == [4]
    assert numbers(before(room, 1)) == []


def test_how_rooms_stand_is_read_in_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tea, cake = rows.room(), rows.room(closed=True)
    log.append([said(tea), said(tea)])
    with django_assert_num_queries(1):
        assert log.heads([tea.pk, cake.pk, 10**9]) == {tea.pk: Standing(2, False), cake.pk: Standing(0, True)}


# Letting go


def test_a_cleared_room_keeps_its_head_and_its_state() -> None:
    room = rows.room(kind="counter")
    log.append([Entry(room.pk, Fact("added", {"by": 3})), Entry(room.pk, Fact("added", {"by": 4}))])
    assert log.clear(room.pk) == 2
    stored = rows.again(room)
    assert (rows.events(room), stored.head, stored.tail, stored.state) == ([], 2, 2, {"value": 7})
    assert seqs(log.append([Entry(room.pk, Fact("added", {"by": 1}))])) == [3]


def test_clearing_a_room_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownRoom):
        log.clear(10**9)


def fill(room: Room, count: int) -> None:
    for start in range(0, count, 50):
        log.append([said(room) for _ in range(min(50, count - start))])


def test_a_room_keeps_about_as_many_events_as_it_says() -> None:
    room = rows.room(keep_events=10)
    fill(room, 200)
    stored = rows.again(room)
    kept = [seq for seq, _, _ in rows.events(room)]
    assert kept == list(range(stored.tail + 1, 201))
    assert 10 <= len(kept) < 10 + 64


def test_where_the_room_does_not_say_the_settings_do(settings: Settings) -> None:
    settings.REALTIME = {"KEEP_EVENTS": 5}
    room, everything = rows.room(), rows.room(keep_events=0)
    fill(room, 128)
    fill(everything, 128)
    assert len(rows.events(room)) == 5
    assert len(rows.events(everything)) == 128


def test_much_that_is_too_much_goes_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_TRIM_AT_MOST", 20)
    room = rows.room(keep_events=0)
    fill(room, 100)
    Room.objects.update(keep_events=1)
    fill(room, 50)
    assert rows.again(room).tail == 20


def test_old_events_go() -> None:
    room, other = rows.room(keep_days=2), rows.room()
    log.append([said(room), said(room), said(other)])
    Event.objects.filter(seq=1).update(at=timezone.now() - timedelta(days=3))
    assert log.trim(timezone.now()) == 1
    assert [seq for seq, _, _ in rows.events(room)] == [2]
    assert rows.again(room).tail == 1
    assert len(rows.events(other)) == 1


def test_how_old_is_the_settings_word_where_the_room_has_none(settings: Settings) -> None:
    settings.REALTIME = {"KEEP_DAYS": 1}
    room, for_ever = rows.room(), rows.room(keep_days=0)
    log.append([said(room), said(for_ever)])
    assert log.trim(timezone.now() + timedelta(hours=23)) == 0
    assert log.trim(timezone.now() + timedelta(hours=25)) == 1
    assert (rows.events(room), len(rows.events(for_ever))) == ([], 1)


def test_a_room_that_keeps_for_longer_than_there_are_days_keeps_others_from_nothing() -> None:
    log.append([said(rows.room(keep_days=2**31 - 1)), said(rows.room(keep_days=1))])
    assert log.trim(timezone.now() + timedelta(days=2)) == 1


def test_the_newest_event_may_be_trimmed_and_the_seq_goes_on() -> None:
    room = rows.room(keep_days=1)
    log.append([said(room), said(room)])
    log.trim(timezone.now() + timedelta(days=2))
    stored = rows.again(room)
    assert (stored.head, stored.tail) == (2, 2)
    assert seqs(log.append([said(room)])) == [3]


# With a database of many writers


@pytest.mark.django_db(transaction=True)
def test_64_who_count_at_once_end_at_exactly_the_right_number() -> None:
    room = rows.room(kind="counter")

    def count(number: int) -> list[int]:
        actor = Actor(f"user:{number}", f"person {number}")
        return [rooms.publish(room, "added", {"by": number}, actor=actor, key="once") for _ in range(2)]

    taken = rows.in_threads(64, count)
    assert sorted(taken) == [[seq, seq] for seq in range(1, 65)]
    stored = rows.again(room)
    assert (stored.head, stored.state) == (64, {"value": sum(range(64))})
    assert [seq for seq, _, _ in rows.events(room)] == list(range(1, 65))


@pytest.mark.django_db(transaction=True)
def test_batches_over_the_same_rooms_in_any_order_do_not_lock_each_other_out() -> None:
    tea, cake, pie = rows.room(), rows.room(), rows.room()
    orders = list(itertools.permutations((tea, cake, pie)))

    def publish(number: int) -> None:
        for _ in range(4):
            rooms.commit([said(room) for room in orders[number % 6]])

    rows.in_threads(6, publish)
    assert [rows.again(room).head for room in (tea, cake, pie)] == [24, 24, 24]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_no_gap() -> None:
    room = rows.room()
    assert seqs(rows.rolled_back(lambda: log.append([said(room), said(room)]))) == [1, 2]
    assert seqs(log.append([said(room)])) == [1]


def test_rooms_with_nothing_too_old_cost_one_query_and_no_write(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for days in (None, 0, 1, 30):
        log.append([said(rows.room(keep_days=days))])
    with django_assert_num_queries(1):
        assert log.trim(timezone.now()) == 0
