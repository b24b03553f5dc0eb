"""Who one is to S3, by the SDK's own chain of credentials. Imported only where a store is on S3."""

from __future__ import annotations

import os
from typing import Any, Final

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from botocore import exceptions as sdk

from gitml.store.media.identity import Identity, masked
from gitml.store.media.s3_access import METHODS

_PATIENCE_S: Final = 5


async def identify(files: Any, endpoint: str | None) -> Identity:
    """Who one is.

    Args:
        files: s3fs's file system.
        endpoint: Server that is not AWS; one that is no AWS is not asked who one is.
    """
    client = await files.set_session()
    session = files.session
    chain = [provider.METHOD for provider in session.get_component("credential_provider").providers]
    found = await session.get_credentials()
    region: str | None = client.meta.region_name
    if found is None:
        return Identity(tried=tuple(map(words, chain)), used=None, who=None, region=region)
    tried = chain[: chain.index(found.method) + 1] if found.method in chain else [*chain, found.method]
    who = f"key {masked((await found.get_frozen_credentials()).access_key)}"
    if endpoint is None or os.environ.get("AWS_ENDPOINT_URL_STS"):
        who += await _name(session, region)
    return Identity(tried=tuple(map(words, tried)), used=words(found.method), who=who, region=region)


def words(method: str) -> str:
    """A link of the chain, for people."""
    return METHODS.get(method, f"credentials by {method}")


async def _name(session: Any, region: str | None) -> str:
    """What AWS calls the bearer of the key; everybody may ask that."""
    patience = AioConfig(
        connect_timeout=_PATIENCE_S, read_timeout=_PATIENCE_S, retries={"total_max_attempts": 1}
    )
    try:
        async with session.create_client("sts", region_name=region or "us-east-1", config=patience) as sts:
            answer = await sts.get_caller_identity()
    except sdk.ClientError as error:
        return f", whose name AWS does not tell ({error.response.get('Error', {}).get('Code', 'refused')})"
    except (sdk.BotoCoreError, OSError):
        return ", whose name could not be asked for"
    return f", {answer.get('Arn', 'without a name')}"
