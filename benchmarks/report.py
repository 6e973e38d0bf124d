"""docs/benchmarks.md and its plots, made of the answers alone. Written by `make bench`, never by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks import plots
from benchmarks.results import Answer, Samples, Verdict, number

_HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. `make bench ARGS="--only append"` measures one question again and keeps the others,
`ARGS="--quick"` shows in a minute that everything still works. What the numbers mean for a deployment stands in
[scaling.md](scaling.md).

**How it is measured.** The server side, its database and Redis too, has one core; the load generator, one process, has
another, and says how busy it was. Where it was busier than the server, messages a second and latencies are its own, and only
CPU compares. Our programs are the complete product: a session in the database looked up, a room joined, presence on, limits
looked at, though set too high to refuse the load, a message committed before it is sent (SQLite with a write-ahead log and
`synchronous=NORMAL`, as in the demo), with a key that makes sending again harmless, and an envelope with seq, time and
author. The load offers nobody compression. Every peer's program is written the way its own documentation has it; they are in
`benchmarks/peers/`. W is the number of messages in flight: a message that has reached everybody makes room for the next. CPU
is that of the server's processes, user and system, from `/proc`. Latency runs from the send to each delivery, through the
same load generator; what has not arrived at the end of a window of 2 seconds and a warm-up of 0.7 is in none, so where it
nears 2.7 seconds a program was slower than its number says. Of the tutorial's growth, 2,000 clients had one or two deliveries
within the window, and 5,000 none, so that is not asked. Action Cable runs with its `async` adapter. Programs take turns,
repetition by repetition; a number is the median, with the lowest and the highest in brackets, and of two repetitions their
mean. A verdict within those brackets may be another on another day. The questions were asked at the times that they say, the
last of them at the commit below.
"""
_QUICK = """
> **These numbers were taken with `--quick`**: few clients, tiny windows, one repetition. They show that the benchmarks work and
> nothing else.
"""


class Report(msgspec.Struct):
    """What is kept between runs, so that one question can be asked again. The newest answer to each counts."""

    machine: dict[str, str] = {}
    quick: bool = False
    load_average: float = 0.0
    answers: dict[str, Answer] = {}
    commands: dict[str, str] = {}
    absent: dict[str, str] = {}

    @classmethod
    def read(cls, path: Path) -> Report:
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def publish(report: Report, page: Path, images: Path) -> None:
    """Write the page, and an image per answer."""
    images.mkdir(parents=True, exist_ok=True)
    for answer in report.answers.values():
        if answer.plot is not None:
            (images / f"{answer.key}.svg").write_text(plots.draw(answer.plot, answer.title))
    page.write_text(_page(report, f"{images.relative_to(page.parent)}"))


def _page(report: Report, images: str) -> str:
    answers = list(report.answers.values())
    parts = [_HEAD, _QUICK if report.quick else "", _machine(report), _ratios(answers)]
    parts += [_answer(answer, images) for answer in answers]
    parts += [_commands(report.commands), _absent(report.absent)]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _machine(report: Report) -> str:
    lines = [f"| {name} | {value} |" for name, value in report.machine.items()]
    busy = f"| load average at the start | {report.load_average:.2f} |"
    return "\n".join(["## The machine", "", "| | |", "|---|---|", *lines, busy])


def _ratios(answers: list[Answer]) -> str:
    rows = [_verdict(verdict) for answer in answers for verdict in answer.verdicts]
    head = [
        "## What was to be reached",
        "",
        "Every ratio is of medians. A stretch is what would be better than asked for.",
        "",
    ]
    return "\n".join([*head, "| what | measured | to reach | |", "|---|---|---|---|", *rows])


def _verdict(verdict: Verdict) -> str:
    word = {True: "reached", False: "**not reached**", None: "not measured"}[verdict.reached]
    measured = "" if verdict.value is None else _exactly(verdict.value) + verdict.unit
    bound = f"{'at most' if verdict.at_most else 'at least'} {_exactly(verdict.limit)}{verdict.unit}"
    return f"| {verdict.what} | {measured} | {bound}{' (stretch)' if verdict.stretch else ''} | {word} |"


def _exactly(value: float) -> str:
    """Ratios far below one need their digits."""
    return f"{value:.3g}" if 0 < value < 1 else number(value).removesuffix(".00")


def _answer(answer: Answer, images: str) -> str:
    columns = ["", *answer.columns]
    rows = [f"| {name} | {' | '.join(_cell(cell) for cell in cells)} |" for name, cells in answer.rows]
    times = "once" if answer.repetitions == 1 else f"{answer.repetitions} times"
    parts = [f"## {answer.title}", "", f"{answer.asked} Taken {answer.taken}, {times}.", ""]
    if answer.plot is not None:
        parts += [f"![{answer.title}]({images}/{answer.key}.svg)", ""]
    parts += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows]
    return "\n".join([*parts, *(f"\n{note}" for note in answer.notes)])


def _cell(cell: Samples | str) -> str:
    return str(cell)


def _commands(commands: dict[str, str]) -> str:
    lines = [f"# {name}\n{command}" for name, command in commands.items()]
    return "\n".join(["## The commands", "", "```sh", *lines, "```"])


def _absent(absent: dict[str, str]) -> str:
    if not absent:
        return ""
    lines = [f"- {name}: {why}" for name, why in absent.items()]
    return "\n".join(["## Not measured", "", *lines])
