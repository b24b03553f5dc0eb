"""In what two versions differ: fields, numbers, files, and the bytes between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from gitml.model.names import VersionId
from gitml.model.references import Reference
from gitml.registry.external.contents import read_references
from gitml.registry.resolve import Resolved, resolve_whole
from gitml.registry.workspace import Workspace
from gitml.store.read.reader import FileEntry, TreeReader, changes

_File: TypeAlias = FileEntry | Reference

_COMPARED = ("description", "labels", "inputs", "source", "params", "metrics", "spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field of the pointer that differs; nested fields are dotted, an absent one is None."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that differs; a size is None on the side that does not have it."""

    path: str
    old_bytes: int | None
    new_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What `diff` found.

    Attributes:
        old, new: The versions.
        fields: Fields of the pointer that differ, metrics and params among them.
        added, removed, changed: Files.
        moved_bytes: Size of the files that going from old to new has to write.
        equal: Nothing differs.
    """

    old: VersionId
    new: VersionId
    fields: tuple[FieldChange, ...]
    added: tuple[FileChange, ...]
    removed: tuple[FileChange, ...]
    changed: tuple[FileChange, ...]
    moved_bytes: int
    equal: bool


def diff(
    ws: Workspace, a: str, b: str, *, rev: str | None = None, other: Workspace | None = None
) -> Difference:
    """Compare two versions; equal parts of their contents are not read.

    Args:
        ws: The registry of `a`.
        a: A version.
        b: Another one.
        rev: Branch, tag or commit to read instead of HEAD.
        other: The registry of `b`, where that is another one.

    Raises:
        NotFound: No such version, or its bytes are in no store.
    """
    there = other or ws
    old, new = resolve_whole(ws, a, rev=rev), resolve_whole(there, b, rev=rev)
    fields = _fields(old.pointer.to_dict(), new.pointer.to_dict())
    same = old.pointer.contents.digest == new.pointer.contents.digest
    files = [] if same else _files((ws, old), (there, new))
    added = tuple(change for change in files if change.old_bytes is None)
    removed = tuple(change for change in files if change.new_bytes is None)
    changed = tuple(
        change for change in files if change.old_bytes is not None and change.new_bytes is not None
    )
    return Difference(
        old=old.id,
        new=new.id,
        fields=fields,
        added=added,
        removed=removed,
        changed=changed,
        moved_bytes=sum(change.new_bytes or 0 for change in (*added, *changed)),
        equal=not (fields or files),
    )


def _fields(old: dict[str, Any], new: dict[str, Any]) -> tuple[FieldChange, ...]:
    before, after = _flat(old), _flat(new)
    names = sorted({*before, *after}, key=lambda name: (_COMPARED.index(name.split(".")[0]), name))
    return tuple(
        FieldChange(field=name, old=before.get(name), new=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                add(f"{name}.{key}", inner)
        elif value not in (None, {}, []):
            flat[name] = value

    for name in _COMPARED:
        add(name, fields.get(name))
    return flat


def _files(first: tuple[Workspace, Resolved], second: tuple[Workspace, Resolved]) -> list[FileChange]:
    before, after = _tree(*first), _tree(*second)
    old, new = first[1], second[1]
    found: Iterable[tuple[str, _File | None, _File | None]]
    if old.pointer.contents.external is None and new.pointer.contents.external is None:
        found = changes(before, after)
    else:
        found = _changes(_listing(*first, before), _listing(*second, after))
    return [
        FileChange(
            path=path,
            old_bytes=old_file.size_bytes if old_file else None,
            new_bytes=new_file.size_bytes if new_file else None,
        )
        for path, old_file, new_file in found
    ]


def _tree(ws: Workspace, found: Resolved) -> TreeReader:
    store, root = ws.stores(ws.at(found.commit).config).locate(found.pointer)
    return store.tree(root, expected=found.pointer.contents, label=str(found.id))


def _listing(ws: Workspace, found: Resolved, tree: TreeReader) -> dict[str, _File]:
    """Files by path; those that a version refers to as it lists them, without asking where they lie."""
    if found.pointer.contents.external is not None:
        return {one.path: one for one in read_references(ws, found.pointer, tree)}
    return {entry.path: entry for entry in tree.entries()}


def _changes(
    old: dict[str, _File], new: dict[str, _File]
) -> Iterator[tuple[str, _File | None, _File | None]]:
    for path in sorted({*old, *new}, key=str.encode):
        before, after = old.get(path), new.get(path)
        if before is None or after is None or not _equal(before, after):
            yield path, before, after


def _equal(old: _File, new: _File) -> bool:
    """Whether two files surely have the same bytes: by their digests, or as the same object of a server."""
    before, after = _digest(old), _digest(new)
    if before is not None and after is not None:
        return before == after
    if not isinstance(old, Reference) or not isinstance(new, Reference):
        return False
    if old.url != new.url or old.size_bytes != new.size_bytes:
        return False
    return (old.etag, old.version_id) == (new.etag, new.version_id)


def _digest(file: _File) -> str | None:
    return file.sha256 if isinstance(file, Reference) else file.digest.hex()
