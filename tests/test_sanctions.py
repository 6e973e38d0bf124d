"""Bans and mutes: who is held to what, until when, what it costs, and when open connections learn of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import admissions, apikeys, auth, bus, kinds, log, moderation, policy, rooms, sanctions
from realtime import node as nodes
from realtime.auth import NOBODY, Person
from realtime.connection import Connection
from realtime.errors import Banned, Forbidden, Muted, Refusal
from realtime.kinds import Actor
from realtime.log import Appended, Entry
from realtime.models import ApiKey, Room, Sanction
from realtime.moderation import Asked
from realtime.rings import Changed, Judged, Ring
from realtime.sanctions import FOR_GOOD, FREE, Held
from tests.support import rows
from tests.support.fakes import SECONDS, FakeLane, settle

pytestmark = pytest.mark.django_db(transaction=True)

GUEST = Person("guest:4f1d2c00", "Guest 4f1d")
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


@pytest.fixture
def room(rung: list[Ring]) -> Room:
    return rows.room("lobby")


@pytest.fixture
def alice(db: None) -> User:
    return rows.user("alice")


def held(room: Room, person: Person) -> Held:
    return sanctions.held([(rows.again(room), person)]).get((room.pk, person.id), FREE)


def say(room: Room, person: Person) -> str:
    """Have somebody say something, and return `ok` or the code of the refusal."""
    command = kinds.get("chat").parse("message", {"text": "hi"})
    (outcome,) = log.append([Entry(room.pk, command, person.actor, None, person)])
    return "ok" if isinstance(outcome, Appended) else outcome.code


def admitted(person: Person, slug: str = "lobby") -> Any:
    (admission,) = admissions.admit([(slug, person)])
    return admission


def time_passes(room: Room) -> None:
    """What ends in time has ended."""
    Sanction.objects.exclude(until=None).update(until=now() - timedelta(seconds=1))


# A ban


def test_who_is_banned_neither_joins_nor_acts_nor_sees(room: Room, alice: User) -> None:
    person = auth.person_of(alice)
    until = now() + HOUR
    rooms.ban(alice, room, until=until, reason="spam", by=Actor("user:9", "mod"))
    refusal = admitted(person)
    assert isinstance(refusal, Banned)
    assert (refusal.code, refusal.final, refusal.until) == ("banned", True, sanctions.said(until))
    assert f"until {until:%Y-%m-%d %H:%M} UTC." in refusal.message
    assert say(room, person) == "banned"
    request = RequestFactory().get("/")
    request.user, request.session = alice, SessionStore()
    with pytest.raises(Banned):
        rooms.snapshot(room, request)
    row = Sanction.objects.get()
    assert (row.person, row.name, row.user, row.reason, row.by_name) == (person.id, "alice", alice, "spam", "mod")


def test_a_ban_is_somebodys_and_a_rooms(room: Room, alice: User) -> None:
    other = rows.room("other")
    rooms.ban(alice, room)
    person, bob = auth.person_of(alice), auth.person_of(rows.user("bob"))
    rooms.ban(bob.actor, other)
    assert [say(room, person), say(other, person), say(room, bob), say(other, bob)] == ["banned", "ok", "ok", "banned"]


def test_a_guest_can_be_banned(room: Room) -> None:
    rooms.ban(GUEST.actor, room)
    assert isinstance(admitted(GUEST), Banned)
    assert Sanction.objects.get().user is None
    assert not isinstance(admitted(NOBODY), Refusal)


def test_staff_can_be_banned_by_the_site(room: Room) -> None:
    boss = rows.user("boss", is_staff=True)
    rooms.ban(boss, room)
    assert isinstance(admitted(auth.person_of(boss)), Banned)


def test_a_ban_that_has_ended_does_not_count(room: Room, alice: User) -> None:
    rooms.ban(alice, room, until=HOUR)
    time_passes(room)
    assert not isinstance(admitted(auth.person_of(alice)), Refusal)
    assert say(room, auth.person_of(alice)) == "ok"


def test_a_ban_without_an_end_is_for_good(room: Room, alice: User) -> None:
    rooms.ban(alice, room)
    time_passes(room)
    refusal = admitted(auth.person_of(alice))
    assert (refusal.until, refusal.message) == (None, "You are banned from this room.")


def test_a_ban_in_place_of_another_counts_instead(room: Room, alice: User) -> None:
    rooms.ban(alice, room)
    rooms.ban(alice, room, until=HOUR)
    assert Sanction.objects.count() == 1
    assert held(room, auth.person_of(alice)).ban != FOR_GOOD


def test_who_is_unbanned_is_free(room: Room, alice: User) -> None:
    rooms.ban(alice, room)
    assert [rooms.unban(alice, room), rooms.unban(alice, room)] == [True, False]
    assert not isinstance(admitted(auth.person_of(alice)), Refusal)


@pytest.mark.parametrize(
    "until",
    [timedelta(0), timedelta(days=-1), datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1)],  # noqa: DTZ001
)
def test_an_end_is_a_moment_to_come(room: Room, alice: User, until: Any) -> None:
    with pytest.raises(ValueError, match="a moment to come"):
        rooms.ban(alice, room, until=until)
    assert Sanction.objects.count() == 0


def test_nobody_in_particular_cannot_be_banned(room: Room) -> None:
    with pytest.raises(TypeError):
        rooms.ban(AnonymousUser(), room)  # type: ignore[arg-type]


def test_a_ban_goes_with_its_user_and_its_room(room: Room, alice: User) -> None:
    rooms.ban(alice, room)
    rooms.ban(GUEST.actor, room)
    alice.delete()
    assert [row.person for row in Sanction.objects.all()] == [GUEST.id]
    Room.objects.all().delete()
    assert Sanction.objects.count() == 0


# A mute


def test_who_is_muted_reads_and_does_not_act(room: Room, alice: User) -> None:
    person = auth.person_of(alice)
    rooms.mute(alice, room, until=HOUR)
    admission = admitted(person)
    assert (admission.can, admissions.muted(admission.held)) == (
        [],
        {"until": sanctions.said(held(room, person).mute or FOR_GOOD)},
    )
    command = kinds.get("chat").parse("message", {"text": "hi"})
    (refusal,) = log.append([Entry(room.pk, command, person.actor, None, person)])
    assert isinstance(refusal, Muted)
    assert refusal.retry_after is not None
    assert 3590 < refusal.retry_after <= 3600
    assert refusal.response()["until"] == refusal.until is not None


def test_a_mute_for_good_is_final(room: Room, alice: User) -> None:
    rooms.mute(alice, room)
    with pytest.raises(Muted) as muted:
        rooms.submit(room, "message", {"text": "hi"}, user=alice)
    assert (muted.value.final, muted.value.response()["until"]) == (True, None)


def test_a_moderator_who_is_muted_moderates(room: Room, alice: User) -> None:
    rows.member(room, alice, "moderator")
    rooms.mute(alice, room)
    assert admitted(auth.person_of(alice)).can == ["moderate"]


def test_who_is_unmuted_acts_again(room: Room, alice: User) -> None:
    rooms.mute(alice, room)
    assert [rooms.unmute(alice, room), rooms.unmute(alice, room)] == [True, False]
    assert say(room, auth.person_of(alice)) == "ok"


def test_a_mute_does_not_end_a_ban_nor_the_other_way_round(room: Room, alice: User) -> None:
    rooms.mute(alice, room)
    rooms.ban(alice, room, until=HOUR)
    both = held(room, auth.person_of(alice))
    assert (both.mute, both.ban == FOR_GOOD) == (FOR_GOOD, False)
    rooms.unban(alice, room)
    assert say(room, auth.person_of(alice)) == "muted"


def test_the_page_of_somebody_muted_says_so(room: Room, alice: User) -> None:
    request = RequestFactory().get("/")
    request.user, request.session = alice, SessionStore()
    assert rooms.snapshot(room, request).muted is None
    rooms.mute(alice, room)
    shown = rooms.snapshot(room, request)
    assert (shown.can, shown.muted) == ([], {"until": None})


# API keys


def person_of_key(owner: User, room: Room, *commands: str) -> Person:
    apikeys.make("Builds", owner, rooms=[room], commands=commands)
    person = apikeys.of_id(f"key:{ApiKey.objects.get().pk}")
    assert person is not None
    return person


def test_what_somebody_is_held_to_so_are_their_api_keys(room: Room, alice: User) -> None:
    key = person_of_key(alice, room, "message")
    rooms.mute(key.actor, room, until=HOUR)
    rooms.mute(alice, room)
    assert say(room, key) == "muted"
    rooms.unmute(alice, room)
    assert held(room, key).mute not in (None, FOR_GOOD)
    rooms.ban(alice, room)
    assert isinstance(admitted(key), Banned)
    assert Changed(person=f"user:{alice.pk}").concerns(key, [])


def test_an_api_key_can_be_muted_by_itself(room: Room, alice: User) -> None:
    key, boss = person_of_key(alice, room, "message"), auth.person_of(rows.user("boss", is_staff=True))
    asked = Asked(room.pk, boss, moderation.parse("room_mute", {"person": key.id}))
    assert moderation.carry_out([asked]) == [{}]
    assert [say(room, key), say(room, auth.person_of(alice))] == ["muted", "ok"]


def test_nobody_moderates_the_owner_of_the_api_key_that_they_come_with(room: Room, alice: User) -> None:
    rows.member(room, alice, "moderator")
    key = person_of_key(alice, room, "room_mute")
    asked = Asked(room.pk, key, moderation.parse("room_mute", {"person": f"user:{alice.pk}"}))
    assert isinstance(moderation.carry_out([asked])[0], Forbidden)


# What it costs, and what is swept


def test_a_room_in_which_nobody_is_held_costs_no_query(
    room: Room, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rooms.ban(alice, rows.room("elsewhere"))
    bob = auth.person_of(rows.user("bob"))
    command = kinds.get("chat").parse("message", {"text": "hi"})
    with django_assert_num_queries(5):  # begin, lock, insert, update, commit
        log.append([Entry(room.pk, command, person.actor, None, person) for person in (bob, auth.person_of(alice))])
    with django_assert_num_queries(2):
        admissions.admit([("lobby", bob), ("lobby", auth.person_of(alice))])


def test_a_batch_costs_one_query_more_however_many_are_held(
    room: Room, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    people = [Person(f"guest:{number:08x}", "Guest") for number in range(20)]
    for person in people[::2]:
        rooms.mute(person.actor, room)
    command = kinds.get("chat").parse("message", {"text": "hi"})
    with django_assert_num_queries(6):
        outcomes = log.append([Entry(room.pk, command, person.actor, None, person) for person in people])
    assert [isinstance(outcome, Appended) for outcome in outcomes] == [False, True] * 10


def test_a_room_is_marked_as_long_as_anybody_is_held_there(room: Room, alice: User) -> None:
    rooms.ban(alice, room)
    rooms.mute(GUEST.actor, room)
    rooms.unban(alice, room)
    assert rows.again(room).sanctioned
    rooms.unmute(GUEST.actor, room)
    assert not rows.again(room).sanctioned


def test_saving_a_room_leaves_the_mark_alone(room: Room, alice: User) -> None:
    stale = rows.again(room)
    rooms.ban(alice, room)
    stale.title = "Renamed"
    stale.save()
    assert (rows.again(room).title, rows.again(room).sanctioned) == ("Renamed", True)


def test_what_has_ended_is_swept_and_nothing_else(room: Room, alice: User) -> None:
    other = rows.room("other")
    rooms.ban(alice, room, until=HOUR)
    rooms.mute(alice, other, until=HOUR)
    rooms.ban(alice, other)
    assert sanctions.sweep(now()) == 0
    assert sanctions.sweep(now() + 2 * HOUR) == 2
    assert [rows.again(room).sanctioned, rows.again(other).sanctioned] == [False, True]


def test_a_ban_and_a_message_at_once_come_one_after_the_other(room: Room, alice: User) -> None:
    person = auth.person_of(alice)

    def work(number: int) -> str:
        if number == 0:
            rooms.ban(alice, room)
            return ""
        return say(room, person)

    outcomes = rows.in_threads(5, work)
    assert rows.again(room).head == outcomes.count("ok")
    assert say(room, person) == "banned"


# Who tells whom


def test_everybody_is_told_to_look_at_the_person_after_the_commit(room: Room, alice: User, rung: list[Ring]) -> None:
    rung.clear()
    rows.rolled_back(lambda: rooms.ban(alice, room))
    assert (rung, Sanction.objects.count()) == ([], 0)
    rooms.ban(alice, room)
    rooms.mute(GUEST.actor, room)
    rooms.unmute(GUEST.actor, room)
    told = [(f"user:{alice.pk}", 1), (GUEST.id, 2), (GUEST.id, 3)]
    assert rung == [Judged(room.pk, person, count) for person, count in told]


def test_a_word_about_a_person_concerns_that_person_alone() -> None:
    changed = Changed(person=GUEST.id)
    assert changed.concerns(GUEST, [])
    assert not changed.concerns(Person("user:7", "alice", user_pk="7"), [1])
    assert not Changed(user="7").concerns(GUEST, [])


@pytest.mark.parametrize(
    "person_id", ["", "user:", "user:x", "user:0", "user:9" * 30, "user:1\0", "bot:1", "guest:", "guest:xyz", "user"]
)
def test_an_id_that_is_nobodys(person_id: str, db: None) -> None:
    assert auth.of_id(person_id) is None


def test_an_id_that_is_somebodys(alice: User) -> None:
    assert auth.of_id(f"user:{alice.pk}") == auth.person_of(alice)
    assert auth.of_id(f"user:0{alice.pk}") is None, "one person, two ids"
    assert auth.of_id(GUEST.id) == GUEST


# Open connections


@pytest.fixture
def _seldom(settings: Settings) -> None:
    """Nothing happens by itself while a test runs: it says when."""
    seldom = ("CATCH_UP_SECONDS", "SWEEP_SECONDS", "LEASE_SECONDS", "GROUP_RENEW_SECONDS", "ACCESS_SECONDS")
    settings.REALTIME = dict.fromkeys(seldom, 3600.0)


@pytest.fixture
async def node(transactional_db: None, _seldom: None) -> AsyncIterator[nodes.Node]:
    node = nodes.Node()
    await node.start()
    yield node
    async with asyncio.timeout(SECONDS):
        await node.stop()


class Visit:
    """Somebody's connection, in a room."""

    def __init__(self, node: nodes.Node, person: Person) -> None:
        self.lane = FakeLane()
        self.connection = Connection(node, person, self.lane)

    async def send(self, ref: str, event: str, **payload: Any) -> Any:
        async with asyncio.timeout(SECONDS):
            await self.connection.receive(json.dumps(["1", ref, "room:lobby", event, payload]))
            return await self.lane.reply(ref)

    async def put_out(self) -> dict[str, Any]:
        """Return the refusal with which the subscription ends. `phx_close` follows, for stock clients."""
        refusal: dict[str, Any] = (await self.lane.event("room_ended")).payload
        await self.lane.event("phx_close")
        return refusal


