"""Rows on registering: how long it takes, and by how much the store grows."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.context import Context
from tests.bench.material import MIB, change_small_files, large_file, next_large_file, small_files
from tests.bench.measure import Case, Run, compare, ratio, remove
from tests.bench.report import Check, Outcome
from tests.bench.tools import Dvc, Gitml, Restic


class _Fresh:
    """Contestants that start every round with an empty store."""

    def __init__(self, context: Context, source: Path) -> None:
        self.context, self.source = context, source
        self.tools: dict[str, Gitml | Dvc | Restic] = {}

    def gitml(self, asset: str) -> Case:
        return Case(
            prepare=lambda: self._set("gitml", self.context.gitml()),
            command=lambda: self.tools["gitml"].gitml("register", asset, self.source),
            warm=[self.source],
        )

    def dvc(self, command: Callable[[Dvc, str], Run]) -> dict[str, Case]:
        """Registers a copy in its own work tree, as it wants it."""
        if not self.context.peers.dvc:
            return {}

        def prepare() -> None:
            dvc = self.context.dvc()
            copy = dvc.repo / self.source.name
            shutil.copytree(self.source, copy) if self.source.is_dir() else shutil.copy2(self.source, copy)
            self._set("dvc", dvc)

        return {"dvc": Case(prepare=prepare, command=lambda: command(self.tools["dvc"], self.source.name))}

    def restic(self) -> dict[str, Case]:
        if not self.context.peers.restic:
            return {}
        return {
            "restic": Case(
                prepare=lambda: self._set("restic", self.context.restic()),
                command=lambda: self.tools["restic"].backup(self.source),
                warm=[self.source],
            )
        }

    def _set(self, name: str, tool: Gitml | Dvc | Restic) -> None:
        self.tools[name] = tool


def register_small(context: Context) -> Outcome:
    """Many small files into an empty store."""
    source = context.folder / "small"
    small_files(source, context.sizes, seed=1)
    fresh = _Fresh(context, source)
    times = compare(
        {
            "gitml": fresh.gitml("datasets/small"),
            **fresh.dvc(lambda dvc, path: dvc.add_and_commit(path)),
            **fresh.restic(),
        },
        context.sizes.rounds,
    )
    return Outcome(
        checks=[
            Check(what="`dvc add` + commit", limit=1 / 8, measured=ratio(times, "gitml", "dvc")),
            Check(what="`restic backup`", limit=0.8, measured=ratio(times, "gitml", "restic")),
        ],
        times=times,
    )


def register_large(context: Context) -> Outcome:
    """One large file into an empty store, with a plain durable copy right beside it."""
    source = context.folder / "large" / "weights.bin"
    large_file(source, context.sizes.large_bytes, seed=1)
    copy = context.folder / "copy.bin"
    fresh = _Fresh(context, source)

    def add_and_push(dvc: Dvc, path: str) -> Run:
        return dvc.run([dvc.executable, "add", "-q", path], [dvc.executable, "push", "-q"], cwd=dvc.repo)

    def copy_and_sync() -> Run:
        return fresh.tools["gitml"].run(["cp", source, copy], ["sync"])

    times = compare(
        {
            "gitml": fresh.gitml("models/large"),
            "cp + sync": Case(prepare=lambda: remove(copy), command=copy_and_sync, warm=[source]),
            **fresh.dvc(add_and_push),
            **fresh.restic(),
        },
        context.sizes.rounds,
    )
    return Outcome(
        checks=[
            Check(what="`cp` + `sync`", limit=1.6, measured=ratio(times, "gitml", "cp + sync")),
            Check(what="`restic backup`", limit=0.7, measured=ratio(times, "gitml", "restic")),
            Check(
                what="`dvc add` + `dvc push` to a folder", limit=1.0, measured=ratio(times, "gitml", "dvc")
            ),
        ],
        times=times,
    )


def growth_large(context: Context) -> Outcome:
    """By how much the store grows with the next version of a large file."""
    sizes = context.sizes
    grown: dict[str, list[int]] = {}
    for seed in range(sizes.growth_seeds):
        first, second, current = (
            context.folder / "large" / name for name in ("first", "second", "weights.bin")
        )
        large_file(first, sizes.large_bytes, seed)
        next_large_file(first, second, sizes, seed)
        for name, keeper in _keepers(context, "models/large", peers=seed < sizes.peer_seeds).items():
            first.rename(current)
            keeper.keep("first", current)
            before = keeper.stored_bytes()
            current.rename(first)
            second.rename(current)
            keeper.keep("second", current)
            grown.setdefault(name, []).append(keeper.stored_bytes() - before)
            current.rename(second)
    least = sizes.inserted_bytes + sizes.appended_bytes
    medians = {name: statistics.median(found) / MIB for name, found in grown.items()}
    figures = {name: f"{found:.2f} MiB" for name, found in medians.items()}
    return Outcome(
        checks=[Check(what="growth, median of the seeds", limit=1.4, measured=medians["gitml"], unit="MiB")],
        figures=figures | {"least possible": f"{least / MIB:.2f} MiB"},
    )


@dataclass(frozen=True, slots=True)
class _Keeper:
    """A contestant that is asked for the size of its store only."""

    keep: Callable[[str, Path], object]
    stored_bytes: Callable[[], int]


def _keepers(context: Context, asset: str, *, peers: bool, gitml: bool = True) -> dict[str, _Keeper]:
    found = {}
    if gitml:
        ours = context.gitml()
        found["gitml"] = _Keeper(lambda _, path: ours.gitml("register", asset, path), ours.stored_bytes)
    if peers and (restic := context.restic()):
        found["restic"] = _Keeper(lambda _, path: restic.backup(path), restic.stored_bytes)
    if peers and (borg := context.borg()):
        found["borg"] = _Keeper(borg.create, borg.stored_bytes)
    return found


def next_small(context: Context) -> Outcome:
    """The next version of many small files: growth of the store, and time."""
    sizes, source = context.sizes, context.folder / "small"
    tools: dict[str, Gitml | Dvc] = {}
    before: dict[str, int] = {}
    grown: dict[str, int] = {}
    changed: list[int] = []

    def reset() -> None:
        remove(source)
        small_files(source, sizes, seed=1)

    def change(folder: Path) -> None:
        changed.append(change_small_files(folder, sizes, seed=2))

    def prepare_gitml() -> None:
        reset()
        tools["gitml"] = gitml = context.gitml()
        gitml.gitml("register", "datasets/small", source)
        before["gitml"] = gitml.stored_bytes()
        change(source)

    def inspect_gitml() -> None:
        grown["gitml"] = tools["gitml"].stored_bytes() - before["gitml"]

    def prepare_dvc() -> None:
        tools["dvc"] = dvc = context.dvc()
        small_files(dvc.repo / "small", sizes, seed=1)
        dvc.add_and_commit("small")
        before["dvc"] = dvc.cached_bytes()
        change(dvc.repo / "small")

    def inspect_dvc() -> None:
        grown["dvc"] = tools["dvc"].cached_bytes() - before["dvc"]

    cases = {
        "gitml": Case(
            prepare=prepare_gitml,
            command=lambda: tools["gitml"].gitml("register", "datasets/small", source),
            inspect=inspect_gitml,
            warm=[source],
        )
    }
    if context.peers.dvc:
        cases["dvc"] = Case(
            prepare=prepare_dvc, command=lambda: tools["dvc"].dvc("add", "-q", "small"), inspect=inspect_dvc
        )
    times = compare(cases, sizes.rounds)
    for name, keeper in _keepers(context, "datasets/small", peers=True, gitml=False).items():
        reset()
        keeper.keep("first", source)
        before[name] = keeper.stored_bytes()
        change(source)
        keeper.keep("second", source)
        grown[name] = keeper.stored_bytes() - before[name]
    return Outcome(
        checks=[
            Check(
                what="growth, in changed and added bytes", limit=1.35, measured=grown["gitml"] / changed[0]
            ),
            Check(what="`dvc add`", limit=0.5, measured=ratio(times, "gitml", "dvc")),
        ],
        times=times,
        figures={f"growth {name}": f"{size / changed[0]:.2f} ×" for name, size in grown.items()},
    )
