"""Rooms in the admin, through its own pages."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from realtime import bus, presence, rooms
from realtime.kinds import Actor
from realtime.models import Event, Membership, Room
from realtime.presence import Move
from realtime.rings import Changed, Cleared, Ended, Happened, Ring
from tests.support import rows
from tests.support.visitor import Page, form_with

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/realtime/room/"
LOG = "/admin/realtime/event/"
NO_MEMBERS = {
    "memberships-TOTAL_FORMS": "0",
    "memberships-INITIAL_FORMS": "0",
    "memberships-MIN_NUM_FORMS": "0",
    "memberships-MAX_NUM_FORMS": "1000",
}
TEA = {"title": "Tea", "slug": "tea", "kind": "chat", "join_access": "anyone", "act_access": "login"} | NO_MEMBERS


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(rows.user("admin", is_staff=True, is_superuser=True))
    return client


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[Ring]:
    """What was told to everyone, in order."""
    told: list[Ring] = []
    monkeypatch.setattr(bus, "publish", told.append)
    return told


def edit(room: Room) -> str:
    return reverse("admin:realtime_room_change", args=[room.pk])


def shown(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, action: str, *chosen: Room, **values: str) -> Any:
    return client.post(
        LIST, {"action": action, "_selected_action": [room.pk for room in chosen], **values}, follow=True
    )


def confirm(client: Client, page: str, **values: str) -> Any:
    """Fill in the page that an action asks with, and press its button."""
    form = form_with({"action", "_selected_action"}, Page(200, LIST, page))
    chosen = [value for name, value in form.fields if name == "_selected_action"]
    (button,) = re.findall(r'<(?:input|button)[^>]* name="(confirmed)"', page)
    return client.post(LIST, dict(form.fields) | {"_selected_action": chosen, button: "yes"} | values, follow=True)


def fields(client: Client, url: str, name: str) -> dict[str, str]:
    """The form with a field of this name, as a browser would send it."""
    return dict(form_with({name}, Page(200, url, shown(client, url))).fields)


# A room


def test_a_room_is_made_and_is_usable(admin: Client) -> None:
    answer = admin.post(f"{LIST}add/", TEA)
    assert answer.status_code == 302, answer.content.decode()
    room = Room.objects.get(slug="tea")
    assert (room.kind, room.keep_events, room.max_bytes, room.commands_per_second) == ("chat", None, None, None)
    assert rooms.publish("tea", "message", {"text": "hi"}) == 1


def test_how_many_people_a_room_is_for_is_set_with_its_other_limits(admin: Client) -> None:
    room = rows.room("tea")
    assert room.max_occupants is None
    form = fields(admin, edit(room), "max_occupants")
    assert admin.post(edit(room), form | {"max_occupants": "12"}).status_code == 302
    assert rows.again(room).max_occupants == 12
    assert admin.post(edit(room), form | {"max_occupants": "-1"}).status_code == 200


def test_the_kind_is_chosen_from_those_that_are_registered(admin: Client) -> None:
    text = shown(admin, f"{LIST}add/")
    assert re.findall(r'<option value="(chat|counter)"', text) == ["chat", "counter"]
    answer = admin.post(f"{LIST}add/", TEA | {"kind": "poem"})
    assert "Select a valid choice" in answer.content.decode()


def test_a_kind_that_is_no_longer_installed_stays_as_it_is(admin: Client) -> None:
    room = rows.room("old", kind="poem", title="Old")
    assert "poem (not installed)" in shown(admin, edit(room))
    assert admin.post(edit(room), TEA | {"kind": "poem", "title": "Older"}).status_code == 302
    assert (rows.again(room).kind, rows.again(room).title) == ("poem", "Older")


def test_two_rooms_cannot_share_a_slug(admin: Client) -> None:
    rows.room("tea")
    assert "already exists" in admin.post(f"{LIST}add/", TEA).content.decode()


def test_editing_a_room_while_events_come_sets_nothing_back(admin: Client) -> None:
    room = rows.room("visits", kind="counter")
    form = fields(admin, edit(room), "title")
    rooms.publish(room, "added", {"by": 5})
    assert admin.post(edit(room), form | {"title": "Renamed"}).status_code == 302
    stored = rows.again(room)
    assert (stored.title, stored.head, stored.state) == ("Renamed", 1, {"value": 5})


def test_a_rooms_slug_stays_as_it_is(admin: Client) -> None:
    room = rows.room("tea")
    assert 'name="slug"' not in shown(admin, edit(room))
    admin.post(edit(room), TEA | {"slug": "coffee"})
    assert rows.again(room).slug == "tea"


def test_the_log_of_a_room_cannot_be_edited_with_it(admin: Client) -> None:
    room = rows.room("tea")
    admin.post(edit(room), TEA | {"head": "99", "tail": "99", "state": "{}", "closed": "on"})
    assert (rows.again(room).head, rows.again(room).tail, rows.again(room).closed) == (0, 0, False)


def test_people_are_made_members_in_the_room(admin: Client) -> None:
    room, alice = rows.room("tea"), rows.user("alice")
    values = TEA | {
        "memberships-TOTAL_FORMS": "1",
        "memberships-0-user": str(alice.pk),
        "memberships-0-role": "moderator",
        "memberships-0-room": str(room.pk),
    }
    assert admin.post(edit(room), values).status_code == 302
    assert Membership.objects.get(room=room).role == "moderator"


def test_who_is_here_is_shown(admin: Client) -> None:
    room = rows.room("tea")
    presence.renew("n", 30)
    presence.apply("n", [Move("c", room.pk, Actor("user:1", "Zoë")), Move("d", room.pk, Actor("user:1", "Zoë"))])
    assert "Zoë" in shown(admin, edit(room))
    assert '<td class="field-people_now">1</td>' in shown(admin, LIST)
    assert "nobody" in shown(admin, edit(rows.room()))


def test_rooms_are_searched_and_filtered(admin: Client) -> None:
    rows.room("tea", title="Afternoon")
    rows.room("visits", title="Visits", kind="counter")
    assert ("Afternoon" in shown(admin, LIST, q="tea"), "Visits</a>" in shown(admin, LIST, q="tea")) == (True, False)
    assert "Afternoon" not in shown(admin, LIST, kind__exact="counter")
    assert "Afternoon" not in shown(admin, LIST, closed__exact="1")


# Actions


def test_rooms_are_closed_and_reopened_and_those_in_them_are_told(admin: Client, rung: list[Ring]) -> None:
    tea, cake = rows.room(), rows.room()
    assert "2 rooms closed." in act(admin, "close_rooms", tea, cake).content.decode()
    assert [rows.again(room).closed for room in (tea, cake)] == [True, True]
    assert {ring.room_pk for ring in rung if isinstance(ring, Ended)} == {tea.pk, cake.pk}
    assert "1 room opened." in act(admin, "reopen_rooms", tea).content.decode()
    assert [rows.again(room).closed for room in (tea, cake)] == [False, True]


def test_history_is_cleared_only_after_asking(admin: Client, rung: list[Ring]) -> None:
    room, other = rows.room(title="Tea & Cake"), rows.room()
    for one in (room, other):
        rooms.publish(one, "message", {})
    page = act(admin, "clear_history", room)
    assert "Tea &amp; Cake" in page.content.decode()
    assert Event.objects.count() == 2
    answer = confirm(admin, page.content.decode())
    assert "1 history cleared." in answer.content.decode()
    assert (rows.events(room), len(rows.events(other))) == ([], 1)
    assert rung[-1] == Cleared(room.pk, 1)


def test_an_announcement_is_asked_for_and_posted(admin: Client, rung: list[Ring]) -> None:
    tea, cake = rows.room(), rows.room(closed=True)
    page = act(admin, "announce", tea, cake).content.decode()
    answer = confirm(admin, page, text="<b>Tea</b> is ready")
    assert "Announced in 2 rooms." in answer.content.decode()
    for room in (tea, cake):
        assert rows.events(room) == [(1, "announcement", {"text": "<b>Tea</b> is ready"})]
    assert [type(ring) for ring in rung if not isinstance(ring, Changed)] == [Happened, Happened]


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001])
def test_an_announcement_that_says_nothing_or_too_much_is_asked_for_again(admin: Client, text: str) -> None:
    room = rows.room()
    page = act(admin, "announce", room, confirmed="yes", text=text).content.decode()
    assert 'class="errorlist"' in page
    assert rows.events(room) == []


def test_what_was_done_is_in_the_admins_own_history(admin: Client) -> None:
    room = rows.room()
    act(admin, "close_rooms", room)
    assert LogEntry.objects.get().object_id == str(room.pk)


def test_one_who_may_only_look_may_not_act(client: Client) -> None:
    viewer = rows.user(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_room", "view_event"]))
    client.force_login(viewer)
    room = rows.room()
    rooms.publish(room, "message", {})
    for action in ("close_rooms", "reopen_rooms", "clear_history", "announce"):
        act(client, action, room, confirmed="yes", text="hi")
    assert not rows.again(room).closed
    assert len(rows.events(room)) == 1


# The same on a room's own page


def tool(client: Client, room: Room, action: str, **values: str) -> Any:
    """Press a button of the room's page, which has to be there."""
    url = reverse("admin:realtime_room_act", args=[room.pk, action])
    assert f'action="{url}"' in shown(client, edit(room))
    return client.post(url, values, follow=True)


