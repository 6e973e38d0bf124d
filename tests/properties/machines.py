"""What the state machines stand on: how long they run, and an event loop that turns only when a machine says so.

Each machine tells a story of random steps against an oracle. `REALTIME_PROPERTY_LENGTH` makes a run so many times longer.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

LENGTH = float(os.environ.get("REALTIME_PROPERTY_LENGTH") or 1)

T = TypeVar("T")


def run(machine: Callable[[], RuleBasedStateMachine], stories: int, steps: int = 50) -> None:
    """Have a machine tell this many stories of this many steps, times `LENGTH`."""
    profile = settings(
        max_examples=max(1, round(stories * LENGTH)),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        print_blob=True,
    )
    run_state_machine_as_test(machine, settings=profile)


class Complaints(logging.Handler):
    """What `realtime` logs as an error, which no story may bring about."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.getMessage()}: {record.exc_info and record.exc_info[1]!r}")


class Turning(RuleBasedStateMachine):
    """A machine with an event loop that stands still between its steps, so that reads and rings may be answered in between."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.complaints.said.append(str(context)))
        self.complaints = Complaints()
        logging.getLogger("realtime").addHandler(self.complaints)

    def turn(self, turns: int = 50) -> None:
        """Let the event loop turn; 50 are enough for everything that waits for nothing outside."""

        async def turning() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._loop.run_until_complete(turning())
        self._be_content()

    def on_loop(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, while the loop runs."""

        async def calling() -> T:
            return call()

        result = self._loop.run_until_complete(calling())
        self._be_content()
        return result

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start something that goes on with the turns."""
        return self._loop.create_task(work)

    def end_of_story(self) -> None:
        """What must hold at the end of every story that went well so far."""

    def teardown(self) -> None:
        try:
            self.end_of_story()
        finally:
            logging.getLogger("realtime").removeHandler(self.complaints)
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self.complaints.said.clear()
            self.turn()
            self._loop.close()

    def _be_content(self) -> None:
        assert not self.complaints.said, "; ".join(self.complaints.said)
