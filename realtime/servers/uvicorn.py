"""The fast lane into uvicorn: `--ws realtime.servers.uvicorn:Protocol --ws-per-message-deflate false`.

A subclass of uvicorn's own WebSocket protocol that lets frames that are built already be written straight to the transport.
Where compression was negotiated the frames differ by connection, so the lane says that it is not usable and ASGI `send` is.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

logger = logging.getLogger("realtime.servers")


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with `scope["extensions"]["realtime.frames"]`."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.config.ws_per_message_deflate:
            _warn_of_compression()
        self.realtime_frames = _Wire(self)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope.setdefault("extensions", {})["realtime.frames"] = self.realtime_frames

    def pause_writing(self) -> None:
        super().pause_writing()
        self.realtime_frames.paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.realtime_frames.paused = False
        self.realtime_frames.on_resume()


@functools.cache  # once a process
def _warn_of_compression() -> None:
    logger.warning("Compression is on, so browsers cannot have the fast lane: add --ws-per-message-deflate false.")


class _Wire:
    __slots__ = ("_protocol", "on_resume", "paused")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self.paused = False
        self.on_resume: Callable[[], None] = lambda: None

    @property
    def usable(self) -> bool:
        return self._protocol.handshake_complete and not self._protocol.conn.extensions

    def write(self, packet: bytes) -> None:
        if self._protocol.conn.state is State.OPEN and not self._protocol.transport.is_closing():
            self._protocol.transport.write(packet)

    def cut(self) -> None:
        self._protocol.transport.abort()
