"""Reads values in Thrift's compact protocol, as far as footers of Parquet files need it; bounded in every direction.

Structs become mappings from field number to value, enums and all integers `int`, binary `bytes`.
Source: the Apache Thrift project's specification "Thrift Compact protocol encoding".
"""

from __future__ import annotations

import struct
from typing import Any, Final

MAX_VALUES: Final = 500_000
_MAX_DEPTH: Final = 24
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)


def read_struct(data: bytes) -> dict[int, Any]:
    """The struct at the beginning of some bytes.

    Raises:
        ValueError: They are malformed, cut off, or hold more than any real footer.
    """
    try:
        return _Reader(data).struct(0)
    except (IndexError, struct.error) as error:
        raise ValueError("it is cut off") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = 0

    def struct(self, depth: int) -> dict[int, Any]:
        """One struct."""
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            field = field + step if step else self._zigzag()
            if kind in (_TRUE, _FALSE):
                self._count()
                found[field] = kind == _TRUE
            else:
                found[field] = self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self._count()
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct(depth)
        if kind in (_LIST, _SET):
            head = self._byte()
            length = self._varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 0x0F, depth + 1) for _ in self._times(length)]
        if kind in (_TRUE, _FALSE):  # an element of a list is a byte of its own
            return self._byte() == _TRUE
        if kind == _BYTE:
            return int.from_bytes(self._take(1), "little", signed=True)
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == _MAP:
            return self._map(depth)
        raise ValueError(f"it holds a value of the unknown kind {kind}")

    def _map(self, depth: int) -> list[tuple[Any, Any]]:
        length = self._varint()
        kinds = self._byte() if length else 0
        return [
            (self._value(kinds >> 4, depth + 1), self._value(kinds & 0x0F, depth + 1))
            for _ in self._times(length)
        ]

    def _times(self, length: int) -> range:
        if length > len(self._data) - self._at:  # each element takes a byte at least
            raise ValueError("it is cut off")
        return range(length)

    def _count(self) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise ValueError("it is cut off")
        self._at += length
        return self._data[self._at - length : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("it holds a number that is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
