"""What was told lately: what of it ends, or concerns, somebody who was not there yet."""

import pytest

from realtime.auth import Person
from realtime.changes import Changes
from realtime.rings import Changed

ALICE = Person("user:7", "alice", user_pk="7", session_key="hers")
BOB = Person("user:8", "bob", user_pk="8", session_key="his")
GUEST = Person("guest:1", "Guest", session_key="hers")


def heard(*told: Changed, now: float = 0.0) -> Changes:
    changes = Changes()
    for changed in told:
        changes.hear(changed, now)
    return changes


def test_a_session_that_ended_lets_nobody_in_for_a_minute_whatever_they_had_heard() -> None:
    changes = heard(Changed(session="hers"))
    assert [changes.end(ALICE, changes.count, now) for now in (0.0, 59.0, 61.0)] == [True, True, False]
    assert not changes.end(BOB, 0, 0.0)
    assert not changes.end(GUEST, 0, 0.0), "guests have no access to lose"


def test_who_has_to_go_may_come_back() -> None:
    changes = heard(Changed(disconnect="7"))
    assert changes.end(ALICE, 0, 0.0)
    assert not changes.end(ALICE, changes.count, 0.0)


@pytest.mark.parametrize("changed", [Changed(user="7"), Changed(room=1), Changed(person="user:7")])
def test_only_what_came_since_and_is_about_them_concerns_them(changed: Changed) -> None:
    changes = heard(Changed(user="9"), changed)
    assert [changes.concern(ALICE, [1], since, 0.0) for since in (0, 1, 2)] == [True, True, False]
    assert not changes.concern(BOB, [2], 0, 0.0)


def test_who_cannot_know_any_more_what_came_since_is_looked_at() -> None:
    changes = heard(*[Changed(user="9")] * 1001)
    assert [changes.concern(ALICE, [], since, 0.0) for since in (0, 1)] == [True, False]


def test_only_so_many_sessions_are_kept_and_past_that_everybody_is_looked_at_for_a_while() -> None:
    changes = heard(Changed(session="hers"), *(Changed(session=str(number)) for number in range(5000)))
    assert not changes.end(ALICE, changes.count, 0.0)
    assert [changes.concern(ALICE, [], changes.count, now) for now in (59.0, 61.0)] == [True, False]


def test_a_session_that_is_told_again_is_kept_from_then_on() -> None:
    changes = heard(Changed(session="hers"), *(Changed(session=str(number)) for number in range(4999)))
    for changed in (Changed(session="hers"), Changed(session="another")):
        changes.hear(changed, 30.0)
    assert changes.end(ALICE, changes.count, 61.0)
