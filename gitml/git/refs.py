"""Refs: listing them, and moving one by compare-and-swap. They are read and written by git alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gitml._lazy import LazyModule
from gitml.errors import Conflict
from gitml.git.command import GitCommand, Result
from gitml.git.failures import failure, first_words
from gitml.git.names import check_oid, check_ref, check_remote_name
from gitml.git.types import RefUpdate

if TYPE_CHECKING:
    from gitml.git import journal
else:
    journal = LazyModule("gitml.git.journal")

_LOST_RACE: Final = re.compile(
    r"is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference|reference is missing but expected"
)
_IN_THE_WAY: Final = re.compile(
    r"'([^']+)' exists; cannot create|refusing to update|there are still refs under"
)


def listing(git: GitCommand, prefixes: Sequence[str]) -> dict[str, str]:
    """Return full name -> object id of the refs at or below the prefixes; symbolic refs are followed."""
    patterns = [check_ref(prefix.rstrip("/")) for prefix in prefixes]
    result = git.run(
        "for-each-ref", "--format=%(objectname) %(refname)", *patterns, what="the refs could not be listed"
    )
    rows = (row.split(" ", 1) for row in result.text.split("\n") if row)
    return {name: oid for oid, name in rows}


def symbolic(git: GitCommand, name: str) -> str | None:
    """Return the full name that a symbolic ref points to; None when it is none."""
    checked = name if name == "HEAD" else check_ref(name)
    result = git.run("symbolic-ref", "--quiet", checked, ok=(0, 1), what=f"{name} could not be read")
    return result.text or None


def short(refs: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the refs below a prefix without it."""
    return {name.removeprefix(prefix): oid for name, oid in refs.items() if name.startswith(prefix)}


def remote_branches(git: GitCommand, remote: str) -> dict[str, str]:
    """Return short name -> commit of what was last seen of a remote's branches, without its HEAD."""
    prefix = f"refs/remotes/{check_remote_name(remote)}/"
    found = short(listing(git, [prefix]), prefix)
    found.pop("HEAD", None)
    return found


def update(git: GitCommand, common_dir: Path, name: str, new: str | None, old: str | None) -> RefUpdate:
    """Move a ref if it is where it is expected to be."""
    with journal.operation(common_dir, {"kind": "ref", "ref": check_ref(name), "new": new}) as held:
        return swap(git, name, new, old, held=held.descriptor)


def swap(git: GitCommand, name: str, new: str | None, old: str | None, *, held: int | None) -> RefUpdate:
    """Move a ref under an operation that stands in the journal already."""
    if new is None and old is None:
        return RefUpdate.UPDATED
    if new is None:
        request = f"delete {name}\0{check_oid(old or '')}\0"
    elif old is None:
        request = f"create {name}\0{check_oid(new)}\0"
    else:
        request = f"update {name}\0{check_oid(new)}\0{check_oid(old)}\0"
    result = git.run(
        "update-ref", "-m", "gitml", "--stdin", "-z",
        stdin=request.encode(),
        settings=[("core.filesRefLockTimeout", "2000"), ("core.packedRefsTimeout", "2000")],
        ok=(0, 1, 128),
        held=held,
    )  # fmt: skip
    return _outcome(result, name)


def _outcome(result: Result, name: str) -> RefUpdate:
    if result.status == 0:
        return RefUpdate.UPDATED
    if _IN_THE_WAY.search(result.stderr):
        raise Conflict(f"{name} cannot be made: {first_words(result.stderr)}", code="ref-in-the-way")
    if _LOST_RACE.search(result.stderr):
        return RefUpdate.STALE
    raise failure(result.stderr, result.status, what=f"{name} could not be moved")
