"""What servers refuse, through the program: one line with the call that was refused and what to do, exit 7 or 10,
nothing lost, and the same command again reaches the goal once a person has put it right."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest
from servers.ceph import READER
from servers.running import AZURITE_ACCOUNT, AZURITE_KEY
from support.cli import InFolder, Ran
from support.proxy import FOREVER, Harm, Proxy, Rule, reply
from support.remote import BUCKET, Place, by_sdk, place
from support.team import Team, git, read, write

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
    """S3 signs the time: this machine's clock is an hour late, as the SDK sees it."""
    from botocore import auth

    by_sdk(patch)

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
    signed(patch, "rl", hours=1)


def ended(there: Place, patch: pytest.MonkeyPatch) -> None:
    """A signature that allows all, and did so until an hour ago."""
    signed(patch, "rcwdl", hours=-1)


def signed(patch: pytest.MonkeyPatch, rights: str, *, hours: int) -> None:
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    token = generate_container_sas(
        AZURITE_ACCOUNT,
        BUCKET,
        account_key=AZURITE_KEY,
        permission=ContainerSasPermissions.from_string(rights),
        expiry=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours),
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
    "ceph-no-profile": Refusal(
        "ceph", variables(AWS_PROFILE="nope"), 10, "no-credentials", ("nope", "correct AWS_PROFILE")
    ),
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
        "azurite", only_reads, 10, "access-denied", ("Put Blob", "403", "sp=rcwdl"), reads=False
    ),
    "azurite-ended-signature": Refusal(
        "azurite", ended, 10, "credentials-expired", ("403", "the signature ended at 20", "new signature")
    ),
    "azurite-half-a-key": Refusal(
        "azurite", variables(AZURE_STORAGE_ACCOUNT_KEY="abc"), 10, "bad-account-key", ("base64", "the whole of it")
    ),
    "azurite-no-key": Refusal(
        "azurite", variables(AZURE_STORAGE_ACCOUNT_KEY=None), 10, "no-credentials", ("AZURE_STORAGE_SAS_TOKEN",)
    ),
    "azurite-no-connection-string": Refusal(
        "azurite", variables(AZURE_STORAGE_CONNECTION_STRING="hello"), 10, "bad-connection-string", ("AccountName=",)
    ),
}  # fmt: skip
ANSWERS = {
    "wrong-region": (reply(301, "PermanentRedirect", x_amz_bucket_region="eu-9"), "wrong-region", "AWS_DEFAULT_REGION=eu-9"),
    "some-region": (reply(301, "PermanentRedirect"), "wrong-region", "AWS_DEFAULT_REGION to the bucket's region"),
    "expired": (reply(400, "ExpiredToken"), "credentials-expired", "log in again"),
    "wrong-clock": (reply(403, "RequestTimeTooSkewed"), "access-denied", "clock"),
}  # fmt: skip
"""What the servers here never say, said by a proxy: the answer, GitML's code, and the advice."""


@dataclass
class Site:
    """A registry with its bytes on a server."""

    place: Place
    team: Team
    base: Path

    @property
    def gitml(self) -> InFolder:
        return InFolder(self.team.ada.folder)


@pytest.fixture(scope="module")
def sites() -> dict[str, Site]:
    return {}


@pytest.fixture
def site_on(
    sites: dict[str, Site], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Site]:
    """Gives the module's site on a server."""

    def found(server: str) -> Site:
        there = place(server, monkeypatch)
        if server not in sites:
            base = tmp_path_factory.mktemp(server)
            sites[server] = Site(there, Team(base / "team", store=False), base)
        monkeypatch.setenv("GITML_STORE_DEFAULT_URL", sites[server].place.url)
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
        monkeypatch.setenv("GITML_TIMEOUT_S", "10")
        return sites[server]

    return found


@dataclass(frozen=True)
class Asset:
    """An asset with one version, and the contents of the next."""

    site: Site
    ref: str
    next: Path

    @classmethod
    def made(cls, site: Site) -> Asset:
        name = f"a{secrets.token_hex(4)}"
        first = {**FIRST, "name.txt": name.encode()}
        site.gitml.ok("register", f"models/{name}", str(write(site.base / f"first-{name}", first)))
        return cls(site, f"models/{name}", write(site.base / f"next-{name}", SECOND))

    def get(self, version: str) -> Ran:
        return self.site.gitml("get", f"{self.ref}@{version}", "-o", str(self.place(version)), "--json")

    def place(self, version: str) -> Path:
        return self.site.base / f"got-{self.ref.replace('/', '-')}-{version}"

    def register(self, *words: str) -> Ran:
        return self.site.gitml("register", self.ref, str(self.next), *words)


def refused(ran: Ran, exit_code: int, code: str, words: tuple[str, ...]) -> None:
    assert ran.exit_code == exit_code, ran
    error = ran.document["error"]
    assert error["code"] == code, error
    said = f"{error['message']} {error['hint']}"
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"
    assert "\n" not in error["message"]
    assert "StorageErrorCode" not in said
    assert "None" not in said
    for secret in ("wrong-secret-99", READER[1], AZURITE_KEY, "sig="):
        assert secret not in ran.stdout + ran.stderr


def secrets_of_the_environment() -> list[str]:
    """What must not even stand in a traceback."""
    found = [os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY")]
    signature = parse_qs(os.environ.get("GITML_STORE_DEFAULT_SAS_TOKEN", "")).get("sig", [""])[0]
    return [text for text in (*found, signature, quote(signature, safe="")) if len(text) > 4]


def try_refused(asset: Asset, exit_code: int, code: str, words: tuple[str, ...], *, reads: bool) -> None:
    folder = asset.site.team.ada.folder
    before = git(folder, "rev-parse", "HEAD")
    refused(asset.register("--json"), exit_code, code, words)
    loud = asset.register("-vv")
    for secret in secrets_of_the_environment():
        assert secret not in loud.stdout + loud.stderr
    assert git(folder, "rev-parse", "HEAD") == before
    assert git(folder, "status", "--porcelain") == ""
    if not reads:
        plain = asset.register()
        assert plain.stderr.strip().count("\n") <= 2, plain.stderr
        return
    refused(asset.get("1"), exit_code, code, tuple(word for word in words if "Put" not in word))


def goes_on(asset: Asset) -> None:
    """Put right, the same command reaches the goal, and what was there is there."""
    assert asset.register().exit_code == 0
    assert asset.get("1").exit_code == 0
    assert set(read(asset.place("1")).items()) >= set(FIRST.items())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if "moto" in name else []) for name in REFUSALS]
)
def test_what_a_server_refuses(
    name: str, site_on: Callable[[str], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = REFUSALS[name]
    asset = Asset.made(site_on(refusal.server))
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(asset.site.base / "no-cache"))
        refusal.spoil(asset.site.place, patch)
        try_refused(asset, refusal.exit_code, refusal.code, refusal.words, reads=refusal.reads)
    goes_on(asset)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_proxy_says(
    name: str, site_on: Callable[[str], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, code, advice = ANSWERS[name]
    asset = Asset.made(site_on("moto"))
    there = asset.site.place
    rule = Rule(Harm.ANSWER, answer=answer, strikes=FOREVER)
    with monkeypatch.context() as patch, Proxy(there.port, rule) as proxy:
        patch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        try_refused(asset, 10, code, (advice,), reads=True)
        assert len(proxy.log) < 40  # an SDK that asks itself where the bucket is makes hundreds of calls
    goes_on(asset)
