"""API keys: whose they are, what they are for, when they end; and what connections make of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from realtime import admissions, apikeys, auth, credentials, door, log, policy, rooms
from realtime import node as nodes
from realtime.auth import Person
from realtime.connection import ACCESS_ENDED
from realtime.credentials import Credentials
from realtime.errors import BadCredentials, Forbidden, Refusal
from realtime.kinds import get
from realtime.log import Appended, Entry
from realtime.models import Access, ApiKey, Room
from tests.support import rows
from tests.support.fakes import SECONDS
from tests.test_access import Guest, looked

pytestmark = pytest.mark.django_db(transaction=True)


class Scene:
    """Alice's key, for the message command in the lobby."""

    def __init__(self) -> None:
        self.alice = rows.user("alice")
        self.lobby = rows.room("lobby", act_access=Access.LOGGED_IN)
        self.attic = rows.room("attic")
        self.key = apikeys.make("Builds", self.alice, rooms=[self.lobby], commands=["message"])
        self.row = ApiKey.objects.get()
        self.person = who(self.key)


def who(key: str) -> Person:
    (found,) = door.identify([Credentials(token=key)])
    assert isinstance(found, Person), found
    return found


def refused(key: str) -> bool:
    return isinstance(door.identify([Credentials(token=key)])[0], BadCredentials)


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    return Scene()


# What a key is


def test_a_key_acts_in_its_own_name_with_its_owners_account(scene: Scene) -> None:
    assert scene.person == Person(
        id=f"key:{scene.row.pk}",
        name="Builds",
        user_pk=str(scene.alice.pk),
        grant=auth.Grant(scene.row.pk, frozenset({"lobby"}), frozenset({"message"})),
    )


def test_of_a_key_only_the_digest_and_its_beginning_are_kept(scene: Scene) -> None:
    assert credentials.is_token(scene.key, credentials.KEY)
    (kept,) = ApiKey.objects.values()
    assert scene.key not in str(kept)
    assert kept["digest"] == credentials.digest(scene.key)
    assert scene.key.startswith(kept["hint"])
    assert len(kept["hint"]) < 12


def test_it_is_never_shown_or_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    who(scene.key)
    shown = [repr(scene.row), str(scene.row), repr(scene.person), repr(Credentials(token=scene.key))]
    assert scene.key not in "".join([*shown, *(record.getMessage() for record in caplog.records)])


@pytest.mark.parametrize(
    "key", ["", "rt_key_", "rt_key_" + "x" * 43, "rt_key_" + "x" * 44, "\0", "rt_ticket_" + "x" * 43]
)
def test_what_is_no_key_lets_nobody_in(scene: Scene, key: str) -> None:
    assert refused(key)


def test_many_cost_the_same_queries_as_one(scene: Scene) -> None:
    others = [apikeys.make(f"Other {number}", scene.alice, rooms=[scene.lobby]) for number in range(5)]
    shown = [Credentials(token=key) for key in [*others, "rt_key_" + "x" * 43, scene.key, scene.key]]
    door.identify(shown)  # notes that they were used
    with CaptureQueriesContext(database) as queries:
        found = door.identify(shown)
    assert len(queries) == 2
    names = [person.name if isinstance(person, Person) else person.code for person in found]
    assert names == [*(f"Other {number}" for number in range(5)), "bad_credentials", "Builds", "Builds"]


ENDS: dict[str, Callable[[Scene], Any]] = {
    "being revoked": lambda scene: apikeys.revoke([scene.row]),
    "being deleted": lambda scene: scene.row.delete(),
    "being deleted in a queryset": lambda scene: ApiKey.objects.all().delete(),
    "its owner's deletion": lambda scene: scene.alice.delete(),
    "its owner's deactivation": lambda scene: deactivate(scene.alice),
    "a disconnect of its owner": lambda scene: rooms.disconnect(scene.alice),
}
SILENT: dict[str, Callable[[Scene], Any]] = {
    "time": lambda scene: ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
    "being revoked elsewhere": lambda scene: ApiKey.objects.update(revoked_at=timezone.now()),
    "its owner's deactivation elsewhere": lambda scene: User.objects.update(is_active=False),
}


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


@pytest.mark.parametrize("end", [*ENDS.values(), *SILENT.values()], ids=[*ENDS, *SILENT])
def test_a_key_ends_by(scene: Scene, end: Callable[[Scene], Any]) -> None:
    end(scene)
    assert refused(scene.key) == (end is not ENDS["a disconnect of its owner"])


def test_a_key_that_expires_later_is_valid(scene: Scene) -> None:
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(seconds=60))
    assert not refused(scene.key)


def test_a_new_password_of_its_owner_does_not_end_it(scene: Scene) -> None:
    scene.alice.set_password("another")
    scene.alice.save()
    assert not refused(scene.key)


def test_its_use_is_noted_and_seldom(scene: Scene) -> None:
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    with CaptureQueriesContext(database) as queries:
        who(scene.key)
    assert [query for query in queries if query["sql"].startswith("UPDATE")] == []
    ApiKey.objects.update(last_used_at=first - timedelta(hours=1))
    who(scene.key)
    later = ApiKey.objects.get().last_used_at
    assert later is not None
    assert later >= first


# What it is for


def admit(slug: str, person: Person) -> Any:
    (found,) = admissions.admit([(slug, person)])
    return found.code if isinstance(found, Refusal) else found.can


