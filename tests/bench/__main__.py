"""`python -m tests.bench [ROW…] [--server NAME] [--quick] [--json FILE]`: run rows and print what they found."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tests.bench import counting, promoting, reading, remote, scale, small, writing
from tests.bench.context import Context
from tests.bench.material import FULL, HUGE_STREAM_BYTES, QUICK
from tests.bench.measure import ASIDE, remove
from tests.bench.report import Outcome, markdown, missed, write_json
from tests.bench.tools import Peers

ROWS: dict[str, tuple[str, Callable[[Context], Outcome]]] = {
    "register-small": ("register 20,000 files of 8 KiB", writing.register_small),
    "register-large": ("register a 1 GiB file", writing.register_large),
    "next-large": ("its next version: 64 KiB inserted, 1 MiB appended", writing.growth_large),
    "next-small": ("next version of 20,000 files: 1 % changed, added, removed", writing.next_small),
    "get-small": ("get 20,000 files in a fresh clone", reading.get_small),
    "get-large": ("get 1 GiB in a fresh clone", reading.get_large),
    "get-over": ("get another version over the one that is there", reading.get_over),
    "status": ("status, nothing changed", reading.status),
    "promote": ("promote a model with 3 inputs", promoting.promote),
    "s3-check": ("check a request of a model with 3 inputs, bytes on S3", promoting.check),
    "startup": ("start-up", small.startup),
    "memory": ("memory of all of the above", small.memory),
    "s3-register-small": ("register and push 20,000 files of 8 KiB to S3", remote.register_small),
    "s3-get-small": ("get 20,000 files from S3 in a fresh clone", remote.get_small),
    "s3-large": ("a 1 GiB file to and from S3", remote.large),
    "s3-next-large": ("its next version to S3: 64 KiB inserted, 1 MiB appended", remote.next_large),
    "s3-one-small": ("push one small file to a full store on S3", counting.one_small),
    "s3-one-file": ("read one of 100,000 files from S3, cold", counting.one_file),
    "s3-parquet": ("two columns of a 1 GiB Parquet file on S3", counting.parquet),
    "s3-cut": ("30 s without network in a 1 GiB push to S3", scale.cut),
    "scale-bytes": ("register a stream of 10 GiB (`--huge`: 100 GiB)", scale.stream),
    "scale-files": ("register, place and look at 1,000,000 files of 1 KiB", scale.files),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 where a goal was missed; a quick run misses nothing, it is too small to tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all, or some of: {', '.join(ROWS)}")
    parser.add_argument(
        "--quick", action="store_true", help="a size that shows that the bench works, and no more"
    )
    parser.add_argument(
        "--json", type=Path, help="also write the result here (default: result.json in the folder)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(".bench"), help="where peers and data go (default: .bench)"
    )
    parser.add_argument("--no-install", action="store_true", help="compare with what is installed already")
    parser.add_argument("--rounds", type=int, help="repetitions of a timed row")
    parser.add_argument(
        "--server",
        choices=("moto", "ceph"),
        default="moto",
        help="S3 server of the rows s3-… (default: moto)",
    )
    parser.add_argument("--huge", action="store_true", help="100 GiB for the row scale-bytes")
    given = parser.parse_args(argv)
    if unknown := set(given.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    folder = given.folder.resolve()
    peers = Peers(folder / "peers", install=not given.no_install)
    sizes = QUICK if given.quick else FULL
    if given.rounds:
        sizes = replace(sizes, rounds=given.rounds, remote_rounds=given.rounds)
    if given.huge:
        sizes = replace(sizes, stream_bytes=HUGE_STREAM_BYTES)
    results: dict[str, Outcome] = {}
    with ASIDE.kept_in(folder / "aside"):
        for name in given.rows or ROWS:
            begin = time.monotonic()
            context = Context(sizes=sizes, peers=peers, folder=folder / "data" / name, server=given.server)
            remove(context.folder)
            context.folder.mkdir(parents=True)
            results[name] = ROWS[name][1](context)
            remove(context.folder)
            print(f"{name}: done in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    about = {"versions": peers.versions(), "python": platform.python_version(), "sizes": asdict(sizes)}
    about["server"] = given.server
    print(markdown(results, {name: title for name, (title, _) in ROWS.items()}, judge=not given.quick))
    print("\n" + ", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    write_json(given.json or folder / "result.json", results, about)
    return 1 if not given.quick and missed(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
