"""A measurement: so many messages in flight, each followed until everyone in its room has it.

A closed loop: a message that has arrived everywhere makes room for the next one. What arrives during the warm-up is not counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.load.dialects import marked

if TYPE_CHECKING:
    from benchmarks.load.swarm import Client, Swarm

_LOST_SECONDS = 30.0
numbers = itertools.count(1)
_now = time.perf_counter_ns


class _Flight:
    """A message under way. `left`: deliveries, and the acknowledgement, that are still to come."""

    __slots__ = ("lane", "left", "sent_at")

    def __init__(self, lane: int, left: int) -> None:
        self.lane = lane
        self.left = left
        self.sent_at = 0


Choose = Callable[[int], "tuple[Client, int]"]


class Window:
    """Keeps `in_flight` messages under way. `choose(lane)` names the next sender and how many will hear."""

    def __init__(self, swarm: Swarm, name: str, in_flight: int, choose: Choose) -> None:
        self._swarm = swarm
        self._name = name
        self._in_flight = in_flight
        self._choose = choose
        self._flights: dict[int, _Flight] = {}
        self._running = False
        self.sent = 0
        self._forget()

    def _forget(self) -> None:
        self.latencies = array("q")
        self.answers = array("q")
        self.messages = 0
        self.lost = 0
        self.refused = 0

    async def measure(self, warm_up: float, seconds: float, processes: dict[str, list[int]]) -> dict[str, Any]:
        """Run, and say what was delivered in `seconds` and what each group of processes used meanwhile."""
        self._swarm.window = self
        self._running = True
        try:
            for lane in range(self._in_flight):
                self._send(lane)
            await self._pass(warm_up)
            self._forget()
            kernel = machine.kernel_seconds(processes["server"])
            before, own, started = _used(processes), time.process_time(), time.perf_counter()
            await self._pass(seconds)
            passed = time.perf_counter() - started
            after, own = _used(processes), time.process_time() - own
            used = {name: after[name] - before[name] for name in processes}
            kernel = machine.kernel_seconds(processes["server"]) - kernel
            measured = self._summary(passed, own, used) | {"kernel": kernel / max(used["server"], 0.01)}
        finally:
            self._running = False
        await self._drain()
        self._swarm.window = None
        return measured

    # Called for every frame

    def delivered(self, number: int) -> None:
        flight = self._flights.get(number)
        if flight is None:
            return
        self.latencies.append(_now() - flight.sent_at)
        flight.left -= 1
        if not flight.left:
            self._arrived(number, flight)

    def acknowledged(self, number: int, well: bool) -> None:
        flight = self._flights.get(number)
        if flight is None:
            return
        self.answers.append(_now() - flight.sent_at)
        flight.left -= 1
        if not well:
            self.refused += 1
            flight.left = 0
        if not flight.left:
            self._arrived(number, flight)

    def _arrived(self, number: int, flight: _Flight) -> None:
        del self._flights[number]
        self.messages += 1
        if self._running:
            self._send(flight.lane)

    def _send(self, lane: int) -> None:
        number = next(numbers)
        sender, hearers = self._choose(lane)
        flight = self._flights[number] = _Flight(lane, hearers + self._swarm.dialect.acknowledges)
        body = self._swarm.dialect.message(self._name, sender.room, marked(number))
        flight.sent_at = _now()
        sender.send(body)
        self.sent += 1

    async def _pass(self, seconds: float) -> None:
        ends = time.perf_counter() + seconds
        while (left := ends - time.perf_counter()) > 0:
            await asyncio.sleep(min(left, 0.5))
            self._give_up_late_ones()

    def _give_up_late_ones(self) -> None:
        """Count a message as lost that somebody has not got for long, and send another in its place."""
        limit = _now() - int(_LOST_SECONDS * 1e9)
        for number, flight in [(number, flight) for number, flight in self._flights.items() if flight.sent_at < limit]:
            del self._flights[number]
            self.lost += 1
            self._send(flight.lane)

    async def _drain(self) -> None:
        """Let what is under way arrive, so that the next window starts with nothing."""
        ends = time.perf_counter() + _LOST_SECONDS
        while self._flights and time.perf_counter() < ends:
            await asyncio.sleep(0.01)
        self.lost += len(self._flights)
        self._flights.clear()

    def _summary(self, seconds: float, own: float, used: dict[str, float]) -> dict[str, Any]:
        return {
            "seconds": seconds,
            "messages": self.messages,
            "sent": self.sent,
            "deliveries": len(self.latencies),
            "cpu": used,
            "busy": own / seconds,
            "latency": percentiles(self.latencies),
            "answers": percentiles(self.answers),
            "lost": self.lost,
            "refused": self.refused,
            "disconnected": self._swarm.disconnected,
        }


def percentiles(nanoseconds: array[int]) -> dict[str, float]:
    """Return p50, p99, p99.9 and the largest, in milliseconds."""
    if not nanoseconds:
        return {}
    ordered = sorted(nanoseconds)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: ordered[min(last, int(len(ordered) * share))] / 1e6 for name, share in shares.items()}


def _used(processes: dict[str, list[int]]) -> dict[str, float]:
    return {name: machine.cpu_seconds(pids) for name, pids in processes.items()}
