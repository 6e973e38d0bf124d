"""What arrives while a database call is under way goes together in the next one, and nobody fails for another."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection

from realtime import rest
from realtime.batching import Batcher
from realtime.errors import Failed, Forbidden, GoingAway, Overloaded, Refusal, Unavailable
from tests.support.fakes import SECONDS, settle

Make = Callable[..., Batcher[Any, Any]]


class Work:
    """A function of a list that says what it got, and is held up while `gate` is clear."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        assert self.gate.wait(SECONDS)
        return [item() if callable(item) else item for item in items]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Make a batcher; all are closed at the end of the test."""
    made: list[tuple[Batcher[Any, Any], Any]] = []

    def new(
        work: Any, max_batch: int = 100, max_waiting: int = 100, threads: int = 1, *, rests: bool = False
    ) -> Batcher[Any, Any]:
        batcher: Batcher[Any, Any] = Batcher(
            "test", work, max_batch=max_batch, max_waiting=max_waiting, threads=threads, rests=rests
        )
        made.append((batcher, work))
        return batcher

    yield new
    for batcher, work in made:
        if isinstance(work, Work):
            work.gate.set()
        async with asyncio.timeout(SECONDS):
            await batcher.close()


async def outcome(future: asyncio.Future[Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        try:
            return await future
        except Refusal as refusal:
            return type(refusal)


async def outcomes(futures: Sequence[asyncio.Future[Any]]) -> list[Any]:
    return [await outcome(future) for future in futures]


async def test_each_item_gets_its_own_result(make: Make) -> None:
    batcher = make(Work())
    assert await outcomes([batcher.submit(number) for number in range(5)]) == [0, 1, 2, 3, 4]


async def test_what_comes_in_one_turn_of_the_loop_goes_together_and_a_busy_batcher_gathers(make: Make) -> None:
    work = Work()
    work.gate.clear()
    batcher = make(work)
    futures = [batcher.submit(number) for number in range(2)]
    await settle()
    for number in range(2, 5):
        futures.append(batcher.submit(number))
        await settle()
    work.gate.set()
    assert await outcomes(futures) == [0, 1, 2, 3, 4]
    assert work.calls == [[0, 1], [2, 3, 4]]


class Late:
    """A clock that is ahead, by which everything takes long."""

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() + 60


@pytest.mark.parametrize(("rests", "calls"), [(True, [[0, 1], [2, 3]]), (False, [[0, 1], [2], [3]])])
async def test_one_that_rests_after_several_has_the_next_go_together(
    make: Make, monkeypatch: pytest.MonkeyPatch, rests: bool, calls: list[list[int]]
) -> None:
    monkeypatch.setattr(rest, "time", Late)
    monkeypatch.setattr(rest, "_MOST_SECONDS", 0.5)
    work = Work()
    batcher = make(work, rests=rests)
    await outcomes([batcher.submit(number) for number in range(2)])
    first = batcher.submit(2)
    await settle()
    if not rests:
        await outcome(first)
    await outcomes([first, batcher.submit(3)])
    assert work.calls == calls


async def test_one_at_a_time_never_waits_for_a_rest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "time", Late)
    monkeypatch.setattr(rest, "_MOST_SECONDS", 60)
    batcher = make(Work(), rests=True)
    assert [await outcome(batcher.submit(number)) for number in range(3)] == [0, 1, 2]


async def test_a_batch_has_a_most(make: Make) -> None:
    work = Work()
    work.gate.clear()
    batcher = make(work, max_batch=2)
    futures = [batcher.submit(number) for number in range(6)]
    work.gate.set()
    await outcomes(futures)
    assert work.calls == [[0, 1], [2, 3], [4, 5]]


async def test_more_than_may_wait_is_refused_and_later_taken_again(make: Make) -> None:
    work = Work()
    work.gate.clear()
    batcher = make(work, max_waiting=2)
    futures = [batcher.submit(0)]
    await settle()
    futures += [batcher.submit(number) for number in (1, 2)]
    with pytest.raises(Overloaded):
        batcher.submit("one too many")
    work.gate.set()
    assert await outcomes(futures) == [0, 1, 2]
    assert await outcome(batcher.submit("now")) == "now"


async def test_a_refusal_is_raised_for_its_own_item(make: Make) -> None:
    batcher = make(Work())
    assert await outcomes([batcher.submit(item) for item in (1, Forbidden(), 3)]) == [1, Forbidden, 3]


async def test_threads_run_side_by_side(make: Make) -> None:
    together = threading.Barrier(2)
    batcher = make(lambda items: [together.wait(SECONDS) for _ in items], max_batch=1, threads=2)
    assert sorted(await outcomes([batcher.submit(0), batcher.submit(0)])) == [0, 1]


def database_is_gone() -> None:
    raise OperationalError("the database is gone")


def broken() -> None:
    raise ZeroDivisionError


async def test_a_database_that_does_not_answer_is_a_reason_to_try_again(make: Make) -> None:
    batcher = make(Work())
    assert await outcomes([batcher.submit(item) for item in (1, database_is_gone, 3)]) == [Unavailable] * 3
    assert await outcome(batcher.submit(4)) == 4


async def test_one_bad_item_fails_alone_and_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "realtime.batching"):
        batcher = make(Work())
        assert await outcomes([batcher.submit(item) for item in (1, 2, broken, 4)]) == [1, 2, Failed, 4]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


async def test_one_who_no_longer_waits_holds_up_nobody(make: Make) -> None:
    work = Work()
    work.gate.clear()
    batcher = make(work)
    futures = [batcher.submit(number) for number in range(3)]
    futures[1].cancel()
    work.gate.set()
    assert [await outcome(futures[number]) for number in (0, 2)] == [0, 2]


async def test_closing_finishes_what_was_submitted_and_takes_no_more() -> None:
    work = Work()
    work.gate.clear()
    batcher: Batcher[int, int] = Batcher("test", work, max_batch=1, max_waiting=9)
    futures = [batcher.submit(number) for number in range(3)]
    closing = asyncio.create_task(batcher.close())
    await settle()
    with pytest.raises(GoingAway):
        batcher.submit(4)
    work.gate.set()
    async with asyncio.timeout(SECONDS):
        await closing
    assert [future.result() for future in futures] == [0, 1, 2]


@pytest.mark.django_db(transaction=True)
async def test_every_threads_database_connection_is_closed_with_it() -> None:
    opened = []
    together = threading.Barrier(2)

    def look(items: list[int]) -> list[int]:
        connection.ensure_connection()
        opened.append(connection._connections[connection._alias])
        together.wait(SECONDS)
        return items

    batcher: Batcher[int, int] = Batcher("test", look, max_batch=1, max_waiting=9, threads=2)
    await outcomes([batcher.submit(number) for number in range(2)])
    async with asyncio.timeout(SECONDS):
        await batcher.close()
    assert [wrapper.connection for wrapper in opened] == [None] * 2
