"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import struct
from typing import Final

HEAD_BYTES: Final = 512

SAFETENSORS: Final = "safetensors"
ONNX: Final = "onnx"
GGUF: Final = "gguf"
HDF5: Final = "hdf5"
NPY: Final = "npy"
ZIP: Final = "zip"
PICKLE: Final = "pickle"
PARQUET: Final = "parquet"
GRAPH: Final = "saved-model"
GZIP: Final = "gzip"
TEXT: Final = "text"
JSON: Final = "json"
UNKNOWN: Final = "unknown"
EMPTY: Final = "empty"

PACKED: Final = frozenset({GZIP, "zlib", "bzip2", "xz", "zstd", "lz4", "7z", "tar", "rar"})
"""Formats that hold something else, which is not looked into."""
PROGRAMS: Final = frozenset({"elf", "pe", "mach-o"})

_MAGIC: Final = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"\x93NUMPY", NPY),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"GGUF", GGUF),
    (b"PAR1", PARQUET),
    (b"PARE", PARQUET),
    (b"\x1f\x8b", GZIP),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x7fELF", "elf"),
    (b"MZ", "pe"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\xca\xfe\xba\xbe", "mach-o"),
    (b"ARROW1", "arrow"),
    (b"Obj\x01", "avro"),
    (b"ORC", "orc"),
    (b"TFL3", "tflite"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"%PDF-", "pdf"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
)
_PICKLE_SUFFIXES: Final = (
    ".pkl",
    ".pickle",
    ".joblib",
    ".p",
    ".sav",
    ".dill",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".model",
)
# The first opcodes of pickles without a protocol in front.
_BARE_PICKLE: Final = frozenset(b"(c]}l)dIKJMFGSUVXNi")


def of(path: str, head: bytes, size_bytes: int) -> str:
    """The format of a file.

    Args:
        path: Its name, which decides only where bytes leave it open.
        head: Its first bytes, :data:`HEAD_BYTES` of them or all there are.
        size_bytes: Its length.
    """
    if not head:
        return EMPTY
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if len(head) > 262 and head[257:262] == b"ustar":
        return "tar"
    if (
        head[:1] == b"\x78"
        and len(head) > 1
        and int.from_bytes(head[:2], "big") % 31 == 0
        and head[1] & 0x20 == 0
    ):
        return "zlib" if not _is_text(head) else _textual(head)
    if _is_safetensors(head, size_bytes):
        return SAFETENSORS
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return PICKLE
    if _is_onnx(head):
        return ONNX
    if path.rpartition("/")[2] == "saved_model.pb":
        return GRAPH
    if is_named_pickle(path) and head[0] in _BARE_PICKLE:
        return PICKLE
    return _textual(head) if _is_text(head) else UNKNOWN


def is_named_pickle(path: str) -> bool:
    """Whether a file's name is one that pickles have."""
    return path.casefold().endswith(_PICKLE_SUFFIXES)


def starts_pickle(head: bytes) -> bool:
    """Whether bytes begin as pickles of protocol 2 and later do."""
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_safetensors(head: bytes, size_bytes: int) -> bool:
    if len(head) < 9 or head[8:9] != b"{":
        return False
    length: int = struct.unpack_from("<Q", head)[0]
    return 2 <= length <= size_bytes - 8


def _is_onnx(head: bytes) -> bool:
    """A protobuf that begins with a small version number, and goes on with another field of a model."""
    return (
        len(head) > 3
        and head[0] == 0x08
        and 1 <= head[1] <= 32
        and head[2] in (0x12, 0x1A, 0x22, 0x32, 0x3A, 0x42)
    )


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        # A character may be cut off at the end.
        head[: max(1, len(head) - 3)].decode("utf-8")
    except UnicodeDecodeError as error:
        return bool(error.start >= len(head) - 6)
    return not any(byte < 9 or 13 < byte < 27 for byte in head)


def _textual(head: bytes) -> str:
    return JSON if head.lstrip()[:1] in (b"{", b"[") else TEXT
