"""Rows on what grows: bytes, files, and the time without a network."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from tests.bench.bucket import Bucket
from tests.bench.context import Context
from tests.bench.material import GIB, KIB, MIB, large_file, small_files
from tests.bench.measure import Case, Measured, compare, remove
from tests.bench.remote import PACK_BYTES, WORKERS, on_server
from tests.bench.report import Check, Outcome
from tests.bench.tools import World
from tests.support.proxy import Proxy

_GENERATED = Path(__file__).with_name("generated.py")
_MEMORY_MB = 500
_LOOK_S = 0.002


def stream(context: Context) -> Outcome:
    """A stream of new bytes, beside one of a tenth of its size."""
    world, size_bytes = World(context.folder / "world"), context.sizes.stream_bytes
    world.env["TMPDIR"] = str(world.folder)

    def case(wanted_bytes: int) -> Case:
        return Case(command=lambda: world.run([sys.executable, "-P", _GENERATED, str(wanted_bytes)]))

    tenth, whole = f"{size_bytes / GIB / 10:g} GiB", f"{size_bytes / GIB:g} GiB"
    times = compare({tenth: case(size_bytes // 10), whole: case(size_bytes)}, 1 + (context.sizes.rounds > 1))
    seconds = {
        name: statistics.median(float(run.output) for run in found.runs) for name, found in times.items()
    }
    return _scaled(times, seconds, tenth, whole, "byte")


def files(context: Context) -> Outcome:
    """Very many small files, beside a tenth of them."""
    count = context.sizes.scale_files
    tenth, whole = f"{count // 10:,} files", f"{count:,} files"
    few, many = _files(context, count // 10), _files(context, count)
    times = {tenth: few["register"], whole: many["register"]}
    outcome = _scaled(times, {name: found.median_s for name, found in times.items()}, tenth, whole, "file")
    return replace(
        outcome,
        checks=[
            *outcome.checks,
            *(
                Check(
                    what=f"memory of `{verb}`",
                    limit=_MEMORY_MB,
                    measured=many[verb].peak_bytes / 1e6,
                    unit="MB",
                )
                for verb in ("get", "status")
            ),
        ],
        figures={
            verb: f"{few[verb].peak_bytes / 1e6:.0f} → {many[verb].peak_bytes / 1e6:.0f} MB" for verb in many
        },
    )


def _files(context: Context, count: int) -> dict[str, Measured]:
    """Register so many files, place them, and look at what was placed."""
    source = context.folder / "files"
    sizes = replace(context.sizes, files=count, folders=max(1, count // 500), file_bytes=KIB)
    small_files(source, sizes, seed=1)
    gitml = context.gitml()
    found = compare(
        {
            "register": Case(command=lambda: gitml.gitml("register", "datasets/many", source), warm=[source]),
            "get": Case(command=lambda: gitml.gitml("get", "datasets/many")),
            "status": Case(command=lambda: gitml.gitml("status")),
        },
        1,
    )
    remove(source, gitml.folder)
    return found


def _scaled(
    times: dict[str, Measured], seconds: dict[str, float], tenth: str, whole: str, unit: str
) -> Outcome:
    return Outcome(
        checks=[
            Check(
                what=f"time for a {unit}, by that of a tenth of them",
                limit=1.2,
                measured=seconds[whole] / 10 / seconds[tenth],
            ),
            Check(what="memory", limit=_MEMORY_MB, measured=times[whole].peak_bytes / 1e6, unit="MB"),
        ],
        times=times,
    )


@on_server
def cut(context: Context, bucket: Bucket) -> Outcome:
    """What is sent again when the network goes away in the middle of a push."""
    source = context.folder / "large" / "weights.bin"
    large_file(source, context.sizes.large_bytes, seed=1)
    place = bucket.place("gitml")
    with place.metered() as (behind, proxy):
        gitml = context.gitml(behind)
        half = context.sizes.large_bytes // 2
        whole = threading.Thread(target=_cut_off, args=(proxy, half, context.sizes.cut_s), daemon=True)
        whole.start()
        done = gitml.gitml("register", "models/large", source)
        whole.join()
    stored_bytes = sum(bucket.objects(place).values())
    again = max(0, proxy.sent_bytes - stored_bytes) / MIB
    clone = gitml.repo
    gitml.reach(place)
    gitml.gitml("verify", "--deep", cwd=clone)
    return Outcome(
        checks=[
            Check(
                what="bytes sent again, one pack for each worker",
                limit=WORKERS * PACK_BYTES / MIB,
                measured=again,
                unit="MiB",
            )
        ],
        times={"gitml": Measured(runs=(done,))},
    )


def _cut_off(proxy: Proxy, after_bytes: int, cut_s: float) -> None:
    """Take the network away when so many bytes have passed, and give it back."""
    while proxy.sent_bytes < after_bytes:
        time.sleep(_LOOK_S)
    proxy.sever()
    time.sleep(cut_s)
    proxy.heal()
