"""Writes and removes tracked files in a work tree without following a symbolic link, and puts them back.

Every folder on the way is opened by name relative to the one above with `O_NOFOLLOW`; a file appears by renaming a
temporary one. The bytes are exactly those of the blob: no filter and no end-of-line conversion runs.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

from gitml.errors import AccessDenied, Conflict, GitMLError, NoSpace
from gitml.git.failures import NO_ROOM
from gitml.git.objects import ObjectReader
from gitml.git.types import Change

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_COMPARED_BYTES: Final = 256 << 20


class FileState(Enum):
    """How a file in the work tree stands to a change of it."""

    ABSENT = "absent"
    OLD = "old"
    NEW = "new"
    OTHER = "other"
    BLOCKED = "blocked"


def state(top: Path, change: Change) -> FileState:
    """Compare the file in the work tree with both sides of a change."""
    oid = change.new_oid or change.old_oid or ""
    try:
        folder = _folder(top, change.path, make=False)
    except FileNotFoundError:
        return FileState.ABSENT
    except OSError:
        return FileState.BLOCKED
    try:
        found = _read(folder, change.path.rpartition("/")[2])
    except FileNotFoundError:
        return FileState.ABSENT
    except OSError:
        return FileState.BLOCKED
    finally:
        os.close(folder)
    if found is None:
        return FileState.BLOCKED
    is_link, data = found
    ids = {_blob_id(data, oid), _blob_id(data.replace(b"\r\n", b"\n"), oid)}
    if change.new_oid in ids and is_link == (change.new_mode == "120000"):
        return FileState.NEW
    if change.old_oid in ids and is_link == (change.old_mode == "120000"):
        return FileState.OLD
    return FileState.OTHER


def put(
    reader: ObjectReader, top: Path, path: str, mode: str | None, oid: str | None, *, tag: str, sync: bool
) -> None:
    """Make a file in the work tree what a tree says it is; None removes it and the folders it leaves empty.

    Args:
        reader: Gives the bytes.
        top: Top of the work tree.
        path: Relative to it.
        mode: Mode of the entry.
        oid: Id of the blob.
        tag: Id of the operation; names the temporary file, so that recovery finds it.
        sync: Whether the file is durable on return.

    Raises:
        Conflict: A symbolic link or a file lies where a folder should be.
        AccessDenied, NoSpace: The work tree cannot be written.
    """
    try:
        if oid is None or mode is None:
            _remove(top, path)
        elif mode == "160000":
            os.close(_folder(top, f"{path}/x", make=True))
        else:
            raw = reader.read(oid)
            _write(top, path, mode, b"" if raw is None else raw.data, tag=tag, sync=sync)
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as exc:
        raise Conflict(
            f"{path!r} in {top} is in the way", code="files-in-the-way", context={"paths": [path]}
        ) from exc
    except OSError as exc:
        if exc.errno == 40:  # ELOOP: a symbolic link
            raise Conflict(f"{path!r} in {top} lies behind a symbolic link", code="files-in-the-way") from exc
        error = NoSpace if exc.errno in NO_ROOM else AccessDenied
        raise error(
            f"{path!r} in {top} cannot be written: {exc.strerror}",
            code="work-tree",
            hint=f"get the right, or the room, to write {top}",
        ) from exc


def put_back(
    reader: ObjectReader, top: Path, changes: Sequence[Change], was_absent: Sequence[bool], *, tag: str
) -> None:
    """Undo what was written of changes: only files that hold the new bytes are touched."""
    for change, absent in zip(changes, was_absent, strict=True):
        folder, _, _ = change.path.rpartition("/")
        with suppress(GitMLError):
            put(
                reader,
                top,
                f"{folder}/.gitml-{tag}" if folder else f".gitml-{tag}",
                None,
                None,
                tag=tag,
                sync=False,
            )
        now = state(top, change)
        written = now is FileState.NEW or (change.new_oid is None and now is FileState.ABSENT)
        if not written:
            continue
        if absent or change.old_oid is None:
            put(reader, top, change.path, None, None, tag=tag, sync=False)
        else:
            put(reader, top, change.path, change.old_mode, change.old_oid, tag=tag, sync=False)


def _folder(top: Path, path: str, *, make: bool) -> int:
    """Open the folder that holds a path, going down from the top without following links."""
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.split("/")[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(folder: int, name: str) -> tuple[bool, bytes] | None:
    """Return whether an entry is a symbolic link, and its bytes; None when it is neither file nor link."""
    info = os.lstat(name, dir_fd=folder)
    if stat.S_ISLNK(info.st_mode):
        return True, os.fsencode(os.readlink(name, dir_fd=folder))
    if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_COMPARED_BYTES:
        return None
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as stream:
        return False, stream.read()


def _write(top: Path, path: str, mode: str, data: bytes, *, tag: str, sync: bool) -> None:
    folder = _folder(top, path, make=True)
    name, early = path.rpartition("/")[2], f".gitml-{tag}"
    try:
        if mode == "120000":
            os.symlink(os.fsdecode(data), early, dir_fd=folder)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(early, flags, 0o777 if mode == "100755" else 0o666, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                if sync:
                    os.fsync(stream.fileno())
        os.rename(early, name, src_dir_fd=folder, dst_dir_fd=folder)
        if sync:
            os.fsync(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(early, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def _remove(top: Path, path: str) -> None:
    try:
        folder = _folder(top, path, make=False)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            os.unlink(path.rpartition("/")[2], dir_fd=folder)
    finally:
        os.close(folder)
    parts = path.split("/")[:-1]
    for depth in range(len(parts), 0, -1):
        above = _folder(top, "/".join(parts[:depth]), make=False)
        try:
            os.rmdir(parts[depth - 1], dir_fd=above)
        except OSError:
            return
        finally:
            os.close(above)


def _blob_id(data: bytes, like: str) -> str:
    hasher = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    hasher.update(b"blob %d\0" % len(data))
    hasher.update(data)
    return hasher.hexdigest()
