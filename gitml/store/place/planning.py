"""What placing a tree into a folder would do: reads the folder, changes nothing.

A file that already has the right bytes is kept. A file is replaced or removed only where GitML placed it and nobody
changed it since; whatever else is in the way is `blocked`, and the plan cannot be executed (unless it was forced).
"""

from __future__ import annotations

import os
import stat as stat_module
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gitml.errors import InvalidInput
from gitml.store.place.filecache import FileCache
from gitml.store.place.folders import Folders, NotAFolder, is_temporary, kind_of, translated
from gitml.store.place.hashing import hash_file
from gitml.store.read.entries import Entries, FileEntry

_Stamp = tuple[int, int, int, int]


class HasEntries(Protocol):
    """A tree whose files can be listed in path order."""

    def entries(self) -> Iterator[FileEntry]:
        """Every file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Something that is in the way, and that GitML did not place or somebody changed."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePlan:
    """What :func:`place` will do.

    Args:
        write: Files to write, in path order.
        keep: Files that are right already.
        remove: Files of an earlier placement that the tree does not have.
        left: Files of an earlier placement that the tree does not have and that somebody changed: they stay.
        blocked: What is in the way; not empty means that nothing will be done.
        prior: Stat of each file that is to be replaced or removed, so that a change in between is noticed.
        leftovers: Temporary files of a placement that was killed.
        clear: Links and files to remove because a folder must be there; only where it was forced.
        hollow: Folders without files to remove, in the end, because a file must be there.
    """

    destination: Path
    write: Entries
    keep: int
    remove: tuple[str, ...]
    blocked: tuple[Blocked, ...]
    write_bytes: int
    left: tuple[str, ...] = ()
    trusted: Path | None = None
    force: bool = False
    prior: dict[str, _Stamp] = field(default_factory=dict, repr=False)
    leftovers: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    hollow: tuple[str, ...] = ()


def stamp_of(stat: os.stat_result) -> _Stamp:
    """The part of a stat that changes when a file does."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def plan_placement(
    reader: HasEntries,
    destination: Path,
    cache: FileCache,
    *,
    select: Callable[[str], bool] | None = None,
    entries: Iterable[FileEntry] | None = None,
    force: bool = False,
    trusted: Path | None = None,
) -> PlacePlan:
    """Compare a folder with a tree.

    Args:
        destination: The folder; it need not exist.
        cache: What is known of the files in it. Digests found on the way are added in memory.
        select: Which paths of the tree are wanted; what was placed at other paths is left alone.
        entries: Files of the tree among which are all that are wanted; None looks at all of them.
        force: Replace what is in the way. A folder that holds other files is never replaced.
        trusted: Where `destination` lies in a folder that others write to (a repository), that folder: components
            between the two are then not followed where they are symbolic links.

    Raises:
        InvalidInput: A name that this system cannot hold.
        AccessDenied: A folder or file cannot be read.
    """
    listed = reader.entries() if entries is None else entries
    wanted = Entries(entry for entry in listed if select is None or select(entry.path))
    if os.name == "nt":
        _refuse_windows_names(wanted.paths)
    planner = _Planner(cache, wanted.paths, force=force)
    expected = set(wanted.paths) if any(cache.paths()) else frozenset[str]()
    placed = [p for p in cache.paths() if p not in expected and (select is None or select(p))]
    del expected
    try:
        folders = Folders(destination, trusted=trusted)
    except FileNotFoundError:
        planner.write = wanted
    except NotAFolder as error:
        planner.blocked.append(Blocked(path=error.path, reason=f"{error.what} is where the folder must be"))
    except OSError as error:
        raise translated(error, str(destination), "open") from error
    else:
        with folders:
            planner.compare(folders, wanted, placed)
    return planner.result(destination, trusted)


