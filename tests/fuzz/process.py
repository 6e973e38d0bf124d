"""One target in a process of its own, under atheris: `python -m tests.fuzz.process lives <libFuzzer's options>`."""

import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import atheris
import django

with redirect_stderr(StringIO()), atheris.instrument_imports(include=["realtime", "project"]):
    django.setup()
    from tests.fuzz.mutators import Lines
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import Codec, Lives, Web
    from tests.fuzz.world import World


def main() -> None:
    _, name, *options = sys.argv
    with World() as world:
        target = {"codec": Codec, "lives": lambda: Lives(world), "web": lambda: Web(world)}[name]()
        for option in options:
            if Path(option).is_dir():
                sow(name, Path(option))
        atheris.Setup([sys.argv[0], *options], target, custom_mutator=Lines(SEEDS[name], by_bytes))
        atheris.Fuzz()  # ends the process


def by_bytes(data: bytes, max_size: int) -> bytes:
    return atheris.Mutate(data, max_size)  # put there by Fuzz()


def sow(name: str, corpus: Path) -> None:
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number:03}").write_bytes(seed)


main()
