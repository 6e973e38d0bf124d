"""Token buckets, and how many of a kind."""

from hypothesis import given
from hypothesis import strategies as st

from realtime import limits
from realtime.limits import Bucket, Tally, Turnstile


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


def test_what_is_taken_on_credit_is_paid_back_first() -> None:
    bucket = Bucket(rate=1.0, burst=1, now=0.0)
    for _ in range(3):
        bucket.spend()
    assert bucket.wait(0.0) == 3.0
    assert bucket.wait(3.0) == 0.0


def test_of_several_buckets_each_gives_one() -> None:
    buckets = [Bucket(1.0, 2, 0.0), Bucket(1.0, 3, 0.0)]
    assert [limits.take(buckets, 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_where_one_bucket_is_empty_none_gives_anything_and_the_longest_wait_is_said() -> None:
    full, empty, emptier = Bucket(1.0, 1, 0.0), Bucket(0.5, 1, 0.0), Bucket(0.1, 1, 0.0)
    assert not any(bucket.take(0.0) for bucket in (empty, emptier))
    assert limits.take([full, empty, emptier], 0.0) == 10.0
    assert full.take(0.0) == 0.0


def test_those_who_are_refused_together_are_told_to_come_back_one_after_the_other() -> None:
    bucket = Bucket(rate=2.0, burst=8, now=0.0)
    told = [limits.take([bucket], 0.0) for _ in range(12)][8:]
    assert told == [0.5, 1.0, 1.5, 2.0]
    assert not any(limits.take([bucket], wait) for wait in told)
    assert limits.take([bucket], 2.0) == 0.5


def test_nobody_is_told_to_wait_for_longer_than_until_everything_is_there() -> None:
    bucket = Bucket(rate=2.0, burst=3, now=0.0)
    assert max(limits.take([bucket], 0.0) for _ in range(100)) == 1.5


def test_who_does_not_go_short_of_a_bucket_is_promised_nothing_of_it() -> None:
    short, full = Bucket(1.0, 1, 0.0), Bucket(1.0, 2, 0.0)
    short.spend()
    for _ in range(5):
        limits.take([short, full], 0.0)
    assert [limits.take([full], 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_tally_lets_in_as_many_as_may_be_of_each_name() -> None:
    tally = Tally(2)
    assert [tally.enter("a"), tally.enter("a"), tally.enter("a"), tally.enter("b")] == [True, True, False, True]
    tally.leave("a")
    assert tally.enter("a")


def test_a_tally_without_a_limit_lets_in_any_number() -> None:
    tally = Tally(0)
    assert all(tally.enter("a") for _ in range(1000))


def test_what_has_no_name_is_not_counted() -> None:
    tally = Tally(1)
    assert all(tally.enter(None) for _ in range(10))
    tally.leave(None)
    assert len(tally) == 0


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_a_tally_keeps_nothing_of_those_who_have_left(names: list[str]) -> None:
    tally = Tally(5)
    let_in = [name for name in names if tally.enter(name)]
    for name in let_in:
        tally.leave(name)
    assert len(tally) == 0


def test_who_comes_too_fast_waits_a_little_and_beyond_patience_stays_out() -> None:
    turnstile = Turnstile(rate=2.0, burst=3, patience=1.0)
    came = [turnstile.enter("a", 0.0) for _ in range(7)]
    assert came == [(0.0, True)] * 3 + [(0.5, True), (1.0, True), (1.0, False), (1.0, False)]
    assert turnstile.enter("b", 0.0) == (0.0, True)
    assert turnstile.enter("a", 1.0) == (0.5, True)


def test_of_a_burst_a_few_come_in_at_once_and_the_others_within_two_seconds() -> None:
    turnstile = Turnstile(rate=20.0, burst=100, patience=4.0)
    waits = [turnstile.enter("a", 0.0)[0] for _ in range(100)]
    assert waits[:5] == [0.0] * 5
    assert all(number / 50 <= wait < number / 50 + 0.126 for number, wait in enumerate(waits[5:], 1))
    assert waits[-1] == 2.0


def test_those_who_wait_come_in_together_whatever_their_names() -> None:
    turnstile = Turnstile(rate=20.0, burst=100, patience=4.0)
    moments = {0.1 + turnstile.enter(name, 0.1)[0] for name in "ab" for _ in range(50)}
    assert len(moments) == 1 + 8


def test_no_name_and_no_rate_let_everybody_through_at_once() -> None:
    turnstile, open_door = Turnstile(1.0, 1, 1.0), Turnstile(0.0, 1, 1.0)
    assert {turnstile.enter(None, 0.0) for _ in range(100)} == {(0.0, True)}
    assert {open_door.enter("a", 0.0) for _ in range(100)} == {(0.0, True)}
    assert (len(turnstile), len(open_door)) == (0, 0)


def test_a_turnstile_remembers_the_names_that_came_last() -> None:
    turnstile = Turnstile(1.0, 1, 1.0)
    for number in range(5000):
        turnstile.enter(str(number), 0.0)
    assert len(turnstile) == 2000
    assert turnstile.enter("4999", 0.0) == (1.0, True)
    assert turnstile.enter("0", 0.0) == (0.0, True)
