"""The fast lane into uvicorn: `--ws realtime.servers.uvicorn:Protocol --http realtime.servers.uvicorn:HTTPProtocol`.

The first is a subclass of uvicorn's own WebSocket protocol that lets frames that are built already be written straight to the
transport. Whether it compresses is the app's decision (`COMPRESSION`), whatever `--ws-per-message-deflate` says: the frames then
differ by connection, so the lane says that it is not usable, and ASGI `send` is.

The second, of `uvicorn_requests`, bounds what uvicorn does not: requests, and so handshakes, that are begun and not ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from realtime import conf, metrics
from realtime.servers.asides import PAUSE_SECONDS, Asides
from realtime.servers.intake import NOT_UTF8, NOT_WEBSOCKET, TOO_BIG, TOO_FAST, Intake, Receive, count_failed
from realtime.servers.uvicorn_requests import HTTPProtocol, bound_requests

_LONGEST_MESSAGE = 2**20  # as on daphne; uvicorn's own limit is sixteen times that
_MOST_FRAGMENTS = 1000  # of a message; empty ones count for nothing in its length
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)  # as uvicorn has it
_ANSWER_SECONDS = 2.0  # to a goodbye; uvicorn gives ten, and each costs a file that nobody counts any more


def bounded(receive: Receive, send: Any) -> Receive:
    """Return uvicorn's `receive`, with a bound to what waits for it; or the same, where this is not uvicorn's protocol.

    uvicorn stops reading when a message waits, but takes whatever one read has brought, and reads on after a goodbye.
    """
    protocol = getattr(send, "__self__", None)
    if not isinstance(protocol, WebSocketsSansIOProtocol):
        return receive
    asides = protocol.asides if isinstance(protocol, Protocol) else _count_asides(protocol)
    asides.pause = PAUSE_SECONDS
    intake = Intake(_Source(protocol, asides), receive)
    protocol.data_received = intake.came  # type: ignore[method-assign]
    protocol.transport.set_protocol(protocol)  # uvloop keeps the method that it has seen
    protocol.close_timeout = _ANSWER_SECONDS
    bound_requests(protocol.config)
    return intake.receive


def _count_asides(protocol: WebSocketsSansIOProtocol) -> Asides:
    """Have uvicorn's own protocol close on who sends too much beside messages, as ours does by itself."""
    asides = Asides()

    def handled(handle: Callable[..., None], *event: Any) -> None:
        if asides.begin_to_flood(protocol.loop.time()):
            protocol.loop.call_later(asides.pause, _turn_out, protocol)
        if not (asides.flooding or protocol.close_sent):
            handle(*event)

    for name in ("handle_ping", "handle_pong", "handle_cont"):
        setattr(protocol, name, partial(handled, getattr(protocol, name)))
    return asides


def _turn_out(protocol: WebSocketsSansIOProtocol) -> None:
    if not protocol.close_sent and not protocol.transport.is_closing():
        count_failed(TOO_FAST)
        protocol.conn.send_close(TOO_FAST)
        protocol.handle_parser_exception()


def count_closed(send: Any, code: int | None) -> None:
    """Count whom uvicorn's own protocol has closed on, once it tells the application. Ours counts by itself.

    Clients may close with the same codes, which is another matter.
    """
    protocol = getattr(send, "__self__", None)
    if not isinstance(protocol, WebSocketsSansIOProtocol) or isinstance(protocol, Protocol):
        return
    if code in (NOT_WEBSOCKET, NOT_UTF8, TOO_BIG) and protocol.conn.close_rcvd is None:
        count_failed(code)


def let_go(send: Any) -> None:
    """Cut who does not read the last words, now that the application is done: uvicorn would wait for ever."""
    protocol = getattr(send, "__self__", None)
    if isinstance(protocol, WebSocketsSansIOProtocol):
        _let_go(protocol)


def _let_go(protocol: WebSocketsSansIOProtocol) -> None:
    if protocol.transport.get_write_buffer_size():
        protocol.loop.call_later(conf.current().REQUEST_HEADER_SECONDS, _cut_unread, protocol)


def _cut_unread(protocol: WebSocketsSansIOProtocol) -> None:
    if not protocol.disconnected:
        metrics.drops.add(value="unread")
        protocol.transport.abort()


