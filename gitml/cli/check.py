"""`gitml check` and `gitml events`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli.render import check as render
from gitml.cli.terminal.click_parts import command
from gitml.cli.terminal.session import Session
from gitml.errors import AccessDenied, UsageError


@command(
    "check",
    arguments=[("BASE..HEAD", "The target and the change; left out: what CI says, or what is checked out.")],
    examples=[
        "gitml check",
        "gitml check origin/production..HEAD --markdown report.md",
        "gitml check ..working/newmodel -t staging",
        "gitml check --post",
    ],
)
@click.argument("commits", metavar="[BASE..HEAD]", required=False)
@click.option("-t", "--target", metavar="STAGE", help="The stage, where BASE does not name it.")
@click.option("--markdown", metavar="FILE|-", help="Write the report for the request's page, too.")
@click.option(
    "--post", is_flag=True, help="Post the report to the request's page, and the status of the commit."
)
def check(
    session: Session, commits: str | None, *, target: str | None, markdown: str | None, post: bool
) -> None:
    """Judge a change by the rules of the branch it is for.

    Exits with 12 if a rule objects. The rules are those of the target as it is, never those of the change. For a
    branch that is no stage, the versions that come are judged, and their bytes. What --post cannot post is told, and
    changes nothing: one comment, edited in place, on the request that CI names or that has this head.
    """
    if markdown == "-" and (session.json or session.quiet):
        raise UsageError(
            "--markdown - and another form cannot both be on stdout",
            code="two-outputs",
            hint="--markdown FILE",
        )
    result = session.registry().check(commits, target=target, post=post)
    if markdown is not None:
        from gitml.promotion.report import markdown as report

        _write(session, markdown, report(result))
    if markdown != "-":
        session.finish(result, render.checked, refs=result.versions, error=result.error)
    elif result.error is not None:
        raise result.error


def _write(session: Session, where: str, text: str) -> None:
    if where == "-":
        session.close_progress()
        session.out.write(text)
        session.out.flush()
        return
    try:
        Path(where).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AccessDenied(
            f"cannot write {where}: {error.strerror}", code="report-unwritable", hint="name another file"
        ) from error


@command(
    "events",
    arguments=[("BASE..HEAD", "The commits; BASE is the older one.")],
    examples=[
        "gitml events HEAD~1..HEAD --json",
        "gitml events $CI_COMMIT_BEFORE_SHA..$CI_COMMIT_SHA --json",
    ],
)
@click.argument("commits", metavar="BASE..HEAD")
def events(session: Session, commits: str) -> None:
    """Show what happened to assets between two commits.

    Registered, removed, promoted, rolled back, withdrawn, deprecated, restored, alias moved; oldest first. Purging
    leaves no commit and is not among them.
    """
    result = session.registry().events(commits)
    session.finish(result, render.events, refs=render.event_refs(result))
