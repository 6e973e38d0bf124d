"""What the stories of faults share: a stage with a site, two servers and a crowd, a length, dice, and a look into the logs.

`REALTIME_FAULT_SECONDS` is how long a fault, or a row of faults, lasts (default 5); `REALTIME_FAULT_ROUNDS` how often every story
is told, with other dice each time; `REALTIME_FAULT_SEED` tells it with the dice of a run that failed.
"""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Any

import pytest

from tests.faults.stage import DEFAULTS, SERVINGS, Serving, Stage, Troupe, notes
from tests.support.logs import trouble
from tests.support.services import Postgres
from tests.support.sites import EMBEDDED, Backend, Site

SECONDS = 300
ROUNDS = int(os.environ.get("REALTIME_FAULT_ROUNDS") or 1)
_seed = pytest.StashKey[int]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tell every story as often as asked for."""
    if ROUNDS > 1:
        metafunc.fixturenames.append("round")
        metafunc.parametrize("round", range(1, ROUNDS + 1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker("faults")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Say how to have the same dice again, and what was measured."""
    report = yield
    if report.when == "call":
        report.user_properties += [("measured", note) for note in notes]
        notes.clear()
    if report.failed and _seed in item.stash:
        report.sections.append(("dice", f"REALTIME_FAULT_SEED={item.stash[_seed]}"))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    measured = sorted(note for report in reports for name, note in report.user_properties if name == "measured")
    if measured:
        terminalreporter.section("measured under faults")
        terminalreporter.write("".join(f"{note}\n" for note in measured))


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> Random:
    """All chance in a story."""
    seed = int(os.environ.get("REALTIME_FAULT_SEED") or secrets.randbits(32))
    request.node.stash[_seed] = seed
    return Random(seed)


@pytest.fixture(scope="session")
def seconds() -> float:
    """How long a fault lasts."""
    return float(os.environ.get("REALTIME_FAULT_SECONDS") or 5)


@pytest.fixture(scope="session")
def faulty_postgres() -> Iterator[Callable[[], Postgres]]:
    """A PostgreSQL that may be stopped: the other tests have one of their own."""
    started: list[Postgres] = []

    def get() -> Postgres:
        if not started:
            started.append(Postgres())
            started[0].start()
        return started[0]

    yield get
    for server in started:
        server.destroy()


@pytest.fixture(scope="session")
def troupe(tmp_path_factory: pytest.TempPathFactory, faulty_postgres: Callable[[], Postgres]) -> Iterator[Troupe]:
    """The sites and servers of all stories."""
    with Troupe(lambda: tmp_path_factory.mktemp("stage"), faulty_postgres) as found:
        yield found


@pytest.fixture
async def stage(troupe: Troupe, dice: Random, seconds: float) -> AsyncIterator[Callable[..., Any]]:
    """Set a stage: `await stage(backend, servings, **REALTIME settings)`. Whatever was stopped on it is started again.

    At the end the servers' logs are looked at; `stage.forgive(pattern)` says what a fault makes somebody complain about.
    """
    stages: list[Stage] = []

    async def make(
        backend: Backend = EMBEDDED,
        servings: tuple[Serving, ...] = SERVINGS[:2],
        *,
        site: Site | None = None,
        env: dict[str, str] | None = None,
        **settings: Any,
    ) -> Stage:
        site = site or await asyncio.to_thread(troupe.site, backend)
        servers = await troupe.serve(site, servings, DEFAULTS | settings, env or {})
        stages.append(Stage(site, servers, dice, seconds))
        return stages[-1]

    yield make
    await asyncio.to_thread(troupe.dismiss, keep=troupe.usual)
    for each in stages:
        found = trouble(re.sub(each.forgiven, "", each.logged()) if each.forgiven else each.logged())
        assert not found, f"a server logged:\n{found}"
