"""A module per question. Each has `ask(bench)`, which measures and returns its answers."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.questions import append, connect, fanout, floods, growth, pageview, processes, resume, spread
from benchmarks.results import Answer

ALL: dict[str, Callable[[Bench], list[Answer]]] = {
    "fanout": fanout.ask,
    "growth": growth.ask,
    "spread": spread.ask,
    "append": append.ask,
    "connect": connect.ask,
    "resume": resume.ask,
    "processes": processes.ask,
    "floods": floods.ask,
    "pageview": pageview.ask,
}
