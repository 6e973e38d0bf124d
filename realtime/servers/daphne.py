"""The fast lane into daphne, which offers no backpressure of its own: without this, what a client does not read piles up.

daphne hands the application a `send` that is bound to its Twisted protocol. Where that is so, frames are written to the
protocol's transport, and Twisted's producer interface says when it holds enough. Where anything looks different, there is no
wire, and frames go through ASGI `send`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol as Autobahn
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


def wire(send: Any) -> Wire | None:
    """Return the wire under daphne's `send`, or None."""
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    if not isinstance(protocol, WebSocketProtocol) or not hasattr(protocol.transport, "registerProducer"):
        return None
    return Wire(protocol)


@implementer(IPushProducer)
class Wire:
    """Writes to the transport of a WebSocket that is open, and is paused while its buffer is full."""

    __slots__ = ("_protocol", "on_resume", "paused")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.paused = False
        self.on_resume: Callable[[], None] = lambda: None
        protocol.transport.unregisterProducer()
        protocol.transport.registerProducer(self, True)

    @property
    def usable(self) -> bool:
        return self._open and not self._protocol.websocket_extensions_in_use

    @property
    def _open(self) -> bool:
        return bool(self._protocol.state == Autobahn.STATE_OPEN)

    def write(self, packet: bytes) -> None:
        if self._open:
            self._protocol.transport.write(packet)

    # Twisted's IPushProducer

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = True

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = False
        self.on_resume()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = True
