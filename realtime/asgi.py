"""The whole WebSocket branch of a site's ASGI application, so that nobody forgets a part.

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
import realtime.asgi

application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": realtime.asgi.websocket()})
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from realtime import auth, metrics
from realtime.routing import websocket_urlpatterns
from realtime.servers import daphne

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def websocket(*routes: Any) -> Application:
    """Return an application that routes. `routes` are a site's own, tried first, and for pages of the site only.

    A token opens our own route to pages from elsewhere (`realtime.consumers`). A site's routes know of no tokens, and any page
    can show one that is made up: there it opens nothing.

    What is loaded by now is there to stay, so the garbage collector is told to look past it (`gc.freeze`): a full
    collection, which stops everything, has thousands of connections to look through already.
    """
    gc.freeze()
    if "daphne.server" in sys.modules:
        from realtime.servers import daphne_requests  # which is large, and nothing to other servers

        daphne_requests.bound_when_running()
    everything: Any = URLRouter([*routes, *websocket_urlpatterns, _anywhere(_refuse)])
    ours: Any = URLRouter([*websocket_urlpatterns, _anywhere(_refuse_page)])

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if "scheme" not in scope:
            scope = {**scope, "scheme": daphne.scheme(send)}
        router = everything if not routes or auth.same_site(scope) else ours
        await router(scope, receive, send)

    return application


def _anywhere(application: Application) -> Any:
    return re_path(r"", application)  # type: ignore[arg-type]  # ASGI, not a view


async def _refuse_page(scope: dict[str, Any], receive: Any, send: Any) -> None:
    metrics.turned_away.add(value="origin")
    await _refuse(scope, receive, send)


async def _refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer the handshake with HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})
