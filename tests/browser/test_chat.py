"""The chat's page in real browsers: what people see of each other, and what they do not."""

import json
import re
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import PHONE, Visit
from tests.browser.people import Chat
from tests.support.servers import Server
from tests.support.sites import Site

FILL = """
from django.db import transaction
admin = User.objects.get(username="admin")
with transaction.atomic():
    for number in range(first, last + 1):
        rooms.publish(slug, "message", {"text": f"line {number}"}, actor=admin)
"""


def fill(site: Site, slug: str, first: int, last: int) -> None:
    site.console.run(FILL, slug=slug, first=first, last=last)


def test_two_people_talk_and_a_third_reads_along(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room(act_access="login")
    alice, bob, guest = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob", None))
    alice.say("hello bob", "how are you?")
    expect(bob.line("how are you?")).to_be_visible()
    bob.say("fine")
    for chat in (alice, bob, guest):
        chat.expect_texts(["hello bob", "how are you?", "fine"])
    expect(alice.page.locator("[data-rt-state]")).to_have_count(0)
    expect(guest.box).to_be_hidden()
    expect(guest.page.get_by_role("link", name="Log in to write")).to_be_visible()


def test_one_sees_who_comes_and_goes(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice = visit(f"/rooms/{slug}/", "alice")
    names = alice.locator("[data-rt-people] li")
    expect(names).to_have_text(["alice"])
    bob = visit(f"/rooms/{slug}/", "bob")
    again = bob.context.new_page()
    again.goto(bob.url)
    expect(names).to_have_text(["alice", "bob"])
    expect(alice.locator("[data-rt-count]")).to_have_text("2 people here")
    bob.close()
    Chat(again).is_joined()
    expect(names).to_have_text(["alice", "bob"])
    again.close()
    expect(names).to_have_text(["alice"])
    expect(alice.locator("[data-rt-count]")).to_have_text("1 person here")


def test_one_sees_who_writes_until_the_message_comes(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice, bob = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    bob.box.press_sequentially("he")
    typing = alice.page.locator("[data-rt-typing]")
    expect(typing).to_have_text("bob is writing…")
    expect(bob.page.locator("[data-rt-typing]")).to_be_empty()
    bob.box.press("Enter")
    expect(alice.line("he")).to_be_visible()
    expect(typing).to_be_empty()


def test_shift_and_enter_begins_a_new_line(visit: Visit, embedded_site: Site) -> None:
    chat = Chat(visit(f"/rooms/{embedded_site.room()}/")).is_joined()
    chat.box.press_sequentially("one")
    chat.box.press("Shift+Enter")
    chat.box.press_sequentially("two")
    chat.box.press("Enter")
    chat.expect_texts(["one\ntwo"])
    expect(chat.box).to_have_value("")
    chat.box.press("Enter")
    chat.say("   ")
    chat.expect_texts(["one\ntwo"])


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "</script></template></section><script>alert(3)</script>",
    "{{ 7*7 }} {% debug %} ${7*7}",
    "javascript:alert(4) data:text/html,<script>alert(5)</script>",
    "\"' onmouseover=alert(6) x='",
    "\u202egnirts",
]


def test_text_is_never_markup(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room(title="<b>title</b>")
    writer, reader = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    for chat in (writer, reader):
        chat.page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    writer.say(*HOSTILE)
    for chat in (reader, writer):
        chat.expect_texts(HOSTILE)
    reader.page.reload()
    reader.expect_texts(HOSTILE)
    expect(reader.log.locator("img, script, b b")).to_have_count(0)
    expect(reader.log.locator("a")).to_have_count(0)


def test_only_web_addresses_are_links_and_they_tell_nobody(visit: Visit, embedded_site: Site) -> None:
    chat = Chat(visit(f"/rooms/{embedded_site.room()}/")).is_joined()
    chat.say("see https://example.org/a?b=1, javascript:alert(1)")
    link = chat.log.locator("a")
    expect(link).to_have_count(1)
    expect(link).to_have_attribute("href", "https://example.org/a?b=1")
    expect(link).to_have_attribute("rel", "noopener nofollow ugc")


def test_what_is_written_offline_is_sent_when_one_is_back(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice = Chat(visit(f"/rooms/{slug}/", "alice", rough=True)).is_joined()
    bob = Chat(visit(f"/rooms/{slug}/", "bob")).is_joined()
    alice.page.context.set_offline(True)
    expect(alice.status).to_contain_text("You are offline.")
    alice.say("from the tunnel")
    expect(alice.page.locator("[data-rt-state=pending]")).to_contain_text("Sending…")
    bob.say("meanwhile")
    alice.page.context.set_offline(False)
    for chat in (alice, bob):
        chat.expect_texts(["meanwhile", "from the tunnel"])
    expect(alice.page.locator("[data-rt-state]")).to_have_count(0)
    expect(alice.status).to_be_empty()


def test_what_was_not_sent_before_a_reload_is_sent_after_it(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice = Chat(visit(f"/rooms/{slug}/", "alice", rough=True)).is_joined()
    alice.page.route_web_socket(re.compile("websocket"), lambda socket: None)
    alice.page.reload()
    alice.say("into the void")
    expect(alice.page.locator("[data-rt-state=pending]")).to_have_count(1)
    again = alice.page.context.new_page()  # a route cannot be taken away again; the tab's storage goes along
    stored = alice.page.evaluate("Object.entries(sessionStorage)")
    again.goto("/")
    again.evaluate("(entries) => entries.forEach(([name, value]) => sessionStorage.setItem(name, value))", stored)
    again.goto(f"/rooms/{slug}/")
    Chat(again).expect_texts(["into the void"])
    expect(again.locator("[data-rt-state]")).to_have_count(0)


def test_what_was_removed_before_it_was_acknowledged_is_not_left_as_ones_own_line(
    visit: Visit, embedded_site: Site
) -> None:
    slug = embedded_site.room()
    alice = Chat(visit(f"/rooms/{slug}/", "alice", rough=True))

    def stand_between(socket: WebSocketRoute) -> None:
        """Let through what is sent, once, and nothing of what comes back."""
        server = socket.connect_to_server()
        server.on_message(lambda text: None if '"foul"' in str(text) or '"seq":1}' in str(text) else socket.send(text))

    alice.page.route_web_socket(re.compile("websocket"), stand_between)
    alice.page.reload()
    alice.is_joined().say("foul")
    expect(alice.page.locator("[data-rt-state=pending]")).to_have_count(1)
    embedded_site.console.run("while not Room.objects.get(slug=slug).head: pass\nrooms.remove(slug, 1)", slug=slug)
    again = alice.page.context.new_page()
    stored = alice.page.evaluate("Object.entries(sessionStorage)")
    again.goto("/")
    again.evaluate("(entries) => entries.forEach(([name, value]) => sessionStorage.setItem(name, value))", stored)
    again.goto(f"/rooms/{slug}/")
    Chat(again).is_joined().expect_texts(["Message removed."])
    expect(again.locator("[data-rt-state]")).to_have_count(0)


def test_what_the_server_cannot_take_for_long_is_kept_and_tried_again(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice = Chat(visit(f"/rooms/{slug}/", "alice", rough=True)).is_joined()
    troubled = True

    def stand_between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def hear(text: str | bytes) -> None:
            join_ref, ref, topic, event, _ = json.loads(text)
            if event == "message" and troubled:
                refusal = {"code": "unavailable", "message": "Not now.", "retry_after": 0.1}
                answer = {"status": "error", "response": refusal}
                socket.send(json.dumps([join_ref, ref, topic, "phx_reply", answer]))
            else:
                server.send(text)

        socket.on_message(hear)

    alice.page.route_web_socket(re.compile("websocket"), stand_between)
    alice.page.reload()
    alice.is_joined().say("never mind", "worth waiting for")
    delayed = alice.page.locator("[data-rt-state=delayed]")
    expect(delayed.first).to_contain_text("Not sent yet. Trying again…")
    delayed.filter(has_text="never mind").get_by_role("button", name="Discard").click()
    alice.page.reload()
    expect(delayed).to_contain_text("worth waiting for")
    troubled = False
    alice.expect_texts(["worth waiting for"])
    expect(alice.page.locator("[data-rt-state]")).to_have_count(0)


def test_who_writes_too_fast_is_told_kindly_and_everything_is_sent(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room(commands_per_second=0.25)
    alice = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    texts = ["one", "two"]
    alice.say(*texts)
    delayed = alice.page.locator("[data-rt-state=delayed]")
    expect(delayed).to_contain_text("Not sent yet. Trying again… That was a bit fast. Please wait")
    expect(delayed).to_contain_text("second")
    alice.expect_texts(texts)
    expect(alice.page.locator("[data-rt-state]")).to_have_count(0)


def test_what_was_being_written_survives_a_reload_in_its_room_alone(visit: Visit, embedded_site: Site) -> None:
    slug, other = embedded_site.room(), embedded_site.room()
    chat = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    chat.box.press_sequentially("one")
    chat.box.press("Shift+Enter")
    chat.box.press_sequentially("two")
    height = chat.box.bounding_box()
    chat.page.reload()
    expect(chat.box).to_have_value("one\ntwo")
    assert chat.box.bounding_box() == height
    chat.page.goto(f"/rooms/{other}/")
    expect(chat.is_joined().box).to_have_value("")
    chat.page.goto(f"/rooms/{slug}/")
    chat.is_joined().box.press("Enter")
    chat.expect_texts(["one\ntwo"])
    chat.page.reload()
    expect(chat.is_joined().box).to_have_value("")


def test_a_message_that_is_refused_says_why_and_can_be_thrown_away(visit: Visit, embedded_site: Site) -> None:
    chat = Chat(visit(f"/rooms/{embedded_site.room()}/", "alice")).is_joined()
    chat.box.evaluate("(box) => box.removeAttribute('maxlength')")
    chat.say("x" * 4001)
    failed = chat.page.locator("[data-rt-state=failed]")
    expect(failed).to_contain_text("Not sent.")
    expect(failed).to_contain_text("too long")
    chat.page.get_by_role("button", name="Discard").click()
    chat.expect_texts([])


def test_trying_again_sends_it_once(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    chat = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    chat.page.evaluate(
        """async () => {
            const { Room } = await import("/static/realtime/room.js");
            const send = Room.prototype.send;
            Room.prototype.send = async function () {
                Room.prototype.send = send;
                throw Object.assign(new Error("No."), { code: "unavailable", message: "No.", retryAfter: 1 });
            };
        }"""
    )
    chat.say("once")
    expect(chat.page.locator("[data-rt-state=failed]")).to_contain_text("Not sent. The server cannot save")
    chat.page.get_by_role("button", name="Try again").click()
    chat.expect_texts(["once"])
    expect(chat.page.locator("[data-rt-state]")).to_have_count(0)


def test_going_up_shows_older_lines_without_a_jump(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    fill(embedded_site, slug, 1, 180)
    chat = Chat(visit(f"/rooms/{slug}/")).is_joined()
    assert chat.distance_to_bottom < 2
    expect(chat.texts).to_have_count(50)
    chat.page.evaluate(
        """() => {
            const log = document.querySelector("[role=log]");
            const line = [...document.querySelectorAll("[data-seq='140']")][0];
            log.scrollTop = line.offsetTop - log.offsetTop;
            window.lineTop = () => line.getBoundingClientRect().top;
            window.before = window.lineTop();
        }"""
    )
    expect(chat.texts.first).not_to_have_text("line 131")
    assert abs(chat.page.evaluate("window.lineTop() - window.before")) < 2
    while chat.texts.first.text_content() != "line 1":
        first = chat.texts.first.text_content() or ""
        chat.scroll_to("top")
        expect(chat.texts.first).not_to_have_text(first)
    chat.expect_texts([f"line {number}" for number in range(1, 181)])
    expect(chat.page.get_by_role("button", name="Show older messages")).to_be_hidden()


def test_new_lines_are_announced_to_who_reads_further_up(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    fill(embedded_site, slug, 1, 60)
    reader, writer = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    reader.scroll_to("top")
    expect(reader.texts.first).to_have_text("line 1")
    writer.say("new 1", "new 2")
    expect(reader.jump).to_have_text("2 new messages")
    assert reader.distance_to_bottom > 100
    reader.jump.click()
    expect(reader.line("new 2")).to_be_in_viewport()
    expect(reader.jump).to_be_hidden()
    writer.say("new 3")
    expect(reader.line("new 3")).to_be_in_viewport()


def test_a_burst_leaves_the_page_light_and_whole(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    chat = Chat(visit(f"/rooms/{slug}/")).is_joined()
    fill(embedded_site, slug, 1, 900)
    expect(chat.texts.last).to_have_text("line 900")
    shown = chat.texts.all_text_contents()
    assert len(shown) <= 400
    assert shown == [f"line {number}" for number in range(901 - len(shown), 901)]
    chat.scroll_to("top")
    expect(chat.texts.first).not_to_have_text(shown[0])


def test_an_announcement_arrives_from_the_admin_and_so_do_clearing_and_closing(
    visit: Visit, embedded_site: Site
) -> None:
    slug = embedded_site.room()
    chat = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    chat.say("gossip")
    admin = visit(f"/admin/realtime/room/?q={slug}", "admin")

    act(admin, "Post an announcement", text="Tea is ready")
    expect(chat.page.locator(".rt-announcement").last).to_contain_text("Tea is ready")
    act(admin, "Clear the history")
    chat.expect_texts([])
    expect(chat.page.get_by_text("Nothing has been said here yet.")).to_be_visible()
    act(admin, "Close the selected")
    expect(chat.status).to_have_text("This room is closed.")
    expect(chat.box).to_be_hidden()


def test_a_room_that_was_closed_comes_back_to_who_tries_again(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room(act_access="login")
    there = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    embedded_site.console.run("rooms.close(slug)", slug=slug)
    expect(there.status).to_have_text("This room is closed.")
    late = Chat(visit(f"/rooms/{slug}/"))
    for chat in (there, late):
        chat.page.get_by_role("button", name="Try again").click()
        expect(chat.status).to_have_text("This room is closed.")
    embedded_site.console.run("rooms.reopen(slug); rooms.publish(slug, 'message', {'text': 'Welcome back'})", slug=slug)
    for chat in (there, late):
        chat.page.get_by_role("button", name="Try again").click()
        expect(chat.status).to_have_text("The room is open again.")
        chat.expect_texts(["Welcome back"])
        expect(chat.page.get_by_role("button", name="Try again")).to_be_hidden()
    there.say("so quiet here")
    late.expect_texts(["Welcome back", "so quiet here"])
    expect(late.page.get_by_text("This room is closed.")).to_be_hidden()
    expect(late.page.get_by_role("link", name="Log in to write")).to_be_visible()


def test_who_logs_out_in_another_tab_is_told_so_in_this_one(visit: Visit, embedded_site: Site) -> None:
    chat = Chat(visit(f"/rooms/{embedded_site.room()}/", "alice")).is_joined()
    expect(chat.people).to_have_text("1 person here")
    other = chat.page.context.new_page()
    other.goto(urljoin(chat.page.url, "/"))
    other.get_by_role("button", name="Log out").click()
    expect(chat.status).to_have_text("You are logged out, or your account has changed. Please log in again.")
    expect(chat.people).to_have_text("")  # it is not known any more


def act(admin: Page, action: str, text: str = "") -> None:
    """Choose an action for the first room of the admin's list, and confirm it where that is asked for."""
    here = admin.url
    admin.locator("input.action-select").first.check()
    chosen = admin.locator("select[name=action] option").filter(has_text=action).get_attribute("value")
    admin.locator("select[name=action]").select_option(chosen)
    admin.locator("button[name=index]").click()
    if text:
        admin.locator("textarea").fill(text)
    confirm, done = admin.locator("[name=confirmed]"), admin.locator(".messagelist .success")
    expect(confirm.or_(done).first).to_be_visible()
    if confirm.count():
        confirm.click()
    expect(done).to_be_visible()
    admin.goto(here)


def test_everything_works_with_the_keyboard_alone(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    fill(embedded_site, slug, 1, 120)
    page = visit(f"/rooms/{slug}/", "alice")
    chat = Chat(page).is_joined()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(chat.log).to_be_focused()
    page.keyboard.press("Home")
    expect(chat.texts.first).not_to_have_text("line 71")
    while not chat.box.evaluate("(box) => box === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    expect(chat.texts.last).to_have_text("by hand")
    expect(chat.box).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_phone(visit: Visit, embedded_site: Site, scheme: str) -> None:
    slug = embedded_site.room(title="A title that is a good deal longer than any phone is wide, as titles are")
    for path in (f"/rooms/{slug}/", "/rooms/visits/", "/rooms/lunch/", "/", "/accounts/login/"):
        page = visit(path, "alice", color_scheme=scheme, **PHONE)
        if path.endswith(f"{slug}/"):
            Chat(page).is_joined().say("w" * 400, "https://example.org/" + "long" * 100)
            expect(page.locator("[data-rt-text]")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_history_reads_without_script(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    fill(embedded_site, slug, 1, 3)
    page = visit(f"/rooms/{slug}/", "alice", java_script_enabled=False)
    Chat(page).expect_texts(["line 1", "line 2", "line 3"])
    expect(page.locator("[data-rt-at]").first).to_have_text(re.compile(r"^\d\d:\d\d UTC$"))
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_hidden()


def test_times_are_those_of_the_readers_own_zone(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    embedded_site.console.run(
        """
rooms.publish(slug, "message", {"text": "late"})
models.Event.objects.filter(room__slug=slug).update(at="2026-03-01T23:30:00Z")
""",
        slug=slug,
    )
    page = visit(f"/rooms/{slug}/", timezone_id="Asia/Tokyo", locale="en-GB")
    expect(page.locator("[data-rt-at]")).to_have_text("08:30")
    expect(page.locator("[data-rt-day] time")).to_have_attribute("datetime", "2026-03-02")


def test_two_rooms_on_one_page_share_one_socket(visit: Visit, embedded_site: Site) -> None:
    first, second = embedded_site.room(), embedded_site.room("counter")
    page = visit("/", "alice")
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"/rooms/{first}/")
    Chat(page).is_joined()
    page.evaluate(
        """async (path) => {
            const request = new XMLHttpRequest(); // which makes no document from text, as the policy would have it
            request.responseType = "document";
            request.open("GET", path);
            request.send();
            const other = await new Promise((resolve) => { request.onload = () => resolve(request.response); });
            document.querySelector("main").append(other.querySelector("[data-realtime-room]"));
            const { boot } = await import("/static/realtime/page-boot.js");
            await boot();
        }""",
        f"/rooms/{second}/",
    )
    page.get_by_role("button", name="One more").click()
    expect(page.locator("[data-rt-value]")).to_have_text("1")
    Chat(page).say("both work")
    Chat(page).expect_texts(["both work"])
    assert len(sockets) == 1


@pytest.mark.faults
def test_a_restart_in_the_middle_loses_and_doubles_nothing(visit: Visit, new_site: type[Site]) -> None:
    site = new_site()
    server: Server = site.serve("daphne")
    slug = site.room()
    alice, bob = (
        Chat(visit(f"/rooms/{slug}/", name, server=server, rough=True)).is_joined() for name in ("alice", "bob")
    )
    alice.say("before")
    bob.expect_texts(["before"])

    server.stop()
    expect(alice.status).to_contain_text("The connection is lost.")
    alice.say("written while it was down")
    site.console.run("rooms.publish(slug, 'message', {'text': 'the site spoke'})", slug=slug)
    server.start()

    expect(bob.line("written while it was down")).to_be_visible(timeout=40_000)
    bob.say("after")
    expected = ["before", "the site spoke", "written while it was down", "after"]
    for chat in (alice, bob):
        chat.expect_texts(expected)
        expect(chat.status).to_be_empty()
        expect(chat.page.locator("[data-rt-state]")).to_have_count(0)
