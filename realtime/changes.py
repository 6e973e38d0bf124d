"""What a process has heard lately of accounts, sessions and rooms, for those who come in while it is told.

Who is being identified, or is about to join, is not yet among those whom a change is found to concern: they ask here, afterwards,
what was told in the meantime. A session that ends is told before its row is gone, so the keys of those that ended are kept for
longer than a handshake takes; no session gets such a key again. Memory is bounded: where something had to be let go of, the
answer is to look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from realtime.auth import Person
from realtime.rings import Changed

_LATEST = 1000
_ENDED = 5000
_ENDED_SECONDS = 60.0


class Changes:
    """`count`: how many were heard; note it before asking what a change may overtake. `now` is of a monotonic clock."""

    def __init__(self) -> None:
        self.count = 0
        self._latest: deque[Changed] = deque(maxlen=_LATEST)
        self._ended: dict[str, float] = {}  # session keys, the oldest first, until when each is kept
        self._lacking_until = 0.0

    def hear(self, changed: Changed, now: float) -> None:
        self.count += 1
        self._latest.append(changed)
        if changed.session:
            self._ended.pop(changed.session, None)
            self._ended[changed.session] = now + _ENDED_SECONDS
        if len(self._ended) > _ENDED:
            self._lacking_until = self._ended.pop(next(iter(self._ended)))

    def end(self, person: Person, since: int, now: float) -> bool:
        """Say whether what was told after the first `since` ends somebody's access, or whether their session ended lately."""
        if person.user_pk is None:
            return False
        ended = now < self._ended.get(person.session_key or "", 0.0)
        return ended or any(changed.ends(person) for changed in self._after(since))

    def concern(self, person: Person, room_pks: list[int], since: int, now: float) -> bool:
        """Say whether somebody who is in these rooms has to be looked at again for what was told after the first `since`."""
        if now < self._lacking_until or self.count - since > len(self._latest):
            return True
        return any(changed.concerns(person, room_pks) for changed in self._after(since))

    def _after(self, since: int) -> Iterator[Changed]:
        """Return the newest first."""
        return islice(reversed(self._latest), self.count - since)
