"""What uvicorn does not bound: requests that are begun and not ended, answers that nobody reads, requests behind one another."""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from realtime import conf, metrics
from realtime.servers import unfinished
from realtime.servers.unread import MOST_BEHIND, Unread

_LONGEST_HEADERS = 65_536  # of a request, or behind its body; uvicorn has no bound where httptools reads them
_HTTPTOOLS = hasattr(AutoHTTPProtocol, "on_message_complete")


def bound_requests(config: Any) -> None:
    """Have the uvicorn of this configuration bound requests from now on, where it was not told to use a class of somebody's."""
    if config.http_protocol_class is AutoHTTPProtocol:
        config.http_protocol_class = HTTPProtocol


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
