"""A small Phoenix V2 client for tests: joins, pushes, and waits for frames, always under a deadline.

It is deliberately plain: it checks nothing, resends nothing and hides nothing. Frames that nobody has taken yet stay in
`frames`, in the order in which they came.
"""

import asyncio
import itertools
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

SECONDS = 10.0


class Frame(NamedTuple):
    """A message of the wire."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.payload.get("status") == "ok"

    @property
    def response(self) -> dict[str, Any]:
        """What a reply says, or the refusal it carries."""
        response: dict[str, Any] = self.payload["response"]
        return response


class Client:
    """One WebSocket connection to `base_url`, logged in when it is given a session cookie."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Frame] = []
        self.largest = 0  # bytes of the largest frame that came
        self.raw = b""  # what came over the line since `tap`, frames with their heads
        self._joins: dict[str, str] = {}
        self._refs = map(str, itertools.count(1))
        self._came = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name="wsclient reader")

    @classmethod
    async def connect(
        cls,
        base_url: str,
        *,
        cookie: str = "",
        path: str = "/realtime/websocket?vsn=2.0.0",
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        trust: ssl.SSLContext | None = None,
        within: float = SECONDS,
    ) -> Self:
        """Open a connection as a page of the site itself would; `websockets.InvalidStatus` when it is refused.

        With an empty `origin` it connects as a program does, which is no page of any site.
        """
        extra = dict(headers or {}) | ({"Cookie": cookie} if cookie else {})
        socket = await connect(
            base_url.replace("http", "ws", 1) + path,
            origin=Origin(base_url if origin is None else origin) if origin != "" else None,
            additional_headers=extra,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            open_timeout=within,
            close_timeout=1,
            ping_interval=None,
            compression=None,
            max_size=None,
            proxy=None,
            ssl=trust,
        )
        return cls(socket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        await self.socket.close()
        await self._reader

    def tap(self) -> None:
        """From now on keep every byte that comes, in `raw`."""
        hear = self.socket.data_received

        def keep(data: bytes) -> None:
            self.raw += data
            hear(data)

        self.socket.data_received = keep  # type: ignore[method-assign]

    async def drop(self) -> None:
        """Cut the line as a broken network would: without a closing handshake."""
        self.socket.transport.abort()
        await self._reader

    async def join(self, slug: str, since: int | None = None, **payload: Any) -> Frame:
        """Join a room and return the reply."""
        topic = f"room:{slug}"
        self._joins[topic] = ref = next(self._refs)
        position = {} if since is None else {"since": since}
        await self.send([ref, ref, topic, "phx_join", position | payload])
        return await self.reply(ref)

    async def leave(self, slug: str) -> Frame:
        return await self.push(slug, "phx_leave")

    async def push(self, slug: str, event: str, **payload: Any) -> Frame:
        """Send a command to a joined room and return the reply."""
        return await self.reply(await self.cast(slug, event, **payload))

    async def cast(self, slug: str, event: str, **payload: Any) -> str:
        """Send a command without waiting; return the ref to ask `reply` for."""
        topic, ref = f"room:{slug}", next(self._refs)
        await self.send([self._joins.get(topic), ref, topic, event, payload])
        return ref

    async def heartbeat(self) -> Frame:
        ref = next(self._refs)
        await self.send([None, ref, "phoenix", "heartbeat", {}])
        return await self.reply(ref)

    async def send(self, frame: list[Any] | str | bytes) -> None:
        """Send a frame, or any text or bytes as they are."""
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def reply(self, ref: str, within: float = SECONDS) -> Frame:
        def answers(frame: Frame) -> bool:
            return frame.event == "phx_reply" and frame.ref == ref

        return await self.take(answers, within, f"a reply to {ref}")

    async def event(self, name: str, slug: str | None = None, within: float = SECONDS) -> Frame:
        """Return the next frame of this name, of this room if it matters."""

        def is_it(frame: Frame) -> bool:
            return frame.event == name and slug in (None, frame.topic.removeprefix("room:"))

        return await self.take(is_it, within, name)

    async def events(self, name: str, slug: str, count: int, within: float = SECONDS) -> list[dict[str, Any]]:
        """Return the payloads of the next `count` frames of this name, in the order in which they came."""
        async with asyncio.timeout(within):
            return [(await self.event(name, slug, within)).payload for _ in range(count)]

    async def settle(self) -> list[Frame]:
        """Return what came, untaken, before the answer to a heartbeat: whatever was sent to this client until now."""
        await self.heartbeat()
        return list(self.frames)

    async def take(self, match: Callable[[Frame], bool], within: float = SECONDS, what: str = "the frame") -> Frame:
        """Remove and return the first frame that matches, waiting for it if need be."""
        try:
            async with asyncio.timeout(within), self._came:
                while True:
                    for place, frame in enumerate(self.frames):
                        if match(frame):
                            return self.frames.pop(place)
                    if self._reader.done():
                        raise AssertionError(f"closed with {self.close_code} before {what}; there was {self.frames}")
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {within:g} s; there was {self.frames}") from None

    async def closed(self, within: float = SECONDS) -> int | None:
        """Wait until the other side has closed the connection and return the close code."""
        async with asyncio.timeout(within):
            await asyncio.shield(self._reader)
        return self.close_code

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code

    async def _read(self) -> None:
        try:
            while True:
                encoded = await self.socket.recv(decode=False)
                self.largest = max(self.largest, len(encoded))
                frame = Frame(*json.loads(encoded))
                async with self._came:
                    self.frames.append(frame)
                    self._came.notify_all()
        except ConnectionClosed:
            pass  # `closed` and `close_code` say so to whoever asks
        finally:
            async with self._came:
                self._came.notify_all()
