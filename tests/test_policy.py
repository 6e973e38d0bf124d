"""Who may see, join, act and moderate: every access, for every person."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from realtime import policy
from realtime.auth import NOBODY, Person
from realtime.errors import Forbidden, LoginRequired, Refusal, RoomClosed
from realtime.models import Access, Room
from tests.support import rows

USER = Person("user:1", "alice", user_pk="1")
STAFF = Person("user:2", "admin", user_pk="2", is_staff=True)
PEOPLE: dict[str, tuple[Person, str | None]] = {
    "guest": (NOBODY, None),
    "user": (USER, None),
    "member": (USER, "member"),
    "moderator": (USER, "moderator"),
    "staff": (STAFF, None),
}
WITHIN = {
    "anyone": {"guest", "user", "member", "moderator", "staff"},
    "login": {"user", "member", "moderator", "staff"},
    "members": {"member", "moderator", "staff"},
    "staff": {"staff"},
}


def room(join: str = "anyone", act: str = "anyone", **fields: Any) -> Room:
    return Room(pk=1, slug="r", title="R", kind="chat", join_access=join, act_access=act, **fields)


def outcome(check: Any, person: Person, row: Room, role: str | None) -> str:
    try:
        check(person, row, role)
    except Refusal as refusal:
        return refusal.code
    return "ok"


def no(who: str) -> str:
    return "login_required" if who == "guest" else "forbidden"


def test_every_access_is_looked_at_here() -> None:
    assert set(WITHIN) == set(Access.values)


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("join", WITHIN)
def test_who_may_join(join: str, who: str) -> None:
    expected = "ok" if who in WITHIN[join] else no(who)
    assert outcome(policy.check_join, PEOPLE[who][0], room(join), PEOPLE[who][1]) == expected
    assert outcome(policy.check_see, PEOPLE[who][0], room(join), PEOPLE[who][1]) == expected


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("act", WITHIN)
@pytest.mark.parametrize("join", WITHIN)
def test_who_may_act_is_among_those_who_may_join(join: str, act: str, who: str) -> None:
    person, role = PEOPLE[who]
    allowed = who in WITHIN[join] & WITHIN[act]
    assert outcome(policy.check_act, person, room(join, act), role) == ("ok" if allowed else no(who))
    assert ("act" in policy.can(person, room(join, act), role)) == allowed


@pytest.mark.parametrize("who", PEOPLE)
def test_moderators_and_staff_may_moderate(who: str) -> None:
    assert ("moderate" in policy.can(PEOPLE[who][0], room(), PEOPLE[who][1])) == (who in {"moderator", "staff"})


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_joins_or_acts_in_a_closed_room_and_everybody_sees_it(who: str) -> None:
    person, role = PEOPLE[who]
    closed = room(closed=True)
    assert outcome(policy.check_join, person, closed, role) == "room_closed"
    assert outcome(policy.check_act, person, closed, role) == "room_closed"
    assert outcome(policy.check_see, person, closed, role) == "ok"
    assert "act" not in policy.can(person, closed, role)


def test_one_who_may_not_join_is_not_told_that_the_room_is_closed() -> None:
    with pytest.raises(LoginRequired):
        policy.check_join(NOBODY, room("login", closed=True), None)


class OwnModerators(policy.Policy):
    """Staff moderate nothing here."""

    def may_moderate(self, person: Person, room: Room, role: str | None) -> bool:
        return role == "moderator"


@pytest.mark.parametrize("rules", ["realtime.policy.Policy", "tests.test_policy.OwnModerators"])
def test_staff_and_who_may_moderate_need_no_place_in_a_full_room(settings: Settings, rules: str) -> None:
    settings.REALTIME = {"POLICY": rules}
    needs = {who for who, (person, role) in PEOPLE.items() if policy.needs_place(person, room(), role)}
    assert needs == {"guest", "user", "member"}


class Curfew(policy.Policy):
    """A site's own rules."""

    def may_join(self, person: Person, room: Room, role: str | None) -> bool:
        return False


def test_a_site_may_have_rules_of_its_own(settings: Settings) -> None:
    settings.REALTIME = {"POLICY": "tests.test_policy.Curfew"}
    with pytest.raises(Forbidden):
        policy.check_join(USER, room(), None)
    assert not policy.is_plain(room())


def test_a_room_is_plain_where_no_role_can_matter() -> None:
    assert policy.is_plain(room("anyone", "login"))
    assert not policy.is_plain(room("members", "anyone"))
    assert not policy.is_plain(room("anyone", "staff"))
    with pytest.raises(RoomClosed):
        policy.check_act(USER, room(closed=True), None)


@pytest.mark.django_db
def test_roles_are_read_in_one_query_for_all(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tea, cake = rows.room(), rows.room()
    alice, bob = rows.user(), rows.user()
    rows.member(tea, alice, "moderator")
    rows.member(cake, bob)
    people = [Person(f"user:{user.pk}", user.username, user_pk=str(user.pk)) for user in (alice, bob)]
    with django_assert_num_queries(1):
        found = policy.roles((row.pk, person) for row in (tea, cake) for person in (*people, NOBODY))
    assert found == {(tea.pk, str(alice.pk)): "moderator", (cake.pk, str(bob.pk)): "member"}


@pytest.mark.django_db
def test_guests_have_no_roles_to_be_read(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert policy.roles([(1, NOBODY)]) == {}
