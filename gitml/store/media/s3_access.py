"""How a bucket is reached, as far as options, environment and AWS's own files say so in plain words.

Owns what needs no SDK: the server's address, what its calls are named, and keys that stand somewhere for everybody to
read. Roles, single sign-on, profiles, proxies and whatever else a setting may mean are the SDK's, which is asked as
soon as anything here is not known for certain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitml.errors import InvalidInput
from gitml.model.store_url import check_endpoint
from gitml.store.media.medium import Flight
from gitml.store.media.remote_options import RemoteOptions

CALLS: Final[Mapping[str, str]] = {
    "head": "HeadObject",
    "get": "GetObject",
    "put": "PutObject",
    "delete": "DeleteObject",
    "list": "ListObjectsV2",
}
# One connection rarely fills the line: four packs on their way here, and three there with a fourth begun.
FLIGHT: Final = Flight(reading_bytes=132 << 20, writing_bytes=120 << 20, loaders=4)
CONNECT_S: Final = 10
METHODS: Final[Mapping[str, str]] = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "sso": "AWS single sign-on",
    "login": "an AWS console login",
    "custom-process": "a credential process",
    "iam-role": "the role of this machine",
    "container-role": "the role of this container",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity",
    "ec2-credentials-file": "the file AWS_CREDENTIAL_FILE",
    "boto-config": "the boto configuration",
}
"""Links of the SDK's chain of credentials, for people."""

_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_KNOWN_VARIABLES: Final = frozenset(
    {
        *(key.upper() for key in _KEYS), *_ENDPOINT_VARIABLES, "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_DEFAULT_OUTPUT", "AWS_PAGER",
    }
)  # fmt: skip
_KNOWN_SETTINGS: Final = frozenset({*_KEYS, "region", "output"})
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_PUBLIC_REGION: Final = re.compile(r"(?:us|eu|ap|sa|ca|af|me|il|mx)-[a-z]+-[0-9]")
_PLAIN_BUCKET: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FIRST_REGION: Final = (
    "us-east-1"  # what a signature names where nobody said more; other servers than AWS take any
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainAccess:
    """All that a request needs.

    Attributes:
        endpoint_url: The server; None where it is AWS.
        used: Where the keys were found, for people.
    """

    endpoint_url: str | None
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    used: str


def endpoint_of(options: RemoteOptions) -> str | None:
    """The server, None where it is AWS.

    Raises:
        InvalidInput: It would be reached without TLS.
    """
    if options.endpoint_url is not None:
        return check_endpoint(options.endpoint_url, allow_http=options.allow_http)
    name = next((name for name in _ENDPOINT_VARIABLES if os.environ.get(name)), None)
    if name is None:
        return None
    try:
        return check_endpoint(os.environ[name], allow_http=options.allow_http)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", code=error.code, hint=error.hint) from error


def plain_access(bucket: str, options: RemoteOptions) -> PlainAccess | None:
    """Keys, server and region; None where only the SDK can tell.

    Args:
        bucket: Its name.
        options: What the user says.

    Raises:
        InvalidInput: The server would be reached without TLS.
    """
    endpoint = endpoint_of(options)
    if options.profile or not _is_plain_environment(
        has_tls=endpoint is None or endpoint.startswith("https:")
    ):
        return None
    said = _said_by_files()
    if said is None or said.keys() - _KNOWN_SETTINGS:
        return None
    region = options.region or os.environ.get("AWS_DEFAULT_REGION") or said.get("region")
    if endpoint is None and not (region and _PUBLIC_REGION.fullmatch(region)):
        return None
    if endpoint is None and not _PLAIN_BUCKET.fullmatch(bucket):
        return None
    found = {key: os.environ.get(key.upper(), "") for key in _KEYS}
    used = METHODS["env"]
    if not found["aws_access_key_id"]:
        found = {key: said.get(key, "") for key in _KEYS}
        used = METHODS["shared-credentials-file"]
    access_key, secret_key, session_token = found.values()
    if not access_key or not secret_key:
        return None
    return PlainAccess(
        endpoint_url=endpoint,
        region=region or _FIRST_REGION,
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token or None,
        used=used,
    )


def _is_plain_environment(*, has_tls: bool) -> bool:
    """Whether no variable is set that means anything else to the SDK."""
    known = _KNOWN_VARIABLES if has_tls else _KNOWN_VARIABLES | {"AWS_CA_BUNDLE"}
    return not any(
        (name.startswith("AWS_") and name not in known) or name.lower() in _PROXIES
        for name, value in os.environ.items()
        if value
    )


def _said_by_files() -> dict[str, str] | None:
    """The default profile; None where a file cannot be read as one of plain settings."""
    said: dict[str, str] = {}
    for variable, usual in (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ):
        try:
            text = Path(os.environ.get(variable) or usual).expanduser().read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, RuntimeError):
            return None
        import configparser  # only where there is something to read

        parser = configparser.RawConfigParser()
        try:
            parser.read_string(text)
            said |= dict(parser.items("default")) if parser.has_section("default") else {}
        except configparser.Error:
            return None
    return said
