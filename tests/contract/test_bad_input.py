"""Whatever a client sends gets a coded refusal that says what was expected, and the same connection goes on."""

import contextlib
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract.conftest import Connect, in_pairs
from tests.support.console import ROOT
from tests.support.logs import Logs
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client

pytestmark = in_pairs

KIB = 1024
MIB = 1024 * KIB
LONGEST = {"daphne": (1, 1006), "uvicorn": (16, 1009), "uvicorn-lane": (1, 1009)}  # in MiB, and how a longer one ends
HEARTBEAT = ["1", "1", "phoenix", "heartbeat", {}]


def deep(opening: str, closing: str, depth: int = 10_000) -> str:
    return opening * depth + closing * depth


MALFORMED = {
    "nothing": "",
    "a word": "hello",
    "a word that begins like null": "nul",
    "half a frame": '[null,"1","phoenix"',
    "two frames": '[null,"1","phoenix","heartbeat",{}][null,"2","phoenix","heartbeat",{}]',
    "a trailing comma": '[null,"1","phoenix","heartbeat",{},]',
    "NaN": '[null,"1","phoenix","heartbeat",{"x":NaN}]',
    "a control character": '[null,"1","phoenix","heart\nbeat",{}]',
    "a lone surrogate": '[null,"1","phoenix","heartbeat",{"x":"\\ud800"}]',
    "a surrogate pair the wrong way round": '[null,"1","phoenix","heartbeat",{"x":"\\udc00\\ud800"}]',
    "an object": "{}",
    "the object of version 1": '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
    "a text": '"phoenix"',
    "a number": "42",
    "null": "null",
    "an empty list": "[]",
    "too short": '[null,"1","phoenix","heartbeat"]',
    "a number as join_ref": '[1,"1","phoenix","heartbeat",{}]',
    "a number as ref": '[null,1,"phoenix","heartbeat",{}]',
    "no topic": '[null,"1",null,"heartbeat",{}]',
    "no event": '[null,"1","phoenix",null,{}]',
    "a list as event": '[null,"1","phoenix",["heartbeat"],{}]',
    "no payload": '[null,"1","phoenix","heartbeat",null]',
    "a list as payload": '[null,"1","phoenix","heartbeat",[]]',
    "a text as payload": '[null,"1","phoenix","heartbeat","{}"]',
    "deeply nested lists": deep("[", "]"),
    "deeply nested lists without end": "[" * 20_000,
    "a deeply nested payload": f'[null,"1","phoenix","heartbeat",{deep(chr(123) + chr(34) + "a" + chr(34) + ":", "}", 9_000)}]'
    .replace(":}", ":0}", 1),
    "a number that is endless": '[null,"1","phoenix","heartbeat",{"x":' + "9" * 20_000 + "}]",
}  # fmt: skip


@pytest.fixture
def slug(site: Site) -> str:
    return site.room()


async def goes_on(client: Client, slug: str) -> None:
    """The connection is as good as new."""
    assert (await client.heartbeat()).ok
    assert (await client.push(slug, "message", text="I am still here")).ok


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_frame_is_refused(enter: Connect, slug: str, text: str) -> None:
    client = await enter(slug)
    await client.send(text)
    refusal = await client.event("refusal")
    assert refusal[:3] == (None, None, "phoenix")
    assert refusal.payload["code"] == "malformed"
    assert "[join_ref, ref, topic, event, payload]" in refusal.payload["message"]
    assert len(refusal.payload["message"]) < 500
    await goes_on(client, slug)


async def test_what_stands_after_the_fifth_element_is_ignored(enter: Connect, slug: str) -> None:
    client = await enter(slug)
    await client.send([*HEARTBEAT, "more", {"and": "more"}])
    assert (await client.reply("1")).ok


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x02\x03\x05\x05", json.dumps(HEARTBEAT).encode()], ids=["empty", "phoenix", "json"]
)
async def test_a_binary_frame_is_refused(enter: Connect, slug: str, content: bytes) -> None:
    client = await enter(slug)
    await client.send(content)
    refusal = (await client.event("refusal")).payload
    assert refusal["code"] == "malformed"
    assert "text" in refusal["message"]
    await goes_on(client, slug)


