"""The verb `install`: hooks of git that let GitML judge a push before it happens.

Owns the text of a hook and where it lies. A hook that somebody else put there is never replaced: it is refused, or
kept under another name and run first. What the hooks judge is for :mod:`gitml.registry.share.outgoing` and for the
promotion room.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from gitml.errors import AccessDenied, Conflict, GitMLError, UsageError
from gitml.git.repository import Repository

PRE_PUSH: Final = "pre-push"
PRE_RECEIVE: Final = "pre-receive"
_MARK: Final = "# Written by `gitml install`; `gitml install --uninstall` takes it away."
_KEPT: Final = ".before-gitml"
_TEXT: Final = """\
#!/bin/sh
{mark}
# What was here before, if anything, lies beside it as {name}{kept}, and is run first.
input=$(cat; echo x)
input=${{input%x}}
before=$(dirname "$0")/{name}{kept}
if [ -x "$before" ]; then
  printf '%s' "$input" | "$before" "$@" || exit
fi
if [ -x {python} ]; then
  printf '%s' "$input" | {python} -P -m gitml.cli hook {name} -- "$@" >/dev/null
elif command -v gitml >/dev/null; then
  printf '%s' "$input" | gitml hook {name} -- "$@" >/dev/null
else
  echo "gitml is not installed here any more, and this hook needs it: $0" >&2
  exit 1
fi
"""


class HookChange(Enum):
    """What became of a hook."""

    INSTALLED = "installed"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What `install` did, or would do.

    Attributes:
        hook: `pre-push` of a clone, or `pre-receive` of a server.
        repository: The repository's folder.
        path: The hook.
        kept: Where the hook lies that was there before, and is run first; None where there was none.
        change: What became of it.
    """

    hook: str
    repository: str
    path: str
    kept: str | None
    change: HookChange
    dry_run: bool = False


def install(
    path: Path,
    *,
    server: Path | None = None,
    chain: bool = False,
    uninstall: bool = False,
    dry_run: bool = False,
) -> Installed:
    """Set a hook, or take it away; again: no change.

    Args:
        path: A folder of the clone.
        server: A bare repository, which gets `pre-receive` instead.
        chain: Keep a hook that is there under another name, and run it first.
        uninstall: Take the hook away, and put back what was there before.
        dry_run: Only say what would be done.

    Raises:
        NotFound: No repository there.
        UsageError: The server's repository is not bare.
        Conflict: There is a hook that GitML did not write.
        AccessDenied: The folder cannot be written.
    """
    repo = Repository.discover(path if server is None else server)
    if server is not None and not repo.is_bare:
        raise UsageError(
            f"{server} has a work tree: people push to a bare repository",
            code="not-bare",
            hint="git clone --bare, or leave out --server to set this clone's pre-push hook",
        )
    name = PRE_PUSH if server is None else PRE_RECEIVE
    hook = repo.hooks_folder() / name
    kept = hook.with_name(name + _KEPT)
    try:
        change = (
            _take_away(hook, kept, dry_run=dry_run)
            if uninstall
            else _set(hook, kept, chain=chain, dry_run=dry_run)
        )
    except OSError as error:
        raise AccessDenied(
            f"{hook} cannot be written: {error.strerror}",
            code="hook-unwritable",
            hint=f"get the right to write {hook.parent}",
        ) from error
    is_kept = os.path.lexists(kept) or (
        chain and not uninstall and not is_ours(hook) and os.path.lexists(hook)
    )
    return Installed(
        hook=name,
        repository=str(repo.top or repo.git_dir),
        path=str(hook),
        kept=str(kept) if is_kept else None,
        change=change,
        dry_run=dry_run,
    )


def is_ours(hook: Path) -> bool:
    """Whether GitML wrote a hook."""
    try:
        return not hook.is_symlink() and _MARK in hook.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def protects_stages(repository: Path) -> bool:
    """Whether a repository on this machine lets stages move by request only."""
    try:
        hook = Repository.discover(repository).hooks_folder() / PRE_RECEIVE
    except GitMLError:
        return False
    return is_ours(hook) and os.access(hook, os.X_OK)


def _set(hook: Path, kept: Path, *, chain: bool, dry_run: bool) -> HookChange:
    text = _TEXT.format(mark=_MARK, name=hook.name, kept=_KEPT, python=shlex.quote(sys.executable))
    if is_ours(hook):
        if hook.read_text(encoding="utf-8") == text and os.access(hook, os.X_OK):
            return HookChange.UNCHANGED
        change = HookChange.UPDATED
    else:
        change = HookChange.INSTALLED
        if os.path.lexists(hook):
            _keep(hook, kept, chain=chain, dry_run=dry_run)
    if not dry_run:
        _write(hook, text)
    return change


def _keep(hook: Path, kept: Path, *, chain: bool, dry_run: bool) -> None:
    if not chain:
        raise Conflict(
            f"there is a hook already that gitml did not write: {hook}",
            code="hook-exists",
            hint="gitml install --chain, which keeps it and runs it first",
            context={"path": str(hook)},
        )
    if os.path.lexists(kept):
        raise Conflict(
            f"both {hook.name} and {kept.name} are there, and gitml wrote neither",
            code="hook-exists",
            hint=f"look at both in {hook.parent}, and remove one",
            context={"path": str(hook)},
        )
    if not dry_run:
        hook.rename(kept)


def _take_away(hook: Path, kept: Path, *, dry_run: bool) -> HookChange:
    if not is_ours(hook):
        if not os.path.lexists(hook):
            return HookChange.ABSENT
        raise Conflict(
            f"gitml did not write the hook that is there: {hook}",
            code="hook-exists",
            hint="remove it by hand, if you want it gone",
            context={"path": str(hook)},
        )
    if not dry_run:
        if os.path.lexists(kept):
            kept.replace(hook)
        else:
            hook.unlink()
    return HookChange.REMOVED


def _write(hook: Path, text: str) -> None:
    """Whole or not at all: a hook that is half written runs, too."""
    hook.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".gitml-hook-", dir=hook.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(descriptor, 0o755)
        Path(name).replace(hook)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
