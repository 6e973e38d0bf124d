"""How much is too much: a token bucket. Time is an argument, so nothing here knows a clock."""

from __future__ import annotations


class Bucket:
    """Allows `rate` takings a second on average, and `burst` of them at once.

    A rate of 0 allows everything.
    """

    __slots__ = ("burst", "rate", "stamp", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = max(burst, 1.0)
        self.tokens = self.burst
        self.stamp = now

    def take(self, now: float) -> float:
        """Take one and return 0.0, or return the seconds to wait until one is there. `now` is monotonic, in seconds."""
        if self.rate <= 0:
            return 0.0
        elapsed = max(0.0, now - self.stamp)
        self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
        self.stamp = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate
