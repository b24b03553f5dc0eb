"""From a location of referenced data to what reads it; the one place that knows which kind needs which room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitml.errors import UsageError
from gitml.model.source_url import SourceKind, SourceUrl
from gitml.store.external.origin import Origin
from gitml.store.external.origin_folder import FolderOrigin
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.write.sourcecache import SourceCache

if TYPE_CHECKING:
    from gitml.store.media.remote_client import Client


def open_origin(
    location: SourceUrl, *, options: RemoteOptions | None = None, cache: SourceCache | None = None
) -> Origin:
    """What reads a location; nothing is asked of a server yet. Whether it may be read is for the caller.

    Args:
        location: Where the data lies.
        options: Server and credentials of a bucket, where they are not the SDK's defaults.
        cache: What is known of files of this machine.

    Raises:
        UsageError: The extra that brings its client is not installed, or the location says too little.
        InvalidInput: Its server would be reached without TLS.
    """
    if location.kind is SourceKind.FOLDER:
        return FolderOrigin(location, cache)
    options = options or RemoteOptions()
    if location.kind is SourceKind.WEB:
        from gitml.store.external.origin_web import WebOrigin

        return WebOrigin(location, options)
    try:
        from gitml.store.external.origin_remote import RemoteOrigin

        return RemoteOrigin(_client(location, options), location, options)
    except ImportError as error:
        extra = location.kind.value
        raise UsageError(
            f"{location.scheme}:// needs the extra {extra}: {error}",
            code="extra-missing",
            hint=f"pip install 'gitml[{extra}]'",
        ) from error


def _client(location: SourceUrl, options: RemoteOptions) -> Client:
    if location.kind is SourceKind.S3:
        from gitml.store.media.s3 import S3Client

        return S3Client(location.bucket, options)
    from gitml.store.media.azure import AzureClient

    return AzureClient(location.bucket, options)
