"""The log on the real database, against lists and dictionaries: every seq, key, state, page and removal as they should be."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime import kinds as registry
from realtime import log
from realtime.auth import Person
from realtime.errors import Refusal
from realtime.feed import Standing
from realtime.kinds import Fact
from realtime.log import Appended, Entry
from realtime.models import Event, Room
from realtime.protocol import Frame, without_data
from tests.properties import machines
from tests.support import kinds, rows

TRIM_EVERY, TRIM_AT_MOST = 4, 5

PEOPLE = {name: Person(f"user:{name}", name, user_pk=name) for name in ("1", "2")}
NOBODY_THERE = 10**9


@dataclass
class Book:
    """A room as it should be. `bodies` are the frames of the events that are kept, `ages` how many days old each is."""

    kind: str
    state: dict[str, Any]
    keep_events: int
    keep_days: int
    head: int = 0
    tail: int = 0
    closed: bool = False
    bodies: dict[int, bytes] = field(default_factory=dict)
    removals: dict[int, int] = field(default_factory=dict)
    ages: dict[int, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)

    def why_not_removed(self, seq: int) -> str:
        if not 0 < seq <= self.head:
            return "unknown_event"
        return "invalid" if b'"room_removed"' in self.bodies.get(seq, b"") else ""

    def trim_if_due(self, first_head: int) -> None:
        if self.keep_events and self.head // TRIM_EVERY != first_head // TRIM_EVERY:
            self.remove_up_to(max(self.tail, min(self.head - self.keep_events, self.tail + TRIM_AT_MOST)))

    def remove_up_to(self, seq: int) -> int:
        gone = [kept for kept in self.bodies if kept <= seq]
        for kept in gone:
            del self.bodies[kept], self.ages[kept]
        self.keys = {key: kept for key, kept in self.keys.items() if kept > seq}
        self.tail = max(self.tail, seq)
        return len(gone)


@dataclass(frozen=True)
class Asked:
    """One entry to be appended. Without a `person` it is the site's own word, which may have an actor all the same."""

    room: int
    what: str
    by: int
    key: str | None
    actor: str
    person: bool

    def entry(self, room_pk: int, kind: str) -> Entry:
        actor = PEOPLE[self.actor].actor if self.actor else None
        if not self.person:
            return Entry(room_pk, Fact(*self.fact(kind)), actor, self.key)
        name, arguments = ("add", {"by": self.by}) if kind == "counter" else ("do", {"what": self.what})
        return Entry(room_pk, registry.get(kind).parse(name, arguments), actor, self.key, PEOPLE[self.actor])

    def fact(self, kind: str) -> tuple[str, dict[str, Any]]:
        return ("added", {"by": self.by}) if kind == "counter" else ("did", {"what": self.what})


ASKED = st.builds(
    Asked,
    room=st.integers(0, 2),
    what=st.sampled_from(["work", "work", "work", "refuse", *kinds.WRONG]),
    by=st.integers(-3, 3),
    key=st.sampled_from([None, None, "a", "b", "c"]),
    actor=st.sampled_from(["1", "2"]),
    person=st.booleans(),
) | st.builds(
    Asked,
    room=st.integers(0, 3),  # the last is not there
    what=st.sampled_from(["work", "raise in reduce"]),
    by=st.integers(-3, 3),
    key=st.sampled_from([None, "a"]),
    actor=st.just(""),
    person=st.just(False),
)


def decided(kind: str, asked: Asked) -> str:
    """Why a deed is not done, or nothing."""
    if kind == "counter":
        return "invalid" if asked.person and asked.by == 0 else ""
    if asked.person and asked.what == "refuse":
        return "not_now"
    of_decide = asked.what in ("raise", "return nonsense", "name a reserved event")
    return "failed" if asked.what in kinds.WRONG and (asked.person or not of_decide) else ""


