"""Settings for servers whose clock jumps: all that asks for the time of day gets it wrong by what the file `TEST_CLOCK` says.

Covered are `time.time`, Django's `timezone.now` and SQLite's, so everything that the site, the layer and the database ask. The
monotonic clock does not jump, as with a real one.
"""

import datetime
import os
import time
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created
from django.utils import timezone

from tests.settings import *  # noqa: F403

_file = Path(os.environ["TEST_CLOCK"])
_time = time.time
_SQL_NOW = ("%Y-%m-%d %H:%M:%f", "NOW")


def wrong_seconds() -> float:
    return float(_file.read_text() or 0)


def wrong_time() -> float:
    return _time() + wrong_seconds()


def wrong_now() -> datetime.datetime:
    return datetime.datetime.fromtimestamp(wrong_time(), datetime.UTC)


def _sql_now(*arguments: str) -> str:
    """SQLite's STRFTIME, as Django calls it for `Now()`."""
    assert arguments == _SQL_NOW, f"expected STRFTIME{_SQL_NOW}, got {arguments}"
    return wrong_now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _give_sqlite_the_clock(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("STRFTIME", -1, _sql_now)


time.time = wrong_time
timezone.now = wrong_now
connection_created.connect(_give_sqlite_the_clock)
