"""Rows on what is asked of S3: how many requests, which, and how many bytes they bring."""

from __future__ import annotations

import os
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.bench.bucket import Bucket, Place, bucket_on, fill, full_moto
from tests.bench.context import Context
from tests.bench.material import KIB, MIB, small_files
from tests.bench.remote import fresh_clone, on_server
from tests.bench.report import Check, Outcome
from tests.bench.tools import program
from tests.support.proxy import Proxy

_COLUMNS = Path(__file__).with_name("columns.py")
_NEVER_LISTED = ("packs", "segments", "manifests", "roots")


def one_small(context: Context) -> Outcome:
    """The next version of one small file, to a store with few objects and to one with many."""
    counts: list[int] = []
    listings = 0
    sizes = context.sizes
    for count in (sizes.few_objects, sizes.many_objects):
        with _full(context, count) as place:
            if place is None:
                return Outcome(checks=[Check(what=f"a server, {context.server}", limit=0, measured=None)])
            gitml = context.gitml(place)
            source = context.folder / "one.txt"
            source.write_text(f"first {count}\n")
            gitml.gitml("register", "datasets/one", source)
            gitml.gitml("push")
            source.write_text(f"second {count}\n")
            with place.metered() as (behind, proxy):
                gitml.reach(behind)
                words = [[*program(), "register", "datasets/one", source], [*program(), "push"]]
                gitml.run(*words, cwd=gitml.repo)
            counts.append(len(proxy.log))
            listings += _listings(proxy)
    return Outcome(
        checks=[
            Check(
                what=f"more requests with {sizes.many_objects:,} objects than with {sizes.few_objects:,}",
                limit=0,
                measured=counts[1] - counts[0],
                unit="requests",
            ),
            Check(
                what="listings of packs, segments, manifests or roots",
                limit=0,
                measured=listings,
                unit="requests",
            ),
        ],
        figures={"requests": " and ".join(map(str, counts))},
    )


@contextmanager
def _full(context: Context, count: int) -> Iterator[Place | None]:
    """A place in which a store holds so many objects."""
    if context.server == "moto":
        with full_moto(count) as place:
            yield place
        return
    bucket = bucket_on(context.server)
    if bucket is None:
        yield None
        return
    place = bucket.place("full")
    fill(context.server, place, count)
    try:
        yield place
    finally:
        bucket.empty()


def _listings(proxy: Proxy) -> int:
    """How many listings go over objects that may be many."""
    found = 0
    for verb, path in proxy.log:
        query = urllib.parse.parse_qs(path.decode().partition("?")[2])
        if verb == b"GET" and "list-type" in query:
            below = query.get("prefix", [""])[0].partition("/")[2]
            found += not below or below.startswith(_NEVER_LISTED)
    return found


@on_server
def one_file(context: Context, bucket: Bucket) -> Outcome:
    """One file of a large dataset in a fresh clone."""
    sizes = replace(context.sizes, files=context.sizes.many_files, file_bytes=KIB)
    source = context.folder / "many"
    small_files(source, sizes, seed=1)
    place = bucket.place("gitml")
    gitml = context.gitml(place)
    gitml.gitml("register", "datasets/many", source)
    gitml.gitml("push")
    number = sizes.files // 2 + 1
    path = f"part-{number % sizes.folders:04}/{number:06}.bin"
    clone, placed = fresh_clone(gitml), gitml.folder / "placed"
    with place.metered() as (behind, proxy):
        gitml.reach(behind)
        gitml.gitml("get", f"datasets/many@1:{path}", "-o", placed, cwd=clone)
    (found,) = (file for file in placed.rglob("*.bin"))
    if found.read_bytes() != (source / path).read_bytes():
        raise AssertionError(f"{found} differs")
    return Outcome(
        checks=[
            Check(what="requests", limit=5, measured=len(proxy.log), unit="requests"),
            Check(what="bytes fetched", limit=8, measured=proxy.received_bytes / MIB, unit="MiB"),
        ]
    )


@on_server
def parquet(context: Context, bucket: Bucket) -> Outcome:
    """Two of 16 columns of a Parquet file, read in place by pyarrow."""
    what = "bytes fetched, in bytes of the columns"
    packages = context.peers.pyarrow
    if packages is None:
        return Outcome(checks=[Check(what=what, limit=1.3, measured=None)])
    place = bucket.place("gitml")
    gitml = context.gitml(place)
    table = context.folder / "table.parquet"
    python = [sys.executable, "-P", _COLUMNS]
    known = gitml.env.get("PYTHONPATH")
    gitml.env["PYTHONPATH"] = os.pathsep.join([str(packages), *([known] if known else [])])
    gitml.run([*python, "make", table, str(context.sizes.table_bytes)])
    gitml.gitml("register", "datasets/table", table)
    gitml.gitml("push")
    clone = fresh_clone(gitml)
    with place.metered() as (behind, proxy):
        gitml.reach(behind)
        done = gitml.run([*python, "read", "datasets/table@1:table.parquet", "c03", "c11"], cwd=clone)
    wanted_bytes = int(done.output)
    return Outcome(
        checks=[Check(what=what, limit=1.3, measured=proxy.received_bytes / wanted_bytes)],
        figures={
            "fetched": f"{proxy.received_bytes / MIB:.1f} MiB",
            "the columns": f"{wanted_bytes / MIB:.1f} MiB",
            "requests": str(len(proxy.log)),
            "time": f"{done.elapsed_s:.2f} s",
        },
    )