class _Source:
    """uvicorn's side of an intake."""

    __slots__ = ("_asides", "_feed", "_protocol", "pause", "resume")

    def __init__(self, protocol: WebSocketsSansIOProtocol, asides: Asides) -> None:
        transport: Any = protocol.transport
        self._protocol = protocol
        self._asides = asides
        self._feed: Callable[[bytes], None] = protocol.data_received
        self.pause: Callable[[], None] = transport.pause_reading
        self.resume: Callable[[], None] = transport.resume_reading

    def feed(self, data: bytes) -> None:
        """Cut the line where a goodbye has been read behind what is answered with one: uvicorn raises."""
        try:
            self._feed(data)
        except InvalidState:
            metrics.drops.add(value="not_websocket")
            self._protocol.transport.abort()

    def drained(self) -> bool:
        return self._protocol.queue.empty()

    def ending(self) -> bool:
        return self._asides.flooding or self._protocol.close_sent or self._protocol.transport.is_closing()


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with `scope["extensions"]["realtime.frames"]`."""

    def connection_made(self, transport: Any) -> None:
        mailbox: Any = _Mailbox()
        self.queue = mailbox
        super().connection_made(transport)
        self.conn.available_extensions = [_DEFLATE] if conf.current().COMPRESSION else []
        self.conn.max_message_size = min(self.config.ws_max_size or _LONGEST_MESSAGE, _LONGEST_MESSAGE)
        self.conn.debug = False  # at debug level websockets logs every header, cookies and keys among them, and frames
        self.realtime_frames = _Wire(self)
        self.asides = Asides()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope.setdefault("extensions", {})["realtime.frames"] = self.realtime_frames

    def pause_writing(self) -> None:
        super().pause_writing()
        self.realtime_frames.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.realtime_frames.resume()

    def handle_ping(self) -> None:
        """Answer at once, or when the client reads again: until then it is owed the newest pong alone (RFC 6455, 5.5.3)."""
        pongs = b"".join(self.conn.data_to_send())
        if self._has_enough:
            return
        if self.realtime_frames.paused:
            self.realtime_frames.owed = pongs or self.realtime_frames.owed
        else:
            self.transport.write(pongs)

    def handle_pong(self, event: Any) -> None:
        if bytes(event.data) == self.pending_ping_payload or not self._has_enough:
            super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        if self._has_enough:
            return
        if len(self.frames) < _MOST_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._fail(TOO_BIG)

    @property
    def _has_enough(self) -> bool:
        """Count something beside the messages, and return whether it is to be let go of."""
        if self.asides.begin_to_flood(self.loop.time()):
            self.loop.call_later(self.asides.pause, self._turn_out)
        return self.asides.flooding or self.close_sent

    def _turn_out(self) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self._fail(TOO_FAST)

    def _fail(self, code: int) -> None:
        if self.handshake_complete:
            self.conn.send_close(code)
        self.handle_parser_exception()

    # Once a close is under way nothing more may be written, and `write` itself does not look.

    def handle_close(self, event: Any) -> None:
        self.realtime_frames.end()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # before the handshake was answered, which uvicorn takes for impossible
            count_failed(NOT_WEBSOCKET)
            self.transport.abort()
            return
        if not self.close_sent:
            count_failed(self.conn.close_sent.code)
        self.realtime_frames.end()
        super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        self.realtime_frames.end()
        super().keepalive_timeout()
        _let_go(self)

    def shutdown(self) -> None:
        self.realtime_frames.end()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self.realtime_frames.end()
        super().connection_lost(exc)


class _Mailbox:
    """What uvicorn asks of an `asyncio.Queue`, for one reader, without its three deques: two kilobytes less."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        return not self._items

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.pop(0)


class _Wire:
    """`write` is the transport's own: a look at anything of the connection's costs as much as half a write."""

    __slots__ = ("_ended", "_protocol", "on_pause", "on_resume", "owed", "paused", "write")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self.write: Callable[[bytes], None] = protocol.transport.write
        self.paused = False
        self.owed = b""
        self._ended = False
        self.on_pause: Callable[[], None] = lambda: None
        self.on_resume: Callable[[], None] = lambda: None

    def settle(self) -> None:
        """Let go of what the handshake left behind, several kilobytes: the request, the answer, and the headers of both."""
        protocol: Any = self._protocol
        protocol.request.headers.clear()  # the parser, which waits for frames now, holds on to the request
        protocol.request = protocol.response = None
        protocol.scope["headers"].clear()

    @property
    def usable(self) -> bool:
        return self._protocol.handshake_complete and not self._protocol.conn.extensions

    def cut(self) -> None:
        self._protocol.transport.abort()

    def pause(self) -> None:
        if not self.paused:
            self.paused = True
            self.on_pause()

    def resume(self) -> None:
        if not self._ended:
            self.paused = False
            self.write(self.owed)
            self.owed = b""
            self.on_resume()

    def end(self) -> None:
        """Take nothing more, for good."""
        self._ended = True
        self.pause()


__all__ = ["HTTPProtocol", "Protocol", "bounded", "count_closed", "let_go"]
