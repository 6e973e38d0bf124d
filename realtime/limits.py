"""How much is too much: token buckets, how many of a kind, and how soon. Time is an argument: nothing here knows a clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

_NAMES = 2000

# Of those who come at once so few come in abreast, the rest within so many seconds: nobody else waits behind all of them. They
# come in together so often, whatever their names, as what is asked of the database for several is asked once.
_ABREAST = 5
_BURST_SECONDS = 2.0
_TOGETHER_SECONDS = 0.125


class Bucket:
    """Allows `rate` takings a second on average, and `burst` of them at once.

    A rate of 0 allows everything.
    """

    __slots__ = ("_promised", "burst", "rate", "stamp", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = max(burst, 1.0)
        self.tokens = self.burst
        self.stamp = now
        self._promised = now

    def wait(self, now: float) -> float:
        """Return the seconds until one is there, 0.0 where one is. `now` is monotonic, in seconds."""
        if self.rate <= 0:
            return 0.0
        elapsed = max(0.0, now - self.stamp)
        self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
        self.stamp = now
        return 0.0 if self.tokens >= 1.0 else (1.0 - self.tokens) / self.rate

    def spend(self, count: float = 1.0) -> None:
        """Take one or more, on credit where there are none."""
        self.tokens -= count

    def take(self, now: float) -> float:
        """Take one and return 0.0, or return the seconds to wait until one is there."""
        wait = self.wait(now)
        if not wait:
            self.spend()
        return wait

    def promise(self, now: float) -> float:
        """Return 0.0, or the seconds until one is there that nobody else was told to wait for; at most until it is full."""
        wait = self.wait(now)
        if wait:
            self._promised = min(max(now + wait, self._promised + 1.0 / self.rate), now + self.burst / self.rate)
            wait = max(wait, self._promised - now)
        return wait


def take(buckets: Sequence[Bucket], now: float) -> float:
    """Take one from each and return 0.0, or take none and return the seconds after which each should have one.

    Those who are refused together are told one moment after the other: if all came back for the first, it would be in vain.
    """
    if any(bucket.wait(now) for bucket in buckets):
        return max(bucket.promise(now) for bucket in buckets)
    for bucket in buckets:
        bucket.spend()
    return 0.0


class Tally:
    """How many there are under each name: at most `most`, or any number where that is 0.

    A name without any takes no memory; what has no name is not counted.
    """

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, name: str | None) -> bool:
        """Count one more and return True, or return False where there are as many as may be."""
        if name is None:
            return True
        count = self._counts.get(name, 0)
        if self._most and count >= self._most:
            return False
        self._counts[name] = count + 1
        return True

    def leave(self, name: str | None) -> None:
        if name is None:
            return
        count = self._counts[name] - 1
        if count:
            self._counts[name] = count
        else:
            del self._counts[name]


def _moment_after(at: float) -> float:
    return math.ceil(at / _TOGETHER_SECONDS) * _TOGETHER_SECONDS


class Turnstile:
    """Lets `rate` a second through under each name, and `burst` of them within a moment; the next ones wait, `patience` at most.

    The names that came last are remembered. What has no name does not wait.
    """

    __slots__ = ("_burst", "_names", "_patience", "_rate", "_stride")

    def __init__(self, rate: float, burst: float, patience: float) -> None:
        self._rate = rate
        self._burst = burst
        self._patience = patience
        self._stride = max(rate, burst / _BURST_SECONDS)
        self._names: dict[str, tuple[Bucket, Bucket]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def enter(self, name: str | None, now: float) -> tuple[float, bool]:
        """Return how many seconds one more has to wait, and whether it may come in then."""
        if name is None or self._rate <= 0:
            return 0.0, True
        buckets = self._names.pop(name, None)
        if buckets is None:
            buckets = Bucket(self._rate, self._burst, now), Bucket(self._stride, _ABREAST, now)
        self._names[name] = buckets
        if len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]
        wait = max(bucket.wait(now) for bucket in buckets)
        if wait > self._patience:
            return self._patience, False
        for bucket in buckets:
            bucket.spend()
        return _moment_after(now + wait) - now if wait else 0.0, True
