"""`python -m tests.suite`: every test, in three passes.

First what touches the database, on PostgreSQL and Redis; then, on SQLite, what compares times, by itself; then everything else.
What fails among many others has one more chance with the machine to itself. That is said at the end: such a test passed, and is
to be looked at all the same.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FEW = 8  # more than so many that fail are no accident

PYTEST = (sys.executable, "-m", "pytest")
SIDE_BY_SIDE = ("--numprocesses", "5", "--dist", "loadscope", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Pass:
    """One run of pytest: what it chooses, and how it is run at first and again."""

    name: str
    chosen: tuple[str, ...]
    at_first: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def run(self, folder: Path) -> tuple[bool, list[str]]:
        """Return whether all is well in the end, and which tests failed at first."""
        cache = folder / ".pytest_cache" / self.name
        chosen = (*self.before, *PYTEST, *self.chosen, "-o", f"cache_dir={cache}")
        code = subprocess.run([*chosen, "--cache-clear", *self.at_first], cwd=folder, check=False).returncode
        if code != 1:  # where it is not tests that fail, nothing is mended by trying again
            return code == 0, []
        failed = sorted(json.loads((cache / "v" / "cache" / "lastfailed").read_text()))
        if len(failed) > FEW:
            return False, failed
        print(f"\nOnce more, by themselves: {len(failed)} of the tests that failed.", flush=True)  # noqa: T201
        return subprocess.run([*chosen, "--last-failed"], cwd=folder, check=False).returncode == 0, failed


PASSES = (
    Pass("postgres", ("-m", "database", "--reuse-db"), SIDE_BY_SIDE, (sys.executable, "-m", "tests.support.alongside")),
    Pass("alone", ("-m", "alone")),
    Pass("beside", ("-m", "not alone"), SIDE_BY_SIDE),
)


def main(passes: Sequence[Pass], folder: Path) -> int:
    """Run each pass even if one before it fails, and return an exit code."""
    exit_code = 0
    words: list[str] = []
    for one in passes:
        well, failed = one.run(folder)
        exit_code |= not well
        outcome = "passed by itself" if well else "failed, as did others or the second time"
        words += [f"  {one.name}: {test}: {outcome}" for test in failed]
    if words:
        print("\nFailed at first:", *words, sep="\n", flush=True)  # noqa: T201
    return int(exit_code)


if __name__ == "__main__":
    sys.exit(main(PASSES, Path(__file__).parents[1]))
