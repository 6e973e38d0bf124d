"""One room, many clients, every message to all of them: what does a delivery cost?"""

from __future__ import annotations

import statistics

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, per_delivery, rate, ratio, samples
from benchmarks.subjects import Subject

CLIENTS = 500
IN_FLIGHT = (1, 4, 32)
OURS = (known.LANE, known.PORTABLE, known.DAPHNE)
PEERS = (
    known.TUTORIAL,
    known.TUTORIAL_UVICORN,
    known.TUTORIAL_REDIS,
    known.TUTORIAL_UVICORN_REDIS,
    known.TUTORIAL_PUBSUB,
    known.ACTION_CABLE,
    known.PYTHON_SOCKETIO,
    known.SOCKETIO,
    known.WS,
    known.WEBSOCKETS,
)
# One of each thing that can break: enough to see that all of it still works.
QUICK = (known.LANE, known.DAPHNE, known.TUTORIAL_REDIS, *PEERS[5:])

Found = dict[tuple[str, int], list[Measured]]


def ask(bench: Bench) -> list[Answer]:
    wanted = bench.present(*(QUICK if bench.sizes.quick else OURS + PEERS))
    measured = bench.in_turn(wanted, lambda subject: _measure(bench, subject))
    durable: Found = {}
    ephemeral: Found = {}
    for name, repetitions in measured.items():
        for in_flight in IN_FLIGHT:
            durable[name, in_flight] = [one["message", in_flight] for one in repetitions]
            if ("note", in_flight) in repetitions[0]:
                ephemeral[name, in_flight] = [one["note", in_flight] for one in repetitions]
    return [_durable(bench, durable), _ephemeral(bench, durable, ephemeral)]


def _measure(bench: Bench, subject: Subject) -> dict[tuple[str, int], Measured]:
    clients = bench.sizes.clients(CLIENTS)
    found: dict[tuple[str, int], Measured] = {}
    with bench.run(subject, people=clients) as running:
        running.join(clients)
        for in_flight in IN_FLIGHT:
            found["message", in_flight] = running.measure("message", in_flight, bench.sizes)
        if subject.ours:
            bench.load.order("close")
            running.begin()
            running.join(clients, ["board"])
            for in_flight in IN_FLIGHT:
                found["note", in_flight] = running.measure("note", in_flight, bench.sizes)
    return found


def _durable(bench: Bench, found: Found) -> Answer:
    cost = {key: per_delivery(repetitions) for key, repetitions in found.items()}

    def verdict(what: str, ours: Subject, in_flight: int, peer: Subject, limit: float) -> Verdict:
        against = ratio(cost.get((ours.name, in_flight)), cost.get((peer.name, in_flight)))
        return Verdict(f"{what}, W={in_flight}: CPU per delivery, of {peer.name}'s", against, limit)

    lane = "durable chat message, uvicorn lane"
    return Answer(
        key="fanout-durable",
        title="Fan-out of a durable message",
        asked=f"{bench.sizes.clients(CLIENTS)} clients in one room, text of 100 bytes. Ours commits every message to SQLite "
        "before it is sent, with seq, time, author and key; the peers only pass it on. In the kernel is the share of that CPU "
        "which is the system's: nearly all of it in `send(2)`, once for each client where one message at a time is under way.",
        columns=_COLUMNS,
        rows=_rows(found),
        verdicts=[
            verdict(lane, known.LANE, 1, known.WS, 0.9),
            verdict(lane, known.LANE, 1, known.SOCKETIO, 0.75),
            verdict(lane, known.LANE, 1, known.TUTORIAL, 1 / 25),
            verdict(lane, known.LANE, 32, known.WS, 0.25),
            verdict(lane, known.LANE, 32, known.SOCKETIO, 0.25),
            verdict("durable chat message, daphne", known.DAPHNE, 4, known.TUTORIAL, 1 / 12),
        ],
        plot=_plot(cost),
    )


def _ephemeral(bench: Bench, durable: Found, found: Found) -> Answer:
    peers = {key: repetitions for key, repetitions in durable.items() if key[0] in {known.WS.name, known.SOCKETIO.name}}
    both = {**found, **peers}
    cost = {key: per_delivery(repetitions) for key, repetitions in both.items()}
    verdicts = [
        Verdict(
            f"ephemeral event, uvicorn lane, W={in_flight}: CPU per delivery, of {known.WS.name}'s",
            ratio(cost.get((known.LANE.name, in_flight)), cost.get((known.WS.name, in_flight))),
            limit,
        )
        for in_flight, limit in ((1, 0.7), (32, 0.15))
    ]
    return Answer(
        key="fanout-ephemeral",
        title="Fan-out of an ephemeral event",
        asked=f"The same, {bench.sizes.clients(CLIENTS)} clients in one room, with a command that is broadcast and not kept.",
        columns=_COLUMNS,
        rows=_rows(both),
        verdicts=verdicts,
        plot=_plot(cost),
    )


_COLUMNS = [
    "W", "server CPU, µs per delivery", "in the kernel", "deliveries a second", "p50, ms", "p99, ms", "p99.9, ms",
    "load generator busy", "lost",
]  # fmt: skip


def _rows(found: Found) -> list[tuple[str, list[Samples | str]]]:
    return [
        (
            name,
            [
                str(in_flight),
                per_delivery(repetitions),
                f"{100 * statistics.median(one['kernel'] for one in repetitions):.0f} %",
                rate(repetitions, "deliveries"),
                *(samples(repetitions, "latency", share) for share in ("p50", "p99", "p99.9")),
                f"{100 * max(one['busy'] for one in repetitions):.0f} %",
                str(sum(one["lost"] + one["refused"] + one["disconnected"] for one in repetitions)),
            ],
        )
        for (name, in_flight), repetitions in found.items()
    ]


def _plot(cost: dict[tuple[str, int], Samples]) -> Bars:
    return Bars(
        "server CPU per delivery, µs",
        {
            f"W={in_flight}": {name: value for (name, flight), value in cost.items() if flight == in_flight}
            for in_flight in IN_FLIGHT
        },
    )
