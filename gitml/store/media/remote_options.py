"""What a user says about a remote store; apart from the adapters, which take long to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """What one person or machine says about a remote store, beside its URL.

    Attributes:
        endpoint_url: Server, where it is not the vendor's own.
        allow_http: Talk to it without TLS even where it is not this machine.
        region: Region of an S3 bucket.
        profile: Profile of the AWS configuration.
        connection_string: Of an Azure storage account; a secret.
        sas_token: Shared access signature of an Azure container; a secret.
        arguments: What fsspec's file system of another scheme is made with; may hold secrets.
        timeout_s: How long an outage may last before calls fail.
        stall_s: How long a transfer may stand still before it is begun anew.
    """

    endpoint_url: str | None = None
    allow_http: bool = False
    region: str | None = None
    profile: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_s: float = 120.0
    stall_s: float = 30.0
