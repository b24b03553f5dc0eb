"""One file of a tree as a read-only stream: seekable, read by ranges, each chunk checked."""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from gitml.store.formats.pack import PackRef
from gitml.store.media import layout
from gitml.store.media.medium import Buffer
from gitml.store.read.entries import FileEntry
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import PackBody, PackReader

_STEP_BYTES: Final = 4 << 20
_HELD_BYTES: Final = 32 << 20
_FIRST_BYTES: Final = 1 << 20  # read at once of a file that is read from its beginning
_GROWTH: Final = 16  # how many times what was read so far is read next, as long as nobody seeks
_SHARE: Final = 4  # after a seek, what part of what was read without a gap is read ahead

Run = tuple[PackRef, int, int]


class FileHandle(io.RawIOBase):
    """A file of a tree, opened for reading; for one thread.

    Read whole it costs two requests for each pack it lies in, and the digest of the whole is checked with the last
    byte. Read in steps from its beginning, the steps of the fetching grow with what was read. After a `seek` the chunks
    that a read needs are fetched, and ahead of it no more than a quarter of what was read since without a gap: readers
    of columns or of archives take a little here and a little there.

    Args:
        label: Names the asset in errors.
        whole: All of it will be read, from its beginning.
    """

    def __init__(
        self, packs: PackReader, entry: FileEntry, runs: Sequence[Run], label: str, *, whole: bool = False
    ) -> None:
        super().__init__()
        self.name = entry.path
        self.mode = "rb"
        self._packs = packs
        self._entry = entry
        self._runs = _merged(runs)
        self._label = label
        self._position = 0
        self._starts = [0]  # of the runs, as far as they are known
        self._bodies: OrderedDict[bytes, PackBody] = OrderedDict()
        self._sequential = True
        self._whole = whole
        self._fetched: tuple[int, int] = (0, 0)  # what was fetched last without a gap: start, end
        self._digest = hashlib.sha256()
        self._chunk: tuple[int, int, Buffer] = (0, 0, b"")  # where it starts and ends in the file, its bytes
        if not runs and (entry.size_bytes or entry.digest != self._digest.digest()):
            raise damaged("the segment names no chunks for it", label, layout.SEGMENTS, entry.path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._entry.size_bytes}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"cannot seek to {offset} from {whence}")
        if base + offset != self._position:
            self._position = base + offset
            self._sequential = False
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._position < self._entry.size_bytes:
            start, end, data = self._chunk
            if not start <= self._position < end:
                start, end, data = self._locate(self._position, len(view) - filled)
            skip = self._position - start
            piece = memoryview(data)[skip : skip + len(view) - filled]
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
            if self._sequential:
                self._take_digest(piece)
        return filled

    def readall(self) -> bytes:
        # In steps: the size is believed only as far as there are chunks.
        parts = []
        self._whole = self._whole or self._position == 0
        while part := self.read(min(_STEP_BYTES, max(0, self._entry.size_bytes - self._position))):
            parts.append(part)
        return b"".join(parts)

    def _take_digest(self, piece: Buffer) -> None:
        self._digest.update(piece)
        if self._position == self._entry.size_bytes and self._digest.digest() != self._entry.digest:
            self._position = 0
            raise damaged(
                "its chunks do not make the file that was registered",
                self._label,
                layout.pack_name(self._runs[-1][0].hex),
                self._entry.path,
                code="file-damaged",
            )

    def _locate(self, position: int, wanted_bytes: int) -> tuple[int, int, Buffer]:
        """The chunk at a position, fetched if it is not here."""
        which = self._run_at(position)
        ref, first, chunks = self._runs[which]
        name = layout.pack_name(ref.hex)
        with naming(self._label, name, self._entry.path):
            known = self._packs.footer(ref)
            base = self._starts[which] - known.raw_starts[first]
            number = bisect_right(known.raw_starts, position - base, first, first + chunks) - 1
            body = self._bodies.get(ref.id)
            if body is None or not body.holds(number, 1):
                begin, stop = self._span(which, number, position, base, self._ahead(position, wanted_bytes))
                body = self._load(ref, begin, stop)
                fetched_to = base + known.raw_starts[min(stop, first + chunks)]
                self._fetched = (min(self._fetched[0], position), fetched_to)
            data = body.chunk(number)
        start = base + known.raw_starts[number]
        self._chunk = (start, start + len(data), data)
        return self._chunk

    def _ahead(self, position: int, wanted_bytes: int) -> int:
        """How many bytes from a position are worth fetching; notes where reading without a gap began."""
        if self._sequential:
            ahead = self._entry.size_bytes if self._whole else max(_FIRST_BYTES, position * _GROWTH)
            return max(wanted_bytes, ahead)
        start, end = self._fetched
        if position != end:
            self._fetched = (position, position)
            return max(wanted_bytes, 1)
        return max(wanted_bytes, (end - start) // _SHARE, 1)

    def _span(self, which: int, number: int, position: int, base: int, ahead_bytes: int) -> tuple[int, int]:
        """Which chunks of a pack to fetch, from a chunk on: of its run, and where that ends of the file's later ones."""
        ref, first, chunks = self._runs[which]
        starts, end = self._packs.footer(ref).raw_starts, first + chunks
        last = position - base + ahead_bytes - 1
        stop = min(end, bisect_right(starts, last, number, end))
        if stop < end or not self._sequential:
            return number, stop
        later = [run for run in self._runs[which + 1 :] if run[0].id == ref.id]
        return min([number, *(run[1] for run in later)]), max([stop, *(run[1] + run[2] for run in later)])

    def _load(self, ref: PackRef, first: int, stop: int) -> PackBody:
        """Read chunks [first, stop) of a pack, letting go of what was read longest ago."""
        self._bodies.pop(ref.id, None)
        while self._bodies and sum(body.held_bytes for body in self._bodies.values()) > _HELD_BYTES:
            self._bodies.popitem(last=False)
        body = self._bodies[ref.id] = self._packs.load_span(ref, first, stop - first)
        return body

    def _run_at(self, position: int) -> int:
        """Which run holds a position; learns the lengths of the runs before it from their packs' footers."""
        while len(self._starts) <= len(self._runs) and self._starts[-1] <= position:
            ref, first, chunks = self._runs[len(self._starts) - 1]
            name = layout.pack_name(ref.hex)
            with naming(self._label, name, self._entry.path):
                known = self._packs.footer(ref)
                if first + chunks > known.footer.chunks:
                    raise damaged("a run lies outside of its pack", self._label, name, self._entry.path)
                self._starts.append(self._starts[-1] + known.raw_bytes(first, chunks))
            complete = len(self._starts) > len(self._runs)
            size = self._entry.size_bytes
            if self._starts[-1] > size or complete != (self._starts[-1] == size):
                raise damaged(
                    f"its chunks have {self._starts[-1]} bytes, {size} were registered",
                    self._label,
                    name,
                    self._entry.path,
                    code="file-size",
                )
        return bisect_right(self._starts, position) - 1


def _merged(runs: Sequence[Run]) -> list[Run]:
    """Runs with those joined that follow each other in one pack."""
    merged: list[Run] = []
    for ref, first, chunks in runs:
        if merged and merged[-1][0].id == ref.id and merged[-1][1] + merged[-1][2] == first:
            merged[-1] = (ref, merged[-1][1], merged[-1][2] + chunks)
        else:
            merged.append((ref, first, chunks))
    return merged
