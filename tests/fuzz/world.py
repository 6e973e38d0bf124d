"""A site of one process, for stories that a machine makes up: a database in memory, one thread, a clock that only stories move.

The node, the hub, the policy, the kinds and the statements are the real ones. After each story everything is as it was before, so
a story that fails once fails always.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Self
from unittest import mock

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import DataError, connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import override_settings

from project import demo
from realtime import api, apikeys, credentials, rooms
from realtime import node as nodes
from realtime.allowances import Allowances
from realtime.connection import Connection
from realtime.errors import TooManyConnections
from realtime.models import Membership, Presence, Room, Ticket
from tests.properties.held import HeldBatcher
from tests.properties.machines import Complaints
from tests.support.fakes import FakeLane
from tests.support.wsclient import Frame

HOST = "site.example"
PEOPLE = ("alice", "bob", "admin")
SESSIONS = {name: (name * 32)[:32] for name in PEOPLE}
"""Everybody's session key, so that an input can hold it."""

TICKET = credentials.TICKET + "a" * 43
KEY = credentials.KEY + "a" * 43
SHARED, OWN = "lobby", "den"
"""A room of the demo's, where alice and bob are people like others; and one that alice moderates."""

_MOST_TURNS = 2000
_BETWEEN_STORIES = 10_000.0


class World:
    """Enter it once, and `begin` before each story. `node` is the process."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.node: nodes.Node
        self.complaints = Complaints()
        self._loop = asyncio.new_event_loop()
        self._exits = ExitStack()
        self._photo = sqlite3.connect(":memory:")
        self._clients: list[Client] = []

    def __enter__(self) -> Self:
        with self._exits:
            self._exits.enter_context(_database_in_memory())
            self._exits.enter_context(override_settings(ALLOWED_HOSTS=[HOST], DEBUG=False))
            self._exits.enter_context(mock.patch.object(nodes, "Batcher", HeldBatcher))
            self._exits.enter_context(mock.patch.object(nodes, "current", self._current))
            self._exits.enter_context(mock.patch("time.monotonic", self._clock))
            self._exits.enter_context(_heard("realtime", self.complaints))
            self._exits.enter_context(_heard("django", self.complaints))
            self._exits.enter_context(_heard("django.security", logging.NullHandler()))  # foreign hosts, forged forms
            _furnish()
            connections["default"].connection.backup(self._photo)
            self._loop.set_exception_handler(lambda _, context: self.complaints.said.append(str(context)))
            self._exits.callback(self._loop.close)
            self._exits = self._exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    # A story

    def begin(self) -> None:
        """Put everything back."""
        self._photo.backup(connections["default"].connection)
        self.now += _BETWEEN_STORIES
        self.complaints.said.clear()
        api._allowances = Allowances()
        self.node = self.run(self._started())
        self.run(self.node._renew_lease(), wait=False)
        self.settle()

    def end(self) -> None:
        """Let everybody go, and see that nothing of them is left."""
        for client in self._clients:
            self.call(client.go)
        self._clients.clear()
        self.settle()
        self.run(self.node.hub.stop())
        assert not self.node.connections
        assert not self.node.hub.rooms, "rooms are held for nobody"
        assert not Presence.objects.exists()

    def connect(self, name: str = "") -> "Client | None":
        """Open somebody's line, a guest's without a name; None where they have too many."""
        session = SESSIONS.get(name)
        shown = credentials.Credentials(cookies=f"sessionid={session}" if session else "")
        identified = self.run(_awaited(lambda: self.node.identify(shown)), wait=False)
        self.settle()
        try:
            client = self.call(lambda: Client(self, identified.result()))
        except TooManyConnections:
            return None
        self._clients.append(client)
        return client

    def wait(self, seconds: float) -> None:
        """Let time pass, with what a process does now and then."""
        self.now += seconds
        self.settle()
        self.run(self.node._watch(), wait=False)
        self.run(self.node.hub.reconcile(), wait=False)
        self.run(self.node.looks.at_all(), wait=False)
        self.settle()

    # The event loop

    def run(self, work: Coroutine[Any, Any, Any], *, wait: bool = True) -> Any:
        """Do something on the loop, and return what comes of it; or only begin it."""
        task = self._loop.create_task(work)
        return self._loop.run_until_complete(task) if wait else task

    def call(self, what: Callable[[], Any]) -> Any:
        """Do something of a moment on the loop."""
        return self.run(_called(what))

    def settle(self) -> None:
        """Let everything happen that can."""
        self.turn()
        while any(batcher.busy for batcher in self._batchers()):
            self.work()

    def work(self) -> None:
        """Let the database do what waits for it now."""
        for batcher in self._batchers():
            batcher.finish()
        self.turn()

    def turn(self) -> None:
        """Let the loop turn until it has nothing to do, and be content with what was logged."""
        self._loop.run_until_complete(self._turn())
        for client in self._clients:
            client.is_served()
        assert not self.complaints.said, "; ".join(self.complaints.said)

    async def _turn(self) -> None:
        ready: Any = self._loop._ready  # type: ignore[attr-defined]  # asyncio has no other way to say that it is idle
        await asyncio.sleep(0)
        for _ in range(_MOST_TURNS):
            await asyncio.sleep(0)
            if not ready:
                return
        raise AssertionError("the event loop never comes to rest")

    def _clock(self) -> float:
        return self.now

    async def _started(self) -> nodes.Node:
        node = nodes.Node()
        node.hub.start()
        return node

    async def _current(self) -> nodes.Node:
        return self.node

    def _batchers(self) -> list[HeldBatcher[Any, Any]]:
        return [value for value in vars(self.node).values() if isinstance(value, HeldBatcher)]


class Client:
    """One line, as the consumer serves it: the next frame is taken when the last one is done with. None is a binary frame."""

    def __init__(self, world: World, person: Any) -> None:
        self.lane = FakeLane()
        self.connection = Connection(world.node, person, self.lane)
        self.here = True
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    @property
    def heard(self) -> list[Frame]:
        return self.lane.frames

    def send(self, frame: str | bytes | None) -> None:
        """From outside of the loop. Whoever is closed on is heard no more."""
        if self.here and self.lane.closed is None:
            self._inbox.put_nowait(frame)

    def pause(self) -> None:
        self.lane.paused = True
        self.connection.held_up()

    def resume(self) -> None:
        self.lane.paused = False
        if self.lane.closed is None:
            self.connection.resumed()

    def go(self) -> None:
        """The transport is gone, in the middle of whatever."""
        if self.here:
            self.here = False
            self._serving.cancel()
            self.connection.closed()

    def is_served(self) -> None:
        """Fail where something raised out of the connection."""
        if self._serving.done() and not self._serving.cancelled():
            self._serving.result()

    async def _serve(self) -> None:
        while True:
            frame = await self._inbox.get()
            if frame is None:
                self.connection.refuse_binary()
            else:
                await self.connection.receive(frame)


async def _called(call: Callable[[], Any]) -> Any:
    return call()


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


@contextmanager
def _heard(name: str, handler: logging.Handler) -> Iterator[None]:
    """Have a handler hear of errors, and nobody else of anything."""
    logger = logging.getLogger(name)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    yield
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate


@contextmanager
def _database_in_memory() -> Iterator[None]:
    """Put a database in memory in the place of the site's own, for this thread."""
    own = connections["default"]
    options = {"transaction_mode": "IMMEDIATE"}
    changes = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": options}
    connections["default"] = DatabaseWrapper({**own.settings_dict, **changes}, "default")
    try:
        with connections["default"].execute_wrapper(_as_strict_as_postgresql):
            yield
    finally:
        connections["default"] = own


