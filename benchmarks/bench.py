"""What every question works with: how much to measure, a subject that runs, and repetitions that take turns."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import machine
from benchmarks.services import Services
from benchmarks.subjects import Subject
from tests.support.daemon import HOST, Daemon, free_port

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")

_ORDER_SECONDS = 900
_QUICK_PEOPLE, _QUICK_ROOMS = 100, 20  # the same everywhere, so that one site does for all
_COOKIES = "cookies.json"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. `scale` divides the number of clients of every question."""

    repetitions: int
    warm_up: float
    seconds: float
    scale: int
    quick: bool

    def clients(self, count: int) -> int:
        return max(4, count // self.scale)


FULL = Sizes(repetitions=5, warm_up=0.7, seconds=2.0, scale=1, quick=False)
QUICK = Sizes(repetitions=1, warm_up=0.05, seconds=0.2, scale=50, quick=True)


class Load:
    """The near end of the load generator."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            machine.on_core(machine.LOAD_CORE, [sys.executable, "-m", "benchmarks.load"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        readable, _, _ = select.select([self._process.stdout], [], [], _ORDER_SECONDS)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            raise RuntimeError(f"The load generator did not answer to {do}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


class Running:
    """A subject that runs, in one process or more, with its site made ready."""

    def __init__(self, subject: Subject, load: Load, env: dict[str, str], folder: Path, services: Services) -> None:
        self.subject = subject
        self.load = load
        self.env = env
        self.cookies = str(folder / _COOKIES) if subject.has_sessions else ""
        self._folder = folder
        self._services = services
        self.servers: list[Daemon] = []
        self.ports: list[int] = []

    @property
    def processes(self) -> dict[str, list[int]]:
        """The processes by what they are, of which `server` is the subject's own."""
        return {"server": [server.pid for server in self.servers], **self._services.processes()}

    @property
    def hosts(self) -> list[str]:
        return [f"{HOST}:{port}" for port in self.ports]

    def start(self, port: int | None = None) -> None:
        """Start one more process."""
        port = port or free_port()
        command = machine.on_core(machine.SERVER_CORE, self.subject.argv(port))
        name = f"{self.subject.name} on port {port}"
        server = Daemon(
            name,
            command,
            log_file=self._folder / f"server-{port}.log",
            ready=lambda: _listens(port),
            env=self.env,
            cwd=ROOT,
        )
        server.start()
        self.servers.append(server)
        self.ports.append(port)

    def stop(self) -> list[int]:
        """Stop every process, and return the ports they had."""
        for server in self.servers:
            server.stop()
        ports, self.servers, self.ports = self.ports, [], []
        return ports

    def begin(self) -> None:
        self.load.order("begin", dialect=self.subject.dialect, urls=[f"ws://{host}" for host in self.hosts])

    def join(self, count: int, rooms: Sequence[str] = ("r0",), at_once: int = 50, **more: Any) -> dict[str, Any]:
        """Open so many clients, spread over the rooms. Every one of them must get in."""
        wanted = {"count": count, "at_once": at_once, "cookies": self.cookies, "processes": self.processes}
        joined = self.load.order("open", rooms=list(rooms), **wanted, **more)
        if joined["failures"]:
            log = self.servers[0].log[-2000:]
            raise RuntimeError(
                f"{self.subject.name}: {len(joined['failures'])} did not get in: {joined['failures'][0]}\n{log}"
            )
        return joined

    def measure(self, name: str, in_flight: int, sizes: Sizes, **more: Any) -> dict[str, Any]:
        return self.load.order(
            "measure",
            name=name,
            in_flight=in_flight,
            warm_up=sizes.warm_up,
            seconds=sizes.seconds,
            processes=self.processes,
            **more,
        )

    def django(self, module: str, *arguments: str) -> str:
        """Run a module of the benchmarks as another process of the site, and return what it prints."""
        return _python(module, arguments, self.env)


class Bench:
    """`said` gathers the commands of the programs that were measured; `absent`, what could not be and why."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes = sizes
        self.said: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self._folder = folder
        self._exits = ExitStack()
        self._sites = 0
        self._prepared: dict[tuple[str, int, int], Path] = {}

    def __enter__(self) -> Bench:
        self.services = self._exits.enter_context(Services(self._folder))
        self.load = Load()
        self._exits.callback(self.load.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def present(self, *subjects: Subject) -> list[Subject]:
        """Return those that can be measured here, and note the others."""
        self.absent |= {subject.name: subject.absence for subject in subjects if subject.absence}
        return [subject for subject in subjects if not subject.absence]

    def in_turn(self, subjects: Sequence[Subject], measure: Callable[[Subject], T]) -> dict[str, list[T]]:
        """Measure every subject, then every one again: what disturbs the machine for a while does not hit one alone."""
        found: dict[str, list[T]] = {subject.name: [] for subject in subjects}
        for repetition in range(self.sizes.repetitions):
            for subject in subjects:
                say(f"  {repetition + 1}/{self.sizes.repetitions} {subject.name}")
                found[subject.name].append(measure(subject))
        return found

    @contextmanager
    def run(self, subject: Subject, *, people: int, rooms: int = 1, processes: int = 1) -> Iterator[Running]:
        """Start a subject, in so many processes, on a fresh site with at least so many people and rooms."""
        if self.sizes.quick:
            people, rooms = max(people, _QUICK_PEOPLE), max(rooms, _QUICK_ROOMS)
        self._sites += 1
        folder = self._folder / f"site{self._sites}"
        if subject.has_sessions and not subject.postgres:
            shutil.copytree(self._prepared_site(subject, people, rooms), folder)
        else:
            folder.mkdir()
        running = Running(subject, self.load, self._environment(subject, folder), folder, self.services)
        if subject.postgres:
            _prepare(running.env, folder, people, rooms)
        try:
            for _ in range(processes):
                running.start()
            self._say_how(running)
            running.begin()
            yield running
        finally:
            self.load.order("close")
            running.stop()

    def _prepared_site(self, subject: Subject, people: int, rooms: int) -> Path:
        """Make a site on SQLite once, to be copied for every repetition."""
        wanted = (subject.settings, people, rooms)
        if wanted not in self._prepared:
            folder = self._prepared[wanted] = self._folder / f"prepared{len(self._prepared)}"
            folder.mkdir()
            _prepare(self._environment(subject, folder), folder, people, rooms)
        return self._prepared[wanted]

    def _environment(self, subject: Subject, folder: Path) -> dict[str, str]:
        env = {**os.environ, "PYTHONHASHSEED": "0", "NODE_ENV": "production", "RACK_ENV": "production"}
        env.pop("REDIS_URL", None)
        if subject.settings:
            env["DJANGO_SETTINGS_MODULE"] = subject.settings
            env["DATABASE_URL"] = (
                self.services.postgres_database() if subject.postgres else f"sqlite:///{folder / 'site.sqlite3'}"
            )
        if subject.layer:
            env |= {"REDIS_URL": self.services.redis.url, "CHANNEL_LAYER": subject.layer}
        return env

    def _say_how(self, running: Running) -> None:
        subject = running.subject
        command = machine.on_core(machine.SERVER_CORE, subject.argv(8000))
        words = shlex.join(command).replace(sys.executable, "python").replace(f"{ROOT}/", "")
        layer = f"CHANNEL_LAYER={subject.layer} " if subject.layer else ""
        settings = f"DJANGO_SETTINGS_MODULE={subject.settings} " if subject.settings else ""
        self.said[subject.name] = f"{settings}{layer}{words}"


def say(line: str) -> None:
    """Tell whoever waits how far it is."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _prepare(env: dict[str, str], folder: Path, people: int, rooms: int) -> None:
    wanted = ["--people", str(people), "--rooms", str(rooms), "--cookies", str(folder / _COOKIES)]
    _python("benchmarks.site.prepare", wanted, env)


def _python(module: str, arguments: Sequence[str], env: dict[str, str]) -> str:
    command = machine.on_core(machine.SERVER_CORE, [sys.executable, "-m", module, *arguments])
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
