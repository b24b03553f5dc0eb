"""How values look in messages: foreign text on one line without control characters, sizes in binary units."""

from __future__ import annotations

_MAX_SHOWN = 80
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def shown(text: object) -> str:
    """Quote a value so that it cannot break, reorder or hide the line it stands in."""
    if not isinstance(text, str):
        plain = repr(text)
        return plain if len(plain) <= _MAX_SHOWN else plain[: _MAX_SHOWN - 1] + "…"
    return repr(text) if len(text) <= _MAX_SHOWN else repr(text[: _MAX_SHOWN - 1]) + "…"


def spelled(text: object) -> str:
    """Like :func:`shown`, in ASCII alone, so that letters that look alike can be told apart."""
    return shown(text).encode("ascii", "backslashreplace").decode("ascii").replace("\\u2026", "...")


def told(*parts: object) -> str:
    """What is known of something, from the whole to the detail: parts that are empty, or that a later one says, go."""
    words = [str(part) for part in parts if part]
    return ": ".join(
        word for at, word in enumerate(words) if not any(word in later for later in words[at + 1 :])
    )


def size(size_bytes: float) -> str:
    """A number of bytes in binary units with one decimal; below 1 KiB the exact number."""
    if abs(size_bytes) < 1024:
        return f"{int(size_bytes)} B"
    value = float(size_bytes)
    for unit in _UNITS:
        value /= 1024
        # 1023.96 KiB would be printed as 1024.0 KiB.
        if abs(value) < 1023.95 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit}"
    raise AssertionError("the last unit always returns")
