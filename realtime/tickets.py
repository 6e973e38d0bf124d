"""Tickets: a minute's stand-in for a cookie, for phones, pages of other origins and scripts. The one writer of Ticket.

A ticket stands for the session it was made under, and only as long as that session: whoever comes with it is put out with it. It
works once. Of two who show the same one at the same time, on whatever processes, one is let in: the one who deletes its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import router, transaction
from django.db.models import DateTimeField, ExpressionWrapper, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from realtime import auth, conf, credentials
from realtime.auth import Person
from realtime.errors import BadCredentials, LoginRequired, RateLimited
from realtime.models import Ticket

_UNUSED_EACH = 100


def issue(request: HttpRequest) -> str:
    """Return a new ticket for who is logged in, or raise `LoginRequired`, or `RateLimited` where they leave too many unused."""
    if not auth.can_be_asked_for(request.COOKIES):
        raise LoginRequired
    user, session_key = request.user, request.session.session_key
    if not user.is_authenticated or not session_key:
        raise LoginRequired
    seconds = conf.current().TICKET_SECONDS
    if _rows().filter(user=user.pk, expires_at__gt=Now()).count() >= _UNUSED_EACH:
        raise RateLimited(seconds)
    ticket = credentials.new(credentials.TICKET)
    until = ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())
    row = Ticket(digest=credentials.digest(ticket), user_id=user.pk, session_key=session_key, expires_at=until)
    _rows().bulk_create([row])
    return ticket


def redeem(tickets: Sequence[str]) -> list[Person | BadCredentials]:
    """Use tickets up, and return who came with each."""
    if not tickets:
        return []
    digests = [credentials.digest(ticket) for ticket in tickets]
    with transaction.atomic(using=_database()):
        taken = _take(digests)
        rows = [taken.pop(digest, None) for digest in digests]
        people = auth.of_sessions([row.session_key if row is not None else None for row in rows])
    return [_holder(row, person) for row, person in zip(rows, people, strict=True)]


def sweep() -> None:
    """Remove tickets that nobody has used in time."""
    _rows().filter(expires_at__lte=Now()).delete()


def _take(digests: Sequence[str]) -> dict[str, Ticket]:
    """Delete the rows of these tickets, in pk order, and return those that this call and no other deleted."""
    found = list(_rows().filter(digest__in=set(digests), expires_at__gt=Now()).order_by("pk"))
    return {row.digest: row for row in found if _rows().filter(pk=row.pk).delete()[0]}


def _holder(row: Ticket | None, person: Person) -> Person | BadCredentials:
    return person if row is not None and person.user_pk == str(row.user_id) else BadCredentials()


def _rows() -> QuerySet[Ticket]:
    return Ticket.objects.using(_database())


def _database() -> str:
    return router.db_for_write(Ticket)
