"""Memory for blocks and packs that goes back to the system at once when it is let go.

Most of what a large read costs beside the copy is the kernel handing out fresh pages one by one; in huge pages that is
some ten times cheaper.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
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
