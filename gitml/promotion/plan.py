"""The verb `promote`, and planning it by asset; by branch is in `branch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gitml.errors import UsageError
from gitml.forge.base import Forge
from gitml.forge.detect import open_forge
from gitml.forge.shared import Shared
from gitml.git.urls import same_remote, without_credentials
from gitml.model.config import Config
from gitml.model.names import AssetId, VersionId
from gitml.model.reference import AssetRef
from gitml.model.requirements import Requirements
from gitml.model.typed import check_text
from gitml.promotion.branch import plan_by_branch
from gitml.promotion.case import Problem, Rule
from gitml.promotion.elsewhere import address_of_repo, promote_elsewhere
from gitml.promotion.history import birth_of
from gitml.promotion.prepare import Kind, Prepared, closure, current_changes, folder_changes, prepare, refuse
from gitml.promotion.propose import Promotion, propose
from gitml.promotion.target import Target, find_target
from gitml.registry.resolve import resolve
from gitml.registry.workspace import Workspace


def promote(
    ws: Workspace,
    refs: Sequence[str] = (),
    *,
    source: str | None = None,
    target: str,
    repo: str | None = None,
    title: str | None = None,
    body: str | None = None,
    draft: bool = False,
    reviewers: Sequence[str] = (),
    auto_merge: bool = False,
    no_inputs: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Ask for assets, or for a whole branch, to go to a stage.

    Args:
        ws: The registry.
        refs: What to promote; without it the branch `source` is promoted, code included.
        source: Branch that references are read on, or that is promoted; None is HEAD.
        target: The stage.
        repo: The repository it goes to, in any spelling; versions also go to others than this clone's remote.
        title: Title of the request.
        body: Text of the request.
        draft: Open as a draft, where the forge can.
        reviewers: Whom to ask for review, where the forge can.
        auto_merge: Merge as soon as the rules are met, where the forge can.
        no_inputs: Leave what they were made from where it is; only where the target's policy allows that.
        dry_run: Only plan; the shared repository's branches are fetched all the same, so that the plan holds.

    Raises:
        UsageError: The call makes no sense, or asks what the forge cannot do.
        NotFound: A reference, branch or stage is not there, or is not pushed yet.
        Conflict: Code does not merge.
        PolicyRefused: The target's rules forbid it; all that they object to is named.
        StoreUnavailable: The remote cannot be reached.
    """
    check_text(title, body)

    def opened(where: Workspace, keeper: Forge, prepared: Prepared) -> Promotion:
        _check_capabilities(keeper, draft=draft, reviewers=reviewers, auto_merge=auto_merge)
        return propose(
            where,
            keeper,
            prepared,
            title=title,
            body=body,
            dry_run=dry_run,
            is_draft=draft,
            reviewers=reviewers,
            auto_merge=auto_merge,
        )

    if repo is not None and not _is_own(ws, repo):
        chosen = _chosen_for(ws, refs, source, target, repo)
        address = address_of_repo(ws, repo)
        return promote_elsewhere(
            ws, chosen, address, target=target, no_inputs=no_inputs, dry_run=dry_run, propose=opened
        )
    forge = open_forge(ws)
    _check_capabilities(forge, draft=draft, reviewers=reviewers, auto_merge=auto_merge)
    prepared = plan_promotion(
        ws,
        forge.shared,
        refs,
        source=source,
        target=target,
        birth=lambda: birth_of(ws, forge, target),
        no_inputs=no_inputs,
    )
    return opened(ws, forge, prepared)


def plan_promotion(
    ws: Workspace,
    shared: Shared,
    refs: Sequence[str],
    *,
    source: str | None,
    target: str,
    birth: Callable[[], str | None] = lambda: None,
    no_inputs: bool = False,
) -> Prepared:
    """Plan a promotion by asset, or by branch where no reference is given.

    Args:
        ws: The registry.
        shared: The shared repository, refreshed.
        refs: What to promote.
        source: Branch that references are read on, or that is promoted; None is HEAD.
        target: The stage.
        birth: Gives the commit that the stage was born from, where it is known.
        no_inputs: Leave what they were made from where it is.

    Raises:
        UsageError: The call makes no sense, such as a stage promoted to itself.
        NotFound: A reference, branch or stage is not there, or is not pushed yet.
        Conflict: Code does not merge.
        PolicyRefused: Never; see :func:`refuse`.
    """
    goal = find_target(ws, shared, target)
    if source == target:
        raise UsageError(
            f"{target} cannot be promoted to itself", code="same-branch", hint="-s names another branch"
        )
    if no_inputs:
        _check_no_inputs(goal, refs)
    if not refs:
        return plan_by_branch(ws, shared, goal, source, birth=birth)
    return _by_asset(ws, shared, goal, refs, source, birth, no_inputs=no_inputs)


