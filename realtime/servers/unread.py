"""Who asks and does not read the answer: it stays where it is, and so do the file and the memory that it takes.

An answer may take long, as long as something of it arrives now and then.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from realtime import metrics

if sys.platform != "win32":
    import fcntl
    import termios

MOST_BEHIND = 16  # requests that are asked behind one another, before an answer is read


class Unread:
    """Aborts an asyncio transport of which nothing arrives for `seconds`, between `begin` and `end`."""

    __slots__ = ("_loop", "_seconds", "_timer", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any, seconds: float) -> None:
        self._loop = loop
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on, if anything is left. To be called where no more is written for now."""
        self.end()
        if self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(self._seconds, self._look, self._left)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: int) -> None:
        if self._left < before:
            self.begin()
        else:
            metrics.drops.add(value="unread")
            self._transport.abort()

    @property
    def _left(self) -> int:
        """What the system has taken counts, too: it takes more only when a third of it has arrived, long after on a slow line."""
        left: int = self._transport.get_write_buffer_size()
        return left + not_arrived(self._transport.get_extra_info("socket"))


def not_arrived(socket: Any) -> int:
    """Return how many bytes the system has taken that the other side has not, or 0 where it does not say."""
    if sys.platform == "win32":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # ValueError: it is closed
        return 0
