"""The real product in a process of its own, under daphne or uvicorn, over each one's fast lane or over ASGI `send`."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.support.certificates import Certificate
from tests.support.daemon import HOST, Daemon, free_port

Program = Literal["daphne", "daphne-portable", "uvicorn", "uvicorn-lane"]
PROGRAMS: tuple[Program, ...] = ("daphne", "uvicorn", "uvicorn-lane")
"""Those that sites are served with. daphne's own lane is a part of it; without it, daphne is for comparison."""
HEALTH = "/realtime/health"

_LANE = ("--ws", "realtime.servers.uvicorn:Protocol", "--http", "realtime.servers.uvicorn:HTTPProtocol")
_PLAIN = ("--ws", "websockets-sansio", "--ws-per-message-deflate", "false")

made: list["Server"] = []
"""Every server of this run, for whoever reads their logs."""


class Server(Daemon):
    """One server process. `url` is where it is, and stays so over restarts. With a `certificate` it speaks TLS itself."""

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
        certificate: Certificate | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http{'s' if certificate else ''}://{HOST}:{self.port}"
        self.ws_url = self.url.replace("http", "ws", 1)
        self._trust = certificate.trust if certificate else None
        self._health = health
        super().__init__(
            f"{program} on port {self.port}",
            [python, "-m", *_command(program, self.port, certificate), *options, _application(program, application)],
            log_file=folder / f"{program}-{self.port}.log",
            ready=self._is_healthy,
            env=env,
            cwd=cwd,
        )
        made.append(self)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._health, timeout=5, context=self._trust) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as refusal:
            return refusal.code == 404 and self._health != HEALTH
        except OSError:
            return False


def _command(program: Program, port: int, certificate: Certificate | None) -> list[str]:
    if program.startswith("daphne") and certificate:
        endpoint = f"ssl:{port}:privateKey={certificate.key_file}:certKey={certificate.file}:interface={HOST}"
        return ["daphne", "-e", endpoint]
    if program.startswith("daphne"):
        return ["daphne", "-b", HOST, "-p", str(port)]
    command = ["uvicorn", "--host", HOST, "--port", str(port), *(_LANE if program == "uvicorn-lane" else _PLAIN)]
    keys = ["--ssl-keyfile", str(certificate.key_file), "--ssl-certfile", str(certificate.file)] if certificate else []
    return [*command, *keys]


def _application(program: Program, application: str) -> str:
    return "tests.support.portable:application" if program == "daphne-portable" else application
