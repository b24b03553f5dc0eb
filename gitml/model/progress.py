"""What long work tells whoever watches it. How that is shown is for the command line."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A watcher of long work. `advance` and `note` may be called from any thread; the others from one."""

    def begin(self, label: str, *, total_bytes: int | None = None, total_files: int | None = None) -> None:
        """A piece of work begins; totals are None where they are not known."""

    def advance(self, *, size_bytes: int = 0, files: int = 0, reused_bytes: int = 0, rows: int = 0) -> None:
        """So much more is done; `reused_bytes` of it did not have to be moved."""

    def end(self) -> None:
        """The piece of work that was begun last is over, well or not."""

    def note(self, message: str) -> None:
        """One line for the person, such as a warning."""


class Silent(Progress):
    """Watches nothing."""

    def begin(self, label: str, *, total_bytes: int | None = None, total_files: int | None = None) -> None:
        """See :meth:`Progress.begin`."""

    def advance(self, *, size_bytes: int = 0, files: int = 0, reused_bytes: int = 0, rows: int = 0) -> None:
        """See :meth:`Progress.advance`."""

    def end(self) -> None:
        """See :meth:`Progress.end`."""

    def note(self, message: str) -> None:
        """See :meth:`Progress.note`."""


SILENT = Silent()
