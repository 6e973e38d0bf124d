"""The way out to one client: frames go to its lane at once while it reads, and replies wait, up to a bound, while it does not.

Events do not wait here: the hub keeps the client's position instead.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from realtime.protocol import Batch, Frame


class Lane(Protocol):
    """The way out of a transport."""

    @property
    def paused(self) -> bool:
        """Whether what was written has not gone out yet, so that nothing more may be written."""
        ...

    @property
    def direct(self) -> Callable[[bytes], None] | None:
        """The transport's own write of packets, for a lane that tells of every pause; or None."""
        ...

    def write(self, batch: Batch) -> None:
        """Write all frames of the batch; the lane may be paused afterwards."""
        ...

    def close(self, code: int, reason: str) -> None: ...


class Line:
    """`max_replies` may wait, and `waiting_bytes` says how large they are. Once it is closed, everything is let go of."""

    __slots__ = ("_lane", "_max_replies", "_paused_at", "_replies", "closed", "waiting_bytes")

    def __init__(self, lane: Lane, max_replies: int) -> None:
        self._lane = lane
        self._max_replies = max_replies
        self._replies: deque[Frame] | None = None
        self._paused_at: float | None = None
        self.closed = False
        self.waiting_bytes = 0

    @property
    def paused(self) -> bool:
        return self.closed or self._lane.paused or bool(self._replies)

    @property
    def direct(self) -> Callable[[bytes], None] | None:
        return self._lane.direct

    def hold(self) -> None:
        """The client is not reading."""
        self._paused_at = self._paused_at or time.monotonic()

    def write(self, batch: Batch) -> bool:
        """Write events and return True, or write nothing and return False: the client is not reading."""
        if self.paused:
            self._paused_at = self._paused_at or time.monotonic()
            return False
        self._lane.write(batch)
        return True

    def send(self, frame: Frame) -> bool:
        """Write a reply, or have it wait. Return False where too many wait already."""
        if self.closed:
            return True
        if not self.paused:
            self._lane.write(Batch([frame]))
            return True
        self._paused_at = self._paused_at or time.monotonic()
        if self._replies is None:
            self._replies = deque()
        self._replies.append(frame)
        self.waiting_bytes += len(frame.body)
        return len(self._replies) <= self._max_replies

    def resume(self) -> bool:
        """The lane takes writes again: write what waits. Return whether events may follow."""
        self._paused_at = None
        while self._replies and not self._lane.paused:
            frame = self._replies.popleft()
            self.waiting_bytes -= len(frame.body)
            self._lane.write(Batch([frame]))
        return not self.paused

    def stuck_for(self, now: float) -> float:
        """Return for how many seconds the client has not been reading, as far as is known. To be asked now and then."""
        if self._paused_at is None and self._lane.paused:
            self._paused_at = now  # nothing was to be written since
        return 0.0 if self._paused_at is None else now - self._paused_at

    def close(self, code: int, reason: str) -> None:
        self.shut()
        self._lane.close(code, reason)

    def shut(self) -> None:
        """The transport is gone, or going."""
        self.closed = True
        self._replies = None
        self.waiting_bytes = 0
