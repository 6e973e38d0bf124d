"""What hangs on how a server is started: compression, what it counts, and what it logs."""

import asyncio
import json
from unittest.mock import Mock

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from realtime.servers.asides import Asides
from realtime.servers.daphne import Wire
from realtime.servers.uvicorn import Protocol
from tests.support.gauges import metrics, resident_megabytes
from tests.support.servers import Program, made
from tests.support.sites import Site
from tests.support.waiting import eventually
from tests.support.wsclient import SECONDS, Client

MIB = 2**20
PATH = "/realtime/websocket?vsn=2.0.0"
COMPRESSED = json.dumps({"REALTIME": {"COMPRESSION": True}})


@pytest.mark.parametrize(("settings", "option", "extensions"), [("{}", "true", 0), (COMPRESSED, "false", 1)])
async def test_whether_uvicorns_lane_compresses_is_the_apps_decision(
    embedded_site: Site, settings: str, option: str, extensions: int
) -> None:
    server = embedded_site.serve("uvicorn-lane", ["--ws-per-message-deflate", option], TEST_SETTINGS=settings)
    async with open_socket(server.ws_url + PATH, proxy=None) as socket:
        assert len(socket.protocol.extensions) == extensions
        await socket.send('[null,"1","phoenix","heartbeat",{}]')
        assert "phx_reply" in await socket.recv()
    server.stop()


@pytest.mark.parametrize(
    ("program", "limit", "counted"),
    [("uvicorn", "--ws-max-size", (1, 2)), ("uvicorn-lane", "--ws-max-size", (1, 2)), ("daphne", "", (0, 0))],
)
async def test_whom_a_server_closes_on_by_itself_is_counted_where_it_says_why(
    embedded_site: Site, program: Program, limit: str, counted: tuple[int, int]
) -> None:
    """Without fast lanes; and a client that says the same of us is another matter."""
    settings = json.dumps({"REALTIME": {"FAST_LANES": False}})
    server = embedded_site.serve(program, [limit, str(MIB)] if limit else [], TEST_SETTINGS=settings)
    made.remove(server)  # uvicorn logs an error where text is not UTF-8
    too_long, not_utf8 = (bytes([0x81, 0xFF]) + (MIB + 1).to_bytes(8, "big") + bytes(4), b"\x81\x82\0\0\0\0\xff\xfe")
    for sent in (too_long, not_utf8, b"\xff\xff nonsense"):
        async with open_socket(server.ws_url + PATH, compression=None, proxy=None) as socket:
            socket.transport.write(sent)
            async with asyncio.timeout(SECONDS):
                await socket.wait_closed()
    async with open_socket(server.ws_url + PATH, proxy=None) as socket:
        await socket.close(1009)
    async with await Client.connect(server.url) as client:
        assert (await client.heartbeat()).ok

    def drops() -> tuple[float, ...]:
        found = metrics(server)
        return tuple(found.get(f'realtime_drops_total{{cause="{cause}"}}', 0) for cause in ("too_big", "not_websocket"))

    await eventually(lambda: metrics(server)["realtime_connections"] == 0, SECONDS, "all are gone")
    assert drops() == counted
    server.stop()


async def test_at_debug_level_uvicorns_lane_logs_no_secret_of_a_handshake_or_a_join(embedded_site: Site) -> None:
    secrets = ("rt_key_secret", "base64url.bearer.phx.c2VjcmV0", "sessionid=secret", "rt_ticket_secret")
    key, subprotocol, cookie, ticket = secrets
    server = embedded_site.serve("uvicorn-lane", ["--log-level", "debug"])
    async with await Client.connect(server.url, cookie=cookie) as client:
        assert not (await client.join("lobby", ticket=ticket)).ok
    for shown in ({"headers": {"Authorization": f"Bearer {key}"}}, {"subprotocols": ["phoenix", subprotocol]}):
        with pytest.raises(InvalidStatus):
            await Client.connect(server.url, **shown)
    server.stop()
    assert server.log.count('"WebSocket /realtime/websocket') == 3
    assert not [secret for secret in secrets if secret in server.log]


async def test_a_compression_bomb_ends_its_connection_alone(embedded_site: Site) -> None:
    """Where a site turns compression on: what is sent may be a thousand times as large when it is unpacked."""
    server = embedded_site.serve("uvicorn-lane", TEST_SETTINGS=COMPRESSED)
    async with (
        await Client.connect(server.url) as bystander,
        open_socket(server.ws_url + PATH, proxy=None) as socket,
    ):
        assert socket.protocol.extensions
        before = resident_megabytes(server.pid)
        await socket.send("x" * 64 * 2**20)
        await socket.wait_closed()
        assert socket.close_code == 1009
        assert (await bystander.heartbeat()).ok
        assert resident_megabytes(server.pid) < before + 32
    server.stop()


def test_what_is_no_frame_and_comes_before_a_sites_own_consumer_has_answered_is_cut() -> None:
    """uvicorn's protocol asserts that it has said goodbye, which it cannot have."""
    protocol = Mock(conn=Mock(close_sent=None))
    Protocol.handle_parser_exception(protocol)
    protocol.transport.abort.assert_called_once_with()


def test_a_message_that_comes_slowly_in_fragments_without_end_is_too_big() -> None:
    """They count for nothing in its length where they are empty."""
    most = [b""] * 1000
    theirs = Mock(frames=most, _has_enough=False)
    Protocol.handle_cont(theirs, Mock())
    theirs._fail.assert_called_once_with(1009)
    theirs = Mock(message_data=most, failedByMe=False, realtime_asides=Asides())
    Wire(theirs)._fragment([b""])
    theirs.dropConnection.assert_called_once_with(abort=True)
