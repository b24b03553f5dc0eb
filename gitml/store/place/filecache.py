"""What GitML knows of the files in one placed folder: their digests while their stat is unchanged.

The cache has a row for each file that was placed, or was right already. It decides two things: which files need not
be opened to know their digest, and which ones GitML may write over or remove, because it wrote them and nobody changed
them since. A cache that is missing, damaged or of another format is an empty one: files are then hashed again, and none
is GitML's own.

Rows are one stream in path order, read beside a walk and written anew as a whole: memory does not grow with their
number, and the file is replaced in one step. What changes goes over the old rows as a stream of its own (`overlaid`).

*Intentions.* Before a tree is placed, the rows of what will be written say so (`pending`). A run after a kill knows by
them which files that are there without a row of their own were written by GitML.

*Racy entries.* A file may change without its stat changing, if it does so within one tick of the file system's clock.
An entry is therefore trusted only if its mtime and ctime are older than the cache's stamp, a moment on that clock.

Source: git, Documentation/technical/racy-git.txt
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import struct
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

_MAGIC: Final = b"GITMLFC2"
_TOKEN_BYTES: Final = 16
_HEAD: Final = struct.Struct(f"<8s32s{_TOKEN_BYTES}sq")  # magic, SHA-256 of all that follows, token, stamp
_SUMMED: Final = 40  # where that begins
_TOKEN: Final = slice(_SUMMED, _SUMMED + _TOKEN_BYTES)  # another one for each placement
_LENGTH: Final = struct.Struct("<I")
_BLOCK_ROWS: Final = 512
_STEP_BYTES: Final = 256 << 10
_NEVER: Final = -1


class _HasPath(Protocol):
    @property
    def path(self) -> str: ...


_T = TypeVar("_T", bound=_HasPath)


class Row(msgspec.Struct, array_like=True, gc=False):
    """A file of a placed folder.

    Attributes:
        path: Relative to the folder.
        size_bytes, mtime_ns, ctime_ns, inode: Its stat when it was looked at last.
        digest: What the placed tree has there; empty where nothing was placed yet.
        ours: GitML wrote it.
        found: What the file had when it was looked at last, where that is something else.
        pending: What a run that has not ended is about to write there.
    """

    path: str
    size_bytes: int = 0
    mtime_ns: int = _NEVER
    ctime_ns: int = _NEVER
    inode: int = 0
    digest: bytes = b""
    ours: bool = False
    found: bytes = b""
    pending: bytes = b""

    @property
    def is_right(self) -> bool:
        """Whether the file had the bytes of the tree when it was looked at last."""
        return not self.found and self.digest != b""

    @property
    def known(self) -> bytes:
        """The file's digest when it was looked at last."""
        return self.found or self.digest

    @property
    def written(self) -> bool:
        """Whether GitML wrote, or was about to write, a file there."""
        return self.ours or self.pending != b""

    def vouches(self, stat: os.stat_result) -> bool:
        """Whether a file with this stat is surely the one that was looked at last."""
        return (
            stat.st_mtime_ns == self.mtime_ns
            and stat.st_ctime_ns == self.ctime_ns
            and stat.st_size == self.size_bytes
            and stat.st_ino == self.inode
            and self.digest != b""
        )

    def may_replace(self, digest: bytes) -> bool:
        """Whether a file with this digest is what GitML wrote, or was about to write."""
        return (self.ours and digest == self.digest) or (self.pending != b"" and digest == self.pending)

    def look(self, stat: os.stat_result, digest: bytes) -> None:
        """Remember the digest of the file as it was found; what the tree has for it stays known."""
        self.size_bytes, self.inode = stat.st_size, stat.st_ino
        self.mtime_ns, self.ctime_ns = stat.st_mtime_ns, stat.st_ctime_ns
        self.found = b"" if digest == self.digest else digest

    def doubt(self) -> None:
        """Keep what is known, and have the file read the next time all the same."""
        self.mtime_ns = self.ctime_ns = _NEVER


def right_row(path: str, stat: os.stat_result, digest: bytes, *, ours: bool) -> Row:
    """The row of a file that has the bytes of the tree.

    Args:
        ours: GitML wrote it.
    """
    return Row(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, digest, ours)


