"""Who does not read an answer: nothing of it leaves."""

import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from realtime import metrics
from realtime.servers import unread
from realtime.servers.unread import Unread, not_arrived
from tests.support.waiting import until

SECONDS = 10.0


class Line:
    """Something of an answer is `left`, or has left and not arrived, and time passes when it is told to."""

    def __init__(self, left: int, not_arrived: int = 0) -> None:
        self.left = left
        self.not_arrived = not_arrived
        self.timers: list[tuple[Any, Any]] = []
        self.transport = Mock(get_write_buffer_size=lambda: self.left, get_extra_info=lambda name: self)
        self.unread = Unread(self, self.transport, SECONDS)  # type: ignore[arg-type]
        self.unread.begin()

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> Any:
        assert seconds == SECONDS
        timer = (call, arguments)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer) if timer in self.timers else None)

    def later(self, left: int, not_arrived: int = 0) -> bool:
        """Return whether the line is there yet when its time is over, with so much left."""
        self.left, self.not_arrived = left, not_arrived
        timers, self.timers = self.timers, []
        for call, arguments in timers:
            call(*arguments)
        return not self.transport.abort.called


@pytest.fixture(autouse=True)
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "drops", SimpleNamespace(add=lambda value: counted.append(value)))
    monkeypatch.setattr(unread, "not_arrived", lambda line: line.not_arrived)
    return counted


def test_a_line_from_which_nothing_leaves_is_cut(dropped: list[str]) -> None:
    assert not Line(1000).later(1000)
    assert dropped == ["unread"]


def test_who_reads_slowly_is_waited_for_until_nothing_leaves_any_more() -> None:
    line = Line(1000)
    assert line.later(999)
    assert line.later(500)
    assert not line.later(500)


def test_who_reads_what_the_system_holds_is_waited_for_though_nothing_leaves_us() -> None:
    line = Line(1000, not_arrived=5000)
    assert line.later(1000, not_arrived=4999)
    assert not line.later(1000, not_arrived=4999)


def test_the_system_says_what_has_not_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            ours.setblocking(False)
            with suppress(BlockingIOError):
                while ours.send(bytes(100_000)):
                    pass
            before = not_arrived(ours)
            assert before > 100_000
            theirs.recv(before * 4, socket.MSG_WAITALL | socket.MSG_DONTWAIT)
            until(lambda: not_arrived(ours) < before, 5, "some of it has arrived")
    assert not_arrived(ours) == 0


def test_nothing_is_looked_at_where_all_has_left_or_more_is_about_to_be_written() -> None:
    assert Line(0).timers == []
    line = Line(1000)
    assert line.later(0)
    assert line.timers == []
    line = Line(1000)
    line.unread.end()
    assert line.timers == []
