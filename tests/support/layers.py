"""Channel layers that do what the real ones may do, only more often: lose messages, repeat them, and bring them late.

For server processes of the tests: name the class in `TEST_CHANNEL_LAYER`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

LOST = 0.3
REPEATED = 0.3
LATE = 0.3
LATEST_SECONDS = 0.5

GroupSend = Callable[[str, dict[str, Any]], Awaitable[None]]


class Unreliable:
    """Between somebody who sends to groups and a layer."""

    def __init__(self, send: GroupSend) -> None:
        self._send = send
        self._dice = Random()
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, group: str, message: dict[str, Any]) -> None:
        if self._dice.random() < LOST:
            return
        for _ in range(2 if self._dice.random() < REPEATED else 1):
            if self._dice.random() < LATE:
                self._send_later(group, message)
            else:
                await self._send(group, message)

    def _send_later(self, group: str, message: dict[str, Any]) -> None:
        async def send() -> None:
            await asyncio.sleep(self._dice.random() * LATEST_SECONDS)
            await self._send(group, message)

        task = asyncio.create_task(send())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


class UnreliablePubSub(RedisPubSubChannelLayer):  # type: ignore[misc]  # it has no types
    """Its methods are those of an inner layer, looked up when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        return Unreliable(found) if name == "group_send" else found


class UnreliableCore(RedisChannelLayer):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group_send = Unreliable(super().group_send)
