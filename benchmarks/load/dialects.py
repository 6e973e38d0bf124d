"""What the programs under test speak. A dialect opens a client's line into a room, and writes messages.

Every message carries a mark, `~` and eight digits, by which its deliveries are counted whatever they are wrapped in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

TEXT_BYTES = 100
MARK = b"~"
MARK_DIGITS = 8


class Line(Protocol):
    """What a dialect asks of a client that is being opened."""

    room: str
    since: int | None
    caught_up: int

    def send(self, body: bytes) -> None: ...

    def ready(self) -> None: ...

    def fail(self, why: str) -> None: ...


class Dialect:
    """The plainest one: text frames that everyone gets. `acknowledges`: the sender hears of its message apart from it."""

    path = "/"
    headers: dict[str, str] = {}
    acknowledges = False

    def opened(self, line: Line) -> None:
        """The WebSocket is open."""
        line.ready()

    def heard(self, line: Line, body: bytes) -> None:
        """A frame without a mark."""

    def message(self, name: str, room: str, text: str) -> bytes:
        return text.encode()


class ChannelsChat(Dialect):
    path = "/ws/chat/{room}/"

    def message(self, name: str, room: str, text: str) -> bytes:
        return _json({"message": text})


class ChannelsSaved(ChannelsChat):
    path = "/ws/saved/{room}/"


class SocketIO(Dialect):
    """Engine.IO 4 and Socket.IO 5, over WebSocket from the start."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def heard(self, line: Line, body: bytes) -> None:
        if body == b"2":
            line.send(b"3")
        elif body.startswith(b"0{"):
            line.send(b"40")
        elif body.startswith(b"40"):
            line.send(b"420" + _json(["join", line.room]))
        elif body.startswith(b"430"):
            line.ready()

    def opened(self, line: Line) -> None:
        """The server speaks first."""

    def message(self, name: str, room: str, text: str) -> bytes:
        return b"42" + _json(["message", {"room": room, "text": text}])


class ActionCable(Dialect):
    headers = {"Sec-WebSocket-Protocol": "actioncable-v1-json"}

    def opened(self, line: Line) -> None:
        """The server speaks first."""

    def heard(self, line: Line, body: bytes) -> None:
        if b'"welcome"' in body:
            line.send(_json({"command": "subscribe", "identifier": _channel(line.room)}))
        elif b'"confirm_subscription"' in body:
            line.ready()
        elif b'"reject_subscription"' in body:
            line.fail(body.decode())

    def message(self, name: str, room: str, text: str) -> bytes:
        data = json.dumps({"action": "speak", "message": text})
        return _json({"command": "message", "identifier": _channel(room), "data": data})


class Realtime(Dialect):
    """Ours: Phoenix Channels, with a key on every durable message, as the browser's client has it."""

    path = "/realtime/websocket?vsn=2.0.0"
    acknowledges = True

    def opened(self, line: Line) -> None:
        wanted = {} if line.since is None else {"since": line.since}
        line.send(_json(["1", "1", f"room:{line.room}", "phx_join", wanted]))

    def heard(self, line: Line, body: bytes) -> None:
        if b"phx_reply" not in body:
            return
        reply = json.loads(body)[4]
        if reply["status"] != "ok":
            line.fail(body.decode())
        elif "events" in reply["response"]:
            line.caught_up = _contiguous(line.since, reply["response"])
            line.ready()

    def message(self, name: str, room: str, text: str) -> bytes:
        mark = text[: len(MARK) + MARK_DIGITS]
        arguments = {"text": text, "key": mark} if name == "message" else {"text": text}
        return _json(["1", mark, f"room:{room}", name, arguments])


BY_NAME: dict[str, Callable[[], Dialect]] = {
    "plain": Dialect,
    "channels": ChannelsChat,
    "channels-saved": ChannelsSaved,
    "socketio": SocketIO,
    "actioncable": ActionCable,
    "realtime": Realtime,
}


def marked(number: int) -> str:
    """Return the text of a message: its mark, and as many letters as it takes to `TEXT_BYTES`."""
    return f"~{number:0{MARK_DIGITS}d}".ljust(TEXT_BYTES, "x")


def _contiguous(since: int | None, response: dict[str, Any]) -> int:
    """Return how many missed events came in the reply, or -1 where they are not exactly those after `since`."""
    seqs = [event["seq"] for event in response["events"]]
    return len(seqs) if since is None or seqs == list(range(since + 1, response["seq"] + 1)) else -1


def _channel(room: str) -> str:
    return json.dumps({"channel": "ChatChannel", "room": room})


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
