"""What the servers of this run wrote that no server should: errors, tracebacks, what was forgotten to be awaited."""

import re
from pathlib import Path

from tests.support import servers

TROUBLE = re.compile(
    r"^(?:\s*(?:ERROR|CRITICAL)\b.*|.*(?: ERROR | CRITICAL |Traceback \(most recent call last\)|Unhandled error"
    r"|never retrieved|never awaited|Exception ignored|was destroyed but it is pending).*)$",
    re.MULTILINE,
)
AROUND = 2000


class Logs:
    """The end of every server's log that nobody has looked at yet."""

    def __init__(self) -> None:
        self._seen: dict[Path, int] = {}

    def take(self) -> str:
        """Return what was written since the last call."""
        return "".join(self._rest(server) for server in servers.made)

    def _rest(self, server: servers.Server) -> str:
        text = server.log
        seen = self._seen.get(server.log_file, 0)
        self._seen[server.log_file] = len(text)
        return text[seen:]


def trouble(text: str) -> str:
    """Return the part of a log that begins with its first trouble, or nothing."""
    found = TROUBLE.search(text)
    return text[found.start() : found.start() + AROUND] if found else ""
