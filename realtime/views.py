"""For machines: is the process up, and what has it counted."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from realtime import metrics as counted
from realtime import node


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
    """Answer this process's counters, as Prometheus reads them."""
    return HttpResponse(counted.render(), content_type="text/plain; version=0.0.4; charset=utf-8")
