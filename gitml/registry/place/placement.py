"""Place a version's contents in a folder; what is remembered of it is :mod:`gitml.registry.place.placed`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml.errors import Conflict, NoSpace, NotFound, UsageError
from gitml.model.names import VersionId
from gitml.model.paths import glob_matcher
from gitml.model.shown import size
from gitml.model.typed import typed_path
from gitml.registry.external.contents import contents_of
from gitml.registry.place.placed import Record, cache_path, remember
from gitml.registry.resolve import Resolved, resolve
from gitml.registry.workspace import Workspace
from gitml.store.external.referenced import ReferencedTree
from gitml.store.place.filecache import FileCache
from gitml.store.place.placing import PlacePlan, place, plan_placement
from gitml.store.read.entries import FileEntry
from gitml.store.read.reader import TreeReader

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementPlan:
    """What `get` would do.

    Attributes:
        write, keep, remove: Numbers of files.
        write_bytes: Bytes that would be read from the store and written.
        blocked: Files in the way, with the reason.
    """

    write: int
    keep: int
    remove: int
    write_bytes: int
    blocked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What `get` did.

    Attributes:
        ref: The version.
        digest: Tree digest of its contents.
        commit: Commit that the reference was read from.
        destination: Folder that has the contents now.
        written, kept, removed: Numbers of files.
        written_bytes: Bytes written.
        plan: Set on a dry run, where nothing was done.
    """

    ref: VersionId
    digest: str
    commit: str
    destination: Path
    written: int
    kept: int
    removed: int
    written_bytes: int
    plan: PlacementPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A placement that is about to be made."""

    found: Resolved
    tree: TreeReader | ReferencedTree
    destination: Path
    select: Callable[[str], bool]
    entries: Sequence[FileEntry] | None
    partial: bool


def get(
    ws: Workspace,
    ref: str,
    output: str | Path | None = None,
    *,
    rev: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
) -> Placement:
    """Place the contents of a version, verified; only what differs is written.

    Args:
        ws: The registry.
        ref: The version, or a file or folder in it (`REF:PATH`).
        output: Folder that receives the contents at its root, relative to the caller; default is
            TYPE/NAME/VERSION in the work tree.
        rev: Branch, tag or commit to read instead of HEAD.
        include, exclude: Anchored globs on paths inside the contents.
        force: Write over files that are in the way.
        dry_run: Plan only.

    Raises:
        NotFound: No such version, no such path in it, or its bytes are in no store.
        Conflict: Files that GitML did not place, or that were changed, are in the way.
        IntegrityError: Bytes in the store are wrong; nothing wrong is left in place.
        NoSpace, AccessDenied, StoreUnavailable: As the medium says.
    """
    found = resolve(ws, ref, rev=rev)
    wanted = _wanted(ws, found, output, include, exclude)
    return _place(ws, wanted, force=force, dry_run=dry_run)


def _wanted(
    ws: Workspace, found: Resolved, output: str | Path | None, include: Sequence[str], exclude: Sequence[str]
) -> _Wanted:
    tree = contents_of(ws, ws.at(found.commit).config, found.pointer)
    if output is not None:
        destination = ws.caller / typed_path(output)
    else:
        destination = ws.require_directory("placing contents without -o") / found.id.folder
    select, entries = _selection(tree, found, include, exclude)
    return _Wanted(
        found=found,
        tree=tree,
        destination=Path(os.path.abspath(destination)),  # noqa: PTH100, symbolic links stay as typed
        select=select,
        entries=entries,
        partial=bool(include or exclude or found.path),
    )


def _selection(
    tree: TreeReader | ReferencedTree, found: Resolved, include: Sequence[str], exclude: Sequence[str]
) -> tuple[Callable[[str], bool], Sequence[FileEntry] | None]:
    """Which paths are wanted; where the reference names one, the files there, found without the rest of the list."""
    matches = glob_matcher(include, exclude)
    if found.path is None:
        return matches, None
    wanted, below = found.path.rstrip("/"), found.path.rstrip("/") + "/"

    def select(path: str) -> bool:
        return (path == wanted or path.startswith(below)) and matches(path)

    entries = [entry for entry in tree.entries_below(wanted) if select(entry.path)]
    if not entries:
        raise NotFound(
            f"{found.id} has no file {found.path}",
            code="file-not-found",
            hint=f"gitml show {found.id} --files",
            context={"ref": str(found.id), "path": found.path},
        )
    return select, entries


def _place(ws: Workspace, wanted: _Wanted, *, force: bool, dry_run: bool) -> Placement:
    found = wanted.found
    cache_file = cache_path(ws, wanted.destination)
    cache = FileCache.load(cache_file)
    plan = plan_placement(
        wanted.tree,
        wanted.destination,
        cache,
        select=wanted.select,
        entries=wanted.entries,
        force=force,
        trusted=_trusted(ws, wanted.destination),
    )
    if dry_run:
        return _rehearsed(wanted, plan)
    _refuse_blocked(wanted, plan)
    _check_room(wanted.destination, plan.write_bytes)
    _exclude_from_git(ws, wanted.destination)
    # The record goes first: after a crash the files of this placement are known to be GitML's.
    remember(
        Record(
            destination=wanted.destination,
            ref=str(found.id),
            digest=str(found.pointer.contents.digest),
            partial=wanted.partial,
            cache_path=cache_file,
        )
    )
    done = place(plan, wanted.tree, cache, progress=ws.progress, jobs=ws.jobs)
    return Placement(
        ref=found.id,
        digest=str(found.pointer.contents.digest),
        commit=found.commit,
        destination=wanted.destination,
        written=done.written,
        kept=done.kept,
        removed=done.removed,
        written_bytes=done.written_bytes,
    )


def _trusted(ws: Workspace, destination: Path) -> Path | None:
    """The folder above the destination whose own path may hold symbolic links: below it, git's files could plant one."""
    top = ws.repo.top
    return top if top is not None and destination.is_relative_to(top) else None


