"""What a person sees of versions that refer to data elsewhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from support.team import write


def test_seen_by_a_person(team: Any, tmp_path: Path) -> None:
    data = write(tmp_path / "raw", {"a.csv": "1,2\n", "b/c.csv": "3\n"})
    planned = team.ada.ok("register", "datasets/raw", str(data), "--reference", "--dry-run")
    assert "would register datasets/raw@1" in planned.stdout and "2 files, 6 B" in planned.stdout
    made = team.ada.ok("register", "datasets/raw", str(data), "--reference")
    assert f"2 files, 6 B, which stay in file://{data}" in made.stdout
    assert "refers to 2 files, 6 B elsewhere" in team.ada.ok("list").stdout
    shown = team.ada.ok("show", "datasets/raw", "--files").stdout
    assert f"2 files, 6 B, which stay in file://{data}" in shown and "b/c.csv" in shown
    assert "2 files elsewhere are what was registered" in team.ada.ok("verify").stdout
    document = json.loads(team.ada.ok("show", "datasets/raw", "--files", "--json").stdout)
    assert document["files"][0]["url"] == f"file://{data}/a.csv"
    (data / "a.csv").write_text("1,3\n")
    status = team.ada.ok("status").stdout
    assert "not what was registered, where it lies" in status and "a.csv" in status
    (data / "b/c.csv").unlink()
    _, *items, _ = team.ada("verify", "datasets/raw").stderr.splitlines()
    where = f"file://{data}"
    assert items == [
        f"  datasets/raw@1: a.csv: {where}/a.csv is not what was registered: "
        f"its sha256 is {hashlib.sha256(b'1,3' + bytes([10])).hexdigest()}",
        f"  datasets/raw@1: b/c.csv: there is no {where}/b/c.csv any more",
    ]
    (data / "b/c.csv").write_text("3\n")
    failed = team.ada("store", "adopt", "datasets/raw")
    assert failed.exit_code == 6 and "a.csv" in failed.stderr and "Try:" in failed.stderr
    (data / "a.csv").write_text("1,2\n")
    assert "would register datasets/raw@2" in team.ada.ok("store", "adopt", "datasets/raw", "-n").stdout
    assert "registered datasets/raw@2" in team.ada.ok("store", "adopt", "datasets/raw").stdout
    assert team.ada.ok("store", "adopt", "datasets/raw@1", "-q").stdout == "datasets/raw@2\n"


def test_the_word_is_needed(team: Any) -> None:
    failed = team.ada("register", "datasets/raw", "s3://team-data/raw")
    assert failed.exit_code == 2 and "--reference" in failed.stderr


def test_trusting_a_location(team: Any) -> None:
    said = team.ada.ok("store", "trust", "s3://team-data/raw/")
    assert said.stdout == "s3://team-data/raw is trusted on this machine\n"
    assert (
        team.ada.ok("store", "trust", "s3://team-data/raw").stdout
        == "s3://team-data/raw was trusted already\n"
    )
