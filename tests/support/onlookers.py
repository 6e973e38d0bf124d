"""Who is here, as a client sees it: kept as Phoenix's clients keep it, from states, diffs and counts, and judged while at it."""

from collections import Counter
from typing import Any

from tests.support.wsclient import Frame


class Onlooker:
    """One client's list of one room. `wrongs` are diffs that make no sense: somebody who comes twice, or was never here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wrongs: list[str] = []
        self.number: int | None = None
        self.frames: Counter[str] = Counter()
        self._metas: dict[str, list[dict[str, Any]]] | None = None

    @property
    def people(self) -> frozenset[str]:
        """The ids of those who are here, as far as they were listed."""
        return frozenset(self._metas or ())

    def begin(self) -> None:
        """A new subscription: nothing is known before the first state."""
        self._metas = self.number = None

    def hear(self, frame: Frame) -> None:
        self.frames[frame.event] += 1
        if frame.event == "presence_state":
            self._metas = {key: entry["metas"] for key, entry in frame.payload.items()}
            self.number = len(self._metas)
        elif frame.event == "presence_count":
            self._metas, self.number = None, frame.payload["count"]
        elif self._metas is None:
            self.wrongs.append(f"{self.name}: a diff without a list")
        else:
            self._change(self._metas, frame.payload)

    def _change(self, metas: dict[str, list[dict[str, Any]]], diff: dict[str, dict[str, Any]]) -> None:
        for key, entry in diff["joins"].items():
            if key in metas:
                self.wrongs.append(f"{self.name}: {key} is here and comes again")
            metas[key] = entry["metas"]
        for key in diff["leaves"]:
            if metas.pop(key, None) is None:
                self.wrongs.append(f"{self.name}: {key} leaves and was not here")
        self.number = len(metas)
