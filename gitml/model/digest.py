"""Digests: the identity of bytes and of trees.

Owns SHA-256 in its written form `sha256:<hex>`, and the tree digest, which anybody can recompute with
`sha256sum`. It reads no files: it is given paths and digests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gitml.errors import InvalidInput
from gitml.model.shown import shown

_TEXT = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX = "sha256:"
_RAW_BYTES = 32


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256.

    Attributes:
        raw: Its 32 bytes.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _RAW_BYTES:
            raise ValueError(f"a SHA-256 has {_RAW_BYTES} bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 lower-case hex digits>`; `parse(str(x)) == x`.

        Raises:
            InvalidInput: The text is anything else; no other algorithm is ever accepted.
        """
        if not isinstance(text, str) or _TEXT.fullmatch(text) is None:
            raise InvalidInput(
                f"{shown(text)} is no digest",
                code="bad-digest",
                hint="write sha256: and 64 lower-case hexadecimal digits",
            )
        return cls(bytes.fromhex(text[len(_PREFIX) :]))

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Digest:
        """The digest of some bytes."""
        return cls(hashlib.sha256(data).digest())

    @property
    def hex(self) -> str:
        """The 64 hexadecimal digits alone, as `sha256sum` prints them."""
        return self.raw.hex()

    def __str__(self) -> str:
        return _PREFIX + self.raw.hex()


def sum_line(path: str, raw: bytes) -> bytes:
    """The line that `sha256sum` prints for a file.

    Args:
        path: Path relative to the top of the tree. Registered paths have no backslash and no control
            character, for which `sha256sum` would print an escaped line.
        raw: The file's SHA-256, 32 bytes.
    """
    return _line(path.encode("utf-8"), raw)


def _line(path: bytes, raw: bytes) -> bytes:
    return b"%b  %b\n" % (raw.hex().encode("ascii"), path)


class TreeHasher:
    """Computes the tree digest of files that come in path order.

    The order is that of the paths' UTF-8 bytes, and no path comes twice; both are checked, because a wrong
    order would give a digest that nothing else agrees with.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._last = b""

    def add(self, path: str, raw: bytes) -> bytes:
        """Add one file.

        Returns:
            Its line, as `sum_line` has it.

        Raises:
            ValueError: The path does not come after the one before it.
        """
        key = path.encode("utf-8")
        if key <= self._last:
            raise ValueError(f"{shown(path)} does not come after {shown(self._last.decode('utf-8'))}")
        self._last = key
        line = _line(key, raw)
        self._hash.update(line)
        return line

    def digest(self) -> Digest:
        """The digest of what was added so far."""
        return Digest(self._hash.digest())


def tree_digest(files: Iterable[tuple[str, bytes]]) -> Digest:
    """The tree digest of files in any order.

    Args:
        files: Path and raw SHA-256 of each file.
    """
    hasher = TreeHasher()
    for path, raw in sorted(files, key=lambda file: file[0].encode("utf-8")):
        hasher.add(path, raw)
    return hasher.digest()
