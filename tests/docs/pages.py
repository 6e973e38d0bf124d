"""The documentation as the tests read it: pages, their code blocks, tables and links.

A block whose first line is a comment that names a file (`# mysite/urls.py`) is that file, or, with `, at the end` after the
name, is added to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|//|/\*|<!--|\{#) (?P<path>[\w./-]+\.\w+)(?P<added>, at the end)?(?: ?(?:\*/|-->|#\}))?\n")
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page. `line` is that of its first line of code."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"

    @property
    def path(self) -> str | None:
        """The file that the block is, or is a part of."""
        named = _FILE.match(self.text)
        return named["path"] if named else None

    @property
    def is_added(self) -> bool:
        named = _FILE.match(self.text)
        return named is not None and named["added"] is not None


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def page(path: str) -> Path:
    return ROOT / path


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found[2], found[3].replace(f"\n{found[1]}", "\n"))
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> Iterator[str]:
    """Where the page leads, and which pictures it shows."""
    for found in _LINK.finditer(prose(page)):
        yield found[1] or found[2]


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of the page's headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))}


def table(page: Path, *header: str) -> list[list[str]]:
    """The rows of every table of the page with these columns, cell by cell, without the backticks around a whole cell."""
    lines = iter(page.read_text().splitlines())
    rows = []
    for line in lines:
        if _cells(line) == list(header):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                rows.append([re.sub(r"^`([^`]*)`$", r"\1", cell) for cell in _cells(row)])
    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
