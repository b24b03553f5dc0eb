"""The bench itself: its data, its arithmetic, and that each row runs."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.programs import ROOT, run, with_gitml


def bench(name: str) -> Any:
    """A module of the bench; it lies beside the package that is tested, not in it."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module(f"tests.bench.{name}")


def test_same_seed_same_data(tmp_path: Path) -> None:
    material = bench("material")
    for name in ("a", "b"):
        material.small_files(tmp_path / name, material.QUICK, seed=1)
        assert (
            material.change_small_files(tmp_path / name, material.QUICK, seed=2)
            == 8 * material.QUICK.file_bytes
        )
    assert material.listing(tmp_path / "a") == material.listing(tmp_path / "b")
    assert len(material.listing(tmp_path / "a")) == material.QUICK.files


def test_next_large_file_differs_as_it_says(tmp_path: Path) -> None:
    material = bench("material")
    sizes = material.QUICK
    material.large_file(tmp_path / "old", sizes.large_bytes, seed=1)
    material.next_large_file(tmp_path / "old", tmp_path / "new", sizes, seed=1)
    old, new = (tmp_path / "old").read_bytes(), (tmp_path / "new").read_bytes()
    assert len(new) == len(old) + sizes.inserted_bytes + sizes.appended_bytes
    assert new.startswith(old[: sizes.large_bytes // 4])
    assert old[-sizes.large_bytes // 4 :] in new


def test_verdicts() -> None:
    report = bench("report")
    found = [report.Check(what="x", limit=2.0, measured=value).verdict for value in (1.9, 2.0, 2.1, None)]
    assert found == ["PASS", "PASS", "MISS", "not measured"]


def test_peak_is_the_measured_command_s_own(tmp_path: Path, environment: dict[str, str]) -> None:
    """Asked by a process as small as the bench: what a child had before it became the command counts as well."""
    script = (
        "import os, sys; from pathlib import Path; from tests.bench.measure import run\n"
        "for code in ('bytearray(300_000_000)', 'pass'):\n"
        "    print(run([sys.executable, '-c', code], cwd=Path.cwd(), env=dict(os.environ)).peak_bytes)\n"
    )
    printed = run(sys.executable, "-c", script, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)})
    big, small = map(int, printed.split())
    assert big > 300_000_000 > small


def test_failing_command_is_no_measurement(tmp_path: Path, environment: dict[str, str]) -> None:
    measure = bench("measure")
    with pytest.raises(measure.CommandError, match="ended with 3"):
        measure.run([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path, env=environment)


def row_runs(rows: str, tmp_path: Path, environment: dict[str, str]) -> dict[str, Any]:
    env = with_gitml(tmp_path, environment)
    words = ["-m", "tests.bench", *rows.split(), "--quick", "--no-install", "--folder", tmp_path / "bench"]
    printed = run("python", *words, cwd=ROOT, env=env)
    assert "| work | compared | goal |" in printed
    found = json.loads((tmp_path / "bench/result.json").read_text())["rows"]
    assert list(found) == rows.split()
    for outcome in found.values():
        assert all(check["verdict"] in ("PASS", "MISS", "not measured") for check in outcome["checks"])
    return found


BY_NIGHT = [pytest.param(row, marks=pytest.mark.nightly) for row in ("next-small", "get-over", "scale-bytes")]


@pytest.mark.parametrize("row", ["register-small", "startup", *BY_NIGHT])
def test_row_runs(row: str, tmp_path: Path, environment: dict[str, str]) -> None:
    (outcome,) = row_runs(row, tmp_path, environment).values()
    assert any(check["measured"] is not None for check in outcome["checks"])


def needs_moto() -> None:
    if not os.environ.get("GITML_REQUIRE_SERVERS"):
        pytest.importorskip("moto.server")


@pytest.mark.nightly
def test_rows_on_s3_run(tmp_path: Path, environment: dict[str, str]) -> None:
    needs_moto()
    found = row_runs("s3-register-small s3-one-file s3-cut", tmp_path, environment)
    assert found["s3-register-small"]["checks"][2]["measured"] is not None
    assert all(check["measured"] is not None for check in found["s3-one-file"]["checks"])
    (sent_again,) = found["s3-cut"]["checks"]
    assert 1 < sent_again["measured"] < 32, "MiB: the connection was cut in the only pack"


@pytest.mark.nightly
@pytest.mark.parametrize(
    "row", ["s3-get-small", "s3-large", "s3-next-large", "s3-one-small", "s3-parquet", "scale-files"]
)
def test_long_row_runs(row: str, tmp_path: Path, environment: dict[str, str]) -> None:
    needs_moto()
    row_runs(row, tmp_path, environment)
