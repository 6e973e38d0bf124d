"""Requests that are begun and not ended, and answers that are not read: they take neither a server's files nor its time."""

import asyncio
import itertools
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Certificate
from tests.support.daemon import HOST
from tests.support.flooder import frame
from tests.support.gauges import metrics, sockets
from tests.support.servers import Program, Server
from tests.support.sites import Site
from tests.support.waiting import eventually
from tests.support.wsclient import SECONDS, Client

FILES = 240
MOST = 40
PACE = 20  # a server lets in what waits at its door all at once: a flood at the door is another matter
MANY = 2 * FILES + FILES // 2
LONG = 3600.0
WHOLE = b"GET /realtime/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /static/admin/js/vendor/jquery/jquery.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEGUN = (
    b"GET /realtime/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: "
)
BODY = b"POST /realtime/ticket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
TRAILERS = b"POST /realtime/ticket HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
UPGRADE = (
    b"GET /realtime/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
BULK = "for _ in range(80): rooms.publish(slug, 'message', {'text': 'x' * 100_000})"
PINGS = b"\x89\x80\0\0\0\0" * 3000
GOODBYE = b"\x88\x80" + bytes(4)
UNREADABLE = {
    UPGRADE + b"Content-Length: 5\r\n\r\nhello": b"400",
    UPGRADE.replace(b"GET", b"POST") + b"Content-Length: 5\r\n\r\nhello": b"400",
    UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n": b"400",
    UPGRADE + 200 * b"X: x\r\n" + b"\r\n": b"431",
    UPGRADE + b"Cookie: " + 9000 * b"x" + b"\r\n\r\n": b"431",
    UPGRADE.replace(b"GET", b"POST") + b"\r\n": b"405",
}
SERVERS: dict[str, tuple[Program, bool]] = {
    "daphne": ("daphne", False),
    "daphne-tls": ("daphne", True),
    "uvicorn-lane": ("uvicorn-lane", False),
    "uvicorn-lane-tls": ("uvicorn-lane", True),
    "uvicorn": ("uvicorn", False),
}
PLAIN = [(program, tls) for program, tls in SERVERS.values() if not tls]

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def serve(embedded_site: Site, certificate: Certificate) -> Iterator[Callable[..., Server]]:
    """Start a server for this test alone: `serve(program, tls, **REALTIME settings)`."""
    servers: list[Server] = []

    def start(program: Program, tls: bool, **wanted: Any) -> Server:
        settings = json.dumps({"REALTIME": wanted})
        servers.append(embedded_site.serve(program, certificate=certificate if tls else None, TEST_SETTINGS=settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@asynccontextmanager
async def lines(server: Server, trust: ssl.SSLContext | None = None) -> AsyncIterator[Callable[[bytes], Any]]:
    """Open lines one after the other, each with something to say: `await open(b"GET")`. In the end all are cut."""
    opened: list[Line] = []

    async def open_line(text: bytes) -> Line:
        reader, writer = await asyncio.open_connection(HOST, server.port, ssl=trust)
        opened.append((reader, writer))
        writer.write(text)
        return reader, writer

    try:
        yield open_line
    finally:
        for _, writer in opened:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)


@contextmanager
def deaf_lines(server: Server) -> Iterator[Callable[[bytes], socket.socket]]:
    """Open lines that nothing is read from, with little room for what comes: `ask(b"GET")`. In the end all are closed."""
    with ExitStack() as opened:

        def ask(text: bytes) -> socket.socket:
            line = opened.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            line.connect((HOST, server.port))
            line.sendall(text)
            return line

        yield ask


async def answered(line: Line) -> None:
    """Read the whole of an answer."""
    reader, _ = line
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    if b"chunked" in head.lower():
        await reader.readuntil(b"0\r\n\r\n")
    else:
        (length,) = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
        await reader.readexactly(int(length.split()[1]))


async def is_cut_while_it_drips(line: Line) -> bool:
    """Send a request a byte at a time until the line is cut, and return whether that was without an answer."""
    reader, writer = line
    heard = asyncio.ensure_future(reader.read(1))
    bytes_to_come = itertools.chain(BEGUN, itertools.repeat(ord("x")))
    while not heard.done():
        writer.write(bytes([next(bytes_to_come)]))
        await asyncio.wait([heard], timeout=0.05)
    with suppress(ConnectionError):
        return heard.result() == b""
    return True


@pytest.mark.parametrize(("program", "tls"), SERVERS.values(), ids=SERVERS)
async def test_who_begins_requests_and_ends_none_keeps_nobody_out(
    serve: Callable[..., Server], embedded_site: Site, certificate: Certificate, program: Program, tls: bool
) -> None:
    """Not even with several times as many as the server may open files; nor who sends no body, or rests after an answer."""
    slug = embedded_site.room()
    server = serve(program, tls, MAX_UNFINISHED_REQUESTS=MOST, REQUEST_HEADER_SECONDS=LONG)
    trust = certificate.trust if tls else None
    async with asyncio.timeout(6 * SECONDS), await Client.connect(server.url, trust=trust) as bystander:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        assert (await bystander.join(slug)).ok
        # uvicorn counts from the end of a TLS handshake, daphne from its beginning
        async with lines(server, trust if program != "daphne" else None) as open_line:
            for number in range(MANY):
                kinds = (BEGUN[: number % len(BEGUN)], b"", BODY, WHOLE)
                kind = kinds[number * len(kinds) // MANY] if not tls else BEGUN
                line = await open_line(kind)
                if kind is WHOLE:
                    await answered(line)
                if number % PACE == 0:
                    assert (await bystander.heartbeat()).ok
            assert sockets(server.pid) < 2 * MOST + 20
            async with await Client.connect(server.url, trust=trust) as newcomer:
                assert (await newcomer.join(slug)).ok
                assert (await newcomer.push(slug, "message", text="undisturbed")).ok
                assert (await bystander.event("message", slug)).payload["data"] == {"text": "undisturbed"}
            if not tls:
                counted = await asyncio.to_thread(metrics, server)
                assert counted['realtime_drops_total{cause="crowded_out"}'] > MANY / 2


@pytest.mark.parametrize(("program", "tls"), PLAIN)
async def test_a_request_that_drips_is_cut_when_its_time_is_over_and_so_is_the_next_one(
    serve: Callable[..., Server], program: Program, tls: bool
) -> None:
    server = serve(program, tls, REQUEST_HEADER_SECONDS=0.5)
    async with asyncio.timeout(6 * SECONDS), await Client.connect(server.url) as bystander:
        async with lines(server) as open_line:
            assert await is_cut_while_it_drips(await open_line(b""))
            line = await open_line(WHOLE)
            await answered(line)
            assert await is_cut_while_it_drips(line)
            line = await open_line(WHOLE + BEGUN)
            await answered(line)
            assert await is_cut_while_it_drips(line)
            silent, _ = await open_line(b"")
            with suppress(ConnectionError):
                assert await silent.read() == b""
        assert (await bystander.heartbeat()).ok
        counted = await asyncio.to_thread(metrics, server)
        assert counted['realtime_drops_total{cause="slow_request"}'] == 4


@pytest.mark.parametrize("program", ["daphne", "uvicorn-lane"])
async def test_lines_that_are_lost_leave_their_places(serve: Callable[..., Server], program: Program) -> None:
    server = serve(program, tls=False, MAX_UNFINISHED_REQUESTS=5, REQUEST_HEADER_SECONDS=LONG)
    async with asyncio.timeout(3 * SECONDS), await Client.connect(server.url):
        before = sockets(server.pid)
        for kind in (BEGUN, BODY) * 10:
            async with lines(server) as open_line:
                await open_line(kind)
                await eventually(lambda: sockets(server.pid) > before, SECONDS, "it is there")
            await eventually(lambda: sockets(server.pid) == before, SECONDS, "it is lost")
        assert 'realtime_drops_total{cause="crowded_out"}' not in await asyncio.to_thread(metrics, server)


@pytest.mark.parametrize("program", ["daphne", "uvicorn-lane"])
async def test_many_requests_on_a_line_and_large_bodies_are_answered(
    serve: Callable[..., Server], program: Program
) -> None:
    """With headers that come to more, together, than those of one request may."""
    server = serve(program, tls=False, REQUEST_HEADER_SECONDS=1.0)
    head = b"POST /realtime/ticket HTTP/1.1\r\nHost: localhost\r\nCookie: " + 4000 * b"x" + b"\r\n"
    async with asyncio.timeout(3 * SECONDS), await Client.connect(server.url), lines(server) as open_line:
        reader, writer = await open_line(b"")
        for length in [*20 * (0,), 300_000]:
            writer.write(head + b"Content-Length: %d\r\n\r\n" % length)
            for _ in range(length // 10_000):
                writer.write(10_000 * b"x")
                await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 403")
            (size,) = [line for line in answer.lower().splitlines() if line.startswith(b"content-length:")]
            await reader.readexactly(int(size.split()[1]))
        for _ in range(20):
            writer.write(LARGE)
            await answered((reader, writer))


async def test_bodies_that_do_not_go_on_are_bounded_without_httptools_too(embedded_site: Site, tmp_path: Path) -> None:
    """uvicorn goes on with h11 where httptools is not installed."""
    (tmp_path / "httptools.py").write_text("raise ImportError")
    settings = json.dumps({"REALTIME": {"MAX_UNFINISHED_REQUESTS": MOST, "REQUEST_HEADER_SECONDS": LONG}})
    server = embedded_site.serve("uvicorn-lane", PYTHONPATH=str(tmp_path), TEST_SETTINGS=settings)
    async with asyncio.timeout(3 * SECONDS), lines(server) as open_line:
        for _ in range(MOST + 20):
            await open_line(BODY)
        await eventually(lambda: sockets(server.pid) < MOST + 15, SECONDS, "the oldest are cut")
        assert (await asyncio.to_thread(metrics, server))['realtime_drops_total{cause="crowded_out"}'] >= 20
    server.stop()


async def test_headers_without_end_are_cut_before_a_body_and_behind_it(serve: Callable[..., Server]) -> None:
    """daphne, or rather Twisted, has a bound of its own."""
    server = serve("uvicorn-lane", tls=False, REQUEST_HEADER_SECONDS=LONG)
    async with asyncio.timeout(3 * SECONDS), lines(server) as open_line:
        for begun in (BEGUN, TRAILERS, TRAILERS + b"X: "):
            reader, writer = await open_line(begun)
            with suppress(ConnectionError):
                for _ in range(200):
                    writer.write(b"x" * 16_380 + (b"" if begun.endswith(b"X: ") else b": \r\n"))
                    await writer.drain()
                    await asyncio.sleep(0)
                assert await reader.read() == b""
    assert (await asyncio.to_thread(metrics, server))['realtime_drops_total{cause="too_big"}'] == 3


@pytest.mark.parametrize("program", ["uvicorn", "uvicorn-lane"])
async def test_a_handshake_that_cannot_be_read_is_answered_and_closed(
    serve: Callable[..., Server], program: Program
) -> None:
    """Also on uvicorn, where one protocol hands it over to another that says nothing to some, and waits."""
    server = serve(program, tls=False, REQUEST_HEADER_SECONDS=LONG)
    async with asyncio.timeout(3 * SECONDS), await Client.connect(server.url) as bystander:
        async with lines(server) as open_line:
            for sent, status in UNREADABLE.items():
                reader, _ = await open_line(sent)
                assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
        assert (await bystander.heartbeat()).ok


@pytest.mark.parametrize("program", ["daphne", "uvicorn", "uvicorn-lane"])
async def test_who_does_not_answer_a_goodbye_is_not_waited_for_long(
    serve: Callable[..., Server], program: Program
) -> None:
    server = serve(program, tls=False, TRUSTED_PROXIES=[HOST], CONNECTIONS_PER_ADDRESS=1)
    handshake = UPGRADE + b"X-Forwarded-For: 203.0.113.1\r\n\r\n"
    async with asyncio.timeout(SECONDS), lines(server) as open_line:
        first, _ = await open_line(handshake)
        await first.readuntil(b"\r\n\r\n")
        second, _ = await open_line(handshake)
        assert b"too_many_connections" in await second.readuntil(b"too_many_connections")
        async with asyncio.timeout(SECONDS / 2):
            with suppress(ConnectionError):
                await second.read()


@pytest.mark.parametrize("program", ["daphne", "uvicorn", "uvicorn-lane"])
@pytest.mark.parametrize("early", [b"\xff\xff nonsense", frame("{"), PINGS, UPGRADE + b"\r\n"])
async def test_what_is_sent_before_a_handshake_is_answered_waits_and_raises_nothing(
    serve: Callable[..., Server], program: Program, early: bytes
) -> None:
    """daphne cuts the line of what is no frame, and with it the answer; who is too fast likewise."""
    server = serve(program, tls=False, TRUSTED_PROXIES=[HOST], CONNECTS_PER_SECOND=1, CONNECTS_BURST=1)
    handshake = UPGRADE + b"X-Forwarded-For: 203.0.113.1\r\n\r\n"
    async with asyncio.timeout(3 * SECONDS), lines(server) as open_line:
        first, _ = await open_line(handshake)
        assert (await first.readline()).startswith(b"HTTP/1.1 101")
        reader, writer = await open_line(handshake)
        await eventually(lambda: metrics(server)["realtime_connections"] == 1, SECONDS, "it waits")
        writer.write(early)
        if program == "daphne" and early != frame("{"):
            with suppress(ConnectionError):
                await reader.read()
        else:
            assert (await reader.readline()).startswith(b"HTTP/1.1 101")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.read(1)  # a refusal, or a goodbye
        assert metrics(server)["realtime_connections"] >= 1


@pytest.mark.parametrize("program", ["daphne", "uvicorn-lane"])
async def test_who_asks_and_reads_no_answer_keeps_nobody_out(
    serve: Callable[..., Server], embedded_site: Site, program: Program
) -> None:
    slug = embedded_site.room()
    server = serve(program, tls=False, MAX_UNFINISHED_REQUESTS=MOST, REQUEST_HEADER_SECONDS=LONG)
    async with asyncio.timeout(6 * SECONDS), await Client.connect(server.url) as bystander:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        with deaf_lines(server) as ask:
            for number in range(FILES + PACE):
                ask(4 * LARGE)
                if number % PACE == 0:
                    assert (await bystander.heartbeat()).ok
                    await eventually(lambda: sockets(server.pid) < 2 * MOST + 20, SECONDS, "who does not read is cut")
            # It shares a core with others here, and makes a thousand large answers first that nobody reads.
            async with await Client.connect(server.url, within=4 * SECONDS) as newcomer:
                assert (await newcomer.join(slug)).ok
            assert metrics(server)['realtime_drops_total{cause="crowded_out"}'] > FILES - 2 * MOST - PACE


@pytest.mark.parametrize("program", ["daphne", "uvicorn", "uvicorn-lane"])
async def test_who_says_goodbye_and_reads_nothing_is_gone_all_the_same(
    serve: Callable[..., Server], embedded_site: Site, program: Program
) -> None:
    slug = embedded_site.room()
    server = serve(program, tls=False, REQUEST_HEADER_SECONDS=1.0)
    async with asyncio.timeout(3 * SECONDS), await Client.connect(server.url) as bystander:
        assert (await bystander.join(slug)).ok
        before = sockets(server.pid)
        with deaf_lines(server) as ask:
            line = ask(UPGRADE + b"\r\n")
            await eventually(lambda: metrics(server)["realtime_connections"] == 2, SECONDS, "it is let in")
            line.sendall(frame(f'["1","1","room:{slug}","phx_join",{{}}]'))
            await eventually(lambda: metrics(server)["realtime_subscriptions"] == 2, SECONDS, "it is in")
            await asyncio.to_thread(embedded_site.console.run, BULK, slug=slug)
            await bystander.events("message", slug, 80)
            line.sendall(GOODBYE)
            await eventually(lambda: sockets(server.pid) <= before, SECONDS, "its socket is closed")
            assert metrics(server)['realtime_drops_total{cause="unread"}'] == 1


@pytest.mark.parametrize(("program", "cut"), [("daphne", ("pipelined",)), ("uvicorn-lane", ("pipelined", "unread"))])
async def test_who_asks_and_asks_on_and_who_reads_nothing_for_a_while_is_cut(
    serve: Callable[..., Server], program: Program, cut: tuple[str, ...]
) -> None:
    """Of those who read nothing but ask no more daphne, or rather Twisted, takes leave after a minute."""
    asked = {"pipelined": 40 * LARGE, "unread": 16 * LARGE}
    server = serve(program, tls=False, REQUEST_HEADER_SECONDS=1.0)
    async with asyncio.timeout(3 * SECONDS), await Client.connect(server.url), lines(server) as open_line:
        line = await open_line(3 * WHOLE)
        for _ in range(3):
            await answered(line)
        with deaf_lines(server) as ask:
            for cause in cut:
                ask(asked[cause])
                name = f'realtime_drops_total{{cause="{cause}"}}'
                await eventually(lambda name=name: metrics(server).get(name) == 1, SECONDS, cause)  # type: ignore[misc]
