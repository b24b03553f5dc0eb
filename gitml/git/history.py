"""Questions about commits and the differences between trees; each is one git process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gitml.git.command import GitCommand
from gitml.git.names import check_oid, check_tree_path
from gitml.git.objects import decode_path
from gitml.git.types import Change

_PAGE: Final = 200
_ABSENT: Final = "000000"


def first_parents(git: GitCommand, tip: str, *, path: str | None, stop: str | None) -> Iterator[list[str]]:
    """Give the ids of the first-parent chain in pages."""
    arguments = ["rev-list", "--first-parent", "--topo-order", check_oid(tip)]
    if stop is not None:
        arguments.append(f"^{check_oid(stop)}")
    if path is not None:
        arguments += ["--", check_tree_path(path)]
    oids = git.run(*arguments, what="the history could not be read").text.split("\n")
    for start in range(0, len(oids), _PAGE):
        page = [oid for oid in oids[start : start + _PAGE] if oid]
        if page:
            yield page


def between(git: GitCommand, base: str | None, head: str) -> list[str]:
    """Return the ids of the commits that `head` has and `base` lacks."""
    arguments = ["rev-list", "--topo-order", check_oid(head)]
    if base is not None:
        arguments.append(f"^{check_oid(base)}")
    return [oid for oid in git.run(*arguments, what="the history could not be read").text.split("\n") if oid]


def merge_base(git: GitCommand, a: str, b: str) -> str | None:
    """Return the best common ancestor."""
    result = git.run(
        "merge-base", check_oid(a), check_oid(b), ok=(0, 1), what="no common ancestor could be found"
    )
    return result.text.split("\n")[0] or None


def is_ancestor(git: GitCommand, a: str, b: str) -> bool:
    """Whether `a` is `b` or one of its ancestors."""
    if check_oid(a) == check_oid(b):
        return True
    result = git.run("merge-base", "--is-ancestor", a, b, ok=(0, 1), what="the history could not be read")
    return result.status == 0


def changed_paths(git: GitCommand, a: str | None, b: str, folder: str) -> list[Change]:
    """Return the files that differ between two commits or trees."""
    limit = ["--", folder] if folder else []
    if a is None:
        rows = git.run(
            "ls-tree", "-r", "-z", "--full-tree", check_oid(b), *limit, what="a tree could not be read"
        )
        return [
            Change(path=path, old_oid=None, new_oid=oid, new_mode=mode)
            for mode, oid, path in _listed(rows.stdout)
        ]  # fmt: skip
    result = git.run(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-abbrev",
        check_oid(a), check_oid(b), *limit,
        what="two trees could not be compared",
    )  # fmt: skip
    return _differences(result.stdout)


def _listed(raw: bytes) -> Iterator[tuple[str, str, str]]:
    for row in raw.split(b"\0"):
        if row:
            meta, _, name = row.partition(b"\t")
            mode, _, oid = meta.decode("ascii").split(" ")
            yield mode, oid, decode_path(name)


def _differences(raw: bytes) -> list[Change]:
    parts = raw.split(b"\0")
    changes = []
    for meta, name in zip(parts[0::2], parts[1::2], strict=False):
        old_mode, new_mode, old_oid, new_oid, _ = meta.decode("ascii").removeprefix(":").split(" ")
        changes.append(
            Change(
                path=decode_path(name),
                old_oid=None if old_mode == _ABSENT else old_oid,
                new_oid=None if new_mode == _ABSENT else new_oid,
                old_mode=None if old_mode == _ABSENT else old_mode,
                new_mode=None if new_mode == _ABSENT else new_mode,
            )
        )
    return changes
