"""One client floods the server in every way: do the others notice?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine
from benchmarks import subjects as known
from benchmarks.bench import Bench, Running
from benchmarks.flood import flooding
from benchmarks.load.dialects import BY_NAME, TEXT_BYTES
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, number, ratio, samples
from benchmarks.subjects import Subject
from tests.support.flooder import KINDS

CLIENTS = 50
PER_SECOND = 40
PATIENCE_SECONDS = 2.0
ROOM = "r0"
CALM = "none"
MESSAGES = "messages"
SOCKETS = "sockets"
FIRST = "the first second of "
LONGER = 3
OURS = tuple(subject.limited() for subject in (known.LANE, known.DAPHNE))
PEERS = (known.TUTORIAL, known.WS)

Found = dict[str, list[Measured]]
"""What the others noticed of each kind of flood."""

WORST: dict[str, Callable[[str], bool]] = {
    "the worst flood from one client": lambda kind: kind != CALM and not kind.startswith(FIRST),
    "its first second, on one connection at a time": lambda kind: kind.startswith(FIRST) and not kind.endswith(SOCKETS),
    "its first second, on all the sockets that a person may have": lambda kind: kind == FIRST + SOCKETS,
}


def ask(bench: Bench) -> list[Answer]:
    wanted = bench.present(*(OURS[:1] if bench.sizes.quick else OURS + PEERS))
    repetitions = bench.in_turn(wanted, lambda subject: _measure(bench, subject))
    return [_answer(bench, {name: _by_kind(some) for name, some in repetitions.items()})]


def _by_kind(repetitions: list[dict[str, Measured]]) -> Found:
    return {kind: [one[kind] for one in repetitions] for kind in repetitions[0]}


def _kinds(bench: Bench, subject: Subject) -> tuple[str, ...]:
    if not subject.ours:
        return (MESSAGES,)
    return KINDS[:: len(KINDS) - 1] if bench.sizes.quick else KINDS


def _measure(bench: Bench, subject: Subject) -> dict[str, Measured]:
    clients, kinds = bench.sizes.clients(CLIENTS), _kinds(bench, subject)
    with bench.run(subject, people=clients + len(kinds)) as running:
        running.join(clients, [ROOM])
        _talk(bench, running)  # the first of it is not counted
        found = {CALM: _talk(bench, running) | {"grown": 0.0}}
        for number, kind in enumerate(kinds):
            held = machine.rss_bytes(running.processes["server"])
            with flooding(**_told(running, kind, clients + number)):
                found[FIRST + kind] = _talk(bench, running) | {"grown": 0.0}
                found[kind] = _talk(bench, running, LONGER)
                found[kind]["grown"] = (machine.rss_bytes(running.processes["server"]) - held) / 2**20
    return found


def _told(running: Running, kind: str, person: int) -> dict[str, str]:
    """What the flooder has to know. Each flood is another person's, from another address."""
    cookies = json.loads(Path(running.cookies).read_text()) if running.cookies else {}
    told = {
        "url": f"http://{running.hosts[0]}", "kind": kind, "slug": ROOM, "address": f"203.0.113.{person % 250}",
        "cookie": cookies[person] if cookies else "",
    }  # fmt: skip
    if running.subject.ours:
        return told
    dialect = BY_NAME[running.subject.dialect]()
    text = dialect.message("message", ROOM, "x" * TEXT_BYTES)  # without a mark, so that it is not timed
    return {**told, "path": dialect.path.format(room=ROOM), "text": text.decode()}


def _talk(bench: Bench, running: Running, longer: int = 1) -> Measured:
    seconds = longer * bench.sizes.seconds / 2
    return running.load.order("talk", per_second=PER_SECOND, seconds=seconds, patience=PATIENCE_SECONDS)


def _answer(bench: Bench, found: dict[str, Found]) -> Answer:
    p50 = {name: _latency(kinds, "p50") for name, kinds in found.items()}
    p99 = {name: _latency(kinds, "p99") for name, kinds in found.items()}
    rows: list[tuple[str, list[Samples | str]]] = [
        (
            name,
            [
                kind,
                p50[name][kind],
                _of_calm(p50[name], kind),
                p99[name][kind],
                _of_calm(p99[name], kind),
                samples(repetitions, "grown"),
                str(sum(one["lost"] + one["refused"] + one["disconnected"] for one in repetitions)),
            ],
        )
        for name, kinds in found.items()
        for kind, repetitions in kinds.items()
    ]
    return Answer(
        key="floods",
        title="A flood from one client",
        asked=f"{bench.sizes.clients(CLIENTS)} clients in one room say {PER_SECOND} messages a second between them, with the "
        "limits that every site has. One more client floods the server and that room with one kind of frame, as fast as it can. "
        "What is said within its first second, while the limits still let pass what they allow at once, is counted apart from "
        f"what is said in the {LONGER} seconds after it. `sockets` is messages on as many connections as a person may have, and "
        "attempts at more. The flooder is a process of its own on the load generator's core, and has all that is left of it. "
        "What somebody has not heard after "
        f"{PATIENCE_SECONDS:.0f} seconds counts as having taken as long, and as lost. The peers have no limits, and messages "
        "that are neither kept nor acknowledged.",
        columns=["flood", "p50, ms", "of a calm", "p99, ms", "of a calm", "MB more", "lost"],
        rows=rows,
        verdicts=[
            Verdict(
                f"{subject.name}: the others' latency p50 in {what}, of that without one",
                max(p50[subject.name][kind].median for kind in p50[subject.name] if fits(kind))
                / p50[subject.name][CALM].median,
                2,
            )
            for subject in OURS
            if subject.name in found
            for what, fits in WORST.items()
        ],
        plot=Bars(
            "latency of the others' messages, p50, ms",
            {kind: {name: some[kind] for name, some in p50.items() if kind in some} for kind in (CALM, *KINDS)},
        ),
    )


def _latency(kinds: Found, share: str) -> dict[str, Samples]:
    return {kind: samples(repetitions, "latency", share) for kind, repetitions in kinds.items()}


def _of_calm(latencies: dict[str, Samples], kind: str) -> str:
    times = ratio(latencies[kind], latencies[CALM])
    return f"{number(times)} x" if times and kind != CALM else ""
