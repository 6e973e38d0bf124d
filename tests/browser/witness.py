"""Watches pages for what text made them do: dialogs, scripts, violations of the policy, requests to elsewhere, elements."""

from playwright.sync_api import Page, Request

SCRIPT = """
window.__violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) =>
  __violations.push(`${violatedDirective} ${blockedURI} ${sample}`));
"""
LOOK = """() => ({
  xss: window.__xss,
  violations: window.__violations,
  tags: [...new Set([...document.querySelectorAll("*")].map((element) => element.tagName))],
  attributes: [...new Set([...document.querySelectorAll("*")].flatMap((element) => element.getAttributeNames()))],
  addresses: [...document.querySelectorAll("[href], [src], [action]")]
    .flatMap((element) => ["href", "src", "action"].map((name) => element.getAttribute(name)))
    .filter((address) => address)
    .map((address) => new URL(address, location.href).protocol),
  modules: [...document.querySelectorAll("[data-realtime-module]")].map((element) => element.dataset.realtimeModule),
})"""
PROTOCOLS = {"http:", "https:", "data:"}  # the admin's icons are data:


class Witness:
    """Looks at pages, those that text was not made for first: they say which elements there are."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._known: set[str] = {"BDI"}  # around names, where there are any
        self.heard: list[str] = []

    def watch(self, page: Page) -> Page:
        """Hear of every dialog, and of every request that leaves the site."""
        page.context.on("dialog", lambda dialog: (self.heard.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.context.on("request", self._request)
        page.context.on("page", lambda opened: self.heard.append(f"a new window: {opened.url}"))
        return page

    def learn(self, page: Page) -> None:
        """Take the elements of this page for those that pages have."""
        self._known |= set(self._look(page)["tags"])

    def is_innocent(self, page: Page) -> None:
        """Fail where the page has done, or has become, anything that its text says."""
        seen = self._look(page)
        assert set(seen["tags"]) <= self._known, f"{page.url}: made of text: {set(seen['tags']) - self._known}"
        handlers = {name for name in seen["attributes"] if name.startswith("on") or name in ("srcdoc", "formaction")}
        assert not handlers, f"{page.url}: attributes made of text: {handlers}"
        assert set(seen["addresses"]) <= PROTOCOLS, page.url
        assert all(module.startswith("/static/") for module in seen["modules"]), page.url

    def _look(self, page: Page) -> dict[str, list[str]]:
        seen: dict[str, list[str]] = page.evaluate(LOOK)
        assert seen["xss"] is None, f"{page.url}: a script ran"
        assert seen["violations"] == [], f"{page.url}: {seen['violations']}"
        assert self.heard == [], page.url
        return seen

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._home, "data:")):
            self.heard.append(f"a request to {request.url}")
