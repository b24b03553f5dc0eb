"""From the URL of a store to its medium; the one place that knows which adapter a scheme has."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gitml.errors import UsageError
from gitml.model.store_url import StoreKind, StoreUrl, parse_store_url
from gitml.store.folder import FolderMedium
from gitml.store.medium import Medium
from gitml.store.remote_options import RemoteOptions

if TYPE_CHECKING:
    from gitml.store.remote_client import Client


def open_medium(url: str, *, base: PurePath | None = None, options: RemoteOptions | None = None) -> Medium:
    """The medium at a URL or path; nothing is asked of a server yet.

    Raises:
        InvalidInput: The URL is malformed or of a kind that is not allowed.
        UsageError: The extra that brings its client is not installed, or the URL says too little.
    """
    parsed = parse_store_url(url, base or Path.cwd())
    if parsed.is_folder:
        return FolderMedium(Path(parsed.path))
    options = options or RemoteOptions()
    try:
        from gitml.store.remote import RemoteMedium

        return RemoteMedium(_client(parsed, options), parsed.prefix, options)
    except ImportError as error:
        raise UsageError(
            f"stores on {parsed.scheme}:// need the extra {parsed.extra}: {error}",
            code="extra-missing",
            hint=f"pip install 'gitml[{parsed.extra}]'",
        ) from error


def _client(url: StoreUrl, options: RemoteOptions) -> Client:
    """The SDK's adapter, imported only now."""
    if url.kind is StoreKind.S3:
        from gitml.store.s3 import S3Client

        return S3Client(url, options)
    from gitml.store.azure import AzureClient

    return AzureClient(url, options)
