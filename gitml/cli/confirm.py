"""Questions to the person: only where somebody sits at a terminal, and none with `-y`."""

from __future__ import annotations

import sys

import click

from gitml.cli.session import Session
from gitml.cli.text import one_line
from gitml.errors import GitMLError

_NOT_TRUSTED = "store-not-trusted"


def trusts_moved_store(session: Session, error: GitMLError) -> bool:
    """Whether a command stopped because a store has moved, and the person accepts where it is now.

    The repository says where its stores are, so without a terminal the answer is no, `-y` or not: a changed
    `gitml.yaml` must not redirect the bytes of a machine that nobody watches.
    """
    if error.code != _NOT_TRUSTED or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    session.close_progress()
    question = one_line(f"gitml: {error.message}. Use it there from now on?")
    if not (session.yes or click.confirm(question, err=True)):
        return False
    session.registry().stores.trust(str(error.context["store"]))
    return True
