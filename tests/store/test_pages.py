"""Memory that is used again: never while anybody looks at it, and no more of it than was needed at some moment."""

from __future__ import annotations

import mmap
import random
from typing import Any

import pytest

from gitml.store.media import pages
from gitml.store.media.pages import UsedPages

SIZE = 1 << 16


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[mmap.mmap]:
    """Every block that is asked of the system."""
    blocks: list[mmap.mmap] = []
    real = pages.fresh_pages

    def fresh(size_bytes: int) -> mmap.mmap:
        blocks.append(real(size_bytes))
        return blocks[-1]

    monkeypatch.setattr(pages, "fresh_pages", fresh)
    return blocks


def test_a_block_that_nobody_looks_at_is_taken_again(made: list[mmap.mmap]) -> None:
    used = UsedPages(SIZE)
    for _ in range(5):
        view = used.take()
        view[:3] = b"abc"
        del view
    assert len(made) == 1


def test_a_block_that_a_part_is_looked_at_is_left_alone(made: list[mmap.mmap]) -> None:
    used, random_ = UsedPages(SIZE), random.Random(7)
    parts: list[tuple[memoryview, bytes]] = []
    for _ in range(500):
        view = used.take()
        assert len(view) == SIZE
        start = random_.randrange(SIZE - 16)
        view[start : start + 16] = word = random_.randbytes(16)
        parts.append((view[start : start + 16], word))
        del view
        while len(parts) > 6:
            part, was = parts.pop(random_.randrange(len(parts)))
            assert bytes(part) == was
            del part
    assert all(bytes(part) == word for part, word in parts)
    assert len(made) <= 8


def test_where_the_system_cannot_tell_all_memory_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rigid(mmap.mmap):
        def resize(self, *_: Any) -> None:
            raise SystemError("mmap: resizing not available--no mremap()")

    monkeypatch.setattr(pages, "fresh_pages", lambda size_bytes: Rigid(-1, size_bytes))
    used = UsedPages(SIZE)
    first = used.take()
    first[:3] = b"abc"
    del first
    assert bytes(used.take()[:3]) == b"\0\0\0"
