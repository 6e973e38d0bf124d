"""A room's log: the one writer of Event, and of a Room's head, tail and state.

Everything is written under the room's row lock, in one transaction: the events, their gapless `seq`, the state they fold into.
Rooms are locked in pk order. A sender's `key` makes an append happen once, however often it is asked for, as long as the event
is kept. Frames are encoded here, once, on the way in and on the way back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import router, transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery

from realtime import conf, kinds, metrics, policy, protocol, sanctions, slowmode, statements, storable
from realtime.auth import Person
from realtime.errors import Failed, Forbidden, Invalid, Refusal, StateTooLarge, UnknownEvent, UnknownRoom
from realtime.feed import Standing
from realtime.kinds import Actor, Command, Fact
from realtime.models import Event, Room
from realtime.protocol import Frame
from realtime.sanctions import FREE, Held
from realtime.slowmode import Turns
from realtime.statements import NewEvent, NewHead

logger = logging.getLogger("realtime.kinds")

_FEW_ROWS = 16
_TRIM_EVERY = 64
_TRIM_AT_MOST = 1000
_MOST_DAYS = 366_000  # a thousand years: the calendar has a beginning


class Entry(msgspec.Struct, frozen=True):
    """What is to be appended: a person's `Command`, judged by policy and kind, or the site's own `Fact`, which is not."""

    room_pk: int
    deed: Command | Fact
    actor: Actor | None = None
    key: str | None = None
    person: Person | None = None


class Appended(msgspec.Struct, frozen=True):
    """Where an entry stands in the log. `frame` is None when it stood there before."""

    seq: int
    frame: Frame | None


Outcome = Appended | Refusal


def database() -> str:
    """Return the alias of the database that holds the log."""
    return router.db_for_write(Event)


def state_of(row: Room) -> dict[str, Any]:
    """Return the state that a room stands at. Before its first event that is its kind's `initial`. Raises `UnknownKind`."""
    state: dict[str, Any] = row.state if row.head else row.state or kinds.get(row.kind).initial
    return state


def append(entries: Sequence[Entry]) -> list[Outcome]:
    """Append what may be appended, in one transaction, and return each entry's outcome, in order.

    A refused entry leaves no trace and does not touch the others. Database errors are raised, and then nothing was appended.
    """
    with transaction.atomic(using=database(), savepoint=False):
        rooms = statements.lock_rooms(database(), {entry.room_pk for entry in entries})
        now = datetime.now(UTC)
        acting = _acting(entries, rooms)
        held, turns = sanctions.held(acting), slowmode.turns(acting, now)
        desk = _Desk(rooms, _roles(acting), held, turns, _seqs_by_key(entries), now)
        outcomes = [desk.judge(entry) for entry in entries]
        desk.write()
    return outcomes


class _Room:
    """A locked room while a batch is appended to it. `saved` is its state, encoded, after the last entry that succeeded."""

    def __init__(self, row: Room) -> None:
        self.row = row
        self.topic = protocol.topic(row.slug)
        self.kind = kinds.get(row.kind)
        self.first_head = row.head
        self.saved = msgspec.json.encode(state_of(row))

    @property
    def state(self) -> dict[str, Any]:
        """A fresh copy, so that a kind that changes what it was handed harms nobody."""
        state: dict[str, Any] = msgspec.json.decode(self.saved)
        return state

    def folded(self, name: str, data: bytes) -> bytes:
        """Return the state after one more event, encoded."""
        if not self.kind.folds:
            return self.saved
        state = self.kind.reduce(self.state, Fact(name, msgspec.json.decode(data)))
        try:
            return storable.state(state, conf.current().MAX_STATE_BYTES)
        except StateTooLarge as refusal:
            logger.error("The kind of room %s lets the state grow: %s", self.row.pk, refusal)
            raise


