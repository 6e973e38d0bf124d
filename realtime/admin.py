"""Rooms in the admin: their settings and members to edit, their log to read, who is in them to see.

The log is changed through `rooms` alone: closing, clearing and announcing are actions, of the list and of a room's own page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from realtime import keyadmin as keyadmin  # registers the keys
from realtime import kinds, presence, rooms
from realtime.models import Event, Membership, Room
from realtime.sanctionadmin import DealForm, may_disconnect

_NAMES_SHOWN = 100


class RoomForm(forms.ModelForm):  # type: ignore[type-arg]
    """A room, with its kind chosen from those that are registered, and a kind that no longer is kept as it stands."""

    kind = forms.ChoiceField(
        label=_("Kind"), help_text=_("What the room does. It stays once something has happened in the room.")
    )

    class Meta:
        model = Room
        fields = "__all__"  # noqa: DJ007 - the admin's fieldsets choose

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = kinds.choices()
        present = self.instance.kind
        if present and present not in dict(choices):
            choices.append((present, _("%(kind)s (not installed)") % {"kind": present}))
        if "kind" in self.fields:
            self.fields["kind"].choices = choices  # type: ignore[attr-defined]


class AnnouncementForm(forms.Form):
    text = forms.CharField(
        label=_("Announcement"), max_length=4000, widget=forms.Textarea(attrs={"rows": 4, "autofocus": True})
    )


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    raw_id_fields = ("user",)

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search for users as one types, where the site's user model has an admin that can."""
        users = self.admin_site._registry.get(get_user_model())
        return ("user",) if users is not None and users.search_fields else ()


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = RoomForm
    inlines = (MembershipInline,)
    list_display = ("title", "slug", "kind", "join_access", "act_access", "is_open", "people_now", "head")
    list_filter = ("kind", "closed", "join_access", "act_access")
    search_fields = ("title", "slug")
    prepopulated_fields = {"slug": ("title",)}
    actions = ("close_rooms", "reopen_rooms", "clear_history", "announce")
    readonly_fields = ("is_open", "people_here", "head", "kept_events", "state", "created_at")
    tools = ("close_rooms", "reopen_rooms", "clear_history", "announce")
    """Those of the actions that a room's own page offers, too."""
    fieldsets = (
        (None, {"fields": ("title", "slug", "kind")}),
        (_("Access"), {"fields": ("join_access", "act_access", "is_open")}),
        (_("Retention"), {"fields": ("keep_events", "keep_days")}),
        (_("Limits"), {"fields": ("max_bytes", "commands_per_second", "slow_seconds", "max_occupants")}),
        (_("Now"), {"fields": ("people_here", "head", "kept_events", "state", "created_at")}),
    )

    class Media:
        css = {"all": ["realtime/admin.css"]}

    def get_readonly_fields(self, request: HttpRequest, obj: Room | None = None) -> tuple[str, ...]:
        """A room's slug is its address on the wire, and its kind is what its history can be read as: both stay."""
        if obj is None:
            return self.readonly_fields
        return (*self.readonly_fields, "slug", "kind") if obj.head else (*self.readonly_fields, "slug")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Room | None = None) -> dict[str, Any]:
        return dict(self.prepopulated_fields) if obj is None else {}

    def get_deleted_objects(
        self, objs: Iterable[Room], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """A room takes its log along, which nobody may delete by itself and which is too long to be listed."""
        found = list(objs)
        events = Event.objects.filter(room__in=found).count()
        counts = {str(Room._meta.verbose_name_plural): len(found), str(Event._meta.verbose_name_plural): events}
        return [str(room) for room in found], counts, set(), []

    @admin.display(boolean=True, description=_("open"), ordering="closed")
    def is_open(self, room: Room) -> bool:
        return not room.closed

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        return presence.counted(super().get_queryset(request))

    @admin.display(description=_("here now"), ordering="people_now")
    def people_now(self, room: Room) -> int:
        return int(getattr(room, "people_now", 0))

    @admin.display(description=_("here now"))
    def people_here(self, room: Room) -> str:
        people = presence.people(room.pk, limit=_NAMES_SHOWN + 1) if room.pk else []
        deal = reverse("admin:realtime_room_deal", args=[room.pk], current_app=self.admin_site.name) if people else ""
        links = ((f"{deal}?{urlencode({'person': person.id})}", person.name) for person in people[:_NAMES_SHOWN])
        names = format_html_join(", ", '<a href="{}"><bdi>{}</bdi></a>', links)
        return format_html("{}, …", names) if len(people) > _NAMES_SHOWN else names or str(_("nobody"))

    @admin.display(description=_("events kept now"))
    def kept_events(self, room: Room) -> int:
        return room.events.count() if room.pk else 0

    @admin.action(description=_("Close the selected rooms"), permissions=["change"])
    def close_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        self._each(request, queryset, rooms.close, ngettext("%d room closed.", "%d rooms closed.", queryset.count()))

    @admin.action(description=_("Reopen the selected rooms"), permissions=["change"])
    def reopen_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        self._each(request, queryset, rooms.reopen, ngettext("%d room opened.", "%d rooms opened.", queryset.count()))

    @admin.action(description=_("Clear the history of the selected rooms"), permissions=["change"])
    def clear_history(self, request: HttpRequest, queryset: QuerySet[Room]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, queryset, "clear_history", _("Clear history"), None)
        self._each(
            request, queryset, rooms.clear, ngettext("%d history cleared.", "%d histories cleared.", queryset.count())
        )
        return None

    @admin.action(description=_("Post an announcement into the selected rooms"), permissions=["change"])
    def announce(self, request: HttpRequest, queryset: QuerySet[Room]) -> HttpResponse | None:
        form = AnnouncementForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, queryset, "announce", _("Post an announcement"), form)
        text = form.cleaned_data["text"]
        said = ngettext("Announced in %d room.", "Announced in %d rooms.", queryset.count())
        self._each(request, queryset, lambda room: rooms.announce(room, text), said)
        return None

    # The same on a room's own page

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<path:object_id>/act/<slug:action>/", self.admin_site.admin_view(self.act), name="realtime_room_act"
        )
        deal = path("<path:object_id>/deal/", self.admin_site.admin_view(self.deal), name="realtime_room_deal")
        return [act, deal, *super().get_urls()]

    def act(self, request: HttpRequest, object_id: str, action: str) -> HttpResponse:
        """Carry out an action on one room, and go back to its page."""
        room = self.get_object(request, unquote(object_id))
        if room is None or action not in self.tools:
            raise Http404
        if action not in self.get_actions(request) or not self.has_change_permission(request, room):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        chosen = self.get_queryset(request).filter(pk=room.pk)
        asked: HttpResponse | None = getattr(self, action)(request, chosen)
        return asked or HttpResponseRedirect(self._page_of(room))

    def deal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what is to be done about somebody in a room, and do it."""
        room = self.get_object(request, unquote(object_id))
        if room is None:
            raise Http404
        if not self.has_change_permission(request, room):
            raise PermissionDenied
        initial = {"person": request.GET.get("person", "")}
        form = DealForm(request.POST or None, initial=initial, everywhere=may_disconnect(request))
        if form.is_valid():
            assert isinstance(request.user, AbstractBaseUser)
            form.carry_out(room, by=request.user)
            self.log_change(request, room, form.said())
            messages.success(request, form.said())
            return HttpResponseRedirect(self._page_of(room))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Mute, ban or take out"),
            "room": room,
            "form": form,
            "back": self._page_of(room),
            "opts": self.model._meta,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/realtime/room/deal.html", context)

    def _page_of(self, room: Room) -> str:
        return reverse("admin:realtime_room_change", args=[room.pk], current_app=self.admin_site.name)

    def _each(self, request: HttpRequest, queryset: QuerySet[Room], act: Any, said: str) -> None:
        found = list(queryset)
        for room in found:
            act(room)
            self.log_change(request, room, said % 1)
        messages.success(request, said % len(found))

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Room], action: str, title: Any, form: forms.Form | None
    ) -> HttpResponse:
        match = request.resolver_match
        on_its_own = match is not None and match.url_name == "realtime_room_act"
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "rooms": queryset,
            "form": form,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "back": self._page_of(queryset[0]) if on_its_own else request.get_full_path(),
            "opts": self.model._meta,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/realtime/room/ask.html", context)


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The log, to be read."""

    list_display = ("room", "seq", "at", "name", "actor_name", "excerpt")
    list_display_links = ("seq",)
    list_filter = ("room", "name", "at")
    list_select_related = ("room",)
    search_fields = ("data", "actor_name", "actor")
    ordering = ("-id",)
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Look for keys, too, but not for those of removed events, which say what their senders liked.

        SQLite keeps JSON as ASCII: there, text beyond it is looked for as it stands in the column.
        """
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if not search_term:
            return found, may_repeat
        found |= queryset.filter(key__icontains=search_term, removal=None)
        written = json.dumps(search_term)[1:-1]
        return found if written == search_term else found | queryset.filter(data__icontains=written), may_repeat

    def get_exclude(self, request: HttpRequest, obj: Event | None = None) -> tuple[str, ...]:
        """The key stays in the row, so that sending again is harmless; it is not shown where what was said is gone."""
        return ("key",) if obj is not None and obj.removal is not None else ()

    @admin.display(description=_("data"))
    def excerpt(self, event: Event) -> str:
        text = json.dumps(event.data, ensure_ascii=False)
        return text if len(text) <= 80 else f"{text[:79]}…"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False
