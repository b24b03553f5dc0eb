"""A version whose bytes lie elsewhere, read as any other: listed, placed, opened, copied into a store.

Each file is judged before anybody gets its last byte: by its size, by what its medium says of it, and by its digest
where that is known. What a file without a registered digest hashed to when it was read here first is remembered, and
holds from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from gitml.errors import NotFound
from gitml.model.progress import SILENT, Progress
from gitml.model.references import Reference
from gitml.model.shown import shown
from gitml.store.external.listed import ReferenceList, write_all
from gitml.store.external.origin import Origin, changed
from gitml.store.media.medium import Buffer
from gitml.store.read.entries import FileEntry, Sink
from gitml.store.read.spool import nameless

_WHOLE_BYTES: Final = 4 << 20
_MOST_JOBS: Final = 8
_BATCH_FILES: Final = 4096


class LearnedDigests:
    """What files without a registered digest hashed to on this machine; it may be deleted at any time.

    Args:
        file: Where it is kept; None keeps it in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[bytes, bytes] = {}
        if file is not None:
            with contextlib.suppress(OSError):
                for line in file.read_bytes().splitlines():
                    key, _, digest = line.partition(b" ")
                    if len(key) == len(digest) == 64:
                        with contextlib.suppress(ValueError):
                            self._known[bytes.fromhex(key.decode())] = bytes.fromhex(digest.decode())

    def digest(self, reference: Reference) -> bytes | None:
        """The file's digest, registered or learned."""
        if reference.sha256 is not None:
            return bytes.fromhex(reference.sha256)
        return self._known.get(stand_in(reference))

    def learn(self, reference: Reference, digest: bytes) -> None:
        """Remember what a file hashed to; a file that cannot be written is no error."""
        key = stand_in(reference)
        with self._lock:
            if reference.sha256 is not None or key in self._known:
                return
            self._known[key] = digest
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    with self._file.open("ab") as stream:
                        stream.write(f"{key.hex()} {digest.hex()}\n".encode())


def stand_in(reference: Reference) -> bytes:
    """What stands for the digest of a file that nobody has read: no bytes hash to it."""
    return hashlib.sha256(b"reference\n" + reference.line()).digest()


class ReferencedTree:
    """The files that a version refers to.

    Args:
        references: They.
        origin: Opens the place of a reference; raises where that is not trusted.
        label: Names the asset in errors.
        learned: Digests that were found out by reading.
        scratch: Folder for temporary files; None is the system's.
        jobs: Threads of a bulk read.
    """

    def __init__(
        self,
        references: ReferenceList,
        origin: Callable[[Reference], Origin],
        *,
        label: str,
        learned: LearnedDigests | None = None,
        scratch: Path | None = None,
        jobs: int | None = None,
    ) -> None:
        self.references = references
        self.label = label
        self._origin = origin
        self._learned = learned or LearnedDigests()
        self._scratch = scratch
        self._jobs = min(jobs or _MOST_JOBS, _MOST_JOBS)

    @property
    def files(self) -> int:
        """Number of files."""
        return len(self.references)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return self.references.size_bytes

    def entries(self) -> Iterator[FileEntry]:
        """Every file in path order; a file whose digest nobody knows has a stand-in for it."""
        for one in self.references:
            digest = self._learned.digest(one) or stand_in(one)
            yield FileEntry(path=one.path, size_bytes=one.size_bytes, digest=digest)

    def entries_below(self, path: str) -> Iterator[FileEntry]:
        """See :meth:`gitml.store.read.reader.TreeReader.entries_below`."""
        below = path + "/"
        return (entry for entry in self.entries() if entry.path == path or entry.path.startswith(below))

    def digest(self, reference: Reference) -> bytes | None:
        """The digest of a file, registered or learned."""
        return self._learned.digest(reference)

    def reference(self, path: str) -> Reference:
        """The reference of a path.

        Raises:
            NotFound: There is no such file.
        """
        found = self.references.find(path)
        if found is None:
            raise NotFound(
                f"{self.label} has no file {shown(path)}",
                code="no-such-file",
                hint=f"gitml show --files {self.label}",
                context={"asset": self.label, "file": ascii(path)},
            )
        return found

    def look(self, reference: Reference) -> None:
        """Ask whether a source is still there and the same.

        Raises:
            IntegrityError: It is not.
        """
        self._origin(reference).look(reference)

    def blocks(self, reference: Reference) -> Iterator[bytes]:
        """A file's bytes; the last ones come only when all of them are right.

        Raises:
            IntegrityError: The source is gone, or another one.
        """
        hasher, size, held = hashlib.sha256(), 0, b""
        for block in self._origin(reference).blocks(reference):
            if held:
                yield held
            hasher.update(block)
            size += len(block)
            held = block
        if size != reference.size_bytes:
            raise changed(reference, f"it has {size} bytes instead of {reference.size_bytes}")
        expected = self._learned.digest(reference)
        if expected is None:
            self._learned.learn(reference, hasher.digest())
        elif expected != hasher.digest():
            raise changed(reference, f"its sha256 is {hasher.hexdigest()}")
        if held:
            yield held

    def open(self, path: str) -> io.RawIOBase:
        """Open one file for reading.

        Where parts of a file can be asked for, each part comes from the very file referred to. Elsewhere the whole
        file is copied to a nameless temporary file and judged first.

        Raises:
            NotFound: There is no such file.
            IntegrityError: The source is gone, or another one.
        """
        reference = self.reference(path)
        origin = self._origin(reference)
        if origin.ranged:
            return RangedFile(origin, reference, self._learned.digest(reference))
        copy = nameless(self._scratch)
        try:
            for block in self.blocks(reference):
                write_all(copy.fileno(), block)
            copy.seek(0)
        except BaseException:
            copy.close()
            raise
        return copy

    def fetch(
        self,
        entries: Iterable[FileEntry],
        sink: Sink,
        *,
        progress: Progress = SILENT,
        jobs: int | None = None,
    ) -> None:
        """Send files to a sink, each only with the right bytes; a large one is `finish`ed only then.

        Raises:
            IntegrityError: A source is gone, or another one; other files may have reached the sink.
        """
        rest = iter(entries)
        threads = min(jobs or self._jobs, _MOST_JOBS)
        with ThreadPoolExecutor(threads, thread_name_prefix="gitml-refer") as pool:
            while batch := list(islice(rest, _BATCH_FILES)):
                work = [pool.submit(self._send, entry, sink, progress) for entry in batch]
                try:
                    for one in work:
                        one.result()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise

    def _send(self, entry: FileEntry, sink: Sink, progress: Progress) -> None:
        reference = self.reference(entry.path)
        if entry.size_bytes <= _WHOLE_BYTES:
            parts = list(self.blocks(reference))
            sink.whole(self._known(entry, reference), parts)
        else:
            target = sink.begin(entry)
            position = 0
            try:
                for block in self.blocks(reference):
                    target.write(position, [block])
                    position += len(block)
            except BaseException:
                target.discard()
                raise
            target.finish(self._learned.digest(reference))
        progress.advance(size_bytes=entry.size_bytes, files=1)

    def _known(self, entry: FileEntry, reference: Reference) -> FileEntry:
        return msgspec.structs.replace(entry, digest=self._learned.digest(reference) or entry.digest)