class _Desk:
    """One batch at work: judges entries in memory and writes the result."""

    def __init__(
        self,
        rooms: dict[int, Room],
        roles: dict[tuple[int, str], str],
        held: dict[tuple[int, str], Held],
        turns: Turns,
        seqs: dict[tuple[int, str, str], int],
        now: datetime,
    ) -> None:
        self._rows = rooms
        self._rooms: dict[int, _Room] = {}
        self._roles = roles
        self._held = held
        self._turns = turns
        self._seqs = seqs
        self._now = now
        self._events: list[NewEvent] = []

    def judge(self, entry: Entry) -> Outcome:
        try:
            return self._append(entry)
        except Refusal as refusal:
            return refusal
        except Exception:
            logger.exception("The kind of room %s raised on %s", entry.room_pk, type(entry.deed).__name__)
            return Failed()

    def write(self) -> None:
        if not self._events:
            return
        statements.insert_events(database(), self._events)
        changed = [room for room in self._rooms.values() if room.row.head != room.first_head]
        for room in changed:
            _trim_if_due(room.row, room.first_head)
        heads = [NewHead(room.row.head, room.row.tail, room.saved.decode(), room.row.pk) for room in changed]
        statements.update_rooms(database(), heads)
        self._turns.write()
        metrics.appended.add(len(self._events))

    def _append(self, entry: Entry) -> Appended:
        row = self._rows.get(entry.room_pk)
        if row is None:
            raise UnknownRoom(str(entry.room_pk))
        known = self._known(entry)
        if known is not None:
            return Appended(known, None)
        slowed = entry.person is not None and self._admit(entry.person, row)
        room = self._rooms.get(row.pk) or _Room(row)
        self._rooms[row.pk] = room
        fact = entry.deed if isinstance(entry.deed, Fact) else self._decide(room, entry.deed, entry.actor)
        appended = self._keep(room, fact, entry)
        if slowed and entry.person is not None:
            self._turns.take(row, entry.person)
        return appended

    def _admit(self, person: Person, row: Room) -> bool:
        """Raise what keeps a person from acting, and say whether the room's slow mode is for them."""
        role = self._roles.get((row.pk, person.user_pk or ""))
        policy.check_act(person, row, role, self._held.get((row.pk, person.id), FREE))
        slowed = policy.is_slowed(person, row, role)
        if slowed:
            self._turns.check(row, person)
        return slowed

    def _known(self, entry: Entry) -> int | None:
        return None if entry.key is None else self._seqs.get((entry.room_pk, _actor_id(entry), entry.key))

    def _decide(self, room: _Room, command: Command, actor: Actor | None) -> Fact:
        assert actor is not None, "a command has an actor"
        fact = room.kind.decide(room.state, command, actor)
        if not isinstance(fact, Fact):
            raise TypeError(f"{type(room.kind).__qualname__}.decide: expected a Fact, got {fact!r}.")
        return fact

    def _keep(self, room: _Room, fact: Fact, entry: Entry) -> Appended:
        """Take the next seq for a fact. Nothing of the room is changed until all that can fail has succeeded."""
        kinds.base.check_name(fact.name, type(room.kind))
        data = storable.data(fact.data, conf.current().MAX_EVENT_BYTES)
        state = room.folded(fact.name, data)
        seq = room.row.head + 1
        frame = protocol.event(room.topic, seq, fact.name, self._now, entry.actor, entry.key, msgspec.Raw(data))
        room.row.head = seq
        room.saved = state
        by, name = (entry.actor.id, entry.actor.name) if entry.actor else ("", "")
        self._events.append(NewEvent(room.row.pk, seq, fact.name, data.decode(), by, name, self._now, entry.key))
        if entry.key is not None:
            self._seqs[entry.room_pk, _actor_id(entry), entry.key] = seq
        return Appended(seq, frame)


def checked(data: Any) -> msgspec.Raw:
    """Return data as it may travel in an event, encoded, or raise `Invalid`."""
    return msgspec.Raw(storable.data(data, conf.current().MAX_EVENT_BYTES))


def since(room_pk: int, topic: str, seq: int, limit: int, max_bytes: int) -> list[Frame]:
    """Return the frames of the events after `seq`, oldest first: at most `limit`, and `max_bytes` unless one alone has more."""
    rows = _rows(room_pk).order_by("seq")
    return _fitting(lambda last: rows.filter(seq__gt=last), seq, topic, limit, max_bytes)


