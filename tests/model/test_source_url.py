"""Locations of external data: an allow-list, taken literally."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.source_url import SourceKind, SourceUrl, typed_source


@pytest.mark.parametrize(
    ("text", "kind", "authority", "key"),
    [
        ("file:///srv/data", SourceKind.FOLDER, "", "srv/data"),
        ("file:///srv/a b%20c#d?e", SourceKind.FOLDER, "", "srv/a b%20c#d?e"),
        ("s3://team-ml", SourceKind.S3, "team-ml", ""),
        ("s3://team-ml/raw/x::y $z~#%2e", SourceKind.S3, "team-ml", "raw/x::y $z~#%2e"),
        ("az://models/x", SourceKind.AZURE, "models", "x"),
        ("abfs://c01@acct.dfs.core.windows.net/x", SourceKind.AZURE, "c01@acct.dfs.core.windows.net", "x"),
        ("https://example.com/a%20b/c.csv?download=1", SourceKind.WEB, "example.com", "a%20b/c.csv?download=1"),
        ("https://example.com:8443/c", SourceKind.WEB, "example.com:8443", "c"),
        ("http://127.0.0.1:8000/c", SourceKind.WEB, "127.0.0.1:8000", "c"),
        ("http://[::1]:8000/c", SourceKind.WEB, "[::1]:8000", "c"),
    ],
)  # fmt: skip
def test_locations(text: str, kind: SourceKind, authority: str, key: str) -> None:
    url = SourceUrl.parse(text)
    assert (url.kind, url.authority, url.key) == (kind, authority, key)
    assert str(url) == text


REFUSED = [
    "", " ", "x", "/etc/passwd", "file:", "file://", "file:///", "file://host/x", "file:/etc/passwd", "FILE:///x",
    "file:///a/../b", "file:///a//b", "file:///a/./b", "file:///a/", "file:////srv/x", "file:///a\\b", "file:///a\nb",
    "file://localhost/x", "file:///\ud800", "file:///a\u202eb", "file:///\x1b[31m",
    "simplecache::file:///etc/passwd", "filecache::s3://team-ml/x", "local:///etc", "data:,x", "memory://x", "ftp://h/x",
    "sftp://h/x", "ssh://h/x", "gs://bucket/x", "hf://datasets/x", "github://o:r@main/x", "reference://x", "zip://x::s3://b",
    "gitml://x", "javascript:alert(1)", "ext::sh -c id", "jar:file:x", "{{x}}", "s3:team-ml", "S3://team-ml/x",
    "s3://", "s3:///x", "s3://Bucket/x", "s3://b", "s3://key:secret@team-ml/x", "s3://team-ml/../x", "s3://team-ml/a//b",
    "s3://team-ml//x", "s3://team-ml/a/", "s3://team-ml/", "s3://team-ml:9000/x", "s3://team-ml?x", "s3://team-ml#x/y",
    "s3://a..b/x", "s3://\u0441-bucket/x", "az://Models/x", "az://key@models/x", "abfs://c01@evil.example.com/x",
    "abfs://c01:pw@acct/x",
    "https://", "https://example.com", "https://example.com/", "https://example.com/a/", "https:///x", "HTTPS://example.com/x",
    "https://Example.com/x", "https://user@example.com/x", "https://user:pw@example.com/x", "https://example.com:x/y",
    "https://example.com/a/../b", "https://example.com/a/%2e%2e/b", "https://example.com/./b", "https://example.com/%2E/b",
    "https://example.com//b", "https://example.com/a b", "https://example.com/a%zz", "https://example.com/a#b",
    "https://example.com/\u00e9", "https://example.com/a?", "https://example.com/a?b c", "https://example.com\\x/y",
    "https://-a.com/x", "https://example.com@evil/x", "https://example.com%40evil/x", "https://127.1@x/y",
    "http://example.com/x", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/x", "http://localhost.evil.com/x",
    "http://127.0.0.1.evil.com/x",
    "https://example.com/x?sig=abc", "https://example.com/x?a=1&X-Amz-Signature=abc", "https://example.com/x?token=1",
    "https://example.com/x?access_token=1", "https://example.com/x?se=2026&sp=r&sv=1", "https://example.com/x?AWSAccessKeyId=A",
    "https://example.com/x?Expires=1", "https://example.com/x?Key-Pair-Id=1", "https://example.com/x?Policy=1",
    "https://example.com/x?api_key=1", "https://example.com/x?apikey=1", "https://example.com/x?x-goog-signature=1",
    "https://example.com/x?password=1", "https://example.com/x?%73ig=abc", "https://example.com/x?jwt=1",
    "https://example.com/x?d=0123456789abcdef0123456789abcdef0", "https://example.com/x?auth=1", "s3://team-ml/" + "a" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SourceUrl.parse(text)
    assert caught.value.code == "bad-source-url"
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "https://u:SuperSecret1@h.example/x",
        "s3://key:SuperSecret1@team-ml/x",
        "https://h.example/x?sig=SuperSecret1",
    ],
)
def test_the_message_has_no_credentials(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SourceUrl.parse(text)
    assert "SuperSecret1" not in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    ("above", "below", "covers"),
    [
        ("file:///srv/data", "file:///srv/data", True), ("file:///srv/data", "file:///srv/data/a/b", True),
        ("file:///srv/data", "file:///srv/data2", False), ("file:///srv/data", "file:///srv", False),
        ("s3://team-ml", "s3://team-ml/x", True), ("s3://team-ml", "s3://team-ml2/x", False),
        ("s3://team-ml/x", "az://team-ml/x", False), ("s3://team-ml/raw", "s3://team-ml/raw.txt", False),
        ("https://example.com/d", "https://example.com/d/x?y=1", True),
        ("https://example.com/d", "https://example.com:444/d/x", False),
        ("https://example.com/d", "http://127.0.0.1/d/x", False),
    ],
)  # fmt: skip
def test_a_location_covers_itself_and_what_lies_below(above: str, below: str, covers: bool) -> None:
    assert SourceUrl.parse(above).covers(SourceUrl.parse(below)) is covers


def test_as_people_type_them() -> None:
    assert str(typed_source("s3://team-ml/raw/")) == "s3://team-ml/raw"
    assert str(typed_source("s3://team-ml/")) == "s3://team-ml"
    for text in ("file:///a%2fb", "file:///a#b", "https://example.com/dir/", "https://example.com/"):
        with pytest.raises(InvalidInput):
            typed_source(text)
    assert str(SourceUrl.of_path(PurePosixPath("/srv/a%b#c"))) == "file:///srv/a%b#c"


@given(st.text(st.sampled_from("s3:/az.~@$%?#&=htpf\\ \n") | st.characters(), max_size=40))
def test_any_text_is_read_as_it_stands_or_refused(text: str) -> None:
    for prefix in ("", "s3://team-ml/", "file:///", "https://example.com/"):
        try:
            url = SourceUrl.parse(prefix + text)
        except InvalidInput as error:
            assert error.message.isprintable()
            continue
        assert str(url) == prefix + text
        assert url.root.covers(url)
