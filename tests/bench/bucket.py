"""Places in a bucket on a server of this machine, and what goes over the wire to them."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.servers.running import NotInstalledError, Server, free_port, running, spawn, wait_until_ready
from tests.support.proxy import Proxy

_BUCKET = "bench"
_REGION = "us-east-1"
_FILLING = 16  # requests at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A prefix of a bucket, as a program reaches it.

    Attributes:
        environment: Credentials and region, as a person would set them.
    """

    endpoint_url: str
    bucket: str
    prefix: str
    environment: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @contextmanager
    def metered(self) -> Iterator[tuple[Place, Proxy]]:
        """The same place behind a proxy that counts requests and bytes."""
        port = int(self.endpoint_url.rpartition(":")[2])
        with Proxy(port) as proxy:
            yield replace(self, endpoint_url=f"http://127.0.0.1:{proxy.port}"), proxy


class Bucket:
    """An empty bucket on a running server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = _client(server)
        self.empty()

    def place(self, name: str) -> Place:
        """A prefix that nobody has used."""
        return Place(
            endpoint_url=self._server.endpoint_url,
            bucket=_BUCKET,
            prefix=f"{name}-{secrets.token_hex(4)}",
            environment=_environment(self._server),
        )

    def objects(self, place: Place, below: str = "") -> dict[str, int]:
        """Names and sizes of the objects below a place."""
        prefix = f"{place.prefix}/{below}"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix=prefix)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    def empty(self) -> None:
        """Remove all objects."""
        with suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
            self._client.create_bucket(Bucket=_BUCKET)
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
            if keys:
                self._client.delete_objects(Bucket=_BUCKET, Delete={"Objects": keys, "Quiet": True})


def bucket_on(name: str) -> Bucket | None:
    """A bucket on the server of that name; None where it is not installed."""
    try:
        return Bucket(running(name))
    except NotInstalledError as error:
        print(f"{name}: not measured, {error}", file=sys.stderr)
        return None


@contextmanager
def full_moto(count: int) -> Iterator[Place]:
    """A place on a moto of its own, in which a store holds so many objects."""
    port, folder, prefix = free_port(), Path(tempfile.mkdtemp(prefix="gitml-full-moto-")), "full"
    program = Path(__file__).with_name("full_moto.py")
    words = [sys.executable, "-P", "-W", "ignore", str(program), str(count), _BUCKET, prefix]
    process = spawn([*words, "-H", "127.0.0.1", "-p", str(port)], folder, "log")
    server = Server(
        endpoint_url=f"http://127.0.0.1:{port}",
        environment={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        processes=(process,),
        folder=folder,
    )
    try:
        wait_until_ready(port, process, folder / "log")
        yield Place(
            endpoint_url=server.endpoint_url,
            bucket=_BUCKET,
            prefix=prefix,
            environment=_environment(server),
        )
    finally:
        server.stop()


def fill(server: str, place: Place, count: int) -> None:
    """Put so many small objects there, as a store has them, one request each."""
    from tests.bench.full_moto import names

    client = _client(running(server))

    def put(name: str) -> None:
        client.put_object(Bucket=place.bucket, Key=f"{place.prefix}/{name}", Body=b"{}")

    with ThreadPoolExecutor(_FILLING) as pool:
        for _ in pool.map(put, names(count)):
            pass


def _environment(server: Server) -> dict[str, str]:
    return dict(server.environment) | {"AWS_DEFAULT_REGION": _REGION, "AWS_EC2_METADATA_DISABLED": "true"}


def _client(server: Server) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=_REGION,
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
    )
