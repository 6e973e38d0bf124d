"""What comes beside messages: pings, pongs, and the further fragments of a message.

Each takes a server about as long as a small message does, and the app hears of none, so that none of its limits counts them.
"""

from __future__ import annotations

from realtime.limits import Bucket

# What a message of 64 KiB has at once, in fragments of 512 bytes; and as fast as the app lets frames of 4 KiB come, from then on.
_AT_ONCE = 128
_PER_SECOND = 100.0


class Asides:
    """Those of one connection."""

    __slots__ = ("_bucket",)

    def __init__(self) -> None:
        self._bucket: Bucket | None = None

    def too_many(self, now: float) -> bool:
        """Count one more, and return whether that is one too many. `now` is monotonic, in seconds."""
        if self._bucket is None:
            self._bucket = Bucket(_PER_SECOND, _AT_ONCE, now)
        return bool(self._bucket.take(now))
