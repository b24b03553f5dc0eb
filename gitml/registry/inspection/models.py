"""Files of models: what would run code when a framework loads them, told from headers, opcodes and configurations."""

from __future__ import annotations

import ast
import json
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

from gitml.model.findings import Finding, FindingKind, Grade
from gitml.registry.inspection import formats
from gitml.registry.inspection.archive import Archive, UninspectableError
from gitml.registry.inspection.grading import grade_of
from gitml.registry.inspection.opcodes import PickleScan, scan

_SEARCHED_BYTES: Final = 8 << 20
_CONFIG_BYTES: Final = 8 << 20
_HEADER_BYTES: Final = 4 << 20
_FEW_MEMBERS: Final = 32
_MOST_PICKLES: Final = 64
_CODE: Final = (".py", ".pyc", ".sh", ".ipynb", ".so", ".dll", ".dylib", ".js", ".jar", ".ps1", ".bat")
_LAMBDA: Final = re.compile(rb'"class_name"\s{0,8}:\s{0,8}"Lambda"')
_OPERATIONS: Final = re.compile(
    rb"\b(?:PyFunc|PyFuncStateless|EagerPyFunc|ReadFile|WriteFile|MatchingFiles)\b"
)


def look(path: str, kind: str, stream: BinaryIO, size_bytes: int) -> tuple[str, str, list[Finding]]:
    """Look into one file: its format made more exact, more about it, and what a reviewer should know.

    Args:
        path: Its path in the contents.
        kind: Its format by its first bytes.
        stream: Its bytes, buffered and seekable.
        size_bytes: Its length.
    """
    stream.seek(0)
    found = [*_code(path, kind)]
    detail = ""
    try:
        if kind == formats.ZIP:
            kind, inner = _archive(path, Archive(stream, size_bytes))
            found += inner
        elif kind == formats.PICKLE:
            found += _pickle(path, scan(stream, size_bytes))
        elif kind == formats.NPY:
            found += _array(path, stream, size_bytes)
        elif kind == formats.HDF5:
            found += _searched(path, stream, size_bytes, _LAMBDA, FindingKind.LAMBDA)
        elif kind in (formats.GRAPH, formats.ONNX):
            found += _searched(path, stream, size_bytes, _OPERATIONS, FindingKind.GRAPH_OPERATION)
        elif kind == formats.SAFETENSORS:
            detail = _tensors(stream)
        elif kind in formats.PACKED:
            found.append(_not_inspected(path, f"it is packed with {kind}"))
        elif kind == formats.UNKNOWN and formats.is_named_pickle(path):
            found.append(_not_inspected(path, "its format is not known"))
    except UninspectableError as why:
        found.append(_not_inspected(path, str(why)))
    return kind, detail, found


def _not_inspected(path: str, why: str) -> Finding:
    return Finding(file=path, kind=FindingKind.NOT_INSPECTED, grade=Grade.NOTICE, name=why)


def _code(path: str, kind: str) -> Iterator[Finding]:
    if path.casefold().endswith(_CODE) or kind in formats.PROGRAMS:
        yield Finding(file=path, kind=FindingKind.CODE, grade=Grade.NOTICE, name="code beside the model")


def _pickle(path: str, result: PickleScan, *, guessed: bool = False) -> Iterator[Finding]:
    for one, count in Counter(result.imports).items():
        yield Finding(
            file=path,
            kind=FindingKind.PICKLE_IMPORT,
            grade=grade_of(one),
            opcode=one.opcode,
            name=f"{one.module}.{one.name}",
            count=count,
        )
    if result.problem is not None and (result.imports or not guessed):
        yield _not_inspected(path, result.problem)


def _archive(path: str, archive: Archive) -> tuple[str, list[Finding]]:
    names = {member.filename for member in archive.members}
    kind = _archive_kind(names)
    found: list[Finding] = []
    looked, passed = 0, 0
    for member in archive.members:
        inner, few = member.filename, len(archive.members) <= _FEW_MEMBERS
        if member.is_dir():
            continue
        found += _code(f"{path}!{inner}", "")
        wanted = inner.endswith(".npy") or formats.is_named_pickle(inner) or few
        if inner.rpartition("/")[2] == "config.json" and kind == "keras":
            found += _configuration(f"{path}!{inner}", archive, member)
        elif wanted and looked < _MOST_PICKLES:
            looked += 1
            found += _member(f"{path}!{inner}", archive, member)
        elif wanted:
            passed += 1
    if passed:
        found.append(_not_inspected(path, f"{passed} more members were not looked into"))
    return kind, found


def _archive_kind(names: Iterable[str]) -> str:
    names = set(names)
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if {"config.json", "metadata.json"} <= names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return formats.ZIP


