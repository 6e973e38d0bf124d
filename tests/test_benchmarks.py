"""The benchmarks still work: one quick run of all of them. It judges no times."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = {
    "fanout-durable",
    "fanout-ephemeral",
    "growth",
    "spread",
    "append",
    "connect",
    "memory",
    "resume",
    "processes",
    "floods",
    "pageview",
}

pytestmark = [
    pytest.mark.benchmarks,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not importlib.util.find_spec("picows") and not programs.required(),
        reason="the load generator is not installed: pip install -r benchmarks/requirements.txt",
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a quick run wrote."""
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return folder


@pytest.fixture(scope="module")
def answers(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())["answers"]
    return found


def test_every_question_is_answered(answers: dict[str, Any]) -> None:
    missing = set() if programs.POSTGRES.path() and programs.REDIS.path() else {"processes"}
    assert set(answers) | missing == QUESTIONS


def test_every_answer_has_numbers_of_ours(answers: dict[str, Any]) -> None:
    for answer in answers.values():
        values = [cell["values"] for _, cells in answer["rows"] for cell in cells if isinstance(cell, dict)]
        assert values, answer["title"]
        assert any(value > 0 for numbers in values for value in numbers), answer["title"]


def test_no_durable_delivery_of_ours_is_lost(answers: dict[str, Any]) -> None:
    lost = {name: cells[-1] for name, cells in answers["fanout-durable"]["rows"] if name.startswith("realtime")}
    assert lost
    assert set(lost.values()) == {"0"}


def test_everyone_who_comes_back_has_every_event(answers: dict[str, Any]) -> None:
    caught_up = next(verdict for verdict in answers["resume"]["verdicts"] if "caught up" in verdict["what"])
    assert caught_up["value"] == 1.0


def test_the_page_shows_every_answer_and_says_that_it_was_quick(run: Path, answers: dict[str, Any]) -> None:
    page = (run / "benchmarks.md").read_text()
    assert "taken with `--quick`" in page
    for key, answer in answers.items():
        assert f"## {answer['title']}" in page
        assert (run / "images" / "benchmarks" / f"{key}.svg").read_text().startswith("<svg")
