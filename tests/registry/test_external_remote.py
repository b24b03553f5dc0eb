"""Versions that refer to a bucket or to a web server."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.remote import BUCKET, Place, place
from support.team import Team, read
from support.web import WebServer

from gitml.api import Registry
from gitml.errors import AccessDenied, GitMLError, IntegrityError, InvalidInput, NotFound, StoreUnavailable
from gitml.store.external import origin_remote
from gitml.store.media.remote_client import Pin

DRAW = random.Random(3)
FILES = {"a.csv": b"1,2\n", "deep/b.bin": DRAW.randbytes(3_000), "empty": b"", "odd %20#&+=é.txt": b"odd"}
LARGE = DRAW.randbytes(9_000_000)


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket with files in it, and hands to change them behind everybody's back."""

    place: Place
    url: str

    def key(self, path: str) -> str:
        return f"{self.url.split('/', 3)[3]}/{path}"

    def put(self, path: str, data: bytes) -> None:
        self.put_key(self.key(path), data)

    def put_key(self, key: str, data: bytes) -> None:
        if self.url.startswith("s3"):
            self._s3().put_object(Bucket=BUCKET, Key=key, Body=data)
        else:
            with self._azure() as service:
                service.get_blob_client(BUCKET, key).upload_blob(data, overwrite=True)

    def delete(self, path: str) -> None:
        if self.url.startswith("s3"):
            self._s3().delete_object(Bucket=BUCKET, Key=self.key(path))
        else:
            with self._azure() as service:
                service.get_blob_client(BUCKET, self.key(path)).delete_blob()

    def keep_versions(self, status: str = "Enabled") -> None:
        self._s3().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})

    def forget_versions(self, path: str) -> None:
        client = self._s3()
        for one in client.list_object_versions(Bucket=BUCKET, Prefix=self.key(path)).get("Versions", ()):
            client.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])

    def _s3(self) -> Any:
        return _s3_client(self.place.endpoint_url)

    def _azure(self) -> Any:
        from azure.storage.blob import BlobServiceClient
        from servers.running import AZURITE_ACCOUNT, AZURITE_KEY

        credential = {"account_name": AZURITE_ACCOUNT, "account_key": AZURITE_KEY}
        return BlobServiceClient(self.place.endpoint_url, credential=credential)


@cache
def _s3_client(endpoint_url: str) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client("s3", endpoint_url=endpoint_url)