def _rehearsed(wanted: _Wanted, plan: PlacePlan) -> Placement:
    return Placement(
        ref=wanted.found.id,
        digest=str(wanted.found.pointer.contents.digest),
        commit=wanted.found.commit,
        destination=wanted.destination,
        written=0,
        kept=plan.keep,
        removed=0,
        written_bytes=0,
        plan=PlacementPlan(
            write=len(plan.write),
            keep=plan.keep,
            remove=len(plan.remove),
            write_bytes=plan.write_bytes,
            blocked=tuple(f"{entry.path}: {entry.reason}" for entry in plan.blocked),
        ),
    )


def _refuse_blocked(wanted: _Wanted, plan: PlacePlan) -> None:
    if not plan.blocked:
        return
    shown = ", ".join(f"{entry.path} ({entry.reason})" for entry in plan.blocked[:_SHOWN])
    more = f" and {len(plan.blocked) - _SHOWN} more" if len(plan.blocked) > _SHOWN else ""
    raise Conflict(
        f"{len(plan.blocked)} file(s) in {wanted.destination} are in the way of {wanted.found.id}: {shown}{more}",
        code="files-in-the-way",
        hint="move them away, choose another folder with -o, or --force to write over them",
        context={"blocked": [{"path": entry.path, "reason": entry.reason} for entry in plan.blocked]},
    )


def _check_room(destination: Path, needed_bytes: int) -> None:
    existing = next(path for path in (destination, *destination.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise NoSpace(
            f"{destination} needs {size(needed_bytes)} and its file system has {size(free)} free",
            code="no-space",
            hint="free some space, or place the contents elsewhere with -o",
            context={"needed_bytes": needed_bytes, "free_bytes": free},
        )


def _exclude_from_git(ws: Workspace, destination: Path) -> None:
    """Keep placed contents out of `git status`; tracked files are not affected by an exclude line."""
    if ws.repo.top is None:
        return
    top = ws.repo.top.resolve()
    if not destination.is_relative_to(top):
        return
    relative = destination.relative_to(top).as_posix()
    if relative == ".":
        raise UsageError(
            "the contents would go to the top of the repository, among its own files",
            code="destination-is-repository",
            hint="-o DIR with a folder of its own",
        )
    ws.repo.set_excluded(sorted({*ws.repo.exclude_lines(), relative}))
