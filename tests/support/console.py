"""A second process of a site, as `manage.py shell` is one: the tests look at and change a running site through it.

Run as a program it executes what it is sent, one JSON object a line, and answers in kind. The code sees the models, `rooms`
and the values sent along, and what it leaves in `result` comes back.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

WAKE = """
from django.db import DatabaseError, connection
for attempt in range(20):
    connection.close()
    try:
        Room.objects.exists()
        break
    except DatabaseError:
        continue
"""
"""Code to run first where the console may hold connections that a fault has cut."""


class Console:
    """The near end: starts the process with the environment of a site."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.console"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            cwd=ROOT,
        )

    def run(self, code: str, within: float = 30, **values: Any) -> Any:
        """Run the code there, with the values as variables, and return what it leaves in `result`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"code": code, "values": values}).encode() + b"\n")
        self._process.stdin.flush()
        readable, _, _ = select.select([self._process.stdout], [], [], within)
        assert readable, f"no answer within {within:g} s to:\n{code}"
        line = self._process.stdout.readline()
        assert line, f"the console ended with {self._process.wait(5)}"
        answer = json.loads(line)
        assert "error" not in answer, f"{answer['error']}\nin:\n{code}"
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate(timeout=10)


def main() -> None:
    """The far end."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model

    from realtime import models, rooms

    answers, sys.stdout = sys.stdout, sys.stderr
    names = {**vars(models), "models": models, "rooms": rooms, "User": get_user_model()}
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(_answer(request["code"], {**names, **request["values"]}), default=str) + "\n")
        answers.flush()


def _answer(code: str, names: dict[str, Any]) -> dict[str, Any]:
    try:
        exec(code, names)
    except Exception:
        return {"error": traceback.format_exc()}
    return {"result": names.get("result")}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with contextlib.suppress(KeyboardInterrupt):
        main()
