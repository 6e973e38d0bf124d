"""From which network address a connection comes, as far as it can be believed.

A proxy in front of the site says in `X-Forwarded-For` for whom it asks, and so may anybody. The header is read from its right
end, where the nearest proxy wrote, and only as far as the proxies are the site's own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import cache
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOPS = 20
_IPV6_PREFIX = 64


@cache
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that are written as "10.0.0.0/8" or "10.0.0.7". Raises `ValueError` for what is neither."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def of_scope(scope: dict[str, Any], trusted: Iterable[Network]) -> str | None:
    """Return what the connection counts under: an IPv4 address, the /64 of an IPv6 one, or None where it counts under nothing.

    Nothing is said of a connection from the machine itself: it is a proxy's that nobody has named, or somebody's at work.
    """
    found = origin(_peer(scope), _forwarded(scope), trusted)
    if found is None or found.is_loopback:
        return None
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))


def origin(peer: str, forwarded: list[str], trusted: Iterable[Network]) -> Address | None:
    """Return the nearest address that is not a trusted proxy's. `forwarded` are those that the proxies named, nearest last."""
    found = _read(peer)
    for text in reversed(forwarded):
        if found is None or not any(found in network for network in trusted):
            break
        named = _read(text)
        if named is None:
            break
        found = named
    return found


def _peer(scope: dict[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _forwarded(scope: dict[str, Any]) -> list[str]:
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return ",".join(lines).split(",")[-_HOPS:]


def _read(text: str) -> Address | None:
    """Read an address, perhaps with a port. One of IPv4 that is written as IPv6 is what it is."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if found.version == 6 else found
