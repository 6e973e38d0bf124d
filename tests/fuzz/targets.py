"""What is tried: the codec, a connection's life, and everything that is asked over HTTP, the handshake of a WebSocket included.

Each is called with an input and returns where all that must hold holds: nothing raised, nothing logged as an error, no 500, no
queue beyond its bound, every refusal one of docs/protocol.md, and a bystander in the same room who misses nothing.
"""

import asyncio
import io
import json
import re
from typing import Any
from urllib.parse import unquote

from django.core.handlers.asgi import ASGIHandler

import realtime.asgi
from realtime import conf, protocol, rooms
from realtime.errors import Malformed
from realtime.models import Room
from tests.docs.pages import page, table
from tests.fuzz.world import HOST, OWN, SESSIONS, SHARED, Client, World
from tests.support.wsclient import Frame

MOST_LINES = 40
MOST_CLIENTS = 6
LONGEST = 200_000
TRIES_AGAIN = {code: again == "yes" for code, again, _ in table(page("docs/protocol.md"), "code", "again?", "when")}
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Codec:
    """An input is a frame. What is taken is a `Push`, which can be answered and refused; anything else is `Malformed`."""

    def __call__(self, data: bytes) -> None:
        for text in (data, data.decode("utf-8", "replace"), data.decode("latin-1")):
            self._take(text)
        protocol.speaks(data.decode("latin-1"))

    def _take(self, text: str | bytes) -> None:
        try:
            push = protocol.decode(text)
        except Malformed as refusal:
            is_refusal(refusal.response())
            return
        protocol.slug(push.topic)
        answer = Frame(*json.loads(protocol.reply(push, push.payload).body))
        assert answer == (push.join_ref, push.ref, push.topic, "phx_reply", {"status": "ok", "response": push.payload})
        again = json.dumps([push.join_ref, push.ref, push.topic, push.event, push.payload])
        assert protocol.decode(again) == push


class Lives:
    """An input is a story, a line a step: a frame that a client sends, or, with `!`, what else happens. `STEPS` lists these."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, data: bytes) -> None:
        self._world.begin()
        bystander = Bystander(self._world)
        self._clients: list[Client] = []
        self._slow = False
        self._come(b"alice")
        for line in data.split(b"\n")[:MOST_LINES]:
            self._step(line)
            if self._slow:
                self._world.turn()
            else:
                self._world.settle()
            for client in self._clients:
                is_bounded(client)
        self._world.settle()
        bystander.is_content()
        for client in self._clients:
            is_well_spoken(client)
        self._world.end()

    def _step(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        step = STEPS.get(word)
        if step is not None:
            step(self, rest)
        elif self._clients:
            self._clients[-1].send(text(line))

    def _come(self, name: bytes) -> None:
        """Another client, who is the one that sends from now on."""
        if len(self._clients) < MOST_CLIENTS:
            client = self._world.connect(name.decode("latin-1"))
            self._clients += [client] if client is not None else []

    def _turn_to(self, rest: bytes) -> None:
        """The client before sends from now on."""
        self._clients[:] = self._clients[-1:] + self._clients[:-1]

    def _go(self, rest: bytes) -> None:
        for client in self._clients[-1:]:
            self._world.call(client.go)

    def _binary(self, rest: bytes) -> None:
        for client in self._clients[-1:]:
            client.send(None)

    def _long(self, rest: bytes) -> None:
        for client in self._clients[-1:]:
            client.send("[" * number(rest, LONGEST))

    def _many(self, rest: bytes) -> None:
        """One frame, many times at once."""
        count, _, frame = rest.partition(b" ")
        for client in self._clients[-1:]:
            for _ in range(number(count, 300)):
                client.send(text(frame))

    def _pause(self, rest: bytes) -> None:
        for client in self._clients[-1:]:
            self._world.call(client.pause)

    def _resume(self, rest: bytes) -> None:
        for client in self._clients[-1:]:
            self._world.call(client.resume)

    def _slow_down(self, rest: bytes) -> None:
        """From here on the database works only when it is told to; or at once, as before."""
        self._slow = not self._slow

    def _work(self, rest: bytes) -> None:
        self._world.work()

    def _wait(self, rest: bytes) -> None:
        self._world.wait(number(rest, 1000))

    def _say(self, rest: bytes) -> None:
        for _ in range(number(rest, 30)):
            rooms.publish(SHARED, "message", {"text": "the site speaks"})

    def _close(self, rest: bytes) -> None:
        """The room that alice moderates; and open it again."""
        closed = Room.objects.get(slug=OWN).closed
        (rooms.reopen if closed else rooms.close)(OWN)


STEPS = {
    b"!come": Lives._come,
    b"!turn": Lives._turn_to,
    b"!go": Lives._go,
    b"!binary": Lives._binary,
    b"!long": Lives._long,
    b"!many": Lives._many,
    b"!pause": Lives._pause,
    b"!resume": Lives._resume,
    b"!slow": Lives._slow_down,
    b"!work": Lives._work,
    b"!wait": Lives._wait,
    b"!say": Lives._say,
    b"!close": Lives._close,
}


class Web:
    """An input is a request as it stands on the line, its address from `/` on; one that asks for an upgrade is a handshake."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._django = ASGIHandler()
        self._django.load_middleware(is_async=False)
        self._sockets = realtime.asgi.websocket()

    def __call__(self, data: bytes) -> None:
        asked = scope_of(data)
        if asked is None:
            return
        scope, body = asked
        self._world.begin()
        bystander = Bystander(self._world)
        if scope["type"] == "websocket":
            self._shake_hands(scope, body)
        else:
            self._ask(scope, body)
        self._world.settle()
        bystander.is_content(alone=SESSIONS["admin"] not in str(scope["headers"]))
        self._world.end()

    def _ask(self, scope: dict[str, Any], body: bytes) -> None:
        request, answer = self._django.create_request(scope, io.BytesIO(body))
        if request is not None:
            answer = self._django.get_response(request)
        assert answer.status_code < 500, f"{answer.status_code}"
        if answer["Content-Type"] == "application/json" and answer.status_code >= 400 and "code" in answer.text:
            is_refusal(json.loads(answer.text))
        answer.close()

    def _shake_hands(self, scope: dict[str, Any], body: bytes) -> None:
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        said: list[dict[str, Any]] = []
        told.put_nowait({"type": "websocket.connect"})

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        serving = self._world.run(self._sockets(scope, told.get, send), wait=False)
        for line in body.split(b"\n")[:5]:
            told.put_nowait({"type": "websocket.receive", "text": line.decode("utf-8", "replace")})
        told.put_nowait({"type": "websocket.disconnect"})
        self._world.settle()
        if not serving.done():  # it floods, and is not read for a while
            self._world.wait(1000)
        assert serving.done()
        serving.result()
        assert said[0]["type"] in ("websocket.accept", "websocket.close")
        assert [message for message in said if message["type"] == "websocket.accept"] == said[
            : said[0]["type"] != "websocket.close"
        ]


