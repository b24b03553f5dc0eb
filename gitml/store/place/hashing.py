"""SHA-256 of a user's files, which may change, vanish or turn into something else at any moment."""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
from typing import Final

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK_BYTES: Final = 1 << 20


def hash_file(name: str, folder: int) -> tuple[bytes, os.stat_result] | None:
    """Digest and stat of a regular file, or None if it is none or changed while it was read.

    Args:
        name: Its name in the folder; never followed where it is a symbolic link.
        folder: Descriptor of its folder.

    Raises:
        OSError: It cannot be opened or read.
    """
    descriptor = os.open(name, _FLAGS, dir_fd=folder)
    try:
        before = os.fstat(descriptor)
        if not stat_module.S_ISREG(before.st_mode):
            return None
        hasher = hashlib.sha256()
        if before.st_size <= _BLOCK_BYTES:
            while block := os.read(descriptor, before.st_size + 1):
                hasher.update(block)
                if len(block) > before.st_size:
                    break
        else:
            buffer = memoryview(bytearray(_BLOCK_BYTES))
            while count := os.readv(descriptor, [buffer]):
                hasher.update(buffer[:count])
        after = os.fstat(descriptor)
        same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns)
        if same != (after.st_size, after.st_mtime_ns, after.st_ctime_ns):
            return None
        return hasher.digest(), after
    finally:
        os.close(descriptor)
