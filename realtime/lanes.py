"""The ways out of a WebSocket: ASGI `send`, which any server has, and a server's direct write of frames, where it offers one.

Both write without a task or a queue per connection, and both say when the client is not reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, Protocol

from realtime.protocol import Batch, Frame

logger = logging.getLogger("realtime.lanes")

_GOODBYE_SECONDS = 10.0

Message = dict[str, Any]
Send = Callable[[Message], Coroutine[Any, Any, None]]


class Wire(Protocol):
    """A server's direct way to the transport: `scope["extensions"]["realtime.frames"]`.

    `write` takes whole, unmasked RFC 6455 frames and never waits. While `paused`, the transport holds as much as it should.
    """

    paused: bool
    on_pause: Callable[[], None]
    on_resume: Callable[[], None]

    @property
    def usable(self) -> bool:
        """Whether frames may be written as they are: the handshake is done, and negotiated no extension."""
        ...

    def settle(self) -> None:
        """Let go of what only the handshake needed: the connection is ours, and nobody will look at its headers again."""
        ...

    def write(self, packet: bytes) -> None: ...

    def cut(self) -> None:
        """Let go of the connection at once, with all that was not sent."""
        ...


class AsgiLane:
    """Writes through ASGI `send`, which any server has.

    `send` almost never has to wait, so its coroutine is run to its end on the spot. Where it does wait, because the client is
    not reading, a task takes over with what is left of the batch, and the lane is paused until that is done.
    """

    __slots__ = ("_ending", "_loop", "_send", "_task", "on_pause", "on_resume")

    direct = None

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._ending: Message | None = None
        self.on_pause: Callable[[], None] = lambda: None
        self.on_resume: Callable[[], None] = lambda: None

    @property
    def paused(self) -> bool:
        return self._task is not None

    def write(self, batch: Batch) -> None:
        assert self._task is None, "a paused lane is not written to"
        self._run(iter(batch.frames))

    def close(self, code: int, reason: str) -> None:
        """Close once what is being sent is out."""
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
        await _quietly(self._send(self._ending))


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


class FrameLane:
    """Writes pre-built frames straight to the transport. The handshake and the close still go through ASGI."""

    __slots__ = ("_closing", "_send", "_wire")

    def __init__(self, wire: Wire, send: Send) -> None:
        self._wire = wire
        self._send = send
        self._closing: asyncio.Task[None] | None = None

    @property
    def direct(self) -> Callable[[bytes], None]:
        return self._wire.write

    @property
    def on_pause(self) -> Callable[[], None]:
        return self._wire.on_pause

    @on_pause.setter
    def on_pause(self, call: Callable[[], None]) -> None:
        self._wire.on_pause = call

    @property
    def on_resume(self) -> Callable[[], None]:
        return self._wire.on_resume

    @on_resume.setter
    def on_resume(self, call: Callable[[], None]) -> None:
        self._wire.on_resume = call

    @property
    def paused(self) -> bool:
        return self._wire.paused

    def write(self, batch: Batch) -> None:
        self._wire.write(batch.packet)

    def close(self, code: int, reason: str) -> None:
        ending = {"type": "websocket.close", "code": code, "reason": reason}
        self._closing = asyncio.get_running_loop().create_task(self._close(ending))

    async def _close(self, ending: Message) -> None:
        """Say goodbye, unless the client does not even read that."""
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await _quietly(self._send(ending))
        except TimeoutError:
            self._wire.cut()

    async def finish(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            await asyncio.gather(self._closing, return_exceptions=True)


async def _quietly(sending: Coroutine[Any, Any, None]) -> None:
    try:
        await sending
    except Exception as error:
        logger.debug("A socket is gone: %r", error)
