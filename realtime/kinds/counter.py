"""Counter: a number that everyone sees and changes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from realtime.kinds.base import Actor, Command, Fact, Kind, Refusal, State, register


class Add(Command):
    by: Annotated[int, Meta(ge=-1000, le=1000)] = 1


@register
class Counter(Kind):
    name = "counter"
    title = "Counter"
    commands = (Add,)
    initial = {"value": 0}

    def decide(self, state: State, command: Command, actor: Actor) -> Fact:
        assert isinstance(command, Add)
        if command.by == 0:
            raise Refusal("invalid", "add: expected `by` to be other than 0.")
        return Fact("added", {"by": command.by})

    def reduce(self, state: State, fact: Fact) -> State:
        return {"value": state["value"] + fact.data["by"]} if fact.name == "added" else state
