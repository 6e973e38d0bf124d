"""The WebSocket transport: an ASGI application, to be routed like a Channels consumer.

It is not a subclass of Channels' `AsyncConsumer`: that one goes through a process-wide thread before every message, in and out.
Frames go out through `AsgiLane`, which writes without a task or a queue per connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any
from urllib.parse import parse_qs

from realtime import node, protocol
from realtime.connection import Connection
from realtime.errors import Refusal
from realtime.protocol import Batch, Frame

logger = logging.getLogger("realtime.consumers")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]

_GIVING_UP = 4002
_SUBPROTOCOL = "phoenix"


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket. A page's origin has been looked at before (`realtime.asgi`)."""
    await receive()  # websocket.connect
    if not protocol.speaks(_version(scope)):
        await send({"type": "websocket.close", "code": 1008})
        return
    home = await node.current()
    try:
        person = await home.identify(_cookies(scope))
    except Refusal as refusal:
        await _turn_away(scope, send, refusal)
        return
    await _accept(scope, send)
    lane = AsgiLane(send)
    connection = Connection(home, person, lane)
    lane.on_resume = connection.resumed
    try:
        await _serve(connection, receive)
    finally:
        connection.closed()
        await lane.finish()


async def _serve(connection: Connection, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is not None:
            await connection.receive(text)
        else:
            connection.refuse_binary()


async def _accept(scope: Scope, send: Send) -> None:
    offered = _SUBPROTOCOL in scope.get("subprotocols", ())
    await send({"type": "websocket.accept", "subprotocol": _SUBPROTOCOL if offered else None})


async def _turn_away(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Tell a client why it is not served: a socket refused before it is open says nothing to a browser."""
    await _accept(scope, send)
    await send({"type": "websocket.send", "text": protocol.remark(refusal).text})
    await send({"type": "websocket.close", "code": _GIVING_UP, "reason": refusal.code})


def _version(scope: Scope) -> str:
    asked: dict[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return asked.get("vsn", ["1.0.0"])[-1]


def _cookies(scope: Scope) -> str:
    return "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")


class AsgiLane:
    """Writes through ASGI `send`, which any server has.

    `send` almost never has to wait, so its coroutine is run to its end on the spot. Where it does wait, because the client is
    not reading, a task takes over with what is left of the batch, and the lane is paused until that is done.
    """

    __slots__ = ("_ending", "_loop", "_send", "_task", "on_resume")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._ending: Message | None = None
        self.on_resume: Callable[[], None] = lambda: None

    @property
    def paused(self) -> bool:
        return self._task is not None

    def write(self, batch: Batch) -> None:
        assert self._task is None, "a paused lane is not written to"
        self._run(iter(batch.frames))

    def close(self, code: int, reason: str) -> None:
        self._ending = {"type": "websocket.close", "code": code, "reason": reason}
        if self._task is None:
            self._task = self._loop.create_task(self._close())

    async def finish(self) -> None:
        """Let go of the transport."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _run(self, frames: Iterator[Frame]) -> None:
        for frame in frames:
            sending = self._send({"type": "websocket.send", "text": frame.text})
            try:
                waits_for = sending.send(None)
            except StopIteration:
                continue
            except Exception as error:
                logger.debug("A socket is gone: %r", error)
                return
            self._task = self._loop.create_task(self._finish_sending(_Started(sending, waits_for), frames))
            return

    async def _finish_sending(self, sending: _Started, frames: Iterator[Frame]) -> None:
        try:
            await sending
            for frame in frames:
                await self._send({"type": "websocket.send", "text": frame.text})
        except Exception as error:
            logger.debug("A socket is gone: %r", error)
        if self._ending is not None:
            await self._close()
            return
        self._task = None
        self.on_resume()

    async def _close(self) -> None:
        assert self._ending is not None
        try:
            await self._send(self._ending)
        except Exception as error:
            logger.debug("A socket is gone: %r", error)


class _Started:
    """The rest of a coroutine that has been run up to its first wait."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            error: BaseException | None = None
            try:
                value = yield waits_for
            except BaseException as thrown:
                error = thrown
            try:
                waits_for = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration:
                return
