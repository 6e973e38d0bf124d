"""A person's access ends when it ends: open connections follow the account, the session, the membership and the room."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from realtime import auth, consumers, door, rooms
from realtime import node as nodes
from realtime.auth import NOBODY, Person
from realtime.connection import ACCESS_ENDED, Connection
from realtime.models import Access, Membership, Room
from realtime.policy import Policy
from tests.support import rows
from tests.support.fakes import SECONDS, FakeLane, settle
from tests.support.wsclient import Frame

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _seldom(settings: Settings) -> None:
    """Nothing happens by itself while a test runs: it says when."""
    seldom = ("CATCH_UP_SECONDS", "SWEEP_SECONDS", "LEASE_SECONDS", "GROUP_RENEW_SECONDS", "ACCESS_SECONDS")
    settings.REALTIME = dict.fromkeys(seldom, 3600.0)


@pytest.fixture
async def node(transactional_db: None) -> AsyncIterator[nodes.Node]:
    node = nodes.Node()
    await node.start()
    yield node
    async with asyncio.timeout(SECONDS):
        await node.stop()


class Guest:
    """Somebody's connection, in a room."""

    def __init__(self, node: nodes.Node, person: Person) -> None:
        self.lane = FakeLane()
        self.connection = Connection(node, person, self.lane)

    async def join(self, slug: str) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            await self.connection.receive(json.dumps(["1", "1", f"room:{slug}", "phx_join", {}]))
            return (await self.lane.reply("1")).response

    async def write(self) -> Frame:
        async with asyncio.timeout(SECONDS):
            await self.connection.receive(json.dumps(["1", "2", "room:lobby", "message", {"text": "hi"}]))
            return await self.lane.reply("2")

    async def refused(self) -> str:
        """Return the code of the refusal with which the whole connection ends."""
        code: str = (await self.lane.event("refusal")).payload["code"]
        return code

    async def put_out(self) -> str:
        """Return the code of the refusal with which the subscription ends. `phx_close` follows, for stock clients."""
        code: str = (await self.lane.event("room_ended")).payload["code"]
        await self.lane.event("phx_close")
        return code


def log_in(user: User) -> tuple[Browser, Person]:
    browser = Browser()
    browser.force_login(user)
    return browser, who_has(browser)


def who_has(browser: Browser) -> Person:
    """Return whom this browser's session is taken for."""
    (person,) = auth.of_cookies([f"{site.SESSION_COOKIE_NAME}={browser.cookies[site.SESSION_COOKIE_NAME].value}"])
    return person


class Scene:
    """Alice with two sessions, bob with one, and a visitor, all in the lobby."""

    def __init__(self) -> None:
        self.room = rows.room("lobby", join_access=Access.ANYONE, act_access=Access.LOGGED_IN)
        self.alice, self.bob = rows.user("alice"), rows.user("bob")
        self.browser, self.first = log_in(self.alice)
        _, self.second = log_in(self.alice)
        _, self.bobs = log_in(self.bob)


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    return Scene()


async def enter(node: nodes.Node, *people: Person) -> list[Guest]:
    guests = [Guest(node, person) for person in people]
    for guest in guests:
        assert (await guest.join("lobby"))["seq"] == 0
    return guests


async def do(act: Callable[[], Any]) -> None:
    await sync_to_async(act)()


async def looked(node: nodes.Node) -> None:
    """Return once what was told has been looked at."""
    await settle()
    async with asyncio.timeout(SECONDS):
        while node.looks.busy:
            await settle()


async def test_logging_out_closes_that_sessions_connections_and_no_others(node: nodes.Node, scene: Scene) -> None:
    first, second, bob, visitor = await enter(node, scene.first, scene.second, scene.bobs, NOBODY)
    await do(lambda: scene.browser.post("/accounts/logout/"))
    assert await first.refused() == "access_ended"
    await looked(node)
    assert first.lane.closed == (ACCESS_ENDED, "access ended")
    assert [guest.lane.closed for guest in (second, bob, visitor)] == [None] * 3
    assert first.lane.named("phx_close"), "a stock client would join again"


async def test_who_logs_in_where_somebody_else_is_ends_that_persons_session_and_no_other(
    node: nodes.Node, scene: Scene
) -> None:
    first, second, bob, visitor = await enter(node, scene.first, scene.second, scene.bobs, NOBODY)
    await do(lambda: scene.browser.post("/accounts/login/", {"username": "bob", "password": "bob"}))
    assert await first.refused() == "access_ended"
    await looked(node)
    assert [guest.lane.closed for guest in (second, bob, visitor)] == [None] * 3


