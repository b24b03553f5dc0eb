"""What a write reads: files in path order, each a stream of blocks.

:class:`FolderSource` walks folders of the user's. It never follows a symbolic link unless asked to, and takes nothing
but regular files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from gitml.errors import GitMLError, InvalidInput, NotFound
from gitml.model import paths as rules
from gitml.model.shown import shown
from gitml.store.media.pages import UsedPages
from gitml.store.write.diskfile import BLOCK_BYTES, DiskFile, unreadable
from gitml.store.write.sourcecache import SourceCache

_FAULTS_SHOWN = 20
_WARNINGS_SHOWN = 20
_T = TypeVar("_T")
_KEY = attrgetter("key")


class SourceFile(Protocol):
    """A file to be stored."""

    @property
    def path(self) -> str:
        """Its path in the tree."""

    @property
    def size_bytes(self) -> int:
        """Its size; what `blocks` gives adds up to it."""

    @property
    def digest(self) -> bytes | None:
        """Its SHA-256, where that is known before reading."""

    def blocks(self) -> Iterator[memoryview]:
        """Its bytes in blocks of about 16 MiB, which the caller may keep; can be called again.

        Raises:
            Conflict: The file changed since it was listed, or while it was read.
        """


class Source(Protocol):
    """The files of one tree."""

    @property
    def warnings(self) -> list[str]:
        """What a person should know; complete after `totals` or `files`."""

    def files(self) -> Iterator[SourceFile]:
        """All files, in the byte order of their paths, names checked; can be called again."""

    def totals(self) -> tuple[int, int] | None:
        """Number of files and of bytes, where that can be told before reading."""


@runtime_checkable
class Learns(Protocol):
    """A source that wants to know what its files hashed to."""

    def learn(self, file: SourceFile, digest: bytes) -> None:
        """Told each file's SHA-256 once its contents are stored, in path order."""


