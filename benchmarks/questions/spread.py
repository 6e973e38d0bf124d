"""Many rooms with a few people each: does it matter where the messages are?"""

from __future__ import annotations

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, rate, ratio, samples

ROOMS = 1000
MEMBERS = 5
IN_FLIGHT = (1, 32)
SPREAD = "over all rooms in turn"
TOGETHER = "in one room, the others idle"

Found = dict[tuple[str, int], Measured]


def ask(bench: Bench) -> list[Answer]:
    repetitions = bench.in_turn([known.LANE], lambda _: _measure(bench))[known.LANE.name]
    return [_answer(bench, {key: [one[key] for one in repetitions] for key in repetitions[0]})]


def _measure(bench: Bench) -> Found:
    rooms = [f"r{number}" for number in range(bench.sizes.clients(ROOMS))]
    clients = len(rooms) * MEMBERS
    found: Found = {}
    with bench.run(known.LANE, people=clients, rooms=len(rooms)) as running:
        running.join(clients, rooms)
        for in_flight in IN_FLIGHT:
            found[SPREAD, in_flight] = running.measure("message", in_flight, bench.sizes)
            found[TOGETHER, in_flight] = running.measure("message", in_flight, bench.sizes, rooms=rooms[:1])
    return found


def _answer(bench: Bench, found: dict[tuple[str, int], list[Measured]]) -> Answer:
    cost = {
        key: Samples([one["cpu"]["server"] / max(1, one["messages"]) * 1e6 for one in repetitions])
        for key, repetitions in found.items()
    }
    rows: list[tuple[str, list[Samples | str]]] = [
        (
            where,
            [
                str(in_flight),
                cost[where, in_flight],
                rate(repetitions, "messages"),
                samples(repetitions, "answers", "p50"),
                samples(repetitions, "answers", "p99"),
            ],
        )
        for (where, in_flight), repetitions in found.items()
    ]
    return Answer(
        key="spread",
        title="A thousand rooms",
        asked=f"{bench.sizes.clients(ROOMS):,} rooms of {MEMBERS}; durable messages spread over all of them, "
        "and the same messages in one of them.",
        columns=["W", "server CPU, µs per message", "messages a second", "answer p50, ms", "answer p99, ms"],
        rows=rows,
        verdicts=[
            Verdict(
                f"messages over {bench.sizes.clients(ROOMS):,} rooms, W={in_flight}: CPU per message, of the same in one room",
                ratio(cost[SPREAD, in_flight], cost[TOGETHER, in_flight]),
                1.5,
            )
            for in_flight in IN_FLIGHT
        ],
        plot=Bars(
            "server CPU per message, µs",
            {
                f"W={in_flight}": {where: cost[where, in_flight] for where in (SPREAD, TOGETHER)}
                for in_flight in IN_FLIGHT
            },
        ),
    )
