"""Fetching many files at once: packs in order, each read once, by one bounded pool with flat memory.

A worker takes the next pack, reads it, and cuts its work into slices of a few MiB that any worker may do: hand small
files to the sink whole, write the parts of large ones where they belong. Every file is compared with its own digest
before it gets its name, and chunks only where that fails, to say which one it is. A large file's digest is taken as its
beginning fills up, by whichever worker fills it. Where packs come over a network, threads that do nothing
else wait for them, so that the next ones travel while files are written.

Tiny files are handed over by one worker, as long as that does not have to wait: several would spend more time on
passing the interpreter to each other than on the files.
"""

from __future__ import annotations

import hashlib
import os
import threading
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from time import perf_counter
from typing import Final, Protocol

from gitml.errors import GitMLError
from gitml.store.formats.pack import PackRef
from gitml.store.media import layout
from gitml.store.read.entries import FileEntry, Sink
from gitml.store.read.growing import Growing, WrongDigestError
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import KnownFooter, PackBody, PackReader

_WHOLE_BYTES: Final = 2 << 20  # larger files are written in steps
_SLICE_BYTES: Final = 4 << 20
_SLICE_FILES: Final = 512
_STRIDE: Final = 5
_TINY_BYTES: Final = 32 << 10
_AT_ONCE_S: Final = 0.0005  # for a file; whoever takes longer waits for a medium
_PATIENCE_S: Final = 0.02
_FIRST_LOADS: Final = 2  # sharing the line between more would make the first files wait for all of them


class _Duty(Enum):
    """What a thread does."""

    BOTH = "read packs, and work on them"
    LOAD = "read packs"
    WORK = "work on packs that were read"


class Located(Protocol):
    """An entry and where its chunks lie."""

    @property
    def entry(self) -> FileEntry: ...

    @property
    def runs(self) -> Sequence[tuple[PackRef, int, int]]: ...


class Advance(Protocol):
    """Told what was done."""

    def __call__(self, *, size_bytes: int, files: int) -> None: ...


@dataclass(slots=True)
class _PackWork:
    """What is wanted of a pack: a piece is the only run of each of several files that follow each other, or one of many.

    Attributes:
        pieces: Number of the first file, number of the run in it, first chunk, chunks of each file, files; flat.
    """

    ref: PackRef
    pieces: array[int] = field(default_factory=lambda: array("I"))
    following: tuple[int, int, int, int] | None = None  # what would lengthen the last piece
    wanted_bytes: int = 0
    run_bytes: dict[tuple[int, int], int] = field(default_factory=dict)
    begun: bool = False
    ready: threading.Event = field(default_factory=threading.Event)

    def add(self, number: int, which: int, first: int, chunks: int) -> None:
        """Want one run of a file more."""
        if self.following == (number, which, first, chunks):
            self.pieces[-1] += 1
        else:
            self.pieces.extend((number, which, first, chunks, 1))
        self.following = (number + 1, 0, first + chunks, chunks)

    def wanted(self) -> Iterator[tuple[int, int, int, int]]:
        """Each run: number of its file, its number in it, first chunk, number of chunks."""
        pieces = self.pieces
        for at in range(0, len(pieces), _STRIDE):
            number, which, first, chunks, files = pieces[at : at + _STRIDE]
            for _ in range(files):
                yield number, which, first, chunks
                number += 1
                first += chunks

    def runs(self) -> list[tuple[int, int]]:
        """What is wanted of the pack: first chunk and number of chunks."""
        pieces = self.pieces
        return [(pieces[at + 2], pieces[at + 3] * pieces[at + 4]) for at in range(0, len(pieces), _STRIDE)]


@dataclass(slots=True)
class _Held:
    """A pack in memory, and how many slices of it are still to do."""

    body: PackBody
    size_bytes: int
    slices: int = 0


@dataclass(slots=True)
class _Slice:
    """Work on chunks of one pack: whole files (file, first, chunks) or a part of one growing file."""

    held: _Held
    files: list[tuple[int, int, int]] = field(default_factory=list)
    growing: Growing | None = None
    offset: int = 0
    first: int = 0
    chunks: int = 0


