"""Stand-ins for what the core talks to: a transport and a client that keep what they get, a log in memory, a layer that loses.

All of them live on the test's own event loop, so `settle` is enough to let everything happen that can happen.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from realtime import protocol, rings
from realtime.admissions import Admission
from realtime.allowances import Allowances
from realtime.auth import Person
from realtime.changes import Changes
from realtime.connection import Connection
from realtime.credentials import Credentials
from realtime.errors import Refusal
from realtime.feed import Standing
from realtime.hub import Hub
from realtime.kinds import Actor
from realtime.local import Subscription
from realtime.log import Appended, Entry
from realtime.moderation import Asked
from realtime.node import Node, Served
from realtime.protocol import Batch
from realtime.roster import Seat
from tests.support.wsclient import Frame

SECONDS = 10.0


async def settle(turns: int = 50) -> None:
    """Let the event loop turn, so that everything that waits for nothing outside has happened."""
    for _ in range(turns):
        await asyncio.sleep(0)


def event(seq: int, topic: str = "room:lobby", text: str = "") -> protocol.Frame:
    """An event's frame, as the log would hand it out."""
    at = datetime(2026, 11, 21, 10, 15, 30, 123456, tzinfo=UTC)
    return protocol.event(topic, seq, "message", at, Actor("user:7", "alice"), None, {"text": text or f"number {seq}"})


def read(frame: protocol.Frame) -> Frame:
    """A frame as a client sees it."""
    return Frame(*json.loads(frame.body))


def frames_of(packet: bytes) -> list[protocol.Frame]:
    """The frames in what a lane writes directly: whole text frames from a server (RFC 6455, 5.2)."""
    found = []
    while packet:
        size, start = packet[1], 2
        if size in (126, 127):
            start = 4 if size == 126 else 10
            size = int.from_bytes(packet[2:start], "big")
        assert packet[0] == 0x81, "not a whole text frame"
        assert len(packet) >= start + size, "not a whole frame"
        found.append(protocol.Frame(packet[start : start + size]))
        packet = packet[start + size :]
    return found


