"""`python -m tests.support.alongside <command>...`: run a command with a PostgreSQL and a Redis of its own.

The command finds them in `DATABASE_URL` and `REDIS_URL`. Without the programs it is left out, in words, and counts as passed,
unless `REALTIME_REQUIRE_SERVICES` is set.
"""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.support import programs
from tests.support.services import Postgres, Redis


def main(command: list[str]) -> int:
    """Run the command and return its exit code."""
    missing = [program.absence for program in (programs.POSTGRES, programs.REDIS) if not program.path()]
    if missing:
        sys.stderr.write(f"Left out: {' '.join(command)}\n" + "".join(f"  {absence}\n" for absence in missing))
        return int(programs.required())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="realtime-")))
        redis, postgres = Redis(folder / "redis"), Postgres()
        stack.callback(redis.stop)
        stack.callback(postgres.destroy)
        redis.start()
        postgres.start()
        services = {"DATABASE_URL": postgres.create("realtime"), "REDIS_URL": redis.url}
        return subprocess.run(command, env=os.environ | services, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
