"""Who is where: rows that count while their node's lease lasts, by the database's clock."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from realtime import presence
from realtime.kinds import Actor
from realtime.models import Node, Presence, Room
from realtime.presence import Move, Roll
from tests.support import rows

pytestmark = pytest.mark.django_db

ALICE, BOB = Actor("user:1", "alice"), Actor("user:2", "bob")


def alive(*nodes: str) -> None:
    for node in nodes:
        presence.renew(node, 30)


def expired(node: str) -> None:
    """Let a node's lease end."""
    Node.objects.filter(pk=node).update(lease_until=Now() - timedelta(seconds=1))


def enter(node: str, room: Room, *seats: tuple[str, Actor]) -> None:
    presence.apply(node, [Move(connection, room.pk, actor) for connection, actor in seats])


def here(room: Room) -> list[str]:
    return [person.name for person in presence.people(room.pk)]


def test_a_person_with_many_connections_is_one_person() -> None:
    room = rows.room()
    alive("n1", "n2")
    enter("n1", room, ("a", ALICE), ("b", ALICE), ("c", BOB))
    enter("n2", room, ("a", ALICE))
    assert here(room) == ["alice", "bob"]
    assert presence.counts([room.pk]) == {room.pk: 2}
    assert len(presence.seats([room.pk])[room.pk]) == 4


def test_a_person_is_here_until_the_last_connection_leaves() -> None:
    room = rows.room()
    alive("n")
    enter("n", room, ("a", ALICE), ("b", ALICE))
    presence.apply("n", [Move("a", room.pk, None)])
    assert here(room) == ["alice"]
    presence.apply("n", [Move("b", room.pk, None)])
    assert here(room) == []


def test_leaving_one_room_is_not_leaving_another() -> None:
    tea, cake = rows.room(), rows.room()
    alive("n", "m")
    for node in "nm":
        enter(node, tea, ("a", ALICE))
        enter(node, cake, ("a", ALICE))
    presence.apply("n", [Move("a", tea.pk, None)])
    assert presence.seats([tea.pk, cake.pk]) == {
        tea.pk: {("m", "a"): ALICE},
        cake.pk: {("n", "a"): ALICE, ("m", "a"): ALICE},
    }


@pytest.mark.parametrize(
    ("moves", "found"), [((ALICE, None), []), ((ALICE, None, ALICE), ["alice"]), ((None, ALICE), ["alice"])]
)
def test_of_several_moves_the_last_counts(moves: Iterable[Actor | None], found: list[str]) -> None:
    room = rows.room()
    alive("n")
    presence.apply("n", [Move("a", room.pk, actor) for actor in moves])
    assert here(room) == found


def test_entering_twice_is_entering_once() -> None:
    room = rows.room()
    alive("n")
    enter("n", room, ("a", ALICE))
    enter("n", room, ("a", ALICE))
    assert Presence.objects.count() == 1


def test_a_batch_of_moves_costs_few_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    room = rows.room()
    alive("n")
    enter("n", room, *((f"old {number}", ALICE) for number in range(100)))
    moves = [Move(f"old {number}", room.pk, None) for number in range(100)]
    moves += [Move(f"new {number}", room.pk, BOB) for number in range(100)]
    with django_assert_num_queries(4):  # a savepoint, a delete, an insert
        presence.apply("n", moves)
    assert here(room) == ["bob"]


def test_a_lease_is_new_once_and_then_renewed() -> None:
    assert [presence.renew("n", 30), presence.renew("n", 30)] == [False, True]
    left = Node.objects.get().lease_until - timezone.now()
    assert timedelta(seconds=25) < left < timedelta(seconds=31)


def test_whoever_is_on_a_node_whose_lease_has_ended_is_not_here() -> None:
    room = rows.room()
    alive("dead", "living")
    enter("dead", room, ("a", ALICE))
    enter("living", room, ("b", BOB))
    expired("dead")
    assert here(room) == ["bob"]
    assert presence.counts([room.pk]) == {room.pk: 1}
    assert presence.seats([room.pk]) == {room.pk: {("living", "b"): BOB}}


