"""Server processes are killed in the middle of whatever they do."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stage import Stage
from tests.support import ledger
from tests.support.sites import EMBEDDED, PUBSUB, Backend


async def die_and_return(stage: Stage) -> None:
    """Kill one of the servers, whatever it does, and start it again."""
    server = stage.dice.choice(stage.servers)
    server.signal(signal.SIGKILL)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


@pytest.mark.parametrize("backend", [EMBEDDED, PUBSUB], ids=str)
async def test_nothing_is_lost_or_doubled_when_servers_are_killed_again_and_again(
    stage: Callable[..., Any], backend: Backend
) -> None:
    set_up = await stage(backend)
    async with set_up.crowd() as crowd:
        async with crowd.talking(), asyncio.timeout(200):
            for _ in range(max(3, int(set_up.seconds / 3))):
                await asyncio.sleep(set_up.dice.random())  # at whatever moment
                await die_and_return(set_up)
        books = await ledger.audit(set_up.site, crowd)
        assert crowd.closes[0] + crowd.closes[1006] > 0, "nobody noticed"
    assert sum(book.head for book in books.values()) > 20
