"""A rest: where several things went together, the next wait for as long as that took, so that they go together too.

Whoever does one thing at a time never rests, so that nothing which is alone is late. A busy one does less for each, and leaves
time to others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_MOST_SECONDS = 0.01


class Rest:
    """`left` is how many seconds of it are left: 10 ms at most, mostly none."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def then(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> asyncio.Handle:
        """Have a call made at the end of this turn of the event loop, or of the rest."""
        left = self.left
        return loop.call_later(left, call) if left else loop.call_soon(call)

    def after(self, count: int, began: float) -> None:
        """Begin a rest, where this many were done together since a moment of `time.monotonic`."""
        now = time.monotonic()
        self._until = now + min(now - began, _MOST_SECONDS) if count > 1 else 0.0