def test_a_room_is_closed_and_reopened_on_its_own_page(admin: Client) -> None:
    room = rows.room()
    for action, closed, says in (("close_rooms", True, "1 room closed."), ("reopen_rooms", False, "1 room opened.")):
        answer = tool(admin, room, action)
        assert (rows.again(room).closed, answer.request["PATH_INFO"]) == (closed, edit(room))
        assert says in answer.content.decode()


def test_a_rooms_own_page_asks_before_it_clears(admin: Client) -> None:
    room = rows.room()
    rooms.publish(room, "message", {})
    page = tool(admin, room, "clear_history").content.decode()
    assert f'href="{edit(room)}" class="closelink"' in page
    assert len(rows.events(room)) == 1
    answer = tool(admin, room, "clear_history", confirmed="yes")
    assert (rows.events(room), answer.request["PATH_INFO"]) == ([], edit(room))


def test_an_announcement_is_posted_from_a_rooms_own_page(admin: Client) -> None:
    room = rows.room()
    assert "<textarea" in tool(admin, room, "announce").content.decode()
    tool(admin, room, "announce", confirmed="yes", text="Tea")
    assert rows.events(room) == [(1, "announcement", {"text": "Tea"})]


def test_the_pages_buttons_do_nothing_for_who_only_looks_and_nothing_on_get(client: Client, admin: Client) -> None:
    room = rows.room()
    url = reverse("admin:realtime_room_act", args=[room.pk, "close_rooms"])
    viewer = rows.user(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_room"))
    client.force_login(viewer)
    assert "rt-tool" not in shown(client, edit(room))
    assert client.post(url).status_code == 403
    assert Client().post(url).status_code == 302
    assert admin.get(url).status_code == 405
    assert Client(enforce_csrf_checks=True).post(url).status_code in (302, 403)
    assert admin.post(reverse("admin:realtime_room_act", args=[room.pk, "delete_selected"])).status_code == 404
    assert admin.post(reverse("admin:realtime_room_act", args=[room.pk + 1, "close_rooms"])).status_code == 404
    assert not rows.again(room).closed


# The log


@pytest.fixture
def event() -> Event:
    room, alice = rows.room("tea", title="Tea"), rows.user("alice")
    rooms.publish(room, "message", {"text": "Grüße an alle"}, actor=alice, key="k-123")
    rooms.publish(rows.room("other", title="Other"), "announcement", {"text": "x" * 200})
    return Event.objects.get(room=room)


def test_the_log_is_shown_newest_first(admin: Client, event: Event) -> None:
    text = shown(admin, LOG)
    assert text.index("announcement") < text.index("alice")
    assert "x" * 100 not in text


def test_the_log_shows_json(admin: Client, event: Event) -> None:
    assert "{&quot;text&quot;: &quot;Grüße an alle&quot;}" in shown(admin, LOG)
    assert "{&quot;text&quot;: &quot;Grüße an alle&quot;}" in shown(
        admin, reverse("admin:realtime_event_change", args=[event.pk])
    )


@pytest.mark.parametrize("query", ["Grüße", "an alle", "alice", "k-123"])
def test_the_log_is_searched(admin: Client, event: Event, query: str) -> None:
    text = shown(admin, LOG, q=query)
    assert ("alice" in text, "xxx" in text) == (True, False)


def test_the_log_is_filtered(admin: Client, event: Event) -> None:
    assert "xxx" not in shown(admin, LOG, room__id__exact=str(event.room_id))
    assert "xxx" not in shown(admin, LOG, name="message")


def test_an_event_is_shown_and_nothing_can_be_changed(admin: Client, event: Event) -> None:
    url = reverse("admin:realtime_event_change", args=[event.pk])
    text = shown(admin, url)
    assert "alle" in text
    assert 'name="_save"' not in text
    assert admin.post(url, {"name": "changed"}).status_code == 403
    assert admin.post(f"{LOG}add/", {}).status_code == 403
    assert admin.post(reverse("admin:realtime_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 403
    admin.post(LOG, {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"})
    assert Event.objects.filter(pk=event.pk, name="message").exists()


def test_the_key_of_a_removed_event_is_neither_shown_nor_found(admin: Client, event: Event) -> None:
    url = reverse("admin:realtime_event_change", args=[event.pk])
    assert "k-123" in shown(admin, url)
    rooms.remove("tea", event.seq)
    assert Event.objects.get(pk=event.pk).key == "k-123", "sending it again would say it again"
    assert "k-123" not in shown(admin, url)
    assert "alice" not in shown(admin, LOG, q="k-123")


def test_a_room_can_be_deleted_with_its_log(admin: Client, event: Event) -> None:
    url = reverse("admin:realtime_room_delete", args=[event.room_id])
    assert "<li>Events: 1</li>" in shown(admin, url)
    assert admin.post(url, {"post": "yes"}).status_code == 302
    assert not Room.objects.filter(pk=event.room_id).exists()


def test_one_who_may_not_delete_rooms_cannot(client: Client, event: Event) -> None:
    viewer = rows.user(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_room", "change_room"]))
    client.force_login(viewer)
    assert client.post(reverse("admin:realtime_room_delete", args=[event.room_id]), {"post": "yes"}).status_code == 403


def test_guests_see_none_of_it(client: Client, event: Event) -> None:
    for url in (LIST, LOG):
        assert client.get(url).status_code == 302
    client.force_login(User.objects.get(username="alice"))
    assert client.get(LOG).status_code == 302


def test_the_kind_of_a_room_with_a_history_stays(admin: Client) -> None:
    fresh, used = rows.room(), rows.room()
    rooms.publish(used, "message", {"text": "x"})
    assert 'name="kind"' in admin.get(edit(fresh)).content.decode()
    assert 'name="kind"' not in admin.get(edit(used)).content.decode()


def test_the_list_of_rooms_counts_people_without_a_query_for_each(
    admin: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        rows.room()
    with django_assert_max_num_queries(10):
        admin.get(reverse("admin:realtime_room_changelist"))
