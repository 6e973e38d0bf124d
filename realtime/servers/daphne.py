"""The fast lane into daphne, which offers no backpressure of its own: without this, what a client does not read piles up, and
so does what it sends.

daphne hands the application a `send` that is bound to its Twisted protocol. Where that is so, frames are written to the
protocol's transport, and Twisted's producer interface says when it holds enough, as it lets the socket be read no faster than
frames are taken. Where anything looks different, frames go through ASGI `send`, and daphne reads as it does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from autobahn.websocket.protocol import WebSocketProtocol as Autobahn
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.tcp import Server
from zope.interface import implementer

from realtime import conf, metrics
from realtime.servers.asides import PAUSE_SECONDS, Asides
from realtime.servers.intake import TOO_BIG, TOO_FAST, Intake, Receive, count_failed


class Home(Protocol):
    """What is waited for: a node."""

    def leave(self) -> None: ...

    def left(self) -> Coroutine[Any, Any, None]: ...


_END_SECONDS = 5.0  # for applications that go on when they are cancelled

_GIVING_UP = 4002
_MOST_FRAGMENTS = 1000  # of a message; empty ones count for nothing in its length

_held: WeakSet[Any] = WeakSet()


def hold(send: Any, home: Home) -> None:
    """Have daphne wait, when it stops, until `home` has left and its applications have ended.

    By itself it ends none of them where any request has none, as one that became a WebSocket within the last second
    (`kill_all_applications`); and an interpreter that exits while tasks still wait may crash.
    """
    protocol = _protocol(send)
    if protocol is None or home in _held:
        return
    from twisted.internet import reactor  # imported late: the import itself would choose a reactor

    _held.add(home)
    events: Any = reactor
    events.addSystemEventTrigger("before", "shutdown", _leave, home, protocol.server)


def _leave(home: Home, server: Any) -> Deferred[None]:
    home.leave()
    return Deferred.fromFuture(asyncio.ensure_future(_end(home, server)))


async def _end(home: Home, server: Any) -> None:
    await home.left()
    applications = [details.get("application_instance") for details in server.connections.values()]
    running = [application for application in applications if application is not None]
    for application in running:
        application.cancel()
    if running:
        await asyncio.wait(running, timeout=_END_SECONDS)


def scheme(send: Any) -> str:
    """Return a WebSocket's scheme, which daphne says nothing of: `ws` unless daphne itself has the certificate."""
    protocol = _protocol(send)
    return "wss" if protocol is not None and ISSLTransport.providedBy(protocol.transport) else "ws"


def wire(send: Any) -> Wire | None:
    """Return the wire under daphne's `send`, or None."""
    protocol = _protocol(send)
    return Wire(protocol) if protocol is not None and hasattr(protocol.transport, "registerProducer") else None


def bounded(receive: Receive, send: Any) -> Receive:
    """Return daphne's `receive`, with a bound to what waits for it; or the same, where this is not daphne."""
    protocol = _protocol(send)
    if protocol is None or not hasattr(protocol.transport, "pauseProducing"):
        return receive
    asides = _asides(protocol)
    asides.pause = PAUSE_SECONDS
    intake = Intake(_Source(protocol, asides), receive)
    protocol.dataReceived = intake.came
    return intake.receive


def _protocol(send: Any) -> WebSocketProtocol | None:
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    return protocol if isinstance(protocol, WebSocketProtocol) else None


def _asides(protocol: Any) -> Asides:
    """Return what counts them for the protocol: the intake and the wire share it."""
    if not hasattr(protocol, "realtime_asides"):
        protocol.realtime_asides = Asides()
    asides: Asides = protocol.realtime_asides
    return asides


def _close(protocol: WebSocketProtocol, code: int | None = None) -> None:
    """Close as daphne does, but not with 1000, which tells clients to stay away, when a socket is a day old (its own timeout)."""
    WebSocketProtocol.serverClose(protocol, _GIVING_UP if code is None else code)


def _handle(transport: Any) -> Any:
    """Return the transport's socket, where it is a plain one whose buffers can be looked at, and not lost already; or None."""
    plain = type(transport) is Server and not getattr(transport, "TLS", False)
    return getattr(transport, "socket", None) if plain and hasattr(transport, "_tempDataBuffer") else None


