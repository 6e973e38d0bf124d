"""One client, no transport: `receive(text)` in, frames out through a lane.

It turns what a client sends into calls, and everything that goes wrong into a coded refusal; nothing that a client sends raises
out of here. Commands are handed over in the order they come, and answered when they are committed. While too many are
unanswered, nothing more is read.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from functools import partial
from typing import Any, Protocol

from realtime import conf, kinds, log, metrics, policy, protocol
from realtime.auth import Person
from realtime.errors import (
    Failed,
    GoingAway,
    Invalid,
    Malformed,
    RateLimited,
    Refusal,
    TooLarge,
    TooManyRooms,
    UnmatchedTopic,
)
from realtime.kinds import Actor, Ephemeral
from realtime.limits import Bucket
from realtime.local import Subscription
from realtime.log import Appended, Entry
from realtime.node import Node
from realtime.protocol import Batch, Frame, Push
from realtime.rooms import Admission

logger = logging.getLogger("realtime.connection")

GOING_AWAY = 4000
TOO_SLOW = 4001
NOT_UNDERSTOOD = 4500


class Lane(Protocol):
    """The way out of a transport."""

    @property
    def paused(self) -> bool:
        """Whether what was written has not gone out yet, so that nothing more may be written."""
        ...

    def write(self, batch: Batch) -> None:
        """Write all frames of the batch; the lane may be paused afterwards."""
        ...

    def close(self, code: int, reason: str) -> None: ...


class _Joined:
    """A joined room: the subscription and what the client was admitted with."""

    __slots__ = ("admission", "bucket", "kind", "subscription")

    def __init__(self, subscription: Subscription, admission: Admission, now: float) -> None:
        rate = admission.commands_per_second or 0.0
        self.subscription = subscription
        self.admission = admission
        self.kind = kinds.get(admission.kind)
        self.bucket = Bucket(rate, max(1.0, rate * 2), now) if rate else None


class Connection:
    """A client's live line. `resumed` is called by the transport when its lane takes writes again, `closed` at the end."""

    __slots__ = (
        "__weakref__",
        "_answered",
        "_bucket",
        "_joined",
        "_joins",
        "_lane",
        "_malformed",
        "_node",
        "_paused_at",
        "_replies",
        "_settings",
        "_unanswered",
        "actor",
        "closing",
        "id",
        "person",
    )  # fmt: skip

    def __init__(self, node: Node, person: Person, lane: Lane) -> None:
        self._settings = conf.current()
        self._node = node
        self._lane = lane
        self._joined: dict[str, _Joined] = {}
        self._replies: deque[Frame] = deque()
        now, rate, burst = time.monotonic(), self._settings.COMMANDS_PER_SECOND, self._settings.COMMANDS_BURST
        self._bucket = Bucket(rate, burst, now)
        # Apart from the commands, and wide enough for a client that comes back to all of its rooms at once.
        self._joins = Bucket(rate, burst + self._settings.MAX_ROOMS, now)
        self._malformed = 0
        self._unanswered = 0
        self._answered: asyncio.Event | None = None
        self._paused_at: float | None = None
        self.id = secrets.token_hex(8)
        self.person = person
        self.actor: Actor = person.actor
        self.closing = False
        node.connections.add(self)
        metrics.connections.add(1)

    # From the transport

    async def receive(self, text: str | bytes) -> None:
        """Take one frame from the client. Returns when the next may be read."""
        if self.closing:
            return
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
            logger.exception("A frame for %s failed", push.topic)
            self._refuse(push, Failed())

    def resumed(self) -> None:
        """The lane takes writes again."""
        self._paused_at = None
        while self._replies and not self._lane.paused:
            self._lane.write(Batch([self._replies.popleft()]))
        if not self.paused:
            self._node.hub.resumed([joined.subscription for joined in self._joined.values()])

    def refuse_binary(self) -> None:
        """The client sent a binary frame."""
        self._remark(Malformed("binary frames are not taken."))

    def closed(self) -> None:
        """The transport is gone, or will be. Saying so again changes nothing."""
        self.closing = True
        if self not in self._node.connections:
            return
        for joined in self._joined.values():
            self._node.hub.leave(joined.subscription)
        self._joined.clear()
        self._node.connections.discard(self)
        metrics.connections.add(-1)

    # From the hub

    @property
    def paused(self) -> bool:
        return self.closing or self._lane.paused or bool(self._replies)

    def write(self, batch: Batch) -> bool:
        if self.paused:
            self._paused_at = self._paused_at or time.monotonic()
            return False
        self._lane.write(batch)
        return True

    def end(self, subscription: Subscription, refusal: Refusal) -> None:
        metrics.refusals.add(value=refusal.code)
        topic, join_ref = subscription.room.topic, subscription.join_ref
        self._leave(subscription)
        self._send(protocol.push(join_ref, topic, "room_ended", refusal.response()))
        self._send(protocol.closed(join_ref, topic))

    def restart(self, subscription: Subscription) -> None:
        self._leave(subscription)
        self._send(protocol.crashed(subscription.join_ref, subscription.room.topic))

    # From the node

    def close(self, code: int, reason: str) -> None:
        """Say goodbye. A code of 4500 and above tells the client to stay away."""
        if self.closing:
            return
        if code >= 4500:
            for topic, joined in self._joined.items():
                self._send(protocol.closed(joined.subscription.join_ref, topic))
        self._lane.close(code, reason)
        self.closed()

    def go_away(self, window: float) -> None:
        """Ask the client to come back, here or elsewhere, at some moment of the next `window` seconds."""
        self._send(protocol.remark(GoingAway(window)))
        self.close(GOING_AWAY, "going away")

    def close_if_stuck(self, now: float) -> None:
        """Give up on a client that has not read for too long; it catches up when it comes back."""
        if self._paused_at is not None and now - self._paused_at > self._settings.LAG_SECONDS:
            metrics.drops.add(value="too_slow")
            self.close(TOO_SLOW, "too slow")

    # What clients ask

    def _decode(self, text: str | bytes) -> Push:
        _check_size(text, self._settings.MAX_BYTES)
        push = protocol.decode(text)
        self._malformed = 0
        return push

    async def _route(self, push: Push, text: str | bytes) -> None:
        joined = self._joined.get(push.topic)
        if push.topic == "phoenix" and push.event == "heartbeat":
            self._send(protocol.reply(push, {}))
        elif push.event == "phx_join":
            await self._join(push)
        elif joined is None:
            if push.event != "phx_leave":
                raise UnmatchedTopic(push.topic)
            self._send(protocol.reply(push, {}))
        elif push.join_ref is not None and push.join_ref != joined.subscription.join_ref:
            return
        elif push.event == "phx_leave":
            self._leave(joined.subscription)
            self._send(protocol.reply(push, {}))
            self._send(protocol.closed(joined.subscription.join_ref, push.topic))
        elif push.event == "room_history":
            await self._history(push, joined)
        else:
            _check_size(text, joined.admission.max_bytes)
            await self._command(push, joined)

    async def _join(self, push: Push) -> None:
        slug = protocol.slug(push.topic)
        if slug is None:
            raise UnmatchedTopic(push.topic)
        self._spend(self._joins)
        earlier = self._joined.get(push.topic)
        if earlier is not None:
            self._leave(earlier.subscription)
            self._send(protocol.closed(earlier.subscription.join_ref, push.topic))
        if len(self._joined) >= self._settings.MAX_ROOMS:
            raise TooManyRooms(self._settings.MAX_ROOMS)
        since = _whole(push.payload, "since", None, 0, 2**62)
        admission = await self._node.admit(slug, self.person)
        join_ref = push.join_ref if push.join_ref is not None else push.ref
        subscription = await self._node.hub.enter(self, join_ref, admission.room_pk, push.topic, admission.head)
        try:
            await self._welcome(push, _Joined(subscription, admission, time.monotonic()), since)
        except BaseException:
            self._node.hub.leave(subscription)
            raise

    async def _welcome(self, push: Push, joined: _Joined, since: int | None) -> None:
        """Answer a join with what the client missed, then let it hear what is new: always after the reply."""
        subscription, admission = joined.subscription, joined.admission
        head = admission.head
        missed: list[Frame] = []
        complete = True
        if since is not None and since != head:
            missed = await self._missed(subscription, since, head)
            complete = since < head and bool(missed) and missed[0].seq == since + 1
        reached = missed[-1].seq if missed else head
        if self.closing or subscription.over:
            self._node.hub.leave(subscription)
            return
        self._joined[push.topic] = joined
        welcome = {
            "seq": head,
            "tail": admission.tail,
            "events": protocol.listed(missed),
            "more": reached < head,
            "complete": complete,
            "state": admission.state,
            "you": self.actor,
            "can": admission.can,
            "room": {"title": admission.title, "kind": admission.kind},
        }
        self._send(protocol.reply(push, welcome))
        self._node.hub.begin(subscription, reached)

    async def _missed(self, subscription: Subscription, since: int, head: int) -> list[Frame]:
        """Return the first page of the kept events after `since`, up to `head`."""
        frames = await self._node.hub.after(subscription.room, min(since, head))
        page: list[Frame] = []
        size = 0
        for frame in frames:
            size += len(frame.event)
            if (
                frame.seq > head
                or len(page) == self._settings.PAGE_EVENTS
                or (page and size > self._settings.PAGE_BYTES)
            ):
                break
            page.append(frame)
        return page

    async def _history(self, push: Push, joined: _Joined) -> None:
        self._spend(self._bucket)
        before = _whole(push.payload, "before", None, 0, 2**62)
        limit = _whole(push.payload, "limit", 50, 1, 200)
        assert limit is not None
        frames = await self._node.history(joined.admission.room_pk, push.topic, before, limit)
        complete = (
            not frames
            or frames[0].seq <= 1
            or not await self._node.history(joined.admission.room_pk, push.topic, frames[0].seq, 1)
        )
        self._send(protocol.reply(push, {"events": protocol.listed(frames), "complete": complete}))

    async def _command(self, push: Push, joined: _Joined) -> None:
        arguments = push.payload
        key = arguments.pop("key", None)
        if key is not None and (not isinstance(key, str) or not protocol.KEY_PATTERN.fullmatch(key)):
            raise Invalid("key: expected 1 to 64 printable ASCII characters without spaces.")
        command = joined.kind.parse(push.event, arguments)
        self._spend(self._bucket)
        self._spend(joined.bucket)
        if isinstance(command, Ephemeral):
            if "act" not in joined.admission.can:
                raise policy.no(self.person)
            body = protocol.ephemeral(push.topic, push.event, self.actor, log.checked(command)).body
            self._node.signal(joined.admission.room_pk, body)
            self._send(protocol.reply(push, {}))
            return
        entry = Entry(joined.admission.room_pk, command, self.actor, key, self.person)
        self._node.append(entry).add_done_callback(partial(self._answer, push))
        self._unanswered += 1
        if self._unanswered >= self._settings.MAX_UNANSWERED:
            self._answered = asyncio.Event()
            await self._answered.wait()

    # Answers

    def _answer(self, push: Push, outcome: asyncio.Future[Appended]) -> None:
        self._unanswered -= 1
        if self._answered is not None:
            self._answered.set()
        if outcome.cancelled() or self.closing:
            return
        error = outcome.exception()
        if error is None:
            self._send(protocol.reply(push, {"seq": outcome.result().seq}))
        else:
            self._refuse(push, error if isinstance(error, Refusal) else Failed())

    def _refuse(self, push: Push, refusal: Refusal) -> None:
        metrics.refusals.add(value=refusal.code)
        unmatched = isinstance(refusal, UnmatchedTopic)
        self._send(
            protocol.refuse(push if not unmatched else Push(None, push.ref, push.topic, push.event, {}), refusal)
        )
        if push.event == "phx_join" and refusal.final:
            self._send(protocol.closed(push.join_ref, push.topic))

    def _remark(self, refusal: Refusal) -> None:
        """Refuse what cannot be replied to, as it could not be understood; a client that keeps on is told to stay away."""
        metrics.refusals.add(value=refusal.code)
        self._send(protocol.remark(refusal))
        self._malformed += 1
        if self._malformed >= self._settings.MAX_MALFORMED:
            self.close(NOT_UNDERSTOOD, "cannot be understood")

    def _send(self, frame: Frame) -> None:
        if self.closing:
            return
        if not self.paused:
            self._lane.write(Batch([frame]))
            return
        self._paused_at = self._paused_at or time.monotonic()
        if len(self._replies) >= self._settings.MAX_REPLIES:
            metrics.drops.add(value="replies_full")
            self._replies.clear()
            self.close(TOO_SLOW, "too slow")
            return
        self._replies.append(frame)

    def _leave(self, subscription: Subscription) -> None:
        self._joined.pop(subscription.room.topic, None)
        self._node.hub.leave(subscription)

    def _spend(self, bucket: Bucket | None) -> None:
        wait = bucket.take(time.monotonic()) if bucket is not None else 0.0
        if wait:
            raise RateLimited(wait)


def _check_size(text: str | bytes, most: int | None) -> None:
    size = len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode(errors="replace"))
    if most is not None and size > most:
        raise TooLarge(size, most)


def _whole(payload: dict[str, Any], name: str, default: int | None, least: int, most: int) -> int | None:
    value = payload.get(name, default)
    if value is default:
        return default
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"{name}: expected a whole number from {least} to {most}.")
    return value
