"""A client in a room: what it was let in with, what it missed, what it may ask."""

from __future__ import annotations

import asyncio
from typing import Any

from realtime import admissions, conf, kinds, protocol, rooms
from realtime.admissions import Admission
from realtime.errors import Invalid
from realtime.hub import Hub
from realtime.kinds import Actor, Command
from realtime.limits import Bucket
from realtime.local import Subscription
from realtime.protocol import Frame, Push


class Joined:
    """`bucket` holds the person's allowance in a room with a rate of its own. `alarm` rings when a mute ends that ends soon."""

    __slots__ = ("admission", "alarm", "bucket", "kind", "subscription")

    def __init__(self, subscription: Subscription, admission: Admission, bucket: Bucket | None) -> None:
        self.subscription = subscription
        self.admission = admission
        self.alarm: asyncio.TimerHandle | None = None
        self.kind = kinds.get(admission.kind)
        self.bucket = bucket

    def command(self, push: Push) -> tuple[Command, str | None]:
        """Return the command that a push asks for, and its key, or raise a refusal."""
        key = rooms.checked_key(push.payload.pop("key", None))
        return self.kind.parse(push.event, push.payload), key

    def welcome(self, you: Actor, missed: Missed) -> dict[str, Any]:
        """Return the reply to the join."""
        admission = self.admission
        return {
            "seq": admission.head,
            "tail": admission.tail,
            "events": protocol.listed(missed.frames),
            "more": missed.reached < admission.head,
            "complete": missed.complete,
            "state": admission.state,
            "you": you,
            **self.standing(),
            "room": {"title": admission.title, "kind": admission.kind},
        }

    def standing(self) -> dict[str, Any]:
        """Return what the client is told of what it may do here."""
        told = {"muted": admissions.muted(self.admission.held), "slow": self.admission.slow}
        return {"can": self.admission.can, **{name: value for name, value in told.items() if value is not None}}

    def still_alarm(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Missed:
    """The first page of what came after `since`. `reached` is the seq that it leads up to."""

    __slots__ = ("complete", "frames", "reached")

    def __init__(self, frames: list[Frame], since: int | None, head: int) -> None:
        self.frames = frames
        self.reached = frames[-1].seq if frames else head
        continues = since is not None and since < head and bool(frames) and frames[0].seq == since + 1
        self.complete = since is None or since == head or continues


async def missed(hub: Hub, subscription: Subscription, since: int | None, head: int) -> Missed:
    """Return what is kept of the events after `since`, up to `head`: from the hub's memory, else from the log."""
    if since is None or since == head:
        return Missed([], since, head)
    return Missed(_page(await hub.after(subscription.room, min(since, head)), head), since, head)


def _page(frames: list[Frame], head: int) -> list[Frame]:
    settings = conf.current()
    page: list[Frame] = []
    size = 0
    for frame in frames[: settings.PAGE_EVENTS]:
        size += len(frame.event)
        if frame.seq > head or (page and size > settings.PAGE_BYTES):
            break
        page.append(frame)
    return page


def whole(payload: dict[str, Any], name: str, default: int | None, least: int, most: int) -> int | None:
    """Return a whole number that a client may give, or raise `Invalid`."""
    value = payload.get(name, default)
    if value is default:
        return default
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"{name}: expected a whole number from {least} to {most}.")
    return value
