"""Rules about people: who approved, who owns what changes, whose signatures count; and rules nobody can judge."""

from __future__ import annotations

from collections.abc import Iterator

from gitml.model.glob import compile_glob
from gitml.model.requirements import is_team
from gitml.promotion.case import Case, Problem, Reviews, Rule

_SHOWN = 3


def require(case: Case) -> Iterator[Problem]:
    """A requirement that cannot be judged is not met."""
    for key in sorted(case.policy.extra):
        message = f"gitml.yaml says {key!r} of {case.stage}, which this version cannot judge"
        yield Problem(rule=Rule.REQUIRE, asset="", message=message, hint="use a version of GitML that can")
    for key, why in case.requirements.unread:
        message = f"{case.stage} requires {key!r}, which this version cannot judge: {why}"
        hint = f"correct gitml.yaml on {case.stage}, or use a version of GitML that can"
        yield Problem(rule=Rule.REQUIRE, asset="", message=message, hint=hint)
    for team in sorted({owner for owner in _owners(case) if is_team(owner) and owner[1:] not in case.teams}):
        message = f"{case.stage} requires an approval of {team}, and gitml.yaml there names no such team"
        hint = f"teams: {{{team[1:]}: [E-MAIL]}}, in gitml.yaml on {case.stage}"
        yield Problem(rule=Rule.REQUIRE, asset="", message=message, hint=hint)


def _owners(case: Case) -> Iterator[str]:
    for _, owners in case.requirements.approvals.owners:
        yield from owners


def approvals(case: Case) -> Iterator[Problem]:
    """Enough people other than the authors approved this very head, and nobody refused it."""
    if case.reviews is None:
        return
    for who in case.reviews.rejected_by:
        message = f"{who} rejected this request"
        yield Problem(rule=Rule.REJECTED, asset="", message=message, hint="change it and promote again")
    needed, given = case.approvals.count, len(_approvers(case.reviews))
    if given < needed:
        many = "s" if needed != 1 else ""
        message = f"{case.stage} requires {needed} approval{many} of this head, and it has {given}"
        yield Problem(rule=Rule.APPROVALS, asset="", message=message)
    yield from _owners_approved(case, case.reviews)


def _approvers(reviews: Reviews) -> set[str]:
    return {who.casefold() for who in reviews.approved_by}


def _owners_approved(case: Case, reviews: Reviews) -> Iterator[Problem]:
    """One of the owners of each path approved; the last pattern that matches a path says whose it is."""
    rules = [(pattern, compile_glob(pattern), owners) for pattern, owners in case.approvals.owners]
    touched: dict[str, list[str]] = {}
    for path in sorted(filter(None, map(case.after.inner, case.changed))) if rules else ():
        folders = [path, *(path[:at] for at, letter in enumerate(path) if letter == "/")]
        pattern = next((name for name, test, _ in reversed(rules) if any(map(test, folders))), None)
        if pattern is not None:
            touched.setdefault(pattern, []).append(path)
    for pattern, _, owners in rules:
        people = {person.casefold() for owner in owners for person in _people(case, owner)}
        if pattern in touched and owners and not people & _approvers(reviews):
            some = touched[pattern][:_SHOWN]
            more = f" and {len(touched[pattern]) - _SHOWN} more" if len(touched[pattern]) > _SHOWN else ""
            message = (
                f"{case.stage} requires that one of {', '.join(owners)} approves {', '.join(some)}{more}"
            )
            given = ", ".join(sorted(_approvers(reviews))) or "nobody"
            hint = f"{' or '.join(sorted(people)) or 'somebody'} runs: gitml pr approve N"
            yield Problem(
                rule=Rule.OWNERS, asset=pattern, message=f"{message}; approved by {given}", hint=hint
            )


def _people(case: Case, owner: str) -> tuple[str, ...]:
    return tuple(case.teams.get(owner[1:], ())) if is_team(owner) else (owner,)


def signed(case: Case) -> Iterator[Problem]:
    """Every commit that comes bears the signature of somebody whom the target itself, before the change, allows."""
    signers = case.requirements.signed
    if signers is None:
        return
    allowed = case.before.text(signers.allowed_signers)
    if allowed is None:
        message = (
            f"{case.stage} requires signed commits, and has no {signers.allowed_signers} that says whose"
        )
        hint = f'add it to {case.stage} by an ordinary merge: E-MAIL namespaces="git" KEY, a line for each'
        yield Problem(rule=Rule.SIGNED, asset=signers.allowed_signers, message=message, hint=hint)
        return
    for what in case.evidence.unsigned(allowed, case.before.text(signers.revoked)):
        hint = "git config gpg.format ssh, user.signingkey KEY, commit.gpgsign true; then promote again"
        yield Problem(rule=Rule.SIGNED, asset=what.partition(":")[0], message=what, hint=hint)
