"""Waiting for something outside this process to become true, under a deadline. The one place that pauses."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TooLate(AssertionError):
    """A deadline passed."""


def until(look: Callable[[], T | None], within: float, what: str) -> T:
    """Return the first truthy answer of `look`, which is asked again and again for `within` seconds."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {within:g} s")
        time.sleep(0.02)
    return seen


async def eventually(
    look: Callable[[], T | Awaitable[T | None] | None], within: float, what: str | Callable[[], str]
) -> T:
    """The same, while the event loop goes on. `look` may be asynchronous, and `what` a callable that says how it stands."""
    deadline = time.monotonic() + within
    while not (seen := await _seen(look())):
        if time.monotonic() > deadline:
            raise TooLate(f"{what if isinstance(what, str) else what()}: not within {within:g} s")
        await asyncio.sleep(0.02)
    return seen


async def _seen(answer: T | Awaitable[T | None] | None) -> T | None:
    return await answer if isinstance(answer, Awaitable) else answer
