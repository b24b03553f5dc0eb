"""moto's server with one writer at a time.

moto looks whether a name is free and takes it in two steps, without a lock, so that of eight racing create-only
writes two may be told that they created. S3 does not; neither does this.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from moto.s3.responses import S3Response
from moto.server import main

_turn = threading.Lock()
_put = S3Response._key_response_put


def _one_at_a_time(self: S3Response, *arguments: Any, **named: Any) -> Any:
    with _turn:
        return _put(self, *arguments, **named)


if __name__ == "__main__":
    S3Response._key_response_put = _one_at_a_time  # type: ignore[method-assign]
    main(sys.argv[1:])
