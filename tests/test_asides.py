"""What comes beside messages. Time is an argument."""

from realtime.servers.asides import Asides


def test_as_many_come_at_once_as_a_message_may_have_and_then_a_hundred_a_second() -> None:
    asides = Asides()
    assert [asides.too_many(0.0) for _ in range(138)].count(True) == 10
    assert [asides.too_many(2.0) for _ in range(138)].count(True) == 10


def test_who_sends_a_few_for_ever_is_never_too_fast() -> None:
    asides = Asides()
    assert not any(asides.too_many(number / 90) for number in range(10_000))
