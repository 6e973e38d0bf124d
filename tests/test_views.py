"""What machines ask: is the process up, what has it counted."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from realtime import metrics, node

pytestmark = pytest.mark.django_db


def test_a_healthy_process_says_so(client: Client) -> None:
    answer = client.get(reverse("realtime:health"))
    assert (answer.status_code, answer.json()) == (200, {"database": True})


def gone(*args: Any) -> Any:
    raise OperationalError("gone")


def test_without_its_database_a_process_is_not_healthy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "cursor", gone)
    answer = client.get(reverse("realtime:health"))
    assert (answer.status_code, answer.json()) == (503, {"database": False})


def test_a_process_that_is_about_to_stop_sends_balancers_elsewhere(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "any_leaving", lambda: True)
    answer = client.get(reverse("realtime:health"))
    assert (answer.status_code, answer.json()) == (503, {"leaving": True})


METRICS = "/realtime/metrics"
TOKEN = "a token that nobody guesses"


def test_metrics_are_text_that_prometheus_reads(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    answer = client.get(reverse("realtime:metrics"))
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content.decode() == metrics.render()


@pytest.mark.parametrize("given", [None, "", "Bearer ", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", "Bearer \xe9"])
@pytest.mark.parametrize("token", ["", TOKEN])
def test_metrics_are_not_for_the_world(client: Client, settings: Settings, token: str, given: str | None) -> None:
    settings.REALTIME = {"METRICS_TOKEN": token}
    answer = client.get(METRICS, headers={} if given is None else {"Authorization": given})
    assert answer.status_code == 403
    assert b"realtime_" not in answer.content


def test_who_has_the_token_reads_the_metrics_whatever_the_database_does(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME = {"METRICS_TOKEN": TOKEN}
    monkeypatch.setattr(connection, "cursor", gone)
    assert client.get(METRICS, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("rights", "status"),
    [({}, 403), ({"is_staff": True}, 200), ({"is_staff": True, "is_active": False}, 403)],
    ids=["a user", "staff", "staff no longer active"],
)
def test_staff_reads_the_metrics(client: Client, rights: dict[str, bool], status: int) -> None:
    client.force_login(get_user_model().objects.create_user("eve", **rights))
    assert client.get(METRICS).status_code == status


def test_without_its_database_nobody_is_known_to_be_staff(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.force_login(get_user_model().objects.create_user("root", is_staff=True))
    monkeypatch.setattr(connection, "cursor", gone)
    assert client.get(METRICS).status_code == 403


def test_neither_makes_a_session(client: Client) -> None:
    for name in ("health", "metrics"):
        assert not client.get(reverse(f"realtime:{name}")).cookies
