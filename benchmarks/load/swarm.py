"""A swarm: clients of one program under test, opened so many at a time, each in a room."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.load.dialects import MARK, MARK_DIGITS, Dialect
from benchmarks.load.talk import Talk
from benchmarks.load.window import Window

_TEXT = WSMsgType.TEXT
_CLOSE = WSMsgType.CLOSE
_HANDSHAKE_SECONDS = 120


class Client(WSListener):
    """One connection. Frames with a mark go to the swarm's window, the others to the dialect."""

    def __init__(self, swarm: Swarm, room: str, since: int | None) -> None:
        self.swarm = swarm
        self.room = room
        self.since = since
        self.caught_up = 0
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: WSTransport | None = None
        self._acknowledges = swarm.dialect.acknowledges

    def send(self, body: bytes) -> None:
        assert self._transport is not None
        self._transport.send(_TEXT, body)

    def ready(self) -> None:
        if not self.joined.done():
            self.joined.set_result(None)

    def fail(self, why: str) -> None:
        if not self.joined.done():
            self.joined.set_exception(ConnectionError(why[:500]))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)

    # picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.swarm.dialect.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        body = frame.get_payload_as_bytes()
        at = body.find(MARK)
        window = self.swarm.window
        if at < 0 or window is None:
            if frame.msg_type == _TEXT:
                self.swarm.dialect.heard(self, body)
            elif frame.msg_type == _CLOSE:
                self.fail(f"closed with {frame.get_close_code()}")
            return
        number = int(body[at + 1 : at + 1 + MARK_DIGITS])
        if self._acknowledges and body[1] == 34:  # a reply begins with `["`, a push with `[null`
            window.acknowledged(number, b'"ok"' in body)
        else:
            window.delivered(number)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.fail("disconnected")
        self.swarm.lost(self)


class Swarm:
    """`rooms` are the clients by room; `window` is the measurement that is under way."""

    def __init__(self, dialect: Dialect, urls: Sequence[str]) -> None:
        self.dialect = dialect
        self.rooms: dict[str, list[Client]] = {}
        self.window: Window | Talk | None = None
        self.disconnected = 0
        self.failures: list[str] = []
        self._urls = itertools.cycle(urls)
        self._closing = False

    async def open(
        self, cookies: Sequence[str | None], rooms: Sequence[str], at_once: int, since: int | None = None
    ) -> float:
        """Open one client per cookie, and return the seconds until the last is in its room. A failure is kept, and counted."""
        turnstile = asyncio.Semaphore(at_once)
        started = time.perf_counter()
        await asyncio.gather(
            *(self._open_one(turnstile, cookie, room, since) for cookie, room in zip(cookies, rooms, strict=True))
        )
        return time.perf_counter() - started

    def clients(self) -> list[Client]:
        return [client for members in self.rooms.values() for client in members]

    def lost(self, client: Client) -> None:
        members = self.rooms.get(client.room, [])
        if not self._closing and client in members:
            members.remove(client)
            self.disconnected += 1

    def close(self) -> None:
        self._closing = True
        for client in self.clients():
            client.close()

    async def _open_one(self, turnstile: asyncio.Semaphore, cookie: str | None, room: str, since: int | None) -> None:
        client = Client(self, room, since)
        site = next(self._urls)
        headers = {**self.dialect.headers, "Origin": site.replace("ws://", "http://", 1)}
        if cookie:
            headers["Cookie"] = cookie
        async with turnstile:
            try:
                await ws_connect(
                    lambda: client,
                    site + self.dialect.path.format(room=room),
                    extra_headers=headers,
                    websocket_handshake_timeout=_HANDSHAKE_SECONDS,
                    read_buffer_init_size=4096,
                )
                await asyncio.wait_for(client.joined, _HANDSHAKE_SECONDS)
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                client.joined.cancel()
                return
        self.rooms.setdefault(room, []).append(client)
