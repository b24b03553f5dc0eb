"""Links of the SDKs' chains of credentials, each from a service on loopback that gives what the cloud's own would.

S3 is moto, which has a token service too; Azure is Azurite behind TLS, which reads tokens (it cannot judge who signed
them). What the services of the real clouds do beside that is not shown.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import servers.running
from servers.running import (
    AZURITE_ACCOUNT,
    NotInstalledError,
    azurite_program,
    free_port,
    spawn,
    wait_until_ready,
)
from support.remote import Place, place

from gitml.errors import AccessDenied
from gitml.store.media.medium import Medium
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions

SECRET = "secret-of-a-service"


@contextmanager
def service(answer: Callable[[str, str], str]) -> Iterator[int]:
    """A web service that answers a method and a path; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.command, self.path).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET  # noqa: N815, the name that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place on S3, and no keys in the environment."""
    there = place("moto", monkeypatch)
    for name in there.environment:
        monkeypatch.delenv(name)
    return there


def keys_of(number: int, *, minutes: int = 60) -> dict[str, Any]:
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    return {
        "Code": "Success",
        "AccessKeyId": f"ASIA{number:04}EXAMPLEKEY{number:04}",
        "SecretAccessKey": SECRET,
        "Token": "token",
        "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def used(medium: Medium) -> tuple[str | None, str]:
    identity = medium.identity()  # type: ignore[attr-defined]
    assert SECRET not in repr(identity)
    return identity.used, identity.who


def transfers(medium: Medium) -> None:
    medium.put("packs/aa/one", [b"body"])
    assert medium.get("packs/aa/one") == b"body"


def test_the_role_of_a_container(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(lambda *_: json.dumps(keys_of(1))) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/role")
        medium = s3.open()
        transfers(medium)
        assert used(medium)[0] == "the role of this container"


def test_a_role_whose_keys_are_renewed_while_it_is_at_work(
    s3: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that end soon are asked for anew before each call, and the medium goes on with them."""
    asked = 0

    def answer(*_: str) -> str:
        nonlocal asked
        asked += 1
        return json.dumps(keys_of(asked, minutes=5))

    with service(answer) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/role")
        medium = s3.open()
        transfers(medium)
        first = used(medium)[1]
        transfers(medium)
        assert used(medium)[1] != first
        assert asked > 2


def test_the_role_of_a_machine(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(method: str, path: str) -> str:
        if method == "PUT":
            return "token"
        return json.dumps(keys_of(1)) if path.endswith("/trainer") else "trainer"

    with service(answer) as port:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}/")
        medium = s3.open()
        transfers(medium)
        assert used(medium)[0] == "the role of this machine"


def test_a_role_that_a_profile_assumes(s3: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(
        "[profile base]\naws_access_key_id = test\naws_secret_access_key = test\n"
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/trainer\nsource_profile = base\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint_url)
    options = RemoteOptions(endpoint_url=s3.endpoint_url, profile="work")
    medium = open_medium(s3.url, options=options)
    transfers(medium)
    link, who = used(medium)
    assert (link, "assumed-role/trainer" in who) == ("an assumed role", True)


def test_a_web_identity(s3: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("a token of the cluster")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/trainer")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint_url)
    medium = s3.open()
    transfers(medium)
    assert used(medium)[0] == "a web identity"


def test_a_program_that_gives_credentials(s3: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"Version": 1, "AccessKeyId": "ASIAPROGRAMEXAMPLE", "SecretAccessKey": SECRET}
    program = tmp_path / "program.py"
    program.write_text(f"print({json.dumps(answer)!r})\n")
    file = tmp_path / "config"
    file.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    medium = s3.open()
    transfers(medium)
    assert used(medium) == ("a credential process", "key ASIA…MPLE")


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        raise NotInstalledError("apt-get install openssl")
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=127.0.0.1"
    subprocess.run(
        ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return str(folder / "cert"), str(folder / "key")


@contextmanager
def running(folder: Path, port: int, *command: str) -> Iterator[None]:
    process = spawn(command, folder, "log")
    try:
        wait_until_ready(port, process, folder / "log")
        yield
    finally:
        process.terminate()
        process.wait(20)


def installed(find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return find()
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("known", [True, False])
def test_s3_by_an_authority_of_ones_own(known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.session

    cert, key = installed(lambda: certificate(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    port = free_port()
    program = str(Path(servers.running.__file__).with_name("moto_atomic.py"))
    words = (
        sys.executable,
        "-W",
        "ignore",
        program,
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
        "-c",
        cert,
        "-k",
        key,
    )
    with running(tmp_path, port, *words):
        endpoint = f"https://127.0.0.1:{port}"
        client = botocore.session.get_session().create_client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", verify=cert
        )
        client.create_bucket(Bucket="team-ml")
        if known:
            monkeypatch.setenv("AWS_CA_BUNDLE", cert)
        medium = open_medium("s3://team-ml/a", options=RemoteOptions(endpoint_url=endpoint))
        if known:
            transfers(medium)
            return
        with pytest.raises(AccessDenied) as caught:
            medium.get("packs/aa/one")
        assert (caught.value.code, "AWS_CA_BUNDLE" in (caught.value.hint or "")) == ("tls", True)


@pytest.fixture
def azurite_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Azurite that takes tokens, known by a certificate that this test trusts."""
    program, cert, key = installed(lambda: (azurite_program(), *certificate(tmp_path)))
    port = free_port()
    words = (
        program, "--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck", "--blobHost", "127.0.0.1",
        "--blobPort", str(port), "--oauth", "basic", "--cert", cert, "--key", key,
    )  # fmt: skip
    with running(tmp_path, port, *words):
        monkeypatch.setenv("SSL_CERT_FILE", cert)
        yield f"https://127.0.0.1:{port}/{AZURITE_ACCOUNT}"


def token(seconds: int, number: int) -> str:
    """What Azure's token service gives, signed by nobody."""
    now = int(time.time())
    claims = {
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/", "aud": "https://storage.azure.com",
        "iat": now - 60, "nbf": now - 60, "exp": now + seconds, "jti": str(number),
    }  # fmt: skip
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"x"))


def test_a_managed_identity_whose_tokens_end_soon(
    azurite_behind_tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's default chain finds the identity of the machine, and gets tokens anew while the medium is at work."""
    asked = 0

    def answer(method: str, path: str) -> str:
        nonlocal asked
        asked += 1
        ends = int(time.time()) + 1  # so the SDK is told; Azurite reads the token
        return json.dumps(
            {
                "access_token": token(200, asked), "expires_on": str(ends), "resource": "https://storage.azure.com",
                "token_type": "Bearer", "client_id": "11112222-3333-4444-5555-666677778888",
            }
        )  # fmt: skip

    with service(answer) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", SECRET)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", AZURITE_ACCOUNT)
        done = subprocess.run(  # certificates are read when the SDK is imported
            [sys.executable, "-c", _AS_A_MACHINE, azurite_behind_tls],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == [
        "the default chain of Azure identities",
        f"account {AZURITE_ACCOUNT}",
    ]
    assert asked > 2
    assert SECRET not in done.stdout + done.stderr


_AS_A_MACHINE = """
import asyncio, sys, time
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions

medium = open_medium("az://team-ml/a", options=RemoteOptions(endpoint_url=sys.argv[1]))
client = medium._client
making = client._files.service_client.create_container("team-ml")
asyncio.run_coroutine_threadsafe(making, client.loop).result(60)
until = time.monotonic() + 2.5
while time.monotonic() < until:
    medium.put("packs/aa/one", [b"body"])
    assert medium.get("packs/aa/one") == b"body"
identity = medium.identity()
print(identity.used, identity.who, sep="\\n")
"""
