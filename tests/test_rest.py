"""A rest after several at once: as long as they took, and short."""

import pytest

from realtime import rest
from realtime.rest import Rest


class Clock:
    """What a rest takes for the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rest, "time", clock)
    return clock


def after(clock: Clock, count: int, took: float) -> Rest:
    """The rest after so many, which took so long together."""
    it, began = Rest(), clock.now
    clock.now += took
    it.after(count, began)
    return it


def test_before_anything_was_done_there_is_none(clock: Clock) -> None:
    assert Rest().left == 0.0


def test_after_several_it_is_as_long_as_they_took_and_passes(clock: Clock) -> None:
    it = after(clock, 2, 0.004)
    assert it.left == pytest.approx(0.004)
    clock.now += 0.003
    assert it.left == pytest.approx(0.001)
    clock.now += 1.0
    assert it.left == 0.0


def test_it_is_ten_milliseconds_at_most(clock: Clock) -> None:
    assert after(clock, 1000, 5.0).left == pytest.approx(0.010)


def test_after_one_alone_there_is_none_however_long_it_took(clock: Clock) -> None:
    assert after(clock, 1, 5.0).left == 0.0


def test_one_alone_ends_what_was_left(clock: Clock) -> None:
    it = after(clock, 2, 5.0)
    it.after(1, clock.now)
    assert it.left == 0.0
