"""People with a real browser. `visit` opens pages; at the end none of them may have complained."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.visitor import Visitor

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

Visit = Callable[..., Page]

expect.set_options(timeout=20_000)  # a deadline, not a measure: the machine may have more to do


def watch(context: BrowserContext, complaints: list[str]) -> None:
    """Note what the console has to say: errors, warnings, violations of the content security policy."""

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} ({message.location})")

    context.on("console", heard)
    context.on("weberror", lambda error: complaints.append(str(error.error)))


@pytest.fixture(scope="session")
def base_url() -> None:
    """Every context says where it is; the plugin's own fixture of this name warns under this pytest."""


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext], embedded_site: Site, embedded_server: Server) -> Iterator[Visit]:
    """Open a page in a browser of its own: `visit("/rooms/x/", "alice", **context)`; without a name, as a guest.

    `server` names another server than the shared one; `rough=True` is for tests in which connections break, which
    browsers write into their console. `script` runs in every page before its own.
    """
    complaints: list[str] = []

    def open_page(
        path: str,
        name: str | None = None,
        *,
        server: Server = embedded_server,
        rough: bool = False,
        script: str = "",
        **options: Any,
    ) -> Page:
        context = new_context(base_url=server.url, **options)
        context.add_init_script(script)
        context.set_default_timeout(20_000)
        if not rough:
            watch(context, complaints)
        if name:
            context.add_cookies(cookies(Visitor(server.url).login(name), server.url))
        page = context.new_page()
        page.goto(urljoin(server.url, path))
        return page

    yield open_page
    assert complaints == []


def cookies(visitor: Visitor, url: str) -> list[Any]:
    """The visitor's cookies, as a browser takes them."""
    pairs = (pair.split("=", 1) for pair in visitor.cookie.split("; "))
    return [{"name": name, "value": value, "url": url} for name, value in pairs]
