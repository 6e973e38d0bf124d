"""How one input becomes the next: mostly by what it is made of, lines and the parts of frames; else by its bytes.

Bytes that are exchanged at random hardly ever make a frame again, and what is refused at its first character finds nothing.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutate = Callable[[bytes, int], bytes]

WORDS: list[Any] = [
    *(
        "phx_join",
        "phx_leave",
        "phx_close",
        "phx_reply",
        "heartbeat",
        "room_history",
        "room_remove",
        "message",
        "typing",
    ),
    *("room:lobby", "room:den", "room:visits", "room:lunch", "room:", "room:nowhere", "phoenix", "add", "vote", ""),
    *(
        "since",
        "before",
        "limit",
        "key",
        "text",
        "ticket",
        "seq",
        "by",
        "choice",
        "1",
        "2",
        None,
        True,
        {},
        [],
        0,
        1,
        -1,
    ),
    *(
        0.5,
        1e308,
        2**31,
        2**53,
        2**62,
        2**63,
        2**64,
        -(2**63),
        "\0",
        "\ud800",
        "\u202e",
        "x" * 70,
        {"a": [{"b": None}]},
    ),
]


class Lines:
    """Exchanges lines, and what is in them. `lines` are those of the seeds, `by_bytes` does what nothing else does."""

    def __init__(self, seeds: Sequence[bytes], by_bytes: Mutate) -> None:
        self._lines = sorted({line for seed in seeds for line in seed.split(b"\n")})
        self._by_bytes = by_bytes

    def __call__(self, data: bytes, max_size: int, seed: int) -> bytes:
        dice = Random(seed)
        story = data.split(b"\n")
        for _ in range(dice.choice((1, 1, 2, 4))):
            self._change(story, dice)
        return b"\n".join(story)[:max_size]

    def _change(self, story: list[bytes], dice: Random) -> None:
        at = dice.randrange(len(story))
        match dice.randrange(7):
            case 0:
                story.insert(at, dice.choice(self._lines))
            case 1:
                story.insert(at, story[dice.randrange(len(story))])
            case 2 if len(story) > 1:
                del story[at]
            case 3 | 4:
                story[at] = exchanged(story[at], dice)
            case 5:
                story[at] = dice.choice(self._lines)
            case _:
                story[at] = bytes(self._by_bytes(story[at], max(len(story[at]) + 32, 64)))


def exchanged(line: bytes, dice: Random) -> bytes:
    """Return a line of JSON with another value somewhere in it; another line as it is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return json.dumps(_exchanged(value, dice)).encode()


def _exchanged(value: Any, dice: Random) -> Any:
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], _exchanged(value[at], dice), *value[at + 1 :]]
    if isinstance(value, dict) and dice.random() < 0.8:
        key = dice.choice([*value, *(word for word in WORDS if isinstance(word, str))])
        return {**value, key: _exchanged(value.get(key), dice)}
    return dice.choice(WORDS)
