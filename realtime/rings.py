"""What processes tell each other: each ring is of one room, or of every process. Shapes alone; `bus` carries them.

A ring says again what the database already holds, so that one which is lost, late or repeated does no harm.
"""

from __future__ import annotations

import msgspec

from realtime.auth import Person
from realtime.kinds import Actor
from realtime.protocol import Frame

EVERYWHERE = 0
"""No room's pk: its group is that of every process."""

_SEAT_BYTES = 200


class Happened(msgspec.Struct, frozen=True, tag="events", array_like=True):
    """Events of a room: (seq, body, event) of each frame."""

    room_pk: int
    frames: list[tuple[int, bytes, bytes]]


class Removed(msgspec.Struct, frozen=True, tag="removed", array_like=True):
    """An event that takes the data of the event `target` away."""

    room_pk: int
    seq: int
    body: bytes
    event: bytes
    target: int


class Signalled(msgspec.Struct, frozen=True, tag="ephemeral", array_like=True):
    """Something that is not kept."""

    room_pk: int
    body: bytes


class Moved(msgspec.Struct, frozen=True, tag="presence", array_like=True):
    """Connections of a node that entered or (without an actor) left."""

    room_pk: int
    node: str
    seats: list[tuple[str, Actor | None]]


class Cleared(msgspec.Struct, frozen=True, tag="cleared", array_like=True):
    """Events up to `seq` left the log."""

    room_pk: int
    seq: int


class Ended(msgspec.Struct, frozen=True, tag="ended", array_like=True):
    """Every subscription of a room is over."""

    room_pk: int
    code: str
    message: str


class Kicked(msgspec.Struct, frozen=True, tag="kicked", array_like=True):
    """Somebody's subscriptions of a room are over."""

    room_pk: int
    person: str
    code: str
    message: str


class Judged(msgspec.Struct, frozen=True, tag="judged", array_like=True):
    """Somebody was banned or muted, or is so no longer. `count`: how often the room has judged, this time included."""

    room_pk: int
    person: str
    count: int


class Changed(msgspec.Struct, frozen=True, tag="changed", array_like=True):
    """An account, a session or a room is not what it was: who came with it is looked at again. Told to every process.

    `user`: a user's pk. `session`: a session key that has ended. `room`: a room's pk. `disconnect`: the pk of a user who has to
    go. `key`: the pk of an API key. `person`: the id of somebody, perhaps a guest. Empty, or 0, where it is not about one.
    """

    user: str = ""
    disconnect: str = ""
    session: str = ""
    room: int = 0
    room_pk: int = EVERYWHERE
    key: int = 0
    person: str = ""

    def ends(self, person: Person) -> bool:
        """Say whether this ends somebody's access at once. Guests have none to lose."""
        if person.user_pk is None:
            return False
        return self.disconnect == person.user_pk or (bool(self.session) and self.session == person.session_key)

    def concerns(self, person: Person, room_pks: list[int]) -> bool:
        """Say whether somebody who is in these rooms has to be looked at again."""
        if self.key:
            return person.grant is not None and person.grant.key_pk == self.key
        if self.person:
            return self.person in person.ids
        return (bool(self.user) and self.user == person.user_pk) or (bool(self.room) and self.room in room_pks)


Ring = Happened | Removed | Signalled | Moved | Cleared | Ended | Kicked | Judged | Changed


def happened(room_pk: int, frames: list[Frame]) -> Happened:
    return Happened(room_pk, [(frame.seq, frame.body, frame.event) for frame in frames])


def removed(room_pk: int, frame: Frame) -> Removed:
    return Removed(room_pk, frame.seq, frame.body, frame.event, frame.removes)


def size(ring: Ring) -> int:
    """Return about how many bytes a ring carries."""
    if isinstance(ring, Happened):
        return sum(len(body) + len(event) for _, body, event in ring.frames)
    if isinstance(ring, Moved):
        return len(ring.seats) * _SEAT_BYTES
    return len(ring.body) if isinstance(ring, Signalled | Removed) else 0
