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
from collections.abc import Iterable, Sequence
from enum import Enum
from time import perf_counter
from typing import Final, Protocol

from gitml.errors import GitMLError
from gitml.store.media import layout
from gitml.store.read.cutting import Cutter, Held, Located, PackWork, Slice
from gitml.store.read.entries import FileEntry, Sink
from gitml.store.read.growing import Growing, WrongDigestError
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import PackBody, PackReader

_TINY_BYTES: Final = 32 << 10
_AT_ONCE_S: Final = 0.0005  # for a file; whoever takes longer waits for a medium
_PATIENCE_S: Final = 0.02
_FIRST_LOADS: Final = 2  # sharing the line between more would make the first files wait for all of them


class _Duty(Enum):
    """What a thread does."""

    BOTH = "read packs, and work on them"
    LOAD = "read packs"
    WORK = "work on packs that were read"


class Advance(Protocol):
    """Told what was done."""

    def __call__(self, *, size_bytes: int, files: int) -> None: ...


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
        self._cutter = Cutter(packs, entries, located, sink, label)
        self._changed = threading.Condition()
        self._slices: deque[Slice] = deque()
        self._active = 0
        self._in_flight = 0
        self._loading = 0
        self._loaded = 0
        self._flight_bytes = packs.flight.reading_bytes
        self._loaders = packs.flight.loaders
        size_bytes = self._cutter.size_bytes
        self._side_by_side = size_bytes > _TINY_BYTES * len(entries)
        packs.spare_bytes = size_bytes
        self._waiting = deque(self._cutter.works)

    def run(self) -> None:
        """Do it.

        Raises:
            IntegrityError: A file cannot be had as it was registered; others may have reached the sink.
        """
        for entry in self._cutter.empty:
            if entry.size_bytes or entry.digest != hashlib.sha256().digest():
                raise damaged("the segment names no chunks for it", self._label, layout.SEGMENTS, entry.path)
            self._sink.whole(entry, ())
            self._done(entry.size_bytes, 1)
        workers = min(self._jobs, max(1, len(self._cutter.works) * 8))
        loaders = min(self._loaders, len(self._cutter.works))
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
                if self._cutter.error is None and (self._slices or self._waiting):
                    self._cutter.error = KeyboardInterrupt()
                self._changed.notify_all()
            for thread in threads:
                thread.join()
            for growing in self._cutter.growing.values():
                growing.discard()
            self._packs.release()
        if self._cutter.error is not None:
            raise self._cutter.error

    def _work(self, duty: _Duty, is_first: bool) -> None:  # noqa: FBT001
        while True:
            task = self._next(duty, is_first)
            if task is None:
                return
            try:
                if isinstance(task, Slice):
                    self._do(task)
                else:
                    self._load(task)
            except BaseException as error:  # noqa: BLE001 - raised again by `run`
                with self._changed:
                    self._cutter.error = self._cutter.error or error
            finally:
                if isinstance(task, PackWork):
                    task.ready.set()
                with self._changed:
                    self._active -= 1
                    if isinstance(task, Slice):
                        self._release(task.held)
                    else:
                        self._loading -= 1
                        self._loaded += 1
                    self._changed.notify_all()

    def _next(self, duty: _Duty, is_first: bool) -> Slice | PackWork | None:  # noqa: FBT001
        with self._changed:
            while self._cutter.error is None:
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

    def _release(self, held: Held) -> None:
        held.slices -= 1
        if not held.slices:
            self._in_flight -= held.size_bytes
            self._packs.recycle(held.body)

    def _load(self, work: PackWork) -> None:
        """Read a pack, and cut its work into slices."""
        path = self._entries[work.pieces[0]].path
        with naming(self._label, layout.pack_name(work.ref.hex), path):
            body = self._packs.load(work.ref, work.runs(), work.wanted_bytes)
        self._cutter.measure(work, body.known, body.name)
        work.ready.set()
        held = Held(body, work.ref.size_bytes)
        del body
        slices = self._cutter.cut(work, held)
        work.pieces = array("I")
        with self._changed:
            held.slices = len(slices)
            self._slices.extend(slices)
            self._changed.notify_all()

    def _do(self, task: Slice) -> None:
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

    def _do_files(self, task: Slice, body: PackBody) -> None:
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

    def _done(self, size_bytes: int, files: int) -> None:
        if self._advance is not None:
            self._advance(size_bytes=size_bytes, files=files)
