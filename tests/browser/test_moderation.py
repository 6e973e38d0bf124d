"""Moderating on the chat's page, in real browsers."""

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.people import Chat
from tests.support.sites import Site

GONE = "Message removed."


def test_a_removed_message_is_gone_from_open_pages_and_after_a_reload(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice, bob = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    alice.say("one", "two", "three")
    bob.expect_texts(["one", "two", "three"])
    bob.page.reload()
    bob.is_joined().expect_texts(["one", "two", "three"])
    embedded_site.console.run("rooms.remove(slug, 2)", slug=slug)
    for chat in (alice, bob):
        chat.expect_texts(["one", GONE, "three"])
        expect(chat.log).not_to_contain_text("two")
    bob.page.reload()
    bob.is_joined().expect_texts(["one", GONE, "three"])
    alice.say("four")
    for chat in (alice, bob):
        chat.expect_texts(["one", GONE, "three", "four"])


def test_what_was_removed_while_one_was_offline_goes_when_one_is_back(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    alice = Chat(visit(f"/rooms/{slug}/", "alice", rough=True)).is_joined()
    alice.say("one", "two")
    alice.expect_texts(["one", "two"])
    alice.page.context.set_offline(True)
    expect(alice.status).to_contain_text("You are offline.")
    embedded_site.console.run("rooms.remove(slug, 1)", slug=slug)
    alice.page.context.set_offline(False)
    alice.expect_texts([GONE, "two"])


def test_a_removed_message_reads_as_removed_further_up(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    code = "[rooms.publish(slug, 'message', {'text': f'line {n}'}) for n in range(1, 81)]; rooms.remove(slug, 5)"
    embedded_site.console.run(code, slug=slug)
    chat = Chat(visit(f"/rooms/{slug}/")).is_joined()
    chat.scroll_to("top")
    expect(chat.texts.first).to_have_text("line 1")
    expect(chat.line(GONE)).to_have_count(1)
    expect(chat.line("line 5").and_(chat.page.get_by_text("line 5", exact=True))).to_have_count(0)


def test_without_a_script_a_removed_message_reads_as_removed(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room()
    embedded_site.console.run("rooms.publish(slug, 'message', {'text': 'no'}); rooms.remove(slug, 1)", slug=slug)
    chat = Chat(visit(f"/rooms/{slug}/", java_script_enabled=False))
    chat.expect_texts([GONE])
