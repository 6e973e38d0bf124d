"""The databases beside the programs under test, on the server's core, each started when it is first wanted."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine
from tests.support import programs
from tests.support.daemon import HOST, Daemon
from tests.support.services import Postgres, Redis


class WaitingPostgres(Postgres):
    """A PostgreSQL as it is installed: a commit waits for the disk."""

    def __init__(self) -> None:
        super().__init__()
        command = machine.on_core(machine.SERVER_CORE, [str(self._bin / "postgres"), "-D", "cluster", "-h", HOST])
        command += ["-p", str(self.port), "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        self.daemon = Daemon(
            "PostgreSQL",
            command,
            log_file=self._folder / "postgres.log",
            ready=self._ready,
            cwd=self._folder,
            user=self.user,
        )


class Services:
    """Leaving it stops what was started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exits = ExitStack()
        self._postgres: WaitingPostgres | None = None
        self._redis: Redis | None = None
        self._databases = 0

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def postgres(self) -> WaitingPostgres:
        if self._postgres is None:
            self._postgres = WaitingPostgres()
            self._exits.callback(self._postgres.destroy)
            self._postgres.start()
        return self._postgres

    @property
    def redis(self) -> Redis:
        if self._redis is None:
            self._redis = Redis(self._folder / "redis")
            self._exits.callback(self._redis.stop)
            self._redis.start()
            os.sched_setaffinity(self._redis.daemon.pid, {machine.SERVER_CORE})
        return self._redis

    def postgres_database(self) -> str:
        """Make an empty database and return its URL."""
        self._databases += 1
        return self.postgres.create(f"benchmark{self._databases}")

    def processes(self) -> dict[str, list[int]]:
        """Return the processes of what runs, by name."""
        running = {"PostgreSQL": self._postgres, "Redis": self._redis}
        return {name: [service.daemon.pid] for name, service in running.items() if service is not None}


def absence(*, postgres: bool, redis: bool) -> str:
    """Say what is wanted and not installed, or nothing."""
    wanted = [programs.POSTGRES] * postgres + [programs.REDIS] * redis
    return "; ".join(program.absence for program in wanted if program.path() is None)
