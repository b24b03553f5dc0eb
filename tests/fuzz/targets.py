"""What is fuzzed: each reader of text or bytes that others wrote, good examples of what it reads, and what must hold.

A reader gives a value or raises a :class:`GitMLError`; what it gives can be written and read again, and is the same;
what it read canonically, it writes back byte for byte.
"""

from __future__ import annotations

import io
import json
import pickle  # noqa: TID251 - to have some that GitML does not load
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import zstandard

from gitml.errors import GitMLError
from gitml.git.failures import failure
from gitml.git.objects import RawObject, parse_commit, parse_listing, parse_tree
from gitml.git.signatures import Signers
from gitml.git.urls import check_url, same_remote, without_credentials
from gitml.model import redact, strict_yaml
from gitml.model.about import About
from gitml.model.config import Config
from gitml.model.digest import Digest
from gitml.model.names import version_of
from gitml.model.pointer import Pointer
from gitml.model.reference import AssetRef
from gitml.model.references import Reference, parse_references
from gitml.model.request import RequestEvent
from gitml.model.requirements import MetricRule, UnknownRuleError
from gitml.model.source_url import SourceUrl
from gitml.model.stagefile import StageFile
from gitml.model.statement import StatedMove, Statement, find_statement, with_statement, without_statement
from gitml.model.store_url import parse_store_url
from gitml.model.where import parse_where
from gitml.registry.inspection.inspect import inspect
from gitml.store.formats.codec import CHUNK_LIMIT_BYTES, compress_chunk, decode_chunk
from gitml.store.formats.manifest import Manifest, Row, decode_manifest, encode_manifest
from gitml.store.formats.pack import PackRef, decode_footer, encode_footer, pack_tail, split_pack
from gitml.store.formats.root import Root, decode_root, encode_root
from gitml.store.formats.segment import Segment, decode_segment, encode_segment
from gitml.store.read.entries import FileEntry

OID = "1" * 40
DIGEST = f"sha256:{'a' * 64}"


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        read: Reads; raises what the reader raises, and AssertionError where what it gave does not hold.
        seeds: Good examples.
        words: Pieces that mean something to it.
    """

    name: str
    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


YAML_WORDS = (
    b": ",
    b"- ",
    b"{}",
    b"[]",
    b'"',
    b"'",
    b"\n",
    b"  ",
    b"<<: ",
    b"&a ",
    b"*a",
    b"!!",
    b"|\n",
    b"---\n",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"~",
    b"1e999",
    b".inf",
    b"0x10",
    b"\\u0000",
    b"? ",
    b"# ",
    b"\xe2\x80\xae",
)
JSON_WORDS = (b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\ud800", b"NaN", b"1e999", b"-", b"null", b"true")
PACK_WORDS = (
    b"\x80",
    b"\x90",
    b"\xc0",
    b"\xc4\xff",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xa0",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\x91" * 40,
)
URL_WORDS = (
    b"://",
    b"::",
    b"@",
    b"//",
    b"..",
    b"%2e",
    b"~",
    b"-",
    b"?",
    b"#",
    b"s3",
    b"file",
    b"ssh",
    b"ext",
    b"[",
    b"]",
    b"\n",
    b":0",
    b":99999",
    b"\\",
    b"$HOME",
)


def void(_: object) -> None:
    """Reading is all."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _written(parse: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    """For readers whose values have `format()`."""

    def read(data: bytes) -> None:
        found = parse(data)
        text = found.format()
        again = parse(text)
        assert again == found, "it reads back as something else"
        assert again.format() == text, "it is not stable"

    return read


POINTER = f"""schema: gitml/asset/v1
type: models
name: digits
version: "3"
description: "CNN: 8x8"
created: "2026-11-21T04:30:00Z"
author: "Ada Example <ada@example.com>"
labels:
  licence: MIT
contents:
  digest: "{DIGEST}"
  listing: "{DIGEST}"
  size: 4831838
  files: 3
  store: default
  review:
    - README.md
inputs:
  - ref: "datasets/digits@1"
    digest: "{DIGEST}"
    role: training
params:
  epochs: 5
  rate: 0.001
metrics:
  accuracy: 0.981
spec: {{}}
""".encode()
CONFIG = b"""schema: gitml/config/v1
registry: 6c1d0b9e-0000-4000-8000-000000000000
default_branch: main
stores:
  default: {url: "s3://team-ml/registry", endpoint_url: "https://s3.example.com"}
stages:
  staging: {from: ["working/*", main]}
  production:
    from: [staging]
    require: {approvals: 1, inputs_promoted: true, metrics: {"models/*": ["accuracy >= 0.9"]}}
