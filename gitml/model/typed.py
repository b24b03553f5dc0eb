"""What a caller types: free text for a request, and paths of this machine. Judged at the edge, before anything is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gitml.errors import UsageError
from gitml.model.shown import shown

MAX_TEXT_BYTES: Final = 65_536
# Surrogates that stand for bytes of a file name which is not UTF-8 are those from U+DC80 to U+DCFF.
_NO_PATH: Final = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")


def check_text(*texts: str | None, most_bytes: int = MAX_TEXT_BYTES) -> None:
    """Refuse a title, body or comment that no request can hold.

    Args:
        texts: Parts of one text.
        most_bytes: How long it may be in UTF-8.

    Raises:
        UsageError: It has a NUL character, is no Unicode, or is too long.
    """
    text = "".join(part or "" for part in texts)
    problem, hint = "", "remove it"
    if "\0" in text:
        problem = "has a NUL character"
    elif re.search("[\ud800-\udfff]", text):
        problem = "has a lone surrogate, which is no Unicode"
    elif len(text.encode()) > most_bytes:
        problem, hint = f"is longer than {most_bytes} bytes", "say it in fewer words"
    if problem:
        raise UsageError(f"title, body or comment {problem}", code="bad-text", hint=hint)


def typed_path(path: str | Path) -> Path:
    """The path that a caller typed.

    Raises:
        UsageError: No file can have that name.
    """
    if _NO_PATH.search(str(path)):
        raise UsageError(
            f"{shown(str(path))} is no path: it has NUL or a lone surrogate",
            code="no-path",
            hint="name another path",
        )
    return Path(path)
