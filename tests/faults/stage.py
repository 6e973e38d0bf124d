"""The stage of a story: a site, its server processes, and people with sessions who make up a crowd.

Starting a process takes longer than most faults, so that servers with the usual settings are kept for the next story.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Self

from tests.support import servers as all_servers
from tests.support.console import WAKE
from tests.support.crowd import Crowd
from tests.support.regular import Regular
from tests.support.servers import Program, Server
from tests.support.services import Postgres
from tests.support.sites import Backend, Site

notes: list[str] = []
"""What was measured on all stages."""

_numbers = itertools.count(1)

# Short leases and pings, so that nobody has to wait for the defaults; no limit on how much a crowd says.
DEFAULTS: dict[str, Any] = {
    "COMMANDS_PER_SECOND": 0, "PERSON_COMMANDS_PER_SECOND": 0, "EPHEMERAL_PER_SECOND": 0, "LEASE_SECONDS": 6,
    "SWEEP_SECONDS": 2,
}  # fmt: skip

COME = """
import secrets
from datetime import timedelta
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

def session(values):
    expires = timezone.now() + timedelta(days=14)
    return Session(session_key=secrets.token_hex(16), session_data=SessionStore().encode(values), expire_date=expires)

def login(user):
    return session({
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    })

users = User.objects.bulk_create(User(username=name, password="!") for name in names)
marks = [secrets.token_hex(4) for _ in range(guests)]
sessions = Session.objects.bulk_create(
    [login(user) for user in users] + [session({"realtime_guest": mark}) for mark in marks]
)
ids = [f"user:{user.pk}" for user in users] + [f"guest:{mark}" for mark in marks]
result = [[id, one.session_key] for id, one in zip(ids, sessions)]
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A way to serve a site. `pings` make a server find out soon about a line that is dead."""

    name: str
    program: Program
    options: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


DAPHNE = Serving("daphne", "daphne", ("--ping-interval", "3", "--ping-timeout", "7"))
UVICORN = Serving("uvicorn", "uvicorn", ("--ws-ping-interval", "3", "--ws-ping-timeout", "7"))
LANE = Serving("uvicorn-lane", "uvicorn-lane", UVICORN.options)
SERVINGS = (DAPHNE, LANE, UVICORN)


def patient(serving: Serving) -> Serving:
    """The same with the pings that it has by default."""
    return Serving(serving.name, serving.program, serving.options[4:])


class Stage:
    """`forgiven` is a pattern of what servers may log in this story."""

    def __init__(self, site: Site, servers: list[Server], dice: Random, seconds: float) -> None:
        self.site = site
        self.servers = servers
        self.dice = dice
        self.seconds = seconds
        self.forgiven = ""
        self._logged = {server: len(server.log) for server in servers}
        site.console.run(WAKE)

    @cached_property
    def slugs(self) -> list[str]:
        """The story's own rooms: three chats and a counter."""
        return [*self.chats(3), f"counter-{self.new_room('counter')}"]

    def chats(self, count: int) -> list[str]:
        return [f"chat-{self.new_room('chat')}" for _ in range(count)]

    def new_room(self, kind: str) -> int:
        number = next(_numbers)
        slug = f"{kind}-{number}"
        code = "Room.objects.create(slug=slug, title=slug, kind=kind, join_access='anyone', act_access='anyone')"
        self.site.console.run(code, slug=slug, kind=kind)
        return number

    def people(self, count: int) -> list[tuple[str, str]]:
        """Make people with a session, every fourth a guest; return their ids and Cookie headers."""
        guests = count // 4
        names = [f"person-{next(_numbers)}" for _ in range(count - guests)]
        found = self.site.console.run(COME, names=names, guests=guests)
        return [(person, f"sessionid={key}") for person, key in found]

    def crowd(
        self,
        count: int = 24,
        *,
        slugs: Sequence[str] | None = None,
        addresses: Sequence[str] | None = None,
        rooms_each: int = 2,
        **options: Any,
    ) -> Crowd:
        """People who know all servers, each in some of the rooms."""
        slugs = slugs or self.slugs
        urls = addresses or [server.url for server in self.servers]
        return Crowd(
            [
                Regular(
                    person,
                    cookie,
                    urls,
                    self.dice.sample(slugs, min(rooms_each, len(slugs))),
                    Random(self.dice.getrandbits(32)),
                    **options,
                )
                for person, cookie in self.people(count)
            ],
            self.dice,
        )

    def tabs(self, crowd: Crowd) -> Crowd:
        """A second tab for each of a crowd, in the same rooms."""
        return Crowd([regular.second_tab(Random(self.dice.getrandbits(32))) for regular in crowd.regulars], self.dice)

    def note(self, measured: str) -> None:
        """Have something said at the end of the run."""
        notes.append(measured)

    def logged(self) -> str:
        """What its servers have written since it was set."""
        return "".join(server.log[self._logged[server] :] for server in self.servers)


class Troupe:
    """The sites by backend, and their servers by settings, until it is left."""

    def __init__(self, folder: Callable[[], Path], postgres: Callable[[], Postgres]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._exits = ExitStack()
        self._sites: dict[str, Site] = {}
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
        self._exits.close()

    def dismiss(self, keep: Sequence[Server] = ()) -> None:
        """End the servers, at once: how they leave is a story of its own."""
        for key, server in list(self._servers.items()):
            if server not in keep:
                server.kill()
                del self._servers[key]

    @property
    def usual(self) -> list[Server]:
        """The servers with nothing special about them."""
        return [server for key, server in self._servers.items() if json.loads(key)[3:] == [DEFAULTS, {}]]

    def site(self, backend: Backend) -> Site:
        if backend.name not in self._sites:
            self._sites[backend.name] = self._exits.enter_context(self.new_site(backend))
        return self._sites[backend.name]

    def new_site(self, backend: Backend, **env: str) -> Site:
        """A site for one story alone, to be entered."""
        return Site(backend, self._folder(), self._postgres, **env)

    async def serve(
        self, site: Site, servings: Sequence[Serving], settings: dict[str, Any], env: dict[str, str]
    ) -> list[Server]:
        """A running server of the site for each serving."""
        starts = [
            asyncio.to_thread(self._server, site, serving, place, settings, env)
            for place, serving in enumerate(servings)
        ]
        return list(await asyncio.gather(*starts))

    def _server(
        self, site: Site, serving: Serving, place: int, settings: dict[str, Any], env: dict[str, str]
    ) -> Server:
        wanted = json.dumps([site.folder.name, serving.name, place, settings, env], sort_keys=True)
        server = self._servers.get(wanted)
        if server is None:
            variables = {"TEST_SETTINGS": json.dumps({"REALTIME": settings}), **env}
            server = site.serve(serving.program, serving.options, **variables)
            all_servers.made.remove(server)  # its log is looked at here
            self._servers[wanted] = server
        elif not server.running:
            server.start()
        return server
