"""API keys in the admin: made, shown once, looked after, revoked.

Who is no superuser makes keys for themselves only: a key has its owner's access.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from realtime import apikeys, kinds, moderation
from realtime.models import ApiKey


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ApiKey
        fields = ("name", "owner", "rooms", "commands", "expires_at")

    def clean_commands(self) -> str:
        """Take names with spaces or commas between them, of commands that there are."""
        names = self.cleaned_data["commands"].replace(",", " ").split()
        known = {*kinds.command_names(), *moderation.REQUESTS}
        unknown = [name for name in names if name not in known]
        if unknown:
            values = {"unknown": ", ".join(unknown), "known": ", ".join(sorted(known))}
            raise ValidationError(_("No such command: %(unknown)s. Expected any of: %(known)s."), params=values)
        return " ".join(dict.fromkeys(names))


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ApiKeyForm
    list_display = ("name", "hint", "owner", "is_valid", "expires_at", "last_used_at", "created_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("owner",)
    search_fields = ("name", "hint")
    filter_horizontal = ("rooms",)
    raw_id_fields = ("owner",)
    actions = ("revoke_keys",)
    readonly_fields = ("hint", "created_at", "last_used_at", "revoked_at")

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        own = ("name",) if obj is None and not _may_choose_owner(request) else ("name", "owner")
        access = (_("Access"), {"fields": ("rooms", "commands", "expires_at")})
        return ((None, {"fields": own}), access, *(((_("Now"), {"fields": self.readonly_fields}),) if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Whose a key is stays as it is."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, "owner")

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search for users as one types, where the site's user model has an admin that can."""
        users = self.admin_site._registry.get(get_user_model())
        return ("owner",) if users is not None and users.search_fields else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            if not _may_choose_owner(request):
                obj.owner = request.user  # type: ignore[assignment]  # nobody anonymous comes here
            request.realtime_key = apikeys.seal(obj)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key, in this answer and nowhere else: a message would travel in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": obj.name,
            "key": request.realtime_key,  # type: ignore[attr-defined]
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/realtime/apikey/made.html", context)

    @admin.display(boolean=True, description=_("valid"))
    def is_valid(self, key: ApiKey) -> bool:
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return key.revoked_at is None and not expired and bool(getattr(key.owner, "is_active", True))

    @admin.action(description=_("Revoke the selected keys"), permissions=["change"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        found = list(queryset)
        apikeys.revoke(found)
        said = ngettext("%d key revoked.", "%d keys revoked.", len(found))
        for key in found:
            self.log_change(request, key, _("Revoked."))
        messages.success(request, said % len(found))


def _may_choose_owner(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
