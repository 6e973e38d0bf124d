"""The declared counters of this process, in the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterator

_VALUES = 100
_all: list[Counter] = []


class Counter:
    """A number that only grows, or, as a gauge, also shrinks; one for each value of `label` where there is one."""

    def __init__(self, name: str, says: str, label: str = "", kind: str = "counter") -> None:
        self.name = name
        self.says = says
        self.label = label
        self.kind = kind
        self.values: dict[str, int] = {} if label else {"": 0}
        _all.append(self)

    def add(self, amount: int = 1, value: str = "") -> None:
        if value not in self.values and len(self.values) >= _VALUES:
            value = "other"
        self.values[value] = self.values.get(value, 0) + amount

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.says}"
        yield f"# TYPE {self.name} {self.kind}"
        for value, count in sorted(self.values.items()):
            yield f'{self.name}{{{self.label}="{_escaped(value)}"}} {count}' if self.label else f"{self.name} {count}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


connections = Counter("realtime_connections", "Connections that are open.", kind="gauge")
subscriptions = Counter("realtime_subscriptions", "Subscriptions that are open.", kind="gauge")
appended = Counter("realtime_events_appended_total", "Events committed by this process.")
deliveries = Counter("realtime_deliveries_total", "Frames handed to connections by fan-out.")
refusals = Counter("realtime_refusals_total", "Refusals, by code.", label="code")
turned_away = Counter("realtime_connections_refused_total", "Connections that were refused, by cause.", label="cause")
drops = Counter("realtime_drops_total", "What was let go of on purpose, by cause.", label="cause")
filled = Counter("realtime_events_filled_total", "Events read from the log because the bus had not brought them.")


def render() -> str:
    return "\n".join(line for counter in _all for line in counter.lines()) + "\n"
