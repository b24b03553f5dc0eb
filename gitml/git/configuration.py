"""Git's configuration as one list, asked for again only when a file of it changed.

A command needs remotes, filters and signing many times over, and a process for each would take longer than the rest
of it. A list is kept only where that is safe: every file of it is known and was written well before git read it, and
it includes no other, since an include may depend on the branch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitml.git.command import GitCommand

_CHOOSING: Final = (
    "HOME",
    "XDG_CONFIG_HOME",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
)
_YOUNG_NS: Final = 50_000_000  # what is written twice within a tick of the clock may look the same
_MOST: Final = 16
_FILE: Final = "file:"
_OWN: Final = "command line:"

Entries = tuple[tuple[str, str | None], ...]
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A list, and what it was made from."""

    entries: Entries
    chosen: tuple[str | None, ...]
    stamps: dict[Path, _Stamp]


_kept: dict[Path, _Kept] = {}


def entries(git: GitCommand) -> Entries:
    """Return name and value of every setting of the user and the repository; None: it has no value.

    They stand in the order in which git reads them; the last one holds where one is wanted. Names are as git prints
    them: section and variable in small letters.

    Raises:
        GitMLError: A file of it is malformed, or cannot be read.
    """
    chosen = tuple(os.environ.get(name) for name in _CHOOSING)
    known = _kept.get(git.git_dir) if git.git_dir is not None else None
    if known is not None and known.chosen == chosen and _stamps(known.stamps) == known.stamps:
        return known.entries
    asked_ns = time.time_ns()
    result = git.run("config", "-z", "--list", "--show-origin", what="git's configuration could not be read")
    parts = result.text.split("\0")
    origins, rows = parts[:-1:2], parts[1::2]
    found = tuple(
        (key, value if separator else None)
        for origin, (key, separator, value) in zip(
            origins, (row.partition("\n") for row in rows), strict=True
        )
        if origin != _OWN
    )
    files = {Path(origin.removeprefix(_FILE)) for origin in origins if origin.startswith(_FILE)}
    stamps = _stamps(files | _places(git))
    if (
        git.git_dir is not None
        and all(stamp is None or stamp[0] < asked_ns - _YOUNG_NS for stamp in stamps.values())
        and all(file.is_absolute() for file in files)
        and all(origin.startswith((_FILE, _OWN)) for origin in origins)
        and not any(key.startswith(("include.", "includeif.")) for key, _ in found)
    ):
        if len(_kept) >= _MOST:
            _kept.clear()
        _kept[git.git_dir] = _Kept(entries=found, chosen=chosen, stamps=stamps)
    return found


def value(git: GitCommand, key: str) -> str | None:
    """Return the setting that holds, as text; None where it is not set. One without a value is `true`."""
    found = [text for name, text in entries(git) if name == key]
    return None if not found else "true" if found[-1] is None else found[-1]


def _places(git: GitCommand) -> set[Path]:
    """Return where files of the configuration may appear that are not there yet."""
    home, xdg = os.environ.get("HOME"), os.environ.get("XDG_CONFIG_HOME")
    found = {Path("/etc/gitconfig")}
    found |= {Path(home, ".gitconfig"), Path(home, ".config/git/config")} if home else set()
    found |= {Path(xdg, "git/config")} if xdg else set()
    found |= {git.git_dir / "config", git.git_dir / "config.worktree"} if git.git_dir else set()
    return found


def _stamps(files: Iterable[Path]) -> dict[Path, _Stamp]:
    found: dict[Path, _Stamp] = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (status.st_ctime_ns, status.st_ino, status.st_size)
    return found
