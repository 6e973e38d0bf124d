"""The WebSocket routes, for sites that put together their own `URLRouter`."""

from __future__ import annotations

from typing import Any

from django.urls import path

from realtime.consumers import websocket

websocket_urlpatterns: list[Any] = [path("realtime/websocket", websocket)]  # type: ignore[arg-type]  # ASGI, not a view
