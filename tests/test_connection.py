"""One client's line: whatever it sends is answered or refused, and what it hears is whole and in order."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from realtime import conf, metrics, rings
from realtime.auth import NOBODY, Person
from realtime.connection import Connection
from realtime.errors import (
    BadCredentials,
    Failed,
    Forbidden,
    Overloaded,
    Refusal,
    RoomClosed,
    TooManyConnections,
    Unavailable,
    UnknownRoom,
)
from realtime.kinds import Actor
from realtime.protocol import Frame
from tests.support import kinds
from tests.support.fakes import SECONDS, FakeLane, FakeNode, settle
from tests.support.refusals import one_of_each

TOPIC = "room:lobby"


@pytest.fixture(autouse=True)
def _odd(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds.install(monkeypatch)
    monkeypatch.setattr("realtime.hub._GRACE_SECONDS", 0)


@pytest.fixture
async def node() -> AsyncIterator[FakeNode]:
    node = FakeNode()
    yield node
    await node.hub.stop()


async def send(connection: Connection, *frame: Any) -> None:
    async with asyncio.timeout(SECONDS):
        await connection.receive(json.dumps(frame))


async def join(
    connection: Connection, lane: FakeLane, topic: str = TOPIC, ref: str = "1", **payload: Any
) -> dict[str, Any]:
    """Join and return the reply's response."""
    await send(connection, ref, ref, topic, "phx_join", payload)
    return (await lane.reply(ref)).response


async def refused(connection: Connection, lane: FakeLane, event: str, payload: Any = None) -> dict[str, Any]:
    """Send a command and return the refusal that it gets."""
    await send(connection, "1", "9", TOPIC, event, payload or {})
    reply = await lane.reply("9")
    assert not reply.ok, reply
    return reply.response


# The frame