def before(room_pk: int, topic: str, seq: int | None, limit: int, max_bytes: int) -> list[Frame]:
    """Return the frames of the newest events, or of those before `seq`, oldest first, within the same bounds."""
    rows = _rows(room_pk).order_by("-seq")
    earlier = _fitting(lambda last: rows if last is None else rows.filter(seq__lt=last), seq, topic, limit, max_bytes)
    return earlier[::-1]


def heads(room_pks: Iterable[int]) -> dict[int, Standing]:
    """Return where each of the rooms that exist stands, in one query."""
    rows = (
        Room.objects.using(database())
        .filter(pk__in=list(room_pks))
        .values_list("pk", "head", "closed", "tail", "judged")
    )
    return {pk: Standing(head, closed, tail, judged) for pk, head, closed, tail, judged in rows}


def clear(room_pk: int) -> int:
    """Remove every event of a room, and return the newest seq removed. The head and the state stay."""
    with transaction.atomic(using=database()):
        row = statements.lock_rooms(database(), {room_pk}).get(room_pk)
        if row is None:
            raise UnknownRoom(str(room_pk))
        Event.objects.using(database()).filter(room_id=room_pk, seq__lte=row.head).delete()
        Room.objects.using(database()).filter(pk=room_pk).update(tail=row.head)
    return row.head


def remove(room_pk: int, seq: int, by: Actor | None, *, own: bool = False) -> Appended:
    """Take an event's data away for good, and append the event that says so. Done again, it is that same event.

    The room's state stays as it is. Of an event that is no longer kept it is only said. `own`: it has to be by the same actor.
    Raises `UnknownRoom`, `UnknownEvent`, `Forbidden`, and `Invalid` for the event of a removal.
    """
    with transaction.atomic(using=database()):
        row = statements.lock_rooms(database(), {room_pk}).get(room_pk)
        if row is None:
            raise UnknownRoom(str(room_pk))
        if not 0 < seq <= row.head:
            raise UnknownEvent(seq)
        event = _rows(room_pk).filter(seq=seq).first()
        if own and (by is None or event is None or event.actor != by.id):
            raise Forbidden
        if event is not None and event.name == protocol.REMOVED:
            raise Invalid(f"Event {seq} is itself a removal.")
        if event is not None and event.removal is not None:
            return Appended(event.removal, None)
        return _append_removal(row, seq, by)


def _append_removal(row: Room, seq: int, by: Actor | None) -> Appended:
    """Write to a locked room without asking its kind, which may not even be installed."""
    now = datetime.now(UTC)
    frame = protocol.removal(protocol.topic(row.slug), row.head + 1, now, by, seq)
    row.head = frame.seq
    _rows(row.pk).filter(seq=seq).update(data={}, removal=frame.seq)
    data = msgspec.json.encode({"seq": seq}).decode()
    actor, name = (by.id, by.name) if by else ("", "")
    statements.insert_events(database(), [NewEvent(row.pk, frame.seq, protocol.REMOVED, data, actor, name, now, None)])
    _trim_if_due(row, frame.seq - 1)
    state = msgspec.json.encode(row.state).decode()
    statements.update_rooms(database(), [NewHead(row.head, row.tail, state, row.pk)])
    return Appended(frame.seq, frame)


def trim(now: datetime) -> int:
    """Remove events that are older than their room keeps them, and return how many."""
    rooms = Room.objects.using(database()).filter(head__gt=F("tail")).exclude(keep_days=0)
    if not conf.current().KEEP_DAYS:
        rooms = rooms.exclude(keep_days=None)
    oldest = Event.objects.using(database()).filter(room=OuterRef("pk")).order_by("seq").values("at")[:1]
    aged = rooms.annotate(oldest=Subquery(oldest)).only("pk", "keep_days")
    return sum(_trim_by_age(row, now) for row in aged if row.oldest is not None and _too_old(row, now) > row.oldest)


