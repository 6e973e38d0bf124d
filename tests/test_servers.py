"""What the fast lanes say when a server is started in a way that they cannot work with."""

import pytest

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
