"""What is asked at the door: who is it, is it still who it was, may they come in. Answered for many at a time, in few queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from realtime import auth, credentials, rooms, tickets
from realtime.auth import Person
from realtime.credentials import Credentials
from realtime.errors import BadCredentials

Question = Credentials | Person | tuple[str, Person]
"""Who is it that shows this? Is this person still who they were? May they come into the room with this slug?"""

T = TypeVar("T")


def answer(questions: Sequence[Question]) -> list[Any]:
    """Answer each: a `Person`, or None for one who is not who they were any more, or an `Admission`; or the `Refusal`."""
    arrivals = iter(identify([item for item in questions if isinstance(item, Credentials)]))
    known = iter(auth.still([item for item in questions if isinstance(item, Person)]))
    admissions = iter(rooms.admit([item for item in questions if isinstance(item, tuple)]))
    return [next({Credentials: arrivals, Person: known, tuple: admissions}[type(item)]) for item in questions]


def identify(shown: Sequence[Credentials]) -> list[Person | BadCredentials]:
    """Return who shows each, by their ticket where they have one, else by their cookies."""
    by_cookies = _where(shown, lambda one: one.token is None)
    by_ticket = _where(shown, lambda one: credentials.is_token(one.token, credentials.TICKET))
    people = dict(zip(by_cookies, auth.of_cookies([shown[index].cookies for index in by_cookies]), strict=True))
    holders = zip(by_ticket, tickets.redeem([shown[index].token or "" for index in by_ticket]), strict=True)
    found: dict[int, Person | BadCredentials] = {**people, **dict(holders)}
    return [found.get(index) or BadCredentials() for index in range(len(shown))]


def _where(items: Sequence[T], fits: Callable[[T], bool]) -> list[int]:
    return [index for index, item in enumerate(items) if fits(item)]
