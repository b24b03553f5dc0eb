"""A medium in a folder of a local disk or of NFS.

What a write returned from survives a power cut: bytes are flushed before the name appears, and the name
before the call returns. Objects are reached component by component, never through a symbolic link.
Temporary files carry dotted names, which no object has; `list` does not show them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from gitml.errors import (
    AccessDenied,
    GitMLError,
    InvalidInput,
    NoSpace,
    OutcomeUnknown,
    StoreUnavailable,
)
from gitml.store.media.linkless import CLAIM, exists, rename_if_absent
from gitml.store.media.medium import Buffers, PutOutcome, absent, body_size, check_object_name, short

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PARTS_AT_ONCE = 512
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_LOST_REPLY = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.ECONNRESET, errno.EINTR}
_TEMPORARY = ".tmp-"


class FolderMedium:
    """Objects as files below one folder, which is made when the first object is written.

    Args:
        path: The folder. It may be reached through symbolic links; what lies below it may not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._durable_folders: set[str] = set()  # below the store; their names are known to be flushed

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self.path)

    def free_bytes(self) -> int | None:
        """See :class:`gitml.store.media.medium.HasRoom`."""
        for folder in (self.path, *self.path.parents):
            with contextlib.suppress(OSError):
                disk = os.statvfs(folder)
                return disk.f_bavail * disk.f_frsize
        return None

    def head(self, name: str) -> int | None:
        check_object_name(name)
        try:
            with self._opened(name) as (folder, base):
                status = os.stat(base, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._translated(error, name, "looking up") from error
        self._check_regular(status, name)
        return status.st_size

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with self._reading(name) as handle:
            return self._read(handle, name, start, end)

    def get_into(self, name: str, buffer: memoryview) -> int:
        """See :class:`gitml.store.media.medium.ReadsInto`."""
        with self._reading(name) as handle:
            status = os.fstat(handle)
            self._check_regular(status, name)
            if status.st_size > len(buffer):
                raise short(self.url, name, status.st_size, 0, len(buffer))
            position = 0
            while position < status.st_size:
                count = os.preadv(handle, [buffer[position : status.st_size]], position)
                if not count:
                    raise short(self.url, name, position, 0, status.st_size)
                position += count
            return position

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[int]:
        """An object opened for reading; what the system refuses is said in GitML's words."""
        check_object_name(name)
        try:
            with self._opened(name) as (folder, base):
                handle = os.open(base, _READ, dir_fd=folder)
                try:
                    yield handle
                finally:
                    os.close(handle)
        except FileNotFoundError as error:
            raise absent(self.url, name) from error
        except OSError as error:
            raise self._translated(error, name, "reading") from error

    def put(self, name: str, body: Buffers) -> None:
        check_object_name(name)
        try:
            with self._opened(name, make=True) as (folder, base), self._temporary(folder, body) as temporary:
                os.rename(temporary, base, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
        except OSError as error:
            raise self._translated(error, name, "writing", body_size(body)) from error

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        check_object_name(name)
        try:
            with self._opened(name, make=True) as (folder, base):
                if exists(base, folder):
                    os.fsync(folder)  # its writer may have died between the link and this
                    return PutOutcome.EXISTS
                with self._temporary(folder, body) as temporary:
                    outcome = self._link(folder, temporary, base, name)
                os.fsync(folder)
                return outcome
        except OSError as error:
            raise self._translated(error, name, "writing", body_size(body)) from error

    def delete(self, name: str) -> bool:
        check_object_name(name)
        try:
            with self._opened(name) as (folder, base):
                os.unlink(base, dir_fd=folder)
                os.fsync(folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._translated(error, name, "deleting") from error
        return True

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        if prefix:
            check_object_name(prefix.rstrip("/"))
        pending = [(self.path, "")]
        for part in prefix.rstrip("/").split("/") if prefix else ():
            path, name = pending.pop()
            pending.append((path / part, f"{name}/{part}" if name else part))
            if pending[-1][0].is_symlink():
                return
        while pending:
            path, name = pending.pop()
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        child = f"{name}/{entry.name}" if name else entry.name
                        if entry.name.startswith("."):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((Path(entry.path), child))
                        elif entry.is_file(follow_symlinks=False):
                            yield child, entry.stat(follow_symlinks=False).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._translated(error, name or ".", "listing") from error

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Names and sizes of the temporary files that are there now: of writers at work, or of killed ones."""
        for folder, _, files in os.walk(self.path):
            for base in files:
                if base.startswith(_TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):
                        path = Path(folder, base)
                        yield path.relative_to(self.path).as_posix(), path.lstat().st_size

    def delete_leftover(self, name: str) -> bool:
        """Remove a temporary file; False where there was none.

        Raises:
            InvalidInput: The name is not that of a temporary file.
        """
        parent, _, base = name.rpartition("/")
        if not base.startswith(_TEMPORARY):
            raise InvalidInput(f"{name!r} is no temporary file of a store", code="object-name")
        above, _, last_folder = parent.rpartition("/")
        if not last_folder.startswith((CLAIM, _TEMPORARY)):
            above = parent
        check_object_name(f"{above}/x" if above else "x")
        try:
            with self._opened(name) as (folder, last):
                os.unlink(last, dir_fd=folder)
            if above != parent:
                with contextlib.suppress(OSError):
                    self.path.joinpath(parent).rmdir()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._translated(error, name, "deleting") from error
        return True

    def _read(self, handle: int, name: str, start: int, end: int | None) -> bytes:
        status = os.fstat(handle)
        self._check_regular(status, name)
        stop = status.st_size if end is None else end
        if not 0 <= start <= stop <= status.st_size:
            raise short(self.url, name, status.st_size, start, stop)
        data = os.pread(handle, stop - start, start)
        if len(data) < stop - start:
            parts = [data]
            position = start + len(data)
            while position < stop and (part := os.pread(handle, stop - position, position)):
                parts.append(part)
                position += len(part)
            if position < stop:
                raise short(self.url, name, position, start, stop)
            data = b"".join(parts)
        return data

    def _check_regular(self, status: os.stat_result, name: str) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise AccessDenied(
                f"{name} in {self.url} is no regular file, so GitML does not touch it",
                code="store-not-regular",
                hint=f"remove it: {self.path / name}",
                context={"object": name, "store": self.url},
            )

    @contextlib.contextmanager
    def _opened(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The object's folder, opened without following links below the store, and the object's last part."""
        *folders, base = name.split("/")
        handle = self._open_top(make=make)
        try:
            for depth, part in enumerate(folders, 1):
                child = self._open_folder("/".join(folders[:depth]), part, handle, make=make)
                os.close(handle)
                handle = child
            yield handle, base
        finally:
            os.close(handle)

    def _open_top(self, *, make: bool) -> int:
        try:
            return os.open(self.path, _FOLDER)
        except FileNotFoundError:
            if not make:
                raise
        for folder in [*reversed(self.path.parents), self.path]:
            if not folder.exists():
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                _sync_folder(folder.parent)
        return os.open(self.path, _FOLDER)

    def _open_folder(self, path: str, part: str, parent: int, *, make: bool) -> int:
        flags = _FOLDER | os.O_NOFOLLOW
        if not make:
            return os.open(part, flags, dir_fd=parent)
        try:
            child = os.open(part, flags, dir_fd=parent)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=parent)
            child = os.open(part, flags, dir_fd=parent)
        if path not in self._durable_folders:  # whoever made it may have died before flushing its name
            try:
                os.fsync(parent)
            except OSError:
                os.close(child)
                raise
            self._durable_folders.add(path)
        return child

    @contextlib.contextmanager
    def _temporary(self, folder: int, body: Buffers) -> Iterator[str]:
        """A flushed file with that body, gone afterwards unless it was renamed."""
        name = _TEMPORARY + secrets.token_hex(8)
        handle = os.open(name, _CREATE, 0o666, dir_fd=folder)
        try:
            try:
                _write(handle, body)
                os.fsync(handle)
            finally:
                os.close(handle)
            yield name
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)

    def _link(self, folder: int, temporary: str, base: str, name: str) -> PutOutcome:
        try:
            os.link(temporary, base, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            # NFS repeats a request whose reply was lost, and then reports our own link
            return PutOutcome.CREATED if _links(temporary, folder) > 1 else PutOutcome.EXISTS
        except OSError as error:
            if error.errno in _LOST_REPLY:
                if _links(temporary, folder) > 1:
                    return PutOutcome.CREATED
                raise self._unknown(name, error) from error
            if error.errno not in _NO_LINKS:
                raise
            return rename_if_absent(folder, temporary, base)
        return PutOutcome.CREATED

    def _unknown(self, name: str, error: OSError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"writing {name} in {self.url}: the reply was lost ({error.strerror})",
            hint="run the command again",
            context={"object": name, "store": self.url},
        )

    def _translated(self, error: OSError, name: str, doing: str, need_bytes: int | None = None) -> GitMLError:
        """The one place where failures of the operating system become GitML's."""
        reason = error.strerror or str(error)
        context = {"object": name, "store": self.url, "errno": errno.errorcode.get(error.errno or 0, "?")}
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            need = "" if need_bytes is None else f"{need_bytes} bytes are needed for "
            return NoSpace(
                f"no room in {self.url}: {need}{name} ({reason})",
                hint=f"make room in {self.path}, then run the command again",
                context=context | ({} if need_bytes is None else {"need_bytes": need_bytes}),
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return AccessDenied(
                f"{doing} {name} in {self.url}: {reason}",
                hint=f"get the right to {'write' if doing in ('writing', 'deleting') else 'read'} {self.path}",
                context=context,
            )
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
            return AccessDenied(
                f"{doing} {name} in {self.url}: a part of it is a symbolic link or no folder",
                code="store-not-regular",
                hint=f"look at {self.path / name}",
                context=context,
            )
        return StoreUnavailable(
            f"{doing} {name} in {self.url}: {reason}", hint="run the command again", context=context
        )


def _sync_folder(path: Path) -> None:
    handle = os.open(path, _FOLDER)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(handle: int, body: Buffers) -> None:
    views = [memoryview(part).cast("B") for part in body if len(part)]
    position = 0
    while position < len(views):
        batch = views[position : position + _PARTS_AT_ONCE]
        written = os.writev(handle, batch)
        for view in batch:
            if written < len(view):
                views[position] = view[written:]
                break
            written -= len(view)
            position += 1


def _links(name: str, folder: int) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_nlink
    except OSError:
        return 0
