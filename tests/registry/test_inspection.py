"""Looking into contents: formats by first bytes, imports by opcode, tables by footers and samples; nothing is run."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from gitml.model.findings import FindingKind, Grade, Inspection, Table, table_changes
from gitml.model.names import AssetId, Version, VersionId
from gitml.registry.inspection import csv_table, formats, opcodes, parquet_table
from gitml.registry.inspection.archive import UninspectableError
from gitml.registry.inspection.inspect import inspect
from gitml.registry.inspection.thrift import read_struct
from gitml.store.read.entries import FileEntry

MODEL = VersionId(asset=AssetId(type="models", name="digits"), version=Version.parse("1"))
DATASET = VersionId(asset=AssetId(type="datasets", name="digits"), version=Version.parse("1"))


class Folder:
    """A folder's files as a store would read them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def files(self) -> int:
        return sum(1 for _ in self.entries())

    def entries(self) -> Iterator[FileEntry]:
        for path in sorted(self._path.rglob("*")):
            if path.is_file():
                name = path.relative_to(self._path).as_posix()
                yield FileEntry(path=name, size_bytes=path.stat().st_size, digest=b"")

    def open(self, path: str) -> io.RawIOBase:
        return io.FileIO(self._path / path)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that the payloads would make; nothing may."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "a payload ran"


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def call(module: str, name: str, argument: str) -> bytes:
    """A pickle of protocol 4 that would call `module.name(argument)`."""
    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def touch(canary: Path) -> bytes:
    return call("posix", "system", f"touch {canary}")


def look(folder: Path, name: str, data: bytes, version: VersionId = MODEL) -> Inspection:
    folder = folder / "contents"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return inspect(version, Folder(folder))


def names(found: Inspection, kind: FindingKind = FindingKind.PICKLE_IMPORT) -> list[str]:
    return [one.name for one in found.findings if one.kind is kind]


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def lines(*parts: str) -> bytes:
    return "\n".join(parts).encode()


PAYLOADS = [
    ("global", lambda c: b"cposix\nsystem\n(V" + f"touch {c}\n".encode() + b"tR.", "posix.system"),
    ("inst", lambda c: b"(S'touch " + str(c).encode() + b"'\niposix\nsystem\n.", "posix.system"),
    ("stack global", touch, "posix.system"),
    ("eval", lambda c: call("builtins", "eval", f"open({str(c)!r},'w')"), "builtins.eval"),
    ("getattr chain", lambda c: b"\x80\x04" + text("os") + text("path.os.system") + b"\x93.", "os.path.os.system"),
    (
        "names from the memo",
        lambda c: b"\x80\x04" + text("posix") + b"\x94" + text("system") + b"\x940" + b"0" + b"h\x00h\x01\x93"
        + text(f"touch {c}") + b"\x85R.",
        "posix.system",
    ),
    (
        "names with others between them, dropped again",
        lambda c: b"\x80\x04" + text("posix") + text("harmless") + b"0" + text("system") + b"\x93"
        + text(f"touch {c}") + b"\x85R.",
        "posix.system",
    ),
    ("a computed name", lambda c: b"\x80\x04" + text("posix") + text("sys") + b"\x85" + b"\x93.", "posix.?"),
    ("extension registry", lambda c: b"\x80\x02\x82\x01.", "?.extension 1"),
    ("then broken", lambda c: touch(c)[:-1] + b"\xff\xff", "posix.system"),
    ("cut off", lambda c: touch(c)[:-1], "posix.system"),
    ("behind a large payload", lambda c: b"\x80\x04B" + struct.pack("<I", 200_000) + b"\0" * 200_000 + b"0"
     + touch(c)[2:], "posix.system"),
    ("the second of two", lambda c: b"\x80\x02N." + touch(c), "posix.system"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "expected"), [p[1:] for p in PAYLOADS], ids=[p[0] for p in PAYLOADS])
