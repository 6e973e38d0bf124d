"""A person with a browser that has no scripts: follows redirects, keeps cookies, and fills in the forms that pages show."""

import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import Cookie, CookieJar


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its status, the URL it came from in the end, its text."""

    status: int
    url: str
    text: str


class Visitor:
    """One person's visit to the site at `base_url`."""

    def __init__(self, base_url: str, within: float = 20, trust: ssl.SSLContext | None = None) -> None:
        self.base_url = base_url
        self._within = within
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies), urllib.request.HTTPSHandler(context=trust)
        )

    @property
    def cookie(self) -> str:
        """The value of the Cookie header that goes with every request."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    @property
    def cookies(self) -> list[Cookie]:
        return list(self._cookies)

    def get(self, path: str) -> Page:
        return self._open(urllib.request.Request(self._url(path)))

    def post(self, path: str, body: bytes = b"") -> Page:
        """Send a body as a script of the site's own pages would, with Django's CSRF token."""
        token = {cookie.name: cookie.value or "" for cookie in self._cookies}.get("csrftoken", "")
        headers = {"X-CSRFToken": token, "Referer": self.base_url}
        return self._open(urllib.request.Request(self._url(path), body, headers))

    def submit(self, path: str, **values: str) -> Page:
        """Open the page, fill the values into the form that has these fields, and send it with all its other fields."""
        page = self.get(path)
        form = form_with(set(values), page)
        target = urllib.parse.urljoin(page.url, form.action or page.url)
        fields = urllib.parse.urlencode(
            [*((name, value) for name, value in form.fields if name not in values), *values.items()]
        )
        return self._open(urllib.request.Request(target, fields.encode(), {"Referer": page.url}))

    def login(self, name: str, password: str | None = None, path: str = "/accounts/login/") -> "Visitor":
        """Log in by the site's own page; the password of the demo's people is their name."""
        page = self.submit(path, username=name, password=password or name)
        assert "sessionid" in self.cookie, f"{name} could not log in: {page.status} {page.url}\n{page.text}"
        return self

    def _url(self, path: str) -> str:
        return urllib.parse.urljoin(self.base_url, path)

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=self._within)
        except urllib.error.HTTPError as refusal:
            return Page(refusal.code, refusal.url, refusal.read().decode(errors="replace"))
        with response:
            return Page(response.status, response.url, response.read().decode(errors="replace"))


@dataclass(slots=True)
class Form:
    """A form: where it is sent, and what with if nothing is changed."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)


def form_with(names: set[str], page: Page) -> Form:
    """Return the first form of the page that has fields of all these names."""
    parser = _Forms()
    parser.feed(page.text)
    for form in parser.forms:
        if names <= {name for name, _ in form.fields}:
            return form
    fields = [sorted({name for name, _ in form.fields}) for form in parser.forms]
    raise AssertionError(f"{page.url} ({page.status}) has no form with {sorted(names)}, but {fields}")


class _Forms(HTMLParser):
    """Gathers the forms of a page with what a browser would send for them if nothing were changed."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: str | None = None
        self._options = 0
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        name = values.get("name", "")
        if tag == "form":
            self.forms.append(Form(values.get("action", "")))
        elif tag == "input" and name and self._is_sent(values, dict(attrs)):
            self._add(name, values.get("value", ""))
        elif tag == "select":
            self._select, self._options = name, 0
            self._add(name, "")
        elif tag == "option" and self._select:
            self._options += 1
            if "selected" in values or self._options == 1:
                self._set_last(values.get("value", ""))
        elif tag == "textarea":
            self._textarea = name
            self._add(name, "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self._set_last(data.removeprefix("\n"))

    def _is_sent(self, values: dict[str, str], present: dict[str, str | None]) -> bool:
        kind = values.get("type", "text")
        if kind in ("checkbox", "radio"):
            return "checked" in present
        return kind not in ("submit", "button", "reset", "image", "file")

    def _add(self, name: str, value: str) -> None:
        if self.forms:
            self.forms[-1].fields.append((name, value))

    def _set_last(self, value: str) -> None:
        if self.forms:
            name, before = self.forms[-1].fields.pop()
            self.forms[-1].fields.append((name, before + value if self._textarea else value))
