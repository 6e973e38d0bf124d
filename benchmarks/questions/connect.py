"""Coming in: how many a second, and what does each cost while they sit there?"""

from __future__ import annotations

import time

from benchmarks import machine
from benchmarks import subjects as known
from benchmarks.bench import Bench, Running
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, ratio, samples
from benchmarks.subjects import Subject

CLIENTS = 1000
AT_ONCE = 50
OURS = (known.LANE, known.PORTABLE, known.DAPHNE)
PEERS = (known.TUTORIAL, known.TUTORIAL_UVICORN, known.PYTHON_SOCKETIO, known.SOCKETIO, known.WS)
QUICK = (known.LANE,)
SETTLING_SECONDS = 2.0


def ask(bench: Bench) -> list[Answer]:
    wanted = bench.present(*(QUICK if bench.sizes.quick else OURS + PEERS))
    found = bench.in_turn(wanted, lambda subject: _measure(bench, subject))
    return [_connecting(bench, found), _memory(bench, found)]


def _measure(bench: Bench, subject: Subject) -> Measured:
    clients = bench.sizes.clients(CLIENTS)
    with bench.run(subject, people=3 * clients) as running:
        empty = _settled(bench, running)
        joined = running.join(clients, at_once=AT_ONCE)
        before = _settled(bench, running)
        running.join(2 * clients, at_once=AT_ONCE, first=clients)
        further = (_settled(bench, running) - before) / (2 * clients)
    return {
        "rate": clients / joined["seconds"],
        "cost": joined["cpu"]["server"] / clients * 1e6,
        "busy": joined["busy"],
        "empty": empty / 2**20,
        "further": further / 1024,
    }


def _settled(bench: Bench, running: Running) -> int:
    """Return the memory of the server once what joining left behind is done with."""
    time.sleep(0.1 if bench.sizes.quick else SETTLING_SECONDS)
    return machine.rss_bytes(running.processes["server"])


def _connecting(bench: Bench, found: dict[str, list[Measured]]) -> Answer:
    rates = {name: samples(repetitions, "rate") for name, repetitions in found.items()}
    lane = rates[known.LANE.name]
    return Answer(
        key="connect",
        title="Connecting and joining",
        asked=f"{bench.sizes.clients(CLIENTS):,} clients, {AT_ONCE} at once, each with the cookie of a session of its own in "
        "the database, into one room with presence. Socket.IO, `ws` and python-socketio look at no session.",
        columns=["joined a second", "server CPU, µs each", "load generator busy"],
        rows=[
            (
                name,
                [rates[name], samples(repetitions, "cost"), f"{100 * max(one['busy'] for one in repetitions):.0f} %"],
            )
            for name, repetitions in found.items()
        ],
        verdicts=[
            Verdict(
                f"{known.LANE.name}: joined a second, of {peer.name}'s",
                ratio(lane, rates.get(peer.name)),
                3,
                at_most=False,
            )
            for peer in (known.TUTORIAL, known.TUTORIAL_UVICORN)
        ]
        + [
            Verdict(
                f"{known.LANE.name}: joined a second, of {known.SOCKETIO.name}'s without any login",
                ratio(lane, rates.get(known.SOCKETIO.name)),
                1,
                at_most=False,
                stretch=True,
            )
        ],
        plot=Bars("clients joined a second", {"": rates}),
    )


def _memory(bench: Bench, found: dict[str, list[Measured]]) -> Answer:
    further = {name: samples(repetitions, "further") for name, repetitions in found.items()}
    lane = further[known.LANE.name]
    rows: list[tuple[str, list[Samples | str]]] = [
        (name, [further[name], samples(repetitions, "empty")]) for name, repetitions in found.items()
    ]
    return Answer(
        key="memory",
        title="Memory of an idle connection",
        asked=f"Resident memory after {3 * bench.sizes.clients(CLIENTS):,} joined clients, less that after "
        f"{bench.sizes.clients(CLIENTS):,}, by the number between.",
        columns=["KB per further connection", "MB of the process before the first"],
        rows=rows,
        verdicts=[
            Verdict(f"{known.LANE.name}: per further idle, joined connection", lane.median, 20, unit=" KB"),
            Verdict(
                f"{known.LANE.name}: the same, beside Socket.IO's 17.5 KB", lane.median, 17.5, unit=" KB", stretch=True
            ),
        ],
        plot=Bars("KB per further connection", {"": further}),
    )
