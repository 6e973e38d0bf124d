"""What a question answers: rows of samples, ratios beside the ones to be reached, and what to plot. Kept as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Samples(msgspec.Struct, frozen=True):
    """One value per repetition."""

    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def __str__(self) -> str:
        """The median, and the spread where there was more than one repetition."""
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)} to {number(self.high)})"


class Verdict(msgspec.Struct, frozen=True):
    """A ratio, or a number, beside the one to be reached. `value` is None where a peer could not be measured."""

    what: str
    value: float | None
    limit: float
    at_most: bool = True
    unit: str = " x"
    stretch: bool = False

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


class Bars(msgspec.Struct, frozen=True, tag="bars"):
    """A bar per name; several groups beside each other. Logarithmic: the programs differ by orders of magnitude."""

    unit: str
    groups: dict[str, dict[str, Samples]]


class Lines(msgspec.Struct, frozen=True, tag="lines"):
    """A line per name: (x, samples)."""

    x: str
    unit: str
    lines: dict[str, list[tuple[float, Samples]]]


class Answer(msgspec.Struct, frozen=True):
    """A question's outcome. `columns` head the table; a row is a name and its cells."""

    key: str
    title: str
    asked: str
    columns: list[str]
    rows: list[tuple[str, list[Samples | str]]]
    verdicts: list[Verdict]
    plot: Bars | Lines | None = None
    notes: list[str] = []
    taken: str = ""
    repetitions: int = 1


Measured = dict[str, Any]


def samples(found: Iterable[Mapping[str, Any]], *path: str) -> Samples:
    """Gather the value at `path` of every repetition."""
    return Samples([_at(one, path) for one in found])


def per_delivery(found: Iterable[Measured]) -> Samples:
    """Gather the server's microseconds per delivery."""
    return Samples([one["cpu"]["server"] / max(1, one["deliveries"]) * 1e6 for one in found])


def rate(found: Iterable[Measured], what: str) -> Samples:
    return Samples([one[what] / one["seconds"] for one in found])


def ratio(ours: Samples | None, theirs: Samples | None) -> float | None:
    """Divide the medians."""
    return ours.median / theirs.median if ours and theirs and theirs.median else None


def number(value: float) -> str:
    """Write three digits that say something, thousands in groups."""
    if value and abs(value) < 10:
        return f"{value:.2f}"
    if abs(value) < 100:
        return f"{value:.1f}"
    return f"{value:,.0f}"


def _at(value: Any, path: Iterable[str]) -> float:
    for name in path:
        value = value.get(name, 0.0)
    return float(value)
