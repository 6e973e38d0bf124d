"""Two processes behind Redis: what does the second one add?"""

from __future__ import annotations

import redis

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, per_delivery, rate, ratio, samples

CLIENTS = 500
IN_FLIGHT = (1, 32)
SUBJECT = known.LANE.on_postgres().on_redis()
NAMES = {1: "one process", 2: "two processes"}

Found = dict[tuple[int, int], list[Measured]]


def ask(bench: Bench) -> list[Answer]:
    if not bench.present(SUBJECT):
        return []
    found: Found = {}
    for _ in range(bench.sizes.repetitions):
        for processes in NAMES:
            for in_flight, one in _measure(bench, processes).items():
                found.setdefault((processes, in_flight), []).append(one)
    return [_answer(bench, found)]


def _measure(bench: Bench, processes: int) -> dict[int, Measured]:
    clients = bench.sizes.clients(CLIENTS)
    found: dict[int, Measured] = {}
    with bench.run(SUBJECT, people=clients, processes=processes) as running:
        running.join(clients)
        counter = redis.Redis.from_url(bench.services.redis.url)
        for in_flight in IN_FLIGHT:
            counter.config_resetstat()
            one = found[in_flight] = running.measure("message", in_flight, bench.sizes)
            published = counter.info("commandstats").get("cmdstat_publish", {}).get("calls", 0)
            one["publishes"] = published / max(1, one["sent"])
        counter.close()
    return found


def _answer(bench: Bench, found: Found) -> Answer:
    cost = {key: per_delivery(repetitions) for key, repetitions in found.items()}
    rows: list[tuple[str, list[Samples | str]]] = [
        (
            NAMES[processes],
            [
                str(in_flight),
                cost[processes, in_flight],
                *(_per_message(repetitions, name) for name in ("Redis", "PostgreSQL")),
                samples(repetitions, "publishes"),
                rate(repetitions, "deliveries"),
                samples(repetitions, "latency", "p50"),
                samples(repetitions, "latency", "p99"),
            ],
        )
        for (processes, in_flight), repetitions in found.items()
    ]
    return Answer(
        key="processes",
        title="Two processes behind Redis",
        asked=f"{bench.sizes.clients(CLIENTS)} clients in one room, half of them on each process; durable messages on "
        "PostgreSQL, the Redis pub/sub layer between the processes. Everything of the server side shares one core.",
        columns=[
            "W", "CPU of all server processes, µs per delivery", "Redis CPU, µs per message", "PostgreSQL CPU, µs per message",
            "PUBLISH per message", "deliveries a second", "p50, ms", "p99, ms",
        ],
        rows=rows,
        verdicts=[
            *(
                Verdict(
                    f"two processes, W={in_flight}: CPU per delivery, of one process",
                    ratio(cost[2, in_flight], cost[1, in_flight]),
                    1.2,
                )
                for in_flight in IN_FLIGHT
            ),
            *(
                Verdict(
                    f"two processes, W={in_flight}: PUBLISH per message, whatever the number of clients",
                    samples(found[2, in_flight], "publishes").median,
                    1.05,
                    unit="",
                )
                for in_flight in IN_FLIGHT
            ),
        ],
        plot=Bars(
            "server CPU per delivery, µs",
            {
                f"W={in_flight}": {NAMES[processes]: cost[processes, in_flight] for processes in NAMES}
                for in_flight in IN_FLIGHT
            },
        ),
    )  # fmt: skip


def _per_message(repetitions: list[Measured], name: str) -> Samples:
    return Samples([one["cpu"].get(name, 0.0) / max(1, one["messages"]) * 1e6 for one in repetitions])
