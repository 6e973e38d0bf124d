"""One client, no transport: `receive(text)` in, frames out through a lane.

It turns what a client sends into calls, and everything that goes wrong into a coded refusal; nothing that a client sends raises
out of here. Commands are handed over in the order they come, and answered when they are committed. While too many are
unanswered, nothing more is read, and of one that is too fast less is read.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial

from realtime import conf, credentials, log, metrics, moderation, policy, protocol
from realtime.auth import Person
from realtime.credentials import Credentials
from realtime.errors import (
    AccessEnded,
    BadCredentials,
    Failed,
    Flooding,
    GoingAway,
    Invalid,
    Malformed,
    Refusal,
    ShutOut,
    TooLarge,
    UnmatchedTopic,
)
from realtime.joined import Joined, whole
from realtime.kinds import Actor, Ephemeral
from realtime.line import Lane, Line
from realtime.local import Subscription
from realtime.log import Appended, Entry
from realtime.moderation import Asked
from realtime.node import Node
from realtime.pace import Pace
from realtime.protocol import Batch, Frame, Push
from realtime.whereabouts import Whereabouts

logger = logging.getLogger("realtime.connection")

GOING_AWAY = 4000
TOO_SLOW = 4001
UNJOINED = 4004
TOO_FAST = 4005
NOT_UNDERSTOOD = 4500
ACCESS_ENDED = 4501
SHUT_OUT = 4502

# One who floods is not read for a while before it is closed: coming back at once would cost more than staying.
_FLOOD_PAUSE_SECONDS = 5.0
_FLOOD_WINDOW_SECONDS = 30.0


class Connection:
    """A client's live line. `resumed` is called by the transport when its lane takes writes again, `closed` at the end."""

    __slots__ = (
        "__weakref__",
        "_answered",
        "_drained",
        "_gone",
        "_line",
        "_malformed",
        "_node",
        "_settings",
        "_unanswered",
        "_whereabouts",
        "actor",
        "id",
        "pace",
        "person",
    )  # fmt: skip

    def __init__(self, node: Node, person: Person, lane: Lane) -> None:
        """Raises `TooManyConnections` where the person has as many as may be."""
        now = time.monotonic()
        self._settings = conf.current()
        self._node = node
        self._line = Line(lane, self._settings.MAX_REPLIES)
        self._whereabouts = Whereabouts(self, node, now)
        self._malformed = 0
        self._unanswered = 0
        self._answered: asyncio.Event | None = None
        self._gone: asyncio.Event | None = None
        self._drained: asyncio.Event | None = None
        self.id = secrets.token_hex(8)
        self.person = person
        self.actor: Actor = person.actor
        self.pace = Pace(self._settings, node.allowances.enter(person, now), now)
        node.connections.add(self)
        metrics.connections.add(1)

    # From the transport

    async def receive(self, text: str | bytes) -> None:
        """Take one frame from the client. Returns when the next may be read."""
        if self.closing:
            await asyncio.sleep(0)  # the goodbye goes first, however much has come in the meantime
            return
        wait = self.pace.frame(time.monotonic(), len(text))
        if wait:
            await self._hold(wait)
        if self._has_enough_to_read:
            await self._let_it_read()
        if not self.closing:
            await self._take(text)
        if self.pace.flooding and not self.closing:
            await self._turn_out()

    async def _take(self, text: str | bytes) -> None:
        try:
            push = self._decode(text)
        except Refusal as refusal:
            self._remark(refusal)
            return
        try:
            await self._route(push, text)
        except Refusal as refusal:
            self._refuse(push, refusal)
        except Exception:
            logger.exception("A frame for %.100r failed", push.topic)
            self._refuse(push, Failed())

    def resumed(self) -> None:
        """The lane takes writes again."""
        if self._line.resume():
            self._whereabouts.resumed()
        if self._drained is not None and not self._has_enough_to_read:
            self._drained.set()

    def held_up(self) -> None:
        """The lane takes no more writes for now: nobody may write to it past this object, as `direct` lets them."""
        self._line.hold()
        self._whereabouts.held_up()

    def refuse_binary(self) -> None:
        """The client sent a binary frame."""
        self._remark(Malformed("binary frames are not taken."))

    def closed(self) -> None:
        """The transport is gone, or will be. Saying so again changes nothing."""
        self._line.shut()
        if self not in self._node.connections:
            return
        self._whereabouts.leave_all()
        self._node.connections.discard(self)
        self._node.allowances.leave(self.pace.shared)
        for waited_for in (self._gone, self._drained):
            if waited_for is not None:
                waited_for.set()
        metrics.connections.add(-1)

    # From the hub, and from where it is

    @property
    def closing(self) -> bool:
        return self._line.closed

    @property
    def paused(self) -> bool:
        return self._line.paused

    @property
    def direct(self) -> Callable[[bytes], None] | None:
        return self._line.direct

    def write(self, batch: Batch) -> bool:
        return self._line.write(batch)

    def end(self, subscription: Subscription, refusal: Refusal) -> None:
        self._whereabouts.end(subscription, refusal)

    def restart(self, subscription: Subscription) -> None:
        self._whereabouts.restart(subscription)

    def send(self, frame: Frame) -> None:
        """Send a frame of the client's own, or close on who leaves too many unread."""
        if not self._line.send(frame):
            metrics.drops.add(value="replies_full")
            self.close(TOO_SLOW, "too slow")

    # From the node

    def close(self, code: int, reason: str) -> None:
        """Say goodbye. A code of 4500 and above tells the client to stay away."""
        if self.closing:
            return
        if code >= 4500:
            self._whereabouts.part()
        self._line.close(code, reason)
        self.closed()

    def go_away(self, window: float) -> None:
        """Ask the client to come back, here or elsewhere, at some moment of the next `window` seconds."""
        refusal = GoingAway(window)
        metrics.refusals.add(value=refusal.code)
        self.send(protocol.remark(refusal))
        self.close(GOING_AWAY, "going away")

    @property
    def room_pks(self) -> list[int]:
        """The rooms that are joined."""
        return [joined.admission.room_pk for joined in self._whereabouts]

    async def look_again(self) -> None:
        """Ask whether this is still who they were and may still be where they are, and end what may not."""
        try:
            known = self.person
            person = await self._node.still(known)
            if self.person.id != known.id:  # a guest, who has shown a ticket meanwhile
                return
            if person is None:
                self.lose_access()
                return
            self.person, self.actor = person, person.actor
            await self._whereabouts.look_again()
        except Refusal as refusal:
            logger.info("Looking again at a connection is put off: %s", refusal)

    def heed(self, since: int) -> None:
        """Follow what the node was told, after the first `since`, while who this is or where was still being asked."""
        changes, now = self._node.changes, time.monotonic()
        if changes.end(self.person, since, now):
            self.lose_access()
        elif changes.concern(self.person, self.room_pks, since, now):
            self._node.looks.soon([self])

    def lose_access(self) -> None:
        """This is no longer who they were: say so, and that they should stay away."""
        refusal = AccessEnded()
        metrics.refusals.add(value=refusal.code)
        self.send(protocol.remark(refusal))
        self.close(ACCESS_ENDED, "access ended")

    def close_if_stuck(self, now: float) -> None:
        """Give up on a client that has not read for too long; it catches up when it comes back. Called now and then."""
        if self._line.stuck_for(now) > self._settings.LAG_SECONDS:
            metrics.drops.add(value="too_slow")
            self.close(TOO_SLOW, "too slow")

    def close_if_unjoined(self, now: float) -> None:
        """Give up on a client that wants no room; it comes back when it wants one. Called now and then."""
        most = self._settings.UNJOINED_SECONDS
        if most and self._whereabouts.nowhere_for(now) > most:
            metrics.drops.add(value="unjoined")
            self.close(UNJOINED, "in no room")

    # Who asks and does not read

    @property
    def _has_enough_to_read(self) -> bool:
        return self._line.waiting_bytes > self._settings.PAGE_BYTES

    async def _let_it_read(self) -> None:
        """Take nothing more from a client that has not read what it asked for: its pages would fill the memory of all."""
        self._drained = asyncio.Event()
        await self._drained.wait()
        self._drained = None

    # Who is too fast

    async def _hold(self, seconds: float) -> None:
        """Read nothing for a while, or until the end."""
        self._gone = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            self._gone = None

    async def _turn_out(self) -> None:
        """Close on a client that goes on being too fast: it may come back, unless it makes a habit of it."""
        may_return = self.pace.may_return(time.monotonic())
        refusal = Flooding(_FLOOD_WINDOW_SECONDS) if may_return else ShutOut()
        metrics.refusals.add(value=refusal.code)
        metrics.drops.add(value="too_fast")
        self.send(protocol.remark(refusal))
        await self._hold(_FLOOD_PAUSE_SECONDS)
        self.close(TOO_FAST if may_return else SHUT_OUT, "too fast")

    # What clients ask

    def _decode(self, text: str | bytes) -> Push:
        _check_size(text, self._settings.MAX_BYTES)
        push = protocol.decode(text)
        self._malformed = 0
        return push

    async def _route(self, push: Push, text: str | bytes) -> None:
        joined = self._whereabouts.get(push.topic)
        if push.topic == "phoenix" and push.event == "heartbeat":
            self.send(protocol.reply(push, {}))
        elif push.event == "phx_join":
            with self._whereabouts.on_the_way():
                await self._join(push)
        elif joined is None:
            if push.event != "phx_leave":
                raise UnmatchedTopic(push.topic)
            self.send(protocol.reply(push, {}))
        elif push.join_ref is not None and push.join_ref != joined.subscription.join_ref:
            return
        elif push.event == "phx_leave":
            self._whereabouts.leave(joined.subscription)
            self.send(protocol.reply(push, {}))
            self.send(protocol.closed(joined.subscription.join_ref, push.topic))
        elif push.event == "room_history":
            await self._history(push, joined)
        elif push.event in moderation.REQUESTS:
            await self._moderate(push, joined)
        else:
            _check_size(text, joined.admission.max_bytes)
            await self._command(push, joined)

    async def _join(self, push: Push) -> None:
        slug = protocol.slug(push.topic)
        if slug is None:
            raise UnmatchedTopic(push.topic)
        self.pace.join(time.monotonic())
        await self._introduce(push.payload.pop("ticket", None))
        await self._whereabouts.join(push, slug)

    async def _introduce(self, ticket: object) -> None:
        """Let a guest who is in no room yet say with a ticket who they are. Who is somebody already stays that person."""
        if ticket is None or self.person.user_pk is not None:
            return
        if self._whereabouts or not isinstance(ticket, str):
            raise Invalid("ticket: expected text, in the first join of a connection.")
        if not credentials.is_token(ticket, credentials.TICKET):
            raise BadCredentials
        told = self._node.changes.count
        person = await self._node.identify(Credentials(token=ticket))
        if not self.closing:
            self._become(person)
            self.heed(told)

    def _become(self, person: Person) -> None:
        guest, shared = self.pace.shared, self._node.allowances.enter(person, time.monotonic())
        self.pace.shared = shared
        self._node.allowances.leave(guest)
        self.person, self.actor = person, person.actor

    async def _history(self, push: Push, joined: Joined) -> None:
        self.pace.command(time.monotonic(), joined.admission.room_pk)
        before = whole(push.payload, "before", None, 0, 2**62)
        limit = whole(push.payload, "limit", 50, 1, 200)
        assert limit is not None
        frames = await self._node.history(joined.admission.room_pk, push.topic, before, limit)
        complete = (
            not frames
            or frames[0].seq <= 1
            or not await self._node.history(joined.admission.room_pk, push.topic, frames[0].seq, 1)
        )
        frames = joined.subscription.room.feed.without_removed(frames)
        self.send(protocol.reply(push, {"events": protocol.listed(frames), "complete": complete}))

    async def _moderate(self, push: Push, joined: Joined) -> None:
        self.pace.command(time.monotonic(), joined.admission.room_pk)
        policy.check_command(self.person, push.event)
        request = moderation.parse(push.event, push.payload)
        done = await self._node.moderate(Asked(joined.admission.room_pk, self.person, request))
        self.send(protocol.reply(push, done))

    async def _command(self, push: Push, joined: Joined) -> None:
        policy.check_command(self.person, push.event)
        command, key = joined.command(push)
        if isinstance(command, Ephemeral):
            self._signal(push, joined, command)
            return
        self.pace.command(time.monotonic(), joined.admission.room_pk, joined.bucket)
        entry = Entry(joined.admission.room_pk, command, self.actor, key, self.person)
        self._node.append(entry).add_done_callback(partial(self._answer, push))
        self._unanswered += 1
        if self._unanswered >= self._settings.MAX_UNANSWERED:
            self._answered = asyncio.Event()
            await self._answered.wait()

    def _signal(self, push: Push, joined: Joined, command: Ephemeral) -> None:
        self.pace.ephemeral(time.monotonic())
        if "act" not in joined.admission.can:
            joined.admission.held.check_mute()
            raise policy.no(self.person)
        body = protocol.ephemeral(push.topic, push.event, self.actor, log.checked(command)).body
        self._node.signal(joined.admission.room_pk, body)
        self.send(protocol.reply(push, {}))

    # Answers

    def _answer(self, push: Push, outcome: asyncio.Future[Appended]) -> None:
        self._unanswered -= 1
        if self._answered is not None:
            self._answered.set()
        if outcome.cancelled():
            return
        error = outcome.exception()  # asked for in any case, or asyncio would report that nobody did
        if self.closing:
            return
        if error is None:
            self.send(protocol.reply(push, {"seq": outcome.result().seq}))
        else:
            self._refuse(push, error if isinstance(error, Refusal) else Failed())

    def _refuse(self, push: Push, refusal: Refusal) -> None:
        metrics.refusals.add(value=refusal.code)
        unmatched = isinstance(refusal, UnmatchedTopic)
        self.send(protocol.refuse(push if not unmatched else Push(None, push.ref, push.topic, push.event, {}), refusal))
        if push.event == "phx_join" and refusal.final:
            self.send(protocol.closed(push.join_ref, push.topic))

    def _remark(self, refusal: Refusal) -> None:
        """Refuse what cannot be replied to, as it could not be understood; a client that keeps on is told to stay away."""
        metrics.refusals.add(value=refusal.code)
        self.send(protocol.remark(refusal))
        self._malformed += 1
        if self._malformed >= self._settings.MAX_MALFORMED:
            self.close(NOT_UNDERSTOOD, "cannot be understood")


def _check_size(text: str | bytes, most: int | None) -> None:
    size = len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode(errors="replace"))
    if most is not None and size > most:
        raise TooLarge(size, most)
