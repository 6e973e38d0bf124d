"""What is asked at the door: who is it, is it still who it was, may they come in. Answered for many at a time, in few queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from realtime import admissions, apikeys, auth, credentials, tickets
from realtime.auth import Person
from realtime.credentials import Credentials
from realtime.errors import BadCredentials

Question = Credentials | Person | tuple[str, Person]
"""Who is it that shows this? Is this person still who they were? May they come into the room with this slug?"""

T = TypeVar("T")
R = TypeVar("R")


def answer(questions: Sequence[Question]) -> list[Any]:
    """Answer each: a `Person`, or None for one who is not who they were any more, or an `Admission`; or the `Refusal`."""
    arrivals = iter(identify([item for item in questions if isinstance(item, Credentials)]))
    known = iter(still([item for item in questions if isinstance(item, Person)]))
    let_in = iter(admissions.admit([item for item in questions if isinstance(item, tuple)]))
    return [next({Credentials: arrivals, Person: known, tuple: let_in}[type(item)]) for item in questions]


def identify(shown: Sequence[Credentials]) -> list[Person | BadCredentials]:
    """Return who shows each: by their cookies, or by their ticket or key in place of them."""
    return _sorted(shown, _way_of, _WAYS)


def still(people: Sequence[Person]) -> list[Person | None]:
    """Return each as they are now, or None for who is not who they were any more."""
    return _sorted(people, lambda person: person.grant is None, {True: auth.still, False: apikeys.still})


def _way_of(shown: Credentials) -> str:
    if shown.token is None:
        return "cookies"
    return next(
        (way for way in (credentials.TICKET, credentials.KEY) if credentials.is_token(shown.token, way)), "none"
    )


_WAYS: dict[Any, Callable[[list[Credentials]], Sequence[Person | BadCredentials]]] = {
    "cookies": lambda some: auth.of_cookies([one.cookies for one in some]),
    credentials.TICKET: lambda some: tickets.redeem([one.token or "" for one in some]),
    credentials.KEY: lambda some: apikeys.identify([one.token or "" for one in some]),
    "none": lambda some: [BadCredentials() for _ in some],
}


def _sorted(items: Sequence[T], of: Callable[[T], Any], ways: dict[Any, Callable[[list[T]], Sequence[R]]]) -> list[R]:
    """Hand the items of each sort to its function, together, and return the results in the items' order."""
    sorts = [of(item) for item in items]
    results = {
        sort: iter(way([item for item, its in zip(items, sorts, strict=True) if its == sort]))
        for sort, way in ways.items()
    }
    return [next(results[sort]) for sort in sorts]
