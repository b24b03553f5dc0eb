"""Locations of stores: which are allowed, taken apart.

An allow-list, read here and nowhere else: general URL openers chain, cache, and open local files for many a
text that looks harmless. Nothing is expanded or percent-decoded.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from typing import Final

from gitml.errors import InvalidInput
from gitml.model.redact import redact
from gitml.model.shown import shown

_MAX_TEXT: Final = 2048
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>//)?", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}(?:\.(?:dfs|blob)\.[a-z0-9.-]{1,100})?")
_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:[0-9]{1,5})?(?:/[A-Za-z0-9._/-]{0,255})?"
)
_PREFIX_PART = re.compile(r"[^/\\%?#*]{1,255}")
_HOST = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?")
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9]{1,31}")


class StoreKind(Enum):
    """What kind of medium a location names; the value is the extra that brings its client, if any."""

    FOLDER = ""
    S3 = "s3"
    AZURE = "azure"
    OTHER = "fsspec"


_MISTAKEN: Final = {
    "s3a": "s3",
    "s3n": "s3",
    "abs": "abfs",
    "adl": "abfs",
    "azure": "az",
    "wasb": "abfs",
    "wasbs": "abfs",
}
_CLOUD: Final = {"s3": StoreKind.S3, "az": StoreKind.AZURE, "abfs": StoreKind.AZURE, "abfss": StoreKind.AZURE}
# Whatever a user allows: what reads another location, a local file, a web page or a program's memory is no store.
_NEVER: Final = frozenset(
    [
        "arrow", "asynclocal", "asyncwrapper", "blockcache", "cached", "dask", "data", "dir", "dirfs", "dvc", "ext",
        "filecache", "generic", "gist", "git", "github", "gitlab", "gitml", "hf", "http", "https", "jar", "javascript",
        "jlab", "jupyter", "libarchive", "local", "memory", "nfs", "pyscript", "reference", "root", "s3a", "s3n",
        "simplecache", "tar", "unionfs", "wandb", "zip",
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """A location, taken apart.

    Attributes:
        scheme: `file`, `s3`, `az`, `abfs`, `abfss`, or one that the user allows.
        path: Path of a folder; empty for a bucket.
        bucket: Bucket, container, or host with port; "" for a folder.
        account: Storage account and host of an `abfs` location, where given.
        prefix: Path inside the bucket, without slashes at its ends.
    """

    scheme: str
    path: PurePath = field(default_factory=PurePath)
    bucket: str = ""
    account: str = ""
    prefix: str = ""

    @property
    def kind(self) -> StoreKind:
        """What kind of medium it is."""
        return StoreKind.FOLDER if self.scheme == "file" else _CLOUD.get(self.scheme, StoreKind.OTHER)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder rather than a bucket."""
        return self.kind is StoreKind.FOLDER

    @property
    def extra(self) -> str | None:
        """Extra of GitML that this kind needs, as in `gitml[s3]`; None where none brings it."""
        if self.kind is StoreKind.OTHER:
            return "sftp" if self.scheme in ("sftp", "ssh") else None
        return self.kind.value or None

    def __str__(self) -> str:
        if self.is_folder:
            return self.path.as_posix()
        host = f"{self.bucket}@{self.account}" if self.account else self.bucket
        return f"{self.scheme}://{host}" + (f"/{self.prefix}" if self.prefix else "")


def check_scheme(text: str) -> str:
    """Read a scheme that a user allows beside those that are always allowed.

    Raises:
        InvalidInput: It is no scheme, or one that can never be a store.
    """
    if _OTHER_SCHEME.fullmatch(text) is None or text in _NEVER:
        why = "can never be a store" if text in _NEVER else "is no scheme"
        raise InvalidInput(
            f"{shown(text)} {why}",
            code="bad-scheme",
            hint="write the scheme of an fsspec file system, as sftp or gs",
        )
    return text


def parse_store_url(
    text: str, base: PurePath | None = None, *, allowed: Collection[str] = frozenset()
) -> StoreUrl:
    """Read the location of a store.

    Args:
        text: A path, `file:///…`, `s3://bucket/…`, `az://container/…` or `abfs[s]://container@account…/…`.
        base: Absolute folder that a relative path starts from; None leaves it relative.
        allowed: Further schemes that the user's own settings allow; see :func:`check_scheme`.

    Raises:
        InvalidInput: It is of another kind, or holds something that could mean more than it says.
    """
    problem = _problem(text)
    if problem is not None:
        raise _refused(text, *problem)
    match = _SCHEME.match(text)
    if match is None:
        if ":" in text.partition("/")[0]:
            raise _refused(
                text, "`HOST:PATH` is no kind of store", "mount it and name the folder, or write ./ before it"
            )
        return StoreUrl(scheme="file", path=base / text if base is not None else PurePath(text))
    scheme, rest = match["scheme"], text[match.end() :]
    if scheme == "file" and match["slashes"]:
        return StoreUrl(scheme="file", path=_file_path(text, rest))
    if scheme in _CLOUD and match["slashes"]:
        return _in_cloud(text, scheme, rest)
    if scheme.lower() in (*_CLOUD, "file") and scheme != scheme.lower():
        raise _refused(text, "schemes are written in lower case", text.replace(scheme, scheme.lower(), 1))
    if scheme in allowed and scheme not in _NEVER and match["slashes"]:
        return _elsewhere(text, scheme, rest)
    raise _refused(text, f"`{scheme}:` is no kind of store", _instead(scheme, rest, match["slashes"]))


