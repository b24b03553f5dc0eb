"""`full_moto.py COUNT BUCKET PREFIX -H HOST -p PORT`: moto with a store that holds very many objects already.

Nothing reads them: they are there to be in the way of whoever lists.
"""

from __future__ import annotations

import hashlib
import sys

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main

_REGISTRY = "00000000-0000-4000-8000-000000000000"


def names(count: int) -> list[str]:
    """Names as a store that was long in use has them: packs, segments, manifests and roots."""
    found = []
    for number in range(count):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        match number % 4:
            case 0:
                found.append(f"roots/{_REGISTRY}/datasets/d{number // 400}/{number % 400}")
            case kind:
                found.append(f"{('packs', 'segments', 'manifests')[kind - 1]}/{name[:2]}/{name}")
    return found


if __name__ == "__main__":
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    count, bucket, prefix, *rest = sys.argv[1:]
    backend.create_bucket(bucket, "us-east-1")
    for name in names(int(count)):
        backend.put_object(bucket, f"{prefix}/{name}", b"{}", disable_notification=True)
    main(rest)
