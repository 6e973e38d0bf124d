"""The way out: one per process and event loop, the rooms that somebody here is in.

It hears of events from the bus, puts each room's in order, and reads from the log, once for everyone, what the bus did not
bring. It knows no database and no transport: it is handed callables that read, and clients that write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol

from realtime import conf, metrics, protocol
from realtime.bus import Bus
from realtime.errors import Refusal, RoomClosed, RoomFull, Unavailable, UnknownRoom
from realtime.feed import Standing
from realtime.kinds import Actor
from realtime.local import Client, LocalRoom, Subscription
from realtime.protocol import Batch, Frame
from realtime.rings import Changed, Cleared, Ended, Happened, Judged, Kicked, Moved, Removed, Ring, Signalled
from realtime.roster import Seat

logger = logging.getLogger("realtime.hub")

_GRACE_SECONDS = 0.05


class Reads(Protocol):
    """How the hub reads what is stored. Each may raise a `Refusal` while the database is out of reach."""

    def page(self, room_pk: int, topic: str, seq: int) -> Awaitable[list[Frame]]:
        """The frames after `seq`, oldest first: a page of them."""
        ...

    def heads(self, room_pks: list[int]) -> Awaitable[dict[int, Standing]]: ...

    def seats(self, room_pks: list[int]) -> Awaitable[dict[int, dict[Seat, Actor]]]: ...


class Hub:
    """`rooms` are those that somebody on this process is in, by pk."""

    def __init__(
        self,
        node: str,
        reads: Reads,
        moved: Callable[[int, str, Actor | None], None],
        changed: Callable[[Changed], None] = lambda _: None,
    ) -> None:
        """`moved(room_pk, client_id, actor or None)` is told of every entering and leaving, `changed` of what is no room's."""
        self.rooms: dict[int, LocalRoom] = {}
        self._node = node
        self._reads = reads
        self._moved = moved
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bus = Bus(self.hear)

    def start(self) -> None:
        self._bus.start()

    async def stop(self) -> None:
        await self._bus.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Entering and leaving

    async def enter(
        self, client: Client, join_ref: str | None, room_pk: int, topic: str, head: int, most: int | None = None
    ) -> Subscription:
        """Subscribe a client whose view of the room begins at `head`, or raise `Unavailable`. It hears nothing until `begin`.

        Where `most` people may be in the room, it raises `RoomFull` for one more.

        From here on nothing that is committed can pass it by. The room has reached `head` when this returns: a client that
        were ahead of the room would hear what it knows once more.
        """
        room = self.rooms.get(room_pk)
        if room is None:
            room = self.rooms[room_pk] = LocalRoom(room_pk, topic, head)
            room.opened = self._spawn(self._open(room))
        if most is not None:
            await self._find_place(room, client.actor.id, most)
        subscription = Subscription(client, join_ref, room)
        room.lagging[subscription] = None
        room.roster.enter((self._node, client.id), client.actor)
        self._moved(room_pk, client.id, client.actor)
        metrics.subscriptions.add(1)
        try:
            if room.opened is not None:
                await asyncio.shield(room.opened)
            await self._reach(room, head)
        except BaseException:
            self.leave(subscription)
            raise
        return subscription

    async def _find_place(self, room: LocalRoom, person: str, most: int) -> None:
        """Return once it is known who is in the room, with a place for one more. The place is taken by who sits down at once."""
        room.asking += 1
        try:
            if room.opened is not None:
                await asyncio.shield(room.opened)
            if not room.roster.has_place(person, most):
                raise RoomFull
        except BaseException:
            room.asking -= 1
            if room.empty:
                self._close(room)
            raise
        room.asking -= 1

    def begin(self, subscription: Subscription, position: int, tail: int | None = None) -> None:
        """Let a subscription hear what comes after `position`, and what has left the log beyond `tail`."""
        subscription.position = position
        if tail is not None:
            subscription.tail = tail
        subscription.catching_up = False
        self.catch_up(subscription)

    def leave(self, subscription: Subscription) -> None:
        if subscription.over:
            return
        room = subscription.room
        room.remove(subscription)
        room.roster.leave((self._node, subscription.client.id))
        self._moved(room.pk, subscription.client.id, None)
        metrics.subscriptions.add(-1)
        if room.empty:
            self._close(room)
        else:
            room.tell_presence_soon()

    async def _open(self, room: LocalRoom) -> None:
        """Hear of the room, then look at what was missed between its row's being read and this."""
        await self._bus.join(room.pk)
        room.roster.begin_reading()
        try:
            heads, seats = await asyncio.gather(self._reads.heads([room.pk]), self._reads.seats([room.pk]))
        except Refusal:
            return
        room.roster.reconcile(seats[room.pk], self._node)
        standing = heads.get(room.pk, Standing(0))
        self._shorten(room, standing.tail, tell=False)
        room.judged = standing.judged
        self._expect(room, standing.head)

    def _close(self, room: LocalRoom) -> None:
        room.close()
        if self.rooms.get(room.pk) is room:
            del self.rooms[room.pk]
            self._spawn(self._unhear(room.pk))

    async def _unhear(self, room_pk: int) -> None:
        await self._bus.leave(room_pk)
        if room_pk in self.rooms:
            await self._bus.join(room_pk)

    # What the bus says

    def hear(self, ring: Ring) -> None:
        if isinstance(ring, Changed):
            self._changed(ring)
            return
        room = self.rooms.get(ring.room_pk)
        if room is None:
            return
        match ring:
            case Happened(_, frames):
                self._take(room, (Frame(body, seq, event) for seq, body, event in frames))
                self._expect(room, 0)
            case Removed(_, seq, body, event, target):
                self._take(room, [Frame(body, seq, event, target)])
                self._expect(room, 0)
            case Signalled(_, body):
                room.send([Frame(body)])
            case Moved(_, node, seats):
                self._note_moves(room, node, seats)
            case Cleared(_, seq):
                self._shorten(room, seq, tell=True)
            case Ended(_, code, message):
                self._spawn(self._end_whole(room, Refusal(code, message)))
            case Kicked(_, person, code, message):
                self._end(room, Refusal(code, message), person)
            case Judged(_, person, count):
                self._judged(room, count, Changed(person=person))

    def _take(self, room: LocalRoom, frames: Iterable[Frame]) -> None:
        ready = room.feed.take(frames)
        if ready:
            room.send(ready)

    def _note_moves(self, room: LocalRoom, node: str, seats: list[tuple[str, Actor | None]]) -> None:
        if node == self._node:
            return
        for client_id, actor in seats:
            if actor is None:
                room.roster.leave((node, client_id))
            else:
                room.roster.enter((node, client_id), actor)
        room.tell_presence_soon()

    def _shorten(self, room: LocalRoom, tail: int, *, tell: bool) -> None:
        """Let go of what has left the log. Pages are told of a history that was cleared, not of one that is only trimmed."""
        room.tail = max(room.tail, tail)
        room.feed.forget(tail)
        if tell:
            room.send([room.cleared()])

    async def _end_whole(self, room: LocalRoom, refusal: Refusal) -> None:
        """End everyone's subscription once they have heard the last words, which the bus may not have brought."""
        try:
            standing = (await self._reads.heads([room.pk])).get(room.pk)
            if standing is not None:
                await self._reach(room, standing.head)
        except Refusal:
            logger.info("Room %s ends without a look at the log", room.pk)
        self._end(room, refusal)

    def _end(self, room: LocalRoom, refusal: Refusal, person: str | None = None) -> None:
        """End everyone's subscription, or one person's."""
        room.flush()
        for subscription in room.subscriptions():
            if person is None or subscription.client.actor.id == person:
                subscription.client.end(subscription, refusal)

    def _judged(self, room: LocalRoom, count: int, changed: Changed) -> None:
        """Have those looked at whom it concerns; everybody in the room, where an earlier word has not come."""
        missed = count > room.judged + 1
        room.judged = max(room.judged, count)
        self._changed(Changed(room=room.pk) if missed else changed)

    # Reading the log

    def resumed(self, subscriptions: Iterable[Subscription]) -> None:
        """A client reads again."""
        for subscription in subscriptions:
            if subscription in subscription.room.lagging:
                self.catch_up(subscription)

    def catch_up(self, subscription: Subscription) -> None:
        """Write what lies between a subscription's position and the room's, then let it live."""
        if not subscription.catching_up and not subscription.room.catch_up(subscription):
            subscription.catching_up = True
            self._spawn(self._catch_up_from_log(subscription))

    async def _catch_up_from_log(self, subscription: Subscription) -> None:
        room, client = subscription.room, subscription.client
        try:
            while not room.catch_up(subscription):
                frames = await self.after(room, subscription.position)
                if client.paused or subscription.over:
                    return
                if not frames or frames[0].seq != subscription.position + 1:
                    client.restart(subscription)
                    return
                if not client.write(Batch(frames)):
                    return
                subscription.position = frames[-1].seq
        except Refusal:
            logger.info("Catching up in room %s waits for the database", room.pk)
        finally:
            subscription.catching_up = False

    async def after(self, room: LocalRoom, seq: int) -> list[Frame]:
        """Return the frames after `seq`, or a first page of them: from memory, else from the log, read once for all who ask.

        The log may be ahead of the room; what the room has not reached is left for when it does.
        """
        frames = room.feed.after(seq)
        if frames is not None:
            return frames
        recent = max(0, room.feed.position - conf.current().RECENT_EVENTS)
        page = await self._read_once(room, min(seq, recent), keep=seq >= recent)
        if page and page[-1].seq <= seq:
            page = await self._read_once(room, seq, keep=False)
        known = [frame for frame in page if max(seq, room.tail) < frame.seq <= room.feed.position]
        return room.feed.without_removed(known)

    async def _read_once(self, room: LocalRoom, seq: int, *, keep: bool) -> list[Frame]:
        """Read after `seq` for everyone who asks while the reading is under way."""
        read = room.reads.get(seq)
        if read is None:
            read = room.reads[seq] = self._spawn(self._read(room, seq, keep=keep))
            read.add_done_callback(lambda _: room.reads.pop(seq, None))
        return await asyncio.shield(read)

    async def _read(self, room: LocalRoom, seq: int, *, keep: bool) -> list[Frame]:
        """Read a page; where it leads up to the recent frames, read on until there and put all of it in front of them.

        But no more than is kept of a room: large events are read page by page, by whoever needs them.
        """
        page = await self._reads.page(room.pk, room.topic, seq)
        if not keep:
            return page
        frames = page
        most = conf.current().RECENT_BYTES
        while page and page[-1].seq < room.feed.first_recent - 1 and sum(len(frame.body) for frame in frames) < most:
            page = await self._reads.page(room.pk, room.topic, page[-1].seq)
            frames = frames + page
        room.feed.backfill(frames)
        return frames

    def _expect(self, room: LocalRoom, head: int) -> None:
        """Take note that the room has events up to `head`, and fill in what is missing."""
        room.feed.expect(head)
        if room.feed.behind and room.filling is None:
            room.filling = self._spawn(self._fill(room))

    async def _reach(self, room: LocalRoom, head: int) -> None:
        """Return once everything up to `head` has been handed on."""
        self._expect(room, head)
        if room.feed.position < head and room.filling is not None:
            await asyncio.shield(room.filling)
        if room.feed.position < head:
            raise Unavailable

    async def _fill(self, room: LocalRoom) -> None:
        """Read what the room lacks, once for everyone in it."""
        try:
            while room.feed.behind and not room.empty:
                self._fill_with(room, await self._reads.page(room.pk, room.topic, room.feed.position))
        except Refusal:
            logger.info("Filling room %s waits for the database", room.pk)
        finally:
            room.filling = None

    def _fill_with(self, room: LocalRoom, frames: list[Frame]) -> None:
        """Go on with what was read, unless the bus has brought everything meanwhile."""
        if not room.feed.behind:
            return
        if not frames or frames[0].seq > room.feed.position + 1:
            self._start_over(room, frames[0].seq - 1 if frames else room.feed.target)
        metrics.filled.add(len(frames))
        self._take(room, frames)

    def _start_over(self, room: LocalRoom, position: int) -> None:
        """What comes next is no longer in the log. Everyone joins again, and is told so by the reply."""
        room.flush()
        for subscription in room.subscriptions():
            subscription.client.restart(subscription)
        room.feed.jump(position)
        room.sent = position

    # Now and then

    async def watch(self) -> None:
        """Look whether the bus lost anything, and after those who lag."""
        positions = {pk: room.feed.position for pk, room in self.rooms.items()}
        if not positions:
            return
        heads = await self._reads.heads(list(positions))
        if any(heads[pk].head > room.feed.position for pk, room in self.rooms.items() if pk in heads):
            await asyncio.sleep(_GRACE_SECONDS)
        watched = [(room, positions[pk]) for pk, room in self.rooms.items() if pk in positions]
        lost = [self._check(room, position, heads.get(room.pk)) for room, position in watched]
        for room, _ in watched:
            self.resumed(list(room.lagging))
        if any(lost) or self._bus.stale:
            self._bus.renew_soon()

    def _check(self, room: LocalRoom, position: int, standing: Standing | None) -> bool:
        """Return True where the bus failed to bring something."""
        if standing is None:
            self._end(room, UnknownRoom(room.topic.removeprefix(protocol.TOPIC_PREFIX)))
        elif standing.closed and standing.head <= room.feed.position:
            self._end(room, RoomClosed())
        elif standing.head < position:
            self._start_over(room, standing.head)
        else:
            if standing.tail > room.tail:
                self._shorten(room, standing.tail, tell=standing.tail >= position)
            if standing.judged > room.judged:
                self._judged(room, standing.judged, Changed(room=room.pk))
            if standing.head > room.feed.position:
                self._expect(room, standing.head)
                return True
        return False

    async def renew(self) -> None:
        """Renew the memberships in the layer's groups before they lapse."""
        await self._bus.renew()

    async def reconcile(self) -> None:
        """Compare who is here with the table."""
        rooms = list(self.rooms.values())
        for room in rooms:
            room.roster.begin_reading()
        seats = await self._reads.seats([room.pk for room in rooms]) if rooms else {}
        for room in rooms:
            room.roster.reconcile(seats[room.pk], self._node)
            if room.roster.dirty:
                room.tell_presence_soon()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Refusal):
            logger.error("A task of the hub failed", exc_info=error)
