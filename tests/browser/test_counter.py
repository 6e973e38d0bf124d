"""The counter's page in real browsers."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Visit
from tests.browser.people import is_joined
from tests.support.sites import Site

PEOPLE = 10
PRESSES = 15


def value(page: Page) -> str:
    return page.locator("[data-rt-value]").text_content() or ""


def test_anyone_counts_without_logging_in_and_everyone_sees_it(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room("counter")
    one, other = (is_joined(visit(f"/rooms/{slug}/")) for _ in range(2))
    one.get_by_role("button", name="One more").click(click_count=3)
    other.get_by_role("button", name="One less").click()
    for page in (one, other):
        expect(page.locator("[data-rt-value]")).to_have_text("2")
        expect(page.locator("[data-rt-count]")).to_have_text("2 people here")


def test_ten_browsers_pressing_at_once_end_at_the_right_number(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room("counter")
    pages = [is_joined(visit(f"/rooms/{slug}/")) for _ in range(PEOPLE)]
    press = """(presses) => {
        const [less, more] = document.querySelectorAll("[data-rt-step]");
        let left = presses;
        const timer = setInterval(() => {
            more.click();
            if (left % 5 === 0) less.click();
            if (--left === 0) clearInterval(timer);
        }, 20);
    }"""
    for page in pages:
        page.evaluate(press, PRESSES)
    right = PEOPLE * (PRESSES - PRESSES // 5)
    for page in pages:
        expect(page.locator("[data-rt-value]")).to_have_text(str(right))
    state = embedded_site.console.run("result = Room.objects.get(slug=slug).state", slug=slug)
    assert state == {"value": right}


def test_a_press_shows_at_once_and_survives_being_offline(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room("counter")
    page = is_joined(visit(f"/rooms/{slug}/", rough=True))
    other = is_joined(visit(f"/rooms/{slug}/"))
    page.context.set_offline(True)
    more = page.get_by_role("button", name="One more")
    more.click(click_count=4)
    assert value(page) == "4"
    other.get_by_role("button", name="One more").click()
    expect(other.locator("[data-rt-value]")).to_have_text("1")
    page.context.set_offline(False)
    for each in (page, other):
        expect(each.locator("[data-rt-value]")).to_have_text("5")


def test_presses_right_before_a_reload_are_not_lost(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room("counter")
    page = is_joined(visit(f"/rooms/{slug}/"))
    page.evaluate(
        """() => {
            const more = document.querySelector("[data-rt-step='1']");
            for (let press = 0; press < 7; press += 1) more.click();
            location.reload();
        }"""
    )
    page.wait_for_event("load")
    expect(page.locator("[data-rt-value]")).to_have_text("7")


def test_the_counter_is_large_enough_for_a_thumb(visit: Visit, embedded_site: Site) -> None:
    page = is_joined(visit(f"/rooms/{embedded_site.room('counter')}/", **PHONE))
    for name in ("One more", "One less"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 64
    page.get_by_role("button", name="One less").tap()
    expect(page.locator("[data-rt-value]")).to_have_text("-1")


def test_the_keyboard_counts(visit: Visit, embedded_site: Site) -> None:
    page = is_joined(visit(f"/rooms/{embedded_site.room('counter')}/"))
    page.get_by_role("button", name="One more").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    expect(page.locator("[data-rt-value]")).to_have_text("2")


def test_who_may_only_look_sees_no_buttons(visit: Visit, embedded_site: Site) -> None:
    page = visit(f"/rooms/{embedded_site.room('counter', act_access='login')}/")
    expect(page.get_by_role("link", name="Log in to count")).to_be_visible()
    expect(page.get_by_role("button", name="One more")).to_be_hidden()


def test_the_sites_own_kind_is_live_too(visit: Visit, embedded_site: Site) -> None:
    slug = embedded_site.room("poll")
    embedded_site.console.run(
        "rooms.publish(slug, 'asked', {'question': 'Where?', 'choices': ['here', 'there']})", slug=slug
    )
    one, other = visit(f"/rooms/{slug}/"), visit(f"/rooms/{slug}/", "alice")
    one.get_by_role("button", name="there").click()
    for page in (one, other):
        expect(page.get_by_role("button", name="there")).to_contain_text("1 vote")
    expect(one.get_by_role("button", name="there")).to_have_attribute("aria-pressed", "true")
    expect(other.get_by_role("button", name="there")).to_have_attribute("aria-pressed", "false")
