"""Attacks below the wire, with frames and pings. Each costs a bounded amount of memory and ends, if anything, the
connection that it comes from; somebody who is connected goes on talking.
"""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from realtime.servers.asides import PAUSE_SECONDS
from tests.contract.conftest import Connect
from tests.support.gauges import metrics
from tests.support.servers import Server
from tests.support.sites import EMBEDDED, Site
from tests.support.wsclient import SECONDS, Client

LANES = {"daphne": (EMBEDDED, "daphne"), "uvicorn-lane": (EMBEDDED, "uvicorn-lane")}
pytestmark = pytest.mark.parametrize(("site", "server"), LANES.values(), ids=LANES, indirect=True)

MIB = 2**20
MASK = b"\x00" * 4
PING = b"\x89\xfd" + MASK + b"p" * 125
FIRST, MORE = b"\x01\x80" + MASK, b"\x00\x80" + MASK
"""The first fragment of a text, and another; both empty."""

PONG = b"\x8a\x80" + MASK
END = b"\x80\x80" + MASK
MASSES = {"pings": PING, "pongs": PONG, "fragments": FIRST + MORE * 100 + END}
"""What comes beside messages, and costs as much."""

BULK = "for _ in range(events): rooms.publish(slug, 'message', {'text': 'x' * size})"
EVENTS = 80
BYTES = 100_000
"""Together more than the buffers of two sockets hold."""


@pytest.fixture
async def bystander(site: Site, enter: Connect) -> Client:
    """Somebody in a room; call `talks` while the attack is on."""
    slug = site.room()
    client: Client = await enter(slug)
    client.slug = slug  # type: ignore[attr-defined]
    return client


async def talks(client: Client) -> None:
    slug: str = client.slug  # type: ignore[attr-defined]
    assert (await client.push(slug, "message", text="undisturbed")).ok
    assert (await client.event("message", slug)).payload["data"] == {"text": "undisturbed"}


@asynccontextmanager
async def line(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare line to the server, upgraded to a WebSocket; what comes is read only when it is asked for."""
    place = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1024)
    try:
        writer.write(handshake(server))
        async with asyncio.timeout(SECONDS):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield reader, writer
    finally:
        writer.transport.abort()


def handshake(server: Server) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /realtime/websocket?vsn=2.0.0 HTTP/1.1",
        f"Host: {urlsplit(server.url).netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def text(body: str) -> bytes:
    """A masked text frame of fewer than 126 bytes."""
    return bytes([0x81, 0x80 | len(body)]) + MASK + body.encode()


async def dropped(server: Server, cause: str) -> float:
    return (await asyncio.to_thread(metrics, server)).get(f'realtime_drops_total{{cause="{cause}"}}', 0)


async def until_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(2 * SECONDS):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass


async def test_compression_is_not_negotiated(server: Server) -> None:
    """So there are no bombs."""
    url = server.url.replace("http", "ws", 1) + "/realtime/websocket?vsn=2.0.0"
    async with open_socket(url, compression="deflate", proxy=None) as socket:
        assert socket.protocol.extensions == []


async def test_a_message_beyond_a_mebibyte_ends_its_connection_alone(
    server: Server, connect: Connect, bystander: Client
) -> None:
    before = await dropped(server, "too_big")
    client: Client = await connect(server.url)
    await client.send("x" * (MIB - 100))
    assert (await client.event("refusal")).payload["code"] == "too_large"
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(SECONDS):
            await client.send("x" * (MIB + 1))
            await client.socket.wait_closed()
            await client.send("?")
    assert await dropped(server, "too_big") == before + 1
    await talks(bystander)


async def test_a_message_in_fragments_without_end_ends_its_connection_alone(server: Server, bystander: Client) -> None:
    before = await dropped(server, "too_fast")
    async with line(server) as (reader, writer):
        writer.write(FIRST + MORE * 5000)
        await until_closed(reader)
    assert await dropped(server, "too_fast") == before + 1
    await talks(bystander)


async def test_what_is_no_websocket_frame_ends_its_connection_alone(server: Server, bystander: Client) -> None:
    before = await dropped(server, "not_websocket")
    async with line(server) as (reader, writer):
        writer.write(b"\xff\xff nonsense")
        await until_closed(reader)
    assert await dropped(server, "not_websocket") == before + 1
    await talks(bystander)


async def test_a_message_in_some_fragments_is_taken(server: Server) -> None:
    async with line(server) as (reader, writer):
        parts = ['[null,"1",', '"phoenix",', '"heartbeat",{}]']
        heads = [b"\x01", b"\x00", b"\x80"]
        frames = [
            head + bytes([0x80 | len(part)]) + MASK + part.encode() for head, part in zip(heads, parts, strict=True)
        ]
        writer.write(b"".join([frames[0], MORE * 100, PING, *frames[1:]]))
        async with asyncio.timeout(SECONDS):
            assert b"phx_reply" in await reader.readuntil(b'"response":{}}]')


async def test_what_comes_in_masses_beside_messages_is_read_no_further_and_ends_its_connection_alone(
    server: Server, bystander: Client
) -> None:
    """After a pause: coming back at once would cost more than staying."""
    before = await dropped(server, "too_fast")

    async def flood(some: bytes) -> None:
        began = time.monotonic()
        async with line(server) as (reader, writer):
            writer.write(some * (200_000 // len(some)))
            await until_closed(reader)
        assert time.monotonic() - began > PAUSE_SECONDS - 0.1

    await asyncio.gather(*map(flood, MASSES.values()))
    assert await dropped(server, "too_fast") == before + len(MASSES)
    await talks(bystander)


async def test_a_goodbye_behind_what_ends_a_connection_raises_nothing(server: Server, bystander: Client) -> None:
    async with line(server) as (reader, writer):
        writer.write((b"\x89\x80" + MASK) * 129 + b"\x88\x80" + MASK)
        await until_closed(reader)
    await talks(bystander)


async def test_pongs_for_who_does_not_read_do_not_pile_up(site: Site, server: Server, bystander: Client) -> None:
    slug: str = bystander.slug  # type: ignore[attr-defined]
    async with line(server) as (reader, writer):
        writer.write(text(f'["1","1","room:{slug}","phx_join",{{}}]'))
        await reader.readuntil(b"phx_reply")
        await asyncio.to_thread(site.console.run, BULK, slug=slug, events=EVENTS, size=BYTES)
        await bystander.events("message", slug, EVENTS)
        writer.write(PING * 100 + PING.replace(b"p", b"q") + text('[null,"1","phoenix","heartbeat",{}]'))
        heard = bytearray()
        async with asyncio.timeout(3 * SECONDS):
            while b"phx_reply" not in heard[-70_000:]:
                heard += await reader.readexactly(1)
                heard += await reader.read(65536)
        assert heard.count(b"p" * 125) < 60, "every ping was answered"
        assert heard.count(b"q" * 125) == 1, "the newest was not"
    await talks(bystander)
