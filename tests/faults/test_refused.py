"""What servers refuse, through the program: one line with the call that was refused and what to do, exit 7 or 10,
nothing lost, and the same command again reaches the goal once a person has put it right."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers.ceph import READER
from servers.running import AZURITE_ACCOUNT, AZURITE_KEY
from support.cli import InFolder, Ran
from support.proxy import FOREVER, Harm, Proxy, Rule, reply
from support.remote import BUCKET, Place, place
from support.team import Team, git, read, write

from gitml.api import Registry

FIRST = {"a.txt": b"alpha\n", "b.bin": bytes(range(256)) * 300}
SECOND = {"a.txt": b"beta\n"}

Spoil = Callable[[Place, pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Refusal:
    """What is wrong, and how it has to be said.

    Attributes:
        spoil: Makes it wrong.
        exit_code: Of the command.
        code: Of the error.
        words: Have to stand in the error and its hint.
        reads: Whether reading is refused, too.
    """

    server: str
    spoil: Spoil
    exit_code: int
    code: str
    words: tuple[str, ...]
    reads: bool = True


def variables(**values: str | None) -> Spoil:
    def spoil(there: Place, patch: pytest.MonkeyPatch) -> None:
        for name, value in values.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)

    return spoil


def no_bucket(there: Place, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("GITML_STORE_DEFAULT_URL", there.url.replace(BUCKET, "nowhere"))


def wrong_clock(there: Place, patch: pytest.MonkeyPatch) -> None:
    """S3 signs the time: this machine's clock is an hour late."""
    from botocore import auth

    late = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    patch.setattr(auth, "get_current_datetime", lambda remove_tzinfo=True: late.replace(tzinfo=None))


