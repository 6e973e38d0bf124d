"""Who does not read an answer: nothing of it leaves."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from realtime import metrics
from realtime.servers.unread import Unread

SECONDS = 10.0


class Line:
    """Something of an answer is `left`, and time passes when it is told to."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.timers: list[tuple[Any, Any]] = []
        self.transport = Mock(get_write_buffer_size=lambda: self.left)
        self.unread = Unread(self, self.transport, SECONDS)  # type: ignore[arg-type]
        self.unread.begin()

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> Any:
        assert seconds == SECONDS
        timer = (call, arguments)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer) if timer in self.timers else None)

    def later(self, left: int) -> bool:
        """Return whether the line is there yet when its time is over, with so much left."""
        self.left = left
        timers, self.timers = self.timers, []
        for call, arguments in timers:
            call(*arguments)
        return not self.transport.abort.called


@pytest.fixture(autouse=True)
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "drops", SimpleNamespace(add=lambda value: counted.append(value)))
    return counted


def test_a_line_from_which_nothing_leaves_is_cut(dropped: list[str]) -> None:
    assert not Line(1000).later(1000)
    assert dropped == ["unread"]


def test_who_reads_slowly_is_waited_for_until_nothing_leaves_any_more() -> None:
    line = Line(1000)
    assert line.later(999)
    assert line.later(500)
    assert not line.later(500)


def test_nothing_is_looked_at_where_all_has_left_or_more_is_about_to_be_written() -> None:
    assert Line(0).timers == []
    line = Line(1000)
    assert line.later(0)
    assert line.timers == []
    line = Line(1000)
    line.unread.end()
    assert line.timers == []
