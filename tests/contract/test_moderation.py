"""What moderators do reaches everybody, on every server, at once and for good."""

import time
from typing import Any

import pytest

from tests.contract.conftest import Connect
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client

SECRET = "never to be seen again"
STORED = """
from django.db import connection
with connection.cursor() as cursor:
    found = []
    for table in ("realtime_event", "realtime_room"):
        cursor.execute(f"SELECT * FROM {table}")
        found += map(repr, cursor.fetchall())
result = sum(text in row for row in found)
"""


def moderated(site: Site, name: str = "bob", **fields: Any) -> str:
    """Make a room that somebody moderates."""
    slug = site.room(**fields)
    site.console.run(
        "Membership.objects.create(room=Room.objects.get(slug=slug), user=User.objects.get(username=name), role='moderator')",
        slug=slug,
        name=name,
    )
    return slug


async def everything(client: Client, slug: str) -> str:
    """Whatever a client can learn of a room from now on: what it comes with, what it hears, what it reads back."""
    await client.settle()
    client.frames.clear()
    welcome = await client.join(slug, since=0)
    history = await client.push(slug, "room_history", limit=200)
    return repr((welcome, history, await client.settle()))


async def test_what_is_removed_is_gone_from_every_server_and_from_the_log(
    site: Site, enter: Connect, come: Connect, neighbour: Server
) -> None:
    slug = moderated(site)
    alice, bob, far = await enter(slug, "alice"), await enter(slug, "bob"), await enter(slug, at=neighbour)
    for text in ("before", SECRET, "after"):
        await alice.push(slug, "message", text=text)
    assert SECRET in repr([await client.events("message", slug, 3) for client in (alice, bob, far)])
    assert (await bob.push(slug, "room_remove", seq=2)).response == {"seq": 4}
    asked_at = time.monotonic()
    for client in (alice, bob, far):
        event = (await client.event("room_removed", slug)).payload
        assert (event["seq"], event["by"]["name"], event["data"]) == (4, "bob", {"seq": 2})
    assert time.monotonic() - asked_at < 3
    for client in (await come(), await come("alice", at=neighbour), bob, far):
        learnt = await everything(client, slug)
        assert SECRET not in learnt
        assert ("before" in learnt, "after" in learnt, "'removed': True" in learnt) == (True, True, True)
    assert site.console.run(STORED, text=SECRET) == 0
    assert (await bob.push(slug, "room_remove", seq=2)).response == {"seq": 4}
    assert (await alice.push(slug, "message", text="next")).response == {"seq": 5}


async def test_who_was_away_learns_of_a_removal_on_coming_back(
    site: Site, enter: Connect, come: Connect, neighbour: Server
) -> None:
    slug = site.room()
    away = await enter(slug)
    alice = await enter(slug, "alice")
    await alice.push(slug, "message", text=SECRET)
    await away.event("message", slug)
    await away.drop()
    site.console.run("rooms.remove(slug, 1)", slug=slug)
    await alice.event("room_removed", slug)
    for server in ({}, {"at": neighbour}):
        events = (await (await come("", **server)).join(slug, since=1)).response["events"]
        assert [(event["seq"], event["name"], event["data"]) for event in events] == [(2, "room_removed", {"seq": 1})]


async def test_a_key_sent_again_after_the_removal_is_still_that_event(site: Site, enter: Connect) -> None:
    slug = site.room()
    alice = await enter(slug, "alice")
    assert (await alice.push(slug, "message", text=SECRET, key="k")).response == {"seq": 1}
    assert (await alice.push(slug, "room_remove", seq=1)).response == {"seq": 2}
    assert (await alice.push(slug, "message", text=SECRET, key="k")).response == {"seq": 1}
    assert SECRET not in await everything(alice, slug)


@pytest.mark.parametrize("name", ["", "alice"])
async def test_others_remove_nothing(site: Site, enter: Connect, name: str) -> None:
    slug = moderated(site)
    bob, other = await enter(slug, "bob"), await enter(slug, name)
    await bob.push(slug, "message", text="stays")
    refused = await other.push(slug, "room_remove", seq=1)
    assert refused.response["code"] == "forbidden"  # a guest may act here, so it is not for lack of a login
    for seq, code in ((2, "unknown_event"), (0, "invalid"), ("1", "invalid")):
        assert (await bob.push(slug, "room_remove", seq=seq)).response["code"] == code
    assert "stays" in await everything(other, slug)