async def test_who_logs_in_once_more_or_was_a_guest_goes_on(node: nodes.Node, scene: Scene) -> None:
    stranger = Browser()
    await do(lambda: stranger.get("/rooms/lobby/"))
    guest = await sync_to_async(who_has)(stranger)
    present = await enter(node, scene.first, guest)
    for browser in (scene.browser, stranger):
        await do(partial(browser.post, "/accounts/login/", {"username": "alice", "password": "alice"}))
    await looked(node)
    assert (await sync_to_async(who_has)(stranger)).name == "alice"
    assert [one.lane.closed for one in present] == [None] * 2


def set_password(user: User) -> None:
    user.set_password("another")
    user.save()


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


@pytest.mark.parametrize("change", [set_password, deactivate, lambda user: user.delete()])
async def test_an_account_that_ends_closes_all_of_its_connections(
    node: nodes.Node, scene: Scene, change: Callable[[User], Any]
) -> None:
    first, second, bob, visitor = await enter(node, scene.first, scene.second, scene.bobs, NOBODY)
    await do(lambda: change(scene.alice))
    assert [await guest.refused() for guest in (first, second)] == ["access_ended"] * 2
    await looked(node)
    assert [guest.lane.closed for guest in (bob, visitor)] == [None] * 2


SILENT: dict[str, Callable[[Scene], Any]] = {
    "is_active by update": lambda scene: User.objects.filter(pk=scene.alice.pk).update(is_active=False),
    "the password by update": lambda scene: User.objects.filter(pk=scene.alice.pk).update(password="x"),
    "the sessions removed": lambda scene: Session.objects.exclude(pk=scene.bobs.session_key).delete(),
    "the sessions expired": lambda scene: Session.objects.exclude(pk=scene.bobs.session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    ),
}


@pytest.mark.parametrize("change", SILENT.values(), ids=SILENT)
async def test_what_sends_no_signal_is_found_by_the_next_look(
    node: nodes.Node, scene: Scene, change: Callable[[Scene], Any]
) -> None:
    first, second, bob, visitor = await enter(node, scene.first, scene.second, scene.bobs, NOBODY)
    await do(lambda: change(scene))
    await node.looks.at_all()
    assert [await guest.refused() for guest in (first, second)] == ["access_ended"] * 2
    assert [guest.lane.closed for guest in (bob, visitor)] == [None] * 2


async def test_a_silent_change_of_the_account_counts_for_commands_from_the_next_look(
    node: nodes.Node, scene: Scene
) -> None:
    (first,) = await enter(node, scene.first)
    await do(lambda: User.objects.filter(pk=scene.alice.pk).update(is_active=False))
    assert (await first.write()).ok, "docs/guarantees.md, SECURITY.md and docs/howto/policy.md say so"
    await node.looks.at_all()
    assert first.lane.closed == (ACCESS_ENDED, "access ended")


async def test_a_session_that_was_prolonged_goes_on(node: nodes.Node, scene: Scene) -> None:
    (first,) = await enter(node, scene.first)
    later = timezone.now() + timedelta(days=30)
    await do(lambda: Session.objects.update(expire_date=later))
    await node.looks.at_all()
    assert first.lane.closed is None


async def test_a_lost_membership_ends_that_subscription_and_not_the_connection(node: nodes.Node, scene: Scene) -> None:
    members = Membership.objects
    await do(lambda: [members.create(room=scene.room, user=user) for user in (scene.alice, scene.bob)])
    await do(lambda: Room.objects.update(join_access=Access.MEMBERS, act_access=Access.MEMBERS))
    first, bob = await enter(node, scene.first, scene.bobs)
    await do(lambda: members.get(user=scene.alice).delete())
    assert await first.put_out() == "forbidden"
    await looked(node)
    assert (first.lane.closed, bob.lane.named("room_ended")) == (None, [])


async def test_a_room_made_stricter_puts_out_who_may_no_longer_be_there(node: nodes.Node, scene: Scene) -> None:
    first, visitor = await enter(node, scene.first, NOBODY)
    scene.room.join_access = Access.LOGGED_IN
    await do(scene.room.save)
    assert await visitor.put_out() == "login_required"
    await looked(node)
    assert first.lane.named("room_ended") == []


async def test_a_new_role_is_told_and_counts_at_once(node: nodes.Node, scene: Scene) -> None:
    (first,) = await enter(node, scene.first)
    await do(lambda: Membership.objects.create(room=scene.room, user=scene.alice, role="moderator"))
    assert (await first.lane.event("room_can")).payload == {"can": ["act", "moderate"]}


class Plans(Policy):
    """A site's own rules, which hang on what sends no signal."""

    def may_join(self, person: Person, room: Room, role: str | None) -> bool:
        return Group.objects.filter(name="pro", user__pk=person.user_pk or 0).exists()


