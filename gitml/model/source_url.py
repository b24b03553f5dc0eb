"""Locations of data that stays where it is: which are allowed, taken apart.

An allow-list of its own beside that of stores: a folder or file of this machine, a bucket, or one file on a web
server. What follows the authority is taken as it stands: nothing is expanded, decoded or joined, so that the text
that a person trusted is the text that is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from gitml.errors import InvalidInput
from gitml.model.redact import find_secret, redact
from gitml.model.shown import shown
from gitml.model.store_url import StoreUrl, check_endpoint, parse_store_url

MAX_URL: Final = 3072
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SPLIT = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_WEB_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+")
_WEB_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$'()*+,:@/-]|%[0-9A-Fa-f]{2}|[=&])*")
_DOTS = re.compile(r"(?:\.|%2[eE]){1,2}")
# Names that sign a request or carry a token; whoever reads the registry could use them.
_SIGNING = re.compile(
    r"sig|signature|x-(?:amz|goog|oss|cos)-.*|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires?|"
    r"s[evprkta]|sk[a-z]{1,3}|spr|sdd|.*(?:token|secret|passw|auth|credential|session|hmac|jwt).*|api_?key|key|code",
    re.IGNORECASE,
)
_LONG_VALUE: Final = 32


class SourceKind(Enum):
    """What has to be asked for the bytes."""

    FOLDER = "file"
    S3 = "s3"
    AZURE = "azure"
    WEB = "https"


_KINDS: Final = {
    "file": SourceKind.FOLDER,
    "s3": SourceKind.S3,
    "az": SourceKind.AZURE,
    "abfs": SourceKind.AZURE,
    "abfss": SourceKind.AZURE,
    "https": SourceKind.WEB,
    "http": SourceKind.WEB,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceUrl:
    """A location, or the place of one file in it.

    Attributes:
        scheme: `file`, `s3`, `az`, `abfs`, `abfss`, `https`, or `http` for this machine.
        authority: Bucket, container (with its account), or host and port; "" for a folder.
        key: Path below the authority without the slash before it, as it stands; of a web server with the query.
    """

    scheme: str
    authority: str
    key: str

    @classmethod
    def parse(cls, text: str) -> SourceUrl:
        """Read a location; `str(parse(x)) == x`.

        Raises:
            InvalidInput: It is of another kind, in another spelling than this one, or holds a credential.
        """
        problem = _problem(text)
        match = _SPLIT.fullmatch(text) if problem is None else None
        if match is None or match["scheme"] not in _KINDS:
            raise _refused(text, problem or "it is no location of a kind that can be referred to")
        scheme, authority, rest = match["scheme"], match["authority"], match["rest"]
        kind = _KINDS[scheme]
        if kind is SourceKind.WEB:
            _check_web(text, scheme, authority, rest)
        else:
            _check_key(text, rest, must_have=kind is SourceKind.FOLDER)
            if kind is SourceKind.FOLDER and authority:
                raise _refused(text, "a file URL with a host could be read in two ways")
            if kind is not SourceKind.FOLDER:
                _store_part(text, scheme, authority)
        return cls(scheme=scheme, authority=authority, key=rest[1:])

    @classmethod
    def of_path(cls, path: PurePath) -> SourceUrl:
        """The location of an absolute path.

        Raises:
            InvalidInput: The path has a part that could mean more than it says.
        """
        return cls.parse("file://" + path.as_posix())

    @property
    def kind(self) -> SourceKind:
        """What has to be asked for the bytes."""
        return _KINDS[self.scheme]

    @property
    def path(self) -> PurePath:
        """The absolute path of a folder or file."""
        return PurePath("/" + self.key)

    @property
    def name(self) -> str:
        """Its last part, without the query of a web address."""
        key = self.key.partition("?")[0] if self.kind is SourceKind.WEB else self.key
        return key.rpartition("/")[2]

    @property
    def root(self) -> SourceUrl:
        """The bucket, container or server that it lies in; `/` for a folder."""
        return SourceUrl(scheme=self.scheme, authority=self.authority, key="")

    @property
    def bucket(self) -> StoreUrl:
        """Its bucket or container, as stores name it."""
        return parse_store_url(f"{self.scheme}://{self.authority}")

    def below(self, path: str) -> SourceUrl:
        """The place of a file below this one.

        Raises:
            InvalidInput: Together they are no location.
        """
        return SourceUrl.parse(f"{self}/{path}")

    def covers(self, other: SourceUrl) -> bool:
        """Whether the other one is this one, or lies below it."""
        if (self.scheme, self.authority) != (other.scheme, other.authority):
            return False
        return not self.key or other.key == self.key or other.key.startswith(self.key + "/")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}" + (f"/{self.key}" if self.key else "")


def is_url(text: str) -> bool:
    """Whether a text that a person typed is meant as a URL rather than a path."""
    return "://" in text


def typed_source(text: str) -> SourceUrl:
    """A URL as a person types it: a slash at its end is dropped, and what could be read in two ways is refused.

    Raises:
        InvalidInput: It is of another kind, or holds a credential.
    """
    if text.startswith("file:") and any(char in text for char in "%?#"):
        raise _refused(text, "a file URL with %, ? or # could be read in two ways", "write the path alone")
    if text.startswith(("http:", "https:")) and text.endswith("/"):
        raise _refused(text, "a web address must name one file", "name the file")
    return SourceUrl.parse(text.rstrip("/") if not text.endswith("://") else text)


def _problem(text: str) -> str | None:
    if not text:
        return "it is empty"
    if len(text) > MAX_URL:
        return f"it has more than {MAX_URL} characters"
    if _CONTROL.search(text):
        return "it has a control or invisible character"
    if "\\" in text:
        return "it has a backslash"
    return None


def _check_key(text: str, rest: str, *, must_have: bool) -> None:
    if not rest and not must_have:
        return
    parts = rest.split("/")[1:] if rest.startswith("/") else []
    if not parts or any(part in ("", ".", "..") for part in parts):
        raise _refused(text, "its path is not plain: it has an empty part, `.` or `..`", "write a plain path")


def _store_part(text: str, scheme: str, authority: str) -> None:
    """A bucket or container follows the rules of stores."""
    problem = _store_problem(scheme, authority)
    if problem is not None:
        raise _refused(text, *problem)


@lru_cache(maxsize=256)
def _store_problem(scheme: str, authority: str) -> tuple[str, str | None] | None:
    try:
        parse_store_url(f"{scheme}://{authority}")
    except InvalidInput as error:
        return error.message.partition(": ")[2], error.hint
    return None


def _check_web(text: str, scheme: str, authority: str, rest: str) -> None:
    if "@" in authority:
        raise _refused(text, "credentials do not belong into it", "remove them")
    if _HOST.fullmatch(authority) is None:
        raise _refused(text, "its host is not plain", "write https://host/path, the host in lower case")
    try:
        check_endpoint(f"{scheme}://{authority}")
    except InvalidInput as error:
        raise _refused(text, "it would be read without TLS", "write https://") from error
    path, _, query = rest.partition("?")
    if _WEB_PATH.fullmatch(path) is None or any(_DOTS.fullmatch(part) for part in path.split("/")):
        raise _refused(text, "its path is not plain, or it names no file", "name one file, percent-encoded")
    if _WEB_QUERY.fullmatch(query) is None or rest.endswith("?"):
        raise _refused(text, "its query is not plain", "percent-encode it")
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        if _SIGNING.fullmatch(name) or "%" in name or len(value) > _LONG_VALUE:
            raise _refused(
                text,
                "its query looks like a signature or token, and what is in a store stays there",
                "name a file that needs none",
            )
    if find_secret(text) is not None:
        raise _refused(text, f"it holds {find_secret(text)}", "name a file that needs none")


def _refused(text: str, why: str, hint: str | None = None) -> InvalidInput:
    safe = re.sub(r"//[^/@]*@", "//***@", redact(text)).partition("?")[0]
    return InvalidInput(
        f"{shown(safe)} cannot be referred to: {why}",
        code="bad-source-url",
        hint=redact(hint or "a folder, file:///…, s3://…, az://…, abfs://… or https://… of one file"),
    )
