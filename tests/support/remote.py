"""Places on real servers for one test each."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pytest
from servers.running import AZURITE_ACCOUNT, AZURITE_KEY, NotInstalledError, Server, running

from gitml.store.media.medium import Medium
from gitml.store.media.opening import open_medium
from gitml.store.media.remote_options import RemoteOptions

BUCKET = "team-ml"
SCHEMES = {"moto": "s3", "azurite": "az", "ceph": "s3"}
"""Server -> scheme of its locations."""
BY_SDK = "moto by the SDK"
CLIENTS = (*SCHEMES, BY_SDK)
"""Servers, and one more time a server that is reached as by those whose keys are not in plain words."""


@dataclass(frozen=True)
class Place:
    """An empty prefix on a server, and what a person has to set to reach it."""

    url: str
    endpoint_url: str
    environment: Mapping[str, str]
    port: int

    def at(self, port: int) -> Place:
        """The same place behind a proxy."""
        endpoint = self.endpoint_url.replace(f":{self.port}", f":{port}", 1)
        return Place(self.url, endpoint, self.environment, port)

    def open(self, *, timeout_s: float = 120, stall_s: float = 30) -> Medium:
        """Its medium, by credentials of the environment."""
        options = RemoteOptions(endpoint_url=self.endpoint_url, timeout_s=timeout_s, stall_s=stall_s)
        return open_medium(self.url, options=options)


def place(name: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place of its own on the server of that name, with the credentials in the environment."""
    if name == BY_SDK:
        name = "moto"
        by_sdk(monkeypatch)
    try:
        server = running(name)
    except NotInstalledError as error:
        if os.environ.get("GITML_REQUIRE_SERVERS"):
            raise
        pytest.skip(f"{name} is not installed: {error}")
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    _bucket(name, server)
    url = f"{SCHEMES[name]}://{BUCKET}/{secrets.token_hex(4)}/a b"
    return Place(url, server.endpoint_url, server.environment, server.port)


def by_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let S3 be reached by its SDK: it alone knows what this variable means."""
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "tests")


@cache
def _made() -> set[str]:
    return set()


def _bucket(name: str, server: Server) -> None:
    if name in _made():
        return
    _made().add(name)
    if SCHEMES[name] == "s3":
        import s3fs

        with contextlib.suppress(FileExistsError):  # another worker of the session made it
            s3fs.S3FileSystem(endpoint_url=server.endpoint_url, skip_instance_cache=True).mkdir(BUCKET)
    else:
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": AZURITE_ACCOUNT, "account_key": AZURITE_KEY}
        with BlobServiceClient(server.endpoint_url, credential=credential) as service:
            service.create_container(BUCKET)
