"""What placing a tree into a folder would do: reads the folder, changes nothing.

A file that already has the right bytes is kept. A file is replaced or removed only where GitML placed it and nobody
changed it since; whatever else is in the way is `blocked`, and the plan cannot be executed (unless it was forced).

The files of the tree and the rows of the cache come in path order and are compared as two streams, beside the folder:
in memory are the names of one folder at each depth, and what is out of the ordinary.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gitml.errors import InvalidInput
from gitml.store.place.filecache import FileCache, Row, beside, right_row
from gitml.store.place.folders import Folders, NotAFolder, is_temporary, kind_of, translated
from gitml.store.place.hashing import hash_file
from gitml.store.read.entries import FileEntry
from gitml.store.read.spool import Spool

Stamp = tuple[int, int, int, int]


class HasEntries(Protocol):
    """A tree whose files can be listed in path order."""

    def entries(self) -> Iterator[FileEntry]:
        """Every file."""


class Replacement(FileEntry, frozen=True, kw_only=True, gc=False):
    """A file to be written over another one, whose stat tells whether that was changed in between."""

    prior: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Something that is in the way, and that GitML did not place or somebody changed."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePlan:
    """What :func:`place` will do.

    Args:
        write: Files to write, in path order; a :class:`Replacement` where a file is there.
        keep: Number of files that are right already.
        remove: Files of an earlier placement that the tree does not have, in path order, with their stat.
        left: Other rows of an earlier placement that the tree does not have, in path order: there is no file, or one
            that somebody changed or made, which stays.
        blocked: What is in the way; not empty means that nothing will be done.
        learned: Rows that were found to be different from what the cache says, in path order.
        first: Files of `remove` that go before anything is written: they are where folders go, or the other way round.
        leftovers: Temporary files of a placement that was killed.
        clear: Links and files to remove because a folder must be there; only where it was forced.
        hollow: Folders without files to remove, in the end, because a file must be there.
    """

    destination: Path
    write: Sequence[FileEntry]
    keep: int
    remove: Sequence[Row]
    left: Sequence[Row]
    blocked: tuple[Blocked, ...]
    write_bytes: int
    learned: Sequence[Row] = ()
    trusted: Path | None = None
    force: bool = False
    first: frozenset[str] = frozenset()
    leftovers: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    hollow: tuple[str, ...] = ()


def stamp_of(stat: os.stat_result) -> Stamp:
    """The part of a stat that changes when a file does."""
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def parents(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first."""
    parent = path.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]


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
        cache: What is known of the files in it.
        select: Which paths of the tree are wanted; what was placed at other paths is left alone.
        entries: Files of the tree among which are all that are wanted, in path order; None looks at all of them.
        force: Replace what is in the way. A folder that holds other files is never replaced.
        trusted: Where `destination` lies in a folder that others write to (a repository), that folder: components
            between the two are then not followed where they are symbolic links.

    Raises:
        InvalidInput: A name that this system cannot hold.
        AccessDenied: A folder or file cannot be read.
        NoSpace: The plan itself finds no room for a temporary file.
    """
    wanted: Iterable[FileEntry] = reader.entries() if entries is None else entries
    if select is not None:
        wanted = _selected(wanted, select)
    if os.name == "nt":
        wanted = _possible_on_windows(wanted)
    planner = _Planner(cache, force=force)
    rows = cache.rows() if select is None else (row for row in cache.rows() if select(row.path))
    try:
        folders: Folders | None = Folders(destination, trusted=trusted)
    except FileNotFoundError:
        folders = None
    except NotAFolder as error:
        planner.blocked.append(Blocked(path=error.path, reason=f"{error.what} is where the folder must be"))
        return planner.result(destination, trusted)
    except OSError as error:
        raise translated(error, str(destination), "open") from error
    try:
        if folders is None:
            planner.write_all(wanted, rows)
        else:
            with folders:
                planner.compare(folders, wanted, rows)
    except OSError as error:
        raise translated(error, str(error.filename or "a temporary file"), "use") from error
    return planner.result(destination, trusted)


class _Listing:
    """Names in a folder; none where it does not exist, or where something else is in its place."""

    __slots__ = ("names", "obstacle")

    def __init__(self, names: set[str], obstacle: NotAFolder | None = None) -> None:
        self.names = names
        self.obstacle = obstacle


class _Planner:
    """Collects the parts of a plan."""

    def __init__(self, cache: FileCache, *, force: bool) -> None:
        self.cache = cache
        self.force = force
        scratch = cache.file.parent
        self.write: Spool[FileEntry] = Spool(Replacement, folder=scratch)
        self.write_bytes = 0
        self.remove = Spool(Row, folder=scratch)
        self.left = Spool(Row, folder=scratch)
        self.learned = Spool(Row, folder=scratch)
        self.keep = 0
        self.blocked: list[Blocked] = []
        self.first: set[str] = set()
        self.leftovers: dict[str, None] = {}
        self.clear: list[str] = []
        self.hollow: dict[str, set[str]] = {}  # folders where files go, and what is removed below each
        self._listings: dict[str, _Listing] = {}  # of the folder at hand and those it lies in
        self._removed: list[
            str
        ] = []  # each begins with the one before: others hold no path that is still to come
        self._hashing_since_ns = 0

    def write_all(self, wanted: Iterable[FileEntry], rows: Iterator[Row]) -> None:
        """Plan for a folder that does not exist."""
        for row, entry in beside(rows, wanted):
            if entry is not None:
                self._write(entry)
            elif row is not None:
                self.left.append(row)

    def compare(self, folders: Folders, wanted: Iterable[FileEntry], rows: Iterator[Row]) -> None:
        """Plan for a folder that is there."""
        for row, entry in beside(rows, wanted):
            if entry is not None:
                self._judge(folders, entry, row)
            elif row is not None:
                self._judge_surplus(folders, row)
        for folder, gone in self.hollow.items():
            if self._will_be_empty(folders, folder, gone):
                self.first |= gone
            else:
                self.blocked.append(Blocked(path=folder, reason="a folder with other files is there"))

    def result(self, destination: Path, trusted: Path | None) -> PlacePlan:
        return PlacePlan(
            destination=destination,
            write=self.write,
            keep=self.keep,
            remove=self.remove,
            left=self.left,
            blocked=tuple(self.blocked),
            write_bytes=self.write_bytes,
            learned=self.learned,
            trusted=trusted,
            force=self.force,
            first=frozenset(self.first),
            leftovers=tuple(self.leftovers),
            clear=tuple(self.clear),
            hollow=tuple(self.hollow),
        )

    def _write(self, entry: FileEntry, prior: os.stat_result | None = None) -> None:
        if prior is not None:
            entry = Replacement(
                path=entry.path, size_bytes=entry.size_bytes, digest=entry.digest, prior=stamp_of(prior)
            )
        self.write.append(entry)
        self.write_bytes += entry.size_bytes

    def _listing(self, folders: Folders, folder: str) -> _Listing:
        listing = self._listings.get(folder)
        if listing is None:
            above = set(parents(folder))
            for passed in [known for known in self._listings if known and known not in above]:
                del self._listings[passed]
            listing = self._listings[folder] = self._list(folders, folder)
        return listing

    def _list(self, folders: Folders, folder: str) -> _Listing:
        try:
            names = set(os.listdir(folders.open(folder)))  # noqa: PTH208, by descriptor
        except FileNotFoundError:
            return _Listing(set())
        except NotAFolder as error:
            return _Listing(set(), error)
        except OSError as error:
            raise translated(error, folder or ".", "list") from error
        for name in names:
            if is_temporary(name):
                path = f"{folder}/{name}" if folder else name
                stat = _lstat(folders, path)
                if stat is not None and stat_module.S_ISREG(stat.st_mode):
                    self.leftovers[path] = None
        return _Listing(names)

    def _judge_surplus(self, folders: Folders, row: Row) -> None:
        path = row.path
        folder, _, name = path.rpartition("/")
        if name in self._listing(folders, folder).names and row.written:
            stat = _lstat(folders, path)
            digest = None
            if stat is not None and stat_module.S_ISREG(stat.st_mode):
                digest = self._digest(folders, row, path, stat)[0]
            if stat is not None and digest is not None and row.may_replace(digest):
                size, mtime, ctime, inode = stamp_of(stat)
                self.remove.append(Row(path, size, mtime, ctime, inode))
                self._will_go(path)
                return
        self.left.append(row)

    def _will_go(self, path: str) -> None:
        """Note a removal for files that come where it is, or above it."""
        while self._removed and not path.startswith(self._removed[-1]):
            self._removed.pop()
        self._removed.append(path)
        if self.hollow:
            for parent in parents(path):
                if parent in self.hollow:
                    self.hollow[parent].add(path)

    def _judge(self, folders: Folders, entry: FileEntry, row: Row | None) -> None:
        path = entry.path
        folder, _, name = path.rpartition("/")
        listing = self._listing(folders, folder)
        if self.leftovers:
            self.leftovers.pop(path, None)
        if listing.obstacle is not None and not self._gives_way(listing.obstacle):
            return
        stat = _lstat(folders, path) if name in listing.names else None
        if stat is None:
            self._write(entry)
        elif stat_module.S_ISREG(stat.st_mode):
            self._judge_file(folders, entry, row, stat)
        elif stat_module.S_ISDIR(stat.st_mode):
            self.hollow[path] = set()
            self._write(entry)
        elif self.force:
            self._write(entry, stat)
        else:
            self.blocked.append(Blocked(path=path, reason=f"{kind_of(stat.st_mode)} is there"))

    def _gives_way(self, obstacle: NotAFolder) -> bool:
        """Whether what is in the place of a folder will be gone; noted once."""
        if obstacle.path in self._removed:
            self.first.add(obstacle.path)
            return True
        if self.force:
            if obstacle.path not in self.clear:
                self.clear.append(obstacle.path)
            return True
        blocked = Blocked(path=obstacle.path, reason=f"{obstacle.what} is where a folder must be")
        if blocked not in self.blocked[-1:]:
            self.blocked.append(blocked)
        return False

    def _judge_file(self, folders: Folders, entry: FileEntry, row: Row | None, stat: os.stat_result) -> None:
        path, digest, is_new = entry.path, None, False
        if stat.st_size == entry.size_bytes or (row is not None and row.written):
            digest, is_new = self._digest(folders, row, path, stat)
        is_ours = digest is not None and row is not None and row.may_replace(digest)
        is_right = digest == entry.digest
        if (
            digest is not None
            and (is_right or is_ours)
            and (row is None or row.pending or row.digest != digest)
        ):
            # From here on it is no matter of intentions: a row says what is there.
            row, is_new = right_row(path, stat, digest, ours=is_ours), True
            self._doubt_if_racy(row, stat)
        if is_new and row is not None:
            self.learned.append(row)
        if is_right:
            self.keep += 1
        elif self.force or is_ours:
            self._write(entry, stat)
        else:
            was_ours = row is not None and row.written
            reason = "it was changed since it was placed" if was_ours else "another file is there"
            self.blocked.append(Blocked(path=path, reason=reason))

    def _digest(
        self, folders: Folders, row: Row | None, path: str, stat: os.stat_result
    ) -> tuple[bytes | None, bool]:
        """Digest of a file, None where it cannot be told, and whether its row has learned it."""
        if row is not None and row.vouches(stat):
            return row.known, False
        self._hashing_since_ns = self._hashing_since_ns or self.cache.now_ns()
        try:
            hashed = hash_file(path.rpartition("/")[2], folders.open(path.rpartition("/")[0]))
        except FileNotFoundError:
            return None, False
        except OSError as error:
            raise translated(error, path, "read") from error
        if hashed is None:
            return None, False
        digest, seen = hashed
        if row is None or not row.digest:
            return digest, False
        row.look(seen, digest)
        self._doubt_if_racy(row, seen)
        return digest, True

    def _doubt_if_racy(self, row: Row, stat: os.stat_result) -> None:
        if max(stat.st_mtime_ns, stat.st_ctime_ns) >= self._hashing_since_ns:
            row.doubt()

    def _will_be_empty(self, folders: Folders, folder: str, gone: set[str]) -> bool:
        for name in os.listdir(folders.open(folder)):  # noqa: PTH208, by descriptor
            path = f"{folder}/{name}"
            stat = _lstat(folders, path)
            if stat is not None and stat_module.S_ISDIR(stat.st_mode):
                if not self._will_be_empty(folders, path, gone):
                    return False
            elif stat is not None and path not in gone and path not in self.leftovers:
                return False
        return True


def _lstat(folders: Folders, path: str) -> os.stat_result | None:
    """What is at a path that was listed; None if it went since: the file of another placement, say."""
    parent, _, name = path.rpartition("/")
    try:
        return os.stat(name, dir_fd=folders.open(parent), follow_symlinks=False)
    except FileNotFoundError:
        return None


def _selected(entries: Iterable[FileEntry], select: Callable[[str], bool]) -> Iterator[FileEntry]:
    return (entry for entry in entries if select(entry.path))


def _possible_on_windows(entries: Iterable[FileEntry]) -> Iterator[FileEntry]:
    from gitml.model.paths import windows_problem

    for entry in entries:
        problem = windows_problem(entry.path)
        if problem is not None:
            raise InvalidInput(
                f"{entry.path} cannot be placed on Windows: {problem}",
                code="windows-name",
                hint=f"leave it out with --exclude {entry.path!r}",
                context={"path": entry.path},
            )
        yield entry
