"""A flood: one client that sends as fast as it can, a process beside the load generator.

It has what that one leaves of their core (`SCHED_IDLE`): whoever measures is woken up at once, as if it had the core to itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import machine
from tests.support import flooder
from tests.support.console import ROOT

_END_SECONDS = 30


@contextmanager
def flooding(**told: Any) -> Iterator[dict[str, int]]:
    """Flood a server meanwhile; what was sent stands in what this gives, afterwards."""
    sent: dict[str, int] = {}
    command = machine.on_core(machine.LOAD_CORE, ["chrt", "--idle", "0", *flooder.command(**told)])
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        process.stdout.readline()  # it has begun
        yield sent
        sent |= json.loads(process.communicate(timeout=_END_SECONDS)[0])  # its input ends
    finally:
        process.kill()
        process.wait()
