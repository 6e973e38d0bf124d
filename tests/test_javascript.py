"""The browser client's own tests pass under Node.js, and its modules survive hashed static files."""

import re
import subprocess
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import FileSystemStorage

from tests.support import programs

ROOT = Path(__file__).parent.parent
OLDEST_NODE = (20, 19)  # the first of its line that takes a .js file with `import` in it for a module
PAGES = ("chat*", "counter*", "page-*")


@pytest.fixture(scope="module")
def node() -> str:
    """A Node.js that is new enough; an older one is as good as none."""
    path = programs.need(programs.NODE)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said))
    if version >= OLDEST_NODE:
        return path
    reason = f"Node.js {'.'.join(map(str, OLDEST_NODE))} or later is needed, this is {said.strip()}"
    return pytest.fail(reason, pytrace=False) if programs.required() else pytest.skip(reason)


def test_the_clients_tests_pass(node: str) -> None:
    files = sorted(str(path) for path in (ROOT / "tests/js").glob("*.test.mjs"))
    run = subprocess.run([node, "--test", *files], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr


class ModuleRewritingStorage(ManifestStaticFilesStorage):
    """Django's hashed static files, with the imports between modules rewritten as well."""

    support_js_module_import_aggregation = True


def test_the_clients_modules_can_be_hashed(tmp_path: Path) -> None:
    source = FileSystemStorage(ROOT / "realtime/static")
    storage = ModuleRewritingStorage(tmp_path, "/static/")
    paths = {}
    for path in sorted((ROOT / "realtime/static/realtime").rglob("*.js")):
        if any(path.match(pattern) for pattern in PAGES):
            continue
        name = str(path.relative_to(source.base_location))
        with source.open(name) as file:
            storage.save(name, file)
        paths[name] = (source, name)

    processed = {name: result for name, _, result in storage.post_process(paths)}
    assert not [result for result in processed.values() if isinstance(result, Exception)]

    (socket,) = tmp_path.glob("realtime/socket.*.js")
    imported = re.findall(r'^import .* from "(.*)";', socket.read_text(), re.MULTILINE)
    assert imported
    for name in imported:
        assert re.search(r"\.[0-9a-f]{12}\.js$", name)
        assert (socket.parent / name).exists()
