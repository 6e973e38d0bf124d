"""For machines: is the process up, and what has it counted."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from realtime import conf, node
from realtime import metrics as counted

_TEXT = "text/plain; charset=utf-8"


def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 `{"database": true}` while the database answers and the process is not about to stop, else 503."""
    if node.any_leaving():
        return JsonResponse({"leaving": True}, status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"database": False}, status=503)
    return JsonResponse({"database": True})


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer this process's counters, as Prometheus reads them, to staff and to who has `METRICS_TOKEN`; to all under DEBUG."""
    if not (settings.DEBUG or _has_token(request) or _is_staff(request)):
        return HttpResponse(_("Metrics are for staff, and for who has the token."), status=403, content_type=_TEXT)
    return HttpResponse(counted.render(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _has_token(request: HttpRequest) -> bool:
    token = conf.current().METRICS_TOKEN
    return bool(token) and constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}")


def _is_staff(request: HttpRequest) -> bool:
    """Say whether staff asks; while the database is away nobody is known to be."""
    try:
        user = getattr(request, "user", None)
        return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))
    except DatabaseError:
        return False
