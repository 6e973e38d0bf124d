"""Commands become events: acknowledged once committed, heard by everybody in order, made once however often they are sent."""

import asyncio

import pytest

from tests.contract.conftest import Connect
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client


async def test_a_message_is_acknowledged_and_heard_by_all(site: Site, enter: Connect) -> None:
    slug = site.room(act_access="login")
    alice, guest = await enter(slug, "alice"), await enter(slug)
    reply = await alice.push(slug, "message", text="  Grüße, 世界 👋 <b>  ", key="k-1")
    assert reply.payload == {"status": "ok", "response": {"seq": 1}}
    heard = [(await client.event("message", slug)) for client in (alice, guest)]
    assert heard[0] == heard[1]
    assert heard[0][:4] == (None, None, f"room:{slug}", "message")
    payload = heard[0].payload
    assert payload.pop("at").endswith("Z")
    assert payload.pop("by")["name"] == "alice"
    assert payload == {"seq": 1, "name": "message", "key": "k-1", "data": {"text": "Grüße, 世界 👋 <b>"}}


async def test_what_is_acknowledged_is_committed(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    for number in range(1, 4):
        await client.push(slug, "message", text=f"{number}")
        assert site.console.run("result = Event.objects.filter(room__slug=slug).count()", slug=slug) == number


async def test_an_event_is_the_same_live_in_a_join_and_in_the_history(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug, "alice")
    await client.push(slug, "message", text="one", key="k")
    live = (await client.event("message", slug)).payload
    joined = (await client.join(slug, since=0)).response["events"]
    history = (await client.push(slug, "room_history")).response["events"]
    assert [live] == joined == history


async def test_everybody_hears_the_same_order_without_gaps(site: Site, enter: Connect, neighbour: Server) -> None:
    slug, each, senders = site.room(), 20, 4
    clients = [await enter(slug, at=neighbour) for _ in range(senders // 2)]
    clients += [await enter(slug) for _ in range(senders - len(clients))]
    await asyncio.gather(*(say(client, slug, each) for client in clients))
    heard = [await client.events("message", slug, each * senders) for client in clients]
    assert all(events == heard[0] for events in heard)
    assert [event["seq"] for event in heard[0]] == list(range(1, each * senders + 1))


async def say(client: Client, slug: str, count: int) -> None:
    """Send so many messages without waiting in between, then see all of them acknowledged in the order of sending."""
    refs = [await client.cast(slug, "message", text=f"{number}") for number in range(count)]
    seqs = [(await client.reply(ref)).response["seq"] for ref in refs]
    assert seqs == sorted(seqs)


async def test_a_key_makes_sending_again_harmless(site: Site, enter: Connect, neighbour: Server) -> None:
    slug = site.room()
    here, tab, there = await enter(slug, "alice"), await enter(slug, "alice"), await enter(slug, "alice", at=neighbour)
    first = await here.push(slug, "message", text="once", key="the-key")
    for client in (here, tab, there):
        assert (await client.push(slug, "message", text="once", key="the-key")).payload == first.payload
    assert (await here.push(slug, "message", text="then")).response == {"seq": 2}
    for client in (here, tab, there):
        assert [event["data"]["text"] for event in await client.events("message", slug, 2)] == ["once", "then"]


async def test_a_key_sent_by_many_at_the_same_moment_makes_one_event(
    site: Site, enter: Connect, neighbour: Server
) -> None:
    slug = site.room()
    clients = [await enter(slug, "alice", at=at) for at in (neighbour, neighbour)] + [
        await enter(slug, "alice") for _ in "ab"
    ]
    replies = await asyncio.gather(
        *(client.push(slug, "message", text="once", key="the-key") for client in clients for _ in range(5))
    )
    assert [reply.response for reply in replies] == [{"seq": 1}] * 20
    assert site.console.run("result = Event.objects.filter(room__slug=slug).count()", slug=slug) == 1


async def test_a_key_is_the_senders_own_and_the_rooms_own(site: Site, enter: Connect) -> None:
    slug, other = site.room(), site.room()
    alice, bob = await enter(slug, "alice"), await enter(slug, "bob")
    await alice.join(other)
    assert (await alice.push(slug, "message", text="hers", key="k")).response == {"seq": 1}
    assert (await bob.push(slug, "message", text="his", key="k")).response == {"seq": 2}
    assert (await alice.push(other, "message", text="elsewhere", key="k")).response == {"seq": 1}


async def test_what_is_ephemeral_is_heard_and_not_kept(site: Site, enter: Connect) -> None:
    slug = site.room()
    alice, guest = await enter(slug, "alice"), await enter(slug)
    assert (await alice.push(slug, "typing")).payload == {"status": "ok", "response": {}}
    typing = await guest.event("typing", slug)
    assert typing[:3] == (None, None, f"room:{slug}")
    assert typing.payload["by"]["name"] == "alice"
    assert {name: value for name, value in typing.payload.items() if name != "by"} == {"name": "typing", "data": {}}
    assert site.console.run("result = Room.objects.get(slug=slug).head", slug=slug) == 0


@pytest.mark.needs_layer
async def test_what_is_ephemeral_is_heard_on_another_process(site: Site, enter: Connect, neighbour: Server) -> None:
    slug = site.room()
    alice, bob = await enter(slug, "alice"), await enter(slug, "bob", at=neighbour)
    await alice.push(slug, "typing")
    assert (await bob.event("typing", slug)).payload["by"]["name"] == "alice"


async def test_a_counter_ends_at_exactly_the_right_number(site: Site, enter: Connect, neighbour: Server) -> None:
    """64 senders at once, over connections to both processes, each adding 1, -2 and 3 in turn."""
    slug = site.room("counter")
    clients = [await enter(slug) for _ in range(8)] + [await enter(slug, at=neighbour) for _ in range(8)]
    await asyncio.gather(*(count(client, slug) for client in clients for _ in range(4)))
    assert site.console.run("room = Room.objects.get(slug=slug); result = [room.head, room.state]", slug=slug) == [
        64 * 6,
        {"value": 64 * 4},
    ]
    for client in (clients[0], clients[-1]):
        events = await client.events("added", slug, 64 * 6)
        assert [event["seq"] for event in events] == list(range(1, 64 * 6 + 1))
        assert sum(event["data"]["by"] for event in events) == 64 * 4
        assert (await client.join(slug)).response["state"] == {"value": 64 * 4}


async def count(client: Client, slug: str) -> None:
    for by in (1, -2, 3) * 2:
        assert (await client.push(slug, "add", by=by)).ok


async def test_too_many_commands_at_once_are_put_off(site: Site, enter: Connect) -> None:
    slug = site.room("counter")
    eager, calm = await enter(slug), await enter(slug)
    refs = [await eager.cast(slug, "add") for _ in range(100)]
    replies = [await eager.reply(ref) for ref in refs]
    refused = [reply.response for reply in replies if not reply.ok]
    assert refused
    assert {refusal["code"] for refusal in refused} == {"rate_limited"}
    assert all(0 < refusal["retry_after"] < 10 for refusal in refused)
    assert (await calm.push(slug, "add")).response["seq"] == 101 - len(refused)
    assert (await eager.heartbeat()).ok


async def test_a_room_may_allow_less(site: Site, enter: Connect) -> None:
    slug = site.room("counter", commands_per_second=1)
    client = await enter(slug)
    refs = [await client.cast(slug, "add") for _ in range(6)]
    codes = [(await client.reply(ref)).response.get("code") for ref in refs]
    assert codes[:2] == [None, None]
    assert codes[-1] == "rate_limited"


async def test_a_kind_may_refuse_with_a_code_of_its_own(site: Site, enter: Connect) -> None:
    slug = site.room("poll")
    client = await enter(slug)
    refused = await client.push(slug, "vote", choice=3)
    assert refused.payload == {
        "status": "error",
        "response": {"code": "no_such_choice", "message": "That is not one of the answers."},
    }
