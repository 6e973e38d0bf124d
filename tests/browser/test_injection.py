"""Text stays text: in Chromium, under the policy that the demo sends with DEBUG off, nothing that people write runs or shows as
anything but itself, wherever it is shown."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from project import settings as demo_settings
from realtime import auth
from tests.browser.conftest import Visit
from tests.browser.people import Chat, is_joined
from tests.browser.witness import SCRIPT, Witness
from tests.support import hostile
from tests.support.daemon import HOST
from tests.support.servers import Server
from tests.support.services import Postgres
from tests.support.sites import EMBEDDED, Site
from tests.support.wsclient import Client

pytestmark = pytest.mark.timeout(300)

CALM = [f"see http://example.org/{number}" for number in range(12)]  # from these it is learnt which elements pages have
CALM_TITLES = ["One room", "A poll", "And a plain one"]

USERS = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
users = User.objects.bulk_create(User(username=name) for name in names)
result = []
for user in users:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    result.append(f"sessionid={session.session_key}")
"""


class Production(NamedTuple):
    """A site that is served as in production, with DEBUG off."""

    site: Site
    server: Server


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], Postgres]) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    apps = [*demo_settings.INSTALLED_APPS, "tests.support.plain"]
    settings = json.dumps({"STATIC_ROOT": str(folder / "static"), "INSTALLED_APPS": apps})
    with Site(EMBEDDED, folder, postgres, DEBUG="0", ALLOWED_HOSTS=HOST, TEST_SETTINGS=settings) as site:
        site.manage("collectstatic", "--noinput", "--verbosity=0")
        yield Production(site, site.serve("daphne"))


@pytest.fixture
def witness(production: Production) -> Iterator[Witness]:
    witness = Witness(production.server.url)
    yield witness
    assert witness.heard == []


@pytest.fixture
def look(visit: Visit, production: Production, witness: Witness) -> Callable[..., Page]:
    """Open a page that is watched."""

    def open_page(path: str, name: str | None = None, **options: Any) -> Page:
        return witness.watch(visit(path, name, server=production.server, script=SCRIPT, **options))

    return open_page


def texts(page: Page, selector: str) -> list[str]:
    """What the elements say, letter by letter."""
    found: list[str] = page.locator(selector).evaluate_all("(found) => found.map((element) => element.textContent)")
    return found


