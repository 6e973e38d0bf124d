"""A site: the demo project over one database and one channel layer, with people and rooms, and any number of servers.

`EMBEDDED` is what a newcomer gets; the others are what scaling out uses. Every site has a database and a Redis to itself.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tests.support.certificates import Certificate
from tests.support.console import ROOT, Console
from tests.support.servers import Program, Server
from tests.support.services import Postgres, Redis
from tests.support.visitor import Visitor

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a site keeps its rooms and how its processes ring each other."""

    name: str
    postgres: bool
    layer: str | None  # the class of the channel layer; None: in memory

    def __str__(self) -> str:
        return self.name


EMBEDDED = Backend("sqlite+memory", postgres=False, layer=None)
PUBSUB = Backend("postgres+redis-pubsub", postgres=True, layer="channels_redis.pubsub.RedisPubSubChannelLayer")
CORE = Backend("postgres+redis-core", postgres=True, layer="channels_redis.core.RedisChannelLayer")

_PROGRAMS: dict[Backend, tuple[Program, ...]] = {
    EMBEDDED: ("daphne", "uvicorn", "uvicorn-lane"),
    PUBSUB: ("daphne-portable", "uvicorn-lane"),
    CORE: ("daphne", "uvicorn"),
}
HOSTINGS = {f"{backend}-{program}": (backend, program) for backend, each in _PROGRAMS.items() for program in each}
"""Every backend under both programs, and every lane of theirs, but not all of the one with all of the other."""


class Site:
    """Made ready by entering it; leaving it stops all of its processes. Its people are alice, bob and admin."""

    def __init__(self, backend: Backend, folder: Path, postgres: Callable[[], Postgres], **env: str) -> None:
        self.backend = backend
        self.folder = folder
        self.redis = Redis(folder / "redis") if backend.layer else None
        self.env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | self._services(postgres) | env
        self._exits = ExitStack()

    def _services(self, postgres: Callable[[], Postgres]) -> dict[str, str]:
        if self.backend.postgres:
            database = postgres().create(f"site{next(_numbers)}")
        else:
            database = f"sqlite:///{self.folder / 'site.sqlite3'}"
        services = {"DATABASE_URL": database, "REDIS_URL": self.redis.url if self.redis else ""}
        return services | {"TEST_CHANNEL_LAYER": self.backend.layer or ""}

    def __enter__(self) -> Self:
        with self._exits:
            if self.redis:
                self._exits.callback(self.redis.stop)
                self.redis.start()
            self.console.run("from project import demo; demo.prepare()", within=60)
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def manage(self, *arguments: str, within: float = 60) -> str:
        """Run a management command and return what it prints."""
        command = [sys.executable, "-m", "django", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=within, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    @cached_property
    def console(self) -> Console:
        """Another process of this site, to run code in: `console.run(code, **values)`."""
        console = Console(self.env)
        self._exits.callback(console.close)
        return console

    def serve(
        self,
        program: Program = "daphne",
        options: Sequence[str] = (),
        certificate: Certificate | None = None,
        **env: str,
    ) -> Server:
        """Start one more server on this site; `stop` it when done, or leave that to the site."""
        env = self.env | env
        server = Server(program, env=env, folder=self.folder, cwd=ROOT, options=options, certificate=certificate)
        self._exits.callback(server.stop)
        server.start()
        return server

    def room(self, kind: str = "chat", **fields: Any) -> str:
        """Make a room that nobody else uses, open to anyone unless said otherwise, and return its slug."""
        slug = f"room-{next(_numbers)}"
        fields = (
            {"title": slug, "join_access": "anyone", "act_access": "anyone"} | fields | {"slug": slug, "kind": kind}
        )
        self.console.run("Room.objects.create(**fields)", fields=fields)
        return slug

    def rooms(self, count: int) -> list[str]:
        """Make this many chats, open to anyone, and return their slugs."""
        slugs = [f"room-{next(_numbers)}" for _ in range(count)]
        self.console.run(
            "Room.objects.bulk_create(Room(slug=slug, title=slug, kind='chat', **access) for slug in slugs)",
            slugs=slugs,
            access={"join_access": "anyone", "act_access": "anyone"},
        )
        return slugs

    def cookie(self, server: Server, name: str) -> str:
        """Log a person in by the login page and return the Cookie header."""
        return Visitor(server.url).login(name).cookie
