"""Review copies: the small texts of a version that stand beside its pointer, for the eye of a reviewer."""

from __future__ import annotations

from fnmatch import fnmatchcase

from gitml.store.reader import TreeReader

_PATTERNS = (
    "readme*",
    "*card*.md",
    "requirements*",
    "*.lock",
    "*.yaml",
    "*.yml",
    "*.toml",
    "*.json",
    "dockerfile",
)
_MAX_BYTES = 64 * 1024
_MAX_FILES = 8


def is_reviewed(path: str) -> bool:
    """Whether a file of the contents is one that reviewers want to read."""
    return "/" not in path and any(fnmatchcase(path.lower(), pattern) for pattern in _PATTERNS)


def review_copies(tree: TreeReader) -> dict[str, bytes]:
    """The first files at the top of the contents that are meant for reading: path -> bytes.

    They are taken from the store, so that they are the bytes that were registered even if the source has
    changed since. Files over 64 KiB and files that are not UTF-8 text are left out; at most 8 are taken.
    """
    copies: dict[str, bytes] = {}
    for entry in tree.entries():
        if len(copies) == _MAX_FILES:
            break
        if entry.size_bytes <= _MAX_BYTES and is_reviewed(entry.path):
            with tree.open(entry.path) as file:
                data = file.read()
            if data is not None and _is_text(data):
                copies[entry.path] = data
    return copies


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False
