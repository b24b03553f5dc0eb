"""Names: asset types, asset names, versions and their order, and the words for stages and aliases.

Owns what a name may look like and which of two versions is the newer one. Whether a name exists is for the
registry.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import Any

from gitml.errors import InvalidInput, UsageError
from gitml.model.shown import spelled

ASSET_TYPES: tuple[str, ...] = (
    "datasets",
    "environments",
    "models",
    "experiments",
    "components",
    "endpoints",
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
_WORD = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
# A leading `v` is not SemVer, but people write it and mean the same order.
_SEMVER = re.compile(
    r"(?P<prefix>[vV]?)(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    r"(?:-(?P<pre>(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_DIGITS = re.compile(r"([0-9]+)")
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [device + digit for device in ("com", "lpt") for digit in "0123456789¹²³"]
)
_TAKEN_WORDS = frozenset(["latest", "about", "asset"])


def is_windows_device(name: str) -> bool:
    """Whether Windows takes a file of this name for a device, whatever its extension."""
    return name.partition(".")[0].rstrip(" ").casefold() in _WINDOWS_DEVICES


def _refuse(what: str, text: object, why: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"{spelled(text)} is no valid {what}: {why}", code=f"bad-{what.replace(' ', '-')}", hint=hint
    )


def _check(what: str, text: str, pattern: re.Pattern[str], rule: str) -> str:
    if not isinstance(text, str):
        raise _refuse(what, text, f"it must match {pattern.pattern}", rule)
    return _checked(what, text, pattern, rule)


@lru_cache(maxsize=1 << 16)  # a registry is read as several trees, which hold the same names
def _checked(what: str, text: str, pattern: re.Pattern[str], rule: str) -> str:
    if pattern.fullmatch(text) is None:
        raise _refuse(what, text, f"it must match {pattern.pattern}", rule)
    if is_windows_device(text):
        raise _refuse(what, text, "Windows reserves this name for a device", "choose another name")
    if text.endswith("."):
        raise _refuse(
            what, text, "it ends with a full stop, which Windows drops", "remove the full stop at its end"
        )
    return text


def parse_type(text: str, known: Collection[str] = ASSET_TYPES) -> str:
    """The plural folder name of an asset type; `model` and `models` both give `models`.

    Raises:
        UsageError: There is no such type.
    """
    if text in known:
        return text
    if isinstance(text, str) and f"{text}s" in known:
        return f"{text}s"
    import difflib

    near = difflib.get_close_matches(str(text).lower()[:80], list(known), n=1)
    raise UsageError(
        f"{spelled(text)} is no asset type of this registry",
        code="unknown-type",
        hint=f"write {near[0]}" if near else f"one of {', '.join(known)}",
        context={"known": list(known)},
    )


def check_type_name(text: str) -> str:
    """Return a name that a registry may give to an asset type of its own.

    Raises:
        InvalidInput: It breaks the rule.
    """
    return _check("type name", text, _TYPE, "lower-case letters, digits, `_` and `-`, starting with a letter")


def check_name(text: str) -> str:
    """Return an asset name.

    Raises:
        InvalidInput: It breaks the rule.
    """
    return _check(
        "asset name",
        text,
        _NAME,
        "lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit",
    )


def check_word(text: str, what: str) -> str:
    """Return the name of a stage or alias.

    Args:
        text: The name.
        what: What it names, for the message: `stage` or `alias`.

    Raises:
        InvalidInput: It breaks the rule.
    """
    _check(what, text, _WORD, "lower-case letters, digits, `.`, `_` and `-`, starting with a letter")
    if text in _TAKEN_WORDS:
        raise _refuse(what, text, "GitML uses this word itself", "choose another name")
    if ".." in text or text.endswith(".lock"):
        raise _refuse(what, text, "git allows no branch of this name", "choose another name")
    return text


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Version:
    """A version's name, with its place in the order of versions.

    Integers come first, by value; then SemVer by its precedence; then everything else, with runs of digits
    compared by value. Two versions that this cannot tell apart (`3` and `03`, SemVer builds) are ordered by
    their text, so the order is total and agrees with equality.

    Attributes:
        text: As it was given.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read a version; `parse(str(x)) == x`.

        Raises:
            InvalidInput: It breaks the rule.
        """
        _check(
            "version",
            text,
            _VERSION,
            "letters, digits, `.`, `+`, `_` and `-`, starting with a letter or digit",
        )
        if text.casefold().endswith(".yaml"):
            raise _refuse(
                "version", text, "it ends in .yaml, like the files beside versions", "choose another name"
            )
        return cls(text=text)

    @property
    def is_integer(self) -> bool:
        """Whether it consists of digits alone."""
        return self.text.isdecimal()

    @property
    def number(self) -> int | None:
        """Its value, where it is an integer."""
        return int(self.text) if self.is_integer else None

    def same_as(self, other: Version) -> bool:
        """Whether the two would be confused: equal but for upper and lower case, or as numbers."""
        if self.is_integer and other.is_integer:
            return self.number == other.number
        return self.text.casefold() == other.text.casefold()

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Version) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __lt__(self, other: Version) -> bool:
        return _order_key(self.text) < _order_key(other.text)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=65536)
def _order_key(text: str) -> tuple[Any, ...]:
    if text.isdecimal():
        return (0, int(text), text)
    match = _SEMVER.fullmatch(text)
    if match is not None:
        core = tuple(int(match[part]) for part in ("major", "minor", "patch"))
        return (1, core, _prerelease_key(match["pre"]), text)
    return (2, _natural_key(text), text)


def _prerelease_key(text: str | None) -> tuple[Any, ...]:
    """Source: semver.org 2.0.0, section 11: a release comes after its pre-releases, numbers before words."""
    if text is None:
        return (1,)
    return (0, tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in text.split(".")))


def _natural_key(text: str) -> tuple[Any, ...]:
    parts = _DIGITS.split(text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetId:
    """A registered thing, whatever its version.

    Attributes:
        type: Plural folder name.
        name: Its name within the type.
    """

    type: str
    name: str

    @classmethod
    def parse(cls, text: str, known: Collection[str] = ASSET_TYPES) -> AssetId:
        """Read `TYPE/NAME`; `parse(str(x)) == x`.

        Raises:
            UsageError: It has another form, or there is no such type.
            InvalidInput: The name breaks the rule.
        """
        asset_type, slash, name = text.partition("/")
        if not slash:
            raise UsageError(
                f"{spelled(text)} does not say the type of the asset",
                code="no-type",
                hint="write TYPE/NAME, as models/digits",
            )
        return cls(type=parse_type(asset_type, known), name=check_name(name))

    @property
    def folder(self) -> str:
        """Its folder inside the registry."""
        return f"{self.type}/{self.name}"

    def __str__(self) -> str:
        return f"{self.type}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionId:
    """One version of an asset."""

    asset: AssetId
    version: Version

    @property
    def type(self) -> str:
        """Plural folder name of its type."""
        return self.asset.type

    @property
    def name(self) -> str:
        """Name of the asset."""
        return self.asset.name

    @property
    def folder(self) -> str:
        """Its folder inside the registry."""
        return f"{self.asset.type}/{self.asset.name}/{self.version.text}"

    def __str__(self) -> str:
        return f"{self.asset.type}/{self.asset.name}@{self.version.text}"


@lru_cache(maxsize=1 << 16)  # the trees of a change hold the same versions several times over
def version_of(asset_type: str, name: str, version: str) -> VersionId:
    """The version that a folder TYPE/NAME/VERSION is for.

    Raises:
        InvalidInput: The name or the version is none.
    """
    return VersionId(asset=AssetId(type=asset_type, name=check_name(name)), version=Version.parse(version))


def next_integer(existing: Iterable[Version]) -> Version:
    """The default of a new version: one above the highest integer, `1` where there is none.

    Raises:
        UsageError: The newest version is no integer, so that the next one has to be said.
    """
    versions = list(existing)
    if not versions:
        return Version(text="1")
    newest = max(versions)
    if newest.number is None:
        raise UsageError(
            f"the newest version is {newest}, which is no integer, so GitML cannot guess the next",
            code="no-next-version",
            hint="--bump patch, or --version V" if _SEMVER.fullmatch(newest.text) else "--version V",
            context={"newest": newest.text},
        )
    return Version(text=str(newest.number + 1))


def bump(newest: Version, part: str) -> Version:
    """The version after a SemVer one; pre-release and build are dropped.

    A pre-release goes to its own release where that is what the part asks for: 1.2.0-rc.1 bumped by
    `patch` or `minor` is 1.2.0.

    Raises:
        UsageError: The newest version is no SemVer.
    """
    match = _SEMVER.fullmatch(newest.text)
    if match is None:
        raise UsageError(
            f"{newest} is no semantic version (MAJOR.MINOR.PATCH), so there is no {part} to raise",
            code="not-semver",
            hint="leave --bump out for the next integer" if newest.is_integer else "--version V",
            context={"newest": newest.text},
        )
    major, minor, patch = (int(match[name]) for name in ("major", "minor", "patch"))
    pre = match["pre"] is not None
    if part == "major":
        major, minor, patch = (major if pre and minor == patch == 0 else major + 1), 0, 0
    elif part == "minor":
        minor, patch = (minor if pre and patch == 0 else minor + 1), 0
    elif part == "patch":
        patch = patch if pre else patch + 1
    else:
        raise UsageError(
            f"{spelled(part)} is no part of a version", code="bad-bump", hint="major, minor or patch"
        )
    return Version.parse(f"{match['prefix']}{major}.{minor}.{patch}")


def highest(versions: Iterable[Version], deprecated: Collection[str] = ()) -> Version | None:
    """What `latest` means: the highest version that is not deprecated, None where there is none."""
    return max((version for version in versions if version.text not in deprecated), default=None)
