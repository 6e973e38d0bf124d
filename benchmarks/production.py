"""The measured part of docs/howto/deploy.md: what each way to serve costs, from the answers."""

from __future__ import annotations

from pathlib import Path

from benchmarks import measured
from benchmarks import subjects as known
from benchmarks.report import Report
from benchmarks.results import number

_WAYS = {
    "uvicorn, `--ws realtime.servers.uvicorn:Protocol`": known.LANE.name,
    "uvicorn as it comes": known.PORTABLE.name,
    "daphne": known.DAPHNE.name,
    "the Channels tutorial's chat on daphne, for comparison": known.TUTORIAL.name,
}
_WHAT = {
    "CPU of a delivery, one message at a time": ("fanout-durable", 1, "1", " µs"),
    "32 at a time": ("fanout-durable", 1, "32", " µs"),
    "people let in a second": ("connect", 0, "", ""),
    "memory of a connection": ("memory", 0, "", " KB"),
}


def write(report: Report, page: Path) -> None:
    """Replace the measured part, where the questions that it rests on have been answered."""
    if {key for key, *_ in _WHAT.values()} <= report.answers.keys():
        measured.fill(page, _table(report), quick=report.quick)


def _table(report: Report) -> str:
    lines = [f"| | {' | '.join(_WHAT)} |", f"|---|{'---|' * len(_WHAT)}"]
    for way, name in _WAYS.items():
        cells = [_cell(report, name, *where) for where in _WHAT.values()]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(report: Report, name: str, key: str, column: int, first: str, unit: str) -> str:
    value = measured.median(report, key, name, column, first)
    return "" if value is None else f"{number(value)}{unit}"
