"""The WebSocket transport: an ASGI application, to be routed like a Channels consumer.

It is not a subclass of Channels' `AsyncConsumer`: that one goes through a process-wide thread before every message, in and out.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from realtime import addresses, auth, conf, credentials, metrics, node, protocol
from realtime.connection import Connection
from realtime.errors import BadCredentials, Refusal, TooManyConnections
from realtime.lanes import AsgiLane, FrameLane, Send, Wire
from realtime.node import Node
from realtime.servers import daphne

logger = logging.getLogger("realtime.consumers")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

_GIVING_UP = 4002
_TOO_MANY = 4003
_ALL = "all"
_SUBPROTOCOL = "phoenix"
_UVICORN = "uvicorn.protocols.websockets.websockets_sansio_impl"


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket."""
    await receive()  # websocket.connect
    if not _may_come(scope):
        await _refuse(send, "origin")
        return
    if not protocol.speaks(_version(scope)):
        await _refuse(send, "version")
        return
    home = await node.current()
    if not home.sockets.enter(_ALL):
        await _refuse(send, "full")
        return
    try:
        await _enter(home, scope, receive, send)
    finally:
        home.sockets.leave(_ALL)


async def _enter(home: Node, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve who comes from an address that has a place left, and does not come too soon."""
    daphne.hold(send, home)
    receive = _bounded(receive, send)
    address = addresses.of_scope(scope, addresses.networks(conf.current().TRUSTED_PROXIES))
    wait, welcome = home.turnstile.enter(address, time.monotonic())
    counted = home.addresses.enter(address)
    try:
        if not (welcome and counted):
            await _tell_too_many(home, address, wait, scope, send)
            return
        if wait:
            await asyncio.sleep(wait)
        let_in = await _let_in(home, scope, send)
        if let_in is not None:
            await _serve(home, *let_in, receive, send)
    finally:
        if counted:
            home.addresses.leave(address)
        _let_go(send)


async def _tell_too_many(home: Node, address: str | None, wait: float, scope: Scope, send: Send) -> None:
    """Say why, to so many of an address at a time: each of them costs a file until its client has heard it."""
    if not home.told.enter(address):
        await _refuse(send, "address")
        return
    try:
        await asyncio.sleep(wait)
        await _accept(scope, send)
        await _turn_away(send, TooManyConnections(), "address")
    finally:
        home.told.leave(address)


async def _refuse(send: Send, cause: str) -> None:
    """Answer the handshake with HTTP 403, after which nothing of it is left."""
    metrics.turned_away.add(value=cause)
    await send({"type": "websocket.close", "code": 1008})


def _may_come(scope: Scope) -> bool:
    """Compare the origin, which protects cookies; who shows a token instead may come from any page."""
    shows_token = credentials.of_scope(scope).token is not None
    return auth.this_host(scope) if shows_token else auth.same_site(scope)


async def _let_in(home: Node, scope: Scope, send: Send) -> tuple[Connection, AsgiLane | FrameLane] | None:
    """Return who came in and its way out, or turn them away."""
    told = home.changes.count
    try:
        person = await home.identify(credentials.of_scope(scope))
    except BadCredentials as refusal:
        metrics.refusals.add(value=refusal.code)
        await _refuse(send, "bad_credentials")
        return None
    except Refusal as refusal:
        await _accept(scope, send)
        await _turn_away(send, refusal, refusal.code)
        return None
    await _accept(scope, send)
    lane = _lane(scope, send)
    try:
        connection = Connection(home, person, lane)
    except TooManyConnections as refusal:
        await _turn_away(send, refusal, "person")
        return None
    lane.on_pause, lane.on_resume = connection.held_up, connection.resumed
    connection.heed(told)
    return connection, lane


async def _serve(home: Node, connection: Connection, lane: AsgiLane | FrameLane, receive: Receive, send: Send) -> None:
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                _count_closed(send, message.get("code"))
                return
            text = message.get("text")
            if text is not None:
                await connection.receive(text)
            else:
                connection.refuse_binary()
    finally:
        connection.closed()
        await home.left()
        await lane.finish()


def _lane(scope: Scope, send: Send) -> AsgiLane | FrameLane:
    """Choose the way out. On daphne it rests on attributes that are not public, so a site can do without."""
    if not conf.current().FAST_LANES:
        return AsgiLane(send)
    wire: Wire | None = scope.get("extensions", {}).get("realtime.frames") or daphne.wire(send)
    if wire is None or not wire.usable:
        return AsgiLane(send)
    wire.settle()
    return FrameLane(wire, send)


def _bounded(receive: Receive, send: Send) -> Receive:
    """Have the server read no further ahead than a bound, where that rests on nothing but what this server is known to have."""
    if not conf.current().FAST_LANES:
        return receive
    if _UVICORN in sys.modules:
        from realtime.servers import uvicorn  # which is installed where it is the server, and may not be elsewhere

        receive = uvicorn.bounded(receive, send)
    return daphne.bounded(receive, send)


def _count_closed(send: Send, code: int | None) -> None:
    if _UVICORN in sys.modules:
        from realtime.servers import uvicorn

        uvicorn.count_closed(send, code)


def _let_go(send: Send) -> None:
    if _UVICORN in sys.modules:
        from realtime.servers import uvicorn

        uvicorn.let_go(send)


async def _accept(scope: Scope, send: Send) -> None:
    offered = _SUBPROTOCOL in scope.get("subprotocols", ())
    await send({"type": "websocket.accept", "subprotocol": _SUBPROTOCOL if offered else None})


async def _turn_away(send: Send, refusal: Refusal, cause: str) -> None:
    """Tell a client why it is not served, once it is accepted: a socket refused before says nothing to a browser."""
    metrics.turned_away.add(value=cause)
    metrics.refusals.add(value=refusal.code)
    code = _TOO_MANY if isinstance(refusal, TooManyConnections) else _GIVING_UP
    await send({"type": "websocket.send", "text": protocol.remark(refusal).text})
    await send({"type": "websocket.close", "code": code, "reason": refusal.code})


def _version(scope: Scope) -> str:
    asked: dict[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return asked.get("vsn", ["1.0.0"])[-1]
