"""Coming back: nothing is missing and nothing is double, however the line breaks while others write."""

import asyncio
from typing import Any

from tests.contract.conftest import Connect
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client

MIB = 2**20

FILL = """
from realtime.kinds import Fact
from realtime.log import Entry
pk = Room.objects.get(slug=slug).pk
for start in range(0, count, 250):
    facts = [Fact("message", {"text": f"{number} " + "x" * size}) for number in range(start, min(count, start + 250))]
    rooms.commit([Entry(pk, fact) for fact in facts])
"""

WRITE = "for number in range(count): rooms.publish(slug, 'message', {'text': str(number)})"


class Reader:
    """Somebody who reads a room over a line that breaks: keeps the seqs seen, as a client of the wire does."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.seqs: list[int] = []

    @property
    def newest(self) -> int:
        return self.seqs[-1] if self.seqs else 0

    async def join(self, client: Client) -> dict[str, Any]:
        """Join with the newest seq seen and return the welcome."""
        welcome = (await client.join(self.slug, since=self.newest)).response
        assert welcome["complete"]
        self.seqs += [event["seq"] for event in welcome["events"]]
        if not welcome["more"]:
            assert self.newest == welcome["seq"]
        return welcome

    async def read(self, client: Client, up_to: int) -> None:
        """Read on. Every frame has to be the next one: the server itself leaves no gap and repeats nothing."""
        while self.newest < up_to:
            payload = (await client.event("message", self.slug, within=20)).payload
            assert payload["seq"] == self.newest + 1, f"after {self.newest} came {payload['seq']}"
            self.seqs.append(payload["seq"])


async def test_a_client_without_since_hears_only_what_is_new(site: Site, enter: Connect) -> None:
    slug = site.room()
    site.console.run(WRITE, slug=slug, count=3)
    client = await enter(slug)
    assert (await client.push(slug, "message", text="new")).response == {"seq": 4}
    assert [event["seq"] for event in await client.events("message", slug, 1)] == [4]


async def test_since_brings_what_came_after_it(site: Site, come: Connect) -> None:
    slug = site.room()
    site.console.run(WRITE, slug=slug, count=3)
    for since, missed in ((0, [1, 2, 3]), (1, [2, 3]), (3, [])):
        welcome = (await (await come()).join(slug, since)).response
        assert [event["seq"] for event in welcome["events"]] == missed
        assert (welcome["seq"], welcome["more"], welcome["complete"]) == (3, False, True)


async def test_a_since_from_another_time_is_not_complete(site: Site, come: Connect) -> None:
    """The database was set back: the client has seen a seq that the room has not reached."""
    welcome = (await (await come()).join(site.room(), since=7)).response
    assert (welcome["seq"], welcome["events"], welcome["complete"]) == (0, [], False)


async def test_nothing_is_missing_or_double_while_others_write(site: Site, come: Connect, neighbour: Server) -> None:
    slug, count = site.room(), 120
    readers = [Reader(slug) for _ in range(4)]
    writing = asyncio.create_task(asyncio.to_thread(site.console.run, WRITE, slug=slug, count=count, within=60))
    await asyncio.gather(
        *(come_and_go(reader, come, count, at) for reader, at in zip(readers, [{}, {"at": neighbour}] * 2, strict=True))
    )
    await writing
    assert [reader.seqs for reader in readers] == [list(range(1, count + 1))] * 4


async def come_and_go(reader: Reader, come: Connect, count: int, where: dict[str, Server]) -> None:
    """Read ten events at a time, each time over a new line; every other one breaks without a goodbye."""
    while reader.newest < count:
        client = await come(**where)
        welcome = await reader.join(client)
        await reader.read(client, min(count, max(welcome["seq"], reader.newest + 10)))
        await (client.drop() if reader.newest % 2 else client.close())


async def test_thousands_of_missed_events_come_in_pages(site: Site, come: Connect) -> None:
    slug, count = site.room(), 2500
    site.console.run(FILL, slug=slug, count=count, size=600)
    client, reader = await come(), Reader(slug)
    welcome = await reader.join(client)
    assert (welcome["seq"], welcome["more"]) == (count, True)
    assert (await client.push(slug, "message", text="meanwhile")).response == {"seq": count + 1}
    await reader.read(client, count + 1)
    assert reader.seqs == list(range(1, count + 2))
    assert client.largest < MIB
    assert [frame for frame in await client.settle() if frame.event == "message"] == []


async def test_large_events_come_below_what_a_server_can_send(site: Site, come: Connect) -> None:
    slug, count = site.room(), 12
    site.console.run(FILL, slug=slug, count=count, size=200_000)
    client, reader = await come(), Reader(slug)
    await reader.join(client)
    await reader.read(client, count)
    history = (await client.push(slug, "room_history", limit=200)).response
    assert [event["seq"] for event in history["events"]][-1] == count
    assert history["complete"] is False
    assert client.largest < MIB


async def test_history_is_read_backwards_to_its_beginning(site: Site, enter: Connect) -> None:
    slug = site.room()
    site.console.run(WRITE, slug=slug, count=7)
    client = await enter(slug)
    pages: list[list[int]] = []
    page: dict[str, Any] = {"complete": False, "events": [{"seq": 8}]}
    while not page["complete"]:
        page = (await client.push(slug, "room_history", before=page["events"][0]["seq"], limit=3)).response
        pages.append([event["seq"] for event in page["events"]])
    assert pages == [[5, 6, 7], [2, 3, 4], [1]]


async def test_the_history_of_a_room_without_events_is_empty_and_complete(site: Site, enter: Connect) -> None:
    client = await enter(slug := site.room())
    assert (await client.push(slug, "room_history")).response == {"events": [], "complete": True}


async def test_what_was_cleared_is_not_promised(site: Site, come: Connect) -> None:
    slug = site.room("counter")
    site.console.run(
        "for by in (1, 2, 3): rooms.publish(slug, 'added', {'by': by})\n"
        "rooms.clear(slug)\n"
        "rooms.publish(slug, 'added', {'by': 4})",
        slug=slug,
    )
    late, timely = await come(), await come()
    welcome = (await late.join(slug, since=1)).response
    assert (welcome["complete"], welcome["seq"], welcome["state"]) == (False, 4, {"value": 10})
    assert [event["seq"] for event in welcome["events"]] == [4]
    assert (await timely.join(slug, since=3)).response["complete"] is True
    history = (await late.push(slug, "room_history")).response
    assert ([event["seq"] for event in history["events"]], history["complete"]) == ([4], True)


async def test_a_room_that_keeps_little_says_what_is_gone(site: Site, enter: Connect, come: Connect) -> None:
    slug = site.room("counter", keep_events=10)
    site.console.run("for _ in range(200): rooms.publish(slug, 'added', {'by': 1})", slug=slug)
    welcome = (await (await come()).join(slug, since=1)).response
    assert (welcome["complete"], welcome["state"]) == (False, {"value": 200})
    seqs = [event["seq"] for event in welcome["events"]]
    assert seqs == list(range(seqs[0], 201))
    assert 10 <= len(seqs) < 10 + 64 + 1