async def test_what_a_sites_own_rules_look_at_counts_from_the_next_look(
    node: nodes.Node, scene: Scene, settings: Settings
) -> None:
    settings.REALTIME = {**settings.REALTIME, "POLICY": "tests.test_access.Plans"}
    plan = await Group.objects.acreate(name="pro")
    await do(lambda: plan.user_set.add(scene.alice, scene.bob))
    first, bob = await enter(node, scene.first, scene.bobs)
    await do(lambda: plan.user_set.remove(scene.alice))
    await node.looks.at_all()
    assert await first.put_out() == "forbidden"
    assert (first.lane.closed, bob.lane.named("room_ended")) == (None, [])


async def test_a_look_that_finds_nothing_new_says_nothing(node: nodes.Node, scene: Scene) -> None:
    (first,) = await enter(node, scene.first)
    heard = len(first.lane.batches)
    await do(scene.alice.save)
    await looked(node)
    await node.looks.at_all()
    assert [name for name in ("refusal", "room_can", "room_ended") if first.lane.named(name)] == []
    assert len(first.lane.batches) <= heard + 1  # who is here, at most


async def test_a_new_name_and_staff_status_count_from_the_next_look(node: nodes.Node, scene: Scene) -> None:
    (first,) = await enter(node, scene.first)
    scene.alice.is_staff = True
    await do(scene.alice.save)
    assert "moderate" in (await first.lane.event("room_can")).payload["can"]
    assert first.connection.person.is_staff


async def test_who_is_kicked_leaves_that_room_with_all_connections(node: nodes.Node, scene: Scene) -> None:
    first, second, bob = await enter(node, scene.first, scene.second, scene.bobs)
    await do(lambda: rooms.kick(scene.alice, "lobby"))
    assert [await guest.put_out() for guest in (first, second)] == ["kicked"] * 2
    assert (first.lane.closed, bob.lane.named("room_ended")) == (None, [])
    assert (await first.join("lobby"))["seq"] == 0


async def test_who_is_disconnected_is_told_to_stay_away(node: nodes.Node, scene: Scene) -> None:
    first, second, bob = await enter(node, scene.first, scene.second, scene.bobs)
    await do(lambda: rooms.disconnect(scene.alice))
    assert [await guest.refused() for guest in (first, second)] == ["access_ended"] * 2
    assert bob.lane.closed is None


async def test_many_are_looked_at_with_a_handful_of_queries(node: nodes.Node, scene: Scene, settings: Settings) -> None:
    settings.REALTIME = {**settings.REALTIME, "CONNECTIONS_PER_PERSON": 0}
    guests = await enter(node, *[scene.first] * 150)
    counted = await sync_to_async(asked_for)([guest.connection.person for guest in guests])
    assert counted <= 4


def asked_for(people: list[Person]) -> int:
    """How many queries a look at these people, in one room, costs."""
    with CaptureQueriesContext(database) as queries:
        door.answer([*people, *(("lobby", person) for person in people)])
    return len(queries)


async def test_a_database_out_of_reach_ends_nobodys_access(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await enter(node, scene.first)
    with monkeypatch.context() as patch:
        patch.setattr(auth, "still", lambda people: (_ for _ in ()).throw(nodes.Refusal("unavailable", "gone", 1.0)))
        await node.looks.at_all()
    assert first.lane.closed is None


# Who comes in while it is told


class Handshake:
    """A WebSocket that is opened with somebody's session, up to and with its first answers."""

    def __init__(self, node: nodes.Node, session_key: str | None) -> None:
        cookie = f"{site.SESSION_COOKIE_NAME}={session_key}".encode()
        self._scope = {
            "type": "websocket", "path": "/", "scheme": "ws", "query_string": b"vsn=2.0.0",
            "headers": [(b"host", b"testserver"), (b"cookie", cookie)], "subprotocols": [],
        }  # fmt: skip
        self._node = node
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def close_code(self, monkeypatch: pytest.MonkeyPatch) -> int | None:
        """Open it, and return with which code the server closes it once everything was looked at; None where it does not."""

        async def this_one() -> nodes.Node:
            return self._node

        monkeypatch.setattr(nodes, "current", this_one)
        self._received.put_nowait({"type": "websocket.connect"})
        serving = asyncio.create_task(consumers.websocket(self._scope, self._received.get, self._sent.put))
        async with asyncio.timeout(SECONDS):
            assert (await self._sent.get())["type"] == "websocket.accept"
        await looked(self._node)
        sent = [self._sent.get_nowait() for _ in range(self._sent.qsize())]
        self._received.put_nowait({"type": "websocket.disconnect"})
        async with asyncio.timeout(SECONDS):
            await serving
        return next((item["code"] for item in sent if item["type"] == "websocket.close"), None)


def overtaken(node: nodes.Node, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], Any]) -> None:
    """Have something happen, and be looked at, after the node or its hub was asked and before it is known what it answered."""
    at = node.hub if name == "enter" else node
    ask = getattr(at, name)

    async def slowly(*arguments: Any) -> Any:
        answer = await ask(*arguments)
        monkeypatch.setattr(at, name, ask)
        await do(act)
        await looked(node)
        return answer

    monkeypatch.setattr(at, name, slowly)


