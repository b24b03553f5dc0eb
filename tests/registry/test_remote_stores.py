"""A registry whose bytes are on a server: the whole way round, in few requests."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.proxy import Proxy
from support.remote import SCHEMES, Place, place
from support.team import git, read, write

from gitml.api import Registry, doctor, init
from gitml.errors import AccessDenied, InvalidInput
from gitml.registry.setup.doctor import Check, Health
from gitml.registry.workspace import Workspace
from gitml.store.media.remote_options import RemoteOptions


@pytest.fixture(params=SCHEMES)
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    return place(request.param, monkeypatch)


@pytest.fixture
def counted(there: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server that the user's settings name as the store's."""
    with Proxy(there.port) as proxy:
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.at(proxy.port).endpoint_url)
        yield proxy


def contents(folder: Path) -> Path:
    draw = random.Random(7)
    files: dict[str, str | bytes] = {f"small/{number:04}.bin": draw.randbytes(4096) for number in range(300)}
    return write(folder, files | {"large.bin": draw.randbytes(40 << 20), "README.md": "about\n"})


def taken(proxy: Proxy) -> int:
    """Requests since the last time."""
    count = len(proxy.log)
    proxy.log.clear()
    return count


def test_all_the_way_round(there: Place, counted: Proxy, tmp_path: Path) -> None:
    remote, ours, theirs = tmp_path / "r.git", tmp_path / "ours", tmp_path / "theirs"
    git(tmp_path, "init", "--quiet", "--bare", str(remote))
    ours.mkdir()
    git(ours, "init", "--quiet")
    init(ours, store=there.url, remote=str(remote))
    data = contents(tmp_path / "data")
    registry = Registry(ours)
    first = registry.register("datasets/x", str(data))
    taken(counted)
    (data / "small/0000.bin").write_bytes(b"changed")
    second = registry.register("datasets/x", str(data))
    packs = counted.count(b"PUT", b"/packs/")
    assert second.stored_bytes < 200_000
    assert packs == 1
    assert counted.count(b"GET", b"list-type=2") + counted.count(b"GET", b"comp=list") <= 3
    taken(counted)
    registry.push()
    assert counted.count(b"PUT") == 0
    git(tmp_path, "clone", "--quiet", str(remote), str(theirs))
    taken(counted)
    Registry(theirs).get("datasets/x@1", str(tmp_path / "out"))
    assert taken(counted) <= 2 + 0 + 3
    clone = Registry(theirs).get("datasets/x@2", str(tmp_path / "again"))
    assert clone is not None
    assert read(tmp_path / "again") == read(data)
    checked = Registry(theirs).verify(all=True, deep=True)
    assert (checked.versions, checked.files) == (2, 604)
    assert first.digest != second.digest
    assert (
        there.environment["AWS_SECRET_ACCESS_KEY" if "s3" in there.url else "AZURE_STORAGE_ACCOUNT_KEY"]
        not in (ours / "gitml.yaml").read_text()
    )


def test_requests_of_a_register(there: Place, counted: Proxy, tmp_path: Path) -> None:
    """What a new tree costs beside its packs, with one segment, which the manifest embeds; and no big listing."""
    init(tmp_path / "ours", store=there.url)
    registry = Registry(tmp_path / "ours")
    registry.register("datasets/seed", str(write(tmp_path / "seed", {"a.bin": b"a"})))
    taken(counted)
    data = write(tmp_path / "data", {f"{n:04}.bin": random.Random(n).randbytes(20_000) for n in range(2000)})
    registry.register("datasets/x", str(data))
    packs = counted.count(b"PUT", b"/packs/")
    listings = [path for _, path in counted.log if b"list" in path]
    assert packs == 2
    assert not [path for path in listings if b"packs" in path or b"segments" in path or b"manifests" in path]
    assert taken(counted) <= packs + 1 + 6


def test_one_file_of_many(there: Place, counted: Proxy, tmp_path: Path) -> None:
    init(tmp_path / "ours", store=there.url)
    registry = Registry(tmp_path / "ours")
    registry.register("datasets/x", str(contents(tmp_path / "data")))
    taken(counted)
    with Registry(tmp_path / "ours").open("datasets/x@1:small/0007.bin") as stream:
        assert stream.read() == (tmp_path / "data/small/0007.bin").read_bytes()
    assert taken(counted) <= 5


