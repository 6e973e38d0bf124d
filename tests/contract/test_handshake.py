"""The opening of a connection: what is let in, what is refused with HTTP 403, and the heartbeat."""

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Connect, in_pairs
from tests.support.daemon import HOST
from tests.support.servers import Server
from tests.support.wsclient import SECONDS

pytestmark = in_pairs


async def refusal(connect: Connect, server: Server, **options: Any) -> int:
    """Return the HTTP status that a connection is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.url, **options)
    return refused.value.response.status_code


@pytest.mark.parametrize(
    "query", ["", "?vsn=1.0.0", "?vsn=3.0.0", "?vsn=2", "?vsn=2.0", "?vsn=two", "?vsn=", "?vsn[]=2.0.0"]
)
async def test_another_version_of_the_protocol_is_refused(server: Server, connect: Connect, query: str) -> None:
    assert await refusal(connect, server, path=f"/realtime/websocket{query}") == 403


@pytest.mark.parametrize("query", ["?vsn=2.0.0", "?vsn=2.1.3", "?token=x&vsn=2.0.0&user[name]=alice"])
async def test_version_2_is_served(server: Server, connect: Connect, query: str) -> None:
    client = await connect(server.url, path=f"/realtime/websocket{query}")
    assert (await client.heartbeat()).ok


@pytest.mark.parametrize(
    "path", ["/", "/realtime", "/realtime/", "/realtime/socket?vsn=2.0.0", "/realtime/websocket/x", "/%00"]
)
async def test_a_path_that_does_not_exist_is_refused(server: Server, connect: Connect, path: str) -> None:
    assert await refusal(connect, server, path=path) == 403


async def test_the_subprotocol_phoenix_is_echoed(server: Server, connect: Connect) -> None:
    client = await connect(server.url, subprotocols=["other", "phoenix"])
    assert client.socket.subprotocol == "phoenix"
    assert (await client.heartbeat()).ok


async def test_no_subprotocol_is_chosen_that_was_not_offered(server: Server, connect: Connect) -> None:
    client = await connect(server.url)
    assert client.socket.subprotocol is None


@pytest.mark.parametrize(
    "origin",
    ["http://elsewhere.example", "https://{host}", "http://127.0.0.1:1", "http://127.0.0.1.example", "null", "file://"],
)
async def test_a_page_of_another_origin_is_refused(server: Server, connect: Connect, origin: str) -> None:
    host = server.url.removeprefix("http://")
    assert await refusal(connect, server, origin=origin.format(host=host)) == 403


async def test_a_program_that_is_no_page_is_let_in(server: Server, connect: Connect) -> None:
    client = await connect(server.url, origin="")
    assert (await client.heartbeat()).ok


async def test_the_heartbeat_is_answered_without_a_room(server: Server, connect: Connect) -> None:
    client = await connect(server.url)
    await client.send([None, "77", "phoenix", "heartbeat", {}])
    assert await client.reply("77") == (None, "77", "phoenix", "phx_reply", {"status": "ok", "response": {}})


async def test_a_crowd_that_comes_back_at_once_is_let_in(server: Server) -> None:
    """All of them have connected before the first says what it wants."""
    request = (
        "GET /realtime/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request.encode())
        return await reader.readline()

    async with asyncio.timeout(4 * SECONDS):
        lines = [await asyncio.open_connection(HOST, server.port) for _ in range(400)]
        try:
            answers = await asyncio.gather(*(answer(*line) for line in lines))
        finally:
            for _, writer in lines:
                writer.close()
    assert {answer.split()[1] for answer in answers} == {b"101"}
