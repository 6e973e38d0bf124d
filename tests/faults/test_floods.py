"""A client that sends as fast as the machine can is not noticed by the others, under every server."""

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import pytest

from tests.faults.stage import DAPHNE, UVICORN, Serving, patient
from tests.support import gauges, ledger
from tests.support.crowd import Crowd, percentile
from tests.support.flooder import KINDS, flooding
from tests.support.servers import Server
from tests.support.sites import EMBEDDED
from tests.support.waiting import eventually

CROWD = 24
SHARE = 0.2  # of the length of a fault, for each kind of flood
SLOWER = 2
# The flooder, the crowd and the server share the machine here, and a comparison alone would judge what else it does: what takes
# 7 ms by itself took 32 beside two other jobs. benchmarks/questions/floods.py compares, with a core for the server. These are
# above what a busy machine does, and below what it takes while every frame of a flood is read, or all that fifty sockets send.
NOTICED_SECONDS = 0.05
NOTICED_BY_FEW_SECONDS = 0.25
GROWTH_MEGABYTES = 24

# What a site has by default; and the flooder comes through a proxy, as everybody on the machine itself goes uncounted.
LIMITS = {
    "COMMANDS_PER_SECOND": 20, "PERSON_COMMANDS_PER_SECOND": 30, "EPHEMERAL_PER_SECOND": 10,
    "TRUSTED_PROXIES": ["127.0.0.1"],
}  # fmt: skip


class Heard(NamedTuple):
    """How many seconds half of what was said took at most, and 95 of 100."""

    half: float
    most: float

    def __str__(self) -> str:
        return f"{self.half * 1000:.1f} and {self.most * 1000:.1f} ms"

    def noticed(self, calm: "Heard") -> bool:
        """Say whether it is much more than it was."""
        half, most = max(SLOWER * calm.half, NOTICED_SECONDS), max(SLOWER * calm.most, NOTICED_BY_FEW_SECONDS)
        return self.half > half or self.most > most


async def heard(crowd: Crowd, seconds: float) -> Heard:
    """Have the crowd talk for a while, and return how long that took to be heard; all of it has arrived."""
    since = time.monotonic()
    async with crowd.talking(40):
        await asyncio.sleep(seconds)
    await crowd.agreed()
    latencies = crowd.latencies(since)
    return Heard(median(latencies), percentile(latencies, 95))


def alone(server: Server) -> bool:
    """Say whether nobody is left but the crowd: what had been read of a flood is still taken when its sockets are gone."""
    return gauges.metrics(server)["realtime_connections"] == CROWD


@pytest.mark.alone
@pytest.mark.parametrize("serving", [DAPHNE, UVICORN], ids=str)
async def test_a_flood_from_one_client_is_not_noticed_by_the_others(
    stage: Callable[..., Any], serving: Serving, seconds: float
) -> None:
    set_up = await stage(EMBEDDED, (patient(serving),), **LIMITS)
    (server,) = set_up.servers
    (hall,) = set_up.chats(1)
    during: dict[str, Heard] = {}
    floods: dict[str, dict[str, int]] = {}
    async with set_up.crowd(CROWD, slugs=[hall], rooms_each=1) as crowd:
        calm = await heard(crowd, SHARE * seconds)
        held = gauges.resident_megabytes(server.pid)
        for number, (kind, (_, cookie)) in enumerate(zip(KINDS, set_up.people(len(KINDS)), strict=True)):
            address = f"203.0.113.{number}"
            async with flooding(url=server.url, cookie=cookie, kind=kind, slug=hall, address=address) as floods[kind]:
                during[kind] = await heard(crowd, SHARE * seconds)
        grown = gauges.resident_megabytes(server.pid) - held
        await eventually(lambda: asyncio.to_thread(alone, server), 60, "what was read of the last flood is done with")
        await ledger.audit(set_up.site, crowd)
    said = ", ".join(f"{kind} {taken}" for kind, taken in during.items())
    set_up.note(f"{serving}: half and 95 of 100 are heard within {calm}; during a flood of {said}; {grown:.0f} MB more")
    assert all(flood["connections"] for flood in floods.values()), floods
    noticed = {kind: str(taken) for kind, taken in during.items() if taken.noticed(calm)}
    assert not noticed, f"half and 95 of 100 were heard within {calm} before, and {noticed} during floods"
    assert grown < GROWTH_MEGABYTES
