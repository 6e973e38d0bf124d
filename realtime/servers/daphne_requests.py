"""What daphne does not bound: requests that are begun and not ended. Twisted's own time for one starts anew with every byte.

A channel of ours takes the place of Twisted's, where a factory of daphne's makes one that looks as expected. It counts from the
first byte of a TLS handshake, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from daphne.http_protocol import HTTPFactory
from twisted.web.http import HTTPChannel

from realtime import conf, metrics
from realtime.servers import unfinished
from realtime.servers.unread import MOST_BEHIND


def bound_when_running() -> None:
    """Have the daphne that is about to start in this process bound requests. To be called before it runs."""
    reactor: Any = sys.modules["twisted.internet.reactor"]
    reactor.callWhenRunning(_bound, reactor)


def _bound(reactor: Any) -> None:
    """Look for daphne among what listens: nothing else leads to it before somebody connects."""
    if not conf.current().FAST_LANES:
        return
    for reader in reactor.getReaders():
        factory = getattr(reader, "factory", None)
        factory = getattr(factory, "wrappedFactory", factory)  # with TLS
        if isinstance(factory, HTTPFactory):
            factory.protocol = partial(_made, factory.protocol)


def _made(make: Callable[[], Any]) -> Any:
    protocol = make()
    if type(getattr(protocol, "_channel", None)) is HTTPChannel:
        protocol._channel = Channel()
    return protocol


_Twisteds: Any = HTTPChannel  # hardly annotated


class Channel(_Twisteds):  # type: ignore[misc]
    """Twisted's, and says when it waits for a request."""

    _behind = 0  # answers that were given since the client had read all

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        super().connectionMade()
        self._unfinished = unfinished.here()
        self._unfinished.begin(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        if not self.requests:
            self._unfinished.begin(self)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        self._unfinished.under_way(self)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:  # noqa: N802 - Twisted's name
        self._unfinished.end(self)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802 - Twisted's name
        self._unfinished.rest(self)
        self._behind += self._waitingForTransport
        if self._behind > MOST_BEHIND:
            self._behind = 0
            self._dataBuffer.clear()  # or all that is there would be asked yet
            metrics.drops.add(value="pipelined")
            self.abort()
        super().requestDone(request)

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._behind = 0
        super().resumeProducing()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        self._unfinished.end(self)
        super().connectionLost(reason)

    def cut(self) -> None:
        """Close the line, once the last of an answer has left, and without a goodbye of TLS, which would be waited for.

        Unless it went on as HTTP/2, of which this class hears nothing (and which takes packages that daphne comes without).
        """
        if self._waitingForTransport:
            self.abort()
        elif not self._speaks_http2:
            self._plain.loseConnection()

    def abort(self) -> None:
        if not self._speaks_http2:
            self._plain.abortConnection()

    @property
    def _speaks_http2(self) -> bool:
        return getattr(self.transport, "negotiatedProtocol", None) == b"h2"

    @property
    def _plain(self) -> Any:
        """The transport under TLS, if there is any."""
        return getattr(self.transport, "transport", self.transport)
