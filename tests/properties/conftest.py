"""The stories of a longer run take as much longer."""

import pytest

from tests.properties.machines import LENGTH

SECONDS = 600
"""Looking for the shortest story of a failure may take five minutes of these."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.timeout(SECONDS * max(1.0, LENGTH)))
