"""Two origins in a real browser: what a page of another origin can do with a visitor's cookie, and what with a ticket.

Cookies know no ports, and both are one site to `SameSite`: the browser sends the visitor's cookie along, from whichever of the
two a page comes. Only the server stands in between.
"""

import functools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Visit
from tests.support.console import ROOT
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.visitor import Visitor

OPEN = """
(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onclose = () => resolve("refused");
  socket.onopen = () => socket.send('["1","1","room:lobby","phx_join",{}]');
  socket.onmessage = ({ data }) => resolve(JSON.parse(data)[4].response.you.name);
})
"""
JOIN_TWICE = """
async (mount) => {
  const { Socket } = await import("/realtime/socket.js");
  const socket = new Socket(mount, { authToken: () => window.freshTicket() });
  const room = socket.room("lobby");
  const names = [];
  const twice = new Promise((resolve) => {
    room.addEventListener("joined", ({ detail }) => names.push(detail.you.name) === 2 && resolve(names));
  });
  await room.join();
  socket.close();
  socket.connect();
  return twice;
}
"""
ASK_FOR_A_TICKET = """
(url) => fetch(url, { method: "POST", mode: "no-cors", credentials: "include" }).then(({ type }) => type)
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of another site, at another port: a page, and a copy of the browser client."""
    folder: Path = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>Elsewhere</title>')
    (folder / "realtime").symlink_to(ROOT / "realtime/static/realtime")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def trusting(embedded_site: Site, elsewhere: str) -> Iterator[Server]:
    """A server that trusts the other origin."""
    server = embedded_site.serve("daphne", TEST_SETTINGS=json.dumps({"CSRF_TRUSTED_ORIGINS": [elsewhere]}))
    yield server
    server.stop()


def address(server: Server) -> str:
    return f"{server.ws_url}/realtime/websocket?vsn=2.0.0"


def heard(page: Page) -> list[str]:
    """What the console says from now on."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    return said


def test_the_sites_own_page_comes_in_with_the_cookie(visit: Visit, embedded_server: Server) -> None:
    assert visit("/", "alice").evaluate(OPEN, address(embedded_server)) == "alice"


def test_a_page_of_another_origin_is_refused_though_the_cookie_comes_along(
    visit: Visit, embedded_server: Server, elsewhere: str
) -> None:
    page = visit(elsewhere, "alice", rough=True)
    said = heard(page)
    assert page.evaluate(OPEN, address(embedded_server)) == "refused"
    assert "Unexpected response code: 403" in "".join(said)


def test_an_origin_that_the_site_trusts_comes_in_with_the_cookie(
    visit: Visit, trusting: Server, elsewhere: str
) -> None:
    assert visit(elsewhere, "alice").evaluate(OPEN, address(trusting)) == "alice"


def test_a_page_of_another_origin_comes_in_with_a_fresh_ticket_each_time(
    visit: Visit, embedded_server: Server, elsewhere: str, fresh_ticket: Callable[[], str]
) -> None:
    taken: list[str] = []

    def take() -> str:
        taken.append(fresh_ticket())
        return taken[-1]

    page = visit(elsewhere, "bob")
    page.expose_function("freshTicket", take)
    assert page.evaluate(JOIN_TWICE, f"{embedded_server.url}/realtime") == ["alice", "alice"]
    assert len(set(taken)) == 2


@pytest.fixture
def fresh_ticket(embedded_server: Server) -> Callable[[], str]:
    """What hands the page a ticket: alice's own session, which the page does not have."""
    alice = Visitor(embedded_server.url).login("alice")
    return lambda: str(json.loads(alice.post("/realtime/ticket").text)["ticket"])


def test_a_page_of_another_origin_gets_no_ticket_for_the_visitor(
    visit: Visit, embedded_site: Site, trusting: Server, elsewhere: str
) -> None:
    """Not even one that the site trusts: it has no CSRF token."""
    embedded_site.console.run("User.objects.create_user('carol', password='carol')")
    page = visit(elsewhere, "carol", server=trusting, rough=True)
    assert page.evaluate(ASK_FOR_A_TICKET, f"{trusting.url}/realtime/ticket") == "opaque"
    counted = "from realtime.models import Ticket; result = Ticket.objects.filter(user__username='carol').count()"
    assert embedded_site.console.run(counted) == 0
