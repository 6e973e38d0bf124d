"""A client that stops reading harms only itself, under every server."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stage import DAPHNE, LANE, SERVINGS, UVICORN, Serving, Stage, patient
from tests.support import gauges, ledger
from tests.support.crowd import Crowd, percentile
from tests.support.sites import EMBEDDED
from tests.support.waiting import eventually
from tests.support.wsclient import Client

READERS = 500
BULK_EVENTS = 80  # together twice what the system's own buffers take (net.ipv4.tcp_wmem: 4 MB)
BULK_BYTES = 100_000
LARGE_BYTES = 250_000  # just below MAX_EVENT_BYTES
SMALL_BUFFER = 8192
NOTICED_SECONDS = 0.06
ASKED = 100  # 25 MB of history for each
STILL = {"heartbeat_seconds": 120, "receive_buffer": SMALL_BUFFER}  # somebody who will stop reading

BULK = "for number in range(events): rooms.publish(slug, 'message', {'text': 'x' * size})"


async def publish_bulk(set_up: Stage, slug: str, size: int = BULK_BYTES) -> None:
    """More than any socket's buffers hold, from another process, as a site's own code would."""
    await asyncio.to_thread(set_up.site.console.run, BULK, slug=slug, events=BULK_EVENTS, size=size)


async def has_heard(crowd: Crowd, slug: str, count: int) -> None:
    places = [regular.places[slug] for regular in crowd.regulars]
    await eventually(lambda: all(place.position == count for place in places), 60, f"{slug} is heard up to {count}")


async def talk_for_a_while(speakers: Crowd, readers: Crowd) -> tuple[float, float]:
    """Have something said, and return how long it took to reach half and nearly all (p99) of the readers."""
    since = time.monotonic()
    for _ in range(20):
        speakers.say_something()
        await asyncio.sleep(0.1)
    await speakers.answered()
    await readers.agreed()
    late = readers.latencies(since)
    return percentile(late, 50), percentile(late, 99)


@pytest.mark.alone
@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_one_of_500_that_stops_reading_is_not_noticed_by_the_others_and_catches_up(
    stage: Callable[..., Any], serving: Serving
) -> None:
    set_up = await stage(EMBEDDED, (patient(serving),), LEASE_SECONDS=30, LAG_SECONDS=120)
    hall, bulk = set_up.chats(2)
    async with (
        set_up.crowd(READERS, slugs=[hall], heartbeat_seconds=120) as readers,
        set_up.crowd(3, slugs=[hall]) as speakers,
        set_up.crowd(1, slugs=[hall, bulk], **STILL) as slow,
        set_up.crowd(1, slugs=[bulk]) as control,
    ):
        half_before, before = await talk_for_a_while(speakers, readers)
        slow.regulars[0].stop_reading()
        await publish_bulk(set_up, bulk)
        await has_heard(control, bulk, BULK_EVENTS)
        for _ in range(3):  # what else the machine does passes; what the slow one does to the others stays
            half, meanwhile = await talk_for_a_while(speakers, readers)
            if half < half_before + NOTICED_SECONDS:
                break
        behind = slow.regulars[0].places[bulk].position or 0
        slow.regulars[0].read_again()
        everybody = [regular for crowd in (readers, speakers, slow, control) for regular in crowd.regulars]
        await ledger.audit(set_up.site, Crowd(everybody, set_up.dice))
        set_up.note(
            f"{serving}: 500 hear within {half_before:.3f} s (p50) and {before:.3f} s (p99), "
            f"{half:.3f} s and {meanwhile:.3f} s while one more does not read"
        )
        assert behind < BULK_EVENTS / 2, "it read all the same"
        assert half < half_before + NOTICED_SECONDS, (
            f"half of the others waited {half:.3f} s, before {half_before:.3f} s"
        )
        assert meanwhile < 3 * before + 0.3, f"the others waited {meanwhile:.2f} s, before {before:.2f} s"
        assert not slow.closes


@pytest.mark.parametrize("serving", [DAPHNE, UVICORN], ids=str)
async def test_what_clients_do_not_read_does_not_pile_up_in_memory(stage: Callable[..., Any], serving: Serving) -> None:
    """When everybody reads one sees what the work itself takes."""
    set_up = await stage(EMBEDDED, (patient(serving),), LAG_SECONDS=120)
    hall, bulk = set_up.chats(2)
    held = []
    async with (
        set_up.crowd(1, slugs=[hall, bulk]) as control,
        set_up.crowd(2, slugs=[hall, bulk], **STILL) as slow,
    ):
        for stops in (False, True):
            for regular in slow.regulars if stops else []:
                regular.stop_reading()
            await publish_bulk(set_up, bulk, LARGE_BYTES)
            await has_heard(control, bulk, BULK_EVENTS * (1 + stops))
            unread = gauges.resident_megabytes(set_up.servers[0].pid)
            for regular in slow.regulars:
                regular.read_again()
            await has_heard(slow, bulk, BULK_EVENTS * (1 + stops))
            held.append(max(unread, gauges.resident_megabytes(set_up.servers[0].pid)))
        await ledger.audit(set_up.site, Crowd(control.regulars + slow.regulars, set_up.dice))
    set_up.note(f"{serving}: {held[0]:.0f} MB when all read, {held[1]:.0f} MB after two did not read 20 MB")
    assert held[1] - held[0] < 12, f"the process grew from {held[0]:.0f} to {held[1]:.0f} MB"


@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_what_clients_ask_for_and_do_not_read_does_not_pile_up_in_memory(
    stage: Callable[..., Any], serving: Serving
) -> None:
    set_up = await stage(EMBEDDED, (patient(serving),), LAG_SECONDS=120)
    (bulk,) = set_up.chats(1)
    server = set_up.servers[0]
    await asyncio.to_thread(set_up.site.console.run, BULK, slug=bulk, events=1, size=LARGE_BYTES)
    greedy = [await Client.connect(server.url) for _ in range(4)]
    try:
        for client in greedy:
            await client.join(bulk)
            await client.push(bulk, "room_history", limit=1)
        before = gauges.resident_megabytes(server.pid)
        for client in greedy:
            client.socket.transport.pause_reading()
        refs = [[await client.cast(bulk, "room_history", limit=1) for _ in range(ASKED)] for client in greedy]
        await has_settled(server.pid)
        grown = gauges.resident_megabytes(server.pid) - before
        for client in greedy:
            client.socket.transport.resume_reading()
        for client, asked in zip(greedy, refs, strict=True):
            for ref in asked:
                assert (await client.reply(ref, 60)).ok
    finally:
        for client in greedy:
            await client.drop()
    set_up.note(f"{serving}: {grown:.0f} MB more while four do not read the {ASKED} pages each that they asked for")
    assert grown < 40, f"the process grew by {grown:.0f} MB"


@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_what_clients_send_faster_than_it_is_taken_does_not_pile_up_in_memory(
    stage: Callable[..., Any], serving: Serving
) -> None:
    """It waits in their own sockets."""
    slowly = {"COMMANDS_PER_SECOND": 5, "COMMANDS_BURST": 5, "FLOOD_REFUSALS": 0}
    set_up = await stage(EMBEDDED, (patient(serving),), **slowly)
    server = set_up.servers[0]
    hasty = [await Client.connect(server.url) for _ in range(2)]
    large = json.dumps([None, "1", "phoenix", "heartbeat", {"x": "x" * 60_000}])
    before = gauges.resident_megabytes(server.pid)

    async def send(client: Client) -> None:
        while True:
            await client.send(large)

    sending = [asyncio.create_task(send(client)) for client in hasty]
    await asyncio.wait(sending, timeout=4)
    grown = gauges.resident_megabytes(server.pid) - before
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    for client in hasty:
        await client.drop()
    set_up.note(f"{serving}: {grown:.0f} MB more while two send as fast as they can")
    assert grown < 40, f"the process grew by {grown:.0f} MB"


async def has_settled(pid: int) -> None:
    """Wait until a process has done what it was asked for: its memory has not changed for two seconds."""
    seen: list[float] = []

    def rests() -> bool:
        seen.append(round(gauges.resident_megabytes(pid)))
        return len(seen) > 100 and len(set(seen[-100:])) == 1

    await eventually(rests, 60, "the process is at rest")


@pytest.mark.parametrize("serving", SERVINGS, ids=str)
async def test_who_does_not_read_for_too_long_leaves_the_rosters_is_closed_and_resumes(
    stage: Callable[..., Any], serving: Serving
) -> None:
    set_up = await stage(EMBEDDED, (patient(serving),), LAG_SECONDS=2)
    hall, bulk = set_up.chats(2)
    async with (
        set_up.crowd(12, slugs=[hall]) as crowd,
        set_up.crowd(1, slugs=[hall, bulk], **STILL) as slow,
    ):
        onlookers = [regular.places[hall].onlooker for regular in crowd.regulars]
        everybody = crowd.people(hall) | slow.people(hall)
        await eventually(lambda: all(o.people == everybody for o in onlookers), 30, "everybody is seen")
        slow.regulars[0].stop_reading()
        await publish_bulk(set_up, bulk)
        await eventually(lambda: all(o.people == crowd.people(hall) for o in onlookers), 15, "it has left")
        slow.regulars[0].read_again()
        await eventually(lambda: slow.regulars[0].closes, 30, "the line has ended")
        await ledger.audit(set_up.site, Crowd(crowd.regulars + slow.regulars, set_up.dice))
        await eventually(lambda: all(o.people == everybody for o in onlookers), 30, "it is back")
    # daphne waits a second for the other side's goodbye, and cuts the line.
    assert slow.closes[4001] + slow.closes[1006] == 1, slow.closes


@pytest.mark.parametrize("serving", [DAPHNE, LANE], ids=str)
async def test_who_never_reads_again_is_let_go_of(stage: Callable[..., Any], serving: Serving) -> None:
    """Without a lane uvicorn keeps the socket: its `send`, a goodbye too, waits for the other side to read."""
    set_up = await stage(EMBEDDED, (patient(serving),), LAG_SECONDS=2)
    (bulk,) = set_up.chats(1)
    pid = set_up.servers[0].pid
    async with set_up.crowd(4, slugs=[bulk]):
        before = gauges.sockets(pid)
        async with set_up.crowd(4, slugs=[bulk], **STILL) as slow:
            for regular in slow.regulars:
                regular.stop_reading()
            await publish_bulk(set_up, bulk)
            await eventually(lambda: gauges.sockets(pid) <= before, 60, "their sockets are closed")
