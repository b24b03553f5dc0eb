"""Short words for what tests of promotion do all the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.team import Member, Team, write

from gitml.promotion.merge import Merged
from gitml.promotion.plan import Promotion

POLICY = """stages:
  staging:
    from: ["working/*", main]
  production:
    from: [staging]
    require: {approvals: 1, inputs_promoted: true}
forge: {kind: auto}
"""


def register(member: Member, asset: str, text: str, **options: Any) -> None:
    """Register a version whose one file holds the text."""
    folder = write(member.folder / ".git" / "contents" / asset.replace("/", "-"), {"data.txt": text})
    member.registry.register(asset, folder, **options)


def founded(
    base: Path, configuration: str | None = None, then: Callable[[Team], object] | None = None
) -> Team:
    """Ada registered datasets/digits@1 and models/digits@1, made from it, on main, and pushed.

    Args:
        base: Where the team lies.
        configuration: Its policy.
        then: What else it did, always the same.
    """

    def all_of_it(team: Team) -> None:
        work(team)
        if then is not None:
            then(team)

    kind = ("founded", None if then is None else f"{then.__module__}.{then.__qualname__}")
    return Team.prepared(base, kind, all_of_it, configuration=configuration)


def work(team: Team) -> None:
    """What makes a team one that is founded."""
    register(team.ada, "datasets/digits", "1,2\n")
    register(team.ada, "models/digits", "one", inputs=["training=datasets/digits@1"])
    team.ada.registry.push()


def number(promotion: Promotion) -> int:
    assert promotion.request is not None
    return promotion.request.number


def land(member: Member, promotion: Promotion, *approvers: Member) -> Merged:
    """Approve and merge."""
    for approver in approvers:
        approver.registry.requests.approve(number(promotion))
    return member.registry.requests.merge(number(promotion))


def runs(team: Team, stage: str) -> dict[str, str]:
    """What a stage runs, read with plain git from the remote."""
    files = team.ada.git("--git-dir", str(team.remote), "ls-tree", "-r", "--name-only", stage).splitlines()
    found = {}
    for path in files:
        parts = path.split("/")
        if len(parts) == 3 and parts[2] == f"{stage}.yaml":
            text = team.ada.git("--git-dir", str(team.remote), "show", f"{stage}:{path}")
            found[f"{parts[0]}/{parts[1]}"] = text.removeprefix("current: ").strip('"')
    return found