async def test_a_heartbeat_is_answered(node: FakeNode) -> None:
    connection, lane = node.connect()
    await send(connection, None, "1", "phoenix", "heartbeat", {})
    assert lane.frames == [(None, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}})]


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", "[" * 2000, '["\ud800"]', b"\xff"])
async def test_what_is_no_frame_is_refused_and_the_connection_lives_on(
    node: FakeNode, text: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connection, lane = node.connect()
    await connection.receive(text)
    refusal = await lane.event("refusal")
    assert (refusal.topic, refusal.payload["code"]) == ("phoenix", "malformed")
    assert (await join(connection, lane))["seq"] == 0
    assert caplog.records == []


async def test_a_binary_frame_is_refused(node: FakeNode) -> None:
    connection, lane = node.connect()
    connection.refuse_binary()
    assert "binary" in (await lane.event("refusal")).payload["message"]


async def test_a_frame_that_is_too_large_is_refused_by_its_bytes(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"MAX_BYTES": 256}
    connection, lane = node.connect()
    fits = json.dumps([None, "1", "phoenix", "heartbeat", {"x": ""}])
    text = json.dumps([None, "1", "phoenix", "heartbeat", {"x": "é" * ((256 - len(fits)) // 2)}], ensure_ascii=False)
    await connection.receive(text)
    assert (await lane.reply("1")).ok
    await connection.receive(text + " ")
    await connection.receive(text + "  ")
    assert (await lane.event("refusal")).payload["code"] == "too_large"


async def test_ten_frames_in_a_row_that_mean_nothing_end_the_connection(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    for _ in range(9):
        await connection.receive("nonsense")
    assert lane.closed is None
    await connection.receive("nonsense")
    assert lane.closed == (4500, "cannot be understood")
    assert lane.frames[-1] == ("1", "1", TOPIC, "phx_close", {})


async def test_one_that_is_understood_starts_the_count_anew(node: FakeNode) -> None:
    connection, lane = node.connect()
    for _ in range(3):
        for _ in range(9):
            await connection.receive("nonsense")
        await send(connection, None, "1", "phoenix", "heartbeat", {})
    assert lane.closed is None


@pytest.mark.parametrize("topic", ["phoenix", "lobby", "room:", "room:a b", "room:" + "x" * 101, "", TOPIC])
async def test_a_topic_that_is_not_joined_is_unmatched(node: FakeNode, topic: str) -> None:
    connection, lane = node.connect()
    await send(connection, "5", "6", topic, "message", {})
    reply = await lane.reply("6")
    assert (reply.join_ref, reply.response["code"], reply.response["reason"]) == (
        None,
        "unmatched_topic",
        "unmatched topic",
    )


# Joining


async def test_a_join_is_answered_with_everything_a_client_needs(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(3)
    node.admitted = {"state": {"value": 3}, "can": ["act", "moderate"]}
    welcome = await join(connection, lane, since=1)
    assert [event["seq"] for event in welcome.pop("events")] == [2, 3]
    assert welcome == {
        "seq": 3,
        "tail": 0,
        "more": False,
        "complete": True,
        "state": {"value": 3},
        "you": {"id": "user:7", "name": "alice"},
        "can": ["act", "moderate"],
        "room": {"title": "Lobby", "kind": "chat"},
    }


async def test_a_client_that_has_nothing_hears_only_what_is_new(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(3)
    welcome = await join(connection, lane)
    assert (welcome["events"], welcome["seq"], welcome["complete"], welcome["more"]) == ([], 3, True, False)
    node.hub.hear(rings.happened(1, node.log.append()))
    assert (await lane.event("message")).payload["seq"] == 4


async def test_a_client_that_has_everything_is_told_so(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(3)
    welcome = await join(connection, lane, since=3)
    assert (welcome["events"], welcome["complete"], welcome["more"]) == ([], True, False)


@pytest.mark.parametrize(("since", "left"), [(0, [4, 5]), (2, [4, 5]), (99, [])])
async def test_a_client_that_cannot_be_served_in_full_is_told_so(node: FakeNode, since: int, left: list[int]) -> None:
    connection, lane = node.connect()
    node.log.append(5)
    node.log.remove_up_to(3)
    welcome = await join(connection, lane, since=since)
    assert ([event["seq"] for event in welcome["events"]], welcome["complete"]) == (left, False)
    assert welcome["seq"] == 5


async def test_a_cleared_room_has_nothing_and_says_so(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(5)
    node.log.remove_up_to(5)
    welcome = await join(connection, lane, since=2)
    assert (welcome["events"], welcome["complete"], welcome["more"], welcome["seq"]) == ([], False, False, 5)
    node.hub.hear(rings.happened(1, node.log.append()))
    assert (await lane.event("message")).payload["seq"] == 6


async def test_what_does_not_fit_into_the_reply_follows_it(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"PAGE_EVENTS": 4, "RECENT_EVENTS": 5}
    node.log._page_size = 4
    connection, lane = node.connect()
    node.log.append(20)
    welcome = await join(connection, lane, since=3)
    assert ([event["seq"] for event in welcome["events"]], welcome["more"], welcome["seq"]) == ([4, 5, 6, 7], True, 20)
    await settle()
    assert lane.seqs == list(range(8, 21))


async def test_a_reply_is_bounded_by_bytes_too(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"PAGE_BYTES": 1024}
    connection, lane = node.connect()
    node.log.append(30)
    welcome = await join(connection, lane, since=0)
    assert 0 < len(welcome["events"]) < 15
    assert welcome["more"]
    await settle()
    assert len(welcome["events"]) + len(lane.seqs) == 30


@pytest.mark.parametrize("since", [-1, 1.5, "1", True, 2**63, [], {}])
async def test_a_position_is_a_whole_number(node: FakeNode, since: Any) -> None:
    connection, lane = node.connect()
    assert (await join(connection, lane, since=since))["code"] == "invalid"


@pytest.mark.parametrize("refusal", [UnknownRoom("x"), Forbidden(), RoomClosed(), Failed()])
async def test_where_trying_again_is_pointless_the_topic_is_closed(node: FakeNode, refusal: Any) -> None:
    connection, lane = node.connect()
    node.refusal = refusal
    assert (await join(connection, lane))["code"] == refusal.code
    assert lane.frames == [("1", "1", TOPIC, "phx_close", {})]


@pytest.mark.parametrize("refusal", [Unavailable(), Overloaded()])
async def test_where_it_helps_to_try_again_it_is_left_open(node: FakeNode, refusal: Any) -> None:
    connection, lane = node.connect()
    node.refusal = refusal
    assert (await join(connection, lane))["retry_after"] > 0
    assert lane.frames == []
    node.refusal = None
    assert (await join(connection, lane))["seq"] == 0


async def test_a_log_that_cannot_be_read_leaves_nobody_in_the_room(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(1000)
    node.log.refusal = Unavailable()
    assert (await join(connection, lane, since=1))["code"] == "unavailable"
    assert node.hub.rooms == {}


async def test_joining_again_ends_the_first_subscription(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane, ref="1")
    await join(connection, lane, ref="2")
    assert lane.named("phx_close") == [("1", "1", TOPIC, "phx_close", {})]
    node.hub.hear(rings.happened(1, node.log.append()))
    await settle()
    assert lane.seqs == [1]
    assert len(node.hub.rooms[1].subscriptions()) == 1


async def test_frames_of_an_earlier_join_are_ignored(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane, ref="2")
    await send(connection, "1", "3", TOPIC, "message", {"text": "hi"})
    await send(connection, "1", "4", TOPIC, "phx_leave", {})
    await send(connection, "2", "5", TOPIC, "message", {"text": "hi"})
    assert (await lane.reply("5")).ok
    assert [frame.ref for frame in lane.frames if frame.event == "phx_reply"] == []
    assert len(node.entries) == 1


async def test_only_so_many_rooms_fit_on_one_connection(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROOMS": 2}
    connection, lane = node.connect()
    await join(connection, lane, "room:a")
    await join(connection, lane, "room:b")
    assert (await join(connection, lane, "room:c"))["code"] == "too_many_rooms"
    assert (await join(connection, lane, "room:a"))["seq"] == 0


async def test_a_client_comes_back_to_all_of_its_rooms_at_once(node: FakeNode) -> None:
    connection, lane = node.connect()
    found = [await join(connection, lane, f"room:r{number}") for number in range(conf.current().MAX_ROOMS)]
    assert all("seq" in welcome for welcome in found)


async def test_leaving_is_answered_and_closes_the_topic(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane, ref="1")
    await send(connection, "1", "2", TOPIC, "phx_leave", {})
    assert lane.frames == [
        ("1", "2", TOPIC, "phx_reply", {"status": "ok", "response": {}}),
        ("1", "1", TOPIC, "phx_close", {}),
    ]
    assert node.hub.rooms == {}


async def test_leaving_where_one_is_not_is_fine(node: FakeNode) -> None:
    connection, lane = node.connect()
    await send(connection, "1", "2", TOPIC, "phx_leave", {})
    assert (await lane.reply("2")).ok


async def test_a_room_that_ends_while_it_is_joined_ends_the_join_and_nothing_else(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(500)
    node.log.gate.clear()
    joining = asyncio.create_task(send(connection, "1", "1", TOPIC, "phx_join", {"since": 1}))
    await settle()
    node.hub.hear(rings.Ended(1, "room_closed", "This room is closed."))
    node.log.gate.set()
    async with asyncio.timeout(SECONDS):
        await joining
    assert (await lane.event("room_ended")).payload["code"] == "room_closed"
    assert (await lane.event("phx_close")).join_ref == "1"
    assert (await join(connection, lane))["seq"] == 500


# Commands


async def test_a_command_is_answered_when_it_is_committed(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    node.holds = True
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi", "key": "k1"})
    await settle()
    assert lane.named("phx_reply") == []
    node.commit()
    assert (await lane.reply("2")).response == {"seq": 1}
    (entry,) = node.entries
    assert (entry.key, entry.actor) == ("k1", Actor("user:7", "alice"))
    assert entry.person is connection.person


async def test_commands_are_handed_over_in_the_order_they_come(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    for number in range(20):
        await send(connection, "1", str(number), TOPIC, "message", {"text": f"{number}"})
    assert [entry.deed.text for entry in node.entries] == [f"{number}" for number in range(20)]  # type: ignore[union-attr]
    assert [(await lane.reply(str(number))).response["seq"] for number in range(20)] == list(range(1, 21))


@pytest.mark.parametrize(
    ("event", "payload", "code"),
    [
        ("shout", {}, "unknown_command"),
        ("phx_close", {}, "unknown_command"),
        ("message", {}, "invalid"),
        ("message", {"text": 5}, "invalid"),
        ("message", {"text": "hi", "more": 1}, "invalid"),
        ("message", {"text": "hi", "key": ""}, "invalid"),
        ("message", {"text": "hi", "key": 5}, "invalid"),
        ("message", {"text": "hi", "key": "x" * 65}, "invalid"),
        ("message", {"text": "hi", "key": "two words"}, "invalid"),
        ("room_history", {"limit": 0}, "invalid"),
        ("room_history", {"limit": 201}, "invalid"),
        ("room_history", {"before": "3"}, "invalid"),
    ],
)
async def test_a_command_that_makes_no_sense_is_refused(
    node: FakeNode, event: str, payload: dict[str, Any], code: str
) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    assert (await refused(connection, lane, event, payload))["code"] == code
    assert node.entries == []


async def test_a_key_of_null_is_no_key(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi", "key": None})
    assert node.entries[0].key is None


async def test_a_refusal_of_the_log_is_the_answer(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    node.refusal = Overloaded()
    refusal = await refused(connection, lane, "message", {"text": "hi"})
    assert (refusal["code"], refusal["retry_after"]) == ("overloaded", 1.0)


async def test_a_bug_of_ours_is_a_refusal_and_stands_in_the_log(
    node: FakeNode, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    monkeypatch.setattr(node, "append", lambda entry: 1 / 0)
    with caplog.at_level(logging.ERROR, "realtime.connection"):
        assert (await refused(connection, lane, "message", {"text": "hi"}))["code"] == "failed"
    assert "ZeroDivisionError" in caplog.text


async def test_more_than_the_connection_allows_is_refused_for_a_while(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.01, "COMMANDS_BURST": 2}
    connection, lane = node.connect()
    await join(connection, lane)
    for ref in ("2", "3"):
        await send(connection, "1", ref, TOPIC, "message", {"text": "hi"})
        assert (await lane.reply(ref)).ok
    refusal = await refused(connection, lane, "message", {"text": "hi"})
    assert (refusal["code"], refusal["retry_after"] > 50) == ("rate_limited", True)


async def test_a_room_may_allow_less(node: FakeNode) -> None:
    node.admitted = {"commands_per_second": 0.5}
    connection, lane = node.connect()
    await join(connection, lane)
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi"})
    assert (await refused(connection, lane, "message", {"text": "hi"}))["code"] == "rate_limited"


async def test_a_persons_connections_share_what_they_may_do(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"PERSON_COMMANDS_PER_SECOND": 0.01, "PERSON_COMMANDS_BURST": 3}
    codes = []
    for _ in range(3):
        connection, lane = node.connect()
        await join(connection, lane)
        for ref in ("2", "3"):
            await send(connection, "1", ref, TOPIC, "message", {"text": "hi"})
            codes.append((await lane.reply(ref)).response.get("code"))
    assert codes == [None, None, None, "rate_limited", "rate_limited", "rate_limited"]
    another, lane = node.connect(Person("user:8", "bob", user_pk="8"))
    await join(another, lane)
    await send(another, "1", "2", TOPIC, "message", {"text": "hi"})
    assert (await lane.reply("2")).ok


async def test_leaving_and_joining_again_does_not_refill_a_rooms_allowance(node: FakeNode) -> None:
    node.admitted = {"commands_per_second": 0.5}
    for _ in range(2):
        connection, lane = node.connect()
        await join(connection, lane)
        await send(connection, "1", "2", TOPIC, "message", {"text": "hi"})
        said = await lane.reply("2")
        connection.closed()
    assert said.response["code"] == "rate_limited"


async def test_typing_does_not_count_as_writing_nor_the_other_way_round(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {
        "EPHEMERAL_PER_SECOND": 0.01,
        "EPHEMERAL_BURST": 2,
        "COMMANDS_PER_SECOND": 1,
        "COMMANDS_BURST": 1,
    }
    connection, lane = node.connect()
    await join(connection, lane)
    refusals = metrics.refusals.values.get("rate_limited", 0)
    for ref in ("2", "3"):
        await send(connection, "1", ref, TOPIC, "typing", {})
        assert (await lane.reply(ref)).ok
    assert (await refused(connection, lane, "typing"))["code"] == "rate_limited"
    assert len(node.signals) == 2
    await send(connection, "1", "4", TOPIC, "message", {"text": "hi"})
    assert (await lane.reply("4")).ok
    assert metrics.refusals.values["rate_limited"] == refusals + 1


async def test_reading_back_counts_as_writing_does(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 0.01, "COMMANDS_BURST": 2}
    connection, lane = node.connect()
    await join(connection, lane)
    for ref in ("2", "3"):
        await send(connection, "1", ref, TOPIC, "room_history", {})
        assert (await lane.reply(ref)).ok
    assert (await refused(connection, lane, "room_history"))["code"] == "rate_limited"


async def test_a_person_may_have_only_so_many_connections(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"CONNECTIONS_PER_PERSON": 2}
    (first, _), _second = node.connect(), node.connect()
    with pytest.raises(TooManyConnections):
        node.connect()
    assert len(node.connections) == 2
    first.closed()
    first.closed()
    node.connect()
    with pytest.raises(TooManyConnections):
        node.connect()


# Who is too fast


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short, and what comes next is another time."""
    monkeypatch.setattr("realtime.connection._FLOOD_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("realtime.allowances._ONE_TIME_SECONDS", 0.0)


async def flood(connection: Connection, frame: list[Any]) -> None:
    """Send until the connection is closed."""
    async with asyncio.timeout(SECONDS):
        while not connection.closing:
            await send(connection, *frame)


FLOODS = {
    "commands": ["1", "2", TOPIC, "message", {"text": "hi"}],
    "typing": ["1", "2", TOPIC, "typing", {}],
    "joins": ["1", "1", TOPIC, "phx_join", {}],
    "heartbeats": [None, "2", "phoenix", "heartbeat", {}],
    "nonsense": ["1", "2", TOPIC, "nonsense", {}],
    "elsewhere": ["1", "2", "room:elsewhere", "message", {}],
    "earlier": ["0", "2", TOPIC, "message", {}],
}


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
async def test_who_goes_on_flooding_is_told_and_closed_and_may_come_back(
    node: FakeNode, settings: Settings, clock: None, frame: list[Any]
) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 100, "COMMANDS_BURST": 1, "FLOOD_REFUSALS": 10}
    connection, lane = node.connect()
    await join(connection, lane)
    dropped = metrics.drops.values.get("too_fast", 0)
    await flood(connection, frame)
    assert lane.closed == (4005, "too fast")
    assert [said.payload["code"] for said in lane.named("refusal")] == ["flooding"]
    assert lane.named("refusal")[0].payload["retry_after"] > 0
    assert metrics.drops.values["too_fast"] == dropped + 1


async def test_what_comes_in_one_room_goes_not_on_in_spite_of_what_was_refused_in_another(
    node: FakeNode, settings: Settings, clock: None
) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 1, "COMMANDS_BURST": 1, "FLOOD_REFUSALS": 1}
    connection, lane = node.connect()
    await join(connection, lane)
    node.admitted = {"room_pk": 2}
    await join(connection, lane, "room:other", "2")
    for join_ref, topic, count in (("1", TOPIC, 1 + 1 + 30), ("2", "room:other", 60)):
        for _ in range(count):
            await send(connection, join_ref, "9", topic, "message", {"text": "hi"})
    assert len([frame for frame in lane.frames if frame.event == "phx_reply" and not frame.ok]) == 91
    assert lane.closed is None


async def test_who_makes_a_habit_of_it_is_asked_to_stay_away(node: FakeNode, settings: Settings, clock: None) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 100, "COMMANDS_BURST": 1, "FLOOD_REFUSALS": 10}
    codes = []
    for _ in range(3):
        connection, lane = node.connect()
        await join(connection, lane)
        await flood(connection, FLOODS["typing"])
        assert lane.closed is not None
        codes.append(lane.closed[0])
    assert codes == [4005, 4005, 4502]
    assert "retry_after" not in lane.named("refusal")[0].payload
    assert lane.frames[-1] == ("1", "1", TOPIC, "phx_close", {})


async def test_however_many_connections_of_a_person_flood_together_that_is_one_time(
    node: FakeNode, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.connection._FLOOD_PAUSE_SECONDS", 0.01)
    settings.REALTIME = {"COMMANDS_PER_SECOND": 100, "COMMANDS_BURST": 1, "FLOOD_REFUSALS": 10}
    lines = [node.connect() for _ in range(5)]
    for connection, lane in lines:
        await join(connection, lane)
    await asyncio.gather(*(flood(connection, FLOODS["typing"]) for connection, _ in lines))
    assert [lane.closed for _, lane in lines] == [(4005, "too fast")] * 5


async def test_frames_that_come_too_fast_are_read_more_slowly_and_all_are_answered(
    node: FakeNode, settings: Settings
) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 25, "COMMANDS_BURST": 1, "MAX_ROOMS": 1}
    connection, lane = node.connect()
    begun = time.monotonic()
    for ref in range(5 + 10):
        await send(connection, None, str(ref), "phoenix", "heartbeat", {})
    assert time.monotonic() - begun > 0.09
    assert [frame.ref for frame in lane.frames] == [str(ref) for ref in range(15)]


async def test_a_large_frame_is_read_as_slowly_as_the_small_ones_that_it_could_have_been(
    node: FakeNode, settings: Settings
) -> None:
    settings.REALTIME = {"COMMANDS_PER_SECOND": 25, "COMMANDS_BURST": 1, "MAX_ROOMS": 1}
    connection, lane = node.connect()
    begun = time.monotonic()
    await send(connection, None, "1", "phoenix", "heartbeat", {"x": "x" * 60_000})
    await send(connection, None, "2", "phoenix", "heartbeat", {})
    assert time.monotonic() - begun > 0.09
    assert [frame.ref for frame in lane.frames] == ["1", "2"]


async def test_who_leaves_while_it_is_held_up_is_let_go_at_once(
    node: FakeNode, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.connection._FLOOD_PAUSE_SECONDS", 1e6)
    settings.REALTIME = {"EPHEMERAL_PER_SECOND": 1, "EPHEMERAL_BURST": 1, "FLOOD_REFUSALS": 1}
    connection, lane = node.connect()
    await join(connection, lane)
    flooding = asyncio.create_task(flood(connection, FLOODS["typing"]))
    await lane.event("refusal")
    await settle()
    assert not flooding.done()
    connection.closed()
    async with asyncio.timeout(SECONDS):
        await flooding
    assert lane.closed is None


async def test_a_room_may_take_less_at_once(node: FakeNode) -> None:
    node.admitted = {"max_bytes": 100}
    connection, lane = node.connect()
    await join(connection, lane)
    await send(connection, "1", "2", TOPIC, "message", {"text": "short"})
    assert (await lane.reply("2")).ok
    assert (await refused(connection, lane, "message", {"text": "x" * 100}))["code"] == "too_large"
    assert len(node.entries) == 1


async def test_while_too_many_wait_for_their_commit_nothing_more_is_read(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"MAX_UNANSWERED": 2}
    connection, lane = node.connect()
    await join(connection, lane)
    node.holds = True
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi"})
    second = asyncio.create_task(send(connection, "1", "3", TOPIC, "message", {"text": "hi"}))
    await settle()
    assert not second.done()
    node.commit()
    async with asyncio.timeout(SECONDS):
        await second


async def test_an_ephemeral_command_is_passed_on_and_not_kept(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    await send(connection, "1", "2", TOPIC, "typing", {})
    assert (await lane.reply("2")).response == {}
    ((room_pk, body),) = node.signals
    by = {"id": "user:7", "name": "alice"}
    assert (room_pk, json.loads(body)) == (1, [None, None, TOPIC, "typing", {"name": "typing", "by": by, "data": {}}])
    assert node.entries == []


@pytest.mark.parametrize(("person", "code"), [(None, "forbidden"), (NOBODY, "login_required")])
async def test_who_may_not_act_may_not_be_heard_either(node: FakeNode, person: Any, code: str) -> None:
    node.admitted = {"can": []}
    connection, lane = node.connect(person)
    await join(connection, lane)
    assert (await refused(connection, lane, "typing"))["code"] == code
    assert node.signals == []


async def test_an_ephemeral_command_is_checked_as_an_event_is(node: FakeNode) -> None:
    node.kind = "odd"
    connection, lane = node.connect()
    await join(connection, lane)
    assert (await refused(connection, lane, "wave", {"data": {"x": "\0"}}))["code"] == "invalid"
    assert node.signals == []


@pytest.mark.parametrize("depth", [100, 900, 950, 970, 980, 990, 1000])
async def test_nesting_without_end_is_never_an_error_of_ours(
    node: FakeNode, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    node.kind = "odd"
    connection, lane = node.connect()
    await join(connection, lane)
    data = '{"a":' * depth + "{}" + "}" * depth
    await connection.receive(f'["1","2","{TOPIC}","wave",{{"data":{data}}}]')
    last = lane.frames[-1].payload
    assert last.get("response", last)["code"] in {"invalid", "malformed"}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_history_is_read_back_page_by_page(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(7)
    await join(connection, lane)
    pages = []
    before: int | None = None
    for ref in ("2", "3", "4"):
        await send(connection, "1", ref, TOPIC, "room_history", {"limit": 3} | ({"before": before} if before else {}))
        page = (await lane.reply(ref)).response
        pages.append(([event["seq"] for event in page["events"]], page["complete"]))
        before = pages[-1][0][0]
    assert pages == [([5, 6, 7], False), ([2, 3, 4], False), ([1], True)]


async def test_history_ends_where_the_log_does(node: FakeNode) -> None:
    connection, lane = node.connect()
    node.log.append(7)
    node.log.remove_up_to(4)
    await join(connection, lane)
    await send(connection, "1", "2", TOPIC, "room_history", {"limit": 3})
    assert (await lane.reply("2")).response["complete"]


# A client that does not read


async def test_replies_wait_for_a_client_that_does_not_read_and_come_before_the_events(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    await settle()
    lane.paused = True
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi"})
    await settle()
    assert lane.seqs == []
    lane.paused = False
    connection.resumed()
    await settle()
    assert (await lane.reply("2")).response == {"seq": 1}
    assert lane.seqs == [1]


async def test_replies_keep_their_order_while_the_lane_comes_back(node: FakeNode) -> None:
    connection, lane = node.connect()
    lane.paused = True
    await send(connection, None, "1", "phoenix", "heartbeat", {})
    lane.paused = False
    await send(connection, None, "2", "phoenix", "heartbeat", {})
    connection.resumed()
    assert [frame.ref for frame in lane.frames] == ["1", "2"]


async def test_from_one_who_does_not_read_what_it_asked_for_nothing_more_is_taken(
    node: FakeNode, settings: Settings
) -> None:
    settings.REALTIME = {"PAGE_BYTES": 1024}
    connection, lane = node.connect()
    node.log.append(20)
    await join(connection, lane)
    await settle()
    lane.paused = True
    history = [TOPIC, "room_history", {"limit": 10}]
    await send(connection, "1", "2", *history)
    third = asyncio.create_task(send(connection, "1", "3", *history))
    await settle()
    assert not third.done()
    lane.paused = False
    connection.resumed()
    assert (await lane.reply("3")).ok
    lane.paused = True
    await send(connection, "1", "4", *history)
    fifth = asyncio.create_task(send(connection, "1", "5", *history))
    await settle()
    connection.closed()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(third, fifth)


async def test_one_who_never_takes_replies_is_closed(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"MAX_REPLIES": 8}
    connection, lane = node.connect()
    lane.paused = True
    dropped = metrics.drops.values.get("replies_full", 0)
    for _ in range(9):
        await send(connection, None, "1", "phoenix", "heartbeat", {})
    assert lane.closed == (4001, "too slow")
    assert metrics.drops.values["replies_full"] == dropped + 1


async def test_one_who_does_not_read_for_too_long_is_closed(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("realtime.connection.time.monotonic", lambda: now)
    connection, lane = node.connect()
    await join(connection, lane)
    lane.paused = True
    node.hub.hear(rings.happened(1, node.log.append()))
    await settle()
    dropped = metrics.drops.values.get("too_slow", 0)
    connection.close_if_stuck(now + conf.current().LAG_SECONDS)
    assert lane.closed is None
    connection.close_if_stuck(now + conf.current().LAG_SECONDS + 1)
    assert lane.closed == (4001, "too slow")
    assert metrics.drops.values["too_slow"] == dropped + 1


async def test_one_who_reads_again_in_time_is_not(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    lane.paused = True
    node.hub.hear(rings.happened(1, node.log.append()))
    await settle()
    lane.paused = False
    connection.resumed()
    connection.close_if_stuck(1e12)
    assert lane.closed is None


# Who wants no room


class Now:
    """The clock of a connection."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    now = Now()
    monkeypatch.setattr("realtime.connection.time.monotonic", now)
    return now


def look(connection: Connection, now: Now, after: float) -> None:
    now.seconds += after
    connection.close_if_unjoined(now())


async def test_one_who_joins_nothing_is_closed_whatever_else_it_sends(node: FakeNode, now: Now) -> None:
    connection, lane = node.connect()
    dropped = metrics.drops.values.get("unjoined", 0)
    look(connection, now, 60)
    await send(connection, None, "1", "phoenix", "heartbeat", {})
    assert lane.closed is None
    look(connection, now, 1)
    assert lane.closed == (4004, "in no room")
    assert metrics.drops.values["unjoined"] == dropped + 1


async def test_one_in_a_room_may_be_silent_for_ever(node: FakeNode, now: Now) -> None:
    connection, lane = node.connect()
    now.seconds += 59
    await join(connection, lane)
    look(connection, now, 1e6)
    await join(connection, lane, ref="2")
    look(connection, now, 1e6)
    assert lane.closed is None


async def test_the_time_begins_when_the_last_room_is_left(node: FakeNode, now: Now) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    node.admitted = {"room_pk": 2}
    await join(connection, lane, "room:other", "2")
    look(connection, now, 1000)
    await send(connection, "1", "3", TOPIC, "phx_leave", {})
    look(connection, now, 1000)
    connection.end(next(iter(connection._whereabouts)).subscription, RoomClosed())
    look(connection, now, 60)
    assert lane.closed is None
    look(connection, now, 1)
    assert lane.closed == (4004, "in no room")


async def test_a_join_that_is_refused_gives_no_more_time(node: FakeNode, now: Now) -> None:
    connection, lane = node.connect()
    now.seconds += 59
    await send(connection, "1", "1", "room:", "phx_join", {})
    assert not (await lane.reply("1")).ok
    look(connection, now, 2)
    assert lane.closed == (4004, "in no room")


async def test_nobody_is_closed_while_they_are_being_let_in(
    node: FakeNode, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, lane = node.connect()
    door, admit = asyncio.Event(), node.admit

    async def slowly(slug: str, person: Person) -> Any:
        await door.wait()
        return await admit(slug, person)

    monkeypatch.setattr(node, "admit", slowly)
    coming = asyncio.create_task(join(connection, lane))
    await settle()
    connection.close_if_unjoined(now() + 61)
    assert lane.closed is None
    door.set()
    await coming


async def test_zero_lets_everybody_stay(node: FakeNode, now: Now, settings: Settings) -> None:
    settings.REALTIME = {"UNJOINED_SECONDS": 0}
    connection, lane = node.connect()
    look(connection, now, 1e9)
    assert lane.closed is None


# The end


async def test_a_subscription_that_ends_is_explained_and_closed(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane, ref="1")
    await settle()
    lane.frames.clear()
    node.hub.hear(rings.Ended(1, "room_closed", "This room is closed."))
    await settle()
    assert lane.frames == [
        ("1", None, TOPIC, "room_ended", {"code": "room_closed", "message": "This room is closed."}),
        ("1", "1", TOPIC, "phx_close", {}),
    ]
    assert (await refused(connection, lane, "message", {"text": "hi"}))["code"] == "unmatched_topic"


async def test_a_subscription_that_lost_its_place_is_asked_to_join_again(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane, ref="1")
    await settle()
    lane.frames.clear()
    node.log.append(5)
    node.log.remove_up_to(5)
    node.hub.hear(rings.happened(1, node.log.append()))
    await settle()
    assert [(frame.join_ref, frame.event) for frame in lane.frames] == [("1", "phx_error")]


async def test_one_who_is_gone_is_gone_from_everywhere(node: FakeNode) -> None:
    counted = dict(metrics.connections.values)
    connection, lane = node.connect()
    await join(connection, lane)
    node.holds = True
    await send(connection, "1", "2", TOPIC, "message", {"text": "hi"})
    connection.closed()
    connection.closed()
    written = len(lane.batches)
    node.commit()
    await settle()
    assert (node.hub.rooms, node.connections, metrics.connections.values) == ({}, set(), counted)
    assert len(lane.batches) == written


async def test_one_who_is_sent_away_for_now_is_told_when_to_return(node: FakeNode) -> None:
    connection, lane = node.connect()
    await join(connection, lane)
    connection.go_away(12.0)
    refusal = await lane.event("refusal")
    assert (refusal.payload["code"], refusal.payload["retry_after"]) == ("going_away", 12.0)
    assert lane.named("phx_close") == []
    assert lane.closed == (4000, "going away")


# Whatever is sent

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "phx_join",
        "phx_leave",
        "phx_close",
        "heartbeat",
        "room_history",
        "room_remove",
        "do",
        "wave",
        "message",
        "",
        "x" * 300,
    ]
)
TOPICS = st.sampled_from([TOPIC, "phoenix", "room:", "room:other", "nonsense"]) | st.text(max_size=20)
REFS = st.none() | st.sampled_from(["1", "2"]) | st.text(max_size=5)
PAYLOADS = st.dictionaries(
    st.sampled_from(["since", "before", "limit", "key", "what", "data"]) | st.text(max_size=8), JSON, max_size=4
)
FRAMES = st.tuples(REFS, REFS, TOPICS | JSON, WORDS | JSON, PAYLOADS | JSON)
TEXTS = FRAMES.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=40) | st.binary(max_size=40)
REPLIES = {"phx_reply", "refusal", "phx_close", "presence_state", "presence_diff", "did"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, max_size=15))
def test_nothing_that_a_client_sends_raises_and_every_refusal_has_a_code(
    texts: list[str | bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> list[Any]:
        node = FakeNode(kind="odd")
        connection, lane = node.connect()
        for text in texts:
            async with asyncio.timeout(SECONDS):
                await connection.receive(text)
                await send(connection, None, "beat", "phoenix", "heartbeat", {})
            assert (await lane.reply("beat")).ok
        await settle()
        assert lane.closed is None
        connection.closed()
        await node.hub.stop()
        return lane.frames

    caplog.clear()
    frames = asyncio.run(story())
    codes = [frame.payload for frame in frames if frame.event == "refusal"]
    codes += [frame.response for frame in frames if frame.event == "phx_reply" and not frame.ok]
    assert all(refusal["code"] and refusal["message"] for refusal in codes)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


class Reader:
    """A client as ours is: joins with what it has, drops what it has had, and joins again when told to."""

    def __init__(self, node: FakeNode, since: int) -> None:
        self.connection, self.lane = node.connect()
        self.first = self.seq = since
        self.had: list[int] = []
        self.told_of_a_gap = False
        self._join: asyncio.Task[None] | None = None
        self.join()

    def join(self) -> None:
        self._join = asyncio.create_task(send(self.connection, "1", "1", TOPIC, "phx_join", {"since": self.seq}))

    def read(self) -> None:
        frames, self.lane.frames = self.lane.frames, []
        for frame in frames:
            if frame.event == "phx_reply":
                self.told_of_a_gap |= not frame.response["complete"]
                if not frame.response["complete"]:
                    self.seq = max(
                        self.seq,
                        frame.response["events"][0]["seq"] - 1 if frame.response["events"] else frame.response["seq"],
                    )
                for event in frame.response["events"]:
                    self._have(event["seq"])
            elif frame.event == "message":
                self._have(frame.payload["seq"])
            elif frame.event == "phx_error":
                self.join()

    def _have(self, seq: int) -> None:
        assert seq == self.seq + 1, f"{seq} after {self.seq}"
        self.seq = seq
        self.had.append(seq)

    def pause(self) -> None:
        self.lane.paused = True

    def resume(self) -> None:
        self.lane.paused = False
        self.connection.resumed()


STEPS = st.sampled_from(
    ["publish", "publish and lose", "publish and delay", "ring late", "ring twice", "join", "join with less", "turn",
     "turns", "pause", "resume", "watch", "hold the log", "release the log"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=40), page=st.integers(1, 5), recent=st.integers(1, 8))
def test_every_client_has_every_event_once_and_in_order_whenever_it_joins(
    steps: list[str], page: int, recent: int
) -> None:
    """Joins with any `since`, while events are published, lost, late and doubled, and the log is slow."""

    async def story() -> None:
        node = FakeNode()
        node.log._page_size = page
        readers: list[Reader] = []
        late: list[Frame] = []
        sent: list[Frame] = []
        for step in steps:
            match step:
                case "publish":
                    sent += node.log.append()
                    node.hub.hear(rings.happened(1, sent[-1:]))
                case "publish and lose":
                    sent += node.log.append()
                case "publish and delay":
                    sent += node.log.append()
                    late.append(sent[-1])
                case "ring late" if late:
                    node.hub.hear(rings.happened(1, [late.pop()]))
                case "ring twice" if sent:
                    node.hub.hear(rings.happened(1, sent[-2:]))
                case "join" | "join with less" if len(readers) < 5:
                    head = node.log.head()
                    readers.append(Reader(node, head if step == "join" else head // 2))
                case "turn":
                    await asyncio.sleep(0)
                case "turns":
                    await settle(10)
                case "pause" if readers:
                    readers[-1].pause()
                case "resume" if readers:
                    readers[-1].resume()
                case "watch" if node.log.gate.is_set():
                    await node.hub.watch()
                case "hold the log":
                    node.log.gate.clear()
                case "release the log":
                    node.log.gate.set()
            for reader in readers:
                reader.read()
        node.log.gate.set()
        for _ in range(3):
            for reader in readers:
                reader.resume()
            await settle()
            await node.hub.watch()
            await settle()
            for reader in readers:
                reader.read()
        for reader in readers:
            assert not reader.told_of_a_gap
            assert reader.had == list(range(reader.first + 1, node.log.head() + 1))
            reader.connection.closed()
        await node.hub.stop()

    with pytest.MonkeyPatch.context() as patch:
        small = conf.Settings(RECENT_EVENTS=recent, PAGE_EVENTS=page)
        patch.setattr(conf, "current", lambda: small)
        patch.setattr("realtime.hub._GRACE_SECONDS", 0)
        asyncio.run(story())


# Who comes with a ticket

TICKET = "rt_ticket_" + "x" * 43
ALICE = Person("user:7", "alice", user_pk="7", session_key="s")


async def test_a_guest_becomes_who_the_ticket_of_the_first_join_says(node: FakeNode) -> None:
    node.people[TICKET] = ALICE
    connection, lane = node.connect(NOBODY)
    welcome = await join(connection, lane, ticket=TICKET)
    assert welcome["you"] == {"id": "user:7", "name": "alice"}
    assert connection.person is ALICE
    await send(connection, "1", "2", TOPIC, "message", {"text": "hello"})
    assert [(entry.person, entry.actor) for entry in node.entries] == [(ALICE, ALICE.actor)]


async def test_in_a_room_a_guest_stays_a_guest(node: FakeNode) -> None:
    node.people[TICKET] = ALICE
    connection, lane = node.connect(NOBODY)
    await join(connection, lane)
    assert (await join(connection, lane, "room:attic", "2", ticket=TICKET))["code"] == "invalid"
    assert connection.person is NOBODY


async def test_who_comes_with_a_ticket_shares_what_that_person_may_do(node: FakeNode, settings: Settings) -> None:
    settings.REALTIME = {"CONNECTIONS_PER_PERSON": 1}
    node.people[TICKET] = ALICE
    connection, lane = node.connect(NOBODY)
    await join(connection, lane, ticket=TICKET)
    with pytest.raises(TooManyConnections):
        node.connect(connection.person)
    node.connect(NOBODY)
    connection.closed()
    node.connect(connection.person)


async def test_who_is_somebody_stays_that_and_the_ticket_unused(node: FakeNode) -> None:
    connection, lane = node.connect(ALICE)
    for ref, ticket in enumerate([TICKET, 5, "anything"]):
        assert (await join(connection, lane, ref=str(ref), ticket=ticket))["you"]["id"] == "user:7"


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        ("", "bad_credentials"),
        ("sesame", "bad_credentials"),
        (TICKET[:-1], "bad_credentials"),
        (5, "invalid"),
        ([TICKET], "invalid"),
    ],
)
async def test_what_is_no_ticket_is_refused_for_good(node: FakeNode, ticket: Any, code: str) -> None:
    connection, lane = node.connect(NOBODY)
    assert (await join(connection, lane, ticket=ticket))["code"] == code
    await lane.event("phx_close")
    assert (await join(connection, lane, ref="2"))["you"]["id"] == "guest:"


async def test_a_ticket_that_is_used_up_is_refused_for_good(node: FakeNode) -> None:
    node.refusal = BadCredentials()
    connection, lane = node.connect(NOBODY)
    refusal = await join(connection, lane, ticket=TICKET)
    assert refusal == BadCredentials().response()
    await lane.event("phx_close")


# A full room


async def test_a_room_that_is_full_says_so_and_leaves_the_rest_of_the_connection_alone(node: FakeNode) -> None:
    node.admitted = {"most": 1}
    first, heard = node.connect(Person("user:1", "bob", user_pk="1"))
    assert "code" not in await join(first, heard)
    node.admitted = {"most": 1, "room_pk": 2}
    connection, lane = node.connect()
    assert "code" not in await join(connection, lane, "room:den")
    node.admitted = {"most": 1}
    refusal = await join(connection, lane, ref="2")
    assert (refusal["code"], refusal["retry_after"]) == ("room_full", 10.0)
    assert (lane.closed, lane.named("phx_close"), connection.room_pks) == (None, [], [2])
    first.closed()
    assert "code" not in await join(connection, lane, ref="3")


# What is counted


@pytest.mark.parametrize("refusal", list(one_of_each()), ids=lambda refusal: refusal.code)
async def test_every_refusal_is_counted_by_its_code(node: FakeNode, refusal: Refusal) -> None:
    before = metrics.refusals.values.get(refusal.code, 0)
    connection, lane = node.connect()
    node.refusal = refusal
    assert (await join(connection, lane))["code"] == refusal.code
    assert metrics.refusals.values[refusal.code] == before + 1


async def test_being_asked_to_come_back_is_counted(node: FakeNode) -> None:
    before = metrics.refusals.values.get("going_away", 0)
    connection, _ = node.connect()
    connection.go_away(5.0)
    assert metrics.refusals.values["going_away"] == before + 1