class _Found(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A name in a folder: a file or a folder to walk into."""

    name: str
    location: str
    status: os.stat_result
    is_folder: bool
    key: str
    """Sorts as the bytes of the paths do; names that are no UTF-8 are refused anyway."""


class FolderSource:
    """Files and folders of the user's, as one tree.

    Args:
        paths: A folder gives its contents, a file its base name.
        follow_links: Store what symbolic links point to; otherwise they are refused.
        cache: Knows the digests of files that have not changed since they were last stored.
    """

    def __init__(
        self, paths: Sequence[Path], *, follow_links: bool = False, cache: SourceCache | None = None
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._cache = cache
        self._follow_links = follow_links
        self._pages = UsedPages(BLOCK_BYTES)
        self.warnings: list[str] = []
        self._faults: list[GitMLError] = []
        self._unnamed_warnings = 0

    def totals(self) -> tuple[int, int]:
        """Number of files and of bytes; finds every fault that `files` would find.

        Raises:
            InvalidInput: A name or a kind of file is refused; all such faults are named, up to some 20.
            AccessDenied: A folder may not be read.
            NotFound: A path does not exist.
        """
        files = size_bytes = 0
        for file in self._checked(None):
            files += 1
            size_bytes += file.size_bytes
        return files, size_bytes

    def files(self) -> Iterator[SourceFile]:
        """See :class:`Source`; faults are reported together at the end of the walk.

        Raises:
            InvalidInput: A name or a kind of file is refused, or there is no file at all.
            AccessDenied: A folder may not be read.
            NotFound: A path does not exist.
        """
        if self._cache is not None:
            self._cache.begin()
        yield from self._checked(self._cache)

    def _checked(self, cache: SourceCache | None) -> Iterator[DiskFile]:
        self.warnings, self._faults, self._unnamed_warnings = [], [], 0
        empty = True
        for file in self._walk("", self._top(), (), cache):
            empty = False
            yield file
        self._report()
        if self._unnamed_warnings:
            self.warnings.append(f"and {self._unnamed_warnings} more files to be warned about")
        if empty:
            raise InvalidInput(
                "there is no file to store: " + ", ".join(shown(str(path)) for path in self._paths),
                code="empty-tree",
                hint="name a folder with at least one file",
            )

    def learn(self, file: SourceFile, digest: bytes) -> None:
        """See :class:`Learns`."""
        if self._cache is not None and isinstance(file, DiskFile):
            self._cache.note(file.path, file.status, digest)

    def _top(self) -> list[_Found]:
        found: list[_Found] = []
        for path in self._paths:
            name = path.name or str(path)
            try:
                status = path.stat(follow_symlinks=self._follow_links)
            except OSError as error:
                self._fault(_unseen(name, str(path), error))
                continue
            entry = self._found("", name, str(path), status)
            if entry is None:
                continue
            if entry.is_folder:
                found += self._scan(entry, "")
            else:
                found.append(entry)
        first: dict[str, _Found] = {}
        for entry in found:
            self._try(rules.check_top_level, entry.name)
            other = first.setdefault(entry.name, entry)
            if other is not entry and other.location != entry.location:
                self._fault(
                    InvalidInput(
                        f"{shown(other.location)} and {shown(entry.location)} would have one name here",
                        code="path-collision",
                        hint="put them into one folder under different names",
                        context={"path": entry.name},
                    )
                )
        return list(first.values())

    def _walk(
        self,
        folder: str,
        found: list[_Found],
        above: tuple[tuple[int, int], ...],
        cache: SourceCache | None,
    ) -> Iterator[DiskFile]:
        names = [entry.name for entry in found]
        are_plain = bool(names) and rules.are_plain(folder, names)
        if not are_plain:
            self._try(rules.check_siblings, names)
        found.sort(key=_KEY)
        for entry in found:
            path = folder + entry.name
            status = entry.status
            if entry.is_folder:
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    self._fault(_refused(path, "is a link to a folder that it lies in"))
                    continue
                yield from self._walk(path + "/", self._scan(entry, path + "/"), (*above, identity), cache)
            elif are_plain or self._try(rules.check_portable, path):
                if not are_plain or status.st_mode & stat.S_IXUSR:
                    self._warn(path, status, None if are_plain else rules.windows_problem(path))
                yield DiskFile(
                    path=path,
                    size_bytes=status.st_size,
                    location=entry.location,
                    status=status,
                    follow_links=self._follow_links,
                    digest=None if cache is None else cache.known(path, status),
                    pages=self._pages,
                )

    def _scan(self, folder: _Found, path: str) -> list[_Found]:
        found: list[_Found] = []
        try:
            with os.scandir(folder.location) as entries:
                for item in entries:
                    try:
                        status = item.stat(follow_symlinks=self._follow_links)
                    except OSError as error:
                        self._fault(_unseen(path + item.name, item.path, error))
                        continue
                    entry = self._found(path, item.name, item.path, status)
                    if entry is not None:
                        found.append(entry)
        except OSError as error:
            self._fault(unreadable(path or folder.location, error))
            return []
        return found

    def _found(self, folder: str, name: str, location: str, status: os.stat_result) -> _Found | None:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            return _Found(name, location, status, False, name)
        if stat.S_ISDIR(mode):
            return _Found(name, location, status, True, name + "/")
        self._fault(_refused(folder + name, f"is {_kind(mode)}"))
        return None

    def _warn(self, path: str, status: os.stat_result, reason: str | None) -> None:
        if reason is None and not status.st_mode & stat.S_IXUSR:
            return
        if len(self.warnings) >= _WARNINGS_SHOWN:
            self._unnamed_warnings += 1
        elif reason is not None:
            self.warnings.append(f"{shown(path)} cannot be placed on Windows: {reason}")
        else:
            self.warnings.append(f"{shown(path)} is executable, which is not kept")

    def _try(self, check: Callable[[_T], None], value: _T) -> bool:
        try:
            check(value)
        except InvalidInput as error:
            self._fault(error)
            return False
        return True

    def _fault(self, error: GitMLError) -> None:
        self._faults.append(error)
        if len(self._faults) >= _FAULTS_SHOWN:
            self._report()

    def _report(self) -> None:
        if not self._faults:
            return
        first = self._faults[0]
        if len(self._faults) == 1:
            raise first
        more = " (and perhaps more)" if len(self._faults) >= _FAULTS_SHOWN else ""
        messages = [error.message for error in self._faults]
        raise type(first)(
            f"{len(messages)} files are refused{more}: " + "; ".join(messages),
            code=first.code,
            hint=first.hint,
            context={"faults": messages},
        )


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link (--follow-links stores what it points to)"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _refused(path: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{shown(path)} {reason}",
        code="not-regular",
        hint="leave it out, or put a regular file in its place",
        context={"path": path},
    )


def _unseen(path: str, location: str, error: OSError) -> GitMLError:
    """Why what is at a location cannot be looked at."""
    if error.errno not in (errno.ENOENT, errno.ELOOP):
        return unreadable(path, error)
    if Path(location).is_symlink():
        return _refused(path, "is a symbolic link that leads nowhere")
    return NotFound(
        f"{shown(location)} does not exist",
        code="path-missing",
        hint="name an existing file or folder",
        context={"path": path},
    )
