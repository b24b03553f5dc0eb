"""How foreign text is quoted in messages: on one line, without control characters, never very long."""

from __future__ import annotations

_MAX_SHOWN = 80


def shown(text: object) -> str:
    """Quote a value so that it cannot break, reorder or hide the line it stands in."""
    if not isinstance(text, str):
        plain = repr(text)
        return plain if len(plain) <= _MAX_SHOWN else plain[: _MAX_SHOWN - 1] + "…"
    return repr(text) if len(text) <= _MAX_SHOWN else repr(text[: _MAX_SHOWN - 1]) + "…"


def spelled(text: object) -> str:
    """Like :func:`shown`, in ASCII alone, so that letters that look alike can be told apart."""
    return shown(text).encode("ascii", "backslashreplace").decode("ascii").replace("\\u2026", "...")
