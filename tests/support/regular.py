"""A client that always comes back, as the browser client does: the faults' tests are told from where it sits.

It keeps one connection, to any of the addresses it knows, with its rooms joined; comes back after a random, growing wait with
the newest seq it has; honours `retry_after`; and sends what nobody acknowledged again under the same key. Unlike the browser
client it forgives nothing: a seq that is not the next one is written down in `wrongs`, and only a reply acknowledges.
"""

import asyncio
import itertools
import json
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin

from tests.support.onlookers import Onlooker
from tests.support.wsclient import Frame

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 2.0
PATH = "/realtime/websocket?vsn=2.0.0"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as it came: `at` by the monotonic clock, `live` unless it came with the reply to a join."""

    seq: int
    key: str | None
    data: dict[str, Any]
    at: float
    live: bool


@dataclass(slots=True)
class Said:
    """A command that waits for its acknowledgement."""

    slug: str
    name: str
    arguments: dict[str, Any]
    since: float


class Place:
    """One room, as a client knows it: `began` is where its first join stood, `heard` what it heard since."""

    def __init__(self, slug: str, address: str) -> None:
        self.slug = slug
        self.began: int | None = None
        self.heard: list[Heard] = []
        self.join_ref = ""
        self.joined = False
        self.onlooker = Onlooker(f"{address} in {slug}")

    @property
    def position(self) -> int | None:
        return self.heard[-1].seq if self.heard else self.began


class Regular:
    """One such client. `start` it, and `stop` it in the end; everything in between it does by itself."""

    def __init__(
        self,
        name: str,
        cookie: str,
        addresses: Sequence[str],
        slugs: Sequence[str],
        dice: Random,
        *,
        heartbeat_seconds: float = 5.0,
        open_seconds: float = 15.0,
        receive_buffer: int | None = None,
    ) -> None:
        self.name = name
        self.addresses = list(addresses)
        self.places = {slug: Place(slug, name) for slug in slugs}
        self.outbox: dict[str, Said] = {}
        self.acknowledged: dict[str, tuple[str, int]] = {}
        self.refusals: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        self.frames: Counter[str] = Counter()
        self.opened: list[float] = []
        self.windows: list[float] = []
        self.wrongs: list[str] = []
        self._cookie = cookie
        self._dice = dice
        self._heartbeat_seconds = heartbeat_seconds
        self._open_seconds = open_seconds
        self._receive_buffer = receive_buffer
        self._refs = map(str, itertools.count(1))
        self._answers: dict[str, Callable[[Frame], None]] = {}
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self.address = ""
        self._socket: ClientConnection | None = None
        self._line = 0
        self._not_before = 0.0
        self._running: asyncio.Task[None] | None = None

    def second_tab(self, dice: Random) -> "Regular":
        """The same person once more."""
        return Regular(self.name, self._cookie, self.addresses, list(self.places), dice)

    # What a test tells it

    def start(self) -> None:
        self._running = asyncio.create_task(self._live(), name=f"regular {self.name}")

    async def stop(self) -> None:
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    @property
    def joined(self) -> bool:
        """Whether it is in all of its rooms."""
        return bool(self.opened) and all(place.joined for place in self.places.values())

    def enter(self, slug: str) -> None:
        """Join one more room, and stay in it."""
        place = self.places[slug] = Place(slug, self.name)
        if self._socket and self.opened and not self._socket.transport.is_closing():
            self._join(place)

    def say(self, slug: str, name: str, **arguments: Any) -> str:
        """Send a command until it is acknowledged, and return its key."""
        key = f"{self._dice.getrandbits(64):x}"
        self.outbox[key] = Said(slug, name, arguments, time.monotonic())
        self._send_said(key)
        return key

    def cut(self) -> None:
        """Lose the line as a broken network would: without a closing handshake. It comes back by itself."""
        if self._socket:
            self._socket.transport.abort()

    def stop_reading(self) -> None:
        assert self._socket, f"{self.name} is not connected"
        self._socket.transport.pause_reading()

    def read_again(self) -> None:
        if self._socket and not self._socket.transport.is_closing():
            self._socket.transport.resume_reading()

    # Its life

    async def _live(self) -> None:
        failures = 0
        while True:
            self.address = self._dice.choice(self.addresses)
            try:
                self._socket = await self._open(self.address)
            except (OSError, InvalidHandshake, TimeoutError):
                failures += 1
            else:
                failures = 0
                self.opened.append(time.monotonic())
                await self._talk(self._socket)
            await asyncio.sleep(self._wait(failures))

    def _wait(self, failures: int) -> float:
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**failures)
        return max(self._dice.random() * longest, self._not_before - time.monotonic())

    async def _open(self, address: str) -> ClientConnection:
        host, _, port = address.removeprefix("http://").partition(":")
        raw = socket.socket()
        raw.setblocking(False)
        if self._receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        try:
            async with asyncio.timeout(self._open_seconds):
                await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
                return await connect(
                    address.replace("http", "ws", 1) + PATH,
                    sock=raw,
                    origin=Origin(address),
                    additional_headers={"Cookie": self._cookie},
                    open_timeout=self._open_seconds,
                    close_timeout=1,
                    ping_interval=None,
                    compression=None,
                    max_size=None,
                    proxy=None,
                )
        except BaseException:
            raw.close()
            raise

    async def _talk(self, line: ClientConnection) -> None:
        self._line += 1
        self._outgoing = asyncio.Queue()
        for place in self.places.values():
            self._join(place)
        parts = [asyncio.create_task(part) for part in (self._read(line), self._write(line), self._beat())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            for ended in await asyncio.gather(*parts, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, ConnectionClosed):
                    self.wrongs.append("".join(traceback.format_exception(ended)))
            line.transport.abort()
            self._interrupted(line.close_code)

    def _interrupted(self, code: int | None) -> None:
        self._line += 1
        self._answers.clear()
        for place in self.places.values():
            place.joined = False
        self.closes[code or 0] += 1
        if code == 1000 or 4500 <= (code or 0) <= 4999:
            self.wrongs.append(f"{self.name} was told to stay away ({code})")

    async def _read(self, line: ClientConnection) -> None:
        while True:
            self._hear(Frame(*json.loads(await line.recv(decode=False))))

    async def _write(self, line: ClientConnection) -> None:
        while True:
            await line.send(await self._outgoing.get())

    async def _beat(self) -> None:
        """Return, which ends the line, when the server does not answer."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            answered = asyncio.Event()
            self._ask(None, "phoenix", "heartbeat", {}, lambda _, answered=answered: answered.set())  # type: ignore[misc]
            try:
                async with asyncio.timeout(2 * self._heartbeat_seconds):
                    await answered.wait()
            except TimeoutError:
                return

    # What it sends

    def _ask(
        self, join_ref: str | None, topic: str, name: str, payload: dict[str, Any], answer: Callable[[Frame], None]
    ) -> None:
        ref = next(self._refs)
        self._answers[ref] = answer
        self._outgoing.put_nowait(json.dumps([join_ref, ref, topic, name, payload]))

    def _join(self, place: Place) -> None:
        place.joined = False
        place.join_ref = next(self._refs)
        since = {} if place.position is None else {"since": place.position}
        topic = f"room:{place.slug}"
        self._ask(place.join_ref, topic, "phx_join", since, lambda reply: self._admitted(place, reply))

    def _send_said(self, key: str) -> None:
        said = self.outbox.get(key)
        if said is None or not self.places[said.slug].joined:
            return
        payload = {**said.arguments, "key": key}
        join_ref, topic = self.places[said.slug].join_ref, f"room:{said.slug}"
        self._ask(join_ref, topic, said.name, payload, lambda reply: self._answered(key, said, reply))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something on this line, some time after it may be tried again."""
        line = self._line

        def then() -> None:
            if self._line == line:
                call()

        asyncio.get_running_loop().call_later(seconds * (1 + self._dice.random() / 2), then)

    # What it hears

    def _hear(self, frame: Frame) -> None:
        self.frames[frame.event] += 1
        place = self.places.get(frame.topic.removeprefix("room:"))
        if frame.event == "phx_reply":
            answer = self._answers.pop(frame.ref or "", None)
            if answer:
                answer(frame)
        elif frame.topic == "phoenix" and frame.event == "refusal":
            self._warned(frame.payload)
        elif place is None or not place.joined:
            self.wrongs.append(f"{self.name} is not in {frame.topic}, and hears {frame.event} of it")
        elif frame.event == "phx_error" and frame.join_ref == place.join_ref:
            self._join(place)
        elif frame.event.startswith("presence_"):
            place.onlooker.hear(frame)
        elif "seq" in frame.payload and "name" in frame.payload:
            self._take(place, frame.payload, live=True)
        elif frame.event != "typing":
            self.wrongs.append(f"{self.name} did not expect {frame}")

    def _warned(self, refusal: dict[str, Any]) -> None:
        self.refusals[refusal["code"]] += 1
        if "retry_after" not in refusal:
            self.wrongs.append(f"{self.name} was refused for good: {refusal}")
            return
        self.windows.append(refusal["retry_after"])
        self._not_before = time.monotonic() + self._dice.random() * refusal["retry_after"]

    def _admitted(self, place: Place, reply: Frame) -> None:
        if not reply.ok:
            self._put_off(reply.response, lambda: self._join(place))
            return
        welcome = reply.response
        if place.began is None:
            place.began = welcome["seq"]
        place.joined = True
        place.onlooker.begin()
        if not welcome["complete"]:
            self.wrongs.append(f"{self.name} was told of a gap in {place.slug} after {place.position}: {welcome}")
        for event in welcome["events"]:
            self._take(place, event, live=False)
        if not welcome["more"] and place.position != welcome["seq"]:
            self.wrongs.append(f"{self.name} got to {place.position} in {place.slug}, not to {welcome['seq']}")
        for key, said in list(self.outbox.items()):
            if said.slug == place.slug:
                self._send_said(key)

    def _take(self, place: Place, event: dict[str, Any], *, live: bool) -> None:
        expected = (place.position or 0) + 1
        if event["seq"] != expected:
            self.wrongs.append(f"{self.name} in {place.slug}: expected seq {expected}, got {event['seq']}, {live=}")
        if event["seq"] >= expected:
            place.heard.append(Heard(event["seq"], event["key"], event["data"], time.monotonic(), live))

    def _answered(self, key: str, said: Said, reply: Frame) -> None:
        if reply.ok:
            self.acknowledged[key] = (said.slug, reply.response["seq"])
            self.outbox.pop(key, None)
        elif reply.response["code"] != "unmatched_topic":  # that one is sent again with the next join
            self._put_off(reply.response, lambda: self._send_said(key))

    def _put_off(self, refusal: dict[str, Any], again: Callable[[], None]) -> None:
        self.refusals[refusal["code"]] += 1
        if "retry_after" in refusal:
            self._later(refusal["retry_after"], again)
        else:
            self.wrongs.append(f"{self.name} was refused for good: {refusal}")
