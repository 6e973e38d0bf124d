"""The order of a room, whatever the bus does to it."""

import random

from hypothesis import given
from hypothesis import strategies as st

from realtime.feed import Feed
from realtime.protocol import Frame
from tests.support.fakes import event

LOG = [event(seq) for seq in range(1, 41)]


def feed(position: int = 0, max_events: int = 100, max_bytes: int = 1_000_000) -> Feed:
    return Feed(position, max_events, max_bytes)


def seqs(frames: list[Frame] | None) -> list[int]:
    assert frames is not None
    return [frame.seq for frame in frames]


def after(seq: int, count: int = 7) -> list[Frame]:
    """A page of the log."""
    return LOG[seq : seq + count]


def test_the_next_event_is_handed_on() -> None:
    it = feed()
    assert seqs(it.take(LOG[:2])) == [1, 2]
    assert (it.position, it.behind) == (2, False)


def test_an_event_seen_twice_is_handed_on_once() -> None:
    it = feed()
    assert seqs(it.take([LOG[0], LOG[0]])) == [1]
    assert it.take([LOG[0]]) == []


def test_an_early_event_waits_for_those_before_it() -> None:
    it = feed()
    assert it.take([LOG[1], LOG[2]]) == []
    assert (it.behind, it.target) == (True, 3)
    assert seqs(it.take([LOG[0]])) == [1, 2, 3]
    assert not it.behind


def test_hearing_of_a_head_is_enough_to_know_that_something_is_missing() -> None:
    it = feed(4)
    it.expect(6)
    assert it.behind
    it.expect(5)
    assert it.target == 6


def test_early_events_past_the_bound_are_let_go_of_but_not_forgotten() -> None:
    it = feed(max_events=2)
    assert it.take([LOG[1], LOG[2], LOG[3]]) == []
    assert it.target == 4
    assert seqs(it.take([LOG[0]])) == [1, 2, 3]
    assert it.behind


def test_early_events_are_bounded_in_bytes_too() -> None:
    it = feed(max_bytes=len(LOG[1].body) + len(LOG[2].body))
    assert it.take([LOG[1], LOG[2], LOG[3]]) == []
    assert seqs(it.take([LOG[0]])) == [1, 2, 3]
    assert it.target == 4


@given(data=st.data(), lost=st.sets(st.integers(1, 40)), twice=st.sets(st.integers(1, 40)), bound=st.integers(1, 12))
def test_every_event_is_handed_on_once_and_in_order_whatever_the_bus_does(
    data: st.DataObject, lost: set[int], twice: set[int], bound: int
) -> None:
    """Any order, repetition and loss, with pages of the log read at any moment, which may be stale when they come."""
    rung = data.draw(
        st.permutations([frame for frame in LOG if frame.seq not in lost] + [LOG[seq - 1] for seq in twice])
    )
    it, out = feed(max_events=bound), list[int]()
    for chance in data.draw(st.lists(st.sampled_from(["ring", "page", "stale page"]), max_size=90)):
        if chance == "ring" and rung:
            out += seqs(it.take([rung.pop()]))
        elif chance == "page" and it.behind:
            out += seqs(it.take(after(it.position)))
        elif chance == "stale page":
            out += seqs(it.take(after(max(0, it.position - 3))))
    it.expect(40)
    while it.behind:
        out += seqs(it.take(after(it.position)))
    assert out == list(range(1, 41))


def test_those_who_come_back_are_served_from_memory() -> None:
    it = feed()
    it.take(LOG[:5])
    assert seqs(it.after(3)) == [4, 5]
    assert it.after(5) == []
    assert it.after(99) == []


def test_memory_says_when_it_does_not_go_back_so_far() -> None:
    it = feed(max_events=3)
    it.take(LOG[:5])
    assert it.first_recent == 3
    assert seqs(it.after(2)) == [3, 4, 5]
    assert it.after(1) is None


def test_memory_is_bounded_by_bytes_too() -> None:
    it = feed(max_bytes=2 * len(LOG[0].body))
    it.take(LOG[:5])
    assert it.first_recent == 4


def test_an_event_larger_than_the_memory_is_handed_on_all_the_same() -> None:
    it = feed(max_bytes=10)
    assert seqs(it.take(LOG[:2])) == [1, 2]
    assert (it.first_recent, it.after(1)) == (3, None)


def test_what_was_read_from_the_log_is_put_in_front_as_far_as_it_adjoins_and_fits() -> None:
    it = feed(5, max_events=4)
    it.take(LOG[5:7])
    it.backfill(LOG[:3])
    assert it.first_recent == 6
    it.backfill(LOG[:6])
    assert it.first_recent == 4
    assert seqs(it.after(3)) == [4, 5, 6, 7]


def test_what_has_left_the_log_leaves_memory() -> None:
    it = feed()
    it.take(LOG[:5])
    it.forget(3)
    assert it.after(2) is None
    assert seqs(it.after(3)) == [4, 5]
    it.forget(99)
    assert (it.first_recent, it.position) == (6, 5)


def test_a_jump_goes_on_from_there() -> None:
    it = feed()
    it.take([LOG[0], LOG[4], LOG[9]])
    it.jump(9)
    assert it.after(1) is None
    assert seqs(it.take([LOG[4], LOG[10], LOG[9]])) == [10, 11]


@given(chance=st.integers().map(random.Random), bound=st.integers(1, 10))
def test_memory_never_has_a_hole(chance: random.Random, bound: int) -> None:
    it = feed(max_events=bound)
    for _ in range(60):
        step = chance.choice(["take", "take", "forget", "backfill"])
        if step == "take":
            it.take(chance.sample(LOG, 3))
        elif step == "forget":
            it.forget(chance.randint(0, it.position))
        else:
            it.backfill(after(max(0, it.first_recent - 5), 4))
        kept = it.after(it.first_recent - 1)
        assert seqs(kept) == list(range(it.first_recent, it.position + 1))
        assert len(kept or ()) <= bound
