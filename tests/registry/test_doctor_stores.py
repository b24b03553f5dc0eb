"""What `doctor` says of stores: which credentials were looked for, who one is, what was refused; on real servers."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.running import NotInstalledError, Server, start_moto
from support.remote import place
from support.team import write

from gitml.api import Registry, doctor, init
from gitml.errors import InvalidInput
from gitml.registry.setup.doctor import Check, Health, near_misses

SECRET = "SuperSecret1SuperSecret1"


@pytest.fixture(scope="module")
def strict() -> Iterator[tuple[Server, dict[str, tuple[str, str]]]]:
    """An S3 that asks who one is, with two users: one may do everything, one may only look."""
    try:
        server = start_moto()
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))
    import boto3

    def client(kind: str) -> Any:
        return boto3.client(
            kind, endpoint_url=server.endpoint_url, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    client("s3").create_bucket(Bucket="team-ml")
    keys = {}
    for name, actions in (("all", ["s3:*"]), ("look", ["s3:GetObject", "s3:ListBucket"])):
        iam = client("iam")
        iam.create_user(UserName=name)
        rule = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys[name] = (key["AccessKeyId"], key["SecretAccessKey"])
    request = urllib.request.Request(
        f"{server.endpoint_url}/moto-api/reset-auth",
        data=b"0",
        method="POST",
        headers={"Content-Type": "text/plain"},
    )
    urllib.request.urlopen(request).close()
    yield server, keys
    server.stop()


@pytest.fixture
def ours(
    strict: tuple[Server, dict[str, tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", strict[0].endpoint_url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    init(tmp_path / "ours", store=f"s3://team-ml/{tmp_path.name}")
    return tmp_path / "ours"


def be(monkeypatch: pytest.MonkeyPatch, pair: tuple[str, str]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair[1])


def store_of(folder: Path, name: str = "store") -> Check:
    result = doctor(folder)
    assert SECRET not in repr(result)
    return next(check for check in result.checks if check.name == name)


def test_who_may_do_everything(
    strict: Any, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = strict[1]["all"]
    be(monkeypatch, (key, secret))
    fresh = store_of(ours)
    assert (fresh.health, "writing was not tried" in fresh.found) == (Health.OK, True)
    Registry(ours).register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    store = store_of(ours)
    assert (store.health, store.hint) == (Health.OK, None)
    assert "reading, listing and writing are allowed" in store.found
    assert f"key {key[:4]}…{key[-4:]}" in store.found
    assert "used was the environment (AWS_ACCESS_KEY_ID)" in store.found
    assert strict[0].endpoint_url in store.found
    assert key not in store.found and secret not in store.found


def test_who_may_only_look(strict: Any, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, strict[1]["all"])
    Registry(ours).register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    be(monkeypatch, strict[1]["look"])
    store = store_of(ours)
    assert store.health is Health.FAILED
    assert "refused were PutObject:" in store.found
    assert "s3:PutObject" in (store.hint or "")


def test_a_key_that_nobody_knows(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, ("AKIAIOSFODNN7EXAMPLE", SECRET))
    store = store_of(ours)
    assert store.health is Health.FAILED
    assert "refused were GetObject, ListObjectsV2" in store.found
    assert "InvalidAccessKeyId" in store.found, "why it is refused, which no answer to HEAD tells"
    assert "check AWS_ACCESS_KEY_ID" in (store.hint or "")
    assert "key AKIA…MPLE" in store.found


def test_a_secret_of_another_key(strict: Any, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, (strict[1]["all"][0], SECRET))
    store = store_of(ours)
    assert store.health is Health.FAILED
    assert "refused were GetObject, ListObjectsV2" in store.found
    assert "SignatureDoesNotMatch" in store.found
    assert "check AWS_SECRET_ACCESS_KEY" in (store.hint or "")


@pytest.mark.parametrize("wrong", ["bucket", "host"])
def test_who_one_is_is_said_where_nothing_answers_too(
    wrong: str, strict: Any, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = strict[1]["all"]
    be(monkeypatch, strict[1]["all"])
    monkeypatch.setenv("GITML_TIMEOUT_S", "1")
    if wrong == "bucket":
        monkeypatch.setenv("GITML_STORE_DEFAULT_URL", "s3://nowhere/x")
    else:
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", "http://127.0.0.1:1")
    store = store_of(ours)
    assert (store.health, store.error is not None and store.error.exit_code) == (Health.FAILED, 7)
    assert f"key {key[:4]}…{key[-4:]}" in store.found
    assert {"bucket": "create the bucket", "host": "the server's address"}[wrong] in (store.hint or "")


def test_nobody(ours: Path) -> None:
    store = store_of(ours)
    assert store.health is Health.FAILED
    assert (
        "no credentials; looked for were the environment (AWS_ACCESS_KEY_ID); then an assumed role"
        in store.found
    )
    assert "then the role of this machine" in store.found
    assert "AWS_PROFILE" in (store.hint or "")
    assert "gitml doctor" not in (store.hint or ""), "one is there already"


@pytest.mark.parametrize(
    ("profile", "text", "said"),
    [
        ("nosuch", "", "nosuch"),
        ("old", "[profile old]\nsso_start_url = https://127.0.0.1/start\nsso_region = us-east-1\n"
         "sso_account_id = 123456789012\nsso_role_name = r\n", "SSO"),
        ("half", "[profile half]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n", "aws_secret_access_key"),
    ],
)  # fmt: skip
def test_profiles_that_give_nothing(
    profile: str, text: str, said: str, ours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path.home() / ".aws"
    folder.mkdir()
    (folder / "config").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", profile)
    store = store_of(ours)
    assert store.health is Health.FAILED
    assert store.found.count(said) == 1
    assert store.hint is not None


def test_a_profile(strict: Any, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = strict[1]["all"]
    (Path.home() / ".aws").mkdir()
    (Path.home() / ".aws/credentials").write_text(
        f"[work]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    monkeypatch.setenv("GITML_STORE_DEFAULT_PROFILE", "work")
    monkeypatch.setenv("GITML_STORE_DEFAULT_REGION", "eu-central-1")
    store = store_of(ours)
    assert store.health is Health.OK
    assert "used was the shared credentials file" in store.found
    assert "region eu-central-1" in store.found


def test_aws_says_the_name(strict: Any, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, strict[1]["all"])
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", strict[0].endpoint_url)
    assert "user/all" in store_of(ours).found
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    assert "whose name could not be asked for" in store_of(ours).found


def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("azurite", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    ours = tmp_path / "ours"
    init(ours, store=there.url)
    Registry(ours).register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    store = store_of(ours)
    assert store.health is Health.OK
    assert "writing are allowed" in store.found
    assert "(account devstoreaccount1)" in store.found
    assert (
        "looked for were a connection string (your settings, AZURE_STORAGE_CONNECTION_STRING); then an account key"
        in (store.found)
    )
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "U3VwZXJTZWNyZXQx" * 4)
    wrong = store_of(ours)
    assert wrong.health is Health.FAILED
    assert "refused were Get Blob, List Blobs" in wrong.found
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", f"sv=2024-01-01&sig={SECRET}")
    signed = store_of(ours)
    assert (signed.health, "used was a shared access signature" in signed.found) == (Health.FAILED, True)
    monkeypatch.delenv("AZURE_STORAGE_SAS_TOKEN")
    nobody = store_of(ours)
    assert (nobody.health, nobody.error and nobody.error.code) == (Health.FAILED, "no-credentials")
    assert "then a shared access signature" in nobody.found


def test_each_store_by_itself(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    init(ours)
    assert store_of(ours).found == "none configured: bytes stay in this clone's embedded store"
    file = ours / "gitml.yaml"
    file.write_text(
        file.read_text()
        + "stores:\n  default: {url: ../main}\n  archive: {url: 'http://x/y', types: [datasets]}\n"
        + "  far: {url: 'sftp://host/x'}\n"
    )
    from support.team import git

    git(ours, "commit", "-qam", "stores")
    result = doctor(ours)
    stores = {check.name: check for check in result.checks if check.name.startswith("store")}
    assert {name: check.health.value for name, check in stores.items()} == {
        "store": "ok",
        "store archive": "failed",
        "store far": "failed",
    }
    assert not result.healthy
    assert stores["store"].error is None
    assert result.error is stores["store archive"].error and isinstance(result.error, InvalidInput)
    assert not (tmp_path / "main").exists()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AWS_ACCES_KEY_ID", "AWS_ACCESS_KEY_ID"), ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"), ("AWS_DEFAULT_REGOIN", "AWS_DEFAULT_REGION"),
        ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"), ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("AZURE_STORAGE_CONNECTIONSTRING", "AZURE_STORAGE_CONNECTION_STRING"),
        ("GITML_STORE_DEFAULT_ENDPOINT_URI", "GITML_STORE_DEFAULT_ENDPOINT_URL"),
        ("GITML_STORE_COLD_DATA_SAS_TOKN", "GITML_STORE_COLD_DATA_SAS_TOKEN"), ("GITML_STORE_URL", "GITML_STORE_DEFAULT_URL"),
    ],
)  # fmt: skip
def test_near_misses(name: str, meant: str) -> None:
    assert near_misses([name, "HOME"], {"default", "cold-data"}) == [(name, meant)]


@pytest.mark.parametrize(
    "names",
    [
        ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],  # other programs look for the first
        ["GITML_STORE_COLD_DATA_SAS_TOKEN", "GITML_STORE_DEFAULT_ALLOW_HTTP", "GITML_FORGE_TOKEN"],
        ["AWS_REGION", "AWS_ROLE_ARN", "AWS_CA_BUNDLE", "AZURE_CLIENT_ID", "PATH"],
    ],
)
def test_no_misses(names: list[str]) -> None:
    assert near_misses(names, {"default", "cold-data"}) == []


def test_a_near_miss_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(tmp_path / "ours")
    monkeypatch.setenv("GITML_CACHE_SIZ", "10GiB")
    found = store_of(tmp_path / "ours", "variables")
    assert "GITML_CACHE_SIZE" in found.found
