"""One long-running child process: its command, its port, its log, and how it is stopped. Never outlives its owner's `stop`."""

import random
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.support.waiting import until

HOST = "127.0.0.1"
# Below the range that outgoing connections take their ports from, so that a stopped server gets its own port again.
PORTS = range(12_000, 30_000)
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL}
_handed_out: set[int] = set()
_dice = random.SystemRandom()


def free_port() -> int:
    """Return a port that nothing listens on and that was not returned before."""
    return until(_try_port, within=5, what="a free port")


def _try_port() -> int | None:
    port = _dice.choice(PORTS)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port in _handed_out or probe.connect_ex((HOST, port)) == 0:
            return None
    _handed_out.add(port)
    return port


class Daemon:
    """A child process that is ready when `ready()` is true. Its output is gathered in `log_file`, over restarts too."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = list(command)
        self._ready = ready
        self._env = env
        self._cwd = cwd
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process, f"{self.name} was never started"
        return self._process.pid

    def start(self, within: float = 30) -> None:
        """Start it and wait until it answers."""
        assert not self.running, f"{self.name} is running already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                user=self._user,
            )
        try:
            until(self._answers, within, f"{self.name} answers")
        except BaseException as failure:
            self.kill()
            failure.add_note(f"Log of {self.name}:\n{self.log[-4000:]}")
            raise

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended while it was starting")
        return self._ready()

    def stop(self, within: float = 10, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop; kill it when it has not after `within` seconds. Does nothing when it is not running.

        A process that crashes on its way out fails the test.
        """
        if not self._process:
            return
        self.signal(by)
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            assert code not in CRASHES, (
                f"{self.name} crashed when it was to stop: {signal.Signals(-code).name}\n{self.log[-4000:]}"
            )

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT, to the process if it is running."""
        if self._process and self.running:
            self._process.send_signal(number)

    def restart(self) -> None:
        """Stop it and start it again, on the same port."""
        self.stop()
        self.start()
