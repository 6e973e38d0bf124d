"""Who asks and does not read the answer: it stays where it is, and so do the file and the memory that it takes.

An answer may take long, as long as something of it leaves now and then.
"""

from __future__ import annotations

import asyncio
from typing import Any

from realtime import metrics

MOST_BEHIND = 16  # requests that are asked behind one another, before an answer is read


class Unread:
    """Aborts an asyncio transport from which nothing leaves for `seconds`, between `begin` and `end`."""

    __slots__ = ("_loop", "_seconds", "_timer", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any, seconds: float) -> None:
        self._loop = loop
        self._transport = transport
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on, if anything is left. To be called where no more is written for now."""
        self.end()
        left = self._transport.get_write_buffer_size()
        if left:
            self._timer = self._loop.call_later(self._seconds, self._look, left)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: int) -> None:
        if self._transport.get_write_buffer_size() < before:
            self.begin()
        else:
            metrics.drops.add(value="unread")
            self._transport.abort()
