"""Who is at the other end, by Django's own rules and without writing; and from which page."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib import auth as django_auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import auth
from realtime.auth import GUEST_SESSION_KEY
from realtime.kinds import Actor
from tests.support import rows

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def who(cookies: str) -> auth.Person:
    (person,) = auth.of_cookies([cookies])
    return person


def logged_in(user: User) -> str:
    """The Cookie header of a browser in which this person has logged in."""
    client = Client()
    client.force_login(user, MODEL_BACKEND)
    return f"theme=dark; {site.SESSION_COOKIE_NAME}={client.cookies[site.SESSION_COOKIE_NAME].value}"


def session() -> Session:
    return Session.objects.get()


def change(**values: Any) -> None:
    """Change what is in the one session."""
    store = session().get_session_store_class()(session().session_key)
    store.update(values)
    store.save()


@pytest.mark.django_db
class TestOfCookies:
    def test_a_session_says_who_it_is(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        alice = rows.user("alice")
        cookies = logged_in(alice)
        with django_assert_num_queries(2):  # session, user
            person = who(cookies)
        assert (person.id, person.name, person.user_pk) == (f"user:{alice.pk}", "alice", str(alice.pk))
        assert person.session_key == session().session_key
        assert person.actor == Actor(f"user:{alice.pk}", "alice")

    def test_many_who_come_at_once_cost_the_same_queries_as_one(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        cookies = [logged_in(rows.user(name)) for name in ("alice", "bob", "carol")]
        asked = [cookies[2], "", cookies[0], cookies[0], "sessionid=nobody", cookies[1]]
        with django_assert_num_queries(2):
            people = auth.of_cookies(asked)
        assert [person.name for person in people if person.user_pk] == ["carol", "alice", "alice", "bob"]
        assert [person.user_pk is None for person in people] == [False, True, False, False, True, False]

    @pytest.mark.parametrize("value", ['"a\\000b"', "x" * 5000, '"\\377\\376"'])
    def test_a_session_cookie_that_no_session_has_is_a_guests(self, value: str) -> None:
        assert who(f"{site.SESSION_COOKIE_NAME}={value}").user_pk is None

    def test_staff_are_staff(self) -> None:
        assert who(logged_in(rows.user(is_staff=True))).is_staff
        Session.objects.all().delete()
        assert not who(logged_in(rows.user())).is_staff

    @pytest.mark.parametrize("cookies", ["", "sessionid=", "sessionid=none-such", "sessionid=../..; a", "a=b", ";;=;"])
    def test_who_has_no_session_is_a_guest(self, cookies: str) -> None:
        person = who(cookies)
        assert person.id.startswith("guest:")
        assert person.user_pk is None
        assert not person.is_staff

    def test_two_guests_without_a_session_are_two(self) -> None:
        assert who("").id != who("").id

    def test_a_secret_key_that_was_rotated_ends_no_session(self, settings: Settings) -> None:
        cookies = logged_in(rows.user("alice"))
        before = (session().session_data, session().expire_date)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "the next one"
        assert who(cookies).name == "alice"
        assert (session().session_data, session().expire_date) == before

    def test_a_secret_key_that_was_given_up_does(self, settings: Settings) -> None:
        cookies = logged_in(rows.user("alice"))
        settings.SECRET_KEY = "the next one"
        assert who(cookies).user_pk is None

    def test_a_changed_password_ends_the_session_here_and_leaves_it_as_it_is(self) -> None:
        alice = rows.user("alice")
        cookies = logged_in(alice)
        before = session().session_data
        alice.set_password("another")
        alice.save()
        assert who(cookies).user_pk is None
        assert session().session_data == before

    def test_a_session_without_a_hash_is_nobodys(self) -> None:
        cookies = logged_in(rows.user("alice"))
        change(**{django_auth.HASH_SESSION_KEY: ""})
        assert who(cookies).user_pk is None

    def test_one_who_is_inactive_is_a_guest(self) -> None:
        alice = rows.user("alice")
        cookies = logged_in(alice)
        User.objects.update(is_active=False)
        assert who(cookies).user_pk is None

    def test_one_who_was_deleted_is_a_guest(self) -> None:
        alice = rows.user("alice")
        cookies = logged_in(alice)
        alice.delete()
        assert who(cookies).user_pk is None

    def test_an_expired_session_is_nobodys(self) -> None:
        cookies = logged_in(rows.user("alice"))
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        person = who(cookies)
        assert (person.user_pk, person.session_key) == (None, None)

    def test_a_backend_that_the_site_no_longer_uses_lets_nobody_in(self, settings: Settings) -> None:
        cookies = logged_in(rows.user("alice"))
        settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
        assert who(cookies).user_pk is None

    def test_a_session_that_was_made_for_another_user_model_is_a_guests(self) -> None:
        cookies = logged_in(rows.user("alice"))
        change(**{django_auth.SESSION_KEY: "0b9f6a52-c1d8-4e7f-9a3b-5c6d7e8f9012"})
        assert who(cookies).user_pk is None

    @pytest.mark.parametrize("engine", ["signed_cookies", "cache", "cached_db", "file"])
    def test_a_site_may_keep_its_sessions_where_it_likes(self, settings: Settings, engine: str, tmp_path: Path) -> None:
        settings.SESSION_FILE_PATH = str(tmp_path)
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
        assert who(logged_in(rows.user("alice"))).name == "alice"
        stranger = who(f"{site.SESSION_COOKIE_NAME}={'x' * 32}")
        assert stranger.user_pk is None
        assert stranger.session_key is None or engine == "signed_cookies"  # there, the key is what it holds

    def test_a_guest_is_the_same_guest_on_the_page_and_on_the_socket(self) -> None:
        asked = request(AnonymousUser())
        on_the_page = auth.of_request(asked)
        asked.session.save()
        on_the_socket = who(f"{site.SESSION_COOKIE_NAME}={asked.session.session_key}")
        assert (on_the_socket.id, on_the_socket.name) == (on_the_page.id, on_the_page.name)
        assert auth.of_request(asked).id == on_the_page.id


def request(user: Any) -> HttpRequest:
    """A page's request, with a session."""
    made = RequestFactory().get("/")
    made.user = user
    made.session = Session.get_session_store_class()()
    return made


