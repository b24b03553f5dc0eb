"""Writes blobs and trees without an index or a work tree, and merges trees.

Only the trees on the way to a changed path are read and written; a folder of 10,000 untouched versions is one entry
that is copied. Writing is idempotent: objects are named by their contents.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gitml.errors import Conflict, IntegrityError, NotFound, UsageError
from gitml.git import configuration
from gitml.git.command import GitCommand, Process
from gitml.git.failures import failure
from gitml.git.names import check_oid, check_tree_path
from gitml.git.objects import ObjectReader, decode_path, kind_of, parse_tree
from gitml.git.types import (
    FILE_MODE,
    FOLDER_MODE,
    Changes,
    Entry,
    MergeConflict,
    MergedTree,
    TreeChange,
    TreeEntry,
)

_MODES: Final = frozenset({"100644", "100755", "120000", "040000"})
_PROGRAMS: Final = frozenset({"driver", "clean", "smudge", "process", "textconv", "command", "required"})
_Node = dict[str, "TreeChange | _Node"]


def write_tree(command: GitCommand, reader: ObjectReader, base: str | None, changes: Changes) -> str:
    """Write the tree that `base` (a commit or tree; None: empty) becomes by the changes, and return its id.

    Raises:
        Conflict: A file would have to be a folder, or the other way round.
        InvalidInput: A path cannot stand in a tree.
        NotFound: The base, or an object that a change names, does not exist.
    """
    plan = _with_blobs(command, reader, changes)
    root: _Node = {}
    for path in sorted(plan):
        _insert(root, check_tree_path(path), plan[path])
    base_tree = None
    if base is not None:
        found = reader.info(f"{check_oid(base)}^{{tree}}")
        if found is None:
            raise NotFound(f"{base} is not a commit or tree of this repository", code="git-object")
        base_tree = found[0]
    if not root and base_tree is not None:
        return base_tree
    with _TreeWriter(command, reader) as writer:
        return writer.write(base_tree, root, "") or writer.make([])


def write_blobs(command: GitCommand, contents: Iterable[bytes]) -> dict[bytes, str]:
    """Store bytes exactly as they are, and return their ids."""
    unique = list(dict.fromkeys(contents))
    if not unique:
        return {}
    if len(unique) == 1:
        result = command.run(
            "hash-object", "-w", "--stdin", stdin=unique[0], what="a file could not be stored in git"
        )
        return {unique[0]: result.text}
    with tempfile.TemporaryDirectory(prefix="gitml-") as folder:
        paths = []
        for number, data in enumerate(unique):
            path = Path(folder, str(number))
            path.write_bytes(data)
            paths.append(str(path))
        result = command.run(
            "hash-object", "-w", "--no-filters", "--stdin-paths",
            stdin="".join(f"{path}\n" for path in paths).encode(),
            what="files could not be stored in git",
        )  # fmt: skip
    return dict(zip(unique, result.text.split("\n"), strict=True))


def merge_trees(
    command: GitCommand, reader: ObjectReader, ours: str, theirs: str, base: str | None
) -> MergedTree | MergeConflict:
    """Merge two commits or trees; without `base`, their best common ancestor is used (both must be commits)."""
    if base is None:
        one, two = check_oid(ours), check_oid(theirs)
    else:
        # Commits that exist only for this question give old versions of git the wanted base.
        root = _bare_commit(command, reader, base, ())
        one = _bare_commit(command, reader, ours, (root,))
        two = _bare_commit(command, reader, theirs, (root,))
    result = command.run(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", one, two,
        settings=drivers_off(command, "merge"),
        ok=(0, 1),
        what="the merge could not be computed",
    )  # fmt: skip
    parts = result.stdout.split(b"\0")
    if result.status == 0:
        return MergedTree(oid=parts[0].decode("ascii").strip())
    paths = {decode_path(part) for part in parts[1:] if part}
    return MergeConflict(paths=tuple(sorted(paths)))


def drivers_off(command: GitCommand, *sections: str) -> list[tuple[str, str]]:
    """Return settings that turn off every program which attributes could call: filters, merge drivers, textconv.

    A merge driver is replaced by failure (an honest conflict), a filter by nothing.
    """
    settings = set()
    for key, _ in configuration.entries(command):
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section in sections and name and variable in _PROGRAMS:
            settings.add((key, {"driver": "false", "required": "false"}.get(variable, "")))
    return sorted(settings)


def _bare_commit(command: GitCommand, reader: ObjectReader, what: str, parents: tuple[str, ...]) -> str:
    found = reader.info(f"{check_oid(what)}^{{tree}}")
    if found is None:
        raise NotFound(f"{what} is not a commit or tree of this repository", code="git-object")
    people = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "gitml"), ("EMAIL", "gitml@localhost"), ("DATE", "@0 +0000"))
    }
    parents_text = [text for parent in parents for text in ("-p", parent)]
    return command.run(
        "commit-tree", found[0], *parents_text, stdin=b"", env=people, what="merge failed"
    ).text


def _with_blobs(command: GitCommand, reader: ObjectReader, changes: Changes) -> Mapping[str, Entry | None]:
    blobs = write_blobs(command, (change for change in changes.values() if isinstance(change, bytes)))
    given = [change for change in changes.values() if isinstance(change, Entry)]
    for entry, info in zip(given, reader.infos([check_oid(entry.oid) for entry in given]), strict=True):
        if entry.mode not in _MODES:
            raise UsageError(f"mode {entry.mode!r} cannot be written", code="git-mode")
        if info is None:
            raise NotFound(f"object {entry.oid} is not in this repository", code="git-object")
        if info[1] != kind_of(entry.mode):
            raise UsageError(
                f"object {entry.oid} is a {info[1]}, not what mode {entry.mode} says", code="git-mode"
            )
    return {
        path: Entry(mode=FILE_MODE, oid=blobs[change]) if isinstance(change, bytes) else change
        for path, change in changes.items()
    }


def _insert(root: _Node, path: str, change: Entry | None) -> None:
    *folders, name = path.split("/")
    node = root
    for folder in folders:
        below = node.setdefault(folder, {})
        if below is None:
            node[folder] = below = {}
        if not isinstance(below, dict):
            raise UsageError(f"{path!r} lies below another changed path", code="git-path-overlap")
        node = below
    if isinstance(node.get(name), dict):
        raise UsageError(f"{path!r} lies above another changed path", code="git-path-overlap")
    node[name] = change


class _TreeWriter:
    """One open `git mktree --batch`."""

    def __init__(self, command: GitCommand, reader: ObjectReader) -> None:
        self._process: Process = command.start("mktree", "-z", "--missing", "--batch")
        self._reader = reader

    def __enter__(self) -> _TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.stderr.close()
        self._process.poll()

    def make(self, entries: list[TreeEntry]) -> str:
        """Store one tree."""
        rows = [
            f"{entry.mode} {entry.kind} {entry.oid}\t{entry.path}\0".encode("utf-8", "surrogateescape")
            for entry in entries
        ]
        try:
            self._process.stdin.write(b"".join(rows) + b"\0")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # git says why below
        oid = self._process.stdout.readline().decode("ascii").strip()
        if not oid:
            said = self._process.stderr.read().decode("utf-8", "replace")
            raise failure(said, self._process.poll() or 128, what="a folder could not be stored in git")
        return oid

    def write(self, base: str | None, node: _Node, folder: str) -> str | None:
        """Store the tree that `base` becomes; None when nothing is left in it."""
        rows: dict[str, TreeEntry] = {}
        if base is not None:
            raw = self._reader.read(base)
            if raw is None or raw.kind != "tree":
                raise IntegrityError(f"tree {base} of folder {folder or '/'!r} is missing", code="git-object")
            rows = {entry.path: entry for entry in parse_tree(raw)}
        for name, change in node.items():
            path = f"{folder}/{name}" if folder else name
            old = rows.get(name)
            if isinstance(change, dict):
                new = self._below(old, change, path)
            elif change is None:
                new = None
            else:
                assert isinstance(change, Entry)
                if old is not None and (old.kind == "tree") != (change.mode == FOLDER_MODE):
                    raise Conflict(
                        f"{path!r} is a {_word(old)} already", code="git-path-kind", context={"path": path}
                    )
                new = TreeEntry(mode=change.mode, kind=kind_of(change.mode), oid=change.oid, path=name)
            if new is None:
                rows.pop(name, None)
            else:
                rows[name] = new
        return self.make(list(rows.values())) if rows else None

    def _below(self, old: TreeEntry | None, node: _Node, path: str) -> TreeEntry | None:
        if old is not None and old.kind != "tree":
            if _only_deletes(node):
                return old
            raise Conflict(
                f"{path!r} is a {_word(old)}, not a folder", code="git-path-kind", context={"path": path}
            )
        if old is None and _only_deletes(node):
            return None
        oid = self.write(None if old is None else old.oid, node, path)
        name = path.rpartition("/")[2]
        return None if oid is None else TreeEntry(mode=FOLDER_MODE, kind="tree", oid=oid, path=name)


def _only_deletes(node: _Node) -> bool:
    return all(_only_deletes(below) if isinstance(below, dict) else below is None for below in node.values())


def _word(entry: TreeEntry) -> str:
    if entry.mode == "120000":
        return "symbolic link"
    return {"tree": "folder", "commit": "submodule"}.get(entry.kind, "file")
