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


SAFE: dict[str, Any] = {
    "ALLOWED_HOSTS": ["example.com"],
    "SESSION_ENGINE": "django.contrib.sessions.backends.db",
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_TRUSTED_ORIGINS": ["https://other.example"],
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
    "REALTIME": {"METRICS_TOKEN": "t" * 20, "TRUSTED_PROXIES": ["127.0.0.1"]},
}
IN_THE_OPEN = {"SECURE_PROXY_SSL_HEADER": None, "SESSION_COOKIE_SECURE": False}
UNSAFE = [
    ("realtime.W003", {"ALLOWED_HOSTS": ["example.com", "*"]}),
    ("realtime.W004", {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}),
    ("realtime.W005", {"SESSION_COOKIE_SAMESITE": "None"}),
    ("realtime.W005", {"SESSION_COOKIE_SAMESITE": False}),
    ("realtime.W006", {"CSRF_TRUSTED_ORIGINS": ["https://a.example", "http://b.example"]}),
    ("realtime.W008", {"SECURE_PROXY_SSL_HEADER": None}),
    ("realtime.W009", {"REALTIME": {"METRICS_TOKEN": "t" * 19, "TRUSTED_PROXIES": ["127.0.0.1"]}}),
    ("realtime.W010", {"REALTIME": {}}),
    ("realtime.W011", {"REALTIME": {"TRUSTED_PROXIES": ["127.0.0.1"], "COMPRESSION": True}}),
    ("realtime.W010", IN_THE_OPEN | {"REALTIME": {}, "USE_X_FORWARDED_HOST": True}),
    ("realtime.W010", IN_THE_OPEN | {"REALTIME": {}, "USE_X_FORWARDED_PORT": True}),
]


def deployed(settings: Settings, **values: Any) -> list[str]:
    """What is said before a deployment of a site with these settings."""
    for name, value in (SAFE | values).items():
        setattr(settings, name, value)
    said = run_checks(tags=["realtime"], include_deployment_checks=True)
    return [found for found in ids(said) if found != "realtime.W002"]  # the tests' own layer is in memory


def test_a_site_that_is_deployed_well_hears_nothing(settings: Settings) -> None:
    assert deployed(settings) == []


@pytest.mark.parametrize(("warned", "values"), UNSAFE, ids=lambda value: str(value))
def test_what_is_unsafe_is_named_before_a_deployment(settings: Settings, warned: str, values: dict[str, Any]) -> None:
    assert deployed(settings, **values) == [warned]


@pytest.mark.parametrize(
    ("installed", "found"),
    [("4.2.1", ["realtime.W007"]), ("4.1", ["realtime.W007"]), ("4.2.2", []), ("4.10.0", []), ("5.0.dev1", [])],
)
def test_an_old_daphne_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, installed: str, found: list[str]
) -> None:
    monkeypatch.setattr(checks, "version", lambda name: installed)
    assert deployed(settings) == found


def test_metrics_without_a_token_are_closed_and_not_warned_of(settings: Settings) -> None:
    assert deployed(settings, REALTIME={"TRUSTED_PROXIES": ["127.0.0.1"]}) == []


def test_compression_without_fast_lanes_is_not_warned_of(settings: Settings) -> None:
    wanted = {"TRUSTED_PROXIES": ["127.0.0.1"], "COMPRESSION": True, "FAST_LANES": False}
    assert deployed(settings, REALTIME=wanted) == []


def test_without_a_proxy_none_has_to_be_named(settings: Settings) -> None:
    assert deployed(settings, REALTIME={}, **IN_THE_OPEN) == []


def test_a_wrong_setting_is_said_before_a_deployment_too(settings: Settings) -> None:
    assert deployed(settings, REALTIME={"MAX_ROMS": 5}, **IN_THE_OPEN) == ["realtime.E001"]


def test_what_concerns_a_deployment_is_said_only_before_one() -> None:
    assert run_checks(tags=["realtime"]) == []


def test_the_checks_are_registered(settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROMS": 5}
    assert "realtime.E001" in {message.id for message in run_checks(tags=["realtime"])}
