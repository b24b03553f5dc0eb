"""A stage before and after a change, written down as files in memory: what the rules are tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from gitml.model.config import StagePolicy
from gitml.model.digest import Digest
from gitml.model.names import ASSET_TYPES, AssetId, Version, VersionId
from gitml.model.pointer import Contents, Input, Pointer
from gitml.model.statement import StatedMove, Statement
from gitml.promotion.case import Case, Found, Needed, Problem, Reviews, Shape
from gitml.promotion.policy import judge
from gitml.promotion.view import Defect, File, TreeView

STAGE = "production"


def version(text: str) -> VersionId:
    """`models/digits@3` taken apart."""
    asset, _, name = text.partition("@")
    return VersionId(asset=AssetId.parse(asset), version=Version.parse(name))


def digest_of(ref: str) -> Digest:
    """The tree digest that the versions of these tests have."""
    return Digest.of(ref.encode())


def pointer(
    ref: str,
    inputs: Mapping[str, str] | None = None,
    *,
    store: str = "default",
    repo: str | None = None,
    roles: Mapping[str, str] | None = None,
    review: Sequence[str] = (),
    **fields: Any,
) -> bytes:
    """A pointer file.

    Args:
        ref: The version.
        inputs: Version -> the version whose digest is pinned for it.
        store: Name of its store.
        repo: Another repository that all inputs are in.
        roles: Version of an input -> its role.
        review: Names of its review copies.
        fields: Any other field of the pointer.
    """
    found = Pointer(
        id=version(ref),
        created="2026-11-21T04:30:00Z",
        author="Ada Example <ada@example.com>",
        contents=Contents(
            digest=digest_of(ref),
            listing=digest_of(ref),
            size_bytes=1,
            files=1,
            store=store,
            review=tuple(review),
        ),
        inputs=tuple(
            Input(ref=version(item), digest=digest_of(pinned), role=(roles or {}).get(item), repo=repo)
            for item, pinned in (inputs or {}).items()
        ),
        **fields,
    )
    return found.format()


def model_3(inputs: Mapping[str, str] | None = None, **options: Any) -> bytes:
    """The pointer of the version that is to run."""
    made_from = {"datasets/digits@2": "datasets/digits@2"} if inputs is None else inputs
    return pointer("models/digits@3", made_from, **({"review": ["README.md"]} | options))


def statement() -> Statement:
    """What the head of the allowed change states of itself."""
    return Statement(
        subjects={ref: digest_of(ref) for ref in ("datasets/digits@2", "models/digits@3")},
        kind="by-asset",
        target=STAGE,
        base="1" * 40,
        source="working/new",
        source_commit=None,
        moves=(StatedMove(asset="models/digits", from_version="2", to_version="3"),),
        asker=("Ada Example", "ada@example.com"),
        time=datetime(2026, 11, 21, tzinfo=UTC),
        tool="0.1.0",
    )


def current(text: str) -> bytes:
    return f'current: "{text}"\n'.encode()


@dataclass
class Witness:
    """Evidence that says what it was told to say."""

    without_bytes: set[str] = field(default_factory=set)
    found_as: dict[str, Found] = field(default_factory=dict)
    code: Sequence[str] = ()
    earlier: set[str] = field(default_factory=set)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    contents: dict[str, bytes] | None = field(default_factory=lambda: {"README.md": b"# Digits\n"})
    lacking: dict[str, str] = field(default_factory=dict)
    sought: list[tuple[str, bool]] = field(default_factory=list)
    faults: Sequence[str] = ()
    signers: list[tuple[bytes, bytes | None]] = field(default_factory=list)

    def missing_bytes(self, pointer: Pointer) -> Sequence[str]:
        return ["pack 1"] if str(pointer.id) in self.without_bytes else []

    def found(self, version: VersionId, files: dict[str, File], *, as_current: bool) -> Found:
        assert "asset.yaml" in files
        self.asked.append((str(version), as_current))
        return self.found_as.get(str(version), Found.YES)

    def foreign_code(self) -> Sequence[str]:
        return self.code

    def digests(self, pointer: Pointer, paths: Collection[str]) -> Mapping[str, Digest] | None:
        if self.contents is None:
            return None
        return {path: Digest.of(self.contents[path]) for path in paths if path in self.contents}

    def paths(self, pointer: Pointer) -> Sequence[str] | None:
        return None if self.contents is None else sorted(self.contents)

    def unsigned(self, allowed_signers: bytes, revoked: bytes | None) -> Sequence[str]:
        self.signers.append((allowed_signers, revoked))
        return self.faults

    def foreign(self, item: Input, *, promoted: bool) -> Needed | None:
        self.sought.append((item.text, promoted))
        problem = self.lacking.get(item.text)
        return Needed(ref=item.text, digest=str(item.digest), problem=problem)

    def ran_before(self, asset: AssetId, version: Version) -> bool:
        return f"{asset}@{version}" in self.earlier


@dataclass
class Scene:
    """A change that is allowed, to be spoilt in one way at a time."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    witness: Witness = field(default_factory=Witness)
    policy: StagePolicy = field(
        default_factory=lambda: StagePolicy(name=STAGE, from_=("staging",), require={})
    )
    stores: frozenset[str] | None = frozenset({"default"})
    born: bool = True
    shape: Shape = Shape.BY_ASSET
    reviews: Reviews | None = None
    folder: str = ""
    modes: dict[str, str] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    teams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stated: Statement | Defect | None = None

    def require(self, **rules: object) -> None:
        self.policy = replace(self.policy, require=dict(rules))

    def case(self) -> Case:
        blobs: dict[str, bytes] = {}

        def view(files: dict[str, bytes]) -> TreeView:
            listing = {}
            for path, data in files.items():
                oid = hashlib.sha1(data).hexdigest()
                blobs[oid] = data
                full = f"{self.folder}/{path}" if self.folder else path
                listing[full] = File(self.modes.get(path, "100644"), oid)
            return TreeView(
                listing, lambda oids: {oid: blobs[oid] for oid in oids}, folder=self.folder, types=ASSET_TYPES
            )

        return Case(
            stage=STAGE,
            policy=self.policy,
            stores=self.stores,
            directions=self.directions,
            teams=self.teams,
            before=view(self.before),
            after=view(self.after),
            born=self.born,
            shape=self.shape,
            evidence=self.witness,
            reviews=self.reviews,
            stated=self.stated,
        )

    def problems(self) -> list[Problem]:
        return judge(self.case())

    def rules(self) -> set[str]:
        return {problem.rule.value for problem in self.problems()}


def allowed() -> Scene:
    """Production runs digits 2 and is to run digits 3, which was made from a dataset that travels along."""
    before = {
        "gitml.yaml": b"schema: gitml/config/v1\n",
        "train.py": b"print()\n",
        "datasets/digits/1/asset.yaml": pointer("datasets/digits@1"),
        "models/digits/2/asset.yaml": pointer("models/digits@2", {"datasets/digits@1": "datasets/digits@1"}),
        "models/digits/production.yaml": current("2"),
    }
    after = before | {
        "datasets/digits/2/asset.yaml": pointer("datasets/digits@2"),
        "models/digits/3/asset.yaml": model_3(),
        "models/digits/3/README.md": b"# Digits\n",
        "models/digits/production.yaml": current("3"),
    }
    return Scene(before=before, after=after)
