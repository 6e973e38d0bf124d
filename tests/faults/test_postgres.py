"""PostgreSQL goes away in the middle of a day's work, and comes back."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import ledger
from tests.support.services import Postgres
from tests.support.sites import PUBSUB
from tests.support.waiting import eventually


def status(url: str, within: float = 60) -> int:
    """What a GET of the page is answered with."""
    try:
        with urllib.request.urlopen(url, timeout=within) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


async def is_served(url: str) -> bool:
    return await asyncio.to_thread(status, url) == 200


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.crash], ids=["shut down", "crashed"])
async def test_nothing_is_lost_or_doubled_when_postgres_restarts(
    stage: Callable[..., Any], faulty_postgres: Callable[[], Postgres], end: Callable[[Postgres], None]
) -> None:
    set_up = await stage(PUBSUB)
    set_up.forgiven = r"(?s)ERROR django.request.*"
    async with set_up.crowd() as crowd:
        async with crowd.talking():
            await asyncio.to_thread(end, faulty_postgres())
            for regular in crowd.regulars[::5]:
                regular.cut()
            await asyncio.sleep(set_up.seconds / 2)
            await asyncio.to_thread(faulty_postgres().start)
            await eventually(lambda: not any(r.outbox for r in crowd.regulars), 60, "the senders went on")
        await ledger.audit(set_up.site, crowd)
        assert crowd.refusals["unavailable"] > 0, "nobody noticed"
    for server in set_up.servers:
        assert server.running


async def test_pages_are_served_again_when_postgres_is_back(
    stage: Callable[..., Any], faulty_postgres: Callable[[], Postgres]
) -> None:
    set_up = await stage(PUBSUB)
    set_up.forgiven = r"(?s)(?:ERROR django.request|Traceback).*"
    health = [f"{server.url}/realtime/health" for server in set_up.servers]
    pages = [f"{server.url}/" for server in set_up.servers]
    await asyncio.to_thread(faulty_postgres().stop)
    assert await asyncio.to_thread(status, health[0]) == 503
    await asyncio.to_thread(faulty_postgres().start)
    for url in health + pages:
        for _ in range(40):  # the pool has a connection or two that are dead
            if await is_served(url):
                break
        assert [await is_served(url) for _ in range(3)] == [True] * 3