async def test_who_was_identified_before_the_session_was_gone_does_not_stay(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django tells of a logout before it removes the session."""
    found: list[Person] = []

    def late(request: Any, **kwargs: Any) -> None:
        found.extend(auth.of_cookies([f"{site.SESSION_COOKIE_NAME}={request.session.session_key}"]))

    async def identify(shown: Any) -> Person:
        return found[0]

    user_logged_out.connect(late)
    try:
        await do(lambda: scene.browser.post("/accounts/logout/"))
    finally:
        user_logged_out.disconnect(late)
    await looked(node)
    assert found[0].user_pk == str(scene.alice.pk)
    monkeypatch.setattr(node, "identify", identify)
    assert await Handshake(node, scene.first.session_key).close_code(monkeypatch) == ACCESS_ENDED


OVERTAKES: dict[str, Callable[[Scene], Any]] = {
    "a logout": lambda scene: scene.browser.post("/accounts/logout/"),
    "a new password": lambda scene: set_password(scene.alice),
    "a deactivation": lambda scene: deactivate(scene.alice),
    "a deletion": lambda scene: scene.alice.delete(),
    "a disconnect": lambda scene: rooms.disconnect(scene.alice),
}


@pytest.mark.parametrize("change", OVERTAKES.values(), ids=OVERTAKES)
async def test_what_comes_during_a_handshake_is_not_slept_through(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Scene], Any]
) -> None:
    overtaken(node, monkeypatch, "identify", lambda: change(scene))
    assert await Handshake(node, scene.first.session_key).close_code(monkeypatch) == ACCESS_ENDED
    assert await Handshake(node, scene.bobs.session_key).close_code(monkeypatch) is None


@pytest.mark.parametrize("change", OVERTAKES.values(), ids=OVERTAKES)
async def test_what_comes_while_a_ticket_is_looked_at_is_not_slept_through(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Scene], Any]
) -> None:
    ticket = (await sync_to_async(scene.browser.post)("/realtime/ticket")).json()["ticket"]
    guest = Guest(node, NOBODY)
    overtaken(node, monkeypatch, "identify", lambda: change(scene))
    await guest.connection.receive(json.dumps(["1", "1", "room:lobby", "phx_join", {"ticket": ticket}]))
    assert await guest.refused() == "access_ended"
    assert guest.lane.closed == (ACCESS_ENDED, "access ended")


JOINS: dict[str, Callable[[Scene], Any]] = {
    "a lost membership": lambda scene: Membership.objects.get(user=scene.alice).delete(),
    "a stricter room": lambda scene: make_stricter(scene.room),
}


def make_stricter(room: Room) -> None:
    room.join_access = Access.STAFF
    room.save()


@pytest.mark.parametrize("change", JOINS.values(), ids=JOINS)
@pytest.mark.parametrize("step", ["admit", "enter"])
async def test_what_comes_during_a_join_is_not_slept_through(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch, change: Callable[[Scene], Any], step: str
) -> None:
    await do(lambda: Membership.objects.create(room=scene.room, user=scene.alice))
    await do(lambda: make_members(scene.room))
    guest = Guest(node, scene.first)
    overtaken(node, monkeypatch, step, lambda: change(scene))
    assert (await guest.join("lobby"))["seq"] == 0
    assert await guest.put_out() == "forbidden"
    await looked(node)
    assert guest.lane.closed is None


def make_members(room: Room) -> None:
    room.join_access = room.act_access = Access.MEMBERS
    room.save()


async def test_what_concerns_others_costs_who_joins_no_look(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(node, scene.first)
    overtaken(node, monkeypatch, "admit", scene.bob.save)
    await guest.join("lobby")
    assert not node.looks.busy


async def test_a_look_at_a_guest_does_not_undo_what_their_ticket_said(
    node: nodes.Node, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = (await sync_to_async(scene.browser.post)("/realtime/ticket")).json()["ticket"]
    guest, still, shown = Guest(node, NOBODY), node.still, asyncio.Event()

    async def slowly(person: Person) -> Person | None:
        await shown.wait()
        return await still(person)

    monkeypatch.setattr(node, "still", slowly)
    node.looks.soon([guest.connection])
    await settle()
    await guest.connection.receive(json.dumps(["1", "1", "room:lobby", "phx_join", {"ticket": ticket}]))
    shown.set()
    await looked(node)
    assert guest.connection.person.user_pk == str(scene.alice.pk)
