"""Says what `check` found where people look: in one comment on the request, edited in place, and as a status of the commit.

It never decides anything: what cannot be posted (a token that may only read, as those for requests from forks; a forge
that is down; requests that live in git and have no page) is told, and the check ends as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gitml.errors import Conflict, GitMLError
from gitml.forge.base import Forge
from gitml.forge.detect import open_forge_if_possible
from gitml.forge.hosted import HostedForge
from gitml.forge.hosted_text import MAX_TEXT_BYTES, cut
from gitml.forge.hosting import CheckState, Host
from gitml.promotion.build_server import Build, build_of
from gitml.promotion.check import Checked, Posted, check_on_forge
from gitml.promotion.report import MARKER, markdown, plain
from gitml.registry.workspace import Workspace

STATUS: Final = "gitml/check"
_COMMENT: Final = MARKER.removeprefix("<!-- ").removesuffix(" -->")


def check_and_post(ws: Workspace, commits: str | None = None, *, target: str | None = None) -> Checked:
    """Judge a change, as :func:`gitml.promotion.check.check`, and say it on the request's page."""
    try:
        checked, forge = check_on_forge(ws, commits, target=target)
    except Conflict as error:
        if "head" in error.context:
            forge = open_forge_if_possible(ws)[1]
            _tell(ws, post(forge, _of_conflict(error), build_of()))
        raise
    posted = post(forge, _of_check(checked, forge), build_of())
    _tell(ws, posted)
    return replace(checked, posted=posted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is to be said of a commit: whether it passes, in a few words, and as Markdown.

    Attributes:
        request: Number of the request, where the forge told it already.
    """

    head: str
    passed: bool
    words: str
    report: str
    request: int | None = None


def _of_check(checked: Checked, forge: Forge | None) -> Finding:
    count = sum(len(result.problems) for result in checked.rules)
    words = f"passes for {checked.target}"
    if not checked.passed:
        words = f"{count} objection{'s' if count != 1 else ''} to {checked.target}"
    longest = forge.capabilities.longest_comment if forge is not None else None
    report = comment_text(checked, longest)
    return Finding(
        head=checked.head, passed=checked.passed, words=words, report=report, request=checked.request
    )


def _of_conflict(error: Conflict) -> Finding:
    """A change that cannot be judged since it does not merge; else the page would show what was found before."""
    head, target = str(error.context["head"]), str(error.context["target"])
    report = f"### gitml check: {head[:12]} cannot be judged for {plain(target)}\n\n{plain(error.message)}"
    return Finding(head=head, passed=False, words=f"does not merge into {target}", report=report)


def _tell(ws: Workspace, posted: Posted) -> None:
    for reason in posted.problems:
        ws.progress.note(f"warning: {reason}")


def post(forge: Forge | None, finding: Finding, build: Build) -> Posted:
    """Post what was found, as far as that may be done.

    Args:
        forge: The forge; None where this machine cannot ask it.
        finding: What was found.
        build: What the build server says of the request.
    """
    if not isinstance(forge, HostedForge):
        why = "there is no way to ask it" if forge is None else "requests live in git, and have no page"
        return Posted(problems=(f"the report is not posted to the forge: {why}",))
    problems: list[str] = []
    number = build.number or finding.request
    status = _tried("the status", problems, lambda: _set_status(forge.host, finding, build.page))
    comment = _tried("the report", problems, lambda: _comment(forge.host, finding, number))
    return Posted(request=number, comment=comment, status=status, problems=tuple(problems))


def _tried(what: str, problems: list[str], attempt: Callable[[], str | None]) -> bool:
    """Whether it is said; why not is added to the problems."""
    try:
        reason = attempt()
    except GitMLError as error:
        reason = f"{error.message} ({error.hint})" if error.hint else error.message
    if reason is not None:
        problems.append(f"{what} is not posted to the forge: {reason}")
    return reason is None


def _set_status(host: Host, finding: Finding, page: str) -> None:
    state = CheckState.PASSED if finding.passed else CheckState.FAILED
    host.set_status(finding.head, name=STATUS, state=state, text=finding.words, url=page)


def _comment(host: Host, finding: Finding, number: int | None) -> str | None:
    """Write the comment; a run for an older head does not replace what a newer one said."""
    if number is None:
        return "which request it is for is not known"
    head = host.get(number).head
    if head != finding.head:
        return f"request {number} is at {head[:12]} by now, and {finding.head[:12]} was judged"
    host.comment(number, _COMMENT, finding.report)
    return None


def comment_text(checked: Checked, longest: int | None = None) -> str:
    """The report as a comment, which ends where the forge's limit is, with room for the marker."""
    text = markdown(checked).removeprefix(MARKER).strip()
    return cut(text, (longest or MAX_TEXT_BYTES) - len(MARKER) - 2)
