"""The whole WebSocket branch of a site's ASGI application, so that nobody forgets a part.

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
import realtime.asgi

application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": realtime.asgi.websocket()})
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from realtime import auth, credentials, metrics
from realtime.routing import websocket_urlpatterns
from realtime.servers import daphne

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def websocket(*routes: Any) -> Application:
    """Return an application that looks at the origin and routes. `routes` are a site's own, tried first."""
    nowhere: Any = re_path(r"", _refuse)  # type: ignore[arg-type]  # ASGI, not a view
    router: Any = URLRouter([*routes, *websocket_urlpatterns, nowhere])

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if "scheme" not in scope:
            scope = {**scope, "scheme": daphne.scheme(send)}
        if not _may_come(scope):
            metrics.turned_away.add(value="origin")
            await _refuse(scope, receive, send)
            return
        await router(scope, receive, send)

    return application


def _may_come(scope: dict[str, Any]) -> bool:
    """Compare the origin, which protects cookies; who shows a token instead may come from any page."""
    shows_token = credentials.of_scope(scope).token is not None
    return auth.this_host(scope) if shows_token else auth.same_site(scope)


async def _refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer the handshake with HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})
