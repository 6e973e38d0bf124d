"""Kinds of rooms. A site's own live in `<app>/kinds.py`; see docs/kinds.md."""

from realtime.errors import Refusal
from realtime.kinds.base import (
    Actor,
    Command,
    Ephemeral,
    Fact,
    Kind,
    State,
    choices,
    command_names,
    get,
    names,
    register,
)

__all__ = [
    "Actor",
    "Command",
    "Ephemeral",
    "Fact",
    "Kind",
    "Refusal",
    "State",
    "choices",
    "command_names",
    "get",
    "names",
    "register",
]
