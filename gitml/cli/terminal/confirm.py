"""Questions to the person: only where somebody sits at a terminal, and none with `-y`."""

from __future__ import annotations

import sys

import click

from gitml.cli.terminal.session import Session
from gitml.cli.terminal.text import one_line
from gitml.errors import GitMLError, UsageError

_NOT_TRUSTED = "store-not-trusted"


def trusts_moved_store(session: Session, error: GitMLError) -> bool:
    """Whether a command stopped because a store has moved, and the person accepts where it is now.

    The repository says where its stores are, so without a terminal the answer is no, `-y` or not: a changed
    `gitml.yaml` must not redirect the bytes of a machine that nobody watches.
    """
    if error.code != _NOT_TRUSTED or not somebody_is_there():
        return False
    session.close_progress()
    question = one_line(f"gitml: {error.message}. Use it there from now on?")
    if not (session.yes or click.confirm(question, err=True)):
        return False
    store = str(error.context["store"])
    session.registry(store).stores.trust(store)
    return True


def somebody_is_there() -> bool:
    """Whether a person sits at a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def require_yes(session: Session, question: str) -> None:
    """Go on only with a person's yes, or with `-y`.

    Raises:
        UsageError: There is nobody to ask.
        click.Abort: The answer is no.
    """
    if session.yes:
        return
    if not somebody_is_there():
        raise UsageError(
            f"{one_line(question)} There is no terminal to answer at; nothing was done",
            code="not-confirmed",
            hint="look at it with --dry-run, then add --yes",
        )
    session.close_progress()
    click.confirm(one_line(f"gitml: {question}"), err=True, abort=True)
