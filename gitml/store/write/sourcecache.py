"""What the last registration of some paths hashed, so that the next one opens only what changed since.

As git's index does for a work tree: a file whose size, times and inode are those that were noted is taken to
have the bytes that were hashed then. A file is noted only if it was last changed before the registration
began, on the clock of the same file system, so that a change in the same tick cannot be missed. Files of other file
systems are noted only where the caller says by how much their clocks may differ.

The notes are one stream in path order, read and written beside the walk: memory does not grow with the number
of files. They may be deleted at any time, and damaged ones count for nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_HEAD: Final = struct.Struct("<II")
_BLOCK_NOTES: Final = 512
_LIMIT_BYTES: Final = 4 * 1024 * 1024

Note = tuple[str, int, int, int, int, bytes]
"""Path, size, mtime and ctime in nanoseconds, inode, SHA-256."""


class SourceCache:
    """Notes of one set of paths.

    Args:
        file: Where they are kept; one registration at a time writes a new file beside it.
        margin_ns: By how much the clocks of other file systems may be behind this one's; None notes no file of theirs.
    """

    def __init__(self, file: Path, *, margin_ns: int | None = None) -> None:
        self._file = file
        self._margin_ns = margin_ns
        self._fresh: BinaryIO | None = None
        self._block: list[Note] = []
        self._old: Iterator[Note] = iter(())
        self._next: Note | None = None
        self._began_ns = 0
        self._device = -1

    def begin(self) -> None:
        """Start a walk from the first path; with notes that cannot be kept, none are."""
        self.discard()
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            name = self._file.with_name(f".{self._file.name}.{secrets.token_hex(8)}")
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._fresh = os.fdopen(handle, "wb")
            self._name = name
            status = os.fstat(handle)
            self._began_ns, self._device = status.st_mtime_ns, status.st_dev
        self._old = _notes(self._file)
        self._next = next(self._old, None)

    def known(self, path: str, status: os.stat_result) -> bytes | None:
        """The SHA-256 of a file that has not changed since it was noted; asked in path order."""
        wanted = os.fsencode(path)
        while self._next is not None and os.fsencode(self._next[0]) < wanted:
            self._next = next(self._old, None)
        if self._next is None or self._next[0] != path or not self._covers(status):
            return None
        same = self._next[1:5] == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return self._next[5] if same else None

    def note(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Note what was hashed, or known; told in path order."""
        settled = max(status.st_mtime_ns, status.st_ctime_ns) < self._began_ns - (self._margin_ns or 0)
        if self._fresh is None or not settled or not self._covers(status):
            return
        self._add((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, digest))

    def _add(self, note: Note) -> None:
        self._block.append(note)
        if len(self._block) == _BLOCK_NOTES:
            self._flush()

    def _covers(self, status: os.stat_result) -> bool:
        return self._margin_ns is not None or status.st_dev == self._device

    def keep(self, *, whole: bool = True) -> None:
        """Let the new notes take the place of the old ones.

        Args:
            whole: The walk reached its end; otherwise the old notes of paths that it did not reach stay.
        """
        if self._fresh is None:
            return
        with contextlib.suppress(OSError):
            while not whole and self._next is not None:
                self._add(self._next)
                self._next = next(self._old, None)
            self._flush()
            self._fresh.close()
            self._name.replace(self._file)
            self._fresh = None
        self.discard()

    def discard(self) -> None:
        """Forget the new notes; the old ones stay."""
        self._block = []
        if self._fresh is not None:
            with contextlib.suppress(OSError):
                self._fresh.close()
                self._name.unlink(missing_ok=True)
            self._fresh = None

    def remove(self) -> None:
        """Forget everything: a note turned out to be wrong."""
        self.discard()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._fresh is not None and self._block:
            data = msgspec.msgpack.encode(self._block)
            self._fresh.write(_HEAD.pack(len(data), zlib.crc32(data)) + data)
            self._block = []


def _notes(file: Path) -> Iterator[Note]:
    """Notes of a file up to its end, or to the first block that is damaged."""
    decoder = msgspec.msgpack.Decoder(list[Note])
    with contextlib.suppress(OSError, msgspec.MsgspecError), file.open("rb") as stream:
        while len(head := stream.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            data = stream.read(length) if length <= _LIMIT_BYTES else b""
            if len(data) != length or zlib.crc32(data) != checksum:
                return
            yield from decoder.decode(data)
