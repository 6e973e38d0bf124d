"""What people do on the pages, and what they see there."""

from typing import Any

from playwright.sync_api import Locator, Page, expect


def is_joined(page: Page) -> Page:
    """Wait until the room on the page is live."""
    expect(page.locator("[data-realtime-status=joined]")).to_have_count(1)
    return page


class Chat:
    """The chat on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_label("Message", exact=True)
        self.log = page.get_by_role("log")
        self.texts = page.locator("[data-rt-text]")
        self.status = page.locator("[data-rt-status]")
        self.people = page.locator("[data-rt-count]")
        self.jump = page.locator("[data-rt-jump]")

    def say(self, *texts: str) -> None:
        for text in texts:
            self.box.fill(text)
            self.box.press("Enter")

    def expect_texts(self, texts: list[str]) -> None:
        """Exactly these lines, in this order."""
        expect(self.texts).to_have_text(texts)

    def is_joined(self) -> "Chat":
        """Wait until the page is live."""
        is_joined(self.page)
        return self

    def top_of(self, text: str) -> float:
        """Where on the screen a line is."""
        box = self.line(text).bounding_box()
        assert box
        return box["y"]

    def line(self, text: str) -> Locator:
        return self.texts.filter(has_text=text)

    def more(self, text: str) -> Locator:
        """The button of what one may do about a line."""
        line = self.page.locator("[data-rt-lines] > li").filter(has_text=text)
        return line.get_by_role("button", name="Actions", include_hidden=True)

    def scroll_to(self, position: str) -> None:
        self.log.evaluate("(log, to) => { log.scrollTop = to === 'top' ? 0 : log.scrollHeight; }", position)

    @property
    def distance_to_bottom(self) -> float:
        distance: Any = self.log.evaluate("(log) => log.scrollHeight - log.clientHeight - log.scrollTop")
        return float(distance)
