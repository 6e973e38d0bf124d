"""The public API of the server: what a view, a signal, a shell or a worker calls.

    from realtime import rooms
    rooms.publish("lobby", "message", {"text": "Dinner is ready"}, actor=request.user)

`publish` is the site's own word: no policy, straight to the log, in the caller's transaction. `submit` is a person's command:
policy and the room's kind may refuse. Every name here works in a thread; in a coroutine, use the ones that begin with `a`, or
`sync_to_async`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from realtime import admissions, auth, bus, conf, kinds, log, metrics, policy, presence, protocol, rings, sanctions
from realtime.errors import Invalid, Kicked, Refusal, RoomClosed, UnknownRoom
from realtime.kinds import Actor, Ephemeral, Fact
from realtime.log import Appended, Entry, Outcome
from realtime.models import Room, SanctionKind
from realtime.sanctions import FREE


class Snapshot(msgspec.Struct, frozen=True):
    """A room as a page shows it before any script runs. `events` are as on the wire, oldest first, and end at `seq`.

    `complete`: nothing older is kept. `people` is cut at PRESENCE_LIST, `count` is not. `muted` says until when, as the wire
    does, where the requesting person is; `slow`: how many seconds they have to wait between commands.
    """

    room: Room
    events: list[dict[str, Any]]
    seq: int
    state: dict[str, Any]
    you: Actor
    can: list[str]
    muted: dict[str, str | None] | None
    slow: int | None
    complete: bool
    people: list[Actor]
    count: int


def publish(
    room: str | Room,
    name: str,
    data: dict[str, Any],
    *,
    actor: AbstractBaseUser | Actor | None = None,
    key: str | None = None,
) -> int:
    """Append an event to a room's log and return its seq.

    It joins the caller's transaction: a rollback publishes nothing, and everyone hears of it after the commit. Until then the
    room's row is locked, so publish late in a long transaction. The same `key` from the same actor, again, returns the same seq
    and publishes nothing. Raises `UnknownRoom`, `Invalid` for data that is no JSON object or too large, `Failed` where the
    room's kind raised.
    """
    kinds.base.check_name(name, Fact)
    checked_key(key)
    entry = Entry(_row(room).pk, Fact(name, data), _actor(actor), key)
    return _only(commit([entry])).seq


apublish = sync_to_async(publish)


def submit(
    room: str | Room, command: str, arguments: dict[str, Any], *, user: AbstractBaseUser, key: str | None = None
) -> int:
    """Carry out a person's command and return the seq of its event, or raise the `Refusal` that they would hear."""
    checked_key(key)
    row = _row(room)
    parsed = kinds.get(row.kind).parse(command, arguments)
    person = auth.person_of(user)
    if isinstance(parsed, Ephemeral):
        raise Invalid(f"{command} is not kept; use broadcast.")
    return _only(commit([Entry(row.pk, parsed, person.actor, key, person)])).seq


asubmit = sync_to_async(submit)


def broadcast(
    room: str | Room, name: str, data: dict[str, Any], *, actor: AbstractBaseUser | Actor | None = None
) -> None:
    """Tell everyone who is in the room now. It is not kept, has no seq, and may be lost. Raises `UnknownRoom`, `Invalid`."""
    kinds.base.check_name(name, Fact)
    row = _row(room)
    signal(row.pk, protocol.ephemeral(protocol.topic(row.slug), name, _actor(actor), log.checked(data)).body)


abroadcast = sync_to_async(broadcast)


def signal(room_pk: int, body: bytes) -> None:
    """Tell everyone in a room something that is encoded already."""
    bus.publish(rings.Signalled(room_pk, body))


def commit(entries: Sequence[Entry]) -> list[Outcome]:
    """Append entries in one transaction, and tell everyone once it has committed."""
    with transaction.atomic(using=log.database(), savepoint=False):
        outcomes = log.append(entries)
        fresh: dict[int, list[protocol.Frame]] = {}
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Appended) and outcome.frame is not None:
                fresh.setdefault(entry.room_pk, []).append(outcome.frame)
        if fresh:
            transaction.on_commit(lambda: _tell(fresh), using=log.database(), robust=True)
    return outcomes


def close(room: str | Room) -> None:
    """Close a room: nobody joins or acts any more, and who is in it is told and leaves."""
    row = _row(room)
    row.closed = True
    Room.objects.filter(pk=row.pk).update(closed=True)
    refusal = RoomClosed()
    ring = rings.Ended(row.pk, refusal.code, refusal.message)
    transaction.on_commit(lambda: bus.publish(ring), using=log.database())