class Fetch:
    """One bulk read.

    Args:
        entries: The files.
        located: The same files, each with its place.
        label: Names the asset in errors.
        jobs: Number of threads; None takes one for each processor, at most 8.
    """

    def __init__(
        self,
        packs: PackReader,
        entries: Sequence[FileEntry],
        located: Iterable[Located],
        sink: Sink,
        *,
        label: str,
        jobs: int | None = None,
        advance: Advance | None = None,
    ) -> None:
        self._packs = packs
        self._sink = sink
        self._label = label
        self._advance = advance
        self._jobs = jobs or max(2, min(8, os.cpu_count() or 1))
        self._entries = entries
        self._several: dict[int, Sequence[tuple[PackRef, int, int]]] = {}
        self._works: dict[bytes, _PackWork] = {}
        self._empty: list[FileEntry] = []
        self._growing: dict[int, Growing] = {}
        self._reached: dict[int, tuple[int, int]] = {}
        self._changed = threading.Condition()
        self._slices: deque[_Slice] = deque()
        self._active = 0
        self._in_flight = 0
        self._loading = 0
        self._loaded = 0
        self._flight_bytes = packs.flight.reading_bytes
        self._loaders = packs.flight.loaders
        self._error: BaseException | None = None
        size_bytes = 0
        for number, one in enumerate(located):
            size_bytes += one.entry.size_bytes
            self._add(number, one)
        self._side_by_side = size_bytes > _TINY_BYTES * len(entries)
        packs.spare_bytes = size_bytes
        self._waiting = deque(self._works.values())

    def run(self) -> None:
        """Do it.

        Raises:
            IntegrityError: A file cannot be had as it was registered; others may have reached the sink.
        """
        for entry in self._empty:
            if entry.size_bytes or entry.digest != hashlib.sha256().digest():
                raise damaged("the segment names no chunks for it", self._label, layout.SEGMENTS, entry.path)
            self._sink.whole(entry, ())
            self._done(entry.size_bytes, 1)
        workers = min(self._jobs, max(1, len(self._works) * 8))
        loaders = min(self._loaders, len(self._works))
        duty = _Duty.WORK if loaders else _Duty.BOTH
        threads = [
            threading.Thread(
                target=self._work, args=(each, False), name=f"fetch-{each.name.lower()}", daemon=True
            )
            for each in [duty] * (workers - 1) + [_Duty.LOAD] * loaders
        ]
        for thread in threads:
            thread.start()
        try:
            self._work(duty, True)
        finally:
            with self._changed:
                if self._error is None and (self._slices or self._waiting):
                    self._error = KeyboardInterrupt()
                self._changed.notify_all()
            for thread in threads:
                thread.join()
            for growing in self._growing.values():
                growing.discard()
            self._packs.release()
        if self._error is not None:
            raise self._error

    def _add(self, number: int, one: Located) -> None:
        entry, runs = one.entry, one.runs
        if not runs:
            self._empty.append(entry)
            return
        if len(runs) > 1:
            self._several[number] = runs
        for which, (ref, first, chunks) in enumerate(runs):
            work = self._works.get(ref.id)
            if work is None:
                work = self._works[ref.id] = _PackWork(ref)
            work.add(number, which, first, chunks)
            if len(runs) == 1:
                work.wanted_bytes += entry.size_bytes

    def _work(self, duty: _Duty, is_first: bool) -> None:  # noqa: FBT001
        while True:
            task = self._next(duty, is_first)
            if task is None:
                return
            try:
                if isinstance(task, _Slice):
                    self._do(task)
                else:
                    self._load(task)
            except BaseException as error:  # noqa: BLE001 - raised again by `run`
                with self._changed:
                    self._error = self._error or error
            finally:
                if isinstance(task, _PackWork):
                    task.ready.set()
                with self._changed:
                    self._active -= 1
                    if isinstance(task, _Slice):
                        self._release(task.held)
                    else:
                        self._loading -= 1
                        self._loaded += 1
                    self._changed.notify_all()

    def _next(self, duty: _Duty, is_first: bool) -> _Slice | _PackWork | None:  # noqa: FBT001
        with self._changed:
            while self._error is None:
                if self._slices and duty is not _Duty.LOAD and (is_first or self._side_by_side):
                    self._active += 1
                    return self._slices.popleft()
                if not self._waiting and (duty is _Duty.LOAD or not (self._active or self._slices)):
                    return None
                if self._waiting and duty is not _Duty.WORK and self._has_room(duty):
                    work = self._waiting.popleft()
                    self._in_flight += work.ref.size_bytes
                    self._active += 1
                    self._loading += 1
                    work.begun = True
                    return work
                self._changed.wait()
            return None

    def _has_room(self, duty: _Duty) -> bool:
        """Whether the next pack may be read now."""
        if duty is _Duty.LOAD and self._loading >= _FIRST_LOADS + self._loaded:
            return False
        size = self._waiting[0].ref.size_bytes
        return not self._in_flight or self._in_flight + size <= self._flight_bytes

    def _release(self, held: _Held) -> None:
        held.slices -= 1
        if not held.slices:
            self._in_flight -= held.size_bytes
            self._packs.recycle(held.body)

    def _load(self, work: _PackWork) -> None:
        """Read a pack, and cut its work into slices."""
        path = self._entries[work.pieces[0]].path
        with naming(self._label, layout.pack_name(work.ref.hex), path):
            body = self._packs.load(work.ref, work.runs(), work.wanted_bytes)
        self._measure(work, body.known, body.name)
        work.ready.set()
        held = _Held(body, work.ref.size_bytes)
        del body
        slices = self._cut(work, held)
        work.pieces = array("I")
        with self._changed:
            held.slices = len(slices)
            self._slices.extend(slices)
            self._changed.notify_all()

    def _cut(self, work: _PackWork, held: _Held) -> list[_Slice]:
        slices: list[_Slice] = []
        current, current_bytes = _Slice(held), 0
        known, chunks_known = held.body.known, held.body.known.footer.chunks
        for number, which, first, chunks in work.wanted():
            entry = self._entries[number]
            if first + chunks > chunks_known:
                raise damaged("a run lies outside of its pack", self._label, held.body.name, entry.path)
            size = known.raw_bytes(first, chunks)
            if number not in self._several and size != entry.size_bytes:
                raise self._wrong_size(entry, size, held)
            if number in self._several or size > _WHOLE_BYTES:
                slices.extend(self._cut_growing(number, which, (work.ref, first, chunks), held))
                continue
            current.files.append((number, first, chunks))
            current_bytes += size
            if current_bytes >= _SLICE_BYTES or len(current.files) >= _SLICE_FILES:
                slices.append(current)
                current, current_bytes = _Slice(held), 0
        if current.files:
            slices.append(current)
        return slices

    def _cut_growing(
        self, number: int, which: int, run: tuple[PackRef, int, int], held: _Held
    ) -> list[_Slice]:
        _, first, chunks = run
        entry, known = self._entries[number], held.body.known
        offset = self._offset(number, which)
        runs = self._several.get(number)
        size = known.raw_bytes(first, chunks)
        last = runs is None or which == len(runs) - 1
        if offset + size > entry.size_bytes or (last and offset + size != entry.size_bytes):
            raise self._wrong_size(entry, offset + size, held)
        with self._changed:
            growing = self._growing.get(number)
            if growing is None:
                growing = self._growing[number] = Growing(entry, self._sink.begin(entry), runs or (run,))
        slices: list[_Slice] = []
        begin, end = first, first + chunks
        while begin < end:
            stop, size = begin, 0
            while stop < end and (size == 0 or size < _SLICE_BYTES):
                size += known.footer.raw[stop]
                stop += 1
            slices.append(_Slice(held, growing=growing, offset=offset, first=begin, chunks=stop - begin))
            offset += size
            begin = stop
        return slices

    def _measure(self, work: _PackWork, known: KnownFooter, name: str) -> None:
        """Note how long the runs of files in several runs are."""
        if not self._several:
            return
        chunks_known = known.footer.chunks
        for number, which, first, chunks in work.wanted():
            if number in self._several:
                if first + chunks > chunks_known:
                    raise damaged(
                        "a run lies outside of its pack", self._label, name, self._entries[number].path
                    )
                work.run_bytes[number, which] = known.raw_bytes(first, chunks)

    def _offset(self, number: int, which: int) -> int:
        """Where a run's bytes begin in its file; the packs of the runs before it say how long those are."""
        runs = self._several.get(number)
        if runs is None or not which:
            return 0
        at, offset = self._reached.get(number, (0, 0))
        if at > which:
            at, offset = 0, 0
        for step in range(at, which):
            offset += self._run_bytes(number, step, runs[step][0])
        self._reached[number] = (which, offset)
        return offset

    def _run_bytes(self, number: int, which: int, ref: PackRef) -> int:
        work = self._works[ref.id]
        if work.begun:
            work.ready.wait()
        known = work.run_bytes.get((number, which))
        if known is None:
            if self._error is not None:
                raise self._error
            name = layout.pack_name(ref.hex)
            with naming(self._label, name, self._entries[number].path):
                self._measure(work, self._packs.footer(ref), name)
            known = work.run_bytes[number, which]
        return known

    def _do(self, task: _Slice) -> None:
        body = task.held.body
        if task.growing is None:
            self._do_files(task, body)
            return
        growing = task.growing
        with naming(self._label, body.name, growing.entry.path):
            parts = [
                body.chunk(number, check=False) for number in range(task.first, task.first + task.chunks)
            ]
        size = sum(len(part) for part in parts)
        try:
            complete = growing.write(task.offset, parts, size)
        except WrongDigestError:
            self._blame(growing)
            raise self._wrong_digest(growing.entry, body) from None
        self._done(size, 1 if complete else 0)

    def _blame(self, growing: Growing) -> None:
        """Look for the chunk that makes a file a wrong one; its bytes were compared as a whole only.

        Raises:
            IntegrityError: It is damaged.
        """
        for ref, first, chunks in growing.runs:
            with naming(self._label, layout.pack_name(ref.hex), growing.entry.path):
                body = self._packs.load(ref, [(first, chunks)])
                for number in range(first, first + chunks):
                    body.chunk(number)

    def _do_files(self, task: _Slice, body: PackBody) -> None:
        ids, done = body.known.footer.ids, 0
        limit = perf_counter() + _PATIENCE_S
        for number, first, chunks in task.files:
            entry = self._entries[number]
            try:
                if chunks == 1:
                    parts = [body.chunk(first)]
                    digest = ids[first * 32 : first * 32 + 32]
                else:
                    parts = [body.chunk(chunk, check=False) for chunk in range(first, first + chunks)]
                    hasher = hashlib.sha256()
                    for part in parts:
                        hasher.update(part)
                    digest = hasher.digest()
                    if digest != entry.digest:
                        for chunk in range(first, first + chunks):
                            body.chunk(chunk)  # tells which one is damaged
            except GitMLError:
                with naming(self._label, body.name, entry.path):
                    raise
            if digest != entry.digest:
                raise self._wrong_digest(entry, body)
            self._sink.whole(entry, parts)
            done += entry.size_bytes
            limit += _AT_ONCE_S
            if not self._side_by_side and perf_counter() > limit:
                with self._changed:
                    self._side_by_side = True
                    self._changed.notify_all()
        self._done(done, len(task.files))

    def _wrong_digest(self, entry: FileEntry, body: PackBody) -> Exception:
        return damaged(
            "its chunks do not make the file that was registered",
            self._label,
            body.name,
            entry.path,
            code="file-damaged",
        )

    def _wrong_size(self, entry: FileEntry, size_bytes: int, held: _Held) -> Exception:
        return damaged(
            f"its chunks have {size_bytes} bytes, {entry.size_bytes} were registered",
            self._label,
            held.body.name,
            entry.path,
            code="file-size",
        )

    def _done(self, size_bytes: int, files: int) -> None:
        if self._advance is not None:
            self._advance(size_bytes=size_bytes, files=files)
