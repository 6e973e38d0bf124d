"""What people ask of a room beside its kind's commands: to remove an event, to put somebody out or silence them.

Judged afresh, and done through `rooms`: the room, the roles, bans and mutes are those of the moment. Only who asks, and whether
they are staff, is as the last look at their connection found it. Moderators have no say over other moderators and staff; staff
have.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from realtime import apikeys, auth, kinds, log, policy, rooms, sanctions
from realtime.auth import Person
from realtime.errors import Forbidden, Invalid, Refusal, UnknownPerson, UnknownRoom
from realtime.kinds import Actor
from realtime.models import Room

TEN_YEARS = 10 * 366 * 24 * 3600
_NO_NUL = r"\A[^\x00]*\Z"  # which PostgreSQL does not take

PersonId = Annotated[str, Meta(min_length=1, max_length=150)]


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: Annotated[int, Meta(ge=1, le=2**62)]


class Kick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: PersonId


class Ban(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without `seconds` it is for good."""

    person: PersonId
    seconds: Annotated[float, Meta(ge=1, le=TEN_YEARS)] | None = None
    reason: Annotated[str, Meta(max_length=200, pattern=_NO_NUL)] = ""

    @property
    def until(self) -> timedelta | None:
        return None if self.seconds is None else timedelta(seconds=self.seconds)


class Mute(Ban, frozen=True, forbid_unknown_fields=True):
    pass


class Unban(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: PersonId


class Unmute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: PersonId


Request = Remove | Kick | Ban | Mute | Unban | Unmute

REQUESTS: dict[str, type[Request]] = {
    "room_remove": Remove,
    "room_kick": Kick,
    "room_ban": Ban,
    "room_mute": Mute,
    "room_unban": Unban,
    "room_unmute": Unmute,
}

Done = dict[str, Any]
"""The reply."""


class Asked(msgspec.Struct, frozen=True):
    """Somebody's request, to a room that they have joined."""

    room_pk: int
    person: Person
    request: Request


def parse(name: str, arguments: dict[str, Any]) -> Request:
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
        row, role = _standing(asked)
        if isinstance(asked.request, Remove):
            return _remove(asked.person, row, role, asked.request)
        return _deal_with(_target(asked.person, row, role, asked.request.person), row, asked.request, asked.person)
    except Refusal as refusal:
        return refusal


def _remove(person: Person, row: Room, role: str | None, request: Remove) -> Done:
    rules = policy.current()
    moderates = rules.may_moderate(person, row, role)
    if not moderates and not (kinds.get(row.kind).authors_remove and rules.may_act(person, row, role)):
        raise policy.no(person)
    return {"seq": rooms.remove(row, request.seq, by=person.actor, own=not moderates)}


def _deal_with(target: Actor, row: Room, request: Request, by: Person) -> Done:
    match request:
        case Mute(until=until, reason=reason):
            rooms.mute(target, row, until=until, reason=reason, by=by.actor)
        case Ban(until=until, reason=reason):
            rooms.ban(target, row, until=until, reason=reason, by=by.actor)
        case Unban():
            rooms.unban(target, row)
        case Unmute():
            rooms.unmute(target, row)
        case Kick():
            rooms.kick(target, row)
    return {}


def _target(person: Person, row: Room, role: str | None, target_id: str) -> Actor:
    """Return whom it is about, or raise what keeps `person` from dealing with them."""
    rules = policy.current()
    if not rules.may_moderate(person, row, role):
        raise policy.no(person)
    target = auth.of_id(target_id) or apikeys.of_id(target_id)
    if target is None:
        raise UnknownPerson(target_id)
    theirs = policy.roles([(row.pk, target)]).get((row.pk, target.user_pk or ""))
    if target.id in person.ids or (rules.may_moderate(target, row, theirs) and not person.is_staff):
        raise Forbidden
    return target.actor


def _standing(asked: Asked) -> tuple[Room, str | None]:
    """Return the room and the person's role in it as they are now, or raise what keeps the person out."""
    row = Room.objects.using(log.database()).filter(pk=asked.room_pk).first()
    if row is None:
        raise UnknownRoom(str(asked.room_pk))
    role = policy.roles([(row.pk, asked.person)]).get((row.pk, asked.person.user_pk or ""))
    held = sanctions.held([(row, asked.person)]).get((row.pk, asked.person.id), sanctions.FREE)
    policy.check_join(asked.person, row, role, held)
    return row, role
