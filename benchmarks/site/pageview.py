"""Call two views that differ by one line, in turn, and say what the line costs: `python -m benchmarks.site.pageview <count>`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import django

PLAIN, PUBLISHING = "/plain/", "/publishing/"
_WARM_UP = 10


def main(count: int) -> None:
    django.setup()
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.test.utils import override_settings

    with override_settings(ROOT_URLCONF="benchmarks.site.urls"):
        client = Client()
        client.force_login(get_user_model().objects.first())
        taken: dict[str, list[float]] = {PLAIN: [], PUBLISHING: []}
        for _ in range(_WARM_UP + count):
            for address, microseconds in taken.items():
                microseconds.append(_call(client, address))
        queries = {address: _queries(client, address) for address in taken}
    without, publishing = (statistics.median(taken[address][_WARM_UP:]) for address in (PLAIN, PUBLISHING))
    found = {"without": without, "with": publishing, "added": publishing - without}
    sys.stdout.write(json.dumps({**found, "queries_added": queries[PUBLISHING] - queries[PLAIN]}))


def _call(client: Any, address: str) -> float:
    started = time.perf_counter()
    answer = client.get(address)
    passed = time.perf_counter() - started
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return passed * 1e6


def _queries(client: Any, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return len(queries)


if __name__ == "__main__":
    main(int(sys.argv[1]))
