"""Every event once and in order to every client, or words of a gap: over two processes, a bus that loses, repeats and reorders,
a database that is slow or out of reach, and clients that stop reading, are cut off, leave and come back.

The oracle is each client's own count: what comes next is one more than what it has.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from realtime import metrics, rings
from realtime.admissions import Admission
from realtime.auth import Person
from realtime.connection import Connection
from realtime.errors import Refusal
from realtime.hub import Hub
from realtime.protocol import Batch
from realtime.rings import Cleared, Ring
from tests.properties import machines
from tests.properties.held import HeldLog
from tests.support.fakes import FakeLane, FakeNode, frames_of, read
from tests.support.wsclient import Frame

PAGE = 3
SMALL = {
    "COMMANDS_PER_SECOND": 0,
    "PERSON_COMMANDS_PER_SECOND": 0,
    "EPHEMERAL_PER_SECOND": 0,
    "MAX_REPLIES": 8,
    "PAGE_EVENTS": PAGE,
    "PRESENCE_GATHER_SECONDS": 0,
    "RECENT_EVENTS": 3,
}
READERS = st.integers(0, 3)
SOME = st.sets(READERS, min_size=1)
HUBS = st.integers(0, 1)
TURNS = st.sampled_from([0, 1, 2, 5, 50])
TOPIC = "room:lobby"


class Line(FakeLane):
    """A transport that stops taking writes after so many, and hands on what it takes."""

    def __init__(self, hear: Callable[[Frame], None]) -> None:
        super().__init__()
        self._hear = hear
        self.patience: int | None = None

    def write(self, batch: Batch) -> None:
        super().write(batch)
        for frame in batch.frames:
            self._hear(read(frame))
        if self.patience is not None:
            self.patience -= 1
            if self.patience <= 0:
                self.stall()

    def stall(self) -> None:
        """Take no more."""
        self.paused = True


class DirectLine(Line):
    """One whose transport the rooms write to themselves, until it says that it takes no more."""

    def __init__(self, hear: Callable[[Frame], None]) -> None:
        super().__init__(hear)
        self.on_pause: Callable[[], None] = lambda: None
        self.direct = lambda packet: self.write(Batch(frames_of(packet)))

    def stall(self) -> None:
        super().stall()
        self.on_pause()


class Reader:
    """A client as docs/protocol.md asks it to be.

    `seq` is the newest that it has, None before it was ever in; up to `cleared` it has been told to show nothing.
    """

    def __init__(self, name: str, log: HeldLog, *, direct: bool) -> None:
        self._direct = direct
        self.person = Person(f"user:{name}", name)
        self.seq: int | None = None
        self.cleared = 0
        self.receiving: asyncio.Task[None] | None = None
        self.connection: Connection | None = None
        self.line = Line(self.hear)
        self._log = log
        self._join_ref = 0
        self._open: str | None = None

    # What it does

    def connect(self, node: FakeNode) -> None:
        self.line = DirectLine(self.hear) if self._direct else Line(self.hear)
        self.connection = Connection(node, self.person, self.line)  # type: ignore[arg-type]
        if isinstance(self.line, DirectLine):
            self.line.on_pause = self.connection.held_up

    @property
    def joined(self) -> bool:
        """Whether its newest join has been answered, and not ended."""
        return self._open == str(self._join_ref)

    def join_frame(self) -> str:
        self._join_ref += 1
        payload = {} if self.seq is None else {"since": self.seq}
        return json.dumps([str(self._join_ref), str(self._join_ref), TOPIC, "phx_join", payload])

    def leave_frame(self) -> str:
        return json.dumps([str(self._join_ref), "leave", TOPIC, "phx_leave", {}])

    def cut(self) -> None:
        """The line ends, for whatever reason: as the consumer sees it."""
        if self.receiving is not None:
            self.receiving.cancel()
        if self.connection is not None:
            self.connection.closed()
        self.connection = self._open = None

    # What it hears

    def hear(self, frame: Frame) -> None:
        if frame.event == "phx_reply" and frame.ok and frame.ref == str(self._join_ref):
            assert self._open is None, "joined again before the first subscription was closed"
            self._open = frame.ref
            self._welcome(frame.response)
        elif frame.event in ("phx_error", "phx_close") and frame.join_ref == self._open:
            self._open = None
        elif frame.event == "room_cleared":
            self.cleared = max(self.cleared, frame.payload["seq"])
        elif frame.payload.get("name"):
            assert self._open, f"{frame} outside of a subscription"
            self._take(frame.payload)

    def _welcome(self, welcome: dict[str, Any]) -> None:
        self.cleared = max(self.cleared, welcome["tail"])
        first = [event["seq"] for event in welcome["events"]][:1]
        if self.seq is None:
            assert (welcome["events"], welcome["complete"], welcome["more"]) == ([], True, False)
            self.seq = welcome["seq"]
        elif not welcome["complete"]:
            gap = first[0] - 1 if first else welcome["seq"]
            assert self.seq < gap <= self._log.tails.get(1, 0), f"{welcome} to {self.seq}: there is no such gap"
            self.seq = gap
        for event in welcome["events"]:
            self._take(event)
        assert welcome["more"] or self.seq == welcome["seq"]

    def _take(self, event: dict[str, Any]) -> None:
        assert self.seq is not None
        assert event["seq"] == self.seq + 1, f"expected {self.seq + 1}, got {event['seq']}"
        assert event["data"] == {"text": f"number {event['seq']}"}
        self.seq += 1


class TellingNode(FakeNode):
    """One that says what has left the log, as a room's row does."""

    def admit(self, slug: str, person: Person) -> asyncio.Future[Admission]:
        self.admitted["tail"] = self.log.tails.get(1, 0)
        return super().admit(slug, person)


