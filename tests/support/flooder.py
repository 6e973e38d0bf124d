"""A client that sends as fast as the machine can, in a process of its own: `python -m tests.support.flooder` and a JSON object.

It joins its room once, then writes one kind of frame again and again, reads what it is told without a look at it, and connects
again at once whenever it is cut off. A flood of `sockets` is more of these at a time than one person may have; one of `connects`
is many, each gone as soon as it is let in. It stops when its input ends, and says how much it sent and how often it connected.

It is told `url`, `cookie`, `kind`, `slug` and `address`; and of a server that speaks something else, the `path` and the `text` to
send there, without a join.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from tests.support.console import ROOT

_MASK = bytes(4)  # a mask of zeros leaves the payload as it is
_AT_ONCE = 65_536
_LINES = {"connects": 32, "sockets": 64}
KINDS = (
    "messages", "typing", "heartbeats", "large", "too-large", "joins", "malformed", "pings", "fragments", "connects", "sockets",
)  # fmt: skip
_PATH = "/realtime/websocket?vsn=2.0.0"
_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Cookie: {cookie}\r\nX-Forwarded-For: {address}\r\n\r\n"
)


def frame(text: str) -> bytes:
    """A final, masked text frame (RFC 6455, 5.2)."""
    payload = text.encode()
    if len(payload) < 126:
        head = bytes((0x81, 0x80 | len(payload)))
    elif len(payload) < 65_536:
        head = b"\x81\xfe" + len(payload).to_bytes(2, "big")
    else:
        head = b"\x81\xff" + len(payload).to_bytes(8, "big")
    return head + _MASK + payload


_PING = b"\x89\x80" + _MASK
_FRAGMENTS = b"\x01\x80" + _MASK + (b"\x00\x80" + _MASK) * 900 + b"\x80\x80" + _MASK
_RAW = {"pings": _PING, "fragments": _FRAGMENTS}


def texts(kind: str, topic: str) -> list[str]:
    """What is sent again and again; nothing where one only connects."""
    # A number that is no moment is left out where latencies are looked at.
    kinds: dict[str, list[Any]] = {
        "messages": [["1", "2", topic, "message", {"text": "nan"}]],
        "typing": [["1", "2", topic, "typing", {}]],
        "heartbeats": [[None, "2", "phoenix", "heartbeat", {}]],
        "large": [["1", "2", topic, "message", {"text": "x" * 65_000}]],
        "too-large": [["1", "2", topic, "message", {"text": "x" * 500_000}]],
        "joins": [["1", "1", topic, "phx_join", {}], ["1", "2", topic, "phx_leave", {}]],
        "malformed": ["{"],
        "connects": [],
        "sockets": [["1", "2", topic, "message", {"text": "nan"}]],
    }
    return [text if isinstance(text, str) else json.dumps(text) for text in kinds[kind]]


def packet(texts: Sequence[str]) -> bytes:
    """Frames of these, as many as one write should have."""
    return _many(b"".join(map(frame, texts)))


def _many(frames: bytes) -> bytes:
    return frames * max(1, _AT_ONCE // max(1, len(frames)))


class Flooder:
    """`told` holds everything that a flood is made of."""

    def __init__(self, told: dict[str, Any]) -> None:
        topic = f"room:{told['slug']}"
        alien = "text" in told
        self._told = {"path": _PATH, **told}
        self._join = b"" if alien else frame(json.dumps(["1", "1", topic, "phx_join", {}]))
        raw = _RAW.get(told["kind"])
        self._packet = _many(raw) if raw else packet([told["text"]] if alien else texts(told["kind"], topic))
        self.sent = 0
        self.connected = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as lines:
            for _ in range(_LINES.get(self._told["kind"], 1)):
                lines.create_task(self._again_and_again())

    async def _again_and_again(self) -> None:
        while True:
            try:
                await self._flood()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0)

    async def _flood(self) -> None:
        host = urlsplit(self._told["url"])
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        try:
            writer.write(_UPGRADE.format(host=host.netloc, **self._told).encode())
            await reader.readuntil(b"\r\n\r\n")
            self.connected += 1
            writer.write(self._join)
            if not self._packet:
                return
            reading = asyncio.create_task(_read(reader))
            writing = asyncio.create_task(self._write(writer))
            await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(self._packet)
                await writer.drain()
                self.sent += len(self._packet)


async def _read(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(_AT_ONCE):
            pass


def command(**told: Any) -> list[str]:
    """How to start one. It says a line when it has begun."""
    return [sys.executable, "-m", "tests.support.flooder", json.dumps(told)]


@contextlib.asynccontextmanager
async def flooding(**told: Any) -> AsyncIterator[dict[str, int]]:
    """Have the server at `url` flooded meanwhile; what was sent stands in what this gives, afterwards."""
    result: dict[str, int] = {}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command(**told), cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        await process.stdout.readline()  # it has begun
        yield result
    finally:
        said, _ = await asyncio.wait_for(process.communicate(b""), 30)  # its input ends
        result.update(json.loads(said))


async def _main(told: dict[str, Any]) -> None:
    flooder = Flooder(told)
    run = asyncio.create_task(flooder.run())
    sys.stdout.write("flooding\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    sys.stdout.write(json.dumps({"bytes": flooder.sent, "connections": flooder.connected}))


if __name__ == "__main__":
    os.nice(5)  # there are few cores, and the flood itself is not what is measured
    asyncio.run(_main(json.loads(sys.argv[1])))
