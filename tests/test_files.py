"""How many connections a process can hold at all."""

import resource

import pytest

from realtime import files
from realtime.node import Node


@pytest.mark.parametrize(("open_files", "bound"), [(1024, 512), (10_000, 1000), (1, 1), (resource.RLIM_INFINITY, 1000)])
def test_what_is_asked_for_is_bounded_by_a_part_of_the_files(
    monkeypatch: pytest.MonkeyPatch, open_files: int, bound: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (open_files, open_files))
    assert files.bounded(1000, 1, 2) == bound
    assert files.bounded(0, 1, 2) == 0


def test_where_files_have_no_bound_a_part_of_them_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert files.part(3, 4) == 0


async def test_neither_an_address_nor_all_connections_have_all_files_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (100, 100))
    node = Node()
    assert [node.addresses.enter("a") for _ in range(51)].count(True) == 50
    assert [node.sockets.enter("all") for _ in range(76)].count(True) == 75
