"""What the tests stand on holds: daemons end, ports differ, missing programs are named, forms are read as a browser would."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import suite
from tests.support import programs
from tests.support.daemon import Daemon, free_port
from tests.support.services import Postgres, Redis
from tests.support.visitor import Page, form_with

NOTHING = programs.Program("Nothing", ("no-such-program",), "nothing")


def daemon(tmp_path: Path, code: str, ready: Callable[[Path], bool]) -> Daemon:
    """A Python program as a daemon."""
    log = tmp_path / "log"
    return Daemon("it", [sys.executable, "-u", "-c", code], log_file=log, ready=lambda: ready(log))


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Daemon]:
    """A program that does not listen to SIGTERM."""
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here'); signal.pause()"
    it = daemon(tmp_path, code, lambda log: "here" in log.read_text())
    yield it
    it.kill()


def test_a_daemon_that_does_not_listen_is_killed(stubborn: Daemon) -> None:
    stubborn.start()
    stubborn.stop(within=0.1)
    assert not stubborn.running


def test_a_daemon_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    it = daemon(tmp_path, "raise SystemExit('out of luck')", lambda log: False)
    with pytest.raises(RuntimeError) as failure:
        it.start()
    assert "out of luck" in "".join(failure.value.__notes__)


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)


@pytest.fixture(params=["Redis", "PostgreSQL"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Redis | Postgres]:
    service = Redis(tmp_path) if request.param == "Redis" else Postgres()
    yield service
    service.stop() if isinstance(service, Redis) else service.destroy()


def test_a_service_comes_back_after_a_crash(service: Redis | Postgres) -> None:
    service.start()
    service.crash()
    service.start()
    assert service.daemon.running


def test_without_a_program_its_tests_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REALTIME_REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Nothing is not installed: apt-get install nothing"):
        programs.need(NOTHING)


def test_where_everything_is_required_a_missing_program_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install nothing"):
        programs.need(NOTHING)


def test_the_end_of_a_run_says_what_was_left_out() -> None:
    reasons = [programs.REDIS.absence, f"Skipped: {programs.REDIS.absence}", "for another reason"]
    lines = ["Redis is not installed: apt-get install redis-server (tests left out: 2)"]
    assert programs.left_out(reasons) == lines


def test_a_form_is_sent_as_a_browser_would_send_it() -> None:
    page = Page(
        200,
        "http://example.com/",
        """<form action="/search"><input name="q"></form>
        <form><input name="title" value="Tea &amp; cake"><input type="checkbox" name="closed">
        <input type="checkbox" name="open" value="yes" checked><input type="submit" name="_save" value="Save">
        <select name="kind"><option value="">-</option><option value="chat" selected>Chat</option></select>
        <select name="role"><option value="member">Member</option><option value="staff">Staff</option></select>
        <textarea name="text">
one</textarea></form>""",
    )
    assert form_with({"title", "kind"}, page).fields == [
        ("title", "Tea & cake"),
        ("open", "yes"),
        ("kind", "chat"),
        ("role", "member"),
        ("text", "one"),
    ]


AT_FIRST = """
from pathlib import Path

def test_sound():
    pass

def test_shaky():
    tried = Path("tried")
    first = not tried.exists()
    tried.touch()
    assert not first
"""
BROKEN = "def test_broken():\n    assert False\n"


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        (AT_FIRST, 0, "  it: test_it.py::test_shaky: passed by itself"),
        (BROKEN, 1, "  it: test_it.py::test_broken: failed"),
        (BROKEN + AT_FIRST, 1, "  it: test_it.py::test_broken: failed"),
        ("import nothing_like_it\n", 2, ""),
        ("".join(BROKEN.replace("broken", f"broken_{number}") for number in range(suite.FEW + 1)), 1, "failed"),
    ],
    ids=["shaky", "broken", "both", "unreadable", "many"],
)
def test_what_fails_beside_others_is_tried_once_more_and_named(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    exit_code: int,
    said: str,
) -> None:
    (tmp_path / "test_it.py").write_text(code)
    (tmp_path / "pytest.ini").touch()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert bool(suite.main([suite.Pass("it", ("test_it.py",))], tmp_path)) == bool(exit_code)
    assert said in capfd.readouterr().out
