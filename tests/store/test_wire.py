"""The formats: golden bytes, round trips, caps, and what comes from a newer GitML."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from array import array

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import GitMLError, IntegrityError, InvalidInput
from gitml.model.digest import Digest
from gitml.store.formats import codec, wire
from gitml.store.formats.manifest import Manifest, Row, decode_manifest, encode_manifest, listing_digest
from gitml.store.formats.pack import PackRef, decode_footer, encode_footer, pack_tail, split_pack
from gitml.store.formats.root import Root, decode_root, encode_root
from gitml.store.formats.runs import Run, Runs
from gitml.store.formats.segment import Segment, decode_segment, encode_segment, ends_segment

PACK = PackRef(id=b"p" * 32, size_bytes=1000, footer_bytes=50)
SEGMENT = Segment(
    paths=["a", "b/c", "d"],
    sizes=array("Q", [5, 0, 7]),
    shas=b"x" * 96,
    runs=Runs([[(0, 0, 1)], [], [(0, 1, 2)]]),
    packs=[PACK],
)
ROW = Row(first_path="a", entries=3, size_bytes=12, logical=b"l" * 32, segment_id=b"s" * 32)
MANIFEST = Manifest(tree=b"t" * 32, files=3, size_bytes=12, rows=[ROW])
ROOT = Root(
    tree=Digest(b"t" * 32),
    listing=Digest(b"l" * 32),
    manifest="ab" * 32,
    size_bytes=12,
    files=3,
    created="2026-11-21T00:00:00Z",
)


def footer(**changes: object) -> bytes:
    table: dict[str, object] = {
        "v": 1,
        "f": [],
        "salt": b"",
        "id": b"i" * 64,
        "raw": [5, 9],
        "stored": [5, 4],
    }
    return msgspec.msgpack.encode(table | {"codec": b"\0\1"} | changes)


def segment(**changes: object) -> bytes:
    table: dict[str, object] = {"v": 1, "f": [], "salt": b"", "path": ["a"], "size": [5], "sha": b"x" * 32}
    return frame(table | {"runs": [[[0, 0, 1]]], "packs": [[b"p" * 32, 1000, 50]]} | changes)


def manifest(**changes: object) -> bytes:
    rows = [["a", 3, 12, b"l" * 32, b"s" * 32]]
    table: dict[str, object] = {"v": 1, "f": [], "salt": b"", "tree": b"t" * 32, "files": 3, "bytes": 12}
    return frame(table | {"rows": rows, "seg": None} | changes)


def root(**changes: object) -> bytes:
    return json.dumps(json.loads(encode_root(ROOT)) | changes).encode()


def frame(table: object) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode(table))


def test_golden_footer() -> None:
    stored = encode_footer(b"i" * 64, [5, 9], [5, 4], b"\0\1")
    assert stored.data == footer()
    assert stored.id == hashlib.sha256(stored.data).digest()
    assert pack_tail(stored.data) == stored.data + len(stored.data).to_bytes(4, "little") + b"GITMLPK1"
    read = decode_footer(stored.data, stored.id, "it")
    assert [(p.id, p.start, p.end, p.raw_bytes, p.codec) for p in map(read.place, range(2))] == [
        (b"i" * 32, 0, 5, 5, 0),
        (b"i" * 32, 5, 9, 9, 1),
    ]


def test_golden_segment() -> None:
    stored = encode_segment(SEGMENT)
    table = msgspec.msgpack.decode(codec.decompress(stored.data, 1 << 20, "it"))
    assert list(table) == ["v", "f", "salt", "path", "size", "sha", "runs", "packs"]
    assert table["runs"] == [[[0, 0, 1]], [], [[0, 1, 2]]]
    assert table["packs"] == [[b"p" * 32, 1000, 50]]
    assert decode_segment(stored.data, stored.id, "it") == SEGMENT
    lines = b"".join(b"%s  %s\n" % (b"78" * 32, path.encode()) for path in SEGMENT.paths)
    assert SEGMENT.logical_digest() == hashlib.sha256(lines).digest()


def test_golden_manifest() -> None:
    stored = encode_manifest(MANIFEST)
    table = msgspec.msgpack.decode(codec.decompress(stored.data, 1 << 20, "it"))
    assert list(table) == ["v", "f", "salt", "tree", "files", "bytes", "rows", "seg"]
    assert decode_manifest(stored.data, stored.id, "it") == MANIFEST
    assert listing_digest([ROW]) == hashlib.sha256(msgspec.msgpack.encode([["a", 3, 12, b"l" * 32]])).digest()


def test_golden_root() -> None:
    record = json.loads(encode_root(ROOT))
    assert list(record) == ["schema", "tree", "listing", "manifest", "size", "files", "created"]
    assert record["schema"] == "gitml/root/v1"
    assert record["manifest"] == "sha256:" + "ab" * 32
    assert decode_root(encode_root(ROOT), "it") == ROOT


def test_boundaries_are_frozen() -> None:
    assert [n for n in range(200_000) if ends_segment(f"file-{n}")][:4] == BOUNDARIES


def test_salt_gives_another_name() -> None:
    plain = encode_footer(b"i" * 32, [5], [5], b"\0")
    salted = encode_footer(b"i" * 32, [5], [5], b"\0", salt=b"s" * 16)
    assert plain.id != salted.id
    assert decode_footer(salted.data, salted.id, "it").salt == b"s" * 16


@pytest.mark.parametrize(
    ("decode", "make"),
    [
        (lambda data: decode_footer(data, None, "it"), footer),
        (lambda data: decode_segment(data, None, "it"), segment),
        (lambda data: decode_manifest(data, None, "it"), manifest),
    ],
    ids=["footer", "segment", "manifest"],
)
class TestNewer:
    def test_version(self, decode, make) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(InvalidInput, match=r"needs GitML >= 2\.0") as caught:
            decode(make(v=2))
        assert caught.value.exit_code == 3

    def test_version_of_another_shape(self, decode, make) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(InvalidInput, match="needs GitML >="):
            decode(make(v=3, raw="other", sha=7, rows="none"))

    def test_feature(self, decode, make) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(InvalidInput, match=r"'sealed', which needs GitML >= 1\.7"):
            decode(make(f=["sealed>=1.7"]))

    def test_unknown_fields_are_ignored(self, decode, make) -> None:  # type: ignore[no-untyped-def]
        assert decode(make(more=[1, 2])) == decode(make())

    def test_integrity_comes_first(self, decode, make) -> None:  # type: ignore[no-untyped-def]
        data = make(v=2)
        decoder = {footer: decode_footer, segment: decode_segment, manifest: decode_manifest}[make]
        with pytest.raises(IntegrityError):
            decoder(data, b"\0" * 32, "it")


def test_newer_root() -> None:
    with pytest.raises(InvalidInput, match=r"needs GitML >= 2\.0"):
        decode_root(root(schema="gitml/root/v2"), "it")
    with pytest.raises(IntegrityError):
        decode_root(root(schema="other/v2"), "it")


def test_newer_codec() -> None:
    with pytest.raises(InvalidInput, match=r"codec 2.*needs GitML >="):
        decode_footer(footer(codec=b"\0\2"), None, "it")
    with pytest.raises(InvalidInput, match=r"codec 9.*needs GitML >="):
        codec.decode_chunk(b"", 9, 0, "it")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": b"i" * 63},
        {"raw": [5]},
        {"stored": [5, 4, 3]},
        {"raw": [5, 262_145]},
        {"raw": [0, 9]},
        {"raw": [-1, 9]},
        {"stored": [5, 1 << 27]},
        {"codec": b"", "id": b"", "raw": [], "stored": []},
        {"codec": [0, 1]},
        {"v": "1"},
    ],
)
def test_malformed_footers(changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        decode_footer(footer(**changes), None, "it")


@pytest.mark.parametrize(
    "changes",
    [
        {"path": []},
        {"path": ["a", "b"]},
        {"size": [1, 2]},
        {"size": [-1]},
        {"sha": b"x" * 31},
        {"runs": []},
        {"runs": [[[1, 0, 1]]]},
        {"runs": [[[0, 0, 0]]]},
        {"runs": [[[0, 65_535, 2]]]},
        {"packs": [[b"p", 1000, 50]]},
        {"packs": [[b"p" * 32, 1000, 990]]},
        {"packs": [[b"p" * 32, 1 << 40, 990]]},
    ],
)
def test_malformed_segments(changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        decode_segment(segment(**changes), None, "it")


@pytest.mark.parametrize(
    "changes",
    [
        {"tree": b"t"},
        {"rows": []},
        {"files": 4},
        {"bytes": 13},
        {"rows": [["a", 3, 12, b"l", b"s" * 32]]},
        {"rows": [["b", 1, 6, b"l" * 32, b"s" * 32], ["a", 2, 6, b"l" * 32, b"s" * 32]]},
        {"rows": [["a", 1, 6, b"l" * 32, b"s" * 32], ["b", 2, 6, b"l" * 32, b"s" * 32]], "seg": b""},
        {"rows": [["a", 70_000, 12, b"l" * 32, b"s" * 32]], "files": 70_000},
    ],
)
def test_malformed_manifests(changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        decode_manifest(manifest(**changes), None, "it")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", root(size=-1), root(tree="sha256:AB"), root(files="3"), b"{" * 100_000],
)
def test_malformed_roots(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode_root(data, "it")


def test_split_pack() -> None:
    stored = encode_footer(b"i" * 64, [5, 9], [5, 4], b"\0\1")
    pack = b"123456789" + pack_tail(stored.data)
    payload, read = split_pack(pack, stored.id, "it")
    assert bytes(payload) == b"123456789"
    assert read.chunks == 2
    for length in range(len(pack)):
        with pytest.raises(IntegrityError):
            split_pack(pack[:length], stored.id, "it")
    with pytest.raises(IntegrityError):
        split_pack(b"0" + pack, stored.id, "it")


@given(st.binary(max_size=200))
def test_garbage_is_told(data: bytes) -> None:
    for decode in (decode_footer, decode_segment, decode_manifest, split_pack):
        with pytest.raises(GitMLError):
            decode(data, None, "it")
    with pytest.raises(GitMLError):
        decode_root(data, "it")


@given(st.binary(max_size=2000))
def test_chunks_round_trip(data: bytes) -> None:
    stored = codec.compress_chunk(data)
    assert codec.decode_chunk(stored, 1, len(data), "it") == data
    assert codec.decode_chunk(data, 0, len(data), "it") == data
    with pytest.raises(IntegrityError):
        codec.decode_chunk(stored, 1, len(data) + 1, "it")


def test_flipped_bits_are_found() -> None:
    frame = codec.compress_chunk(b"some words that repeat, some words that repeat" * 20)
    for position in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert codec.decompress(flipped, 1 << 18, "it") == codec.decompress(frame, 1 << 18, "it")
        except IntegrityError:
            continue


@pytest.mark.parametrize("sized", [True, False])
def test_bombs_are_capped(sized: bool) -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=sized)
    if sized:
        bomb = compressor.compress(bytes(1 << 28))
    else:
        stream = compressor.compressobj()
        bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(256)) + stream.flush()
    with pytest.raises(IntegrityError, match="allowed"):
        codec.decompress(bomb, 1 << 18, "it")


def test_unsized_frames_are_read() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    data = stream.compress(b"abc" * 1000) + stream.flush()
    assert codec.decompress(data, 1 << 18, "it") == b"abc" * 1000


def test_is_worth_it() -> None:
    assert codec.is_worth_it(100, 90)
    assert not codec.is_worth_it(100, 91)


BOUNDARIES = [4978, 16151, 16818, 40451]


@given(st.lists(st.lists(st.tuples(*[st.integers(0, 2**16)] * 3), max_size=4)))
def test_runs_are_a_list_of_lists(files: list[list[Run]]) -> None:
    runs = Runs(files)
    assert [list(one) for one in runs] == [list(runs[at]) for at in range(len(runs))] == files
    assert [list(one) for one in runs[1:]] == files[1:]
    assert not files or list(runs[-1]) == files[-1]
    assert runs == Runs(files) and runs != Runs([*files, [(0, 0, 1)]])


@pytest.mark.parametrize("length", [0, 1, 15, 16, 1023, 1024, 1025, 65_535, 65_536])
def test_a_map_with_lists_made_in_blocks_has_the_bytes_of_a_map(length: int) -> None:
    values = [[(number, 1, 2)] for number in range(length)]
    encoder = wire.ListEncoder()
    for value in values:
        encoder.append(value)
    fields = {"v": 1, "sha": b"x" * length, "packs": []}
    assert wire.encode_map(fields | {"runs": encoder}) == wire.encode(fields | {"runs": values})


def test_decoding_a_segment_takes_little_more_than_the_segment() -> None:
    """Its runs never all exist as lists: those of one file take some 300 bytes here."""
    count = 20_000
    segment = Segment(
        paths=[f"{number:06}" for number in range(count)],
        sizes=list(range(count)),
        shas=bytes(32 * count),
        runs=Runs([[(0, number, 1), (0, number + 1, 1), (0, number, 1)] for number in range(count)]),
        packs=[PACK],
    )
    stored = encode_segment(segment)
    tracemalloc.start()
    found = decode_segment(stored.data, stored.id, "it")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.runs == segment.runs
    assert most < 400 * count
