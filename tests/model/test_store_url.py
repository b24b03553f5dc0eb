"""Locations of stores: an allow-list, and nothing that other openers make of a text."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.store_url import StoreKind, parse_store_url

BASE = PurePosixPath("/work/registry")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/srv/store", "/srv/store"), ("store", "/work/registry/store"), ("../store", "/work/registry/../store"),
        ("./a b", "/work/registry/a b"),
        ("file:///srv/store", "/srv/store"), ("file://localhost/srv/store", "/srv/store"), ("/srv/é", "/srv/é"),
        ("/srv/100%", "/srv/100%"),
        ("/srv/a#b?c", "/srv/a#b?c"), ("./s3:x", "/work/registry/s3:x"), ("/mnt/x@y", "/mnt/x@y"),
    ],
)  # fmt: skip
def test_folders(text: str, path: str) -> None:
    url = parse_store_url(text, BASE)
    assert (url.scheme, url.kind, url.extra, url.is_folder) == ("file", StoreKind.FOLDER, None, True)
    assert str(url.path) == path == str(url)
    assert parse_store_url(str(url), BASE) == url


@pytest.mark.parametrize(
    ("text", "bucket", "account", "prefix", "extra"),
    [
        ("s3://team-ml/registry", "team-ml", "", "registry", "s3"), ("s3://team-ml", "team-ml", "", "", "s3"),
        ("s3://team.ml/a/b c/", "team.ml", "", "a/b c", "s3"),
        ("az://models/x", "models", "", "x", "azure"),
        ("abfs://c01@acct.dfs.core.windows.net/x", "c01", "acct.dfs.core.windows.net", "x", "azure"),
        ("abfss://c01@acct/x/y", "c01", "acct", "x/y", "azure"), ("abfs://c01/x", "c01", "", "x", "azure"),
    ],
)  # fmt: skip
def test_buckets(text: str, bucket: str, account: str, prefix: str, extra: str) -> None:
    url = parse_store_url(text, BASE)
    assert (url.bucket, url.account, url.prefix, url.extra, url.is_folder) == (
        bucket,
        account,
        prefix,
        extra,
        False,
    )
    assert str(url) == text.rstrip("/")


REFUSED = [
    "", " ", "\n", "~", "~/store", "~root/store", "simplecache::file:///etc/passwd", "simplecache::s3://bucket/x",
    "filecache::s3://bucket", "blockcache::file:///x",
    "zip://x::s3://b", "a::b", "::", "local:///etc", "local://x", "data:,x", "data:text/plain;base64,eA==",
    "data://x", "http://host/x", "https://host/x", "HTTP://host",
    "ftp://host/x", "ftps://h/x", "sftp://h/x", "ssh://h/x", "git://h/x", "github://o:r@main/x", "gitml://x",
    "reference://x", "memory://x", "memory:x", "zip://x", "tar://x",
    "dbfs:/x", "hdfs://h/x", "webhdfs://h/x", "gs://bucket/x", "gcs://bucket/x", "adl://x/y", "smb://h/x",
    "nfs://h/x", "oci://x", "hf://datasets/x", "jar:file:x",
    "javascript:alert(1)", "ext::sh -c id", "ext::sh", "file:x", "file://x", "file://host/x", "file:////host/share",
    "file://localhostx/y", "file:///a%2fb", "file:///a?b",
    "file:///a#b", "FILE:///x", "S3://bucket/x", "s3:bucket", "s3:/bucket", "s3://", "s3:///x", "s3://Bucket/x",
    "s3://b", "s3://a_b/x", "s3://-ab/x", "s3://a..b/x",
    "s3://key:secret@bucket/x", "s3://key@bucket/x", "s3://bucket/../x", "s3://bucket/a/../b", "s3://bucket/./x",
    "s3://bucket//x", "s3://bucket/a//b", "s3://bucket/a?x=1",
    "s3://bucket/a#b", "s3://bucket/%2e%2e/x", "s3://bucket/a*", "s3://bucket\\x", "s3://bucket:9000/x",
    "az://key@models/x", "az://Models/x", "az://a--b/x",
    "abfs://c01@evil.example.com/x", "abfs://c01@acct.dfs.x.net@evil/x", "abfs://c01@/x", "abfs://c01:pw@acct/x",
    "az://models/x?sig=abcdefghijklmnop", "C:\\store", "C:/store",
    "\\\\server\\share", "a\\b", "$HOME/store", "${HOME}", "/srv/$USER", "{{x}}", "/srv/a\nb", "/srv/a\0",
    "/srv/\x1b[31m", "/srv/a\r", "/srv/\u202ex", "/srv/\u200bx", " /srv",
    "/srv ", "host:path", "user@host:path", "x:y", "/" + "a" * 3000, "/srv/\ud800", "s3://\u0441-bucket/x",
    "s3://bucket /x", "\ufeff/srv",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(text, BASE)
    assert caught.value.code == "bad-store-url"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "s3://key:SuperSecret1@bucket/x",
        "https://u:SuperSecret1@h/x",
        "az://models/x?sig=SuperSecret1",
        "ftp://SuperSecret1@h/",
        "s4://key:SuperSecret1@bucket/x",
        "s3a://bucket/x?sig=SuperSecret1",
    ],
)
def test_the_message_has_no_credentials(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(text, BASE)
    assert "SuperSecret1" not in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("s4://bucket/x", "s3://bucket/x"), ("s3:/bucket/x", "s3://bucket/x"), ("s3:bucket", "s3://bucket"),
        ("s3a://bucket/x", "s3://bucket/x"), ("abs://c01@acct/x", "abfs://***@acct/x"), ("as://models/x", "az://models/x"),
        ("S3://bucket/x", "s3://bucket/x"), ("nfs://host/x", "mount it, and name the folder"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(text: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(text, BASE)
    assert caught.value.hint == hint


@pytest.mark.parametrize("scheme", ["gs", "ssh", "smb", "sftp", "hdfs"])
def test_other_places_are_not_taken_for_a_slip(scheme: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_store_url(f"{scheme}://host/x", BASE)
    assert f"allow_schemes: [{scheme}]" in (caught.value.hint or "")


def test_without_a_base_a_path_stays_relative() -> None:
    assert str(parse_store_url("../store").path) == "../store"


@given(st.text(st.sampled_from("s3:/az.~@$%\\ \n") | st.characters(), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = parse_store_url(text, BASE)
    except InvalidInput as error:
        assert error.message.isprintable()
        return
    assert url.scheme in ("file", "s3", "az", "abfs", "abfss")
    assert parse_store_url(str(url), BASE) == url
