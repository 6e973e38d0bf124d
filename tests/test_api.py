"""A backend's commands over HTTP: what a key may do, what it hears when it may not, and that only a key counts."""

import json
import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from realtime import api, apikeys, bus, metrics, rooms
from realtime.allowances import Allowances
from realtime.models import Access, ApiKey, Event, Room
from realtime.rings import Changed, Happened, Ring, Signalled
from tests.support import kinds, rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The odd kind of room, and nobody's limits used up."""
    kinds.install(monkeypatch)
    monkeypatch.setattr(api, "_allowances", Allowances())


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


@pytest.fixture
def lobby() -> Room:
    return rows.room("lobby")


@pytest.fixture
def key(lobby: Room) -> str:
    return apikeys.make("Builds", rows.user("alice"), rooms=[lobby], commands=["message", "typing", "shout"])


def send(key: str | None, name: str = "message", body: Any = None, *, slug: str = "lobby", **options: Any) -> Any:
    """Send a command; bytes go as they are."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {"text": "hello"}).encode()
    client = options.pop("client", None) or Client(enforce_csrf_checks=True)
    url = reverse("realtime:command", args=[slug, name])
    return client.post(url, content, content_type="application/json", headers=headers, **options)


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_command_is_carried_out_in_the_name_of_the_key(key: str, lobby: Room, rung: list[Ring]) -> None:
    answer = send(key)
    assert (answer.status_code, answer.json()) == (200, {"seq": 1})
    event = Event.objects.get()
    assert (event.name, event.data, event.actor_name) == ("message", {"text": "hello"}, "Builds")
    assert event.actor.startswith("key:")
    assert [type(ring) for ring in rung if not isinstance(ring, Changed)] == [Happened]


def test_sent_again_under_the_same_key_it_happens_once(key: str, lobby: Room) -> None:
    answers = [send(key, body={"text": "hello", "key": "build-7"}).json() for _ in range(2)]
    assert answers == [{"seq": 1}] * 2
    assert rows.events(lobby) == [(1, "message", {"text": "hello"})]


def test_what_is_not_kept_is_told(key: str, rung: list[Ring]) -> None:
    assert send(key, "typing", {}).json() == {}
    assert [type(ring) for ring in rung if not isinstance(ring, Changed)] == [Signalled]


def test_a_moderators_key_removes(lobby: Room, key: str) -> None:
    send(key)
    mod = rows.user("mod")
    guard = apikeys.make("Guard", mod, rooms=[lobby], commands=["room_remove"])
    assert refusal(send(guard, "room_remove", {"seq": 1})) == (403, "forbidden")
    rows.member(lobby, mod, "moderator")
    assert send(guard, "room_remove", {"seq": 1}).json() == {"seq": 2}
    assert refusal(send(key, "room_remove", {"seq": 1})) == (403, "forbidden")


# Who may


@pytest.mark.parametrize("given", [None, "", "x", "rt_key_" + "x" * 43, "rt_ticket_" + "x" * 43])
def test_without_a_key_nobody_may(lobby: Room, given: str | None) -> None:
    answer = send(given)
    assert refusal(answer) == (401, "bad_credentials")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_cookie_lets_nobody_act(lobby: Room) -> None:
    client = Client()
    client.force_login(rows.user("admin", is_superuser=True, is_staff=True))
    assert refusal(send(None, client=client)) == (401, "bad_credentials")


def test_a_basic_login_of_a_proxy_is_no_key(lobby: Room, key: str) -> None:
    url = reverse("realtime:command", args=["lobby", "message"])
    answer = Client().post(url, b"{}", content_type="application/json", headers={"Authorization": f"Basic {key}"})
    assert refusal(answer) == (401, "bad_credentials")


def test_it_is_looked_at_each_time(key: str) -> None:
    assert send(key).status_code == 200
    apikeys.revoke(ApiKey.objects.all())
    assert refusal(send(key)) == (401, "bad_credentials")


@pytest.mark.parametrize(("slug", "name"), [("attic", "message"), ("none-such", "message"), ("lobby", "add")])
def test_beyond_what_it_is_for_it_learns_nothing(key: str, slug: str, name: str) -> None:
    rows.room("attic")
    assert refusal(send(key, name, slug=slug)) == (403, "forbidden")


def test_the_policy_is_asked(key: str, lobby: Room) -> None:
    Room.objects.update(act_access=Access.MEMBERS)
    assert refusal(send(key)) == refusal(send(key, "typing", {})) == (403, "forbidden")
    rows.member(lobby, User.objects.get(username="alice"))
    assert send(key).status_code == 200


def test_what_the_owner_is_held_to_counts(key: str, lobby: Room) -> None:
    alice = User.objects.get(username="alice")
    rooms.mute(alice, lobby)
    for name, arguments in (("message", {"text": "hello"}), ("typing", {})):
        assert refusal(send(key, name, arguments)) == (403, "muted")
    rooms.ban(alice, lobby)
    assert refusal(send(key)) == (403, "banned")


def test_a_closed_room_is_in_the_way(key: str) -> None:
    rooms.close("lobby")
    assert refusal(send(key)) == (409, "room_closed")


# What is wrong with it


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"1", b'"text"', b"\xff\xfe", b'{"text": ', b"[" * 10_000, b'{"a":' * 10_000, b"null"]
)
def test_what_is_no_json_object_is_invalid(key: str, body: bytes) -> None:
    assert refusal(send(key, body=body)) == (400, "invalid")


@pytest.mark.parametrize(
    "body", [{}, {"text": 5}, {"text": "x", "more": 1}, {"text": " "}, {"text": "x", "key": "a b"}]
)
def test_arguments_are_looked_at(key: str, body: dict[str, Any]) -> None:
    assert refusal(send(key, body=body)) == (400, "invalid")
    assert refusal(send(key, body={"text": "x", "key": 5})) == (400, "invalid")


def test_a_command_that_the_kind_has_not_is_unknown(key: str) -> None:
    assert refusal(send(key, "shout", {})) == (404, "unknown_command")


def test_a_body_that_is_too_large_is_not_read(key: str, settings: Settings) -> None:
    settings.REALTIME = {"MAX_BYTES": 256}
    assert send(key, body={"text": "x" * 200}).status_code == 200
    answer = send(key, body={"text": "x" * 5_000_000})
    assert refusal(answer) == (413, "too_large")
    assert "5000012" in answer.json()["message"]


def test_a_room_may_take_less(key: str) -> None:
    Room.objects.update(max_bytes=256)
    assert refusal(send(key, body={"text": "x" * 300})) == (413, "too_large")


def test_who_is_too_fast_has_to_wait(key: str, settings: Settings) -> None:
    settings.REALTIME = {"PERSON_COMMANDS_PER_SECOND": 0.01, "PERSON_COMMANDS_BURST": 2}
    assert [send(key).status_code for _ in range(3)] == [200, 200, 429]
    answer = send(key)
    assert refusal(answer) == (429, "rate_limited")
    assert 0 < int(answer.headers["Retry-After"]) <= 100
    other = apikeys.make("Other", rows.user("bob"), rooms=Room.objects.all(), commands=["message"])
    assert send(other).status_code == 200


def test_a_rooms_own_rate_holds(key: str) -> None:
    Room.objects.update(commands_per_second=1)
    assert [send(key).status_code for _ in range(3)] == [200, 200, 429]


def test_a_database_out_of_reach_is_said(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(rooms, "commit", gone)
    answer = send(key)
    assert refusal(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_kind_that_raises_is_said_and_logged(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rooms, "commit", lambda entries: 1 / 0)
    assert refusal(send(key)) == (500, "failed")
    assert "The command message for lobby failed" in caplog.text


@pytest.mark.parametrize(("what", "status", "code"), [("refuse", 429, "not_now"), ("raise", 500, "failed")])
def test_a_kinds_own_no_is_passed_on(what: str, status: int, code: str) -> None:
    odd = rows.room("odd", kind="odd")
    key = apikeys.make("Odd", rows.user("alice"), rooms=[odd], commands=["do"])
    assert refusal(send(key, "do", {"what": what}, slug="odd")) == (status, code)


def test_only_a_post_is_taken(key: str) -> None:
    url = reverse("realtime:command", args=["lobby", "message"])
    assert Client().get(url, headers={"Authorization": f"Bearer {key}"}).status_code == 405


def test_refusals_are_counted_and_the_key_is_not_logged(key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = metrics.refusals.values.get("forbidden", 0)
    send(key, "add")
    send(key)
    send(key, body=b"x")
    assert metrics.refusals.values["forbidden"] == before + 1
    assert key not in "".join(record.getMessage() for record in caplog.records)