class _Source:
    """daphne's side of an intake."""

    __slots__ = ("_asides", "_protocol", "feed", "pause", "resume")

    def __init__(self, protocol: Any, asides: Asides) -> None:
        self._protocol = protocol
        self._asides = asides
        self.feed: Callable[[bytes], None] = protocol.dataReceived
        self.pause: Callable[[], None] = protocol.transport.pauseProducing
        self.resume: Callable[[], None] = protocol.transport.resumeProducing

    def drained(self) -> bool:
        return bool(self._protocol.application_queue.empty())

    def ending(self) -> bool:
        return self._asides.flooding or self._protocol.state not in (Autobahn.STATE_CONNECTING, Autobahn.STATE_OPEN)


@implementer(IPushProducer)
class Wire:
    """Writes to the transport of a WebSocket that is open, and is paused while its buffer is full."""

    __slots__ = ("_asides", "_handle", "_owed", "_protocol", "_transport", "on_pause", "on_resume", "paused")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._handle = _handle(protocol.transport)
        self.paused = False
        self._owed: bytes | None = None
        self._asides = _asides(protocol)
        self.on_pause: Callable[[], None] = lambda: None
        self.on_resume: Callable[[], None] = lambda: None
        protocol.serverClose = partial(_close, protocol)
        protocol.onPing = self._ping
        protocol.onPong = self._pong
        protocol.onMessageFrame = self._fragment
        protocol._fail_connection = self._fail
        protocol._closeConnection = self._leave
        protocol.transport.unregisterProducer()
        protocol.transport.registerProducer(self, True)

    @property
    def usable(self) -> bool:
        return self._open and not self._protocol.websocket_extensions_in_use

    def settle(self) -> None:
        """daphne keeps nothing worth letting go of."""

    @property
    def _open(self) -> bool:
        return bool(self._protocol.state == Autobahn.STATE_OPEN)

    def write(self, packet: bytes) -> None:
        """Write to the socket itself while nothing waits before it: Twisted would register, poll and deregister each time."""
        if not self._open:
            return
        if self._handle is not None and not self._transport.dataBuffer and not self._transport._tempDataBuffer:
            try:
                sent = self._handle.send(packet)
            except OSError:
                sent = 0
            if sent == len(packet):
                return
            packet = packet[sent:]
        self._transport.write(packet)

    def cut(self) -> None:
        self._protocol.transport.abortConnection()

    def _ping(self, payload: bytes) -> None:
        """Answer at once, or when the client reads again: until then it is owed the newest pong alone (RFC 6455, 5.5.3)."""
        if self._has_enough:
            return
        if self.paused:
            self._owed = payload
        else:
            WebSocketProtocol.onPing(self._protocol, payload)

    def _pong(self, payload: bytes) -> None:
        if not self._has_enough:
            WebSocketProtocol.onPong(self._protocol, payload)

    def _fragment(self, payload: list[bytes]) -> None:
        fragments = len(self._protocol.message_data or ())
        if fragments and self._has_enough:
            return
        if fragments < _MOST_FRAGMENTS:
            WebSocketProtocol.onMessageFrame(self._protocol, payload)
        else:
            self._fail(TOO_BIG, "too many fragments")

    @property
    def _has_enough(self) -> bool:
        """Count something beside the messages, and return whether it is to be let go of."""
        if self._asides.begin_to_flood(time.monotonic()):
            asyncio.get_running_loop().call_later(self._asides.pause, self._turn_out)
        return self._asides.flooding or bool(self._protocol.failedByMe)

    def _turn_out(self) -> None:
        if self._open:
            self._fail(TOO_FAST, "too fast")

    def _fail(self, code: int, reason: str) -> None:
        """Fail as Autobahn does, where what came is too long or no WebSocket."""
        if not self._protocol.failedByMe:
            count_failed(code)
        WebSocketProtocol._fail_connection(self._protocol, code, reason)

    def _leave(self, abort: bool = False) -> None:
        """Close as Autobahn does, but not wait for ever for who does not read the last words."""
        WebSocketProtocol._closeConnection(self._protocol, abort)
        if not abort:
            asyncio.get_running_loop().call_later(conf.current().REQUEST_HEADER_SECONDS, self._cut_unread)

    def _cut_unread(self) -> None:
        if self._transport.connected:
            metrics.drops.add(value="unread")
            self.cut()

    # Twisted's IPushProducer

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = True
        self.on_pause()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = False
        if self._owed is not None:
            owed, self._owed = self._owed, None
            self._ping(owed)
        self.on_resume()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.paused = True
        self.on_pause()
