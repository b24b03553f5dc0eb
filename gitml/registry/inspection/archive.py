"""Zip archives read where they lie: the table of members, and single members by ranges; nothing is unpacked.

Two readers of one archive may see different files. Whatever two readers could disagree about makes an archive one that
cannot be inspected: members of one name, flags that are not plain, headers that contradict each other.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from typing import BinaryIO, Final

MAX_MEMBERS: Final = 20_000
_MAX_TABLE_BYTES: Final = 8 << 20
_TAIL_BYTES: Final = 22 + 65_535
_END: Final = b"PK\x05\x06"
_LOCATOR: Final = b"PK\x06\x07"
_END64: Final = b"PK\x06\x06"
_PLAIN_FLAGS: Final = 0x0002 | 0x0004 | 0x0008 | 0x0800  # level of deflate, data descriptor, UTF-8 name
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class UninspectableError(Exception):
    """Why something cannot be looked into."""


class Archive:
    """One zip archive.

    Args:
        stream: A buffered, seekable stream.
        size_bytes: Its length.

    Raises:
        UninspectableError: It is damaged, too large, or not what all readers would agree on.
    """

    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self._stream = stream
        _check_table(stream, size_bytes)
        try:
            self._zip = zipfile.ZipFile(stream)
        except (
            zipfile.BadZipFile,
            ValueError,
            OSError,
            EOFError,
            struct.error,
            NotImplementedError,
        ) as error:
            raise UninspectableError(f"it is no whole zip archive: {error}") from error
        self.members: Sequence[zipfile.ZipInfo] = self._zip.infolist()
        _check_members(self.members)

    def open(self, member: zipfile.ZipInfo) -> BinaryIO:
        """A member's bytes.

        Raises:
            UninspectableError: Its own header contradicts the table.
        """
        self._stream.seek(member.header_offset)
        head = self._stream.read(_LOCAL.size)
        if len(head) < _LOCAL.size:
            raise UninspectableError(f"the member {member.filename} is cut off")
        magic, _, flags, method, _, _, _, _, _, name_bytes, _ = _LOCAL.unpack(head)
        name = self._stream.read(name_bytes)
        told = member.orig_filename.encode("utf-8" if flags & 0x800 else "cp437", "replace")
        if (
            magic != b"PK\x03\x04"
            or flags != member.flag_bits
            or method != member.compress_type
            or name != told
        ):
            raise UninspectableError(
                f"the member {member.filename} has two headers that contradict each other"
            )
        if method not in _METHODS:
            raise UninspectableError(f"the member {member.filename} is packed by method {method}")
        try:
            return self._zip.open(member)  # type: ignore[return-value]
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError) as error:
            raise UninspectableError(f"the member {member.filename} cannot be read: {error}") from error


def _check_table(stream: BinaryIO, size_bytes: int) -> None:
    """Refuse a table of members that is too large to be read, before it is."""
    start = max(0, size_bytes - _TAIL_BYTES)
    stream.seek(start)
    tail = stream.read(size_bytes - start)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise UninspectableError("it has no table of members")
    count, table_bytes = struct.unpack_from("<HI", tail, at + 10)
    locator = tail[at - 20 : at] if at >= 20 else b""
    if locator[:4] == _LOCATOR:
        stream.seek(min(struct.unpack_from("<Q", locator, 8)[0], size_bytes))
        end = stream.read(56)
        if len(end) < 56 or end[:4] != _END64:
            raise UninspectableError("its table of members cannot be found")
        count, table_bytes = struct.unpack_from("<QQ", end, 32)
    if count > MAX_MEMBERS or table_bytes > _MAX_TABLE_BYTES:
        raise UninspectableError(f"it has {count} members in a table of {table_bytes} bytes")


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    names: set[str] = set()
    for member in members:
        if not member.filename:
            raise UninspectableError("a member has no name")
        folded = member.filename.casefold()
        if folded in names:
            raise UninspectableError(f"two members are called {member.filename}")
        names.add(folded)
        if member.flag_bits & ~_PLAIN_FLAGS:
            raise UninspectableError(f"the member {member.filename} has the flags {member.flag_bits:#06x}")
