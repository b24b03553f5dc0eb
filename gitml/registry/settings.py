"""What one person or machine has configured, as opposed to what the repository says.

Owns the environment variables `GITML_*`, the file `config.yaml` in the user's configuration folder, and the
memory of the store locations that were used on this machine. Credentials live with each SDK; where that has no
place for them (a connection string, a shared access signature), they pass through here and are never shown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from gitml.errors import AccessDenied, InvalidInput
from gitml.model.shown import shown
from gitml.model.store_url import check_scheme
from gitml.registry.cache_settings import cache_options
from gitml.store.media.cache_options import CacheOptions
from gitml.store.media.remote_options import RemoteOptions

_MAX_BYTES = 65536
_ANY = "*"
_SECTIONS = ("allow_schemes", "cache", "connections", "forge", "stores")
STORE_KEYS = ("url", "endpoint_url", "allow_http", "region", "profile", "connection_string", "sas_token")
_FIELDS = {"options": "arguments"}
_FILE_KEYS = (*STORE_KEYS, "options")
_KINDS = {"allow_http": (bool, "flag"), "options": (dict, "mapping")}
_VARIABLE = re.compile(r"GITML_STORE_(?P<name>[A-Z0-9_]+?)_(?P<key>" + "|".join(STORE_KEYS).upper() + ")")


def variable(store: str, key: str) -> str:
    """The variable that sets something of a store; one with `.` or `_` in its name has none."""
    return f"GITML_STORE_{store.upper().replace('-', '_')}_{key.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this user on this machine.

    Attributes:
        store_urls: Store name -> URL that replaces the one in `gitml.yaml`.
        store_options: Store name -> server and credentials of a remote store.
        allow_schemes: Schemes of fsspec that a store may have, beside those that it always may.
        forge_hosts: Hosts of forges that tokens may go to, beside the vendors' public ones; in lower case.
        connections: Name -> URL of a database; may hold passwords.
        jobs: Worker threads for transfers; None lets GitML choose.
        cache: Where bytes of remote stores are kept on this machine, and how many; None keeps none.
    """

    store_urls: Mapping[str, str] = field(default_factory=dict)
    store_options: Mapping[str, RemoteOptions] = field(default_factory=dict)
    allow_schemes: frozenset[str] = frozenset()
    forge_hosts: frozenset[str] = frozenset()
    connections: Mapping[str, str] = field(default_factory=dict, repr=False)
    jobs: int | None = None
    cache: CacheOptions | None = None

    def options(self, store: str) -> RemoteOptions:
        """What the user says about a remote store."""
        return self.store_options.get(store) or self.store_options.get(_ANY) or RemoteOptions()


def load_settings() -> Settings:
    """Read the user's file, then let variables override it.

    `GITML_STORE_<NAME>_URL`, and likewise `_ENDPOINT_URL`, `_ALLOW_HTTP`, `_REGION`, `_PROFILE`,
    `_CONNECTION_STRING` and `_SAS_TOKEN`; `GITML_ALLOW_SCHEMES`, `GITML_TIMEOUT_S` and `GITML_JOBS`;
    `GITML_CACHE_SIZE` and `GITML_CACHE_DIR`; `GITML_FORGE_HOSTS`.

    Raises:
        InvalidInput: The file or a variable is malformed.
    """
    path, said = _file()
    stores = _stores(path, said)
    for variable, value in os.environ.items():
        match = _VARIABLE.fullmatch(variable)
        if match is not None and value:
            name = match["name"].lower().replace("_", "-")
            stores.setdefault(name, {})[match["key"].lower()] = _parsed(variable, match["key"].lower(), value)
    timeout_s = _number("GITML_TIMEOUT_S", 86_400, "of seconds that an outage of a store may last")
    cap: dict[str, Any] = {} if timeout_s is None else {"timeout_s": float(timeout_s)}
    return Settings(
        store_urls={name: entry["url"] for name, entry in stores.items() if "url" in entry},
        store_options={
            name: RemoteOptions(
                **{_FIELDS.get(key, key): value for key, value in entry.items() if key != "url"}, **cap
            )
            for name, entry in stores.items()
        }
        | ({_ANY: RemoteOptions(**cap)} if cap else {}),
        allow_schemes=_schemes(path, said),
        forge_hosts=_forge_hosts(path, said),
        connections=_connections(path, said),
        jobs=_number("GITML_JOBS", 256, "of worker threads"),
        cache=cache_options(path, said),
    )


def _parsed(variable: str, key: str, value: str) -> Any:
    if key != "allow_http":
        return value
    if value not in ("0", "1"):
        raise InvalidInput(
            f"{variable} is {value!r}; it must be 0 or 1", code="bad-setting", hint=f"unset {variable}"
        )
    return value == "1"


def _number(variable: str, most: int, what: str) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise InvalidInput(
            f"{variable} is {text!r}; it must be a number from 1 to {most}",
            code="bad-setting",
            hint=f"unset {variable}, or set it to a number {what}",
        )
    return int(text)


def _file() -> tuple[Path, dict[str, Any]]:
    """Where the user's file is, and what it says."""
    path = platformdirs.user_config_path("gitml") / "config.yaml"
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return path, {}
    except OSError as error:
        raise AccessDenied(
            f"cannot read your settings {path}: {error.strerror}",
            code="settings-unreadable",
            hint=f"make {path} readable, or remove it",
        ) from error
    if all(not line.strip() or line.lstrip().startswith(b"#") for line in data.splitlines()):
        return path, {}  # kept for later
    from gitml.model import strict_yaml

    value = strict_yaml.load(data, file=str(path), max_bytes=_MAX_BYTES).value
    if not isinstance(value, dict):
        raise InvalidInput(f"{path}: expected `key: value` lines", code="bad-setting", hint=f"correct {path}")
    for key in value:
        if key not in _SECTIONS:
            raise InvalidInput(
                f"{path}: {shown(str(key))} is no setting",
                code="bad-setting",
                hint=f"use {', '.join(_SECTIONS)}",
            )
    return path, value


