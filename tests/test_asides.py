"""What comes beside messages. Time is an argument."""

from realtime.servers.asides import Asides


def begun(asides: Asides, count: int, now: float) -> bool:
    """Whether a flood begins with one of so many, which come at once."""
    return [asides.begin_to_flood(now) for _ in range(count)].count(True) == 1


def test_as_many_come_at_once_as_a_message_may_have_and_then_a_hundred_a_second() -> None:
    asides = Asides()
    assert not begun(asides, 128, 0.0)
    assert not begun(asides, 100, 1.0)
    assert begun(asides, 1, 1.0)


def test_a_flood_begins_once_and_goes_on() -> None:
    asides = Asides()
    assert begun(asides, 129, 0.0)
    assert not begun(asides, 1, 1000.0)
    assert asides.flooding


def test_who_sends_a_few_for_ever_is_never_too_fast() -> None:
    asides = Asides()
    assert not any(asides.begin_to_flood(number / 90) for number in range(10_000))
    assert not asides.flooding
