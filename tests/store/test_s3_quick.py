"""S3 by its quick way: when it is taken, what it loads, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.programs import ROOT
from support.proxy import FOREVER, Harm, Proxy, Rule, reply
from support.remote import BY_SDK, Place, place
from support.store import noise

from gitml.errors import AccessDenied, InvalidInput, StoreUnavailable
from gitml.store.media import s3_quick
from gitml.store.media.medium import Medium, PutOutcome
from gitml.store.media.remote import RemoteMedium
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.s3_access import plain_access
from gitml.store.media.s3_quick import QuickS3Client

NAME = "packs/ab/one"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
REGION = {"AWS_DEFAULT_REGION": "eu-central-1"}
_IN_FILE = "[default]\naws_access_key_id = key\naws_secret_access_key=secret\n"
HERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No word about AWS in the environment."""
    for name in [one for one in os.environ if one.startswith("AWS_") or one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    yield place("moto", monkeypatch)


def client_of(medium: Medium) -> QuickS3Client:
    assert isinstance(medium, RemoteMedium)
    client = medium._client
    assert isinstance(client, QuickS3Client)
    return client


def set_all(bare: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        bare.setenv(name, value)


@pytest.mark.parametrize(
    "environment",
    [
        KEYS | REGION,
        KEYS | HERE,
        KEYS | REGION | {"AWS_SESSION_TOKEN": "token", "AWS_EC2_METADATA_DISABLED": "true"},
        KEYS | HERE | {"AWS_CA_BUNDLE": "/some.pem", "no_proxy": "localhost"},
        KEYS | REGION | {"AWS_PROFILE": ""},
    ],
)
def test_plain_words_are_understood(bare: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    set_all(bare, environment)
    found = plain_access("team-ml", RemoteOptions())
    assert found is not None
    assert (found.access_key, found.secret_key) == ("key", "secret")
    assert found.session_token == environment.get("AWS_SESSION_TOKEN")
    assert found.region == environment.get("AWS_DEFAULT_REGION", "us-east-1")
    assert found.endpoint_url == environment.get("AWS_ENDPOINT_URL")
    assert found.used == "the environment (AWS_ACCESS_KEY_ID)"
    assert "secret" not in repr(found)
    assert "token" not in repr(found).replace("session_token", "")


@pytest.mark.parametrize(
    ("environment", "bucket", "options"),
    [
        (REGION, "team-ml", {}),
        ({"AWS_ACCESS_KEY_ID": "key"} | REGION, "team-ml", {}),
        (KEYS, "team-ml", {}),
        (KEYS | {"AWS_DEFAULT_REGION": "cn-north-1"}, "team-ml", {}),
        (KEYS | REGION, "team.ml", {}),
        (KEYS | REGION, "team-ml--euc1-az1--x-s3", {}),
        (KEYS | REGION, "team-ml", {"profile": "other"}),
        (KEYS | REGION | {"AWS_PROFILE": "other"}, "team-ml", {}),
        (KEYS | REGION | {"AWS_CA_BUNDLE": "/some.pem"}, "team-ml", {}),
        (KEYS | REGION | {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "team-ml", {}),
        (KEYS | REGION | {"https_proxy": "http://proxy.example.com"}, "team-ml", {}),
        (KEYS | REGION | {"HTTP_PROXY": "http://proxy.example.com"}, "team-ml", {}),
    ],
)
def test_all_else_is_the_sdks(
    bare: pytest.MonkeyPatch, environment: Mapping[str, str], bucket: str, options: Mapping[str, str]
) -> None:
    set_all(bare, environment)
    assert plain_access(bucket, RemoteOptions(**options)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "credentials", "is_plain"),
    [
        (None, _IN_FILE, True),
        ("[default]\nregion = eu-north-1\n", _IN_FILE, True),
        ("[profile other]\nrole_arn = x\n", _IN_FILE, True),
        ("[default]\nrole_arn = x\n", _IN_FILE, False),
        ("[default]\ns3 =\n  addressing_style = path\n", _IN_FILE, False),
        ("no file of settings", _IN_FILE, False),
        (None, "[default]\ncredential_process = /bin/keys\n", False),
        (None, "[other]\naws_access_key_id=key\naws_secret_access_key=secret\n", False),
        (None, "[default]\naws_access_key_id=key\n", False),
    ],
)  # fmt: skip
def test_files_of_aws(
    bare: pytest.MonkeyPatch, tmp_path: Path, config: str | None, credentials: str, is_plain: bool
) -> None:
    set_all(bare, HERE)
    for variable, text in (("AWS_CONFIG_FILE", config), ("AWS_SHARED_CREDENTIALS_FILE", credentials)):
        bare.setenv(variable, str(tmp_path / variable))
        if text is not None:
            (tmp_path / variable).write_text(text)
    found = plain_access("team-ml", RemoteOptions())
    assert (found is not None) is is_plain
    if found is not None:
        assert (found.access_key, found.secret_key) == ("key", "secret")
        assert found.used == "the shared credentials file"
        assert found.region == ("eu-north-1" if config and "region" in config else "us-east-1")


def test_a_server_without_tls_is_refused_here_too(bare: pytest.MonkeyPatch) -> None:
    set_all(bare, KEYS | {"AWS_ENDPOINT_URL": "http://s3.example.com"})
    with pytest.raises(InvalidInput) as caught:
        plain_access("team-ml", RemoteOptions())
    assert caught.value.code == "endpoint-without-tls"


_CALLS = """
import sys
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions

medium = open_medium(sys.argv[1], options=RemoteOptions(endpoint_url=sys.argv[2]))
assert medium.head("packs/ab/one") is None
assert medium.put_if_absent("packs/ab/one", [b"one", b"two"]).value == "created"
assert medium.put_if_absent("packs/ab/one", [b"other"]).value == "exists"
medium.put("packs/ab/two", [b"onetwo"])
assert medium.get("packs/ab/one") == b"onetwo" and medium.get("packs/ab/one", 2, 4) == b"et"
assert list(medium.list("packs/")) == [("packs/ab/one", 6), ("packs/ab/two", 6)]
print(*sorted(name for name in ("aiohttp", "botocore", "obstore", "s3fs") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("name", "loaded"), [("moto", "obstore"), (BY_SDK, "aiohttp botocore s3fs"), ("ceph", "obstore")]
)
def test_what_is_loaded(name: str, loaded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = place(name, monkeypatch)
    done = subprocess.run(
        [sys.executable, "-c", _CALLS, there.url, there.endpoint_url],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == loaded


def test_without_obstore_the_sdk_does_it_all(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gitml.store.media.s3_quick")
    monkeypatch.setitem(sys.modules, "obstore", None)
    medium = there.open()
    assert not isinstance(medium._client, QuickS3Client)  # type: ignore[attr-defined]
    assert medium.put_if_absent(NAME, [b"x"]) is PutOutcome.CREATED


def test_objects_of_one_way_are_those_of_the_other(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = there.open()
    body = noise(5 << 20)
    assert quick.put_if_absent(NAME, [body[:7], body[7:]]) is PutOutcome.CREATED
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "tests")
    careful = there.open()
    assert careful.get(NAME) == quick.get(NAME) == body
    ours = [medium._look(NAME) for medium in (quick, careful)]  # type: ignore[attr-defined]
    assert ours[0] == ours[1]
    assert ours[0].mark


def test_a_long_listing_is_the_sdks(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    medium = there.open()
    for number in range(5):
        medium.put(f"packs/ab/{number}", [b"x"])
    monkeypatch.setattr(s3_quick, "_PAGE", 3)
    assert [name for name, _ in medium.list("packs/")] == [f"packs/ab/{number}" for number in range(5)]
    assert client_of(medium)._sdk is not None


@pytest.mark.nightly
def test_an_upload_that_takes_as_long_as_a_stall_is_the_sdks(there: Place) -> None:
    """One finds out for all, and all arrive."""
    bodies = {f"packs/ab/{number}": noise(32 << 20, number) for number in range(2)}
    with Proxy(there.port, Rule(Harm.SLOW, verb=b"PUT", pause_s=0.008, strikes=FOREVER)) as proxy:
        medium = there.at(proxy.port).open(timeout_s=60, stall_s=30)
        client = client_of(medium)
        client._careful()  # so that its import is no part of a stall
        medium._patience._stall_s = 3  # type: ignore[attr-defined]
        threads = [threading.Thread(target=medium.put, args=(name, [body])) for name, body in bodies.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not client._is_quick
        assert proxy.sent_bytes < (2 + 1) * (32 << 20) + (1 << 20)
    assert {name: there.open().get(name) for name in bodies} == bodies


def test_a_connection_that_broke_is_not_one_that_was_never_made(there: Place) -> None:
    """After the first a write waits, since it may have happened; after the second the SDK says why."""
    with Proxy(there.port, Rule(Harm.RESET_IN_BODY, verb=b"PUT")) as proxy:
        medium = there.at(proxy.port).open(timeout_s=20)
        waits: list[float] = []
        medium._patience._sleep = waits.append  # type: ignore[attr-defined]
        medium.put(NAME, [noise(1 << 20)])
        assert len(waits) == 1
        assert not client_of(medium)._is_quick


def test_why_a_call_is_refused_is_told_by_the_sdk(there: Place) -> None:
    rule = Rule(Harm.ANSWER, answer=reply(403, "RequestTimeTooSkewed"), strikes=FOREVER)
    with Proxy(there.port, rule) as proxy:
        with pytest.raises(AccessDenied) as caught:
            there.at(proxy.port).open().get(NAME)
        assert proxy.count() == 2
    assert caught.value.hint == "set this machine's clock"
    assert caught.value.context["credentials"] == "the environment (AWS_ACCESS_KEY_ID)"


def test_a_plea_for_time_is_heeded(there: Place) -> None:
    with Proxy(there.port, Rule(Harm.ANSWER, answer=reply(503, "SlowDown"), strikes=FOREVER)) as proxy:
        medium = there.at(proxy.port).open(timeout_s=2)
        with pytest.raises(StoreUnavailable):
            medium.put_if_absent(NAME, [b"x"])


def test_credentials_are_named(there: Place) -> None:
    medium = there.open()
    assert medium.credentials() == "the environment (AWS_ACCESS_KEY_ID)"  # type: ignore[attr-defined]
    assert medium.identity().who == "key t…"  # type: ignore[attr-defined]


_FORKED = """
import multiprocessing, sys
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions


def opened():
    return open_medium(sys.argv[1], options=RemoteOptions(endpoint_url=sys.argv[2]))


medium = opened()
medium.put("packs/ab/one", [b"one"])
forking = multiprocessing.get_context("fork")
told = forking.SimpleQueue()
worker = forking.Process(target=lambda: told.put((medium.get("packs/ab/one"), opened().get("packs/ab/one"))), daemon=True)
worker.start()
worker.join(60)
print(worker.exitcode, None if told.empty() else told.get(), medium.get("packs/ab/one"))
"""


def test_a_process_that_was_forked_asks_the_sdk(there: Place) -> None:
    """As those do that load training data in several processes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORKED, there.url, there.endpoint_url],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "0 (b'one', b'one') b'one'"