def _schemes(path: Path, said: Mapping[str, Any]) -> frozenset[str]:
    """Further schemes that this user allows: a variable replaces what the file says."""
    where, text = "GITML_ALLOW_SCHEMES", os.environ.get("GITML_ALLOW_SCHEMES")
    schemes: Any = text.replace(",", " ").split() if text is not None else None
    if schemes is None:
        where, schemes = f"{path}: allow_schemes", said.get("allow_schemes", [])
    if not isinstance(schemes, list) or not all(isinstance(one, str) for one in schemes):
        raise InvalidInput(
            f"{where}: expected a list, as [sftp, gs]", code="bad-setting", hint=f"correct {path}"
        )
    for scheme in schemes:
        try:
            check_scheme(scheme)
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error.message}", code="bad-setting", hint=error.hint) from error
    return frozenset(schemes)


def _forge_hosts(path: Path, said: Mapping[str, Any]) -> frozenset[str]:
    """Hosts that this user trusts with tokens: those of the variable and those of the file."""
    section = said.get("forge", {})
    hosts = section.get("hosts", []) if isinstance(section, dict) else None
    if not isinstance(hosts, list) or not all(isinstance(one, str) for one in hosts):
        raise InvalidInput(
            f"{path}: expected forge: {{hosts: [HOST]}}", code="bad-setting", hint=f"correct {path}"
        )
    named = os.environ.get("GITML_FORGE_HOSTS", "").replace(",", " ").split()
    return frozenset(host.casefold() for host in (*hosts, *named))


def _connections(path: Path, said: Mapping[str, Any]) -> dict[str, str]:
    """Databases by name; what stands there is not repeated in a message, since it may be a password."""
    found = said.get("connections", {})
    entries = found.values() if isinstance(found, dict) else [found]
    if not all(
        isinstance(one, dict) and set(one) == {"url"} and isinstance(one["url"], str) for one in entries
    ):
        raise InvalidInput(
            f"{path}: expected a mapping `connections: {{NAME: {{url: URL}}}}`",
            code="bad-setting",
            hint=f"correct {path}",
        )
    return {str(name): entry["url"] for name, entry in found.items()}


def _stores(path: Path, said: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    stores = said.get("stores", {})
    if not isinstance(stores, dict) or not all(isinstance(entry, dict) for entry in stores.values()):
        raise InvalidInput(
            f"{path}: expected a mapping `stores: {{NAME: {{url: URL}}}}`",
            code="bad-setting",
            hint=f"correct {path}",
        )
    for name, entry in stores.items():
        for key, setting in entry.items():
            wanted, kind = _KINDS.get(key, (str, "text"))
            if key not in _FILE_KEYS or not isinstance(setting, wanted):
                raise InvalidInput(
                    f"{path}: stores.{name}.{key} is no setting, or no {kind}",
                    code="bad-setting",
                    hint=f"use {', '.join(_FILE_KEYS)}",
                )
    return {str(name): dict(entry) for name, entry in stores.items()}


class _Remembered:
    """A file of this machine's state that holds texts by name, two names deep."""

    def __init__(self, file: str, what: str) -> None:
        self._path = platformdirs.user_state_path("gitml") / file
        self._what = what

    def _put(self, outer: str, inner: str, text: str) -> bool:
        """Remember a text; False where this machine's state folder cannot be written."""
        known = self._read()
        known.setdefault(outer, {})[inner] = text
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            return False
        return True

    def _get(self, outer: str, inner: str) -> str | None:
        found = self._read().get(outer, {}).get(inner)
        return found if isinstance(found, str) else None

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise AccessDenied(
                f"cannot read which stores are {self._what}, {self._path}: {error.strerror}",
                code="settings-unreadable",
                hint=f"make {self._path} readable",
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"{self._path} is not JSON: {error}",
                code="bad-setting",
                hint=f"remove {self._path}; stores are then {self._what} anew",
            ) from error
        return known if isinstance(known, dict) else {}


class TrustedStores(_Remembered):
    """Which location each (repository, store name) had when it was last used on this machine.

    A repository may name a store's location, so a changed `gitml.yaml` could send bytes elsewhere. The first
    location is announced and remembered; a later change must be confirmed.
    """

    def __init__(self) -> None:
        super().__init__("trusted-stores.json", "trusted")

    def location(self, repository: str, store: str) -> str | None:
        """The remembered location, or None at first use."""
        return self._get(repository, store)

    def locations(self, repository: str) -> Mapping[str, str]:
        """Everything that is remembered for a repository, by name."""
        known = self._read().get(repository)
        if not isinstance(known, dict):
            return {}
        return {name: said for name, said in known.items() if isinstance(said, str)}

    def remember(self, repository: str, store: str, location: str) -> bool:
        """Remember a location; False where this machine's state folder cannot be written."""
        return self._put(repository, store, location)


class CheckedStores(_Remembered):
    """What `store check` found of the places whose kind promises nothing by itself."""

    def __init__(self) -> None:
        super().__init__("checked-stores.json", "checked")

    def is_fit(self, location: str) -> bool | None:
        """Whether every promise was kept there; None where nobody has asked."""
        found = self._get(location, "found")
        return None if found is None else found == "fit"

    def remember(self, location: str, *, fit: bool) -> bool:
        """Remember what was found; False where this machine's state folder cannot be written."""
        return self._put(location, "found", "fit" if fit else "unfit")
