"""Somebody who does what a page says, word for word, in a Django project of their own.

The project is what `startproject mysite` makes, with the README's five steps on top. In it there are the rooms `lobby` and `tea`
(chat) and `visits` (counter), and the people alice and bob.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.docs.pages import ROOT, Block, blocks

PEOPLE_AND_ROOMS = """
from django.contrib.auth import get_user_model
from realtime.models import Room
for name in ("alice", "bob"):
    get_user_model().objects.create_user(name, password=name)
for slug, kind in (("lobby", "chat"), ("tea", "chat"), ("visits", "counter")):
    Room.objects.create(slug=slug, title=slug.title(), kind=kind)
"""
NOT_RUN = {"runserver", "shell"}  # they wait for somebody


class Reader:
    """Works in `folder`, where there is a project. `env` is added to the environment."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHON"))}
        root = {f"DJANGO_SUPERUSER_{name}": "root" for name in ("USERNAME", "PASSWORD")}
        self.env = inherited | root | {"DJANGO_SUPERUSER_EMAIL": "root@example.com", "PYTHONPATH": str(ROOT)} | env

    def start(self) -> None:
        """Make the project."""
        self.folder.mkdir(parents=True)
        self.run(sys.executable, "-m", "django", "startproject", "mysite", ".")

    def copy(self, folder: Path, **env: str) -> "Reader":
        """A reader who has got as far as this one, and goes another way."""
        shutil.copytree(self.folder, folder)
        return Reader(folder, **env)

    def follow(self, page: Path) -> None:
        """Write the page's files and run its commands, in the order in which they stand."""
        for block in blocks(page):
            if block.path:
                self.write(block)
            elif block.language == "sh":
                for line in block.text.splitlines():
                    self.type(line)

    def write(self, block: Block) -> None:
        assert block.path
        file = self.folder / block.path
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() + "\n\n" if block.is_added else ""
        file.write_text(before + block.text)

    def type(self, line: str) -> None:
        """Run a line of shell if it is a `manage.py` command that comes to an end."""
        words = line.split("#")[0].split()
        if words[:2] != ["python", "manage.py"] or words[2] in NOT_RUN:
            return
        said = self.manage(*words[2:], *(["--noinput"] if words[2] == "createsuperuser" else []))
        assert words[2] != "test" or re.search(r"Ran [1-9]", said), said

    def manage(self, *arguments: str) -> str:
        return self.run(sys.executable, "manage.py", *arguments)

    def execute(self, samples: Iterable[Block]) -> str:
        """Run blocks of Python one after the other, as one would type them into `manage.py shell`, after Django's checks."""
        typed = [{"place": str(block), "line": block.line, "code": block.text} for block in samples]
        return self.run(sys.executable, "-m", "tests.docs.reader", typed=json.dumps(typed))

    def run(self, *command: str, typed: str = "", within: float = 60) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def main() -> None:
    """The process in which samples run: reads them from its standard input."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
    names: dict[str, object] = {"__name__": "sample"}
    for sample in json.load(sys.stdin):
        code = "\n" * (sample["line"] - 1) + sample["code"]
        exec(compile(code, sample["place"].rsplit(":", 1)[0], "exec"), names)


if __name__ == "__main__":
    main()
