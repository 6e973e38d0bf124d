"""What the documentation lists is what the code has: settings, refusals, close codes, metrics, checks, the client's members.

That its samples work is tested in `tests/docs/`.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from realtime import checks, conf, metrics, policy, rooms
from realtime.models import Access
from tests.docs.pages import PAGES, ROOT, anchors, links, name, page, prose, table
from tests.support.refusals import one_of_each

PACKAGE = ROOT / "realtime"
STATIC = PACKAGE / "static" / "realtime"
PROTOCOL, OPERATE, DEPLOY = page("docs/protocol.md"), page("docs/howto/operate.md"), page("docs/howto/deploy.md")
LARGEST_PICTURE = 200_000


def source(pattern: str) -> str:
    """The text of the package's files that match."""
    return "\n".join(path.read_text() for path in sorted(PACKAGE.rglob(pattern)))


def words(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", f"`{cell}`" if "`" not in cell else cell)


# The tests that show it


def shown(text: str) -> list[tuple[str, str]]:
    """The tests that a text names: file and function."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


def test_a_test_that_a_page_names_exists() -> None:
    for text in PAGES:
        for file, function in shown(text.read_text()):
            assert re.search(rf"^(async )?def {function}\(", page(file).read_text(), re.MULTILINE), (
                f"{file}::{function}"
            )


def test_every_guarantee_is_shown_by_tests() -> None:
    _, *guarantees = re.split(r"^## ", page("docs/guarantees.md").read_text(), flags=re.MULTILINE)
    assert guarantees
    assert [text.splitlines()[0] for text in guarantees if not shown(text)] == []


def test_every_threat_is_shown_by_tests_to_be_met() -> None:
    threats = table(page("docs/security.md"), "threat", "defence", "shown by")
    assert threats
    assert [threat for threat, _, tests in threats if not shown(f"`{tests}`")] == []


# Dependencies


@pytest.mark.parametrize(
    "file", sorted(path for path in ROOT.glob("**/requirements*.txt") if ".venv" not in path.parts), ids=name
)
def test_everything_that_is_installed_is_pinned(file: Path) -> None:
    lines = [line.partition(" ;")[0].partition("#")[0].strip() for line in file.read_text().splitlines()]
    assert [line for line in lines if line and not re.fullmatch(r"-r \S+|[\w.-]+==[\w.]+", line)] == []


# Settings


def settings() -> Iterator[tuple[str, Any, str, str]]:
    """Each setting as the page has it: name, default, bounds in words, meaning."""
    struct = msgspec.inspect.type_info(conf.Settings)
    assert isinstance(struct, msgspec.inspect.StructType)
    for field in struct.fields:
        assert isinstance(field.type, msgspec.inspect.Metadata), f"{field.name} has no description"
        meaning = (field.type.extra_json_schema or {})["description"]
        yield field.name, field.default, bounds(field.type.type), meaning


def bounds(kind: Any) -> str:
    ge, gt, le = (getattr(kind, name, None) for name in ("ge", "gt", "le"))
    if le is not None:
        return f"{ge} to {le}"
    if ge is not None:
        return f"{ge} or more"
    return f"above {gt}" if gt is not None else ""


def test_the_settings_are_listed_as_they_are() -> None:
    listed = table(page("docs/settings.md"), "setting", "default", "bounds", "meaning")
    found = [(name, ast.literal_eval(default), bounds, meaning) for name, default, bounds, meaning in listed]
    assert sorted(found) == sorted(settings())


def test_a_setting_that_a_page_names_exists() -> None:
    known = {name for name, *_ in settings()}
    named = {word for text in PAGES for word in re.findall(r"`([A-Z]+_[A-Z_]+)`", prose(text))}
    django = {"ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "INSTALLED_APPS", "CHANNEL_LAYERS", "CONN_MAX_AGE", "LOGIN_URL"}
    django |= {"SESSION_COOKIE_SAMESITE", "SECURE_PROXY_SSL_HEADER", "SILENCED_SYSTEM_CHECKS"}
    django |= {"USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT"}
    environment = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "REALTIME_REQUIRE_SERVICES", "WEBSOCKETS_MAX_LINE_LENGTH"}
    assert named - django - environment <= known


# The wire


def test_the_codes_of_refusals_are_listed_as_they_are() -> None:
    listed = {code: again for code, again, _ in table(PROTOCOL, "code", "again?", "when")}
    assert listed == {refusal.code: "no" if refusal.final else "yes" for refusal in one_of_each()}


def test_the_close_codes_are_listed_as_they_are() -> None:
    listed = {int(code) for code, _ in table(PROTOCOL, "code", "meaning")}
    assert listed == {
        value.value
        for path in PACKAGE.glob("*.py")
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Assign)
        and isinstance(value := statement.value, ast.Constant)
        and isinstance(value.value, int)
        and re.fullmatch(r"_?[A-Z_]+", ast.unparse(statement.targets[0]))
        and 4000 <= value.value <= 4999
    }


# What is watched


def test_the_metrics_are_listed_as_they_are() -> None:
    declared = {value for value in vars(metrics).values() if isinstance(value, metrics.Counter)}
    listed = table(OPERATE, "metric", "type", "what it counts")
    assert sorted(map(tuple, listed)) == sorted((metric.name, metric.kind, metric.says) for metric in declared)


def test_the_causes_for_which_connections_are_refused_are_listed() -> None:
    listed = {word for causes, _ in table(OPERATE, "cause", "who was turned away") for word in words(causes)}
    named = set(re.findall(r'_refuse\(send, "(\w+)"\)|_turn_away\(.*, "(\w+)"\)', source("*.py")))
    assert {cause for pair in named for cause in pair if cause} <= listed


def test_the_causes_of_drops_are_listed_as_they_are() -> None:
    listed = {cause for cause, _ in table(OPERATE, "cause", "what was let go of")}
    assert listed == set(re.findall(r'drops\.add\(value="(\w+)"\)', source("*.py")))


def test_a_logger_that_is_named_exists() -> None:
    loggers = set(re.findall(r'getLogger\("([\w.]+)"\)', source("*.py")))
    listed = {logger for cell, _ in table(OPERATE, "logger", "what it says") for logger in words(cell)}
    assert listed <= loggers


def test_the_system_checks_are_listed_as_they_are() -> None:
    listed = {check for check, _ in table(DEPLOY, "id", "what it says")}
    assert listed == set(re.findall(r'id="(realtime\.\w+)"', (PACKAGE / "checks.py").read_text()))


def test_the_check_of_daphne_asks_for_the_version_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda name: "4.1")
    (found,) = checks.check_daphne()
    (asked,) = re.findall(r"[\d.]+\d", str(found.hint))
    assert f"daphne is older than {asked} " in "".join(
        says for check, says in table(DEPLOY, "id", "what it says") if check == "realtime.W007"
    )


# What a site's code sees


def test_the_snapshots_fields_are_listed_as_they_are() -> None:
    listed = [field for cell, _ in table(page("docs/howto/embed.md"), "field", "what it is") for field in words(cell)]
    assert sorted(listed) == sorted(rooms.Snapshot.__struct_fields__)


def test_access_is_listed_as_it_is() -> None:
    header = ("value", "*who may join* (and see, and read)", "*who may act*")

    cells = [row[0] for row in table(page("docs/howto/policy.md"), *header)]
    assert [words(cell)[0] for cell in cells] == list(Access.values)


def test_the_policys_methods_are_listed_as_they_are() -> None:
    listed = [cell for cell, *_ in table(page("docs/howto/policy.md"), "method", "asked", "what it decides")]
    assert listed == [f"{name}(person, room, role)" for name in vars(policy.Policy) if name.startswith("may_")]


def test_what_rooms_offers_is_told() -> None:
    text = page("docs/howto/publish.md").read_text() + page("docs/howto/embed.md").read_text()
    assert [name for name in rooms.__all__ if name != "Snapshot" and not re.search(rf"\b{name}\b", text)] == []


def test_the_properties_of_the_look_are_listed_as_they_are() -> None:
    listed = set(re.findall(r"--rt-[\w-]+", page("docs/howto/look.md").read_text()))
    assert listed == set(re.findall(r"var\((--rt-(?!hue)[\w-]+), ", (STATIC / "realtime.css").read_text()))


# The browser client


def members(module: str) -> set[str]:
    """The public members of the class in a module: methods, getters and setters."""
    text = (STATIC / module).read_text()
    text = text[text.index("export class") :]
    found = re.findall(r"^  (?:static )?(?:async )?(?:get |set )?([a-z]\w*)\(.*\{$", text, re.MULTILINE)
    return set(found) - {"constructor"}


def listed_members(section: str) -> set[str]:
    """The names that begin the rows of the tables in a section of the client's page."""
    text = page("docs/javascript.md").read_text()
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`[^|]*) \|", body, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([a-z]\w*)", cell)}


