"""Who waits for how long before a request is whole, and who goes where too many do."""

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from realtime import metrics
from realtime.servers import unfinished
from realtime.servers.daphne_requests import Channel
from realtime.servers.unfinished import Unfinished
from realtime.servers.uvicorn_requests import HTTPProtocol

SECONDS = 10.0
MOST = 3


class FakeLoop:
    """Its clock stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[tuple[Any, ...]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> object:
        self.timers.append((when, call))
        return object()

    def call_later(self, seconds: float, call: Callable[[], None]) -> object:
        return self.call_at(self.now + seconds, call)

    def call_soon(self, call: Any, *arguments: Any) -> None:
        self.soon.append((call, *arguments))

    def turn(self) -> None:
        """Call what is to be called in this turn."""
        calls, self.soon = self.soon, []
        for call, *arguments in calls:
            call(*arguments)

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, call in due:
            call()


class Line:
    def __init__(self) -> None:
        self.open = True

        self.aborted = False

    def cut(self) -> None:
        self.open = False

    def abort(self) -> None:
        self.aborted = True


def made() -> tuple[FakeLoop, Unfinished]:
    loop = FakeLoop()
    return loop, Unfinished(loop, MOST, SECONDS)  # type: ignore[arg-type]


def opened(count: int) -> list[Line]:
    return [Line() for _ in range(count)]


@pytest.fixture(autouse=True)
def dropped(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    counted: Counter[str] = Counter()
    monkeypatch.setattr(metrics, "drops", SimpleNamespace(add=lambda value: counted.update([value])))
    return counted


def test_whose_time_is_over_is_cut_however_often_it_says_something(dropped: dict[str, int]) -> None:
    loop, waiting = made()
    slow, later = opened(2)
    waiting.begin(slow)
    for _ in range(6):
        loop.go_on(1)
        waiting.begin(slow)
    waiting.begin(later)
    loop.go_on(3.9)
    assert (slow.open, later.open) == (True, True)
    loop.go_on(0.1)
    assert (slow.open, later.open) == (False, True)
    loop.go_on(6)
    assert not later.open
    assert dropped == {"slow_request": 2}


def test_one_timer_is_enough_and_none_is_left_when_nobody_waits() -> None:
    loop, waiting = made()
    lines = opened(MOST)
    for line in lines:
        waiting.begin(line)
        loop.go_on(1)
        assert len(loop.timers) == 1
    for line in lines:
        waiting.end(line)
    loop.go_on(SECONDS)
    assert all(line.open for line in lines)
    assert loop.timers == []


def test_what_has_not_left_a_moment_after_a_cut_never_will() -> None:
    loop, waiting = made()
    (line,) = opened(1)
    waiting.begin(line)
    loop.go_on(SECONDS)
    assert (line.open, line.aborted) == (False, False)
    loop.go_on(1)
    assert line.aborted


def test_where_too_many_wait_the_oldest_goes(dropped: dict[str, int]) -> None:
    loop, waiting = made()
    lines = opened(MOST + 2)
    for line in lines:
        waiting.begin(line)
    loop.turn()
    loop.turn()
    assert [line.open for line in lines] == [False, False, True, True, True]
    assert dropped == {"crowded_out": 2}


def test_of_a_crowd_that_comes_at_once_nobody_goes_whose_request_is_there(dropped: dict[str, int]) -> None:
    """They are let in together, and what they have sent is read in the turn after."""
    loop, waiting = made()
    lines = opened(10 * MOST)
    for line in lines:
        waiting.begin(line)
    loop.turn()
    for line in lines:
        waiting.end(line)
    loop.turn()
    assert all(line.open for line in lines)
    assert dropped == {}


def test_who_rests_after_an_answer_goes_first_and_has_all_the_time_that_the_server_gives() -> None:
    loop, waiting = made()
    waits, rests, *more = opened(MOST + 1)
    waiting.begin(waits)
    waiting.rest(rests)
    loop.go_on(SECONDS - 1)
    assert rests.open
    for line in more:
        waiting.begin(line)
    loop.turn()
    loop.turn()
    assert (waits.open, rests.open) == (True, False)


def test_bodies_have_all_the_time_and_take_nobody_elses_place(dropped: dict[str, int]) -> None:
    loop, waiting = made()
    uploads = opened(MOST + 1)
    (line,) = opened(1)
    for upload in uploads:
        waiting.begin(upload)
        waiting.under_way(upload)
        loop.go_on(2 * SECONDS)
        waiting.under_way(upload)
    waiting.begin(line)
    loop.turn()
    loop.turn()
    assert line.open
    assert [upload.open for upload in uploads] == [False, True, True, True]
    assert dropped == {"crowded_out": 1}


def test_who_begins_again_after_a_body_is_counted_once_and_its_next_body_has_all_the_time(
    dropped: dict[str, int],
) -> None:
    """As after an answer that came before the body was whole."""
    loop, waiting = made()
    (upload,) = opened(1)
    waiting.under_way(upload)
    waiting.begin(upload)
    waiting.under_way(upload)
    loop.go_on(2 * SECONDS)
    assert upload.open
    waiting.begin(upload)
    loop.go_on(SECONDS)
    assert not upload.open
    assert dropped == {"slow_request": 1}


def test_of_too_many_bodies_the_oldest_is_cut_though_nobody_begins_anything_meanwhile() -> None:
    loop, waiting = made()
    uploads = opened(MOST + 1)
    for upload in uploads:
        waiting.under_way(upload)
    loop.turn()
    loop.turn()
    assert [upload.open for upload in uploads] == [False, True, True, True]


def test_who_begins_again_after_a_rest_has_its_time_from_then_on() -> None:
    loop, waiting = made()
    (line,) = opened(1)
    waiting.rest(line)
    loop.go_on(100)
    waiting.begin(line)
    loop.go_on(SECONDS - 1)
    assert line.open
    loop.go_on(1)
    assert not line.open


@pytest.mark.parametrize(
    ("files", "most"), [(1024, 128), (256, 32), (3, 1), (131_072, 10_000), (resource.RLIM_INFINITY, 10_000)]
)
async def test_they_have_an_eighth_of_the_files_that_a_process_may_open(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (files, files))
    unfinished._known.clear()
    assert unfinished.here()._most == most
    assert unfinished.here() is unfinished.here()


@pytest.mark.parametrize(
    ("left", "stuck", "called"), [(0, False, "abort"), (1000, False, "close"), (100_000, True, "abort")]
)
def test_uvicorn_lets_the_last_of_an_answer_leave_first(left: int, stuck: bool, called: str) -> None:
    transport = Mock(**{"get_write_buffer_size.return_value": left})
    HTTPProtocol.cut(Mock(transport=transport, flow=Mock(write_paused=stuck)))
    assert [name for name, *_ in transport.method_calls if name != "get_write_buffer_size"] == [called]


@pytest.mark.parametrize(("stuck", "called"), [(False, "loseConnection"), (True, "abortConnection")])
def test_daphne_waits_for_no_goodbye_of_tls_and_not_for_who_does_not_read(stuck: bool, called: str) -> None:
    plain = Mock(spec=["loseConnection", "abortConnection"])
    channel = Channel()
    channel.transport = Mock(spec=["loseConnection", "transport"], transport=plain)
    channel._waitingForTransport = stuck
    channel.cut()
    assert [name for name, *_ in channel.transport.method_calls] == [f"transport.{called}"]


def test_what_went_on_as_http2_is_left_alone() -> None:
    channel = Channel()
    channel.transport = Mock(negotiatedProtocol=b"h2")
    channel.cut()
    channel.abort()
    assert channel.transport.method_calls == []
