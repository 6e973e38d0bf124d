"""The machine: which core is whose, what a process tree has used, and what the machine is, in a line."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from tests.support import programs

_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]
_PACKAGES = ("Django", "channels", "channels-redis", "daphne", "uvicorn", "websockets")


def on_core(core: int, command: Iterable[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def family(pids: Iterable[int]) -> set[int]:
    """Return the processes and all that they have started and that run."""
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += _children(pid)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that the processes, and their children, have used so far: user and system."""
    return sum(sum(_cpu_ticks(pid)) for pid in family(pids)) / _TICKS


def kernel_seconds(pids: Iterable[int]) -> float:
    """Return the part of it that was the system's."""
    return sum(_cpu_ticks(pid)[1] for pid in family(pids)) / _TICKS


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of the processes and their children."""
    return sum(_rss(pid) for pid in family(pids))


def description() -> dict[str, str]:
    return {
        "processor": _processor(),
        "cores": f"{len(_CORES)}: {SERVER_CORE} for the server side, {LOAD_CORE} for the load",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Node.js": _version("node", "--version"),
        "Ruby": _version("ruby", "--version"),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _version(programs.POSTGRES.path() or "initdb", "--version"),
        "Redis": _version("redis-server", "--version"),
        **{name: metadata.version(name) for name in _PACKAGES},
        "commit": _said("git", "describe", "--always", "--dirty"),
    }


def load_average() -> float:
    return os.getloadavg()[0]


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _cpu_ticks(pid: int) -> tuple[int, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[11]), int(fields[12])  # utime and stime, fields 14 and 15 of proc(5)


def _rss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(*command: str) -> str:
    found = re.search(r"\d+\.[\w.]+", _said(*command))
    return found[0] if found else "not installed"


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
