"""Make the tables, the people, their sessions and the rooms: `python -m benchmarks.site.prepare`.

The environment names the settings, so that it prepares the peer's site, too. Writes the Cookie headers, a list in JSON.
Sessions are made here and not by the login page, which would be a benchmark of password hashing.
"""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path

import django


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--rooms", type=int, required=True)
    parser.add_argument("--cookies", type=Path, required=True)
    arguments = parser.parse_args()
    django.setup()
    _make_tables()
    arguments.cookies.write_text(json.dumps(_sessions(_people(arguments.people))))
    _make_rooms(arguments.rooms)


def _make_tables() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _people(count: int) -> list[object]:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password

    user_model = get_user_model()
    unusable = make_password(None)
    people = [user_model(username=f"person{number:06d}", password=unusable) for number in range(count)]
    return list(user_model.objects.bulk_create(people, batch_size=1000))


def _sessions(people: list[object]) -> list[str]:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.utils import timezone
    from django.utils.crypto import get_random_string

    store = SessionStore()
    until = timezone.now() + timedelta(days=1)
    rows = [
        Session(
            session_key=get_random_string(32, "abcdefghijklmnopqrstuvwxyz0123456789"),
            session_data=store.encode(
                {
                    SESSION_KEY: str(person.pk),
                    BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
                    HASH_SESSION_KEY: person.get_session_auth_hash(),
                }
            ),
            expire_date=until,
        )
        for person in people
    ]
    Session.objects.bulk_create(rows, batch_size=1000)
    return [f"{settings.SESSION_COOKIE_NAME}={row.session_key}" for row in rows]


def _make_rooms(count: int) -> None:
    """Make chats `r0`, `r1`... and the board `board`, for those who are logged in."""
    from django.apps import apps
    from django.conf import settings

    if not apps.is_installed("realtime"):
        return
    from realtime.models import Room

    rate = settings.ROOM_COMMANDS_PER_SECOND
    chats = [
        Room(slug=f"r{number}", title=f"Room {number}", kind="chat", commands_per_second=rate)
        for number in range(count)
    ]
    board = Room(slug="board", title="Board", kind="board", commands_per_second=rate)
    Room.objects.bulk_create([*chats, board], batch_size=1000)


if __name__ == "__main__":
    main()
