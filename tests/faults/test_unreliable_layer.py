"""The channel layer loses three messages in ten, repeats three, and brings three late, so out of order."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.test_redis import filled
from tests.support import ledger
from tests.support.sites import CORE, PUBSUB, Backend


@pytest.mark.parametrize(("backend", "layer"), [(PUBSUB, "UnreliablePubSub"), (CORE, "UnreliableCore")], ids=str)
async def test_a_layer_that_loses_repeats_and_reorders_is_not_noticed(
    stage: Callable[..., Any], backend: Backend, layer: str
) -> None:
    set_up = await stage(backend, env={"TEST_CHANNEL_LAYER": f"tests.support.layers.{layer}"})
    before = await filled(set_up)
    async with set_up.crowd() as crowd:
        async with crowd.talking():
            await asyncio.sleep(set_up.seconds)
        await ledger.audit(set_up.site, crowd)
        assert not crowd.refusals, crowd.refusals
    assert await filled(set_up) > before, "nothing was lost"
