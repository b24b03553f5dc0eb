"""A second reader of stores, written from the description of the format alone; it imports nothing of GitML.

Run it to rebuild a version: `python independent_reader.py STORE ROOT-FILE DESTINATION`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def thing(store: Path, kind: str, identity: bytes) -> bytes:
    return (store / kind / identity.hex()[:2] / identity.hex()).read_bytes()


def table(store: Path, kind: str, identity: bytes) -> dict:
    data = thing(store, kind, identity)
    assert sha(data) == identity, kind
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data))


def pack_chunks(store: Path, identity: bytes) -> list[bytes]:
    data = thing(store, "packs", identity)
    assert data[-8:] == b"GITMLPK1"
    length = int.from_bytes(data[-12:-8], "little")
    stored_footer = data[-12 - length : -12]
    assert sha(stored_footer) == identity
    footer, at, chunks = msgspec.msgpack.decode(stored_footer), 0, []
    for n, (raw, stored, codec) in enumerate(
        zip(footer["raw"], footer["stored"], footer["codec"], strict=True)
    ):
        chunk = data[at : at + stored]
        if codec == 1:
            chunk = zstandard.ZstdDecompressor().decompress(chunk)
        assert len(chunk) == raw and sha(chunk) == footer["id"][32 * n : 32 * n + 32]
        chunks.append(chunk)
        at += stored
    assert at == len(data) - 12 - length
    return chunks


def files(store: Path, root_file: Path) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every file of a version, everything checked."""
    root = json.loads(root_file.read_bytes())
    manifest = table(store, "manifests", bytes.fromhex(root["manifest"].removeprefix("sha256:")))
    listing, tree, count, size = sha(msgspec.msgpack.encode([row[:4] for row in manifest["rows"]])), b"", 0, 0
    assert f"sha256:{listing.hex()}" == root["listing"]
    for _first, entries, _size, logical, identity in manifest["rows"]:
        if manifest["seg"] is not None:
            segment = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(manifest["seg"]))
        else:
            segment = table(store, "segments", identity)
        packs, lines = {}, b""
        assert len(segment["path"]) == entries
        for n, (path, length, runs) in enumerate(
            zip(segment["path"], segment["size"], segment["runs"], strict=True)
        ):
            digest, data = segment["sha"][32 * n : 32 * n + 32], b""
            for pack, first, chunks in runs:
                if pack not in packs:
                    packs[pack] = pack_chunks(store, segment["packs"][pack][0])
                data += b"".join(packs[pack][first : first + chunks])
            assert len(data) == length and sha(data) == digest, path
            lines += f"{digest.hex()}  {path}\n".encode()
            count, size = count + 1, size + length
            yield path, data
        assert sha(lines) == logical
        tree += lines
    assert f"sha256:{sha(tree).hex()}" == root["tree"] and (count, size) == (root["files"], root["size"])


if __name__ == "__main__":
    for name, contents in files(Path(sys.argv[1]), Path(sys.argv[2])):
        place = Path(sys.argv[3]) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(contents)
