"""The programs that are measured: how each is started, what it speaks, and what it needs to be installed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import services

FOLDER = Path(__file__).resolve().parent
PEERS = FOLDER / "peers"

OURS = "benchmarks.site.settings"
LIMITED = "benchmarks.site.limited"
CHANNELS = "benchmarks.peers.channels_chat.settings"

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"

_DAPHNE = ("{python}", "-m", "daphne", "-b", "127.0.0.1", "-p", "{port}")
_UVICORN = ("{python}", "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")
_UNCOMPRESSED = ("--ws-per-message-deflate", "false")
_LANE = ("--ws", "realtime.servers.uvicorn:Protocol", "--http", "realtime.servers.uvicorn:HTTPProtocol")
_SITE = "project.asgi:application"
_CHAT = "benchmarks.peers.channels_chat.asgi:application"


@dataclass(frozen=True, slots=True)
class Subject:
    """`settings`: the Django settings of its site, if it has one. `layer`: the class of its channel layer, on Redis."""

    name: str
    dialect: str
    command: tuple[str, ...]
    settings: str = ""
    postgres: bool = False
    layer: str = ""
    program: str = ""
    package: str = ""
    single_room: bool = False

    @property
    def ours(self) -> bool:
        return self.settings in {OURS, LIMITED}

    @property
    def has_sessions(self) -> bool:
        return bool(self.settings)

    @property
    def absence(self) -> str:
        """Say what is wanted and not installed, or nothing."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed: apt-get install {self.package}"
        if self.program == "node" and not (PEERS / "node_modules").exists():
            return "its packages are not installed: make bench"
        if self.program == "puma" and not _gem_installed("actioncable"):
            return "Action Cable is not installed: apt-get install ruby-actioncable"
        return services.absence(postgres=self.postgres, redis=bool(self.layer))

    def argv(self, port: int) -> list[str]:
        return [word.format(python=sys.executable, port=port, peers=PEERS) for word in self.command]

    def on_postgres(self) -> Subject:
        return replace(self, name=f"{self.name}, PostgreSQL", postgres=True)

    def limited(self) -> Subject:
        """Return the same with the limits that every site has."""
        return replace(self, name=f"{self.name}, limited", settings=LIMITED)

    def on_redis(self, layer: str = PUBSUB) -> Subject:
        return replace(self, layer=layer)


def _gem_installed(name: str) -> bool:
    return any(Path(folder).glob(f"{name}-*.gemspec") for folder in _gem_folders())


def _gem_folders() -> list[Path]:
    return [
        *Path("/usr/share/rubygems-integration").glob("*/specifications"),
        *Path("/var/lib/gems").glob("*/specifications"),
    ]


LANE = Subject("realtime, uvicorn lane", "realtime", (*_UVICORN, *_LANE, _SITE), OURS)
PORTABLE = Subject("realtime, uvicorn", "realtime", (*_UVICORN, *_UNCOMPRESSED, _SITE), OURS)
DAPHNE = Subject("realtime, daphne", "realtime", (*_DAPHNE, _SITE), OURS)

TUTORIAL = Subject("Channels tutorial, daphne", "channels", (*_DAPHNE, _CHAT), CHANNELS)
TUTORIAL_UVICORN = Subject("Channels tutorial, uvicorn", "channels", (*_UVICORN, _CHAT), CHANNELS)
TUTORIAL_REDIS = replace(TUTORIAL, name="Channels tutorial, daphne, Redis", layer=CORE)
TUTORIAL_UVICORN_REDIS = replace(TUTORIAL_UVICORN, name="Channels tutorial, uvicorn, Redis", layer=CORE)
TUTORIAL_PUBSUB = replace(TUTORIAL, name="Channels tutorial, daphne, Redis pub/sub", layer=PUBSUB)
SAVING = replace(TUTORIAL, name="Channels with the ORM, daphne", dialect="channels-saved")
SAVING_UVICORN = replace(TUTORIAL_UVICORN, name="Channels with the ORM, uvicorn", dialect="channels-saved")

PYTHON_SOCKETIO = Subject(
    "python-socketio, uvicorn", "socketio", (*_UVICORN, "benchmarks.peers.socketio_python.app:app")
)
SOCKETIO = Subject(
    "Socket.IO", "socketio", ("node", "{peers}/socketio_node/server.js", "{port}"), program="node", package="nodejs"
)
WS = Subject(
    "ws", "plain", ("node", "{peers}/ws_node/server.js", "{port}"), program="node", package="nodejs", single_room=True
)
WEBSOCKETS = Subject(
    "websockets broadcast()",
    "plain",
    ("{python}", "-m", "benchmarks.peers.websockets_broadcast.server", "{port}"),
    single_room=True,
)
ACTION_CABLE = Subject(
    "Action Cable, puma",
    "actioncable",
    ("puma", "--environment", "production", "--bind", "tcp://127.0.0.1:{port}", "{peers}/actioncable/config.ru"),
    program="puma",
    package="puma ruby-actioncable",
)
