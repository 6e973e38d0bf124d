"""One server process: wires the hub to the log, holds the lease, and does what has to be done now and then.

There is one node per event loop; it starts with the loop's first connection, as not every server announces its start.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from realtime import (
    admissions,
    bus,
    conf,
    door,
    files,
    log,
    moderation,
    presence,
    rings,
    rooms,
    sanctions,
    slowmode,
    tickets,
)
from realtime.allowances import Allowances
from realtime.auth import Person
from realtime.batching import Batcher
from realtime.changes import Changes
from realtime.credentials import Credentials
from realtime.errors import Refusal
from realtime.feed import Standing
from realtime.hub import Hub
from realtime.kinds import Actor
from realtime.leaving import Notice
from realtime.limits import Tally, Turnstile
from realtime.log import Appended, Entry
from realtime.looks import Looks, Watched
from realtime.moderation import Asked, Done
from realtime.presence import Move, Roll
from realtime.protocol import Frame
from realtime.rings import Changed
from realtime.roster import Seat

logger = logging.getLogger("realtime.node")

_READS_WAITING = 100_000
_MOVES_AT_ONCE = 1000
_TOLD = 100  # of an address, at a time
_PATIENCE_SECONDS = 4.0  # daphne gives up on a handshake after 5

# A process dies just after it renewed; the others find out at their next look. Together that stays below LEASE_SECONDS.
_LEASE_SHARE = 0.6
_LEASE_STEP = 1 / 6

# For those who were promised an answer; then for everything else that was begun; then for the lease, in a thread of its own.
_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 7.0
_LEASE_END_SECONDS = 2.0

Call = Callable[[], Any]


class Served(Watched, Protocol):
    """What the node asks of a connection."""

    person: Person

    @property
    def room_pks(self) -> list[int]: ...

    def close(self, code: int, reason: str) -> None: ...

    def go_away(self, window: float) -> None: ...

    def lose_access(self) -> None: ...

    def close_if_stuck(self, now: float) -> None: ...

    def close_if_unjoined(self, now: float) -> None: ...


class Node:
    """A running process.

    `connections` are those that are open, and `looks` looks at them again; `changes` is what those ask that are about to be.
    `allowances` is what those of a person share, `addresses` how many come from where, and `turnstile` how soon after one
    another. `sockets` are all WebSockets, let in or not, and `told` those of an address that are told that it has too many.
    """

    def __init__(self) -> None:
        settings = conf.current()
        self.id = secrets.token_hex(8)
        self.connections: set[Served] = set()
        self.looks = Looks(self.connections)
        self.changes = Changes()
        self.sockets = Tally(files.part(files.SOCKETS))
        self.addresses = Tally(files.bounded(settings.CONNECTIONS_PER_ADDRESS, files.ADDRESS))
        self.told = Tally(files.bounded(_TOLD, files.TOLD))
        self.turnstile = Turnstile(settings.CONNECTS_PER_SECOND, settings.CONNECTS_BURST, _PATIENCE_SECONDS)
        self.allowances = Allowances()
        self._settings = settings
        self._lease_known = False
        self._writer: Batcher[Entry, Appended] = Batcher(
            "writer", rooms.commit, max_batch=settings.MAX_BATCH, max_waiting=settings.MAX_WAITING
        )
        self._doors: Batcher[door.Question, Any] = Batcher(
            "doors", door.answer, max_batch=256, max_waiting=_READS_WAITING, rests=True
        )
        self._reader: Batcher[Call, Any] = Batcher(
            "reader", _call_each, max_batch=32, max_waiting=_READS_WAITING, threads=2
        )
        # Apart from the reader: what writes may have to wait for a lock, and nobody who reads is to wait with it.
        self._keeper: Batcher[Call, Any] = Batcher(
            "keeper", _call_each, max_batch=1, max_waiting=_READS_WAITING, threads=2
        )
        self._clerk: Batcher[Move | Roll, None] = Batcher(
            "clerk", self._note_moves, max_batch=_MOVES_AT_ONCE, max_waiting=_READS_WAITING, rests=True
        )
        self._moderator: Batcher[Asked, Done] = Batcher(
            "moderator", moderation.carry_out, max_batch=16, max_waiting=settings.MAX_WAITING
        )
        self.hub = Hub(self.id, _LogReads(self._read), self._moved, self._changed)
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Task[None] | None = None
        self._notice: Notice | None = None

    async def start(self) -> None:
        """Raises a `Refusal` where the database is out of reach; what is done now and then is begun all the same."""
        self._notice = Notice(self._leave_soon)
        self.hub.start()
        every = self._settings
        self._tasks = [
            asyncio.create_task(_repeat(every.CATCH_UP_SECONDS, self._watch)),
            asyncio.create_task(_repeat(every.LEASE_SECONDS * _LEASE_STEP, self._renew_lease)),
            asyncio.create_task(_repeat(every.LEASE_SECONDS * _LEASE_STEP, self.hub.reconcile)),
            asyncio.create_task(_repeat(every.SWEEP_SECONDS, self._sweep)),
            asyncio.create_task(_repeat(every.ACCESS_SECONDS, self.looks.at_all)),
            asyncio.create_task(_repeat(every.GROUP_RENEW_SECONDS, self.hub.renew)),
        ]
        await self._renew_lease()

    async def stop(self) -> None:
        """Finish what was begun, take everybody here out of the rosters, and let go of every thread and connection.

        Returns in any case within some seconds. Where the database hangs, its threads are left to end when it lets go of them.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.looks.stop()
        await _until(self._loop.time() + _STOP_SECONDS, self._finish())
        await self.hub.stop()
        await _until(self._loop.time() + _LEASE_END_SECONDS, self._end_lease())
        for batcher in (self._writer, self._moderator, self._doors, self._clerk, self._keeper, self._reader):
            batcher.abandon()
        if self._notice is not None:
            self._notice.withdraw()

    async def _finish(self) -> None:
        await self._writer.close()
        await self._moderator.close()
        await self._doors.close()
        await self._clerk.close()

    async def _end_lease(self) -> None:
        try:
            await self._keep(lambda: presence.end(self.id))
        except Refusal:
            logger.info("The lease of this process is left to run out.")
        await self._keeper.close()
        await self._reader.close()

    def leave(self) -> None:
        """The process is asked to stop: answer what was asked, and ask every client to come back elsewhere."""
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        try:
            await self._answer_the_last()
            self._say_goodbye()
        finally:
            if self._notice is not None:
                self._loop.call_soon(self._notice.pass_on)  # after the goodbyes, and it may raise
            await self.stop()

    async def _answer_the_last(self) -> None:
        """Take no more commands, nor anybody in, and wait a while until those that were taken are answered."""
        for batcher in (self._writer, self._moderator, self._doors):
            batcher.take_no_more()
        deadline = self._loop.time() + _ANSWER_SECONDS
        await _until(deadline, self._writer.finish())
        await _until(deadline, self._moderator.finish())

    def _say_goodbye(self) -> None:
        """Spread the return of those who are here over a while."""
        window = max(1.0, len(self.connections) / self._settings.RETURNS_PER_SECOND)
        for connection in list(self.connections):
            connection.go_away(window)

    @property
    def is_leaving(self) -> bool:
        return self._leaving is not None

    def _leave_soon(self) -> bool:
        """Called in the middle of anything. Return whether the server is to wait for the goodbyes."""
        self._loop.call_soon_threadsafe(self.leave)
        return self._loop.is_running() and not self.is_leaving

    async def left(self) -> None:
        """Return when the node has left, at once where it is not leaving. A server waits for this before it exits."""
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    # What a connection needs

    def identify(self, shown: Credentials) -> Awaitable[Person]:
        return self._doors.submit(shown)

    def admit(self, slug: str, person: Person) -> asyncio.Future[admissions.Admission]:
        return self._doors.submit((slug, person))

    def still(self, person: Person) -> asyncio.Future[Person | None]:
        return self._doors.submit(person)

    def append(self, entry: Entry) -> asyncio.Future[Appended]:
        return self._writer.submit(entry)

    def moderate(self, asked: Asked) -> asyncio.Future[Done]:
        return self._moderator.submit(asked)

    def history(self, room_pk: int, topic: str, seq: int | None, limit: int) -> Awaitable[list[Frame]]:
        return self._read(lambda: log.before(room_pk, topic, seq, limit, self._settings.PAGE_BYTES))

    def signal(self, room_pk: int, body: bytes) -> None:
        rooms.signal(room_pk, body)

    # Who is here

    def _moved(self, room_pk: int, connection: str, actor: Actor | None) -> None:
        """Called by the hub; the table, and the other processes, follow in batches."""
        try:
            self._clerk.submit(Move(connection, room_pk, actor)).add_done_callback(self._move_noted)
        except Refusal:
            self._lease_known = False

    def _note_moves(self, asked: list[Move | Roll]) -> list[Refusal | None]:
        """In the clerk's thread."""
        presence.note(self.id, asked)
        seats: dict[int, list[tuple[str, Actor | None]]] = {}
        for move in asked:
            if isinstance(move, Move):
                seats.setdefault(move.room_pk, []).append((move.connection, move.actor))
        for room_pk, moved in seats.items():
            bus.publish(rings.Moved(room_pk, self.id, moved))
        return [None] * len(asked)

    def _move_noted(self, noted: asyncio.Future[None]) -> None:
        if not noted.cancelled() and noted.exception() is not None:
            self._lease_known = False

    async def _renew_lease(self) -> None:
        """Renew the lease; where it was lost, or a move was not noted, write down anew who is here."""
        held = await self._keep(lambda: presence.renew(self.id, self._settings.LEASE_SECONDS * _LEASE_SHARE))
        if held and self._lease_known:
            return
        self._lease_known = True
        here = [
            Move(subscription.client.id, room.pk, subscription.client.actor)
            for room in self.hub.rooms.values()
            for subscription in room.subscriptions()
        ]
        try:
            await self._clerk.submit(Roll(here))
        except Refusal:
            self._lease_known = False
            raise

    # Who may still be here

    def _changed(self, changed: Changed) -> None:
        """Somebody's account, session or room is not what it was."""
        self.changes.hear(changed, time.monotonic())
        connections = list(self.connections)
        for connection in connections:
            if changed.ends(connection.person):
                connection.lose_access()
        self.looks.soon([one for one in connections if changed.concerns(one.person, one.room_pks)])

    # Now and then

    async def _watch(self) -> None:
        await self.hub.watch()
        now = time.monotonic()
        for connection in list(self.connections):
            connection.close_if_stuck(now)
            connection.close_if_unjoined(now)

    async def _sweep(self) -> None:
        await self._keep(presence.sweep)
        await self._keep(lambda: log.trim(datetime.now(UTC)))
        await self._keep(tickets.sweep)
        await self._keep(lambda: sanctions.sweep(datetime.now(UTC)))
        await self._keep(lambda: slowmode.sweep(datetime.now(UTC)))

    def _read(self, read: Call) -> asyncio.Future[Any]:
        return self._reader.submit(read)

    def _keep(self, write: Call) -> asyncio.Future[Any]:
        return self._keeper.submit(write)


