"""Tickets: made for a session, used once, gone with it."""

import logging
from datetime import timedelta

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from realtime import conf, credentials, door, metrics, tickets
from realtime.auth import Person
from realtime.credentials import Credentials
from realtime.errors import BadCredentials
from realtime.models import Ticket
from tests.support import rows

pytestmark = pytest.mark.django_db


def log_in(user: User, **options: bool) -> Client:
    browser = Client(**options)
    browser.force_login(user)
    return browser


def fetch(browser: Client) -> str:
    answer = browser.post(reverse("realtime:ticket"))
    assert answer.status_code == 200, answer.content
    ticket: str = answer.json()["ticket"]
    return ticket


def use(*given: str) -> list[Person | BadCredentials]:
    return door.identify([Credentials(token=ticket) for ticket in given])


def refused(*given: str) -> bool:
    return all(isinstance(found, BadCredentials) for found in use(*given))


@pytest.fixture
def alice() -> User:
    return rows.user("alice")


@pytest.fixture
def ticket(alice: User) -> str:
    return fetch(log_in(alice))


# Getting one


def test_who_is_logged_in_gets_a_ticket(alice: User) -> None:
    answer = log_in(alice).post(reverse("realtime:ticket"))
    assert answer.status_code == 200
    assert credentials.is_token(answer.json()["ticket"], credentials.TICKET)
    assert answer.json()["expires_in"] == 60
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_guest_gets_none_and_no_session(client: Client) -> None:
    before = metrics.refusals.values.get("login_required", 0)
    answer = client.post(reverse("realtime:ticket"))
    assert (answer.status_code, answer.json()["code"]) == (403, "login_required")
    assert not client.cookies
    assert metrics.refusals.values["login_required"] == before + 1


@pytest.mark.urls("realtime.urls")
def test_a_session_that_cannot_be_asked_for_is_nobodys(client: Client, settings: Settings) -> None:
    """Django asks for whatever it is shown, and PostgreSQL raises on NUL: so it is not asked, on any site."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("project.")]
    client.cookies[settings.SESSION_COOKIE_NAME] = "abcdefgh\0ijk"
    with CaptureQueriesContext(connection) as queries:
        answer = client.post("/ticket")
    assert (answer.status_code, answer.json()["code"]) == (403, "login_required")
    assert not queries.captured_queries


def test_it_takes_a_post_with_the_csrf_token(alice: User, settings: Settings) -> None:
    browser = log_in(alice, enforce_csrf_checks=True)
    assert browser.get(reverse("realtime:ticket")).status_code == 405
    assert browser.post(reverse("realtime:ticket")).status_code == 403
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    assert browser.post(reverse("realtime:ticket")).status_code == 403, (
        "a site without the middleware is protected, too"
    )
    assert not Ticket.objects.exists()


def test_of_a_ticket_only_the_digest_is_kept(ticket: str) -> None:
    (row,) = Ticket.objects.values()
    assert ticket not in str(row)
    assert row["digest"] == credentials.digest(ticket)


def test_who_leaves_too_many_unused_has_to_wait(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_UNUSED_EACH", 2)
    browser, bob = log_in(alice), log_in(rows.user("bob"))
    first, _ = fetch(browser), fetch(browser)
    answer = browser.post(reverse("realtime:ticket"))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "60"
    fetch(bob)
    use(first)
    fetch(browser)


# Using one


def test_it_lets_its_holder_in_as_who_they_are(alice: User, ticket: str) -> None:
    (person,) = use(ticket)
    assert isinstance(person, Person)
    assert (person.id, person.name) == (f"user:{alice.pk}", "alice")
    assert person.session_key == Session.objects.get().session_key


def test_it_works_once(ticket: str) -> None:
    assert not refused(ticket)
    assert refused(ticket)


def test_shown_twice_at_the_same_door_it_lets_one_in(ticket: str) -> None:
    assert [isinstance(found, Person) for found in use(ticket, ticket)] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_show_it_at_the_same_time_one_is_let_in(ticket: str) -> None:
    found = rows.in_threads(16, lambda number: use(ticket)[0])
    assert sum(isinstance(person, Person) for person in found) == 1


def test_each_gets_in_as_themselves_and_cookies_count_beside(alice: User) -> None:
    first, second = fetch(log_in(rows.user("bob"))), fetch(log_in(alice))
    cookie = f"{site.SESSION_COOKIE_NAME}={log_in(rows.user('carol')).session.session_key}"
    shown = [Credentials(token=first), Credentials(cookie), Credentials(token="rt_ticket_"), Credentials(token=second)]
    found = [person.name if isinstance(person, Person) else person.code for person in door.identify(shown)]
    assert found == ["bob", "carol", "bad_credentials", "alice"]


def test_after_its_time_it_is_worth_nothing(ticket: str) -> None:
    Ticket.objects.update(expires_at=F("expires_at") - timedelta(seconds=conf.current().TICKET_SECONDS))
    assert refused(ticket)


@pytest.mark.parametrize("seconds", [0.5, 3600])
def test_a_site_says_how_long_it_waits(alice: User, settings: Settings, seconds: float) -> None:
    settings.REALTIME = {"TICKET_SECONDS": seconds}
    ticket = fetch(log_in(alice))
    Ticket.objects.update(expires_at=F("expires_at") - timedelta(seconds=60))
    assert refused(ticket) == (seconds < 60)


def test_when_its_session_has_ended_it_is_worth_nothing(alice: User) -> None:
    browser = log_in(alice)
    ticket = fetch(browser)
    browser.post("/accounts/logout/")
    assert refused(ticket)


def test_when_the_account_is_not_what_it_was_it_is_worth_nothing(alice: User) -> None:
    browser = log_in(alice)
    first, second = fetch(browser), fetch(browser)
    alice.set_password("another")
    alice.save()
    assert refused(first)
    alice.delete()
    assert refused(second)
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("text", ["", "rt_ticket_", "rt_ticket_" + "x" * 43, "rt_key_" + "x" * 43, "' OR 1=1 --", "\0"])
def test_what_is_no_ticket_lets_nobody_in(text: str) -> None:
    assert refused(text)


def test_what_cannot_be_a_ticket_costs_no_query() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert refused("", "rt_ticket_", "x" * 10_000)
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_where_looking_fails_the_ticket_is_not_used_up(ticket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("realtime.auth.of_sessions", lambda keys: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            use(ticket)
    assert not refused(ticket)


def test_what_nobody_used_is_swept(alice: User) -> None:
    browser = log_in(alice)
    fetch(browser)
    Ticket.objects.update(expires_at=F("expires_at") - timedelta(minutes=2))
    kept = fetch(browser)
    tickets.sweep()
    assert Ticket.objects.get().digest == credentials.digest(kept)


def test_it_is_never_logged(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = log_in(alice)
    ticket = fetch(browser)
    use(ticket, ticket)
    kept = [record for record in caplog.records if record.name != "django.db.backends"]
    assert ticket not in "".join(record.getMessage() for record in kept)
