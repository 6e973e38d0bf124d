"""Who may join and who may act, and what those hear who may not."""

from typing import Any

import pytest

from tests.contract.conftest import Connect, in_pairs
from tests.support.sites import Site

pytestmark = in_pairs

PEOPLE = ("", "alice", "bob", "admin")  # a guest; somebody logged in; a member of the room; staff
ALLOWED = {
    "anyone": {"", "alice", "bob", "admin"},
    "login": {"alice", "bob", "admin"},
    "members": {"bob", "admin"},
    "staff": {"admin"},
}
LEVELS = tuple(ALLOWED)

ADD_MEMBER = (
    "Membership.objects.create(room=Room.objects.get(slug=slug), user=User.objects.get(username=name), role=role)"
)


def room(site: Site, role: str = "member", **fields: Any) -> str:
    """Make a room that bob has a role in."""
    slug = site.room(**fields)
    site.console.run(ADD_MEMBER, slug=slug, name="bob", role=role)
    return slug


@pytest.mark.parametrize("level", LEVELS)
async def test_who_may_join(site: Site, come: Connect, level: str) -> None:
    slug = room(site, join_access=level)
    for name in PEOPLE:
        client = await come(name)
        reply = await client.join(slug)
        assert reply.ok == (name in ALLOWED[level]), (name, reply)
        if not reply.ok:
            assert reply.response["code"] == ("forbidden" if name else "login_required")
            assert "retry_after" not in reply.response
            closed = await client.event("phx_close", slug)
            assert closed == (reply.join_ref, reply.join_ref, f"room:{slug}", "phx_close", {})
            assert (await client.push(slug, "message", text="but")).response["code"] == "unmatched_topic"


@pytest.mark.parametrize("level", LEVELS)
async def test_who_may_act(site: Site, enter: Connect, come: Connect, level: str) -> None:
    slug = room(site, act_access=level)
    reader = await enter(slug)
    for name in PEOPLE:
        client = await come(name)
        can = (await client.join(slug)).response["can"]
        replies = [await client.push(slug, "message", text=name or "guest"), await client.push(slug, "typing")]
        allowed = name in ALLOWED[level]
        assert ("act" in can) == allowed
        assert [reply.ok for reply in replies] == [allowed, allowed], name
        assert {reply.response.get("code") for reply in replies} <= {None, "forbidden" if name else "login_required"}
        assert ((await client.push(slug, "room_history")).ok, (await client.heartbeat()).ok) == (True, True)
    heard = [frame.payload["data"]["text"] for frame in await reader.settle() if frame.event == "message"]
    assert heard == [name or "guest" for name in PEOPLE if name in ALLOWED[level]]


async def test_staff_and_moderators_may_moderate(site: Site, come: Connect) -> None:
    slug = room(site, role="moderator")
    can = {name: (await (await come(name)).join(slug)).response["can"] for name in PEOPLE}
    assert can == {"": ["act"], "alice": ["act"], "bob": ["act", "moderate"], "admin": ["act", "moderate"]}


async def test_to_act_one_has_to_be_let_in(site: Site, come: Connect) -> None:
    slug = room(site, join_access="staff", act_access="anyone")
    assert (await (await come("bob")).join(slug)).response["code"] == "forbidden"


async def test_a_closed_room_is_refused_for_good(site: Site, come: Connect) -> None:
    slug = room(site, closed=True)
    for name in ("", "bob"):
        client = await come(name)
        assert (await client.join(slug)).response["code"] == "room_closed"
        await client.event("phx_close", slug)


async def test_a_lost_membership_is_felt_at_the_next_command(site: Site, enter: Connect) -> None:
    slug = room(site, act_access="members")
    bob = await enter(slug, "bob")
    assert (await bob.push(slug, "message", text="still")).ok
    site.console.run("Membership.objects.filter(room__slug=slug).delete()", slug=slug)
    assert (await bob.push(slug, "message", text="no longer")).response["code"] == "forbidden"
