"""What there is, for the eye: versions with their stages, aliases, size and metrics; one version whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from gitml.errors import GitMLError, InvalidInput, NotFound, UsageError
from gitml.model.about import About, Deprecation
from gitml.model.names import AssetId, Version, VersionId, highest, parse_type
from gitml.model.pointer import Pointer
from gitml.model.reference import AssetRef
from gitml.model.where import Condition
from gitml.registry.external.contents import Elsewhere, read_references
from gitml.registry.read.lineage import Lineage, lineage_of
from gitml.registry.resolve import resolve, resolve_whole
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVersion:
    """One row of `list`.

    Attributes:
        ref: The version.
        created: When it was registered, as its pointer says.
        author: Who registered it.
        description: One line, if any.
        files, size_bytes: Its contents.
        external: What it refers to, if its data stays elsewhere; the contents are then the list of it.
        stages: Stages that run it, of those whose branch this clone has.
        aliases: Movable names that point to it.
        deprecated: Why it should not be used, if so.
        labels, metrics, params: Fields of its pointer.
    """

    ref: VersionId
    created: str
    author: str
    description: str | None
    files: int
    size_bytes: int
    external: Elsewhere | None
    stages: tuple[str, ...]
    aliases: tuple[str, ...]
    deprecated: Deprecation | None
    labels: dict[str, str]
    metrics: dict[str, Any]
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What `list` found.

    Attributes:
        commit: The commit that was read.
        assets: How many assets that commit holds.
        total_versions: How many versions they have together.
        versions: The rows asked for, as far as they can be read.
        failed: What was asked for and cannot be read, and why.
    """

    commit: str
    assets: int
    total_versions: int
    versions: tuple[ListedVersion, ...]
    failed: Mapping[str, GitMLError]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFile:
    """One file of a version's contents.

    Attributes:
        path, size_bytes: Its path in the contents, and its size.
        digest: Its digest; None where it lies elsewhere and was not read.
        url: Where it lies, if not in the store.
    """

    path: str
    size_bytes: int
    digest: str | None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One version, whole.

    Attributes:
        ref: The version.
        commit: The commit it was read from.
        asset: The pointer's fields under their own names.
        text: The pointer file as it stands.
        stages, aliases, deprecated, owners: What the registry says of it elsewhere.
        files: Its contents, where asked for.
        lineage: What it was made from, where asked for.
    """

    ref: VersionId
    commit: str
    asset: dict[str, Any]
    text: str
    stages: tuple[str, ...]
    aliases: tuple[str, ...]
    deprecated: Deprecation | None
    owners: tuple[str, ...]
    files: tuple[ShownFile, ...] | None = None
    lineage: Lineage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What the registry says of an asset beside its pointers.

    Attributes:
        runs: Stage -> the version that it runs, of the stages whose branch this clone has.
        about: What `about.yaml` of the default branch says.
    """

    runs: Mapping[str, Version]
    about: About

    def stages(self, version: Version) -> tuple[str, ...]:
        return tuple(stage for stage, runs in self.runs.items() if runs == version)

    def aliases(self, version: Version) -> tuple[str, ...]:
        return tuple(sorted(alias for alias, named in self.about.aliases.items() if named == version.text))

    def deprecated(self, version: Version) -> Deprecation | None:
        return self.about.deprecated.get(version.text)


class _Marks:
    """Stages, aliases and deprecations of assets, each read where it counts, and once."""

    def __init__(self, ws: Workspace, snapshot: Snapshot) -> None:
        self._default = ws.at(ws.default_tip(snapshot.config).commit)
        self._stages: dict[str, Snapshot] = {}
        for stage in snapshot.config.stages:
            with suppress(NotFound):
                self._stages[stage] = ws.at(ws.stage_tip(stage).commit)
        self._known: dict[AssetId, _Mark] = {}

    def of(self, asset: AssetId) -> _Mark:
        """What is said of one asset.

        Raises:
            InvalidInput: A file that says so breaks a rule.
        """
        if asset not in self._known:
            runs = {stage: at.current(asset, stage) for stage, at in self._stages.items()}
            self._known[asset] = _Mark(
                runs={stage: version for stage, version in runs.items() if version is not None},
                about=self._default.about(asset),
            )
        return self._known[asset]


def list_versions(
    ws: Workspace,
    pattern: str | None = None,
    *,
    rev: str | None = None,
    where: Sequence[Condition] = (),
    sort: str | None = None,
) -> Listing:
    """List the newest version of each asset, on a stage the one that it runs; or all versions of one.

    What breaks a rule is named in `failed`, and keeps nothing else from being listed.

    Args:
        ws: The registry.
        pattern: None for all assets, TYPE for one type, TYPE/NAME for every version of one asset.
        rev: Branch, tag or commit to read instead of HEAD.
        where: Conditions that must all hold, on fields such as `metrics.accuracy`.
        sort: Field to sort by, `-` before it for descending; default is by reference.

    Raises:
        NotFound: No such asset or revision.
        UsageError: The pattern is malformed, or no row has the field to sort by.
    """
    snapshot = ws.revision(rev)
    marks = _Marks(ws, snapshot)
    failed: dict[str, GitMLError] = {}
    branch = rev or ws.branch()
    stage = branch if branch in snapshot.config.stages else None
    ids = _chosen(ws, snapshot, pattern, stage, marks, failed)
    pointers = snapshot.pointers(ids, failed)
    rows = []
    for id_ in ids:
        if id_ in pointers:
            with _noting(failed, str(id_)):
                rows.append(_row(id_, pointers[id_], marks.of(id_.asset)))
    rows = [row for row in rows if all(condition.holds(_fields(row)) for condition in where)]
    if sort is not None:
        rows = _sorted(rows, sort)
    return Listing(
        commit=snapshot.commit,
        assets=len(snapshot.assets()),
        total_versions=len(snapshot.ids()),
        versions=tuple(rows),
        failed=failed,
    )


