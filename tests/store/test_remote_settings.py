"""Servers of stores: which addresses are allowed, who may name them, and where secrets may stand."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers.running import AZURITE_ACCOUNT
from support.gitrepos import git
from support.remote import BUCKET, place

from gitml.api import Registry, init
from gitml.errors import AccessDenied, InvalidInput, UsageError
from gitml.model.config import Config
from gitml.model.store_url import check_endpoint, is_guarded, parse_store_url
from gitml.registry.settings import load_settings
from gitml.store.media.azure_secrets import Secrets, refused_signature
from gitml.store.media.medium import PutOutcome
from gitml.store.media.opening import open_medium
from gitml.store.media.remote import RemoteMedium
from gitml.store.media.remote_options import RemoteOptions

REGISTRY = "schema: gitml/config/v1\nregistry: 6c1d0b9e-0000-4000-8000-000000000001\ndefault_branch: main\n"


@pytest.mark.parametrize(
    "text",
    [
        "https://s3.eu.example.com", "https://host:9000", "https://host/base", "http://localhost:9000",
        "http://127.0.0.1:1", "http://127.8.0.1", "http://[::1]:9000",
    ],
)  # fmt: skip
def test_servers(text: str) -> None:
    assert check_endpoint(text) == text
    assert check_endpoint(text + "/") == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("http://s3.example.com", "endpoint-without-tls"), ("http://10.0.0.1:9000", "endpoint-without-tls"),
        ("http://127.0.0.1.example.com", "endpoint-without-tls"),
        ("http://localhost.example.com", "endpoint-without-tls"), ("http://[::2]", "endpoint-without-tls"),
        ("https://key:Secret99@host", "bad-endpoint"), ("https://Secret99@host", "bad-endpoint"),
        ("https://host?sig=Secret99", "bad-endpoint"), ("https://host#x", "bad-endpoint"), ("host:9000", "bad-endpoint"),
        ("ftp://host", "bad-endpoint"), ("https://", "bad-endpoint"), ("https://ho st", "bad-endpoint"),
        ("HTTPS://host", "bad-endpoint"), ("https://host\n", "bad-endpoint"), ("file:///etc", "bad-endpoint"),
        ("", "bad-endpoint"),
    ],
)  # fmt: skip
def test_refused_servers(text: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_endpoint(text)
    assert caught.value.code == code
    assert "Secret99" not in str(caught.value)


def test_a_user_may_do_without_tls() -> None:
    assert check_endpoint("http://10.0.0.1:9000", allow_http=True) == "http://10.0.0.1:9000"
    assert open_medium(
        "s3://bucket/x", options=RemoteOptions(endpoint_url="http://10.0.0.1:9000", allow_http=True)
    ).url == ("s3://bucket/x at http://10.0.0.1:9000")
    with pytest.raises(InvalidInput):
        open_medium("s3://bucket/x", options=RemoteOptions(endpoint_url="http://10.0.0.1:9000"))


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_sdks_own_variable_needs_tls_too(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://10.0.0.1:9000")
    with pytest.raises(InvalidInput) as caught:
        open_medium("s3://bucket/x")
    assert caught.value.message.startswith(f"{variable}: ")


def test_a_repository_names_a_server_but_no_secret() -> None:
    text = REGISTRY + "stores:\n  default: {url: s3://b-1/x, endpoint_url: 'https://%s'}\n"
    config = Config.parse((text % "host").encode(), file="gitml.yaml")
    assert config.stores["default"].endpoint_url == "https://host"
    with pytest.raises(InvalidInput) as caught:
        Config.parse((text % "key:Secret99@host").encode(), file="gitml.yaml")
    assert "Secret99" not in caught.value.message


def test_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "gitml/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "stores:\n  default:\n    endpoint_url: https://file\n    region: eu-1\n    allow_http: true\n"
        "  eu-west:\n    url: s3://other/x\n"
    )
    monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", "https://variable")
    monkeypatch.setenv("GITML_STORE_EU_WEST_SAS_TOKEN", "sig=Secret99")
    monkeypatch.setenv("GITML_TIMEOUT_S", "7")
    settings = load_settings()
    assert settings.store_urls == {"eu-west": "s3://other/x"}
    assert settings.options("default") == RemoteOptions(
        endpoint_url="https://variable", region="eu-1", allow_http=True, timeout_s=7
    )
    assert settings.options("eu-west").sas_token == "sig=Secret99"
    assert settings.options("another") == RemoteOptions(timeout_s=7)
    assert "Secret99" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("GITML_TIMEOUT_S", "0"), ("GITML_TIMEOUT_S", "x"), ("GITML_STORE_DEFAULT_ALLOW_HTTP", "yes")],
)
def test_malformed_settings(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert variable in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        (None, "gitml.yaml: stores.default.endpoint_url: "),
        ("http://10.0.0.2", "your settings: stores.default.endpoint_url: "),
    ],
)
@pytest.mark.parametrize("url", ["s3://bucket/x", "az://container/x"])
def test_a_refused_server_is_named_by_its_field(
    url: str, endpoint: str | None, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path / "ours")
    file = tmp_path / "ours/gitml.yaml"
    file.write_text(
        file.read_text() + f"stores:\n  default: {{url: '{url}', endpoint_url: 'http://10.0.0.1'}}\n"
    )
    git(tmp_path / "ours", "commit", "-qam", "store")
    if endpoint is not None:
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", endpoint)
    with pytest.raises(InvalidInput) as caught:
        Registry(tmp_path / "ours").stores.check()
    assert (caught.value.code, caught.value.message.startswith(field)) == ("endpoint-without-tls", True)


@pytest.mark.parametrize(
    ("environment", "used", "tried"),
    [
        ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=ours;AccountKey=c2VjcmV0", "AZURE_STORAGE_ACCOUNT_KEY": "b3RoZXI="},
         "the account key of a connection string", 1),
        ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=ours;SharedAccessSignature=sv=1&sig=x",
          "AZURE_STORAGE_ACCOUNT_KEY": "b3RoZXI="}, "a shared access signature", 1),
        ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=ours", "AZURE_STORAGE_ACCOUNT_KEY": "b3RoZXI="},
         "the account key of the environment (AZURE_STORAGE_…)", 2),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "b3RoZXI=", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x"},
         "the account key of the environment (AZURE_STORAGE_…)", 2),
        ({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x", "AZURE_STORAGE_CLIENT_ID": "me"}, "a shared access signature", 3),
        ({"AZURE_STORAGE_CLIENT_ID": "11112222-3333-4444-5555-666677778888"},
         "a service principal (AZURE_STORAGE_CLIENT_ID)", 4),
        ({}, "the default chain of Azure identities", 5),
    ],
)  # fmt: skip
def test_the_order_of_azures_credentials(
    environment: dict[str, str], used: str, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    secrets = Secrets(RemoteOptions())
    secrets.check("https://ours.blob.core.windows.net")
    identity = secrets.identity("https://ours.blob.core.windows.net")
    assert (secrets.kind, identity.used, len(identity.tried)) == (used, used, tried)
    assert (identity.who or "").startswith("account ours")
    assert not any(value in repr(identity) for value in ("c2VjcmV0", "b3RoZXI=", "sig=x"))


@pytest.mark.parametrize("text", ["hello", "AccountKey=abc", ";;"])
def test_a_connection_string_that_is_none(text: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        open_medium("az://container/x", options=RemoteOptions(connection_string=text))
    assert caught.value.code == "bad-connection-string"
    assert "abc" not in caught.value.message


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("sp=rl&se=2020-01-01T00:00:00Z&sig=x", "credentials-expired"),
        ("sp=rl&se=2020-01-01&sig=x", "credentials-expired"),
        ("sp=rl&se=2020-01-01T00%3A00%3A00Z&sig=x", "credentials-expired"),
        ("sp=rl&se=2999-01-01T00:00:00Z&sig=x", None),
        ("sp=rl&se=soon&sig=x", None),
        ("sp=rl&sig=x", None),
    ],
)
def test_a_signature_that_has_ended_is_told_from_others(signature: str, code: str | None) -> None:
    assert refused_signature(signature, "AuthenticationFailed", "403").code == code


def test_azures_sdk_does_not_talk_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in anywhere: one error of GitML, and not a line of the SDK's log."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "ours")
    script = (
        "from gitml.store.media.opening import open_medium; import logging\n"
        "open_medium('az://container/x')\n"
        "for name in ('azure.identity', 'msal', 'adlfs'): logging.getLogger(name).warning('not for people')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
@pytest.mark.parametrize("host", [AZURITE_ACCOUNT, f"{AZURITE_ACCOUNT}.dfs.core.windows.net"])
def test_every_way_to_name_a_container(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = place("azurite", monkeypatch)
    rest = there.url.removeprefix(f"az://{BUCKET}")
    options = RemoteOptions(endpoint_url=there.endpoint_url)
    medium = open_medium(f"{scheme}://{BUCKET}@{host}{rest}", options=options)
    assert medium.put_if_absent("packs/aa/one", [b"body"]) is PutOutcome.CREATED
    assert there.open().get("packs/aa/one") == b"body"


def test_azure_needs_an_account() -> None:
    with pytest.raises(UsageError) as caught:
        open_medium("az://container/x")
    assert caught.value.code == "no-account"


def test_a_connection_string_is_shown_to_its_own_account_only() -> None:
    text = (
        "DefaultEndpointsProtocol=https;AccountName=ours;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
    )
    options = RemoteOptions(connection_string=text)
    assert open_medium("az://container/x", options=options).url == (
        "az://container/x at https://ours.blob.core.windows.net"
    )
    assert open_medium("abfs://container@ours.dfs.core.windows.net/x", options=options).url
    with pytest.raises(AccessDenied) as caught:
        open_medium("abfs://container@theirs/x", options=options)
    assert caught.value.code == "other-account"
    assert "c2VjcmV0" not in caught.value.message + repr(options)


@pytest.mark.parametrize(
    ("endpoint", "guarded"),
    [
        ("https://s3.example.com", True), ("http://127.0.0.1:9000", True), ("http://localhost", True),
        ("http://10.0.0.1:9000", False), ("http://s3.example.com", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_what_guards_the_way_to_a_server(endpoint: str, guarded: bool) -> None:
    assert is_guarded(endpoint) is guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_bytes_are_signed_where_nothing_else_guards_them(
    guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place("moto", monkeypatch)
    s3 = pytest.importorskip("gitml.store.media.s3")
    monkeypatch.setattr(s3, "is_guarded", lambda endpoint: guarded)
    client = s3.S3Client(parse_store_url(there.url), RemoteOptions(endpoint_url=there.endpoint_url))
    sent: list[str] = []
    client._files.session.register(
        "before-send.s3.PutObject",
        lambda request, **_: sent.append(request.headers["X-Amz-Content-SHA256"].decode()),
    )
    RemoteMedium(client, "x", RemoteOptions()).put("packs/aa/aa", [b"some", b"bytes"])
    assert sent == ["UNSIGNED-PAYLOAD" if guarded else hashlib.sha256(b"somebytes").hexdigest()]
