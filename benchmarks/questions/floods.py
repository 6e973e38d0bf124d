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
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, number, samples
from benchmarks.subjects import Subject
from tests.support.flooder import KINDS

CLIENTS = 50
PER_SECOND = 40
PATIENCE_SECONDS = 2.0
ROOM = "r0"
MESSAGES = "messages"
SOCKETS = "sockets"
THEN_SECONDS = 3
OURS = tuple(subject.limited() for subject in (known.LANE, known.DAPHNE))
PEERS = (known.TUTORIAL, known.WS)

BEFORE, FIRST, THEN = "before", "first", "then"

Found = dict[str, list[dict[str, Measured]]]
"""What the others noticed of each kind of flood, in each repetition: before it, in its first second, and then."""

Fits = Callable[[str], bool]
WORST: dict[str, tuple[str, Fits]] = {
    "the worst flood from one client": (THEN, lambda _: True),
    "its first second, on one connection at a time": (FIRST, lambda kind: kind != SOCKETS),
    "its first second, on all the sockets that a person may have": (FIRST, lambda kind: kind == SOCKETS),
}


def ask(bench: Bench) -> list[Answer]:
    wanted = bench.present(*(OURS[:1] if bench.sizes.quick else OURS + PEERS))
    repetitions = bench.in_turn(wanted, lambda subject: _measure(bench, subject))
    return [_answer(bench, {name: _by_kind(some) for name, some in repetitions.items()})]


def _by_kind(repetitions: list[dict[str, dict[str, Measured]]]) -> Found:
    return {kind: [one[kind] for one in repetitions] for kind in repetitions[0]}


def _kinds(bench: Bench, subject: Subject) -> tuple[str, ...]:
    if not subject.ours:
        return (MESSAGES,)
    return KINDS[:: len(KINDS) - 1] if bench.sizes.quick else KINDS


def _measure(bench: Bench, subject: Subject) -> dict[str, dict[str, Measured]]:
    clients, kinds = bench.sizes.clients(CLIENTS), _kinds(bench, subject)
    found: dict[str, dict[str, Measured]] = {}
    with bench.run(subject, people=clients + len(kinds)) as running:
        running.join(clients, [ROOM])
        _talk(bench, running)  # the first of it is not counted
        for number, kind in enumerate(kinds):
            before = _talk(bench, running)
            held = machine.rss_bytes(running.processes["server"])
            with flooding(**_told(running, kind, clients + number)):
                first, then = _talk(bench, running), _talk(bench, running, THEN_SECONDS)
                then["grown"] = (machine.rss_bytes(running.processes["server"]) - held) / 2**20
            found[kind] = {BEFORE: before, FIRST: first, THEN: then}
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
    return Answer(
        key="floods",
        title="A flood from one client",
        asked=f"{bench.sizes.clients(CLIENTS)} clients in one room say {PER_SECOND} messages a second between them, with the "
        "limits that every site has. One more client floods the server and that room with one kind of frame, as fast as it can. "
        "What is said within its first second, while the limits still let pass what they allow at once, is counted apart from "
        f"what is said in the {THEN_SECONDS} seconds after it; both are compared with the second before it, in the same "
        "repetition. `sockets` is messages on as many connections as a person may have, and attempts at more. The flooder is a "
        "process of its own on the load generator's core, and has all that is left of it. What somebody has not heard after "
        f"{PATIENCE_SECONDS:.0f} seconds counts as having taken as long, and as lost. The peers have no limits, and messages "
        "that are neither kept nor acknowledged.",
        columns=["flood", *_COLUMNS, "MB more", "lost"],
        rows=[
            (name, [kind, *_heard(repetitions), samples(repetitions, THEN, "grown"), str(_lost(repetitions))])
            for name, kinds in found.items()
            for kind, repetitions in kinds.items()
        ],
        verdicts=[
            Verdict(
                f"{subject.name}: the others' latency p50 in {what}, of that before it",
                max(_times(found[subject.name][kind], when).median for kind in found[subject.name] if fits(kind)),
                2,
            )
            for subject in OURS
            if subject.name in found
            for what, (when, fits) in WORST.items()
        ],
        plot=Bars(
            "latency of the others' messages, p50, ms",
            {
                "none": {name: _latency(kinds[MESSAGES], BEFORE) for name, kinds in found.items()},
                **{
                    kind: {name: _latency(kinds[kind], THEN) for name, kinds in found.items() if kind in kinds}
                    for kind in KINDS
                },
            },
        ),
    )


_COLUMNS = (
    "p50 before, ms", "in the first second", "of before", "then", "of before",
    "p99 before, ms", "in the first second", "then",
)  # fmt: skip


def _heard(repetitions: list[dict[str, Measured]]) -> list[Samples | str]:
    first, then = (f"{number(_times(repetitions, when).median)} x" for when in (FIRST, THEN))
    return [
        *(_latency(repetitions, BEFORE), _latency(repetitions, FIRST), first, _latency(repetitions, THEN), then),
        *(_latency(repetitions, when, "p99") for when in (BEFORE, FIRST, THEN)),
    ]


def _latency(repetitions: list[dict[str, Measured]], when: str, share: str = "p50") -> Samples:
    return samples(repetitions, when, "latency", share)


def _times(repetitions: list[dict[str, Measured]], when: str) -> Samples:
    """Return by how much the median latency was longer, in each repetition."""
    return Samples([one[when]["latency"]["p50"] / one[BEFORE]["latency"]["p50"] for one in repetitions])


def _lost(repetitions: list[dict[str, Measured]]) -> int:
    return sum(
        one[when][what] for one in repetitions for when in (FIRST, THEN) for what in ("lost", "refused", "disconnected")
    )