def test_it_is_let_into_its_rooms_and_hears_of_no_others(scene: Scene) -> None:
    assert admit("lobby", scene.person) == ["act"]
    assert admit("attic", scene.person) == "forbidden"
    assert admit("none-such", scene.person) == "forbidden", "it would learn which rooms there are"


def test_it_may_nothing_that_its_owner_may_not(scene: Scene) -> None:
    Room.objects.update(join_access=Access.MEMBERS)
    assert admit("lobby", scene.person) == "forbidden"
    rows.member(scene.lobby, scene.alice)
    assert admit("lobby", scene.person) == ["act"]


def test_without_commands_it_only_reads(scene: Scene) -> None:
    person = who(apikeys.make("Reader", scene.alice, rooms=[scene.lobby]))
    assert admit("lobby", person) == []
    with pytest.raises(Forbidden):
        policy.check_command(person, "message")


def test_it_moderates_only_where_it_is_for_that_and_its_owner_may(scene: Scene) -> None:
    rows.member(scene.lobby, scene.alice, "moderator")
    assert admit("lobby", scene.person) == ["act"]
    person = who(apikeys.make("Guard", scene.alice, rooms=[scene.lobby], commands=["room_remove"]))
    assert admit("lobby", person) == ["moderate"]


def test_a_command_in_another_room_is_refused_where_it_is_committed(scene: Scene) -> None:
    command = get("chat").parse("message", {"text": "hello"})
    entries = [Entry(room.pk, command, scene.person.actor, None, scene.person) for room in (scene.lobby, scene.attic)]
    done, refusal = log.append(entries)
    assert isinstance(done, Appended)
    assert isinstance(refusal, Forbidden)


# Connections


@pytest.fixture(autouse=True)
def _seldom(settings: Settings) -> None:
    seldom = ("CATCH_UP_SECONDS", "SWEEP_SECONDS", "LEASE_SECONDS", "GROUP_RENEW_SECONDS", "ACCESS_SECONDS")
    settings.REALTIME = dict.fromkeys(seldom, 3600.0)


@pytest.fixture
async def node(transactional_db: None) -> AsyncIterator[nodes.Node]:
    node = nodes.Node()
    await node.start()
    yield node
    async with asyncio.timeout(SECONDS):
        await node.stop()


async def push(guest: Guest, name: str, **arguments: Any) -> Any:
    """Send a command to the lobby and return its reply."""
    async with asyncio.timeout(SECONDS):
        await guest.connection.receive(json.dumps(["1", name, "room:lobby", name, arguments]))
        return (await guest.lane.reply(name)).response


async def test_each_command_is_looked_at(node: nodes.Node, scene: Scene) -> None:
    guest = Guest(node, scene.person)
    assert (await guest.join("lobby"))["you"] == {"id": f"key:{scene.row.pk}", "name": "Builds"}
    assert await push(guest, "message", text="done") == {"seq": 1}
    for name in ("typing", "none_such", "room_remove"):
        assert (await push(guest, name))["code"] == "forbidden"
    assert (await push(guest, "room_history"))["events"][0]["by"]["name"] == "Builds"


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_its_connections_are_closed_at_once_by(
    node: nodes.Node, scene: Scene, end: Callable[[Scene], Any]
) -> None:
    guest = Guest(node, scene.person)
    await guest.join("lobby")
    await sync_to_async(end)(scene)
    assert await guest.refused() == "access_ended"
    assert guest.lane.closed == (ACCESS_ENDED, "access ended")


@pytest.mark.parametrize("end", SILENT.values(), ids=SILENT)
async def test_its_connections_are_closed_at_the_next_look_by(
    node: nodes.Node, scene: Scene, end: Callable[[Scene], Any]
) -> None:
    guest = Guest(node, scene.person)
    await guest.join("lobby")
    await sync_to_async(end)(scene)
    await node.looks.at_all()
    assert await guest.refused() == "access_ended"


async def test_a_room_that_is_taken_from_it_is_left_at_once(node: nodes.Node, scene: Scene) -> None:
    guest = Guest(node, scene.person)
    await guest.join("lobby")
    await sync_to_async(scene.row.rooms.set)([scene.attic])
    assert await guest.put_out() == "forbidden"
    await looked(node)
    assert guest.lane.closed is None
    await sync_to_async(scene.row.rooms.add)(scene.lobby)
    await looked(node)
    assert (await guest.join("lobby"))["seq"] == 0


async def test_a_command_that_is_taken_from_it_is_refused_at_once(node: nodes.Node, scene: Scene) -> None:
    guest = Guest(node, scene.person)
    await guest.join("lobby")
    scene.row.commands = ""
    await sync_to_async(scene.row.save)()
    assert (await guest.lane.event("room_can")).payload == {"can": []}
    assert (await push(guest, "message", text="but"))["code"] == "forbidden"


async def test_the_end_of_one_key_is_nothing_to_others(node: nodes.Node, scene: Scene) -> None:
    key = await sync_to_async(apikeys.make)("Other", scene.alice, rooms=[scene.lobby])
    other = Guest(node, await sync_to_async(who)(key))
    await other.join("lobby")
    await sync_to_async(apikeys.revoke)([scene.row])
    await looked(node)
    assert other.lane.closed is None
