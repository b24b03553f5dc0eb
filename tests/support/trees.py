"""Trees for tests of the store: sources that live in memory, media that count, and a sink that keeps files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitml.store.formats.root import Root
from gitml.store.media.medium import Buffer, Buffers, Medium, PutOutcome
from gitml.store.media.memory import MemoryMedium
from gitml.store.read.entries import FileEntry
from gitml.store.read.reader import TreeReader
from gitml.store.store import Store

LABEL = "models/digits@3"


@dataclass(frozen=True)
class DictFile:
    path: str
    contents: bytes
    digest: bytes | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.contents)

    def blocks(self) -> Iterator[memoryview]:
        view = memoryview(self.contents)
        for start in range(0, len(view), 1 << 24):
            yield view[start : start + (1 << 24)]


class DictSource:
    """A tree given as path -> bytes."""

    def __init__(self, tree: Mapping[str, bytes]) -> None:
        self.tree = tree
        self.warnings: list[str] = []

    def files(self) -> Iterator[DictFile]:
        for path in sorted(self.tree, key=str.encode):
            yield DictFile(path, self.tree[path])

    def totals(self) -> tuple[int, int]:
        return len(self.tree), sum(map(len, self.tree.values()))


class CountingMedium:
    """Passes calls on, and keeps them."""

    def __init__(self, medium: Medium) -> None:
        self.medium = medium
        self.url = medium.url
        self.calls: list[tuple[str, str]] = []

    def head(self, name: str) -> int | None:
        self.calls.append(("head", name))
        return self.medium.head(name)

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        self.calls.append(("get", name))
        return self.medium.get(name, start, end)

    def put(self, name: str, body: Buffers) -> None:
        self.calls.append(("put", name))
        self.medium.put(name, body)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        self.calls.append(("put", name))
        return self.medium.put_if_absent(name, body)

    def delete(self, name: str) -> bool:
        self.calls.append(("delete", name))
        return self.medium.delete(name)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self.calls.append(("list", prefix))
        return self.medium.list(prefix)


@dataclass
class KeepingTarget:
    sink: KeepingSink
    entry: FileEntry
    body: bytearray

    def write(self, offset: int, parts: Sequence[Buffer]) -> None:
        for part in parts:
            self.body[offset : offset + len(part)] = part
            offset += len(part)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        piece = self.body[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def finish(self) -> None:
        self.sink.keep(self.entry, bytes(self.body))

    def discard(self) -> None:
        self.sink.discarded.append(self.entry.path)


@dataclass
class KeepingSink:
    """Keeps what it is given."""

    files: dict[str, bytes] = field(default_factory=dict)
    discarded: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, entry: FileEntry, contents: bytes) -> None:
        with self.lock:
            assert entry.path not in self.files
            self.files[entry.path] = contents

    def whole(self, entry: FileEntry, parts: Sequence[Buffer]) -> None:
        self.keep(entry, b"".join(parts))

    def begin(self, entry: FileEntry) -> KeepingTarget:
        return KeepingTarget(self, entry, bytearray(entry.size_bytes))


def stored(
    tree: Mapping[str, bytes], medium: Medium | None = None, *, earlier: Sequence[Root] = ()
) -> tuple[Store, Root]:
    """A store that has a tree."""
    store = Store(medium if medium is not None else MemoryMedium())
    return store, store.write(DictSource(tree), earlier=earlier).root


def fetched(reader: TreeReader, entries: Sequence[FileEntry] | None = None) -> dict[str, bytes]:
    """All files of a tree, read in bulk."""
    sink = KeepingSink()
    reader.fetch(list(reader.entries()) if entries is None else entries, sink)
    return sink.files


def streamed(reader: TreeReader) -> dict[str, bytes]:
    """All files of a tree, one after the other."""
    return {entry.path: b"".join(blocks) for entry, blocks in reader.stream(reader.entries())}


def opened(reader: TreeReader) -> dict[str, bytes]:
    """All files of a tree, each opened."""
    found = {}
    for entry in reader.entries():
        with reader.open(entry.path) as handle:
            found[entry.path] = handle.read()
    return found


def in_folder(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def digest(contents: bytes) -> bytes:
    return hashlib.sha256(contents).digest()
