"""The stock Phoenix client, npm's `phoenix`, run by Node.js and driven line by line."""

import asyncio
import json
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support import programs
from tests.support.console import ROOT

FOLDER = ROOT / "tests" / "phoenix"
SECONDS = 15.0
INSTALL = (
    "install",
    "--no-save",
    "--no-package-lock",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
)
PATIENCE = (
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
    "--fetch-timeout=20000",
)
ABSENCE = "The stock Phoenix client could not be installed"

Line = dict[str, Any]


def install() -> None:
    """Have npm put the pinned packages into the folder, unless they are there; skip, or fail where everything is required."""
    if _installed():
        return
    npm = programs.need(programs.NPM)
    try:
        done = subprocess.run(
            [npm, *INSTALL, *PATIENCE], cwd=FOLDER, capture_output=True, text=True, timeout=100, check=False
        )
        failure = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = "npm did not come to an end"
    if failure and programs.required():
        pytest.fail(f"{ABSENCE}: {failure}", pytrace=False)
    if failure:
        pytest.skip(f"{ABSENCE}: {failure.strip().splitlines()[0]}")


def _installed() -> bool:
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    manifests = {name: FOLDER / "node_modules" / name / "package.json" for name in wanted}
    return all(_version(manifests[name]) == version for name, version in wanted.items())


def _version(manifest: Path) -> str | None:
    return json.loads(manifest.read_text())["version"] if manifest.exists() else None


class Phoenix:
    """One client: `do` something, and `see` what it says about it. Lines that nobody has taken yet stay in `lines`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[Line] = []
        self._process = process

    @classmethod
    async def start(cls, ws_url: str, cookie: str, *tickets: str) -> Self:
        """Start a client that connects to the mount at `ws_url`, with a Cookie header.

        With tickets it is a page of another origin, which gives one of them as its auth token at each attempt.
        """
        command = [programs.need(programs.NODE), str(FOLDER / "driver.js"), ws_url, cookie, *tickets]
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=FOLDER))

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    def do(self, deed: str, **about: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": deed, **about}).encode() + b"\n")

    async def see(self, what: str, within: float = SECONDS, **about: Any) -> Line:
        """Return the next line of what `is` so, with these values, waiting for it if need be."""
        wanted = {"is": what, **about}
        try:
            async with asyncio.timeout(within):
                while not (found := [line for line in self.lines if wanted.items() <= line.items()]):
                    self.lines.append(await self._read())
        except TimeoutError:
            raise AssertionError(f"{wanted} was not seen within {within:g} s; there was {self.lines}") from None
        self.lines.remove(found[0])
        return found[0]

    async def _read(self) -> Line:
        assert self._process.stdout
        text = await self._process.stdout.readline()
        if not text:
            raise AssertionError(f"the client ended with {await self._process.wait()}; there was {self.lines}")
        line: Line = json.loads(text)
        return line
