"""A Redis and a PostgreSQL of the tests' own: in a folder of their own, on a free port, durable enough to be killed."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support import programs
from tests.support.daemon import HOST, Daemon, free_port


class Redis:
    """A Redis server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        command = [programs.need(programs.REDIS), "--bind", HOST, "--port", str(self.port), "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no"]
        self.daemon = Daemon("Redis", command, log_file=folder / "redis.log", ready=self._ready)

    def start(self) -> None:
        self.daemon.start()

    def stop(self) -> None:
        self.daemon.stop()

    def crash(self) -> None:
        self.daemon.kill()

    def _ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


class Postgres:
    """A PostgreSQL cluster. It survives a kill of its processes, but not of the machine: it never waits for the disk.

    The server refuses to run as root; then it runs as the system's user `postgres`, who gets the folder.
    """

    def __init__(self) -> None:
        self._bin = Path(programs.need(programs.POSTGRES)).resolve().parent
        self.user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="realtime-postgres-"))
        self.port = free_port()
        if self.user:
            shutil.chown(self._folder, self.user)
        command = [str(self._bin / "postgres"), "-D", "cluster", "-h", HOST, "-p", str(self.port)]
        for setting in ("unix_socket_directories=", "fsync=off", "full_page_writes=off", "max_connections=200"):
            command += ["-c", setting]
        self.daemon = Daemon(
            "PostgreSQL",
            command,
            log_file=self._folder / "postgres.log",
            ready=self._ready,
            cwd=self._folder,
            user=self.user,
        )

    def start(self) -> None:
        """Make the cluster if there is none yet, and serve it."""
        if not (self._folder / "cluster").exists():
            self._run("initdb", "-D", "cluster", "-U", "realtime", "--auth=trust", "--no-sync", "-E", "UTF8")
        self.daemon.start()

    def stop(self) -> None:
        """Stop serving, disconnecting whoever is connected (SIGINT is PostgreSQL's fast shutdown). The data stay."""
        self.daemon.stop(by=signal.SIGINT)

    def crash(self) -> None:
        """End all of its processes without a checkpoint, so that it recovers from its log (SIGQUIT: immediate shutdown)."""
        self.daemon.stop(by=signal.SIGQUIT)

    def destroy(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder)

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._run("createdb", "-h", HOST, "-p", str(self.port), "-U", "realtime", name)
        return f"postgres://realtime@{HOST}:{self.port}/{name}"

    def _ready(self) -> bool:
        check = [str(self._bin / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(check, timeout=10, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self._folder,
            user=self.user,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "USER": self.user or getpass.getuser()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{program} failed: {done.stderr or done.stdout}"
