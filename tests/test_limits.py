"""The token bucket."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.limits import Bucket


def test_a_burst_goes_through_and_then_the_rate_holds() -> None:
    bucket = Bucket(rate=2.0, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(0.49) > 0
    assert bucket.take(0.5) == 0.0


def test_waiting_as_long_as_it_says_is_enough() -> None:
    bucket = Bucket(rate=0.3, burst=1, now=0.0)
    bucket.take(0.0)
    wait = bucket.take(1.0)
    assert bucket.take(1.0 + wait + 1e-9) == 0.0


def test_idling_does_not_save_up_more_than_a_burst() -> None:
    bucket = Bucket(rate=100.0, burst=2, now=0.0)
    assert [bucket.take(3600.0) == 0.0 for _ in range(3)] == [True, True, False]


def test_a_rate_of_zero_allows_everything() -> None:
    bucket = Bucket(rate=0.0, burst=1, now=0.0)
    assert not any(bucket.take(0.0) for _ in range(1000))


def test_a_clock_that_steps_back_gives_nothing_and_breaks_nothing() -> None:
    bucket = Bucket(rate=1.0, burst=1, now=100.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take(50.0) == 1.0


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 2, allow_subnormal=False), max_size=80),
)
def test_no_more_is_allowed_than_the_burst_and_the_rate_over_time(rate: float, burst: int, steps: list[float]) -> None:
    bucket, now, taken = Bucket(rate, burst, 0.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now) == 0.0
        assert taken <= burst + rate * now + 1e-6
