from __future__ import annotations

from pathlib import Path

import pytest
from support.team import Member, Team
from support.team import alone as make_alone


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path / "team")


@pytest.fixture
def alone(tmp_path: Path) -> Member:
    """A registry in one repository, with no remote and no store but the embedded one."""
    return make_alone(tmp_path)
