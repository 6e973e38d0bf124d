"""SQLite's file is locked by somebody who takes their time."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import ledger
from tests.support.sites import EMBEDDED


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the write lock, as a long import or a backup might."""
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("patience", [1, 60], ids=["impatient", "patient"])
async def test_nothing_is_lost_or_doubled_while_another_writer_locks_the_file(
    stage: Callable[..., Any], patience: int
) -> None:
    """A site that waits less than the lock lasts says "try again"; one that waits longer says nothing."""
    template = await stage(EMBEDDED)
    file = template.site.folder / "site.sqlite3"
    set_up = await stage(EMBEDDED, env={"DATABASE_URL": f"sqlite:///{file}?timeout={patience}"})
    async with set_up.crowd() as crowd:
        async with crowd.talking():
            with locked(file):
                await asyncio.sleep(set_up.seconds / 2)
                for regular in crowd.regulars[::5]:
                    regular.cut()
                await crowd.joined()  # reading goes on
                await asyncio.sleep(set_up.seconds / 2)
            await crowd.answered()
        await ledger.audit(set_up.site, crowd)
    assert bool(crowd.refusals["unavailable"]) == (patience == 1), crowd.refusals
    assert set(crowd.refusals) <= {"unavailable"}