def found(checks: tuple[Check, ...], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_doctor_says_which_credentials_won(
    there: Place, counted: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path / "ours", store=there.url)
    monkeypatch.setenv("AWS_ACCES_KEY_ID", "Secret99")
    checks = doctor(tmp_path / "ours").checks
    store = found(checks, "store")
    assert store.health is Health.OK
    assert there.url in store.found
    assert ("the environment" if "s3" in there.url else "account key") in store.found
    near = found(checks, "variables")
    assert (near.health, "AWS_ACCESS_KEY_ID" in near.found) == (Health.WARNING, True)
    assert "Secret99" not in repr(checks)
    for name, value in there.environment.items():
        if "KEY" in name and len(value) > 10:
            assert value not in repr(checks)


def test_doctor_says_what_was_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = place("moto", monkeypatch)
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in there.environment:
        monkeypatch.delenv(name)
    init(tmp_path / "ours", store=there.url)
    store = found(doctor(tmp_path / "ours").checks, "store")
    assert (store.health, "GetObject" in store.found) == (Health.FAILED, True)


def test_a_repository_that_moves_its_server_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = place("moto", monkeypatch)
    ours = tmp_path / "ours"
    init(ours, store=there.url)
    file = ours / "gitml.yaml"

    def served_by(endpoint: str) -> None:
        lines = [line for line in file.read_text().splitlines() if "endpoint_url" not in line]
        at = next(number for number, line in enumerate(lines) if "url:" in line)
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines.insert(at + 1, f"{indent}endpoint_url: {endpoint}")
        file.write_text("\n".join(lines) + "\n")
        git(ours, "commit", "--quiet", "--all", "--message", "server")

    served_by(there.endpoint_url)
    data = write(tmp_path / "data", {"a": "a"})
    Registry(ours).register("datasets/x", str(data))
    served_by("https://elsewhere.example.com")
    with pytest.raises(AccessDenied) as caught:
        Registry(ours).register("datasets/x", str(write(tmp_path / "more", {"b": "b"})))
    assert caught.value.code == "store-not-trusted"
    assert "elsewhere.example.com" in caught.value.message


def test_nothing_of_the_sdks_is_loaded_for_a_folder(tmp_path: Path) -> None:
    import subprocess

    program = (
        "import sys\nfrom gitml.store.store import open_store\n"
        f"open_store({str(tmp_path / 's')!r})\n"
        "print(sorted({'asyncio', 'fsspec', 's3fs', 'adlfs', 'aiohttp', 'botocore', 'azure'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_repository_says_where_and_nothing_else(tmp_path: Path) -> None:
    """Whatever a repository says of a store beside its place and server reaches no client."""
    init(tmp_path / "ours")
    file = tmp_path / "ours/gitml.yaml"
    file.write_text(
        file.read_text()
        + "stores:\n  default:\n    url: s3://team-ml/x\n    endpoint_url: https://127.0.0.1\n"
        + "    anon: true\n    profile: other\n    region: mars\n    sas_token: sig=x\n    allow_http: true\n"
        + "    connection_string: AccountName=x\n    options: {fqp: os.system}\n"
        + "    storage_options: {client_kwargs: {endpoint_url: 'http://10.0.0.1'}, anon: true}\n"
    )
    git(tmp_path / "ours", "commit", "-qam", "hostile")
    ws = Workspace.open(tmp_path / "ours")
    assert ws.stores(ws.config).options("default") == RemoteOptions(endpoint_url="https://127.0.0.1")
    file.write_text(file.read_text().replace("https://127.0.0.1", "http://10.0.0.1"))
    git(tmp_path / "ours", "commit", "-qam", "without TLS")
    with pytest.raises(InvalidInput) as caught:
        Registry(tmp_path / "ours").stores.check()
    assert caught.value.code in ("endpoint-without-tls", "bad-endpoint")