@pytest.mark.parametrize("name", ["model.pkl", "weights.bin"])
def test_imports_by_opcode(tmp_path: Path, canary: Path, name: str, payload, expected: str) -> None:
    found = look(tmp_path, name, payload(canary))
    assert found.formats[0].format == formats.PICKLE
    assert expected in names(found)
    dangers = [one for one in found.findings if one.grade is Grade.DANGER]
    assert [(one.file, one.kind, one.name) for one in dangers] == [
        (name, FindingKind.PICKLE_IMPORT, expected)
    ]
    assert dangers[0].opcode in ("GLOBAL", "INST", "STACK_GLOBAL", "EXT1")


@pytest.mark.parametrize("name", ["model.txt", "model.safetensors", "model"])
def test_the_name_hides_nothing(tmp_path: Path, canary: Path, name: str) -> None:
    assert "posix.system" in names(look(tmp_path, name, touch(canary)))


def test_harmless_imports_are_shown_too(tmp_path: Path) -> None:
    found = look(
        tmp_path, "model.pkl", b"\x80\x02ccollections\nOrderedDict\n)R0ccollections\nOrderedDict\n)R."
    )
    (only,) = found.findings
    assert (only.name, only.grade, only.count) == ("collections.OrderedDict", Grade.NOTICE, 2)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_torch_archives(tmp_path: Path, canary: Path, method: int) -> None:
    data = zipped([("model/data.pkl", touch(canary)), ("model/data/0", bytes(1000))], method)
    found = look(tmp_path, "model.pt", data)
    assert found.formats[0].format == "torch"
    assert [(one.file, one.name) for one in found.findings] == [("model.pt!model/data.pkl", "posix.system")]


def test_a_pickle_of_any_name_in_a_small_archive(tmp_path: Path, canary: Path) -> None:
    found = look(
        tmp_path, "model.bin", zipped([("model/data.pkl", b"\x80\x02N."), ("x/config.p", touch(canary))])
    )
    assert "posix.system" in names(found)
    found = look(tmp_path, "model.bin", zipped([("a", touch(canary))]))
    assert "posix.system" in names(found)


def _twice(canary: Path) -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return zipped([("m/data.pkl", b"\x80\x02N."), ("m/data.pkl", touch(canary))])


def _flags(canary: Path) -> bytes:
    data = bytearray(zipped([("m/data.pkl", touch(canary))]))
    data[data.index(b"PK\x01\x02") + 8] |= 0x01
    return bytes(data)


def _contradicting(canary: Path) -> bytes:
    data = bytearray(zipped([("m/data.pkl", touch(canary))]))
    data[6] |= 0x01
    return bytes(data)


def _bad_crc(canary: Path) -> bytes:
    data = bytearray(zipped([("m/data.pkl", b"\x80\x02X\x03\0\0\0abc.")]))
    data[data.index(b"abc")] ^= 1
    return bytes(data)


def _other_method(canary: Path) -> bytes:
    return zipped([("m/data.pkl", touch(canary))], zipfile.ZIP_BZIP2)


def _bad_deflate(canary: Path) -> bytes:
    data = bytearray(zipped([("m/data.pkl", touch(canary) * 50)], zipfile.ZIP_DEFLATED))
    data[30 + len("m/data.pkl")] ^= 0x07
    return bytes(data)


@pytest.mark.parametrize(
    "broken",
    [
        _twice,
        _flags,
        _contradicting,
        _bad_crc,
        _other_method,
        _bad_deflate,
        lambda c: zipped([("m/data.pkl", b"N."), ("M/DATA.PKL", touch(c))]),
        lambda c: zipped([("m/data.pkl", touch(c))])[:-30],
        lambda c: zipped([("a.zip", zipped([("data.pkl", touch(c))]))]),
        lambda c: b"PK\x03\x04" + bytes(100),
        lambda c: b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFE, 0xFFFE, 0xFFFFFFF0, 0, 0),
    ],
)
def test_archives_that_two_readers_may_see_differently(tmp_path: Path, canary: Path, broken) -> None:
    found = look(tmp_path, "model.pt", broken(canary))
    assert names(found, FindingKind.NOT_INSPECTED), found


