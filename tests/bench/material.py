"""The data of the bench: random bytes that do not compress, the same for the same seed."""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything.

    Attributes:
        files, folders, file_bytes: The many small files.
        large_bytes: The one large file.
        inserted_bytes, appended_bytes: How its next version differs.
        rounds: Repetitions of a timed row.
        growth_seeds, peer_seeds: Repetitions of the row on the growth of the store, for GitML and for others.
        start_rounds: Repetitions of what takes milliseconds.
        remote_rounds: Repetitions of a timed row on a server.
        many_files: Files of the dataset that one file is read of.
        few_objects, many_objects: Objects in the stores that one small file is pushed to.
        table_bytes: The Parquet file.
        stream_bytes: The generated stream; a tenth of it is measured beside.
        scale_files: Files of 1 KiB; a tenth of them is measured beside.
        cut_s: How long the network is away.
        versions: Versions in the registry that is promoted in.
        few_versions: Those of a small one, to compare with.
    """

    files: int = 20_000
    folders: int = 200
    file_bytes: int = 8 * KIB
    large_bytes: int = GIB
    inserted_bytes: int = 64 * KIB
    appended_bytes: int = MIB
    rounds: int = 5
    growth_seeds: int = 9
    peer_seeds: int = 3
    start_rounds: int = 21
    remote_rounds: int = 3
    many_files: int = 100_000
    few_objects: int = 1_000
    many_objects: int = 100_000
    table_bytes: int = GIB
    stream_bytes: int = 10 * GIB
    scale_files: int = 1_000_000
    cut_s: float = 30.0
    versions: int = 10_000
    few_versions: int = 100


FULL = Sizes()
HUGE_STREAM_BYTES = 100 * GIB
QUICK = Sizes(
    files=400,
    folders=20,
    file_bytes=2 * KIB,
    large_bytes=8 * MIB,
    rounds=1,
    growth_seeds=1,
    peer_seeds=1,
    start_rounds=3,
    remote_rounds=1,
    many_files=300,
    few_objects=20,
    many_objects=200,
    table_bytes=4 * MIB,
    stream_bytes=64 * MIB,
    scale_files=500,
    cut_s=0.5,
    versions=60,
    few_versions=20,
)


def small_files(folder: Path, sizes: Sizes, seed: int, times: int = 1) -> None:
    """Many files of equal size, spread over folders; `times` as many of both where asked."""
    source = random.Random(f"small {seed}")
    for number in range(sizes.folders * times):
        (folder / f"part-{number:04}").mkdir(parents=True)
    for number in range(sizes.files * times):
        _small(folder, sizes, number, times).write_bytes(source.randbytes(sizes.file_bytes))


def change_small_files(folder: Path, sizes: Sizes, seed: int) -> int:
    """Make the next version in place: 1 % changed, 1 % added, 1 % removed. Returns the changed and added bytes."""
    source = random.Random(f"change {seed}")
    count = sizes.files // 100
    chosen = source.sample(range(sizes.files), 2 * count)
    for number in chosen[:count]:
        _small(folder, sizes, number).write_bytes(source.randbytes(sizes.file_bytes))
    for number in chosen[count:]:
        _small(folder, sizes, number).unlink()
    for number in range(sizes.files, sizes.files + count):
        _small(folder, sizes, number).write_bytes(source.randbytes(sizes.file_bytes))
    return 2 * count * sizes.file_bytes


def _small(folder: Path, sizes: Sizes, number: int, times: int = 1) -> Path:
    return folder / f"part-{number % (sizes.folders * times):04}" / f"{number:06}.bin"


def large_file(path: Path, size_bytes: int, seed: int) -> None:
    """One file of random bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = random.Random(f"large {seed}")
    with path.open("wb") as stream:
        for start in range(0, size_bytes, MIB):
            stream.write(source.randbytes(min(MIB, size_bytes - start)))


def next_large_file(old: Path, new: Path, sizes: Sizes, seed: int) -> None:
    """The next version: something inserted near the middle, something appended."""
    source = random.Random(f"next {seed}")
    middle = old.stat().st_size // 2 + source.randrange(-MIB, MIB)
    with old.open("rb") as before, new.open("wb") as after:
        _copy(before, after, middle)
        after.write(source.randbytes(sizes.inserted_bytes))
        _copy(before, after, old.stat().st_size - middle)
        after.write(source.randbytes(sizes.appended_bytes))


def _copy(before, after, size_bytes: int) -> None:
    while size_bytes:
        block = before.read(min(MIB, size_bytes))
        after.write(block)
        size_bytes -= len(block)


def listing(folder: Path) -> dict[str, str]:
    """Path and SHA-256 of every file under a folder."""
    found = {}
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            with path.open("rb") as stream:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
