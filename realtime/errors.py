"""One tree of everything that can go wrong on purpose.

A `Refusal` is told to a client: a code, a sentence, and `retry_after` exactly when trying again can help. The codes stand in one
table in docs/protocol.md. Everything else under `RealtimeError` is told to the developer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


class RealtimeError(Exception):
    """Anything this package raises on purpose."""


class UnknownKind(RealtimeError):
    """A room names a kind that no installed app registers."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"No kind is registered as {name!r}; expected one of: {', '.join(sorted(known))}.")


class Refusal(RealtimeError):
    """A request is not carried out; the connection and the room go on.

    `code`: a short, stable name. `message`: a sentence for people. `retry_after`: seconds after which trying again can help,
    or None when the answer will stay the same.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @property
    def final(self) -> bool:
        return self.retry_after is None

    def response(self) -> dict[str, object]:
        """Return the refusal as it stands on the wire."""
        said: dict[str, object] = {"code": self.code, "message": self.message}
        if self.retry_after is not None:
            said["retry_after"] = math.ceil(self.retry_after * 1000) / 1000  # never 0, and never too early
        return said


class Malformed(Refusal):
    def __init__(self, detail: str) -> None:
        super().__init__("malformed", f"Expected a text frame [join_ref, ref, topic, event, payload]: {detail}")


class TooLarge(Refusal):
    def __init__(self, size: int, most: int) -> None:
        super().__init__("too_large", f"A frame may have {most} bytes, this one has {size}.")


class UnmatchedTopic(Refusal):
    def __init__(self, topic: str) -> None:
        super().__init__(
            "unmatched_topic", f"Not joined here, or no such topic: {topic[:120]!r}. Expected 'room:<slug>'."
        )

    def response(self) -> dict[str, object]:
        return {**super().response(), "reason": "unmatched topic"}


class UnknownRoom(Refusal):
    def __init__(self, slug: str) -> None:
        super().__init__("unknown_room", f"There is no room {slug[:100]!r}.")


class UnknownPerson(Refusal):
    def __init__(self, person: str) -> None:
        super().__init__("unknown_person", f"There is nobody with the id {person[:150]!r}.")


class UnknownEvent(Refusal):
    def __init__(self, seq: int) -> None:
        super().__init__("unknown_event", f"There is no event {seq} here.")


class UnknownCommand(Refusal):
    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("unknown_command", f"No command {name[:64]!r} here; expected one of: {', '.join(known)}.")


class Invalid(Refusal):
    def __init__(self, detail: str) -> None:
        super().__init__("invalid", detail)


class LoginRequired(Refusal):
    def __init__(self) -> None:
        super().__init__("login_required", "Log in to do this.")


class BadCredentials(Refusal):
    """One answer for all that is wrong with a token, so that nobody learns which it is."""

    def __init__(self) -> None:
        super().__init__("bad_credentials", "This ticket or key is not known, or used up, expired or revoked.")


class Forbidden(Refusal):
    def __init__(self) -> None:
        super().__init__("forbidden", "You may not do this here.")


class RoomClosed(Refusal):
    def __init__(self) -> None:
        super().__init__("room_closed", "This room is closed.")


class RoomFull(Refusal):
    def __init__(self) -> None:
        super().__init__("room_full", "This room is full. Try again when somebody has left.", 10.0)


class TooManyRooms(Refusal):
    def __init__(self, most: int) -> None:
        super().__init__("too_many_rooms", f"At most {most} rooms may be joined on one connection.")


class RateLimited(Refusal):
    def __init__(self, retry_after: float) -> None:
        super().__init__("rate_limited", f"Too fast. Wait {retry_after:.1f} s.", retry_after)


class TooManyConnections(Refusal):
    def __init__(self) -> None:
        super().__init__("too_many_connections", "Too many connections are open. Close some pages, or wait.", 30.0)


class Flooding(Refusal):
    """`window`: seconds within which one who is too fast, in spite of all refusals, may come back."""

    def __init__(self, window: float) -> None:
        super().__init__("flooding", f"Far too fast. Wait {window:.0f} s.", window)


class ShutOut(Refusal):
    def __init__(self) -> None:
        super().__init__("shut_out", "Far too fast, again and again. Stay away for some minutes.")


class Overloaded(Refusal):
    def __init__(self) -> None:
        super().__init__("overloaded", "The server has too much to do. Try again in a moment.", 1.0)


class AccessEnded(Refusal):
    def __init__(self) -> None:
        super().__init__("access_ended", "You are logged out, or your account has changed. Log in again.")


class Kicked(Refusal):
    def __init__(self) -> None:
        super().__init__("kicked", "You have been taken out of this room.")


class Held(Refusal):
    """Somebody is held to something until a moment, as the wire writes it, or for good."""

    def __init__(self, code: str, what: str, until: str | None, retry_after: float | None = None) -> None:
        end = f" until {until[:16].replace('T', ' ')} UTC" if until else ""
        super().__init__(code, f"{what}{end}.", retry_after)
        self.until = until

    def response(self) -> dict[str, object]:
        return {**super().response(), "until": self.until}


class Banned(Held):
    """There is no `retry_after` even where it ends: no client is to come back by itself."""

    def __init__(self, until: str | None) -> None:
        super().__init__("banned", "You are banned from this room", until)


class Muted(Held):
    def __init__(self, until: str | None, seconds: float | None) -> None:
        super().__init__("muted", "You are muted in this room", until, seconds)


class GoingAway(Refusal):
    """`window`: seconds within which those who leave should come back, each at a moment of its own."""

    def __init__(self, window: float) -> None:
        super().__init__("going_away", "The server is going away. Come back in a moment.", window)


class Unavailable(Refusal):
    def __init__(self) -> None:
        super().__init__("unavailable", "The database cannot be reached right now. Try again in a moment.", 1.0)


class StateTooLarge(Refusal):
    def __init__(self, size: int, most: int) -> None:
        super().__init__("state_too_large", f"A room's state may have {most} bytes, with this it would have {size}.")


class Failed(Refusal):
    def __init__(self) -> None:
        super().__init__("failed", "The room could not carry this out.")
