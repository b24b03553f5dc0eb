"""Reading all that trees want of a store's packs: each pack once, each chunk against its id, each file against its digest.

Files that are one run of a pack are judged with it. A file over several packs is hashed in its order while its packs
come by, and many such files go on together; a pack that they come back to is kept in memory, or read again. Three
packs are in memory at a time: one is read, one is checked, and one is followed by files over several packs.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound
from gitml.model.progress import SILENT, Progress
from gitml.store.care.faults import Fault, Share
from gitml.store.care.scattered import Followers
from gitml.store.care.wanted import Wanted, WantedPack
from gitml.store.formats.pack import TAIL_BYTES, pack_tail
from gitml.store.media import layout
from gitml.store.media.medium import Medium
from gitml.store.read.naming import damaged, naming
from gitml.store.read.packs import PackBody, PackReader

_JOBS: Final = 2

_Loading = tuple[WantedPack, Future[PackBody]]


@dataclass(slots=True, kw_only=True)
class Reading:
    """What a run read.

    Attributes:
        faults: What is wrong.
        read_bytes: Bytes of the packs that it read.
        covered_bytes: Those, and the bytes of packs that earlier runs have read.
        total_bytes: Bytes of all packs that it is asked to read, in as many runs as it takes.
    """

    faults: list[Fault] = field(default_factory=list)
    read_bytes: int = 0
    covered_bytes: int = 0
    total_bytes: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left for the next run."""
        return self.covered_bytes == self.total_bytes


def read_all(medium: Medium, wanted: Wanted, share: Share, progress: Progress = SILENT) -> Reading:
    """Read what a run's share of the packs is, and judge it.

    Where the share is not all, the order of the chunks of files over several packs is not judged, for that would take
    reading their packs together; their chunks are.

    Raises:
        StoreUnavailable, AccessDenied: The store cannot be asked.
    """
    return _Reader(medium, wanted, share, progress).run()


