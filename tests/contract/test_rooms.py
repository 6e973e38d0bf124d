"""Joining, leaving and joining again, and what is said to topics that nobody is in."""

import json
from typing import Any

import pytest

from tests.contract.conftest import PAIRS, Connect
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client, Frame


async def test_a_join_says_where_the_room_stands(site: Site, come: Connect) -> None:
    slug = site.room("counter", title="Visits today")
    site.console.run("for by in (2, 3): rooms.publish(slug, 'added', {'by': by})", slug=slug)
    alice = await come("alice")
    reply = await alice.join(slug)
    assert (reply.join_ref, reply.topic) == (reply.ref, f"room:{slug}")
    you = reply.response.pop("you")
    assert reply.response == {
        "seq": 2,
        "tail": 0,
        "events": [],
        "more": False,
        "complete": True,
        "state": {"value": 5},
        "can": ["act"],
        "room": {"title": "Visits today", "kind": "counter"},
    }
    assert you["name"] == "alice"
    assert you["id"].startswith("user:")


async def test_a_guest_has_a_name_too(site: Site, come: Connect) -> None:
    you = (await (await come()).join(site.room())).response["you"]
    assert you["id"].startswith("guest:")
    assert you["name"].startswith("Guest ")


async def test_a_join_without_join_ref_goes_by_its_ref(site: Site, come: Connect) -> None:
    client = await come()
    topic = f"room:{site.room()}"
    await client.send([None, "9", topic, "phx_join", {}])
    assert (await client.reply("9")).ok
    await client.send(["9", "10", topic, "phx_leave", {}])
    assert (await client.reply("10")).ok
    assert await client.event("phx_close") == ("9", "9", topic, "phx_close", {})


async def test_a_connection_in_no_room_is_closed_and_may_come_back(embedded_site: Site, connect: Connect) -> None:
    short = {"UNJOINED_SECONDS": 1.5, "CATCH_UP_SECONDS": 0.1}
    server = embedded_site.serve("daphne", TEST_SETTINGS=json.dumps({"REALTIME": short}))
    slug = embedded_site.room()
    inside = await connect(server.url)
    await inside.join(slug)
    outside = await connect(server.url)
    await outside.heartbeat()
    assert await outside.closed() == 4004
    assert (await inside.push(slug, "message", text="still here")).ok
    await inside.leave(slug)
    assert await inside.closed() == 4004
    server.stop()


async def test_every_frame_of_a_topic_comes_after_the_reply_to_its_join(site: Site, come: Connect) -> None:
    slug, client, other = site.room(), await come(), await come()
    await other.join(slug)
    for number in range(10):
        await other.cast(slug, "message", text=f"{number}")
        welcome = await client.join(slug)
        await client.settle()
        seqs = [frame.payload["seq"] for frame in client.frames if frame.event == "message"]
        assert all(seq > welcome.response["seq"] for seq in seqs)
        await client.leave(slug)
        client.frames.clear()


