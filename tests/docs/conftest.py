"""Readers of the documentation: one that has followed the README, and copies of it that go on from there."""

import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.docs.reader import PEOPLE_AND_ROOMS, Reader
from tests.support.daemon import HOST, Daemon, free_port
from tests.support.servers import Server

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def base_url() -> None:
    """The plugin's own fixture of this name warns under this pytest."""


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Has done what the README says, and nothing else; do not change it."""
    reader = Reader(tmp_path_factory.mktemp("readme") / "mysite")
    reader.start()
    reader.follow(page("README.md"))
    return reader


@pytest.fixture(scope="session")
def settled(newcomer: Reader, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Has people and rooms, too; do not change it."""
    reader = newcomer.copy(tmp_path_factory.mktemp("settled") / "mysite")
    reader.manage("shell", "-c", PEOPLE_AND_ROOMS)
    return reader


@pytest.fixture
def reader(settled: Reader, tmp_path: Path) -> Reader:
    """A reader for this test alone."""
    return settled.copy(tmp_path / "mysite")


@pytest.fixture
def runserver(tmp_path: Path) -> Iterator[Callable[[Reader], str]]:
    """Serve a reader's project with `manage.py runserver`, and return its address."""
    with ExitStack() as stack:

        def serve(reader: Reader) -> str:
            port = free_port()
            command = [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{port}"]
            server = Daemon(
                "runserver",
                command,
                log_file=tmp_path / "runserver.log",
                ready=lambda: is_healthy(f"http://{HOST}:{port}"),
                env=reader.env,
                cwd=reader.folder,
            )
            stack.callback(server.stop)
            server.start()
            return f"http://{HOST}:{port}"

        yield serve


def is_healthy(url: str, trust: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/realtime/health", timeout=5, context=trust) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a reader's project: `serve(reader, "uvicorn", *options)`."""
    with ExitStack() as stack:

        def start(reader: Reader, program: str = "daphne", *options: str) -> Server:
            server = Server(
                program,  # type: ignore[arg-type]
                env=reader.env,
                folder=tmp_path,
                cwd=reader.folder,
                application="mysite.asgi:application",
                options=options,
            )
            stack.callback(server.stop)
            server.start()
            return server

        yield start
