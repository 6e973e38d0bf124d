"""How fast one client may go: its own allowances, next to those that it shares with its person's other connections.

Commands, ephemeral ones and joins that come too fast are refused, each kind by itself. Frames that come too fast, whatever is in
them, are read more slowly. A client that goes on all the same is flooding, and so is one whose person has done so on other
connections: fifty that flood together are not let do fifty times as much. One that waits for as long as it was told is not, nor
are fifty of one person that do so: what comes after that time does not count, nor what was on its way when it was told.
Time is an argument.
"""

from __future__ import annotations

from realtime import limits
from realtime.allowances import FRAMES_PER_COMMAND, Allowance
from realtime.conf import Settings
from realtime.errors import RateLimited
from realtime.limits import Bucket

_FRAME_BYTES = 4 * 1024

# So many frames may be on their way when a client is told to wait: twice what the JavaScript client has without an answer in a
# room. With several rooms they are first read slowly, and then refused. And so many a second are forgiven to one that finds out,
# again and again, how fast it may go.
_ON_THEIR_WAY = 32
_ON_THEIR_WAY_TO_ANOTHER_ROOM = 64
_FORGIVEN_PER_SECOND = 1.0

_JOINS = -1
_EPHEMERALS = -2


class _Told:
    """Until when a client was told to wait: in each room by itself, as its pages do. Who is never too fast has none."""

    __slots__ = ("_early", "_most", "_until")

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._until: dict[int, float] = {}
        self._early = Bucket(_FORGIVEN_PER_SECOND, _ON_THEIR_WAY, now)

    def wait(self, about: int, now: float, seconds: float) -> bool:
        """Take note, and return whether this came before the time was over. Those rooms beyond `most` are as one."""
        if about not in self._until and len(self._until) >= self._most:
            about = 0
        until = self._until.get(about)
        if until is None:
            self._widen(about)
            until = now
        self._until[about] = max(until, now + seconds)
        return now < until

    def forgive(self, now: float) -> bool:
        """Return whether what came too early may have been on its way."""
        return not self._early.take(now)

    def _widen(self, about: int) -> None:
        """Each room may have as many on their way; and joins come for every room at once."""
        more = self._most if about == _JOINS else _ON_THEIR_WAY_TO_ANOTHER_ROOM if self._until else 0
        self._early.burst += more
        self._early.tokens += more


class Pace:
    """`shared` is the person's, `flooding` says that they went on too often within ten seconds, here at last."""

    __slots__ = ("_commands", "_frames", "_joins", "_most", "_told", "flooding", "shared")

    def __init__(self, settings: Settings, shared: Allowance, now: float) -> None:
        rate, burst = settings.COMMANDS_PER_SECOND, settings.COMMANDS_BURST
        self.shared = shared
        self._commands = Bucket(rate, burst, now)
        self._frames = Bucket(rate * FRAMES_PER_COMMAND, burst * FRAMES_PER_COMMAND + settings.MAX_ROOMS, now)
        # Apart from the commands, and wide enough for a client that comes back to all of its rooms at once.
        self._joins = Bucket(rate, burst + settings.MAX_ROOMS, now)
        self._most = settings.MAX_ROOMS
        self._told: _Told | None = None
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

    def command(self, now: float, room_pk: int = 0, room: Bucket | None = None) -> None:
        """Count a durable command, or something read back. `room` is the person's allowance in a room that has a rate."""
        self._spend((self._commands, self.shared.commands, *((room,) if room else ())), room_pk, now)

    def ephemeral(self, now: float) -> None:
        self._spend((self.shared.ephemerals(now),), _EPHEMERALS, now)

    def join(self, now: float) -> None:
        self._spend((self._joins, self.shared.joins(now)), _JOINS, now)

    def room(self, room_pk: int, rate: float | None, now: float) -> Bucket | None:
        """Return the person's allowance in a room, where the room has a rate of its own."""
        return self.shared.room(room_pk, rate, now) if rate else None

    def may_return(self, now: float) -> bool:
        """Say whether one who floods is asked to come back, and count it."""
        return self.shared.may_return(now)

    def _spend(self, buckets: tuple[Bucket, ...], about: int, now: float) -> None:
        wait = limits.take(buckets, now)
        if wait:
            if self._waits(now).wait(about, now, wait):
                self._strain(now)
            raise RateLimited(wait)

    def _strain(self, now: float) -> None:
        """Count what should not have come yet: what was on its way here, and then what a person may send all the same."""
        if not self._waits(now).forgive(now) and self.shared.patience(now).take(now):
            self.flooding = True

    def _waits(self, now: float) -> _Told:
        if self._told is None:
            self._told = _Told(self._most, now)
        return self._told