class FileCache:
    """The rows of one folder, as they were when the cache was loaded.

    Args:
        file: Where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stamp_ns = 0
        self._token = b""
        self._stream: io.FileIO | None = None

    @classmethod
    def load(cls, file: Path) -> FileCache:
        """The cache kept in `file`; an empty one if it is missing or not intact."""
        cache = cls(file)
        with contextlib.suppress(OSError):
            stream = file.open("rb", buffering=0)
            weakref.finalize(cache, stream.close)
            head = stream.read(_HEAD.size)
            cache._token = head[_TOKEN]
            if _is_intact(stream, head):
                cache._stream = stream
                cache.stamp_ns = _HEAD.unpack(head)[-1]
        return cache

    def rows(self) -> Iterator[Row]:
        """Every row, in path order; the file that was loaded is read, whatever is in its place now.

        What was changed so late that its stat proves nothing is doubted.
        """
        stamp_ns = self.stamp_ns
        for block in self._blocks():
            for row in block:
                if row.mtime_ns >= stamp_ns or row.ctime_ns >= stamp_ns:
                    row.doubt()
            yield from block

    def _blocks(self) -> Iterator[list[Row]]:
        if self._stream is None:
            return
        decoder = msgspec.msgpack.Decoder(list[Row])
        descriptor, position = self._stream.fileno(), _HEAD.size
        while head := os.pread(descriptor, _LENGTH.size, position):
            (length,) = _LENGTH.unpack(head)
            yield decoder.decode(os.pread(descriptor, length, position + _LENGTH.size))
            position += _LENGTH.size + length

    def save(self, rows: Iterable[Row], stamp_ns: int | None = None, *, anew: bool = False) -> None:
        """Write it, replacing the file in one step; a cache that cannot be written is no error.

        Args:
            rows: In path order.
            stamp_ns: Moment before which an entry must be to be trusted: nothing that was recorded as known may
                have been looked at before it. None takes the moment of writing, on the file system's clock.
            anew: The rows are of another placement, which others must notice.
        """
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_name(f".{self.file.name}.{secrets.token_hex(8)}")
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            handle = os.open(temporary, flags, 0o600)
            try:
                with os.fdopen(handle, "wb", buffering=0) as stream:
                    if stamp_ns is None:
                        stamp_ns = os.fstat(handle).st_mtime_ns
                    token = secrets.token_bytes(_TOKEN_BYTES) if anew or not self._token else self._token
                    _write(stream, rows, token, stamp_ns)
                temporary.replace(self.file)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._token = token

    def is_current(self) -> bool:
        """Whether no other placement has begun since this was loaded, or saved."""
        try:
            with self.file.open("rb", buffering=0) as stream:
                return stream.read(_HEAD.size)[_TOKEN] == self._token
        except OSError:
            return not self._token

    def now_ns(self) -> int:
        """This moment on the clock of the file system that keeps the cache; 0, which trusts nothing, if unknown."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            probe = self.file.with_name(f".{self.file.name}.{secrets.token_hex(8)}")
            handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                return os.fstat(handle).st_mtime_ns
            finally:
                os.close(handle)
                probe.unlink()
        except OSError:
            return 0

    def shares_clock(self, folder: Path) -> bool:
        """Whether the times of files in a folder and of the cache come from one file system."""
        try:
            return self.file.parent.stat().st_dev == folder.stat().st_dev
        except OSError:
            return False


def beside(rows: Iterable[Row], others: Iterable[_T]) -> Iterator[tuple[Row | None, _T | None]]:
    """Rows and what else has paths, by these; both in path order, and the one or the other may be missing."""
    rest = iter(rows)
    row = next(rest, None)
    for other in others:
        path = other.path
        while row is not None and row.path < path:
            yield row, None
            row = next(rest, None)
        if row is not None and row.path == path:
            yield row, other
            row = next(rest, None)
        else:
            yield None, other
    while row is not None:
        yield row, None
        row = next(rest, None)


def overlaid(rows: Iterable[Row], changed: Iterable[Row]) -> Iterator[Row]:
    """Rows with others in their place or between them; all in path order."""
    for row, new in beside(rows, changed):
        found = row if new is None else new
        if found is not None:
            yield found


def without(rows: Iterable[Row], gone: Iterable[Row]) -> Iterator[Row]:
    """Rows but those of some paths; both in path order."""
    for row, going in beside(rows, gone):
        if row is not None and going is None:
            yield row


def _is_intact(stream: io.FileIO, head: bytes) -> bool:
    """Whether what follows a head is what was written."""
    if len(head) != _HEAD.size or not head.startswith(_MAGIC):
        return False
    hasher = hashlib.sha256(head[_SUMMED:])
    while block := stream.read(_STEP_BYTES):
        hasher.update(block)
    return hasher.digest() == head[len(_MAGIC) : _SUMMED]


def _write(stream: io.FileIO, rows: Iterable[Row], token: bytes, stamp_ns: int) -> None:
    head = _HEAD.pack(_MAGIC, bytes(32), token, stamp_ns)
    hasher = hashlib.sha256(head[_SUMMED:])
    stream.seek(_HEAD.size)
    rest = iter(rows)
    while block := list(islice(rest, _BLOCK_ROWS)):
        data = msgspec.msgpack.encode(block)
        record = memoryview(_LENGTH.pack(len(data)) + data)
        hasher.update(record)
        while record:
            record = record[stream.write(record) :]
    stream.seek(0)
    stream.write(_HEAD.pack(_MAGIC, hasher.digest(), token, stamp_ns))
