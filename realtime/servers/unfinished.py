"""Connections whose request is not whole are bounded in number, and as long as its headers are not whole in time, too.

Each costs a process a file, and so do those that wait between requests. Who means well sends headers along with the connection.
So where too many wait it is the oldest who goes, those first who were answered already. Bodies may take long, and so may answers
that are too large to be read at once: these are counted apart. All this takes no addresses, and so holds behind a proxy. Nothing
of it stays with a connection that becomes a WebSocket.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from realtime import conf, files, metrics

_LAST_SECONDS = 1.0  # for what is on its way to who is cut; a transport alone would wait for ever


class Line(Protocol):
    """A server's side of one connection."""

    def cut(self) -> None:
        """Close it, at once where nothing is on its way to the client."""
        ...

    def abort(self) -> None:
        """Close it, whatever is on its way."""
        ...


class Unfinished:
    """`begin` is called when somebody connects or begins another request, `end` when that is whole or the line is lost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int, seconds: float) -> None:
        self._loop = loop
        self._most = most
        self._seconds = seconds
        self._begun: dict[Line, float] = {}  # in order of their deadlines
        self._resting: dict[Line, None] = {}
        self._under_way: dict[Line, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._relieving = False

    def begin(self, line: Line) -> None:
        """Give it its time, unless that runs already."""
        if line in self._begun:
            return
        self.end(line)
        self._begun[line] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._cut_late)
        self._relieve_soon()

    def rest(self, line: Line) -> None:
        """Count it while it has an answer and asks nothing more, for which the server has a time of its own."""
        self.end(line)
        self._resting[line] = None
        self._relieve_soon()

    def under_way(self, line: Line) -> None:
        """Count it while a body comes, or an answer does not leave. How long that may take is the site's matter, or a proxy's."""
        if line not in self._under_way:
            self.end(line)
            self._under_way[line] = None
            self._relieve_soon()

    def end(self, line: Line) -> None:
        self._begun.pop(line, None)
        self._resting.pop(line, None)
        self._under_way.pop(line, None)

    def _cut_late(self) -> None:
        self._timer = None
        while self._begun:
            line, deadline = next(iter(self._begun.items()))
            if deadline > self._loop.time():
                self._timer = self._loop.call_at(deadline, self._cut_late)
                return
            self._cut(line)
            metrics.drops.add(value="slow_request")

    def _relieve_soon(self) -> None:
        """Look again after the next read of all sockets: of those who have just come, many a request is there already."""
        if not self._relieving and self._too_many:
            self._relieving = True
            self._loop.call_soon(self._loop.call_soon, self._relieve)

    def _relieve(self) -> None:
        self._relieving = False
        while lines := self._too_many:
            self._cut(next(iter(lines)))
            metrics.drops.add(value="crowded_out")

    @property
    def _too_many(self) -> dict[Line, Any] | None:
        """Return where somebody has to go from, if anywhere."""
        if len(self._begun) + len(self._resting) > self._most:
            return self._resting or self._begun
        return self._under_way if len(self._under_way) > self._most else None

    def _cut(self, line: Line) -> None:
        self.end(line)
        line.cut()
        self._loop.call_later(_LAST_SECONDS, line.abort)


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, Unfinished] = WeakKeyDictionary()


def here() -> Unfinished:
    """Return those of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _known:
        settings = conf.current()
        most = files.bounded(settings.MAX_UNFINISHED_REQUESTS, files.REQUESTS)
        _known[loop] = Unfinished(loop, most, settings.REQUEST_HEADER_SECONDS)
    return _known[loop]
