"""`references.jsonl`: what a version that refers to data elsewhere holds in its store.

One line a file, sorted by the UTF-8 bytes of its path: where its bytes lie, and how to tell that they are still the
same. There is one way to write a line, and nothing else is read, so `format(parse(x)) == x`. Keys that this version
does not know are refused: each may be a condition that it would not keep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model.canonical import MAX_INT
from gitml.model.paths import check_path, check_portable, check_top_level, fold
from gitml.model.shown import shown
from gitml.model.source_url import SourceKind, SourceUrl

FILE: Final = "references.jsonl"
MAX_LINE_BYTES: Final = 16 * 1024
MAX_FILES: Final = 1_000_000
MAX_BYTES: Final = 1 << 30

_KEYS: Final = ("path", "url", "size", "etag", "version_id", "sha256")
_ETAG = re.compile(r"(?!W/)[\x21\x23-\x7e]{1,256}")
_VERSION_ID = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One file whose bytes lie elsewhere.

    Attributes:
        path: Its path in the contents.
        url: Where its bytes lie.
        size_bytes: Its size.
        etag: What the server calls these very bytes, without quotes; None where there is none.
        version_id: The bucket's name of this version of the object, where it keeps versions.
        sha256: Digest of its bytes in hexadecimal digits; None where they were not read.
    """

    path: str
    url: SourceUrl
    size_bytes: int
    etag: str | None = None
    version_id: str | None = None
    sha256: str | None = None

    def line(self) -> bytes:
        """The line that says this, with its end.

        Raises:
            InvalidInput: It says what no reader would accept.
        """
        text = json.dumps(
            {
                "path": self.path,
                "url": str(self.url),
                "size": self.size_bytes,
                "etag": self.etag,
                "version_id": self.version_id,
                "sha256": self.sha256,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
        _check(self)
        data = text.encode() + b"\n"
        if len(data) > MAX_LINE_BYTES:
            raise _refused(f"the line of {shown(self.path)} has more than {MAX_LINE_BYTES} bytes")
        return data


def format_references(references: Sequence[Reference]) -> Iterator[bytes]:
    """The lines of a file that is to be registered, in path order.

    Raises:
        InvalidInput: A path may not be registered, or two of them cannot lie in one folder.
    """
    in_order = sorted(references, key=lambda one: one.path.encode("utf-8", "surrogatepass"))
    folded: dict[str, str] = {}
    for one in in_order:
        check_portable(one.path)
        check_top_level(one.path.partition("/")[0])
        for name in (one.path, *_parents(one.path)):
            other = folded.setdefault(fold(name), name)
            if other != name:
                raise InvalidInput(
                    f"{shown(other)} and {shown(name)} are one name on systems that ignore case",
                    code="path-collision",
                    hint="rename one of them where it lies, or refer to fewer files",
                    context={"paths": [other, name]},
                )
    _check_tree([one.path for one in in_order])
    return (one.line() for one in in_order)


def parse_references(lines: Iterable[bytes], *, label: str = FILE) -> list[Reference]:
    """Read a file.

    Args:
        lines: Its lines, each with its end.
        label: Names it in messages.

    Raises:
        InvalidInput: It is not exactly what `format_references` writes.
    """
    found: list[Reference] = []
    size_bytes = 0
    for number, line in enumerate(lines, 1):
        size_bytes += len(line)
        if number > MAX_FILES or size_bytes > MAX_BYTES:
            raise _refused(f"{label} has more than {MAX_FILES} lines or {MAX_BYTES} bytes")
        try:
            found.append(_parsed(line))
        except InvalidInput as error:
            raise InvalidInput(
                f"{label}, line {number}: {error.message}",
                code=error.code,
                hint=error.hint,
                context={"line": number, **error.context},
            ) from error
    if not found:
        raise _refused(f"{label} is empty")
    try:
        _check_tree([one.path for one in found])
    except InvalidInput as error:
        raise InvalidInput(
            f"{label}: {error.message}", code=error.code, hint=error.hint, context=error.context
        ) from error
    return found


def _parsed(line: bytes) -> Reference:
    if len(line) > MAX_LINE_BYTES:
        raise _refused(f"it has more than {MAX_LINE_BYTES} bytes")
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JSON") from error
    if not isinstance(value, dict) or tuple(value) != _KEYS:
        unknown = [key for key in value if key not in _KEYS] if isinstance(value, dict) else []
        if unknown:
            raise InvalidInput(
                f"it has the key {shown(unknown[0])}, which is not known",
                code="bad-references",
                hint="install a newer GitML",
            )
        raise _refused(f"it must have the keys {', '.join(_KEYS)}, in this order")
    _check_types(value)
    reference = Reference(
        path=value["path"],
        url=SourceUrl.parse(value["url"]),
        size_bytes=value["size"],
        etag=value["etag"],
        version_id=value["version_id"],
        sha256=value["sha256"],
    )
    if reference.line() != line:
        raise _refused("it is not written in the one way that is allowed")
    return reference


def _check_types(value: dict[str, Any]) -> None:
    for key in ("path", "url"):
        if not isinstance(value[key], str):
            raise _refused(f"{key} must be a text")
    for key in ("etag", "version_id", "sha256"):
        if value[key] is not None and not isinstance(value[key], str):
            raise _refused(f"{key} must be a text or null")
    if isinstance(value["size"], bool) or not isinstance(value["size"], int):
        raise _refused("size must be a whole number")


def _check(one: Reference) -> None:
    check_path(one.path)
    if not 0 <= one.size_bytes <= MAX_INT:
        raise _refused(f"size {one.size_bytes} is out of range")
    for name, text, pattern in (
        ("etag", one.etag, _ETAG),
        ("version_id", one.version_id, _VERSION_ID),
        ("sha256", one.sha256, _SHA256),
    ):
        if text is not None and pattern.fullmatch(text) is None:
            raise _refused(f"{name} {shown(text)} is not of the form that is allowed")
    if one.url.kind is SourceKind.FOLDER and (one.sha256 is None or one.etag or one.version_id):
        raise _refused("a file of a folder is known by its sha256 alone")
    if one.sha256 is None and one.etag is None and one.version_id is None:
        raise _refused("nothing tells whether its bytes are still the same: etag, version_id or sha256")


def _check_tree(paths: Sequence[str]) -> None:
    """Paths come in order, none twice, and none is a folder of another."""
    keys = [path.encode("utf-8", "surrogatepass") for path in paths]
    for before, after in pairwise(keys):
        if before >= after:
            raise _refused(f"the path {shown(after.decode())} is there twice, or not in its place")
    names = set(paths)
    for path in paths:
        inside = next((parent for parent in _parents(path) if parent in names), None)
        if inside is not None:
            raise InvalidInput(
                f"{shown(inside)} would be a file and a folder",
                code="path-collision",
                hint="refer to fewer files, or rename one where it lies",
                context={"paths": [inside, path]},
            )


def _parents(path: str) -> Iterator[str]:
    parent = path.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(problem, code="bad-references", hint="register it again")
