"""Kinds: what commands they take, what they make of them, and the registry."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from realtime import kinds
from realtime.errors import Invalid, UnknownCommand, UnknownKind
from realtime.kinds import Actor, Command, Ephemeral, Fact, Kind, Refusal, base

ALICE = Actor("user:1", "alice")
CHAT, COUNTER = kinds.get("chat"), kinds.get("counter")


class AddItem(Command):
    text: Annotated[str, Meta(min_length=1)]
    count: int = 1


class Point(Ephemeral):
    x: float


class Todo(Kind):
    name = "todo"
    commands = (AddItem, Point)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Kind]:
    """The registry, put back afterwards."""
    known = dict(base._kinds)
    monkeypatch.setattr(base, "_kinds", known)
    return known


def test_a_command_is_named_after_its_class() -> None:
    assert [command.command_name() for command in Todo.commands] == ["add_item", "point"]


def test_arguments_become_fields_and_defaults_hold() -> None:
    assert Todo().parse("add_item", {"text": "milk"}) == AddItem(text="milk", count=1)


def test_an_ephemeral_command_is_recognised() -> None:
    assert isinstance(Todo().parse("point", {"x": 1.5}), Ephemeral)


def test_an_unknown_command_lists_those_there_are() -> None:
    with pytest.raises(UnknownCommand, match="expected one of: add_item, point"):
        Todo().parse("remove", {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "missing required field `text`"),
        ({"text": 1}, "$.text"),
        ({"text": ""}, "length >= 1"),
        ({"text": "x", "count": "2"}, "$.count"),
        ({"text": "x", "more": 1}, "unknown field `more`"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid) as refused:
        Todo().parse("add_item", arguments)
    assert said in refused.value.message
    assert refused.value.message.startswith("add_item: ")


def test_a_kind_that_decides_nothing_keeps_its_commands_as_they_are() -> None:
    assert Todo().decide({}, AddItem(text="milk"), ALICE) == Fact("add_item", {"text": "milk", "count": 1})
    assert Todo().reduce({"a": 1}, Fact("add_item")) == {"a": 1}


@pytest.mark.parametrize(
    "word", ["", "Todo", "to-do", "1st", "phx_join", "presence_state", "room_ended", "x" * 51, "a\n"]
)
def test_a_name_that_cannot_stand_on_the_wire_fails_at_once(word: str) -> None:
    with pytest.raises(TypeError, match="expected a name"):
        type("Wrong", (Kind,), {"name": word})


def test_a_command_whose_name_cannot_stand_on_the_wire_fails_at_once() -> None:
    wrong = type("PhxJoin", (Command,), {})
    with pytest.raises(TypeError, match="phx_join"):
        type("Wrong", (Kind,), {"name": "wrong", "commands": (wrong,)})


def test_a_registered_kind_is_found_by_its_name(registry: dict[str, Kind]) -> None:
    assert kinds.register(Todo) is Todo
    assert isinstance(kinds.get("todo"), Todo)
    assert "todo" in kinds.names()
    assert ("todo", "todo") in kinds.choices()


def test_a_kind_may_be_imported_twice(registry: dict[str, Kind]) -> None:
    kinds.register(Todo)
    kinds.register(Todo)


def test_two_kinds_of_one_name_are_a_mistake(registry: dict[str, Kind]) -> None:
    kinds.register(Todo)
    with pytest.raises(TypeError, match="Two kinds are named 'todo'"):
        kinds.register(type("Other", (Kind,), {"name": "todo"}))


def test_an_unknown_kind_is_said_to_be_unknown() -> None:
    with pytest.raises(UnknownKind, match="chat, counter"):
        kinds.get("poem")


def test_choices_carry_titles() -> None:
    assert ("chat", "Chat") in kinds.choices()
    assert ("counter", "Counter") in kinds.choices()


def test_a_chat_message_is_stripped() -> None:
    assert CHAT.decide({}, CHAT.parse("message", {"text": "  hi \n"}), ALICE) == Fact("message", {"text": "hi"})


def test_a_chat_message_of_white_space_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        CHAT.decide({}, CHAT.parse("message", {"text": " \n\t"}), ALICE)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("text", ["", "x" * 4001, None, 1, ["x"]])
def test_a_chat_message_is_text_of_up_to_4000_characters(text: Any) -> None:
    with pytest.raises(Invalid):
        CHAT.parse("message", {"text": text})
    assert CHAT.parse("message", {"text": "x" * 4000})


@pytest.mark.parametrize("by", [1001, -1001, 1.5, "1", None, True, 10**30])
def test_a_counter_adds_whole_numbers_up_to_a_thousand(by: Any) -> None:
    with pytest.raises(Invalid):
        COUNTER.parse("add", {"by": by})


@given(st.lists(st.integers(-1000, 1000).filter(bool)))
def test_a_counters_value_is_the_sum_of_what_was_added(steps: list[int]) -> None:
    state = COUNTER.initial
    for by in steps:
        state = COUNTER.reduce(state, COUNTER.decide(state, COUNTER.parse("add", {"by": by}), ALICE))
    assert state == {"value": sum(steps)}
    assert COUNTER.initial == {"value": 0}


def test_a_counter_overlooks_what_it_does_not_know() -> None:
    assert COUNTER.reduce({"value": 3}, Fact("announcement", {"text": "hi"})) == {"value": 3}


def test_a_counter_does_not_count_nothing() -> None:
    with pytest.raises(Refusal, match="other than 0"):
        COUNTER.decide({"value": 3}, COUNTER.parse("add", {"by": 0}), Actor("user:1", "alice"))
