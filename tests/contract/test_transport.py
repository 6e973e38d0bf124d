"""Attacks below the wire, with frames and pings. Each costs a bounded amount of memory and ends, if anything, the
connection that it comes from; somebody who is connected goes on talking.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from tests.contract.conftest import Connect
from tests.support.gauges import metrics, resident_megabytes
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

PINGS = 45_000
"""More, with their answers, than the buffers of two sockets hold."""


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
    async with asyncio.timeout(SECONDS):
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
    before = await dropped(server, "too_big")
    async with line(server) as (reader, writer):
        writer.write(FIRST + MORE * 5000)
        await until_closed(reader)
    assert await dropped(server, "too_big") == before + 1
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
        writer.write(b"".join([frames[0], MORE * 900, PING, *frames[1:]]))
        async with asyncio.timeout(SECONDS):
            assert b"phx_reply" in await reader.readuntil(b'"response":{}}]')


async def test_pongs_for_who_does_not_read_do_not_pile_up(server: Server, bystander: Client) -> None:
    before = resident_megabytes(server.pid)
    async with line(server) as (reader, writer):
        for _ in range(PINGS // 1000):
            writer.write(PING * 1000)
            await writer.drain()
        await talks(bystander)
        writer.write(PING.replace(b"p", b"q") + text('[null,"1","phoenix","heartbeat",{}]'))
        heard = bytearray()
        async with asyncio.timeout(3 * SECONDS):
            while b"phx_reply" not in heard[-300:]:
                heard += await reader.readexactly(1)
                heard += await reader.read(65536)
        assert len(heard) < PINGS * (len(PING) - len(MASK)), "every ping was answered"
        assert heard.count(b"q" * 125) == 1, "the newest was not"
    assert resident_megabytes(server.pid) < before + 50
