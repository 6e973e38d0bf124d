"""What is asked of a room beside its kind's commands: by whom, judged when, refused how."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.test import TestCase
from pytest_django import Settings

from realtime import auth, bus, moderation, rings, rooms
from realtime.auth import Person
from realtime.errors import Invalid, Refusal
from realtime.models import Membership, Room, Sanction
from realtime.moderation import Asked, Remove
from realtime.policy import Policy
from tests.support import kinds, rows
from tests.support.fakes import FakeNode
from tests.support.wsclient import Frame


@pytest.fixture(autouse=True)
def _odd(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds.install(monkeypatch)


class Scene:
    """A room with a moderator and a member; alice has said something, and a guest, too."""

    def __init__(self, **fields: Any) -> None:
        self.room = rows.room(**fields)
        self.users = {name: rows.user(name) for name in ("alice", "bob", "mod")}
        self.users["admin"] = rows.user("admin", is_staff=True)
        rows.member(self.room, self.users["mod"], "moderator")
        rows.member(self.room, self.users["bob"])
        self.seqs = {
            name: rooms.publish(self.room, "message", {"text": name}, actor=self.users[name]) for name in self.users
        }

    def person(self, name: str) -> Person:
        return auth.person_of(self.users[name])

    def ask(self, name: str, request: str, **arguments: Any) -> Any:
        """Return the reply, or the code of the refusal."""
        asked = Asked(self.room.pk, self.person(name), moderation.parse(request, arguments))
        (done,) = moderation.carry_out([asked])
        return done.code if isinstance(done, Refusal) else done


@pytest.fixture
def scene(db: None) -> Scene:
    return Scene()


# Parsing


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("room_remove", {}),
        ("room_remove", {"seq": "1"}),
        ("room_remove", {"seq": 0}),
        ("room_remove", {"seq": 1.5}),
        ("room_remove", {"seq": True}),
        ("room_remove", {"seq": 2**63}),
        ("room_remove", {"seq": 1, "more": 1}),
        ("room_kick", {}),
        ("room_kick", {"person": ""}),
        ("room_kick", {"person": 7}),
        ("room_kick", {"person": "x" * 151}),
        ("room_kick", {"person": "user:1", "seconds": 5}),
        ("room_ban", {"person": "user:1", "seconds": 0}),
        ("room_ban", {"person": "user:1", "seconds": -1}),
        ("room_ban", {"person": "user:1", "seconds": 1e-9}),
        ("room_mute", {"person": "user:1", "seconds": 0.9}),
        ("room_ban", {"person": "user:1", "seconds": 1e300}),
        ("room_ban", {"person": "user:1", "seconds": "60"}),
        ("room_mute", {"person": "user:1", "reason": "x" * 201}),
        ("room_mute", {"person": "user:1", "reason": "a\0b"}),
        ("room_ban", {"person": "user:1", "reason": "\0\n"}),
    ],
)
def test_arguments_that_make_no_sense_are_invalid(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=name):
        moderation.parse(name, arguments)


# Removing


def test_moderators_and_staff_remove_what_anybody_said(scene: Scene) -> None:
    assert scene.ask("mod", "room_remove", seq=scene.seqs["alice"]) == {"seq": 5}
    assert scene.ask("admin", "room_remove", seq=scene.seqs["mod"]) == {"seq": 6}
    assert [data for _, name, data in rows.events(scene.room) if name == "message"] == [
        {}, {"text": "bob"}, {}, {"text": "admin"}
    ]  # fmt: skip
    assert scene.room.events.get(seq=5).actor_name == "mod"


def test_authors_remove_what_they_said_and_nothing_else(scene: Scene) -> None:
    assert scene.ask("alice", "room_remove", seq=scene.seqs["alice"]) == {"seq": 5}
    assert scene.ask("alice", "room_remove", seq=scene.seqs["bob"]) == "forbidden"


def test_authors_remove_nothing_where_the_kind_does_not_let_them(db: None) -> None:
    scene = Scene(kind="odd")
    assert scene.ask("alice", "room_remove", seq=scene.seqs["alice"]) == "forbidden"
    assert scene.ask("mod", "room_remove", seq=scene.seqs["alice"]) == {"seq": 5}


def test_who_may_no_longer_act_removes_nothing(scene: Scene) -> None:
    Room.objects.update(act_access="members")
    assert scene.ask("alice", "room_remove", seq=scene.seqs["alice"]) == "forbidden"
    assert scene.ask("bob", "room_remove", seq=scene.seqs["bob"]) == {"seq": 5}


def test_a_role_counts_as_it_is_now(scene: Scene) -> None:
    Membership.objects.filter(user=scene.users["mod"]).update(role="member")
    assert scene.ask("mod", "room_remove", seq=scene.seqs["alice"]) == "forbidden"


def test_who_may_no_longer_be_in_the_room_does_nothing_there(scene: Scene) -> None:
    Membership.objects.all().delete()
    Room.objects.update(join_access="members")
    assert scene.ask("mod", "room_remove", seq=scene.seqs["mod"]) == "forbidden"
    Room.objects.update(closed=True)
    assert scene.ask("admin", "room_remove", seq=1) == "room_closed"
    Room.objects.all().delete()
    assert scene.ask("admin", "room_remove", seq=1) == "unknown_room"


def test_a_refusal_does_not_touch_its_neighbours(scene: Scene) -> None:
    asked = [
        Asked(scene.room.pk, scene.person("mod"), moderation.parse("room_remove", {"seq": seq})) for seq in (1, 99, 2)
    ]
    done = moderation.carry_out(asked)
    assert [item.code if isinstance(item, Refusal) else item["seq"] for item in done] == [5, "unknown_event", 6]


# Dealing with people


def sanctions(scene: Scene) -> list[tuple[str, str, bool, str, str]]:
    rows = Sanction.objects.order_by("pk").values_list("kind", "name", "until", "reason", "by_name")
    return [(kind, name, until is None, reason, by) for kind, name, until, reason, by in rows]


def test_a_moderator_bans_mutes_and_lifts(scene: Scene) -> None:
    alice = scene.person("alice").id
    assert scene.ask("mod", "room_ban", person=alice, seconds=600, reason="spam") == {}
    assert scene.ask("mod", "room_mute", person=alice) == {}
    assert sanctions(scene) == [("ban", "alice", False, "spam", "mod"), ("mute", "alice", True, "", "mod")]
    assert scene.ask("alice", "room_remove", seq=1) == "banned"
    assert scene.ask("mod", "room_unban", person=alice) == {}
    assert scene.ask("mod", "room_unmute", person=alice) == {}
    assert sanctions(scene) == []


def test_a_moderator_kicks(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[rings.Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert scene.ask("mod", "room_kick", person="guest:4f1d2c00") == {}
    (ring,) = told
    assert isinstance(ring, rings.Kicked)
    assert (ring.room_pk, ring.person) == (scene.room.pk, "guest:4f1d2c00")


DEALINGS = ("room_kick", "room_ban", "room_unban", "room_mute", "room_unmute")


@pytest.mark.parametrize("request_name", DEALINGS)
def test_who_does_not_moderate_deals_with_nobody(scene: Scene, request_name: str) -> None:
    for target in ("alice", "bob", "admin"):
        assert scene.ask("bob", request_name, person=scene.person(target).id) == "forbidden"
    assert scene.ask("bob", request_name, person="user:0") == "forbidden", "it tells who exists"


@pytest.mark.parametrize("request_name", DEALINGS)
def test_moderators_have_no_say_over_moderators_staff_and_themselves(scene: Scene, request_name: str) -> None:
    other = rows.user("other")
    rows.member(scene.room, other, "moderator")
    scene.users["other"] = other
    for target in ("other", "admin", "mod"):
        assert scene.ask("mod", request_name, person=scene.person(target).id) == "forbidden"
    assert scene.ask("admin", request_name, person=scene.person("mod").id) == {}
    assert scene.ask("admin", request_name, person=scene.person("admin").id) == "forbidden"


@pytest.mark.parametrize("person", ["user:0", "nobody", "guest:", "user:1\0"])
def test_who_does_not_exist_cannot_be_dealt_with(scene: Scene, person: str) -> None:
    assert scene.ask("mod", "room_ban", person=person) == "unknown_person"


def test_a_policy_of_ones_own_says_who_moderates(scene: Scene, settings: Settings) -> None:
    settings.REALTIME = {"POLICY": "tests.test_moderation.Everybody"}
    assert scene.ask("alice", "room_ban", person="guest:4f1d2c00") == {}
    assert scene.ask("alice", "room_ban", person=scene.person("bob").id) == "forbidden", "bob moderates as well"


class Everybody(Policy):
    """All moderate."""

    def may_moderate(self, person: Person, room: Room, role: str | None) -> bool:
        return person.user_pk is not None


# Over a connection


async def push(node: FakeNode, name: str, **arguments: Any) -> Frame:
    connection, lane = node.connect(Person("user:7", "alice", user_pk="7"))
    await connection.receive('["1","1","room:lobby","phx_join",{}]')
    await connection.receive(json.dumps(["1", "2", "room:lobby", name, arguments]))
    return await lane.reply("2")


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    node = FakeNode()
    yield node
    await node.hub.stop()


async def test_a_request_is_handed_on_with_who_asks_and_answered(node: FakeNode) -> None:
    node.log.append(3)
    assert (await push(node, "room_remove", seq=3)).payload == {"status": "ok", "response": {"seq": 4}}
    assert node.moderated == [Asked(1, Person("user:7", "alice", user_pk="7"), Remove(seq=3))]


async def test_a_request_that_makes_no_sense_is_refused(node: FakeNode) -> None:
    assert (await push(node, "room_remove", seq="three")).response["code"] == "invalid"
    assert node.moderated == []


async def test_requests_are_limited_as_commands_are(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.01, "COMMANDS_BURST": 1}
    connection, lane = node.connect()
    await connection.receive('["1","1","room:lobby","phx_join",{}]')
    for ref in ("2", "3"):
        await connection.receive(json.dumps(["1", ref, "room:lobby", "room_remove", {"seq": 1}]))
    assert ((await lane.reply("2")).ok, (await lane.reply("3")).response["code"]) == (True, "rate_limited")
