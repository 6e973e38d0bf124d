"""The measured part of docs/scaling.md: what things cost, and what deployments made of them would need.

The prose of that page is written by hand; the part between its two marks is written here, from the answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measured
from benchmarks import subjects as known
from benchmarks.questions import growth, processes, spread
from benchmarks.report import Report
from benchmarks.results import number

ROOM = 50
MESSAGES_A_MINUTE = 1.0
BUSY = 0.5
CONNECTIONS_A_PROCESS = 10_000
REDIS_OUT_A_SECOND = 200_000


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds, kilobytes and rates of the uvicorn lane, medians."""

    delivery: float
    message: float
    hearing: float
    redis_publish: float
    connection_kb: float
    process_mb: float
    joins_a_second: float
    postgres_messages_a_second: float


def write(report: Report, page: Path) -> None:
    """Replace the measured part, where every question that it rests on has been answered."""
    costs = _costs(report)
    if costs is not None:
        measured.fill(page, f"{_table(costs)}\n\n{_deployments(costs)}", quick=report.quick)


def _costs(report: Report) -> Costs | None:
    lane = known.LANE.name
    found = [
        measured.median(report, "growth", lane, 1, first=str(_largest(report))),
        measured.median(report, "spread", spread.SPREAD, 1, first="1"),
        _hearing(report),
        measured.median(report, "processes", processes.NAMES[2], 2, first="1"),
        measured.median(report, "memory", lane, 0),
        measured.median(report, "memory", lane, 1),
        measured.median(report, "connect", lane, 0),
        measured.median(report, "append", known.LANE.on_postgres().name, 0),
    ]
    values = [value for value in found if value is not None]
    return Costs(*values) if len(values) == len(found) else None


def _hearing(report: Report) -> float | None:
    """Return what one more process that has somebody in a room adds to a message."""
    one, two = (measured.median(report, "processes", name, 1, first="1") for name in processes.NAMES.values())
    return None if one is None or two is None else max(0.0, two - one) * processes.CLIENTS


def _largest(report: Report) -> int:
    answer = report.answers.get("growth")
    sizes = [int(str(cells[0])) for name, cells in answer.rows if name == known.LANE.name] if answer else []
    return max(sizes, default=growth.CLIENTS[-1])


def _table(costs: Costs) -> str:
    rows = [
        ("a delivery, in a large room", f"{number(costs.delivery)} µs of CPU"),
        (f"a durable message, with its {spread.MEMBERS} deliveries, SQLite", f"{number(costs.message)} µs of CPU"),
        ("the same message in one more process", f"{number(costs.hearing)} µs of CPU"),
        ("a durable message over Redis", f"{number(costs.redis_publish)} µs of Redis's CPU"),
        ("an idle, joined connection", f"{number(costs.connection_kb)} KB"),
        ("a process before its first connection", f"{number(costs.process_mb)} MB"),
        ("joining, one process", f"{number(costs.joins_a_second)} a second"),
        (
            "durable messages, one process and PostgreSQL on one core",
            f"{number(costs.postgres_messages_a_second)} a second",
        ),
    ]
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {what} | {cost} |" for what, cost in rows)])


def _deployments(costs: Costs) -> str:
    sizes = [_Deployment(connections, costs) for connections in (100_000, 10_000_000)]
    rows = [
        ("connections", [f"{size.connections:,}" for size in sizes]),
        ("durable messages a second", [f"{size.messages:,.0f}" for size in sizes]),
        ("deliveries a second", [f"{size.deliveries:,.0f}" for size in sizes]),
        ("server processes, for CPU, rooms spread over processes", [f"{size.for_cpu:,}" for size in sizes]),
        ("the same with each room kept to one process", [f"{size.for_cpu_sticky:,}" for size in sizes]),
        (
            f"server processes, at {CONNECTIONS_A_PROCESS:,} connections each",
            [f"{size.for_connections:,}" for size in sizes],
        ),
        ("memory of all processes, the rooms' newest events aside", [f"{size.memory_gb:,.0f} GB" for size in sizes]),
        ("PUBLISH a second, at most", [f"{size.messages:,.0f}" for size in sizes]),
        ("rings a second that Redis delivers, rooms spread over processes", [f"{size.rings:,.0f}" for size in sizes]),
        (
            f"Redis shards, if one delivers {REDIS_OUT_A_SECOND:,} of those a second (assumed)",
            [f"{size.shards:,}" for size in sizes],
        ),
        (
            "the same with each room kept to one process, at the measured cost of a PUBLISH",
            [f"{size.shards_sticky:,}" for size in sizes],
        ),
        ("PostgreSQL primaries, at the measured rate", [f"{size.primaries:,}" for size in sizes]),
        (
            "seconds for everyone to come back, all processes at once, by what a process can take",
            [f"{size.return_seconds:,.0f}" for size in sizes],
        ),
    ]
    lines = [f"| {what} | {' | '.join(values)} |" for what, values in rows]
    return "\n".join(["| deployment | a hundred thousand | ten million |", "|---|---|---|", *lines])


class _Deployment:
    """So many connections, one room of `ROOM` people each, everybody writing `MESSAGES_A_MINUTE`, cores `BUSY` at most."""

    def __init__(self, connections: int, costs: Costs) -> None:
        self.connections = connections
        self.messages = connections * MESSAGES_A_MINUTE / 60
        self.deliveries = self.messages * ROOM
        further = max(0, ROOM - spread.MEMBERS)
        said = self.messages * (costs.message + further * costs.delivery)
        self.for_cpu_sticky = _cores(said)
        self.for_connections = math.ceil(connections / CONNECTIONS_A_PROCESS)
        hearers = min(ROOM, max(self.for_cpu_sticky, self.for_connections))
        self.for_cpu = _cores(said + self.messages * (hearers - 1) * costs.hearing)
        self.processes = max(self.for_cpu, self.for_connections)
        self.memory_gb = (connections * costs.connection_kb / 1024 + self.processes * costs.process_mb) / 1024
        self.rings = self.messages * min(ROOM, self.processes)
        self.shards_sticky = _cores(self.messages * costs.redis_publish)
        self.shards = max(self.shards_sticky, math.ceil(self.rings / REDIS_OUT_A_SECOND))
        self.primaries = math.ceil(self.messages / max(1.0, costs.postgres_messages_a_second))
        self.return_seconds = connections / self.processes / max(1.0, costs.joins_a_second)


def _cores(microseconds_a_second: float) -> int:
    return math.ceil(microseconds_a_second / 1e6 / BUSY)
