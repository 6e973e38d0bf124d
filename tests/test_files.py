"""How many connections a process can hold at all."""

import resource
from unittest.mock import Mock

import pytest

from realtime import files
from realtime.node import Node
from realtime.servers import unfinished


@pytest.mark.parametrize(("open_files", "bound"), [(1024, 512), (10_000, 1000), (1, 1), (resource.RLIM_INFINITY, 1000)])
def test_what_is_asked_for_is_bounded_by_a_part_of_the_files(
    monkeypatch: pytest.MonkeyPatch, open_files: int, bound: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (open_files, open_files))
    assert files.bounded(1000, files.ADDRESS) == bound
    assert files.bounded(0, files.ADDRESS) == 0


def test_where_files_have_no_bound_a_part_of_them_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert files.part(files.SOCKETS) == 0


async def test_neither_an_address_nor_all_connections_and_requests_have_all_files_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (160, 160))
    unfinished._known.clear()
    node, requests = Node(), unfinished.here()
    address = [node.addresses.enter("a") for _ in range(160)].count(True)
    sockets = [node.sockets.enter("all") for _ in range(160)].count(True)
    headers, bodies = [Mock() for _ in range(160)], [Mock() for _ in range(160)]
    for header, body in zip(headers, bodies, strict=True):
        requests.begin(header)
        requests.under_way(body)
    requests._relieve()
    held = [[line.cut.called for line in lines].count(False) for lines in (headers, bodies)]
    assert (address, sockets, *held) == (80, 100, 20, 20)
