"""Rows on placing contents: in a fresh clone, over another version; and on finding out that nothing changed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.bench.context import Context
from tests.bench.material import change_small_files, large_file, listing, small_files
from tests.bench.measure import Case, Measured, compare, ratio, remove
from tests.bench.report import Check, Outcome
from tests.bench.tools import Dvc, Gitml, Restic


class ContentsError(Exception):
    """A program placed other files than were stored."""


def expect(folder: Path, expected: dict[str, str]) -> None:
    if listing(folder) != expected:
        raise ContentsError(str(folder))


def _fresh_clones(context: Context, source: Path, asset: str) -> dict[str, Measured]:
    """Everybody stores `source` once and places it in a new folder, round after round."""
    expected = listing(source)
    gitml = context.gitml()
    gitml.gitml("register", asset, source)
    gitml.gitml("push")
    placed: dict[str, Path] = {}

    def clone() -> None:
        gitml.forget_caches()
        placed["gitml"] = gitml.clone("clone")

    cases = {
        "gitml": Case(
            prepare=clone,
            command=lambda: gitml.gitml("get", asset, cwd=placed["gitml"]),
            inspect=lambda: expect_version(placed["gitml"] / asset / "1", expected),
            warm=[gitml.store],
        )
    }
    tarball, untarred = context.folder / "contents.tar", context.folder / "untarred"
    gitml.run(["tar", "-C", source, "-cf", tarball, "."])

    def empty_folder() -> None:
        remove(untarred)
        untarred.mkdir()

    cases["tar x"] = Case(
        prepare=empty_folder,
        command=lambda: gitml.run(["tar", "-C", untarred, "-xf", tarball]),
        inspect=lambda: expect(untarred, expected),
        warm=[tarball],
    )
    if dvc := context.dvc():
        cases["dvc"] = _dvc_pull(dvc, source, expected)
    if restic := context.restic():
        cases["restic"] = _restic_restore(restic, source, expected)
    return compare(cases, context.sizes.rounds)


def expect_version(folder: Path, expected: dict[str, str]) -> None:
    found = listing(folder)
    found.pop("asset.yaml")
    if found != expected:
        raise ContentsError(str(folder))


def _dvc_pull(dvc: Dvc, source: Path, expected: dict[str, str]) -> Case:
    shutil.copytree(source, dvc.repo / "contents")
    dvc.add_and_commit("contents")
    dvc.dvc("push", "-q")
    dvc.run(["git", "push", "-q", "origin", "HEAD"], cwd=dvc.repo)
    remove(dvc.repo)
    clone = dvc.folder / "clone"
    return Case(
        prepare=lambda: _point_at(dvc, dvc.clone("clone")),
        command=lambda: dvc.dvc("pull", "-q", cwd=clone),
        inspect=lambda: expect(clone / "contents", expected),
        warm=[dvc.store],
    )


def _point_at(dvc: Dvc, clone: Path) -> None:
    dvc.dvc("remote", "modify", "-q", "--local", "folder", "url", dvc.store, cwd=clone)


def _restic_restore(restic: Restic, source: Path, expected: dict[str, str]) -> Case:
    restic.backup(source)
    target = restic.folder / "restored"

    def prepare() -> None:
        restic.forget_caches()
        remove(target)

    return Case(
        prepare=prepare,
        command=lambda: restic.restore(target),
        inspect=lambda: expect(target / source.name, expected),
        warm=[restic.store],
    )


def get_small(context: Context) -> Outcome:
    """Many small files into a fresh clone."""
    source = context.folder / "small"
    small_files(source, context.sizes, seed=1)
    times = _fresh_clones(context, source, "datasets/small")
    return Outcome(
        checks=[
            Check(what="`tar x`", limit=2.0, measured=ratio(times, "gitml", "tar x")),
            Check(what="`dvc pull`", limit=0.2, measured=ratio(times, "gitml", "dvc")),
        ],
        times=times,
    )


def get_large(context: Context) -> Outcome:
    """One large file into a fresh clone."""
    source = context.folder / "large"
    large_file(source / "weights.bin", context.sizes.large_bytes, seed=1)
    times = _fresh_clones(context, source, "models/large")
    return Outcome(
        checks=[
            Check(what="`tar x`", limit=2.0, measured=ratio(times, "gitml", "tar x")),
            Check(what="`restic restore`", limit=1.0, measured=ratio(times, "gitml", "restic")),
            Check(what="`dvc pull`", limit=1.0, measured=ratio(times, "gitml", "dvc")),
        ],
        times=times,
    )


def get_over(context: Context) -> Outcome:
    """Another version over the one that is there."""
    sizes, source = context.sizes, context.folder / "small"
    small_files(source, sizes, seed=1)
    first = listing(source)
    gitml = context.gitml()
    gitml.gitml("register", "datasets/small", source)
    dvc = context.dvc()
    if dvc:
        shutil.copytree(source, dvc.repo / "contents")
        dvc.add_and_commit("contents")
        dvc.run(["git", "tag", "first"], cwd=dvc.repo)
    change_small_files(source, sizes, seed=2)
    second = listing(source)
    gitml.gitml("register", "datasets/small", source)
    if dvc:
        change_small_files(dvc.repo / "contents", sizes, seed=2)
        dvc.add_and_commit("contents")
        dvc.run(["git", "tag", "second"], cwd=dvc.repo)
    placed = gitml.folder / "placed"
    stamps: dict[str, tuple[int, int]] = {}
    rewritten: list[int] = []

    def place_first() -> None:
        gitml.gitml("get", "datasets/small@1", "-o", placed)
        stamps.clear()
        stamps.update(_stamps(placed))

    def inspect() -> None:
        expect(placed, second)
        new = {path for path in second if first.get(path) != second[path]}
        now = _stamps(placed)
        rewritten.append(sum(stamps[path] != now[path] for path in second if path not in new))

    def check_out_first() -> None:
        dvc.run(["git", "checkout", "-q", "first"], cwd=dvc.repo)
        dvc.dvc("checkout", "-q")
        dvc.run(["git", "checkout", "-q", "second"], cwd=dvc.repo)

    cases = {
        "gitml": Case(
            prepare=place_first,
            command=lambda: gitml.gitml("get", "datasets/small@2", "-o", placed),
            inspect=inspect,
            warm=[gitml.store],
        )
    }
    if dvc:
        cases["dvc"] = Case(
            prepare=check_out_first,
            command=lambda: dvc.dvc("checkout", "-q"),
            inspect=lambda: expect(dvc.repo / "contents", second),
            warm=[dvc.repo / ".dvc" / "cache"],
        )
    times = compare(cases, sizes.rounds)
    return Outcome(
        checks=[
            Check(what="`dvc checkout`", limit=1 / 3, measured=ratio(times, "gitml", "dvc")),
            Check(what="equal files written again", limit=0, measured=max(rewritten), unit="files"),
        ],
        times=times,
    )


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = (stat.st_ino, stat.st_mtime_ns)
    return found


def status(context: Context) -> Outcome:
    """Nothing changed: with many files placed, and in an empty repository."""
    sizes = context.sizes
    gitml_full, gitml_empty = Gitml(context.folder / "gitml"), Gitml(context.folder / "gitml-empty")
    source = context.folder / "small"
    small_files(source, sizes, seed=1)
    gitml_full.gitml("register", "datasets/small", source)
    gitml_full.gitml("get", "datasets/small")
    cases = {"gitml": Case(command=lambda: gitml_full.gitml("status"))}
    empty = {"gitml, empty": Case(command=lambda: gitml_empty.gitml("status"))}
    if executable := context.peers.dvc:
        dvc_full, dvc_empty = (
            Dvc(context.folder / "dvc", executable),
            Dvc(context.folder / "dvc-empty", executable),
        )
        shutil.copytree(source, dvc_full.repo / "small")
        dvc_full.add_and_commit("small")
        cases["dvc"] = Case(command=lambda: dvc_full.dvc("status", "-q"))
        empty["dvc, empty"] = Case(command=lambda: dvc_empty.dvc("status", "-q"))
    compare(cases, 1)  # both may write down what they have seen
    times = compare(cases | empty, sizes.rounds)
    opened = _contents_opened(gitml_full)
    return Outcome(
        checks=[
            Check(what="`dvc status`", limit=0.25, measured=ratio(times, "gitml", "dvc")),
            Check(what="`dvc status`, empty", limit=0.5, measured=ratio(times, "gitml, empty", "dvc, empty")),
            Check(what="contents files opened", limit=0, measured=opened, unit="files"),
        ],
        times=times,
    )


def _contents_opened(gitml: Gitml) -> int | None:
    """How many of the placed files `status` opens; None where there is no strace."""
    if not shutil.which("strace"):
        return None
    with tempfile.NamedTemporaryFile() as trace:
        calls = "trace=open,openat,openat2"
        gitml.run(["strace", "-f", "-q", "-e", calls, "-o", trace.name, *_status_words()], cwd=gitml.repo)
        return len(re.findall(rb'open[at2]*\([^"]*"[^"]*\d{6}\.bin"', trace.read()))


def _status_words() -> list[str]:
    from tests.bench.tools import program

    return [*program(), "status"]
