"""Who hands files over: one thread as long as nothing has to be waited for, all of them where it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from support.trees import KeepingSink, stored

from gitml.store.media.medium import Buffer
from gitml.store.read import fetching
from gitml.store.read.entries import FileEntry


class Hands(KeepingSink):
    """Takes some time for each file, and notes who brought it."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.bringers: list[int] = []

    def whole(self, entry: FileEntry, parts: Sequence[Buffer]) -> None:
        self.bringers.append(threading.get_ident())
        time.sleep(self.seconds)
        super().whole(entry, parts)


def handed_over(seconds: float, size_bytes: int, files: int) -> Hands:
    tree = {f"{number:05}": number.to_bytes(4, "big") * (size_bytes // 4) for number in range(files)}
    store, root = stored(tree)
    reader, sink = store.tree(root), Hands(seconds)
    reader.fetch(list(reader.entries()), sink, jobs=4)
    assert sink.files == tree
    return sink


def test_tiny_files_are_brought_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "perf_counter", time.thread_time)  # others on the machine are no medium
    assert set(handed_over(0, 8, 2_000).bringers) == {threading.get_ident()}


@pytest.mark.parametrize(("seconds", "size_bytes"), [(0.004, 8), (0.001, 64 << 10)])
def test_what_takes_time_is_brought_by_many(seconds: float, size_bytes: int) -> None:
    sink = handed_over(seconds, size_bytes, 1_600 if size_bytes == 8 else 400)
    assert len(set(sink.bringers)) > 2
