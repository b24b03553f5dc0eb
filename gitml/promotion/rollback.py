"""The verb `rollback`: a request that sets what a stage runs back to a version that ran there before."""

from __future__ import annotations

from dataclasses import replace

from gitml.errors import NotFound
from gitml.forge.detect import open_forge
from gitml.model.names import AssetId, Version, VersionId
from gitml.promotion.case import Reviews
from gitml.promotion.chain import need_whole_history, runs
from gitml.promotion.history import birth_of
from gitml.promotion.merge import merge_request
from gitml.promotion.policy import judge
from gitml.promotion.prepare import Kind, Prepared, current_changes, prepare, refuse
from gitml.promotion.propose import Promotion, propose
from gitml.promotion.rules import people
from gitml.promotion.target import Target, find_target
from gitml.registry.resolve import resolve_asset
from gitml.registry.workspace import Workspace


def rollback(
    ws: Workspace,
    asset: str,
    *,
    target: str,
    to: str | None = None,
    now: bool = False,
    title: str | None = None,
    body: str | None = None,
    dry_run: bool = False,
) -> Promotion:
    """Ask for a stage to run an earlier version of an asset again.

    Args:
        ws: The registry.
        asset: The asset.
        target: The stage.
        to: The version; None is the one that ran before the present one.
        now: Merge the request at once, if the stage's policy needs nobody's approval of it.
        title: Title of the request.
        body: Text of the request.
        dry_run: Only plan.

    Raises:
        NotFound: The asset or that version never ran on the stage.
        PolicyRefused: The stage's rules forbid it.
        StoreUnavailable: The remote cannot be reached.
    """
    forge = open_forge(ws)
    goal = find_target(ws, forge.shared, target)
    name, version = _chosen(ws, goal, asset, to, stop=birth_of(ws, forge, target))
    chosen = VersionId(asset=name, version=version)
    prepared = prepare(
        ws,
        forge.shared,
        goal,
        kind=Kind.ROLLBACK,
        source=target,
        refs=(str(chosen),),
        tree=goal.tip,
        parents=(goal.tip,),
        changes=current_changes(ws, goal, {name: version}),
        birth=lambda: birth_of(ws, forge, target),
    )
    if now:
        _check_now(prepared)
    asked = propose(ws, forge, prepared, title=title, body=body, dry_run=dry_run)
    if not now or asked.request is None:
        return asked
    merged = merge_request(ws, forge, asked.request.number)
    return replace(asked, request=merged.request, next=(), retries=asked.retries + merged.retries)


def _check_now(prepared: Prepared) -> None:
    """Refuse before anything is opened what would wait for people."""
    stage = prepared.target.stage
    missing = judge(replace(prepared.case, reviews=Reviews()), [people.approvals])
    allow = f"leave out --now, or allow it: stages.{stage}.require.rollback_now: allowed"
    refuse([replace(problem, hint=allow) for problem in missing], f"cannot roll back {stage} at once")


def _chosen(
    ws: Workspace, target: Target, text: str, to: str | None, *, stop: str | None
) -> tuple[AssetId, Version]:
    asset, _ = resolve_asset(ws, text, rev=target.tip)
    present = ws.at(target.tip).current(asset, target.stage) if target.born else None
    if present is None:
        raise NotFound(
            f"{target.stage} does not run {asset}",
            code="not-promoted",
            hint=f"gitml promote {asset} -t {target.stage}",
            context={"asset": str(asset), "stage": target.stage},
        )
    ran = [entry.version for entry in runs(ws, target.stage, target.tip, asset, stop=stop) if entry.version]
    if to is None:
        chosen = next((version for version in ran if version != present), None)
    else:
        wanted = Version.parse(to)
        chosen = wanted if wanted in ran or wanted == present else None
    if chosen is None:
        need_whole_history(ws, f"what {target.stage} ran before")
        what = (
            f"{asset}@{to} never ran on {target.stage}"
            if to
            else f"{target.stage} ran no other version of {asset}"
        )
        earlier = ", ".join(dict.fromkeys(str(version) for version in ran))
        raise NotFound(
            f"{what}; it ran {earlier}",
            code="never-ran",
            hint=f"gitml history {asset}",
            context={"asset": str(asset), "stage": target.stage},
        )
    return asset, chosen
