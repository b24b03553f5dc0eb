"""Rows on S3 against the clock: to a server on this machine, beside others that use the same server."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from tests.bench.bucket import Bucket, Place, bucket_on
from tests.bench.context import Context
from tests.bench.material import MIB, large_file, listing, next_large_file, small_files
from tests.bench.measure import Case, Measured, Run, compare, ratio, remove
from tests.bench.reading import expect, expect_version
from tests.bench.report import Check, Outcome
from tests.bench.tools import Dvc, Gitml, World, program

PACK_BYTES = 32 * MIB
WORKERS = min(8, (os.cpu_count() or 2) + 2)
_PLAIN = Path(__file__).with_name("plain_s3.py")
_HASH = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


def on_server(row: Callable[[Context, Bucket], Outcome]) -> Callable[[Context], Outcome]:
    """Give a row an empty bucket, or say that there is no server for it."""

    @wraps(row)
    def measured(context: Context) -> Outcome:
        bucket = bucket_on(context.server)
        if bucket is None:
            return Outcome(checks=[Check(what=f"a server, {context.server}", limit=0, measured=None)])
        try:
            return row(context, bucket)
        finally:
            bucket.empty()

    return measured


class _Plain(World):
    """Sends and fetches bytes by the SDK alone."""

    def __init__(self, folder: Path, place: Place) -> None:
        super().__init__(folder)
        self._place = place
        self.env |= place.environment

    def call(self, verb: str, file: Path | str) -> Run:
        place = self._place
        return self.run(
            [sys.executable, "-P", _PLAIN, verb, file, place.bucket, place.prefix, place.endpoint_url]
        )


@dataclass(slots=True)
class _Fresh:
    """Contestants that start every round with an empty bucket."""

    context: Context
    bucket: Bucket
    source: Path
    tools: dict[str, Any] = field(default_factory=dict)

    def _case(
        self,
        name: str,
        make: Callable[[Place], Any],
        command: Callable[[Any], Run],
        *,
        most_rounds: int | None = None,
    ) -> dict[str, Case]:
        def prepare() -> None:
            self.bucket.empty()
            self.tools[name] = make(self.bucket.place(name))

        return {
            name: Case(
                prepare=prepare,
                command=lambda: command(self.tools[name]),
                warm=[self.source],
                most_rounds=most_rounds,
            )
        }

    def gitml(self, command: Callable[[Gitml], Run]) -> dict[str, Case]:
        return self._case("gitml", self.context.gitml, command)

    def restic(self) -> dict[str, Case]:
        if not self.context.peers.restic:
            return {}
        return self._case("restic", self.context.restic, lambda restic: restic.backup(self.source))

    def dvc(self) -> dict[str, Case]:
        """Once: 20,000 requests take long, and it is never near."""
        if not self.context.peers.dvc_s3:
            return {}

        def make(place: Place) -> Dvc:
            dvc = self.context.dvc(place)
            copy = dvc.repo / self.source.name
            shutil.copytree(self.source, copy) if self.source.is_dir() else shutil.copy2(self.source, copy)
            return dvc

        def add_and_push(dvc: Dvc) -> Run:
            return dvc.run(
                [dvc.executable, "add", "-q", self.source.name], [dvc.executable, "push", "-q"], cwd=dvc.repo
            )

        return self._case("dvc", make, add_and_push, most_rounds=1)

    def plain(self, file: Path) -> dict[str, Case]:
        return self._case(
            "plain PUT",
            lambda place: _Plain(self.context.folder / "plain", place),
            lambda plain: plain.call("put", file),
        )


def _register_and_push(gitml: Gitml, asset: str, source: Path) -> Run:
    return gitml.run([*program(), "register", asset, source], [*program(), "push"], cwd=gitml.repo)


def _objects(bucket: Bucket, place: Place) -> int:
    """Packs and segments."""
    return len(bucket.objects(place, "packs/")) + len(bucket.objects(place, "segments/"))


@on_server
def register_small(context: Context, bucket: Bucket) -> Outcome:
    """Many small files into an empty store."""
    source = context.folder / "small"
    small_files(source, context.sizes, seed=1)
    same = context.folder / "same.bin"
    large_file(same, context.sizes.files * context.sizes.file_bytes, seed=1)
    fresh = _Fresh(context, bucket, source)
    times = compare(
        {
            **fresh.gitml(lambda gitml: _register_and_push(gitml, "datasets/small", source)),
            **fresh.restic(),
            **fresh.plain(same),
            **fresh.dvc(),
        },
        context.sizes.remote_rounds,
    )
    bucket.empty()
    place = bucket.place("counted")
    with place.metered() as (behind, proxy):
        gitml = context.gitml(behind)
        proxy.log.clear()
        _register_and_push(gitml, "datasets/small", source)
    beside = len(proxy.log) - _objects(bucket, place)
    return Outcome(
        checks=[
            Check(what="`dvc add` + `dvc push`", limit=1 / 20, measured=ratio(times, "gitml", "dvc")),
            Check(what="`restic backup`", limit=1.0, measured=ratio(times, "gitml", "restic")),
            Check(what="requests beside packs and segments", limit=6, measured=beside, unit="requests"),
        ],
        times=times,
        figures={"requests": str(len(proxy.log)), "by plain PUT": _times(ratio(times, "gitml", "plain PUT"))},
    )


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ×"


@dataclass(slots=True)
class _Stored:
    """Contents that every contestant has stored once, and places in a new folder round after round."""

    context: Context
    bucket: Bucket
    source: Path
    asset: str
    expected: dict[str, str]

    def gitml(self) -> tuple[Gitml, Place, dict[str, Case]]:
        place = self.bucket.place("gitml")
        gitml = self.context.gitml(place)
        _register_and_push(gitml, self.asset, self.source)
        clone = gitml.folder / "clone"
        case = Case(
            prepare=lambda: fresh_clone(gitml),
            command=lambda: gitml.gitml("get", self.asset, cwd=clone),
            inspect=lambda: expect_version(clone / self.asset / "1", self.expected),
        )
        return gitml, place, {"gitml": case}

    def restic(self) -> dict[str, Case]:
        restic = self.context.restic(self.bucket.place("restic"))
        if restic is None:
            return {}
        restic.backup(self.source)
        target = restic.folder / "restored"

        def prepare() -> None:
            restic.forget_caches()
            remove(target)

        case = Case(
            prepare=prepare,
            command=lambda: restic.restore(target),
            inspect=lambda: expect(target / self.source.name, self.expected),
        )
        return {"restic": case}

    def dvc(self) -> dict[str, Case]:
        dvc = self.context.dvc(self.bucket.place("dvc")) if self.context.peers.dvc_s3 else None
        if dvc is None:
            return {}
        shutil.copytree(self.source, dvc.repo / "contents")
        dvc.add_and_commit("contents")
        dvc.dvc("push", "-q")
        dvc.run(["git", "push", "-q", "origin", "HEAD"], cwd=dvc.repo)
        remove(dvc.repo)
        clone = dvc.folder / "clone"
        case = Case(
            prepare=lambda: dvc.clone("clone"),
            command=lambda: dvc.dvc("pull", "-q", cwd=clone),
            inspect=lambda: expect(clone / "contents", self.expected),
            most_rounds=1,
        )
        return {"dvc": case}

    def plain(self, file: Path) -> dict[str, Case]:
        plain = _Plain(self.context.folder / "plain", self.bucket.place("plain"))
        plain.call("put", file)
        target = plain.folder / "fetched"
        return {
            "plain GET": Case(prepare=lambda: remove(target), command=lambda: plain.call("get", target)),
            "plain GET to nowhere": Case(command=lambda: plain.call("get", "-")),
        }


def fresh_clone(gitml: Gitml) -> Path:
    """A clone on a machine that has never seen the data."""
    gitml.forget_caches()
    return gitml.clone("clone")


@on_server
def get_small(context: Context, bucket: Bucket) -> Outcome:
    """Many small files into a fresh clone."""
    source = context.folder / "small"
    small_files(source, context.sizes, seed=1)
    stored = _Stored(context, bucket, source, "datasets/small", listing(source))
    gitml, place, cases = stored.gitml()
    times = compare({**cases, **stored.restic(), **stored.dvc()}, context.sizes.remote_rounds)
    with place.metered() as (behind, proxy):
        gitml.reach(behind)
        gitml.gitml("get", "datasets/small", cwd=fresh_clone(gitml))
    beside = len(proxy.log) - _objects(bucket, place)
    return Outcome(
        checks=[
            Check(what="`dvc pull`", limit=1 / 15, measured=ratio(times, "gitml", "dvc")),
            Check(what="`restic restore`", limit=1.0, measured=ratio(times, "gitml", "restic")),
            Check(what="requests beside packs and segments", limit=3, measured=beside, unit="requests"),
        ],
        times=times,
        figures={"requests": str(len(proxy.log))},
    )


@on_server
def large(context: Context, bucket: Bucket) -> Outcome:
    """One large file to a store and back, by what the SDK and the hashing alone take."""
    folder, rounds = context.folder / "large", context.sizes.remote_rounds
    source = folder / "weights.bin"
    large_file(source, context.sizes.large_bytes, seed=1)
    world = World(context.folder / "world")
    hashing = {
        "sha256": Case(command=lambda: world.run([sys.executable, "-c", _HASH, source]), warm=[source])
    }
    fresh = _Fresh(context, bucket, source)
    there = compare(
        {
            **fresh.gitml(lambda gitml: gitml.gitml("register", "models/large", source)),
            **fresh.plain(source),
            **hashing,
            **fresh.restic(),
            **fresh.dvc(),
        },
        rounds,
    )
    bucket.empty()
    stored = _Stored(context, bucket, folder, "models/large", listing(folder))
    _, _, cases = stored.gitml()
    back = compare({**cases, **stored.plain(source), **stored.restic(), **stored.dvc()}, rounds)
    extra_bytes = max(run.written_bytes for run in there["gitml"].runs)
    peak_bytes = max(there["gitml"].peak_bytes, back["gitml"].peak_bytes)
    sha = there["sha256"]
    return Outcome(
        checks=[
            *_by_plain("to S3", there["gitml"], there["plain PUT"], sha),
            *_by_plain("from S3", back["gitml"], back["plain GET"], sha),
            Check(what="memory", limit=250, measured=peak_bytes / 1e6, unit="MB"),
            Check(
                what="disk that `register` writes to, one pack for each worker",
                limit=WORKERS * PACK_BYTES / MIB,
                measured=extra_bytes / MIB,
                unit="MiB",
            ),
        ],
        times={f"to: {who}": found for who, found in there.items()}
        | {f"from: {who}": found for who, found in back.items()},
        figures={
            f"processor, {way} {who}": f"{found.cpu_s:.2f} s"
            for way, times in (("to:", there), ("from:", back))
            for who, found in times.items()
        },
    )


def _by_plain(way: str, ours: Measured, plain: Measured, sha: Measured) -> list[Check]:
    return [
        Check(
            what=f"{way}: plain transfer + sha256",
            limit=1.3,
            measured=ours.median_s / (plain.median_s + sha.median_s),
        ),
        Check(
            what=f"{way}: the same, processor time of the client",
            limit=1.3,
            measured=ours.cpu_s / (plain.cpu_s + sha.cpu_s),
        ),
    ]


@on_server
def next_large(context: Context, bucket: Bucket) -> Outcome:
    """The next versions of one large file."""
    sizes, source = context.sizes, context.folder / "large" / "weights.bin"
    large_file(source, sizes.large_bytes, seed=1)
    following = source.with_name("next")
    place = bucket.place("gitml")
    gitml, restic = context.gitml(place), context.restic(bucket.place("restic"))

    def grow(seed: int) -> None:
        next_large_file(source, following, sizes, seed)
        following.replace(source)

    def register() -> Run:
        return gitml.gitml("register", "models/large", source)

    register()
    if restic:
        restic.backup(source)
    runs: dict[str, list[Run]] = {}
    for seed in range(sizes.remote_rounds):
        grow(seed)
        runs.setdefault("gitml", []).append(register())
        if restic:
            runs.setdefault("restic", []).append(restic.backup(source))
    times = {name: Measured(runs=tuple(found)) for name, found in runs.items()}
    counted: dict[str, int] = {}
    sent: list[float] = []
    for name in ("cached", "cold"):
        grow(sizes.remote_rounds + len(sent))
        packs = len(bucket.objects(place, "packs/"))
        if name == "cold":
            forget_all(gitml)
        with place.metered() as (behind, proxy):
            gitml.reach(behind)
            register()
        counted[name] = len(proxy.log)
        sent.append(proxy.sent_bytes / MIB)
    return Outcome(
        checks=[
            Check(what="bytes sent", limit=1.4, measured=statistics.mean(sent), unit="MiB"),
            Check(what="requests, footers cached", limit=8, measured=counted["cached"], unit="requests"),
            Check(
                what="requests, nothing cached", limit=8 + packs, measured=counted["cold"], unit="requests"
            ),
            Check(what="`restic backup`", limit=0.6, measured=ratio(times, "gitml", "restic")),
        ],
        times=times,
        figures={f"processor, {who}": f"{found.cpu_s:.2f} s" for who, found in times.items()},
    )


def forget_all(gitml: Gitml) -> None:
    """Drop what the clone and the user keep of a store, but not that it is trusted."""
    gitml.forget_caches()
    remove(gitml.repo / ".git" / "gitml" / "cache")
