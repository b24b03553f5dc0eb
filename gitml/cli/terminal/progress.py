"""Progress of long work on stderr: a bar on a terminal, a line every two seconds elsewhere.

Work that ends at once shows nothing. Both reporters may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, TextIO

from gitml.cli.terminal.output import console
from gitml.cli.terminal.text import count, duration, one_line, size
from gitml.model.progress import Progress
from gitml.model.redact import redact

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

HEARTBEAT_S = 1.8
_BAR_DELAY_S = 0.4
_RATE_S = 10.0
_NARROW = 120
_NUMBERS_WIDTH = 74


class Reporter(Progress, Protocol):
    """A progress that can be told of the command it is for, and that nothing more comes."""

    def watch(self, command: str) -> None:
        """A command runs, which may have to wait for servers before it has any work to tell of."""

    def close(self) -> None:
        """End every display."""


class _Work:
    """Counters of one piece of work, and what can be said of them."""

    def __init__(self, label: str, total_bytes: int | None, total_files: int | None, now_s: float) -> None:
        self.label = label
        self.total_bytes = total_bytes
        self.total_files = total_files
        self.done_bytes = 0
        self.reused_bytes = 0
        self.files = 0
        self.rows = 0
        self.begun_s = now_s
        self._seen = deque([(now_s, 0)])

    def add(self, size_bytes: int, files: int, reused_bytes: int, rows: int) -> None:
        self.done_bytes += size_bytes
        self.files += files
        self.reused_bytes += reused_bytes
        self.rows += rows

    def rate(self, now_s: float) -> float:
        """Bytes a second, lately: what was there already may have gone much faster than what is left."""
        while len(self._seen) > 1 and now_s - self._seen[1][0] >= _RATE_S:
            self._seen.popleft()
        then_s, then_bytes = self._seen[0]
        self._seen.append((now_s, self.done_bytes))
        return (self.done_bytes - then_bytes) / (now_s - then_s) if now_s > then_s else 0.0

    def left_s(self, rate: float) -> float | None:
        """Seconds left at that rate, if that can be told."""
        if not self.total_bytes or rate <= 0 or self.done_bytes > self.total_bytes:
            return None
        return (self.total_bytes - self.done_bytes) / rate

    def line(self, now_s: float) -> str:
        """`register: 312.0 MiB of 1.0 GiB (30 %), 12 of 40 files, 210.3 MiB/s, 3 s left`."""
        return f"{self.label}: {', '.join(self._parts(now_s))}"

    def numbers(self, now_s: float, width: int) -> str:
        """The same without the label; on a narrow screen `30 % of 1.0 GiB, 210.3 MiB/s, 3 s left`."""
        return ", ".join(self._parts(now_s, is_brief=width < _NARROW))

    def _parts(self, now_s: float, *, is_brief: bool = False) -> list[str]:
        parts = []
        percent = min(100, self.done_bytes * 100 // self.total_bytes) if self.total_bytes else 0
        if self.total_bytes and is_brief:
            parts.append(f"{percent} % of {size(self.total_bytes)}")
        elif self.total_bytes:
            parts.append(f"{size(self.done_bytes)} of {size(self.total_bytes)} ({percent} %)")
        elif self.done_bytes:
            parts.append(size(self.done_bytes))
        if self.total_files and not is_brief:
            parts.append(f"{self.files:,} of {count(self.total_files, 'file')}")
        elif self.files and not is_brief:
            parts.append(count(self.files, "file"))
        if self.rows:
            parts.append(count(self.rows, "row"))
        if self.reused_bytes:
            share = f"{min(100, self.reused_bytes * 100 // max(self.done_bytes, 1))} %"
            reused = (
                f"{share} already there" if is_brief else f"{size(self.reused_bytes)} already there ({share})"
            )
            parts.append(reused)
        rate = self.rate(now_s)
        if parts:
            parts.append(f"{size(rate)}/s")
        left_s = self.left_s(rate)
        parts.append(
            f"{duration(left_s)} left" if left_s is not None else f"{duration(now_s - self.begun_s)} so far"
        )
        return parts


class Heartbeat:
    """Progress for a log: a line at least every two seconds while work goes on.

    Args:
        stream: Where to.
        interval_s: Time between two lines.
        quiet: Print notes only.
    """

    def __init__(self, stream: TextIO, *, interval_s: float = HEARTBEAT_S, quiet: bool = False) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._quiet = quiet
        self._lock = threading.Lock()
        self._works: list[_Work] = []
        self._stop: threading.Event | None = None

    def watch(self, command: str) -> None:
        """Lines are about the command until a piece of work begins."""
        if not self._works:
            self.begin(command)

    def begin(self, label: str, *, total_bytes: int | None = None, total_files: int | None = None) -> None:
        """A piece of work starts; lines are about it until it ends."""
        with self._lock:
            self._works.append(_Work(one_line(redact(label)), total_bytes, total_files, time.monotonic()))
            if self._quiet or self._stop is not None:
                return
            self._stop = threading.Event()
            beat = threading.Thread(
                target=self._beat, args=(self._stop,), daemon=True, name="gitml-heartbeat"
            )
        beat.start()

    def advance(self, *, size_bytes: int = 0, files: int = 0, reused_bytes: int = 0, rows: int = 0) -> None:
        """Some of it is done."""
        with self._lock:
            if self._works:
                self._works[-1].add(size_bytes, files, reused_bytes, rows)

    def end(self) -> None:
        """The piece of work begun last is over."""
        with self._lock:
            if self._works:
                self._works.pop()
            if not self._works and self._stop is not None:
                self._stop.set()
                self._stop = None

    def note(self, message: str) -> None:
        """One line for the person."""
        with self._lock:
            self._stream.write(f"gitml: {one_line(redact(message))}\n")
            self._stream.flush()

    def close(self) -> None:
        """End every display."""
        with self._lock:
            self._works.clear()
        self.end()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval_s):
            with self._lock:
                if not self._works or self._stop is not stop:
                    return
                self._stream.write(f"gitml: {self._works[-1].line(time.monotonic())}\n")
                self._stream.flush()


class Bar:
    """Progress for a person who looks: one bar that disappears when its work is over.

    Args:
        stream: A terminal.
        delay_s: How long work may take before a bar is shown.
    """

    def __init__(self, stream: TextIO, *, delay_s: float = _BAR_DELAY_S) -> None:
        self._stream = stream
        self._delay_s = delay_s
        self._lock = threading.RLock()
        self._works: list[_Work] = []
        self._timer: threading.Timer | None = None
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def watch(self, command: str) -> None:
        """Nothing: the person sees that it runs, and may be asked for a passphrase by git meanwhile."""

    def begin(self, label: str, *, total_bytes: int | None = None, total_files: int | None = None) -> None:
        """A piece of work starts; the bar is about it until it ends."""
        with self._lock:
            self._works.append(_Work(one_line(redact(label)), total_bytes, total_files, time.monotonic()))
            if self._bars is not None:
                self._refresh()
            elif self._timer is None:
                self._timer = threading.Timer(self._delay_s, self._show)
                self._timer.daemon = True
                self._timer.start()

    def advance(self, *, size_bytes: int = 0, files: int = 0, reused_bytes: int = 0, rows: int = 0) -> None:
        """Some of it is done."""
        with self._lock:
            if not self._works:
                return
            self._works[-1].add(size_bytes, files, reused_bytes, rows)
            if self._bars is not None and self._task is not None:
                self._bars.update(self._task, completed=self._works[-1].done_bytes)

    def end(self) -> None:
        """The piece of work begun last is over."""
        with self._lock:
            if self._works:
                self._works.pop()
            if self._works:
                self._refresh()
                return
            timer, self._timer = self._timer, None
            bars, self._bars, self._task = self._bars, None, None
        if timer is not None:
            timer.cancel()
        if bars is not None:
            bars.stop()

    def note(self, message: str) -> None:
        """One line for the person, above the bar."""
        text = f"gitml: {one_line(redact(message))}"
        with self._lock:
            if self._bars is not None:
                self._bars.console.print(text, soft_wrap=True)
                return
            self._stream.write(text + "\n")
            self._stream.flush()

    def close(self) -> None:
        """End every display."""
        with self._lock:
            self._works.clear()
        self.end()

    def _refresh(self) -> None:
        if self._bars is not None and self._task is not None and self._works:
            work = self._works[-1]
            self._bars.update(
                self._task, description=work.label, completed=work.done_bytes, total=work.total_bytes
            )

    def _numbers(self, width: int) -> str:
        work = self._works[-1] if self._works else None
        return "" if work is None else work.numbers(time.monotonic(), width)

    def _show(self) -> None:
        from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
        from rich.progress import Progress as Bars
        from rich.table import Column
        from rich.text import Text

        screen = console(self._stream)
        numbers = self._numbers

        class Numbers(ProgressColumn):
            """Bytes, rate and time left, in binary units."""

            def render(self, task: Task) -> Text:
                return Text(numbers(screen.width))

        with self._lock:
            if not self._works or self._bars is not None:
                return
            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=min(24, max(6, screen.width - _NUMBERS_WIDTH))),
                Numbers(table_column=Column(no_wrap=True, overflow="ellipsis")),
                console=screen,
                transient=True,
            )
            self._task = self._bars.add_task("", total=None)
            self._refresh()
            self._bars.start()


def reporter(stream: TextIO, *, quiet: bool = False) -> Reporter:
    """The reporter that suits a stream."""
    if stream.isatty() and not quiet:
        return Bar(stream)
    return Heartbeat(stream, quiet=quiet)
