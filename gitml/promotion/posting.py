"""Says what `check` found where people look: in one comment on the request, edited in place, and as a status of the commit.

It never decides anything: what cannot be posted (a token that may only read, as those for requests from forks; a forge
that is down; requests that live in git and have no page) is told, and the check ends as it would have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gitml.errors import GitMLError
from gitml.forge.base import Forge
from gitml.forge.hosted import HostedForge
from gitml.forge.hosted_text import MAX_TEXT_BYTES, cut
from gitml.forge.hosting import CheckState, Host
from gitml.promotion.build_server import Build, build_of
from gitml.promotion.check import Checked, Posted, check_on_forge
from gitml.promotion.report import MARKER, markdown
from gitml.registry.workspace import Workspace

STATUS: Final = "gitml/check"
_COMMENT: Final = MARKER.removeprefix("<!-- ").removesuffix(" -->")


def check_and_post(ws: Workspace, commits: str | None = None, *, target: str | None = None) -> Checked:
    """Judge a change, as :func:`gitml.promotion.check.check`, and say it on the request's page."""
    checked, forge = check_on_forge(ws, commits, target=target)
    posted = post(forge, checked, build_of())
    for reason in posted.problems:
        ws.progress.note(f"warning: {reason}")
    return replace(checked, posted=posted)


def post(forge: Forge | None, checked: Checked, build: Build) -> Posted:
    """Post what was found, as far as that may be done.

    Args:
        forge: The forge; None where this machine cannot ask it.
        checked: What was found.
        build: What the build server says of the request.
    """
    if not isinstance(forge, HostedForge):
        why = "there is no way to ask it" if forge is None else "requests live in git, and have no page"
        return Posted(problems=(f"the report is not posted to the forge: {why}",))
    problems: list[str] = []
    number = build.number or checked.request
    status = _tried("the status", problems, lambda: _set_status(forge.host, checked, build.page))
    comment = _tried("the report", problems, lambda: _comment(forge.host, checked, number))
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


def _set_status(host: Host, checked: Checked, page: str) -> None:
    count = sum(len(result.problems) for result in checked.rules)
    text = f"passes for {checked.target}"
    if not checked.passed:
        text = f"{count} objection{'s' if count != 1 else ''} to {checked.target}"
    state = CheckState.PASSED if checked.passed else CheckState.FAILED
    host.set_status(checked.head, name=STATUS, state=state, text=text, url=page)


def _comment(host: Host, checked: Checked, number: int | None) -> str | None:
    """Write the comment; a run for an older head does not replace what a newer one said."""
    if number is None:
        return "which request it is for is not known"
    head = host.get(number).head
    if head != checked.head:
        return f"request {number} is at {head[:12]} by now, and {checked.head[:12]} was judged"
    host.comment(number, _COMMENT, comment_text(checked, host.capabilities.longest_comment))
    return None


def comment_text(checked: Checked, longest: int | None = None) -> str:
    """The report as a comment, which ends where the forge's limit is, with room for the marker."""
    text = markdown(checked).removeprefix(MARKER).strip()
    return cut(text, (longest or MAX_TEXT_BYTES) - len(MARKER) - 2)
