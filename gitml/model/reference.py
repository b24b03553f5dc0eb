"""References: how people name an asset, one of its versions, or one file of it.

Grammar: `[REPO//][TYPE/]NAME[@SELECTOR][:PATH]`, where the selector is a version, `latest`, an alias, a stage
or `sha256:<64 hex>`; `TYPE/NAME/VERSION` (the folder in git) is read as `TYPE/NAME@VERSION`. What a selector
means is decided by the registry.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from gitml.errors import GitMLError, UsageError
from gitml.model.digest import Digest
from gitml.model.names import ASSET_TYPES, Version, check_name, parse_type
from gitml.model.paths import check_path
from gitml.model.shown import spelled

_FORM = re.compile(r"(?P<asset>[^@:]*)(?:@(?P<selector>sha256:[^:]*|[^:]*))?(?::(?P<path>.*))?", re.DOTALL)
_DIGEST_PREFIX = "sha256:"
# Before a colon these are meant as a digest, and never as a version with a path.
_ALGORITHMS = frozenset(
    ["sha256", "md5", "sha1", "sha224", "sha384", "sha512", "sha3", "blake2b", "blake2s", "blake3"]
)
_REPO_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f]")
_HINT = "write [TYPE/]NAME[@VERSION][:PATH], as models/digits@3"
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRef:
    """A reference, taken apart.

    Attributes:
        repo: Another repository: a name from `registries` or a git URL; None for this one.
        type: Plural folder name; None where the name alone has to be enough.
        name: Name of the asset.
        selector: Version, `latest`, alias, stage or digest, as text; None where none was given.
        path: One file of the contents.
    """

    repo: str | None = None
    type: str | None = None
    name: str
    selector: str | None = None
    path: str | None = None

    @classmethod
    def parse(cls, text: str, known: Collection[str] = ASSET_TYPES) -> AssetRef:
        """Read a reference; `parse(str(x)) == x`.

        Raises:
            UsageError: It has another form, or there is no such type.
            InvalidInput: A name, selector or path in it breaks its rule.
        """
        if len(text) > _MAX_TEXT:
            raise _malformed(text, f"it has more than {_MAX_TEXT} characters")
        repo, rest = _split_repo(text)
        match = _FORM.fullmatch(rest)
        if match is None:
            raise _malformed(text, "it has another form")
        asset, selector, path = match["asset"], match["selector"], match["path"]
        # A folder completed by a shell ends in a slash.
        parts = (asset.removesuffix("/") if asset.count("/") > 1 else asset).split("/")
        if len(parts) == 3 and selector is None:
            selector = parts.pop()
        if len(parts) > 2:
            raise _malformed(text, "it has too many parts")
        if "" in parts:
            raise _malformed(text, "a part of it is empty")
        if path is not None:
            if not path:
                raise _malformed(text, "no path follows the colon")
            check_path(path)
        return cls(
            repo=repo,
            type=parse_type(parts[0], known) if len(parts) == 2 else None,
            name=check_name(parts[-1]),
            selector=_checked_selector(text, selector, path),
            path=path,
        )

    def __str__(self) -> str:
        return "".join(
            (
                f"{self.repo}//" if self.repo is not None else "",
                f"{self.type}/" if self.type is not None else "",
                self.name,
                f"@{self.selector}" if self.selector is not None else "",
                f":{self.path}" if self.path is not None else "",
            )
        )


def is_digest_selector(selector: str) -> bool:
    """Whether a selector names contents rather than a version."""
    return selector.startswith(_DIGEST_PREFIX)


def _split_repo(text: str) -> tuple[str | None, str]:
    repo, separator, rest = text.rpartition("//")
    if not separator:
        return None, text
    if repo.endswith(":") or not repo:
        raise _malformed(text, "it names a repository, but no asset in it")
    if repo.startswith("-") or _REPO_FORBIDDEN.search(repo):
        raise _malformed(text, "the repository starts with a dash or has a space or control character")
    return repo, rest


def _checked_selector(text: str, selector: str | None, path: str | None) -> str | None:
    if selector is None:
        return None
    if path is not None and selector.casefold() in _ALGORITHMS:
        raise _malformed(text, "a digest is written sha256: and 64 lower-case hexadecimal digits")
    if not selector:
        raise _malformed(text, "nothing follows the @")
    if selector.startswith(_DIGEST_PREFIX):
        return str(Digest.parse(selector))
    try:
        return Version.parse(selector).text
    except GitMLError as error:
        error.message = f"{spelled(text)}: {error.message}"
        error.args = (error.message,)
        raise


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(f"{spelled(text)} is no reference: {why}", code="malformed-reference", hint=_HINT)
