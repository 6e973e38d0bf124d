"""Bans and mutes, each until it ends: who is held to what, and the one writer of Sanction.

A room's row says whether there are any (`sanctioned`), so that others cost no query, and counts the changes (`judged`), so that a
process which was not told of one finds it with its next look at the row. What has ended does not count any more, also before it
is swept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import router, transaction
from django.db.models import Q

from realtime import protocol
from realtime.auth import Person
from realtime.errors import Banned, Muted, UnknownRoom
from realtime.models import Room, Sanction, SanctionKind
from realtime.statements import storable_at

FOR_GOOD = datetime.max.replace(tzinfo=UTC)


class Held(msgspec.Struct, frozen=True):
    """Until when somebody is banned from a room, and muted in it: a moment, `FOR_GOOD`, or None where it is not so."""

    ban: datetime | None = None
    mute: datetime | None = None

    def check_ban(self) -> None:
        if self.ban is not None:
            raise Banned(said(self.ban))

    def check_mute(self) -> None:
        if self.mute is not None:
            raise Muted(said(self.mute), seconds_left(self.mute))


FREE = Held()


class NewSanction(msgspec.Struct, frozen=True):
    """What is imposed on somebody. `user_pk` where it is a user, `by` whoever does it, or the site itself."""

    kind: str
    person: str
    name: str
    until: datetime
    user_pk: Any = None
    reason: str = ""
    by: str = ""
    by_name: str = ""


def database() -> str:
    return router.db_for_write(Sanction)


def held(pairs: Iterable[tuple[Room, Person]]) -> dict[tuple[int, str], Held]:
    """Return what people are held to in rooms, by (room pk, person's id), in one query at most. Who is free is not in it."""
    wanted = {(room.pk, person.id): person.ids for room, person in pairs if room.sanctioned}
    if not wanted:
        return {}
    rows = _lasting(datetime.now(UTC)).filter(
        room_id__in={room_pk for room_pk, _ in wanted}, person__in={one for ids in wanted.values() for one in ids}
    )
    ends: dict[tuple[int, str], list[tuple[str, datetime]]] = {}
    for room_pk, person, kind, until in rows.values_list("room_id", "person", "kind", "until"):
        ends.setdefault((room_pk, person), []).append((kind, FOR_GOOD if until is None else until.astimezone(UTC)))
    found = {
        (room_pk, person): _held([end for one in ids for end in ends.get((room_pk, one), ())])
        for (room_pk, person), ids in wanted.items()
    }
    return {key: held for key, held in found.items() if held != FREE}


def impose(room_pk: int, new: NewSanction) -> int:
    """Ban or mute somebody, in place of what they were held to of this kind, and return how often the room has judged."""
    values = {
        "name": new.name,
        "user_id": new.user_pk,
        "until": None if new.until == FOR_GOOD else storable_at(new.until),
        "reason": new.reason,
        "by": new.by,
        "by_name": new.by_name,
    }
    with transaction.atomic(using=database()):
        judged = _lock(room_pk) + 1
        Sanction.objects.using(database()).update_or_create(values, room_id=room_pk, person=new.person, kind=new.kind)
        _mark(room_pk, judged)
    return judged


def lift(room_pk: int, kind: SanctionKind, person: str) -> int | None:
    """End a ban or a mute, and return how often the room has judged; None where there was nothing to end."""
    with transaction.atomic(using=database()):
        judged = _lock(room_pk) + 1
        lifted, _ = Sanction.objects.using(database()).filter(room_id=room_pk, kind=kind, person=person).delete()
        if not lifted:
            return None
        _mark(room_pk, judged)
    return judged


def sweep(now: datetime) -> int:
    """Remove what has ended, and return how many there were."""
    ended = Sanction.objects.using(database()).filter(until__lte=storable_at(now))
    removed = 0
    for room_pk in set(ended.values_list("room_id", flat=True)):
        with transaction.atomic(using=database()):
            judged = _lock(room_pk)
            removed += ended.filter(room_id=room_pk).delete()[0]
            _mark(room_pk, judged)
    return removed


def said(until: datetime) -> str | None:
    """Return the end as it stands on the wire; None: for good."""
    return None if until == FOR_GOOD else protocol.instant(until.astimezone(UTC))


def seconds_left(until: datetime) -> float | None:
    return None if until == FOR_GOOD else max(0.0, (until - datetime.now(UTC)).total_seconds())


def _held(ends: list[tuple[str, datetime]]) -> Held:
    return Held(**{kind: max(until for its, until in ends if its == kind) for kind, _ in ends})


def _lasting(now: datetime) -> Any:
    return Sanction.objects.using(database()).filter(Q(until=None) | Q(until__gt=storable_at(now)))


def _lock(room_pk: int) -> int:
    """Have those who impose and lift, and the log's appends, wait for each other. Returns how often the room has judged."""
    rooms = Room.objects.using(database()).select_for_update().filter(pk=room_pk)
    judged = rooms.values_list("judged", flat=True).first()
    if judged is None:
        raise UnknownRoom(str(room_pk))
    return judged


def _mark(room_pk: int, judged: int) -> None:
    some = Sanction.objects.using(database()).filter(room_id=room_pk).exists()
    Room.objects.using(database()).filter(pk=room_pk).update(sanctioned=some, judged=judged)
