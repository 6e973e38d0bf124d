"""Who is here, by person and not by tab, on whichever process they are."""

from typing import Any

import pytest

from tests.contract.conftest import Connect
from tests.support.servers import Server
from tests.support.sites import Site
from tests.support.wsclient import Client


class Here:
    """The list of who is here, kept as Phoenix's clients keep it: by key and phx_ref, from states and diffs."""

    def __init__(self, client: Client, slug: str) -> None:
        self._client = client
        self._slug = slug
        self._metas: dict[str, list[dict[str, Any]]] | None = None
        self.changes: list[tuple[str, list[str]]] = []

    @property
    def names(self) -> list[str]:
        return sorted(metas[0]["name"] for metas in (self._metas or {}).values())

    async def until(self, *names: str) -> None:
        """Follow what the server says until exactly these are here."""
        while self.names != sorted(names):
            frame = await self._client.take(
                self._is_about_presence, what=f"presence of {names}, not only of {self.names}"
            )
            if frame.event == "presence_state":
                self._metas = {key: entry["metas"] for key, entry in frame.payload.items()}
            else:
                self._apply(frame.payload)

    def _is_about_presence(self, frame: Any) -> bool:
        return frame.topic == f"room:{self._slug}" and frame.event in ("presence_state", "presence_diff")

    def _apply(self, diff: dict[str, dict[str, Any]]) -> None:
        assert self._metas is not None, "a diff came before the state"
        for key, entry in diff["joins"].items():
            assert key not in self._metas, f"{key} came twice"
            self._metas[key] = entry["metas"]
            self.changes.append(("joined", [meta["name"] for meta in entry["metas"]]))
        for key, entry in diff["leaves"].items():
            gone = self._metas.pop(key)
            assert [meta["phx_ref"] for meta in gone] == [meta["phx_ref"] for meta in entry["metas"]]
            self.changes.append(("left", [meta["name"] for meta in entry["metas"]]))


async def test_who_joins_is_told_who_is_here(site: Site, enter: Connect) -> None:
    slug = site.room()
    alice = await enter(slug, "alice")
    await Here(alice, slug).until("alice")
    bob = await enter(slug, "bob")
    await Here(bob, slug).until("alice", "bob")


async def test_a_person_with_many_tabs_is_here_once(site: Site, enter: Connect) -> None:
    slug = site.room()
    here = Here(await enter(slug, "alice"), slug)
    await here.until("alice")
    tabs = [await enter(slug, "bob") for _ in range(3)]
    await here.until("alice", "bob")
    for tab in tabs[:2]:
        await tab.close()
    guest = await enter(slug)
    you = (await guest.join(slug)).response["you"]["name"]
    await here.until("alice", "bob", you)
    await tabs[2].leave(slug)
    await here.until("alice", you)
    assert here.changes == [("joined", ["bob"]), ("joined", [you]), ("left", ["bob"])]


async def test_a_broken_line_counts_as_leaving(site: Site, enter: Connect) -> None:
    slug = site.room()
    here = Here(await enter(slug, "alice"), slug)
    bob = await enter(slug, "bob")
    await here.until("alice", "bob")
    await bob.drop()
    await here.until("alice")


async def test_guests_are_told_apart(site: Site, enter: Connect) -> None:
    slug = site.room()
    guests = [await enter(slug) for _ in range(2)]
    names = [(await guest.join(slug)).response["you"]["name"] for guest in guests]
    await Here(guests[0], slug).until(*names)


async def test_rooms_have_people_of_their_own(site: Site, enter: Connect) -> None:
    first, second = site.room(), site.room()
    alice = await enter(first, "alice")
    await enter(second, "bob")
    await alice.join(second)
    await Here(alice, second).until("alice", "bob")
    await Here(alice, first).until("alice")


@pytest.mark.needs_layer
async def test_people_on_two_processes_see_each_other(site: Site, enter: Connect, neighbour: Server) -> None:
    slug = site.room()
    here = Here(await enter(slug, "alice"), slug)
    there = Here(await enter(slug, "admin", at=neighbour), slug)
    await here.until("alice", "admin")
    await there.until("alice", "admin")
    tabs = [await enter(slug, "bob"), await enter(slug, "bob", at=neighbour)]
    await here.until("alice", "admin", "bob")
    await there.until("alice", "admin", "bob")
    for tab in tabs:
        await tab.close()
    await here.until("alice", "admin")
    await there.until("alice", "admin")
    assert [change for change in here.changes if change[1] == ["bob"]] == [("joined", ["bob"]), ("left", ["bob"])]


async def test_who_is_on_another_process_already_is_seen_at_once(site: Site, enter: Connect, neighbour: Server) -> None:
    """Also where the processes cannot ring each other: the table says so."""
    slug = site.room()
    await Here(await enter(slug, "bob", at=neighbour), slug).until("bob")
    await Here(await enter(slug, "alice"), slug).until("alice", "bob")
