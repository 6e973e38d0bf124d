"""What happens when a server is started in a way that the fast lanes cannot work with."""

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from tests.support.gauges import resident_megabytes
from tests.support.sites import Site
from tests.support.wsclient import Client

WARNING = "WARNING realtime.servers: Compression is on"


@pytest.mark.parametrize(("compression", "times"), [("true", 1), ("false", 0)])
async def test_uvicorns_lane_says_once_that_compression_is_on(
    embedded_site: Site, compression: str, times: int
) -> None:
    options = ["--ws", "realtime.servers.uvicorn:Protocol", "--ws-per-message-deflate", compression]
    server = embedded_site.serve("uvicorn", options)
    for _ in range(2):
        async with await Client.connect(server.url) as client:
            assert (await client.heartbeat()).ok
    server.stop()
    assert server.log.count(WARNING) == times


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
    """Where a site leaves uvicorn's compression on: what is sent may be a thousand times as large when it is unpacked."""
    options = ["--ws", "realtime.servers.uvicorn:Protocol", "--ws-per-message-deflate", "true"]
    options += ["--ws-max-size", "1048576"]
    server = embedded_site.serve("uvicorn", options)
    url = server.url.replace("http", "ws", 1) + "/realtime/websocket?vsn=2.0.0"
    async with await Client.connect(server.url) as bystander, open_socket(url, proxy=None) as socket:
        assert socket.protocol.extensions
        before = resident_megabytes(server.pid)
        await socket.send("x" * 64 * 2**20)
        await socket.wait_closed()
        assert socket.close_code == 1009
        assert (await bystander.heartbeat()).ok
        assert resident_megabytes(server.pid) < before + 32
    server.stop()
