"""Bans and mutes in the admin, through its own pages."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from realtime import apikeys, bus, presence, rooms
from realtime.kinds import Actor
from realtime.models import ApiKey, Room, Sanction
from realtime.presence import Move
from realtime.rings import Changed, Judged, Kicked, Ring
from tests.support import rows

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/realtime/sanction/"


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


@pytest.fixture
def room(rung: list[Ring]) -> Room:
    return rows.room("lobby")


@pytest.fixture
def admin(db: None) -> Client:
    return logged_in(rows.user("boss", is_staff=True, is_superuser=True))


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def deal(client: Client, room: Room, **values: str) -> str:
    """Fill in the form, and return the page that comes of it."""
    given = {"deed": "mute", "seconds": "3600"} | values
    return client.post(f"/admin/realtime/room/{room.pk}/deal/", given, follow=True).content.decode()


def test_who_is_here_leads_to_what_can_be_done_about_them(admin: Client, room: Room) -> None:
    presence.renew("n", 30)
    presence.apply("n", [Move("c", room.pk, Actor("guest:4f1d2c00", "Guest 4f1d"))])
    page = admin.get(f"/admin/realtime/room/{room.pk}/change/").content.decode()
    link = f"/admin/realtime/room/{room.pk}/deal/?person=guest%3A4f1d2c00"
    assert f'<a href="{link}"><bdi>Guest 4f1d</bdi></a>' in page
    assert 'value="guest:4f1d2c00"' in admin.get(link).content.decode()


@pytest.mark.parametrize("deed", ["mute", "ban"])
def test_somebody_is_muted_or_banned_by_name(admin: Client, room: Room, rung: list[Ring], deed: str) -> None:
    alice = rows.user("alice")
    page = deal(admin, room, person="alice", deed=deed, reason="spam")
    assert f"Alice is {'muted' if deed == 'mute' else 'banned'}." in page  # the admin begins with a capital
    (row,) = Sanction.objects.all()
    assert (row.kind, row.person, row.user, row.reason, row.by_name) == (
        deed,
        f"user:{alice.pk}",
        alice,
        "spam",
        "boss",
    )
    assert row.until is not None
    assert rung == [Judged(room.pk, f"user:{alice.pk}", 1)]
    assert LogEntry.objects.get().change_message == f"alice is {'muted' if deed == 'mute' else 'banned'}."


def test_for_good_has_no_end(admin: Client, room: Room) -> None:
    deal(admin, room, person="guest:4f1d2c00", deed="ban", seconds="")
    assert Sanction.objects.get().until is None


def test_an_api_key_is_found_by_its_id(admin: Client, room: Room) -> None:
    apikeys.make("Builds", rows.user("alice"), rooms=[room])
    deal(admin, room, person=f"key:{ApiKey.objects.get().pk}")
    assert Sanction.objects.get().name == "Builds"


def test_somebody_is_taken_out(admin: Client, room: Room, rung: list[Ring]) -> None:
    assert "Guest 4f1d is taken out." in deal(admin, room, person="guest:4f1d2c00", deed="kick")
    (ring,) = rung
    assert isinstance(ring, Kicked)
    assert (ring.room_pk, ring.person) == (room.pk, "guest:4f1d2c00")


def test_a_user_is_disconnected_everywhere(admin: Client, room: Room, rung: list[Ring]) -> None:
    alice = rows.user("alice")
    assert "Alice is disconnected, everywhere." in deal(admin, room, person="alice", deed="disconnect")
    assert rung == [Changed(disconnect=str(alice.pk))]
    assert LogEntry.objects.get().change_message == "alice is disconnected, everywhere."


@pytest.mark.parametrize("person", ["guest:4f1d2c00", "key"])
def test_only_users_are_disconnected(admin: Client, room: Room, rung: list[Ring], person: str) -> None:
    if person == "key":
        apikeys.make("Builds", rows.user("alice"), rooms=[room])
        person = f"key:{ApiKey.objects.get().pk}"
        rung.clear()
    assert "Only users can be disconnected." in deal(admin, room, person=person, deed="disconnect")
    assert rung == []


def test_disconnecting_takes_the_permission_to_change_users(room: Room, rung: list[Ring]) -> None:
    clerk, alice = rows.user("clerk", is_staff=True), rows.user("alice")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=("view_room", "change_room")))
    page = f"/admin/realtime/room/{room.pk}/deal/"
    assert 'value="disconnect"' not in logged_in(clerk).get(page).content.decode()
    assert "errorlist" in deal(logged_in(clerk), room, person="alice", deed="disconnect")
    assert Changed(disconnect=str(alice.pk)) not in rung
    clerk.user_permissions.add(Permission.objects.get(codename="change_user"))
    assert 'value="disconnect"' in logged_in(clerk).get(page).content.decode()
    deal(logged_in(clerk), room, person="alice", deed="disconnect")
    assert Changed(disconnect=str(alice.pk)) in rung


@pytest.mark.parametrize("person", ["nobody", "user:999", "guest:", "key:1", ""])
def test_nobody_in_particular_is_not_found(admin: Client, room: Room, person: str) -> None:
    assert "errorlist" in deal(admin, room, person=person)
    assert Sanction.objects.count() == 0


def test_who_may_not_change_rooms_deals_with_nobody(room: Room) -> None:
    clerk = rows.user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_room"))
    answer = logged_in(clerk).post(f"/admin/realtime/room/{room.pk}/deal/", {"person": "guest:1", "deed": "ban"})
    assert (answer.status_code, Sanction.objects.count()) == (403, 0)


def test_a_room_that_is_not_there_is_not_found(admin: Client) -> None:
    assert admin.get("/admin/realtime/room/999/deal/").status_code == 404


def test_the_list_lifts(admin: Client, room: Room, rung: list[Ring]) -> None:
    alice = Actor("guest:1", "Guest 1")
    rooms.ban(alice, room)
    rooms.mute(alice, room)
    rung.clear()
    chosen = [str(row.pk) for row in Sanction.objects.all()]
    page = admin.post(LIST, {"action": "lift", "_selected_action": chosen}, follow=True).content.decode()
    assert "2 lifted." in page
    assert not rows.again(room).sanctioned
    assert rung == [Judged(room.pk, "guest:1", 3), Judged(room.pk, "guest:1", 4)]


def test_deleting_is_lifting_and_nothing_is_added_or_changed_by_hand(admin: Client, room: Room) -> None:
    rooms.ban(Actor("guest:1", "Guest 1"), room)
    row = Sanction.objects.get()
    assert "delete_selected" not in admin.get(LIST).content.decode()
    assert [admin.get(f"{LIST}add/").status_code, admin.post(f"{LIST}{row.pk}/change/", {}).status_code] == [403, 403]
    admin.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert (Sanction.objects.count(), rows.again(room).sanctioned) == (0, False)
