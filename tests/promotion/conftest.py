"""A team whose staging takes from working branches and main, and whose production needs one approval."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.promoting import POLICY, founded
from support.team import Member, Team


@pytest.fixture
def team(tmp_path: Path, request: pytest.FixtureRequest) -> Team:
    """Ada registered datasets/digits@1 and models/digits@1, made from it, on main, and pushed.

    Where a test asks for a fixture that the `THEN` of its module names, what stands there was done, too.
    """
    then = getattr(request.module, "THEN", {})
    return founded(
        tmp_path, POLICY, next((then[name] for name in request.fixturenames if name in then), None)
    )


@pytest.fixture
def bob(team: Team) -> Member:
    """A colleague with a clone of his own."""
    return team.clone("bob")
