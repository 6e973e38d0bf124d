"""A room in this process: who is subscribed here, what goes out to them, and when.

Frames gather until the end of the event loop's turn, or of the room's rest, and are written together, once to each. A
subscription is live, or lags: then nothing is written to it, and its position says where to go on. Joins and leaves gather for
a moment and are told as one.
Nothing here waits, and nothing reads the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from realtime import conf, metrics, protocol
from realtime.errors import Refusal
from realtime.feed import Feed
from realtime.kinds import Actor
from realtime.protocol import Batch, Frame
from realtime.rest import Rest
from realtime.roster import Roster

logger = logging.getLogger("realtime.local")

_BIG_ROOM = 100
_BIG_ROOM_GATHER_SECONDS = 1.0


class Client(Protocol):
    """What a room asks of a connection."""

    id: str

    @property
    def actor(self) -> Actor: ...

    @property
    def paused(self) -> bool:
        """Whether the client is not reading, so that nothing more may be written."""
        ...

    @property
    def direct(self) -> Callable[[bytes], None] | None:
        """The transport's own write of packets, where the room may use it, until the client calls `fall_behind`; or None."""
        ...

    def write(self, batch: Batch) -> bool:
        """Write the whole batch and return True, or write nothing and return False: the client is not reading."""
        ...

    def end(self, subscription: Subscription, refusal: Refusal) -> None:
        """Tell the client that its subscription is over, for good, and leave the room."""
        ...

    def restart(self, subscription: Subscription) -> None:
        """Tell the client to join again, from its newest seq, and leave the room."""
        ...


class Subscription:
    """One client in one room. While it lags, `position` is the newest seq written to it.

    `tail` is the newest seq of which it surely knows that it has left the log.
    `catching_up`: somebody is at it, at first the join itself, and nobody else may let it live.
    """

    __slots__ = ("catching_up", "client", "join_ref", "position", "room", "tail")

    def __init__(self, client: Client, join_ref: str | None, room: LocalRoom) -> None:
        self.client = client
        self.join_ref = join_ref
        self.room = room
        self.position = 0
        self.tail = room.tail
        self.catching_up = True

    @property
    def over(self) -> bool:
        return self not in self.room.live and self not in self.room.lagging


