"""Stores that fail on demand, and contents that are made up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar

from gitml.errors import GitMLError, OutcomeUnknown, StoreUnavailable
from gitml.model.names import AssetId, Version, VersionId
from gitml.store.formats.root import RootKey
from gitml.store.media.medium import Buffers, Medium, PutOutcome

_T = TypeVar("_T")

REGISTRY = "6c1d0b9e-0000-4000-8000-000000000001"


class When(Enum):
    """Where in a call the fault strikes."""

    BEFORE = "before"
    AFTER = "after"


class Died(BaseException):
    """The process is gone: nothing catches this on purpose."""


@dataclass
class Fault:
    """What the N-th call does (counted from 1); `None` never strikes.

    `sticky`: every later call fails as well, as when the store or the process is gone.
    """

    call: int | None
    when: When = When.BEFORE
    sticky: bool = False
    error: Callable[[], BaseException] | None = None
    only: frozenset[str] = frozenset()


class FaultyMedium:
    """A medium that fails as a script says; unless the script names an error, as a medium may fail.

    A failed read, or a write that failed before its effect, is StoreUnavailable; a write whose effect took place
    but whose reply was lost is OutcomeUnknown.
    """

    def __init__(self, medium: Medium, fault: Fault | None = None) -> None:
        self.medium = medium
        self.fault = fault or Fault(None)
        self.calls = 0
        self.log: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self.medium.url

    def _strikes(self, verb: str, name: str) -> bool:
        with self._lock:
            self.log.append((verb, name))
            if self.fault.only and verb not in self.fault.only:
                return False
            self.calls += 1
            at = self.fault.call
            return at is not None and (self.calls == at or (self.fault.sticky and self.calls > at))

    def _error(self, *, writes: bool) -> BaseException:
        if self.fault.error is not None:
            return self.fault.error()
        if writes and self.fault.when is When.AFTER:
            return OutcomeUnknown("the reply was lost")
        return StoreUnavailable("the store failed")

    def _call(self, verb: str, name: str, run: Callable[[], _T], *, writes: bool = False) -> _T:
        if not self._strikes(verb, name):
            return run()
        if self.fault.when is When.AFTER:
            run()
        raise self._error(writes=writes)

    def head(self, name: str) -> int | None:
        return self._call("head", name, lambda: self.medium.head(name))

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return self._call("get", name, lambda: self.medium.get(name, start, end))

    def put(self, name: str, body: Buffers) -> None:
        self._call("put", name, lambda: self.medium.put(name, body), writes=True)

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        return self._call("put_if_absent", name, lambda: self.medium.put_if_absent(name, body), writes=True)

    def delete(self, name: str) -> bool:
        return self._call("delete", name, lambda: self.medium.delete(name), writes=True)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        return self._call("list", prefix, lambda: iter(list(self.medium.list(prefix))))


@dataclass(frozen=True)
class MadeFile:
    """A file in memory, as a source gives it."""

    path: str
    data: bytes
    digest: bytes | None = None
    block_bytes: int = 1 << 20

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def blocks(self) -> Iterator[memoryview]:
        view = memoryview(self.data)
        for start in range(0, len(view), self.block_bytes):
            yield view[start : start + self.block_bytes]


@dataclass
class MadeSource:
    """Contents in memory: path -> bytes."""

    contents: dict[str, bytes]
    warnings: list[str] = field(default_factory=list)
    block_bytes: int = 1 << 20
    error: GitMLError | None = None

    def files(self) -> Iterator[MadeFile]:
        for path in sorted(self.contents, key=str.encode):
            yield MadeFile(path, self.contents[path], block_bytes=self.block_bytes)
        if self.error is not None:
            raise self.error

    def totals(self) -> tuple[int, int] | None:
        return len(self.contents), sum(map(len, self.contents.values()))


def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size_bytes)


def text(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes that compress well and repeat nowhere."""
    source = random.Random(seed)
    words = [
        b"%08x gradient descent step of layer\n" % source.getrandbits(32) for _ in range(size_bytes // 40 + 1)
    ]
    return b"".join(words)[:size_bytes]


def key(version: str = "1", name: str = "digits", registry: str = REGISTRY) -> RootKey:
    """The root key of a version of a model."""
    return RootKey(
        registry=registry,
        id=VersionId(asset=AssetId(type="models", name=name), version=Version.parse(version)),
    )


def lay_out(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write contents as files."""
    for path, data in contents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def reachable(medium: Medium, root_name: str) -> dict[str, bytes]:
    """The tree that a root names, read with nothing but the wire formats: path -> bytes."""
    from gitml.store.formats.codec import decode_chunk
    from gitml.store.formats.manifest import decode_manifest
    from gitml.store.formats.pack import split_pack
    from gitml.store.formats.root import decode_root
    from gitml.store.formats.segment import decode_segment
    from gitml.store.media import layout

    root = decode_root(medium.get(root_name), root_name)
    name = layout.manifest_name(root.manifest)
    manifest = decode_manifest(medium.get(name), bytes.fromhex(root.manifest), name)
    found: dict[str, bytes] = {}
    for row in manifest.rows:
        name = layout.segment_name(row.segment_id.hex())
        data = manifest.embedded if manifest.embedded is not None else medium.get(name)
        segment = decode_segment(data, row.segment_id, name)
        packs = [
            split_pack(medium.get(layout.pack_name(pack.hex)), pack.id, pack.hex) for pack in segment.packs
        ]
        for path, runs in zip(segment.paths, segment.runs, strict=True):
            parts = []
            for pack, first, count in runs:
                payload, footer = packs[pack]
                for place in map(footer.place, range(first, first + count)):
                    stored = payload[place.start : place.end]
                    parts.append(bytes(decode_chunk(stored, place.codec, place.raw_bytes, path)))
            found[path] = b"".join(parts)
    return found
