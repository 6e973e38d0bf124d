"""The public API: what joins the caller's transaction, who hears of it and when, and what it costs."""

from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from realtime import admissions, auth, bus, metrics, presence, rooms
from realtime.errors import Failed, Forbidden, Invalid, LoginRequired, Refusal, RoomClosed, UnknownCommand, UnknownRoom
from realtime.kinds import Actor
from realtime.models import Room
from realtime.presence import Move
from realtime.rings import Cleared, Ended, Happened, Ring, Signalled
from tests.support import kinds, rows

pytestmark = pytest.mark.django_db
really = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


def request(user: User | AnonymousUser | None = None) -> HttpRequest:
    """A page's request, with a session."""
    made = RequestFactory().get("/")
    made.user = user or AnonymousUser()
    made.session = SessionStore()
    return made


def heard(ring: Ring) -> list[dict[str, Any]]:
    """The events that a ring carries."""
    assert isinstance(ring, Happened)
    return [msgspec.json.decode(item) for _, _, item in ring.frames]


# publish


@really
def test_a_published_event_is_kept_and_told_to_everyone(rung: list[Ring]) -> None:
    room, alice = rows.room("lobby"), rows.user("alice")
    assert rooms.publish("lobby", "message", {"text": "hi"}, actor=alice, key="k") == 1
    (item,) = heard(rung[0])
    assert (item["seq"], item["key"], item["data"]) == (1, "k", {"text": "hi"})
    assert item["by"] == {"id": f"user:{alice.pk}", "name": "alice"}
    assert rows.events(room) == [(1, "message", {"text": "hi"})]


@really
def test_a_rollback_publishes_nothing(rung: list[Ring]) -> None:
    room = rows.room()
    assert rows.rolled_back(lambda: rooms.publish(room, "message", {})) == 1
    assert (rung, rows.events(room)) == ([], [])


@really
def test_nobody_hears_before_the_callers_commit(rung: list[Ring]) -> None:
    room = rows.room()
    with transaction.atomic():
        rooms.publish(room, "message", {})
        rooms.clear(room)
        rooms.close(room)
        assert rung == []
    assert [type(ring) for ring in rung] == [Happened, Cleared, Ended]


@really
def test_what_a_savepoint_takes_back_was_never_said(rung: list[Ring]) -> None:
    room = rows.room()
    with transaction.atomic():
        assert rooms.publish(room, "message", {}) == 1
        assert rows.rolled_back(lambda: rooms.publish(room, "message", {"lost": True})) == 2
        assert rooms.publish(room, "message", {}) == 2
    assert [item["seq"] for ring in rung for item in heard(ring)] == [1, 2]
    assert rows.events(room) == [(1, "message", {}), (2, "message", {})]


@really
def test_publishing_when_the_transaction_commits_works(rung: list[Ring]) -> None:
    room = rows.room()
    with transaction.atomic():
        transaction.on_commit(lambda: rooms.publish(room, "message", {}))
    assert len(rung) == 1


@really
def test_the_same_key_again_tells_nobody_again(rung: list[Ring]) -> None:
    room = rows.room()
    assert [rooms.publish(room, "message", {}, key="k") for _ in range(2)] == [1, 1]
    assert len(rung) == 1


def test_publishing_costs_a_handful_of_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """The lock, the event, the room's head; and one to find the room."""
    room = rows.room()
    with django_assert_num_queries(3):
        rooms.publish(room, "message", {})
    with django_assert_num_queries(4):
        rooms.publish(room.slug, "message", {})


def test_the_site_may_speak_for_an_actor_of_its_own(rung: list[Ring]) -> None:
    room = rows.room()
    rooms.publish(room, "message", {}, actor=Actor("bot:1", "Weather"))
    assert room.events.get().actor_name == "Weather"


@pytest.mark.parametrize("key", ["", "x" * 65, "two words", "é", "a\n"])
def test_a_key_that_the_wire_does_not_carry_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="key"):
        rooms.publish(rows.room(), "message", {}, key=key)


@pytest.mark.parametrize("name", ["", "Message", "phx_close", "room_ended", "presence_state"])
def test_an_event_name_that_the_wire_does_not_carry_is_the_developers_mistake(name: str) -> None:
    with pytest.raises(TypeError, match="expected a name"):
        rooms.publish(rows.room(), name, {})
    with pytest.raises(TypeError, match="expected a name"):
        rooms.broadcast(rows.room(), name, {})


