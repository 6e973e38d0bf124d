"""Publish events into a room, as a worker would: `python -m benchmarks.site.publish <slug> <count>`."""

from __future__ import annotations

import sys

import django


def main(slug: str, count: int) -> None:
    django.setup()
    from realtime import rooms

    for number in range(count):
        rooms.publish(slug, "message", {"text": f"missed {number}".ljust(100, "x")})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
