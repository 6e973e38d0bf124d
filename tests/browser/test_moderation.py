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


# What moderators, and authors, do on the page


MODERATES = "Membership.objects.create(room=Room.objects.get(slug=slug), user=User.objects.get(username='bob'), role='moderator')"


def moderated(site: Site) -> str:
    """A room that bob moderates."""
    slug = site.room()
    site.console.run(MODERATES, slug=slug)
    return slug


def test_a_moderator_removes_a_message_with_the_keyboard_alone(visit: Visit, embedded_site: Site) -> None:
    slug = moderated(embedded_site)
    alice, bob = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    alice.say("fine", "foul")
    bob.expect_texts(["fine", "foul"])
    bob.more("foul").focus()
    bob.page.keyboard.press("Enter")
    dialog = bob.page.get_by_role("dialog", name="alice")
    expect(dialog.locator("blockquote")).to_have_text("foul")
    bob.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(bob.more("foul")).to_be_focused()
    bob.page.keyboard.press("Enter")
    bob.page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Remove this message")).to_be_focused()
    bob.page.keyboard.press("Enter")
    expect(bob.page.get_by_text("The message is removed.")).to_be_visible()
    for chat in (alice, bob):
        chat.expect_texts(["fine", GONE])


def test_people_take_back_what_they_said_and_have_no_say_over_others(visit: Visit, embedded_site: Site) -> None:
    slug = moderated(embedded_site)
    alice, bob = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    bob.say("stays")
    alice.expect_texts(["stays"])
    alice.say("a slip")
    alice.expect_texts(["stays", "a slip"])
    expect(alice.more("stays")).to_be_hidden()
    expect(alice.page.get_by_role("button", name="bob")).to_have_count(0)
    alice.line("a slip").hover()
    alice.more("a slip").click()
    expect(alice.page.get_by_role("button", name="Ban", exact=True)).to_be_hidden()
    alice.page.get_by_role("button", name="Remove this message").click()
    bob.expect_texts(["stays", GONE])


def test_a_moderator_mutes_and_bans_and_lets_in_again(visit: Visit, embedded_site: Site) -> None:
    slug = moderated(embedded_site)
    alice, bob = (Chat(visit(f"/rooms/{slug}/", name)).is_joined() for name in ("alice", "bob"))
    alice.say("hello")
    person = bob.page.get_by_role("button", name="alice", exact=True)
    person.click()
    bob.page.get_by_label("For how long").select_option("10 minutes")
    bob.page.get_by_role("button", name="Mute", exact=True).click()
    expect(bob.page.get_by_text("alice is muted.")).to_be_visible()
    expect(alice.page.get_by_text("You are muted in this room until")).to_be_visible()
    expect(alice.box).to_be_hidden()
    person.click()
    bob.page.get_by_text("Undo").click()
    bob.page.get_by_role("button", name="Let write again").click()
    expect(alice.box).to_be_visible()
    bob.line("hello").hover()
    bob.more("hello").click()
    bob.page.get_by_role("button", name="Ban", exact=True).click()
    expect(alice.status).to_contain_text("You are banned from this room until")
    expect(alice.box).to_be_hidden()
    expect(person).to_have_count(0)


def test_in_slow_mode_the_page_says_when_it_is_ones_turn_and_keeps_what_one_writes(
    visit: Visit, embedded_site: Site
) -> None:
    slug = embedded_site.room(slow_seconds=100)
    alice = Chat(visit(f"/rooms/{slug}/", "alice")).is_joined()
    note = alice.page.locator("[data-rt-slow]")
    expect(note).to_have_text("Slow mode: one message in 100 seconds.")
    alice.say("one")
    alice.expect_texts(["one"])
    expect(note).to_contain_text("you can send the next message in")
    alice.say("two")
    expect(alice.box).to_have_value("two")
    expect(alice.page.locator("[data-rt-notice]")).to_have_text("It is not your turn yet. What you wrote is kept.")
    alice.page.reload()
    alice.is_joined()
    expect(note).to_contain_text("you can send the next message in")
    embedded_site.console.run("row = Room.objects.get(slug=slug); row.slow_seconds = None; row.save()", slug=slug)
    alice.page.reload()
    alice.is_joined()
    expect(note).to_be_hidden()
    expect(alice.box).to_have_value("two")
    alice.box.press("Enter")
    alice.expect_texts(["one", "two"])