@pytest.mark.django_db
class TestOfRequest:
    def test_a_user_is_themselves_and_their_session_is_left_alone(self) -> None:
        alice = rows.user("alice")
        asked = request(alice)
        assert auth.of_request(asked).id == f"user:{alice.pk}"
        assert not asked.session.modified

    def test_a_guest_gets_a_name_that_is_kept(self) -> None:
        asked = request(AnonymousUser())
        person = auth.of_request(asked)
        mark = asked.session[GUEST_SESSION_KEY]
        assert (person.id, person.name) == (f"guest:{mark}", f"Guest {mark[:4]}")


class Somebody:
    """A user of another model."""

    pk = "0b9f6a52-c1d8-4e7f-9a3b-5c6d7e8f9012"
    is_authenticated = True

    def get_username(self) -> str:
        return "x" * 300


def shouting(user: Any) -> str:
    return str(user.get_username()).upper()


def test_a_user_may_have_any_key_and_any_model() -> None:
    person = auth.person_of(Somebody())
    assert (person.id, person.user_pk) == (f"user:{Somebody.pk}", Somebody.pk)
    assert (person.is_staff, person.session_key) == (False, None)


def test_a_name_fits_its_column() -> None:
    assert len(auth.person_of(Somebody()).name) == 200


def test_a_site_may_name_people_as_it_likes(settings: Settings) -> None:
    settings.REALTIME = {"DISPLAY_NAME": "tests.test_auth.shouting"}
    assert auth.person_of(User(pk=1, username="alice")).name == "ALICE"


@pytest.mark.parametrize("sign", ["\n", "\x00", "\x1b", "\x85", "\u2028", "\u202e", "\u2066", "\u2069"], ids=ascii)
def test_nothing_in_a_name_reaches_the_text_around_it(sign: str) -> None:
    assert auth.person_of(User(pk=1, username=f"{sign}al{sign}ice{sign}")).name == "alice"


@pytest.mark.parametrize(
    "name", ["\u05d0\u05d1", "Zo\u00eb", "\u0645\u06cc\u200c\u0634\u0648\u062f", "a b", "\U0001f468\u200d\U0001f469"]
)
def test_every_script_may_be_a_name(name: str) -> None:
    assert auth.person_of(User(pk=1, username=name)).name == name


@pytest.mark.parametrize("name", ["", " ", "\u202e\n"], ids=ascii)
def test_who_has_no_name_is_called_by_their_id(name: str) -> None:
    assert auth.person_of(User(pk=7, username=name)).name == "user:7"


# From which page


