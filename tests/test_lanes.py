"""Ways out: what is written goes out at once and in order, and a client that does not read is noticed."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.websocket.protocol import WebSocketProtocol as Autobahn
from twisted.internet.tcp import Server

from realtime import consumers, lanes
from realtime.lanes import AsgiLane, FrameLane
from realtime.protocol import Batch
from realtime.servers import daphne
from tests.support.fakes import event, frames_of, settle

CLOSE = {"type": "websocket.close", "code": 4001, "reason": "too slow"}


def batch(*seqs: int) -> Batch:
    return Batch([event(seq) for seq in seqs])


class Application:
    """A server's `send`: it waits while `gate` is clear, and raises once the socket is `gone`."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.gone = False

    async def send(self, message: dict[str, Any]) -> None:
        if self.gone:
            raise OSError("the socket is gone")
        if not self.gate.is_set():
            await self.gate.wait()
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]


@pytest.fixture
async def server() -> Application:
    return Application()


# ASGI


async def test_what_need_not_wait_has_gone_out_when_write_returns(server: Application) -> None:
    lane = AsgiLane(server.send)
    lane.write(batch(1, 2))
    assert server.texts == [event(1).text, event(2).text]
    assert not lane.paused


async def test_a_send_that_waits_pauses_the_lane_until_all_is_out_in_order(server: Application) -> None:
    lane = AsgiLane(server.send)
    resumed: list[bool] = []
    lane.on_resume = lambda: resumed.append(lane.paused)
    server.gate.clear()
    lane.write(batch(1, 2, 3))
    await settle()
    assert (lane.paused, server.texts, resumed) == (True, [], [])
    server.gate.set()
    await settle()
    assert (lane.paused, resumed) == (False, [False])
    assert server.texts == [event(seq).text for seq in (1, 2, 3)]


async def test_a_close_comes_after_what_is_being_sent(server: Application) -> None:
    lane = AsgiLane(server.send)
    server.gate.clear()
    lane.write(batch(1))
    lane.close(4001, "too slow")
    server.gate.set()
    await settle()
    assert [message["type"] for message in server.sent] == ["websocket.send", "websocket.close"]
    assert server.sent[-1] == CLOSE


async def test_a_socket_that_is_gone_troubles_nobody(server: Application) -> None:
    server.gone = True
    lane = AsgiLane(server.send)
    lane.write(batch(1, 2))
    lane.close(4001, "too slow")
    await settle()
    assert server.sent == []
    await lane.finish()


# Frames


class FakeWire:
    def __init__(self) -> None:
        self.paused = False
        self.on_pause: Callable[[], None] = lambda: None
        self.on_resume: Callable[[], None] = lambda: None
        self.usable = True
        self.written = b""
        self.settled = self.was_cut = False

    def settle(self) -> None:
        self.settled = True

    def write(self, packet: bytes) -> None:
        self.written += packet

    def cut(self) -> None:
        self.was_cut = True


async def test_frames_are_what_the_other_lane_sends(server: Application) -> None:
    wire = FakeWire()
    big = Batch([event(1), event(2, text="x" * 300), event(3, text="x" * 70_000)])
    FrameLane(wire, server.send).write(big)
    AsgiLane(server.send).write(big)
    assert [frame.text for frame in frames_of(wire.written)] == server.texts


async def test_closing_goes_through_the_server(server: Application) -> None:
    lane = FrameLane(FakeWire(), server.send)
    lane.close(4001, "too slow")
    await settle()
    assert server.sent == [CLOSE]


async def test_who_does_not_read_the_goodbye_is_cut_off(server: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_GOODBYE_SECONDS", 0)
    wire = FakeWire()
    server.gate.clear()
    FrameLane(wire, server.send).close(4001, "too slow")
    await settle()
    assert wire.was_cut


# Which one


@pytest.mark.parametrize(
    ("usable", "fast", "chosen"), [(True, True, FrameLane), (False, True, AsgiLane), (True, False, AsgiLane)]
)
async def test_the_fast_one_is_taken_where_it_may_be(
    server: Application, settings: Any, usable: bool, fast: bool, chosen: type
) -> None:
    settings.REALTIME = {"FAST_LANES": fast}
    wire = FakeWire()
    wire.usable = usable
    assert type(consumers._lane({"extensions": {"realtime.frames": wire}}, server.send)) is chosen
    assert wire.settled == (chosen is FrameLane)


# daphne's transport


class Reactor:
    """Who would poll the socket."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        self.writers.add(transport)

    def removeWriter(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        self.writers.discard(transport)

    def addReader(self, transport: Any) -> None: ...  # noqa: N802 - Twisted's name

    def removeReader(self, transport: Any) -> None: ...  # noqa: N802 - Twisted's name


class Line:
    """One of Twisted's own transports over a real socket, and the client at its other end."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        for end in (ours, self.client):
            end.setblocking(False)
        self.reactor = Reactor()
        protocol: Any = SimpleNamespace(state=Autobahn.STATE_OPEN, websocket_extensions_in_use=[])
        protocol.logPrefix = lambda: "test"
        self.transport = Server(ours, protocol, ("127.0.0.1", 1), None, 1, self.reactor)  # type: ignore[arg-type]
        protocol.transport = self.transport
        self.protocol = protocol
        self.wire = daphne.Wire(protocol)

    def read(self) -> bytes:
        """Everything that has arrived, with the reactor turning while there is more to come."""
        found = b""
        while True:
            try:
                found += self.client.recv(1 << 20)
            except BlockingIOError:
                if not self.reactor.writers:
                    return found
                self.transport.doWrite()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.client.close()
    made.transport.socket.close()


def test_twisted_has_what_the_direct_write_rests_on(line: Line) -> None:
    assert (line.transport.dataBuffer, line.transport._tempDataBuffer) == (b"", [])
    assert line.wire._handle is line.transport.socket


def test_daphnes_socket_is_written_to_without_the_reactor(line: Line) -> None:
    line.wire.write(b"one")
    assert line.client.recv(10) == b"one"
    assert not line.reactor.writers


def test_what_the_socket_does_not_take_waits_in_order_and_pauses_the_wire(line: Line) -> None:
    said: list[str] = []
    line.wire.on_pause, line.wire.on_resume = lambda: said.append("pause"), lambda: said.append("resume")
    packets = [bytes([number]) * 100_000 for number in range(20)]
    for packet in packets:
        line.wire.write(packet)
    assert (line.wire.paused, said[:1]) == (True, ["pause"])
    assert line.read() == b"".join(packets)
    assert (line.wire.paused, said[-1]) == (False, "resume")
    line.wire.write(b"last")
    assert line.read() == b"last"


def test_a_client_that_is_gone_is_the_servers_to_notice(line: Line) -> None:
    line.client.close()
    line.wire.write(b"one")
    line.wire.write(b"two")
    assert line.reactor.writers == {line.transport}


def test_nothing_is_written_to_a_connection_that_closes(line: Line) -> None:
    line.protocol.state = Autobahn.STATE_CLOSING
    line.wire.write(b"one")
    with pytest.raises(BlockingIOError):
        line.client.recv(10)


def test_a_transport_that_is_not_plain_is_written_to_as_twisted_does(line: Line) -> None:
    line.transport.TLS = True
    assert daphne._handle(line.transport) is None
