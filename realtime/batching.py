"""The database threads of a process: what arrives while a call is under way goes together in the next one.

An idle `Batcher` starts at the end of the event loop's turn, a busy one gathers, and one that `rests` does so a little longer
where several came together: what costs little more for many than for one is done less often. Each thread keeps its
database connection while it is healthy, unless the connection is a pool's. A database that cannot be reached is `Unavailable`
for the whole batch; any other failure is looked for item by item, so that one bad item does not fail its neighbours.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connections

from realtime.errors import Failed, GoingAway, Overloaded, Refusal, Unavailable
from realtime.rest import Rest

logger = logging.getLogger("realtime.batching")

T = TypeVar("T")
R = TypeVar("R")

_IDLE_SECONDS = 30.0
_END_SECONDS = 10.0
_RETURN_SECONDS = 1.0


class Batcher(Generic[T, R]):
    """Runs `work`, a function of a list, in threads of its own, and gives each item its result.

    `work` returns one result per item, in order; a result that is a `Refusal` is raised from the item's future. At most
    `max_waiting` items wait, at most `max_batch` go into one call, at most `threads` calls run at once.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], list[R | Refusal]],
        *,
        max_batch: int,
        max_waiting: int,
        threads: int = 1,
        rests: bool = False,
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._threads = threads
        self._rests = rests
        self._rest = Rest()
        self._running = 0
        self._starting: asyncio.Handle | None = None
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=f"realtime-{name}")
        self._closed = False

    def submit(self, item: T) -> asyncio.Future[R]:
        """Return the future of `item`'s result, or raise `Overloaded`."""
        if self._closed:
            raise GoingAway(_RETURN_SECONDS)
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append((item, future))
        self._idle.clear()
        self._start_soon()
        return future

    def take_no_more(self) -> None:
        """From now on refuse what is submitted: `GoingAway`."""
        self._closed = True

    async def finish(self) -> None:
        """Return once everything that was submitted has its result."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finish what was submitted, close the threads' database connections, and end the threads."""
        self.take_no_more()
        await self.finish()
        together = threading.Barrier(self._threads)
        ends = [self._loop.run_in_executor(self._pool, _end_thread, together) for _ in range(self._threads)]
        await asyncio.gather(*ends)
        self._pool.shutdown(wait=False)

    def abandon(self) -> None:
        """Wait for nothing: refuse what has not begun, and leave each thread to end when its call does. Once closed, nothing."""
        self.take_no_more()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(GoingAway(_RETURN_SECONDS))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_soon(self) -> None:
        """Start at the end of this turn of the event loop, or of the rest: what arrives until then goes together."""
        if self._starting is None and self._running < self._threads:
            self._starting = self._rest.then(self._loop, self._start)

    def _start(self) -> None:
        self._starting = None
        while self._waiting and self._running < self._threads:
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            self._running += 1
            call = self._loop.run_in_executor(self._pool, _run, self._work, [item for item, _ in batch])
            call.add_done_callback(partial(self._finish, batch, time.monotonic()))

    def _finish(
        self, batch: list[tuple[T, asyncio.Future[R]]], began: float, call: asyncio.Future[list[R | Refusal]]
    ) -> None:
        self._running -= 1
        if self._rests:
            self._rest.after(len(batch), began)
        results = [Unavailable() for _ in batch] if call.cancelled() else call.result()
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Refusal):
                future.set_exception(result)
            else:
                future.set_result(result)
        if self._waiting:
            self._start_soon()
        elif not self._running:
            self._idle.set()


def _run(work: Callable[[list[T]], list[R | Refusal]], items: list[T]) -> list[R | Refusal]:
    _tend_connections()
    try:
        return work(items)
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database did not answer: %s", error)
        connections.close_all()
        return [Unavailable() for _ in items]
    except Exception:
        if len(items) > 1:
            return [result for item in items for result in _run(work, [item])]
        logger.exception("A database call failed")
        connections.close_all()
        return [Failed()]
    finally:
        _return_to_pools()


def _end_thread(together: threading.Barrier) -> None:
    """Close this thread's connections. Waiting for each other, no thread takes two of these and leaves another its own."""
    try:
        together.wait(_END_SECONDS)
    except threading.BrokenBarrierError:
        logger.info("A database thread was still busy at the end")
    connections.close_all()


def _tend_connections() -> None:
    """Keep a connection that is in use; one that has idled may have been cut by the other side, so open it anew."""
    now = time.monotonic()
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred or now - getattr(connection, "realtime_used_at", now) > _IDLE_SECONDS:
            connection.close()
        connection.realtime_used_at = now  # type: ignore[attr-defined]


def _return_to_pools() -> None:
    """Give pooled connections back: Django's pool has four, and a thread that kept one would starve the site's own requests."""
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["OPTIONS"].get("pool"):
            connection.close()
