"""The verb `ci init`: the pipeline of a build server that runs `check` on requests, and `events` after the merge.

Owns which file each kind of build server reads and what is filled into its template. Templates are data of the
package. A pipeline checks out the target branch, never the request's; it names secrets and holds none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from gitml._version import __version__
from gitml.errors import AccessDenied, Conflict, UsageError
from gitml.model.config import Config
from gitml.registry.workspace import Workspace

_PLACES: Final = {
    "github": ".github/workflows/gitml.yml",
    "gitlab": ".gitlab-ci.yml",
    "azure": "azure-pipelines.yml",
    "bitbucket": "bitbucket-pipelines.yml",
    "gitea": ".gitea/workflows/gitml.yml",
}
_SECRETS: Final = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "azure": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"),
}
_OF_KIND: Final = {"github": ("github",), "gitlab": ("gitlab",)}  # to ask these forges who approved
_TOKENS: Final = {"gitlab": "GITLAB_TOKEN", "bitbucket": "BITBUCKET_TOKEN"}
_EXTRAS: Final = {"s3": "s3", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "sftp", "ssh": "sftp"}
_PLAIN_FOLDER: Final = re.compile(r"(?:[A-Za-z0-9._][A-Za-z0-9._/-]*)?")
_NOT_ITSELF: Final = re.compile(r"[^A-Za-z0-9_-]")


class PipelineChange(Enum):
    """What became of the file."""

    WRITTEN = "written"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What `ci init` wrote, or would write.

    Attributes:
        kind: Kind of build server.
        path: The file, relative to the top of the repository.
        text: What it holds.
        change: What became of the file.
        stages: Branches whose requests are checked.
        secrets: Names of the secrets that the build server has to hold.
        notes: What a person has to know or to do.
    """

    kind: str
    path: str
    text: str
    change: PipelineChange
    stages: tuple[str, ...]
    secrets: tuple[str, ...]
    notes: tuple[str, ...]
    dry_run: bool = False


def write_pipeline(ws: Workspace, kind: str, *, force: bool = False, dry_run: bool = False) -> Pipeline:
    """Write the pipeline of a build server; the same again is no change.

    Raises:
        UsageError: No such kind, no stage to check requests for, or the repository is bare.
        Conflict: The file holds something else.
        AccessDenied: It cannot be written.
    """
    if kind not in _PLACES:
        raise UsageError(
            f"{kind!r} is no build server that gitml writes for; known are {', '.join(_PLACES)}",
            code="unknown-ci",
            hint="gitml ci init github",
        )
    ws.require_directory("gitml ci init")
    config = ws.config
    if not config.stages:
        raise UsageError(
            "gitml.yaml names no stage, so there are no requests to check",
            code="no-stages",
            hint="stages: {production: {from: [main]}}",
        )
    of_stores = _extras(config)
    secrets = tuple(name for extra in of_stores for name in _SECRETS.get(extra, ()))
    extras = tuple(sorted({*of_stores, *_OF_KIND.get(kind, ())}))
    text = _text(ws, kind, tuple(config.stages), extras, secrets)
    path = (ws.repo.top or Path()) / _PLACES[kind]
    change = _put(path, text, force=force, dry_run=dry_run)
    return Pipeline(
        kind=kind,
        path=_PLACES[kind],
        text=text,
        change=change,
        stages=tuple(config.stages),
        secrets=secrets,
        notes=_notes(kind, config),
        dry_run=dry_run,
    )


def _extras(config: Config) -> tuple[str, ...]:
    """Extras of the package that the stores need."""
    found = []
    for store in config.stores.values():
        scheme = store.url.partition(":")[0] if "://" in store.url else ""
        found.append(_EXTRAS.get(scheme, ""))
    return tuple(sorted({extra for extra in found if extra}))


def _text(
    ws: Workspace, kind: str, stages: tuple[str, ...], extras: tuple[str, ...], secrets: tuple[str, ...]
) -> str:
    template = files("gitml.registry").joinpath("pipeline_templates", f"{kind}.yml").read_text("utf-8")
    if not _PLAIN_FOLDER.fullmatch(ws.folder):
        raise UsageError(
            f"the registry's folder {ws.folder!r} cannot be named in a pipeline",
            code="folder-name",
            hint="rename it with letters, digits, dots, dashes and underscores",
        )
    registry = f"-R {ws.folder} " if ws.folder else ""
    expression = "{{{{ secrets.{} }}}}"
    github = [f"          {name}: ${expression.format(name)}" for name in secrets]
    azure = [f"      {name}: $({name})" for name in secrets]
    branches = [f"    {json.dumps(stage)}:\n      - step: *gitml-events" for stage in stages]
    filled = Template(template).substitute(
        kind=kind,
        package="gitml" + (f"[{','.join(extras)}]" if extras else "") + f"=={__version__}",
        stage_list=", ".join(json.dumps(stage) for stage in stages),
        stage_pattern="|".join(_NOT_ITSELF.sub(lambda match: "\\" + match[0], stage) for stage in stages),
        secret_list=", ".join(secrets) or "none",
        github_env="\n".join(github),
        azure_env="\n".join(azure),
        bitbucket_branches="\n".join(branches),
    )
    lines = [line for line in filled.split("\n") if line.strip() or line == ""]
    return (
        _without_gaps("\n".join(lines))
        .replace('gitml check "', f'gitml {registry}check "')
        .replace('gitml events "', f'gitml {registry}events "')
    )


def _without_gaps(text: str) -> str:
    """An empty value leaves an empty line inside a block; steps of a job have none."""
    return re.sub(r"\n\n(?= {4,}(?:run:|- script:))", "\n", text)


def _put(path: Path, text: str, *, force: bool, dry_run: bool) -> PipelineChange:
    try:
        before = path.read_bytes() if path.exists() or path.is_symlink() else None
        if before == text.encode():
            return PipelineChange.UNCHANGED
        if before is not None and not force:
            raise Conflict(
                f"{path} is there already, and says something else",
                code="pipeline-exists",
                hint="gitml ci init KIND -n, to put the two together; or --force, which replaces it",
                context={"path": str(path)},
            )
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    except OSError as error:
        raise AccessDenied(
            f"{path} cannot be written: {error.strerror}",
            code="pipeline-unwritable",
            hint=f"get the right to write {path.parent}",
        ) from error
    return PipelineChange.WRITTEN if before is None else PipelineChange.REPLACED


def _notes(kind: str, config: Config) -> tuple[str, ...]:
    found = [f"commit it to {config.default_branch} and to each stage, and make its check a required one"]
    if any("://" not in store.url or store.url.startswith("file:") for store in config.stores.values()):
        found.append("a store is a folder: the build server has to see it at the same place")
    if kind in _TOKENS:
        found.append(f"set {_TOKENS[kind]} there, so that the check can count approvals and post its report")
    if kind == "bitbucket":
        found.append(
            "gitml speaks no http to bitbucket.org: give the pipeline an SSH key that may read the repository"
        )
    if kind == "azure":
        found.append(
            "let the project's build service contribute to pull requests there, so that the check can post its report"
        )
        found.append(
            "Azure Repos: add a build validation policy for each stage, since `pr:` does not hold there"
        )
    return tuple(found)
