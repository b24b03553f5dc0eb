"""`plain_s3.py put|get FILE BUCKET PREFIX ENDPOINT`: a file as objects of 32 MiB, 4 at a time, by the SDK alone.

What a store on S3 cannot be faster than with the same client: nothing is cut, hashed, listed or checked here.
`get` writes the objects to FILE; where that is `-`, it lets them go.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

_OBJECT_BYTES = 32 << 20
_AT_A_TIME = 4


async def _all(numbers: range, one: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def in_turn(number: int) -> None:
        async with turn:
            await one(number)

    await asyncio.gather(*map(in_turn, numbers))


async def put(client: Any, file: str, bucket: str, prefix: str) -> None:
    """Send a file."""
    with open(file, "rb", buffering=0) as stream:

        async def one(number: int) -> None:
            body = os.pread(stream.fileno(), _OBJECT_BYTES, number * _OBJECT_BYTES)
            await client.put_object(Bucket=bucket, Key=f"{prefix}/{number:06}", Body=body)

        await _all(range(-(-os.path.getsize(file) // _OBJECT_BYTES)), one)


async def get(client: Any, file: str, bucket: str, prefix: str) -> None:
    """Fetch what `put` sent."""
    listed = await client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
    with open(os.devnull if file == "-" else file, "wb", buffering=0) as stream:

        async def one(number: int) -> None:
            answer = await client.get_object(Bucket=bucket, Key=f"{prefix}/{number:06}")
            body = await answer["Body"].read()
            if file != "-":
                os.pwrite(stream.fileno(), body, number * _OBJECT_BYTES)

        await _all(range(listed["KeyCount"]), one)


async def main(verb: str, file: str, bucket: str, prefix: str, endpoint: str) -> None:
    """Do it."""
    config = AioConfig(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with get_session().create_client("s3", endpoint_url=endpoint, config=config) as client:
        await {"put": put, "get": get}[verb](client, file, bucket, prefix)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
