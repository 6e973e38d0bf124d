"""Fixtures that start what a test asks for, once and lazily, and hooks that sort tests and say what was left out.

The contract tests take `site` and `server`: they run over all `HOSTINGS`. A test that kills things takes
`new_site` and has a site to itself.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections
from hypothesis import HealthCheck, settings

from tests.support import programs
from tests.support.servers import Program, Server
from tests.support.services import Postgres, Redis
from tests.support.sites import EMBEDDED, HOSTINGS, Backend, Site
from tests.support.wsclient import Client

DATABASE_FIXTURES = frozenset({"db", "transactional_db"})
BROWSER_FIXTURES = frozenset({"page", "context", "browser", "new_context"})
LONG_WITH_A_SITE_OF_THEIR_OWN = frozenset({"tests/browser/test_injection.py"})


def pytest_configure() -> None:
    """Stop what was started when the run is terminated, as on Ctrl-C. How fast a busy machine makes things up says nothing."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a site and its server over all hostings, unless it says over which."""
    chosen = any("site" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if not chosen and {"site", "server"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("site", "server"), HOSTINGS.values(), ids=HOSTINGS, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests by what they use, before `-m` looks, and put the slow ones first, and those with a browser last.

    Playwright's synchronous API keeps an event loop in this thread from its first use to the end of the session, in which
    no asynchronous test could run.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker("database")
        if fixtures & BROWSER_FIXTURES:
            item.add_marker("browser")
    yield
    items.sort(key=lambda item: ("browser" in item.keywords, not _is_slow(item)))


def _is_slow(item: pytest.Item) -> bool:
    return not {"faults", "benchmarks"}.isdisjoint(item.keywords) or _file(item.nodeid) in LONG_WITH_A_SITE_OF_THEIR_OWN


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares a site: the tests over one of the hostings, else those of a file, but each browser by itself.

    What uses a browser shares no more than the whole session does.
    """
    from xdist.scheduler import LoadScopeScheduling

    class BySite(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            hosting = max((one for one in HOSTINGS if one in nodeid), key=len, default=None)
            if hosting is not None:
                return hosting
            file = _file(nodeid)
            return nodeid if "[chromium" in nodeid and file not in LONG_WITH_A_SITE_OF_THEIR_OWN else file

    return BySite(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end which programs were lacking and how to get them."""
    skipped = terminalreporter.stats.get("skipped", ())
    lines = programs.left_out(str(report.longrepr) for report in skipped)
    if lines:
        terminalreporter.section("left out")
        terminalreporter.write("".join(f"{line}\n" for line in lines))


# The database of the test process


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep SQLite's test database in a file: the threads that write have connections of their own. Each worker has its own."""
    file = tmp_path_factory.mktemp("database") / "test.sqlite3"
    for database in connections.databases.values():
        if database["ENGINE"].endswith("sqlite3"):
            database["TEST"]["NAME"] = str(file)


@pytest.fixture(autouse=True)
def _no_connection_left_in_the_async_thread() -> Iterator[None]:
    """Close what `sync_to_async` opened in its thread, or PostgreSQL would refuse to drop the test database."""
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result(timeout=10)


# Services, each started when the first test asks for it


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], Postgres]]:
    """A callable that gives the session's PostgreSQL."""
    started: list[Postgres] = []

    def get() -> Postgres:
        if not started:
            server = Postgres()
            started.append(server)
            server.start()
        return started[0]

    yield get
    for server in started:
        server.destroy()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis for this test alone."""
    server = Redis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


# Sites and servers


@pytest.fixture(scope="session")
def sites(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], Postgres]
) -> Iterator[Callable[[Backend], Site]]:
    """A callable that gives the site over a backend, made when it is first asked for and kept: no order of tests is slow."""
    with ExitStack() as stack:
        yield cache(lambda backend: stack.enter_context(Site(backend, tmp_path_factory.mktemp("site"), postgres)))


@pytest.fixture(scope="session")
def servers() -> Callable[[Site, Program], Server]:
    """A callable that gives a site's server under a program, likewise."""
    return cache(Site.serve)


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest, sites: Callable[[Backend], Site]) -> Site:
    """A site over each backend in turn, shared by the tests: make a room of your own with `site.room()`. Take `server`, too."""
    return sites(request.param)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, site: Site, servers: Callable[[Site, Program], Server]) -> Server:
    """The site's server, under each program that there is for its backend; shared, so leave it running."""
    return servers(site, request.param)


@pytest.fixture(scope="session")
def embedded_site(sites: Callable[[Backend], Site]) -> Site:
    """A shared site as a newcomer has it: SQLite and nothing else."""
    return sites(EMBEDDED)


@pytest.fixture(scope="session")
def embedded_server(embedded_site: Site, servers: Callable[[Site, Program], Server]) -> Server:
    """The embedded site's daphne; shared, so leave it running."""
    return servers(embedded_site, "daphne")


@pytest.fixture
def new_site(tmp_path: Path, postgres: Callable[[], Postgres]) -> Iterator[Callable[..., Site]]:
    """Make a site for this test alone: `new_site(backend=EMBEDDED, **env)`."""
    with ExitStack() as stack:

        def make(backend: Backend = EMBEDDED, **env: str) -> Site:
            folder = tmp_path / f"site-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(Site(backend, folder, postgres, **env))

        yield make


@pytest.fixture
async def connect() -> Any:
    """Open a client: `await connect(server.url, cookie=...)`. All are closed at the end of the test."""
    clients: list[Client] = []

    async def open_client(base_url: str, **options: Any) -> Client:
        clients.append(await Client.connect(base_url, **options))
        return clients[-1]

    yield open_client
    for client in clients:
        await client.close()


# The browser


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Drive the machine's own Chromium, also as root."""
    return browser_type_launch_args | {"executable_path": programs.need(programs.CHROMIUM), "args": ["--no-sandbox"]}


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js."""
    return programs.need(programs.NODE)
