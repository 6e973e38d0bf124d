"""What a running server says of itself, and what the system says of it."""

import urllib.request
from pathlib import Path

from tests.support.servers import Server


def metrics(server: Server) -> dict[str, float]:
    """The counters of a server process, by name; one with a label by `name{label="value"}`."""
    with urllib.request.urlopen(f"{server.url}/realtime/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def resident_megabytes(pid: int) -> float:
    """How much memory a process holds (VmRSS)."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def sockets(pid: int) -> int:
    """How many sockets a process holds."""
    return sum(_leads_to(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def _leads_to(link: Path) -> str:
    try:
        return link.readlink().name
    except FileNotFoundError:  # closed meanwhile
        return ""
