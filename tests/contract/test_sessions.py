"""Who the socket takes somebody for: what Django's session says, and never more than it says."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.conftest import Connect
from tests.support.servers import Program, Server
from tests.support.sites import EMBEDDED, Site
from tests.support.visitor import Visitor

OLD, NEW = "the old key", "the new key"


async def who(connect: Connect, server: Server, cookie: str) -> dict[str, Any]:
    """Return whom a socket with this cookie is taken for."""
    client = await connect(server.url, cookie=cookie)
    you: dict[str, Any] = (await client.join("lobby")).response["you"]
    return you


def is_guest(you: dict[str, Any]) -> bool:
    return bool(you["id"].startswith("guest:"))


def session_key(cookie: str) -> str:
    return cookie.partition("sessionid=")[2].partition(";")[0]


async def test_the_session_says_who_it_is(site: Site, server: Server, connect: Connect) -> None:
    alice, bob = [await who(connect, server, site.cookie(server, name)) for name in ("alice", "bob")]
    pks = site.console.run("result = [User.objects.get(username=name).pk for name in ('alice', 'bob')]")
    assert [alice, bob] == [{"id": f"user:{pks[0]}", "name": "alice"}, {"id": f"user:{pks[1]}", "name": "bob"}]


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "sessionid=",
        "sessionid=nonsense",
        "sessionid=" + "x" * 4000,
        "sessionid=../../etc",
        'x=1; ;=; a="b; sessionid',
        "\xff=\xfe",
    ],
)
async def test_a_cookie_that_says_nothing_makes_a_guest(server: Server, connect: Connect, cookie: str) -> None:
    assert is_guest(await who(connect, server, cookie))


ENDS = {
    "logging out": "Session.objects.filter(pk=key).delete()",
    "time": "Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))",
    "a new password": "user.set_password('other'); user.save()",
    "being switched off": "User.objects.filter(pk=user.pk).update(is_active=False)",
    "being deleted": "user.delete()",
}
PREPARED = """
from datetime import timedelta
from django.contrib.sessions.models import Session
from django.utils import timezone
user = User.objects.get(username=name)
"""


@pytest.fixture
def passer_by(site: Site, request: pytest.FixtureRequest) -> str:
    """A login of this test alone."""
    name = f"passer-by-{abs(hash(request.node.nodeid))}"
    site.console.run("User.objects.create_user(name, password=name)", name=name)
    return name


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
async def test_a_login_ends_by(site: Site, server: Server, connect: Connect, passer_by: str, code: str) -> None:
    cookie = site.cookie(server, passer_by)
    assert (await who(connect, server, cookie))["name"] == passer_by
    site.console.run(PREPARED + code, key=session_key(cookie), name=passer_by)
    assert is_guest(await who(connect, server, cookie))


async def test_a_guest_keeps_their_name_while_their_session_lasts(site: Site, server: Server, connect: Connect) -> None:
    visitor = Visitor(server.url)
    assert visitor.get("/rooms/lobby/").status == 200
    first, second = [await who(connect, server, visitor.cookie) for _ in range(2)]
    assert first == second
    assert is_guest(first)
    other = Visitor(server.url)
    other.get("/rooms/lobby/")
    assert await who(connect, server, other.cookie) != first


Rotate = Callable[..., Server]


@pytest.fixture
def serve(embedded_site: Site) -> Iterator[Rotate]:
    """Start a server of the embedded site with a secret key of its own."""
    servers: list[Server] = []

    def start(program: Program, key: str, fallbacks: tuple[str, ...] = ()) -> Server:
        settings = json.dumps({"SECRET_KEY_FALLBACKS": fallbacks})
        servers.append(embedded_site.serve(program, SECRET_KEY=key, TEST_SETTINGS=settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


async def test_a_new_secret_key_logs_nobody_out_while_the_old_one_is_known(serve: Rotate, connect: Connect) -> None:
    before = serve("uvicorn", OLD)
    visitor = Visitor(before.url).login("alice")
    before.stop()
    after = serve("uvicorn", NEW, (OLD,))
    visitor.base_url = after.url
    for _ in range(2):
        assert (await who(connect, after, visitor.cookie))["name"] == "alice"
    assert ">alice<" in visitor.get("/").text
    assert (await who(connect, after, visitor.cookie))["name"] == "alice"


async def test_opening_a_socket_under_a_foreign_key_logs_nobody_out_of_the_site(
    embedded_server: Server, serve: Rotate, connect: Connect
) -> None:
    visitor = Visitor(embedded_server.url).login("bob")
    stranger = serve("daphne", NEW)
    assert is_guest(await who(connect, stranger, visitor.cookie))
    assert (await who(connect, embedded_server, visitor.cookie))["name"] == "bob"
    assert ">bob<" in visitor.get("/").text


async def test_logging_out_reaches_the_open_sockets_of_every_process(
    site: Site, server: Server, neighbour: Server, connect: Connect
) -> None:
    """Through the layer at once; on the embedded default at the next look, which these sites take once a minute."""
    neighbour = server if site.backend is EMBEDDED else neighbour
    visitor = Visitor(server.url).login("alice")
    other = Visitor(server.url).login("alice")
    clients = [await connect(at.url, cookie=visitor.cookie) for at in (server, neighbour)]
    stays = await connect(neighbour.url, cookie=other.cookie)
    for client in (*clients, stays):
        assert (await client.join("lobby")).ok
    visitor.submit("/")  # its only form logs out
    for client in clients:
        assert (await client.event("refusal")).payload["code"] == "access_ended"
        assert await client.closed() == 4501
    assert (await stays.heartbeat()).ok
