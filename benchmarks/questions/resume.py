"""Everybody comes back at once after a restart: how long until nobody lacks anything?"""

from __future__ import annotations

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, Verdict, ratio, samples
from benchmarks.subjects import Subject

CLIENTS = 1000
MISSED = 50
SUBJECTS = (known.LANE, known.PORTABLE, known.DAPHNE, known.SOCKETIO)


def ask(bench: Bench) -> list[Answer]:
    wanted = bench.present(*(SUBJECTS[:1] if bench.sizes.quick else SUBJECTS))
    return [_answer(bench, bench.in_turn(wanted, lambda subject: _measure(bench, subject)))]


def _measure(bench: Bench, subject: Subject) -> Measured:
    clients = bench.sizes.clients(CLIENTS)
    with bench.run(subject, people=clients) as running:
        running.join(clients)
        (port,) = running.stop()
        bench.load.order("close")
        if subject.ours:
            running.django("benchmarks.site.publish", "r0", str(MISSED))
        running.start(port)
        running.begin()
        back = running.join(clients, at_once=clients, **({"since": 0} if subject.ours else {}))
    whole = sum(count == MISSED for count in back["caught_up"])
    return {"seconds": back["seconds"], "cpu": back["cpu"]["server"], "whole": whole, "clients": clients}


def _answer(bench: Bench, found: dict[str, list[Measured]]) -> Answer:
    seconds = {name: samples(repetitions, "seconds") for name, repetitions in found.items()}
    ours = found[known.LANE.name]
    whole = min(one["whole"] / one["clients"] for one in ours)
    rows: list[tuple[str, list[Samples | str]]] = [
        (name, [seconds[name], samples(repetitions, "cpu"), _caught_up(name, repetitions)])
        for name, repetitions in found.items()
    ]
    return Answer(
        key="resume",
        title="Back after a restart",
        asked=f"{bench.sizes.clients(CLIENTS):,} clients connect at the same moment to a server that has just started. Ours say "
        f"where they were, and get the {MISSED} events that were published meanwhile; Socket.IO's only connect and join.",
        columns=["seconds until the last is back", "server CPU, s", "clients with every missed event"],
        rows=rows,
        verdicts=[
            Verdict(f"{known.LANE.name}: share of clients that have caught up", whole, 1, at_most=False, unit=""),
            Verdict(
                f"{known.LANE.name}: total time, of {known.SOCKETIO.name}'s plain reconnect",
                ratio(seconds[known.LANE.name], seconds.get(known.SOCKETIO.name)),
                1,
                stretch=True,
            ),
        ],
        plot=Bars("seconds until the last is back", {"": seconds}),
    )


def _caught_up(name: str, repetitions: list[Measured]) -> str:
    if name == known.SOCKETIO.name:
        return "none: it keeps nothing"
    return f"{min(one['whole'] for one in repetitions):,} of {repetitions[0]['clients']:,}"
