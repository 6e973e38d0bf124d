"""Counters, as Prometheus reads them."""

import pytest

from realtime import metrics
from realtime.metrics import Counter


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test declares is forgotten again."""
    monkeypatch.setattr(metrics, "_all", list(metrics._all))


def test_a_counter_is_rendered_with_its_help_and_type() -> None:
    counter = Counter("tests_total", "Tests run.")
    counter.add()
    counter.add(2)
    assert list(counter.lines()) == ["# HELP tests_total Tests run.", "# TYPE tests_total counter", "tests_total 3"]


def test_a_counter_that_counted_nothing_is_there_as_zero() -> None:
    assert list(Counter("tests_total", "Tests run.").lines())[-1] == "tests_total 0"


def test_a_labelled_counter_has_a_line_for_each_value() -> None:
    counter = Counter("tests_total", "Tests run.", label="outcome")
    counter.add(value="passed")
    counter.add(value="failed")
    counter.add(value="passed")
    assert list(counter.lines())[2:] == ['tests_total{outcome="failed"} 1', 'tests_total{outcome="passed"} 2']


def test_a_gauge_goes_down_again() -> None:
    gauge = Counter("tests_running", "Tests that run now.", kind="gauge")
    gauge.add(2)
    gauge.add(-1)
    assert list(gauge.lines())[1:] == ["# TYPE tests_running gauge", "tests_running 1"]


def test_everything_declared_is_rendered_and_ends_with_a_line_break() -> None:
    Counter("tests_total", "Tests run.")
    text = metrics.render()
    assert text.endswith("tests_total 0\n")
    assert "# TYPE realtime_connections gauge\n" in text