def reopen(room: str | Room) -> None:
    """Open a closed room again. Who was in it has to join again."""
    row = _row(room)
    row.closed = False
    Room.objects.filter(pk=row.pk).update(closed=False)


def kick(user: AbstractBaseUser | Actor, room: str | Room) -> None:
    """Take somebody out of a room, with all of their connections. They may join again, as far as the policy lets them."""
    row, refusal = _row(room), Kicked()
    actor = _actor(user)
    assert actor is not None
    ring = rings.Kicked(row.pk, actor.id, refusal.code, refusal.message)
    transaction.on_commit(lambda: bus.publish(ring), using=log.database(), robust=True)


def ban(
    user: AbstractBaseUser | Actor,
    room: str | Room,
    *,
    until: datetime | timedelta | None = None,
    reason: str = "",
    by: AbstractBaseUser | Actor | None = None,
) -> None:
    """Take somebody out of a room, with all of their connections, and keep them out until a moment, for a time, or for good.

    A ban in place of another counts instead of it. Nobody is beyond the site's word, staff neither.
    """
    _impose(SanctionKind.BAN, user, _row(room), _end(until), reason, by)


def unban(user: AbstractBaseUser | Actor, room: str | Room) -> bool:
    """Let somebody in again, and say whether they were banned."""
    return _lift(SanctionKind.BAN, user, _row(room))


def mute(
    user: AbstractBaseUser | Actor,
    room: str | Room,
    *,
    until: datetime | timedelta | None = None,
    reason: str = "",
    by: AbstractBaseUser | Actor | None = None,
) -> None:
    """Let somebody read in a room, but not act, until a moment, for a time, or for good."""
    _impose(SanctionKind.MUTE, user, _row(room), _end(until), reason, by)


def unmute(user: AbstractBaseUser | Actor, room: str | Room) -> bool:
    """Let somebody act again, and say whether they were muted."""
    return _lift(SanctionKind.MUTE, user, _row(room))


def disconnect(user: AbstractBaseUser) -> None:
    """Close all of a user's connections, for good: their pages stay away until they are loaded again."""
    ring = rings.Changed(disconnect=str(user.pk))
    transaction.on_commit(lambda: bus.publish(ring), using=log.database(), robust=True)


def clear(room: str | Room) -> int:
    """Remove a room's history, from the log and from the pages that show it. The state stays. Returns the newest seq removed."""
    row = _row(room)
    seq = log.clear(row.pk)
    transaction.on_commit(lambda: bus.publish(rings.Cleared(row.pk, seq)), using=log.database())
    return seq


def remove(room: str | Room, seq: int, *, by: AbstractBaseUser | Actor | None = None, own: bool = False) -> int:
    """Remove what an event says, for good: from the log, from memory, and from the pages that show it.

    The event keeps its place, its author and its time. The room's state stays as its kind made it. Returns the seq of the event
    that says so, in the name of `by`; asked again, the same. With `own`, only what `by` said. Raises `UnknownRoom`,
    `UnknownEvent`, `Forbidden`.
    """
    row = _row(room)
    removal = log.remove(row.pk, seq, _actor(by), own=own)
    if removal.frame is not None:
        ring = rings.removed(row.pk, removal.frame)
        transaction.on_commit(lambda: bus.publish(ring), using=log.database(), robust=True)
    return removal.seq


def announce(room: str | Room, text: str) -> int:
    """Publish the event `announcement {"text"}`, as the site."""
    return publish(room, "announcement", {"text": text})


def visible(user: Any) -> list[Room]:
    """Return the rooms that a user, perhaps an anonymous one, or whoever made a request, may see, by title.

    Those that they are banned from are not among them. A guest who is, is known by the request alone.
    """
    person = auth.of_visit(user) if isinstance(user, HttpRequest) else auth.person_of(user)
    found = list(Room.objects.all())
    roles = policy.roles((row.pk, person) for row in found)
    held = sanctions.held((row, person) for row in found)
    rules = policy.current()
    return [
        row
        for row in found
        if held.get((row.pk, person.id), FREE).ban is None
        and rules.may_see(person, row, roles.get((row.pk, person.user_pk or "")))
    ]


def snapshot(room: str | Room, request: HttpRequest, *, events: int = 50) -> Snapshot:
    """Return a room as the requesting person may see it, with its newest events, for a page to show. Raises a `Refusal`.

    The page's script then joins with `since` = `seq`, so that nothing falls between. A closed room is shown too.
    """
    try:
        return _snapshot(room, request, events)
    except Refusal as refusal:
        metrics.refusals.add(value=refusal.code)
        raise


