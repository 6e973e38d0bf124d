"""Calls to the database that take as long as a machine wants, and come to nothing if it wants that."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from realtime.errors import Overloaded, Refusal, Unavailable
from realtime.protocol import Frame
from tests.support.fakes import FakeLog

T = TypeVar("T")
R = TypeVar("R")


class HeldLog(FakeLog):
    """A log in memory. Every read waits until the database looks; a page also until the answer is back."""

    def __init__(self, page_size: int) -> None:
        super().__init__(page_size)
        self.holds = True
        self._held: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        self._held = [held for held in self._held if not held.done()]
        return len(self._held)

    def let_go(self, index: int = 0, *, refuse: bool = False) -> None:
        """Let one of those that wait go on, or fail."""
        if self.waiting:
            held = self._held.pop(index % len(self._held))
            if refuse:
                held.set_exception(Unavailable())
            else:
                held.set_result(None)

    def let_all_go(self) -> None:
        self.holds = False
        while self.waiting:
            self.let_go()

    async def page(self, room_pk: int, topic: str, seq: int) -> list[Frame]:
        frames = await super().page(room_pk, topic, seq)
        await self._hold()
        return frames

    async def _answer(self, name: str, about: Any) -> None:
        await super()._answer(name, about)
        await self._hold()

    async def _hold(self) -> None:
        if self.holds:
            self._held.append(asyncio.get_running_loop().create_future())
            await self._held[-1]


class HeldBatcher(Generic[T, R]):
    """In the place of a `Batcher`: works when it is told to, in the thread of the test, while the event loop stands still.

    `look` does the work of a batch; `answer` is when the event loop hears of it. With several threads, several batches are
    under way at a time, and answers may overtake each other.
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
        self._threads = threads
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._looked: list[list[tuple[asyncio.Future[R], R | Refusal]]] = []
        self.overloaded = False

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._looked)

    def submit(self, item: T) -> asyncio.Future[R]:
        if self.overloaded:
            raise Overloaded
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        return future

    def look(self, count: int, *, refuse: bool = False) -> None:
        """Work on the next so many, or find the database out of reach."""
        batch, rest = self._waiting[:count], self._waiting[count:]
        if not batch or len(self._looked) >= self._threads:
            return
        self._waiting = rest
        results: list[R | Refusal] = [Unavailable()] * len(batch) if refuse else self._work([item for item, _ in batch])
        self._looked.append([(future, result) for (_, future), result in zip(batch, results, strict=True)])

    def answer(self, index: int = 0) -> None:
        if not self._looked:
            return
        for future, result in self._looked.pop(index % len(self._looked)):
            if future.done():
                continue
            if isinstance(result, Refusal):
                future.set_exception(result)
            else:
                future.set_result(result)

    def finish(self) -> None:
        """Do and answer all that is waiting now."""
        while self._looked:
            self.answer()
        self.look(len(self._waiting))
        self.answer()
