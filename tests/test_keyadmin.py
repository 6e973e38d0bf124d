"""API keys in the admin, through its own pages."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from realtime import credentials, door
from realtime.auth import Person
from realtime.credentials import Credentials
from realtime.models import ApiKey
from tests.support import rows

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/realtime/apikey/"
ADD = f"{LIST}add/"
SHOWN = re.compile(r'value="(rt_key_[-\w]{43})"')


@pytest.fixture
def boss() -> User:
    return rows.user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def admin(boss: User) -> Client:
    client = Client()
    client.force_login(boss)
    return client


def values(owner: User, **others: str) -> dict[str, str]:
    return {
        "name": "Builds",
        "owner": str(owner.pk),
        "commands": "message",
        "expires_at_0": "",
        "expires_at_1": "",
    } | others


def make(client: Client, owner: User, **others: str) -> str:
    """Fill in the form and return the key that is shown."""
    page = client.post(ADD, values(owner, **others)).content.decode()
    (key,) = SHOWN.findall(page)
    found: str = key
    return found


def test_a_new_key_is_shown_once_and_works(admin: Client) -> None:
    alice, room = rows.user("alice"), rows.room("lobby")
    key = make(admin, alice, rooms=str(room.pk))
    (person,) = door.identify([Credentials(token=key)])
    assert isinstance(person, Person)
    assert (person.name, person.user_pk) == ("Builds", str(alice.pk))
    row = ApiKey.objects.get()
    pages = [admin.get(url).content.decode() for url in (LIST, reverse("admin:realtime_apikey_change", args=[row.pk]))]
    assert [key in page for page in pages] == [False, False]
    assert [row.hint in page for page in pages] == [True, True]
    assert not [value for cookie, value in admin.cookies.items() if key in str(value)]


def test_the_page_with_the_key_is_not_kept_by_browsers_and_proxies(admin: Client, boss: User) -> None:
    assert "no-store" in admin.post(ADD, values(boss)).headers["Cache-Control"]


def test_saving_again_leaves_the_key_as_it_is(admin: Client, boss: User) -> None:
    key = make(admin, boss)
    row = ApiKey.objects.get()
    url = reverse("admin:realtime_apikey_change", args=[row.pk])
    answer = admin.post(url, values(rows.user("alice"), commands="typing, message typing"))
    assert answer.status_code == 302
    row.refresh_from_db()
    assert row.digest == credentials.digest(key)
    assert (row.owner, row.commands) == (boss, "typing message"), "whose it is stays"


@pytest.mark.parametrize("commands", ["massage", "message;typing", "*", "room_history"])
def test_a_command_that_there_is_not_is_refused(admin: Client, boss: User, commands: str) -> None:
    page = admin.post(ADD, values(boss, commands=commands)).content.decode()
    assert "No such command" in page
    assert "room_remove" in page
    assert not ApiKey.objects.exists()


def test_who_is_no_superuser_makes_keys_for_themselves_only(boss: User) -> None:
    clerk = rows.user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="realtime"))
    client = Client()
    client.force_login(clerk)
    assert 'name="owner"' not in client.get(ADD).content.decode()
    make(client, boss)
    assert ApiKey.objects.get().owner == clerk


def test_keys_are_revoked_in_the_list(admin: Client, boss: User) -> None:
    key = make(admin, boss)
    make(admin, boss, name="Other")
    row = ApiKey.objects.get(name="Builds")
    answer = admin.post(LIST, {"action": "revoke_keys", "_selected_action": [row.pk]}, follow=True)
    assert "1 key revoked." in answer.content.decode()
    assert not isinstance(door.identify([Credentials(token=key)])[0], Person)
    assert ApiKey.objects.get(name="Other").revoked_at is None
    assert LogEntry.objects.filter(object_id=str(row.pk), change_message__contains="Revoked").exists()
    when = ApiKey.objects.get(pk=row.pk).revoked_at
    admin.post(LIST, {"action": "revoke_keys", "_selected_action": [row.pk]})
    assert ApiKey.objects.get(pk=row.pk).revoked_at == when


def test_who_may_only_look_revokes_nothing(admin: Client, boss: User) -> None:
    make(admin, boss)
    reader = rows.user("reader", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_apikey"))
    client = Client()
    client.force_login(reader)
    assert client.get(ADD).status_code == 403
    client.post(LIST, {"action": "revoke_keys", "_selected_action": [ApiKey.objects.get().pk]})
    assert ApiKey.objects.get().revoked_at is None
