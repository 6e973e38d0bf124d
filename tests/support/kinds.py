"""Kinds that behave as a site's kinds should not."""

from typing import Any

import pytest

from realtime.kinds import Actor, Command, Ephemeral, Fact, Kind, Refusal, State, base


class Do(Command):
    """The command `do`: what the kind shall do."""

    what: str
    data: dict[str, Any] = {}


class Wave(Ephemeral):
    """The ephemeral command `wave`."""

    data: dict[str, Any] = {}


class Odd(Kind):
    """Does what it is told, however wrong."""

    name = "odd"
    commands = (Do, Wave)
    initial = {"done": 0}

    def decide(self, state: State, command: Command, actor: Actor) -> Fact:
        assert isinstance(command, Do)
        if command.what == "raise":
            raise RuntimeError("a bug of the site's")
        if command.what == "refuse":
            raise Refusal("not_now", "Not now.", 5.0)
        if command.what == "return nonsense":
            return "nonsense"  # type: ignore[return-value]
        if command.what == "name a reserved event":
            return Fact("phx_close")
        state["done"] = 1000
        return Fact("did", {"what": command.what, **command.data})

    def reduce(self, state: State, fact: Fact) -> State:
        what = fact.data.get("what")
        if what == "raise in reduce":
            raise RuntimeError("a bug of the site's")
        if what == "reduce to None":
            return None  # type: ignore[return-value]
        if what == "reduce to a list":
            return []  # type: ignore[return-value]
        if what == "reduce to a set":
            return {"done": object()}
        if what == "reduce to a lot":
            return {"done": state["done"], "much": "x" * 300}
        if what == "reduce to NUL":
            return {"done": "\0"}
        fact.data["spoilt"] = True
        return {"done": state["done"] + 1}


WRONG = (
    "raise",
    "return nonsense",
    "name a reserved event",
    "raise in reduce",
    "reduce to None",
    "reduce to a list",
    "reduce to a set",
    "reduce to NUL",
)


def install(patch: pytest.MonkeyPatch) -> None:
    """Register `odd` for the time of one test."""
    patch.setitem(base._kinds, "odd", Odd())
