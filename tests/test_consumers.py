"""Who is let in at all, before it is asked who they are."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from realtime import consumers, metrics, node
from realtime.errors import BadCredentials
from realtime.limits import Tally, Turnstile
from tests.support.waiting import eventually

SECONDS = 5.0


def home(**tallies: int) -> Any:
    """A node with so many places of each kind."""
    most = {"sockets": 9, "addresses": 9, "told": 9} | tallies
    return SimpleNamespace(turnstile=Turnstile(0, 1, 0), **{name: Tally(count) for name, count in most.items()})


class Visit:
    """A handshake from some address, and how it is answered. Who is let in stays until `leave`."""

    def __init__(self, address: str = "10.0.0.1") -> None:
        self.sent: list[dict[str, Any]] = []
        self._left = asyncio.Event()
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/",
            "client": (address, 1),
            "query_string": b"vsn=2.0.0",
            "headers": [(b"host", b"example.com")],
            "subprotocols": [],
        }
        self.served = asyncio.create_task(consumers.websocket(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message.get("text"):
            await self._left.wait()

    async def answered(self) -> list[str]:
        await asyncio.wait([self.served], timeout=SECONDS)
        return [message["type"].removeprefix("websocket.") for message in self.sent]

    async def leave(self) -> list[str]:
        self._left.set()
        return await self.answered()


@pytest.fixture(autouse=True)
def _host(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["example.com"]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where everybody goes to."""

    def set_up(place: Any) -> Any:
        async def current() -> Any:
            return place

        monkeypatch.setattr(node, "current", current)
        return place

    return set_up


def turned_away(cause: str) -> int:
    return int(metrics.turned_away.values.get(cause, 0))


def refused(code: str) -> int:
    return int(metrics.refusals.values.get(code, 0))


async def test_where_all_places_are_taken_nobody_is_let_in_and_nothing_stays_open(at: Any) -> None:
    place = at(home(sockets=1))
    before = turned_away("full")
    place.sockets.enter("all")
    assert await Visit().answered() == ["close"]
    assert turned_away("full") == before + 1
    place.sockets.leave("all")
    place.addresses = Tally(1)
    place.addresses.enter("10.0.0.1")
    assert await Visit().leave() == ["accept", "send", "close"]
    assert len(place.sockets) == 0


async def test_an_address_with_too_many_is_told_so_but_only_some_of_it_at_a_time(at: Any) -> None:
    place = at(home(addresses=1, told=1))
    place.addresses.enter("10.0.0.1")
    first = Visit()
    await eventually(lambda: len(first.sent) == 2, SECONDS, "it is being told")
    assert await Visit().answered() == ["close"]
    assert await first.leave() == ["accept", "send", "close"]
    assert first.sent[-1]["code"] == 4003
    assert await Visit().leave() == ["accept", "send", "close"]
    assert len(place.told) == len(place.sockets) == 0


async def test_who_comes_too_soon_waits_before_it_is_asked_who_they_are_and_leaves_its_place(
    at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    async def identify(shown: object) -> Any:
        assert waited == [1.5]
        raise BadCredentials

    monkeypatch.setattr(consumers.asyncio, "sleep", no_sleep)
    place = at(home())
    before = refused("bad_credentials"), refused("too_many_connections")
    place.turnstile = SimpleNamespace(enter=lambda address, now: (1.5, True))
    place.changes, place.identify = SimpleNamespace(count=0), identify
    assert await Visit().answered() == ["close"]
    assert len(place.addresses) == len(place.sockets) == 0
    place.turnstile = SimpleNamespace(enter=lambda address, now: (4.0, False))
    assert await Visit().leave() == ["accept", "send", "close"]
    assert waited == [1.5, 4.0]
    assert len(place.addresses) == 0
    assert (refused("bad_credentials"), refused("too_many_connections")) == (before[0] + 1, before[1] + 1)
