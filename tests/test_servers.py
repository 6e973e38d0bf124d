"""What hangs on how a server is started: compression, and what it logs."""

import json

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from tests.support.gauges import resident_megabytes
from tests.support.sites import Site
from tests.support.wsclient import Client

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
