"""Whatever way frames take, through ASGI or straight to a server's transport: the same bytes come, in the same order."""

import asyncio
import re
from collections.abc import Callable
from typing import get_args

from tests.contract.conftest import Connect
from tests.contract.test_resume import FILL
from tests.support.servers import Program, Server
from tests.support.sites import Site
from tests.support.wsclient import Client

MAKE = """
Room.objects.filter(slug__in=["said-before", "the-lanes"]).delete()
for slug in ("said-before", "the-lanes"):
    Room.objects.create(slug=slug, title=slug, kind="chat", join_access="anyone", act_access="login")
"""
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TEXT = 0x1  # the opcode; a close frame says more on uvicorn than on daphne


async def session(site: Site, server: Server, connect: Connect) -> bytes:
    """Tell a story in which every kind of frame comes, and return all that alice heard, as it came over the line.

    Each step waits for the last frame it causes, so that their order is settled.
    """
    site.console.run(MAKE)
    site.console.run(FILL, slug="said-before", count=3, size=30_000)
    alice = await connect(server.url, cookie=site.cookie(server, "alice"))
    alice.tap()
    await read_back(alice)
    bob = await connect(server.url, cookie=site.cookie(server, "bob"))
    await meet(alice, bob)
    await be_refused(alice)
    await see_it_end(alice, bob, site)
    return alice.raw


async def read_back(alice: Client) -> None:
    """What is longer than 125 bytes, and than 65,535, has another head (RFC 6455, 5.2)."""
    assert len((await alice.join("said-before", since=0)).response["events"]) == 3
    await alice.event("presence_state", "said-before")
    assert len((await alice.push("said-before", "room_history", limit=2)).response["events"]) == 2
    await alice.leave("said-before")
    await alice.event("phx_close", "said-before")


async def meet(alice: Client, bob: Client) -> None:
    await alice.join("the-lanes")
    await alice.event("presence_state")
    await bob.join("the-lanes")
    await alice.event("presence_diff")
    for client in (alice, bob):
        for key, text in {"k-1": "short", "k-2": "Grüße, 世界 👋 <b>", "k-3": "long " * 700}.items():
            assert (await client.push("the-lanes", "message", text=text, key=key)).ok
            await alice.event("message")
    assert (await alice.push("the-lanes", "message", text="short", key="k-1")).response == {"seq": 1}
    await bob.push("the-lanes", "typing")
    await alice.event("typing")
    await asyncio.gather(*(bob.push("the-lanes", "message", text=f"{number}") for number in range(20)))
    await alice.events("message", "the-lanes", 20)
    await bob.leave("the-lanes")
    await alice.event("presence_diff")


async def be_refused(alice: Client) -> None:
    for text in ("?", "x" * 70_000):
        await alice.send(text)
        await alice.event("refusal")
    for event, arguments in (("message", {"text": ""}), ("shout", {}), ("room_history", {"limit": 0})):
        assert not (await alice.push("the-lanes", event, **arguments)).ok
    assert not (await alice.join("nowhere")).ok
    await alice.event("phx_close", "nowhere")
    assert (await alice.heartbeat()).ok


async def see_it_end(alice: Client, bob: Client, site: Site) -> None:
    site.console.run("rooms.close('the-lanes')")
    await alice.event("phx_close")
    for _ in range(10):
        await alice.send("?")
    assert await alice.closed() == 4500


async def test_the_same_bytes_come_over_every_lane(
    embedded_site: Site, servers: Callable[[Site, Program], Server], connect: Connect
) -> None:
    told: dict[Program, list[bytes]] = {}
    for program in get_args(Program):
        server = await asyncio.to_thread(servers, embedded_site, program)
        told[program] = texts(await session(embedded_site, server, connect))
    assert {len(frame) > 65_535 for frame in told["uvicorn"]} == {True, False}
    for program, frames in told.items():
        assert frames == told["uvicorn"], program


def texts(raw: bytes) -> list[bytes]:
    """Cut what came into frames, each with its head, and return those of text with all times alike."""
    found: list[bytes] = []
    while raw:
        length, head = raw[1], 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(raw[2:head], "big")
        found.append(raw[: head + length])
        raw = raw[head + length :]
    return [TIME.sub(b"a time", frame) for frame in found if frame[0] & 0x0F == TEXT]
