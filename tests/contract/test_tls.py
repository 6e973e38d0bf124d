"""wss, where the servers have the certificate themselves. Behind nginx it is tried in tests/docs/test_stories.py."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Connect
from tests.support.certificates import Certificate
from tests.support.servers import Program, Server
from tests.support.sites import Site
from tests.support.visitor import Visitor


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module", params=["daphne", "uvicorn-lane"])
def secure_server(request: Any, embedded_site: Site, certificate: Certificate) -> Iterator[Server]:
    """The demo with its production cookies."""
    program: Program = request.param
    server = embedded_site.serve(program, certificate=certificate, HTTPS="1")
    yield server
    server.stop()


@pytest.fixture
def visitor(secure_server: Server, certificate: Certificate) -> Visitor:
    return Visitor(secure_server.url, trust=certificate.trust).login("alice")


async def test_people_talk_over_wss(
    secure_server: Server, certificate: Certificate, embedded_site: Site, visitor: Visitor, connect: Connect
) -> None:
    assert {cookie.name for cookie in visitor.cookies if cookie.secure} == {"sessionid", "csrftoken"}
    slug = embedded_site.room(act_access="login")
    client = await connect(secure_server.url, cookie=visitor.cookie, trust=certificate.trust)
    assert (await client.join(slug)).response["you"]["name"] == "alice"
    for size in (10, 4000):
        assert (await client.push(slug, "message", text="x" * size)).ok
        assert (await client.event("message", slug)).payload["data"] == {"text": "x" * size}


async def test_over_wss_a_page_that_came_in_the_clear_is_refused(
    secure_server: Server, certificate: Certificate, visitor: Visitor, connect: Callable[..., Any]
) -> None:
    """Anybody on its way may have written into it."""
    origin = secure_server.url.replace("https", "http")
    with pytest.raises(InvalidStatus):
        await connect(secure_server.url, cookie=visitor.cookie, origin=origin, trust=certificate.trust)