class Heard:
    """The frames that somebody got, in order, and a way to wait for them under a deadline."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._more = asyncio.Event()

    @property
    def seqs(self) -> list[int]:
        """The seqs of the events heard, those within join replies included."""
        found: list[int] = []
        for frame in self.frames:
            within = frame.response if frame.event == "phx_reply" and frame.ok else {}
            found += [item["seq"] for item in within.get("events", ())]
            found += [frame.payload["seq"]] if frame.payload.get("name") and "seq" in frame.payload else []
        return found

    def named(self, name: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.event == name]

    def add(self, batch: Batch) -> None:
        self.frames += map(read, batch.frames)
        self._more.set()

    async def take(self, fits: Callable[[Frame], bool]) -> Frame:
        """Return the first frame that fits, and no longer keep it."""
        async with asyncio.timeout(SECONDS):
            while True:
                self._more.clear()
                for index, frame in enumerate(self.frames):
                    if fits(frame):
                        return self.frames.pop(index)
                await self._more.wait()

    async def event(self, name: str) -> Frame:
        return await self.take(lambda frame: frame.event == name)

    async def reply(self, ref: str) -> Frame:
        return await self.take(lambda frame: frame.event == "phx_reply" and frame.ref == ref)


class FakeLane(Heard):
    """A transport. Set `paused` and nothing may be written; `batches` counts the writes."""

    direct: Callable[[bytes], None] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.batches: list[Batch] = []
        self.closed: tuple[int, str] | None = None

    def write(self, batch: Batch) -> None:
        assert not self.paused, "a paused lane was written to"
        assert self.closed is None, "a closed lane was written to"
        self.batches.append(batch)
        self.add(batch)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


class FakeClient(Heard):
    """A connection, as the hub sees one."""

    direct: Callable[[bytes], None] | None = None

    def __init__(self, hub: Hub, name: str = "alice") -> None:
        super().__init__()
        self.id = f"{name}-{id(self)}"
        self.actor = Actor(f"user:{name}", name)
        self.paused = False
        self.batches: list[Batch] = []
        self.ended: list[Refusal] = []
        self.restarts = 0
        self._hub = hub

    def write(self, batch: Batch) -> bool:
        if self.paused:
            return False
        self.batches.append(batch)
        self.add(batch)
        return True

    def end(self, subscription: Subscription, refusal: Refusal) -> None:
        self.ended.append(refusal)
        self._hub.leave(subscription)

    def restart(self, subscription: Subscription) -> None:
        self.restarts += 1
        self._hub.leave(subscription)

    async def join(self, room_pk: int = 1, head: int = 0) -> Subscription:
        """Enter a room and live in it."""
        subscription = await self._hub.enter(self, "1", room_pk, "room:lobby", head)
        self._hub.begin(subscription, head)
        return subscription


class FakeLog:
    """What is stored, in memory. `reads` says what was asked; while `gate` is clear, readers wait; `refusal` is what they get."""

    def __init__(self, page_size: int = 200) -> None:
        self.rooms: dict[int, list[protocol.Frame]] = {1: []}
        self.closed: set[int] = set()
        self.tails: dict[int, int] = {}
        self.present: dict[int, dict[Seat, Actor]] = {}
        self.reads: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal: Exception | None = None
        self._page_size = page_size
        self._heads: dict[int, int] = {}

    def append(self, count: int = 1, room_pk: int = 1) -> list[protocol.Frame]:
        """Commit events, and return their frames for a bus to ring, or to lose."""
        first = self.head(room_pk) + 1
        frames = [event(seq) for seq in range(first, first + count)]
        self.rooms[room_pk] += frames
        self._heads[room_pk] = first + count - 1
        return frames

    def head(self, room_pk: int = 1) -> int:
        return self._heads.get(room_pk, 0)

    def remove_up_to(self, seq: int, room_pk: int = 1) -> None:
        self.rooms[room_pk] = [frame for frame in self.rooms[room_pk] if frame.seq > seq]
        self.tails[room_pk] = seq

    def asked(self, what: str) -> list[Any]:
        return [about for name, about in self.reads if name == what]

    async def page(self, room_pk: int, topic: str, seq: int) -> list[protocol.Frame]:
        await self._answer("page", seq)
        return [frame for frame in self.rooms[room_pk] if frame.seq > seq][: self._page_size]

    async def heads(self, room_pks: list[int]) -> dict[int, Standing]:
        await self._answer("heads", room_pks)
        return {
            pk: Standing(self.head(pk), pk in self.closed, self.tails.get(pk, 0)) for pk in room_pks if pk in self.rooms
        }

    async def seats(self, room_pks: list[int]) -> dict[int, dict[Seat, Actor]]:
        await self._answer("seats", room_pks)
        return {pk: dict(self.present.get(pk, {})) for pk in room_pks}

    async def _answer(self, name: str, about: Any) -> None:
        self.reads.append((name, about))
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal


class FakeNode:
    """A node over a log in memory, with one room that anybody may join. It commits at once, or, while `holds`, on `commit`."""

    def __init__(self, log: FakeLog | None = None, kind: str = "chat") -> None:
        self.log = log or FakeLog()
        self.kind = kind
        self.hub = Hub("here", self.log, lambda *_: None)
        self.connections: set[Served] = set()
        self.changes = Changes()
        self.allowances = Allowances()
        self.entries: list[Entry] = []
        self.signals: list[tuple[int, bytes]] = []
        self.moderated: list[Asked] = []
        self.holds = False
        self.refusal: Refusal | None = None
        self.admitted: dict[str, Any] = {}
        self.people: dict[str, Person] = {}  # by the tokens that they show
        self._held: list[asyncio.Future[Appended]] = []

    def connect(self, person: Person | None = None) -> tuple[Connection, FakeLane]:
        lane = FakeLane()
        person = person or Person("user:7", "alice", user_pk="7")
        return Connection(cast("Node", self), person, lane), lane

    def admit(self, slug: str, person: Person) -> asyncio.Future[Admission]:
        admission = Admission(
            room_pk=1, slug=slug, title=slug.title(), kind=self.kind, head=self.log.head(), tail=0, state={}, can=["act"],
            max_bytes=None, commands_per_second=None,
        )  # fmt: skip
        return self._answer(msgspec.structs.replace(admission, **self.admitted))

    def identify(self, shown: Credentials) -> asyncio.Future[Person]:
        return self._answer(self.people.get(shown.token or ""))

    def append(self, entry: Entry) -> asyncio.Future[Appended]:
        self.entries.append(entry)
        if not self.holds:
            return self._answer(self._append())
        self._held.append(asyncio.get_running_loop().create_future())
        return self._held[-1]

    def commit(self) -> None:
        """Commit what was held back."""
        held, self._held = self._held, []
        for future in held:
            future.set_result(self._append())

    async def history(self, room_pk: int, topic: str, seq: int | None, limit: int) -> list[protocol.Frame]:
        return [frame for frame in self.log.rooms[room_pk] if seq is None or frame.seq < seq][-limit:]

    def moderate(self, asked: Asked) -> asyncio.Future[dict[str, Any]]:
        self.moderated.append(asked)
        return self._answer({"seq": self.log.head() + 1})

    def signal(self, room_pk: int, body: bytes) -> None:
        self.signals.append((room_pk, body))

    def _append(self) -> Appended:
        (frame,) = self.log.append()
        self.hub.hear(rings.happened(1, [frame]))
        return Appended(frame.seq, frame)

    def _answer(self, result: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self.refusal is not None:
            future.set_exception(self.refusal)
        else:
            future.set_result(result)
        return future


class FakeLayer:
    """A channel layer between the buses of one event loop. What `loses` says yes to never arrives; `twice` arrives twice."""

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.fails = False
        self.loses: Callable[[dict[str, Any]], bool] = lambda told: False
        self.copies = 1
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def new_channel(self, prefix: str) -> str:
        self._answer()
        name = f"{prefix}.{len(self._queues)}"
        self._queues[name] = asyncio.Queue()
        return name

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self._queues[channel].get()

    async def group_add(self, group: str, channel: str) -> None:
        self._answer()
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._answer()
        self.groups.get(group, set()).discard(channel)

    async def group_send(self, group: str, told: dict[str, Any]) -> None:
        self._answer()
        self.sent.append((group, told))
        if not self.loses(told):
            for channel in self.groups.get(group, ()):
                for _ in range(self.copies):
                    self._queues[channel].put_nowait(told)

    def deliver(self, channel: str, told: dict[str, Any]) -> None:
        """Put anything at all on a channel."""
        self._queues[channel].put_nowait(told)

    @property
    def channels(self) -> list[str]:
        return list(self._queues)

    def _answer(self) -> None:
        if self.fails:
            raise ConnectionError("the layer is gone")
