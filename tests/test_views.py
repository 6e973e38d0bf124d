"""What machines ask: is the process up, what has it counted."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from realtime import metrics

pytestmark = pytest.mark.django_db


def test_a_healthy_process_says_so(client: Client) -> None:
    answer = client.get(reverse("realtime:health"))
    assert (answer.status_code, answer.json()) == (200, {"database": True})


def test_without_its_database_a_process_is_not_healthy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", gone)
    answer = client.get(reverse("realtime:health"))
    assert (answer.status_code, answer.json()) == (503, {"database": False})


def test_metrics_are_text_that_prometheus_reads(client: Client) -> None:
    answer = client.get(reverse("realtime:metrics"))
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content.decode() == metrics.render()


def test_neither_makes_a_session(client: Client) -> None:
    for name in ("health", "metrics"):
        assert not client.get(reverse(f"realtime:{name}")).cookies
