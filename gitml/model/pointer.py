"""The pointer: `asset.yaml`, the small file in git that describes one version of an asset.

Owns its fields, how they are read and how they are written. `parse(format(x)) == x`, and formatting what was
read from canonical text gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.canonical import KeyOrder, dump
from gitml.model.digest import Digest
from gitml.model.fields import FieldError, Fields, at, read
from gitml.model.names import ASSET_TYPES, AssetId, Version, VersionId, check_name
from gitml.model.reference import AssetRef
from gitml.model.shown import shown
from gitml.model.source_url import SourceUrl

if TYPE_CHECKING:
    from gitml.model.config import Config

SCHEMA: Final = "gitml/asset/v1"
FILES: Final = "files"
REFERENCES: Final = "references"
MAX_SOURCES: Final = 64

_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z"
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STORE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OWN_FILE: Final = "asset.yaml"
_REVIEW = re.compile(r"(?!asset\.yaml$)[^/\\\x00-\x1f\x7f-\x9f]{1,255}", re.IGNORECASE)
_LATEST = "latest"
_MAX_REVIEW = 8

_ORDER: Final = KeyOrder(
    keys=(
        "schema",
        "type",
        "name",
        "version",
        "description",
        "created",
        "author",
        "labels",
        "contents",
        "inputs",
        "source",
        "params",
        "metrics",
        "spec",
    ),
    below={
        "contents": KeyOrder(
            keys=("kind", "digest", "listing", "size", "files", "store", "review", "external"),
            below={"external": KeyOrder(keys=("files", "size", "from"))},
        ),
        "inputs": KeyOrder(keys=("ref", "digest", "commit", "role")),
        "source": KeyOrder(keys=("repo", "commit", "dirty", "path", "command")),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """What a version refers to, where its data stays elsewhere.

    Attributes:
        files: How many files there are.
        size_bytes: Sum of their sizes.
        sources: Locations that they all lie in.
        extra: Fields that this version of GitML does not know.
    """

    files: int
    size_bytes: int
    sources: tuple[SourceUrl, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def _build(cls, fields: Fields) -> External:
        texts = fields.texts("from")
        path = (*fields.path, "from")
        if not 1 <= len(texts) <= MAX_SOURCES:
            raise FieldError(path, f"must be 1 to {MAX_SOURCES} locations", "correct the list")
        sources = []
        for position, text in enumerate(texts):
            with at((*path, position)):
                sources.append(SourceUrl.parse(text))
        return cls(
            files=fields.whole("files", 1),
            size_bytes=fields.whole("size"),
            sources=tuple(sources),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values."""
        known = {"files": self.files, "size": self.size_bytes, "from": [str(url) for url in self.sources]}
        return self.extra | known


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of a version, as the pointer names them.

    Attributes:
        digest: Tree digest.
        listing: Listing digest, which authenticates reads of single files.
        size_bytes: Sum of the files' sizes.
        files: How many there are.
        store: Name of the store in the configuration.
        review: Names of the review copies beside the pointer.
        external: What `references.jsonl`, the one file that is then stored, refers to; None for ordinary contents.
        extra: Fields that this version of GitML does not know.
    """

    digest: Digest
    listing: Digest
    size_bytes: int
    files: int
    store: str
    review: tuple[str, ...] = ()
    external: External | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """`files`, or `references` where the data stays elsewhere."""
        return FILES if self.external is None else REFERENCES

    @classmethod
    def empty(cls) -> Contents:
        """Stands for contents that are not known yet; no pointer that says this is ever written or read."""
        nothing = Digest.of(b"")
        return cls(digest=nothing, listing=nothing, size_bytes=0, files=0, store="default")

    @classmethod
    def _build(cls, fields: Fields) -> Contents:
        kind = fields.optional_text("kind") or FILES
        if kind not in (FILES, REFERENCES):
            raise FieldError(
                (*fields.path, "kind"), f"is {shown(kind)}, which is not known", "install a newer GitML"
            )
        store = fields.text("store")
        if _STORE.fullmatch(store) is None:
            raise FieldError(
                (*fields.path, "store"),
                f"is {shown(store)}, which is no name of a store",
                "name a store of gitml.yaml",
            )
        review = fields.texts("review")
        if len(review) > _MAX_REVIEW or any(_REVIEW.fullmatch(name) is None for name in review):
            raise FieldError(
                (*fields.path, "review"),
                f"must be at most {_MAX_REVIEW} names of files beside {_OWN_FILE}",
                "correct the list",
            )
        return cls(
            digest=fields.parsed("digest", Digest.parse),
            listing=fields.parsed("listing", Digest.parse),
            size_bytes=fields.whole("size"),
            files=fields.whole("files", 1),
            store=store,
            review=review,
            external=_external(fields, kind),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values."""
        known: dict[str, Any] = {} if self.external is None else {"kind": self.kind}
        known |= {"digest": str(self.digest), "listing": str(self.listing), "size": self.size_bytes}
        known |= {"files": self.files, "store": self.store, "review": list(self.review)}
        if self.external is not None:
            known["external"] = self.external.to_dict()
        return self.extra | known


