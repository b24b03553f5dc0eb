"""Where a user keeps bytes of remote stores on this machine, and how many: `cache:` in `config.yaml`, and variables.

    cache:
      size: 10GiB            # 0 keeps nothing
      path: /scratch/ada/gitml

`GITML_CACHE_SIZE` and `GITML_CACHE_DIR` override them. A repository has no say in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs

from gitml.errors import InvalidInput
from gitml.store.media.cache_options import DEFAULT_LIMIT_BYTES, CacheOptions

_KEYS: Final = {"size", "path"}
_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?) ?(?P<unit>[KMGT]i?)?B?")


def cache_options(file: Path, said: Mapping[str, Any]) -> CacheOptions:
    """The cache that this user wants.

    Args:
        file: The user's settings, named in errors.
        said: What they say.

    Raises:
        InvalidInput: A size or a path is malformed.
    """
    entry = said.get("cache", {})
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        raise InvalidInput(
            f"{file}: expected a mapping `cache: {{size: 10GiB, path: FOLDER}}`",
            code="bad-setting",
            hint=f"correct {file}",
        )
    size, size_from = entry.get("size"), f"{file}: cache.size"
    path, path_from = entry.get("path"), f"{file}: cache.path"
    if text := os.environ.get("GITML_CACHE_SIZE"):
        size, size_from = text, "GITML_CACHE_SIZE"
    if text := os.environ.get("GITML_CACHE_DIR"):
        path, path_from = text, "GITML_CACHE_DIR"
    return CacheOptions(
        path=platformdirs.user_cache_path("gitml") / "objects" if path is None else _folder(path_from, path),
        limit_bytes=DEFAULT_LIMIT_BYTES if size is None else _bytes(size_from, size),
    )


def _folder(where: str, said: object) -> Path:
    if not isinstance(said, str) or "\0" in said or not Path(said).is_absolute():
        raise InvalidInput(
            f"{where} is {said!r}; it must be an absolute path",
            code="bad-setting",
            hint="name a folder of your own, from / on",
        )
    return Path(said)


def _bytes(where: str, said: object) -> int:
    is_plain = isinstance(said, str | int) and not isinstance(said, bool)
    match = _SIZE.fullmatch(str(said)) if is_plain else None
    if match is None:
        raise InvalidInput(
            f"{where} is {said!r}; it must be a size", code="bad-setting", hint="10GiB, 500MB, or 0 for none"
        )
    unit = match["unit"] or ""
    power = "KMGT".index(unit[0]) + 1 if unit else 0
    return int(float(match["number"]) * (1024 if unit.endswith("i") else 1000) ** power)
