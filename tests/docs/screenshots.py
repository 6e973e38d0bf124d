"""`python -m tests.docs.screenshots`: take the README's screenshots anew, of the real demo in Chromium.

Alice and bob, each in a browser of their own, talk in the lobby; the picture is what alice sees, light and dark.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.docs.pages import ROOT
from tests.support import programs
from tests.support.services import Postgres
from tests.support.sites import EMBEDDED, Site

FOLDER = ROOT / "docs" / "images"
SIZE = ViewportSize(width=880, height=640)
SAID = (
    ("alice", "Morning! The draft is up: https://example.com/draft"),
    ("bob", "Read it on the train. Two lines I wrote in the tunnel,"),
    ("bob", "and both arrived. Once."),
    ("alice", "Good. Lunch at twelve?"),
    ("bob", "There is a poll for that :)"),
)


def main() -> None:
    """Write docs/images/lobby-light.png and lobby-dark.png."""
    with tempfile.TemporaryDirectory(prefix="realtime-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=programs.CHROMIUM.path(), args=["--no-sandbox"])
        with Site(EMBEDDED, Path(folder), _no_postgres) as site:
            take(browser, site.serve("daphne").url)
        browser.close()


def take(browser: Browser, url: str) -> None:
    """Let them talk, and take the pictures."""
    pages = {name: enter(browser, url, name) for name in ("alice", "bob")}
    for name, text in SAID:
        write(pages[name], text)
        for page in pages.values():
            expect(page.locator("[data-rt-lines]").get_by_text(text)).to_be_visible()
    pages["bob"].get_by_label("Message", exact=True).press_sequentially("Noodles are")
    expect(pages["alice"].get_by_text("bob is writing")).to_be_visible()
    for scheme in ("light", "dark"):
        pages["alice"].emulate_media(color_scheme=scheme)
        pages["alice"].screenshot(path=FOLDER / f"lobby-{scheme}.png", animations="disabled")


def enter(browser: Browser, url: str, name: str) -> Page:
    """Log in and go to the lobby."""
    context = browser.new_context(viewport=SIZE, device_scale_factor=1.5, timezone_id=morning())
    page = context.new_page()
    page.goto(f"{url}/accounts/login/?next=/rooms/lobby/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    return page


def morning() -> str:
    """A time zone in which it is about nine o'clock. In these names, the sign says how far behind UTC it is."""
    behind = datetime.now(UTC).hour - 9
    return f"Etc/GMT{behind if behind <= 12 else behind - 24:+d}"


def write(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def _no_postgres() -> Postgres:
    raise AssertionError("the embedded site has no PostgreSQL")


if __name__ == "__main__":
    main()
