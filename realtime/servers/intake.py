"""What a client sends waits in its own socket: a server reads no further ahead than a bound, in small pieces.

A server hands on all that one read of the socket brings, which may be tens of thousands of tiny frames, and daphne reads on
whatever waits already. An `Intake` stands between the transport and the server's protocol. While what was read waits to be
taken, the rest waits with it, and the transport is paused. Who goes on sending after a goodbye is not read any more: the server
cuts the line when its own time for goodbyes is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from realtime import metrics

Receive = Callable[[], Awaitable[dict[str, Any]]]

_PIECE_BYTES = 1024
_LONGEST_PIECE_BYTES = 4096
_MOST_BYTES = 32_768

# RFC 6455, 7.4.1
NOT_WEBSOCKET = 1002
NOT_UTF8 = 1007
TOO_BIG = 1009
# Ours, as `realtime.connection` has it.
TOO_FAST = 4005


def count_failed(code: int) -> None:
    """Count a connection that a server ends because of what came on it, by the code that says why."""
    if code == TOO_BIG:
        metrics.drops.add(value="too_big")
    elif code == TOO_FAST:
        metrics.drops.add(value="too_fast")
    else:
        metrics.drops.add(value="not_websocket")


class Source(Protocol):
    """A server's side of one connection."""

    def feed(self, data: bytes) -> None:
        """Give the server's protocol what was read."""
        ...

    def drained(self) -> bool:
        """Whether everything that was fed is taken."""
        ...

    def ending(self) -> bool:
        """Whether a goodbye has been said, by either side."""
        ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Intake:
    """`came` is called by the transport, `receive` by the application."""

    __slots__ = ("_begun", "_paused", "_receive", "_rest", "_source", "_waiting")

    def __init__(self, source: Source, receive: Receive) -> None:
        self._source = source
        self._receive = receive
        self._rest = b""
        self._waiting = 0
        self._paused = False
        self._begun = False

    def came(self, data: bytes) -> None:
        """Take what was read. Before the handshake is answered all of it waits: servers would answer pings, or raise."""
        self._waiting += len(data)
        if not self._begun and not self._source.ending():
            self._rest += data
        elif len(data) <= _PIECE_BYTES and not self._rest:
            self._source.feed(data)
        else:
            self._rest += data
            self._feed()
        if self._begun and self._source.drained() and not self._source.ending():
            self._waiting = 0  # at most a part of a frame, for whose size the server has a bound
        if self._rest or self._waiting > _MOST_BYTES:
            self._paused = True
            self._source.pause()

    async def receive(self) -> dict[str, Any]:
        self._begun = True
        if self._rest and self._source.drained():
            await asyncio.sleep(0)  # everybody else has a turn between two pieces
        if self._waiting and self._source.drained() and not self._source.ending():
            self._go_on()
        message = await self._receive()
        if self._rest:
            self._source.pause()  # uvicorn has just resumed, by its own count
        elif not self._paused and self._source.drained() and not self._source.ending():
            self._waiting = 0
        return message

    def _go_on(self) -> None:
        self._feed()
        if self._rest:
            return
        self._waiting = 0
        if self._paused:
            self._paused = False
            self._source.resume()

    def _feed(self) -> None:
        """Give the protocol piece after piece, until there is something to be taken; longer ones where a message is longer."""
        rest, start, size = self._rest, 0, _PIECE_BYTES
        self._rest = b""
        while start < len(rest) and self._source.drained() and not self._source.ending():
            self._source.feed(rest[start : start + size])
            start += size
            size = min(2 * size, _LONGEST_PIECE_BYTES)
        self._rest = rest[start:]
