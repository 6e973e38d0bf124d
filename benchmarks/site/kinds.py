"""A kind with an ephemeral command that carries some text, as a cursor or a reaction would."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from realtime.kinds import Command, Ephemeral, Kind, register


class Message(Command):
    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class Note(Ephemeral):
    text: Annotated[str, Meta(max_length=4000)]


@register
class Board(Kind):
    name = "board"
    title = "Board"
    commands = (Message, Note)
