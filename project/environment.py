"""What the demo project takes from its environment, and what it does when nothing is given.

Promises: without any variable there is a working development site, with a key of this checkout's own; as soon
as `DEBUG` is off, a missing `SECRET_KEY` stops the start with a sentence that says so.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})


def boolean(name: str, default: bool) -> bool:
    """The variable as true or false; empty or absent gives the default."""
    word = os.environ.get(name, "").strip().lower()
    if not word:
        return default
    if word in YES | NO:
        return word in YES
    raise ImproperlyConfigured(f"{name}={word!r}: expected one of {', '.join(sorted(YES | NO))}.")


def words(name: str) -> list[str]:
    """The variable as a list, separated by commas."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def secret_key(debug: bool, keep_in: Path) -> str:
    """`SECRET_KEY`, or in development a random one that is made once and kept in the file `keep_in`."""
    if key := os.environ.get("SECRET_KEY", ""):
        return key
    if debug:
        return development_key(keep_in)
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. It is needed when DEBUG is off. Make one with: "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )


def development_key(keep_in: Path) -> str:
    """Sessions outlive a restart, and no two checkouts share a key."""
    try:
        with os.fdopen(os.open(keep_in, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(get_random_secret_key())
    except FileExistsError:
        pass
    except OSError:  # a read-only checkout: sessions end with the process
        return get_random_secret_key()
    return keep_in.read_text() or get_random_secret_key()
