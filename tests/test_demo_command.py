"""`python manage.py demo` in a process of its own, as somebody runs it who has just cloned the repository."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.console import ROOT
from tests.support.daemon import free_port
from tests.support.visitor import Visitor

JOIN = '["1","1","room:lobby","phx_join",{}]'
LAST_LINE = "Ctrl-C"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def demo(port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, from the moment on that it has said that it runs."""
    env = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DEBUG", "REDIS_URL")}
    env |= {"PYTHONFAULTHANDLER": "1", "DJANGO_SETTINGS_MODULE": "project.settings"}
    env |= {"DATABASE_URL": f"sqlite:///{tmp_path / 'demo.sqlite3'}"}
    # Who is started in the background by a shell ignores Ctrl-C, and so would all that it starts.
    command = ["env", "--default-signal=INT", sys.executable, "manage.py", "demo", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        banner = []
        for line in process.stdout:
            banner.append(line)
            if LAST_LINE in line:
                break
        assert f"http://127.0.0.1:{port}/" in "".join(banner)
        yield process
        process.kill()


def exit_code(demo: subprocess.Popen[str]) -> int:
    """How it ended; where it does not end, the failure says what it is doing."""
    try:
        return demo.wait(timeout=20)
    except subprocess.TimeoutExpired:
        demo.send_signal(signal.SIGABRT)
        raise AssertionError(f"The demo does not stop:\n{demo.communicate()[0]}") from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_it_serves_the_rooms_and_stops_when_told_to(
    demo: subprocess.Popen[str], port: int, number: signal.Signals
) -> None:
    url = f"http://127.0.0.1:{port}"
    for name in ("alice", "bob", "admin"):
        assert "Lobby" in Visitor(url).login(name).get("/").text
    with connect(f"ws://127.0.0.1:{port}/realtime/websocket?vsn=2.0.0", close_timeout=1) as socket:
        socket.send(JOIN)
        assert '"status":"ok"' in str(socket.recv(timeout=10))
        demo.send_signal(number)
        assert exit_code(demo) == 0
    assert demo.stdout
    assert demo.stdout.read() == "Stopped.\n"


def test_it_says_that_its_port_is_taken(demo: subprocess.Popen[str], port: int) -> None:
    again = subprocess.run(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert again.returncode == 1
    assert f"Port {port} is taken" in again.stderr
