"""`python -m tests.fuzz`: a coverage-guided run, with atheris (libFuzzer).

Each target has a process of its own. What was found worth keeping stays in build/fuzz, and the next run goes on from there.
An input that breaks something is written there, too, and named: `python -m tests.fuzz lives build/fuzz/lives-crash-...`.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "fuzz"
SHARES = {"codec": 0.5, "lives": 0.2, "web": 0.3}
MOST_MEMORY_MB = 1024
MOST_SECONDS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Try inputs that a machine makes up.")
    parser.add_argument("target", nargs="?", choices=SHARES, help="one of them; all of them without")
    parser.add_argument("inputs", nargs="*", type=Path, help="files to try, and nothing else")
    parser.add_argument("--count", type=int, default=100_000, help="inputs in all (%(default)s)")
    asked = parser.parse_args()
    if asked.inputs:
        return fuzz(asked.target, [str(path) for path in asked.inputs])
    targets = [asked.target] if asked.target else list(SHARES)
    whole = sum(SHARES[target] for target in targets)
    return max(run(target, round(asked.count * SHARES[target] / whole)) for target in targets)


def run(target: str, count: int) -> int:
    corpus = FOLDER / target
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        str(corpus),
        f"-runs={count}",
        f"-artifact_prefix={FOLDER}/{target}-",
        f"-rss_limit_mb={MOST_MEMORY_MB}",
        f"-timeout={MOST_SECONDS}",
        "-max_len=4096",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    began = time.monotonic()
    done = fuzz(target, options)
    kept = len(list(corpus.iterdir()))
    verdict = "nothing broke" if done == 0 else "SOMETHING BROKE"
    print(f"{target}: {count} inputs in {time.monotonic() - began:.0f} s, {kept} kept: {verdict}", flush=True)  # noqa: T201
    return done


def fuzz(target: str, options: list[str]) -> int:
    command = [sys.executable, "-m", "tests.fuzz.process", target, *options]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite://:memory:"}
    return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
