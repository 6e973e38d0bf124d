"""What every request of the demo site passes: its content security policy, its static files, and a look at its cookies."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class ContentSecurityPolicy:
    """Forbid everything that does not come from this site: no inline script, no inline style, no framing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        chosen = TECHNICAL if is_technical(response) else policy(request)
        response.headers.setdefault("Content-Security-Policy", chosen)
        return response


TECHNICAL = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
"""For the pages with which Django itself says what went wrong, in development alone: their script and style are inline."""


def is_technical(response: HttpResponseBase) -> bool:
    """Say whether this is such a page. All of them say so in markup, which nothing that people write ever is."""
    if not settings.DEBUG or response.status_code < 400 or not isinstance(response, HttpResponse):
        return False
    return b"because you have <code>DEBUG = True</code>" in response.content


def policy(request: HttpRequest) -> str:
    """The header. Outside of the admin no script may make elements from text, either (Trusted Types)."""
    types = "" if request.path.startswith(reverse("admin:index")) else "; require-trusted-types-for 'script'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self'{socket(request)}; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'{types}"
    )


def socket(request: HttpRequest) -> str:
    """The socket's address, for browsers whose 'self' leaves out ws: and wss:; none where the host is not ours."""
    try:
        return f" {'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
    except DisallowedHost:
        return ""


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise, answering with the bytes: a file that is streamed by a thread makes Django warn under ASGI."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file as file:
                content = file.read()
        response = HttpResponse(content, status=int(found.status))
        del response["content-type"]
        for name, value in found.headers:
            response[name] = value
        return response


class ReadableCookies:
    """Leave out cookies with the character NUL, which a quoted one may hold (`"a\\000b"`).

    Django asks the database for a session of whatever key it is shown, and PostgreSQL raises on NUL: every page would answer 500.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.COOKIES = {name: value for name, value in request.COOKIES.items() if "\0" not in value}
        return self.get_response(request)
