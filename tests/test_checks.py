"""What is set up wrongly is said at start-up, with an id and a way out."""

from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.core.checks import CheckMessage, run_checks
from django.db import connections
from pytest_django import Settings

from realtime import checks
from tests.support.fakes import FakeLayer


def ids(messages: list[CheckMessage]) -> list[str]:
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def test_a_site_that_is_set_up_well_hears_nothing(settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROOMS": 5}
    assert checks.check_settings() == []


def test_a_wrong_setting_is_an_error(settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROMS": 5}
    (message,) = checks.check_settings()
    assert ids([message]) == ["realtime.E001"]
    assert "MAX_ROMS" in message.msg


@pytest.mark.parametrize("name", ["POLICY", "DISPLAY_NAME"])
@pytest.mark.parametrize("path", ["nowhere.Policy", "realtime.policy.Nothing", "nodots"])
def test_what_cannot_be_imported_is_an_error(settings: Settings, name: str, path: str) -> None:
    settings.REALTIME = {name: path}
    (message,) = checks.check_settings()
    assert ids([message]) == ["realtime.E002"]
    assert name in message.msg


@pytest.mark.parametrize(
    ("mode", "found"), [("IMMEDIATE", []), (None, ["realtime.W001"]), ("DEFERRED", ["realtime.W001"])]
)
def test_sqlite_that_begins_without_the_lock_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, mode: str | None, found: list[str]
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {"transaction_mode": mode} if mode else {})
    assert ids(checks.check_sqlite()) == found


def test_other_databases_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    assert checks.check_sqlite() == []


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ({"default": FakeLayer()}, []),
        ({"default": InMemoryChannelLayer()}, ["realtime.W002"]),
        ({}, ["realtime.W002"]),
    ],
    ids=["that reaches others", "in memory", "none"],
)
def test_a_layer_that_reaches_nobody_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, layers: dict[str, Any], found: list[str]
) -> None:
    monkeypatch.setattr(checks, "channel_layers", {**layers} if layers else type(channel_layers)())
    if not layers:
        monkeypatch.setattr(type(channel_layers), "configs", {}, raising=False)
    assert ids(checks.check_layer()) == found


def test_the_layer_is_looked_at_only_before_a_deployment() -> None:
    assert not {"realtime.W002"} & {message.id for message in run_checks(tags=["realtime"])}


def test_the_checks_are_registered(settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROMS": 5}
    assert "realtime.E001" in {message.id for message in run_checks(tags=["realtime"])}
