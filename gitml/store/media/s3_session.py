"""The SDK's session, told how to find its own descriptions of services in less time.

As it comes, a session looks into the folder of each of some 400 services to learn whether S3 is one of them, and reads
a megabyte of JSON with a hook for every object: a tenth of a second of each command. Imported only where a store is
on S3.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore.loaders import JSONFileLoader, Loader


def new_session(profile: str | None) -> Any:
    """A session that has read nothing yet: no credentials either.

    Args:
        profile: Of the AWS configuration; None takes the environment's choice.
    """
    session = AioSession(profile=profile)
    session.register_component("data_loader", _Services(file_loader=_Descriptions()))
    return session


class _Services(Loader):  # type: ignore[misc]
    """Takes each folder for a service: one that has no description is found out when that is read."""

    def list_available_services(self, type_name: str) -> list[str]:
        names: set[str] = set()
        for folder in map(Path, self.search_paths):
            with suppress(OSError):
                names.update(one.name for one in folder.iterdir())
        return sorted(names)


class _Descriptions(JSONFileLoader):  # type: ignore[misc]
    """Decodes descriptions into plain dictionaries, which keep their order too."""

    def _load_file(self, full_path: str, open_method: Callable[[str, str], BinaryIO]) -> Any:
        if not Path(full_path).is_file():
            return None
        with open_method(full_path, "rb") as stream:
            return msgspec.json.decode(stream.read())
