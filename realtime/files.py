"""How many connections a process can hold at all: each is a file, of which it may open so many.

Whoever bounds connections asks here, so that all kinds of them together leave some: pages, metrics and the database need files,
too.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

# Sixteenths of the files. What an address has is of what all sockets have; requests have theirs twice, once while headers come,
# and once while bodies do, or answers go. Two are left.
ADDRESS = 8
TOLD = 1
SOCKETS = 10
REQUESTS = 2
_ALL = 16


def bounded(asked: int, share: int) -> int:
    """Return `asked`, or so many sixteenths of the files where that is less. 0 asks for any number, and stays 0."""
    if not asked:
        return 0
    return min(asked, part(share) or asked)


def part(share: int) -> int:
    """Return how many files so many sixteenths of all are, or 0 where there is no bound to them."""
    if sys.platform == "win32":
        return 0
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if files == resource.RLIM_INFINITY else max(1, files * share // _ALL)