def bucket_of(server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    there = place(server, monkeypatch)
    monkeypatch.setenv("GITML_STORE_EXTERNAL_ENDPOINT_URL", there.endpoint_url)
    bucket = Bucket(there, f"{there.url}/raw")
    for path, data in FILES.items():
        bucket.put(path, data)
    return bucket


@pytest.fixture(params=["moto", "azurite", pytest.param("ceph", marks=pytest.mark.nightly)])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return bucket_of(request.param, monkeypatch)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return bucket_of("moto", monkeypatch)


def refer(team: Team, url: str, **options: Any) -> Registry:
    team.ada.registry.register("datasets/raw", url, reference=True, **options)
    return team.ada.registry


def test_the_whole_way(team: Team, bucket: Bucket, tmp_path: Path) -> None:
    registry = team.ada.registry
    files = {**FILES, "deep/large.bin": LARGE}
    bucket.put("deep/large.bin", LARGE)
    made = registry.register("datasets/raw", bucket.url + "/", reference=True)
    assert made.external is not None
    assert (made.external.files, made.external.size_bytes) == (5, 9_003_007)
    assert made.external.sources == (bucket.url,)
    assert not registry.register("datasets/raw", bucket.url, reference=True).created
    first = registry.get("datasets/raw@1", tmp_path / "out")
    assert (first.written, first.written_bytes) == (5, 9_003_007)
    assert read(tmp_path / "out") == dict(sorted(files.items()))
    second = registry.get("datasets/raw@1", tmp_path / "out")
    assert (second.written, second.kept) == (0, 5)
    assert registry.status().placed[0].modified == ()
    with registry.open("datasets/raw@1:deep/large.bin") as stream:
        assert stream.read() == LARGE
        stream.seek(-7, 2)
        assert stream.read() == LARGE[-7:]
    assert registry.verify(deep=True).sources == 5
    assert registry.status(remote=True).sources == ()
    assert registry.stores.adopt("datasets/raw@1").size_bytes == 9_003_007
    assert registry.diff("datasets/raw@1", "datasets/raw@2").equal is False
    for path in files:
        bucket.delete(path)
    registry.get("datasets/raw@2", tmp_path / "adopted")
    assert read(tmp_path / "adopted") == dict(sorted(files.items()))


def test_hashed_when_asked(team: Team, bucket: Bucket) -> None:
    registry = refer(team, bucket.url, hash=True)
    files = registry.show("datasets/raw@1", files=True).files
    assert files is not None
    assert {one.path: one.digest for one in files} == {
        path: "sha256:" + hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }


def test_one_object(team: Team, bucket: Bucket) -> None:
    registry = refer(team, f"{bucket.url}/a.csv")
    with registry.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"


@pytest.mark.parametrize(
    ("server", "hashed"),
    [
        ("moto", False),
        ("azurite", True),
        pytest.param("moto", True, marks=pytest.mark.nightly),
        pytest.param("azurite", False, marks=pytest.mark.nightly),
        pytest.param("ceph", False, marks=pytest.mark.nightly),
    ],
)
def test_sources_that_are_not_what_they_were(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, hashed: bool
) -> None:
    bucket = bucket_of(server, monkeypatch)
    names = ["bytes", "longer", "emptied", "deleted", "filled"]
    for name in names:
        bucket.put(f"x/{name}", b"" if name == "filled" else b"1,2\n")
    registry = refer(team, f"{bucket.url}/x", hash=hashed)
    assert registry.status(remote=True).sources == ()
    for name, data in {"bytes": b"1,3\n", "longer": b"1,2,3\n", "emptied": b"", "filled": b"1"}.items():
        bucket.put(f"x/{name}", data)
    bucket.delete("x/deleted")
    found = registry.status(remote=True).sources
    assert [one.path for one in found] == sorted(names)
    assert found[0].url == f"{bucket.url}/x/bytes"
    assert registry.status().sources == ()
    for name in names:
        with (
            pytest.raises(IntegrityError, match=name),
            registry.open(f"datasets/raw@1:{name}") as stream,
        ):
            stream.read()
        with pytest.raises(IntegrityError, match=name):
            registry.get("datasets/raw@1", tmp_path / "out", include=[name])
        assert not (tmp_path / "out" / name).exists()
    for attempt in (
        lambda: registry.verify(),
        lambda: registry.verify(deep=True),
        lambda: registry.stores.adopt("datasets/raw@1"),
    ):
        with pytest.raises(IntegrityError):
            attempt()


def test_a_server_that_ignores_conditions_and_lies_about_etags(
    team: Team, s3: Bucket, tmp_path: Path
) -> None:
    """What was read once on this machine holds from then on, whatever the etag says."""
    registry = refer(team, f"{s3.url}/a.csv")
    registry.get("datasets/raw@1", tmp_path / "out")
    (notes,) = (team.ada.folder / ".git/gitml/external").glob("*.learned")
    key, _, digest = notes.read_text().strip().partition(" ")
    assert digest == hashlib.sha256(b"1,2\n").hexdigest()
    notes.write_text(f"{key} {'0' * 64}\n")
    with pytest.raises(IntegrityError) as caught:
        registry.get("datasets/raw@1", tmp_path / "again")
    assert caught.value.code == "source-changed"


def test_a_server_that_ignores_conditions(
    team: Team, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says of the bytes that it gives is looked at all the same."""
    registry = refer(team, f"{bucket.url}/a.csv")
    monkeypatch.setattr(origin_remote, "_pin", lambda _: Pin())
    with registry.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"
    bucket.put("a.csv", b"1,3\n")
    shutil.rmtree(
        team.ada.folder / ".git/gitml/external", ignore_errors=True
    )  # what was learned of the bytes
    with pytest.raises(IntegrityError, match="its etag is"), registry.open("datasets/raw@1:a.csv") as stream:
        stream.read()
    assert [one.path for one in registry.status(remote=True).sources] == ["a.csv"]


def test_versions_of_a_bucket_are_kept_to(team: Team, s3: Bucket, tmp_path: Path) -> None:
    """An object that was written over is still there under its version id."""
    s3.keep_versions()
    try:
        s3.put("a.csv", b"first")
        s3.put("gone.csv", b"gone")
        s3.delete("gone.csv")
        registry = refer(team, s3.url)
        files = registry.show("datasets/raw@1", files=True).files
        assert files is not None and "gone.csv" not in [one.path for one in files]
        s3.put("a.csv", b"second")
        assert registry.status(remote=True).sources == ()
        registry.get("datasets/raw@1", tmp_path / "out", include=["a.csv"])
        assert (tmp_path / "out/a.csv").read_bytes() == b"first"
        s3.forget_versions("a.csv")
        with pytest.raises(IntegrityError) as caught:
            registry.get("datasets/raw@1", tmp_path / "again", include=["a.csv"])
        assert caught.value.code == "source-missing"
    finally:
        s3.keep_versions("Suspended")


@pytest.mark.parametrize(
    "key", ["../evil", "a/../../evil", "/evil", "a//b", "a\\b", ".git/config", "asset.yaml"]
)
def test_keys_that_are_no_paths(team: Team, s3: Bucket, key: str) -> None:
    s3.put_key(f"{s3.key(key)}", b"evil")
    with pytest.raises((InvalidInput, GitMLError)) as caught:
        refer(team, s3.url)
    assert caught.value.exit_code in (3, 7)
    assert not (team.ada.folder / "datasets").exists()


@pytest.mark.parametrize("keys", [("x", "x/y"), ("A/x", "a/y"), ("x", "X")])
def test_keys_that_cannot_be_one_folder(team: Team, s3: Bucket, keys: tuple[str, str]) -> None:
    for key in keys:
        s3.put(key, b"x")
    with pytest.raises(InvalidInput):
        refer(team, s3.url)


def test_nothing_there(team: Team, bucket: Bucket) -> None:
    with pytest.raises(NotFound) as caught:
        refer(team, f"{bucket.url}/nothing")
    assert caught.value.code == "source-missing"


def test_a_prefix_is_a_folder(team: Team, bucket: Bucket) -> None:
    """`raw` does not mean `raw-secret`."""
    bucket.put_key(bucket.key("").rstrip("/") + "-secret/x", b"x")
    registry = refer(team, bucket.url)
    files = registry.show("datasets/raw@1", files=True).files
    assert files is not None and [one.path for one in files] == sorted(FILES)


def test_the_server_that_a_repository_names_is_part_of_what_is_trusted(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITML_STORE_EXTERNAL_ENDPOINT_URL")
    team = Team(tmp_path / "other")
    file = team.ada.folder / "gitml.yaml"
    text = file.read_text()

    def served_by(endpoint: str) -> None:
        at = text.index("stores:\n") + len("stores:\n")
        entry = f'  bucket:\n    url: "s3://{BUCKET}/registry"\n    endpoint_url: "{endpoint}"\n'
        file.write_text(text[:at] + entry + text[at:])
        team.ada.git("commit", "--quiet", "--all", "--message", "server")

    served_by(s3.place.endpoint_url)
    registry = refer(team, s3.url)
    with registry.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"
    served_by("https://elsewhere.example.com")
    with pytest.raises(AccessDenied) as caught:
        registry.open("datasets/raw@1:a.csv")
    assert caught.value.code == "source-not-trusted"
    assert "elsewhere.example.com" in caught.value.message


# -- web


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer({"/d/a.csv": b"1,2\n", "/d/large.bin": LARGE}) as server:
        yield server


def test_a_file_on_the_web(team: Team, web: WebServer, tmp_path: Path) -> None:
    registry = refer(team, web.url("/d/a.csv"))
    made = registry.register(
        "datasets/both", web.url("/d/a.csv"), web.url("/d/large.bin?download=1"), reference=True
    )
    assert made.external is not None and made.external.files == 2
    files = registry.show("datasets/raw@1", files=True).files
    assert files is not None and files[0].digest is None
    registry.get("datasets/both@1", tmp_path / "out")
    assert read(tmp_path / "out") == {"a.csv": b"1,2\n", "large.bin": LARGE}
    with registry.open("datasets/both@1:large.bin") as stream:
        stream.seek(8_999_990)
        assert stream.read() == LARGE[-10:]
    assert registry.verify(deep=True).sources == 3
    assert "authorization" not in {name.lower() for _, headers in web.seen for name in headers}
    adopted = registry.stores.adopt("datasets/both@1")
    assert adopted.files == 2


def test_a_server_that_is_down_is_asked_as_long_as_the_user_says(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebServer({"/d/a.csv": b"1,2\n"}) as web:
        registry = refer(team, web.url("/d/a.csv"))
    monkeypatch.setenv("GITML_TIMEOUT_S", "1")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        registry.open("datasets/raw@1:a.csv")
    assert time.monotonic() - began < 60, "without a word it is two minutes"


def test_without_an_etag_it_is_read(team: Team, web: WebServer) -> None:
    for etag in (None, 'W/"weak"'):
        web.etag = lambda data, etag=etag: etag
        registry = refer(team, web.url("/d/a.csv"), version=f"v{etag is None}")
        (row,) = registry.list("datasets/raw").versions[:1]
        files = registry.show(str(row.ref), files=True).files
        assert files is not None and files[0].digest == "sha256:" + hashlib.sha256(b"1,2\n").hexdigest()


def swap_bytes(web: WebServer) -> None:
    web.files["/d/a.csv"] = b"1,3\n"


def swap_length(web: WebServer) -> None:
    web.files["/d/a.csv"] = b"1,2,3\n"


def swap_etag(web: WebServer) -> None:
    web.etag = lambda data: '"another"'


def lose_etag(web: WebServer) -> None:
    web.etag = lambda data: None


def take_away(web: WebServer) -> None:
    del web.files["/d/a.csv"]


def pack(web: WebServer) -> None:
    web.headers = {"Content-Encoding": "gzip"}


def show_a_page_instead(web: WebServer) -> None:
    """A login page, with 200."""
    web.files["/d/a.csv"] = b"<html>please log in</html>"
    web.keeps_etag = True


@pytest.mark.parametrize(
    "how", [swap_bytes, swap_length, swap_etag, lose_etag, take_away, pack, show_a_page_instead]
)
def test_a_web_file_that_is_not_what_it_was(
    team: Team, web: WebServer, tmp_path: Path, how: Callable[[WebServer], None]
) -> None:
    registry = refer(team, web.url("/d/a.csv"))
    how(web)
    for ignores in (True, False):
        web.ignores_conditions = ignores
        (found,) = registry.status(remote=True).sources
        assert found.path == "a.csv"
    web.ignores_conditions = how in (swap_bytes, swap_etag)
    for attempt in (
        lambda: registry.open("datasets/raw@1:a.csv"),
        lambda: registry.get("datasets/raw@1", tmp_path / "out"),
        lambda: registry.verify(deep=True),
    ):
        with pytest.raises(IntegrityError) as caught:
            attempt()
        assert "a.csv" in caught.value.message
    assert not (tmp_path / "out/a.csv").exists()


def test_an_answer_that_ends_early_is_no_file(team: Team, web: WebServer, tmp_path: Path) -> None:
    registry = refer(team, web.url("/d/large.bin"))
    web.cut_after = 1_000_000
    with pytest.raises(StoreUnavailable) as caught:
        registry.get("datasets/raw@1", tmp_path / "out")
    assert caught.value.code == "source-unavailable"
    assert not list((tmp_path / "out").glob("*"))


def test_redirects_stay_on_the_server(team: Team, web: WebServer, tmp_path: Path) -> None:
    web.redirects["/moved.csv"] = "/d/a.csv"
    registry = refer(team, web.url("/moved.csv"))
    with registry.open("datasets/raw@1:moved.csv") as stream:
        assert stream.read() == b"1,2\n"
    with WebServer({"/latest/meta-data": b"secret"}) as metadata:
        for target in (
            metadata.url("/latest/meta-data"),
            "http://localhost:1/x",
            f"https://127.0.0.1:{web.port}/d/a.csv",
            f"http://user:pw@127.0.0.1:{web.port}/d/a.csv",
            "file:///etc/passwd",
            "//127.0.0.1:1/x",
        ):
            web.redirects["/moved.csv"] = target
            for attempt in (
                lambda: registry.open("datasets/raw@1:moved.csv"),
                lambda: registry.register("datasets/new", web.url("/moved.csv"), reference=True),
            ):
                with pytest.raises((AccessDenied, StoreUnavailable)) as caught:
                    attempt()
                assert caught.value.code in ("source-redirect", "source-unavailable")
                assert "pw" not in caught.value.message
        web.redirects["/moved.csv"] = "/moved.csv"
        with pytest.raises(StoreUnavailable):
            registry.open("datasets/raw@1:moved.csv")
        assert metadata.seen == []


def test_a_host_that_nobody_trusted_is_not_asked(
    team: Team, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = refer(team, web.url("/d/a.csv"))
    registry.push()
    web.seen.clear()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    grace = team.clone("grace").registry
    for attempt in (
        lambda: grace.get("datasets/raw@1", tmp_path / "out"),
        lambda: grace.open("datasets/raw@1:a.csv"),
        lambda: grace.verify(),
        lambda: grace.stores.adopt("datasets/raw@1"),
    ):
        with pytest.raises(AccessDenied) as caught:
            attempt()
        assert caught.value.code == "source-not-trusted"
    assert grace.status(remote=True).sources[0].url is None
    assert web.seen == []
    grace.show("datasets/raw@1", files=True)
    assert web.seen == []
    grace.stores.trust(web.url("/d"))
    with grace.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"


def test_a_server_that_refuses_heads(team: Team, web: WebServer) -> None:
    web.refused_methods = {"HEAD": 405}
    registry = refer(team, web.url("/d/a.csv"))
    assert registry.status(remote=True).sources == ()
    with registry.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"


def test_a_server_that_wants_to_know_who_asks(team: Team, web: WebServer) -> None:
    web.refused_methods = {"HEAD": 401, "GET": 401}
    with pytest.raises(AccessDenied) as caught:
        refer(team, web.url("/d/a.csv"))
    assert "no credentials are ever sent" in caught.value.message
