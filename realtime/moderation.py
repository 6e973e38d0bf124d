"""What people ask of a room beside its kind's commands: to remove an event. Judged afresh, and done through `rooms`.

Nothing here goes by what a connection was let in with: access and role are read when the request is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from realtime import kinds, log, policy, rooms
from realtime.auth import Person
from realtime.errors import Invalid, Refusal, UnknownRoom
from realtime.models import Room


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`room_remove`: take away what an event says."""

    seq: Annotated[int, Meta(ge=1, le=2**62)]


REQUESTS: dict[str, type[Remove]] = {"room_remove": Remove}

Done = dict[str, Any]
"""The reply."""


class Asked(msgspec.Struct, frozen=True):
    """Somebody's request, to a room that they have joined."""

    room_pk: int
    person: Person
    request: Remove


def parse(name: str, arguments: dict[str, Any]) -> Remove:
    """Return the request of this name, validated, or raise `Invalid`."""
    try:
        return msgspec.convert(arguments, REQUESTS[name])
    except msgspec.ValidationError as error:
        raise Invalid(f"{name}: {error}.") from None


def carry_out(asked: Sequence[Asked]) -> list[Done | Refusal]:
    """Do what is asked, one request after the other, as far as each person may. In a database thread."""
    return [_carry_out(item) for item in asked]


def _carry_out(asked: Asked) -> Done | Refusal:
    try:
        return _remove(asked, asked.request)
    except Refusal as refusal:
        return refusal


def _remove(asked: Asked, request: Remove) -> Done:
    row, role = _standing(asked)
    moderates = policy.current().may_moderate(asked.person, row, role)
    if not moderates and not (kinds.get(row.kind).authors_remove and policy.current().may_act(asked.person, row, role)):
        raise policy.no(asked.person)
    return {"seq": rooms.remove(row, request.seq, by=asked.person.actor, own=not moderates)}


def _standing(asked: Asked) -> tuple[Room, str | None]:
    """Return the room and the person's role in it as they are now, or raise what keeps the person out."""
    row = Room.objects.using(log.database()).filter(pk=asked.room_pk).first()
    if row is None:
        raise UnknownRoom(str(asked.room_pk))
    role = policy.roles([(row.pk, asked.person)]).get((row.pk, asked.person.user_pk or ""))
    policy.check_join(asked.person, row, role)
    return row, role
