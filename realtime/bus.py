"""Between processes: what happened in a room, told to every process that has somebody there.

The channel layer is a doorbell: it may lose, repeat and reorder. So nothing waits for it, nothing depends on it, and every
queue here has a bound past which the oldest ring is let go of; the log has the event. A process hears its own rings at once,
without the layer. An in-memory layer reaches no other process, and is left alone.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from channels.exceptions import InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers

from realtime import conf, metrics, rings
from realtime.rings import Ring

logger = logging.getLogger("realtime.bus")

_QUEUED_RINGS = 10_000
_QUEUED_BYTES = 16 * 2**20
_RINGS_AT_ONCE = 32
_CALLS_AT_ONCE = 32  # the pool of connections behind a layer may have as few as a hundred
_SEND_SECONDS = 5.0
_JOIN_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_RENEW_SECONDS = 2.0


Hear = Callable[[Ring], None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ring).decode


def publish(ring: Ring) -> None:
    """Tell every process, this one first. May be called from any thread, never waits, never raises for the layer's sake."""
    with _lock:
        here = list(_listeners)
    for listener in here:
        listener.hear_soon(ring)
    layer = _layer()
    if layer is not None:
        sender = next((listener.bell for listener in here), None) or _bell()
        sender.ring(ring)


class Bus:
    """One process's ear: its channel, and the groups of the rooms it has somebody in."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._layer = _layer()
        self._channel = ""
        self._rooms: set[int] = {rings.EVERYWHERE}
        self._stale = False
        self._renew_at = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)
        self.bell = _Bell(self._loop)

    def start(self) -> None:
        with _lock:
            _listeners.append(self)
        if self._layer is not None:
            self._tasks = [self._loop.create_task(self._listen()), self._loop.create_task(self.bell.run())]

    async def stop(self) -> None:
        with _lock:
            if self in _listeners:
                _listeners.remove(self)
        if self._layer is not None:
            await self.bell.flush()
        tasks = [*self._tasks, self._renewing] if self._renewing is not None else self._tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def join(self, room_pk: int) -> None:
        """Hear of a room from now on. Where the layer does not answer, `renew` will try again."""
        self._rooms.add(room_pk)
        if self._channel and not self._stale:
            self._stale = not await self._quietly(self._layer.group_add(_group(room_pk), self._channel), _JOIN_SECONDS)

    async def leave(self, room_pk: int) -> None:
        self._rooms.discard(room_pk)
        if self._channel:
            await self._quietly(self._layer.group_discard(_group(room_pk), self._channel))

    async def renew(self) -> None:
        """Join every group again: memberships lapse, and a layer that was restarted has forgotten them."""
        if not self._channel:
            return
        self._stale = False
        for room_pk in list(self._rooms):
            if room_pk not in self._rooms:
                continue  # left meanwhile
            if not await self._quietly(self._layer.group_add(_group(room_pk), self._channel)):
                self._stale = True
                return

    def renew_soon(self) -> None:
        """Join every group again, in a task of its own: a layer that hangs holds nobody up. At most every few seconds."""
        if self._layer is None or self._loop.time() < self._renew_at:
            return
        self._renew_at = self._loop.time() + _RENEW_SECONDS
        if self._renewing is None or self._renewing.done():
            self._renewing = self._loop.create_task(self.renew())

    @property
    def stale(self) -> bool:
        """Whether the layer did not answer, so that it may not know of all rooms."""
        return self._stale

    def hear_soon(self, ring: Ring) -> None:
        """Hand over a ring from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear, ring)

    async def _listen(self) -> None:
        while True:
            try:
                if not self._channel:
                    self._channel = await self._layer.new_channel("realtime")
                    await self.renew()
                self._heard(await self._layer.receive(self._channel))
            except Exception as error:
                logger.info("The channel layer cannot be heard: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    def _heard(self, told: dict[str, Any]) -> None:
        if told.get("from") == process_id():
            return
        try:
            ring = _decode(told["ring"])
        except (KeyError, TypeError, msgspec.MsgspecError):
            metrics.drops.add(value="foreign_ring")
            return
        self._hear(ring)

    async def _quietly(self, call: Coroutine[Any, Any, None], seconds: float = _SEND_SECONDS) -> bool:
        try:
            async with asyncio.timeout(seconds), self._calls:
                await call
        except Exception as error:
            call.close()
            logger.info("The channel layer does not answer: %s", error)
            return False
        return True


class _Bell:
    """What is to be told to the other processes, and one task on one event loop that tells it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rings: deque[tuple[Ring, int]] = deque()
        self._bytes = 0
        self._wanted = asyncio.Event()
        self._told = asyncio.Event()
        self._told.set()

    def ring(self, ring: Ring) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, ring)

    async def flush(self, seconds: float = 1.0) -> None:
        """Wait until everything is told, or the time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            logger.info("The channel layer did not take the last rings; the log has the events.")

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            rings = [self._next() for _ in range(min(_RINGS_AT_ONCE, len(self._rings)))]
            await asyncio.gather(*(self._tell(ring) for ring in rings))
            if not self._rings:
                self._wanted.clear()
                self._told.set()

    def _put(self, ring: Ring) -> None:
        size = rings.size(ring)
        self._rings.append((ring, size))
        self._bytes += size
        while len(self._rings) > _QUEUED_RINGS or self._bytes > _QUEUED_BYTES:
            self._next()
            metrics.drops.add(value="ring_queue_full")
        self._told.clear()
        self._wanted.set()

    def _next(self) -> Ring:
        ring, size = self._rings.popleft()
        self._bytes -= size
        return ring

    async def _tell(self, ring: Ring) -> None:
        layer = _layer()
        if layer is None:
            return
        told = {"type": "realtime.ring", "from": process_id(), "ring": _encode(ring)}
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await layer.group_send(_group(ring.room_pk), told)
        except Exception as error:
            metrics.drops.add(value="ring_not_sent")
            logger.info("The channel layer did not take a ring: %s", error)


_lock = threading.Lock()
_listeners: list[Bus] = []
_thread_bell: tuple[int, _Bell] | None = None
_process: tuple[int, str] | None = None


def _after_fork() -> None:
    """A child has its parent's memory, but none of its event loops, threads or locks."""
    global _lock
    _lock = threading.Lock()
    _listeners.clear()


os.register_at_fork(after_in_child=_after_fork)


def process_id() -> str:
    """Return the name of this process: new in each, also after a fork."""
    global _process
    if _process is None or _process[0] != os.getpid():
        _process = (os.getpid(), secrets.token_hex(8))
    return _process[1]


def _bell() -> _Bell:
    """Return the bell of a process that serves no sockets (a worker, a shell), whose event loop runs in a thread."""
    global _thread_bell
    with _lock:
        if _thread_bell is None or _thread_bell[0] != os.getpid():
            ready: list[_Bell] = []
            started = threading.Event()
            threading.Thread(
                target=asyncio.run, args=(_serve_bell(ready, started),), name="realtime-bell", daemon=True
            ).start()
            started.wait()
            _thread_bell = (os.getpid(), ready[0])
            atexit.register(flush)
        return _thread_bell[1]


async def _serve_bell(ready: list[_Bell], started: threading.Event) -> None:
    bell = _Bell(asyncio.get_running_loop())
    ready.append(bell)
    started.set()
    await bell.run()


def flush(seconds: float = 1.0) -> None:
    """Give a process that is about to exit a moment to tell what it published."""
    if _thread_bell is not None and _thread_bell[0] == os.getpid():
        bell = _thread_bell[1]
        asyncio.run_coroutine_threadsafe(bell.flush(seconds), bell._loop).result(seconds + 1.0)


def _layer() -> Any:
    """Return the channel layer that reaches other processes, or None."""
    try:
        layer = channel_layers[conf.current().CHANNEL_LAYER]
    except (KeyError, InvalidChannelLayerError):
        return None
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def _group(room_pk: int) -> str:
    return f"realtime.room.{room_pk}"