class Bystander:
    """Bob, who is in the same room all the while: hears every event once and in order, is not closed on, and is answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        client = world.connect("bob")
        assert client is not None
        self._client = client
        self._client.send(json.dumps(["1", "1", f"room:{SHARED}", "phx_join", {"since": 0}]))
        world.settle()
        assert self._client.heard, "bob was not let in"

    def is_content(self, *, alone: bool = True) -> None:
        """Unless an administrator had a say, who may put anybody out."""
        if not alone:
            return
        self._client.send(json.dumps(["1", "2", f"room:{SHARED}", "message", {"text": "still here"}]))
        self._world.settle()
        assert self._client.lane.closed is None
        answers = [frame for frame in self._client.heard if frame.ref == "2"]
        assert [frame.ok for frame in answers] == [True], answers
        head = Room.objects.get(slug=SHARED).head
        assert self._client.lane.seqs == list(range(1, head + 1))
        is_well_spoken(self._client)


def is_bounded(client: Client) -> None:
    connection, settings = client.connection, conf.current()
    assert len(connection._whereabouts) <= settings.MAX_ROOMS
    assert connection._unanswered <= settings.MAX_UNANSWERED
    assert len(connection._line._replies or ()) <= settings.MAX_REPLIES + 1


def is_well_spoken(client: Client) -> None:
    """Every frame to a client is one of docs/protocol.md."""
    for frame in client.heard:
        assert isinstance(frame.topic, str)
        assert isinstance(frame.payload, dict)
        if frame.event == "phx_reply":
            assert frame.payload.keys() == {"status", "response"}
            if not frame.ok:
                is_refusal(frame.response)
        elif frame.event in ("refusal", "room_ended"):
            is_refusal(frame.payload)


def is_refusal(said: dict[str, Any]) -> None:
    assert said["code"] != "failed", said
    assert said["message"]
    assert TRIES_AGAIN.get(said["code"], "retry_after" in said) == ("retry_after" in said), said


def scope_of(data: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return a request as ASGI has it, and its body; None for what no server hands on."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    if not TOKEN.fullmatch(method) or not path.startswith(b"/") or not target.isascii() or b" " in target:
        return None
    headers = [(b"host", HOST.encode())]
    for line in lines:
        name, _, value = line.partition(b":")
        if TOKEN.fullmatch(name) and not re.search(rb"[\x00\r]", value):
            headers.append((name.lower(), value.strip()))
    if b"host" in dict(headers[1:]):
        del headers[0]
    offered = dict(headers).get(b"sec-websocket-protocol", b"").decode("latin-1")
    socket = dict(headers).get(b"upgrade", b"").lower() == b"websocket"
    scope = {
        "type": "websocket" if socket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": "ws" if socket else "http",
        "path": unquote(path.decode()),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": ("198.51.100.7", 40000),
        "server": (HOST, 80),
        "subprotocols": [name.strip() for name in offered.split(",") if name.strip()],
    }
    return scope, body


def text(line: bytes) -> str | bytes:
    """A frame as a server hands it on; the core takes bytes, too."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line


def number(word: bytes, most: int) -> int:
    return min(int(word), most) if word.isdigit() and len(word) < 9 else 1
