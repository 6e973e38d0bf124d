"""What the documentation shows works: its Python runs, its JavaScript, JSON and templates parse, its commands exist."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, Block, blocks, name, page
from tests.docs.reader import Reader

pytestmark = pytest.mark.timeout(180)  # a project is made, migrated and served

PYTHON_PAGES = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
WITH_SERVICES = {page("docs/howto/postgresql.md")}
LANGUAGES = {"python", "js", "html", "css", "json", "sh", "text", "nginx", "ini", "yaml"}


def all_in(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


@pytest.mark.parametrize("text", [page for page in PYTHON_PAGES if page not in WITH_SERVICES], ids=name)
def test_the_python_of_a_page_runs(text: Path, reader: Reader) -> None:
    if text.name != "README.md":  # the reader has done that
        reader.follow(text)
    reader.execute(block for block in blocks(text) if block.language == "python" and not block.path)


@pytest.mark.parametrize("block", all_in("js"), ids=str)
def test_javascript_parses(block: Block, node: str, tmp_path: Path) -> None:
    file = tmp_path / "sample.mjs"
    file.write_text(block.text)
    done = subprocess.run([node, "--check", str(file)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", all_in("json"), ids=str)
def test_json_parses(block: Block) -> None:
    for line in block.text.replace("\n  ", " ").splitlines():
        json.loads(line)


def test_templates_parse(settled: Reader) -> None:
    templates = json.dumps([block.text for block in all_in("html")])
    settled.manage("shell", "-c", f"from django.template import Template\nfor text in {templates}: Template(text)")


def test_every_block_says_what_it_is() -> None:
    unknown = [str(block) for page in PAGES for block in blocks(page) if block.language not in LANGUAGES]
    assert not unknown