@pytest.mark.parametrize("letter", ["x", "世"], ids=["ascii", "three bytes each"])
async def test_a_frame_that_is_too_large_is_refused(enter: Connect, slug: str, letter: str) -> None:
    client = await enter(slug)
    text = letter * (65 * KIB // len(letter.encode()))
    await client.send(json.dumps(["1", "1", f"room:{slug}", "message", {"text": text}], ensure_ascii=False))
    refusal = (await client.event("refusal")).payload
    assert refusal["code"] == "too_large"
    assert "65536" in refusal["message"]
    await goes_on(client, slug)


async def test_a_frame_of_just_the_size_is_taken(come: Connect, enter: Connect, slug: str) -> None:
    client = await enter(slug)
    frame = json.dumps([None, "77", "phoenix", "heartbeat", {"x": ""}])
    await client.send(frame.replace('""', '"' + "x" * (64 * KIB - len(frame)) + '"'))
    assert (await client.reply("77")).ok


async def test_a_frame_larger_than_the_server_itself_takes_ends_that_connection_alone(
    enter: Connect, server: Server, slug: str
) -> None:
    """daphne cuts the line without a word. Below, it is `too_large`."""
    takes, code = LONGEST[server.name.split()[0]]
    client, other = await enter(slug), await enter(slug)
    await client.send("x" * (takes * MIB))
    assert (await client.event("refusal")).payload["code"] == "too_large"
    with contextlib.suppress(ConnectionClosed):
        await client.send("x" * (takes * MIB + 1))
    assert await client.closed() == code
    await goes_on(other, slug)


NOT_UTF8 = {
    "bytes of no character": b'[null,"1","phoenix","\xff\xfe",{}]',
    "a surrogate": b'[null,"1","phoenix","\xed\xa0\x80",{}]',
    "an overlong character": b'[null,"1","phoenix","\xc0\x80",{}]',
}


@pytest.mark.parametrize("text", NOT_UTF8.values(), ids=NOT_UTF8)
async def test_text_that_is_not_utf8_ends_that_connection_alone(
    enter: Connect, slug: str, text: bytes, logs: Logs
) -> None:
    """RFC 6455, 8.1: the server itself fails the connection, before we hear of it; daphne cuts the line without a word."""
    client, other = await enter(slug), await enter(slug)
    await client.socket.send(text, text=True)
    assert await client.closed() in (1007, 1006)
    await goes_on(other, slug)
    assert str(ROOT / "realtime") not in logs.take()  # uvicorn logs a traceback of its own


JOINS: dict[str, Any] = {
    "a text": "41",
    "below nothing": -1,
    "a fraction": 1.5,
    "true": True,
    "a list": [41],
    "huge": 10**30,
}


@pytest.mark.parametrize("since", JOINS.values(), ids=JOINS)
async def test_a_position_that_is_none_is_refused(come: Connect, slug: str, since: Any) -> None:
    client = await come()
    refused = await client.join(slug, since)
    assert refused.response["code"] == "invalid"
    assert "since" in refused.response["message"]
    assert (await client.join(slug)).ok
    await goes_on(client, slug)


HISTORIES: dict[str, dict[str, Any]] = {
    "a text before": {"before": "20"},
    "huge before": {"before": 10**30},
    "below nothing": {"before": -1},
    "nothing wanted": {"limit": 0},
    "too much wanted": {"limit": 201},
    "true wanted": {"limit": True},
}


@pytest.mark.parametrize("arguments", HISTORIES.values(), ids=HISTORIES)
async def test_history_that_cannot_be_is_refused(enter: Connect, slug: str, arguments: dict[str, Any]) -> None:
    client = await enter(slug)
    refused = await client.push(slug, "room_history", **arguments)
    assert refused.response["code"] == "invalid"
    assert next(iter(arguments)) in refused.response["message"]
    await goes_on(client, slug)


MESSAGES: dict[str, dict[str, Any]] = {
    "no text": {},
    "null": {"text": None},
    "a number": {"text": 5},
    "a list": {"text": ["hello"]},
    "empty": {"text": ""},
    "white space": {"text": " \n\t "},
    "too long": {"text": "x" * 4001},
    "something more": {"text": "hello", "colour": "red"},
    "NUL": {"text": "a\0b"},
    "a number as key": {"text": "hello", "key": 5},
    "an empty key": {"text": "hello", "key": ""},
    "a long key": {"text": "hello", "key": "k" * 65},
    "a key with a space": {"text": "hello", "key": "a b"},
    "a key beyond ascii": {"text": "hello", "key": "schlüssel"},
    "a key with NUL": {"text": "hello", "key": "a\0b"},
}


@pytest.mark.parametrize("arguments", MESSAGES.values(), ids=MESSAGES)
async def test_a_message_with_wrong_arguments_is_refused(enter: Connect, slug: str, arguments: dict[str, Any]) -> None:
    client = await enter(slug)
    refused = await client.push(slug, "message", **arguments)
    assert refused.response["code"] == "invalid"
    assert len(refused.response["message"]) > len("invalid")
    await goes_on(client, slug)


NUMBERS = {
    "a text": '"1"',
    "a fraction": "1.5",
    "true": "true",
    "too much": "1001",
    "beyond 64 bits": str(10**30),
    "beyond all floats": "1e999",
    "negative and huge": f"-{10**40}",
    "null": "null",
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
async def test_a_number_that_cannot_be_added_is_refused(site: Site, enter: Connect, number: str) -> None:
    slug = site.room("counter")
    client = await enter(slug)
    join_ref = (await client.join(slug)).join_ref
    await client.send(f'["{join_ref}","77","room:{slug}","add",{{"by":{number}}}]')
    frame = await client.take(lambda frame: frame.ref == "77" or frame.event == "refusal", what="a refusal")
    assert (frame.payload if frame.event == "refusal" else frame.response)["code"] in ("invalid", "malformed")
    assert (await client.push(slug, "add", by=7)).response == {"seq": 1}


@pytest.mark.parametrize(
    "event",
    ["shout", "", "Message", "phx_reply", "phx_close", "phx_error", "presence_state", "room_ended", "__init__", "x\0"],
)
async def test_an_unknown_command_is_told_the_known_ones(enter: Connect, slug: str, event: str) -> None:
    client = await enter(slug)
    refused = await client.push(slug, event)
    assert refused.response["code"] == "unknown_command"
    assert "message, typing" in refused.response["message"]
    await goes_on(client, slug)


@pytest.mark.parametrize(
    "topic", ["room:", "room:no room", "room:\0", "room:" + "x" * 101, "room:../../etc", "chat", "x" * 60_000]
)
async def test_a_topic_that_cannot_be_is_refused(enter: Connect, slug: str, topic: str) -> None:
    client = await enter(slug)
    for ref, event in (("71", "phx_join"), ("72", "message")):
        await client.send([ref, ref, topic, event, {}])
        assert (await client.reply(ref)).response["code"] == "unmatched_topic"
    assert client.largest < 65 * KIB + KIB
    await goes_on(client, slug)


async def test_a_command_without_ref_is_carried_out(enter: Connect, slug: str) -> None:
    client = await enter(slug)
    await client.send([None, None, f"room:{slug}", "message", {"text": "no answer needed"}])
    assert (await client.event("message", slug)).payload["seq"] == 1
    await goes_on(client, slug)


async def test_ten_frames_in_a_row_that_cannot_be_understood_are_enough(enter: Connect, slug: str) -> None:
    client, other = await enter(slug), await enter(slug)
    for _ in range(9):
        await client.send("?")
    assert (await client.heartbeat()).ok
    for _ in range(10):
        await client.send("?")
    assert await client.closed() == 4500
    closed = await client.event("phx_close", slug)
    assert closed.join_ref == closed.ref is not None
    await goes_on(other, slug)


async def test_frames_that_are_too_large_count_as_well(enter: Connect, slug: str) -> None:
    client = await enter(slug)
    for number in range(10):
        await client.send("x" * 66 * KIB if number % 2 else b"\x00")
    assert await client.closed() == 4500
