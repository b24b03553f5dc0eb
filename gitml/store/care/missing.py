"""Which bytes of which files are lost, where objects of a tree are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gitml.errors import GitMLError, IntegrityError
from gitml.store.formats.pack import PackRef, split_pack
from gitml.store.formats.root import Root
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.read.handle import Run
from gitml.store.read.packs import KnownFooter, PackBody, PackReader, known_footer
from gitml.store.read.reader import TreeReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Bytes that nobody has.

    Attributes:
        ref: The version.
        object: The object that held them.
        path: The file; null where its list of files is lost, and so all of the version.
        start, end: The bytes of it, [start, end); where no table of contents tells, at most these.
    """

    ref: str
    object: str
    path: str | None
    start: int
    end: int


def missing_ranges(medium: Medium, label: str, root: Root, wrong: Collection[str]) -> list[Missing]:
    """What a tree lacks because of objects that are lost or damaged."""
    if not wrong:
        return []
    found: list[Missing] = []
    reader = TreeReader(medium, root, label=label, kept_entries=0)
    try:
        count = len(reader.rows)
    except GitMLError as error:
        return [_all_of(label, root.size_bytes, error)]
    look = _Look(medium, wrong)
    for number in range(count):
        try:
            segment = reader.segment(number)
        except GitMLError as error:
            found.append(_all_of(label, reader.rows[number].size_bytes, error))
            continue
        if not any(layout.pack_name(ref.hex) in wrong for ref in segment.packs):
            continue
        for entry, runs in enumerate(segment.runs):
            placed = [(segment.packs[pack], first, chunks) for pack, first, chunks in runs]
            if any(layout.pack_name(ref.hex) in wrong for ref, _, _ in placed):
                for start, end, name in look.ranges(placed, segment.sizes[entry]):
                    path = segment.paths[entry]
                    found.append(Missing(ref=label, object=name, path=path, start=start, end=end))
    return found


def _all_of(label: str, size_bytes: int, error: GitMLError) -> Missing:
    return Missing(
        ref=label, object=str(error.context.get("object", "?")), path=None, start=0, end=size_bytes
    )


class _Look:
    """Looks at what is left of packs, each once as long as no other is asked for."""

    def __init__(self, medium: Medium, wrong: Collection[str]) -> None:
        self._medium = medium
        self._wrong = wrong
        self._packs = PackReader(medium)
        self._latest: tuple[bytes, PackBody | None] = (b"", None)

    def ranges(self, runs: Sequence[Run], size_bytes: int) -> list[tuple[int, int, str]]:
        """Ranges of a file that cannot be had, and the objects that held them."""
        found: list[tuple[int, int, str]] = []
        lengths = [self._length(run) for run in runs]
        for at, (ref, first, chunks) in enumerate(runs):
            name = layout.pack_name(ref.hex)
            before, after = lengths[:at], lengths[at + 1 :]
            start = _known_sum(before)
            if name not in self._wrong:
                continue
            body = self._body(ref)
            if body is None or lengths[at] is None or None in before:
                end = size_bytes - _known_sum(after[::-1])
                _extend(found, start, end, name)
                continue
            for number in range(first, first + chunks):
                raw_bytes = body.known.footer.raw[number]
                try:
                    body.chunk(number)
                except IntegrityError:
                    _extend(found, start, start + raw_bytes, name)
                start += raw_bytes
        return found

    def _length(self, run: Run) -> int | None:
        """Bytes of a run, where the table of contents of its pack can be had."""
        ref, first, chunks = run
        known = self._known(ref)
        if known is None or first + chunks > known.footer.chunks:
            return None
        return known.raw_bytes(first, chunks)

    def _known(self, ref: PackRef) -> KnownFooter | None:
        if layout.pack_name(ref.hex) in self._wrong:
            body = self._body(ref)
            return None if body is None else body.known
        try:
            return self._packs.footer(ref)
        except GitMLError:
            return None

    def _body(self, ref: PackRef) -> PackBody | None:
        """What is left of a damaged pack; None where not even its table of contents is."""
        if self._latest[0] != ref.id:
            name = layout.pack_name(ref.hex)
            try:
                payload, footer = split_pack(self._medium.get(name), ref.id, name)
                self._latest = (ref.id, PackBody(name, known_footer(footer), [(0, payload)]))
            except GitMLError:
                self._latest = (ref.id, None)
        return self._latest[1]


def _known_sum(lengths: Sequence[int | None]) -> int:
    """The sum of lengths up to the first that is not known."""
    total = 0
    for length in lengths:
        if length is None:
            break
        total += length
    return total


def _extend(found: list[tuple[int, int, str]], start: int, end: int, name: str) -> None:
    """Add a range, to the one before where they touch."""
    if found and found[-1][2] == name and found[-1][0] <= start <= found[-1][1]:
        found[-1] = (found[-1][0], max(end, found[-1][1]), name)
    elif end > start:
        found.append((start, end, name))
