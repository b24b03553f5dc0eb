"""A machine whose file systems have no locks: for this process, and for each Python that it starts with this folder
on `PYTHONPATH`."""

from __future__ import annotations

import errno
import fcntl
from typing import Any


def _no_locks(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


fcntl.flock = _no_locks
fcntl.lockf = _no_locks
