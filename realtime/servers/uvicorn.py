"""The fast lane into uvicorn: `--ws realtime.servers.uvicorn:Protocol --http realtime.servers.uvicorn:HTTPProtocol`.

The first is a subclass of uvicorn's own WebSocket protocol that lets frames that are built already be written straight to the
transport. Whether it compresses is the app's decision (`COMPRESSION`), whatever `--ws-per-message-deflate` says: the frames then
differ by connection, so the lane says that it is not usable, and ASGI `send` is.

The second bounds what uvicorn does not: requests, and so handshakes, that are begun and not ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from realtime import conf, metrics
from realtime.servers import unfinished
from realtime.servers.asides import Asides
from realtime.servers.intake import NOT_UTF8, NOT_WEBSOCKET, TOO_BIG, TOO_FAST, Intake, Receive, count_failed
from realtime.servers.unread import MOST_BEHIND, Unread

_LONGEST_MESSAGE = 2**20  # as on daphne; uvicorn's own limit is sixteen times that
_MOST_FRAGMENTS = 1000  # of a message; empty ones count for nothing in its length
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)  # as uvicorn has it
_ANSWER_SECONDS = 2.0  # to a goodbye; uvicorn gives ten, and each costs a file that nobody counts any more
_LONGEST_HEADERS = 65_536  # of a request, or behind its body; uvicorn has no bound where httptools reads them
_HTTPTOOLS = hasattr(AutoHTTPProtocol, "on_message_complete")


def bounded(receive: Receive, send: Any) -> Receive:
    """Return uvicorn's `receive`, with a bound to what waits for it; or the same, where this is not uvicorn's protocol.

    uvicorn stops reading when a message waits, but takes whatever one read has brought, and reads on after a goodbye.
    """
    protocol = getattr(send, "__self__", None)
    if not isinstance(protocol, WebSocketsSansIOProtocol):
        return receive
    intake = Intake(_Source(protocol), receive)
    protocol.data_received = intake.came  # type: ignore[method-assign]
    protocol.transport.set_protocol(protocol)  # uvloop keeps the method that it has seen
    protocol.close_timeout = _ANSWER_SECONDS
    bound_requests(protocol.config)
    if not isinstance(protocol, Protocol):
        _count_asides(protocol)
    return intake.receive


def _count_asides(protocol: WebSocketsSansIOProtocol) -> None:
    """Have uvicorn's own protocol close on who sends too much beside messages, as ours does by itself."""
    asides = Asides()

    def handled(handle: Callable[..., None], *event: Any) -> None:
        if not protocol.close_sent and asides.too_many(protocol.loop.time()):
            count_failed(TOO_FAST)
            protocol.conn.send_close(TOO_FAST)
            protocol.handle_parser_exception()
        if not protocol.close_sent:
            handle(*event)

    for name in ("handle_ping", "handle_pong", "handle_cont"):
        setattr(protocol, name, partial(handled, getattr(protocol, name)))


def bound_requests(config: Any) -> None:
    """Have the uvicorn of this configuration bound requests from now on, where it was not told to use a class of somebody's."""
    if config.http_protocol_class is AutoHTTPProtocol:
        config.http_protocol_class = HTTPProtocol


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

    __slots__ = ("_feed", "_protocol", "pause", "resume")

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        transport: Any = protocol.transport
        self._protocol = protocol
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
        return self._protocol.close_sent or self._protocol.transport.is_closing()


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
        self._asides = Asides()

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
        if not self.close_sent and self._asides.too_many(self.loop.time()):
            self._fail(TOO_FAST)
        return self.close_sent

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


class HTTPProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP protocol, with a bound to connections that wait for a request or an answer, and to the headers of one."""

    _reads_body = False
    _header_bytes = 0  # since something of a body came, or the end of a request
    _handed_over = False
    _answering: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unfinished = unfinished.here()
        self._unfinished.begin(self)
        self._unread = Unread(self.loop, transport, conf.current().REQUEST_HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        waited = self._waits
        if waited:
            self._unfinished.begin(self)
        if self._header_bytes > _LONGEST_HEADERS:
            metrics.drops.add(value="too_big")
            self.cut()
            return
        self._header_bytes += len(data) if _HTTPTOOLS else 0
        super().data_received(data)
        if self._handed_over:
            return
        if self._body_comes or self.flow.write_paused:
            self._unfinished.under_way(self)
        elif not self._waits:
            self._unfinished.end(self)
        elif not waited:
            self._unfinished.begin(self)  # answered before its body was whole, and uvicorn keeps no time for it now

    def handle_websocket_upgrade(self, *arguments: Any) -> None:
        """Let go of the line once its handshake is taken: what the parser of the other protocol refuses, nobody answers there."""
        super().handle_websocket_upgrade(*arguments)
        taker: Any = self.transport.get_protocol()
        if not isinstance(taker, WebSocketsSansIOProtocol) or hasattr(taker, "scope"):
            self._handed_over = True
            self._unfinished.end(self)
            self._unread.end()
            return
        self.connections.discard(taker)
        self.connections.add(self)
        self.transport.set_protocol(self)
        if not taker.handshake_initiated:
            self._refuse(taker)

    def _refuse(self, taker: WebSocketsSansIOProtocol) -> None:
        """Answer as `websockets` would, which has an answer to headers that are too large alone."""
        answer = b"".join(taker.conn.data_to_send())
        if answer:
            self.transport.write(answer)
            self.transport.close()
        else:
            self.send_400_response("Invalid WebSocket handshake.")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._waits:
            return
        self._unread.begin()
        if self.transport.get_write_buffer_size() or not self.transport.is_closing():
            self._unfinished.rest(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.begin()
        self._unfinished.under_way(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._waits:
            self._unread.begin()
            return
        self._unread.end()
        if not self._body_comes:
            self._unfinished.end(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unfinished.end(self)
        self._unread.end()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells only the last of several that are behind one another
            self._answering.message_event.set()
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close the line, once the last of an answer has left, and without a goodbye of TLS, which would be waited for."""
        if self.transport.get_write_buffer_size() and not self.flow.write_paused:
            self.transport.close()
        else:
            self.transport.abort()

    def abort(self) -> None:
        self.transport.abort()

    @property
    def _body_comes(self) -> bool:
        return self._reads_body if _HTTPTOOLS else self.conn.their_state is h11.SEND_BODY

    @property
    def _waits(self) -> bool:
        """Whether all requests are answered, and read."""
        return (self.cycle is None or self.cycle.response_complete) and not self._body_comes

    # What httptools calls; h11 does not, and has a bound of its own to what may come.

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_BEHIND:
            self._cut_who_asks_on()
            return
        if not self.flow.write_paused:
            self._unread.end()
        super().on_headers_complete()
        self._reads_body = self.cycle is not None

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._header_bytes = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reads_body = False
        self._header_bytes = 0

    def _cut_who_asks_on(self) -> None:
        """Cut the line at once, and make nothing of the rest of what has been read."""
        if not self.transport.is_closing():
            metrics.drops.add(value="pipelined")
            self.transport.abort()
