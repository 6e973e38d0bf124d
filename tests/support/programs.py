"""The programs outside Python that parts of the suite use.

A test that needs one which is not installed is skipped, and the last lines of the run say what was left out and how to get
it; with `REALTIME_REQUIRE_SERVICES=1`, as in CI, it fails.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Program:
    """Something installed on the machine: what we call it, which commands it goes by, and the Debian package that has it."""

    name: str
    commands: tuple[str, ...]
    package: str
    folders: tuple[str, ...] = ()  # patterns below /, for what Debian keeps out of PATH

    def path(self) -> str | None:
        """Return where it is, or None."""
        found = (shutil.which(command) for command in self.commands)
        return next((path for path in found if path), None) or self._path_in_folders()

    def _path_in_folders(self) -> str | None:
        found = [path for folder in self.folders for path in Path("/").glob(f"{folder}/{self.commands[0]}")]
        newest = max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], default=None)
        return str(newest) if newest else None

    @property
    def absence(self) -> str:
        return f"{self.name} is not installed: apt-get install {self.package}"


REDIS = Program("Redis", ("redis-server",), "redis-server")
POSTGRES = Program("PostgreSQL", ("initdb",), "postgresql", folders=("usr/lib/postgresql/*/bin",))
# The first is the same browser without windows of its own, and takes half the time.
CHROMIUM = Program(
    "Chromium", ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"), "chromium-headless-shell"
)
NODE = Program("Node.js", ("node",), "nodejs")
NPM = Program("npm", ("npm",), "npm")
NGINX = Program("nginx", ("nginx",), "nginx", folders=("usr/sbin",))
ALL = (REDIS, POSTGRES, CHROMIUM, NODE, NPM, NGINX)


def required() -> bool:
    """Tell whether a missing program is an error."""
    return os.environ.get("REALTIME_REQUIRE_SERVICES", "") not in ("", "0")


def need(program: Program) -> str:
    """Return the program's path; without it, skip the test that asks, or fail it where everything is required."""
    path = program.path()
    if path:
        return path
    if required():
        pytest.fail(f"{program.absence} (REALTIME_REQUIRE_SERVICES is set)", pytrace=False)
    pytest.skip(program.absence)


def left_out(skip_reasons: Iterable[str]) -> list[str]:
    """Say in a line per missing program how many tests were skipped for it and how to get it."""
    reasons = list(skip_reasons)
    counts = Counter(program for program in ALL for reason in reasons if program.absence in reason)
    return [f"{program.absence} (tests left out: {count})" for program, count in counts.items()]