def test_a_bomb_is_not_read_whole(tmp_path: Path) -> None:
    bomb = b"\x80\x04" + b"\x8e" + struct.pack("<Q", 1 << 30) + bytes(1 << 25)
    found = look(tmp_path, "model.pt", zipped([("m/data.pkl", bomb + b".")], zipfile.ZIP_DEFLATED))
    assert names(found, FindingKind.NOT_INSPECTED)


def test_the_number_of_opcodes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 1000)
    found = look(tmp_path, "model.pkl", b"\x80\x02" + b"N0" * 600 + b".")
    assert "1,000 opcodes" in names(found, FindingKind.NOT_INSPECTED)[0]


@pytest.mark.parametrize("layer", ['{"class_name": "Lambda", "config": {"function": ["4wE", null, null]}}'])
def test_keras_lambdas(tmp_path: Path, layer: str) -> None:
    config = f'{{"class_name": "Sequential", "module": "keras", "config": {{"layers": [{layer}]}}}}'.encode()
    own = b'{"class_name": "Own", "module": "my.layers"}'
    found = look(tmp_path, "m.keras", zipped([("config.json", config), ("metadata.json", b"{}")]))
    assert found.formats[0].format == "keras"
    assert names(found, FindingKind.LAMBDA) == ["Lambda"]
    found = look(tmp_path, "m.keras", zipped([("config.json", own), ("metadata.json", b"{}")]))
    assert names(found, FindingKind.CUSTOM_OBJECT) == ["my.layers.Own"]
    found = look(tmp_path, "m.keras", zipped([("config.json", b"[" * 100_000), ("metadata.json", b"{}")]))
    assert names(found, FindingKind.NOT_INSPECTED)
    found = look(tmp_path, "m.keras", b"\x89HDF\r\n\x1a\n" + bytes(500) + layer.encode())
    assert (found.formats[0].format, names(found, FindingKind.LAMBDA)) == ("hdf5", ["Lambda"])


