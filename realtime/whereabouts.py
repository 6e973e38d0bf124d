"""The rooms that one client is in: it joins them, hears in which it may stay, and leaves them or is taken out.

A subscription that was begun is in the end either among these or left again, whatever goes wrong in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from realtime import conf, local, metrics, protocol, sanctions
from realtime.auth import Person
from realtime.errors import Refusal, TooManyRooms
from realtime.joined import Joined, missed, whole
from realtime.local import Subscription
from realtime.looks import Watched
from realtime.node import Node
from realtime.pace import Pace
from realtime.protocol import Frame, Push


class Client(local.Client, Watched, Protocol):
    """What is asked of a connection. A `pace` has the person's allowances in rooms with a rate of their own."""

    person: Person
    pace: Pace

    @property
    def closing(self) -> bool: ...

    def send(self, frame: Frame) -> None: ...

    def heed(self, since: int) -> None:
        """Follow what was told, after the first `since`, while it was still being asked who this is or what they may."""
        ...


class Whereabouts:
    """Joins, by topic."""

    __slots__ = ("_by_topic", "_client", "_node", "_nowhere_since")

    def __init__(self, client: Client, node: Node, now: float) -> None:
        self._client = client
        self._node = node
        self._by_topic: dict[str, Joined] = {}
        self._nowhere_since: float | None = now  # None while in a room, or on the way into one

    def __len__(self) -> int:
        return len(self._by_topic)

    def __iter__(self) -> Iterator[Joined]:
        return iter(self._by_topic.values())

    def get(self, topic: str) -> Joined | None:
        return self._by_topic.get(topic)

    def nowhere_for(self, now: float) -> float:
        """Return for how many seconds the client has been in no room."""
        return 0.0 if self._nowhere_since is None else now - self._nowhere_since

    @contextlib.contextmanager
    def on_the_way(self) -> Iterator[None]:
        """Whoever joins is not nowhere meanwhile. What is refused changes nothing of how long they have been."""
        since, self._nowhere_since = self._nowhere_since, None
        try:
            yield
        finally:
            if self._by_topic:
                self._nowhere_since = None
            elif self._nowhere_since is None:
                self._nowhere_since = since

    async def join(self, push: Push, slug: str) -> None:
        """Join, and answer with what was missed; or raise a refusal. A room that was joined already is left before."""
        earlier = self._by_topic.get(push.topic)
        if earlier is not None:
            self.leave(earlier.subscription)
            self._client.send(protocol.closed(earlier.subscription.join_ref, push.topic))
        most = conf.current().MAX_ROOMS
        if len(self._by_topic) >= most:
            raise TooManyRooms(most)
        since = whole(push.payload, "since", None, 0, 2**62)
        told = self._node.changes.count
        joined = await self._enter(push, slug)
        try:
            await self._welcome(push, joined, since)
        except BaseException:
            self._node.hub.leave(joined.subscription)
            raise
        self._client.heed(told)
        if joined.admission.judged < joined.subscription.room.judged:  # banned or muted since
            self._node.looks.soon([self._client])

    async def _enter(self, push: Push, slug: str) -> Joined:
        admission = await self._node.admit(slug, self._client.person)
        join_ref = push.join_ref if push.join_ref is not None else push.ref
        subscription = await self._node.hub.enter(
            self._client, join_ref, admission.room_pk, push.topic, admission.head, admission.most
        )
        bucket = self._client.pace.room(admission.room_pk, admission.commands_per_second, time.monotonic())
        return Joined(subscription, admission, bucket)

    async def _welcome(self, push: Push, joined: Joined, since: int | None) -> None:
        """Answer with what the client missed, then let it hear what is new: always after the reply."""
        subscription = joined.subscription
        found = await missed(self._node.hub, subscription, since, joined.admission.head)
        if self._client.closing or subscription.over:
            self._node.hub.leave(subscription)
            return
        self._by_topic[push.topic] = joined
        self._client.send(protocol.reply(push, joined.welcome(self._client.actor, found)))
        self._node.hub.begin(subscription, found.reached, joined.admission.tail)
        self._look_when_the_mute_ends(joined)

    def leave(self, subscription: Subscription) -> None:
        joined = self._by_topic.pop(subscription.room.topic, None)
        if joined is not None:
            joined.still_alarm()
            if not self._by_topic:
                self._nowhere_since = time.monotonic()
        self._node.hub.leave(subscription)

    def end(self, subscription: Subscription, refusal: Refusal) -> None:
        """Leave for good, and say why."""
        metrics.refusals.add(value=refusal.code)
        topic, join_ref = subscription.room.topic, subscription.join_ref
        self.leave(subscription)
        self._client.send(protocol.push(join_ref, topic, "room_ended", refusal.response()))
        self._client.send(protocol.closed(join_ref, topic))

    def restart(self, subscription: Subscription) -> None:
        """Leave, and have the client join again."""
        self.leave(subscription)
        self._client.send(protocol.crashed(subscription.join_ref, subscription.room.topic))

    def leave_all(self) -> None:
        """Leave without a word: nobody hears it any more."""
        for joined in self._by_topic.values():
            joined.still_alarm()
            self._node.hub.leave(joined.subscription)
        self._by_topic.clear()

    def part(self) -> None:
        """Say of every room that it is closed, so that stock clients do not join it again."""
        for topic, joined in self._by_topic.items():
            self._client.send(protocol.closed(joined.subscription.join_ref, topic))

    def held_up(self) -> None:
        """The client reads no more for now."""
        for joined in self._by_topic.values():
            joined.subscription.room.fall_behind(joined.subscription)

    def resumed(self) -> None:
        """The client reads again."""
        self._node.hub.resumed([joined.subscription for joined in self._by_topic.values()])

    async def look_again(self) -> None:
        """Ask where they may still be, as who they are now; end what may not, and say what else has changed."""
        for joined in list(self._by_topic.values()):
            await self._look_again_at(joined)

    async def _look_again_at(self, joined: Joined) -> None:
        subscription = joined.subscription
        try:
            admission = await self._node.admit(joined.admission.slug, self._client.person)
        except Refusal as refusal:
            if not refusal.final:
                raise
            if not subscription.over:
                self._client.end(subscription, refusal)
            return
        if subscription.over:
            return
        told = joined.standing()  # only now: another look may have been under way
        joined.admission = admission
        self._look_when_the_mute_ends(joined)
        standing = joined.standing()
        if standing != told:
            self._client.send(protocol.push(subscription.join_ref, subscription.room.topic, "room_can", standing))

    def _look_when_the_mute_ends(self, joined: Joined) -> None:
        """Where that is before the next look at everybody, which will come by here again."""
        joined.still_alarm()
        mute = joined.admission.held.mute
        seconds = None if mute is None else sanctions.seconds_left(mute)
        if seconds is not None and seconds < conf.current().ACCESS_SECONDS:
            joined.alarm = asyncio.get_running_loop().call_later(seconds, self._node.looks.soon, [self._client])
