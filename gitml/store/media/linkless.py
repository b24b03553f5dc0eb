"""Create-only writes in a folder whose file system has no hard links, without locks.

A *claim* is a folder beside the object: of all writers of one name, the one whose folder stands there is next.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

from gitml.store.media.medium import PutOutcome

CLAIM: Final = ".claim-"
"""How the names of claims begin; the object's own follows."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def rename_if_absent(folder: int, temporary: str, base: str) -> PutOutcome:
    """Create-only without links and without locks.

    A folder cannot be renamed onto one that holds something: that decides whose turn it is. A file in the claim is
    renamed to its name by its writer, or by any other who comes by, so that a dead writer is in nobody's way. Each
    looks for the name after the claim: only a file that stands in the claim can become the object.
    """
    own, claim = f"{temporary}-claim", CLAIM + base
    claimed = f"{claim}/{temporary}"
    os.mkdir(own, dir_fd=folder)
    try:
        os.rename(temporary, f"{own}/{temporary}", src_dir_fd=folder, dst_dir_fd=folder)
        while not _claim(folder, own, claim):
            _make_way(folder, claim, base)
            if exists(base, folder):
                return PutOutcome.EXISTS
    finally:
        _discard(folder, own, temporary)
    try:
        if exists(base, folder):
            os.unlink(claimed, dir_fd=folder)
            return PutOutcome.EXISTS
        os.rename(claimed, base, src_dir_fd=folder, dst_dir_fd=folder)
    except FileNotFoundError:
        pass  # another writer found it in the claim, and gave it its name
    finally:
        _discard(folder, claim, temporary)
    return PutOutcome.CREATED


def _claim(folder: int, own: str, claim: str) -> bool:
    """Put one's own folder in the place of the claim, unless another's is there."""
    try:
        os.rename(own, claim, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _make_way(folder: int, claim: str, base: str) -> None:
    """Do what the writer of a claim has yet to do, or will never do."""
    try:
        handle = os.open(claim, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        for name in [entry.name for entry in os.scandir(handle)]:
            if exists(base, folder):
                return
            with contextlib.suppress(FileNotFoundError):
                os.rename(name, base, src_dir_fd=handle, dst_dir_fd=folder)
    finally:
        os.close(handle)


def _discard(folder: int, path: str, inside: str) -> None:
    """Remove a folder of a claim, if it is still there and holds nothing of another's."""
    with contextlib.suppress(OSError):
        os.unlink(f"{path}/{inside}", dir_fd=folder)
    with contextlib.suppress(OSError):
        os.rmdir(path, dir_fd=folder)


def exists(base: str, folder: int) -> bool:
    """Whether a folder has something of that name."""
    try:
        os.stat(base, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