async def test_leaving_is_answered_and_then_closed(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    reply = await client.leave(slug)
    assert reply.payload == {"status": "ok", "response": {}}
    join_ref = reply.join_ref
    assert await client.event("phx_close") == (join_ref, join_ref, f"room:{slug}", "phx_close", {})


async def test_who_has_left_hears_nothing_more_and_is_not_heard(site: Site, enter: Connect) -> None:
    slug, elsewhere = site.room(), site.room()
    client, other = await enter(slug), await enter(slug)
    await client.join(elsewhere)
    await client.leave(slug)
    await client.event("phx_close")
    refused = await client.push(slug, "message", text="still me?")
    assert_unmatched(refused, slug)
    assert (await other.push(slug, "message", text="gone?")).response == {"seq": 1}
    await client.push(elsewhere, "message", text="here")
    await client.event("message", elsewhere)
    assert not [frame for frame in client.frames if frame.event == "message"]


async def test_leaving_what_is_not_joined_is_fine(site: Site, come: Connect) -> None:
    client = await come()
    await client.send(["4", "5", f"room:{site.room()}", "phx_leave", {}])
    reply = await client.reply("5")
    assert (reply.join_ref, reply.payload) == ("4", {"status": "ok", "response": {}})


async def test_one_may_leave_and_come_back(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    await client.push(slug, "message", text="one")
    await client.leave(slug)
    assert [event["seq"] for event in (await client.join(slug, since=0)).response["events"]] == [1]
    assert (await client.push(slug, "message", text="two")).response == {"seq": 2}


async def test_joining_again_ends_the_first_subscription(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    again = await client.join(slug)
    assert again.ok
    closed = await client.event("phx_close", slug)
    assert closed.join_ref == closed.ref != again.join_ref
    await client.push(slug, "message", text="heard once")
    await client.event("message", slug)
    assert [frame for frame in await client.settle() if frame.event in ("message", "phx_close")] == []


async def test_a_frame_of_an_earlier_join_is_ignored(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    earlier = (await client.join(slug)).join_ref
    await client.join(slug)
    topic = f"room:{slug}"
    for ref, event in (("901", "message"), ("902", "phx_leave"), ("903", "room_history")):
        await client.send([earlier, ref, topic, event, {"text": "late"} if event == "message" else {}])
    assert [frame for frame in await client.settle() if frame.ref in ("901", "902", "903")] == []
    assert (await client.push(slug, "message", text="now")).response == {"seq": 1}


async def test_a_frame_without_join_ref_is_of_the_present_join(site: Site, enter: Connect) -> None:
    slug = site.room()
    client = await enter(slug)
    await client.send([None, "904", f"room:{slug}", "message", {"text": "hello"}])
    assert (await client.reply("904")).payload == {"status": "ok", "response": {"seq": 1}}


@pytest.mark.parametrize("topic", ["lobby", "room", "room:", "room:a b", "room:ä", "rooms:lobby", "phoenix", ""])
async def test_a_topic_that_is_no_room_is_unmatched(come: Connect, topic: str) -> None:
    client = await come()
    await client.send(["1", "1", topic, "phx_join", {}])
    reply = await client.reply("1")
    assert reply.join_ref is None
    assert (reply.response["code"], reply.response["reason"]) == ("unmatched_topic", "unmatched topic")
    assert "room:<slug>" in reply.response["message"]


async def test_a_command_to_a_room_that_is_not_joined_is_unmatched(site: Site, come: Connect) -> None:
    client, slug = await come("alice"), site.room()
    await client.send(["7", "8", f"room:{slug}", "message", {"text": "hello?"}])
    assert_unmatched(await client.reply("8"), slug)
    assert site.console.run("result = Room.objects.get(slug=slug).head", slug=slug) == 0


def assert_unmatched(reply: Frame, slug: str) -> None:
    assert (reply.join_ref, reply.topic, reply.ok) == (None, f"room:{slug}", False)
    assert reply.response["reason"] == "unmatched topic"


async def test_a_room_that_does_not_exist_is_refused_for_good(come: Connect) -> None:
    client = await come("alice")
    reply = await client.join("no-such-room")
    assert refusal(reply) == "unknown_room"
    closed = await client.event("phx_close", "no-such-room")
    assert closed.join_ref == reply.join_ref


def refusal(reply: Frame) -> Any:
    assert not reply.ok
    return reply.response["code"]


async def test_a_hundred_rooms_fit_on_a_connection_and_no_more(site: Site, come: Connect) -> None:
    slugs = site.rooms(101)
    client = await come()
    for slug in slugs[:100]:
        assert (await client.join(slug)).ok
    assert refusal(await client.join(slugs[100])) == "too_many_rooms"
    await client.event("phx_close", slugs[100])
    site.console.run("for slug in slugs: rooms.publish(slug, 'message', {'text': slug})", slugs=slugs)
    for slug in slugs[:100]:
        assert (await client.event("message", slug)).payload["data"] == {"text": slug}
    assert (await client.leave(slugs[0])).ok
    assert (await client.join(slugs[100])).ok


async def test_a_connection_that_ends_leaves_the_others_alone(site: Site, enter: Connect) -> None:
    slug = site.room()
    stays, goes, breaks = [await enter(slug) for _ in range(3)]
    await goes.close()
    await breaks.drop()
    assert (await stays.push(slug, "message", text="still here")).ok
    assert (await stays.event("message", slug)).payload["seq"] == 1


async def test_the_sites_own_pages_answer_beside_open_sockets(site: Site, server: Server, enter: Connect) -> None:
    """Threads that keep database connections to themselves would leave none for the requests."""
    slug = site.room()
    clients: list[Client] = [await enter(slug) for _ in range(8)]
    for client in clients:
        assert (await client.push(slug, "message", text="hello")).ok
    assert site.cookie(server, "bob")


@pytest.mark.parametrize(("site", "server"), [PAIRS["sqlite+memory-uvicorn-lane"]], ids=["one"], indirect=True)
async def test_a_full_room_lets_in_only_who_needs_no_place_until_somebody_leaves(
    site: Site, come: Connect, enter: Connect
) -> None:
    slug, other = site.room(max_occupants=1), site.room()
    bob = await enter(slug, "bob")
    await enter(slug, "bob")
    staff = await enter(slug, "admin")
    alice = await enter(other, "alice")
    refused = await alice.join(slug)
    assert (refused.response["code"], refused.response["retry_after"]) == ("room_full", 10.0)
    assert (await alice.push(other, "message", text="hello")).ok
    await staff.leave(slug)
    assert (await alice.join(slug)).response["code"] == "room_full"
    assert (await bob.push(slug, "message", text="just me")).ok