class Delivery(machines.Turning):
    @initialize(head=st.integers(6, 12), pages=st.tuples(*[st.integers(0, 6)] * 4))
    def world(self, head: int, pages: tuple[int, ...]) -> None:
        """Everybody comes from a page that shows the room as it was some events ago."""
        self.subscriptions = metrics.subscriptions.values[""]
        self.log = HeldLog(PAGE)
        self.log.append(head)
        self.nodes = [self.on_loop(lambda: TellingNode(self.log)) for _ in range(2)]
        self.readers = [Reader(f"reader {number}", self.log, direct=number % 2 == 1) for number in range(4)]
        self.rings: list[tuple[Hub, Ring]] = []
        self.watching: dict[int, asyncio.Task[None]] = {}
        self.cleared = self.told = 0
        self.log.holds = False
        for index, (reader, behind) in enumerate(zip(self.readers, pages, strict=True)):
            reader.seq = head - behind
            self.join(index, index % 2, 50)
        self.log.holds = True

    # The log and the bus

    @rule(count=st.integers(1, 7), together=st.booleans(), here=HUBS)
    def commit(self, count: int, together: bool, here: int) -> None:
        """The process that commits hears of it at once; every other through the bus."""
        frames = self.log.append(count)
        for some in [frames] if together else [[frame] for frame in frames]:
            ring = rings.happened(1, some)
            self.on_loop(lambda ring=ring: self.nodes[here].hub.hear(ring))
            self.rings += [(self.nodes[1 - here].hub, ring)]

    @rule(count=st.integers(1, 4))
    def commit_elsewhere(self, count: int) -> None:
        """By a process that the bus does not reach, if it were not for the log."""
        self.log.append(count)

    @precondition(lambda self: self.rings)
    @rule(index=st.integers(0, 9), again=st.booleans(), turns=TURNS)
    def ring(self, index: int, again: bool, turns: int) -> None:
        at = index % len(self.rings)
        hub, ring = self.rings[at] if again else self.rings.pop(at)
        self.on_loop(lambda: hub.hear(ring))
        self.turn(turns)

    @precondition(lambda self: self.rings)
    @rule(index=st.integers(0, 9))
    def lose(self, index: int) -> None:
        del self.rings[index % len(self.rings)]

    @rule(keep=st.integers(0, 8))
    def trim(self, keep: int) -> None:
        if self.log.head() - keep > self.log.tails.get(1, 0):
            self.log.remove_up_to(self.log.head() - keep)

    @rule(heard=st.booleans(), unread=st.sets(READERS))
    def clear(self, heard: bool, unread: set[int]) -> None:
        """Where nobody hears of it, it looks like a room that is trimmed, of which pages are not told."""
        self.stop_reading(unread, 0)
        self.cleared = self.log.head()
        self.log.remove_up_to(self.cleared)
        ring = Cleared(1, self.cleared)
        if heard:
            self.told = self.cleared
            for node in self.nodes:
                self.on_loop(lambda hub=node.hub: hub.hear(ring))
        else:
            self.rings += [(node.hub, ring) for node in self.nodes]

    # The database

    @precondition(lambda self: self.log.waiting)
    @rule(indexes=st.lists(st.integers(0, 9), min_size=1, max_size=9), refuse=st.sampled_from([False, False, True]))
    def answer(self, indexes: list[int], refuse: bool) -> None:
        for index in indexes:
            self.log.let_go(index, refuse=refuse)
            self.turn(5)

    @rule()
    def answer_all(self) -> None:
        self.log.let_all_go()
        self.turn()
        self.log.holds = True

    @rule(hub=HUBS, turns=TURNS)
    def watch(self, hub: int, turns: int) -> None:
        """The safety net; a process looks once at a time."""
        if hub not in self.watching or self.watching[hub].done():
            self.watching[hub] = self.begin(look(self.nodes[hub].hub))
        self.turn(turns)

    # The clients

    @rule(index=READERS, hub=HUBS, turns=TURNS)
    def join(self, index: int, hub: int, turns: int) -> None:
        """Join, or join again, where the line is; where there is none, on one of the processes."""
        reader = self.readers[index]
        if self.may_send(reader):
            if self.gone(reader):
                reader.cut()
                self.on_loop(lambda: reader.connect(self.nodes[hub]))
            self.send(reader, reader.join_frame)
            self.turn(turns)

    @rule(index=READERS, turns=TURNS)
    def leave(self, index: int, turns: int) -> None:
        reader = self.readers[index]
        if not self.gone(reader) and self.may_send(reader):
            self.send(reader, reader.leave_frame)
            self.turn(turns)

    @rule(index=READERS, stuck=st.booleans())
    def be_cut_off(self, index: int, stuck: bool) -> None:
        """By the network, or by the process, which gives up on one who has not read for long."""
        reader = self.readers[index]
        if not stuck or self.gone(reader):
            self.on_loop(reader.cut)
        else:
            connection = reader.connection
            self.on_loop(lambda: connection.close_if_stuck(float("inf")))

    @rule(index=READERS, count=st.integers(1, 9))
    def send_heartbeats(self, index: int, count: int) -> None:
        """Whose replies pile up for one who does not read."""
        reader = self.readers[index]
        for _ in range(count):
            if not self.gone(reader) and self.may_send(reader):
                self.send(reader, lambda: '[null,"h","phoenix","heartbeat",{}]')
                self.turn(2)

    @rule(indexes=SOME, writes=st.integers(0, 3))
    def stop_reading(self, indexes: set[int], writes: int) -> None:
        """At once, or after some more writes."""
        for index in indexes:
            reader = self.readers[index]
            reader.line.patience = writes
            if not writes and not reader.line.paused:
                self.on_loop(reader.line.stall)

    @rule(indexes=SOME, writes=st.none() | st.integers(1, 3), turns=TURNS)
    def read_again(self, indexes: set[int], writes: int | None, turns: int) -> None:
        for index in indexes:
            self.resume(self.readers[index], writes)
        self.turn(turns)

    @rule(
        indexes=SOME,
        count=st.integers(4, 6),
        unheard=st.integers(0, 3),
        keep=st.sampled_from([0, 4, 10, 99, 99]),
        writes=st.none() | st.integers(1, 3),
        turns=TURNS,
    )
    def fall_far_behind(
        self, indexes: set[int], count: int, unheard: int, keep: int, writes: int | None, turns: int
    ) -> None:
        """Not read for so long that memory does not go back so far, and then read again, while the log goes on."""
        self.stop_reading(indexes, 0)
        ring = rings.happened(1, self.log.append(count))
        for node in self.nodes:
            self.on_loop(lambda hub=node.hub: hub.hear(ring))
        self.turn(5)
        self.log.append(unheard)
        if keep:
            self.trim(keep)
        else:
            self.clear(heard=True, unread=set())
        self.read_again(indexes, writes, turns)

    @rule(index=READERS, hub=HUBS, behind=st.integers(1, 12), turns=TURNS)
    def come_with_an_old_page(self, index: int, hub: int, behind: int, turns: int) -> None:
        """As somebody else."""
        self.on_loop(self.readers[index].cut)
        reader = self.readers[index] = Reader(f"reader {index}", self.log, direct=index % 2 == 1)
        reader.seq = max(0, self.log.head() - behind)
        reader.cleared = self.log.tails.get(1, 0)
        self.join(index, hub, turns)

    def may_send(self, reader: Reader) -> bool:
        return reader.receiving is None or reader.receiving.done()

    def gone(self, reader: Reader) -> bool:
        return reader.connection is None or reader.line.closed is not None

    def send(self, reader: Reader, text: Callable[[], str]) -> None:
        """Make the frame at the moment at which the server reads it, so that it crosses nothing on its way."""

        async def receive() -> None:
            if reader.connection is not None:
                await reader.connection.receive(text())

        reader.receiving = self.begin(receive())

    def resume(self, reader: Reader, patience: int | None) -> None:
        reader.line.patience = patience
        if reader.line.paused:
            reader.line.paused = False
            if reader.connection is not None:
                self.on_loop(reader.connection.resumed)

    # What must hold

    @precondition(lambda self: hasattr(self, "nodes"))
    @invariant()
    def nothing_is_held_for_nobody(self) -> None:
        for node in self.nodes:
            for room in node.hub.rooms.values():
                assert not room.empty
                assert not set(room.live) & set(room.lagging)

    def settle(self) -> None:
        """The rings are lost; the database answers; everybody reads, and is back. Then nobody may be behind."""
        self.rings.clear()
        self.log.let_all_go()
        for reader in self.readers:
            self.resume(reader, None)
        for _ in range(4):
            self.turn()
            self.all_come_back()
            for hub in range(2):
                self.watch(hub, 50)
        for reader in self.readers:
            assert reader.joined
            assert reader.seq == self.log.head(), f"{reader.person.name} is at {reader.seq} of {self.log.head()}"
            assert reader.cleared >= self.told, f"{reader.person.name} still shows what was cleared"
        for node in self.nodes:
            for room in node.hub.rooms.values():
                assert (room.lagging, room.reads, room.filling) == ({}, {}, None)
                assert not room.feed.behind

        for node in (node for node in self.nodes if node.hub.rooms):
            self.a_newcomer_is_shown_nothing_that_was_cleared(node)

    def a_newcomer_is_shown_nothing_that_was_cleared(self, node: FakeNode) -> None:
        """Not from the log, and not from memory: they come with the oldest page that memory can serve."""
        newcomer = Reader("newcomer", self.log, direct=True)
        newcomer.seq = node.hub.rooms[1].feed.first_recent - 1
        self.on_loop(lambda: newcomer.connect(node))
        self.send(newcomer, newcomer.join_frame)
        self.turn()
        assert newcomer.seq == self.log.head()
        shown = [seq for seq in newcomer.line.seqs if seq <= self.cleared]
        assert not shown, f"{shown} were cleared"
        self.on_loop(newcomer.cut)

    def all_come_back(self) -> None:
        for index, reader in enumerate(self.readers):
            if not reader.joined or self.gone(reader):
                self.join(index, index % 2, 50)

    def end_of_story(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.settle()
        for reader in self.readers:
            self.on_loop(reader.cut)
        self.turn()
        for node in self.nodes:
            assert (node.hub.rooms, node.hub._tasks, node.connections) == ({}, set(), set())
        assert metrics.subscriptions.values[""] == self.subscriptions


async def look(hub: Hub) -> None:
    """As the node does: what cannot be read now is read next time."""
    with suppress(Refusal):
        await hub.watch()


def test_everyone_gets_every_event_once_and_in_order_or_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.hub._GRACE_SECONDS", 0)
    with override_settings(REALTIME=SMALL):
        machines.run(Delivery, stories=100, steps=40)
