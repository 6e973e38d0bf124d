"""`path("realtime/", include("realtime.urls"))`"""

from __future__ import annotations

from django.urls import path

from realtime import api, views

app_name = "realtime"

urlpatterns = [
    path("health", views.health, name="health"),
    path("metrics", views.metrics, name="metrics"),
    path("ticket", api.ticket, name="ticket"),
    path("rooms/<slug:slug>/<slug:name>", api.command, name="command"),
]
