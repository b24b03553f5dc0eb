"""What GitML knows of the files in one placed folder: their digests while their stat is unchanged.

The cache has a row for each file that was placed, or was right already. It decides two things: which files need not
be opened to know their digest, and which ones GitML may write over or remove, because it wrote them and nobody changed
them since. A cache that is missing or damaged is an empty one: files are then hashed again, and none is GitML's own.

*Racy entries.* A file may change without its stat changing, if it does so within one tick of the file system's clock.
An entry is therefore trusted only if its mtime and ctime are older than the cache's `stamp_ns`, a moment on that clock.

Source: git, Documentation/technical/racy-git.txt
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import threading
from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from gitml.store.read.entries import FileEntry

_MAGIC: Final = b"GITMLFC1"
_COLUMNS: Final = 4  # size, mtime_ns, ctime_ns, inode
_GONE: Final = 0
_SEEN: Final = 1  # it has other bytes than the tree; set for every row, so that only gone rows are zero
_RIGHT: Final = 2  # it has the bytes of the tree
_OURS: Final = 4  # GitML wrote what the tree has there
_NEVER: Final = -(1 << 63)
_INODE_MASK: Final = (1 << 63) - 1


class _Stored(msgspec.Struct, array_like=True):
    """The cache as msgpack; columns are little-endian int64 and digests of 32 bytes, one after the other."""

    stamp_ns: int
    paths: list[str]
    stats: memoryview
    digests: bytearray
    states: bytearray
    placed: dict[str, bytes]
    pending: dict[str, bytes]


class _Loaded(msgspec.Struct, array_like=True):
    """As :class:`_Stored`; columns are views of what was read."""

    stamp_ns: int
    paths: list[str]
    stats: memoryview
    digests: memoryview
    states: memoryview
    placed: dict[str, bytes]
    pending: dict[str, bytes]


class FileCache:
    """Digests of the files below one folder, by path; safe to record into from several threads.

    Args:
        file: Where it is kept; None keeps it in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.stamp_ns = 0
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._stats = array("q")
        self._digests = bytearray()
        self._states = bytearray()
        self._placed: dict[str, bytes] = {}
        self._pending: dict[str, bytes] = {}
        self._intended: Sequence[FileEntry] = ()  # pending as well, and not in the dictionary yet
        self._fresh = bytearray()  # rows that were looked at since the cache was loaded
        self._seen = bytearray()  # rows whose files were found by a walk
        self._loaded_stamp_ns = 0
        self._dirty = False

    @classmethod
    def load(cls, file: Path | None) -> FileCache:
        """The cache kept in `file`; an empty one if it is missing or not intact."""
        cache = cls(file)
        if file is None:
            return cache
        try:
            body = file.read_bytes()
            if body[:8] != _MAGIC or hashlib.sha256(memoryview(body)[40:]).digest() != body[8:40]:
                return cache
            stored = msgspec.msgpack.decode(memoryview(body)[40:], type=_Loaded)
        except (OSError, msgspec.MsgspecError, ValueError):
            return cache
        count = len(stored.paths)
        if (len(stored.stats), len(stored.digests), len(stored.states)) != (count * 32, count * 32, count):
            return cache
        cache.stamp_ns = cache._loaded_stamp_ns = stored.stamp_ns
        cache._fresh = bytearray(count)
        cache._seen = bytearray(count)
        cache._rows = dict(zip(stored.paths, range(count), strict=True))
        cache._stats.frombytes(stored.stats)
        if sys.byteorder == "big":
            cache._stats.byteswap()
        cache._digests = bytearray(stored.digests)
        cache._states = bytearray(stored.states)
        cache._placed = stored.placed
        cache._pending = stored.pending
        return cache

    def save(self, stamp_ns: int | None = None) -> None:
        """Write it, replacing the file in one step; a cache that cannot be written is no error.

        Args:
            stamp_ns: Moment before which an entry must be to be trusted: nothing that was recorded as known may
                have been looked at before it. None takes the moment of writing, on the file system's clock.
        """
        if self.file is None:
            self.stamp_ns = stamp_ns or 0
            return
        with contextlib.suppress(OSError), self._lock:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.file.with_name(f".{self.file.name}.{secrets.token_hex(8)}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            handle = os.open(temporary, flags, 0o600)
            try:
                with os.fdopen(handle, "wb") as stream:
                    self.stamp_ns = os.fstat(handle).st_mtime_ns if stamp_ns is None else stamp_ns
                    body = self._encode()
                    stream.write(_MAGIC + hashlib.sha256(body).digest())
                    stream.write(body)
                temporary.replace(self.file)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._dirty = False

    def now_ns(self) -> int:
        """This moment on the clock of the file system that keeps the cache; 0, which trusts nothing, if unknown."""
        if self.file is None:
            return 0
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
            return self.file is not None and self.file.parent.stat().st_dev == folder.stat().st_dev
        except OSError:
            return False

    @property
    def changed(self) -> bool:
        """Whether anything was recorded since it was loaded or saved."""
        return self._dirty

    def __len__(self) -> int:
        return len(self._rows)

    def paths(self) -> Iterator[str]:
        """Every path something is known of."""
        yield from self._rows
        yield from (path for path in self._look_up() if path not in self._rows)

    def see(self, path: str, *, there: bool = True) -> None:
        """Note for :meth:`unseen` that a walk found the file of a row, or after all did not."""
        self._seen[self._rows[path]] = there

    def unseen(self) -> list[str]:
        """Paths of rows that no walk has seen since the cache was loaded."""
        seen = self._seen
        return [path for path, row in self._rows.items() if not seen[row]]

    def folders(self) -> set[str]:
        """Folders that hold files with a row, at any depth."""
        folders = {path.rpartition("/")[0] for path in self._rows}
        for folder in list(folders):
            parent = folder.rpartition("/")[0]
            while parent and parent not in folders:
                folders.add(parent)
                parent = parent.rpartition("/")[0]
        return folders - {""}

    def is_right(self, path: str) -> bool | None:
        """Whether the file had the bytes of the tree when it was looked at last; None without a row."""
        row = self._rows.get(path)
        return None if row is None else bool(self._states[row] & _RIGHT)

    def size_of(self, path: str) -> int:
        """Size in bytes of the file when it was looked at last."""
        return self._stats[self._rows[path] * _COLUMNS]

    def vouches(self, path: str, stat: os.stat_result) -> bool:
        """Whether a file with this stat is surely the one that was looked at last."""
        row = self._rows.get(path)
        if row is None:
            return False
        size, mtime, ctime, inode = self._stats[row * _COLUMNS : row * _COLUMNS + _COLUMNS]
        stamp = self.stamp_ns
        return (
            stat.st_mtime_ns == mtime < stamp
            and stat.st_ctime_ns == ctime < stamp
            and stat.st_size == size
            and stat.st_ino & _INODE_MASK == inode
        )

    def known(self, path: str, stat: os.stat_result) -> bytes | None:
        """The digest of a file with this stat; None if the file must be read to know it."""
        if not self.vouches(path, stat):
            return None
        row = self._rows[path]
        return bytes(self._digests[row * 32 : row * 32 + 32])

    def may_replace(self, path: str, digest: bytes) -> bool:
        """Whether a file with this digest is what GitML wrote, or was about to write, at this path."""
        if self._look_up().get(path) == digest:
            return True
        row = self._rows.get(path)
        return row is not None and bool(self._states[row] & _OURS) and self.expected(path) == digest

    def wrote(self, path: str) -> bool:
        """Whether GitML wrote, or was about to write, a file at this path."""
        row = self._rows.get(path)
        return path in self._look_up() or (row is not None and bool(self._states[row] & _OURS))

    def expected(self, path: str) -> bytes | None:
        """Digest that the placed tree has for this path."""
        row = self._rows.get(path)
        if row is None:
            return None
        if self._states[row] & _RIGHT:
            return bytes(self._digests[row * 32 : row * 32 + 32])
        return self._placed.get(path)

    def place(self, path: str, stat: os.stat_result, digest: bytes, *, ours: bool) -> None:
        """Remember a file that has the bytes of the tree.

        Args:
            ours: GitML wrote it.
        """
        with self._lock:
            if self._placed:
                self._placed.pop(path, None)
            self._set(path, stat, digest, _SEEN | _RIGHT | (_OURS if ours else 0))

    def observe(self, path: str, stat: os.stat_result, digest: bytes) -> None:
        """Remember the digest of a file as it was found; what the tree has for it stays known."""
        with self._lock:
            row = self._rows.get(path)
            if row is None:
                return
            state = self._states[row]
            expected = self.expected(path)
            if digest == expected:
                self._placed.pop(path, None)
                state |= _RIGHT
            elif expected is not None:
                self._placed[path] = expected
                state &= ~_RIGHT
            self._set(path, stat, digest, state)

    def doubt(self, path: str) -> None:
        """Keep what is known of a path, and have the file read the next time all the same."""
        with self._lock:
            row = self._rows.get(path)
            if row is not None:
                self._stats[row * _COLUMNS + 1] = self._stats[row * _COLUMNS + 2] = _NEVER

    def _set(self, path: str, stat: os.stat_result, digest: bytes, state: int) -> None:
        self._dirty = True
        values = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino & _INODE_MASK)
        row = self._rows.get(path)
        if row is None:
            self._rows[path] = len(self._states)
            self._stats.extend(values)
            self._digests += digest
            self._states.append(state)
            self._fresh.append(1)
            self._seen.append(0)
        else:
            self._fresh[row] = 1
            self._stats[row * _COLUMNS : row * _COLUMNS + _COLUMNS] = array("q", values)
            self._digests[row * 32 : row * 32 + 32] = digest
            self._states[row] = state

    def forget(self, path: str) -> None:
        """Drop all that is known of a path."""
        with self._lock:
            self._dirty = True
            self._placed.pop(path, None)
            self._look_up().pop(path, None)
            row = self._rows.pop(path, None)
            if row is not None:
                self._states[row] = _GONE

    def intend(self, entries: Sequence[FileEntry]) -> None:
        """Remember what is about to be placed, so that a run after a kill knows its own files."""
        self._look_up()
        self._dirty = True
        self._intended = entries

    def settle(self) -> None:
        """Forget intentions: everything intended was placed and recorded."""
        self._dirty = self._dirty or bool(self._pending) or bool(self._intended)
        self._pending.clear()
        self._intended = ()

    def _look_up(self) -> dict[str, bytes]:
        """What is pending, in the dictionary: who places files in a new folder never asks."""
        if self._intended:
            self._pending = self._all_pending()
            self._intended = ()
        return self._pending

    def _all_pending(self) -> dict[str, bytes]:
        if not self._intended:
            return self._pending
        return self._pending | {entry.path: entry.digest for entry in self._intended}

    def _smudge(self) -> None:
        """Make sure that a new stamp does not vouch for racy rows that nobody looked at since the old one."""
        stats, old = self._stats, self._loaded_stamp_ns
        if self.stamp_ns == old:
            return
        if stats and (max(stats[1::_COLUMNS]) >= old or max(stats[2::_COLUMNS]) >= old):
            for row, fresh in enumerate(self._fresh):
                at = row * _COLUMNS
                if not fresh and (stats[at + 1] >= old or stats[at + 2] >= old):
                    stats[at + 1] = stats[at + 2] = _NEVER
        self._fresh = bytearray(len(self._fresh))
        self._loaded_stamp_ns = self.stamp_ns

    def _encode(self) -> bytes:
        self._smudge()
        stats, digests, states = self._stats, self._digests, self._states
        if _GONE in states:
            rows = list(self._rows.values())
            stats = array("q", (stats[row * _COLUMNS + c] for row in rows for c in range(_COLUMNS)))
            digests = bytearray(b"".join(digests[row * 32 : row * 32 + 32] for row in rows))
            states = bytearray(compress(states, states))
            self._rows = dict(zip(self._rows, range(len(rows)), strict=True))
            self._stats, self._digests, self._states = stats, digests, states
            self._fresh = bytearray(len(rows))
            self._seen = bytearray(len(rows))
        if sys.byteorder == "big":
            stats = array("q", stats)
            stats.byteswap()
        return msgspec.msgpack.encode(
            _Stored(
                stamp_ns=self.stamp_ns,
                paths=list(self._rows),
                stats=memoryview(stats).cast("B"),
                digests=digests,
                states=states,
                placed=self._placed,
                pending=self._all_pending(),
            )
        )
