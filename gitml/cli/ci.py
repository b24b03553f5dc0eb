"""`gitml ci`: pipelines of build servers."""

from __future__ import annotations

import click

from gitml.cli.commands import CI
from gitml.cli.render import install as render
from gitml.cli.terminal.click_parts import LazyGroup, command, dry_run_option
from gitml.cli.terminal.session import Session


@click.group("ci", cls=LazyGroup, sections=[("Commands", CI)])
def ci() -> None:
    """Let a build server check requests."""


@command(
    "init",
    arguments=[("KIND", "github, gitlab, azure, bitbucket or gitea.")],
    examples=["gitml ci init github", "gitml ci init gitlab -n", "gitml ci init azure --force"],
)
@click.argument("kind", metavar="KIND")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@dry_run_option
def init(session: Session, kind: str, *, force: bool, dry_run: bool) -> None:
    """Write the pipeline that checks requests to stages.

    It runs `gitml check` on each request to a stage and shows the report there, and `gitml events` when one is
    merged. Names of secrets stand in it, never values. Commit it to the default branch and to the stages.
    """
    result = session.registry().ci.init(kind, force=force, dry_run=dry_run)
    session.finish(result, render.pipeline, refs=[result.path], dry_run=dry_run)
