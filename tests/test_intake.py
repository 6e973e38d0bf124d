"""How far a server reads ahead of the application."""

import asyncio
from typing import Any

from realtime.servers.intake import Intake

FRAME = b"\x81\x80\0\0\0\0\0\0"  # as small as frames are; a real server would find many of them in one read


class FakeServer:
    """Finds a message in every eight bytes that it is fed, and counts those bytes."""

    def __init__(self) -> None:
        self.waiting: list[dict[str, Any]] = []
        self.fed = 0
        self.reading = True
        self.said_goodbye = False
        self._open = b""
        self.every = len(FRAME)

    def feed(self, data: bytes) -> None:
        self.fed += len(data)
        self._open += data
        while len(self._open) >= self.every:
            self.waiting.append({"text": self._open[: self.every]})
            self._open = self._open[self.every :]

    def drained(self) -> bool:
        return not self.waiting

    def ending(self) -> bool:
        return self.said_goodbye

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True

    async def receive(self) -> dict[str, Any]:
        while not self.waiting:
            await asyncio.sleep(0)
        return self.waiting.pop(0)


async def made() -> tuple[FakeServer, Intake]:
    """Those of a connection that is let in."""
    server, intake = waiting()
    receiving = asyncio.ensure_future(intake.receive())
    await asyncio.sleep(0)
    receiving.cancel()
    return server, intake


def waiting() -> tuple[FakeServer, Intake]:
    """Those of a connection that is not."""
    server = FakeServer()
    return server, Intake(server, server.receive)


async def test_what_comes_a_little_at_a_time_goes_straight_through() -> None:
    server, intake = await made()
    for _ in range(10_000):
        intake.came(FRAME)
        assert server.reading
        assert (await intake.receive())["text"] == FRAME


async def test_of_one_large_read_only_a_piece_is_looked_at_until_that_is_taken() -> None:
    server, intake = await made()
    intake.came(FRAME * 10_000)
    assert (server.reading, len(server.waiting)) == (False, 1024 // len(FRAME))
    most = 0
    for _ in range(10_000):
        assert (await intake.receive())["text"] == FRAME
        most = max(most, len(server.waiting))
    assert most < 4096 // len(FRAME)
    intake.came(FRAME)
    await intake.receive()
    assert server.reading


async def test_everybody_else_has_a_turn_between_two_pieces() -> None:
    _, intake = await made()
    turns = 0

    async def anybody() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(anybody())
    intake.came(FRAME * 10_000)
    for _ in range(10_000):
        await intake.receive()
    other.cancel()
    assert turns > 10_000 * len(FRAME) // 4096


async def test_what_nobody_takes_stops_the_reading_and_taking_it_starts_it_again() -> None:
    server, intake = await made()
    came = 0
    while server.reading:
        intake.came(FRAME * 100)
        came += 100
    assert came * len(FRAME) < 40_000
    for _ in range(came):
        await intake.receive()
    assert not server.reading
    receiving = asyncio.ensure_future(intake.receive())
    await asyncio.sleep(0)
    assert server.reading
    intake.came(FRAME)
    await receiving


async def test_a_frame_larger_than_all_bounds_arrives() -> None:
    server, intake = await made()
    server.every = 1_000_000
    receiving = asyncio.ensure_future(intake.receive())
    await asyncio.sleep(0)
    for _ in range(server.every // 50_000):
        assert server.reading
        intake.came(b"x" * 50_000)
        await asyncio.sleep(0)
    assert len((await receiving)["text"]) == server.every


async def test_what_comes_before_a_connection_is_let_in_is_read_no_further_and_waits() -> None:
    server, intake = waiting()
    intake.came(FRAME * 2)
    assert (server.reading, server.fed) == (False, 0)
    for _ in range(2):
        assert (await intake.receive())["text"] == FRAME
    receiving = asyncio.ensure_future(intake.receive())
    await asyncio.sleep(0)
    assert server.reading
    receiving.cancel()


async def test_the_answer_to_a_goodbye_is_heard_though_nobody_was_let_in() -> None:
    server, intake = waiting()
    server.said_goodbye = True
    intake.came(FRAME)
    assert server.fed == len(FRAME)


async def test_who_goes_on_after_a_goodbye_is_read_no_further() -> None:
    server, intake = await made()
    server.said_goodbye = True
    for _ in range(100):
        intake.came(FRAME * 100)
        if not server.reading:
            break
    assert server.fed < 40_000
    await intake.receive()
    assert not server.reading


async def test_a_servers_own_resuming_does_not_let_the_rest_grow() -> None:
    """uvicorn resumes whenever its queue is empty."""
    server, intake = await made()
    intake.came(FRAME * 10_000)
    for _ in range(5000):
        server.resume()
        await intake.receive()
        assert not server.reading
