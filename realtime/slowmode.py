"""Slow mode: who acted when in a room that has it, and the one writer of Turn.

It is looked at and written under the room's row lock, so it holds over all of a person's connections, on whatever processes.
Rooms without slow mode cost no query.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import router

from realtime.auth import Person
from realtime.errors import RateLimited
from realtime.models import LONGEST_SLOW_SECONDS, Room, Turn
from realtime.statements import storable_at

_LONGEST = timedelta(seconds=LONGEST_SLOW_SECONDS)


class Turns:
    """When the people of a batch acted last, in those of its rooms that are in slow mode."""

    def __init__(self, last: dict[tuple[int, str], datetime], now: datetime) -> None:
        self._last = last
        self._now = now
        self._taken: set[tuple[int, str]] = set()

    def check(self, room: Room, person: Person) -> None:
        """Raise `RateLimited` where it is not this person's turn yet."""
        last = self._last.get((room.pk, person.id))
        if last is None or not room.slow_seconds:
            return
        wait = room.slow_seconds - (self._now - last).total_seconds()
        if wait > 0:
            raise RateLimited(min(wait, float(room.slow_seconds)))  # another server's clock may be ahead

    def take(self, room: Room, person: Person) -> None:
        key = (room.pk, person.id)
        self._last[key] = self._now
        self._taken.add(key)

    def write(self) -> None:
        """Write down whose turn it was, in place of what stood there: nobody else does so, while the rooms are locked."""
        if not self._taken:
            return
        rows = Turn.objects.using(_database())
        for room_pk in {room_pk for room_pk, _ in self._taken}:
            rows.filter(room_id=room_pk, person__in=[person for its, person in self._taken if its == room_pk]).delete()
        rows.bulk_create(
            [Turn(room_id=room_pk, person=person, at=storable_at(self._now)) for room_pk, person in self._taken]
        )


def turns(pairs: Iterable[tuple[Room, Person]], now: datetime) -> Turns:
    """Return whose turn it was when, in one query at most. The rooms are locked."""
    wanted = {(room.pk, person.id) for room, person in pairs if room.slow_seconds}
    if not wanted:
        return Turns({}, now)
    rows = Turn.objects.using(_database()).filter(
        room_id__in={room_pk for room_pk, _ in wanted}, person__in={person for _, person in wanted}
    )
    last = {
        (room_pk, person): at.astimezone(UTC) for room_pk, person, at in rows.values_list("room_id", "person", "at")
    }
    return Turns(last, now)


def sweep(now: datetime) -> None:
    """Forget turns that no room can ask for any more."""
    Turn.objects.using(_database()).filter(at__lt=storable_at(now - _LONGEST)).delete()


def _database() -> str:
    return router.db_for_write(Turn)