@contextmanager
def _noting(failed: dict[str, GitMLError], name: str) -> Iterator[None]:
    """Write down what breaks a rule instead of ending with it."""
    try:
        yield
    except InvalidInput as error:
        failed[name] = error


def show(
    ws: Workspace, ref: str, *, rev: str | None = None, files: bool = False, lineage: bool = False
) -> Shown:
    """Everything the registry says of one version.

    Raises:
        NotFound: No such version here; with `files`, its bytes are in no store that this clone reads.
    """
    found = resolve_whole(ws, ref, rev=rev)
    snapshot = ws.at(found.commit)
    mark = _Marks(ws, snapshot).of(found.id.asset)
    return Shown(
        ref=found.id,
        commit=found.commit,
        asset=found.pointer.to_dict(),
        text=snapshot.pointer_text(found.id).decode("utf-8"),
        stages=mark.stages(found.id.version),
        aliases=mark.aliases(found.id.version),
        deprecated=mark.deprecated(found.id.version),
        owners=tuple(mark.about.owners),
        files=_files(ws, snapshot, found.pointer) if files else None,
        lineage=lineage_of(ws, found.id, snapshot) if lineage else None,
    )


def _chosen(
    ws: Workspace,
    snapshot: Snapshot,
    pattern: str | None,
    stage: str | None,
    marks: _Marks,
    failed: dict[str, GitMLError],
) -> list[VersionId]:
    if pattern is not None and "/" in pattern.rstrip("/"):
        ref = AssetRef.parse(pattern, snapshot.config.known_types)
        if ref.selector is not None or ref.path is not None:
            return [resolve(ws, ref).id]
        asset = AssetId(type=str(ref.type), name=ref.name)
        versions = snapshot.versions(asset)
        if not versions:
            raise NotFound(
                f"there is no asset {asset} in commit {snapshot.commit[:12]}",
                code="asset-not-found",
                hint="gitml list",
                context={"asset": str(asset)},
            )
        return [VersionId(asset=asset, version=version) for version in reversed(versions)]
    asset_type = parse_type(pattern.rstrip("/"), snapshot.config.known_types) if pattern is not None else None
    chosen = []
    for asset in snapshot.assets(asset_type):
        with _noting(failed, str(asset)):
            # What the stage runs, as a reference without a selector means on its branch; else the newest, and a
            # deprecated one only where there is no other.
            versions = snapshot.versions(asset)
            runs = snapshot.current(asset, stage) if stage is not None else None
            known = runs if runs in versions else None
            version = known or highest(versions, marks.of(asset).about.deprecated) or versions[-1]
            chosen.append(VersionId(asset=asset, version=version))
    return chosen


def _row(id_: VersionId, pointer: Pointer, mark: _Mark) -> ListedVersion:
    return ListedVersion(
        ref=id_,
        created=pointer.created,
        author=pointer.author,
        description=pointer.description,
        files=pointer.contents.files,
        size_bytes=pointer.contents.size_bytes,
        external=Elsewhere.of(pointer.contents.external),
        stages=mark.stages(id_.version),
        aliases=mark.aliases(id_.version),
        deprecated=mark.deprecated(id_.version),
        labels=dict(pointer.labels),
        metrics=dict(pointer.metrics),
        params=dict(pointer.params),
    )


def _fields(row: ListedVersion) -> dict[str, Any]:
    """A row's fields by the names that conditions and sorting use: the pointer's own, and those of `list`."""
    return {
        "type": row.ref.type,
        "name": row.ref.name,
        "version": row.ref.version.text,
        "created": row.created,
        "author": row.author,
        "description": row.description,
        "files": row.files,
        "size": row.size_bytes,
        "stages": list(row.stages),
        "aliases": list(row.aliases),
        "deprecated": row.deprecated is not None,
        "labels": row.labels,
        "metrics": row.metrics,
        "params": row.params,
    }


def _value(row: ListedVersion, key: str) -> Any:
    fields = _fields(row)
    value: Any = fields
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    # `accuracy` alone means the metric, then the parameter, then the label.
    for group in ("metrics", "params", "labels"):
        value = fields[group].get(key) if value is None else value
    return value


def _sorted(rows: list[ListedVersion], sort: str) -> list[ListedVersion]:
    key = sort.removeprefix("-")
    having = [row for row in rows if isinstance(_value(row, key), int | float | str)]
    if rows and not having:
        raise UsageError(
            f"no version listed has the field {key!r} to sort by",
            code="no-such-field",
            hint="--sort created, --sort size, or --sort metrics.NAME",
        )
    rest = [row for row in rows if row not in having]

    def rank(row: ListedVersion) -> tuple[bool, float, str]:
        value = _value(row, key)
        return (isinstance(value, str), 0.0 if isinstance(value, str) else float(value), str(value))

    return sorted(having, key=rank, reverse=sort.startswith("-")) + rest


def _files(ws: Workspace, snapshot: Snapshot, pointer: Pointer) -> tuple[ShownFile, ...]:
    store, root = ws.stores(snapshot.config).locate(pointer)
    tree = store.tree(root, expected=pointer.contents, label=str(pointer.id))
    if pointer.contents.external is not None:
        return tuple(
            ShownFile(
                path=one.path,
                size_bytes=one.size_bytes,
                digest=f"sha256:{one.sha256}" if one.sha256 else None,
                url=str(one.url),
            )
            for one in read_references(ws, pointer, tree)
        )
    return tuple(
        ShownFile(path=entry.path, size_bytes=entry.size_bytes, digest=f"sha256:{entry.digest.hex()}")
        for entry in tree.entries()
    )
