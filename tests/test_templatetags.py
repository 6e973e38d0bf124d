"""The template tags: a room in any template, from a snapshot and without a query."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from realtime import rooms
from realtime.kinds import Actor
from realtime.models import Room
from realtime.templatetags import realtime as tags

ALICE = {"id": "user:1", "name": "alice"}
BOB = {"id": "user:2", "name": "bob"}


def said(seq: int, at: str, by: dict[str, str] | None = ALICE, name: str = "message", **data: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "name": name,
        "at": f"{at}.000Z",
        "by": by,
        "key": None,
        "data": data or {"text": f"line {seq}"},
    }


def lines(*events: dict[str, Any]) -> list[tags.Line]:
    return list(tags.arrange(events, ALICE["id"]))


def test_the_first_line_of_a_day_has_the_day() -> None:
    first, second, third = lines(
        said(1, "2026-03-01T10:00:00"), said(2, "2026-03-01T23:59:00"), said(3, "2026-03-02T00:01:00")
    )
    assert [line.day and line.day.isoformat() for line in (first, second, third)] == ["2026-03-01", None, "2026-03-02"]


def test_lines_of_one_person_within_five_minutes_are_grouped() -> None:
    found = lines(
        said(1, "2026-03-01T10:00:00"),
        said(2, "2026-03-01T10:05:00"),
        said(3, "2026-03-01T10:10:01"),
        said(4, "2026-03-01T10:10:02", BOB),
        said(5, "2026-03-01T10:10:03", None, "announcement"),
        said(6, "2026-03-01T10:10:04", None, "announcement"),
    )
    assert [line.is_grouped for line in found] == [False, True, False, False, False, False]


def test_a_day_also_ends_a_group() -> None:
    assert not lines(said(1, "2026-03-01T23:59:30"), said(2, "2026-03-02T00:00:30"))[1].is_grouped


def test_ones_own_lines_are_known() -> None:
    found = lines(
        said(1, "2026-03-01T10:00:00"), said(2, "2026-03-01T10:00:00", BOB), said(3, "2026-03-01T10:00:00", None)
    )
    assert [line.is_mine for line in found] == [True, False, False]


def test_a_persons_colour_is_the_one_of_the_script() -> None:
    assert (tags.realtime_hue("user:7"), tags.realtime_hue("guest:0a")) == (0, 3)


@pytest.fixture
def room(db: None) -> Room:
    room = Room.objects.create(slug="den", title="The <den>", kind="chat", join_access="anyone", act_access="login")
    rooms.publish(room, "message", {"text": "<script>alert(1)</script>"}, actor=Actor("user:1", "<b>alice</b>"))
    rooms.publish(room, "deployed", {"version": 7})
    rooms.publish(room, "announcement", {"text": "Tea is ready"})
    return room


@pytest.fixture
def request_of(rf: RequestFactory) -> Any:
    def make(user: Any = None) -> HttpRequest:
        request = rf.get("/somewhere/?page=2")
        request.user = user or AnonymousUser()
        request.session = SessionStore()
        return request

    return make


def render(source: str, request: HttpRequest, **values: Any) -> str:
    return Template("{% load realtime %}" + source).render(Context({"request": request, **values}))


def test_a_room_is_shown_without_a_query(
    room: Room, request_of: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    request = request_of()
    snapshot = rooms.snapshot("den", request)
    with django_assert_num_queries(0):
        html = render("{% realtime_room snapshot %}", request, snapshot=snapshot)
    assert 'data-realtime-room="den"' in html
    assert 'data-realtime-mount="/realtime"' in html
    assert "Tea is ready" in html


def test_nothing_that_people_wrote_is_markup(room: Room, request_of: Any) -> None:
    request = request_of()
    html = render("{% realtime_room snapshot %}", request, snapshot=rooms.snapshot("den", request))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>alice</b>" not in html
    assert "The <den>" not in html


def test_there_is_no_inline_script_or_style(room: Room, request_of: Any) -> None:
    request = request_of()
    html = render("{% realtime_assets %}{% realtime_room snapshot %}", request, snapshot=rooms.snapshot("den", request))
    assert not re.search(r"\s(style|on\w+)=", html)
    assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", html))


def test_the_script_is_told_where_the_page_stands(room: Room, request_of: Any) -> None:
    request = request_of()
    snapshot = rooms.snapshot("den", request, events=2)
    html = render("{% realtime_room snapshot %}", request, snapshot=snapshot)
    found = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert found
    assert json.loads(found[1]) == {
        "seq": 3,
        "first": 2,
        "complete": False,
        "state": {},
        "you": {"id": snapshot.you.id, "name": snapshot.you.name},
        "can": [],
        "muted": None,
        "slow": None,
    }


def test_an_event_without_a_text_is_no_line_of_a_chat(room: Room, request_of: Any) -> None:
    html = render("{% realtime_room snapshot %}", request_of(), snapshot=rooms.snapshot("den", request_of()))
    assert 'data-seq="1"' in html
    assert 'data-seq="2"' not in html


@pytest.mark.parametrize("text", [None, 5, ["x"], {}])
def test_a_text_that_is_none_is_no_line_of_a_chat(room: Room, request_of: Any, text: Any) -> None:
    rooms.publish(room, "message", {"text": text})
    html = render("{% realtime_room snapshot %}", request_of(), snapshot=rooms.snapshot("den", request_of()))
    assert ('data-seq="3"' in html, 'data-seq="4"' in html) == (True, False)


@pytest.mark.parametrize(("zone", "label"), [("UTC", "12:00 UTC"), ("Asia/Tokyo", "21:00 JST")])
def test_a_time_says_of_which_zone_it_is(room: Room, request_of: Any, zone: str, label: str) -> None:
    room.events.update(at="2026-03-01T12:00:00Z")
    with timezone.override(zone):
        html = render("{% realtime_room snapshot %}", request_of(), snapshot=rooms.snapshot("den", request_of()))
    assert re.findall(r">(\d\d:\d\d[^<]*)</time>", html) == [label, label]


def test_who_would_have_to_log_in_is_told_how_and_sent_back_here(room: Room, request_of: Any) -> None:
    request = request_of()
    html = render("{% realtime_room snapshot %}", request, snapshot=rooms.snapshot("den", request))
    assert 'href="/accounts/login/?next=%2Fsomewhere%2F%3Fpage%3D2"' in html


def test_who_may_write_is_not_told_to_log_in(room: Room, request_of: Any) -> None:
    request = request_of(User.objects.create_user("alice"))
    html = render("{% realtime_room snapshot %}", request, snapshot=rooms.snapshot("den", request))
    assert "data-rt-readonly hidden" in html


def test_the_title_has_the_level_that_the_page_wants(room: Room, request_of: Any) -> None:
    request = request_of()
    snapshot = rooms.snapshot("den", request)
    assert '<h2 class="rt-title"' in render("{% realtime_room snapshot %}", request, snapshot=snapshot)
    assert '<h1 class="rt-title"' in render("{% realtime_room snapshot heading=1 %}", request, snapshot=snapshot)
    without = render("{% realtime_room snapshot heading=0 %}", request, snapshot=snapshot)
    assert "rt-title" not in without
    assert 'aria-label="The &lt;den&gt;"' in without


def test_a_kind_without_a_template_is_a_list_of_its_events(room: Room, request_of: Any) -> None:
    request = request_of()
    snapshot = rooms.snapshot("den", request)
    snapshot.room.kind = "unheard_of"
    html = render("{% realtime_room snapshot %}", request, snapshot=snapshot)
    assert "page-log.js" in html
    assert "<b>deployed</b>" in html
    assert "{&quot;version&quot;: 7}" in html


def test_the_mount_is_where_the_site_says(room: Room, request_of: Any) -> None:
    request = request_of()
    html = render("{% realtime_room snapshot mount='/live/' %}", request, snapshot=rooms.snapshot("den", request))
    assert 'data-realtime-mount="/live"' in html


def test_a_room_is_shown_in_a_template_that_has_no_request(room: Room, request_of: Any) -> None:
    snapshot = rooms.snapshot("den", request_of())
    html = Template("{% load realtime %}{% realtime_room snapshot %}").render(Context({"snapshot": snapshot}))
    assert 'href="/accounts/login/"' in html
