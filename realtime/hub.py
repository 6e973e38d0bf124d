"""The way out: one per process and event loop, the rooms that have local subscriptions, and the fan-out.

It hears of events from the bus, puts each room's in order, reads from the log what the bus did not bring, and writes each frame
once to every connection in the room. Frames of a room gather until the end of the event loop's turn and are written together.
A connection that is not reading is left out, with its position, and served from there when it reads again.

It knows no database and no transport: it is handed callables that read, and clients that write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol

from realtime import conf, metrics, protocol
from realtime.bus import Bus, Cleared, Ended, Happened, Moved, Ring, Signalled
from realtime.errors import Refusal, UnknownRoom
from realtime.feed import Feed
from realtime.kinds import Actor
from realtime.protocol import Batch, Frame
from realtime.roster import Roster, Seat

logger = logging.getLogger("realtime.hub")

_GRACE_SECONDS = 0.05
_BIG_ROOM = 100
_BIG_ROOM_GATHER_SECONDS = 1.0


class Client(Protocol):
    """What the hub asks of a connection."""

    id: str

    @property
    def actor(self) -> Actor: ...

    @property
    def paused(self) -> bool:
        """Whether the client is not reading, so that nothing more may be written."""
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


class Reads(Protocol):
    """How the hub reads what is stored. Each may raise a `Refusal` while the database is out of reach."""

    def page(self, room_pk: int, topic: str, seq: int) -> Awaitable[list[Frame]]:
        """The frames after `seq`, oldest first: a page of them."""
        ...

    def heads(self, room_pks: list[int]) -> Awaitable[dict[int, int]]: ...

    def seats(self, room_pks: list[int]) -> Awaitable[dict[int, dict[Seat, Actor]]]: ...


class Subscription:
    """One client in one room. While it lags, `position` is the newest seq written to it."""

    __slots__ = ("catching_up", "client", "join_ref", "position", "room")

    def __init__(self, client: Client, join_ref: str | None, room: LocalRoom) -> None:
        self.client = client
        self.join_ref = join_ref
        self.room = room
        self.position = 0
        self.catching_up = False


class LocalRoom:
    """A room that somebody on this process is in."""

    __slots__ = (
        "feed", "filling", "lagging", "listed", "live", "newcomers", "opened", "outgoing", "pk", "reads", "roster", "sent",
        "telling", "topic",
    )  # fmt: skip

    def __init__(self, pk: int, topic: str, head: int) -> None:
        settings = conf.current()
        self.pk = pk
        self.topic = topic
        self.feed = Feed(head, settings.RECENT_EVENTS, settings.RECENT_BYTES)
        self.roster = Roster()
        self.sent = head
        self.outgoing: list[Frame] = []
        self.live: dict[Subscription, None] = {}
        self.lagging: set[Subscription] = set()
        self.newcomers: set[Subscription] = set()
        self.listed = True
        self.telling: asyncio.TimerHandle | None = None
        self.filling = False
        self.reads: dict[int, asyncio.Task[list[Frame]]] = {}
        self.opened: asyncio.Task[None] | None = None

    def subscriptions(self) -> list[Subscription]:
        return [*self.live, *self.lagging]


class Hub:
    def __init__(self, node: str, reads: Reads, moved: Callable[[int, str, Actor | None], None]) -> None:
        """`moved(room_pk, client_id, actor or None)` is told of every entering and leaving."""
        self._node = node
        self._reads = reads
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[int, LocalRoom] = {}
        self._unflushed: list[LocalRoom] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bus = Bus(self.hear)

    def start(self) -> None:
        self._bus.start()

    async def stop(self) -> None:
        await self._bus.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def rooms(self) -> dict[int, LocalRoom]:
        return self._rooms

    # Entering and leaving

    async def enter(self, client: Client, join_ref: str | None, room_pk: int, topic: str, head: int) -> Subscription:
        """Subscribe a client whose view of the room begins at `head`. It hears nothing until `catch_up`.

        From here on nothing that is committed can pass it by.
        """
        room = self._rooms.get(room_pk)
        if room is None:
            room = self._rooms[room_pk] = LocalRoom(room_pk, topic, head)
            room.opened = self._spawn(self._open(room))
        subscription = Subscription(client, join_ref, room)
        subscription.position = head
        room.lagging.add(subscription)
        room.roster.enter((self._node, client.id), client.actor)
        self._moved(room_pk, client.id, client.actor)
        metrics.subscriptions.add(1)
        if room.opened is not None:
            await asyncio.shield(room.opened)
        if head > room.feed.position:
            room.feed.expect(head)
            self._fill_soon(room)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        room = subscription.room
        if subscription not in room.live and subscription not in room.lagging:
            return
        room.live.pop(subscription, None)
        room.lagging.discard(subscription)
        room.newcomers.discard(subscription)
        room.roster.leave((self._node, subscription.client.id))
        self._moved(room.pk, subscription.client.id, None)
        metrics.subscriptions.add(-1)
        if room.live or room.lagging:
            self._tell_presence_soon(room)
        elif self._rooms.get(room.pk) is room:
            self._close(room)

    def left(self, subscription: Subscription) -> bool:
        return subscription not in subscription.room.live and subscription not in subscription.room.lagging

    async def _open(self, room: LocalRoom) -> None:
        """Hear of the room, then look at what was missed between its row's being read and this."""
        await self._bus.join(room.pk)
        room.roster.begin_reading()
        try:
            head = (await self._reads.heads([room.pk])).get(room.pk, room.feed.position)
            room.roster.reconcile((await self._reads.seats([room.pk]))[room.pk], self._node)
        except Refusal:
            return
        room.feed.expect(head)
        if room.feed.behind:
            self._fill_soon(room)

    def _close(self, room: LocalRoom) -> None:
        del self._rooms[room.pk]
        if room.telling is not None:
            room.telling.cancel()
        for read in room.reads.values():
            read.cancel()
        self._spawn(self._unhear(room.pk))

    async def _unhear(self, room_pk: int) -> None:
        await self._bus.leave(room_pk)
        if room_pk in self._rooms:
            await self._bus.join(room_pk)

    # What the bus says

    def hear(self, ring: Ring) -> None:
        room = self._rooms.get(ring.room_pk)
        if room is None:
            return
        match ring:
            case Happened(_, frames):
                self._take(room, (Frame(body, seq, event) for seq, body, event in frames))
                if room.feed.behind:
                    self._fill_soon(room)
            case Signalled(_, body):
                self._send(room, [Frame(body)])
            case Moved(_, node, seats):
                self._note_moves(room, node, seats)
            case Cleared(_, seq):
                room.feed.forget(seq)
                self._send(room, [protocol.push(None, room.topic, "room_cleared", {"seq": seq})])
            case Ended(_, code, message):
                for subscription in room.subscriptions():
                    subscription.client.end(subscription, Refusal(code, message))

    def _take(self, room: LocalRoom, frames: Iterable[Frame]) -> None:
        ready = room.feed.take(frames)
        if ready:
            self._send(room, ready)

    # Fan-out

    def _send(self, room: LocalRoom, frames: list[Frame]) -> None:
        """Have frames written to everyone in the room at the end of this turn of the event loop."""
        if not self._unflushed:
            self._loop.call_soon(self._flush_all)
        if not room.outgoing:
            self._unflushed.append(room)
        room.outgoing += frames

    def _flush_all(self) -> None:
        rooms, self._unflushed = self._unflushed, []
        for room in rooms:
            self._flush(room)

    def _flush(self, room: LocalRoom) -> None:
        if not room.outgoing:
            return
        batch, room.outgoing = Batch(room.outgoing), []
        self._write(room, room.live, batch)
        room.sent = room.feed.position
        metrics.deliveries.add(len(batch.frames) * len(room.live))

    def _write(self, room: LocalRoom, subscriptions: Iterable[Subscription], batch: Batch) -> None:
        for subscription in tuple(subscriptions):
            if not subscription.client.write(batch) and subscription in room.live:
                self._fall_behind(subscription)

    def _fall_behind(self, subscription: Subscription) -> None:
        room = subscription.room
        del room.live[subscription]
        subscription.position = room.sent
        room.lagging.add(subscription)

    # Catching up

    def resumed(self, subscriptions: Iterable[Subscription]) -> None:
        """A client reads again."""
        for subscription in subscriptions:
            if subscription in subscription.room.lagging:
                self.catch_up(subscription)

    def catch_up(self, subscription: Subscription) -> None:
        """Write what lies between a subscription's position and the room's, then let it live."""
        if not subscription.catching_up and not self._catch_up_from_memory(subscription):
            subscription.catching_up = True
            self._spawn(self._catch_up_from_log(subscription))

    def _catch_up_from_memory(self, subscription: Subscription) -> bool:
        """Return False where the log has to be read. No await in here: nothing can slip in between."""
        room, client = subscription.room, subscription.client
        self._flush(room)
        if client.paused or self.left(subscription):
            return True
        frames = room.feed.after(subscription.position)
        if frames is None:
            return False
        if frames and not client.write(Batch(frames)):
            return True
        subscription.position = room.sent
        room.lagging.discard(subscription)
        room.live[subscription] = None
        room.newcomers.add(subscription)
        self._tell_presence_soon(room)
        return True

    async def _catch_up_from_log(self, subscription: Subscription) -> None:
        try:
            while not self._catch_up_from_memory(subscription):
                frames = await self.after(subscription.room, subscription.position)
                if subscription.client.paused or self.left(subscription):
                    return
                if not frames or frames[0].seq != subscription.position + 1:
                    subscription.client.restart(subscription)
                    return
                if not subscription.client.write(Batch(frames)):
                    return
                subscription.position = frames[-1].seq
        except Refusal:
            logger.info("Catching up in room %s waits for the database", subscription.room.pk)
        finally:
            subscription.catching_up = False

    async def after(self, room: LocalRoom, seq: int) -> list[Frame]:
        """Return the frames after `seq`, or a first page of them: from memory, else from the log, read once for all who ask."""
        frames = room.feed.after(seq)
        if frames is not None:
            return frames
        backwards = max(0, room.feed.position - conf.current().RECENT_EVENTS)
        start = backwards if seq >= backwards else seq
        read = room.reads.get(start)
        if read is None:
            read = room.reads[start] = self._spawn(self._read(room, start, keep=start == backwards))
            read.add_done_callback(lambda _: room.reads.pop(start, None))
        page = await asyncio.shield(read)
        return [frame for frame in page if frame.seq > seq]

    async def _read(self, room: LocalRoom, seq: int, *, keep: bool) -> list[Frame]:
        """Read a page; where it leads up to the recent frames, read on until there and put all of it in front of them."""
        page = await self._reads.page(room.pk, room.topic, seq)
        if not keep:
            return page
        frames = page
        while page and page[-1].seq < room.feed.first_recent - 1:
            page = await self._reads.page(room.pk, room.topic, page[-1].seq)
            frames = frames + page
        room.feed.backfill(frames)
        return frames

    def _fill_soon(self, room: LocalRoom) -> None:
        if not room.filling:
            room.filling = True
            self._spawn(self._fill(room))

    async def _fill(self, room: LocalRoom) -> None:
        """Read what the room lacks, once for everyone in it."""
        try:
            while room.feed.behind and self._rooms.get(room.pk) is room:
                frames = await self._reads.page(room.pk, room.topic, room.feed.position)
                if not room.feed.behind:
                    return
                if not frames or frames[0].seq > room.feed.position + 1:
                    self._start_over(room, frames[0].seq - 1 if frames else room.feed.target)
                metrics.filled.add(len(frames))
                self._take(room, frames)
        except Refusal:
            logger.info("Filling room %s waits for the database", room.pk)
        finally:
            room.filling = False

    def _start_over(self, room: LocalRoom, position: int) -> None:
        """What comes next is no longer in the log. Everyone joins again, and is told so by the reply."""
        self._flush(room)
        for subscription in room.subscriptions():
            subscription.client.restart(subscription)
        room.feed.jump(position)
        room.sent = position

    # The safety net

    async def watch(self) -> None:
        """Look once whether the bus lost anything, and after those who lag."""
        positions = {pk: room.feed.position for pk, room in self._rooms.items()}
        if not positions:
            return
        heads = await self._reads.heads(list(positions))
        if any(heads.get(pk, 0) > room.feed.position for pk, room in self._rooms.items()):
            await asyncio.sleep(_GRACE_SECONDS)
        lost = [self._check(room, positions[pk], heads.get(pk)) for pk, room in list(self._rooms.items()) if pk in positions]
        for room in list(self._rooms.values()):
            self.resumed(list(room.lagging))
        if any(lost):
            await self._bus.renew()

    def _check(self, room: LocalRoom, position: int, head: int | None) -> bool:
        """Return True where the bus failed to bring something."""
        if head is None:
            gone = UnknownRoom(room.topic)
            for subscription in room.subscriptions():
                subscription.client.end(subscription, gone)
        elif head < position:
            self._start_over(room, head)
        elif head > room.feed.position:
            room.feed.expect(head)
            self._fill_soon(room)
            return True
        return False

    async def renew(self) -> None:
        """Renew the memberships in the layer's groups before they lapse."""
        await self._bus.renew()

    # Who is here

    async def reconcile(self) -> None:
        """Compare who is here with the table."""
        rooms = list(self._rooms.values())
        for room in rooms:
            room.roster.begin_reading()
        seats = await self._reads.seats([room.pk for room in rooms]) if rooms else {}
        for room in rooms:
            room.roster.reconcile(seats[room.pk], self._node)
            if room.roster.dirty:
                self._tell_presence_soon(room)

    def _note_moves(self, room: LocalRoom, node: str, seats: list[tuple[str, Actor | None]]) -> None:
        if node == self._node:
            return
        for client_id, actor in seats:
            if actor is None:
                room.roster.leave((node, client_id))
            else:
                room.roster.enter((node, client_id), actor)
        self._tell_presence_soon(room)

    def _tell_presence_soon(self, room: LocalRoom) -> None:
        """What happens within a moment is told at once."""
        if room.telling is None and self._rooms.get(room.pk) is room:
            gather = conf.current().PRESENCE_GATHER_SECONDS
            delay = gather if len(room.live) < _BIG_ROOM else max(gather, _BIG_ROOM_GATHER_SECONDS)
            room.telling = self._loop.call_later(delay, self._tell_presence, room)

    def _tell_presence(self, room: LocalRoom) -> None:
        room.telling = None
        joins, leaves = room.roster.changes()
        newcomers = [subscription for subscription in room.newcomers if subscription in room.live]
        room.newcomers.clear()
        was_listed, room.listed = room.listed, len(room.roster) <= conf.current().PRESENCE_LIST
        others = [subscription for subscription in room.live if subscription not in set(newcomers)]
        if not room.listed:
            count = protocol.push(None, room.topic, "presence_count", {"count": len(room.roster)})
            self._write(room, room.live if joins or leaves or was_listed else newcomers, Batch([count]))
            return
        if joins or leaves:
            diff = protocol.push(None, room.topic, "presence_diff", {"joins": joins, "leaves": leaves})
            self._write(room, others if was_listed else (), Batch([diff]))
        if newcomers or not was_listed:
            state = protocol.push(None, room.topic, "presence_state", room.roster.state())
            self._write(room, newcomers if was_listed else room.live, Batch([state]))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
