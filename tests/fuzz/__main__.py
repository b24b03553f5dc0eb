"""`python -m tests.fuzz TARGET [--seconds S] [--plain]`: fuzz one reader until something breaks, or time is over.

With atheris where it is installed, which looks for inputs that reach new code; without it, with what
:mod:`tests.fuzz.mutating` makes. An input that breaks something is kept as `crash-…` in the current folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.checking import check
from fuzz.mutating import mutants

MEMORY_MIB = 512


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    if find_spec("atheris") is None or options.plain:
        _plain(options.target, options.seconds)
    else:
        _guided(options.target, options.seconds)


def _plain(name: str, seconds: int) -> None:
    from fuzz.targets import TARGETS

    target, count, end = TARGETS[name], 0, time.monotonic() + seconds
    for data in mutants(
        target.seeds, target.words, f"{name}-{os.environ.get('GITML_TEST_SEED') or time.time_ns()}"
    ):
        try:
            check(target, data)
        except BaseException:
            Path(f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise
        count += 1
        if time.monotonic() > end:
            break
    sys.stdout.write(f"{name}: {count} inputs\n")


def _guided(name: str, seconds: int) -> None:
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["gitml"]):
        from fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        words = Path(folder).with_suffix(".dict")
        words.write_text(
            "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words)
        )
        limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=5", "-max_len=65536"]
        atheris.Setup([sys.argv[0], *limits, f"-dict={words}", folder], lambda data: check(target, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
