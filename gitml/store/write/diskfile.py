"""Reading one of the user's files: nothing but a regular one, and noticing when it changes under the reader's hands.

User files are never mapped into memory: a mapped file that is cut short kills the process.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import msgspec

from gitml.errors import AccessDenied, Conflict, GitMLError, StoreUnavailable
from gitml.model.shown import shown
from gitml.store.media.pages import UsedPages, fresh_pages

BLOCK_BYTES = 16 * 1024 * 1024
_SMALL_BYTES = 1024 * 1024
_LARGE_BYTES = 4 * 1024 * 1024
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class DiskFile(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A regular file of the user's, as it was when it was listed."""

    path: str
    size_bytes: int
    location: str
    status: os.stat_result
    follow_links: bool = False
    digest: bytes | None = None
    pages: UsedPages | None = None

    def blocks(self) -> Iterator[memoryview]:
        """See :class:`gitml.store.write.source.SourceFile`.

        Raises:
            Conflict: The file changed since it was listed, or while it was read.
            AccessDenied: It may not be read.
        """
        if 0 < self.size_bytes <= _SMALL_BYTES:
            block = self._read_at_once()
            if block is not None:
                return iter((block,))
        return self._read_blocks()

    def _read_at_once(self) -> memoryview | None:
        """All bytes of a file that is, after they were read, just as it was listed."""
        try:
            handle = os.open(self.location, self._flags)
            try:
                data = os.read(handle, self.size_bytes + 1)
                after = os.fstat(handle)
            finally:
                os.close(handle)
        except OSError:
            return None  # the long way says what is wrong
        same = (
            len(data) == self.size_bytes
            and self._is_same(after)
            and after.st_ctime_ns == self.status.st_ctime_ns
            and stat.S_ISREG(after.st_mode)
        )
        return memoryview(data) if same else None

    @property
    def _flags(self) -> int:
        return _OPEN if self.follow_links else _OPEN | os.O_NOFOLLOW

    def _read_blocks(self) -> Iterator[memoryview]:
        try:
            handle = os.open(self.location, self._flags)
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield from self._read(handle)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(handle)

    def _read(self, handle: int) -> Iterator[memoryview]:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode) or not self._is_same(before):
            raise self._changed()
        position = 0
        while position < self.size_bytes:
            want = min(BLOCK_BYTES, self.size_bytes - position)
            block = _read_block(handle, want, self.pages)
            if len(block) < want:
                raise self._changed()
            position += want
            if position == self.size_bytes:
                self._check_end(handle, before)
            yield block
            del block  # not kept while the next one is read
        if self.size_bytes == 0:
            self._check_end(handle, before)

    def _check_end(self, handle: int, before: os.stat_result) -> None:
        after = os.fstat(handle)
        if not self._is_same(after) or after.st_ctime_ns != before.st_ctime_ns or os.read(handle, 1):
            raise self._changed()

    def _is_same(self, status: os.stat_result) -> bool:
        return status.st_size == self.size_bytes and status.st_mtime_ns == self.status.st_mtime_ns

    def _changed(self) -> Conflict:
        return Conflict(
            f"{shown(self.path)} changed while it was read",
            code="source-changed",
            hint="let its writer finish, then run the command again",
            context={"path": self.path},
        )

    def _failed(self, error: OSError) -> GitMLError:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            return self._changed()
        return unreadable(self.path, error)


def _read_block(handle: int, size_bytes: int, pages: UsedPages | None) -> memoryview:
    """Up to so many bytes; fewer only at the end of the file."""
    if size_bytes <= _SMALL_BYTES:
        data = os.read(handle, size_bytes)
        if len(data) == size_bytes:
            return memoryview(data)
        buffer = memoryview(bytearray(size_bytes))
        buffer[: len(data)] = data
        total = len(data)
    else:
        again = pages if size_bytes > _LARGE_BYTES else None
        buffer = memoryview(fresh_pages(size_bytes)) if again is None else again.take()[:size_bytes]
        total = 0
    while total < size_bytes and (count := os.readv(handle, [buffer[total:]])):
        total += count
    return buffer[:total]


def unreadable(path: str, error: OSError) -> GitMLError:
    """The error for what cannot be read."""
    reason = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        return AccessDenied(
            f"{shown(path)} may not be read: {reason}",
            code="source-unreadable",
            hint=f"get the right to read {shown(path)}",
            context={"path": path},
        )
    return StoreUnavailable(
        f"{shown(path)} could not be read: {reason}", code="source-unreadable", context={"path": path}
    )
