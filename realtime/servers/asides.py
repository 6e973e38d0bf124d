"""What comes beside messages: pings, pongs, and the further fragments of a message.

Each takes a server about as long as a small message does, and the app hears of none, so that none of its limits counts them.
"""

from __future__ import annotations

from realtime.limits import Bucket

# Who floods is not read for a while before it is closed on: coming back at once would cost more than staying.
PAUSE_SECONDS = 5.0

# What a message of 64 KiB has at once, in fragments of 512 bytes; and as fast as the app lets frames of 4 KiB come, from then on.
_AT_ONCE = 128
_PER_SECOND = 100.0


class Asides:
    """Those of one connection. `flooding` once there were too many: it is to be closed on after `pause` seconds."""

    __slots__ = ("_bucket", "flooding", "pause")

    def __init__(self, pause: float = 0.0) -> None:
        self._bucket: Bucket | None = None
        self.flooding = False
        self.pause = pause

    def begin_to_flood(self, now: float) -> bool:
        """Count one more, and return whether it is the first too many. `now` is monotonic, in seconds."""
        if self.flooding:
            return False
        if self._bucket is None:
            self._bucket = Bucket(_PER_SECOND, _AT_ONCE, now)
        self.flooding = self._bucket.take(now) > 0
        return self.flooding
