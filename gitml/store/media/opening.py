"""From the URL of a store to its medium; the one place that knows which adapter a scheme has."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gitml.errors import UsageError
from gitml.model.store_url import StoreKind, StoreUrl, parse_store_url
from gitml.store.media.folder import FolderMedium
from gitml.store.media.medium import Medium
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.s3_access import plain_access

if TYPE_CHECKING:
    from gitml.store.media.remote_client import Client


def open_medium(
    url: str,
    *,
    base: PurePath | None = None,
    options: RemoteOptions | None = None,
    allowed: Collection[str] = frozenset(),
) -> Medium:
    """The medium at a URL or path; nothing is asked of a server yet.

    Args:
        url: Where it is.
        base: Folder that a relative path starts from.
        options: What the user says about it.
        allowed: Schemes that the user allows beside the usual ones. Whether such a place is fit is for the caller.

    Raises:
        InvalidInput: The URL is malformed or of a kind that is not allowed.
        UsageError: The extra that brings its client is not installed, or the URL says too little.
    """
    parsed = parse_store_url(url, base or Path.cwd(), allowed=allowed)
    if parsed.is_folder:
        return FolderMedium(Path(parsed.path))
    options = options or RemoteOptions()
    try:
        if parsed.kind is StoreKind.OTHER:
            from gitml.store.media.fsspec_medium import open_fsspec

            return open_fsspec(parsed, options)
        from gitml.store.media.remote import RemoteMedium

        return RemoteMedium(_client(parsed, options), parsed.prefix, options)
    except ImportError as error:
        need = f"the extra {parsed.extra}" if parsed.extra else "another package"
        package = f"'gitml[{parsed.extra}]'" if parsed.extra else "the package that it names"
        raise UsageError(
            f"stores on {parsed.scheme}:// need {need}: {error}",
            code="extra-missing",
            hint=f"pip install {package}",
        ) from error


def _client(url: StoreUrl, options: RemoteOptions) -> Client:
    """The SDK's adapter, imported only now."""
    if url.kind is StoreKind.S3:
        access = plain_access(url.bucket, options)
        if access is not None:
            # without obstore, which is the quicker of two ways only
            with suppress(ImportError):
                from gitml.store.media.s3_quick import QuickS3Client

                return QuickS3Client(url, options, access)
        from gitml.store.media.s3 import S3Client

        return S3Client(url, options)
    from gitml.store.media.azure import AzureClient

    return AzureClient(url, options)
