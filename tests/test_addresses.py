"""From which address a connection comes: the header is believed as far as the proxies are the site's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import addresses

OWN = addresses.networks(("10.0.0.0/8", "192.168.1.7", "fd00::/8"))


def of(client: Any, *forwarded: str, trusted: tuple[addresses.Network, ...] = OWN) -> str | None:
    """What a connection counts under, with one header for each of `forwarded`."""
    headers = [(b"host", b"example.com"), *((b"x-forwarded-for", line.encode("latin-1")) for line in forwarded)]
    return addresses.of_scope({"client": client, "headers": headers}, trusted)


def test_without_a_proxy_it_is_the_other_end_of_the_line() -> None:
    assert of(["203.0.113.9", 4711]) == "203.0.113.9"


def test_what_a_stranger_says_of_themselves_is_not_believed() -> None:
    assert of(["203.0.113.9", 1], "198.51.100.1") == "203.0.113.9"
    assert of(["10.0.0.1", 1], "198.51.100.1", trusted=()) == "10.0.0.1"


def test_a_trusted_proxy_is_believed() -> None:
    assert of(["10.1.2.3", 1], "198.51.100.1") == "198.51.100.1"
    assert of(["192.168.1.7", 1], "198.51.100.1") == "198.51.100.1"


def test_what_stands_left_of_the_nearest_stranger_was_written_by_them() -> None:
    assert of(["10.0.0.1", 1], "1.1.1.1, 198.51.100.1, 10.0.0.2") == "198.51.100.1"


def test_headers_that_come_several_times_are_one_list() -> None:
    assert of(["10.0.0.1", 1], "1.1.1.1", "198.51.100.1, 10.0.0.3", "10.0.0.2") == "198.51.100.1"


def test_where_all_are_trusted_the_farthest_counts() -> None:
    assert of(["10.0.0.1", 1], "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("nonsense", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "::g", "[", "é" * 50])
def test_what_is_no_address_stands_for_the_proxy_that_wrote_it(nonsense: str) -> None:
    assert of(["10.0.0.1", 1], f"198.51.100.1, {nonsense}") == "10.0.0.1"


@pytest.mark.parametrize("written", ["198.51.100.1:8080", "::ffff:198.51.100.1", "[::ffff:198.51.100.1]:99"])
def test_ports_and_ipv4_within_ipv6_make_no_difference(written: str) -> None:
    assert of(["10.0.0.1", 1], written) == "198.51.100.1"


def test_ipv6_is_counted_by_the_network_that_one_customer_has() -> None:
    assert of(["2001:db8:1:2::5", 1]) == of(["fd00::1", 1], "[2001:db8:1:2:ffff::9]:443") == "2001:db8:1:2::/64"
    assert of(["2001:db8:1:3::5", 1]) == "2001:db8:1:3::/64"
    assert of(["fe80::1%eth0", 1]) == "fe80::/64"


@pytest.mark.parametrize(
    "client", [None, ["", 0], ["/run/site.sock", 0], ["127.0.0.1", 5], ["::1", 5], ["localhost", 1]]
)
def test_the_machine_itself_and_what_has_no_address_count_under_nothing(client: Any) -> None:
    assert of(client, trusted=()) is None


def test_a_proxy_on_the_machine_itself_may_be_trusted() -> None:
    own = addresses.networks(("127.0.0.1",))
    assert of(["127.0.0.1", 1], "198.51.100.1", trusted=own) == "198.51.100.1"


def test_only_the_nearest_of_an_endless_list_are_read() -> None:
    assert of(["10.0.0.1", 1], ", ".join(["198.51.100.1", *["10.0.0.2"] * 5000])) == "10.0.0.2"


@given(st.binary(max_size=80), st.text(max_size=40))
def test_nothing_that_is_sent_raises(header: bytes, client: str) -> None:
    addresses.of_scope({"client": [client, 1], "headers": [(b"x-forwarded-for", header)]}, OWN)
    addresses.of_scope({"client": ["10.0.0.1", 1], "headers": [(b"x-forwarded-for", header)]}, OWN)