def test_publishing_nowhere_or_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds.install(monkeypatch)
    with pytest.raises(UnknownRoom):
        rooms.publish("nowhere", "message", {})
    with pytest.raises(Invalid):
        rooms.publish(rows.room(), "message", ["no object"])  # type: ignore[arg-type]
    with pytest.raises(Failed):
        rooms.publish(rows.room(kind="odd"), "did", {"what": "raise in reduce"})


def test_the_site_speaks_in_a_closed_room() -> None:
    assert rooms.publish(rows.room(closed=True, act_access="staff"), "message", {}) == 1


@really
async def test_a_coroutine_publishes_with_apublish(rung: list[Ring]) -> None:
    await Room.objects.acreate(slug="lobby", title="Lobby", kind="chat")
    assert await rooms.apublish("lobby", "message", {"text": "hi"}) == 1
    await rooms.abroadcast("lobby", "typing", {})
    assert [type(ring) for ring in rung] == [Happened, Signalled]


# submit


def test_a_persons_command_is_decided_by_the_kind() -> None:
    room, alice = rows.room(), rows.user()
    assert rooms.submit(room, "message", {"text": "  hi "}, user=alice, key="k") == 1
    assert rooms.submit(room, "message", {"text": "again"}, user=alice, key="k") == 1
    assert rows.events(room) == [(1, "message", {"text": "hi"})]


@pytest.mark.parametrize(
    ("fields", "command", "arguments", "refusal"),
    [
        ({}, "shout", {}, UnknownCommand),
        ({}, "message", {"text": 5}, Invalid),
        ({}, "message", {"text": " "}, Refusal),
        ({}, "typing", {}, Invalid),
        ({"closed": True}, "message", {"text": "x"}, RoomClosed),
        ({"act_access": "members"}, "message", {"text": "x"}, Forbidden),
        ({"join_access": "staff"}, "message", {"text": "x"}, Forbidden),
    ],
)
def test_a_persons_command_may_be_refused(
    fields: dict[str, Any], command: str, arguments: dict[str, Any], refusal: type[Refusal]
) -> None:
    room = rows.room(**fields)
    with pytest.raises(refusal):
        rooms.submit(room, command, arguments, user=rows.user())
    assert rows.events(room) == []


def test_a_command_cannot_be_submitted_with_a_key_that_the_wire_does_not_carry() -> None:
    with pytest.raises(Invalid, match="key"):
        rooms.submit(rows.room(), "message", {"text": "x"}, user=rows.user(), key="two words")


# broadcast, close, reopen, clear, announce


def test_a_broadcast_is_told_and_not_kept(rung: list[Ring]) -> None:
    room, alice = rows.room("lobby"), rows.user("alice")
    rooms.broadcast("lobby", "cursor", {"x": 1}, actor=alice)
    (ring,) = rung
    assert isinstance(ring, Signalled)
    by = {"id": f"user:{alice.pk}", "name": "alice"}
    assert msgspec.json.decode(ring.body) == [
        None,
        None,
        "room:lobby",
        "cursor",
        {"name": "cursor", "by": by, "data": {"x": 1}},
    ]
    assert rows.events(room) == []


def test_a_broadcast_is_checked_as_an_event_is() -> None:
    with pytest.raises(Invalid):
        rooms.broadcast(rows.room(), "cursor", {"x": "\0"})
    with pytest.raises(UnknownRoom):
        rooms.broadcast("nowhere", "cursor", {})


@really
def test_closing_ends_and_reopening_opens(rung: list[Ring]) -> None:
    room = rows.room()
    rooms.close(room.slug)
    assert rows.again(room).closed
    assert rung == [Ended(room.pk, "room_closed", RoomClosed().message)]
    rooms.reopen(room.slug)
    assert not rows.again(room).closed


@really
def test_clearing_says_up_to_where(rung: list[Ring]) -> None:
    room = rows.room()
    for _ in range(3):
        rooms.announce(room, "Tea is ready")
    assert rooms.clear(room) == 3
    assert rung[-1] == Cleared(room.pk, 3)
    assert rows.events(room) == []


def test_an_announcement_is_the_sites_own() -> None:
    room = rows.room()
    rooms.announce(room, "Tea is ready")
    assert rows.events(room) == [(1, "announcement", {"text": "Tea is ready"})]
    assert room.events.get().actor == ""


# visible


