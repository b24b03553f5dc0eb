"""What a user's settings and the environment say about an Azure account, without its SDK.

Owns the order in which credentials are taken, who one is by them, and what is wrong with them. What it holds is
secret, and is never shown.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gitml.errors import AccessDenied
from gitml.store.media.identity import Identity, masked
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import Failure, FailureKind

_SOURCES: Final = (
    "a connection string (your settings, AZURE_STORAGE_CONNECTION_STRING)",
    "an account key (AZURE_STORAGE_ACCOUNT_KEY)",
    "a shared access signature (your settings, AZURE_STORAGE_SAS_TOKEN)",
    "a service principal (AZURE_STORAGE_CLIENT_ID, …_SECRET and …_TENANT_ID)",
    "the default chain of Azure identities (environment, workload, managed identity, Azure CLI, PowerShell, azd)",
)
_SIGNATURE_HINTS: Final[Mapping[str, str]] = {
    "AuthenticationFailed": "check the signature (AZURE_STORAGE_SAS_TOKEN), and this machine's clock",
    "AuthorizationPermissionMismatch": "the signature must allow reading, creating, writing, deleting and listing: sp=rcwdl",
    "AuthorizationFailure": "check the signature (AZURE_STORAGE_SAS_TOKEN); or the account's firewall refuses this machine",
}


class Secrets:
    """What there is, in the order in which it is used.

    Args:
        options: The user's settings.

    Raises:
        AccessDenied: A connection string is none.
    """

    def __init__(self, options: RemoteOptions) -> None:
        text = options.connection_string or os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        pairs = (part.partition("=") for part in text.split(";") if part)
        self.connection = {key.strip().lower(): value for key, _, value in pairs}
        if text and not self.connection.keys() & {"accountname", "blobendpoint"}:
            raise AccessDenied(
                "the connection string names neither an account nor its server",
                code="bad-connection-string",
                hint="set AZURE_STORAGE_CONNECTION_STRING as the portal shows it: AccountName=…;AccountKey=…",
            )
        self.account = self.connection.get("accountname") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        self.key, self.sas = self.connection.get("accountkey"), self.connection.get("sharedaccesssignature")
        self._is_in_connection = bool(self.key or self.sas)
        if not self._is_in_connection:
            self.key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
            self.sas = options.sas_token or os.environ.get("AZURE_STORAGE_SAS_TOKEN")

    @property
    def signature(self) -> str | None:
        """The shared access signature, where it is what is used."""
        return self.sas.removeprefix("?") if self.sas and not self.key else None

    @property
    def endpoint(self) -> str | None:
        """Server of the account that the secrets belong to."""
        if self.connection.get("blobendpoint"):
            return self.connection["blobendpoint"]
        if not self.account:
            return None
        scheme = self.connection.get("defaultendpointsprotocol", "https")
        suffix = self.connection.get("endpointsuffix", "core.windows.net")
        return f"{scheme}://{self.account}.blob.{suffix}"

    @property
    def kind(self) -> str:
        """What they are, in words."""
        source = "a connection string" if self._is_in_connection else "the environment (AZURE_STORAGE_…)"
        if self.key:
            return f"the account key of {source}"
        if self.sas:
            return "a shared access signature"
        if os.environ.get("AZURE_STORAGE_CLIENT_ID"):
            return "a service principal (AZURE_STORAGE_CLIENT_ID)"
        return "the default chain of Azure identities"

    def identity(self, endpoint: str) -> Identity:
        """Where was looked, and whose secrets were found."""
        found = [
            self._is_in_connection,
            bool(self.key),
            bool(self.sas),
            bool(os.environ.get("AZURE_STORAGE_CLIENT_ID")),
            True,
        ]
        account = f"account {self.account or urlsplit(endpoint).netloc.partition('.')[0]}"
        client = os.environ.get("AZURE_STORAGE_CLIENT_ID")
        by_client = client and not (self.key or self.sas)
        return Identity(
            tried=_SOURCES[: found.index(True) + 1],
            used=self.kind,
            who=f"{account}, client {masked(str(client))}" if by_client else account,
        )

    def check(self, endpoint: str) -> None:
        """Refuse to show one account's connection string to another server, and what the SDK would choke on."""
        own = self.endpoint if self.connection else None
        if own is not None and urlsplit(own).netloc != urlsplit(endpoint).netloc:
            raise AccessDenied(
                f"the connection string is for {urlsplit(own).netloc}, and the store is at {endpoint}",
                code="other-account",
                hint="unset AZURE_STORAGE_CONNECTION_STRING, or set that of the store's account",
            )
        try:
            base64.b64decode(self.key or "")
        except ValueError as error:
            raise AccessDenied(
                f"{self.kind} is no key: it is not written in base64",
                code="bad-account-key",
                hint="copy the whole of it, up to the = at its end",
            ) from error
        if not (self.key or self.sas or endpoint.startswith("https:")):
            raise AccessDenied(
                f"no credentials for {endpoint}: without TLS it is shown no identity, and looked for were "
                + "; then ".join(_SOURCES[:3]),
                code="no-credentials",
                hint="set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; `gitml doctor` names misspelt variables",
            )


def refused_signature(signature: str, code: str, reason: str) -> Failure:
    """What is wrong with a signature; those that have ended are refused by the same words as forged ones."""
    ended = parse_qs(signature).get("se", [""])[0]
    if ended and _is_past(ended):
        return Failure(
            kind=FailureKind.DENIED,
            reason=f"{reason} (the signature ended at {ended})",
            code="credentials-expired",
            hint="get a new signature, and set AZURE_STORAGE_SAS_TOKEN",
        )
    return Failure(kind=FailureKind.DENIED, reason=reason, hint=_SIGNATURE_HINTS.get(code))


def _is_past(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.replace(tzinfo=moment.tzinfo or UTC) < datetime.now(UTC)
