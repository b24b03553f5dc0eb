"""What a person types to try GitML on a server: how to reach it, and an empty place for a store.

Knows servers by the names under which they are started. Servers for tests alone are told by their variables.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from . import sshd  # noqa: TID252 - by either name of the package
from .running import (  # noqa: TID252 - by either name of the package
    AZURITE_ACCOUNT,
    AZURITE_KEY,
    NotInstalledError,
    Server,
)

BUCKET = "team-ml"


def instructions(name: str, server: Server) -> list[str]:
    """Lines to paste into a shell; those that are to be typed there, or written elsewhere, are comments."""
    return _TOLD.get(name, _variables)(server)


def _variables(server: Server) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in server.environment.items()]


def _on(url: str) -> list[str]:
    return [f"# gitml store check {url}", f"# gitml init --store {url}"]


def _s3(server: Server) -> list[str]:
    """The SDK's own variable for the server: it holds for URLs that no registry names yet, too."""
    try:
        import botocore.session
    except ImportError as error:
        raise NotInstalledError("pip install '.[s3]'") from error
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    return [
        *_variables(server),
        f"export AWS_ENDPOINT_URL={server.endpoint_url}",
        *_on(f"s3://{BUCKET}/registry"),
    ]


def _azure(server: Server) -> list[str]:
    try:
        from azure.storage.blob import BlobServiceClient
    except ImportError as error:
        raise NotInstalledError("pip install '.[azure]'") from error
    text = (
        f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint={server.endpoint_url}"
    )
    with BlobServiceClient.from_connection_string(text) as service:
        service.create_container(BUCKET)
    return [
        f"export AZURE_STORAGE_CONNECTION_STRING={shlex.quote(text)}",
        *_on(f"az://{BUCKET}/registry"),
    ]


def _sftp(server: Server) -> list[str]:
    known = server.folder / "known_hosts"
    known.write_text(sshd.known_hosts(server))
    url = f"{server.endpoint_url}{server.folder}/store"
    options = ", ".join(f"{name}: {value}" for name, value in sshd.options(server).items())
    return [
        f"# cat {known} >> ~/.ssh/known_hosts",
        "# ~/.config/gitml/config.yaml:",
        "#   allow_schemes: [sftp]",
        f'#   stores: {{default: {{url: "{url}", options: {{{options}}}}}}}',
        *_on(url),
    ]


def _database(server: Server) -> list[str]:
    return [
        f'# gitml register datasets/q --sql "select 1 as one" --connection {shlex.quote(server.endpoint_url)}'
    ]


def _forge(server: Server) -> list[str]:
    return [
        *_variables(server),
        f"# git clone {server.endpoint_url}/team/registry.git",
        f"# gitml.yaml: forge: {{kind: github, url: {server.endpoint_url}/github}}",
    ]


_TOLD: Mapping[str, Callable[[Server], list[str]]] = {
    "moto": _s3,
    "ceph": _s3,
    "azurite": _azure,
    "sftp": _sftp,
    "postgresql": _database,
    "forge": _forge,
}
