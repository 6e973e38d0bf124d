"""Who is in a room, by person and not by connection."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.kinds import Actor
from realtime.roster import Roster, Seat

ALICE, BOB = Actor("user:1", "alice"), Actor("user:2", "bob")


def names(shown: dict[str, Any]) -> list[str]:
    return sorted(meta["name"] for person in shown.values() for meta in person["metas"])


def test_a_person_with_two_tabs_joins_once_and_leaves_with_the_last() -> None:
    it = Roster()
    it.enter(("n", "tab 1"), ALICE)
    it.enter(("n", "tab 2"), ALICE)
    assert names(it.changes()[0]) == ["alice"]
    it.leave(("n", "tab 1"))
    assert it.changes() == ({}, {})
    it.leave(("n", "tab 2"))
    assert names(it.changes()[1]) == ["alice"]
    assert len(it) == 0


def test_places_are_counted_by_person() -> None:
    it = Roster()
    for tab in ("tab 1", "tab 2"):
        it.enter(("n", tab), ALICE)
    assert [it.has_place(BOB.id, most) for most in (1, 2)] == [False, True]
    assert it.has_place(ALICE.id, 1)


def test_who_came_and_went_in_between_is_not_mentioned() -> None:
    it = Roster()
    it.enter(("n", "c"), ALICE)
    it.leave(("n", "c"))
    assert it.changes() == ({}, {})


def test_who_went_and_came_back_in_between_is_not_mentioned() -> None:
    it = Roster()
    it.enter(("n", "c"), ALICE)
    it.changes()
    it.leave(("n", "c"))
    it.enter(("n", "d"), ALICE)
    assert it.changes() == ({}, {})


def test_a_leave_carries_the_ref_of_its_join_and_a_new_join_a_new_one() -> None:
    it = Roster()
    it.enter(("n", "c"), ALICE)
    first = it.changes()[0]
    it.leave(("n", "c"))
    assert it.changes()[1] == first
    it.enter(("n", "c"), ALICE)
    assert it.changes()[0] != first


def test_the_shape_is_phoenixs() -> None:
    it = Roster()
    it.enter(("n", "c"), ALICE)
    assert it.state() == {}
    joins, leaves = it.changes()
    assert it.state() == joins == {"user:1": {"metas": [{"phx_ref": "1", "name": "alice"}]}}
    assert leaves == {}


def test_a_seat_that_somebody_else_takes_is_no_longer_the_firsts() -> None:
    it = Roster()
    it.enter(("n", "c"), ALICE)
    it.changes()
    it.enter(("n", "c"), BOB)
    joins, leaves = it.changes()
    assert (names(joins), names(leaves)) == (["bob"], ["alice"])


def test_the_table_puts_right_what_was_lost() -> None:
    it = Roster()
    it.enter(("there", "gone"), ALICE)
    it.begin_reading()
    it.reconcile({("there", "new"): BOB}, own_node="here")
    assert list(it.people()) == [BOB.id]
    assert it.dirty


def test_of_its_own_people_a_process_knows_more_than_the_table() -> None:
    it = Roster()
    it.enter(("here", "in"), ALICE)
    it.begin_reading()
    it.reconcile({("here", "old"): BOB}, own_node="here")
    assert list(it.people()) == [ALICE.id]


def test_what_was_heard_while_the_table_was_read_is_newer_than_the_table() -> None:
    it = Roster()
    it.enter(("there", "a"), ALICE)
    it.begin_reading()
    it.leave(("there", "a"))
    it.enter(("there", "b"), BOB)
    it.reconcile({("there", "a"): ALICE}, own_node="here")
    assert list(it.people()) == [BOB.id]


SEATS = st.tuples(st.sampled_from(["here", "there"]), st.sampled_from("abcd"))
PEOPLE = st.sampled_from([ALICE, BOB, Actor("user:3", "carol")])


class RosterAgainstADictionary(RuleBasedStateMachine):
    """The oracle is a dictionary of seats; whoever follows the changes must come to the same people."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.seats: dict[Seat, Actor] = {}
        self.followed: dict[str, Any] = {}

    @rule(seat=SEATS, actor=PEOPLE)
    def enter(self, seat: Seat, actor: Actor) -> None:
        self.roster.enter(seat, actor)
        self.seats[seat] = actor

    @rule(seat=SEATS)
    def leave(self, seat: Seat) -> None:
        self.roster.leave(seat)
        self.seats.pop(seat, None)

    @rule(table=st.dictionaries(SEATS, PEOPLE))
    def reconcile(self, table: dict[Seat, Actor]) -> None:
        self.roster.begin_reading()
        self.roster.reconcile(table, "here")
        own = {seat: actor for seat, actor in self.seats.items() if seat[0] == "here"}
        self.seats = own | {seat: actor for seat, actor in table.items() if seat[0] != "here"}

    @rule()
    def tell(self) -> None:
        joins, leaves = self.roster.changes()
        assert not joins.keys() & self.followed.keys()
        assert leaves.keys() <= self.followed.keys()
        self.followed = {key: meta for key, meta in (self.followed | joins).items() if key not in leaves}
        assert self.followed.keys() == {actor.id for actor in self.seats.values()}
        assert self.followed == self.roster.state()

    @invariant()
    def the_same_people(self) -> None:
        assert set(self.roster.people()) == {actor.id for actor in self.seats.values()}
        assert len(self.roster) == len({actor.id for actor in self.seats.values()})


TestRosterAgainstADictionary = RosterAgainstADictionary.TestCase
TestRosterAgainstADictionary.settings = settings(max_examples=40, stateful_step_count=25)
