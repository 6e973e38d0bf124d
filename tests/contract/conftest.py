"""What the contract tests share: people with a cookie, connections at a server or at the one beside it, and the servers' logs.

Every test of this folder ends with a look into the logs of all servers: nothing that a client does is logged as an error of ours.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.support.logs import Logs, trouble
from tests.support.servers import Program, Server
from tests.support.sites import CORE, EMBEDDED, HOSTINGS, Site
from tests.support.wsclient import Client

SECONDS = 120
PAIRS = {
    "sqlite+memory-daphne": (EMBEDDED, "daphne"),
    "sqlite+memory-uvicorn-lane": (EMBEDDED, "uvicorn-lane"),
    "postgres+redis-core-uvicorn": (CORE, "uvicorn"),
}
in_pairs = pytest.mark.parametrize(("site", "server"), PAIRS.values(), ids=PAIRS, indirect=True)
"""For long tables whose answers hang on each database and each server program, but not on their combination."""

_logs = Logs()

Connect = Callable[..., Awaitable[Client]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_layer: is about a channel layer that reaches other processes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests time for the servers to start, and leave out what the embedded default does not promise."""
    ours = [item for item in items if item.path.is_relative_to(__file__.rpartition("/")[0])]
    for item in ours:
        item.add_marker(pytest.mark.timeout(SECONDS))
    beyond = [item for item in ours if item.get_closest_marker("needs_layer") and _backend(item) is EMBEDDED]
    if beyond:
        config.hook.pytest_deselected(items=beyond)
        items[:] = [item for item in items if item not in beyond]


def _backend(item: pytest.Item) -> Any:
    return getattr(item, "callspec").params.get("site")  # noqa: B009 - only parametrized items have one


@pytest.fixture(autouse=True)
def logs() -> Iterator[Logs]:
    """The servers' logs; what a test does not `take` from them must be without errors."""
    yield _logs
    found = trouble(_logs.take())
    assert not found, f"a server logged:\n{found}"


@pytest.fixture(scope="session")
def neighbour(site: Site, server: Server, servers: Callable[[Site, Program], Server]) -> Server:
    """A second server of the site, under another program; shared, so leave it running."""
    programs = [program for backend, program in HOSTINGS.values() if backend is site.backend]
    return next(other for program in programs if (other := servers(site, program)) is not server)


@pytest.fixture(scope="session")
def cookies() -> Callable[[Site, Server, str], str]:
    """The Cookie header of somebody who logged in once, on whatever server of the site; nobody's is empty."""
    known: dict[tuple[Site, str], str] = {}

    def cookie(site: Site, server: Server, name: str) -> str:
        if name and (site, name) not in known:
            known[site, name] = site.cookie(server, name)
        return known.get((site, name), "")

    return cookie


@pytest.fixture
def come(connect: Connect, site: Site, server: Server, cookies: Callable[[Site, Server, str], str]) -> Connect:
    """Connect as somebody, or as a guest, to the server or another: `await come("alice", at=neighbour)`."""

    async def come(name: str = "", at: Server = server) -> Client:
        return await connect(at.url, cookie=cookies(site, at, name))

    return come


@pytest.fixture
def enter(come: Connect) -> Connect:
    """Connect and join a room: `await enter(slug, "alice")`."""

    async def enter(slug: str, name: str = "", *, since: int | None = None, **where: Server) -> Client:
        client = await come(name, **where)
        welcome = await client.join(slug, since)
        assert welcome.ok, welcome
        return client

    return enter
