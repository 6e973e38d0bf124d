"""Being asked to stop: it is heard before the server acts on it, and the server acts on it all the same."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from realtime.leaving import Notice

ASKED = signal.SIGTERM


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_it_is_told_first_and_the_server_hears_it_too() -> None:
    heard: list[str] = []

    def server(number: int, frame: FrameType | None) -> None:
        heard.append("server")

    signal.signal(ASKED, server)

    def tell() -> bool:
        heard.append("told")
        return waits

    waits = False
    notice = Notice(tell)
    signal.raise_signal(ASKED)
    assert heard == ["told", "server"]
    waits = True
    signal.raise_signal(ASKED)
    assert heard[2:] == ["told"], "the server is to wait"
    notice.pass_on()
    notice.pass_on()
    assert heard[3:] == ["server"]
    notice.withdraw()
    assert signal.getsignal(ASKED) is server


def test_who_asks_twice_does_not_wait() -> None:
    heard: list[str] = []
    signal.signal(ASKED, lambda number, frame: heard.append("server"))
    notice = Notice(lambda: True)
    signal.raise_signal(ASKED)
    assert heard == []
    signal.raise_signal(ASKED)
    assert heard == ["server"]
    notice.withdraw()
    assert heard == ["server"]


def test_a_signal_that_waits_is_not_forgotten() -> None:
    heard: list[str] = []
    signal.signal(ASKED, lambda number, frame: heard.append("server"))
    notice = Notice(lambda: True)
    signal.raise_signal(ASKED)
    notice.withdraw()
    assert heard == ["server"]


def test_the_server_hears_it_even_where_telling_fails() -> None:
    heard: list[str] = []
    signal.signal(ASKED, lambda number, frame: heard.append("server"))

    def fail() -> bool:
        raise RuntimeError

    notice = Notice(fail)
    with pytest.raises(RuntimeError):
        signal.raise_signal(ASKED)
    assert heard == ["server"]
    notice.withdraw()


def test_a_signal_that_the_process_ignores_is_left_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard: list[str] = []
    notice = Notice(lambda: bool(heard.append("told")))
    signal.raise_signal(signal.SIGINT)
    assert (heard, signal.getsignal(signal.SIGINT)) == ([], signal.SIG_IGN)
    notice.withdraw()


def test_who_set_a_handler_later_keeps_it() -> None:
    notice = Notice(lambda: False)
    signal.signal(ASKED, signal.SIG_IGN)
    notice.withdraw()
    assert signal.getsignal(ASKED) == signal.SIG_IGN
