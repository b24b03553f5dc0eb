"""Which files of a placed folder are still what was placed: what `status` asks.

A file is opened only if its stat does not vouch for it. The folder is walked in path order beside the rows of its cache,
so that no more than the names of one folder at each depth are in memory.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gitml.store.place.filecache import FileCache, Row, overlaid
from gitml.store.place.folders import Folders, NotAFolder, is_temporary, translated
from gitml.store.place.hashing import hash_file
from gitml.store.read.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """A folder compared with what was placed in it.

    Attributes:
        unchanged: Number of files that are as placed.
        modified, missing: Paths of files that are not.
        untracked: Other files; a folder that holds no placed file stands for all in it, and ends in `/`.
    """

    unchanged: int
    modified: tuple[str, ...]
    missing: tuple[str, ...]
    untracked: tuple[str, ...]

    @property
    def files(self) -> int:
        """How many files were placed."""
        return self.unchanged + len(self.modified) + len(self.missing)


def scan(
    destination: Path, cache: FileCache, *, ignore: Collection[str] = (), trusted: Path | None = None
) -> FolderState:
    """Compare a folder with its cache, and save in the cache what was learned.

    Args:
        ignore: Names at the top of the folder that are not looked at.
        trusted: See :func:`gitml.store.place.planning.plan_placement`.

    Raises:
        AccessDenied: A folder or file cannot be read.
    """
    scanner = _Scanner(cache, ignore)
    try:
        folders = Folders(destination, trusted=trusted)
    except (FileNotFoundError, NotAFolder):
        pass
    except OSError as error:
        raise translated(error, str(destination), "open") from error
    else:
        with folders:
            scanner.walk(folders, "")
    scanner.finish()
    return FolderState(
        unchanged=scanner.unchanged,
        modified=tuple(sorted(scanner.modified, key=os.fsencode)),
        missing=tuple(sorted(scanner.missing, key=os.fsencode)),
        untracked=tuple(sorted(scanner.untracked, key=os.fsencode)),
    )


class _Scanner:
    """Walks a folder."""

    def __init__(self, cache: FileCache, ignore: Collection[str]) -> None:
        self.unchanged = 0
        self.modified: list[str] = []
        self.missing: list[str] = []
        self.untracked: list[str] = []
        self._cache = cache
        self._ignore = frozenset(ignore)
        self._rows = (row for row in cache.rows() if row.digest)
        self._row = next(self._rows, None)
        self._learned = Spool(Row, folder=cache.file.parent)
        self._hashing_since_ns: int | None = None

    def walk(self, folders: Folders, folder: str) -> None:
        """Look at what is in a folder; a folder in it comes twice: by its name, and as what all in it begins with."""
        prefix = folder + "/" if folder else ""
        try:
            names, inner = self._names(folders, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translated(error, folder or ".", "list") from error
        for name in names:
            path = prefix + name
            self._pass(path)
            row = self._row
            if name in inner:
                if row is not None and row.path == path:
                    self.modified.append(path)
                    self._row = next(self._rows, None)
            elif name[-1] == "/":
                if row is not None and row.path.startswith(path):
                    self._enter(folders, path[:-1])
                else:
                    self.untracked.append(path)
            elif row is not None and row.path == path:
                self._row = next(self._rows, None)
                self._compare(folders, folder, name, row)
            elif not is_temporary(name):
                self.untracked.append(path)

    def _names(self, folders: Folders, folder: str) -> tuple[list[str], set[str]]:
        """Names in a folder so that paths come in their order, and which of them are folders."""
        names: list[str] = []
        inner: set[str] = set()
        with os.scandir(folders.open(folder)) as found:
            for entry in found:
                name = entry.name
                if not folder and name in self._ignore:
                    continue
                names.append(name)
                if entry.is_dir(follow_symlinks=False):
                    inner.add(name)
                    names.append(name + "/")
        names.sort()
        return names, inner

    def _pass(self, path: str) -> None:
        """Rows before a path have no file."""
        while self._row is not None and self._row.path < path:
            self.missing.append(self._row.path)
            self._row = next(self._rows, None)

    def _enter(self, folders: Folders, path: str) -> None:
        try:
            self.walk(folders, path)
        except NotAFolder:
            self.untracked.append(path)

    def _compare(self, folders: Folders, folder: str, name: str, row: Row) -> None:
        try:
            stat = os.stat(name, dir_fd=folders.open(folder), follow_symlinks=False)
        except (FileNotFoundError, NotAFolder):
            self.missing.append(row.path)
            return
        except OSError as error:
            raise translated(error, row.path, "look at") from error
        if row.vouches(stat):
            if row.found:
                self.modified.append(row.path)
            else:
                self.unchanged += 1
        elif not stat_module.S_ISREG(stat.st_mode) or (not row.found and stat.st_size != row.size_bytes):
            self.modified.append(row.path)
        else:
            self._hash(folders, folder, name, row)

    def _hash(self, folders: Folders, folder: str, name: str, row: Row) -> None:
        """Read a file that its stat does not vouch for."""
        if self._hashing_since_ns is None:
            self._hashing_since_ns = self._cache.now_ns()
        try:
            hashed = hash_file(name, folders.open(folder))
        except (FileNotFoundError, NotAFolder):
            self.missing.append(row.path)
            return
        except OSError as error:
            raise translated(error, row.path, "read") from error
        if hashed is None:
            self.modified.append(row.path)
            return
        digest, stat = hashed
        row.look(stat, digest)
        self._learned.append(row)
        if row.found:
            self.modified.append(row.path)
        else:
            self.unchanged += 1

    def finish(self) -> None:
        """Count the files of all rows that are left as missing, and keep what was learned."""
        if self._row is not None:
            self.missing.append(self._row.path)
        self.missing.extend(row.path for row in self._rows)
        if len(self._learned) and self._cache.is_current():
            self._cache.save(overlaid(self._cache.rows(), self._learned), self._hashing_since_ns)
