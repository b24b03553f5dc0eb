"""Which change is meant: `BASE..HEAD` taken apart, and what a CI system says of the request that it runs for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitml.errors import NotFound, UsageError
from gitml.forge.shared import HEADS, Shared
from gitml.promotion.build_server import build_of
from gitml.registry.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`BASE..HEAD` as it was typed; None where a side was left out."""

    base: str | None = None
    head: str | None = None


def parse_span(text: str | None) -> Span:
    """Read `BASE..HEAD`, `BASE..` or `..HEAD`; nothing at all is the empty span.

    Raises:
        UsageError: It is none of these.
    """
    if text is None:
        return Span()
    base, dots, head = text.partition("..")
    if not dots or head.startswith(".") or ".." in head or not (base or head):
        raise UsageError(
            f"{text!r} is not written BASE..HEAD", code="bad-range", hint="as origin/production..HEAD"
        )
    return Span(base=base or None, head=head or None)


def span_of_ci(environment: Mapping[str, str] | None = None) -> Span:
    """What CI says of the request that it runs for; the empty span elsewhere."""
    build = build_of(environment)
    return Span(base=build.base, head=build.head)


def branch_name(ws: Workspace, text: str) -> str:
    """The name that a branch has in the shared repository, however its ref was typed."""
    prefixes = [HEADS]
    if ws.remote is not None:
        prefixes += [f"refs/remotes/{ws.remote}/", f"{ws.remote}/"]
    return next((text.removeprefix(prefix) for prefix in prefixes if text.startswith(prefix)), text)


def commit_of(ws: Workspace, shared: Shared, text: str | None) -> str:
    """The commit that a revision text names: here, or a branch of the shared repository; None is HEAD.

    Raises:
        NotFound: There is no such revision, or no commit yet.
    """
    if text is None:
        return ws.head().commit
    found = ws.repo.resolve(text) or shared.branch(branch_name(ws, text))
    if found is None:
        raise NotFound(
            f"there is no branch, tag or commit {text!r} here or in {shared.name}",
            code="revision-not-found",
            hint=f"git fetch {ws.remote}" if ws.remote else "git branch --all",
            context={"rev": text},
        )
    return found