def _acting(entries: Sequence[Entry], rooms: dict[int, Room]) -> list[tuple[Room, Person]]:
    """Return who acts where; the site itself is not among them."""
    return [
        (rooms[entry.room_pk], entry.person) for entry in entries if entry.person is not None and entry.room_pk in rooms
    ]


def _roles(acting: list[tuple[Room, Person]]) -> dict[tuple[int, str], str]:
    """Read the roles of those who act, where a role can matter: anybody may act in most rooms."""
    return policy.roles((room.pk, person) for room, person in acting if not policy.is_plain(room))


def _seqs_by_key(entries: Sequence[Entry]) -> dict[tuple[int, str, str], int]:
    keys = {entry.key for entry in entries if entry.key is not None}
    return statements.seqs_by_key(database(), {entry.room_pk for entry in entries}, keys)


def _actor_id(entry: Entry) -> str:
    return entry.actor.id if entry.actor else ""


def _rows(room_pk: int) -> QuerySet[Event]:
    return Event.objects.using(database()).filter(room_id=room_pk)


def _fitting(
    beyond: Callable[[Any], QuerySet[Event]], last: int | None, topic: str, limit: int, max_bytes: int
) -> list[Frame]:
    """Read what lies `beyond` a seq and fits: first a few rows, then as many as fit if the others are like them.

    What is removed meanwhile leaves no hole: the frames end before it.
    """
    frames: list[Frame] = []
    size = 0
    wanted = _FEW_ROWS
    while len(frames) < limit:
        wanted = min(wanted, limit - len(frames))
        some = list(beyond(last)[:wanted])
        for row in some:
            frame = _frame(topic, row)
            size += len(frame.body)
            if frames and (size > max_bytes or abs(row.seq - frames[-1].seq) != 1):
                return frames
            frames.append(frame)
            last = row.seq
        if len(some) < wanted or size >= max_bytes:
            break
        wanted = max(_FEW_ROWS, (max_bytes - size) * len(frames) // size)
    return frames


def _frame(topic: str, row: Event) -> Frame:
    by = Actor(row.actor, row.actor_name) if row.actor else None
    at = row.at.astimezone(UTC)
    if row.name == protocol.REMOVED:
        return protocol.removal(topic, row.seq, at, by, row.data["seq"])
    return protocol.event(topic, row.seq, row.name, at, by, row.key, row.data, removed=row.removal is not None)


def _trim_if_due(row: Room, first_head: int) -> None:
    """Now and then, while the room is locked anyway, remove what is more than the room keeps, some at a time."""
    keep = conf.current().KEEP_EVENTS if row.keep_events is None else row.keep_events
    if not keep or row.head // _TRIM_EVERY == first_head // _TRIM_EVERY:
        return
    _remove_up_to(row, min(row.head - keep, row.tail + _TRIM_AT_MOST))


def _too_old(row: Room, now: datetime) -> datetime:
    """Return the moment before which an event of this room is too old, as the database writes it."""
    days = conf.current().KEEP_DAYS if row.keep_days is None else row.keep_days
    return statements.storable_at(now - timedelta(days=min(days, _MOST_DAYS)))


def _trim_by_age(row: Room, now: datetime) -> int:
    with transaction.atomic(using=database()):
        locked = statements.lock_rooms(database(), {row.pk}).get(row.pk)
        if locked is None:
            return 0
        some = _rows(row.pk).filter(seq__gt=locked.tail, seq__lte=locked.tail + _TRIM_AT_MOST)
        newest = some.filter(at__lt=_too_old(row, now)).aggregate(newest=Max("seq"))["newest"]
        removed = _remove_up_to(locked, newest or 0)
        Room.objects.using(database()).filter(pk=row.pk).update(tail=locked.tail)
    return removed


def _remove_up_to(row: Room, seq: int) -> int:
    if seq <= row.tail:
        return 0
    removed, _ = _rows(row.pk).filter(seq__lte=seq).delete()
    row.tail = seq
    return removed
