"""The codec of the wire: Phoenix Channels V2, JSON. See docs/protocol.md.

It turns text into a `Push` or a `Malformed`, and facts into a `Frame`, which is encoded once and written to any number of
connections. It does no I/O, keeps no state, and raises nothing but `Malformed` whatever it is fed.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

from realtime.errors import Malformed, Refusal

TOPIC_PREFIX = "room:"
RESERVED_PREFIXES = ("phx_", "presence_", "room_")
REMOVED = "room_removed"
"""The event that takes another one's data away."""

KEY_PATTERN = re.compile(r"[!-~]{1,64}")
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,100}")
_VERSION = re.compile(r"2\.\d+\.\d+")


class Push(msgspec.Struct, array_like=True, frozen=True):
    """What a client sends. `payload` is the decoded JSON object."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: dict[str, Any]


class By(msgspec.Struct, frozen=True):
    """The author of an event, as the wire shows it: `id` is `user:<pk>` or `guest:<hex>`."""

    id: str
    name: str


class _Event(msgspec.Struct, omit_defaults=True):
    seq: int
    name: str
    at: str
    by: By | None
    key: str | None
    data: Any
    removed: bool = False


class Frame(msgspec.Struct, eq=False, gc=False):
    """A server message, encoded once, in the form that each transport wants.

    `body`: the UTF-8 JSON text. `seq`: the event's, 0 where the frame is no event. `event`: the event's own JSON, as it
    stands in the list of a join reply. `removes`: the seq of the event whose data this one takes away, mostly 0.

    It refers to nothing that refers back, so the garbage collector need not look at the thousands that are kept.
    """

    body: bytes
    seq: int = 0
    event: bytes = b""
    removes: int = 0
    _text: str | None = None
    _packet: bytes | None = None

    @property
    def text(self) -> str:
        """The frame for transports that take text."""
        if self._text is None:
            self._text = self.body.decode()
        return self._text

    @property
    def packet(self) -> bytes:
        """The frame as one unmasked WebSocket text frame (RFC 6455, 5.2), the same for every recipient."""
        if self._packet is None:
            self._packet = _header(len(self.body)) + self.body
        return self._packet


class Batch:
    """The frames of one turn of the event loop, for many connections: joined once."""

    __slots__ = ("_packet", "frames", "size")

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames
        self.size = sum(len(frame.body) for frame in frames)
        self._packet: bytes | None = None

    @property
    def packet(self) -> bytes:
        if self._packet is None:
            self._packet = b"".join([frame.packet for frame in self.frames])
        return self._packet


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Push).decode


def decode(text: str | bytes) -> Push:
    """Return the push that `text` holds, or raise `Malformed` saying what was expected."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise Malformed(f"{error}.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Malformed(f"not JSON ({error}).") from None
    except RecursionError:
        raise Malformed("nested too deeply.") from None


def speaks(version: str) -> bool:
    """Say whether `version`, the `vsn` that a client asks for, is served: Phoenix's `~> 2.0.0`."""
    return _VERSION.fullmatch(version) is not None


def topic(slug: str) -> str:
    return TOPIC_PREFIX + slug


def slug(topic: str) -> str | None:
    """Return the slug that a topic names, or None where it names no room."""
    name = topic.removeprefix(TOPIC_PREFIX)
    return name if name is not topic and topic.startswith(TOPIC_PREFIX) and _SLUG.fullmatch(name) else None


def event(
    topic: str,
    seq: int,
    name: str,
    at: datetime,
    by: By | None,
    key: str | None,
    data: Any,
    *,
    removed: bool = False,
    removes: int = 0,
) -> Frame:
    """Return an event's frame. `at` is in UTC; `data` is JSON-able, or `msgspec.Raw`.

    `removed` where it was taken away, and the key with it: its sender chose both.
    """
    item = _encode(_Event(seq, name, instant(at), by, None if removed else key, data, removed))
    return framed(topic, name, seq, item, removes)


def framed(topic: str, name: str, seq: int, item: bytes, removes: int = 0) -> Frame:
    """Return the frame around an event that is encoded already."""
    return Frame(b"[null,null,%b,%b,%b]" % (_encode(topic), _encode(name), item), seq, item, removes)


def removal(topic: str, seq: int, at: datetime, by: By | None, target: int) -> Frame:
    """Return the frame of the event that takes the data of the event `target` away."""
    return event(topic, seq, REMOVED, at, by, None, {"seq": target}, removes=target)


def without_data(frame: Frame) -> Frame:
    """Return an event's frame as it is once its data was taken away, and its key."""
    _, _, topic, name, told = msgspec.json.decode(frame.body)
    return framed(topic, name, frame.seq, _encode({**told, "key": None, "data": {}, "removed": True}))


def ephemeral(topic: str, name: str, by: By | None, data: Any) -> Frame:
    """Return the frame of a broadcast that is not kept."""
    return push(None, topic, name, {"name": name, "by": by, "data": data})


def push(join_ref: str | None, topic: str, event: str, payload: Any) -> Frame:
    """Return a message of the server's own accord."""
    return Frame(_encode((join_ref, None, topic, event, payload)))


def reply(push: Push, response: Any, *, status: str = "ok") -> Frame:
    """Return the answer to `push`."""
    answer = {"status": status, "response": response}
    return Frame(_encode((push.join_ref, push.ref, push.topic, "phx_reply", answer)))


def refuse(push: Push, refusal: Refusal) -> Frame:
    return reply(push, refusal.response(), status="error")


def closed(join_ref: str | None, topic: str) -> Frame:
    """Return the frame that ends a subscription for good: a stock client does not join again."""
    return Frame(_encode((join_ref, join_ref, topic, "phx_close", {})))


def crashed(join_ref: str | None, topic: str) -> Frame:
    """Return the frame that ends a subscription for now: a client joins again, with its newest seq."""
    return Frame(_encode((join_ref, join_ref, topic, "phx_error", {"reason": "channel_crash"})))


def remark(refusal: Refusal) -> Frame:
    """Return a refusal about the connection as a whole, which is in reply to nothing."""
    return push(None, "phoenix", "refusal", refusal.response())


def listed(frames: list[Frame]) -> msgspec.Raw:
    """Return the events of `frames` as a JSON list, without encoding them again."""
    return msgspec.Raw(b"[%b]" % b",".join([frame.event for frame in frames]))


def instant(at: datetime) -> str:
    """Return a moment in UTC as the wire writes it: 2026-11-21T10:15:30.123Z."""
    return f"{at.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _header(length: int) -> bytes:
    """Return the head of a final, unmasked text frame (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