def test_the_rooms_members_are_listed() -> None:
    assert members("room.js") <= listed_members("A room")


def test_the_sockets_members_are_listed() -> None:
    assert members("socket.js") <= listed_members("The connection")


def test_the_events_of_the_room_are_listed_as_they_are() -> None:
    listed = {event for event, *_ in table(page("docs/javascript.md"), "event on the room", "detail", "when")}
    assert listed == set(re.findall(r'#fire\("(\w+)"', (STATIC / "room.js").read_text()))


def test_the_clients_own_refusals_are_listed_as_they_are() -> None:
    listed = {code for code, _ in table(page("docs/javascript.md"), "code", "when")}
    assert listed == set(re.findall(r'new Refusal\("(\w+)"', source("*.js")))


# The pages themselves


@pytest.mark.parametrize("text", PAGES, ids=name)
def test_what_a_page_leads_to_is_there(text: Path) -> None:
    assert list(broken(text)) == []


def broken(text: Path) -> Iterable[str]:
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (text.parent / path).resolve() if path else text
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def test_every_page_is_led_to_from_the_readme() -> None:
    seen, to_see = set(), [page("README.md")]
    while to_see:
        text = to_see.pop()
        seen.add(text)
        leads_to = {
            (text.parent / link.partition("#")[0]).resolve() for link in links(text) if not re.match(r"[a-z]+:", link)
        }
        to_see += [other for other in leads_to - seen if other.suffix == ".md"]
    assert set(PAGES) <= seen


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > LARGEST_PICTURE] == []
