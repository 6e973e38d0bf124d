"""The log of a site's rooms as the database has it, to be held against what every client saw and was told."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tests.support.console import WAKE
from tests.support.crowd import Crowd
from tests.support.sites import Site

READ = """
from django.db import transaction
with transaction.atomic():
    rooms = {room.slug: room for room in Room.objects.filter(slug__in=slugs)}
    result = {
        slug: {
            "head": room.head,
            "state": room.state,
            "events": list(room.events.order_by("seq").values_list("seq", "key", "name", "data")),
        }
        for slug, room in rooms.items()
    }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """An event of the log."""

    seq: int
    key: str | None
    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Book:
    """A room's log."""

    head: int
    state: dict[str, Any]
    rows: list[Row]


async def read(site: Site, slugs: list[str]) -> dict[str, Book]:
    found = await asyncio.to_thread(site.console.run, WAKE + READ, slugs=slugs)
    return {
        slug: Book(book["head"], book["state"], [Row(*row) for row in book["events"]]) for slug, book in found.items()
    }


async def audit(site: Site, crowd: Crowd) -> dict[str, Book]:
    """Wait until all is said and heard, and check that the log and what each of them saw and heard are one story.

    The log is gapless. No key is in it twice; what was acknowledged is in it, under the seq that was said. Everybody saw each
    event after their first join once, in order, as the log has it, up to the newest.
    """
    await crowd.answered()
    books = await read(site, crowd.slugs)
    await crowd.reached({slug: book.head for slug, book in books.items()})
    for slug, book in books.items():
        check_book(slug, book)
    check_acknowledgements(books, crowd)
    check_sights(books, crowd)
    assert not crowd.wrongs, "\n".join(crowd.wrongs[:20])
    return books


def check_book(slug: str, book: Book) -> None:
    seqs = [row.seq for row in book.rows]
    assert seqs == list(range(1, len(seqs) + 1)), f"{slug}: the log is not gapless: {seqs}"
    assert book.head == len(seqs), f"{slug}: the head is {book.head}, the log has {len(seqs)} events"
    twice = [key for key, times in Counter(row.key for row in book.rows if row.key).items() if times > 1]
    assert not twice, f"{slug}: these keys are in the log twice: {twice}"
    if slug.startswith("counter"):
        assert book.state.get("value", 0) == sum(row.data["by"] for row in book.rows), f"{slug}: the state is wrong"


def check_acknowledgements(books: dict[str, Book], crowd: Crowd) -> None:
    logged = {row.key: (slug, row.seq) for slug, book in books.items() for row in book.rows if row.key}
    for regular in crowd.regulars:
        for key, (slug, seq) in regular.acknowledged.items():
            assert logged.get(key) == (slug, seq), (
                f"{regular.name} was told {slug} {seq}, the log has {logged.get(key)}"
            )


def check_sights(books: dict[str, Book], crowd: Crowd) -> None:
    for regular in crowd.regulars:
        for slug, place in regular.places.items():
            began = place.began or 0
            seen = [(event.seq, event.key, event.data) for event in place.heard]
            logged = [(row.seq, row.key, row.data) for row in books[slug].rows[began:]]
            for heard, row in zip_longest(seen, logged):
                assert heard == row, f"{regular.name} in {slug} heard {heard!s:.200}, the log has {row!s:.200}"
