"""How fast one client may go. Time is an argument."""

import heapq
import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from pytest_django import Settings

from realtime import conf
from realtime.allowances import Allowances
from realtime.auth import Person
from realtime.errors import RateLimited
from realtime.limits import Bucket
from realtime.pace import Pace, _Told

ALICE = Person("user:7", "alice", user_pk="7")

# Small numbers, with which each limit is the first to be met somewhere.
FEW = {
    "COMMANDS_PER_SECOND": 1.0, "COMMANDS_BURST": 3, "PERSON_COMMANDS_PER_SECOND": 1.0, "PERSON_COMMANDS_BURST": 5,
    "EPHEMERAL_PER_SECOND": 1.0, "EPHEMERAL_BURST": 4, "MAX_ROOMS": 7, "FLOOD_REFUSALS": 10,
}  # fmt: skip

Paces = Callable[..., list[Pace]]
Defaults = Callable[[int], list[Pace]]
Answer = Callable[[float], None]


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


def refused_for(pace: Pace, now: float, room_pk: int = 1, room: Bucket | None = None) -> float:
    """Send a command; the `retry_after` of its refusal, or 0.0 where there is none."""
    try:
        pace.command(now, room_pk, room)
    except RateLimited as refusal:
        return refusal.retry_after or 0.0
    return 0.0


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
        allowed(lambda now: first.command(now, 1, rooms[0]), 3)
        + allowed(lambda now: second.command(now, 1, rooms[1]), 3)
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


# So many come that should not have come yet, before a client is flooding: what was on its way, and what a person may send.
FORGIVEN = 32 + 10


def test_who_is_refused_again_and_again_is_flooding(paces: Paces) -> None:
    (pace,) = paces()
    assert allowed(pace.command, 3 + 1 + FORGIVEN) == 3
    assert not pace.flooding
    assert allowed(pace.command, 1) == 0
    assert pace.flooding


def test_who_is_held_up_again_and_again_is_flooding(paces: Paces) -> None:
    (pace,) = paces()
    for _ in range(19 + FORGIVEN):
        pace.frame(0.0)
    assert not pace.flooding
    pace.frame(0.0)
    assert pace.flooding


def test_who_is_refused_on_many_connections_is_flooding_on_each_that_goes_on(paces: Paces) -> None:
    *some, other, last = paces(5)
    assert sum(allowed(pace.command, 2 + 1 + 32 + 3) for pace in some) == 5
    assert not any(pace.flooding for pace in some)
    assert not allowed(other.command, 1 + 32 + 1 + 1)
    assert other.flooding
    assert not last.flooding


def test_who_waits_as_long_as_it_was_told_may_be_refused_for_ever(paces: Paces) -> None:
    *greedy, pace = paces(3)
    now = 0.0
    for _ in range(100):
        for other in greedy:
            allowed(other.command, 50, now)
        now += refused_for(pace, now)
    assert greedy[0].flooding
    assert not pace.flooding


def test_a_shorter_time_to_wait_takes_nothing_from_the_one_before() -> None:
    told = _Told(7, 0.0)
    assert not told.wait(1, 0.0, 10.0)
    assert told.wait(1, 1.0, 0.5)
    assert told.wait(1, 5.0, 0.5)
    assert not told.wait(1, 11.0, 0.5)


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
    assert [first.may_return(0.0), second.may_return(100.0), first.may_return(200.0)] == [True, True, False]
    assert first.may_return(500.0)


def test_all_that_is_closed_within_half_a_minute_is_one_time(paces: Paces) -> None:
    everyone = paces(50)
    for begun, may_return in ((0.0, True), (30.0, True), (60.0, False)):
        assert {pace.may_return(begun + number / 2) for number, pace in enumerate(everyone)} == {may_return}


# Whole floods, and those that are none


