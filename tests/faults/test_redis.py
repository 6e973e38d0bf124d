"""Redis dies, hangs or forgets: the log delivers, later; and the doorbell works again by itself when Redis is back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.stage import Stage
from tests.support import gauges, ledger
from tests.support.crowd import Crowd, percentile
from tests.support.sites import CORE, PUBSUB, Backend
from tests.support.wsclient import Client

pytestmark = pytest.mark.alone

# What redis-py, channels_redis and asgiref say when Redis is gone.
COMPLAINTS = r"(?s)ERROR channels_redis.*?Traceback.*?(?=\n(?:INFO|WARNING|ERROR|CRITICAL) |\Z)"
SLOWLY_SECONDS = 1.0  # for a machine that does other things as well
FILLED = "realtime_events_filled_total"


@asynccontextmanager
async def killed(stage: Stage) -> AsyncIterator[None]:
    stage.site.redis.crash()
    try:
        yield
    finally:
        await asyncio.to_thread(stage.site.redis.start)


@asynccontextmanager
async def paused(stage: Stage) -> AsyncIterator[None]:
    stage.site.redis.daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stage.site.redis.daemon.signal(signal.SIGCONT)


@asynccontextmanager
async def flushed(stage: Stage) -> AsyncIterator[None]:
    _, writer = await asyncio.open_connection("127.0.0.1", stage.site.redis.port)
    writer.write(b"FLUSHALL\r\n")
    await writer.drain()
    yield
    writer.close()


async def filled(stage: Stage) -> float:
    """How many events the servers had to read from the log because nothing rang."""
    counted = [await asyncio.to_thread(gauges.metrics, server) for server in stage.servers]
    return sum(metrics[FILLED] for metrics in counted)


async def rings_again(stage: Stage, crowd: Crowd, within: float = 60) -> None:
    """Wait until ten events in a row come quickly, and by ringing alone."""
    deadline = time.monotonic() + within
    while True:
        before, since = await filled(stage), time.monotonic()
        for _ in range(10):
            crowd.say_something()
            await crowd.answered()
        await crowd.agreed()
        slowest = max(crowd.latencies(since), default=0.0)
        grown = await filled(stage) - before
        if not grown and slowest < 0.6:
            return
        assert time.monotonic() < deadline, f"the log still delivers: {grown} of 10, the slowest in {slowest:.2f} s"


@pytest.mark.parametrize("fault", [killed, paused, flushed], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("backend", [PUBSUB, CORE], ids=str)
async def test_events_come_by_the_log_without_redis_and_quickly_again_with_it(
    stage: Callable[..., Any], backend: Backend, fault: Callable[[Stage], Any]
) -> None:
    set_up = await stage(backend)
    set_up.forgiven = COMPLAINTS
    async with set_up.crowd() as crowd:
        await rings_again(set_up, crowd)
        since = time.monotonic()
        async with crowd.talking(), fault(set_up):
            await asyncio.sleep(set_up.seconds / 2)
            for regular in crowd.regulars[::5]:
                regular.cut()  # who comes back meanwhile is let in all the same
            await asyncio.sleep(set_up.seconds / 2)
            until = time.monotonic()
        await ledger.audit(set_up.site, crowd)
        late = crowd.latencies(since, until)
        half, nearly_all = percentile(late, 50), percentile(late, 95)
        set_up.note(
            f"{backend}, Redis {fault.__name__}: half of all within {half:.2f} s, 95 % within {nearly_all:.2f} s"
        )
        assert nearly_all < 2 + SLOWLY_SECONDS, f"the log took {nearly_all:.2f} s"
        await rings_again(set_up, crowd)
        await ledger.audit(set_up.site, crowd)
        assert not crowd.refusals, crowd.refusals


async def test_a_room_that_is_new_to_a_process_is_joined_while_redis_hangs(stage: Callable[..., Any]) -> None:
    """Well before Redis' own client gives up, which takes 5 s. The pub/sub layer waits for no answer at all."""
    set_up = await stage(CORE)
    set_up.forgiven = COMPLAINTS
    known, *new = set_up.chats(1 + len(set_up.servers))
    clients = [await Client.connect(server.url) for server in set_up.servers]
    try:
        for client in clients:
            await client.join(known)
        await clients[0].push(known, "message", text="hi")
        await clients[-1].event("message")  # by now the processes listen to Redis
        async with paused(set_up):
            for client, slug in zip(clients, new, strict=True):
                async with asyncio.timeout(3):
                    assert (await client.join(slug)).ok
    finally:
        for client in clients:
            await client.drop()
