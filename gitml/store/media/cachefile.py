"""Writing a file of the cache: in one step, so that nobody sees a part of it, and large ones past the system's cache."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from typing import Final

from gitml.store.media.medium import Buffer, Buffers

BLOCK_BYTES: Final = 4096
TEMPORARY: Final = re.compile(r"\.tmp-[0-9a-f]{16}")

_DIRECT: Final = getattr(os, "O_DIRECT", 0)
_DIRECT_BYTES: Final = 1 << 20
_PARTS_AT_ONCE: Final = 512
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_file(folder: int, name: str, body: Buffers) -> None:
    """Write a file in one step; not flushed, since what a power cut leaves is compared with its id."""
    temporary = f".tmp-{secrets.token_hex(8)}"
    handle = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
    try:
        try:
            parts: list[Buffer] = [view for part in body if len(view := memoryview(part).cast("B"))]
            if len(parts) == 1 and len(parts[0]) >= _DIRECT_BYTES:
                parts[0] = parts[0][_write_direct(handle, parts[0]) :]
            _write_all(handle, parts)
        finally:
            os.close(handle)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _write_direct(handle: int, data: Buffer) -> int:
    """Write whole blocks straight from memory to the disk, which costs no copy; how many bytes that was.

    Some file systems have no such way, and memory that does not begin at a block cannot go it: none, then.
    """
    flags, written, whole = fcntl.fcntl(handle, fcntl.F_GETFL), 0, len(data) // BLOCK_BYTES * BLOCK_BYTES
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | _DIRECT)
        while written < whole:
            written += os.write(handle, data[written:whole])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        with contextlib.suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_SETFL, flags)
    return written


def _write_all(handle: int, parts: list[Buffer]) -> None:
    while parts:
        written = os.writev(handle, parts[:_PARTS_AT_ONCE])
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if written:
            parts[0] = memoryview(parts[0])[written:]
