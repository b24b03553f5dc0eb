"""Files over several packs, hashed in their order while the packs come by."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gitml.errors import IntegrityError, InvalidInput
from gitml.store.care.wanted import ScatteredFile, WantedPack, joined
from gitml.store.media import layout
from gitml.store.read.packs import KnownFooter, PackBody

_KEPT_BYTES: Final = 32 << 20

Judgement = tuple[ScatteredFile, str, str, str]
"""A file, the code and the words of what is wrong with it, and the object that was read last."""


class _Follower:
    """How far a file has come."""

    __slots__ = ("at", "done_bytes", "file", "given_up", "hasher")

    def __init__(self, file: ScatteredFile) -> None:
        self.file = file
        self.at = 0
        self.done_bytes = 0
        self.given_up = False
        self.hasher = hashlib.sha256()

    @property
    def is_over(self) -> bool:
        return self.given_up or self.at == len(self.file.runs)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Chunks of a pack that was met."""

    name: str
    known: KnownFooter
    chunks: Mapping[int, bytes]
    size_bytes: int

    def holds(self, first: int, chunks: int) -> bool:
        return all(number in self.chunks for number in range(first, first + chunks))

    def chunk(self, number: int) -> bytes:
        return self.chunks[number]


class Followers:
    """Files that wait for packs.

    Args:
        files: By number, as the packs name them; none follows nothing.
        packs: The packs that they want.
    """

    def __init__(self, files: Sequence[ScatteredFile], packs: Mapping[bytes, WantedPack]) -> None:
        self._all = [_Follower(file) for file in files]
        self._packs = packs
        self._waiting: dict[bytes, list[_Follower]] = {}
        self._met: set[bytes] = set()
        self._kept: dict[bytes, _Kept] = {}
        self._judgements: list[Judgement] = []
        for follower in self._all:
            self._wait(follower)

    def give_up(self, number: int) -> None:
        """A file has a fault that is told already."""
        if self._all:
            self._all[number].given_up = True

    def give_up_all(self, pack: WantedPack) -> None:
        """A pack cannot be read."""
        self._met.add(pack.ref.id)
        for _, _, number, _ in pack.parts():
            self.give_up(number)
        self._waiting.pop(pack.ref.id, None)

    def meet(self, body: PackBody) -> None:
        """A pack is in memory, and checked or about to be checked: every file goes on as far as it can."""
        pack_id = bytes.fromhex(layout.id_of(body.name))
        self._met.add(pack_id)
        at_hand: dict[bytes, PackBody | _Kept] = {**self._kept, pack_id: body}
        is_moving = True
        while is_moving:
            waiting = [follower for one in at_hand for follower in self._waiting.pop(one, ())]
            moved = [self._advance(follower, at_hand) for follower in waiting]
            is_moving = any(moved)
        for one in list(self._kept):
            if not self._later(self._packs[one]):
                del self._kept[one]
        self._keep(pack_id, body)

    def missed(self) -> tuple[WantedPack, list[tuple[int, int]]] | None:
        """A pack that a file waits for although it came by, and what is wanted of it from now on."""
        for pack_id in sorted(self._waiting):
            if pack_id not in self._met:
                continue
            runs = [
                follower.file.runs[follower.at][1:]
                for follower in self._waiting[pack_id]
                if not follower.is_over
            ]
            if runs:
                self._kept.pop(pack_id, None)
                return self._packs[pack_id], self._later(self._packs[pack_id]) or joined(runs)
            del self._waiting[pack_id]
        return None

    def faults(self) -> Iterator[Judgement]:
        """What is wrong with files, once all packs have come by."""
        yield from self._judgements

    def _wait(self, follower: _Follower) -> None:
        if not follower.is_over:
            pack_id = follower.file.runs[follower.at][0].id
            self._waiting.setdefault(pack_id, []).append(follower)

    def _advance(self, follower: _Follower, at_hand: Mapping[bytes, PackBody | _Kept]) -> bool:
        """Go on as far as the packs at hand reach; whether that was any further."""
        before = follower.at
        while not follower.is_over:
            ref, first, chunks = follower.file.runs[follower.at]
            body = at_hand.get(ref.id)
            is_outside = body is not None and first + chunks > body.known.footer.chunks
            if body is None or not (is_outside or body.holds(first, chunks)):
                self._wait(follower)
                break
            try:
                if is_outside:
                    raise IntegrityError("a run lies outside of its pack", code="run-outside")
                for number in range(first, first + chunks):
                    data = body.chunk(number)
                    follower.hasher.update(data)
                    follower.done_bytes += len(data)
            except (IntegrityError, InvalidInput) as error:
                self._judge(follower, error.code, error.message, body.name)
                break
            follower.at += 1
            self._measure(follower, body.name)
        return follower.at > before

    def _measure(self, follower: _Follower, name: str) -> None:
        """Compare a file with what was registered, as far as it has come."""
        file, done = follower.file, follower.done_bytes
        complete = follower.at == len(file.runs)
        if done > file.size_bytes or (complete and done != file.size_bytes):
            problem = f"its chunks have {done} bytes, {file.size_bytes} were registered"
            self._judge(follower, "file-size", problem, name)
        elif complete and follower.hasher.digest() != file.digest:
            problem = "its chunks do not make the file that was registered"
            self._judge(follower, "file-damaged", problem, name)

    def _judge(self, follower: _Follower, code: str, problem: str, name: str) -> None:
        if not follower.given_up:
            follower.given_up = True
            self._judgements.append((follower.file, code, problem, name))

    def _later(self, pack: WantedPack) -> list[tuple[int, int]]:
        """What files will want of a pack that they have met."""
        if not self._all:
            return []
        return joined(
            (first, chunks)
            for first, chunks, number, run in pack.parts()
            if not self._all[number].is_over and self._all[number].at <= run
        )

    def _keep(self, pack_id: bytes, body: PackBody) -> None:
        """Keep a copy of what will be wanted again, if it is not much."""
        known = body.known
        later = [
            run
            for run in self._later(self._packs[pack_id])
            if run[0] + run[1] <= known.footer.chunks and body.holds(*run)
        ]
        size = sum(known.raw_bytes(first, chunks) for first, chunks in later)
        held = sum(kept.size_bytes for kept in self._kept.values())
        if not later or size + held > _KEPT_BYTES or pack_id in self._kept:
            return
        with contextlib.suppress(IntegrityError, InvalidInput):  # what is damaged is judged when it is met
            numbers = (number for first, chunks in later for number in range(first, first + chunks))
            chunks_kept = {number: bytes(body.chunk(number)) for number in numbers}
            self._kept[pack_id] = _Kept(body.name, known, chunks_kept, size)
