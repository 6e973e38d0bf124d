"""The README's five steps, done in a fresh project, give a room that people can use."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.docs.reader import Reader
from tests.support.visitor import Visitor

pytestmark = pytest.mark.timeout(180)  # a project is made, migrated and served

Runserver = Callable[[Reader], str]


def test_the_project_passes_djangos_checks(newcomer: Reader) -> None:
    newcomer.manage("check", "--fail-level", "WARNING")


def test_a_room_made_in_the_admin_is_used_by_two_browsers(
    newcomer: Reader, tmp_path: Path, runserver: Runserver, page: Page, new_context: Callable[[], BrowserContext]
) -> None:
    reader = newcomer.copy(tmp_path / "mysite")
    url = runserver(reader)
    saved = Visitor(url).login("root", path="/admin/login/?next=/admin/")
    saved.submit("/admin/realtime/room/add/", slug="tea", title="Tea", kind="chat")

    mine, other = page, new_context().new_page()
    for window in (mine, other):
        window.goto(f"{url}/rooms/tea/")
        window.get_by_label("Username").fill("root")
        window.get_by_label("Password").fill("root")
        window.get_by_role("button", name="Log in").click()
    mine.get_by_label("Message", exact=True).fill("A cup?")
    mine.keyboard.press("Enter")
    expect(other.get_by_role("log").get_by_text("A cup?")).to_be_visible()


def test_without_an_account_one_is_sent_to_the_login(settled: Reader, runserver: Runserver) -> None:
    assert "/admin/login/?next=/rooms/lobby/" in Visitor(runserver(settled)).get("/rooms/lobby/").url
