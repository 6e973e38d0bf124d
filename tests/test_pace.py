"""How fast one client may go. Time is an argument."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from realtime import conf
from realtime.allowances import Allowances
from realtime.auth import Person
from realtime.errors import RateLimited
from realtime.pace import Pace

ALICE = Person("user:7", "alice", user_pk="7")

# Small numbers, with which each limit is the first to be met somewhere.
FEW = {
    "COMMANDS_PER_SECOND": 1.0, "COMMANDS_BURST": 3, "PERSON_COMMANDS_PER_SECOND": 1.0, "PERSON_COMMANDS_BURST": 5,
    "EPHEMERAL_PER_SECOND": 1.0, "EPHEMERAL_BURST": 4, "MAX_ROOMS": 7, "FLOOD_REFUSALS": 10,
}  # fmt: skip

Paces = Callable[..., list[Pace]]


@pytest.fixture
def paces(settings: Settings) -> Paces:
    """Those of so many connections of one person: `paces(2, COMMANDS_BURST=5)`."""

    def make(count: int = 1, **changed: Any) -> list[Pace]:
        settings.REALTIME = FEW | changed
        everyone = Allowances()
        return [Pace(conf.current(), everyone.enter(ALICE, 0.0), 0.0) for _ in range(count)]

    return make


def allowed(spend: Callable[[float], None], times: int, now: float = 0.0) -> int:
    """How many of so many are not refused, all at one moment."""
    return sum(not _refused(spend, now) for _ in range(times))


def _refused(spend: Callable[[float], None], now: float) -> bool:
    try:
        spend(now)
    except RateLimited:
        return True
    return False


def test_a_persons_connections_share_their_commands(paces: Paces) -> None:
    first, second, third = paces(3)
    assert (allowed(first.command, 9), allowed(second.command, 9), allowed(third.command, 9)) == (3, 2, 0)


def test_what_is_refused_for_one_allowance_costs_nothing_of_another(paces: Paces) -> None:
    first, second = paces(2, COMMANDS_PER_SECOND=1e-9, COMMANDS_BURST=5, PERSON_COMMANDS_PER_SECOND=5.0)
    assert allowed(first.command, 5) == 5
    assert allowed(second.command, 9) == 0
    assert allowed(second.command, 9, now=1.0) == 5


def test_ephemeral_commands_have_an_allowance_of_their_own(paces: Paces) -> None:
    (pace,) = paces()
    assert allowed(pace.ephemeral, 9) == 4
    assert allowed(pace.command, 9) == 3


def test_durable_commands_leave_that_of_the_ephemeral_ones_alone(paces: Paces) -> None:
    (pace,) = paces()
    assert allowed(pace.command, 9) == 3
    assert allowed(pace.ephemeral, 9) == 4


def test_a_persons_connections_share_the_ephemeral_ones_too(paces: Paces) -> None:
    first, second = paces(2)
    assert allowed(first.ephemeral, 3) + allowed(second.ephemeral, 3) == 4


def test_joins_are_counted_apart_and_leave_space_for_every_room(paces: Paces) -> None:
    (pace,) = paces()
    assert (allowed(pace.join, 20), allowed(pace.command, 5)) == (10, 3)


def test_a_persons_connections_share_their_joins_and_a_few_of_them_come_back_to_every_room(paces: Paces) -> None:
    everyone = paces(9)
    assert sum(allowed(pace.join, 7) for pace in everyone[:5]) == 5 * 7
    assert sum(allowed(pace.join, 20) for pace in everyone) == 5
    assert sum(allowed(pace.join, 20, now=3.0) for pace in everyone) == 3


def test_joins_leave_a_persons_commands_alone(paces: Paces) -> None:
    everyone = paces(9)
    assert sum(allowed(pace.join, 20) for pace in everyone) == 40
    assert sum(allowed(pace.command, 1) for pace in everyone) == 5


def test_a_room_may_allow_less_to_all_of_a_persons_connections(paces: Paces) -> None:
    first, second = paces(2)
    rooms = [pace.room(1, 0.5, 0.0) for pace in (first, second)]
    assert (
        allowed(lambda now: first.command(now, rooms[0]), 3) + allowed(lambda now: second.command(now, rooms[1]), 3)
        == 1
    )
    assert allowed(first.command, 5) == 2


def test_a_room_without_a_rate_has_no_allowance(paces: Paces) -> None:
    (pace,) = paces()
    assert pace.room(1, None, 0.0) is None


def test_frames_beyond_the_burst_wait_their_turn_whatever_is_in_them(paces: Paces) -> None:
    (pace,) = paces()
    assert [pace.frame(0.0) for _ in range(19)] == [0.0] * 19
    assert [pace.frame(0.0), pace.frame(0.25), pace.frame(0.5)] == [0.25] * 3


def test_a_large_frame_counts_as_several(paces: Paces) -> None:
    (pace,) = paces()
    assert [pace.frame(0.0, size) for size in (4095, 4096, 65_536)] == [0.0, 0.0, 0.0]
    assert pace.frame(0.0, 10) == 0.5


def test_a_persons_connections_share_their_frames_and_a_few_of_them_come_back_to_every_room(paces: Paces) -> None:
    everyone = paces(5)
    assert not any(pace.frame(0.0) for pace in everyone for _ in range(4 + 7))
    assert [pace.frame(0.0) for pace in everyone] == [0.25, 0.5, 0.75, 1.0, 1.25]


def test_who_is_refused_again_and_again_is_flooding(paces: Paces) -> None:
    (pace,) = paces()
    assert allowed(pace.command, 3 + 10) == 3
    assert not pace.flooding
    assert allowed(pace.command, 1) == 0
    assert pace.flooding


def test_who_is_held_up_again_and_again_is_flooding(paces: Paces) -> None:
    (pace,) = paces()
    for _ in range(19 + 10):
        pace.frame(0.0)
    assert not pace.flooding
    pace.frame(0.0)
    assert pace.flooding


def test_who_is_refused_on_many_connections_is_flooding_on_each_that_goes_on(paces: Paces) -> None:
    *some, other, last = paces(5)
    assert sum(allowed(pace.command, 5) for pace in some) == 5
    assert not any(pace.flooding for pace in some)
    assert not allowed(other.command, 1)
    assert other.flooding
    assert not last.flooding


def test_who_is_refused_now_and_then_is_not(paces: Paces) -> None:
    (pace,) = paces()
    assert sum(allowed(pace.command, 2, now=float(second)) for second in range(1000)) < 1010
    assert not pace.flooding


def test_without_limits_nobody_is_slow_or_flooding(paces: Paces) -> None:
    zero = ("COMMANDS_PER_SECOND", "PERSON_COMMANDS_PER_SECOND", "EPHEMERAL_PER_SECOND")
    (pace,) = paces(**dict.fromkeys(zero, 0))
    assert not any(pace.frame(0.0) for _ in range(5000))
    assert allowed(pace.command, 5000) == allowed(pace.join, 5000) == 5000
    assert not pace.flooding


def test_zero_refusals_means_that_nobody_is_flooding(paces: Paces) -> None:
    (pace,) = paces(FLOOD_REFUSALS=0)
    assert allowed(pace.command, 5000) == 3
    assert not pace.flooding


def test_who_floods_may_return_twice_within_ten_minutes_on_whatever_connection(paces: Paces) -> None:
    first, second = paces(2)
    assert [first.may_return(0.0), second.may_return(1.0), first.may_return(2.0)] == [True, True, False]
    assert first.may_return(400.0)
