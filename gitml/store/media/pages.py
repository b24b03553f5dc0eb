"""Memory for blocks and packs that goes back to the system at once when it is let go.

Most of what a large read costs beside the copy is the kernel handing out fresh pages one by one; in huge pages that is
some ten times cheaper, and in pages that were used before it costs nothing.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
from typing import Final

_HUGE_BYTES: Final = 4 << 20  # from here on it does not matter that the last huge page is not full


def fresh_pages(size_bytes: int) -> mmap.mmap:
    """Zeroed memory of a size, of this process alone."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size_bytes)
    pages = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size_bytes >= _HUGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


class UsedPages:
    """Blocks of memory that are taken again and again.

    Nobody gives one back: what no view looks at any more is free. So there is never more than was looked at at some
    moment, and it goes with this object.

    Args:
        size_bytes: Of each block.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._blocks: list[mmap.mmap] = []

    def take(self) -> memoryview:
        """A block; what is in it means nothing."""
        with self._lock:
            for number, block in enumerate(self._blocks):
                if _is_free(block):
                    self._blocks.append(self._blocks.pop(number))  # the first is the likeliest to be free
                    return memoryview(block)
            block = fresh_pages(self._size_bytes)
            if _is_free(block):
                self._blocks.append(block)
            return memoryview(block)


def _is_free(block: mmap.mmap) -> bool:
    """Whether no view of it is left: only then can its size be set, here to what it is."""
    try:
        block.resize(len(block))
    except (BufferError, SystemError, ValueError, OSError):  # looked at, or on a system that cannot tell
        return False
    return True
