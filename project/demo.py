"""The demo: a database with people and rooms in it, and a server in front.

Promises: started again, it leaves what is there as it is. It never runs on a site that has DEBUG off, as its
passwords are known to everybody.
"""

import socket
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction

from realtime import rooms
from realtime.models import Room

PEOPLE: dict[str, dict[str, Any]] = {"alice": {}, "bob": {}, "admin": {"is_staff": True, "is_superuser": True}}

ROOMS = {
    "lobby": {"title": "Lobby", "kind": "chat", "join_access": "anyone", "act_access": "login"},
    "visits": {"title": "Visits", "kind": "counter", "join_access": "anyone", "act_access": "anyone"},
    "lunch": {"title": "Lunch", "kind": "poll", "join_access": "anyone", "act_access": "anyone"},
}

FIRST_WORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lobby": ("announcement", {"text": "Welcome to the lobby. What you write here is kept."}),
    "lunch": (
        "asked",
        {"question": "Where do we eat today?", "choices": ["Noodles", "Salad", "Whatever is left"]},
    ),
}


def prepare() -> None:
    """Bring the database up to date and put in what is missing."""
    call_command("migrate", verbosity=0, interactive=False)
    for name, rights in PEOPLE.items():
        add_person(name, rights)
    for slug, columns in ROOMS.items():
        add_room(slug, columns)


def add_person(name: str, rights: dict[str, Any]) -> None:
    """A login whose password is its name, unless the name is taken."""
    users = get_user_model()._default_manager
    if not users.filter(username=name).exists():
        users.create_user(name, password=name, **rights)


def add_room(slug: str, columns: dict[str, str]) -> None:
    """A room with its first words, unless there is one; what an admin has changed since stays."""
    with transaction.atomic():
        _, is_new = Room.objects.get_or_create(slug=slug, defaults=columns)
        if is_new and slug in FIRST_WORDS:
            rooms.publish(slug, *FIRST_WORDS[slug])


def serve(port: int, ready: Callable[[], None]) -> None:
    """Serve the site with daphne on this machine only, until Ctrl-C or SIGTERM."""
    from daphne.server import Server, reactor  # importing it installs Twisted's reactor

    from project.asgi import application

    endpoint = f"tcp:port={port}:interface=127.0.0.1"
    reactor.callWhenRunning(ready)
    Server(application=application, endpoints=[endpoint], verbosity=0).run()


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True
