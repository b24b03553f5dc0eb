from __future__ import annotations

from pathlib import Path

import pytest
from support.team import Member, Team, git

from gitml.api import init


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path / "team")


@pytest.fixture
def alone(tmp_path: Path) -> Member:
    """A registry in one repository, with no remote and no store but the embedded one."""
    folder = tmp_path / "alone"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    init(folder)
    return Member(folder)
