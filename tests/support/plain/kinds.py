"""A kind whose page is the one that every kind has."""

from realtime.kinds import Command, Kind, register


class Note(Command):
    """The command `note {"text": ...}`."""

    text: str


@register
class Plain(Kind):
    name = "plain"
    title = "Plain"
    commands = (Note,)