def _member(path: str, archive: Archive, member: zipfile.ZipInfo) -> Iterator[Finding]:
    """What one member holds, by its own first bytes; its checksum is tested where it is small."""
    stored = member.compress_type == zipfile.ZIP_STORED
    try:
        with archive.open(member) as stream:
            head = stream.read(formats.HEAD_BYTES)
            kind = formats.of(member.filename, head, member.file_size)
            guessed = not formats.is_named_pickle(member.filename)
            if kind not in (formats.PICKLE, formats.NPY, formats.ZIP):
                return
            if kind == formats.ZIP:
                yield _not_inspected(path, "it is an archive within an archive")
                return
            stream.seek(0)
            if kind == formats.NPY:
                yield from _array(path, stream, member.file_size)
            elif not guessed or formats.starts_pickle(head):
                yield from _pickle(path, scan(stream, member.file_size, seeks=stored), guessed=guessed)
            if member.file_size <= _SEARCHED_BYTES:
                stream.seek(0)
                while stream.read(1 << 16):
                    pass
    except UninspectableError as why:
        yield _not_inspected(path, str(why))
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, struct.error) as error:
        yield _not_inspected(path, f"it cannot be read: {error}")
    except Exception as error:
        if type(error).__name__ != "error":  # zlib.error has no other name
            raise
        yield _not_inspected(path, f"it cannot be read: {error}")


def _array(path: str, stream: BinaryIO, size_bytes: int) -> Iterator[Finding]:
    """A NumPy array of Python objects is a pickle behind a header."""
    head = stream.read(8)
    width = {1: 2, 2: 4, 3: 4}.get(head[6] if len(head) > 6 else 0)
    if width is None:
        raise UninspectableError("its header is of a version that is not known")
    length = int.from_bytes(stream.read(width), "little")
    text = stream.read(min(length, _HEADER_BYTES))
    if len(text) < length:
        raise UninspectableError("its header is cut off or too large")
    try:
        described = ast.literal_eval(text.decode("latin-1").strip()) if length <= 65_536 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise UninspectableError("its header is malformed") from error
    if not isinstance(described, dict) or "descr" not in described:
        raise UninspectableError("its header is malformed")
    if "O" in str(described["descr"]):
        yield Finding(
            file=path, kind=FindingKind.CUSTOM_OBJECT, grade=Grade.NOTICE, name="an array of pickled objects"
        )
        yield from _pickle(path, scan(stream, size_bytes))


def _configuration(path: str, archive: Archive, member: zipfile.ZipInfo) -> Iterator[Finding]:
    """Layers of a Keras configuration that carry code, or name classes of one's own."""
    try:
        with archive.open(member) as stream:
            data = stream.read(_CONFIG_BYTES + 1)
        if len(data) > _CONFIG_BYTES:
            raise UninspectableError("it is too large")
        value = json.loads(data)
    except UninspectableError as why:
        yield _not_inspected(path, str(why))
        return
    except (ValueError, RecursionError, zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        yield _not_inspected(path, f"it cannot be read: {error}")
        return
    for (kind, grade, name), count in Counter(_layers(value)).items():
        yield Finding(file=path, kind=kind, grade=grade, name=name, count=count)


def _layers(value: Any) -> Iterator[tuple[FindingKind, Grade, str]]:
    queue = [value]
    while queue:
        one = queue.pop()
        queue += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if not isinstance(one, dict):
            continue
        name, module = one.get("class_name"), one.get("module")
        if name in ("Lambda", "__lambda__"):
            yield FindingKind.LAMBDA, Grade.DANGER, str(name)
        elif (
            isinstance(module, str)
            and isinstance(name, str)
            and not re.match(r"(?:keras|builtins)(?:\.|$)", module)
        ):
            yield FindingKind.CUSTOM_OBJECT, Grade.NOTICE, f"{module}.{name}"


def _searched(
    path: str, stream: BinaryIO, size_bytes: int, pattern: re.Pattern[bytes], kind: FindingKind
) -> Iterator[Finding]:
    """Search a file's beginning, and its end where it is large."""
    parts = [stream.read(_SEARCHED_BYTES)]
    if size_bytes > _SEARCHED_BYTES:
        stream.seek(max(_SEARCHED_BYTES, size_bytes - _SEARCHED_BYTES))
        parts.append(stream.read(_SEARCHED_BYTES))
    names = Counter(match[0] for part in parts for match in pattern.finditer(part))
    for text, count in sorted(names.items()):
        name = "Lambda" if kind is FindingKind.LAMBDA else text.decode("ascii")
        yield Finding(file=path, kind=kind, grade=Grade.DANGER, name=name, count=count)
    if size_bytes > 2 * _SEARCHED_BYTES:
        yield _not_inspected(path, f"only its first and last {_SEARCHED_BYTES >> 20} MiB were searched")


def _tensors(stream: BinaryIO) -> str:
    length = struct.unpack("<Q", stream.read(8))[0]
    if length > _HEADER_BYTES:
        return "a header that is too large to be read"
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError) as error:
        raise UninspectableError("its header is malformed") from error
    if not isinstance(header, dict):
        raise UninspectableError("its header is malformed")
    tensors = [one for name, one in header.items() if name != "__metadata__" and isinstance(one, dict)]
    kinds = sorted({str(one.get("dtype")) for one in tensors})
    return f"{len(tensors)} tensors, {', '.join(kinds[:8])}"
