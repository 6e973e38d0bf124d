"""What the site itself says, from another process than the one that serves: a shell, a command, a worker."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import cache

import pytest

from tests.contract.conftest import Connect, in_pairs
from tests.support.logs import Logs
from tests.support.servers import Server
from tests.support.sites import Site

NEVER = 3600  # seconds


@pytest.fixture(scope="session")
def patient(site: Site, patients: Callable[[Site], Server]) -> Server:
    """A server that practically never asks the log for what the layer lost: what it hears came over the layer."""
    return patients(site)


@pytest.fixture(scope="session")
def patients() -> Callable[[Site], Server]:
    settings = json.dumps({"REALTIME": {"CATCH_UP_SECONDS": NEVER}})
    return cache(lambda site: site.serve("uvicorn", TEST_SETTINGS=settings))


@in_pairs
async def test_a_word_from_the_shell_is_heard_within_about_a_second(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    code = f"from realtime import rooms; print(rooms.publish({slug!r}, 'message', {{'text': 'from the shell'}}))"
    assert (await asyncio.to_thread(site.manage, "shell", "-v0", "-c", code)).split() == ["1"]
    said_at = time.monotonic()
    event = (await guest.event("message", slug)).payload
    assert (event["seq"], event["by"], event["data"]) == (1, None, {"text": "from the shell"})
    assert time.monotonic() - said_at < 3


@pytest.mark.needs_layer
async def test_the_layer_carries_words_without_the_safety_net(site: Site, enter: Connect, patient: Server) -> None:
    slug = site.room()
    here, there = await enter(slug), await enter(slug, at=patient)
    site.console.run("rooms.publish(slug, 'message', {'text': 'from the shell'})", slug=slug)
    await here.push(slug, "message", text="from the other server")
    seqs = [event["seq"] for event in await there.events("message", slug, 2)]
    assert seqs == [1, 2]
    assert (await there.push(slug, "message", text="and back")).response == {"seq": 3}
    assert [event["seq"] for event in await here.events("message", slug, 3)] == [1, 2, 3]


async def test_a_publisher_is_named(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    site.console.run(
        "rooms.publish(slug, 'message', {'text': 'hi'}, actor=User.objects.get(username='bob'), key='k')", slug=slug
    )
    event = (await guest.event("message", slug)).payload
    assert (event["by"]["name"], event["key"]) == ("bob", "k")
    bob = await enter(slug, "bob")
    assert (await bob.push(slug, "message", text="hi", key="k")).response == {"seq": 1}


async def test_what_was_rolled_back_is_not_heard(site: Site, enter: Connect) -> None:
    slug = site.room("counter")
    guest = await enter(slug)
    site.console.run(
        """
from django.db import transaction
try:
    with transaction.atomic():
        rooms.publish(slug, "added", {"by": 100})
        raise LookupError
except LookupError:
    pass
with transaction.atomic():
    rooms.publish(slug, "added", {"by": 1})
    rooms.publish(slug, "added", {"by": 2})
""",
        slug=slug,
    )
    events = await guest.events("added", slug, 2)
    assert [(event["seq"], event["data"]["by"]) for event in events] == [(1, 1), (2, 2)]
    assert (await guest.join(slug)).response["state"] == {"value": 3}
    assert [frame for frame in await guest.settle() if frame.event == "added"] == []


async def test_a_publication_from_a_coroutine_is_heard(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    code = "import asyncio; result = asyncio.run(rooms.apublish(slug, 'message', {'text': 'a'}))"
    assert site.console.run(code, slug=slug) == 1
    assert (await guest.event("message", slug)).payload["seq"] == 1


@pytest.mark.needs_layer
async def test_a_broadcast_is_heard_and_not_kept(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    site.console.run("rooms.broadcast(slug, 'weather', {'sun': True})", slug=slug)
    heard = (await guest.event("weather", slug)).payload
    assert heard == {"name": "weather", "by": None, "data": {"sun": True}}
    assert site.console.run("result = Room.objects.get(slug=slug).head", slug=slug) == 0


async def test_closing_a_room_ends_every_subscription(
    site: Site, enter: Connect, come: Connect, neighbour: Server
) -> None:
    slug = site.room()
    clients = [await enter(slug), await enter(slug, "alice"), await enter(slug, at=neighbour)]
    site.console.run("rooms.close(slug)", slug=slug)
    for client in clients:
        ended = await client.event("room_ended", slug)
        assert ended.payload == {"code": "room_closed", "message": "This room is closed."}
        closed = await client.event("phx_close", slug)
        assert closed == (ended.join_ref, ended.join_ref, f"room:{slug}", "phx_close", {})
        assert (await client.push(slug, "message", text="but")).response["code"] == "unmatched_topic"
        assert (await client.heartbeat()).ok
    assert (await (await come()).join(slug)).response["code"] == "room_closed"
    site.console.run("rooms.reopen(slug)", slug=slug)
    for client in clients:
        assert (await client.join(slug)).ok


async def test_a_room_that_is_deleted_ends_its_subscriptions(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    site.console.run("Room.objects.get(slug=slug).delete()", slug=slug)
    assert (await guest.event("room_ended", slug)).payload["code"] == "unknown_room"
    await guest.event("phx_close", slug)
    assert (await guest.join(slug)).response["code"] == "unknown_room"


async def test_clearing_a_room_tells_those_who_show_it(site: Site, enter: Connect) -> None:
    slug = site.room()
    guest = await enter(slug)
    await guest.push(slug, "message", text="one")
    assert site.console.run("result = rooms.clear(slug)", slug=slug) == 1
    assert (await guest.event("room_cleared", slug)).payload == {"seq": 1}
    assert (await guest.push(slug, "room_history")).response == {"events": [], "complete": True}
    assert (await guest.push(slug, "message", text="two")).response == {"seq": 2}


async def test_a_kind_that_raises_harms_only_that_command(site: Site, enter: Connect, logs: Logs) -> None:
    broken, sound = site.room("counter", state={"value": "not a number"}), site.room("counter")
    clients = [await enter(broken) for _ in range(3)]
    for client in clients:
        await client.join(sound)
    refs = [[await client.cast(slug, "add") for slug in (broken, sound)] for client in clients]
    for client, (failing, passing) in zip(clients, refs, strict=True):
        assert (await client.reply(failing)).response["code"] == "failed"
        assert (await client.reply(passing)).ok
    assert "TypeError" in logs.take()
    assert site.console.run("result = Room.objects.get(slug=slug).state", slug=sound) == {"value": 3}
