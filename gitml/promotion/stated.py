"""Finds the statement of a promotion in the commit that carries it."""

from __future__ import annotations

from gitml.errors import GitMLError
from gitml.git.types import Commit
from gitml.model.statement import Statement, find_statement
from gitml.promotion.view import Defect


def stated_in(commit: Commit) -> Statement | Defect | None:
    """What a request's head states; None where it states nothing, as one made without GitML, or a forge's own revert."""
    try:
        statement = find_statement(commit.message)
    except GitMLError as error:
        return Defect(path="", message=f"the statement of commit {commit.oid[:12]}: {error.message}")
    if statement is not None and statement.asker[1].casefold() != commit.author.email.casefold():
        told = f"names {statement.asker[1]}, and its author is {commit.author.email}"
        return Defect(path="", message=f"the statement of commit {commit.oid[:12]} {told}")
    return statement
