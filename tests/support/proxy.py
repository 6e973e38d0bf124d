"""A network between the clients and a server that can be cut: with a reset, in the middle of a frame, or without a word."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

from tests.support.daemon import HOST

_AT_ONCE = 65_536


class Proxy:
    """Carries TCP to a port of this machine, on the test's own event loop. `url` is where it is."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lines: set[_Line] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self._flows.set()
        self.reset()
        while self._lines:
            await asyncio.gather(*(line.over.wait() for line in self._lines))

    def __len__(self) -> int:
        """How many connections it carries."""
        return len(self._lines)

    def reset(self) -> None:
        """Cut every connection, on both sides, with a TCP reset."""
        for line in list(self._lines):
            line.reset()

    def cut_in_frame(self, *, of_server: bool = False) -> None:
        """Let half of the next bytes of every connection through, and cut it. Of the server's, or of whoever is first."""
        for line in self._lines:
            line.cut_in_frame = True
            line.whose = line.server if of_server else None

    def stall(self) -> None:
        """Carry nothing any more, and say nothing about it: no FIN, no reset. New connections are taken and stall too."""
        self._flows.clear()

    def flow(self) -> None:
        """Carry again, also what was sent meanwhile."""
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            _reset(writer)
            return
        line = _Line(self._flows, (writer, far_writer), far_reader)
        self._lines.add(line)
        directions = [
            asyncio.create_task(line.pump(reader, far_writer)),
            asyncio.create_task(line.pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            line.end()
            self._lines.discard(line)


class _Line:
    """`whose`: whose bytes are cut; None is anybody's."""

    def __init__(
        self,
        flows: asyncio.Event,
        ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        server: asyncio.StreamReader,
    ) -> None:
        self.server = server
        self.cut_in_frame = False
        self.whose: asyncio.StreamReader | None = None
        self.over = asyncio.Event()
        self._flows = flows
        self._ends = ends

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry until one side is over. While nothing flows, nobody hears of that either."""
        with contextlib.suppress(OSError):
            while chunk := await self._read(reader):
                if self.cut_in_frame and self.whose in (None, reader):
                    writer.write(chunk[: len(chunk) // 2])
                    await writer.drain()
                    self.reset()
                    return
                writer.write(chunk)
                await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(_AT_ONCE)
        finally:
            await self._flows.wait()

    def reset(self) -> None:
        for end in self._ends:
            _reset(end)

    def end(self) -> None:
        for end in self._ends:
            end.close()
        self.over.set()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once with RST instead of FIN (SO_LINGER with a time of zero)."""
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None and end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