class LocalRoom:
    """`sent` is the newest seq written to the live subscriptions; `feed.position` runs ahead of it until the next flush.

    `tail` is the newest seq that is known to have left the log, `judged` how often bans and mutes are known to have changed.
    `asking` counts those who wait to hear whether there is a place for them.
    """

    __slots__ = (
        "_direct", "_flushing", "_listed", "_loop", "_newcomers", "_others", "_outgoing", "_rest", "_telling", "asking",
        "feed", "filling", "judged", "lagging", "live", "opened", "pk", "reads", "roster", "sent", "tail", "topic",
    )  # fmt: skip

    def __init__(self, pk: int, topic: str, head: int) -> None:
        settings = conf.current()
        self.pk = pk
        self.topic = topic
        self.feed = Feed(head, settings.RECENT_EVENTS, settings.RECENT_BYTES)
        self.roster = Roster()
        self.sent = head
        self.tail = 0
        self.judged = 0
        self.asking = 0
        self.live: dict[Subscription, Callable[[bytes], None] | None] = {}
        self.lagging: dict[Subscription, None] = {}
        self.filling: asyncio.Task[None] | None = None
        self.opened: asyncio.Task[None] | None = None
        self.reads: dict[int, asyncio.Task[list[Frame]]] = {}
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[Frame] = []
        self._direct: tuple[Callable[[bytes], None], ...] | None = None
        self._others: tuple[Subscription, ...] = ()
        self._flushing: asyncio.Handle | None = None
        self._rest = Rest()
        self._newcomers: dict[Subscription, None] = {}
        self._listed = True
        self._telling: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        return not self.live and not self.lagging and not self.asking

    def subscriptions(self) -> list[Subscription]:
        return [*self.live, *self.lagging]

    def remove(self, subscription: Subscription) -> None:
        self._direct = None
        self.live.pop(subscription, None)
        self.lagging.pop(subscription, None)
        self._newcomers.pop(subscription, None)

    def close(self) -> None:
        """Nobody is here any more."""
        for handle in (self._telling, self._flushing):
            if handle is not None:
                handle.cancel()

    def cleared(self) -> Frame:
        """Return what pages are told of events that have left the log."""
        return protocol.push(None, self.topic, "room_cleared", {"seq": self.tail})

    # Fan-out

    def send(self, frames: list[Frame]) -> None:
        """Have frames written to everyone at the end of this turn of the event loop, or of the room's rest."""
        self._outgoing += frames
        if self._flushing is None:
            self._flushing = self._rest.then(self._loop, self.flush)

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._outgoing:
            batch, self._outgoing = Batch(self._outgoing), []
            before, self.sent = self.sent, self.feed.position
            self._write_to_all(batch, before)

    def _write_to_all(self, batch: Batch, before: int) -> None:
        """Write to every live subscription, past the client's objects where it can: touching those costs more than the write."""
        metrics.deliveries.add(len(batch.frames) * len(self.live))
        if self._direct is None:
            self._direct = tuple(direct for direct in self.live.values() if direct is not None)
            self._others = tuple(subscription for subscription, direct in self.live.items() if direct is None)
        packet, began = batch.packet, time.monotonic()
        for direct in self._direct:
            try:
                direct(packet)
            except Exception as error:
                logger.debug("A socket is gone: %r", error)
        self._rest.after(len(batch.frames), began)
        for subscription in self._others:
            if not subscription.client.write(batch):
                self._fall_behind(subscription, before)

    def _write(self, subscriptions: Collection[Subscription], batch: Batch) -> None:
        metrics.deliveries.add(len(batch.frames) * len(subscriptions))
        for subscription in tuple(subscriptions):
            if not subscription.client.write(batch):
                self._fall_behind(subscription, self.sent)

    def fall_behind(self, subscription: Subscription) -> None:
        """The client reads no more: what it was written it has, the rest waits for `catch_up`."""
        self._fall_behind(subscription, self.sent)

    def _fall_behind(self, subscription: Subscription, position: int) -> None:
        if subscription in self.live:
            del self.live[subscription]
            self._direct = None
            subscription.position = position
            self.lagging[subscription] = None

    def catch_up(self, subscription: Subscription) -> bool:
        """Write what lies between a subscription's position and the room's, then let it live.

        Return False where memory does not go back so far. A client that is not reading goes on lagging.
        """
        self.flush()
        client = subscription.client
        if client.paused or subscription.over:
            return True
        frames = self.feed.after(subscription.position)
        if frames is None:
            return False
        if self.tail > subscription.tail:
            frames = [*frames, self.cleared()]
        if frames and not client.write(Batch(frames)):
            return True
        subscription.position, subscription.tail = self.sent, self.tail
        self._let_live(subscription)
        return True

    def _let_live(self, subscription: Subscription) -> None:
        client = subscription.client
        if client.paused:
            return
        self.lagging.pop(subscription, None)
        self.live[subscription] = client.direct
        self._direct = None
        self._newcomers[subscription] = None
        self.tell_presence_soon()

    # Who is here

    def tell_presence_soon(self) -> None:
        """What happens within a moment is told at once, so that many joins cost few frames."""
        if self._telling is None and not self.empty:
            gather = conf.current().PRESENCE_GATHER_SECONDS
            delay = gather if len(self.live) < _BIG_ROOM else max(gather, _BIG_ROOM_GATHER_SECONDS)
            self._telling = self._loop.call_later(delay, self._tell_presence)

    def _tell_presence(self) -> None:
        self._telling = None
        joins, leaves = self.roster.changes()
        newcomers, self._newcomers = self._newcomers, {}
        was_listed, self._listed = self._listed, len(self.roster) <= conf.current().PRESENCE_LIST
        if not self._listed:
            heard = self.live if joins or leaves or was_listed else newcomers
            self._push(heard, "presence_count", {"count": len(self.roster)})
        elif not was_listed:
            self._push(self.live, "presence_state", self.roster.state())
        else:
            if joins or leaves:
                others = [subscription for subscription in self.live if subscription not in newcomers]
                self._push(others, "presence_diff", {"joins": joins, "leaves": leaves})
            self._push(newcomers, "presence_state", self.roster.state() if newcomers else {})

    def _push(self, subscriptions: Collection[Subscription], name: str, payload: dict[str, Any]) -> None:
        if subscriptions:
            self._write(subscriptions, Batch([protocol.push(None, self.topic, name, payload)]))
