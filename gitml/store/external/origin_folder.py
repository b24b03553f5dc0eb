"""Referenced files of this machine: a folder, or one file.

Below the location that a person trusted no symbolic link is followed, whoever planted it and when.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gitml.errors import AccessDenied
from gitml.model.references import Reference
from gitml.model.source_url import SourceUrl
from gitml.store.external.origin import BLOCK_BYTES, changed, missing, path_below
from gitml.store.place.folders import Folders, NotAFolder, translated
from gitml.store.place.hashing import hash_file
from gitml.store.write.source import FolderSource
from gitml.store.write.sourcecache import SourceCache

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderOrigin:
    """A folder or a file.

    Args:
        location: It, as a person named it; the way to it may have symbolic links.
        cache: Digests of files whose stat has not changed since they were read last; with it, files are looked at
            in path order.
    """

    ranged: Final = False

    def __init__(self, location: SourceUrl, cache: SourceCache | None = None) -> None:
        self._location = location
        self._cache = cache

    def files(self) -> Iterator[Reference]:
        """See :class:`gitml.store.external.origin.Origin`."""
        top = Path(self._location.path)
        is_file = not top.is_dir()
        for file in FolderSource([top]).files():
            url = self._location if is_file else self._location.below(file.path)
            yield Reference(path=file.path, url=url, size_bytes=file.size_bytes)

    def look(self, reference: Reference) -> None:
        """See :class:`gitml.store.external.origin.Origin`; a file is read unless its stat is known."""
        with self._folder(reference) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_size != reference.size_bytes:
                raise changed(reference, _difference(status, reference))
            digest = None if self._cache is None else self._cache.known(reference.path, status)
            if digest is None:
                found = hash_file(name, folder)
                if found is None:
                    raise changed(reference, "it changes while it is read")
                digest, status = found
            if self._cache is not None:
                self._cache.note(reference.path, status, digest)
        if digest.hex() != reference.sha256:
            raise changed(reference, f"its sha256 is {digest.hex()}")

    def blocks(self, reference: Reference, start: int = 0) -> Iterator[bytes]:
        """See :class:`gitml.store.external.origin.Origin`."""
        with self._folder(reference) as (folder, name):
            descriptor = os.open(name, _OPEN, dir_fd=folder)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_size != reference.size_bytes:
                    raise changed(reference, _difference(status, reference))
                os.lseek(descriptor, start, os.SEEK_SET)
                left = reference.size_bytes - start
                while left:
                    block = os.read(descriptor, min(BLOCK_BYTES, left))
                    if not block:
                        raise changed(reference, "it became shorter while it was read")
                    left -= len(block)
                    yield block
            finally:
                os.close(descriptor)

    @contextmanager
    def _folder(self, reference: Reference) -> Iterator[tuple[int, str]]:
        """Descriptor of the folder that a file lies in, and its name there."""
        top = Path(self._location.path)
        path = path_below(self._location, reference.url.key)
        if reference.url == self._location:
            top = top.parent
        inner, _, name = path.rpartition("/")
        try:
            with Folders(top) as folders:
                yield folders.open(inner), name
        except (FileNotFoundError, NotAFolder) as error:
            raise missing(reference) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise changed(reference, "it is a symbolic link") from error
            raise _unreadable(reference, error) from error


def _difference(status: os.stat_result, reference: Reference) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    return f"it has {status.st_size} bytes instead of {reference.size_bytes}"


def _unreadable(reference: Reference, error: OSError) -> Exception:
    if error.errno in (errno.EACCES, errno.EPERM):
        return AccessDenied(
            f"{reference.path}: {reference.url} may not be read: {error.strerror}",
            code="source-unreadable",
            hint="get the right to read it",
            context={"path": reference.path, "url": str(reference.url)},
        )
    return translated(error, str(reference.url), "read")
