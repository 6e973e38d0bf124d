"""Hearing that the process is asked to stop, on any server: SIGTERM and SIGINT, before the server acts on them.

The server's own handler is called afterwards, always: when `pass_on` says so, or at the next signal, whichever comes first. A
signal that the process ignores is left ignored. Outside the main thread no handler can be set, and none is.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], Any]


class Notice:
    """Calls `tell` when the process is asked to stop, until it is withdrawn. `tell` is called in the middle of anything.

    It returns whether the signal is to wait for `pass_on`.
    """

    def __init__(self, tell: Callable[[], bool]) -> None:
        self._tell = tell
        self._kept: int | None = None
        self._previous: dict[int, Any] = {}
        self._handler: Handler = self._handle
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._handler)

    def pass_on(self) -> None:
        """Let the server act on the signal that waits, if one does."""
        number, self._kept = self._kept, None
        if number is not None:
            self._act(number, None)

    def withdraw(self) -> None:
        """Put the handlers back, unless somebody has set others since. A signal that waits is passed on."""
        self.pass_on()
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._handler and threading.current_thread() is threading.main_thread():
                signal.signal(number, previous)
        self._previous = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        impatient, waits = self._kept is not None, False
        self._kept = None
        try:
            waits = self._tell() and not impatient
        finally:
            if waits:
                self._kept = number
            else:
                self._act(number, frame)

    def _act(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous.get(number, signal.SIG_DFL)
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