def test_arrays_of_objects(tmp_path: Path, canary: Path) -> None:
    def array(descr: str, data: bytes) -> bytes:
        head = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': (1,), }}\n".encode()
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data

    assert not look(tmp_path, "a.npy", array("<f8", bytes(8))).findings
    assert "posix.system" in names(look(tmp_path, "a.npy", array("|O", touch(canary))))
    found = look(
        tmp_path, "a.npy", zipped([("x.npy", array("<f8", bytes(8))), ("y.npy", array("|O", touch(canary)))])
    )
    assert found.formats[0].format == "npz"
    assert "posix.system" in names(found)
    for head in (
        b"\x93NUMPY\x09\x00",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x02\x00[[",
        b"\x93NUMPY",
    ):
        assert names(look(tmp_path, "a.npy", head), FindingKind.NOT_INSPECTED)


def test_graphs_and_programs(tmp_path: Path) -> None:
    found = look(tmp_path, "saved_model.pb", b"\x08\x01\x12\x10" + b"node\x00PyFunc\x00WriteFile\x00")
    assert names(found, FindingKind.GRAPH_OPERATION) == ["PyFunc", "WriteFile"]
    found = look(tmp_path, "modeling.py", b"import os\n")
    assert names(found, FindingKind.CODE)


HEADS = [
    (
        "w.safetensors",
        struct.pack("<Q", 40) + b'{"a":{"dtype":"F32","shape":[1]}}'.ljust(40) + bytes(4),
        "safetensors",
    ),
    ("m.onnx", b"\x08\x08\x12\x07pytorch\x1a\x03", "onnx"),
    ("m.gguf", b"GGUF\x03\0\0\0", "gguf"),
    ("m.h5", b"\x89HDF\r\n\x1a\n\0", "hdf5"),
    ("README.md", b"# A model\n", "text"),
    ("c.json", b'{"a": 1}', "json"),
    ("w.gz", b"\x1f\x8b\x08\0", "gzip"),
    ("w.joblib", zlib.compress(b"N."), "zlib"),
    ("weights.bin", bytes(range(200, 256)) * 10, "unknown"),
    ("m.tflite", b"TFL3", "tflite"),
    ("empty", b"", "empty"),
    ("fake.safetensors", b"\xff" * 8 + b"{", "unknown"),
]


@pytest.mark.parametrize(("name", "data", "expected"), HEADS, ids=[row[0] for row in HEADS])
def test_formats_by_first_bytes(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    found = look(tmp_path, name, data)
    assert found.formats[0].format == expected
    if expected == "safetensors":
        assert found.formats[0].detail == "1 tensors, F32"


def test_equal_contents_give_equal_findings(tmp_path: Path, canary: Path) -> None:
    data = zipped([("m/data.pkl", touch(canary)), ("m/b.pkl", call("os", "popen", "x"))])
    assert look(tmp_path / "a", "m.pt", data) == look(tmp_path / "b", "m.pt", data)


def test_findings_are_counted_where_there_are_too_many(tmp_path: Path) -> None:
    data = b"\x80\x02" + b"".join(b"cm%d\nf\n0" % number for number in range(300)) + b"N."
    found = look(tmp_path, "m.pkl", data)
    assert (len(found.findings), found.left_out) == (200, 100)


# ---- tables ----------------------------------------------------------------------------------------------------------


def parquet_bytes(table: pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def table_of(tmp_path: Path, name: str, data: bytes) -> Table:
    (found,) = look(tmp_path, name, data, DATASET).tables
    return found


def test_parquet_from_its_footer(tmp_path: Path) -> None:
    data = parquet_bytes(
        pa.table({"n": [3, 1, None, 7], "t": ["b", "secret", None, None], "x": [0.5, 2.0, 1.0, 0.25]}),
        row_group_size=2,
    )
    found = table_of(tmp_path, "a.parquet", data)
    assert (found.rows, found.sampled_rows) == (4, None)
    told = [(one.name, one.type, one.nulls, one.least, one.most) for one in found.columns]
    assert told == [
        ("n", "int64", 1, "1", "7"),
        ("t", "string", 2, None, None),
        ("x", "double", 0, "0.25", "2.0"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"PAR1",
        b"PAR1" + bytes(100) + b"PAR1",
        b"PAR1" + struct.pack("<I", 0xFFFFFFF0) + b"PAR1",
        b"PAR1" + b"\xff" * 60 + struct.pack("<I", 60) + b"PAR1",
        b"PARE" + bytes(40) + b"\x10\0\0\0PARE",
    ],
)
def test_parquet_that_is_none(tmp_path: Path, data: bytes) -> None:
    found = look(tmp_path, "a.parquet", data, DATASET)
    assert not found.tables
    assert names(found, FindingKind.NOT_INSPECTED)


def test_parquet_flipped_anywhere_in_its_footer(tmp_path: Path) -> None:
    data = parquet_bytes(pa.table({"n": [1, 2], "t": ["a", "b"]}))
    size = int.from_bytes(data[-8:-4], "little")
    for offset in range(len(data) - 8 - size, len(data) - 8):
        broken = bytearray(data)
        broken[offset] ^= 0x55
        try:
            parquet_table.read("a.parquet", io.BytesIO(bytes(broken)), len(broken))
        except UninspectableError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"\x1c" * 100_000,  # structs within structs
        b"\x19" * 100_000,  # lists within lists
        b"\x19\xfc\xff\xff\xff\x0f",
        b"\x18\xff\xff\xff\xff\x0f",
        b"\x16" + b"\xff" * 40,
        b"\x1b\xff\xff\x03\x55",
        b"\x1d\x00",
        b"",
    ],
)
def test_footers_that_ask_for_too_much(data: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        read_struct(data)


def test_parquet_types_and_ranges(tmp_path: Path) -> None:
    day, moment = date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table(
        {
            "day": [day, date(2026, 5, 6)],
            "when": pa.array([moment, moment], pa.timestamp("us", tz="UTC")),
            "small": pa.array([250, 3], pa.uint8()),
            "price": pa.array([Decimal("1.50"), Decimal("-2.25")], pa.decimal128(9, 2)),
            "ok": [True, False],
            "list": [[1, 2], [3]],
            "struct": [{"a": 1, "b": {"c": 2}}, None],
            "nothing": pa.array([None, None], pa.null()),
            "nan": [float("nan"), 1.0],
            "after": [1, 2],
        }
    )
    found = table_of(tmp_path, "a.parquet", parquet_bytes(table))
    assert [(one.name, one.type, one.nulls, one.least, one.most) for one in found.columns] == [
        ("day", "date", 0, "2026-01-02", "2026-05-06"),
        ("when", "timestamp[us, UTC]", 0, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("small", "uint8", 0, "3", "250"),
        ("price", "decimal(9, 2)", 0, None, None),
        ("ok", "boolean", 0, None, None),
        ("list", "list", None, None, None),
        ("struct", "struct", None, None, None),
        ("nothing", "null", None, None, None),
        ("nan", "double", 0, "1.0", "1.0"),
        ("after", "int64", 0, "1", "2"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_what_pyarrow_reads(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = rng.randrange(1, 300)
    columns = {
        f"c{number}": [rng.choice([None, rng.randrange(-(2**40), 2**40)]) for _ in range(rows)]
        for number in range(9)
    } | {"f": [rng.choice([None, rng.uniform(-9, 9)]) for _ in range(rows)]}
    table = pa.table(
        {
            name: pa.array(values, pa.float64() if name == "f" else pa.int64())
            for name, values in columns.items()
        }
    )
    found = table_of(tmp_path, "a.parquet", parquet_bytes(table, row_group_size=rng.randrange(1, 90)))
    assert found.rows == rows
    for column in found.columns:
        values = [value for value in columns[column.name] if value is not None]
        assert column.nulls == rows - len(values)
        assert (column.least, column.most) == (
            (str(min(values)), str(max(values))) if values else (None, None)
        )


def test_small_csv(tmp_path: Path) -> None:
    data = lines(
        "id,name,when,score,ok",
        "1,Ada,2026-01-02,0.5,true",
        '2,"B, b",2026-03-04,,false',
        "10,,2025-01-01,3,true",
    )
    found = table_of(tmp_path, "a.csv", data)
    assert (found.rows, found.sampled_rows) == (3, None)
    assert [(one.name, one.type, one.nulls, one.least, one.most) for one in found.columns] == [
        ("id", "integer", 0, "1", "10"),
        ("name", "text", 1, None, None),
        ("when", "date", 0, "2025-01-01", "2026-03-04"),
        ("score", "number", 1, "0.5", "3.0"),
        ("ok", "boolean", 0, None, None),
    ]


def test_large_csv_is_sampled(tmp_path: Path) -> None:
    data = b"a,b\n" + b"1,2\n" * (csv_table.WHOLE_BYTES // 4)
    found = table_of(tmp_path, "a.csv", data)
    assert found.rows is None
    assert 0 < (found.sampled_rows or 0) < 200_000


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfea\0",
        b"a,b\n\xff\xff,1\n" * 400,
        b"a,a\n1,2\n",
        b"a,b\n1,2,3\n",
        b'a\n"' + b"x" * 200_000 + b'"\n',
        b",\n" * 9,
    ],
)
def test_csv_that_is_none(tmp_path: Path, data: bytes) -> None:
    found = look(tmp_path, "a.csv", data, DATASET)
    assert not found.tables
    assert found.looked_at == 1


def test_what_changed_in_a_table(tmp_path: Path) -> None:
    old = table_of(tmp_path, "a.csv", lines("a,b,c", "1,2,3", "4,5,"))
    new = table_of(tmp_path, "a.csv", lines("a,b,d", "1,x,3", "9,5,4", "2,2,2"))
    told = [(one.what, one.column, one.old, one.new) for one in table_changes(old, new)]
    assert told == [
        ("rows", "", "2", "3"),
        ("range", "a", "1 to 4", "1 to 9"),
        ("type", "b", "integer", "text"),
        ("range", "b", "2 to 5", None),
        ("column", "c", "integer", None),
        ("column", "d", None, "integer"),
    ]
    assert table_changes(old, old) == []


def test_only_models_and_datasets_are_looked_into(tmp_path: Path) -> None:
    other = VersionId(asset=AssetId(type="components", name="x"), version=Version.parse("1"))
    found = look(tmp_path, "a.pkl", b"N.", other)
    assert (found.looked_at, found.note) == (0, "components are not looked into")