class _LogReads:
    """The log and the presence table, as the hub reads them."""

    def __init__(self, read: Callable[[Call], asyncio.Future[Any]]) -> None:
        self._read = read

    def page(self, room_pk: int, topic: str, seq: int) -> asyncio.Future[list[Frame]]:
        settings = conf.current()
        return self._read(lambda: log.since(room_pk, topic, seq, settings.PAGE_EVENTS, settings.PAGE_BYTES))

    def heads(self, room_pks: list[int]) -> asyncio.Future[dict[int, Standing]]:
        return self._read(lambda: log.heads(room_pks))

    def seats(self, room_pks: list[int]) -> asyncio.Future[dict[int, dict[Seat, Actor]]]:
        return self._read(lambda: presence.seats(room_pks))


_starting: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Node]] = WeakKeyDictionary()


async def current() -> Node:
    """Return the node of the running event loop, started."""
    loop = asyncio.get_running_loop()
    if loop not in _starting:
        _starting[loop] = loop.create_task(_started())
    return await asyncio.shield(_starting[loop])


def any_leaving() -> bool:
    """Say whether this process has been asked to stop, and takes no more connections. From any thread."""
    started = [task.result() for task in list(_starting.values()) if task.done() and not task.cancelled()]
    return any(node.is_leaving for node in started)


async def stop() -> None:
    """Stop the node of the running event loop, where one runs."""
    starting = _starting.pop(asyncio.get_running_loop(), None)
    if starting is not None:
        await (await starting).stop()


async def _started() -> Node:
    node = Node()
    try:
        await node.start()
    except Refusal:
        logger.warning("The database did not answer at the start; the node goes on and tries again.")
    return node


async def _until(deadline: float, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await work
    except TimeoutError:
        logger.warning("The database has not answered in time; the process stops all the same.")


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something every so many seconds, whatever goes wrong with it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Refusal as refusal:
            logger.info("%s is put off: %s", getattr(work, "__qualname__", work), refusal)
        except Exception:
            logger.exception("%s failed", getattr(work, "__qualname__", work))


def _call_each(reads: Sequence[Call]) -> list[Any]:
    return [read() for read in reads]
