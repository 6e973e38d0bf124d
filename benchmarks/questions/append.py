"""Many who write at once: how many messages are stored and acknowledged in a second?"""

from __future__ import annotations

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, rate, ratio, samples
from benchmarks.subjects import Subject

ROOMS = 64
MEMBERS = 5
OURS = (known.LANE, known.DAPHNE)
PEERS = (known.SAVING_UVICORN, known.SAVING)

Found = dict[str, list[Measured]]


def ask(bench: Bench) -> list[Answer]:
    embedded = [*OURS, *PEERS][:: 2 if bench.sizes.quick else 1]
    stored = embedded[:1] if bench.sizes.quick else embedded
    wanted = bench.present(*embedded, *(subject.on_postgres() for subject in stored))
    return [_answer(bench, bench.in_turn(wanted, lambda subject: _measure(bench, subject)))]


def _measure(bench: Bench, subject: Subject) -> Measured:
    rooms = [f"r{number}" for number in range(bench.sizes.clients(ROOMS))]
    clients = len(rooms) * MEMBERS
    with bench.run(subject, people=clients, rooms=len(rooms)) as running:
        running.join(clients, rooms)
        return running.measure("message", len(rooms), bench.sizes, pinned=True)


def _answer(bench: Bench, found: Found) -> Answer:
    stored = {name: rate(repetitions, "messages") for name, repetitions in found.items()}
    slowest = {name: _answered(name, repetitions, "p99") for name, repetitions in found.items()}
    rows: list[tuple[str, list[Samples | str]]] = [
        (
            name,
            [
                stored[name],
                _answered(name, repetitions, "p50"),
                slowest[name],
                Samples([one["cpu"]["server"] / max(1, one["messages"]) * 1e6 for one in repetitions]),
                Samples([one["cpu"].get("PostgreSQL", 0.0) / max(1, one["messages"]) * 1e6 for one in repetitions]),
            ],
        )
        for name, repetitions in found.items()
    ]
    return Answer(
        key="append",
        title="Durable, acknowledged messages",
        asked=f"{bench.sizes.clients(ROOMS)} senders in as many rooms of {MEMBERS}, each with one message under way. It is done "
        "when everyone in the room and the sender have heard of it. The peer is the tutorial's consumer with `acreate`. "
        "The time is that of the acknowledgement; the peer has none, so there it is that of the copies.",
        columns=[
            "messages a second",
            "p50, ms",
            "p99, ms",
            "server CPU, µs per message",
            "PostgreSQL CPU, µs per message",
        ],
        rows=rows,
        verdicts=[
            verdict
            for ours, peer in zip(OURS, PEERS, strict=True)
            for ours_there, peer_there in ((ours, peer), (ours.on_postgres(), peer.on_postgres()))
            if ours_there.name in found and peer_there.name in found
            for verdict in _verdicts(ours_there.name, peer_there.name, stored, slowest)
        ],
        plot=Bars("durable messages a second", {"": stored}),
    )


def _verdicts(ours: str, peer: str, stored: dict[str, Samples], slowest: dict[str, Samples]) -> list[Verdict]:
    return [
        Verdict(f"{ours}: messages a second, of {peer}'s", ratio(stored[ours], stored[peer]), 8, at_most=False),
        Verdict(f"{ours}: latency p99, of {peer}'s", ratio(slowest[ours], slowest[peer]), 1),
    ]


def _answered(name: str, repetitions: list[Measured], share: str) -> Samples:
    return samples(repetitions, "answers" if repetitions[0]["answers"] else "latency", share)
