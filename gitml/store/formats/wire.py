"""What the formats of packs, segments and manifests have in common.

Each is a msgpack map with string keys, in shortest encodings and without extension types. Version (`v`) and
features (`f`) say who can read it; a feature is written as `NAME>=VERSION`, where VERSION is the first
GitML that knows it. Objects are named by the SHA-256 of their stored bytes, so integrity is judged first:
an object that is intact and yet unknown comes from a newer GitML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from gitml.errors import IntegrityError, InvalidInput
from gitml.store.media.medium import Buffer

VERSION = 1
DIGEST_BYTES = 32
KNOWN_FEATURES: frozenset[str] = frozenset()

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_T = TypeVar("_T", bound="Envelope")
_Item = TypeVar("_Item")
_BLOCK = 1024
_encoder = msgspec.msgpack.Encoder()


class Envelope(msgspec.Struct):
    """The two fields that every format begins with; they are judged before any other."""

    v: int
    f: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """Bytes and the id that names them."""

    id: bytes
    data: bytes

    @property
    def hex(self) -> str:
        """The id as it stands in an object's name."""
        return self.id.hex()


def stored(data: bytes) -> StoredObject:
    """An object named by its own bytes."""
    return StoredObject(id=hashlib.sha256(data).digest(), data=data)


def encode(value: object) -> bytes:
    """Msgpack of a struct or of plain lists."""
    return _encoder.encode(value)


class ListEncoder:
    """Msgpack of a long list, made of a few values at a time: they never all exist as objects at once."""

    __slots__ = ("_block", "_encoded", "_length")

    def __init__(self) -> None:
        self._block: list[object] = []
        self._encoded: list[bytes] = []
        self._length = 0

    def append(self, value: object) -> None:
        """Add a value."""
        self._block.append(value)
        if len(self._block) == _BLOCK:
            self._fold()

    def parts(self) -> list[bytes]:
        """The list so far, in pieces."""
        self._fold()
        return [_list_head(self._length), *self._encoded]

    def _fold(self) -> None:
        if self._block:
            self._encoded.append(_encoder.encode(self._block)[len(_list_head(len(self._block))) :])
            self._length += len(self._block)
            self._block.clear()


def encode_map(fields: Mapping[str, object]) -> bytes:
    """Msgpack of a map of fewer than 16 fields, some of which may be lists in a :class:`ListEncoder`."""
    parts = [bytes([0x80 | len(fields)])]
    for name, value in fields.items():
        parts.append(_encoder.encode(name))
        parts += value.parts() if isinstance(value, ListEncoder) else [_encoder.encode(value)]
    return b"".join(parts)


def _list_head(length: int) -> bytes:
    """Source: the msgpack specification, array format family."""
    if length < 16:
        return bytes([0x90 | length])
    return b"\xdc" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdd" + length.to_bytes(4, "big")


def decode(data: Buffer, shape: type[_T], what: str) -> _T:
    """Parse an intact object of a version and of features that this GitML knows.

    Raises:
        InvalidInput: It needs a newer GitML.
        IntegrityError: It is not of this shape.
    """
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope)
        check_readable(envelope.v, envelope.f, what)
        return msgspec.msgpack.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(what, str(error)) from error


def decode_items(items: Sequence[msgspec.Raw], shape: type[_Item], what: str) -> Iterator[list[_Item]]:
    """Parse items of a list that were left as they are, a few at a time: they never all exist as objects at once.

    Raises:
        IntegrityError: One is not of this shape.
    """
    decoder = msgspec.msgpack.Decoder(list[shape])  # type: ignore[valid-type]
    for start in range(0, len(items), _BLOCK):
        block = items[start : start + _BLOCK]
        try:
            yield decoder.decode(_list_head(len(block)) + b"".join(block))
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(what, str(error)) from error


def check_id(data: Buffer, expected: bytes | None, what: str) -> None:
    """Compare bytes with the id that names them.

    Raises:
        IntegrityError: They are not the same.
    """
    if expected is not None and hashlib.sha256(data).digest() != expected:
        raise IntegrityError(
            f"{what} is damaged: its bytes do not match its name",
            code="object-damaged",
            hint="gitml store verify",
            context={"object": what},
        )


def check_readable(version: int, features: Sequence[str], what: str) -> None:
    """Judge version and features.

    Raises:
        InvalidInput: It needs a newer GitML.
    """
    if version != VERSION:
        raise needs_newer(f"{what} has format version {version}", f"{version}.0")
    for feature in features:
        if feature not in KNOWN_FEATURES:
            name, _, since = feature.partition(">=")
            raise needs_newer(f"{what} uses {name!r}", since or "the one that wrote it")


def needs_newer(message: str, since: str) -> InvalidInput:
    """The error for an intact object that only a newer GitML can read."""
    return InvalidInput(
        f"{message}, which needs GitML >= {since}", code="needs-newer", hint="pip install --upgrade gitml"
    )


def malformed(what: str, reason: str) -> IntegrityError:
    """The error for bytes that match their name, or have none, and are not of their format."""
    return IntegrityError(
        f"{what} is malformed: {reason}",
        code="object-malformed",
        hint="gitml store verify",
        context={"object": what},
    )
