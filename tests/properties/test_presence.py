"""Who is here: several processes over one real table, with a bus that loses, repeats and reorders, a database that is slow or out
of reach, second tabs, tabs that do not read, and processes that die.

The oracle is a list of the tabs that are open. Once things settle, the table, every process's roster and every tab's own list,
folded as phoenix.js folds it, say who has one of them open.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from realtime import bus, presence, rings
from realtime import node as nodes
from realtime.errors import Refusal
from realtime.local import Subscription
from realtime.models import Node, Presence, Room
from realtime.protocol import Batch
from realtime.rings import Moved
from realtime.roster import Seat
from tests.properties import machines
from tests.properties.held import HeldBatcher
from tests.support import rows
from tests.support.fakes import FakeClient, read
from tests.support.wsclient import Frame

SMALL = {"PRESENCE_GATHER_SECONDS": 0, "PRESENCE_LIST": 3}
PEOPLE = ("alice", "bob", "carol", "dan", "erin")
MOST_PROCESSES = 3
WHICH = st.integers(0, 9)
TURNS = st.sampled_from([0, 1, 2, 5, 50])
CALLER = st.sampled_from([0, 1])
NOTED = st.sampled_from(["now", "now", "later", "refused", "dropped"])
MOST_MOVES = 5
REFUSE = st.sampled_from([False, False, False, True])

Metas = list[dict[str, Any]]


class Tab(FakeClient):
    """A connection in a room. `people` is its list, by person, as phoenix.js would have it; None while it has only a number."""

    def __init__(self, number: int, process: "Process", name: str, room_pk: int) -> None:
        super().__init__(process.node.hub, name)
        self.id = f"tab-{number}"
        self.process = process
        self.room_pk = room_pk
        self.entering: asyncio.Task[None] | None = None
        self.subscription: Subscription | None = None
        self.people: dict[str, Metas] | None = None
        self.number = 0

    async def enter(self) -> None:
        hub = self.process.node.hub
        self.subscription = await hub.enter(self, "1", self.room_pk, f"room:{self.room_pk}", 0)
        hub.begin(self.subscription, 0)

    def write(self, batch: Batch) -> bool:
        written = super().write(batch)
        if written:
            for frame in batch.frames:
                self._hear(read(frame))
        return written

    def _hear(self, frame: Frame) -> None:
        if frame.event == "presence_state":
            self.people = {person: entry["metas"] for person, entry in frame.payload.items()}
            self.number = len(self.people)
        elif frame.event == "presence_count":
            self.people, self.number = None, frame.payload["count"]
        elif frame.event == "presence_diff":
            assert self.people is not None, f"{self.id}: a difference to no list"
            self.people = synced(self.people, frame.payload)
            self.number = len(self.people)


def synced(people: dict[str, Metas], diff: dict[str, Any]) -> dict[str, Metas]:
    """Return a list after a difference. A client knows metas by their refs; a person without any is gone."""
    people = dict(people)
    for person, entry in diff["joins"].items():
        refs = {meta["phx_ref"] for meta in entry["metas"]}
        people[person] = [meta for meta in people.get(person, ()) if meta["phx_ref"] not in refs] + entry["metas"]
    for person, entry in diff["leaves"].items():
        refs = {meta["phx_ref"] for meta in entry["metas"]}
        people[person] = [meta for meta in people.get(person, ()) if meta["phx_ref"] not in refs]
    return {person: metas for person, metas in people.items() if metas}


class Process:
    """A node whose calls to the database are held, and what it does now and then: each of these once at a time."""

    def __init__(self) -> None:
        self.node = nodes.Node()
        self.reader: HeldBatcher[Any, Any] = self.node._reader  # type: ignore[assignment]
        self.keeper: HeldBatcher[Any, Any] = self.node._keeper  # type: ignore[assignment]
        self.clerk: HeldBatcher[Any, Any] = self.node._clerk  # type: ignore[assignment]
        self.now_and_then: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        return self.reader.busy or self.keeper.busy or self.clerk.busy

    @property
    def callers(self) -> list[HeldBatcher[Any, Any]]:
        return [self.reader, self.keeper]


class PeopleAgainstOpenTabs(machines.Turning):
    @initialize()
    def world(self) -> None:
        Presence.objects.all().delete()
        Node.objects.all().delete()
        Room.objects.all().delete()
        self.rooms = [rows.room().pk for _ in range(2)]
        self.processes: list[Process] = []
        self.tabs: list[Tab] = []
        self.dead: list[Process | Tab] = []  # kept, as what is under way in them never ends
        self.rings: list[tuple[Process, Moved]] = []
        self.numbers = count(1)
        bus.publish = self.publish  # put back by the test
        for _ in range(2):
            self.start_a_process(refuse=False)
        for number, name in enumerate(PEOPLE):
            self.open_tab(self.process(number), name, number % 3 // 2)
        for process in self.processes:
            self.finish(process)
        self.ring_all()
        self.settle()

    # Processes

    @rule(refuse=REFUSE)
    def start_a_process(self, refuse: bool) -> None:
        """It waits for its lease, but not for a database that is out of reach."""
        if len(self.processes) < MOST_PROCESSES:
            self.processes.append(self.on_loop(Process))
            self.do_now(self.processes[-1], "renew")
            self.turn()
            self.processes[-1].keeper.look(1, refuse=refuse)
            self.finish(self.processes[-1])

    @precondition(lambda self: len(self.processes) > 1)
    @rule(which=WHICH)
    def kill_a_process(self, which: int) -> None:
        """Nobody on it says goodbye. What it has told already may arrive later."""
        process = self.processes.pop(which % len(self.processes))
        self.dead += [process, *(tab for tab in self.tabs if tab.process is process)]
        self.tabs = [tab for tab in self.tabs if tab.process is not process]
        self.rings = [(to, ring) for to, ring in self.rings if to is not process]

    @rule(which=WHICH)
    def let_a_lease_end(self, which: int) -> None:
        """Of a process that is dead, or that could not renew it in time."""
        leases = list(Node.objects.order_by("started_at", "pk"))
        if leases:
            expire([leases[which % len(leases)].pk])

    @rule()
    def sweep(self) -> None:
        presence.sweep()

    @rule(which=WHICH, what=st.sampled_from(["renew", "reconcile"]), turns=TURNS)
    def do_what_is_due(self, which: int, what: str, turns: int) -> None:
        self.do_now(self.process(which), what)
        self.turn(turns)

    # The database

    @rule(which=WHICH, caller=CALLER, size=st.integers(1, 4), refuse=REFUSE)
    def look(self, which: int, caller: int, size: int, refuse: bool) -> None:
        self.process(which).callers[caller].look(size, refuse=refuse)

    @rule(which=WHICH, caller=CALLER, index=st.integers(0, 1), turns=TURNS)
    def answer(self, which: int, caller: int, index: int, turns: int) -> None:
        self.process(which).callers[caller].answer(index)
        self.turn(turns)

    @rule(which=WHICH, noted=NOTED)
    def note_moves(self, which: int, noted: str) -> None:
        self.note(self.process(which), noted)

    @rule(which=WHICH)
    def finish_all(self, which: int) -> None:
        self.finish(self.process(which))

    # The bus

    def publish(self, ring: rings.Ring) -> None:
        assert isinstance(ring, Moved)
        self.rings += [(process, ring) for process in self.processes]

    @precondition(lambda self: self.rings)
    @rule(index=WHICH, again=st.booleans(), turns=TURNS)
    def ring(self, index: int, again: bool, turns: int) -> None:
        """The newest sooner than others: what is old matters least."""
        at = -1 - index % len(self.rings)
        process, ring = self.rings[at] if again else self.rings.pop(at)
        self.on_loop(lambda: process.node.hub.hear(ring))
        self.turn(turns)

    @rule()
    def ring_all(self) -> None:
        """As a bus does that is in good health."""
        rings, self.rings = self.rings, []
        for process, ring in rings:
            self.on_loop(lambda process=process, ring=ring: process.node.hub.hear(ring))

    @precondition(lambda self: self.rings)
    @rule(index=WHICH)
    def lose(self, index: int) -> None:
        del self.rings[index % len(self.rings)]

    # People

    @rule(which=WHICH, name=st.sampled_from(PEOPLE), room=st.integers(0, 1), noted=NOTED, turns=TURNS)
    def come(self, which: int, name: str, room: int, noted: str, turns: int) -> None:
        process = self.process(which)
        process.clerk.overloaded = noted == "dropped"
        self.open_tab(process, name, room)
        self.turn(turns)
        self.note(process, noted)

    @precondition(lambda self: self.tabs)
    @rule(index=WHICH, noted=NOTED, turns=TURNS)
    def go(self, index: int, noted: str, turns: int) -> None:
        """Also in the middle of the join."""
        tab = self.tabs.pop(index % len(self.tabs))
        tab.process.clerk.overloaded = noted == "dropped"
        tab.entering.cancel()
        if tab.subscription is not None:
            self.on_loop(lambda: tab.process.node.hub.leave(tab.subscription))
        self.turn(turns)
        self.note(tab.process, noted)

    @precondition(lambda self: self.tabs)
    @rule(index=WHICH, paused=st.booleans())
    def stop_reading_or_read_again(self, index: int, paused: bool) -> None:
        self.read_again(self.tabs[index % len(self.tabs)], paused)

    def note(self, process: Process, noted: str) -> None:
        """Have the clerk write down who moved, or fail to, or do so later. Where it had too much to do, it never heard of it."""
        process.clerk.overloaded = False
        if noted in ("now", "refused"):
            process.clerk.answer()
            process.clerk.look(MOST_MOVES, refuse=noted == "refused")
            self.turn()

    def process(self, which: int) -> Process:
        return self.processes[which % len(self.processes)]

    def open_tab(self, process: Process, name: str, room: int) -> None:
        tab = self.on_loop(lambda: Tab(next(self.numbers), process, name, self.rooms[room]))
        tab.entering = self.begin(put_off(tab.enter))
        self.tabs.append(tab)

    def read_again(self, tab: Tab, paused: bool = False) -> None:
        tab.paused = paused
        if not paused and tab.subscription is not None:
            self.on_loop(lambda: tab.process.node.hub.resumed([tab.subscription]))

    def do_now(self, process: Process, what: str) -> None:
        work = {"renew": process.node._renew_lease, "reconcile": process.node.hub.reconcile}[what]
        if what not in process.now_and_then or process.now_and_then[what].done():
            process.now_and_then[what] = self.begin(put_off(work))

    def finish(self, process: Process) -> None:
        self.turn()
        while process.busy:
            for batcher in (*process.callers, process.clerk):
                batcher.finish()
            self.turn()

    # What must hold

    @precondition(lambda self: hasattr(self, "processes"))
    @invariant()
    def no_room_is_held_for_nobody(self) -> None:
        assert not [room for process in self.processes for room in process.node.hub.rooms.values() if room.empty]

    def settle(self) -> None:
        """The rings are lost and the dead have run out of time; the others do what they do now and then, and everybody reads."""
        self.rings.clear()
        for tab in self.tabs:
            self.read_again(tab)
        expire(set(Node.objects.values_list("pk", flat=True)) - {process.node.id for process in self.processes})
        for what in ("renew", "renew", "reconcile", "reconcile"):
            for process in self.processes:
                self.finish(process)
                self.do_now(process, what)
                self.finish(process)
        self.turn()
        self.compare()
        presence.sweep()
        self.rings.clear()
        assert {node.pk for node in Node.objects.all()} == {process.node.id for process in self.processes}
        assert Presence.objects.count() == len(self.tabs)

    def compare(self) -> None:
        seats = presence.seats(self.rooms)
        for room_pk in self.rooms:
            tabs = [tab for tab in self.tabs if tab.room_pk == room_pk]
            open_tabs: dict[Seat, Any] = {(tab.process.node.id, tab.id): tab.actor for tab in tabs}
            people = {tab.actor.id: tab.actor.name for tab in tabs}
            assert seats[room_pk] == open_tabs
            assert {actor.id: actor.name for actor in presence.people(room_pk)} == people
            assert presence.counts([room_pk]) == {room_pk: len(people)}
            for process in self.processes:
                self.compare_roster(process, room_pk, people)
        for tab in self.tabs:
            self.compare_list(tab)

    def compare_roster(self, process: Process, room_pk: int, people: dict[str, str]) -> None:
        here = any(tab.process is process and tab.room_pk == room_pk for tab in self.tabs)
        assert (room_pk in process.node.hub.rooms) == here
        if here:
            roster = process.node.hub.rooms[room_pk].roster
            assert {person: entry["metas"][0]["name"] for person, entry in roster.state().items()} == people
            assert set(roster.people()) == people.keys()

    def compare_list(self, tab: Tab) -> None:
        roster = tab.process.node.hub.rooms[tab.room_pk].roster
        listed = {person: entry["metas"] for person, entry in roster.state().items()}
        assert tab.number == len(listed), f"{tab.id} has {tab.number}"
        assert tab.people == (listed if len(listed) <= SMALL["PRESENCE_LIST"] else None)

    def end_of_story(self) -> None:
        if not hasattr(self, "processes"):
            return
        self.settle()
        while self.tabs:
            self.go(0, "later", 0)
        self.settle()
        for process in self.processes:
            assert (process.node.hub.rooms, process.node.hub._tasks) == ({}, set())


async def put_off(work: Callable[[], Awaitable[None]]) -> None:
    """As the node does: what cannot be done now is done next time."""
    with suppress(Refusal):
        await work()


def expire(leases: Any) -> None:
    Node.objects.filter(pk__in=leases).update(lease_until=Now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_once_things_settle_everybody_sees_who_is_here_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "Batcher", HeldBatcher)
    monkeypatch.setattr(bus, "publish", bus.publish)
    with override_settings(REALTIME=SMALL):
        machines.run(PeopleAgainstOpenTabs, stories=60, steps=40)
