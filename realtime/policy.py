"""Who may see, join, act and moderate: the one place where this is decided. Who is banned or muted is found by `sanctions`.

A site with rules of its own names a subclass of `Policy` in the `POLICY` setting. One object of it serves
the whole process. Its methods are called in a database thread, so they may query.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from django.utils.module_loading import import_string

from realtime import conf
from realtime.auth import Person
from realtime.errors import Forbidden, LoginRequired, RoomClosed
from realtime.models import Access, Membership, Role, Room
from realtime.protocol import RESERVED_PREFIXES
from realtime.sanctions import FREE, Held


class Policy:
    """The rules of a room's own fields. `role` is the person's in this room: "member", "moderator" or None."""

    def may_see(self, person: Person, room: Room, role: str | None) -> bool:
        return self.may_join(person, room, role)

    def may_join(self, person: Person, room: Room, role: str | None) -> bool:
        return _within(room.join_access, person, role)

    def may_act(self, person: Person, room: Room, role: str | None) -> bool:
        return _within(room.act_access, person, role) and self.may_join(person, room, role)

    def may_moderate(self, person: Person, room: Room, role: str | None) -> bool:
        return person.is_staff or role == Role.MODERATOR


def _within(access: str, person: Person, role: str | None) -> bool:
    if access == Access.ANYONE or person.is_staff:
        return True
    if access == Access.LOGGED_IN:
        return person.user_pk is not None
    return access == Access.MEMBERS and role is not None


def current() -> Policy:
    return _policy(conf.current().POLICY)


@functools.cache
def _policy(path: str) -> Policy:
    policy: Policy = import_string(path)()
    return policy


def is_plain(room: Room) -> bool:
    """Say whether the room's own fields decide without a look at anybody's role."""
    open_to_all = (Access.ANYONE, Access.LOGGED_IN)
    return (
        type(current()) is Policy
        and room.join_access in open_to_all
        and room.act_access in open_to_all
        and not room.slow_seconds
    )


def roles(pairs: Iterable[tuple[int, Person]]) -> dict[tuple[int, str], str]:
    """Return the roles that people have in rooms, by (room pk, user pk), in one query at most."""
    wanted = {(room_pk, person.user_pk) for room_pk, person in pairs if person.user_pk is not None}
    if not wanted:
        return {}
    rows = Membership.objects.filter(
        room_id__in={room_pk for room_pk, _ in wanted}, user_id__in={user_pk for _, user_pk in wanted}
    ).values_list("room_id", "user_id", "role")
    return {(room_pk, str(user_pk)): role for room_pk, user_pk, role in rows}


def check_command(person: Person, name: str) -> None:
    """Raise `Forbidden` where somebody came with an API key that is not for this command. What it is not for is never asked."""
    if person.grant is not None and name not in person.grant.commands:
        raise Forbidden


def check_reach(person: Person, slug: str) -> None:
    """Raise `Forbidden` where somebody came with an API key that is not for this room, if there is one."""
    if person.grant is not None and slug not in person.grant.rooms:
        raise Forbidden


def check_see(person: Person, room: Room, role: str | None, held: Held = FREE) -> None:
    """Raise the refusal that this person gets for the room's page, if any."""
    if not current().may_see(person, room, role):
        raise no(person)
    held.check_ban()


def check_join(person: Person, room: Room, role: str | None, held: Held = FREE) -> None:
    """Raise the refusal that this person hears on joining, if any."""
    check_reach(person, room.slug)
    if not current().may_join(person, room, role):
        raise no(person)
    if room.closed:
        raise RoomClosed
    held.check_ban()


def check_act(person: Person, room: Room, role: str | None, held: Held = FREE) -> None:
    """Raise the refusal that this person hears on a command, if any."""
    check_reach(person, room.slug)
    if not current().may_act(person, room, role):
        raise no(person)
    if room.closed:
        raise RoomClosed
    held.check_ban()
    held.check_mute()


def is_slowed(person: Person, room: Room, role: str | None) -> bool:
    """Say whether the room's slow mode, if it has one, is for this person: moderators need not wait."""
    return bool(room.slow_seconds) and not current().may_moderate(person, room, role)


def needs_place(person: Person, room: Room, role: str | None) -> bool:
    """Say whether a room that is full keeps this person out: moderators and staff always come in."""
    return not person.is_staff and not current().may_moderate(person, room, role)


def can(person: Person, room: Room, role: str | None, held: Held = FREE) -> list[str]:
    """Return what the person may do here, of `act` and `moderate`."""
    policy = current()
    verbs = {
        "act": policy.may_act(person, room, role) and not room.closed and held.mute is None,
        "moderate": policy.may_moderate(person, room, role),
    }
    return [verb for verb, allowed in verbs.items() if allowed and _granted(person, verb)]


def _granted(person: Person, verb: str) -> bool:
    """Say whether an API key is for anything of this sort: moderating goes by commands of the protocol's own."""
    if person.grant is None:
        return True
    return any(name.startswith(RESERVED_PREFIXES) == (verb == "moderate") for name in person.grant.commands)


def no(person: Person) -> LoginRequired | Forbidden:
    """Return the refusal for somebody who may not: a guest may log in first."""
    return LoginRequired() if person.user_pk is None else Forbidden()
