"""How fast one client may go: its own allowances, next to those that it shares with its person's other connections.

Commands, ephemeral ones and joins that come too fast are refused, each kind by itself. Frames that come too fast, whatever is in
them, are read more slowly. A client that goes on all the same is flooding, and so is one whose person has done so on other
connections: fifty that flood together are not let do fifty times as much. Time is an argument.
"""

from __future__ import annotations

from realtime import limits
from realtime.allowances import FRAMES_PER_COMMAND, Allowance
from realtime.conf import Settings
from realtime.errors import RateLimited
from realtime.limits import Bucket

_FRAME_BYTES = 4 * 1024


class Pace:
    """`shared` is the person's, `flooding` says that they were refused or held up too often within ten seconds, here at last."""

    __slots__ = ("_commands", "_frames", "_joins", "flooding", "shared")

    def __init__(self, settings: Settings, shared: Allowance, now: float) -> None:
        rate, burst = settings.COMMANDS_PER_SECOND, settings.COMMANDS_BURST
        self.shared = shared
        self._commands = Bucket(rate, burst, now)
        self._frames = Bucket(rate * FRAMES_PER_COMMAND, burst * FRAMES_PER_COMMAND + settings.MAX_ROOMS, now)
        # Apart from the commands, and wide enough for a client that comes back to all of its rooms at once.
        self._joins = Bucket(rate, burst + settings.MAX_ROOMS, now)
        self.flooding = False

    def frame(self, now: float, size: int = 0) -> float:
        """Count a frame, and return for how many seconds it should wait; nothing more is to be read meanwhile.

        A large one counts as several: what it costs is to be read.
        """
        shared = self.shared.frames
        wait = max(self._frames.wait(now), shared.wait(now))
        count = 1 + size // _FRAME_BYTES
        self._frames.spend(count)
        shared.spend(count)
        if wait:
            self._strain(now)
        return wait

    def command(self, now: float, room: Bucket | None = None) -> None:
        """Count a durable command, or something read back. `room` is the person's allowance in a room that has a rate."""
        self._spend((self._commands, self.shared.commands, *((room,) if room else ())), now)

    def ephemeral(self, now: float) -> None:
        self._spend((self.shared.ephemerals(now),), now)

    def join(self, now: float) -> None:
        self._spend((self._joins, self.shared.joins(now)), now)

    def room(self, room_pk: int, rate: float | None, now: float) -> Bucket | None:
        """Return the person's allowance in a room, where the room has a rate of its own."""
        return self.shared.room(room_pk, rate, now) if rate else None

    def may_return(self, now: float) -> bool:
        """Say whether one who floods is asked to come back, and count it."""
        return not self.shared.returns(now).take(now)

    def _spend(self, buckets: tuple[Bucket, ...], now: float) -> None:
        wait = limits.take(buckets, now)
        if wait:
            self._strain(now)
            raise RateLimited(wait)

    def _strain(self, now: float) -> None:
        if self.shared.patience(now).take(now):
            self.flooding = True
