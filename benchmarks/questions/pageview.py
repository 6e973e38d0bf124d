"""A page view that publishes one event: what does that add to the view?"""

from __future__ import annotations

import json

from benchmarks import subjects as known
from benchmarks.bench import Bench
from benchmarks.results import Answer, Bars, Measured, Samples, samples

VIEWS = 1000
SUBJECTS = (known.LANE, known.LANE.on_postgres())
NAMES = {known.LANE.name: "SQLite", known.LANE.on_postgres().name: "PostgreSQL"}


def ask(bench: Bench) -> list[Answer]:
    found = bench.in_turn(
        bench.present(*SUBJECTS[: 1 if bench.sizes.quick else 2]), lambda subject: _measure(bench, subject)
    )
    rows: list[tuple[str, list[Samples | str]]] = [
        (NAMES[name], [samples(repetitions, column) for column in ("without", "with", "added", "queries_added")])
        for name, repetitions in found.items()
    ]
    return [
        Answer(
            key="pageview",
            title="A page view that publishes one event",
            asked="A view of the site, behind all of its middleware, that reads the user's session and saves one row; and the "
            "same view with `rooms.publish` in its transaction. Called in turn in one process; medians.",
            columns=["µs without", "µs with", "µs added", "queries added"],
            rows=rows,
            verdicts=[],
            plot=Bars(
                "µs per view",
                {
                    "without": {NAMES[name]: samples(repetitions, "without") for name, repetitions in found.items()},
                    "with": {NAMES[name]: samples(repetitions, "with") for name, repetitions in found.items()},
                },
            ),
        )
    ]


def _measure(bench: Bench, subject: known.Subject) -> Measured:
    with bench.run(subject, people=4, processes=0) as running:
        views = max(20, VIEWS // bench.sizes.scale)
        measured: Measured = json.loads(running.django("benchmarks.site.pageview", str(views)))
    return measured
