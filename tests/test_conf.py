"""The REALTIME setting."""

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from realtime import conf


def test_a_site_that_sets_nothing_has_the_defaults() -> None:
    assert conf.load({}) == conf.Settings()


def test_what_a_site_sets_counts_from_then_on(settings: Settings) -> None:
    settings.REALTIME = {"MAX_ROOMS": 3}
    assert conf.current().MAX_ROOMS == 3
    settings.REALTIME = {}
    assert conf.current().MAX_ROOMS == conf.Settings().MAX_ROOMS


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"MAX_ROMS": 3}, "MAX_ROMS"),
        ({"MAX_ROOMS": "3"}, "MAX_ROOMS"),
        ({"MAX_ROOMS": 0}, "MAX_ROOMS"),
        ({"LAG_SECONDS": 0}, "LAG_SECONDS"),
        ({"TRUSTED_PROXIES": ["10.0.0.0/33"]}, "10.0.0.0/33.*TRUSTED_PROXIES"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "TRUSTED_PROXIES"),
        ({"PAGE_BYTES": 2**20}, "PAGE_BYTES"),
        ({"MAX_EVENT_BYTES": 2**20}, "MAX_EVENT_BYTES"),
        ({"PAGE_BYTES": 800_000}, "MAX_STATE_BYTES .* at most 1000000 together, got 1062144"),
        ({"MAX_EVENT_BYTES": 500_000, "MAX_STATE_BYTES": 500_001}, "got 1000001"),
        ([], "object"),
    ],
)
def test_a_wrong_setting_is_named(raw: dict[str, object], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        conf.load(raw)


@pytest.mark.parametrize("field", msgspec.structs.fields(conf.Settings), ids=lambda field: field.name)
def test_every_setting_has_a_default_and_a_line(field: msgspec.structs.FieldInfo) -> None:
    described = field.type.__metadata__[0].description
    assert field.default is not msgspec.NODEFAULT
    assert described.endswith(".")
    assert len(described) < 120