def shown(name: str) -> str:
    """A username as others see it."""
    return auth._NOT_IN_NAMES.sub("", name).strip()


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine in a thread of its own: Playwright has this thread's event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(120)
    asyncio.run_coroutine_threadsafe(end_the_rest(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


async def end_the_rest() -> None:
    """Let go of the connections of a test that failed."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


# The chat: texts, names, who is here, who is writing

TYPISTS = """() => {
  const line = document.querySelector("[data-rt-typing]");
  window.typists = [];
  new MutationObserver(() => line.textContent && typists.push(line.textContent)).observe(line, { childList: true });
}"""


async def come(server: Server, slug: str, cookies: list[str]) -> list[Client]:
    clients = [await Client.connect(server.url, cookie=cookie) for cookie in cookies]
    for client in clients:
        assert (await client.join(slug)).ok
    return clients


async def talk(clients: list[Client], slug: str, lines: list[str]) -> None:
    """One after the other is seen to write, and writes a line."""
    for client, line in zip(clients, lines, strict=True):
        assert (await client.push(slug, "typing")).ok
        assert (await client.push(slug, "message", text=line)).ok


async def go(clients: list[Client]) -> None:
    for client in clients:
        await client.close()


def test_nothing_that_people_are_called_or_write_runs_in_the_chat(
    look: Callable[..., Page], production: Production, witness: Witness, run: Callable[..., Any]
) -> None:
    def scene(lines: list[str], check: Callable[[Page], None]) -> None:
        cookies = site.console.run(USERS, names=lines)
        slug = site.room()
        names, said = [shown(line) for line in lines], [line.strip() for line in lines]
        page = Chat(look(f"/rooms/{slug}/", "alice")).is_joined().page
        page.evaluate(TYPISTS)
        clients = run(come(server, slug, cookies))
        expect(page.locator("[data-rt-people] li")).to_have_count(len(lines) + 1)
        assert sorted(texts(page, "[data-rt-people] li")) == sorted(["alice", *names])
        check(page)
        run(talk(clients, slug, lines))
        expect(page.locator("[data-rt-lines] [data-rt-text]")).to_have_count(len(lines))
        assert page.evaluate("typists") == [f"{name} is writing…" for name in names]
        announced = lines[:50]
        site.console.run("for line in lines: rooms.announce(slug, line)", slug=slug, lines=announced)
        expect(page.locator("[data-rt-lines] [data-rt-text]")).to_have_count(len(lines) + len(announced))
        assert texts(page, "[data-rt-text]")[: len(lines)] == said
        assert texts(page, "[data-rt-author]")[: len(lines)] == names
        check(page)

        page.reload()
        Chat(page).is_joined()
        while page.locator("[data-rt-lines] [data-rt-text]").count() < len(lines) + len(
            announced
        ):  # it reads on by itself, too
            page.locator("[data-rt-older]").dispatch_event("click")
            page.wait_for_timeout(100)
        seen = [text.replace("\r", "\n") for text in texts(page, "[data-rt-text]")]
        assert seen[: len(lines)] == [text.replace("\r", "\n") for text in said]
        check(page)
        page.goto("/")
        check(page)
        run(go(clients))

    site, server = production
    scene(CALM, witness.learn)
    scene(hostile.STRINGS, witness.is_innocent)


def test_a_writers_own_page_shows_text_as_it_was_written(
    look: Callable[..., Page], production: Production, witness: Witness
) -> None:
    def scene(lines: list[str], check: Callable[[Page], None]) -> None:
        chat = Chat(look(f"/rooms/{production.site.room()}/", "alice")).is_joined()
        chat.say(*lines)
        expect(chat.page.locator("[data-rt-lines] [data-rt-text]")).to_have_count(len(lines))
        check(chat.page)

    scene(CALM, witness.learn)
    scene([line for line in hostile.STRINGS if line.strip()], witness.is_innocent)


# Rooms: titles, states, events of other kinds


def test_nothing_that_a_room_is_called_or_holds_runs(
    look: Callable[..., Page], production: Production, witness: Witness
) -> None:
    def scene(titles: list[str], lines: list[str], check: Callable[[Page], None]) -> None:
        slugs = [site.room(title=title) for title in titles[:-2]]
        poll, plain = site.room("poll", title=titles[-2]), site.room("plain", title=titles[-1])
        site.console.run(
            "rooms.publish(slug, 'asked', {'question': lines[0], 'choices': lines})", slug=poll, lines=lines
        )
        site.console.run("for line in lines: rooms.publish(slug, 'note', {'text': line})", slug=plain, lines=lines)
        page = look("/")
        found = texts(page, ".rooms b")
        assert set(titles) <= set(found)
        check(page)
        for slug, title in zip([*slugs, poll, plain], titles, strict=True):
            page.goto(f"/rooms/{slug}/")
            is_joined(page)
            assert texts(page, ".rt-title") == [title]
            assert texts(page, "title") == [f"{title} · realtime"]
            check(page)
        page.goto(f"/rooms/{poll}/")
        is_joined(page)
        assert texts(page, "[data-poll-choices] button span:first-child") == lines
        page.goto(f"/rooms/{plain}/")
        is_joined(page)
        site.console.run("for line in lines: rooms.publish(slug, 'note', {'text': line})", slug=plain, lines=lines)
        expect(page.locator("[data-rt-events] li")).to_have_count(len(lines[-50:]) + len(lines))
        noted = [json.loads(text)["text"] for text in texts(page, "[data-rt-events] code")]
        assert noted == [*lines[-50:], *lines]
        check(page)

    site = production.site
    lines = [line.replace("\r", "") for line in hostile.STRINGS]
    scene(CALM_TITLES, CALM, witness.learn)
    scene(hostile.titles(), lines, witness.is_innocent)


# The admin

ADMIN = "/admin/realtime"


def test_nothing_runs_in_the_admin(look: Callable[..., Page], production: Production, witness: Witness) -> None:
    def scene(titles: list[str], lines: list[str], check: Callable[[Page], None]) -> None:
        site.console.run(USERS, names=[f"!{line}"[:150] for line in lines])
        slugs = [site.room(title=title) for title in titles]
        pks = site.console.run(ROOM_WITH_A_LOG, slugs=slugs, lines=lines)
        page = look(f"{ADMIN}/room/?p=0", "admin")
        check(page)
        for path in (
            *(f"{ADMIN}/room/{pk}/change/" for pk in pks["rooms"]),
            f"{ADMIN}/room/{pks['rooms'][0]}/delete/",
            f"{ADMIN}/event/?room__id__exact={pks['rooms'][0]}",
            *(f"{ADMIN}/event/{pk}/change/" for pk in pks["events"]),
            "/admin/auth/user/",
            f"/admin/auth/user/{pks['user']}/change/",
        ):
            page.goto(path)
            check(page)
        page.goto(f"{ADMIN}/room/?kind__exact=chat")
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option("announce")
        page.get_by_role("button", name="Go").click()
        check(page)
        page.locator("textarea[name=text]").fill("\n".join(lines)[:4000])
        page.locator("input[name=confirmed]").click()
        expect(page.locator(".messagelist .success")).to_be_visible()
        check(page)
        page.goto(f"{ADMIN}/room/{pks['rooms'][0]}/history/")
        check(page)
        page.goto("/admin/")
        check(page)

    site = production.site
    scene(CALM_TITLES, CALM, witness.learn)
    scene(hostile.titles(), hostile.STRINGS, witness.is_innocent)


ROOM_WITH_A_LOG = """
from realtime.models import Event, Membership
first = Room.objects.get(slug=slugs[0])
users = list(User.objects.order_by("-pk")[:len(lines)])
for user, line in zip(users, lines):
    rooms.publish(slugs[0], "message", {"text": line}, actor=user)
Membership.objects.bulk_create(Membership(room=first, user=user) for user in users[:30])
events = Event.objects.filter(room=first).order_by("-pk").values_list("pk", flat=True)
found = Room.objects.filter(slug__in=slugs).values_list("pk", flat=True)
result = {"rooms": [first.pk, *found[:5]], "events": list(events[:12]), "user": users[-7].pk}
"""


# What stands in a line with other text


def order(page: Page, selector: str) -> list[str]:
    """What stands in the element from left to right, letter by letter."""
    found: list[str] = page.locator(selector).evaluate(LETTERS)
    return found


LETTERS = """(element) => {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const letters = [];
  while (walker.nextNode()) {
    for (let at = 0; at < walker.currentNode.length; at += 1) {
      const range = document.createRange();
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, at + 1);
      const { left, width } = range.getBoundingClientRect();
      if (width > 0) letters.push({ left, letter: range.toString() });
    }
  }
  return letters.sort((one, other) => one.left - other.left).map(({ letter }) => letter);
}"""

BACKWARDS = ["\u05d0\u05d1", "\u202ebob", "\u2069\u202ecarol"]


@pytest.mark.parametrize("start", BACKWARDS, ids=ascii)
def test_a_name_cannot_reorder_the_line_that_it_stands_in(
    look: Callable[..., Page], production: Production, run: Callable[..., Any], start: str
) -> None:
    """Written from right to left, or with letters that turn all that follow."""
    site, server = production
    slug = site.room()
    names = [f"{start} {slug[5:]}{number}" for number in (1, 2, 3)]
    page = Chat(look(f"/rooms/{slug}/", "alice")).is_joined().page
    clients = run(come(server, slug, site.console.run(USERS, names=names)))
    for client in clients:
        assert run(client.push(slug, "typing")).ok
    typing = page.locator("[data-rt-typing]")
    expect(typing).to_contain_text(shown(names[2]))
    seen = "".join(order(page, "[data-rt-typing]"))
    run(go(clients))
    first, second, third = re.split(", and |, ", seen.removesuffix(" are writing…"))
    assert [sorted(first), sorted(second), sorted(third)] == [sorted(shown(name)) for name in names]