class RangedFile(io.RawIOBase):
    """A referenced file, read by ranges of the very object referred to; for one thread.

    Read from start to end its digest is checked with the last byte, where it is known.
    """

    def __init__(self, origin: Origin, reference: Reference, digest: bytes | None) -> None:
        super().__init__()
        self.name = reference.path
        self.mode = "rb"
        self._origin = origin
        self._reference = reference
        self._expected = digest
        self._digest = hashlib.sha256()
        self._sequential = True
        self._position = 0
        self._blocks: Iterator[bytes] | None = None
        self._held: tuple[int, bytes] = (0, b"")
        if not reference.size_bytes:
            origin.look(reference)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {0: 0, 1: self._position, 2: self._reference.size_bytes}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"cannot seek to {offset} from {whence}")
        if base + offset != self._position:
            self._position, self._sequential, self._blocks = base + offset, False, None
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if not len(view) or self._position >= self._reference.size_bytes:
            return 0
        start, block = self._held
        if not start <= self._position < start + len(block):
            start, block = self._held = (self._position, self._next())
        piece = memoryview(block)[self._position - start :][: len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        if self._sequential:
            self._digest.update(piece)
            complete = self._position == self._reference.size_bytes
            if complete and self._expected not in (None, self._digest.digest()):
                self._position = 0
                raise changed(self._reference, f"its sha256 is {self._digest.hexdigest()}")
        return len(piece)

    def _next(self) -> bytes:
        if self._blocks is None:
            self._blocks = self._origin.blocks(self._reference, self._position)
        block = next(self._blocks, b"")
        if not block:
            raise changed(self._reference, f"it ends after {self._position} bytes")
        return block


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedFile:
    """A file on its way into a store."""

    path: str
    size_bytes: int
    digest: bytes | None
    tree: ReferencedTree

    def blocks(self) -> Iterator[memoryview]:
        """See :class:`gitml.store.write.source.SourceFile`."""
        for block in self.tree.blocks(self.tree.reference(self.path)):
            yield memoryview(block)


class ReferencedSource:
    """Feeds what a version refers to to a store; nothing is kept on disk on the way."""

    def __init__(self, tree: ReferencedTree) -> None:
        self._tree = tree
        self.warnings: list[str] = []

    def files(self) -> Iterator[ReferencedFile]:
        """Every file, in path order."""
        for one in self._tree.references:
            yield ReferencedFile(
                path=one.path, size_bytes=one.size_bytes, digest=self._tree.digest(one), tree=self._tree
            )

    def totals(self) -> tuple[int, int]:
        """Number of files, and their bytes."""
        return self._tree.files, self._tree.size_bytes