class Time:
    """What is to happen, and when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, do))

    def run(self, seconds: float) -> None:
        while self._due and self._due[0][0] < seconds:
            self.now, _, do = heapq.heappop(self._due)
            do()


class Line:
    """A connection: frames get there a moment later and are read one after the other, each when the one before is done with."""

    def __init__(self, time: Time, pace: Pace, room: Bucket | None = None) -> None:
        self.time = time
        self.pace = pace
        self._room = room
        self._came: deque[tuple[int, Answer]] = deque()
        self._busy = False

    def send(self, answer: Answer, room_pk: int = 1) -> None:
        """`answer` is called with the `retry_after`, which is 0.0 when there is none."""
        self.time.after(0.04, lambda: self._arrive(room_pk, answer))

    def _arrive(self, room_pk: int, answer: Answer) -> None:
        self._came.append((room_pk, answer))
        if not self._busy:
            self._read()

    def _read(self) -> None:
        self._busy = bool(self._came)
        if self._came:
            self.time.after(self.pace.frame(self.time.now, 150), self._take)

    def _take(self) -> None:
        room_pk, answer = self._came.popleft()
        wait = refused_for(self.pace, self.time.now, room_pk, self._room)
        self.time.after(0.04, lambda: answer(math.ceil(wait * 1000) / 1000))
        self._read()


class Tab:
    """A page that has messages to send to a room, and does it as `outbox.js` does."""

    def __init__(self, line: Line, messages: int, random: Random, room_pk: int = 1) -> None:
        self.waiting = dict.fromkeys(range(messages), 0)  # how often each was refused
        self.lost = 0
        self._line = line
        self._random = random
        self._room_pk = room_pk
        self._flying: set[int] = set()
        self._window = 16.0
        self._until = 0.0
        line.time.after(random.random() * 0.3, self._pump)

    def _pump(self) -> None:
        for key in list(self.waiting):
            if self._until > self._line.time.now or len(self._flying) >= int(self._window):
                return
            if key not in self._flying:
                self._flying.add(key)
                self._line.send(lambda wait, key=key: self._answered(key, wait), self._room_pk)  # type: ignore[misc]

    def _answered(self, key: int, wait: float) -> None:
        self._flying.discard(key)
        if not wait:
            del self.waiting[key]
            self._window = min(16.0, self._window + 1 / self._window)
        elif self.waiting[key] == 5:
            del self.waiting[key]
            self.lost += 1
        else:
            self._hold(wait + self._random.random() * 0.5 * 2 ** self.waiting[key])
            self.waiting[key] += 1
        self._pump()

    def _hold(self, seconds: float) -> None:
        now = self._line.time.now
        if self._until <= now:
            self._window = max(1.0, self._window / 2)
        if now + seconds > self._until:
            self._until = now + seconds
            self._line.time.after(seconds, self._pump)


@pytest.fixture
def defaults(settings: Settings) -> Defaults:
    """So many connections of one person, with the limits that a site has by itself."""

    def make(count: int) -> list[Pace]:
        settings.REALTIME = {
            "COMMANDS_PER_SECOND": 20, "PERSON_COMMANDS_PER_SECOND": 30, "EPHEMERAL_PER_SECOND": 10,
        }  # fmt: skip
        everyone = Allowances()
        return [Pace(conf.current(), everyone.enter(ALICE, 0.0), 0.0) for _ in range(count)]

    return make


@pytest.mark.parametrize(
    ("tabs", "messages", "lost"),
    [(1, 100, 0), (3, 100, 0), (5, 100, 0), (10, 30, 0), (20, 8, 0), (50, 16, 16), (50, 50, 50)],
)
def test_however_many_tabs_have_however_much_to_send_none_is_flooding_and_it_gets_there(
    defaults: Defaults, tabs: int, messages: int, lost: int
) -> None:
    """With fifty, one or two messages of a hundred are refused more often than their page puts up with."""
    time, random = Time(), Random(f"{tabs} {messages}")
    paces = defaults(tabs)
    pages = [Tab(Line(time, pace), messages, random) for pace in paces]
    time.run(300.0)
    assert not any(pace.flooding for pace in paces)
    assert not any(page.waiting for page in pages)
    assert sum(page.lost for page in pages) <= lost


@pytest.mark.parametrize(
    ("tabs", "rooms", "messages"), [(1, 10, 30), (3, 10, 30), (10, 10, 10), (1, 100, 16), (5, 20, 20)]
)
def test_nor_are_they_with_many_rooms_each(defaults: Defaults, tabs: int, rooms: int, messages: int) -> None:
    time, random = Time(), Random(f"{tabs} {rooms}")
    paces = defaults(tabs)
    for line in [Line(time, pace) for pace in paces]:
        for room_pk in range(1, rooms + 1):
            Tab(line, messages, random, room_pk)
    time.run(300.0)
    assert not any(pace.flooding for pace in paces)


@pytest.mark.parametrize("tabs", [1, 10])
def test_nor_are_they_when_they_all_come_back_to_a_hundred_rooms(defaults: Defaults, tabs: int) -> None:
    time, random = Time(), Random("joins")
    paces = defaults(tabs)
    joined = 0

    def join(pace: Pace) -> None:
        nonlocal joined
        try:
            pace.join(time.now)
            joined += 1
        except RateLimited as refusal:
            time.after((refusal.retry_after or 0.0) + random.random() * 0.5, lambda: join(pace))

    for pace in paces:
        for _ in range(100):
            join(pace)
    time.run(300.0)
    assert joined == tabs * 100
    assert not any(pace.flooding for pace in paces)


def test_going_from_room_to_room_is_no_way_to_flood(paces: Paces) -> None:
    (pace,) = paces(FLOOD_REFUSALS=1000)
    for room_pk in range(1, 2000):
        refused_for(pace, 0.0, room_pk)
    assert pace.flooding


def test_nor_are_they_in_a_room_that_takes_little(defaults: Defaults) -> None:
    time, random = Time(), Random("little")
    paces = defaults(20)
    for pace in paces:
        Tab(Line(time, pace, pace.room(1, 0.5, 0.0)), 20, random)
    time.run(300.0)
    assert not any(pace.flooding for pace in paces)


@pytest.mark.parametrize("sockets", [1, 10, 50])
def test_a_flood_is_known_within_seconds_on_however_many_sockets(defaults: Defaults, sockets: int) -> None:
    time, paces = Time(), defaults(sockets)

    def flood(line: Line) -> None:
        line.send(lambda wait: None if line.pace.flooding else flood(line))

    for line in [Line(time, pace) for pace in paces]:
        for _ in range(100):
            flood(line)
    time.run(10.0)
    assert all(pace.flooding for pace in paces)


def test_who_sends_three_times_too_fast_and_does_not_mind_is_flooding(defaults: Defaults) -> None:
    (pace,) = defaults(1)
    for number in range(60 * 20):
        allowed(pace.command, 1, now=number / 60)
    assert pace.flooding
