"""For clients, over HTTP: a ticket for a connection that has no cookie."""

from __future__ import annotations

import math

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from realtime import conf, metrics, tickets
from realtime.errors import LoginRequired, RateLimited, Refusal


@require_POST
@never_cache
@csrf_protect
def ticket(request: HttpRequest) -> JsonResponse:
    """Answer who is logged in `{"ticket", "expires_in"}`, for one connection without a cookie; else 403 or 429 with a refusal."""
    try:
        issued = tickets.issue(request)
    except LoginRequired as refusal:
        return _refused(refusal, 403)
    except RateLimited as refusal:
        return _refused(refusal, 429)
    return JsonResponse({"ticket": issued, "expires_in": conf.current().TICKET_SECONDS})


def _refused(refusal: Refusal, status: int) -> JsonResponse:
    metrics.refusals.add(value=refusal.code)
    headers = {} if refusal.retry_after is None else {"Retry-After": str(math.ceil(refusal.retry_after))}
    return JsonResponse(refusal.response(), status=status, headers=headers)
