"""What a caller says of a new version, made into a pointer: fields, pinned inputs, and where the code was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitml.errors import NotFound, UsageError
from gitml.git.repository import Repository
from gitml.model.config import Config
from gitml.model.names import AssetId, Version, VersionId
from gitml.model.pointer import Contents, Input, Pointer, Source
from gitml.model.redact import strip_credentials
from gitml.model.sql import lasting
from gitml.model.typed import typed_path
from gitml.registry.others.addresses import name_of
from gitml.registry.others.opening import OtherRegistry, open_other
from gitml.registry.resolve import resolve
from gitml.registry.workspace import Workspace
from gitml.store.store import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller says of the new version; None or empty means: not said.

    Attributes:
        version: Number or name to register as.
        bump: Part of the newest SemVer version to raise: major, minor, patch.
        labels, metrics, params, spec: Fields of the pointer.
        inputs: `[ROLE=]REF` each.
        source: File that made the contents, relative to the caller.
        command: Command line that made the contents.
        message: Description of the version.
    """

    version: str | None = None
    bump: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    command: str | None = None
    message: str | None = None


def draft_pointer(ws: Workspace, asset: AssetId, given: Given, config: Config) -> Pointer:
    """The pointer but for version and contents, which the store decides."""
    nothing = Contents.empty()
    identity = ws.repo.identity()
    return Pointer(
        id=VersionId(asset=asset, version=Version.parse("1" if given.version is None else given.version)),
        description=given.message,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        author=f"{identity.name} <{identity.email}>",
        labels=dict(given.labels),
        contents=nothing,
        inputs=tuple(_pinned(ws, text) for text in given.inputs),
        source=_source(ws, given),
        params=dict(given.params),
        metrics=dict(given.metrics),
        spec=dict(given.spec),
    ).checked(config)


def _pinned(ws: Workspace, text: str) -> Input:
    role, separator, ref = text.partition("=")
    if not separator:
        role, ref = "", text
    there, inner = open_other(ref, lambda: ws, caller=ws.caller, progress=ws.progress, jobs=ws.jobs)
    found = resolve(there, inner)
    if found.path is not None:
        raise UsageError(
            f"--input {text} names a file; a version is an input as a whole",
            code="not-a-version",
            hint=ref.removesuffix(f":{found.path}"),
        )
    digest, repo, commit = found.pointer.contents.digest, None, None
    if isinstance(there, OtherRegistry):
        repo = name_of(ws.config, there.address, ws) or there.address.shown
        commit = found.commit
    return Input(ref=found.id, digest=digest, role=role or None, repo=repo, commit=commit)


def _source(ws: Workspace, given: Given) -> Source:
    """Code that made the contents: the caller's repository, which need not be the registry's."""
    try:
        repo = ws.repo if ws.repo.top == ws.caller else Repository.discover(ws.caller)
    except NotFound:
        return Source(path=given.source, command=given.command)
    remotes = repo.remotes()
    url = remotes.get("origin") or next(iter(remotes.values()), None)
    commit = repo.head().commit
    return Source(
        repo=strip_credentials(url) if url else None,
        commit=commit,
        dirty=repo.is_dirty() if commit and repo.top else None,
        path=_source_path(repo, ws.caller, given.source),
        command=given.command,
    )


def _source_path(repo: Repository, caller: Path, path: str | None) -> str | None:
    if path is None or repo.top is None:
        return path
    full = (caller / typed_path(path)).resolve()
    if not full.exists():
        raise NotFound(
            f"--source {path} does not exist", code="no-source", hint="name the file that made the contents"
        )
    top = repo.top.resolve()
    return full.relative_to(top).as_posix() if full.is_relative_to(top) else path


def dirty_warning(draft: Pointer) -> list[str]:
    """What to tell a person whose work tree had uncommitted changes."""
    if draft.source.dirty:
        return [
            "the work tree has uncommitted changes: `source` says dirty, and its commit does not rebuild this version"
        ]
    return []


def says_nothing_new(old: Pointer, root: Root, draft: Pointer, given: Given) -> bool:
    """Whether a version has these contents, and every field that the caller gave."""
    pairs = [
        (given.message, old.description, draft.description),
        (given.labels, dict(old.labels), dict(draft.labels)),
        (given.metrics, dict(old.metrics), dict(draft.metrics)),
        (given.params, dict(old.params), dict(draft.params)),
        (given.spec, lasting(old.spec), lasting(draft.spec)),
        (given.inputs, *(pointer.given_fields()["inputs"] for pointer in (old, draft))),
        (given.source, old.source.path, draft.source.path),
        (given.command, old.source.command, draft.source.command),
    ]
    if old.contents.external != draft.contents.external:
        return False  # the same list may be a file, or what is referred to
    return old.contents.digest == root.tree and all(was == now for said, was, now in pairs if said)