class _Reader:
    def __init__(self, medium: Medium, wanted: Wanted, share: Share, progress: Progress) -> None:
        self._medium = medium
        self._wanted = wanted
        self._share = share
        self._progress = progress
        self._packs = PackReader(medium)
        self._found = Reading()
        self._judged_names: set[str] = set()
        self._followers = Followers(wanted.scattered if share.is_all else [], wanted.packs)

    def run(self) -> Reading:
        mine = [pack for pack in self._wanted.packs.values() if self._share.is_mine(pack.ref.id)]
        self._found.total_bytes = sum(pack.ref.size_bytes for pack in mine)
        with ThreadPoolExecutor(_JOBS + 1, thread_name_prefix="gitml-deep") as pool:
            self._read(deque(self._chosen(mine)), pool)
        self._end(mine)
        for file, code, problem, name in self._followers.faults():
            self._found.faults += self._wanted.faults(file.unit, file.entry, name, problem, code)
        return self._found

    def _chosen(self, mine: Iterable[WantedPack]) -> Iterator[WantedPack]:
        """The packs to read in this run: those that were damaged last, then what earlier runs have not read."""
        damaged_before = self._share.coverage.damaged
        chosen = []
        for pack in mine:
            is_suspect = layout.pack_name(pack.ref.hex) in damaged_before
            if not is_suspect and self._share.is_done(pack.name):
                self._found.covered_bytes += pack.ref.size_bytes
            else:
                chosen.append((not is_suspect, pack.place, pack))
        chosen.sort(key=lambda row: (row[0], row[1], row[2].ref.id))
        return (pack for _, _, pack in chosen)

    def _read(self, todo: deque[WantedPack], pool: ThreadPoolExecutor) -> None:
        following: PackBody | None = None
        loading: _Loading | None = None
        while loading := loading or self._load_next(todo, pool):
            pack, future = loading
            loading = None
            try:
                body = future.result()
            except (IntegrityError, InvalidInput, NotFound) as error:
                self._spoilt(pack, error)
                continue
            loading = self._load_next(todo, pool)
            checks = [pool.submit(self._check, pack, body, half) for half in range(_JOBS)]
            self._follow(following)
            self._judged(pack, [fault for check in checks for fault in check.result()])
            following = self._kept_for_files(pack, body)
            del body, future, checks
        self._follow(following)

    def _kept_for_files(self, pack: WantedPack, body: PackBody) -> PackBody | None:
        """A pack that was checked, if files over several packs want to read it."""
        if self._share.is_all and pack.spans:
            return body
        self._packs.recycle(body)
        return None

    def _load_next(self, todo: deque[WantedPack], pool: ThreadPoolExecutor) -> _Loading | None:
        if not todo or self._share.is_over():
            return None
        pack = todo.popleft()
        return pack, pool.submit(self._load, pack)

    def _follow(self, body: PackBody | None) -> None:
        """Let files over several packs go on, and read again what they have missed."""
        while body is not None:
            self._followers.meet(body)
            self._packs.recycle(body)
            again = self._followers.missed()
            body = None if again is None else self._reload(again)

    def _reload(self, again: tuple[WantedPack, list[tuple[int, int]]]) -> PackBody | None:
        pack, runs = again
        try:
            return self._packs.load(pack.ref, runs, 0)
        except (IntegrityError, InvalidInput, NotFound) as error:
            self._spoilt(pack, error)
            return None

    # -- one pack

    def _load(self, pack: WantedPack) -> PackBody:
        ref, name = pack.ref, layout.pack_name(pack.ref.hex)
        with naming("", name):
            body = self._packs.load(ref, pack.all_runs(), pack.wanted_bytes)
            footer = body.known.footer
            if footer.payload_bytes + ref.footer_bytes + TAIL_BYTES != ref.size_bytes:
                raise damaged("a segment says another size of it", "", name, code="pack-size")
            if body.held_bytes != footer.payload_bytes:
                self._check_end(pack, name)
        return body

    def _check_end(self, pack: WantedPack, name: str) -> None:
        """Look at what a read of ranges does not touch, and a read of the whole would stumble over."""
        ref = pack.ref
        size = self._medium.head(name)
        if size != ref.size_bytes:
            raise damaged(f"it has {size} bytes instead of {ref.size_bytes}", "", name, code="pack-size")
        tail = self._medium.get(name, ref.size_bytes - TAIL_BYTES, ref.size_bytes)
        if tail != pack_tail(b"\0" * ref.footer_bytes)[-TAIL_BYTES:]:
            raise damaged("it does not end as a pack does", "", name, code="pack-tail")

    def _check(self, pack: WantedPack, body: PackBody, half: int) -> list[Fault]:
        """Judge every second group of a pack's files, and of the parts of files that lie in it."""
        faults: list[Fault] = []
        for number, first, chunks in pack.files():
            if number // 64 % _JOBS == half:
                problem = _file_problem(pack, body, number, first, chunks)
                if problem is not None:
                    unit, entry = pack.where[2 * number : 2 * number + 2]
                    faults += self._wanted.faults(unit, entry, body.name, *problem)
        bad: set[int] = set()
        for first, chunks, which, _ in pack.parts():
            problem = _chunks_problem(body, first, chunks, half)
            if problem is not None and which not in bad:
                bad.add(which)
                self._followers.give_up(which)
                file = self._wanted.scattered[which]
                faults += self._wanted.faults(file.unit, file.entry, body.name, *problem)
        return faults

    def _spoilt(self, pack: WantedPack, error: GitMLError) -> None:
        """A pack that cannot be used at all."""
        name = layout.pack_name(pack.ref.hex)
        self._followers.give_up_all(pack)
        faults = [
            Fault(
                object=name, path=path, problem=damaged(error.message, label, name, path).message, label=label
            )
            for label, path in self._wanted.users(pack)
        ]
        self._judged(pack, faults)

    def _judged(self, pack: WantedPack, faults: list[Fault]) -> None:
        name = layout.pack_name(pack.ref.hex)
        self._found.faults += {(fault.label, fault.path): fault for fault in reversed(faults)}.values()
        self._found.read_bytes += pack.ref.size_bytes
        self._found.covered_bytes += pack.ref.size_bytes
        self._judged_names.add(name)
        self._share.note_judged(pack.name, [name], [name] if faults else [])
        self._progress.advance(size_bytes=pack.ref.size_bytes, files=len(pack.sizes))

    def _end(self, mine: Iterable[WantedPack]) -> None:
        """Tell again of damage that there was no time to look at; where nothing is left, the next run begins anew."""
        left = self._share.coverage.damaged - self._judged_names
        for pack in mine if left else ():
            name = layout.pack_name(pack.ref.hex)
            if name in left:
                problem = "an earlier run found it damaged, and there was no time to look again"
                self._found.faults += [
                    Fault(object=name, path=path, problem=problem, label=label)
                    for label, path in self._wanted.users(pack)
                ]
        if self._share.until_s is not None and self._found.is_complete:
            self._share.coverage.begin_anew(self._share.coverage.damaged)


def _file_problem(
    pack: WantedPack, body: PackBody, number: int, first: int, chunks: int
) -> tuple[str, str] | None:
    """What is wrong with a file that is one run of a pack, and the code of that."""
    known = body.known
    if first + chunks > known.footer.chunks:
        return "a run lies outside of its pack", "run-outside"
    found, registered = known.raw_bytes(first, chunks), pack.sizes[number]
    if found != registered:
        return f"its chunks have {found} bytes, {registered} were registered", "file-size"
    hasher = hashlib.sha256()
    try:
        if chunks == 1:
            body.chunk(first)
            digest = known.footer.id(first)
        else:
            for chunk in range(first, first + chunks):
                hasher.update(body.chunk(chunk))
            digest = hasher.digest()
    except (IntegrityError, InvalidInput) as error:
        return error.message, error.code
    if digest != pack.digest(number):
        return "its chunks do not make the file that was registered", "file-damaged"
    return None


def _chunks_problem(body: PackBody, first: int, chunks: int, half: int) -> tuple[str, str] | None:
    """What is wrong with the chunks of a run, of which every second group is looked at."""
    if first + chunks > body.known.footer.chunks:
        return "a run lies outside of its pack", "run-outside"
    try:
        for chunk in range(first, first + chunks):
            if chunk // 16 % _JOBS == half:
                body.chunk(chunk)
    except (IntegrityError, InvalidInput) as error:
        return error.message, error.code
    return None