def _external(fields: Fields, kind: str) -> External | None:
    said = fields.mapping("external")
    path = (*fields.path, "external")
    if kind == REFERENCES:
        return External._build(Fields(said, path))
    if said:
        raise FieldError(path, f"means something with `kind: {REFERENCES}` only", "remove it")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A version that this one was made from, pinned by its digest.

    Attributes:
        ref: The version.
        digest: Tree digest of its contents.
        role: What it was used as, such as `training`.
        repo: Another repository that holds it, as a name of `registries:` or a URL; None for this one.
        commit: Commit of that repository that it was read from.
        extra: Fields that this version of GitML does not know.
    """

    ref: VersionId
    digest: Digest
    role: str | None = None
    repo: str | None = None
    commit: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def _build(cls, fields: Fields, known_types: Collection[str]) -> Input:
        text = fields.text("ref")
        with at((*fields.path, "ref")):
            ref, repo = _version_ref(text, known_types)
        return cls(
            ref=ref,
            repo=repo,
            digest=fields.parsed("digest", Digest.parse),
            commit=_commit(fields),
            role=_words(fields, "role"),
            extra=fields.rest(),
        )

    @property
    def text(self) -> str:
        """The version, with the repository that holds it where that is another one."""
        return str(self.ref) if self.repo is None else f"{self.repo}//{self.ref}"

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values."""
        known = {"ref": self.text, "digest": str(self.digest), "commit": self.commit, "role": self.role}
        return self.extra | {key: value for key, value in known.items() if value is not None}

    def same_as(self, other: Input) -> bool:
        """Whether both pin the same contents as the same thing; in which commit they were read is no difference."""
        return replace(self, commit=None) == replace(other, commit=None)


def _commit(fields: Fields) -> str | None:
    commit = fields.optional_text("commit")
    if commit is not None and _COMMIT.fullmatch(commit) is None:
        raise FieldError(
            (*fields.path, "commit"), f"is {shown(commit)}, which is no commit id", "give all its digits"
        )
    return commit


