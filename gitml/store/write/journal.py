"""Which packs are durable but may not be named by a root yet: what an interrupted write can go on from.

One file, shared by all stores and processes of a repository. Each record is appended with one write: length
(u32, little endian), msgpack `[url of the store, size of the pack, footer]`, SHA-256 of that. A record that
is torn or damaged, and what follows it, counts for nothing; a missed record costs space, never correctness,
and so the journal is not flushed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from gitml.errors import GitMLError
from gitml.store.formats.pack import FOOTER_LIMIT_BYTES, Footer, PackRef, decode_footer, pack_id_of

_LENGTH = struct.Struct("<I")
_SUM_BYTES = 32
_RECORD_LIMIT_BYTES = FOOTER_LIMIT_BYTES + 64 * 1024

_Record = tuple[str, int, bytes]


class Journal:
    """The journal at one path, for one store.

    Args:
        path: The file; None keeps no journal.
        url: Names the store.
    """

    def __init__(self, path: Path | None, url: str) -> None:
        self._path = path
        self._url = url
        self._starts: dict[bytes, int] = {}

    def append(self, pack: PackRef, footer: bytes) -> None:
        """Record a durable pack, if that can be done."""
        if self._path is None:
            return
        data = _frame(msgspec.msgpack.encode((self._url, pack.size_bytes, footer)))
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as (handle, _):
                os.write(handle, data)

    def packs(self) -> list[PackRef]:
        """Packs of this store, oldest first; whether they are still there is for the caller to ask."""
        found: dict[bytes, PackRef] = {}
        for start, _, (url, size_bytes, footer) in self._records():
            if url == self._url:
                pack_id = pack_id_of(footer)
                found[pack_id] = PackRef(id=pack_id, size_bytes=size_bytes, footer_bytes=len(footer))
                self._starts[pack_id] = start
        return list(found.values())

    def footer(self, pack: PackRef) -> Footer | None:
        """The footer of a pack that `packs` gave; None if its record is gone."""
        start = self._starts.get(pack.id)
        if start is None:
            return None
        for _, _, (_, _, footer) in self._records(start):
            with contextlib.suppress(GitMLError):
                return decode_footer(footer, pack.id, "the journal")
            return None
        return None

    def forget(self, pack_ids: Collection[bytes]) -> None:
        """Drop the records of packs that a root names now; an empty journal goes."""
        if self._path is None or not self._path.exists():
            return
        with contextlib.suppress(OSError), _locked(self._path, os.O_RDWR) as (handle, is_locked):
            kept = [
                _frame(raw)
                for _, raw, (url, _, footer) in self._records()
                if url != self._url or pack_id_of(footer) not in pack_ids
            ]
            if not kept:
                self._path.unlink()
                return
            if not is_locked:
                _replace(self._path, kept)
                return
            os.ftruncate(handle, 0)
            for data in kept:
                os.write(handle, data)

    def _records(self, start: int = 0) -> Iterator[tuple[int, bytes, _Record]]:
        """Where each record starts, its msgpack, and what that says; ends at the first damaged one."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as stream:
                stream.seek(start)
                while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
                    length = _LENGTH.unpack(head)[0]
                    if length > _RECORD_LIMIT_BYTES:
                        return
                    raw, checksum = stream.read(length), stream.read(_SUM_BYTES)
                    if hashlib.sha256(raw).digest() != checksum:
                        return
                    yield start, raw, msgspec.msgpack.decode(raw, type=_Record)
                    start = stream.tell()
        except (OSError, msgspec.DecodeError):
            return


def _frame(raw: bytes) -> bytes:
    return _LENGTH.pack(len(raw)) + raw + hashlib.sha256(raw).digest()


def _replace(path: Path, records: Iterable[bytes]) -> None:
    """Put another file in a journal's place; what is appended to the old one meanwhile is not remembered."""
    other = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        other.write_bytes(b"".join(records))
        other.replace(path)
    finally:
        other.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path, flags: int) -> Iterator[tuple[int, bool]]:
    """The file that stands at `path`, and whether no other process writes to it: not all file systems have locks."""
    while True:
        handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            is_locked = _lock(handle)
            if _is_at(handle, path):
                yield handle, is_locked
                return
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        here, there = os.fstat(handle), path.stat()
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
