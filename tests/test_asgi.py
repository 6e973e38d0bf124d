"""Which pages reach which routes: the site's own only the site's pages, and ours those too that show a token."""

import gc
from typing import Any

import pytest
from channels.routing import URLRouter
from django.urls import path
from pytest_django import Settings

from realtime import credentials, metrics
from realtime.asgi import websocket
from realtime.routing import websocket_urlpatterns

SITE, ELSEWHERE = "https://example.com", "https://evil.com"
TOKENS = {
    "subprotocols": {"subprotocols": ["phoenix", "base64url.bearer.phx.eA"]},
    "a header": {"authorization": f"Bearer {credentials.new(credentials.TICKET)}"},
}


@pytest.fixture(autouse=True)
def _host(settings: Settings) -> None:
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["example.com"]


async def greet(scope: Any, receive: Any, send: Any) -> None:
    """A site's own consumer."""
    await receive()
    await send({"type": "websocket.accept"})


SITES_OWN = websocket(path("greet", greet))  # type: ignore[arg-type]  # ASGI, not a view


async def knock(application: Any, at: str, origin: str | None, **shown: Any) -> str:
    """Return how a handshake is answered."""
    fields = {"host": "example.com", "cookie": "sessionid=x", "authorization": shown.get("authorization", "")}
    fields |= {} if origin is None else {"origin": origin}
    scope = {
        "type": "websocket",
        "path": at,
        "scheme": "wss",
        "query_string": b"vsn=nonsense",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "subprotocols": shown.get("subprotocols", []),
    }
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"].removeprefix("websocket."))

    await application(scope, receive, send)
    return sent[0]


def turned_away(cause: str) -> int:
    return int(metrics.turned_away.values.get(cause, 0))


@pytest.mark.parametrize("origin", [SITE, None])
async def test_the_sites_pages_and_programs_reach_its_routes(origin: str | None) -> None:
    assert await knock(SITES_OWN, "/greet", origin) == "accept"


@pytest.mark.parametrize("shown", [{}, *TOKENS.values()], ids=["nothing", *TOKENS])
async def test_a_page_from_elsewhere_does_not_reach_the_sites_routes_whatever_it_shows(shown: dict[str, Any]) -> None:
    before = turned_away("origin")
    assert await knock(SITES_OWN, "/greet", ELSEWHERE, **shown) == "close"
    assert turned_away("origin") == before + 1


@pytest.mark.parametrize("routed", [SITES_OWN, websocket(), URLRouter(websocket_urlpatterns)])
async def test_our_route_looks_at_the_origin_however_it_is_mounted(routed: Any) -> None:
    """The version is looked at next: one that is wrong tells who got so far."""
    before = turned_away("origin"), turned_away("version")
    assert await knock(routed, "/realtime/websocket", ELSEWHERE) == "close"
    assert (turned_away("origin"), turned_away("version")) == (before[0] + 1, before[1])
    for shown in TOKENS.values():
        await knock(routed, "/realtime/websocket", ELSEWHERE, **shown)
    await knock(routed, "/realtime/websocket", SITE)
    assert (turned_away("origin"), turned_away("version")) == (before[0] + 1, before[1] + 3)


async def test_a_foreign_host_is_refused_even_with_a_token(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["other.example"]
    before = turned_away("origin")
    for shown in TOKENS.values():
        await knock(websocket(), "/realtime/websocket", SITE, **shown)
    assert turned_away("origin") == before + 2


@pytest.mark.parametrize("origin", [SITE, ELSEWHERE, None])
async def test_what_does_not_exist_is_refused(origin: str | None) -> None:
    for application in (SITES_OWN, websocket()):
        assert await knock(application, "/elsewhere", origin) == "close"


def test_the_collector_looks_past_what_is_loaded() -> None:
    gc.unfreeze()
    websocket()
    assert gc.get_freeze_count() > 10_000
