"""How values look to people: sizes, times, counts, and text that cannot act on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gitml.model.shown import size as size

# Control characters (C0 and C1), line and paragraph separators, direction overrides, zero-width characters,
# interlinear marks, tag characters and lone surrogates: each either moves the cursor or hides from the eye.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """Text with everything that acts on a terminal, or cannot be seen, written as an escape."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def duration(seconds: float) -> str:
    """A time span to the second: `3 s`, `2 min 10 s`, `1 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 file`, `2 files`, `20,000 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def number(value: object) -> str:
    """A metric or parameter as it stands in JSON, but text without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {number(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(number(item) for item in value) + "]"
    return str(value)


def pairs(mapping: Mapping[str, object], separator: str = " ") -> str:
    """`accuracy=0.98 loss=0.1`."""
    return separator.join(f"{key}={number(value)}" for key, value in mapping.items())


def short_digest(digest: object) -> str:
    """Enough of a digest to tell it from others."""
    text = str(digest)
    return text[: len("sha256:") + 12] if text.startswith("sha256:") else text[:12]


def short_commit(commit: str | None) -> str:
    """Enough of a commit id to tell it from others."""
    return commit[:12] if commit else "-"


def one_line(text: str) -> str:
    """Text on one line: line breaks become spaces, the rest of what acts on a terminal is escaped."""
    return visible(" ".join(text.split()))


def listed(items: Iterable[object], limit: int = 3) -> str:
    """`a, b, c and 4 more`."""
    texts = [str(item) for item in items]
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])} and {len(texts) - limit:,} more"
