"""What a kind of room is: typed commands, a decision, a fold; and the registry of kinds by name.

A kind is pure. `decide` says which fact a command becomes, or raises a `Refusal`; `reduce` folds a fact into the state. Neither
reads a clock, a database or a random number, so that a log can be folded again and gives the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from realtime.errors import Invalid, Refusal, UnknownCommand, UnknownKind
from realtime.protocol import RESERVED_PREFIXES
from realtime.protocol import By as Actor

State = dict[str, Any]
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


class Command(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a client asks of a room. The class `AddItem` is the command `add_item`; its fields are the arguments."""

    @classmethod
    def command_name(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class Ephemeral(Command):
    """A command that is broadcast as it is and not kept: typing, a cursor."""


class Fact(msgspec.Struct, frozen=True):
    """What a command became: an event without its seq. `data` is a JSON object."""

    name: str
    data: dict[str, Any] = {}


class Kind:
    """The behaviour of a room. Subclass it, name the commands, and `register` it.

    `name`: the word stored in the room's row. `title`: what the admin shows. `commands`: the `Command` classes.
    `initial`: the state of a room without events. `authors_remove`: whether people may remove what they said themselves.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    commands: ClassVar[tuple[type[Command], ...]] = ()
    initial: ClassVar[State] = {}
    authors_remove: ClassVar[bool] = False

    _by_name: ClassVar[Mapping[str, type[Command]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._by_name = {command.command_name(): command for command in cls.commands}
        for word in (cls.name, *cls._by_name):
            check_name(word, cls)

    @property
    def folds(self) -> bool:
        """Whether there is a `reduce` to call."""
        return type(self).reduce is not Kind.reduce

    def parse(self, name: str, arguments: dict[str, Any]) -> Command:
        """Return the command that a client asked for, validated, or raise `UnknownCommand` or `Invalid`."""
        command = self._by_name.get(name)
        if command is None:
            raise UnknownCommand(name, self._by_name)
        try:
            return msgspec.convert(arguments, command)
        except msgspec.ValidationError as error:
            raise Invalid(f"{name}: {error}.") from None

    def decide(self, state: State, command: Command, actor: Actor) -> Fact:
        """Return the fact that `command` becomes, or raise a `Refusal`. The default keeps the command as it is."""
        return Fact(command.command_name(), msgspec.to_builtins(command))

    def reduce(self, state: State, fact: Fact) -> State:
        """Return the state after `fact`; the one handed in is not changed. The default folds nothing."""
        return state


def check_name(word: str, owner: type) -> None:
    """Raise `TypeError` where a name cannot stand on the wire."""
    if not _NAME.fullmatch(word) or word.startswith(RESERVED_PREFIXES):
        raise TypeError(
            f"{owner.__qualname__}: expected a name of lower-case letters, digits and underscores that does not begin "
            f"with {', '.join(RESERVED_PREFIXES)}; got {word!r}."
        )


_kinds: dict[str, Kind] = {}
K = TypeVar("K", bound=type[Kind])


def register(kind: K) -> K:
    """Make a kind known by its name; a decorator. Registering the same name for another class is a `TypeError`."""
    known = _kinds.get(kind.name)
    if known is not None and type(known).__qualname__ != kind.__qualname__:
        raise TypeError(f"Two kinds are named {kind.name!r}: {type(known).__qualname__} and {kind.__qualname__}.")
    _kinds[kind.name] = kind()
    return kind


def get(name: str) -> Kind:
    """Return the kind registered as `name`, or raise `UnknownKind`."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownKind(name, _kinds) from None


def names() -> list[str]:
    return sorted(_kinds)


def command_names() -> list[str]:
    """Return the names of all commands of all kinds."""
    return sorted({name for kind in _kinds.values() for name in kind._by_name})


def choices() -> list[tuple[str, str]]:
    """Return (name, title) of every kind, for a form."""
    return [(name, _kinds[name].title or name) for name in names()]


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