def _instead(scheme: str, rest: str, slashes: str | None) -> str:
    """What may have been meant by a scheme that no store has."""
    alike = (one for one in _CLOUD if (one[0], len(one)) == (scheme[0], len(scheme)))
    meant = _MISTAKEN.get(scheme) or next(alike, scheme)
    if meant == "nfs":
        return "mount it, and name the folder"
    if meant in _CLOUD:
        return f"{meant}://{rest.lstrip('/').partition('?')[0]}"
    hint = "a folder, file:///…, s3://…, az://… or abfs://…"
    if _OTHER_SCHEME.fullmatch(scheme) is not None and scheme not in _NEVER and slashes:
        hint += f"; or allow it in your own settings: allow_schemes: [{scheme}]"
    return hint


def check_endpoint(text: str, *, allow_http: bool = False) -> str:
    """Read the address of a store's server; gives it without a slash at its end.

    Args:
        text: `https://HOST[:PORT][/PATH]`; `http://` where the host is this machine.
        allow_http: The user wants no TLS elsewhere either.

    Raises:
        InvalidInput: It is of another kind, holds credentials, or would send bytes unprotected.
    """
    match = _ENDPOINT.fullmatch(text)
    safe = shown(_safe(text).partition("?")[0])
    if match is None:
        raise InvalidInput(
            f"{safe} cannot be the server of a store",
            code="bad-endpoint",
            hint="write https://HOST or https://HOST:PORT; credentials come from your environment",
        )
    if not allow_http and not is_guarded(text):
        raise InvalidInput(
            f"{safe} would send everything without TLS",
            code="endpoint-without-tls",
            hint="write https://, or set `allow_http: true` for this store in your own settings",
        )
    return text.rstrip("/")


def is_guarded(endpoint: str) -> bool:
    """Whether nobody can read or change what goes to a server: by TLS, or because it never leaves this machine."""
    match = _ENDPOINT.fullmatch(endpoint)
    return match is not None and (match["scheme"] == "https" or _is_this_machine(match["host"]))


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _problem(text: str) -> tuple[str, str] | None:
    if not text.strip():
        return "it is empty", "name a folder or a bucket"
    if len(text) > _MAX_TEXT:
        return f"it has more than {_MAX_TEXT} characters", "shorten it"
    if _CONTROL.search(text):
        return "it has a control or invisible character", "retype it"
    if text != text.strip():
        return "it begins or ends with a space", "remove the space"
    if "::" in text:
        return "`::` chains one location to another", "name the location itself"
    if text.startswith("~"):
        return "`~` is not expanded", "write the absolute path"
    if "$" in text or "{{" in text:
        return "variables are not expanded", "write the location itself"
    if "\\" in text:
        return "it has a backslash", "write / instead"
    return None


def _file_path(text: str, rest: str) -> PurePath:
    path = rest.removeprefix("localhost")
    if not path.startswith("/"):
        raise _refused(text, "`file://` needs an absolute path", "write file:///folder, or the path alone")
    if path.startswith("//") or any(char in path for char in "%?#"):
        raise _refused(
            text, "a file URL with %, ?, # or a host could be read in two ways", "write the path alone"
        )
    return PurePath(path)


def _in_cloud(text: str, scheme: str, rest: str) -> StoreUrl:
    host, _, prefix = rest.partition("/")
    bucket, at, account = host.partition("@")
    if at and scheme not in ("abfs", "abfss"):
        raise _refused(
            text, "credentials do not belong into it", "remove them; credentials come from your environment"
        )
    if at and _ACCOUNT.fullmatch(account) is None:
        raise _refused(
            text,
            "what follows the @ is no storage account",
            "abfs://container@account.dfs.core.windows.net/…",
        )
    pattern = _BUCKET if scheme == "s3" else _CONTAINER
    if pattern.fullmatch(bucket) is None or ".." in bucket:
        raise _refused(
            text,
            f"{shown(redact(bucket))} is no name of a bucket or container",
            "lower-case letters, digits and -",
        )
    return StoreUrl(scheme=scheme, bucket=bucket, account=account, prefix=_prefix(text, prefix))


def _elsewhere(text: str, scheme: str, rest: str) -> StoreUrl:
    """A location of a scheme that the user allows: a host or bucket, and a plain path."""
    host, _, prefix = rest.partition("/")
    if "@" in host:
        raise _refused(
            text,
            "credentials do not belong into it",
            "remove what stands before the @; your own settings name the user: stores.NAME.options.username",
        )
    if _HOST.fullmatch(host) is None or ".." in host:
        raise _refused(text, f"{shown(redact(host))} is no host or bucket", f"{scheme}://HOST/PATH")
    return StoreUrl(scheme=scheme, bucket=host, prefix=_prefix(text, prefix))


def _prefix(text: str, prefix: str) -> str:
    prefix = prefix.removesuffix("/")
    parts = prefix.split("/") if prefix else []
    if any(_PREFIX_PART.fullmatch(part) is None or part in (".", "..") for part in parts):
        raise _refused(text, "its path has an empty part, `.`, `..`, or one of % ? # *", "write a plain path")
    return prefix


def _refused(text: str, why: str, hint: str) -> InvalidInput:
    safe = _safe(text).partition("?")[0]
    return InvalidInput(f"{shown(safe)} cannot be a store: {why}", code="bad-store-url", hint=_safe(hint))


def _safe(text: str) -> str:
    """Text without credentials."""
    return re.sub(r"//[^/@]*@", "//***@", redact(text))
