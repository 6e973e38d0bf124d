"""The short form of `make fuzz`: every seed as it stands, then inputs that hypothesis makes of them."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutators import Lines
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import Codec, Lives, Web
from tests.fuzz.world import World

Target = Callable[[bytes], None]


@pytest.fixture(scope="module")
def targets(django_db_blocker: Any) -> Iterator[dict[str, Target]]:
    """Over a database in memory, whatever the other tests have."""
    with django_db_blocker.unblock(), World() as world:
        yield {"codec": Codec(), "lives": Lives(world), "web": Web(world)}


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_break_nothing(targets: dict[str, Target], name: str) -> None:
    for seed in SEEDS[name]:
        targets[name](seed)


def spoilt(data: bytes, most: int) -> bytes:
    """A byte of it exchanged, as good as it goes without a fuzzer."""
    dice = Random(data)
    at = dice.randrange(len(data) + 1)
    return (data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :])[:most]


@pytest.mark.parametrize(("name", "count"), [("codec", 300), ("lives", 60), ("web", 60)])
def test_what_is_made_of_the_seeds_breaks_nothing(targets: dict[str, Target], name: str, count: int) -> None:
    mutate = Lines(SEEDS[name], spoilt)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.sampled_from(SEEDS[name]), dice=st.lists(st.integers(0, 2**32), min_size=1, max_size=8))
    def story(seed: bytes, dice: list[int]) -> None:
        data = seed
        for throw in dice:
            data = mutate(data, 4096, throw)
        targets[name](data)

    story()
