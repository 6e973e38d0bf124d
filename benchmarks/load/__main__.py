"""`python -m benchmarks.load`: reads what to do, a JSON object a line, and answers in kind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import machine
from benchmarks.load import dialects
from benchmarks.load.swarm import Client, Swarm
from benchmarks.load.talk import Talk
from benchmarks.load.window import Choose, Window


class Load:
    """The orders, each a method: its arguments are the object's fields, what it returns is the answer."""

    def __init__(self) -> None:
        self._swarm: Swarm | None = None

    async def begin(self, dialect: str, urls: list[str]) -> dict[str, Any]:
        self._swarm = Swarm(dialects.BY_NAME[dialect](), urls)
        return {}

    async def open(
        self,
        rooms: list[str],
        count: int,
        at_once: int,
        processes: dict[str, list[int]],
        cookies: str = "",
        first: int = 0,
        since: int | None = None,
    ) -> dict[str, Any]:
        """Open `count` clients, the cookies of the file from `first` on, spread over the rooms in turn."""
        assert self._swarm is not None
        known: list[str | None] = json.loads(Path(cookies).read_text()) if cookies else [None] * (first + count)
        used, own = _used(processes), time.process_time()
        places = list(itertools.islice(itertools.cycle(rooms), count))
        seconds = await self._swarm.open(known[first : first + count], places, at_once, since)
        clients = self._swarm.clients()
        return {
            "seconds": seconds,
            "cpu": {name: seconds - used[name] for name, seconds in _used(processes).items()},
            "busy": (time.process_time() - own) / seconds,
            "open": len(clients),
            "caught_up": [client.caught_up for client in clients],
            "failures": self._swarm.failures,
        }

    async def measure(
        self,
        name: str,
        in_flight: int,
        warm_up: float,
        seconds: float,
        processes: dict[str, list[int]],
        rooms: list[str] | None = None,
        pinned: bool = False,
    ) -> dict[str, Any]:
        """Send in these rooms, or in all: each message in the next one, by its next member; `pinned`, a sender to a room."""
        assert self._swarm is not None
        members = [self._swarm.rooms[room] for room in rooms or list(self._swarm.rooms)]
        choose = _pinned(members) if pinned else _rotating(members)
        return await Window(self._swarm, name, in_flight, choose).measure(warm_up, seconds, processes)

    async def talk(self, per_second: float, seconds: float, patience: float) -> dict[str, Any]:
        """Say so much in all rooms in turn, each message by the next member, whatever becomes of the one before."""
        assert self._swarm is not None
        talk = Talk(self._swarm, "message", _rotating(list(self._swarm.rooms.values())))
        return await talk.measure(per_second, seconds, patience)

    async def close(self) -> dict[str, Any]:
        if self._swarm is not None:
            self._swarm.close()
            self._swarm = None
            await asyncio.sleep(0.1)
            gc.collect()
        return {}


def _pinned(members: list[list[Client]]) -> Choose:
    return lambda lane: (members[lane][0], len(members[lane]))


def _rotating(members: list[list[Client]]) -> Choose:
    rooms = itertools.cycle([(room, itertools.count()) for room in members])

    def choose(lane: int) -> tuple[Client, int]:
        room, turn = next(rooms)
        return room[next(turn) % len(room)], len(room)

    return choose


def _used(processes: dict[str, list[int]]) -> dict[str, float]:
    return {name: machine.cpu_seconds(pids) for name, pids in processes.items()}


async def main() -> None:
    gc.disable()
    load = Load()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        try:
            answer = await getattr(load, order.pop("do"))(**order)
        except Exception:
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
