"""Where another registry lies: what `REPO` of `REPO//…` means."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitml.errors import GitMLError, InvalidInput, NotFound
from gitml.git.urls import check_url, same_remote, without_credentials
from gitml.model.config import REGISTRY_NAME, STORE_NAME, Config
from gitml.model.redact import strip_credentials
from gitml.registry.workspace import Workspace

SEPARATOR: Final = "//"
_BUCKETS: Final = ("s3:", "az:", "abfs:", "abfss:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where another registry lies.

    Attributes:
        url: As git reads it; may hold credentials that the user typed.
        folder: The folder, where it lies on this machine.
    """

    url: str
    folder: Path | None

    @property
    def shown(self) -> str:
        """Without credentials; what pointers and messages say."""
        return strip_credentials(self.url)


def split(text: str) -> tuple[str | None, str]:
    """Take `REPO//REST` apart at the last `//`; None where the text names no other registry."""
    repo, separator, rest = text.rpartition(SEPARATOR)
    if not separator or not repo or repo.endswith(":"):
        return None, text
    return repo, rest


def names_store(text: str) -> bool:
    """Whether a text names a store of another registry, `REPO//NAME`, rather than a location of data."""
    repo, name = split(text)
    return repo is not None and STORE_NAME.fullmatch(name) is not None and not repo.startswith(_BUCKETS)


def address_of(repo: str, own: Callable[[], Workspace], caller: Path) -> Address:
    """What `REPO` means.

    Args:
        repo: A name, or a URL or path.
        own: Opens the registry that may name others; asked where `repo` is a word.
        caller: Folder that a path which people type is relative to.

    Raises:
        NotFound: No registry names it, or there is no such folder.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    if REGISTRY_NAME.fullmatch(repo) is None:
        return located(repo, caller)
    try:
        config = own().config
    except NotFound as error:
        raise NotFound(
            f"{repo}// is a name, and there is no registry here that could say what it means",
            code="registry-not-named",
            hint="write the URL of its repository instead, or ./ before the name of a folder",
        ) from error
    return named(config, repo, own())


def named(config: Config, name: str, ws: Workspace) -> Address:
    """The registry that a configuration calls so; relative paths start at the registry's folder.

    Raises:
        NotFound: It names none so.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    url = config.registries.get(name)
    if url is None:
        known = ", ".join(sorted(config.registries)) or "none"
        raise NotFound(
            f"gitml.yaml names no registry {name!r}; it names {known}",
            code="registry-not-named",
            hint=f"registries: {{{name}: URL}} in gitml.yaml, or write the URL itself",
            context={"name": name, "known": sorted(config.registries)},
        )
    address = located(url, ws.base_folder or ws.caller)
    if ws.base_folder is None and address.folder is not None:
        raise InvalidInput(
            f"{ws.identity_url()} names {name} as {address.shown}, a folder of its own machine",
            code="registry-elsewhere",
            hint="a URL in `registries:` there",
        )
    return address


def name_of(config: Config, address: Address, ws: Workspace) -> str | None:
    """What a configuration calls the registry at an address."""
    for name in config.registries:
        with suppress(GitMLError):
            if same_remote(named(config, name, ws).url, address.url):
                return name
    return None


def located(text: str, base: Path) -> Address:
    """A URL as it is, and a path from a folder.

    Raises:
        NotFound: There is no such folder.
        InvalidInput: The URL is of a kind that GitML does not talk to.
    """
    url = check_url(text)
    if "://" in url:
        path = Path(url.removeprefix("file://localhost").removeprefix("file://"))
        return Address(url=url, folder=path if url.startswith("file:") else None)
    folder = base / url
    if folder.is_dir():
        return Address(url=str(folder.resolve()), folder=folder.resolve())
    if ":" in url.partition("/")[0]:
        return Address(url=url, folder=None)
    raise NotFound(
        f"there is no repository {without_credentials(text)!r}",
        code="remote-repository",
        hint="REPO// is a name of `registries:` in gitml.yaml, a git URL, or a path",
    )
