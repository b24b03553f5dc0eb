"""`references.jsonl`: one way to write it, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model import references as rules
from gitml.model.paths import path_problem
from gitml.model.references import Reference, known_reference, parse_references, path_of, registrable
from gitml.model.source_url import SourceUrl

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ROW = Reference(
    path="a/b.csv",
    url=SourceUrl.parse("s3://team-ml/raw/a/b.csv"),
    size_bytes=12,
    etag="0123abcd-2",
    version_id="3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
)
LINE = (
    b'{"path":"a/b.csv","url":"s3://team-ml/raw/a/b.csv","size":12,"etag":"0123abcd-2",'
    b'"version_id":"3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY","sha256":null}\n'
)


def test_a_line_never_changes() -> None:
    """Version 1 is read and written for ever."""
    assert ROW.line() == LINE
    assert list(parse_references([LINE])) == [ROW]
    assert known_reference(LINE) == ROW
    assert path_of(LINE) == ROW.path


PATHS = st.text(st.sampled_from("ab/é.") | st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: path_problem(text) is None
)
ROWS = st.builds(
    lambda path, size, etag, version, sha: Reference(
        path=path,
        url=SourceUrl.parse("s3://team-ml/x"),
        size_bytes=size,
        etag=etag,
        version_id=version,
        sha256=sha,
    ),
    PATHS,
    st.integers(0, 2**53),
    st.just("abc") | st.none(),
    st.none() | st.just("v1"),
    st.just(SHA),
)


@given(st.lists(ROWS, min_size=1, max_size=6))
def test_reading_gives_what_was_written(rows: list[Reference]) -> None:
    try:
        lines = list(registrable(row.line() for row in sorted(rows, key=lambda row: row.path.encode())))
    except InvalidInput:
        return
    again = list(parse_references(lines))
    assert again == sorted(rows, key=lambda row: row.path.encode())
    assert [row.line() for row in again] == lines


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for line in (data, data + b"\n", LINE[:40] + data + LINE[40:], LINE[:-2] + data + b"}\n"):
        try:
            found = list(parse_references([line]))
        except InvalidInput as error:
            assert error.message.isprintable()
            continue
        assert found[0].line() == line


def with_(**fields: Any) -> bytes:
    value = json.loads(LINE) | fields
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank line": b"\n",
    "no end of line": LINE[:-1],
    "CRLF": LINE[:-1] + b"\r\n",
    "BOM": b"\xef\xbb\xbf" + LINE,
    "latin-1": with_(path="é").decode().encode("latin-1"),
    "surrogate": LINE.replace(b"a/b.csv", b"\\ud800", 1),
    "an array": b"[]\n",
    "a number": b"1\n",
    "null": b"null\n",
    "deep": b"[" * 5000 + b"\n",
    "huge number": LINE.replace(b"12", b"9" * 5000),
    "number over 2^53": with_(size=2**53 + 1),
    "negative": with_(size=-1),
    "float": with_(size=1.0),
    "exponent": LINE.replace(b":12", b":12e0"),
    "true as a size": with_(size=True),
    "size as a text": with_(size="12"),
    "NaN": with_(size=float("nan")),
    "unknown key": LINE[:-2] + b',"offset":3}\n',
    "missing key": LINE.replace(b',"sha256":null', b""),
    "keys in another order": b'{"url":"s3://team-ml/x","path":"a","size":1,"etag":"x","version_id":null,"sha256":null}\n',
    "key twice": LINE.replace(b'{"path"', b'{"path":"x","path"'),
    "key by escape": LINE.replace(b'"path"', b'"\\u0070ath"'),
    "space": LINE.replace(b",", b", ", 1),
    "escaped": LINE.replace(b"a/b.csv", b"a\\/b.csv", 1),
    "two lines in one": LINE[:-1] + LINE,
    "too long": with_(etag="x" * 20_000),
    "path leaves": with_(path="../x"),
    "path leaves within": with_(path="a/../../x"),
    "path absolute": with_(path="/etc/passwd"),
    "path of another system": with_(path="a\\b"),
    "path empty": with_(path=""),
    "path control": with_(path="a\x1bb"),
    "path null": with_(path=None),
    "url null": with_(url=None),
    "url a path": with_(url="/etc/passwd"),
    "url chained": with_(url="simplecache::file:///etc/passwd"),
    "url leaves": with_(url="s3://team-ml/../x"),
    "url of metadata": with_(url="http://169.254.169.254/latest"),
    "url with credentials": with_(url="https://u:p@example.com/x"),
    "url signed": with_(url="https://example.com/x?sig=abcdefgh"),
    "etag weak": with_(etag='W/"x"'),
    "etag quoted": with_(etag='"x"'),
    "etag header": with_(etag="x\r\nHost: evil"),
    "etag empty": with_(etag=""),
    "etag a number": with_(etag=1),
    "version header": with_(version_id="x\r\ny"),
    "sha prefixed": with_(sha256="sha256:" + SHA),
    "sha upper": with_(sha256=SHA.upper()),
    "sha short": with_(sha256=SHA[:-1]),
    "md5": with_(sha256="d41d8cd98f00b204e9800998ecf8427e"),
    "nothing to judge by": with_(etag=None, version_id=None),
    "a file without sha256": with_(url="file:///srv/x", etag=None, version_id=None),
    "a file with an etag": with_(url="file:///srv/x", version_id=None, sha256=SHA),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        list(parse_references([HOSTILE[name]] if HOSTILE[name] else []))
    assert caught.value.code in ("bad-references", "bad-source-url", "bad-path")
    assert caught.value.message.isprintable()
    assert caught.value.hint


def rows(*paths: str) -> list[Reference]:
    return [replace(ROW, path=path) for path in paths]


@pytest.mark.parametrize(
    "paths", [("a", "a"), ("b", "a"), ("a", "a/b"), ("a", "a-b", "a/b"), ("a/b", "a/b/c/d"), ("z", "é", "ä")]
)
def test_paths_that_cannot_be_one_tree(paths: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        list(parse_references([row.line() for row in rows(*paths)]))


@pytest.mark.parametrize(
    "paths",
    [("A/x", "a/y"), ("A", "a"), ("a", "aB", "ab"), ("d/A/x", "d/a-b", "d/a/x"), ("x", "x-y", "x/z"),
      ("asset.yaml",), (".git/config",), ("x", "x"), ("x", "x/y"), ("e\u0301",), ("a" * 256,)],
    ids=ascii,
)  # fmt: skip
def test_what_is_not_registered(paths: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        list(registrable(row.line() for row in rows(*paths)))


def test_the_number_of_files_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [row.line() for row in rows("a", "b", "c")]
    monkeypatch.setattr(rules, "MAX_FILES", 3)
    assert len(list(parse_references(lines))) == 3
    monkeypatch.setattr(rules, "MAX_FILES", 2)
    with pytest.raises(InvalidInput, match="more than 2 lines"):
        list(parse_references(lines))
