"""Two views that differ by one line."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from realtime import rooms


@transaction.atomic
def plain(request: HttpRequest) -> HttpResponse:
    _save_something(request)
    return HttpResponse("saved")


@transaction.atomic
def publishing(request: HttpRequest) -> HttpResponse:
    _save_something(request)
    rooms.publish("r0", "message", {"text": "x" * 100}, actor=request.user)
    return HttpResponse("saved")


def _save_something(request: HttpRequest) -> None:
    """A view that has something to publish has saved something."""
    request.user.first_name = "x"
    request.user.save(update_fields=["first_name"])