def _snapshot(room: str | Room, request: HttpRequest, events: int) -> Snapshot:
    row = _row(room.slug if isinstance(room, Room) else room)
    person = auth.of_request(request)
    role = policy.roles([(row.pk, person)]).get((row.pk, person.user_pk or ""))
    held = sanctions.held([(row, person)]).get((row.pk, person.id), FREE)
    policy.check_see(person, row, role, held)
    state = admissions.state_of(row)
    frames = log.before(row.pk, protocol.topic(row.slug), row.head + 1, events, conf.current().PAGE_BYTES)
    oldest = frames[0].seq if frames else row.head + 1
    most = conf.current().PRESENCE_LIST
    people = presence.people(row.pk, limit=most)
    return Snapshot(
        room=row,
        events=[msgspec.json.decode(frame.event) for frame in frames],
        seq=row.head,
        state=state,
        you=person.actor,
        can=policy.can(person, row, role, held),
        muted=admissions.muted(held),
        slow=admissions.slow(person, row, role),
        complete=oldest <= row.tail + 1,
        people=people,
        count=len(people) if len(people) < most else presence.counts([row.pk])[row.pk],
    )


def _row(room: str | Room) -> Room:
    if isinstance(room, Room):
        return room
    if not isinstance(room, str):
        raise TypeError(f"room: expected a slug or a Room, got {room!r}.")
    row = Room.objects.using(log.database()).filter(slug=room).first()
    if row is None:
        raise UnknownRoom(room)
    return row


def _impose(
    kind: SanctionKind,
    user: AbstractBaseUser | Actor,
    row: Room,
    ends: datetime,
    reason: str,
    by: AbstractBaseUser | Actor | None,
) -> None:
    """Write it down, and have all processes look at the person again."""
    actor, author = _actor(user), _actor(by)
    assert actor is not None
    known = auth.of_id(actor.id)
    user_pk = known.user_pk if known else None
    by_id, by_name = (author.id, author.name) if author else ("", "")
    new = sanctions.NewSanction(kind, actor.id, actor.name, ends, user_pk, reason[:200], by_id, by_name)
    _judge(rings.Judged(row.pk, actor.id, sanctions.impose(row.pk, new)))


def _lift(kind: SanctionKind, user: AbstractBaseUser | Actor, row: Room) -> bool:
    actor = _actor(user)
    assert actor is not None
    judged = sanctions.lift(row.pk, kind, actor.id)
    if judged is not None:
        _judge(rings.Judged(row.pk, actor.id, judged))
    return judged is not None


def _end(until: datetime | timedelta | None) -> datetime:
    now = datetime.now(UTC)
    if until is None:
        return sanctions.FOR_GOOD
    ends = now + until if isinstance(until, timedelta) else until
    if timezone.is_naive(ends) or ends <= now:
        raise ValueError(f"until: expected a moment to come, with a time zone, or a time from now; got {until!r}.")
    return ends


def _judge(ring: rings.Judged) -> None:
    transaction.on_commit(lambda: bus.publish(ring), using=log.database(), robust=True)


def checked_key(key: object) -> str | None:
    """Return the key that somebody gives a command, or raise `Invalid`."""
    if key is not None and (not isinstance(key, str) or not protocol.KEY_PATTERN.fullmatch(key)):
        raise Invalid("key: expected 1 to 64 printable ASCII characters without spaces.")
    return key


def _actor(actor: AbstractBaseUser | Actor | None) -> Actor | None:
    if actor is None or isinstance(actor, Actor):
        return actor
    if not actor.is_authenticated:
        raise TypeError(
            "actor: expected a user who is logged in, an Actor, or None for the site itself; got an anonymous user."
        )
    return auth.person_of(actor).actor


def _only(outcomes: list[Outcome]) -> Appended:
    (outcome,) = outcomes
    if isinstance(outcome, Refusal):
        metrics.refusals.add(value=outcome.code)
        raise outcome
    return outcome


def _tell(fresh: dict[int, list[protocol.Frame]]) -> None:
    for room_pk, frames in fresh.items():
        bus.publish(rings.happened(room_pk, frames))


__all__ = [
    "Snapshot", "abroadcast", "announce", "apublish", "asubmit", "ban", "broadcast", "clear", "close", "disconnect", "kick",
    "mute", "publish", "remove", "reopen", "snapshot", "submit", "unban", "unmute", "visible",
]  # fmt: skip
