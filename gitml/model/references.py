"""`references.jsonl`: what a version that refers to data elsewhere holds in its store.

One line a file, sorted by the UTF-8 bytes of its path: where its bytes lie, and how to tell that they are still the
same. There is one way to write a line, and nothing else is read, so `format(parse(x)) == x`. Keys that this version
does not know are refused: each may be a condition that it would not keep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
_SLASH: Final = ord("/")


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


def registrable(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file that is to be registered, each as :meth:`Reference.line` gives it, in path order.

    Raises:
        InvalidInput: A path may not be registered, or two of them cannot lie in one folder.
    """
    paths = RegisteredPaths()
    for line in lines:
        paths.add(path_of(line))
        yield line


def path_of(line: bytes) -> str:
    """The path in a line that is known to be right."""
    return str(json.loads(line)["path"])


def parse_references(lines: Iterable[bytes], *, label: str = FILE) -> Iterator[Reference]:
    """Read a file, line by line; what was given is right only when all has been.

    Args:
        lines: Its lines, each with its end.
        label: Names it in messages.

    Raises:
        InvalidInput: It is not exactly what is written.
    """
    number = size_bytes = 0
    paths = _PathsInOrder()
    for number, line in enumerate(lines, 1):
        size_bytes += len(line)
        if number > MAX_FILES or size_bytes > MAX_BYTES:
            raise _refused(f"{label} has more than {MAX_FILES} lines or {MAX_BYTES} bytes")
        try:
            reference = _parsed(line)
            paths.add(reference.path)
        except InvalidInput as error:
            raise InvalidInput(
                f"{label}, line {number}: {error.message}",
                code=error.code,
                hint=error.hint,
                context={"line": number, **error.context},
            ) from error
        yield reference
    if not number:
        raise _refused(f"{label} is empty")


def known_reference(line: bytes) -> Reference:
    """What a line says that was read or made before, and is known to be right."""
    return _built(json.loads(line))


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
    reference = _built(value)
    if reference.line() != line:
        raise _refused("it is not written in the one way that is allowed")
    return reference


def _built(value: Mapping[str, Any]) -> Reference:
    return Reference(
        path=value["path"],
        url=SourceUrl.parse(value["url"]),
        size_bytes=value["size"],
        etag=value["etag"],
        version_id=value["version_id"],
        sha256=value["sha256"],
    )


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


class _PathsInOrder:
    """Paths that come in order, none twice, none a folder of another; remembers only those that may still clash."""

    def __init__(self) -> None:
        self._last = b""
        self._beginnings: list[bytes] = []  # earlier paths that the last one begins with, the longest last

    def add(self, path: str) -> None:
        """Judge the next one.

        Raises:
            InvalidInput: It breaks a rule.
        """
        key = path.encode("utf-8", "surrogatepass")
        if key <= self._last:
            raise _refused(f"the path {shown(path)} is there twice, or not in its place")
        while self._beginnings and not key.startswith(self._beginnings[-1]):
            self._beginnings.pop()
        for before in self._beginnings:
            if key[len(before)] == _SLASH:
                inside = before.decode("utf-8", "surrogatepass")
                raise InvalidInput(
                    f"{shown(inside)} would be a file and a folder",
                    code="path-collision",
                    hint="refer to fewer files, or rename one where it lies",
                    context={"paths": [inside, path]},
                )
        self._beginnings.append(key)
        self._last = key


class _Names:
    """Names in one folder, of which no two may differ in case only."""

    def __init__(self) -> None:
        self._folded: set[str] = set()
        self._unfolded: dict[str, str] = {}

    def clashing(self, name: str) -> str | None:
        """Add a name; an earlier one that is the same on systems that ignore case."""
        folded = fold(name)
        if folded in self._folded:
            other = self._unfolded.get(folded, folded)
            return None if other == name else other
        self._folded.add(folded)
        if folded != name:
            self._unfolded[folded] = name
        return None


class RegisteredPaths:
    """Judges the paths of a version that is to be registered, in order; remembers the folders that it is in."""

    def __init__(self) -> None:
        self._order = _PathsInOrder()
        self._open: list[tuple[str, _Names]] = [("", _Names())]

    def add(self, path: str) -> None:
        """Judge the next one.

        Raises:
            InvalidInput: It may not be registered, or cannot lie in one folder with another.
        """
        check_portable(path)
        check_top_level(path.partition("/")[0])
        while not path.startswith(self._open[-1][0]):
            self._open.pop()
        folder, names = self._open[-1]
        rest = path[len(folder) :]
        while True:
            name, slash, rest = rest.partition("/")
            other = names.clashing(name)
            if other is not None:
                raise InvalidInput(
                    f"{shown(folder + other)} and {shown(folder + name)} are one name on systems that ignore case",
                    code="path-collision",
                    hint="rename one of them where it lies, or refer to fewer files",
                    context={"paths": [folder + other, folder + name]},
                )
            if not slash:
                break
            folder, names = f"{folder}{name}/", _Names()
            self._open.append((folder, names))
        self._order.add(path)


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(problem, code="bad-references", hint="register it again")
