"""How foreign text is quoted in messages: on one line, without control characters, never very long."""

from __future__ import annotations

_MAX_SHOWN = 80


def shown(text: object) -> str:
    """Quote a value so that it cannot break, reorder or hide the line it stands in."""
    plain = text if isinstance(text, str) else repr(text)
    return repr(plain) if len(plain) <= _MAX_SHOWN else repr(plain[: _MAX_SHOWN - 1]) + "…"


def spelled(text: object) -> str:
    """Like :func:`shown`, in ASCII alone, so that letters that look alike can be told apart."""
    return shown(text).encode("ascii", "backslashreplace").decode("ascii").replace("\\u2026", "...")
