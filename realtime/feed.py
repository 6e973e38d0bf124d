"""A room's order as one process sees it.

Frames come from the bus in any order, more than once, or not at all. `Feed` hands each on once, in `seq` order, and says up to
where the log has to be asked for what is missing. It also keeps the newest frames, from which those who come back are served,
without the data of those that were removed. It never reads anything itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from realtime.protocol import Frame, without_data


class Standing(NamedTuple):
    """What a room's row says: its newest seq, whether it was closed, the newest seq not kept any more, how often it judged."""

    head: int
    closed: bool = False
    tail: int = 0
    judged: int = 0


class Feed:
    """`position` is the newest seq handed on; everything up to it has been."""

    __slots__ = ("_early", "_gone", "_max_bytes", "_max_events", "_recent", "_recent_bytes", "position", "target")

    def __init__(self, position: int, max_events: int, max_bytes: int) -> None:
        self.position = position
        self.target = position
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._early: dict[int, Frame] = {}
        self._recent: deque[Frame] = deque()
        self._recent_bytes = 0
        self._gone = 0

    @property
    def behind(self) -> bool:
        """Whether something up to `target`, the newest seq heard of, is still missing."""
        return self.position < self.target

    @property
    def first_recent(self) -> int:
        """The seq of the oldest frame kept, or one past `position` when none is."""
        return self._recent[0].seq if self._recent else self.position + 1

    def expect(self, seq: int) -> None:
        """Take note that the room has events up to `seq`."""
        self.target = max(self.target, seq)

    def take(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return those that are to be handed on now, in order. Stale ones are dropped, early ones kept, up to a bound."""
        ready: list[Frame] = []
        for frame in frames:
            if frame.seq == self.position + 1:
                self._hand_on(frame, ready)
                self._hand_on_early(ready)
            elif frame.seq > self.position:
                self._keep_early(frame)
        return ready

    def jump(self, position: int) -> None:
        """Go on from `position`: what lies before is no longer in the log."""
        self.position = position
        self.target = max(self.target, position)
        self._early = {seq: frame for seq, frame in self._early.items() if seq > position}
        self._recent.clear()
        self._recent_bytes = 0

    def after(self, seq: int) -> list[Frame] | None:
        """Return the frames after `seq`, up to `position`; None where memory does not go back so far."""
        if seq >= self.position:
            return []
        if self.first_recent > seq + 1:
            return None
        skip = seq + 1 - self.first_recent
        return [frame for index, frame in enumerate(self._recent) if index >= skip]

    def backfill(self, frames: list[Frame]) -> None:
        """Put frames, read from the log, in front of the recent ones, as far as they adjoin and fit."""
        for frame in reversed(self.without_removed(frames)):
            if frame.seq != self.first_recent - 1:
                continue
            full = len(self._recent) >= self._max_events or self._recent_bytes + len(frame.body) > self._max_bytes
            if full or frame.seq <= self._gone:
                return
            self._recent.appendleft(frame)
            self._recent_bytes += len(frame.body)

    def without_removed(self, frames: list[Frame]) -> list[Frame]:
        """Return frames, read from the log, without the data of those that have been removed since they were read."""
        removed = {frame.removes for frame in (*self._recent, *frames) if frame.removes}
        return [without_data(frame) if frame.seq in removed else frame for frame in frames] if removed else frames

    def forget(self, seq: int) -> None:
        """Let go of the frames up to `seq`, for good: they have left the log."""
        self._gone = max(self._gone, seq)
        self._let_go()

    def _hand_on(self, frame: Frame, ready: list[Frame]) -> None:
        ready.append(frame)
        if frame.removes:
            self._remove(frame.removes)
        self.position = frame.seq
        self.target = max(self.target, frame.seq)
        self._recent.append(frame)
        self._recent_bytes += len(frame.body)
        self._let_go()

    def _remove(self, seq: int) -> None:
        """Keep the recent frame of this seq without its data. The recent ones have no gap."""
        index = seq - self.first_recent
        if 0 <= index < len(self._recent):
            before, after = self._recent[index], without_data(self._recent[index])
            self._recent[index] = after
            self._recent_bytes += len(after.body) - len(before.body)

    def _let_go(self) -> None:
        recent = self._recent
        while recent and (
            len(recent) > self._max_events or self._recent_bytes > self._max_bytes or recent[0].seq <= self._gone
        ):
            self._recent_bytes -= len(recent.popleft().body)

    def _hand_on_early(self, ready: list[Frame]) -> None:
        while self._early:
            frame = self._early.pop(self.position + 1, None)
            if frame is None:
                self._early = {seq: kept for seq, kept in self._early.items() if seq > self.position}
                return
            self._hand_on(frame, ready)

    def _keep_early(self, frame: Frame) -> None:
        """Past the bounds a frame is let go: the log has it, and `target` remembers to ask."""
        self.expect(frame.seq)
        held = sum(len(early.body) for early in self._early.values())
        if len(self._early) < self._max_events and held + len(frame.body) <= self._max_bytes:
            self._early[frame.seq] = frame