async def enter(node: nodes.Node, *people: Person) -> list[Visit]:
    visits = [Visit(node, person) for person in people]
    for visit in visits:
        assert (await visit.send("1", "phx_join")).ok
    return visits


async def do(act: Callable[[], Any]) -> None:
    await sync_to_async(act)()


async def looked(node: nodes.Node) -> None:
    await settle()
    async with asyncio.timeout(SECONDS):
        while node.looks.busy:
            await settle()


@pytest.fixture
def lobby(transactional_db: None) -> Room:
    return rows.room("lobby")


async def test_a_ban_ends_all_of_a_persons_subscriptions_at_once(node: nodes.Node, lobby: Room) -> None:
    first, second, other = await enter(node, GUEST, GUEST, NOBODY)
    await do(lambda: rooms.ban(GUEST.actor, lobby, until=HOUR))
    for visit in (first, second):
        refusal = await visit.put_out()
        assert (refusal["code"], "retry_after" in refusal, refusal["until"][-1]) == ("banned", False, "Z")
    await looked(node)
    assert (first.lane.closed, other.lane.named("room_ended")) == (None, [])
    again = await first.send("2", "phx_join")
    assert again.response["code"] == "banned"
    assert first.lane.named("phx_close"), "a stock client would join again"


async def test_a_ban_that_nobody_was_told_of_is_found_by_the_next_look(
    node: nodes.Node, lobby: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    (visit,) = await enter(node, GUEST)
    with monkeypatch.context() as patch:
        patch.setattr(bus, "publish", lambda ring: None)
        await do(lambda: rooms.ban(GUEST.actor, lobby))
    assert (await visit.send("2", "message", text="hi")).response["code"] == "banned"
    await node.looks.at_all()
    assert (await visit.put_out())["code"] == "banned"


async def test_a_ban_during_the_join_is_not_slept_through(
    node: nodes.Node, lobby: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(node, GUEST)
    enter_hub = node.hub.enter

    async def slowly(*arguments: Any) -> Any:
        await do(lambda: rooms.ban(GUEST.actor, lobby))
        await looked(node)
        return await enter_hub(*arguments)

    monkeypatch.setattr(node.hub, "enter", slowly)
    assert (await visit.send("1", "phx_join")).ok
    assert (await visit.put_out())["code"] == "banned"


async def test_a_mute_is_told_and_counts_at_once(node: nodes.Node, lobby: Room) -> None:
    visit, other = await enter(node, GUEST, NOBODY)
    await do(lambda: rooms.mute(GUEST.actor, lobby, until=HOUR))
    told = (await visit.lane.event("room_can")).payload
    assert (told["can"], told["muted"]["until"][-1]) == ([], "Z")
    for ref, event, payload in (("2", "message", {"text": "hi"}), ("3", "typing", {})):
        refusal = (await visit.send(ref, event, **payload)).response
        assert (refusal["code"], 3500 < refusal["retry_after"] <= 3600) == ("muted", True)
    assert (await visit.send("4", "room_history")).ok
    assert other.lane.named("room_can") == []
    await do(lambda: rooms.unmute(GUEST.actor, lobby))
    assert (await visit.lane.event("room_can")).payload == {"can": ["act"]}
    assert (await visit.send("5", "typing")).ok


async def test_two_looks_at_once_tell_it_once(node: nodes.Node, lobby: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    (visit,) = await enter(node, GUEST)
    with monkeypatch.context() as patch:
        patch.setattr(bus, "publish", lambda ring: None)
        await do(lambda: rooms.mute(GUEST.actor, lobby))
    await asyncio.gather(node.looks.at_all(), node.looks.at_all())
    assert (await visit.send("2", "room_history")).ok
    assert len(visit.lane.named("room_can")) == 1


async def test_who_joins_muted_is_told(node: nodes.Node, lobby: Room) -> None:
    await do(lambda: rooms.mute(GUEST.actor, lobby))
    visit = Visit(node, GUEST)
    response = (await visit.send("1", "phx_join")).response
    assert (response["can"], response["muted"]) == ([], {"until": None})
    other = Visit(node, NOBODY)
    assert "muted" not in (await other.send("1", "phx_join")).response


async def test_a_mute_lifts_by_itself(node: nodes.Node, lobby: Room) -> None:
    await do(lambda: rooms.mute(GUEST.actor, lobby, until=timedelta(seconds=1)))
    (visit,) = await enter(node, GUEST)
    assert (await visit.lane.event("room_can")).payload == {"can": ["act"]}
    assert (await visit.send("2", "message", text="hi")).ok


async def test_who_leaves_muted_is_not_looked_at_any_more(node: nodes.Node, lobby: Room) -> None:
    await do(lambda: rooms.mute(GUEST.actor, lobby, until=timedelta(minutes=5)))
    for goodbye in ("leave", "end of the line"):
        (visit,) = await enter(node, GUEST)
        (joined,) = visit.connection._whereabouts
        alarm = joined.alarm
        assert alarm is not None
        if goodbye == "leave":
            await visit.send("2", "phx_leave")
        else:
            visit.connection.closed()
        assert alarm.cancelled()


async def test_an_end_far_away_is_left_to_the_looks(node: nodes.Node, lobby: Room) -> None:
    await do(lambda: rooms.mute(GUEST.actor, lobby, until=timedelta(days=300)))
    (visit,) = await enter(node, GUEST)
    (joined,) = visit.connection._whereabouts
    assert joined.alarm is None


def test_a_policy_of_ones_own_decides_before_bans_do(room: Room, alice: User) -> None:
    Room.objects.update(join_access="staff")
    rooms.ban(alice, room)
    assert admitted(auth.person_of(alice)).code == "forbidden"
    with pytest.raises(Banned):
        policy.check_join(auth.person_of(alice), rows.room("open"), None, Held(ban=FOR_GOOD))


def test_a_banned_moderator_asks_for_nothing(room: Room, alice: User) -> None:
    rows.member(room, alice, "moderator")
    rooms.publish(room, "message", {"text": "x"})
    rooms.ban(alice, room)
    asked = Asked(room.pk, auth.person_of(alice), moderation.parse("room_remove", {"seq": 1}))
    (done,) = moderation.carry_out([asked])
    assert isinstance(done, Banned)
