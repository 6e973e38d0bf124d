"""The app: finds the kinds of every installed app, as `admin.py` is found."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class RealtimeConfig(AppConfig):
    name = "realtime"
    verbose_name = _("Rooms")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from realtime import checks, signals  # noqa: F401 - the import registers the checks
        from realtime.kinds import chat, counter  # noqa: F401 - registers them

        signals.connect()
        autodiscover_modules("kinds")
