"""The wheel holds all that is needed: it works where the source tree cannot be seen."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support.programs import ROOT

# -S leaves out .pth files, by which an editable installation would bring the source tree back.
_PROGRAM = """
import sys
sys.path[:0] = {paths!r}
import gitml
assert gitml.__file__.startswith({site!r}), gitml.__file__
from gitml.cli.main import main
sys.argv = ["gitml", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_wheel_holds_package_and_schemas_only(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    schemas = {
        f"gitml/schemas/{path.relative_to(ROOT / 'schemas').as_posix()}"
        for path in (ROOT / "schemas").rglob("*.json")
    }
    assert schemas
    assert schemas <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"gitml"}


def test_wheel_works_without_the_source_tree(
    wheel: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = _PROGRAM.format(
        paths=[str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")], site=str(site)
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("contents\n")

    def gitml(*words: str) -> str:
        command = [sys.executable, "-I", "-S", "-c", program, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    gitml("init", "registry", "--store", "store")
    gitml("-C", "registry", "register", "datasets/small", "../data")
    gitml("-C", "registry", "get", "datasets/small", "-o", "../placed")
    assert (tmp_path / "placed/a.txt").read_text() == "contents\n"
