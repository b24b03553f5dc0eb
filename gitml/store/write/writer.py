"""Writing the contents of a tree: files in, packs and segments and a manifest out.

One thread decides, in path order: what is stored already, how a chunk is stored, which pack it goes to. A bounded
pool reads, hashes and compresses, another one puts. So what is written does not depend on timing, and memory does not
depend on size: blocks on their way, the open pack and packs being put share what the medium allows.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from gitml.errors import Conflict
from gitml.model.progress import Progress
from gitml.store.formats import chunker
from gitml.store.formats.codec import Codec
from gitml.store.formats.runs import Run
from gitml.store.media.medium import Buffer
from gitml.store.write.dedup import LARGE_BYTES, EarlierTree, KnownChunks, PackRun, PackWindow
from gitml.store.write.listing import ListingWriter
from gitml.store.write.packing import PackWriter, extend_runs
from gitml.store.write.reading import (
    Chunk,
    Read,
    Strand,
    compress,
    compress_all,
    hash_chunks,
    read_at_once,
    read_batch,
)
from gitml.store.write.source import SourceFile

_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_FILES = 128
_TASK_CHUNKS = 32
_QUEUED_BYTES = 24 * 1024 * 1024
_QUEUED_BATCHES = 32  # a small file is listed in more bytes than it has
_KEPT_SUFFIXES = 1_000
_TINY_BYTES = 32 * 1024


class Probe:
    """Decides when chunks are worth compressing: the chunks 0, 1, 3, 7, 15 … of a series are tried."""

    __slots__ = ("_count", "_next", "compress")

    def __init__(self) -> None:
        self._count = 0
        self._next = 0
        self.compress = False

    def is_due(self) -> bool:
        """Count a chunk; whether it is one to try."""
        due = self._count == self._next
        self._count += 1
        if due:
            self._next = 2 * self._next + 1
        return due


@dataclass(slots=True)
class Totals:
    """What a write did."""

    files: int = 0
    size_bytes: int = 0
    new_bytes: int = 0
    reused_bytes: int = 0


@dataclass(slots=True)
class _Draft:
    """A file whose chunks are placed: places that are known, or -1 - number of a new chunk."""

    file: SourceFile
    sha: bytes
    runs: list[PackRun] | None
    places: list[int]


@dataclass(slots=True)
class _Batch:
    """Files that are read whole: what the first of them hold, and the rest on its way."""

    files: list[SourceFile]
    size_bytes: int
    read: list[Read]
    rest: Future[list[Read]] | None


class TreeWriter:
    """Writes the files of one tree.

    Args:
        packs: Takes the new chunks.
        listing: Takes the files.
        pool: Reads, hashes and compresses.
        earlier: Trees that may hold the same files.
        windows: Gives the chunks of the packs that hold earlier versions of a path.
        resumed: Packs that an interrupted write left.
        progress: Learns of each file.
        flight_bytes: What may be in memory at a time: blocks that were read, the open pack, packs on their way.
        learn: Told each file's digest, in path order.
    """

    def __init__(
        self,
        packs: PackWriter,
        listing: ListingWriter,
        pool: ThreadPoolExecutor,
        *,
        earlier: Sequence[EarlierTree],
        windows: Callable[[str], Sequence[PackWindow]],
        resumed: PackWindow,
        progress: Progress,
        flight_bytes: int,
        learn: Callable[[SourceFile, bytes], None] | None = None,
    ) -> None:
        self._learn = learn
        self._flight_bytes = flight_bytes
        self._packs = packs
        self._listing = listing
        self._pool = pool
        self._earlier = earlier
        self._windows = windows
        self._resumed = resumed
        self._progress = progress
        self._known = KnownChunks()
        self._suffixes: dict[str, Probe] = {}
        self._queue: deque[_Batch] = deque()
        self._queued_bytes = 0
        self.totals = Totals()

    def write(self, files: Iterator[SourceFile]) -> None:
        """Store all files; on return all packs are durable."""
        batch: list[SourceFile] = []
        batch_bytes = 0
        for file in files:
            if file.size_bytes > LARGE_BYTES:
                self._submit(batch, batch_bytes)
                batch, batch_bytes = [], 0
                while self._queue:
                    self._drain()
                self._store_large(file)
                continue
            batch.append(file)
            batch_bytes += file.size_bytes
            if batch_bytes >= _BATCH_BYTES or len(batch) == _BATCH_FILES:
                self._submit(batch, batch_bytes)
                batch, batch_bytes = [], 0
        self._submit(batch, batch_bytes)
        while self._queue:
            self._drain()
        self._packs.finish()
        self._listing.flush()

    # -- files that are read whole

    def _submit(self, batch: list[SourceFile], batch_bytes: int) -> None:
        if not batch:
            return
        self._make_room(batch_bytes)
        self._queued_bytes += batch_bytes
        known = [self._find_file(file, file.digest) is not None if file.digest else False for file in batch]
        read = read_at_once(batch, known) if batch_bytes <= _TINY_BYTES * len(batch) else []
        rest = None
        if len(read) < len(batch):
            rest = self._pool.submit(read_batch, batch[len(read) :], known[len(read) :])
        self._queue.append(_Batch(batch, batch_bytes, read, rest))
        if rest is None and len(self._queue) == 1:
            self._drain()  # while the bytes are still in the processor's cache

    def _make_room(self, size_bytes: int) -> None:
        """Wait until so many bytes may be read."""
        self._packs.settle(wait=False)
        while len(self._queue) >= _QUEUED_BATCHES or (
            self._queue and self._queued_bytes + size_bytes > _QUEUED_BYTES
        ):
            self._drain()
        while self._queued_bytes + self._packs.held_bytes + size_bytes > self._flight_bytes:
            if not self._packs.settle(wait=True):
                if not self._queue:
                    return
                self._drain()
        self._listing.flush()

    def _drain(self) -> None:
        taken = self._queue.popleft()
        batch, batch_bytes = taken.files, taken.size_bytes
        read = taken.read if taken.rest is None else taken.read + taken.rest.result()
        new: list[tuple[bytes, Buffer, Probe]] = []
        numbers: dict[bytes, int] = {}
        drafts = [
            self._draft(file, sha, chunks, new, numbers)
            for file, (sha, chunks) in zip(batch, read, strict=True)
        ]
        self._queued_bytes -= batch_bytes
        places = self._store(new, batch_bytes)
        for draft in drafts:
            self._list(draft, places)
        self._progress.advance(
            size_bytes=batch_bytes,
            files=len(batch),
            reused_bytes=batch_bytes - sum(len(data) for _, data, _ in new),
        )

    def _draft(
        self,
        file: SourceFile,
        sha: bytes,
        chunks: list[Chunk],
        new: list[tuple[bytes, Buffer, Probe]],
        numbers: dict[bytes, int],
    ) -> _Draft:
        is_one = len(chunks) == 1
        if is_one and (place := self._known.get(sha)) is not None:
            return _Draft(file, sha, None, [place])
        runs = self._find_file(file, sha)
        if runs is not None or not chunks:
            return _Draft(file, sha, runs or [], [])
        if not is_one:
            return _Draft(
                file, sha, None, self._place(chunks, self._windows(file.path), Probe(), new, numbers)
            )
        place = self._placed(sha, numbers, ())
        if place is None:
            place = _numbered(new, numbers, sha, chunks[0][1], self._probe(file.path))
        return _Draft(file, sha, None, [place])

    # -- files that are read block by block

    def _store_large(self, file: SourceFile) -> None:
        if any(tree.may_hold(file.size_bytes) for tree in self._earlier):
            sha = file.digest or self._hash_only(file)
            runs = self._find_file(file, sha)
            if runs is not None:
                self._list(_Draft(file, sha, runs, []), [])
                self._progress.advance(size_bytes=file.size_bytes, files=1, reused_bytes=file.size_bytes)
                return
        strand = Strand(self._pool)
        runs_found: list[Run] = []
        pieces: deque[tuple[int, list[Future[list[Chunk]]]]] = deque()
        windows, probe, cutter = self._windows(file.path), Probe(), chunker.Cutter()

        def drain() -> None:
            size, futures = pieces.popleft()
            chunks = [chunk for future in futures for chunk in future.result()]
            new: list[tuple[bytes, Buffer, Probe]] = []
            codes = self._place(chunks, windows, probe, new, {})
            self._queued_bytes -= size
            places = self._store(new, size)
            for code in codes:
                extend_runs(runs_found, places[-1 - code] if code < 0 else code)
            self._progress.advance(size_bytes=size, reused_bytes=size - sum(len(data) for _, data, _ in new))

        for block in file.blocks():
            strand.feed(block)
            cuts = cutter.feed(block)
            pieces.append(self._hash_cuts(cuts))
            self._queued_bytes += pieces[-1][0]
            del block, cuts
            while pieces and (len(pieces) > 1 or self._packs.held_bytes > self._flight_bytes // 2):
                drain()
            while self._packs.held_bytes + self._queued_bytes + chunker.MAXIMUM_BYTES > self._flight_bytes:
                if not self._packs.settle(wait=True):
                    break
            strand.wait(1)
            self._listing.flush()
        pieces.append(self._hash_cuts(cutter.finish()))
        self._queued_bytes += pieces[-1][0]
        while pieces:
            drain()
        self._add(file, strand.digest(), runs_found)
        self._progress.advance(files=1)

    def _hash_cuts(self, cuts: list[memoryview]) -> tuple[int, list[Future[list[Chunk]]]]:
        groups = [cuts[start : start + _TASK_CHUNKS] for start in range(0, len(cuts), _TASK_CHUNKS)]
        return sum(map(len, cuts)), [self._pool.submit(hash_chunks, group) for group in groups]

    def _hash_only(self, file: SourceFile) -> bytes:
        hasher = hashlib.sha256()
        for block in file.blocks():
            hasher.update(block)
        return hasher.digest()

    # -- decisions, in path order

    def _find_file(self, file: SourceFile, sha: bytes) -> list[PackRun] | None:
        for tree in self._earlier:
            runs = tree.find(file.path, file.size_bytes, sha)
            if runs is not None:
                return runs
        return None

    def _probe(self, path: str) -> Probe:
        suffix = path.rpartition("/")[2].rpartition(".")[2]
        if suffix not in self._suffixes:
            if len(self._suffixes) >= _KEPT_SUFFIXES:
                self._suffixes.clear()
            self._suffixes[suffix] = Probe()
        return self._suffixes[suffix]

    def _place(
        self,
        chunks: list[Chunk],
        windows: Sequence[PackWindow],
        probe: Probe,
        new: list[tuple[bytes, Buffer, Probe]],
        numbers: dict[bytes, int],
    ) -> list[int]:
        """Where each chunk is; those that are nowhere are added to `new`."""
        places: list[int] = []
        for chunk_id, data in chunks:
            place = self._known.get(chunk_id)
            if place is None:
                place = self._placed(chunk_id, numbers, windows)
            places.append(_numbered(new, numbers, chunk_id, data, probe) if place is None else place)
        return places

    def _placed(
        self, chunk_id: bytes, numbers: dict[bytes, int], windows: Sequence[PackWindow]
    ) -> int | None:
        """Where a chunk is that was not met lately: new in this batch, or in a pack of the store."""
        number = numbers.get(chunk_id)
        if number is not None:
            return -1 - number
        for window in (*windows, self._resumed):
            hit = window.find(chunk_id)
            if hit is not None:
                place = self._packs.found(*hit)
                self._known.add(chunk_id, place)
                return place
        return None

    def _store(self, new: Sequence[tuple[bytes, Buffer, Probe]], read_bytes: int) -> list[int]:
        """Append chunks to packs; where each is."""
        encoded = self._encode(new)
        raw_bytes = sum(len(data) for _, data, _ in new)
        is_sparse = raw_bytes * 4 < read_bytes * 3  # few views would keep whole blocks in memory
        places: list[int] = []
        for (chunk_id, data, _), frame in zip(new, encoded, strict=True):
            if frame is None:
                place = self._packs.add(chunk_id, data, Codec.RAW, len(data), copied=is_sparse)
            else:
                place = self._packs.add(chunk_id, frame, Codec.ZSTD, len(data))
            self._known.add(chunk_id, place)
            places.append(place)
        self.totals.new_bytes += raw_bytes
        return places

    def _encode(self, new: Sequence[tuple[bytes, Buffer, Probe]]) -> list[bytes | None]:
        """The frames of chunks that are worth compressing."""
        frames: list[bytes | None] = [None] * len(new)
        wanted: list[int] = []
        for number, (_, data, probe) in enumerate(new):
            if probe.is_due():
                frames[number] = compress(data)
                probe.compress = frames[number] is not None
            elif probe.compress:
                wanted.append(number)
        groups = [wanted[start : start + _TASK_CHUNKS] for start in range(0, len(wanted), _TASK_CHUNKS)]
        futures = [self._pool.submit(compress_all, [new[number][1] for number in group]) for group in groups]
        for group, future in zip(groups, futures, strict=True):
            for number, frame in zip(group, future.result(), strict=True):
                frames[number] = frame
        return frames

    def _list(self, draft: _Draft, new_places: Sequence[int]) -> None:
        runs: list[Run] = []
        for pack, first, count in draft.runs or ():
            place = self._packs.found(pack, first)
            runs.append((place >> 16, first, count))
        for code in draft.places:
            extend_runs(runs, new_places[-1 - code] if code < 0 else code)
        self._add(draft.file, draft.sha, runs)

    def _add(self, file: SourceFile, sha: bytes, runs: list[Run]) -> None:
        if file.digest is not None and file.digest != sha:
            raise Conflict(f"{file.path!r} changed while it was read", code="source-changed")
        self._listing.add(file.path, file.size_bytes, sha, runs)
        self.totals.files += 1
        self.totals.size_bytes += file.size_bytes
        if self._learn is not None:
            self._learn(file, sha)


def _numbered(
    new: list[tuple[bytes, Buffer, Probe]],
    numbers: dict[bytes, int],
    chunk_id: bytes,
    data: Buffer,
    probe: Probe,
) -> int:
    """Add a new chunk; its number, as a place."""
    number = numbers[chunk_id] = len(new)
    new.append((chunk_id, data, probe))
    return -1 - number
