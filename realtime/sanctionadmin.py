"""Bans and mutes in the admin: listed and lifted here, imposed from a room's page. All of it goes through `rooms`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from realtime import apikeys, auth, rooms
from realtime.auth import Person
from realtime.kinds import Actor
from realtime.models import Room, Sanction, SanctionKind

_TIMES = (
    ("600", _("10 minutes")),
    ("3600", _("1 hour")),
    ("86400", _("1 day")),
    ("604800", _("1 week")),
    ("", _("For good")),
)


class DealForm(forms.Form):
    """What is to be done about somebody in a room."""

    KICK = "kick"
    DISCONNECT = "disconnect"

    person = forms.CharField(
        label=_("Who"),
        max_length=150,
        help_text=_("A username, or the id of a guest or an API key: guest:4f1d2c00, key:7."),
    )
    deed = forms.ChoiceField(
        label=_("What"),
        choices=(
            (SanctionKind.MUTE, _("Mute: may read, but not act")),
            (SanctionKind.BAN, _("Ban: may not come in")),
            (KICK, _("Take out, once: may come back")),
        ),
        initial=SanctionKind.MUTE,
    )
    seconds = forms.ChoiceField(label=_("For how long"), choices=_TIMES, required=False, initial="3600")
    reason = forms.CharField(label=_("Reason"), max_length=200, required=False, help_text=_("For moderators to read."))

    def __init__(self, *args: Any, everywhere: bool = False, **kwargs: Any) -> None:
        """`everywhere`: what reaches beyond the room is offered, too."""
        super().__init__(*args, **kwargs)
        if everywhere:
            deed: Any = self.fields["deed"]
            deed.choices = [
                *deed.choices,
                (self.DISCONNECT, _("Disconnect, everywhere: away until they load a page again")),
            ]

    def clean_person(self) -> Person:
        wanted: str = self.cleaned_data["person"]
        found = auth.of_id(wanted) or apikeys.of_id(wanted) or _of_username(wanted)
        if found is None:
            raise ValidationError(_("There is nobody of this name or id."))
        return found

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if found.get("deed") == self.DISCONNECT and "person" in found:
            found["user"] = _user(found["person"])
            if found["user"] is None:
                self.add_error("person", _("Only users can be disconnected. Take a guest out, and revoke an API key."))
        return found

    def carry_out(self, room: Room, by: AbstractBaseUser) -> None:
        target: Actor = self.cleaned_data["person"].actor
        seconds, reason = self.cleaned_data["seconds"], self.cleaned_data["reason"]
        until = timedelta(seconds=int(seconds)) if seconds else None
        match self.cleaned_data["deed"]:
            case self.KICK:
                rooms.kick(target, room)
            case self.DISCONNECT:
                rooms.disconnect(self.cleaned_data["user"])
            case SanctionKind.BAN:
                rooms.ban(target, room, until=until, reason=reason, by=by)
            case _:
                rooms.mute(target, room, until=until, reason=reason, by=by)

    def said(self) -> str:
        """What was done, for the log of the admin and the page."""
        name, deed = self.cleaned_data["person"].name, self.cleaned_data["deed"]
        words = {
            self.KICK: _("%(name)s is taken out."),
            self.DISCONNECT: _("%(name)s is disconnected, everywhere."),
            SanctionKind.BAN.value: _("%(name)s is banned."),
            SanctionKind.MUTE.value: _("%(name)s is muted."),
        }
        return str(words[deed] % {"name": name})


def may_disconnect(request: HttpRequest) -> bool:
    """Say whether somebody may do what reaches all of a user's connections: it takes the permission to change users."""
    options = get_user_model()._meta
    return request.user.has_perm(f"{options.app_label}.{get_permission_codename('change', options)}")


def _user(person: Person) -> AbstractBaseUser | None:
    """Return the account of a user; guests and API keys are none."""
    if person.user_pk is None or person.grant is not None:
        return None
    return get_user_model()._default_manager.filter(pk=person.user_pk).first()


def _of_username(name: str) -> Person | None:
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
    return None if user is None else auth.person_of(user)


@admin.register(Sanction)
class SanctionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To be read and lifted: deleting one is lifting it."""

    list_display = ("name", "kind", "room", "until", "reason", "by_name", "created_at")
    list_filter = ("kind", "room")
    list_select_related = ("room",)
    search_fields = ("name", "person", "reason")
    ordering = ("-created_at",)
    actions = ("lift",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Sanction | None = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description=_("Lift the selected bans and mutes"), permissions=["delete"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Sanction]) -> None:
        found = list(queryset.select_related("room"))
        self.log_deletions(request, queryset)
        for row in found:
            self.delete_model(request, row)
        messages.success(request, ngettext("%d lifted.", "%d lifted.", len(found)) % len(found))

    def delete_model(self, request: HttpRequest, obj: Sanction) -> None:
        undo = rooms.unban if obj.kind == SanctionKind.BAN else rooms.unmute
        undo(Actor(obj.person, obj.name), obj.room)
