"""One process over a real database: commands commit together, events reach everyone, people are noted, and all ends well."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as site
from django.db import OperationalError
from django.test import Client as Browser
from pytest_django import Settings

from realtime import log, presence, protocol, rooms
from realtime import node as nodes
from realtime.auth import NOBODY, Person
from realtime.connection import Connection
from realtime.credentials import Credentials
from realtime.kinds import Actor, Fact
from realtime.log import Entry
from realtime.models import Event, Node, Room
from realtime.presence import Move
from tests.support import rows
from tests.support.fakes import SECONDS, FakeLane, settle

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = Person("user:alice", "alice")


@pytest.fixture
def room(transactional_db: None) -> Room:
    return rows.room("visits", kind="counter")


@pytest.fixture(autouse=True)
def _seldom(settings: Settings) -> None:
    """Nothing happens by itself while a test runs: it says when."""
    seldom = ("CATCH_UP_SECONDS", "SWEEP_SECONDS", "LEASE_SECONDS", "GROUP_RENEW_SECONDS")
    settings.REALTIME = dict.fromkeys(seldom, 3600.0) | {"PRESENCE_GATHER_SECONDS": 0}


@pytest.fixture
async def node(room: Room) -> AsyncIterator[nodes.Node]:
    node = nodes.Node()
    await node.start()
    yield node
    async with asyncio.timeout(SECONDS):
        await node.stop()


class Visit:
    """A connection of a node, in the room."""

    def __init__(self, node: nodes.Node, person: Person = ALICE) -> None:
        self.lane = FakeLane()
        self.connection = Connection(node, person, self.lane)

    async def send(self, ref: str, event: str, **payload: Any) -> None:
        async with asyncio.timeout(SECONDS):
            await self.connection.receive(json.dumps(["1", ref, "room:visits", event, payload]))

    async def join(self, **payload: Any) -> dict[str, Any]:
        await self.send("1", "phx_join", **payload)
        return (await self.lane.reply("1")).response

    async def add(self, by: int, ref: str = "2", **more: Any) -> dict[str, Any]:
        await self.send(ref, "add", by=by, **more)
        return (await self.lane.reply(ref)).response


async def noted(node: nodes.Node) -> None:
    """Return once every entering and leaving so far is in the table."""
    async with asyncio.timeout(SECONDS):
        await node._clerk.submit(Move("nobody", 0, None))


async def people(room: Room) -> list[str]:
    return [person.name for person in await sync_to_async(presence.people)(room.pk)]


async def test_what_one_does_everyone_hears(node: nodes.Node) -> None:
    alice, guest = Visit(node), Visit(node, NOBODY)
    assert (await alice.join())["state"] == {"value": 0}
    await guest.join()
    assert await alice.add(3) == {"seq": 1}
    for visit in (alice, guest):
        assert (await visit.lane.event("added")).payload["data"] == {"by": 3}
    assert (await Visit(node).join())["state"] == {"value": 3}


async def test_a_key_sent_again_on_another_connection_is_one_event(node: nodes.Node) -> None:
    first, second = Visit(node), Visit(node)
    await first.join()
    assert await first.add(3, key="k") == {"seq": 1}
    await second.join()
    assert await second.add(3, key="k") == {"seq": 1}
    assert await sync_to_async(Event.objects.count)() == 1


async def test_an_event_is_encoded_once_however_many_hear_it(node: nodes.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = [Visit(node) for _ in range(5)]
    for visit in visits:
        await visit.join()
    encoded: list[int] = []
    encode = protocol.event

    def event(topic: str, seq: int, *rest: Any) -> protocol.Frame:
        encoded.append(seq)
        return encode(topic, seq, *rest)

    monkeypatch.setattr(protocol, "event", event)
    await visits[0].add(1)
    for visit in visits:
        await visit.lane.event("added")
    assert encoded == [1]
    frames = [batch.frames[-1] for visit in visits for batch in visit.lane.batches if batch.frames[-1].seq == 1]
    assert len(frames) == 5
    assert len({id(frame) for frame in frames}) == 1


async def test_what_waits_for_a_commit_is_committed_together_and_a_refusal_harms_nobody(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, sizes = threading.Event(), list[int]()
    commit = rooms.commit

    def held(entries: Any) -> Any:
        assert gate.wait(SECONDS)
        sizes.append(len(entries))
        return commit(entries)

    monkeypatch.setattr(rooms, "commit", held)
    node = nodes.Node()
    entries = [Entry(room.pk, Fact("added", {"by": by}), Actor("user:1", "alice")) for by in range(20)]
    entries[7] = Entry(room.pk, Fact("added", {"by": "\0"}))
    futures = [node.append(entries[0])]
    await settle()
    futures += [node.append(entry) for entry in entries[1:]]
    gate.set()
    async with asyncio.timeout(SECONDS):
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert sizes == [1, 19]
    assert [getattr(outcome, "seq", outcome) for outcome in outcomes[:7]] == [1, 2, 3, 4, 5, 6, 7]
    assert getattr(outcomes[7], "code", None) == "invalid"
    assert [getattr(outcome, "seq", outcome) for outcome in outcomes[8:]] == list(range(8, 20))
    await node.stop()


async def test_a_database_that_is_gone_for_a_moment_is_a_reason_to_try_again(
    node: nodes.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(node)
    await visit.join()
    with monkeypatch.context() as patch:
        patch.setattr(log, "append", lambda entries: (_ for _ in ()).throw(OperationalError("gone")))
        refusal = await visit.add(1)
        assert (refusal["code"], refusal["retry_after"] > 0) == ("unavailable", True)
    assert await visit.add(1) == {"seq": 1}


async def test_what_the_site_publishes_reaches_open_connections(node: nodes.Node) -> None:
    visit = Visit(node)
    await visit.join()
    await rooms.apublish("visits", "added", {"by": 5})
    assert (await visit.lane.event("added")).payload["by"] is None


async def test_what_another_process_published_arrives_with_the_next_look(node: nodes.Node, room: Room) -> None:
    visit = Visit(node)
    await visit.join()
    await sync_to_async(log.append)([Entry(room.pk, Fact("added", {"by": 5}))])
    await node.hub.watch()
    assert (await visit.lane.event("added")).payload["seq"] == 1


async def test_a_room_that_is_closed_ends_for_those_in_it(node: nodes.Node) -> None:
    visit = Visit(node)
    await visit.join()
    await sync_to_async(rooms.close)("visits")
    assert (await visit.lane.event("room_ended")).payload["code"] == "room_closed"
    assert (await visit.join())["code"] == "room_closed"
    await sync_to_async(rooms.reopen)("visits")
    assert (await visit.join())["seq"] == 0


async def test_a_room_that_is_cleared_says_so(node: nodes.Node) -> None:
    visit = Visit(node)
    await visit.join()
    await visit.add(1)
    await sync_to_async(rooms.clear)("visits")
    assert (await visit.lane.event("room_cleared")).payload == {"seq": 1}
    welcome = await Visit(node).join(since=0)
    assert (welcome["events"], welcome["complete"], welcome["state"]) == ([], False, {"value": 1})


async def test_one_who_missed_much_is_served_from_the_log(node: nodes.Node, room: Room, settings: Settings) -> None:
    settings.REALTIME = site.REALTIME | {"RECENT_EVENTS": 5, "PAGE_EVENTS": 20}
    await sync_to_async(log.append)([Entry(room.pk, Fact("added", {"by": 1})) for _ in range(90)])
    visit = Visit(node)
    welcome = await visit.join(since=10)
    assert (welcome["complete"], welcome["more"], welcome["state"]) == (True, True, {"value": 90})
    seqs = [event["seq"] for event in welcome["events"]]
    while len(seqs) < 80:
        seqs.append((await visit.lane.event("added")).payload["seq"])
    assert seqs == list(range(11, 91))


async def test_history_is_read_from_the_log(node: nodes.Node, room: Room) -> None:
    await sync_to_async(log.append)([Entry(room.pk, Fact("added", {"by": 1})) for _ in range(5)])
    visit = Visit(node)
    await visit.join()
    await visit.send("2", "room_history", before=4, limit=2)
    page = (await visit.lane.reply("2")).response
    assert ([event["seq"] for event in page["events"]], page["complete"]) == ([2, 3], False)


# Who is here


async def test_people_are_in_the_table_while_they_are_here(node: nodes.Node, room: Room) -> None:
    visit, guest = Visit(node), Visit(node, NOBODY)
    await visit.join()
    await guest.join()
    await noted(node)
    assert await people(room) == ["Guest", "alice"]
    visit.connection.closed()
    await noted(node)
    assert await people(room) == ["Guest"]


async def test_people_on_another_process_are_seen_and_missed(node: nodes.Node) -> None:
    other = nodes.Node()
    await other.start()
    here, there = Visit(node), Visit(other, Person("user:bob", "bob"))
    await here.join()
    await here.lane.event("presence_state")
    await there.join()
    assert list((await here.lane.event("presence_diff")).payload["joins"]) == ["user:bob"]
    assert len((await there.lane.event("presence_state")).payload) == 2
    there.connection.closed()
    assert list((await here.lane.event("presence_diff")).payload["leaves"]) == ["user:bob"]
    await other.stop()


async def test_a_node_that_lost_its_lease_writes_down_anew_who_is_here(node: nodes.Node, room: Room) -> None:
    await Visit(node).join()
    await noted(node)
    await sync_to_async(presence.end)(node.id)
    assert await people(room) == []
    await node._renew_lease()
    assert await people(room) == ["alice"]


async def test_one_that_could_not_write_it_down_tries_again(
    node: nodes.Node, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Visit(node).join()
    await noted(node)
    await sync_to_async(presence.end)(node.id)
    with monkeypatch.context() as patch:
        patch.setattr(presence, "rewrite", lambda *_: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(Exception, match="database"):
            await node._renew_lease()
    await node._renew_lease()
    assert await people(room) == ["alice"]


async def test_a_move_that_could_not_be_noted_is_made_up_for(
    node: nodes.Node, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(presence, "apply", lambda *_: (_ for _ in ()).throw(OperationalError("gone")))
        await Visit(node).join()
        with pytest.raises(Exception, match="database"):
            await noted(node)
    assert await people(room) == []
    await node._renew_lease()
    assert await people(room) == ["alice"]


async def test_a_node_that_stops_takes_its_people_and_its_lease_with_it(room: Room) -> None:
    node = nodes.Node()
    await node.start()
    await Visit(node).join()
    await node.stop()
    assert await people(room) == []
    assert await sync_to_async(Node.objects.count)() == 0


async def test_what_was_begun_before_the_stop_is_finished(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, commit = threading.Event(), rooms.commit

    def held(entries: Any) -> Any:
        assert gate.wait(SECONDS)
        return commit(entries)

    monkeypatch.setattr(rooms, "commit", held)
    node = nodes.Node()
    await node.start()
    appending = [node.append(Entry(room.pk, Fact("added", {"by": 1})))]
    await settle()
    appending.append(node.append(Entry(room.pk, Fact("added", {"by": 2}))))
    stopping = asyncio.create_task(node.stop())
    await asyncio.wait([stopping], timeout=0.5)
    assert not stopping.done()
    gate.set()
    await stopping
    assert [each.result().seq for each in appending] == [1, 2]


async def test_one_that_leaves_answers_what_it_took_then_says_goodbye_and_takes_nothing_more(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, commit = threading.Event(), rooms.commit

    def held(entries: Any) -> Any:
        assert gate.wait(SECONDS)
        return commit(entries)

    monkeypatch.setattr(rooms, "commit", held)
    node = nodes.Node()
    await node.start()
    visit = Visit(node)
    await visit.join()
    await visit.send("2", "add", by=1)
    await settle()
    node.leave()
    await settle()
    assert visit.lane.closed is None
    await visit.send("3", "add", by=1)
    assert (await visit.lane.reply("3")).response["code"] == "going_away"
    gate.set()
    assert (await visit.lane.reply("2")).ok
    await node.left()
    assert visit.lane.closed == (4000, "going away")


async def test_a_connection_that_waits_to_be_looked_at_waits_once(
    node: nodes.Node, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit, gate, looks = Visit(node), asyncio.Event(), list[int]()
    await visit.join()

    async def look(_: Connection) -> None:
        looks.append(1)
        await gate.wait()

    monkeypatch.setattr(Connection, "look_again", look)
    for _ in range(50):
        node.looks.soon([visit.connection])
        await settle(1)
    gate.set()
    await settle()
    assert len(looks) == 2, "the one under way, and one for all that came meanwhile"
    assert not node.looks.busy


async def test_a_database_that_hangs_holds_up_no_stop(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(rooms, "commit", lambda entries: [gate.wait(SECONDS)] * len(entries))
    monkeypatch.setattr(nodes, "_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(nodes, "_STOP_SECONDS", 0.5)
    node = nodes.Node()
    await node.start()
    visit = Visit(node)
    await visit.join()
    await noted(node)
    try:
        for ref in ("2", "3"):
            await visit.send(ref, "add", by=1)
            await settle()
        node.leave()
        async with asyncio.timeout(SECONDS / 2):
            await node.left()
        assert visit.lane.closed is not None
    finally:
        gate.set()


async def test_nobody_who_reads_waits_with_what_writes_now_and_then(
    room: Room, node: nodes.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, waiting = threading.Event(), threading.Semaphore(0)

    def wait(*_: object) -> bool:
        waiting.release()
        return gate.wait(SECONDS)

    monkeypatch.setattr(presence, "sweep", wait)
    monkeypatch.setattr(presence, "renew", wait)
    writes = [asyncio.create_task(node._sweep()), asyncio.create_task(node._renew_lease())]
    try:
        for _ in writes:
            assert await asyncio.to_thread(waiting.acquire, timeout=SECONDS / 2)
        async with asyncio.timeout(SECONDS / 2):
            assert await node.history(room.pk, "room:lobby", None, 10) == []
    finally:
        gate.set()
        await asyncio.gather(*writes)


# Who is it


async def test_who_is_in_no_room_is_closed_with_a_look_at_everybody(
    node: nodes.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = Visit(node), Visit(node)
    await inside.join()
    later = time.monotonic() + 61
    monkeypatch.setattr("realtime.node.time.monotonic", lambda: later)
    await node._watch()
    assert outside.lane.closed == (4004, "in no room")
    assert inside.lane.closed is None


async def test_a_session_is_looked_up(node: nodes.Node) -> None:
    def login() -> str:
        browser = Browser()
        browser.force_login(rows.user("bob"), "django.contrib.auth.backends.ModelBackend")
        return browser.cookies[site.SESSION_COOKIE_NAME].value

    cookie = await sync_to_async(login)()
    assert (await node.identify(Credentials(f"{site.SESSION_COOKIE_NAME}={cookie}"))).name == "bob"
    assert (await node.identify(Credentials())).name.startswith("Guest")


# One per event loop


async def test_there_is_one_node_for_an_event_loop(room: Room) -> None:
    first, second = await asyncio.gather(nodes.current(), nodes.current())
    assert first is second
    await nodes.stop()
    await nodes.stop()
    third = await nodes.current()
    assert third is not first
    await nodes.stop()


async def test_a_node_that_starts_without_the_database_does_all_that_is_due_once_it_is_back(
    room: Room, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose first visitor comes while the database is away: later its people count, and the safety net is there."""
    settings.REALTIME = settings.REALTIME | {"LEASE_SECONDS": 1.0, "CATCH_UP_SECONDS": 0.05}
    renew, back = presence.renew, threading.Event()

    def away(*arguments: Any) -> bool:
        if not back.is_set():
            raise OperationalError("the database is away")
        return renew(*arguments)

    monkeypatch.setattr(presence, "renew", away)
    node = await nodes.current()
    visit = Visit(node)
    await visit.join()
    assert await people(room) == []
    back.set()
    async with asyncio.timeout(SECONDS):
        while await people(room) != ["alice"]:
            await asyncio.sleep(0.02)
    await sync_to_async(log.append)([Entry(room.pk, Fact("added", {"by": 1}))])
    await visit.lane.event("added")
    await nodes.stop()


async def test_what_is_done_now_and_then_is_done_again_whatever_goes_wrong() -> None:
    done, enough = list[int](), asyncio.Event()

    async def work() -> None:
        done.append(len(done))
        if len(done) == 3:
            enough.set()
        raise ZeroDivisionError

    repeating = asyncio.create_task(nodes._repeat(0, work))
    async with asyncio.timeout(SECONDS):
        await enough.wait()
    repeating.cancel()
    await asyncio.gather(repeating, return_exceptions=True)
    assert done[:3] == [0, 1, 2]
