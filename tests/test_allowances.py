"""What a person's connections share."""

import pytest
from pytest_django import Settings

from realtime.allowances import Allowances
from realtime.auth import Person
from realtime.errors import TooManyConnections

ALICE = Person("user:7", "alice", user_pk="7")
BOB = Person("user:8", "bob", user_pk="8")
GUEST = Person("guest:1", "Guest", session_key="abc")
PASSER_BY = Person("guest:2", "Guest")


@pytest.fixture(autouse=True)
def _few(settings: Settings) -> None:
    settings.REALTIME = {
        "CONNECTIONS_PER_PERSON": 2, "PERSON_COMMANDS_PER_SECOND": 1, "PERSON_COMMANDS_BURST": 3,
    }  # fmt: skip


def test_all_connections_of_a_person_share_one() -> None:
    everyone = Allowances()
    assert everyone.enter(ALICE, 0.0) is everyone.enter(ALICE, 0.0)
    assert everyone.enter(BOB, 0.0) is not everyone.enter(GUEST, 0.0)


def test_a_person_may_have_only_so_many_connections() -> None:
    everyone = Allowances()
    mine = [everyone.enter(ALICE, 0.0) for _ in range(2)]
    with pytest.raises(TooManyConnections):
        everyone.enter(ALICE, 0.0)
    everyone.enter(BOB, 0.0)
    everyone.leave(mine[0])
    everyone.enter(ALICE, 0.0)


def test_zero_is_without_limit(settings: Settings) -> None:
    settings.REALTIME = {"CONNECTIONS_PER_PERSON": 0}
    everyone = Allowances()
    for _ in range(1000):
        everyone.enter(ALICE, 0.0)


@pytest.mark.parametrize("person", [ALICE, GUEST])
def test_who_comes_back_does_not_start_afresh(person: Person) -> None:
    everyone = Allowances()
    mine = everyone.enter(person, 0.0)
    while not mine.commands.take(0.0):
        pass
    everyone.leave(mine)
    assert everyone.enter(person, 0.5).commands.take(0.5) == 0.5


def test_who_comes_back_does_not_join_afresh_either() -> None:
    everyone = Allowances()
    mine = everyone.enter(ALICE, 0.0)
    while not mine.joins(0.0).take(0.0):
        pass
    everyone.leave(mine)
    assert everyone.enter(ALICE, 0.5).joins(0.5).take(0.5) == 0.5


def test_a_guest_without_a_session_leaves_nothing_behind() -> None:
    everyone = Allowances()
    everyone.leave(everyone.enter(PASSER_BY, 0.0))
    assert len(everyone) == 0


def test_only_so_many_who_left_are_remembered() -> None:
    everyone = Allowances()
    for number in range(5000):
        person = Person(f"user:{number}", "x", user_pk=str(number))
        everyone.leave(everyone.enter(person, 0.0))
    assert len(everyone) == 2000


def test_leaving_a_room_and_joining_again_does_not_fill_its_allowance() -> None:
    mine = Allowances().enter(ALICE, 0.0)
    first = mine.room(1, 0.5, 0.0)
    first.take(0.0)
    assert mine.room(1, 0.5, 0.0) is first
    assert mine.room(2, 0.5, 0.0) is not first


def test_a_room_whose_rate_was_changed_has_the_new_one() -> None:
    mine = Allowances().enter(ALICE, 0.0)
    mine.room(1, 0.5, 0.0)
    assert mine.room(1, 5.0, 0.0).rate == 5.0


def test_only_so_many_rooms_are_kept_in_mind() -> None:
    mine = Allowances().enter(ALICE, 0.0)
    first = mine.room(0, 1.0, 0.0)
    for room_pk in range(1, 1000):
        mine.room(room_pk, 1.0, 0.0)
    assert mine.room(0, 1.0, 0.0) is not first