class LogAgainstBooks(RuleBasedStateMachine):
    """Three rooms: a counter that keeps all, a counter that keeps little, and one of a kind that goes wrong."""

    @initialize(keep=st.integers(1, 6))
    def rooms(self, keep: int) -> None:
        Event.objects.all().delete()
        Room.objects.all().delete()
        self.books = [
            Book("counter", {"value": 0}, keep_events=0, keep_days=3),
            Book("counter", {"value": 0}, keep_events=keep, keep_days=0),
            Book("odd", {"done": 0}, keep_events=0, keep_days=1),
        ]
        self.pks = [
            rows.room(kind=book.kind, keep_events=book.keep_events, keep_days=book.keep_days).pk for book in self.books
        ]

    # What is done

    @rule(batch=st.lists(ASKED, min_size=1, max_size=9))
    def append(self, batch: list[Asked]) -> None:
        self.books = self.appended(batch)

    @rule(batch=st.lists(ASKED, min_size=1, max_size=5))
    def append_and_roll_back(self, batch: list[Asked]) -> None:
        rows.rolled_back(lambda: self.appended(batch))

    def appended(self, batch: list[Asked]) -> list[Book]:
        """Append, compare every outcome with what it should be, and return the books as they are then."""
        books = deepcopy(self.books)
        heads = [book.head for book in books]
        outcomes = log.append([self.entry(asked) for asked in batch])
        for asked, outcome in zip(batch, outcomes, strict=True):
            expected = self.expected(books, asked, outcome)
            found = (outcome.seq, outcome.frame is None) if isinstance(outcome, Appended) else outcome.code
            assert found == expected, f"{asked}"
        for book, head in zip(books, heads, strict=True):
            book.trim_if_due(head)
        return books

    def entry(self, asked: Asked) -> Entry:
        if asked.room == len(self.pks):
            return Entry(NOBODY_THERE, Fact("did"), None, asked.key)
        return asked.entry(self.pks[asked.room], self.books[asked.room].kind)

    def expected(self, books: list[Book], asked: Asked, outcome: log.Outcome) -> tuple[int, bool] | str:
        """Write an entry into the books, and return its seq and whether it stood there before; or why not."""
        if asked.room == len(books):
            return "unknown_room"
        book = books[asked.room]
        actor = PEOPLE[asked.actor].id if asked.actor else ""
        if asked.key and (actor, asked.key) in book.keys:
            return book.keys[actor, asked.key], True
        if asked.person and book.closed:
            return "room_closed"
        refused = decided(book.kind, asked)
        if refused:
            return refused
        book.head += 1
        book.state = (
            {"value": book.state["value"] + asked.by} if book.kind == "counter" else {"done": book.state["done"] + 1}
        )
        if asked.key:
            book.keys[actor, asked.key] = book.head
        assert isinstance(outcome, Appended)
        assert outcome.frame is not None
        book.bodies[book.head] = outcome.frame.body
        book.ages[book.head] = 0
        told = msgspec.json.decode(outcome.frame.event)
        by = None if not actor else {"id": actor, "name": asked.actor}
        assert (told["seq"], told["key"], told["by"]) == (book.head, asked.key, by)
        assert (told["name"], told["data"]) == asked.fact(book.kind)
        return book.head, False

    @rule(room=st.integers(0, 2), seq=st.integers(-1, 30), by=st.sampled_from(["1", ""]))
    def remove(self, room: int, seq: int, by: str) -> None:
        book = self.books[room]
        why_not = book.why_not_removed(seq)
        if why_not:
            with pytest.raises(Refusal) as refused:
                log.remove(self.pks[room], seq, None)
            assert refused.value.code == why_not
            return
        removal = log.remove(self.pks[room], seq, PEOPLE[by].actor if by else None)
        if seq in book.bodies and seq in book.removals:
            assert removal == Appended(book.removals[seq], None)
            return
        book.head += 1
        assert removal.frame is not None
        assert (removal.seq, removal.frame.removes) == (book.head, seq)
        if seq in book.bodies:
            book.bodies[seq] = without_data(page(self.pks[room], seq - 1, 1)[0]).body
            book.removals[seq] = book.head
        book.bodies[book.head] = removal.frame.body
        book.ages[book.head] = 0
        book.trim_if_due(book.head - 1)

    @rule(room=st.integers(0, 2))
    def clear(self, room: int) -> None:
        book = self.books[room]
        assert log.clear(self.pks[room]) == book.head
        book.remove_up_to(book.head)

    @rule(room=st.integers(0, 2), share=st.floats(0, 1), days=st.integers(1, 4))
    def time_passes_for_the_oldest(self, room: int, share: float, days: int) -> None:
        book = self.books[room]
        aged = sorted(book.bodies)[: round(share * len(book.bodies))]
        for seq in aged:
            book.ages[seq] += days
            when = timezone.now() - timedelta(days=book.ages[seq], minutes=1)
            Event.objects.filter(room=self.pks[room], seq=seq).update(at=when)
            book.bodies[seq] = page(self.pks[room], seq - 1, 1)[0].body

    @rule()
    def trim(self) -> None:
        gone = 0
        for book in self.books:
            first = [seq for seq in book.bodies if seq <= book.tail + TRIM_AT_MOST]
            old = [seq for seq in first if book.keep_days and book.ages[seq] >= book.keep_days]
            gone += book.remove_up_to(max(old, default=book.tail))
        assert log.trim(timezone.now()) == gone

    @rule(room=st.integers(0, 2))
    def close_or_reopen(self, room: int) -> None:
        book = self.books[room]
        book.closed = not book.closed
        Room.objects.filter(pk=self.pks[room]).update(closed=book.closed)

    @rule(room=st.integers(0, 2))
    def a_save_in_the_admin_leaves_the_log_alone(self, room: int) -> None:
        stored = Room.objects.get(pk=self.pks[room])
        self.append([Asked(room, "work", 1, None, "1", False)])
        stored.save()

    # What is read

    @rule(room=st.integers(0, 2), since=st.integers(0, 30), limit=st.integers(1, 7), bytes_of=st.integers(0, 5))
    def read_on(self, room: int, since: int, limit: int, bytes_of: int) -> None:
        kept = sorted(seq for seq in self.books[room].bodies if seq > since)[:limit]
        self.compare(room, kept, bytes_of, lambda most: page(self.pks[room], since, limit, most))

    @rule(
        room=st.integers(0, 2),
        before=st.none() | st.integers(0, 30),
        limit=st.integers(1, 7),
        bytes_of=st.integers(0, 5),
    )
    def read_back(self, room: int, before: int | None, limit: int, bytes_of: int) -> None:
        kept = sorted((seq for seq in self.books[room].bodies if before is None or seq < before), reverse=True)[:limit]
        topic = self.topic(room)
        self.compare(room, kept, bytes_of, lambda most: log.before(self.pks[room], topic, before, limit, most)[::-1])

    def compare(self, room: int, kept: list[int], bytes_of: int, read: Any) -> None:
        """Read with room for so many frames, or for all."""
        bodies = [self.books[room].bodies[seq] for seq in kept]
        fitting = bodies[: max(1, bytes_of)] if bytes_of else bodies
        most = sum(map(len, fitting)) if bytes_of else 10**6
        assert [(frame.seq, frame.body) for frame in read(most)] == list(zip(kept, fitting, strict=False))

    def topic(self, room: int) -> str:
        return f"room:{Room.objects.values_list('slug', flat=True).get(pk=self.pks[room])}"

    @precondition(lambda self: hasattr(self, "books"))
    @invariant()
    def stored_as_it_should_be(self) -> None:
        for pk, book in zip(self.pks, self.books, strict=True):
            stored = Room.objects.get(pk=pk)
            assert (stored.head, stored.tail, log.state_of(stored)) == (book.head, book.tail, book.state)
            seqs = list(Event.objects.filter(room=pk).order_by("seq").values_list("seq", flat=True))
            assert seqs == list(range(book.tail + 1, book.head + 1)) == sorted(book.bodies)
        standing = {pk: Standing(b.head, b.closed, b.tail) for pk, b in zip(self.pks, self.books, strict=True)}
        assert log.heads([*self.pks, NOBODY_THERE]) == standing


def page(room_pk: int, since: int, limit: int, max_bytes: int = 10**6) -> list[Frame]:
    slug = Room.objects.values_list("slug", flat=True).get(pk=room_pk)
    return log.since(room_pk, f"room:{slug}", since, limit, max_bytes)


@pytest.mark.django_db
def test_the_log_is_what_the_books_say(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "realtime.kinds")
    kinds.install(monkeypatch)
    monkeypatch.setattr(log, "_TRIM_EVERY", TRIM_EVERY)
    monkeypatch.setattr(log, "_TRIM_AT_MOST", TRIM_AT_MOST)
    machines.run(LogAgainstBooks, stories=30, steps=25)