def scope(origin: str | None, host: str = "example.com", scheme: str = "wss", **headers: str) -> dict[str, Any]:
    """A handshake."""
    fields = {"host": host} | ({} if origin is None else {"origin": origin}) | headers
    return {
        "type": "websocket",
        "path": "/realtime/websocket",
        "scheme": scheme,
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()],
    }


@pytest.fixture
def hosts(settings: Settings) -> Callable[..., None]:
    """Set the site's host names and what it trusts."""

    def set_to(*allowed: str, trusted: tuple[str, ...] = ()) -> None:
        settings.DEBUG = False
        settings.ALLOWED_HOSTS = list(allowed)
        settings.CSRF_TRUSTED_ORIGINS = list(trusted)

    set_to("example.com")
    return set_to


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "let_in"),
    [
        ("https://example.com", "example.com", "wss", True),
        ("https://EXAMPLE.com", "example.com", "wss", True),
        ("https://example.com:443", "example.com", "wss", True),
        ("https://example.com", "example.com:443", "wss", True),
        ("http://example.com", "example.com", "ws", True),
        ("http://example.com:8000", "example.com:8000", "ws", True),
        (None, "example.com", "wss", True),
        ("http://example.com", "example.com", "wss", False),
        ("https://example.com", "example.com", "ws", False),
        ("https://example.com:8443", "example.com", "wss", False),
        ("http://example.com:8000", "example.com:8001", "ws", False),
        ("https://evil.com", "example.com", "wss", False),
        ("https://evil.com", "evil.com", "wss", False),
        ("https://example.com.evil.com", "example.com", "wss", False),
        ("https://notexample.com", "example.com", "wss", False),
        ("https://sub.example.com", "example.com", "wss", False),
        ("https://example.com@evil.com", "example.com", "wss", False),
        ("ftp://example.com", "example.com", "wss", False),
        ("null", "example.com", "wss", False),
        ("", "example.com", "wss", False),
        ("example.com", "example.com", "wss", False),
        ("https://", "example.com", "wss", False),
        ("https://[::1", "example.com", "wss", False),
        ("https://example.com:port", "example.com", "wss", False),
        ("https://example.com:99999", "example.com", "wss", False),
        ("\xff\xfe", "example.com", "wss", False),
        ("https://example.com", "", "wss", False),
        (None, "evil.com", "wss", False),
    ],
)
@pytest.mark.usefixtures("hosts")
def test_only_pages_of_this_site_get_in(origin: str | None, host: str, scheme: str, let_in: bool) -> None:
    assert auth.same_site(scope(origin, host, scheme)) is let_in


def test_allowing_every_host_is_not_allowing_every_page(hosts: Callable[..., None]) -> None:
    hosts("*")
    assert auth.same_site(scope("https://anything.org", "anything.org"))
    assert not auth.same_site(scope("https://evil.com", "anything.org"))


@pytest.mark.parametrize(
    ("trusted", "origin", "let_in"),
    [
        ("https://app.example.org", "https://app.example.org", True),
        ("https://app.example.org", "http://app.example.org", False),
        ("https://app.example.org", "https://app.example.org:8443", False),
        ("https://app.example.org:8443", "https://app.example.org:8443", True),
        ("https://*.example.org", "https://a.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "https://evilexample.org", False),
        ("https://*.example.org", "http://a.example.org", False),
        ("https://*.example.org:8443", "https://a.example.org:8443", True),
    ],
)
def test_what_the_site_trusts_for_forms_it_trusts_here(
    hosts: Callable[..., None], trusted: str, origin: str, let_in: bool
) -> None:
    hosts("example.com", trusted=(trusted,))
    assert auth.same_site(scope(origin)) is let_in


@pytest.mark.usefixtures("hosts")
def test_behind_a_proxy_that_ends_tls_the_page_is_https(settings: Settings) -> None:
    told = scope("https://example.com", scheme="ws", x_forwarded_proto="https")
    assert not auth.same_site(told)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert auth.same_site(told)
    assert not auth.same_site(scope("http://example.com", scheme="ws", x_forwarded_proto="https"))


@pytest.mark.usefixtures("hosts")
def test_behind_a_proxy_that_says_which_host_it_is_that_host(settings: Settings) -> None:
    told = scope("https://example.com", host="internal:8000", x_forwarded_host="example.com")
    assert not auth.same_site(told)
    settings.USE_X_FORWARDED_HOST = True
    assert auth.same_site(told)
