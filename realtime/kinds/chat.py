"""Chat: people write, everyone reads."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from realtime.kinds.base import Actor, Command, Ephemeral, Fact, Kind, Refusal, State, register


class Message(Command):
    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class Typing(Ephemeral):
    pass


@register
class Chat(Kind):
    name = "chat"
    title = "Chat"
    commands = (Message, Typing)
    authors_remove = True

    def decide(self, state: State, command: Command, actor: Actor) -> Fact:
        assert isinstance(command, Message)
        text = command.text.strip()
        if not text:
            raise Refusal("invalid", "message: expected some text, got only white space.")
        return Fact("message", {"text": text})
