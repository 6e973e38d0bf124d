"""Many regulars in the rooms of a site, and what they are made to do: talk, and wait until each has everything."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from statistics import quantiles
from typing import Self

from tests.support.regular import Regular
from tests.support.waiting import eventually


class Crowd:
    """`dice` decides who says what, when and where."""

    def __init__(self, regulars: Sequence[Regular], dice: Random) -> None:
        self.regulars = list(regulars)
        self._dice = dice
        self._said = 0

    async def __aenter__(self) -> Self:
        for regular in self.regulars:
            regular.start()
        try:
            await self.joined()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(regular.stop() for regular in self.regulars))

    @property
    def wrongs(self) -> list[str]:
        """Everything that somebody saw and should not have seen."""
        seen = [wrong for regular in self.regulars for wrong in regular.wrongs]
        onlookers = [place.onlooker for regular in self.regulars for place in regular.places.values()]
        return seen + [wrong for onlooker in onlookers for wrong in onlooker.wrongs]

    @property
    def slugs(self) -> list[str]:
        """The rooms that somebody is in."""
        return list(dict.fromkeys(slug for regular in self.regulars for slug in regular.places))

    @property
    def refusals(self) -> Counter[str]:
        return sum((regular.refusals for regular in self.regulars), Counter())

    @property
    def closes(self) -> Counter[int]:
        return sum((regular.closes for regular in self.regulars), Counter())

    async def joined(self, within: float = 60) -> None:
        """Wait until everybody is in all of their rooms."""

        def away() -> str:
            return f"everybody is in, but {[regular.name for regular in self.regulars if not regular.joined]} are not"

        await eventually(lambda: all(regular.joined for regular in self.regulars), within, away)

    def say_something(self, padding: int = 0) -> None:
        """Somebody says something, somewhere. `padding` makes it longer."""
        regular = self._dice.choice(self.regulars)
        slug = self._dice.choice(list(regular.places))
        self._said += 1
        if slug.startswith("counter"):
            regular.say(slug, "add", by=self._dice.randint(1, 9))
        else:
            text = f"{time.monotonic():.6f} number {self._said} of {regular.name} {'.' * padding}"
            regular.say(slug, "message", text=text.strip())

    @asynccontextmanager
    async def talking(self, per_second: float = 30, padding: int = 0) -> AsyncIterator[None]:
        """Have the crowd talk meanwhile."""
        talk = asyncio.create_task(self._talk(per_second, padding), name="the crowd's talk")
        try:
            yield
        finally:
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)

    async def _talk(self, per_second: float, padding: int) -> None:
        while True:
            await asyncio.sleep(self._dice.expovariate(per_second))
            self.say_something(padding)

    async def answered(self, within: float = 60) -> None:
        """Wait until everything that was said is acknowledged."""

        def waiting() -> str:
            return f"all is acknowledged, but {sum(len(regular.outbox) for regular in self.regulars)} commands"

        await eventually(lambda: not any(regular.outbox for regular in self.regulars), within, waiting)

    async def reached(self, heads: Mapping[str, int], within: float = 60) -> None:
        """Wait until everybody is in, and has heard their rooms up to these seqs."""
        await self.joined(within)

        def behind() -> list[str]:
            return [
                f"{regular.name} has {slug} up to {place.position}, not {heads[slug]}"
                for regular in self.regulars
                for slug, place in regular.places.items()
                if place.position != heads[slug]
            ]

        await eventually(lambda: not behind(), within, lambda: f"all is heard, but {behind()[:5]}")

    async def agreed(self, within: float = 60) -> None:
        """Wait until all is acknowledged, and heard by everybody."""
        await self.answered(within)
        heads: dict[str, int] = {}
        for regular in self.regulars:
            for slug, seq in [
                *regular.acknowledged.values(),
                *((s, p.position or 0) for s, p in regular.places.items()),
            ]:
                heads[slug] = max(heads.get(slug, 0), seq)
        await self.reached(heads, within)

    def people(self, slug: str) -> frozenset[str]:
        """The ids of those who should be in a room."""
        return frozenset(regular.name for regular in self.regulars if slug in regular.places)

    async def see_each_other(self, within: float = 60) -> None:
        """Wait until everybody's list of who is here is true."""

        def wrong() -> list[str]:
            return [
                f"{regular.name} in {slug} differs in {set(place.onlooker.people ^ here)}"
                for slug, here in ((slug, self.people(slug)) for slug in self.slugs)
                for regular in self.regulars
                for place in [regular.places.get(slug)]
                if place and place.onlooker.people != here
            ]

        await eventually(lambda: not wrong(), within, lambda: f"all lists are true, but {wrong()[:5]}")

    def latencies(self, since: float, until: float = float("inf")) -> list[float]:
        """How long what was said in this time, by the monotonic clock, took to reach each of those who stayed."""
        heard = (heard for regular in self.regulars for place in regular.places.values() for heard in place.heard)
        said = ((float(event.data["text"].split()[0]), event) for event in heard if event.live and "text" in event.data)
        return [event.at - at for at, event in said if since <= at < until]


def percentile(values: Sequence[float], share: int) -> float:
    """The value below which so many of 100 lie."""
    return quantiles(values, n=100, method="inclusive")[share - 1]
