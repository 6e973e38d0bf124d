"""Looking again at connections: what each was let in with may not be so any more.

Who waits to be looked at waits once, however often it is asked for. Many looks share one batch of queries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Set
from typing import Protocol

logger = logging.getLogger("realtime.looks")

_AT_ONCE = 200


class Watched(Protocol):
    """A connection, as far as it is looked at."""

    async def look_again(self) -> None: ...


class Looks:
    """At those of `open_` that are asked for, and now and then at all of them. `busy` while some are under way or wait."""

    def __init__(self, open_: Set[Watched]) -> None:
        self._open = open_
        self._waiting: dict[Watched, None] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def soon(self, connections: Iterable[Watched]) -> None:
        """Look at these; one task does, whatever is asked for meanwhile."""
        self._waiting.update(dict.fromkeys(connections))
        if self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_at_those())

    async def at_all(self) -> None:
        await self._look_at(list(self._open))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_at_those(self) -> None:
        while self._waiting:
            connections = [connection for connection in self._waiting if connection in self._open]
            self._waiting.clear()
            try:
                await self._look_at(connections)
            except Exception:
                logger.exception("Looking again at connections failed")
        self._task = None

    async def _look_at(self, connections: list[Watched]) -> None:
        """Look again at connections, many in one batch of queries, and not all at once."""
        for start in range(0, len(connections), _AT_ONCE):
            some = connections[start : start + _AT_ONCE]
            await asyncio.gather(*(connection.look_again() for connection in some))