# Bans and mutes


async def test_a_banned_person_is_put_out_of_every_server_and_stays_out(
    site: Site, enter: Connect, come: Connect, neighbour: Server
) -> None:
    slug = moderated(site)
    bob = await enter(slug, "bob")
    here, there = await enter(slug, "alice"), await enter(slug, "alice", at=neighbour)
    alice = (await here.join(slug)).response["you"]["id"]
    await here.event("phx_close", slug)
    asked_at = time.monotonic()
    assert (await bob.push(slug, "room_ban", person=alice, seconds=600, reason="spam")).response == {}
    for client in (here, there):
        refusal = (await client.event("room_ended", slug)).payload
        assert (refusal["code"], "retry_after" in refusal, refusal["until"][-1]) == ("banned", False, "Z")
        await client.event("phx_close", slug)
    if site.backend.layer:
        assert time.monotonic() - asked_at < 3
    for server in ({}, {"at": neighbour}):
        again = await come("alice", **server)
        assert (await again.join(slug)).response["code"] == "banned"
        await again.event("phx_close", slug)
        assert (await again.join(site.room())).ok, "banned from one room, not from all"
    assert (await bob.push(slug, "room_unban", person=alice)).response == {}
    assert (await again.join(slug)).ok


async def test_who_is_muted_reads_and_is_refused_until_it_ends(site: Site, enter: Connect, neighbour: Server) -> None:
    slug = moderated(site)
    bob, alice, far = await enter(slug, "bob"), await enter(slug, "alice"), await enter(slug, "alice", at=neighbour)
    person = (await alice.join(slug)).response["you"]["id"]
    assert (await bob.push(slug, "room_mute", person=person, seconds=600)).response == {}
    for client in (alice, far):
        refusal = (await client.push(slug, "message", text="no")).response
        assert (refusal["code"], 500 < refusal["retry_after"] <= 600) == ("muted", True)
        told = (await client.event("room_can", slug)).payload
        assert (told["can"], told["muted"]["until"][-1]) == ([], "Z")
        assert (await client.push(slug, "typing")).response["code"] == "muted"
    await bob.push(slug, "message", text="quiet now")
    assert (await far.event("message", slug)).payload["data"] == {"text": "quiet now"}
    assert (await bob.push(slug, "room_unmute", person=person)).response == {}
    assert (await alice.event("room_can", slug)).payload == {"can": ["act"]}
    assert (await alice.push(slug, "message", text="thanks")).ok


@pytest.mark.parametrize("name", ["", "alice"])
async def test_others_deal_with_nobody(site: Site, enter: Connect, name: str) -> None:
    slug = moderated(site)
    bob, other = await enter(slug, "bob"), await enter(slug, name)
    person = (await bob.join(slug)).response["you"]["id"]
    for request in ("room_kick", "room_ban", "room_mute", "room_unban", "room_unmute"):
        refused = await other.push(slug, request, person=person)
        assert refused.response["code"] == ("forbidden" if name else "login_required"), request
    assert (await bob.push(slug, "message", text="still here")).ok


# Slow mode


async def test_slow_mode_holds_over_all_of_a_persons_connections(
    site: Site, enter: Connect, come: Connect, neighbour: Server
) -> None:
    slug = moderated(site, slow_seconds=100)
    alice, far, bob = await enter(slug, "alice"), await come("alice", at=neighbour), await enter(slug, "bob")
    assert (await far.join(slug)).response["slow"] == 100
    assert (await alice.push(slug, "message", text="one")).ok
    for client in (alice, far):
        refusal = (await client.push(slug, "message", text="two")).response
        assert (refusal["code"], 50 < refusal["retry_after"] <= 100) == ("rate_limited", True)
        assert (await client.push(slug, "typing")).ok
    for text in ("three", "four"):
        assert (await bob.push(slug, "message", text=text)).ok, "moderators need not wait"
    site.console.run("row = Room.objects.get(slug=slug); row.slow_seconds = None; row.save()", slug=slug)
    assert (await alice.push(slug, "message", text="five")).ok
    if site.backend.layer:  # without, open pages learn of it with the next look at everybody
        assert "slow" not in (await alice.event("room_can", slug)).payload
