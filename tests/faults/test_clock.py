"""The clock jumps a day ahead, and back, and a day behind: nothing that matters goes by the time of day."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import DAPHNE, LANE
from tests.support import ledger
from tests.support.crowd import percentile
from tests.support.sites import CORE, EMBEDDED, Backend

DAY = 86_400 + 3_600
JUMP_SECONDS = 2.5  # longer than daphne takes to look at the age of its sockets


@pytest.mark.parametrize("backend", [EMBEDDED, CORE], ids=str)
async def test_a_clock_that_jumps_delays_and_loses_nothing(
    stage: Callable[..., Any], backend: Backend, tmp_path: Path
) -> None:
    """One clock for both on the embedded default; over PostgreSQL each server has its own, and they jump apart."""
    clocks = [tmp_path / name for name in (("one", "one") if backend is EMBEDDED else ("one", "other"))]
    for clock in clocks:
        clock.write_text("0")
    wrong = {"DJANGO_SETTINGS_MODULE": "tests.support.wrongclock"}
    stages = [
        await stage(backend, (serving,), env={**wrong, "TEST_CLOCK": str(clock)})
        for serving, clock in zip((DAPHNE, LANE), clocks, strict=True)
    ]
    addresses = [each.servers[0].url for each in stages]
    async with stages[0].crowd(addresses=addresses) as crowd:
        since = time.monotonic()
        async with crowd.talking():
            for jump in (DAY, -DAY, 0):
                clocks[0].write_text(str(jump))
                clocks[1].write_text(str(jump if clocks[0] == clocks[1] else -jump))
                await asyncio.sleep(max(JUMP_SECONDS, stages[0].seconds / 4))
                await crowd.see_each_other(15)
        await ledger.audit(stages[0].site, crowd)
        assert percentile(crowd.latencies(since), 95) < 3.0
        assert not crowd.refusals
        await crowd.see_each_other()
    assert not crowd.wrongs
