"""With what standing somebody is let into a room: decided for many at a time, who share each query."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from realtime import conf, kinds, log, policy, sanctions
from realtime.auth import Person
from realtime.errors import Failed, Refusal, UnknownKind, UnknownRoom
from realtime.models import Room
from realtime.sanctions import FREE, Held

logger = logging.getLogger("realtime.admissions")


class Admission(msgspec.Struct, frozen=True):
    """A room's row as somebody was let in: what a subscription has to know.

    `most`: how many people there may be, with this one, where that is limited.
    """

    room_pk: int
    slug: str
    title: str
    kind: str
    head: int
    tail: int
    state: dict[str, Any]
    can: list[str]
    max_bytes: int | None
    commands_per_second: float | None
    held: Held = FREE
    judged: int = 0
    slow: int | None = None
    most: int | None = None


def admit(requests: Sequence[tuple[str, Person]]) -> list[Admission | Refusal]:
    """Say for each (slug, person) with what standing they are let in, or why not. Two queries for all of them, at most three."""
    rows = {row.slug: row for row in Room.objects.using(log.database()).filter(slug__in={slug for slug, _ in requests})}
    roles = policy.roles((rows[slug].pk, person) for slug, person in requests if slug in rows)
    held = sanctions.held((rows[slug], person) for slug, person in requests if slug in rows)
    return [_admit(slug, rows.get(slug), person, roles, held) for slug, person in requests]


def _admit(
    slug: str,
    row: Room | None,
    person: Person,
    roles: dict[tuple[int, str], str],
    held_by: dict[tuple[int, str], Held],
) -> Admission | Refusal:
    try:
        policy.check_reach(person, slug)
        if row is None:
            raise UnknownRoom(slug)
        role = roles.get((row.pk, person.user_pk or ""))
        held = held_by.get((row.pk, person.id), FREE)
        policy.check_join(person, row, role, held)
        state = state_of(row)
    except Refusal as refusal:
        return refusal
    return Admission(
        room_pk=row.pk,
        slug=row.slug,
        title=row.title,
        kind=row.kind,
        head=row.head,
        tail=row.tail,
        state=state,
        can=policy.can(person, row, role, held),
        max_bytes=row.max_bytes,
        commands_per_second=row.commands_per_second,
        held=held,
        judged=row.judged,
        slow=slow(person, row, role),
        most=_most(person, row, role),
    )


def _most(person: Person, row: Room, role: str | None) -> int | None:
    limit = conf.current().MAX_OCCUPANTS if row.max_occupants is None else row.max_occupants
    return limit if limit and policy.needs_place(person, row, role) else None


def muted(held: Held) -> dict[str, str | None] | None:
    """Return what somebody is told of being muted: until when."""
    return None if held.mute is None else {"until": sanctions.said(held.mute)}


def slow(person: Person, row: Room, role: str | None) -> int | None:
    """Return how many seconds somebody has to wait between commands, where the room's slow mode is for them."""
    return row.slow_seconds if policy.is_slowed(person, row, role) else None


def state_of(row: Room) -> dict[str, Any]:
    """Return a room's state. Where its kind is not installed nobody comes in: that is `Failed`, and said in the site's log."""
    try:
        kinds.get(row.kind)
        return log.state_of(row)
    except UnknownKind as error:
        logger.error("Nobody can enter %s: %s", row.slug, error)
        raise Failed from None
