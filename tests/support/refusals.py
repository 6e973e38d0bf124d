"""One refusal of each class."""

import inspect
from collections.abc import Iterator
from typing import Any

from realtime import errors

_VALUES = {"str": "x", "int": 1, "float": 1.0, "Iterable[str]": ("x",), "str | None": "x", "float | None": 1.0}


def one_of_each() -> Iterator[errors.Refusal]:
    """Make one of each class, with whatever it takes."""
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, errors.Refusal) and kind not in (errors.Refusal, errors.Held):
            parameters = list(inspect.signature(kind).parameters.values())
            arguments: list[Any] = [_VALUES[str(parameter.annotation)] for parameter in parameters]
            yield kind(*arguments)