def _version_ref(text: str, known_types: Collection[str]) -> tuple[VersionId, str | None]:
    repo, separator, local = text.rpartition("//")
    # A type of another registry need not be known here.
    ref = AssetRef.parse(text, [*known_types, local.partition("/")[0]] if separator else known_types)
    if ref.type is None or ref.selector is None or ref.path is not None or str(ref) != text:
        raise InvalidInput(
            f"{shown(text)} is not written TYPE/NAME@VERSION", hint="write it as datasets/digits@1"
        )
    if ref.selector == _LATEST:
        raise InvalidInput(
            f"{shown(text)} means another version every day", hint="pin the input: write its version"
        )
    asset = AssetId(type=ref.type, name=ref.name)
    return VersionId(asset=asset, version=Version.parse(ref.selector)), repo if separator else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The code that made a version; every field may be absent.

    Attributes:
        repo: URL of its repository, without credentials.
        commit: Commit id.
        dirty: Whether the work tree had uncommitted changes.
        path: File in the repository.
        command: What was run.
        extra: Fields that this version of GitML does not know.
    """

    repo: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    path: str | None = None
    command: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def _build(cls, fields: Fields) -> Source:
        return cls(
            repo=_words(fields, "repo"),
            commit=_commit(fields),
            dirty=fields.optional_flag("dirty"),
            path=_words(fields, "path"),
            command=_words(fields, "command"),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values; absent fields are left out."""
        known = {
            "repo": self.repo,
            "commit": self.commit,
            "dirty": self.dirty,
            "path": self.path,
            "command": self.command,
        }
        return self.extra | {key: value for key, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """One version of an asset.

    Attributes:
        id: Which one.
        description: A line for people.
        created: When it was registered, ISO 8601 in UTC with `Z`.
        author: Who registered it, as `Name <e-mail>`.
        labels: Texts by name.
        contents: Its files.
        inputs: What it was made from.
        source: The code that made it.
        params: What it was made with; JSON values.
        metrics: Numbers by name.
        spec: What belongs to its type; JSON values.
        extra: Fields that this version of GitML does not know.
    """

    id: VersionId
    description: str | None = None
    created: str
    author: str
    labels: dict[str, str] = field(default_factory=dict)
    contents: Contents
    inputs: tuple[Input, ...] = ()
    source: Source = field(default_factory=Source)
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        data: bytes,
        *,
        file: str,
        expect: VersionId | None = None,
        known_types: Collection[str] = ASSET_TYPES,
    ) -> Pointer:
        """Read a pointer.

        Args:
            data: The file.
            file: Its name in messages.
            expect: The version whose folder it lies in.
            known_types: Asset types of this registry.

        Raises:
            InvalidInput: It breaks a rule of its format, or describes another version than its folder says.
        """
        document = strict_yaml.load(data, file=file)
        pointer = read(document, "asset", lambda value: cls._build(Fields(value), known_types))
        if expect is not None and pointer.id != expect:
            raise _misplaced(document, pointer.id, expect)
        return pointer

    @classmethod
    def _build(cls, fields: Fields, known_types: Collection[str]) -> Pointer:
        fields.schema(SCHEMA)
        asset_type = fields.text("type")
        if asset_type not in known_types:
            hint = f"one of {', '.join(known_types)}"
            raise FieldError(("type",), f"is {shown(asset_type)}, which is no asset type here", hint)
        asset = AssetId(type=asset_type, name=fields.parsed("name", check_name))
        created = fields.text("created")
        if _TIME.fullmatch(created) is None:
            raise FieldError(
                ("created",), f"is {shown(created)}, which is no time in UTC", 'as "2026-11-21T04:30:00Z"'
            )
        description = fields.line("description")
        author = fields.text("author")
        _refuse_nul(("author",), author)
        inputs = fields.list_of("inputs")
        return cls(
            id=VersionId(asset=asset, version=fields.parsed("version", Version.parse)),
            description=description,
            created=created,
            author=author,
            labels=_labels(fields),
            contents=Contents._build(Fields(fields.take("contents", dict, "a mapping"), ("contents",))),
            inputs=tuple(
                Input._build(Fields(item, ("inputs", position)), known_types)
                for position, item in enumerate(inputs)
            ),
            source=Source._build(Fields(fields.mapping("source"), ("source",))),
            params=_named("params", _values(fields, "params")),
            metrics=_numbers(_values(fields, "metrics")),
            spec=_values(fields, "spec"),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """YAML keys and values, in the order in which they are written."""
        known: dict[str, Any] = {
            "schema": SCHEMA,
            "type": self.id.type,
            "name": self.id.name,
            "version": self.id.version.text,
        }
        if self.description is not None:
            known["description"] = self.description
        known |= {
            "created": self.created,
            "author": self.author,
            "labels": dict(self.labels),
            "contents": self.contents.to_dict(),
            "inputs": [item.to_dict() for item in self.inputs],
            "source": self.source.to_dict(),
            "params": dict(self.params),
            "metrics": dict(self.metrics),
            "spec": dict(self.spec),
        }
        return known | {key: self.extra[key] for key in sorted(self.extra.keys() - known.keys())}

    def format(self) -> bytes:
        """The pointer in canonical form.

        Raises:
            InvalidInput: A field holds what YAML or the format's limits cannot.
        """
        text = dump(self.to_dict(), order=_ORDER)
        if len(text) > strict_yaml.MAX_BYTES:
            raise InvalidInput(
                f"the pointer of {self.id} would have {len(text)} bytes, and {strict_yaml.MAX_BYTES} are allowed",
                code="pointer-too-large",
                hint="put long params, metrics or specs into a file of the contents",
            )
        return text

    def given_fields(self) -> Mapping[str, Any]:
        """What a caller says of a version, to compare with what another one says."""
        return {
            "description": self.description,
            "labels": dict(self.labels),
            "inputs": tuple(replace(one, commit=None) for one in self.inputs),
            "params": dict(self.params),
            "metrics": dict(self.metrics),
            "spec": dict(self.spec),
            "path": self.source.path,
            "command": self.source.command,
        }

    def checked(self, config: Config) -> Pointer:
        """This pointer, if it may be registered: it reads back, its spec fits its type, it holds no secret.

        Contents that are not known yet are not judged.

        Raises:
            InvalidInput: It breaks a rule.
        """
        from gitml.model.inspection import check_pointer

        drafted = self.contents == Contents.empty()
        judged = replace(self, contents=replace(self.contents, files=1)) if drafted else self
        check_pointer(judged, config)
        return self


def _words(fields: Fields, key: str) -> str | None:
    """An optional text that a person or another program can be given."""
    text = fields.optional_text(key)
    if text is not None:
        _refuse_nul((*fields.path, key), text)
    return text


def _refuse_nul(path: tuple[str | int, ...], text: str) -> None:
    if "\0" in text:
        raise FieldError(path, "holds NUL, which no text or command line can", "remove it")


def _values(fields: Fields, key: str) -> dict[str, Any]:
    """Names and JSON values, in none of which is a NUL, however deep."""
    values = fields.mapping(key)
    _refuse_nul_within((key,), values)
    return values


def _refuse_nul_within(path: tuple[str | int, ...], value: object) -> None:
    if isinstance(value, str):
        _refuse_nul(path, value)
    elif isinstance(value, dict):
        for name, one in value.items():
            _refuse_nul(path, name)
            _refuse_nul_within((*path, name), one)
    elif isinstance(value, list):
        for at, one in enumerate(value):
            _refuse_nul_within((*path, at), one)


def _named(field: str, values: dict[str, Any]) -> dict[str, Any]:
    if "" in values:
        raise FieldError((field,), "has an entry without a name", "write a name before its colon")
    return values


def _labels(fields: Fields) -> dict[str, str]:
    labels = _named("labels", fields.text_mapping("labels"))
    for name, text in labels.items():
        _refuse_nul(("labels",), name)
        _refuse_nul(("labels", name), text)
    return labels


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    _named("metrics", metrics)
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise FieldError(
                ("metrics", name), f"must be a number, and is {shown(value)}", "put texts under `params`"
            )
    return metrics


def _misplaced(document: strict_yaml.Document, found: VersionId, expect: VersionId) -> InvalidInput:
    pairs = [("type", found.type, expect.type), ("name", found.name, expect.name)]
    pairs.append(("version", found.version.text, expect.version.text))
    key, is_, should = next(pair for pair in pairs if pair[1] != pair[2])
    line = document.line_of((key,))
    return InvalidInput(
        f"{document.file}:{line}: {key} is {shown(is_)}, but the file lies in the folder of {expect}",
        code="pointer-misplaced",
        hint=f'write {key}: "{should}", or move the file to {found.folder}',
        context={"file": document.file, "line": line, "field": key},
    )
