"""The real product in a process of its own, under daphne or uvicorn, over each one's fast lane or over ASGI `send`."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.support.daemon import HOST, Daemon, free_port

Program = Literal["daphne", "daphne-portable", "uvicorn", "uvicorn-lane"]
PROGRAMS: tuple[Program, ...] = ("daphne", "uvicorn", "uvicorn-lane")
"""Those that sites are served with. daphne's own lane is a part of it; without it, daphne is for comparison."""
HEALTH = "/realtime/health"

made: list["Server"] = []
"""Every server of this run, for whoever reads their logs."""


class Server(Daemon):
    """One server process. `url` is where it is, and stays so over restarts."""

    def __init__(
        self,
        program: Program,
        *,
        env: Mapping[str, str],
        folder: Path,
        cwd: Path,
        application: str = "project.asgi:application",
        options: Sequence[str] = (),
        python: str = sys.executable,
        health: str = HEALTH,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.ws_url = f"ws://{HOST}:{self.port}"
        self._health = health
        super().__init__(
            f"{program} on port {self.port}",
            [python, "-m", *_command(program, self.port), *options, _application(program, application)],
            log_file=folder / f"{program}-{self.port}.log",
            ready=self._is_healthy,
            env=env,
            cwd=cwd,
        )
        made.append(self)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._health, timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as refusal:
            return refusal.code == 404 and self._health != HEALTH
        except OSError:
            return False


def _command(program: Program, port: int) -> list[str]:
    if program.startswith("daphne"):
        return ["daphne", "-b", HOST, "-p", str(port)]
    protocol = "realtime.servers.uvicorn:Protocol" if program == "uvicorn-lane" else "websockets-sansio"
    return ["uvicorn", "--host", HOST, "--port", str(port), "--ws", protocol, "--ws-per-message-deflate", "false"]


def _application(program: Program, application: str) -> str:
    return "tests.support.portable:application" if program == "daphne-portable" else application