class _Planner:
    """Collects the parts of a plan."""

    def __init__(self, cache: FileCache, expected: Collection[str], *, force: bool) -> None:
        self.cache = cache
        self.force = force
        self.write = Entries()
        self.remove: list[str] = []
        self.left: list[str] = []
        self.keep = 0
        self.blocked: list[Blocked] = []
        self.prior: dict[str, _Stamp] = {}
        self.leftovers: list[str] = []
        self.clear: list[str] = []
        self.hollow: list[str] = []
        self._expected = expected
        self._hashing_since_ns = 0

    def compare(self, folders: Folders, wanted: Entries, placed: list[str]) -> None:
        for folder, numbers in _by_folder(placed):
            listing = self._listing(folders, folder)
            for number in numbers:
                self._judge_surplus(folders, folder, placed[number], listing)
        gone = set(self.remove)
        for folder, numbers in _by_folder(wanted.paths):
            listing = self._listing(folders, folder, gone=gone)
            if listing is None:
                continue
            for number in numbers:
                entry = wanted[number]
                if entry.path[len(folder) + 1 if folder else 0 :] in listing:
                    self._judge(folders, folder, entry, gone)
                else:
                    self.write.append(entry)

    def result(self, destination: Path, trusted: Path | None) -> PlacePlan:
        return PlacePlan(
            destination=destination,
            write=self.write,
            keep=self.keep,
            remove=tuple(self.remove),
            blocked=tuple(self.blocked),
            write_bytes=self.write.size_bytes,
            left=tuple(self.left),
            trusted=trusted,
            force=self.force,
            prior=self.prior,
            leftovers=tuple(dict.fromkeys(self.leftovers)),
            clear=tuple(self.clear),
            hollow=tuple(self.hollow),
        )

    def _listing(
        self, folders: Folders, folder: str, *, gone: Collection[str] | None = None
    ) -> set[str] | None:
        """Names in a folder; empty if it does not exist or will be made, None if it is blocked (noted once)."""
        try:
            descriptor = folders.open(folder)
            listing = set(os.listdir(descriptor))  # noqa: PTH208, by descriptor
        except FileNotFoundError:
            return set()
        except NotAFolder as error:
            if gone is None or error.path in gone:
                return set()
            if self.force:
                if error.path not in self.clear:
                    self.clear.append(error.path)
                return set()
            blocked = Blocked(path=error.path, reason=f"{error.what} is where a folder must be")
            if blocked not in self.blocked[-1:]:
                self.blocked.append(blocked)
            return None
        except OSError as error:
            raise translated(error, folder or ".", "list") from error
        for name in listing:
            if is_temporary(name):
                path = f"{folder}/{name}" if folder else name
                if path not in self._expected and stat_module.S_ISREG(_lstat(folders, path).st_mode):
                    self.leftovers.append(path)
        return listing

    def _judge_surplus(self, folders: Folders, folder: str, path: str, listing: set[str] | None) -> None:
        if path.rpartition("/")[2] not in (listing or ()) or not self.cache.wrote(path):
            return
        stat = _lstat(folders, path)
        if not stat_module.S_ISREG(stat.st_mode):
            return
        digest = self._digest(folders, folder, path, stat)
        if digest is not None and self.cache.may_replace(path, digest):
            self.remove.append(path)
            self.prior[path] = stamp_of(stat)
        else:
            self.left.append(path)

    def _judge(self, folders: Folders, folder: str, entry: FileEntry, gone: Collection[str]) -> None:
        path = entry.path
        stat = _lstat(folders, path)
        if stat_module.S_ISREG(stat.st_mode):
            digest = None
            if stat.st_size == entry.size_bytes or self.cache.wrote(path):
                digest = self._digest(folders, folder, path, stat)
            if digest == entry.digest:
                self.keep += 1
                if self.cache.expected(path) != digest:
                    self.cache.place(path, stat, digest, ours=self.cache.may_replace(path, digest))
                    if max(stat.st_mtime_ns, stat.st_ctime_ns) >= self._hashing_since_ns:
                        self.cache.doubt(path)
                return
            if self.force or (digest is not None and self.cache.may_replace(path, digest)):
                self.prior[path] = stamp_of(stat)
                self.write.append(entry)
            else:
                ours = self.cache.wrote(path)
                reason = "it was changed since it was placed" if ours else "another file is there"
                self.blocked.append(Blocked(path=path, reason=reason))
        elif stat_module.S_ISDIR(stat.st_mode):
            if self._will_be_empty(folders, path, gone):
                self.hollow.append(path)
                self.write.append(entry)
            else:
                self.blocked.append(Blocked(path=path, reason="a folder with other files is there"))
        elif self.force:
            self.prior[path] = stamp_of(stat)
            self.write.append(entry)
        else:
            self.blocked.append(Blocked(path=path, reason=f"{kind_of(stat.st_mode)} is there"))

    def _will_be_empty(self, folders: Folders, folder: str, gone: Collection[str]) -> bool:
        for name in os.listdir(folders.open(folder)):  # noqa: PTH208, by descriptor
            path = f"{folder}/{name}"
            if stat_module.S_ISDIR(_lstat(folders, path).st_mode):
                if not self._will_be_empty(folders, path, gone):
                    return False
            elif path not in gone and path not in self.leftovers:
                return False
        return True

    def _digest(self, folders: Folders, folder: str, path: str, stat: os.stat_result) -> bytes | None:
        known = self.cache.known(path, stat)
        if known is not None:
            return known
        self._hashing_since_ns = self._hashing_since_ns or self.cache.now_ns()
        try:
            hashed = hash_file(path.rpartition("/")[2], folders.open(folder))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translated(error, path, "read") from error
        if hashed is None:
            return None
        digest, seen = hashed
        self.cache.observe(path, seen, digest)
        if max(seen.st_mtime_ns, seen.st_ctime_ns) >= self._hashing_since_ns:
            self.cache.doubt(path)
        return digest


def _lstat(folders: Folders, path: str) -> os.stat_result:
    parent, _, name = path.rpartition("/")
    return os.stat(name, dir_fd=folders.open(parent), follow_symlinks=False)


def _by_folder(paths: Iterable[str]) -> Iterator[tuple[str, array[int]]]:
    """Numbers of paths by the folder that they lie in, folders in the order in which they are first met."""
    groups: dict[str, array[int]] = {}
    for number, path in enumerate(paths):
        folder = path.rpartition("/")[0]
        group = groups.get(folder)
        if group is None:
            group = groups[folder] = array("I")
        group.append(number)
    yield from groups.items()


def _refuse_windows_names(paths: Iterable[str]) -> None:
    from gitml.model.paths import windows_problem

    for path in paths:
        problem = windows_problem(path)
        if problem is not None:
            raise InvalidInput(
                f"{path} cannot be placed on Windows: {problem}",
                code="windows-name",
                hint=f"leave it out with --exclude {path!r}",
                context={"path": path},
            )
