"""A talk: so many messages a second, each followed until everyone in its room has it, whatever else goes on.

An open loop: what is late holds back nothing that is said after it. What somebody has not got after `patience` seconds counts as
having taken as long, and as lost.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from array import array
from typing import TYPE_CHECKING, Any

from benchmarks.load.dialects import marked
from benchmarks.load.window import Choose, numbers, percentiles

if TYPE_CHECKING:
    from benchmarks.load.swarm import Swarm

_now = time.perf_counter_ns


class _Said:
    """A message that was sent. `left`: deliveries that are still to come."""

    __slots__ = ("at", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.at = _now()


class Talk:
    """`choose(lane)` names the next sender and how many will hear."""

    def __init__(self, swarm: Swarm, name: str, choose: Choose) -> None:
        self._swarm = swarm
        self._name = name
        self._choose = choose
        self._under_way: dict[int, _Said] = {}
        self._latencies = array("q")
        self._refused = 0

    async def measure(self, per_second: float, seconds: float, patience: float) -> dict[str, Any]:
        """Talk for so long, wait for the last of it, and say how long it all took to be heard."""
        self._swarm.window = self
        try:
            await self._say(per_second, seconds)
            await self._hear_the_last(patience)
        finally:
            self._swarm.window = None
        late = [int(patience * 1e9)] * sum(said.left for said in self._under_way.values())
        self._latencies.extend(late)
        return {
            "latency": percentiles(self._latencies),
            "lost": len(late),
            "refused": self._refused,
            "disconnected": self._swarm.disconnected,
        }

    # Called for every frame

    def delivered(self, number: int) -> None:
        said = self._under_way.get(number)
        if said is None:
            return
        self._latencies.append(_now() - said.at)
        said.left -= 1
        if not said.left:
            del self._under_way[number]

    def acknowledged(self, number: int, well: bool) -> None:
        """Who speaks hears their own message as well, and that is what is timed."""
        if not well:
            self._refused += 1

    async def _say(self, per_second: float, seconds: float) -> None:
        began = time.perf_counter()
        for turn in itertools.count():
            due = began + turn / per_second
            if due - began >= seconds:
                return
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._send()

    def _send(self) -> None:
        number = next(numbers)
        sender, hearers = self._choose(0)
        body = self._swarm.dialect.message(self._name, sender.room, marked(number))
        self._under_way[number] = _Said(hearers)
        sender.send(body)

    async def _hear_the_last(self, patience: float) -> None:
        ends = time.perf_counter() + patience
        while self._under_way and time.perf_counter() < ends:
            await asyncio.sleep(0.01)
