"""The wheel, installed into an unrelated Django project with a user model of its own, is a room that people can use.

The project is made with `startproject` and changed as the README says; its environment has the wheel and, by a `.pth` file,
the dependencies that are installed here already.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server
from tests.support.visitor import Visitor
from tests.test_layers import SOURCES, imports

ROOT = Path(__file__).resolve().parents[1]

MODELS = """
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models

class Person(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
"""
SETTINGS = """
INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "channels", "people", "realtime"]
AUTH_USER_MODEL = "people.Person"
ASGI_APPLICATION = "site_of_mine.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATABASES["default"]["OPTIONS"] = {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
URLS = """
from django.urls import include
urlpatterns += [path("realtime/", include("realtime.urls"))]
"""
ASGI = """
from channels.routing import ProtocolTypeRouter
from realtime.asgi import websocket
application = ProtocolTypeRouter({"http": application, "websocket": websocket()})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    return next(folder.glob("*.whl"))


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(slots=True)
class Project:
    """A Django project of somebody else."""

    folder: Path
    python: str
    env: dict[str, str] = field(default_factory=dict)

    def manage(self, *arguments: str) -> str:
        return run(self.python, "manage.py", *arguments, cwd=self.folder, env=self.env)

    def extend(self, path: str, text: str) -> None:
        """Add the text to the end of a file, as somebody would who follows the README."""
        with (self.folder / path).open("a") as file:
            file.write(text)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has the wheel installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=folder)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def project(python: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An unrelated project with the app added, migrated, and a superuser named root."""
    folder = tmp_path_factory.mktemp("project")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHON"))}
    env |= {f"DJANGO_SUPERUSER_{name}": "root" for name in ("USERNAME", "PASSWORD")}
    project = Project(folder, python, env | {"DJANGO_SUPERUSER_EMAIL": "root@example.com"})
    run(python, "-m", "django", "startproject", "site_of_mine", str(folder), cwd=folder, env=env)
    project.manage("startapp", "people")
    (folder / "people" / "models.py").write_text(MODELS)
    project.extend("site_of_mine/settings.py", SETTINGS)
    project.extend("site_of_mine/urls.py", URLS)
    project.extend("site_of_mine/asgi.py", ASGI)
    project.manage("makemigrations", "people")
    project.manage("migrate", "--verbosity=0")
    project.manage("createsuperuser", "--noinput")
    return project


@pytest.fixture(scope="module")
def site_of_mine(project: Project) -> Iterator[Server]:
    """The project, served by daphne."""
    server = Server(
        "daphne",
        python=project.python,
        application="site_of_mine.asgi:application",
        env=project.env,
        folder=project.folder,
        cwd=project.folder,
    )
    server.start()
    yield server
    server.stop()


def test_the_wheel_carries_all_that_is_not_code(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("realtime/")}
    present = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "realtime").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert packed == present
    for expected in (
        r"realtime/py\.typed",
        r"realtime/migrations/0001_\w+\.py",
        r"realtime/templates/realtime/.+\.html",
        r"realtime/static/realtime/socket\.js",
    ):
        assert any(re.fullmatch(expected, name) for name in packed), expected


def test_the_wheel_carries_nothing_but_the_app(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"realtime"}


def test_the_wheel_names_all_that_the_app_imports(python: str, tmp_path: Path) -> None:
    ask = "from importlib.metadata import requires; print('\\n'.join(requires('realtime')))"
    available = brought_by(run(python, "-c", ask, cwd=tmp_path).splitlines())
    owners = metadata.packages_distributions()
    modules = (
        {name.split(".")[0] for path in SOURCES for name in imports(path)} - sys.stdlib_module_names - {"realtime"}
    )
    assert {module for module in modules if not available & {normal(owner) for owner in owners[module]}} == set()


def brought_by(requirements: list[str]) -> set[str]:
    """The names of all distributions that these requirements install, with what they need in turn."""
    found: set[str] = set()
    waiting = [normal(re.split(r"[^\w.-]", line)[0]) for line in requirements]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = (line for line in metadata.requires(name) or () if "extra ==" not in line)
            waiting += [normal(re.split(r"[^\w.-]", line)[0]) for line in needed if is_installed(line)]
    return found


def is_installed(requirement: str) -> bool:
    """Whether a requirement, which may be for another system, is there."""
    return any(metadata.distributions(name=re.split(r"[^\w.-]", requirement)[0]))


def normal(name: str) -> str:
    """A distribution's name in its one normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_installed_app_is_the_one_from_the_wheel(project: Project) -> None:
    place = project.manage("shell", "--no-imports", "-c", "import realtime; print(realtime.__file__)").strip()
    assert Path(place).is_relative_to(Path(project.python).parents[1])


def test_the_project_passes_djangos_checks_and_needs_no_migration(project: Project) -> None:
    project.manage("check", "--fail-level", "WARNING")
    project.manage("makemigrations", "--check", "--dry-run")


async def test_a_room_made_in_the_admin_is_joined_and_written_to(
    site_of_mine: Server, connect: Callable[..., Any]
) -> None:
    visitor = Visitor(site_of_mine.url).login("root", path="/admin/login/?next=/admin/")
    saved = visitor.submit("/admin/realtime/room/add/", slug="tea", title="Tea", kind="chat")
    assert saved.url.endswith("/admin/realtime/room/"), saved.text

    client = await connect(site_of_mine.url, cookie=visitor.cookie)
    welcome = await client.join("tea")
    assert welcome.ok, welcome
    assert welcome.response["you"]["name"] == "root"
    assert re.fullmatch(r"user:[0-9a-f-]{36}", welcome.response["you"]["id"])
    reply = await client.push("tea", "message", text="a cup?", key="k1")
    assert reply.payload == {"status": "ok", "response": {"seq": 1}}
    event = await client.event("message", "tea")
    assert (event.payload["seq"], event.payload["data"]) == (1, {"text": "a cup?"})
    assert event.payload["by"] == welcome.response["you"]
