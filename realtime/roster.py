"""Who is in a room, as one process sees it: by person, however many connections a person has.

A seat is one connection on one node. Seats come and go; `changes` says, since it was last asked, who has become present and who
has stopped being so. Whoever came and went in between is not mentioned.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from realtime.kinds import Actor

Seat = tuple[str, str]
"""(node, connection)"""


class Roster:
    __slots__ = ("_dirty", "_people", "_refs", "_seats", "_shown", "_touched")

    def __init__(self) -> None:
        self._seats: dict[Seat, Actor] = {}
        self._people: dict[str, set[Seat]] = {}
        self._shown: dict[str, tuple[str, str]] = {}
        self._dirty: set[str] = set()
        self._touched: set[Seat] = set()
        self._refs = count(1)

    def __len__(self) -> int:
        """How many people are present."""
        return len(self._people)

    def has_place(self, person: str, most: int) -> bool:
        """Say whether somebody may come in where `most` people may be: who is here already may, with one more connection."""
        return person in self._people or len(self._people) < most

    @property
    def dirty(self) -> bool:
        return bool(self._dirty)

    def enter(self, seat: Seat, actor: Actor) -> None:
        self._touched.add(seat)
        self._sit(seat, actor)

    def leave(self, seat: Seat) -> None:
        self._touched.add(seat)
        self._rise(seat)

    def begin_reading(self) -> None:
        """Say that the table is about to be read: what enters or leaves from now on is newer than what will be read."""
        self._touched.clear()

    def reconcile(self, seats: dict[Seat, Actor], own_node: str) -> None:
        """Take over the seats read from the table, but for this node's own, which are known better here."""
        for seat in [seat for seat in self._seats if seat not in seats]:
            if seat[0] != own_node and seat not in self._touched:
                self._rise(seat)
        for seat, actor in seats.items():
            if seat[0] != own_node and seat not in self._touched:
                self._sit(seat, actor)

    def changes(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return who joined and who left since the last call, in the shape of a Phoenix presence diff."""
        joins: dict[str, Any] = {}
        leaves: dict[str, Any] = {}
        for person in self._dirty:
            here, shown = self._people.get(person), self._shown.get(person)
            if here and shown is None:
                name = self._seats[next(iter(here))].name
                self._shown[person] = (str(next(self._refs)), name)
                joins[person] = _metas(*self._shown[person])
            elif not here and shown is not None:
                leaves[person] = _metas(*self._shown.pop(person))
        self._dirty.clear()
        return joins, leaves

    def state(self) -> dict[str, Any]:
        """Return everybody that `changes` has mentioned and not taken back, in the shape of a Phoenix presence state."""
        return {person: _metas(*shown) for person, shown in self._shown.items()}

    def people(self) -> Iterable[str]:
        return self._people.keys()

    def _sit(self, seat: Seat, actor: Actor) -> None:
        before = self._seats.get(seat)
        if before is not None and before.id != actor.id:
            self._rise(seat)
        self._seats[seat] = actor
        seats = self._people.setdefault(actor.id, set())
        if not seats:
            self._dirty.add(actor.id)
        seats.add(seat)

    def _rise(self, seat: Seat) -> None:
        actor = self._seats.pop(seat, None)
        if actor is None:
            return
        seats = self._people[actor.id]
        seats.discard(seat)
        if not seats:
            del self._people[actor.id]
            self._dirty.add(actor.id)


def _metas(ref: str, name: str) -> dict[str, Any]:
    return {"metas": [{"phx_ref": ref, "name": name}]}
