"""The map in `realtime/__init__.py` is true: each module imports only from what stands above it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import realtime

PACKAGE = Path(realtime.__file__).parent
PURE = ("errors", "protocol", "kinds", "limits", "feed")
ENTRY = re.compile(r"(?:^|(?<=\s))(?P<level>\d+)\s+(?P<module>\w+)(?:\.py|/)")


def read_map(text: str) -> dict[str, int]:
    """The modules of the map, each with its place in reading order."""
    entries = [entry for line in text.splitlines() if re.match(r"\s*\d", line) for entry in ENTRY.finditer(line)]
    levels = [int(entry["level"]) for entry in entries]
    assert levels == sorted(levels), "the levels of the map do not ascend"
    return {entry["module"]: place for place, entry in enumerate(entries)}


MAP = read_map(realtime.__doc__ or "")
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    """The name on the map of the module, or of the top-level package, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The full names of all that a file imports, wherever in the file it does."""
    parts = ("realtime", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (above, node.module)))
            yield from (f"{origin}.{name.name}" for name in node.names)


def own_imports(path: Path) -> set[str]:
    """The modules of the map that a file imports, other than its own."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("realtime.")}
    return names - {module_of(path)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_above_its_own_line(path: Path) -> None:
    module = module_of(path)
    assert module in MAP, f"{module} is not on the map in realtime/__init__.py"
    below = {name for name in own_imports(path) if MAP.get(name, len(MAP)) > MAP[module]}
    assert not below, f"{module} imports {sorted(below)}, which the map has below it"


def test_everything_on_the_map_exists() -> None:
    assert set(MAP) <= {module_of(path) for path in SOURCES}


@pytest.mark.parametrize("name", PURE)
def test_the_core_has_no_framework_clock_or_chance(name: str) -> None:
    impure = {"django", "channels", "asyncio", "time", "random", "secrets", "threading"}
    sources = [path for path in SOURCES if module_of(path) == name]
    assert sources
    assert not {found for path in sources for found in imports(path) if found.split(".")[0] in impure}
    assert not [path for path in sources if re.search(r"\b(datetime|date)\.(now|utcnow|today)\b", path.read_text())]


def test_the_write_side_and_the_read_side_never_import_each_other() -> None:
    assert "hub" not in own_imports(PACKAGE / "rooms.py")
    assert "rooms" not in own_imports(PACKAGE / "hub.py")


def test_the_map_itself_imports_nothing() -> None:
    assert not list(imports(PACKAGE / "__init__.py"))


def test_the_map_is_read_in_columns() -> None:
    text = "Prose with 3 words.py\n\n0  errors.py  a tree of 2 kinds\n7  consumers.py  one   7 servers/  many\n"
    assert read_map(text) == {"errors": 0, "consumers": 1, "servers": 2}
