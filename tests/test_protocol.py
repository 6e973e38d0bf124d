"""The codec: every example of the wire, and anything else that may come."""

import inspect
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import errors, protocol
from realtime.errors import Malformed, Refusal
from realtime.protocol import Batch, By, Frame, Push
from tests.support.fakes import event

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "wire.json").read_text())
REFUSALS = [vector["frame"][4].get("response", vector["frame"][4]) for vector in VECTORS]
SHOWN = {refusal["code"] for refusal in REFUSALS if "code" in refusal}
AT = datetime(2026, 11, 21, 10, 15, 30, 123456, tzinfo=UTC)


def direction(name: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS if vector["direction"] == name]


@pytest.mark.parametrize("vector", direction("client"))
def test_what_clients_send_is_understood(vector: dict[str, Any]) -> None:
    assert [*msgspec.structs.astuple(protocol.decode(vector["text"]))] == vector["frame"]


def encoded(join_ref: str | None, ref: str | None, topic: str, name: str, payload: dict[str, Any]) -> Frame:
    """The frame that the codec makes for these parts, by whichever function makes such frames."""
    asked = Push(join_ref, ref, topic, name, {})
    if name == "phx_reply":
        return protocol.reply(asked, payload["response"], status=payload["status"])
    if name == "phx_close":
        return protocol.closed(join_ref, topic)
    if "seq" in payload and "data" in payload:
        by = By(**payload["by"]) if payload["by"] else None
        at = datetime.fromisoformat(payload["at"])
        return protocol.event(
            topic, payload["seq"], name, at, by, payload["key"], payload["data"], removed="removed" in payload
        )
    if "data" in payload:
        return protocol.ephemeral(topic, name, By(**payload["by"]), payload["data"])
    if name == "refusal":
        return protocol.remark(Refusal(**payload))
    return protocol.push(join_ref, topic, name, payload)


@pytest.mark.parametrize("vector", direction("server"))
def test_what_the_server_says_is_byte_for_byte_the_example(vector: dict[str, Any]) -> None:
    assert encoded(*vector["frame"]).text == vector["text"]


def test_the_codes_in_the_examples_are_those_that_exist() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Refusal)]
    source = inspect.getsource(errors)
    assert len(SHOWN) > len(classes) / 2
    assert [code for code in SHOWN if f'"{code}"' not in source] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{}", "Expected `array`"),
        ("[]", "at least length 5"),
        ('["1","1","room:x","message"]', "at least length 5"),
        ('[1,"1","room:x","message",{}]', "$[0]"),
        ('["1",2,"room:x","message",{}]', "$[1]"),
        ('["1","1",null,"message",{}]', "$[2]"),
        ('["1","1","room:x",null,{}]', "$[3]"),
        ('["1","1","room:x","message",[]]', "$[4]"),
        ('["1","1","room:x","message",null]', "$[4]"),
        ('["1","1","room:x","message",{"a":' + "[" * 5000 + "]" * 5000 + "}]", "nested too deeply"),
        ('["1","1","room:x","message",{"a":"\\ud800"}]', "not JSON"),
        ('["1","1","room:x","message",{"a":"\ud800"}]', "not JSON"),
        (b'["1","1","room:x","message",{"a":"\xff"}]', "not JSON"),
        ('["1","1","room:x","message",{"a":NaN}]', "not JSON"),
        ('["1","1","room:x","message",{"a":1e999}]', "out of range"),
    ],
)
def test_a_malformed_frame_is_refused_in_words_that_help(text: str | bytes, expected: str) -> None:
    with pytest.raises(Malformed) as refused:
        protocol.decode(text)
    assert expected in refused.value.message
    assert "[join_ref, ref, topic, event, payload]" in refused.value.message


def test_elements_past_the_fifth_are_ignored() -> None:
    assert protocol.decode('[null,"1","room:x","message",{},"extra",{}]').event == "message"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.text() | st.binary() | JSON.map(json.dumps) | st.lists(JSON, min_size=4, max_size=6).map(json.dumps))
def test_nothing_but_malformed_comes_out_of_decode(text: str | bytes) -> None:
    try:
        push = protocol.decode(text)
    except Malformed:
        return
    assert isinstance(push.payload, dict)


@settings(max_examples=40)
@given(payload=st.dictionaries(st.text(max_size=8), JSON, max_size=4), topic=st.text(), name=st.text())
def test_what_is_encoded_is_decoded_again(payload: dict[str, Any], topic: str, name: str) -> None:
    push = protocol.decode(protocol.push("1", topic, name, payload).body)
    assert (push.join_ref, push.ref, push.topic, push.event) == ("1", None, topic, name)
    assert push.payload == payload


def test_an_event_in_a_list_and_an_event_alone_are_the_same() -> None:
    frames = [event(1), event(2)]
    assert msgspec.json.decode(protocol.listed(frames)) == [json.loads(frame.body)[4] for frame in frames]
    assert msgspec.json.decode(protocol.listed([])) == []


def test_a_moment_is_in_utc_to_the_millisecond() -> None:
    assert protocol.instant(AT) == "2026-11-21T10:15:30.123Z"
    assert protocol.instant(AT.replace(microsecond=999)) == "2026-11-21T10:15:30.000Z"


@pytest.mark.parametrize("version", ["2.0.0", "2.1.13"])
def test_versions_two_are_spoken(version: str) -> None:
    assert protocol.speaks(version)


@pytest.mark.parametrize("version", ["", "1.0.0", "3.0.0", "2.0", "2.0.0 ", "2.0.0.0", "2.x.0", "2.0.0\n"])
def test_other_versions_are_not(version: str) -> None:
    assert not protocol.speaks(version)


@pytest.mark.parametrize("topic", ["room:lobby", "room:A-b_9", "room:" + "x" * 100])
def test_a_topic_names_a_room(topic: str) -> None:
    slug = protocol.slug(topic)
    assert slug is not None
    assert protocol.topic(slug) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "room:",
        "lobby",
        "Room:lobby",
        "room:a b",
        "room:a/b",
        "room:room:a",
        "room:" + "x" * 101,
        "room:a\n",
        "phoenix",
    ],
)
def test_other_topics_name_none(topic: str) -> None:
    assert protocol.slug(topic) is None


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_packet_is_one_unmasked_text_frame(length: int, head: bytes) -> None:
    """RFC 6455, 5.2: FIN and opcode 1, no mask, the shortest form of the length."""
    assert Frame(b"x" * length).packet == head + b"x" * length


def test_text_and_packet_are_made_once_for_all_recipients() -> None:
    frame = event(1)
    assert frame.text is frame.text
    assert frame.packet is frame.packet


def test_a_batch_is_joined_once() -> None:
    batch = Batch([event(1), event(2)])
    assert batch.packet == batch.frames[0].packet + batch.frames[1].packet
    assert batch.packet is batch.packet
    assert batch.size == sum(len(frame.body) for frame in batch.frames)
