"""The pages of the demo site: the list of rooms, a room, and why a room stays shut."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static

from realtime import kinds, presence, rooms
from realtime.kinds import Refusal
from realtime.models import Room

NAMED = 3
STATUS = {"unknown_room": 404, "unavailable": 503, "overloaded": 503}


def home(request: HttpRequest) -> HttpResponse:
    """The rooms that this person may see, and who is in them."""
    visible = rooms.visible(request)
    counts = presence.counts(room.pk for room in visible)
    return render(request, "home.html", {"rooms": [entry(room, counts[room.pk]) for room in visible]})


def entry(room: Room, count: int) -> dict[str, Any]:
    """A room of the list, with a few names where there is somebody; an empty room costs no query."""
    people = presence.people(room.pk, limit=NAMED) if count else []
    return {"room": room, "kind": kind_title(room), "count": count, "people": people, "others": count - len(people)}


def kind_title(room: Room) -> str:
    return dict(kinds.choices()).get(room.kind, room.kind)


def room(request: HttpRequest, slug: str) -> HttpResponse:
    """A room, with what was said last already in the page."""
    try:
        snapshot = rooms.snapshot(slug, request, events=50)
    except Refusal as refusal:
        return refused(request, refusal)
    return render(request, "room.html", {"snapshot": snapshot})


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The way to the login where that helps, else the reason."""
    if refusal.code == "login_required" and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    status = STATUS.get(refusal.code, 403)
    return render(request, "refused.html", {"refusal": refusal, "status": status}, status=status)


def icon(request: HttpRequest) -> HttpResponse:
    """Where browsers look for the icon of pages that name none, as the admin's."""
    return redirect(static("site/icon.svg"))


class Login(LoginView):
    """Django's login; in development it also says who there is in the demo."""

    extra_context = {"demo": settings.DEBUG}