def _as_strict_as_postgresql(execute: Callable[..., Any], sql: str, values: Any, many: bool, context: Any) -> Any:
    """Take no text with the character NUL."""
    for row in values or () if many else (values or (),):
        if any(isinstance(value, str) and "\0" in value for value in row):
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return execute(sql, values, many, context)


def _furnish() -> None:
    """The demo's people and rooms, with a past, and with sessions, a ticket and a key whose secrets are known."""
    demo.prepare()
    users = get_user_model()._default_manager
    alice = users.get(username="alice")
    far = datetime(2999, 1, 1, tzinfo=UTC)
    for name, session_key in SESSIONS.items():
        user = users.get(username=name)
        held = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        data = SessionStore().encode(held)
        Session.objects.create(session_key=session_key, session_data=data, expire_date=far)
    own = Room.objects.create(slug=OWN, title="Den", kind="chat", join_access="members", act_access="members")
    Membership.objects.create(room=own, user=alice, role="moderator")
    for slug in (SHARED, OWN):
        for number in range(5):
            rooms.publish(slug, "message", {"text": f"number {number}"}, actor=alice)
    with mock.patch.object(credentials, "new", lambda prefix: prefix + "a" * 43):
        apikeys.make("backend", alice, rooms=Room.objects.all(), commands=["message", "add", "room_remove"])
    digest = credentials.digest(TICKET)
    Ticket.objects.create(digest=digest, user=alice, session_key=SESSIONS["alice"], expires_at=far)