def _check_no_inputs(target: Target, refs: Sequence[str]) -> None:
    if not refs:
        raise UsageError(
            "--no-inputs is for a promotion of versions, and a branch brings all that it has",
            code="no-inputs-branch",
            hint=f"gitml promote REF --no-inputs -t {target.stage}",
        )
    require = Requirements.read(target.policy.require)
    if not require.no_inputs or require.inputs_promoted:
        problem = Problem(
            rule=Rule.INPUTS,
            asset="",
            message=f"{target.stage} takes no version without what it was made from",
            hint=f"leave out --no-inputs, or allow it: stages.{target.stage}.require.no_inputs: allowed",
        )
        refuse([problem], f"cannot promote to {target.stage}")


def _by_asset(
    ws: Workspace,
    shared: Shared,
    target: Target,
    refs: Sequence[str],
    source: str | None,
    birth: Callable[[], str | None],
    *,
    no_inputs: bool,
) -> Prepared:
    chosen = _resolve(ws, target.config, target.stage, refs, source)
    folders = closure(ws, shared, target, chosen, no_inputs=no_inputs)
    wanted = {version.asset: version.version for version in chosen}
    changes = folder_changes(ws, target, folders)
    changes |= current_changes(ws, target, wanted)
    return prepare(
        ws,
        shared,
        target,
        kind=Kind.BY_ASSET,
        source=source or ws.branch() or "HEAD",
        refs=tuple(sorted(map(str, chosen))),
        tree=target.tip,
        parents=(target.tip,),
        changes=changes,
        birth=birth,
    )


def _resolve(
    ws: Workspace, config: Config, stage: str, refs: Sequence[str], source: str | None
) -> dict[VersionId, str]:
    """Versions that references mean, each with the commit it was read from."""
    chosen: dict[VersionId, str] = {}
    by_asset: dict[AssetId, VersionId] = {}
    for text in refs:
        ref = AssetRef.parse(text, config.known_types)
        if ref.path is not None:
            raise UsageError(
                f"{text} names a file; a version is promoted as a whole",
                code="not-a-version",
                hint=text.split(":")[0],
            )
        if source in config.stages and ref.selector is None:
            found = resolve(ws, f"{text}@{source}")
        else:
            found = resolve(ws, text, rev=None if source in config.stages else source)
        other = by_asset.setdefault(found.id.asset, found.id)
        if other != found.id:
            raise UsageError(
                f"{other} and {found.id} cannot both be what {stage} runs",
                code="two-versions",
                hint="name one version of each asset",
            )
        chosen[found.id] = found.commit
    return chosen


def _is_own(ws: Workspace, repo: str) -> bool:
    return ws.remote is not None and same_remote(ws.remotes[ws.remote], repo)


def _chosen_for(
    ws: Workspace, refs: Sequence[str], source: str | None, target: str, repo: str
) -> dict[VersionId, str]:
    """What is to go to another repository.

    Raises:
        UsageError: It is a branch.
    """
    if refs:
        return _resolve(ws, ws.config, target, refs, source)
    url = ws.remotes[ws.remote] if ws.remote else None
    there = f"its remote {ws.remote} is {without_credentials(url)}" if url else "it has no remote"
    raise UsageError(
        f"-r {without_credentials(repo)} is not the repository of this clone ({there}), and only versions go elsewhere",
        code="other-repository",
        hint=f"gitml promote REF -t {target} -r {without_credentials(repo)}, or run it in a clone of that repository",
    )


def _check_capabilities(forge: Forge, *, draft: bool, reviewers: Sequence[str], auto_merge: bool) -> None:
    can = forge.capabilities
    wishes = {
        "--draft": draft and not can.draft,
        "--reviewer": bool(reviewers) and not can.reviewers,
        "--auto-merge": auto_merge and not can.auto_merge,
    }
    asked = [flag for flag, refused in wishes.items() if refused]
    if asked:
        raise UsageError(
            f"the forge {forge.kind!r} has no {', '.join(asked)}",
            code="forge-cannot",
            hint=f"leave out {' '.join(asked)}",
        )
