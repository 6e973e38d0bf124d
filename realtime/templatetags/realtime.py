"""Tags that put a room into any template: `{% load realtime %}`.

`{% realtime_assets %}` once in the head, `{% realtime_room snapshot %}` where the room goes, with a snapshot that
the view took: tags never query. What a room looks like is the template `realtime/kinds/<kind>.html`, which a site
overrides by having one of the same name, and writes for its own kinds.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django import template
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.shortcuts import resolve_url
from django.template.loader import select_template
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.utils.safestring import SafeString

register = template.Library()

TOGETHER = datetime.timedelta(minutes=5)
"""Lines of one person within this time stand under one name. `chat-arrange.js` has the same number."""

HUES = 8


@register.inclusion_tag("realtime/assets.html")
def realtime_assets() -> dict[str, Any]:
    """The style sheet and the script of every room on the page."""
    return {}


@register.simple_tag(takes_context=True)
def realtime_room(context: template.Context, snapshot: Any, mount: str = "/realtime", heading: int = 2) -> SafeString:
    """One room. `mount` is where `realtime.urls` is included; `heading` the level of its title, 0 for none."""
    kind = snapshot.room.kind
    chosen = select_template([f"realtime/kinds/{kind}.html", "realtime/kinds/base.html"])
    request = context.get("request")
    page = {
        "snapshot": snapshot,
        "room": snapshot.room,
        "mount": mount.rstrip("/"),
        "heading": heading,
        "can_act": "act" in snapshot.can,
        "login_url": login_url(request),
        "bootstrap": bootstrap(snapshot),
    }
    html: SafeString = chosen.render(page, request)
    return html


def bootstrap(snapshot: Any) -> dict[str, Any]:
    """What the script needs to go on from where the server stopped."""
    events = snapshot.events
    return {
        "seq": snapshot.seq,
        "first": events[0]["seq"] if events else snapshot.seq + 1,
        "complete": snapshot.complete,
        "state": snapshot.state,
        "you": {"id": snapshot.you.id, "name": snapshot.you.name},
        "can": list(snapshot.can),
        "muted": snapshot.muted,
        "slow": snapshot.slow,
    }


def login_url(request: Any) -> str:
    """The site's login page, with the way back to this one."""
    address = resolve_url(settings.LOGIN_URL)
    if request is None:
        return address
    return f"{address}?{urlencode({'next': request.get_full_path()})}"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """An event as a line of the page. `day` is there when the line is the first of its day."""

    event: dict[str, Any]
    at: datetime.datetime | None
    is_mine: bool
    is_grouped: bool
    day: datetime.date | None


@register.filter
def realtime_lines(snapshot: Any) -> Iterator[Line]:
    """The snapshot's events that have, or had, a text, as lines with day breaks and grouping."""
    said = (event for event in snapshot.events if event.get("removed") or isinstance(event["data"].get("text"), str))
    return arrange(said, snapshot.you.id)


def arrange(events: Iterable[dict[str, Any]], you: str) -> Iterator[Line]:
    """Each event as a line that knows what stands above it."""
    above: Line | None = None
    for event in events:
        at = realtime_time(event["at"])
        same_day = above is not None and above.at is not None and at is not None and is_same_day(above.at, at)
        above = Line(
            event=event,
            at=at,
            is_mine=bool(event["by"]) and event["by"]["id"] == you,
            is_grouped=same_day and above is not None and is_together(above, event, at),
            day=None if same_day or at is None else timezone.localtime(at).date(),
        )
        yield above


def is_same_day(one: datetime.datetime, other: datetime.datetime) -> bool:
    return timezone.localtime(one).date() == timezone.localtime(other).date()


def is_together(above: Line, event: dict[str, Any], at: datetime.datetime | None) -> bool:
    """Whether a line goes on under the name of the line above."""
    if not above.at or not at or not event["by"] or not above.event["by"]:
        return False
    same_author = above.event["by"]["id"] == event["by"]["id"]
    return same_author and above.event["name"] == event["name"] and at - above.at <= TOGETHER


@register.filter
def realtime_time(text: str) -> datetime.datetime | None:
    """The time of an event, from the text of the wire."""
    return parse_datetime(text)


@register.filter
def realtime_json(value: Any) -> str:
    """A value as JSON, for people to read; the template escapes it."""
    return json.dumps(value, ensure_ascii=False, cls=DjangoJSONEncoder)


@register.filter
def realtime_hue(person_id: str) -> int:
    """One of a few colours, the same for a person on every page and in the script."""
    return sum(str(person_id).encode()) % HUES


@register.filter
def realtime_initial(name: str) -> str:
    """The letter that stands for a person."""
    return str(name)[:1].upper() or "?"