def test_everybody_sees_what_is_theirs_in_two_queries_at_most(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    club = rows.room("club", join_access="members", title="C")
    for slug, access in {"open": "anyone", "users": "login", "office": "staff"}.items():
        rows.room(slug, join_access=access, title=slug)
    alice, bob, admin = rows.user(), rows.user(), rows.user(is_staff=True)
    rows.member(club, bob)

    def seen(user: Any) -> list[str]:
        return [room.slug for room in rooms.visible(user)]

    with django_assert_num_queries(1):
        assert seen(AnonymousUser()) == ["open"]
    with django_assert_num_queries(2):
        assert seen(alice) == ["open", "users"]
    assert seen(bob) == ["club", "open", "users"]
    assert seen(admin) == ["club", "office", "open", "users"]


def test_rooms_that_one_is_banned_from_are_not_seen_for_one_query_more(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    alice, bob = rows.user(), rows.user()
    for slug in ("attic", "barn", "cellar"):
        rooms.ban(alice, rows.room(slug))
    rooms.mute(alice, rows.room("den"))
    with django_assert_num_queries(3):
        assert [room.slug for room in rooms.visible(alice)] == ["den"]
    assert len(rooms.visible(bob)) == 4


# snapshot


def test_a_snapshot_ends_at_its_seq_and_says_whether_there_is_more() -> None:
    room = rows.room(kind="counter")
    for by in range(1, 6):
        rooms.publish(room, "added", {"by": by})
    shown = rooms.snapshot(room.slug, request(), events=3)
    assert [item["seq"] for item in shown.events] == [3, 4, 5]
    assert (shown.seq, shown.state, shown.complete) == (5, {"value": 15}, False)
    assert rooms.snapshot(room.slug, request(), events=5).complete


def test_a_snapshot_of_what_is_left_of_a_log_is_complete() -> None:
    room = rows.room()
    rooms.publish(room, "message", {})
    rooms.clear(room)
    shown = rooms.snapshot(room.slug, request())
    assert (shown.events, shown.seq, shown.complete) == ([], 1, True)
    rooms.publish(room, "message", {})
    assert rooms.snapshot(room.slug, request()).complete


def test_a_snapshot_shows_what_the_wire_says() -> None:
    room, alice = rows.room(), rows.user("alice")
    rooms.publish(room, "message", {"text": "hi"}, actor=alice, key="k")
    (item,) = rooms.snapshot(room.slug, request()).events
    assert list(item) == ["seq", "name", "at", "by", "key", "data"]
    assert item["by"] == {"id": f"user:{alice.pk}", "name": "alice"}


def test_a_snapshot_of_a_new_room_has_the_kinds_first_state() -> None:
    assert rooms.snapshot(rows.room(kind="counter").slug, request()).state == {"value": 0}


def test_a_snapshot_says_who_one_is_and_what_one_may() -> None:
    room, alice = rows.room(act_access="members"), rows.user("alice")
    rows.member(room, alice, "moderator")
    shown = rooms.snapshot(room.slug, request(alice))
    assert (shown.you, shown.can) == (Actor(f"user:{alice.pk}", "alice"), ["act", "moderate"])
    asked = request()
    shown = rooms.snapshot(room.slug, asked)
    assert (shown.you.id, shown.can) == (f"guest:{asked.session[auth.GUEST_SESSION_KEY]}", [])


def test_a_snapshot_says_who_is_here(settings: Settings) -> None:
    settings.REALTIME = {"PRESENCE_LIST": 1}
    room = rows.room()
    presence.renew("n", 30)
    presence.apply("n", [Move("c1", room.pk, Actor("user:2", "bob")), Move("c2", room.pk, Actor("user:1", "alice"))])
    shown = rooms.snapshot(room.slug, request())
    assert (shown.people, shown.count) == ([Actor("user:1", "alice")], 2)


def test_a_closed_room_is_shown_and_nobody_may_act_in_it() -> None:
    shown = rooms.snapshot(rows.room(closed=True).slug, request())
    assert (shown.room.closed, shown.can) == (True, [])


def test_a_snapshot_is_refused_as_a_join_would_be() -> None:
    room = rows.room(join_access="members")
    with pytest.raises(LoginRequired):
        rooms.snapshot(room.slug, request())
    with pytest.raises(Forbidden):
        rooms.snapshot(room.slug, request(rows.user()))
    with pytest.raises(UnknownRoom):
        rooms.snapshot("nowhere", request())


def test_a_page_that_is_refused_is_counted() -> None:
    before = metrics.refusals.values.get("unknown_room", 0)
    with pytest.raises(UnknownRoom):
        rooms.snapshot("nowhere", request())
    assert metrics.refusals.values["unknown_room"] == before + 1


def test_a_snapshot_costs_a_handful_of_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    room, alice = rows.room(), rows.user()
    for _ in range(5):
        rooms.publish(room, "message", {})
    with django_assert_num_queries(4):  # room, role, events, people
        rooms.snapshot(room.slug, request(alice))


# admit


def test_any_number_are_let_in_with_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    club, lobby = rows.room("club", join_access="members"), rows.room("lobby", kind="counter")
    rooms.publish(lobby, "added", {"by": 3})
    alice = rows.user()
    rows.member(club, alice)
    person = auth.person_of(alice)
    with django_assert_num_queries(2):
        found = admissions.admit([("club", person), ("club", auth.NOBODY), ("nowhere", person), ("lobby", auth.NOBODY)])
    assert isinstance(found[0], admissions.Admission)
    assert isinstance(found[3], admissions.Admission)
    assert [type(one) for one in found[1:3]] == [LoginRequired, UnknownRoom]
    assert (found[3].head, found[3].state, found[3].can) == (1, {"value": 3}, ["act"])


@pytest.mark.parametrize(("own", "most"), [(None, 5), (2, 2), (0, None)])
def test_a_rooms_own_limit_of_people_counts_instead_of_the_sites(
    settings: Settings, own: int | None, most: int | None
) -> None:
    settings.REALTIME = {"MAX_OCCUPANTS": 5}
    rows.room("lobby", max_occupants=own)
    (admission,) = admissions.admit([("lobby", auth.NOBODY)])
    assert isinstance(admission, admissions.Admission)
    assert admission.most == most


def test_any_number_may_be_in_a_room_unless_somebody_says_otherwise() -> None:
    rows.room("lobby")
    (admission,) = admissions.admit([("lobby", auth.NOBODY)])
    assert isinstance(admission, admissions.Admission)
    assert admission.most is None


def test_moderators_and_staff_need_no_place(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    lobby = rows.room("lobby", max_occupants=1)
    people = [rows.user("alice"), rows.user("bob"), rows.user("admin", is_staff=True)]
    rows.member(lobby, people[0])
    rows.member(lobby, people[1], "moderator")
    with django_assert_num_queries(2):
        found = admissions.admit([("lobby", auth.person_of(user)) for user in people])
    assert [one.most for one in found if isinstance(one, admissions.Admission)] == [1, None, None]


def test_one_room_of_a_kind_that_is_not_installed_keeps_nobody_else_out() -> None:
    rows.room("lost", kind="poem")
    rows.room("lobby")
    found = admissions.admit([("lost", auth.NOBODY), ("lobby", auth.NOBODY)])
    assert isinstance(found[0], Failed)
    assert isinstance(found[1], admissions.Admission)


@really
def test_what_is_on_commit_in_a_test_runs_when_told_to(
    rung: list[Ring], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """A site's own tests, which run within a transaction, can look at what would be told."""
    room = rows.room()
    with transaction.atomic():
        with django_capture_on_commit_callbacks(execute=True):
            rooms.publish(room, "message", {})
        assert len(rung) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("access", "code"), [("login", "login_required"), ("members", "login_required"), ("anyone", "")]
)
def test_a_visitor_who_submits_is_a_guest_and_not_somebody(access: str, code: str) -> None:
    room = rows.room(join_access="anyone", act_access=access)
    if code:
        with pytest.raises(Refusal) as refused:
            rooms.submit(room, "message", {"text": "x"}, user=AnonymousUser())  # type: ignore[arg-type]
        assert refused.value.code == code
        assert rows.events(room) == []
    else:
        rooms.submit(room, "message", {"text": "x"}, user=AnonymousUser())  # type: ignore[arg-type]
        assert room.events.get().actor == "guest:"


@pytest.mark.django_db
def test_the_site_does_not_speak_for_an_anonymous_user(rung: list[Ring]) -> None:
    room = rows.room()
    for say in (rooms.publish, rooms.broadcast):
        with pytest.raises(TypeError, match="anonymous"):
            say(room, "message", {"text": "x"}, actor=AnonymousUser())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="slug or a Room"):
        rooms.publish(None, "message", {})  # type: ignore[arg-type]
    assert (rows.events(room), rung) == ([], [])


@pytest.mark.django_db
def test_a_closed_room_that_is_saved_stays_closed() -> None:
    room = rows.room()
    rooms.close(room)
    room.title = "Another"
    room.save()
    assert Room.objects.get().closed
    rooms.reopen(room)
    room.save()
    assert not Room.objects.get().closed
