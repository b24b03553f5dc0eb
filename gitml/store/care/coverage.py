"""What was read rightly in earlier runs of a check that is done piece by piece, and what was found damaged.

A piece is named by a digest over all that was checked of it, so that a record is right or matches nothing. One file, a
line for each piece, appended as soon as it was read: a run that is killed loses nothing, two at once do no harm, and a
file that is torn, damaged or gone only means that something is read again. When all was covered the pieces are
forgotten and the next run begins anew; what was damaged is read first in every run until it is right again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LINE: Final = re.compile(r"read ([0-9a-f]{32})|damaged ([!-~]{1,500})|right ([!-~]{1,500})")
_LIMIT_BYTES: Final = 256 << 20
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def piece(*parts: bytes | bytearray | memoryview) -> str:
    """The name of a piece: a digest over everything that is checked of it."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()[:32]


class Coverage:
    """The record at one path.

    Args:
        path: The file; None remembers nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._read: set[bytes] = set()
        self.damaged: set[str] = set()
        """Names of objects that an earlier run found damaged."""
        self._load()

    def __contains__(self, name: str) -> bool:
        return bytes.fromhex(name) in self._read

    def note_read(self, name: str) -> None:
        """A piece was read, and is right."""
        self._append(f"read {name}\n")

    def note_damaged(self, objects: Iterable[str]) -> None:
        """Objects are damaged."""
        fresh = [name for name in objects if name not in self.damaged]
        self.damaged.update(fresh)
        self._append("".join(f"damaged {name}\n" for name in fresh))

    def note_right(self, objects: Iterable[str]) -> None:
        """Objects that were damaged are right, or needed no more."""
        healed = [name for name in objects if name in self.damaged]
        self.damaged.difference_update(healed)
        self._append("".join(f"right {name}\n" for name in healed))

    def begin_anew(self, damaged: Iterable[str]) -> None:
        """Everything was covered: forget it, but for what is damaged."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        self.damaged = set()
        self.note_damaged(sorted(damaged))

    def _load(self) -> None:
        if self._path is None:
            return
        try:
            with self._path.open(encoding="ascii", errors="replace", newline="\n") as stream:
                for line in stream.read(_LIMIT_BYTES).splitlines():
                    self._take(line)
        except OSError:
            return

    def _take(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            return
        if match[1]:
            self._read.add(bytes.fromhex(match[1]))
        elif match[2]:
            self.damaged.add(match[2])
        else:
            self.damaged.discard(match[3])

    def _append(self, lines: str) -> None:
        if self._path is None or not lines:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, _APPEND, 0o600)
            try:
                # What an earlier run left torn must not swallow this line.
                os.write(handle, b"\n" + lines.encode("ascii", "replace"))
            finally:
                os.close(handle)
