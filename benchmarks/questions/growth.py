"""The same room with more and more people in it: does a delivery stay as cheap?"""

from __future__ import annotations

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Lines, Measured, Samples, Verdict, per_delivery, rate, ratio, samples
from benchmarks.subjects import Subject

IN_FLIGHT = 4
CLIENTS = (100, 500, 1000, 2000, 5000)
# Beyond this a message takes the tutorial seconds, and a window would hold only one or two.
MOST = {known.TUTORIAL.name: 2000}
SUBJECTS = (known.LANE, known.TUTORIAL, known.WS, known.SOCKETIO)


def ask(bench: Bench) -> list[Answer]:
    found = bench.in_turn(
        bench.present(*SUBJECTS[: 1 if bench.sizes.quick else 4]), lambda subject: _measure(bench, subject)
    )
    return [_answer(bench, found)]


def _sizes(bench: Bench, subject: Subject) -> list[int]:
    most = MOST.get(subject.name, CLIENTS[-1])
    sizes = {bench.sizes.clients(count): None for count in CLIENTS if count <= most}
    return list(sizes)[:2] if bench.sizes.quick else list(sizes)


def _measure(bench: Bench, subject: Subject) -> dict[int, Measured]:
    sizes = _sizes(bench, subject)
    found: dict[int, Measured] = {}
    joined = 0
    with bench.run(subject, people=sizes[-1]) as running:
        for size in sizes:
            running.join(size - joined, first=joined)
            joined = size
            found[size] = running.measure("message", IN_FLIGHT, bench.sizes)
    return found


def _answer(bench: Bench, found: dict[str, list[dict[int, Measured]]]) -> Answer:
    by_size = {
        name: {size: [one[size] for one in repetitions] for size in repetitions[0]}
        for name, repetitions in found.items()
    }
    lines = {
        name: [(float(size), per_delivery(repetitions)) for size, repetitions in sizes.items()]
        for name, sizes in by_size.items()
    }
    rows: list[tuple[str, list[Samples | str]]] = [
        (
            name,
            [
                str(size),
                per_delivery(repetitions),
                rate(repetitions, "deliveries"),
                samples(repetitions, "latency", "p50"),
                samples(repetitions, "latency", "p99"),
                f"{100 * max(one['busy'] for one in repetitions):.0f} %",
            ],
        )
        for name, sizes in by_size.items()
        for size, repetitions in sizes.items()
    ]
    return Answer(
        key="growth",
        title="Growth of a room",
        asked=f"Durable messages, W={IN_FLIGHT}, in a room of more and more clients.",
        columns=[
            "clients",
            "server CPU, µs per delivery",
            "deliveries a second",
            "p50, ms",
            "p99, ms",
            "load generator busy",
        ],
        rows=rows,
        verdicts=[
            Verdict(
                "durable chat message, uvicorn lane: the dearest size up to 5,000, of the cost at 100 clients",
                _worst(lines[known.LANE.name]),
                1.5,
            )
        ],
        plot=Lines("clients in the room", "server CPU per delivery, µs", lines),
    )


def _worst(line: list[tuple[float, Samples]]) -> float | None:
    return ratio(max((cost for _, cost in line[1:]), key=lambda cost: cost.median), line[0][1])
