"""`python -m benchmarks [--quick] [--only fanout,append] [--out folder]`: measure, and write the page."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import machine, production, questions, report, scaling
from benchmarks.bench import FULL, QUICK, ROOT, Bench, Sizes, say

_RESULTS = "results.json"


def main() -> None:
    arguments = _arguments()
    sizes = QUICK if arguments.quick else FULL
    if arguments.repetitions:
        sizes = dataclasses.replace(sizes, repetitions=arguments.repetitions)
    measure(sizes, arguments.only, arguments.out)


def measure(sizes: Sizes, wanted: list[str], out: Path) -> None:
    """Ask the questions, and write the page and what it is made of. Questions that are not asked keep their answers."""
    kept = ROOT / "benchmarks" / _RESULTS if out == ROOT / "docs" else out / _RESULTS
    found = report.Report() if sizes.quick else report.Report.read(kept)
    if found.quick:
        found = report.Report()
    found.quick, found.machine, found.load_average = sizes.quick, machine.description(), machine.load_average()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, Bench(sizes, Path(folder)) as bench:
        for name in wanted:
            say(name)
            for answer in questions.ALL[name](bench):
                found.answers[answer.key] = msgspec.structs.replace(
                    answer, taken=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", repetitions=sizes.repetitions
                )
            found.commands |= bench.said
            found.absent = {**found.absent, **bench.absent}
            found.write(kept)
            report.publish(found, out / "benchmarks.md", out / "images" / "benchmarks")
            scaling.write(found, out / "scaling.md")
            production.write(found, out / "howto" / "deploy.md")
    say(f"{out / 'benchmarks.md'} is written.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that everything works, in about a minute")
    parser.add_argument(
        "--only",
        type=lambda words: [word for word in words.split(",") if word],
        default=list(questions.ALL),
        help=f"some of {', '.join(questions.ALL)}",
    )
    parser.add_argument("--repetitions", type=int, default=0, help=f"instead of {FULL.repetitions}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="the folder to write into")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(questions.ALL)
    if unknown:
        parser.error(f"--only: expected some of {', '.join(questions.ALL)}; got {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
