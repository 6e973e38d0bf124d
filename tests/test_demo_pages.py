"""The demo site's pages, as a browser without scripts gets them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from project import demo, environment
from project import settings as demo_settings
from project.kinds import Poll, Vote
from realtime import presence, rooms
from realtime.auth import GUEST_SESSION_KEY
from realtime.kinds import Actor, Fact, Refusal
from realtime.models import Event, Room


@pytest.fixture
def site(db: None) -> None:
    for name, rights in demo.PEOPLE.items():
        demo.add_person(name, rights)
    for slug, columns in demo.ROOMS.items():
        demo.add_room(slug, columns)


@pytest.fixture
def alice(site: None, client: Client) -> Client:
    assert client.login(username="alice", password="alice")
    return client


def test_the_home_page_lists_the_rooms(site: None, client: Client) -> None:
    page = client.get("/")
    for slug in demo.ROOMS:
        assert f'href="/rooms/{slug}/"' in page.text


def test_the_home_page_does_not_list_what_one_may_not_see(site: None, client: Client) -> None:
    Room.objects.create(slug="attic", title="Attic", kind="chat", join_access="members")
    assert "Attic" not in client.get("/").text


def test_the_home_page_costs_no_query_for_an_empty_room(
    site: None, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        Room.objects.create(slug=f"r{number}", title=f"R{number}", kind="chat", join_access="anyone")
    with django_assert_max_num_queries(3):
        client.get("/")


@pytest.mark.parametrize("name", ["alice", "a guest"])
def test_the_home_page_does_not_list_rooms_that_one_is_banned_from_nor_who_is_there(
    site: None, client: Client, name: str
) -> None:
    visitor: Any = Actor("guest:4f1d2c00", "Guest 4f1d")
    if name == "alice":
        visitor = get_user_model().objects.get(username=name)
        client.force_login(visitor)
    else:
        session = client.session
        session[GUEST_SESSION_KEY] = "4f1d2c00"
        session.save()
    presence.renew("n", 30)
    presence.apply("n", [presence.Move("c", Room.objects.get(slug="lobby").pk, Actor("guest:1", "Somebody"))])
    assert "Somebody" in client.get("/").text
    rooms.ban(visitor, "lobby")
    page = client.get("/").text
    assert 'href="/rooms/lobby/"' not in page
    assert "Somebody" not in page
    assert 'href="/rooms/visits/"' in page
    assert 'href="/rooms/lobby/"' in Client().get("/").text


@pytest.mark.parametrize("path", ["/", "/rooms/lobby/", "/accounts/login/", "/admin/", "/realtime/metrics"])
def test_a_cookie_that_no_database_takes_is_left_out(site: None, client: Client, path: str) -> None:
    """On PostgreSQL each of them would answer 500: its text has no NUL."""
    client.cookies["sessionid"] = "abcdefgh\0ijk"
    client.cookies["theme"] = "dark"
    page = client.get(path)
    assert page.status_code < 500
    assert page.wsgi_request.COOKIES.get("theme") == "dark"
    assert "sessionid" not in page.wsgi_request.COOKIES


@pytest.mark.parametrize("slug", demo.ROOMS)
def test_a_room_reads_without_script(site: None, client: Client, slug: str) -> None:
    page = client.get(f"/rooms/{slug}/")
    assert page.status_code == 200
    assert "<noscript>" in page.text
    assert f'<h1 class="rt-title" dir="auto" id="rt-title-{slug}">' in page.text


def test_the_chat_shows_what_was_said(alice: Client) -> None:
    rooms.publish("lobby", "message", {"text": "good morning"}, actor=get_user_model().objects.get(username="bob"))
    page = alice.get("/rooms/lobby/")
    assert "good morning" in page.text
    assert "bob" in page.text


def test_the_counter_shows_its_value(site: None, client: Client) -> None:
    rooms.publish("visits", "added", {"by": 41})
    assert ">41</output>" in client.get("/rooms/visits/").text


def test_a_room_that_is_not_there_says_so(site: None, client: Client) -> None:
    page = client.get("/rooms/nowhere/")
    assert page.status_code == 404
    assert "nowhere" in page.text


def test_who_has_to_log_in_is_sent_there_and_back(site: None, client: Client) -> None:
    Room.objects.filter(slug="lobby").update(join_access="login")
    page = client.get("/rooms/lobby/")
    assert (page.status_code, page["Location"]) == (302, "/accounts/login/?next=/rooms/lobby/")
    assert client.post(page["Location"], {"username": "bob", "password": "bob"})["Location"] == "/rooms/lobby/"


def test_who_may_not_come_in_is_told_so(alice: Client) -> None:
    Room.objects.filter(slug="lobby").update(join_access="staff")
    page = alice.get("/rooms/lobby/")
    assert page.status_code == 403
    assert "You may not do this here." in page.text


def test_logging_out_takes_a_post(alice: Client) -> None:
    assert alice.get("/accounts/logout/").status_code == 405
    assert alice.post("/accounts/logout/").status_code == 302
    assert "Log in" in alice.get("/").text


PAGES = {
    "/": 200,
    "/rooms/lobby/": 200,
    "/rooms/nowhere/": 404,
    "/accounts/login/": 200,
    "/accounts/logout/": 405,
    "/admin/login/": 200,
    "/admin/": 302,
    "/admin/realtime/room/": 302,
    "/nowhere/": 404,
    "/favicon.ico": 302,
    "/static/site/site.css": 200,
    "/realtime/health": 200,
    "/realtime/metrics": 403,
}


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_inline_script_and_style(site: None, client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == PAGES[path]
    is_strict(answer)


def is_strict(answer: Any, socket: str = " ws://testserver") -> None:
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self'{socket}"
    assert "unsafe" not in answer["Content-Security-Policy"]
    in_admin = answer.wsgi_request.path.startswith("/admin/")
    assert policy.get("require-trusted-types-for") == (None if in_admin else "'script'")


def test_answers_to_what_is_wrong_forbid_it_too(client: Client) -> None:
    foreign = client.get("/", headers={"Host": "elsewhere.example"})
    assert foreign.status_code == 400
    is_strict(foreign, socket="")
    forged = Client(enforce_csrf_checks=True).post("/accounts/login/", {"username": "alice", "password": "alice"})
    assert forged.status_code == 403
    assert "<style" not in forged.text
    is_strict(forged)


def test_the_answer_to_a_bug_forbids_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "visible", lambda user: 1 / 0)
    broken = Client(raise_request_exception=False).get("/")
    assert broken.status_code == 500
    assert "<style" not in broken.text
    is_strict(broken)


def test_in_development_djangos_own_pages_of_what_went_wrong_can_be_read(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    client.raise_request_exception = False
    monkeypatch.setattr(rooms, "visible", lambda user: 1 / 0)
    for path, status in (("/nowhere/", 404), ("/", 500)):
        page = client.get(path)
        assert (page.status_code, "<style" in page.text) == (status, True)
        assert "style-src 'unsafe-inline'" in page["Content-Security-Policy"]
        assert "connect-src" not in page["Content-Security-Policy"]


def test_in_development_the_demos_own_pages_are_as_strict_as_ever(site: None, client: Client, settings: Any) -> None:
    settings.DEBUG = True
    rooms.publish("lobby", "message", {"text": "because you have <code>DEBUG = True</code>"})
    for path, status in (("/rooms/lobby/", 200), ("/rooms/no-such-room/", 404)):
        page = client.get(path)
        assert (page.status_code, "unsafe" in page["Content-Security-Policy"]) == (status, False)


def test_browsers_find_an_icon_where_they_look_for_one(client: Client) -> None:
    assert client.get("/favicon.ico")["Location"].endswith(".svg")


# The demo command


@pytest.mark.django_db
def test_preparing_twice_changes_nothing(site: None) -> None:
    Room.objects.filter(slug="lobby").update(title="Parlour")
    demo.prepare()
    assert Room.objects.get(slug="lobby").title == "Parlour"
    assert Room.objects.count() == len(demo.ROOMS)
    assert Event.objects.filter(room__slug="lobby").count() == 1
    assert get_user_model().objects.count() == len(demo.PEOPLE)


@pytest.mark.django_db
def test_only_admin_is_staff(site: None) -> None:
    assert [user.username for user in get_user_model().objects.filter(is_staff=True, is_superuser=True)] == ["admin"]


def test_the_demo_refuses_to_run_with_debug_off(settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("demo")


def test_the_demo_says_when_its_port_is_taken(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(demo, "is_free", lambda port: False)
    with pytest.raises(CommandError, match="Port 8001 is taken"):
        call_command("demo", port=8001)


# What the environment says


def test_a_development_key_is_made_once_and_is_nobody_elses_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    file = tmp_path / "key"
    key = environment.secret_key(True, keep_in=file)
    assert len(key) >= 50
    assert environment.secret_key(True, keep_in=file) == key
    assert file.stat().st_mode & 0o077 == 0


def test_a_checkout_that_cannot_be_written_to_still_has_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    assert len(environment.secret_key(True, keep_in=tmp_path / "missing" / "key")) >= 50


def test_without_debug_a_missing_key_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
        environment.secret_key(False, keep_in=tmp_path / "key")


@pytest.mark.parametrize(("word", "meant"), [("1", True), ("Yes", True), ("off", False), ("0", False), ("", True)])
def test_a_variable_is_true_or_false(word: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", word)
    assert environment.boolean("SWITCH", default=True) is meant


def test_a_variable_that_is_neither_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "maybe")
    with pytest.raises(ImproperlyConfigured, match="expected one of"):
        environment.boolean("SWITCH", default=True)


def test_sqlite_waits_for_its_turn() -> None:
    options = demo_settings.database("sqlite:////tmp/x.sqlite3")["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_has_a_pool() -> None:
    assert demo_settings.database("postgresql://u:p@h/db")["OPTIONS"]["pool"] is True


def test_redis_is_used_where_it_is_named() -> None:
    assert "InMemory" in demo_settings.channel_layer("")["BACKEND"]
    layer = demo_settings.channel_layer("redis://h:6379/1")
    assert layer["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    assert layer["CONFIG"]["hosts"] == ["redis://h:6379/1"]


# In production

PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "project.settings",
    "SECRET_KEY": "".join(map(chr, range(33, 127))),
    "ALLOWED_HOSTS": "example.com",
    "HTTPS": "1",
    "TRUSTED_PROXIES": "127.0.0.1, ::1",
    "DATABASE_URL": "postgres://user:password@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def checked(**env: str) -> str:
    """What `manage.py check --deploy` says of the demo with only these variables."""
    command = [sys.executable, "-W", "ignore", "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        command, cwd=demo_settings.BASE_DIR, env=PRODUCTION | env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode == 0) == ("no issues" in done.stdout), done.stderr
    return done.stdout + done.stderr


def test_in_production_the_demo_passes_the_checks_of_a_deployment() -> None:
    assert "no issues (0 silenced)" in checked()


@pytest.mark.parametrize(
    ("wrong", "warned"),
    [
        ({"REDIS_URL": ""}, "realtime.W002"),
        ({"ALLOWED_HOSTS": "*"}, "realtime.W003"),
        ({"CSRF_TRUSTED_ORIGINS": "http://example.org"}, "realtime.W006"),
        ({"METRICS_TOKEN": "secret"}, "realtime.W009"),
        ({"TRUSTED_PROXIES": ""}, "realtime.W010"),
        ({"TRUSTED_PROXIES": "the proxy"}, "realtime.E001"),
        ({"HTTPS": ""}, "security.W012"),
        ({"DEBUG": "1"}, "security.W018"),
    ],
    ids=lambda value: str(value),
)
def test_the_checks_of_a_deployment_see_what_is_wrong_with_the_demo(wrong: dict[str, str], warned: str) -> None:
    assert warned in checked(**wrong)


# Static files with names that change with their content


@pytest.mark.parametrize(
    "storage",
    [
        "project.storage.HashedStaticFiles",
        "whitenoise.storage.CompressedManifestStaticFilesStorage",
        "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    ],
)
def test_every_import_leads_to_a_file_that_is_there(storage: str, settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    call_command("collectstatic", interactive=False, verbosity=0)
    modules = list((tmp_path / "realtime").rglob("*.js"))
    assert len(modules) > 40
    for module in modules:
        for imported in re.findall(r'^import .*? from "(\./.*?)";', module.read_text(), re.MULTILINE | re.DOTALL):
            assert (module.parent / imported).is_file(), f"{module.name}: {imported}"


def test_modules_of_a_deployment_import_modules_of_that_deployment(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "project.storage.HashedStaticFiles"}}
    call_command("collectstatic", interactive=False, verbosity=0)
    (module,) = (tmp_path / "realtime").glob("chat.????????????.js")
    imports = re.findall(r'from "\./(.*?)";', module.read_text())
    assert imports
    assert all(re.fullmatch(r"[a-z-]+\.[0-9a-f]{12}\.js", name) for name in imports)


# The site's own kind


def test_a_poll_counts_the_last_vote_of_each_person() -> None:
    poll = Poll()
    state = poll.reduce(poll.initial, Fact("asked", {"question": "?", "choices": ["a", "b"]}))
    for person, choice in (("user:1", 0), ("user:2", 1), ("user:1", 1)):
        state = poll.reduce(state, poll.decide(state, Vote(choice=choice), Actor(person, person)))
    assert state["votes"] == {"user:1": 1, "user:2": 1}


def test_a_poll_refuses_an_answer_that_it_does_not_have() -> None:
    with pytest.raises(Refusal) as refused:
        Poll().decide(Poll.initial, Vote(choice=0), Actor("user:1", "alice"))
    assert refused.value.code == "no_such_choice"
