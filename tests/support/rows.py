"""Rows for tests that use this process's own database, and calls in threads that leave no connection behind."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connections, transaction

from realtime.models import Event, Membership, Room

R = TypeVar("R")
_numbers = itertools.count(1)


def room(slug: str = "", kind: str = "chat", **fields: Any) -> Room:
    """A room, open to anyone unless said otherwise."""
    slug = slug or f"room-{next(_numbers)}"
    fields = {"title": slug.title(), "join_access": "anyone", "act_access": "anyone"} | fields
    return Room.objects.create(slug=slug, kind=kind, **fields)


def user(name: str = "", **fields: Any) -> User:
    """A person who can log in; the password is the name."""
    name = name or f"person-{next(_numbers)}"
    found: User = get_user_model().objects.create_user(username=name, password=name, **fields)
    return found


def member(room: Room, user: User, role: str = "member") -> Membership:
    return Membership.objects.create(room=room, user=user, role=role)


def events(room: Room) -> list[tuple[int, str, Any]]:
    """What stands in a room's log: (seq, name, data), in order."""
    return list(Event.objects.filter(room=room).order_by("seq").values_list("seq", "name", "data"))


def again(room: Room) -> Room:
    """The room as it is stored now."""
    return Room.objects.get(pk=room.pk)


def in_threads(count: int, work: Callable[[int], R]) -> list[R]:
    """Call `work(0)` to `work(count - 1)`, each in a thread of its own, and return what they return."""

    def call(number: int) -> R:
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=count) as threads:
        return list(threads.map(call, range(count), timeout=50))


def rolled_back(work: Callable[[], R]) -> R:
    """Do something in a transaction that does not come to a good end."""
    with transaction.atomic():
        done = work()
        transaction.set_rollback(True)
    return done
