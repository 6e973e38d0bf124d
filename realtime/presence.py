"""Who is where, in the database: the one writer of Node and Presence.

A row per connection and room, a lease per process. A process that stops renewing its lease takes everybody on it out of every
room once the lease ends. All of it goes by the database's clock, so that the clocks of servers may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec
from django.db import router, transaction
from django.db.models import Count, DateTimeField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from realtime import statements
from realtime.kinds import Actor
from realtime.models import Node, Presence, Room
from realtime.roster import Seat
from realtime.statements import NewPresence


class Move(msgspec.Struct, frozen=True):
    """A connection enters a room, or, where `actor` is None, leaves it."""

    connection: str
    room_pk: int
    actor: Actor | None


class Roll(msgspec.Struct, frozen=True):
    """Everybody who is on a node now: what was noted before counts no more."""

    moves: list[Move]


def database() -> str:
    return router.db_for_write(Presence)


def renew(node: str, lease_seconds: float) -> bool:
    """Make the node's lease end in `lease_seconds`.

    Return False where it had none, or had lost it: then its people have to enter anew.
    """
    until = ExpressionWrapper(Now() + timedelta(seconds=lease_seconds), output_field=DateTimeField())
    nodes = Node.objects.using(database())
    if nodes.filter(pk=node).update(lease_until=until):
        return True
    nodes.bulk_create([Node(id=node, started_at=Now(), lease_until=until)], ignore_conflicts=True)
    return False


def note(node: str, asked: Sequence[Move | Roll]) -> None:
    """Carry out moves and rolls in their order."""
    rolls = [index for index, item in enumerate(asked) if isinstance(item, Roll)]
    if rolls:
        last = asked[rolls[-1]]
        assert isinstance(last, Roll)
        rewrite(node, last.moves)
        asked = asked[rolls[-1] + 1 :]
    apply(node, [item for item in asked if isinstance(item, Move)])


def apply(node: str, moves: Sequence[Move]) -> None:
    """Carry out the moves of one node's connections; of several moves of one connection in one room, the last."""
    final = {(move.connection, move.room_pk): move for move in moves}
    entered = [
        NewPresence(node, move.connection, move.room_pk, move.actor.id, move.actor.name)
        for move in final.values()
        if move.actor is not None
    ]
    left: dict[int, list[str]] = {}
    for move in final.values():
        if move.actor is None:
            left.setdefault(move.room_pk, []).append(move.connection)
    with transaction.atomic(using=database()):
        for room_pk, gone in left.items():
            _rows().filter(node_id=node, room_id=room_pk, connection__in=gone).delete()
        statements.insert_presences(database(), entered)


def rewrite(node: str, moves: Sequence[Move]) -> None:
    """Make the node's rows exactly these."""
    with transaction.atomic(using=database()):
        _rows().filter(node_id=node).delete()
        apply(node, moves)


def end(node: str) -> None:
    """Take a node, and everybody on it, out."""
    with transaction.atomic(using=database()):
        _rows().filter(node_id=node).delete()
        Node.objects.using(database()).filter(pk=node).delete()


def sweep() -> int:
    """Take out the nodes whose lease has ended, and return how many there were."""
    nodes = Node.objects.using(database())
    ended = list(nodes.filter(lease_until__lte=Now()).values_list("pk", flat=True))
    for node in ended:
        with transaction.atomic(using=database()):
            if nodes.select_for_update().filter(pk=node, lease_until__lte=Now()).exists():
                end(node)
    _rows().exclude(node_id__in=nodes.values("pk")).delete()
    return len(ended)


def seats(room_pks: Iterable[int]) -> dict[int, dict[Seat, Actor]]:
    """Return who sits where in the rooms, on nodes that are alive, in one query."""
    found: dict[int, dict[Seat, Actor]] = {room_pk: {} for room_pk in room_pks}
    rows = _living().filter(room_id__in=found.keys()).values_list("room_id", "node_id", "connection", "person", "name")
    for room_pk, node, connection, person, name in rows:
        found[room_pk][node, connection] = Actor(person, name)
    return found


def people(room_pk: int, limit: int | None = None) -> list[Actor]:
    """Return who is in a room now, by name."""
    rows = _living().filter(room_id=room_pk).values_list("person", "name").distinct().order_by("name", "person")
    return [Actor(person, name) for person, name in rows[:limit]]


def counted(rooms: QuerySet[Room]) -> QuerySet[Room]:
    """Return the same rooms, each with `people_now`, in the query that reads them."""
    living = Q(presences__node__lease_until__gt=Now())
    return rooms.annotate(people_now=Count("presences__person", distinct=True, filter=living))


def counts(room_pks: Iterable[int]) -> dict[int, int]:
    """Return how many people are in each of the rooms now, in one query."""
    wanted = list(room_pks)
    rows = _living().filter(room_id__in=wanted).values("room_id").annotate(people=Count("person", distinct=True))
    return {**dict.fromkeys(wanted, 0), **{row["room_id"]: row["people"] for row in rows}}


def _rows() -> QuerySet[Presence]:
    return Presence.objects.using(database())


def _living() -> QuerySet[Presence]:
    return _rows().filter(node__lease_until__gt=Now())