def only_reads(there: Place, patch: pytest.MonkeyPatch) -> None:
    """Credentials that may read and list, and no more."""
    if there.url.startswith("s3"):
        import s3fs

        reader = {"AWS": ["arn:aws:iam:::user/reader"]}
        bucket = f"arn:aws:s3:::{BUCKET}"
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": reader, "Action": ["s3:GetObject"], "Resource": [f"{bucket}/*"]},
                {"Effect": "Allow", "Principal": reader, "Action": ["s3:ListBucket"], "Resource": [bucket]},
            ],
        }  # fmt: skip
        files = s3fs.S3FileSystem(endpoint_url=there.endpoint_url, skip_instance_cache=True)
        files.call_s3("put_bucket_policy", Bucket=BUCKET, Policy=json.dumps(policy))
        patch.setenv("AWS_ACCESS_KEY_ID", READER[0])
        patch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
        return
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    token = generate_container_sas(
        AZURITE_ACCOUNT,
        BUCKET,
        account_key=AZURITE_KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
    )
    patch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    patch.setenv("GITML_STORE_DEFAULT_SAS_TOKEN", token)


NO_KEYS = variables(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_EC2_METADATA_DISABLED="true")
REFUSALS = {
    "ceph-wrong-secret": Refusal(
        "ceph", variables(AWS_SECRET_ACCESS_KEY="wrong-secret-99"), 10, "access-denied",
        ("403", "AWS_SECRET_ACCESS_KEY"),
    ),
    "ceph-unknown-key": Refusal(
        "ceph", variables(AWS_ACCESS_KEY_ID="NOBODY"), 10, "access-denied", ("403", "AWS_ACCESS_KEY_ID")
    ),
    "ceph-no-keys": Refusal("ceph", NO_KEYS, 10, "no-credentials", ("AWS_ACCESS_KEY_ID",)),
    "ceph-no-bucket": Refusal("ceph", no_bucket, 7, "bucket-missing", ("no such bucket", "create the bucket")),
    "ceph-forbidden-verb": Refusal(
        "ceph", only_reads, 10, "access-denied", ("PutObject", "403", "s3:PutObject"), reads=False
    ),
    "ceph-wrong-clock": Refusal("ceph", wrong_clock, 10, "access-denied", ("clock",)),
    "moto-no-bucket": Refusal("moto", no_bucket, 7, "bucket-missing", ("no such bucket", "create the bucket")),
    "moto-no-keys": Refusal("moto", NO_KEYS, 10, "no-credentials", ("AWS_ACCESS_KEY_ID",)),
    "azurite-wrong-key": Refusal(
        "azurite", variables(AZURE_STORAGE_ACCOUNT_KEY="d3Jvbmc="), 10, "access-denied",
        ("403", "AZURE_STORAGE_ACCOUNT_KEY"),
    ),
    "azurite-no-container": Refusal(
        "azurite", no_bucket, 7, "bucket-missing", ("no such container", "create the container")
    ),
    "azurite-forbidden-verb": Refusal(
        "azurite", only_reads, 10, "access-denied", ("Put Blob", "403", "Storage Blob Data Contributor"),
        reads=False,
    ),
}  # fmt: skip
ANSWERS = {
    "wrong-region": (301, "PermanentRedirect", "wrong-region", "AWS_DEFAULT_REGION=eu-9"),
    "wrong-region-in-signature": (400, "AuthorizationHeaderMalformed", "wrong-region", "AWS_DEFAULT_REGION=eu-9"),
    "expired": (400, "ExpiredToken", "credentials-expired", "log in again"),
    "wrong-clock": (403, "RequestTimeTooSkewed", "access-denied", "clock"),
}  # fmt: skip
"""What the servers here never say, said by a proxy: status, code, GitML's code, and the advice."""


@dataclass
class Site:
    place: Place
    team: Team
    base: Path

    @property
    def gitml(self) -> InFolder:
        return InFolder(self.team.ada.folder)


def site_on(server: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    there = place(server, monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_URL", there.url)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    monkeypatch.setenv("GITML_TIMEOUT_S", "10")
    team = Team(base / "team", store=False)
    team.ada.registry.register("models/a", write(base / "first", FIRST))
    team.ada.registry.push()
    write(base / "second", SECOND)
    return Site(there, team, base)


def refused(ran: Ran, exit_code: int, code: str, words: tuple[str, ...]) -> None:
    assert ran.exit_code == exit_code, ran
    error = ran.document["error"]
    assert error["code"] == code, error
    said = f"{error['message']} {error['hint']}"
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    assert "\n" not in error["message"]
    assert "StorageErrorCode" not in said
    for secret in ("wrong-secret-99", READER[1], AZURITE_KEY, "sig="):
        assert secret not in ran.stdout + ran.stderr


def try_refused(site: Site, exit_code: int, code: str, words: tuple[str, ...], *, reads: bool) -> None:
    before = git(site.team.ada.folder, "rev-parse", "HEAD")
    register = ("register", "models/a", str(site.base / "second"), "--json")
    refused(site.gitml(*register), exit_code, code, words)
    plain = site.gitml(*register[:-1])
    assert plain.stderr.strip().count("\n") <= 2 + plain.stderr.count("first use"), plain.stderr
    assert git(site.team.ada.folder, "rev-parse", "HEAD") == before
    assert git(site.team.ada.folder, "status", "--porcelain") == ""
    got = site.gitml("get", "models/a@1", "-o", str(site.base / "got"), "--json")
    if reads:
        refused(got, exit_code, code, tuple(word for word in words if "Put" not in word))
    else:
        assert got.exit_code == 0, got
        assert read(site.base / "got") == FIRST


def goes_on(site: Site) -> None:
    """Put right, the same command reaches the goal, and what was there is there."""
    site.gitml.ok("register", "models/a", str(site.base / "second"))
    for version, contents in (("1", FIRST), ("2", SECOND)):
        Registry(site.team.ada.folder).get(f"models/a@{version}", site.base / f"read-{version}")
        assert read(site.base / f"read-{version}") == contents


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_server_refuses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = REFUSALS[name]
    site = site_on(refusal.server, tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        refusal.spoil(site.place, patch)
        try_refused(site, refusal.exit_code, refusal.code, refusal.words, reads=refusal.reads)
    goes_on(site)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_proxy_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said, code, advice = ANSWERS[name]
    site = site_on("moto", tmp_path, monkeypatch)
    answer = reply(status, said, x_amz_bucket_region="eu-9")
    with (
        monkeypatch.context() as patch,
        Proxy(site.place.port, Rule(Harm.ANSWER, answer=answer, strikes=FOREVER)) as proxy,
    ):
        patch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", site.place.at(proxy.port).endpoint_url)
        try_refused(site, 10, code, (advice,), reads=True)
    goes_on(site)
