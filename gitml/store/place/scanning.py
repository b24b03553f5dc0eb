"""Which files of a placed folder are still what was placed: what `status` asks.

A file is opened only if its stat does not vouch for it.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gitml.store.place.filecache import FileCache
from gitml.store.place.folders import Folders, NotAFolder, is_temporary, translated
from gitml.store.place.hashing import hash_file


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
    stamp_ns = None
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
            if scanner.unsure:
                stamp_ns = cache.now_ns()
                scanner.hash_unsure(folders)
    missing = cache.unseen()
    if cache.changed:
        cache.save(stamp_ns)
    return FolderState(
        unchanged=scanner.unchanged,
        modified=tuple(sorted(scanner.modified, key=os.fsencode)),
        missing=tuple(sorted(missing, key=os.fsencode)),
        untracked=tuple(sorted(scanner.untracked, key=os.fsencode)),
    )


class _Scanner:
    """Walks a folder."""

    def __init__(self, cache: FileCache, ignore: Collection[str]) -> None:
        self.cache = cache
        self.unchanged = 0
        self.modified: list[str] = []
        self.untracked: list[str] = []
        self.unsure: list[str] = []
        self._ignore = frozenset(ignore)
        self._folders = cache.folders()

    def walk(self, folders: Folders, folder: str) -> None:
        prefix = folder + "/" if folder else ""
        inner: list[str] = []
        try:
            with os.scandir(folders.open(folder)) as found:
                for entry in found:
                    name = entry.name
                    if not folder and name in self._ignore:
                        continue
                    path = prefix + name
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(path)
                    else:
                        self._file(path, entry)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translated(error, folder or ".", "list") from error
        for path in inner:
            if self.cache.is_right(path) is not None:
                self.modified.append(path)
                self.cache.see(path)
            if path in self._folders:
                self._enter(folders, path)
            else:
                self.untracked.append(path + "/")

    def _enter(self, folders: Folders, path: str) -> None:
        try:
            self.walk(folders, path)
        except NotAFolder:
            self.untracked.append(path)

    def _file(self, path: str, entry: os.DirEntry[str]) -> None:
        right = self.cache.is_right(path)
        if right is None:
            if not is_temporary(entry.name):
                self.untracked.append(path)
            return
        self.cache.see(path)
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            self.cache.see(path, there=False)
            return
        if self.cache.vouches(path, stat):
            if right:
                self.unchanged += 1
            else:
                self.modified.append(path)
        elif not stat_module.S_ISREG(stat.st_mode) or (right and stat.st_size != self.cache.size_of(path)):
            self.modified.append(path)
        else:
            self.unsure.append(path)

    def hash_unsure(self, folders: Folders) -> None:
        """Read the files that their stat does not vouch for."""
        for path in self.unsure:
            folder, _, name = path.rpartition("/")
            try:
                hashed = hash_file(name, folders.open(folder))
            except (FileNotFoundError, NotAFolder):
                self.cache.see(path, there=False)
                continue
            except OSError as error:
                raise translated(error, path, "read") from error
            if hashed is None:
                self.modified.append(path)
                continue
            digest, stat = hashed
            self.cache.observe(path, stat, digest)
            if digest == self.cache.expected(path):
                self.unchanged += 1
            else:
                self.modified.append(path)
