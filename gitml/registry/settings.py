"""What one person or machine has configured, as opposed to what the repository says.

Owns the environment variables `GITML_*`, the file `config.yaml` in the user's configuration folder, and the
memory of the store locations that were used on this machine. Credentials live with each SDK, never here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import platformdirs

from gitml.errors import AccessDenied, InvalidInput

_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this user on this machine.

    Attributes:
        store_urls: Store name -> URL that replaces the one in `gitml.yaml`.
        jobs: Worker threads for transfers; None lets GitML choose.
    """

    store_urls: Mapping[str, str] = field(default_factory=dict)
    jobs: int | None = None


def load_settings() -> Settings:
    """Read the user's file, then let `GITML_STORE_<NAME>_URL` and `GITML_JOBS` override it.

    Raises:
        InvalidInput: The file or a variable is malformed.
    """
    stores = dict(_from_file())
    for name, value in os.environ.items():
        if name.startswith("GITML_STORE_") and name.endswith("_URL") and value:
            store = name.removeprefix("GITML_STORE_").removesuffix("_URL").lower().replace("_", "-")
            stores[store] = value
    return Settings(store_urls=stores, jobs=_jobs())


def _jobs() -> int | None:
    text = os.environ.get("GITML_JOBS", "")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise InvalidInput(
            f"GITML_JOBS is {text!r}; it must be a number from 1 to 256",
            code="bad-setting",
            hint="unset GITML_JOBS, or set it to a number of worker threads",
        )
    return int(text)


def _from_file() -> dict[str, str]:
    path = platformdirs.user_config_path("gitml") / "config.yaml"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AccessDenied(
            f"cannot read your settings {path}: {error.strerror}",
            code="settings-unreadable",
            hint=f"make {path} readable, or remove it",
        ) from error
    from gitml.model import strict_yaml

    value = strict_yaml.load(data, file=str(path), max_bytes=_MAX_BYTES).value
    stores = value.get("stores", {}) if isinstance(value, dict) else None
    if not isinstance(stores, dict):
        raise InvalidInput(
            f"{path}: expected a mapping `stores: {{NAME: {{url: URL}}}}`",
            code="bad-setting",
            hint=f"correct {path}",
        )
    urls: dict[str, str] = {}
    for name, entry in stores.items():
        url = entry.get("url") if isinstance(entry, dict) else None
        if not isinstance(url, str):
            raise InvalidInput(
                f"{path}: stores.{name} has no text `url`", code="bad-setting", hint=f"correct {path}"
            )
        urls[str(name)] = url
    return urls


class TrustedStores:
    """Which location each (repository, store name) had when it was last used on this machine.

    A repository may name a store's location, so a changed `gitml.yaml` could send bytes elsewhere. The first
    location is announced and remembered; a later change must be confirmed.
    """

    def __init__(self) -> None:
        self._path = platformdirs.user_state_path("gitml") / "trusted-stores.json"

    def location(self, repository: str, store: str) -> str | None:
        """The remembered location, or None at first use."""
        location = self._read().get(repository, {}).get(store)
        return location if isinstance(location, str) else None

    def remember(self, repository: str, store: str, location: str) -> bool:
        """Remember a location; False where this machine's state folder cannot be written."""
        known = self._read()
        known.setdefault(repository, {})[store] = location
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            return False
        return True

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise AccessDenied(
                f"cannot read which stores are trusted, {self._path}: {error.strerror}",
                code="settings-unreadable",
                hint=f"make {self._path} readable",
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"{self._path} is not JSON: {error}",
                code="bad-setting",
                hint=f"remove {self._path}; each store is then announced again at its first use",
            ) from error
        return known if isinstance(known, dict) else {}
