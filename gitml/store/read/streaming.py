"""The bytes of many files, one after the other, with the packs they share read once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Protocol

from gitml.errors import IntegrityError
from gitml.store.formats.pack import PackRef
from gitml.store.media import layout
from gitml.store.media.medium import Buffer
from gitml.store.read.entries import FileEntry
from gitml.store.read.handle import FileHandle
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import PackBody, PackReader

_BATCH_FILES: Final = 8192
_BATCH_BYTES: Final = 256 << 20
_HELD_BYTES: Final = 32 << 20
_BLOCK_BYTES: Final = 4 << 20


class Located(Protocol):
    """An entry and where its chunks lie."""

    @property
    def entry(self) -> FileEntry: ...

    @property
    def runs(self) -> Sequence[tuple[PackRef, int, int]]: ...


def stream(
    packs: PackReader, located: Iterable[Located], label: str
) -> Iterator[tuple[FileEntry, Iterator[bytes]]]:
    """See :meth:`gitml.store.read.reader.TreeReader.stream`."""
    source = iter(located)
    window = _Window(packs, label)
    while batch := _batch(source):
        window.plan(batch)
        for one in batch:
            yield one.entry, _blocks(packs, window, one, label)


def _batch(source: Iterator[Located]) -> list[Located]:
    batch: list[Located] = []
    size = 0
    for one in islice(source, _BATCH_FILES):
        batch.append(one)
        size += one.entry.size_bytes
        if size >= _BATCH_BYTES:
            break
    return batch


def _blocks(packs: PackReader, window: _Window, one: Located, label: str) -> Iterator[bytes]:
    if len(one.runs) != 1:
        with FileHandle(packs, one.entry, one.runs, label, whole=True) as handle:
            while block := handle.read(_BLOCK_BYTES):
                yield block
        return
    entry, (_, first, chunks) = one.entry, one.runs[0]
    hasher, size = hashlib.sha256(), 0
    body = window.body(one)
    for number in range(first, first + chunks):
        with naming(label, body.name, entry.path):
            data: Buffer = body.chunk(number)
        hasher.update(data)
        size += len(data)
        if number == first + chunks - 1 and (size != entry.size_bytes or hasher.digest() != entry.digest):
            raise damaged(
                "its chunks do not make the file that was registered",
                label,
                body.name,
                entry.path,
                code="file-damaged",
            )
        yield bytes(data)


class _Window:
    """Packs of the present batch, those used last."""

    def __init__(self, packs: PackReader, label: str) -> None:
        self._packs = packs
        self._label = label
        self._wanted: dict[bytes, tuple[list[tuple[int, int]], int]] = {}
        self._bodies: OrderedDict[bytes, PackBody] = OrderedDict()
        self._lock = threading.Lock()  # files may be read by other threads than the one that lists them

    def plan(self, batch: Sequence[Located]) -> None:
        """Note what the next files want of each pack."""
        wanted: dict[bytes, tuple[list[tuple[int, int]], int]] = {}
        for one in batch:
            if len(one.runs) == 1:
                ref, first, chunks = one.runs[0]
                runs, size = wanted.get(ref.id, ([], 0))
                runs.append((first, chunks))
                wanted[ref.id] = (runs, size + one.entry.size_bytes)
        self._wanted = wanted

    def body(self, one: Located) -> PackBody:
        """The pack of a file in a single run, with all that the batch wants of it."""
        ref, first, chunks = one.runs[0]
        name = layout.pack_name(ref.hex)
        with self._lock, naming(self._label, name, one.entry.path):
            body = self._bodies.get(ref.id)
            if body is None or first + chunks > body.known.footer.chunks or not body.holds(first, chunks):
                self._bodies.pop(ref.id, None)
                while self._bodies and sum(held.held_bytes for held in self._bodies.values()) > _HELD_BYTES:
                    self._bodies.popitem(last=False)
                runs, wanted_bytes = self._wanted.get(ref.id, ([], 0))
                runs = [*runs, (first, chunks)]
                body = self._bodies[ref.id] = self._packs.load(ref, runs, wanted_bytes)
                if first + chunks > body.known.footer.chunks:
                    raise IntegrityError("a run lies outside of its pack", code="run-outside")
        return body
