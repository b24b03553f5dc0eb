"""Run commands one after the other and say how long each took and how much memory it had."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Argv = Sequence[str | Path]


class CommandError(Exception):
    """A command of the bench ended with an exit code that is not 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured command, or several that ran one after the other.

    Attributes:
        elapsed_s: Wall-clock seconds.
        peak_bytes: The most memory that the command, or any one process that it waited for, had resident.
        output: What it printed on standard output.
        cpu_s: Processor seconds of the command and of all that it waited for.
        written_bytes: What they wrote to disks, files included that had no name or are gone again.
    """

    elapsed_s: float
    peak_bytes: int
    output: str
    cpu_s: float = 0.0
    written_bytes: int = 0


def run(*commands: Argv, cwd: Path, env: Mapping[str, str]) -> Run:
    """Run commands in order and measure them together.

    Raises:
        CommandError: With what the command printed.
    """
    elapsed_s, peak_bytes, output, cpu_s, written_bytes = 0.0, 0, "", 0.0, 0
    for argv in commands:
        words = [str(word) for word in argv]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            begin = time.perf_counter()
            child = subprocess.Popen(
                words, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
            _, status, usage = os.wait4(child.pid, 0)
            elapsed_s += time.perf_counter() - begin
            child.returncode = os.waitstatus_to_exitcode(status)
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        if child.returncode != 0:
            raise CommandError(f"{' '.join(words)} ended with {child.returncode}:\n{texts[0]}{texts[1]}")
        peak_bytes = max(peak_bytes, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
        output += texts[0]
        cpu_s += usage.ru_utime + usage.ru_stime
        written_bytes += usage.ru_oublock * 512
    return Run(
        elapsed_s=elapsed_s, peak_bytes=peak_bytes, output=output, cpu_s=cpu_s, written_bytes=written_bytes
    )


@dataclass(slots=True, kw_only=True)
class Case:
    """One contestant of a row.

    Attributes:
        prepare: Untimed; brings everything to where the measured command starts.
        command: The measured part.
        inspect: Untimed; raises where the command did not do what it says.
        warm: Folders and files that are read before the command, so that all contestants start from the page cache.
        most_rounds: For one that takes so long that more rounds are not worth the wait.
    """

    command: Callable[[], Run]
    prepare: Callable[[], None] = lambda: None
    inspect: Callable[[], None] = lambda: None
    warm: Sequence[Path] = field(default_factory=tuple)
    most_rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The runs of one contestant."""

    runs: tuple[Run, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(run.elapsed_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(run.peak_bytes for run in self.runs)


def compare(cases: Mapping[str, Case], rounds: int) -> dict[str, Measured]:
    """Run every case in the given order, several times; what was written before is on disk before each starts."""
    runs: dict[str, list[Run]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            if case.most_rounds is not None and number >= case.most_rounds:
                continue
            case.prepare()
            for path in case.warm:
                read_all(path)
            os.sync()
            runs[name].append(case.command())
            case.inspect()
    return {name: Measured(runs=tuple(found)) for name, found in runs.items()}


def ratio(measured: Mapping[str, Measured], ours: str, theirs: str) -> float | None:
    """Median time of `ours` in units of that of `theirs`; None where one of them was not measured."""
    if ours not in measured or theirs not in measured:
        return None
    return measured[ours].median_s / measured[theirs].median_s


def read_all(path: Path) -> None:
    """Bring a file, or all files of a folder, into the page cache."""
    buffer = bytearray(1 << 20)
    for file in (
        [path] if path.is_file() else (Path(top, name) for top, _, names in os.walk(path) for name in names)
    ):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def size_of(folder: Path) -> int:
    """Bytes in all files of a folder."""
    return sum(os.lstat(Path(top, name)).st_size for top, _, names in os.walk(folder) for name in names)


class Aside:
    """Where folders go that are needed no more, until all is measured.

    An ext4 without a journal searches at length past inodes that were freed in the last minutes: whatever makes files
    next would pay for what was removed before it.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    @contextlib.contextmanager
    def kept_in(self, folder: Path) -> Iterator[None]:
        """Keep them in this folder, on the same file system, while the block runs."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder = folder
        try:
            yield
        finally:
            self._folder = None
            shutil.rmtree(folder)

    def take(self, path: Path) -> None:
        """Take a folder away, for good if it has few files."""
        if self._folder is None or sum(len(names) for _, _, names in os.walk(path)) < _MANY_FILES:
            shutil.rmtree(path)
        else:
            path.rename(self._folder / secrets.token_hex(8))


ASIDE = Aside()
_MANY_FILES = 1_000


def remove(*paths: Path) -> None:
    """Remove files and folders that may not exist."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            ASIDE.take(path)
        else:
            path.unlink(missing_ok=True)
