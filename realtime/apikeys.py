"""API keys: how a backend comes in. The one writer of an ApiKey's digest, and of when it was revoked and used.

A key acts in its own name with its owner's access, in the rooms and with the commands that it names, and in nothing else: the
policy is asked as for the owner. It ends with its owner. It is shown once, when it is made; what is kept cannot be turned back
into it. A slow hash, which protects the short secrets that people think of, would add nothing to 256 random bits but work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import router, transaction
from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from realtime import credentials
from realtime.auth import Grant, Person
from realtime.errors import BadCredentials
from realtime.models import ApiKey, Room

_USE_NOTED_EVERY = timedelta(minutes=10)
_ID = re.compile(r"key:([1-9][0-9]{0,17})")
_HINT_LENGTH = len(credentials.KEY) + 4


def make(
    name: str,
    owner: AbstractBaseUser,
    *,
    rooms: Iterable[Room] = (),
    commands: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return it: nobody can ask for it again. Others see what it does as done by `name`."""
    row = ApiKey(name=name, owner_id=owner.pk, commands=" ".join(commands), expires_at=expires_at)
    key = seal(row)
    with transaction.atomic(using=_database()):
        row.save(using=_database())
        row.rooms.set(rooms)
    return key


def seal(row: ApiKey) -> str:
    """Give a row that is not saved yet a new key, and return that."""
    assert row._state.adding, "a key stays what it is"
    key = credentials.new(credentials.KEY)
    row.digest, row.hint = credentials.digest(key), key[:_HINT_LENGTH]
    return key


def revoke(rows: Iterable[ApiKey]) -> None:
    """End keys for good, with the connections that came with them."""
    for row in rows:
        if row.revoked_at is None:
            row.revoked_at = timezone.now()
            row.save(using=_database(), update_fields=("revoked_at",))


def identify(keys: Sequence[str]) -> list[Person | BadCredentials]:
    """Return who comes with each key."""
    if not keys:
        return []
    digests = [credentials.digest(key) for key in keys]
    rows = {row.digest: row for row in _valid(digest__in=set(digests))}
    _note_use(rows.values())
    return [_person(rows[digest]) if digest in rows else BadCredentials() for digest in digests]


def still(people: Sequence[Person]) -> list[Person | None]:
    """Look again at people who came with a key, and return each as the key is now: None where it is not valid any more."""
    if not people:
        return []
    pks = [person.grant.key_pk if person.grant is not None else None for person in people]
    rows = {row.pk: row for row in _valid(pk__in=set(pks))}
    return [_person(rows[pk]) if pk in rows else None for pk in pks]


def of_id(person_id: str) -> Person | None:
    """Return the key that others see under this id, or None where it is no such id, or no valid key's."""
    named = _ID.fullmatch(person_id)
    return next((_person(row) for row in _valid(pk=int(named[1]))), None) if named else None


def _valid(**wanted: Any) -> list[ApiKey]:
    rooms = Prefetch("rooms", Room.objects.only("slug"))
    rows = _rows().filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, **wanted)
    found = rows.select_related("owner").prefetch_related(rooms)
    return [row for row in found if getattr(row.owner, "is_active", True)]


def _person(row: ApiKey) -> Person:
    return Person(
        id=f"key:{row.pk}",
        name=row.name,
        user_pk=str(row.owner_id),
        is_staff=bool(getattr(row.owner, "is_staff", False)),
        grant=Grant(row.pk, frozenset(room.slug for room in row.rooms.all()), frozenset(row.commands.split())),
    )


def _note_use(rows: Iterable[ApiKey]) -> None:
    """Note when keys were last used, seldom enough to cost nothing, and without a signal: nothing about them has changed."""
    before = timezone.now() - _USE_NOTED_EVERY
    pks = [row.pk for row in rows if row.last_used_at is None or row.last_used_at < before]
    if pks:
        _rows().filter(pk__in=pks).update(last_used_at=Now())


def _rows() -> QuerySet[ApiKey]:
    return ApiKey.objects.using(_database())


def _database() -> str:
    return router.db_for_write(ApiKey)
