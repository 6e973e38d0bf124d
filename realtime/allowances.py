"""What all of a person's connections on this process share: how many there may be, and how much they may do together.

Who has left is remembered among the last few thousand, so that nobody starts afresh by coming back. Memory is bounded by the
connections that are open. Time is an argument.
"""

from __future__ import annotations

from realtime import conf
from realtime.auth import Person
from realtime.conf import Settings
from realtime.errors import TooManyConnections
from realtime.limits import Bucket

# Heartbeats, joins, ephemeral commands and mistakes come on top of commands.
FRAMES_PER_COMMAND = 4

_REMEMBERED = 2000
_ROOMS = 500

# Rooms are joined once a tab, so this many tabs that are in every room may come back at once.
_TABS = 5

_FLOOD_SECONDS = 10.0

# Who floods is asked to come back so often within so many seconds, and then to stay away. What is closed within so many seconds
# of the first, on whatever connections, is one time.
_RETURNS = 2
_RETURNS_SECONDS = 600.0
_ONE_TIME_SECONDS = 30.0


class Allowance:
    """One person's. What few need is made when it is needed."""

    __slots__ = (
        "_ephemerals", "_joins", "_judged_until", "_may_return", "_patience", "_returns", "_rooms", "commands", "connections",
        "frames", "person",
    )  # fmt: skip

    def __init__(self, person: Person, settings: Settings, now: float) -> None:
        self.person = person
        self.connections = 0
        self.commands = Bucket(settings.PERSON_COMMANDS_PER_SECOND, settings.PERSON_COMMANDS_BURST, now)
        self.frames = Bucket(
            FRAMES_PER_COMMAND * settings.PERSON_COMMANDS_PER_SECOND,
            FRAMES_PER_COMMAND * settings.PERSON_COMMANDS_BURST + _TABS * settings.MAX_ROOMS,
            now,
        )
        self._ephemerals: Bucket | None = None
        self._joins: Bucket | None = None
        self._patience: Bucket | None = None
        self._returns: Bucket | None = None
        self._rooms: dict[int, Bucket] | None = None
        self._may_return = True
        self._judged_until = now

    def ephemerals(self, now: float) -> Bucket:
        if self._ephemerals is None:
            settings = conf.current()
            self._ephemerals = Bucket(settings.EPHEMERAL_PER_SECOND, settings.EPHEMERAL_BURST, now)
        return self._ephemerals

    def joins(self, now: float) -> Bucket:
        """Return how often they may join: as often as they may act, and a few tabs with every room at once."""
        if self._joins is None:
            settings = conf.current()
            burst = settings.PERSON_COMMANDS_BURST + _TABS * settings.MAX_ROOMS
            self._joins = Bucket(settings.PERSON_COMMANDS_PER_SECOND, burst, now)
        return self._joins

    def patience(self, now: float) -> Bucket:
        """Return how often they may go on in spite of being refused, or held up, for being too fast."""
        if self._patience is None:
            most = conf.current().FLOOD_REFUSALS
            self._patience = Bucket(most / _FLOOD_SECONDS, most, now)
        return self._patience

    def may_return(self, now: float) -> bool:
        """Say whether one who floods is asked to come back, and count it: once for all of their connections."""
        if now >= self._judged_until:
            if self._returns is None:
                self._returns = Bucket(_RETURNS / _RETURNS_SECONDS, _RETURNS, now)
            self._may_return = not self._returns.take(now)
            self._judged_until = now + _ONE_TIME_SECONDS
        return self._may_return

    def room(self, room_pk: int, rate: float, now: float) -> Bucket:
        """Return the bucket of a room that has a rate of its own; leaving and joining again does not fill it."""
        rooms = self._rooms = {} if self._rooms is None else self._rooms
        bucket = rooms.pop(room_pk, None)
        if bucket is None or bucket.rate != rate:
            bucket = Bucket(rate, rate * 2, now)
        rooms[room_pk] = bucket
        if len(rooms) > _ROOMS:
            del rooms[next(iter(rooms))]
        return bucket


class Allowances:
    """Those of everybody here, by the person's id."""

    def __init__(self) -> None:
        self._here: dict[str, Allowance] = {}
        self._left: dict[str, Allowance] = {}

    def __len__(self) -> int:
        return len(self._here) + len(self._left)

    def enter(self, person: Person, now: float) -> Allowance:
        """Count one more connection of a person, or raise `TooManyConnections`."""
        settings = conf.current()
        most = settings.CONNECTIONS_PER_PERSON
        allowance = self._here.get(person.id)
        if allowance is None:
            allowance = self._left.pop(person.id, None) or Allowance(person, settings, now)
            self._here[person.id] = allowance
        elif most and allowance.connections >= most:
            raise TooManyConnections
        allowance.connections += 1
        return allowance

    def leave(self, allowance: Allowance) -> None:
        person = allowance.person
        allowance.connections -= 1
        if allowance.connections:
            return
        del self._here[person.id]
        if person.user_pk is None and person.session_key is None:
            return  # a guest without a session never is the same again
        self._left[person.id] = allowance
        if len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]