metrics: {accuracy: higher}
forge: {kind: auto}
registries: {shared: "git@host:org/shared.git"}
types: {}
"""
ABOUT = b"""description: Digits
owners:
  - ada@example.com
aliases:
  champion: "2"
deprecated:
  "1": {reason: old, replaced_by: "2"}
"""
EVENT = json.dumps(
    {
        "schema": "gitml/request/v1",
        "number": 1,
        "kind": "opened",
        "target": "staging",
        "base": OID,
        "head": OID,
        "refs": ["models/digits@1"],
        "actor": {"name": "Ada", "email": "ada@example.com"},
        "time": "2026-11-21T04:30:00Z",
        "comment": "Title",
        "source": "main",
    }
).encode()
STATEMENT = Statement(
    subjects={"models/digits@1": Digest(b"a" * 32)},
    kind="by-asset",
    target="staging",
    base=OID,
    source="main",
    source_commit=None,
    moves=(StatedMove(asset="models/digits", from_version=None, to_version="1"),),
    asker=("Ada", "ada@example.com"),
    time=datetime(2026, 1, 1, tzinfo=UTC),
    tool="0.1.0",
)
REFERENCES = b"".join(
    one.line()
    for one in (
        Reference(
            path="a.bin",
            url=SourceUrl.parse("s3://bucket/a.bin"),
            size_bytes=5,
            etag="x",
            version_id=None,
            sha256=None,
        ),
        Reference(
            path="b/c.bin",
            url=SourceUrl.parse("https://example.com/c"),
            size_bytes=7,
            etag=None,
            version_id="v",
            sha256="a" * 64,
        ),
    )
)
_PACK = PackRef(id=b"p" * 32, size_bytes=1000, footer_bytes=50)
_SEGMENT = Segment(paths=["a", "b/c"], sizes=[5, 0], shas=b"x" * 64, runs=[[(0, 0, 1)], []], packs=[_PACK])
_ROW = Row(first_path="a", entries=3, size_bytes=12, logical=b"l" * 32, segment_id=b"s" * 32)
_MANIFEST = Manifest(tree=b"t" * 32, files=3, size_bytes=12, rows=[_ROW])
_ROOT = Root(
    tree=Digest(b"t" * 32),
    listing=Digest(b"l" * 32),
    manifest="ab" * 32,
    size_bytes=12,
    files=3,
    created="2026-11-21T00:00:00Z",
)
_FOOTER = encode_footer(b"i" * 64, [5, 9], [5, 4], b"\0\1").data
_COMMIT = (
    f"tree {OID}\nparent {OID}\nauthor Ada <ada@example.com> 1795233600 +0100\n"
    "committer Ada <ada@example.com> 1795233600 -0930\nencoding ISO-8859-1\ngpgsig x\n y\n\nText\n"
).encode()


def _event(data: bytes) -> None:
    found = RequestEvent.parse(data)
    text = found.format()
    again = RequestEvent.parse(text)
    assert again == found and again.format() == text


def _statement(data: bytes) -> None:
    message = data.decode("utf-8", "replace")
    found = find_statement(message)
    if found is not None:
        again = find_statement(with_statement(without_statement(message), found))
        assert again == found


def _references(data: bytes) -> None:
    assert b"".join(one.line() for one in parse_references(io.BytesIO(data))) == data


def _framed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _inner(stored: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(stored)


def _segment(data: bytes) -> None:
    found = decode_segment(_framed(data), None, "it")
    assert decode_segment(encode_segment(found).data, None, "it") == found
    found.logical_digest()


def _manifest(data: bytes) -> None:
    found = decode_manifest(_framed(data), None, "it")
    assert decode_manifest(encode_manifest(found).data, None, "it") == found


def _root(data: bytes) -> None:
    found = decode_root(data, "it")
    assert decode_root(encode_root(found), "it") == found


def _pack(data: bytes) -> None:
    payload, footer = split_pack(data, None, "it")
    assert len(payload) <= len(data)
    del footer


def _chunk(data: bytes) -> None:
    if len(data) > 3:
        found = decode_chunk(data[3:], data[0] % 4, int.from_bytes(data[1:3], "little"), "it")
        assert len(found) <= CHUNK_LIMIT_BYTES


def _store_url(data: bytes) -> None:
    found = parse_store_url(_text(data))
    assert parse_store_url(str(found)) == found


def _git_url(data: bytes) -> None:
    text = _text(data)
    without_credentials(text)
    found = check_url(text)
    assert not found.startswith("-") and "::" not in found and "\n" not in found
    assert check_url(found) == found
    same_remote(found, "git@host:org/repo.git")


def _ref(data: bytes) -> None:
    found = AssetRef.parse(_text(data))
    assert AssetRef.parse(str(found)) == found


def _tree(data: bytes) -> None:
    for entry in parse_tree(RawObject(oid=OID, kind="tree", data=data)):
        assert "/" not in entry.path


def _listing(data: bytes) -> None:
    parse_listing(data)


def _commit(data: bytes) -> None:
    parse_commit(RawObject(oid=OID, kind="commit", data=data))


def _signers(data: bytes) -> None:
    Signers(allowed=data, revoked=None, at=datetime(2026, 1, 1, tzinfo=UTC)).lines_of("ada@example.com")


def _metric_rule(data: bytes) -> None:
    with suppress(UnknownRuleError):  # the policy says so
        MetricRule.parse(_text(data))


def _words_of_git(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    error = failure(text, 128, what="it failed")
    assert isinstance(error, GitMLError) and len(error.message) <= 2000
    redact.redact(text)


class _Tree:
    """A version with one file."""

    files = 1

    def __init__(self, path: str, data: bytes) -> None:
        self._path, self._data = path, data

    def entries(self) -> Iterator[FileEntry]:
        yield FileEntry(path=self._path, size_bytes=len(self._data), digest=b"d" * 32)

    def open(self, path: str) -> io.RawIOBase:
        return _Raw(self._data)


class _Raw(io.BytesIO):
    """A file in memory that a buffer can be put around."""


def _looked_into(kind: str, path: str) -> Callable[[bytes], None]:
    """Looking into a file never fails: what cannot be read is a finding."""

    def read(data: bytes) -> None:
        found = inspect(version_of(kind, "x", "1"), _Tree(path, data))
        assert found.looked_at == 1

    return read


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"n": [1, 2, None], "t": ["a", "b", "c"], "l": [[1], [], None], "f": [0.5, 1.5, -1.0]})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _numpy() -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps([1])


_PICKLE = pickle.dumps({"a": [1, (2.5, "x")], "b": datetime(2026, 1, 1, tzinfo=UTC)})
_OLD_PICKLE = pickle.dumps({"a": [1, "x" * 300]}, protocol=0)
PICKLE_WORDS = (
    b"cos\nsystem\n",
    b"\x93",
    b"R",
    b".",
    b"\x8c\x02os",
    b"(",
    b"t",
    b"\x80\x05",
    b"\x95" + b"\xff" * 8,
    b"\x8d" + b"\x7f" * 8,
    b"B\xff\xff\xff\x7f",
    b"h\x00",
    b"q\x00",
    b"\x94",
    b"I1\n",
    b"L1L\n",
)
THRIFT_WORDS = (
    b"\x19\xfc",
    b"\x15\xff\xff\xff\xff\x0f",
    b"\x1c",
    b"\x00",
    b"\x18\xff\x7f",
    b"\xf9",
    b"\x8c" * 60,
    b"\x2c",
)

TARGETS: dict[str, Target] = {
    one.name: one
    for one in (
        Target(
            "pointer", _written(lambda data: Pointer.parse(data, file="asset.yaml")), (POINTER,), YAML_WORDS
        ),
        Target("config", lambda data: void(Config.parse(data, file="gitml.yaml")), (CONFIG,), YAML_WORDS),
        Target("about", _written(lambda data: About.parse(data, file="about.yaml")), (ABOUT,), YAML_WORDS),
        Target(
            "stage-file",
            _written(lambda data: StageFile.parse(data, file="s.yaml")),
            (b'current: "3"\n',),
            YAML_WORDS,
        ),
        Target(
            "yaml",
            lambda data: void(strict_yaml.load(data, file="x.yaml")),
            (POINTER, CONFIG, ABOUT),
            YAML_WORDS,
        ),
        Target("json", lambda data: void(strict_yaml.load_json(data, file="x.json")), (EVENT,), JSON_WORDS),
        Target("event", _event, (EVENT,), JSON_WORDS),
        Target(
            "statement",
            _statement,
            (with_statement("Title", STATEMENT).encode(),),
            JSON_WORDS,
        ),
        Target("references", _references, (REFERENCES,), JSON_WORDS),
        Target("manifest", _manifest, (_inner(encode_manifest(_MANIFEST).data),), PACK_WORDS),
        Target("segment", _segment, (_inner(encode_segment(_SEGMENT).data),), PACK_WORDS),
        Target("root", _root, (encode_root(_ROOT),), JSON_WORDS),
        Target("footer", lambda data: void(decode_footer(data, None, "it")), (_FOOTER,), PACK_WORDS),
        Target("pack", _pack, (b"hello1234" + pack_tail(_FOOTER),), PACK_WORDS),
        Target(
            "frame",
            lambda data: void(decode_segment(data, None, "it")),
            (encode_segment(_SEGMENT).data,),
            (b"\x28\xb5\x2f\xfd",),
        ),
        Target(
            "chunk", _chunk, (b"\0\5\0hello", b"\1\x28\0" + compress_chunk(b"x" * 40)), (b"\x28\xb5\x2f\xfd",)
        ),
        Target(
            "store-url",
            _store_url,
            (
                b"s3://bucket/prefix",
                b"az://container/p",
                b"/srv/store",
                b"file:///srv/x",
                b"abfss://container@account.dfs.core.windows.net/p",
            ),
            URL_WORDS,
        ),
        Target(
            "git-url",
            _git_url,
            (
                b"git@host:org/repo.git",
                b"https://u:p@host:8443/a/b.git",
                b"ssh://git@host/x",
                b"../repo",
                b"file:///srv/x.git",
            ),
            URL_WORDS,
        ),
        Target(
            "source-url",
            lambda data: void(SourceUrl.parse(_text(data))),
            (b"s3://bucket/key", b"https://h/p", b"file:///data/x"),
            URL_WORDS,
        ),
        Target(
            "asset-ref",
            _ref,
            (
                b"models/digits@3",
                b"digits@production:a/b.txt",
                b"https://h/r.git//models/x@latest",
                f"models/x@{DIGEST}".encode(),
            ),
            (b"@", b":", b"//", b"/", b"sha256:", b".."),
        ),
        Target(
            "condition",
            lambda data: void(parse_where(_text(data))),
            (b"metrics.accuracy>=0.9", b"labels.team!=a"),
            (b"<=", b"=", b".", b"!"),
        ),
        Target(
            "metric-rule",
            _metric_rule,
            (b"accuracy >= 0.9", b"loss not worse than current"),
            (b">", b" not worse than current", b"1e5", b"nan"),
        ),
        Target(
            "git-tree",
            _tree,
            (b"100644 a\0" + b"\1" * 20 + b"40000 b\0" + b"\2" * 20,),
            (b"\0", b" ", b"120000 ", b"160000 "),
        ),
        Target(
            "git-listing",
            _listing,
            (f"100644 blob {OID}\ta b\0040000 tree {OID}\tc\0".encode(),),
            (b"\0", b"\t", b" ", b"\n"),
        ),
        Target(
            "git-commit",
            _commit,
            (_COMMIT,),
            (b"\n", b"encoding ", b"author ", b"<", b">", b" +9999", b"99999999999999999"),
        ),
        Target(
            "git-words",
            _words_of_git,
            (
                b"fatal: could not read from https://u:p@h/x\n",
                b"error: cannot lock ref 'x': is at a but expected b\n",
            ),
            (b"'", b".lock': File exists", b"remote: ", b"://", b"@"),
        ),
        Target(
            "allowed-signers",
            _signers,
            (b'ada@example.com,*@x.org namespaces="git",valid-before="20270101" ssh-ed25519 AAAA\n',),
            (b'"', b",", b"!", b"*", b" ", b"valid-before=", b"cert-authority"),
        ),
        Target("parquet", _looked_into("datasets", "a.parquet"), (_parquet(),), THRIFT_WORDS),
        Target(
            "csv",
            _looked_into("datasets", "a.csv"),
            (b'a,b,c\n1,x,2026-01-01\n2.5,"y ""z""",\n',),
            (b'"', b",", b"\n", b"\r", b"\0", b";", b"\t", b"9" * 400),
        ),
        Target("pickle", _looked_into("models", "a.pkl"), (_PICKLE, _OLD_PICKLE), PICKLE_WORDS),
        Target(
            "zip",
            _looked_into("models", "a.pt"),
            (
                _zip(**{"archive/data.pkl": _PICKLE, "archive/version": b"3"}),
                _zip(**{"config.json": b'{"class_name": "Lambda"}'}),
            ),
            (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\xff\xff\xff\xff"),
        ),
        Target("numpy", _looked_into("models", "a.npy"), (_numpy(),), (b"\x93NUMPY", b"|O", b"{'descr'")),
        Target(
            "safetensors",
            _looked_into("models", "a.safetensors"),
            (
                b"\x40"
                + b"\0" * 7
                + b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64)
                + b"\0" * 4,
            ),
            JSON_WORDS,
        ),
    )
}
