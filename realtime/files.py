"""How many connections a process can hold at all: each is a file, of which it may open so many.

Whoever bounds connections asks here, so that no kind of them takes all, and pages, metrics and the database find files, too.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource


def bounded(asked: int, parts: int, of: int) -> int:
    """Return `asked`, or so many parts of the files where that is less. 0 asks for any number, and stays 0."""
    if not asked:
        return 0
    return min(asked, part(parts, of) or asked)


def part(parts: int, of: int) -> int:
    """Return how many files so many parts of all are, or 0 where there is no bound to them."""
    if sys.platform == "win32":
        return 0
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if files == resource.RLIM_INFINITY else max(1, files * parts // of)
