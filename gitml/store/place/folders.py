"""Folders of a user's file system, opened one component at a time and never through a symbolic link.

Whoever can write to a folder may swap a part of a path for a symbolic link at any moment. Paths are therefore never
resolved by the kernel: each component is opened relative to its opened parent, with `O_NOFOLLOW`.
"""

from __future__ import annotations

import errno
import os
import re
import stat as stat_module
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gitml.errors import AccessDenied, Conflict, GitMLError, InvalidInput, NoSpace, StoreUnavailable

_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_OPEN: Final = 48
_MOST_MADE: Final = 20_000  # that are remembered
_TEMPORARY: Final = re.compile(r"\.gitml-placing-[0-9a-f]{16}-[0-9]+")
_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})


class NotAFolder(Exception):  # noqa: N818
    """A component of a path is there, and is no folder.

    Args:
        path: The component, relative to the top folder.
        what: What it is, for a person.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(path)
        self.path = path
        self.what = what


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one on its way to its place, or was before a run was killed."""
    return name.startswith(".gitml-placing-") and _TEMPORARY.fullmatch(name) is not None


def kind_of(mode: int) -> str:
    """What a file mode says, for a person."""
    if stat_module.S_ISLNK(mode):
        return "a symbolic link"
    if stat_module.S_ISDIR(mode):
        return "a folder"
    if stat_module.S_ISREG(mode):
        return "a file"
    return "a device, pipe or socket"


def translated(error: OSError, path: str, doing: str) -> GitMLError:
    """The error of this project for a failed call on a user's file."""
    reason = error.strerror or str(error)
    message = f"cannot {doing} {path}: {reason}"
    context = {"path": path}
    if error.errno in _SPACE:
        return NoSpace(message, hint="make room, then run it again", context=context)
    if error.errno in _DENIED:
        return AccessDenied(message, hint="change the permissions, then run it again", context=context)
    if error.errno in _BAD_NAME:
        return InvalidInput(
            f"{message} (this file system cannot hold the name)",
            code="name-not-possible",
            hint="leave it out with --exclude, or use another file system",
            context=context,
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return Conflict(
            f"cannot {doing} {path}: a symbolic link or file is in the way",
            code="blocked",
            hint="move it away, then run it again",
            context=context,
        )
    return StoreUnavailable(message, code="local-io", hint="run it again", context=context)


def in_the_way(path: str, reason: str) -> Conflict:
    """The error for something that GitML may not touch, where a file must go."""
    return Conflict(
        f"{path} is in the way: {reason}",
        code="blocked",
        hint="move it away, or use --force",
        context={"blocked": [{"path": path, "reason": reason}]},
    )


class Folders:
    """Open folders below a top folder, by relative path (`""` is the top); for one thread.

    Args:
        top: Opened following links: it is the caller's own word. `trusted` narrows that.
        trusted: A folder above `top`; components between the two are not followed either.
        create: Make folders that are missing.

    Raises:
        FileNotFoundError: `top` does not exist and `create` is False.
        NotAFolder: A component is something else.
    """

    def __init__(self, top: Path, *, trusted: Path | None = None, create: bool = False) -> None:
        self._create = create
        self.made: set[str] = set()
        self._open: OrderedDict[str, int] = OrderedDict()
        if trusted is None:
            if create:
                top.mkdir(parents=True, exist_ok=True)
            self._top = self._open_top(top)
            return
        descriptor = self._open_top(trusted)
        walked = ""
        try:
            for part in top.relative_to(trusted).parts:
                walked = f"{walked}/{part}" if walked else part
                inner = self._step(descriptor, part, walked)
                os.close(descriptor)
                descriptor = inner
        except BaseException:
            os.close(descriptor)
            raise
        self._top = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def top(self) -> int:
        """Descriptor of the top folder."""
        return self._top

    def open(self, folder: str) -> int:
        """Descriptor of a folder, owned by this object and valid until another folder is opened.

        Raises:
            FileNotFoundError: It does not exist, and folders are not created here.
            NotAFolder: A component is something else.
        """
        descriptor = self._open.get(folder)
        if descriptor is not None:
            return descriptor
        if not folder:
            return self._top
        parent, _, name = folder.rpartition("/")
        descriptor = self._step(self.open(parent), name, folder)
        self._open[folder] = descriptor
        while len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def forget(self, folder: str) -> None:
        """Close a folder, and those below it: it is about to go."""
        below = folder + "/"
        for name in [name for name in self._open if name == folder or name.startswith(below)]:
            os.close(self._open.pop(name))

    def close(self) -> None:
        """Close every folder."""
        while self._open:
            os.close(self._open.popitem()[1])
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    @staticmethod
    def _open_top(top: Path) -> int:
        try:
            return os.open(top, _OPEN_FOLDER)
        except NotADirectoryError:
            raise NotAFolder(str(top), "a file") from None

    def _step(self, parent: int, name: str, path: str) -> int:
        try:
            return os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not self._create:
                raise
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
                raise NotAFolder(path, kind_of(mode)) from None
            raise
        try:
            os.mkdir(name, dir_fd=parent)
            if len(self.made) >= _MOST_MADE:
                self.made.clear()
            self.made.add(path)
        except FileExistsError:
            pass
        return os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