def test_whoever_is_on_a_node_without_a_lease_is_not_here() -> None:
    room = rows.room()
    enter("nobody", room, ("a", ALICE))
    assert here(room) == []


def test_a_lease_that_is_renewed_late_but_before_the_sweep_brings_everybody_back() -> None:
    room = rows.room()
    alive("n")
    enter("n", room, ("a", ALICE))
    expired("n")
    assert presence.renew("n", 30)
    assert here(room) == ["alice"]


def test_a_sweep_takes_out_what_is_dead_and_what_is_left_over() -> None:
    room = rows.room()
    alive("dead", "living")
    for node in ("dead", "living", "nobody"):
        enter(node, room, ("a", ALICE))
    expired("dead")
    assert presence.sweep() == 1
    assert [node.pk for node in Node.objects.all()] == ["living"]
    assert [row.node_id for row in Presence.objects.all()] == ["living"]
    assert presence.sweep() == 0


def test_a_node_that_was_swept_learns_it_when_it_renews() -> None:
    alive("n")
    expired("n")
    presence.sweep()
    assert presence.renew("n", 30) is False


def test_rewriting_makes_the_nodes_rows_exactly_these() -> None:
    room, other = rows.room(), rows.room()
    alive("n", "m")
    enter("n", room, ("a", ALICE))
    enter("m", room, ("a", ALICE))
    presence.rewrite("n", [Move("b", other.pk, BOB)])
    assert presence.seats([room.pk, other.pk]) == {room.pk: {("m", "a"): ALICE}, other.pk: {("n", "b"): BOB}}


def test_a_node_that_ends_takes_its_people_with_it() -> None:
    room = rows.room()
    alive("n", "m")
    enter("n", room, ("a", ALICE))
    enter("m", room, ("b", BOB))
    presence.end("n")
    assert here(room) == ["bob"]
    assert [node.pk for node in Node.objects.all()] == ["m"]


def test_the_clock_of_this_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    room = rows.room()
    alive("n")
    enter("n", room, ("a", ALICE))
    monkeypatch.setattr("django.utils.timezone.now", lambda: datetime(2000, 1, 1, tzinfo=UTC))
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert here(room) == ["alice"]
    assert presence.sweep() == 0
    assert presence.renew("n", 30)
    assert not presence.renew("m", 30)
    enter("m", room, ("b", BOB))
    assert here(room) == ["alice", "bob"]


def test_many_rooms_are_looked_at_in_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    found = [rows.room() for _ in range(5)]
    alive("n")
    enter("n", found[0], ("a", ALICE))
    pks = [room.pk for room in found]
    with django_assert_num_queries(1):
        assert presence.counts(pks) == {pk: int(pk == pks[0]) for pk in pks}
    with django_assert_num_queries(1):
        assert list(presence.seats(iter(pks))) == pks


def test_people_are_listed_by_name_up_to_a_limit() -> None:
    room = rows.room()
    alive("n")
    enter("n", room, ("a", BOB), ("b", ALICE), ("c", Actor("user:3", "carol")))
    assert [person.name for person in presence.people(room.pk, limit=2)] == ["alice", "bob"]


@pytest.mark.django_db
def test_a_roll_counts_for_everything_noted_before_it_and_nothing_after() -> None:
    room, alice, bob = rows.room(), Actor("user:1", "alice"), Actor("user:2", "bob")
    presence.renew("n", 30)
    presence.apply("n", [Move("ghost", room.pk, bob)])
    asked = [
        Move("gone", room.pk, bob),
        Roll([Move("a", room.pk, alice)]),
        Move("b", room.pk, bob),
        Move("a", room.pk, None),
    ]
    presence.note("n", asked)
    assert [person.name for person in presence.people(room.pk)] == ["bob"]
    assert list(Presence.objects.values_list("connection", flat=True)) == ["b"]
