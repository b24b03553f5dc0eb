"""The README's code blocks run, one after the other, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

from support.programs import ROOT, run, with_gitml

README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_all_blocks_are_code_that_runs() -> None:
    assert {language for language, _ in _BLOCK.findall(README)} == {"sh", "python"}


def test_blocks_run(tmp_path: Path, environment: dict[str, str]) -> None:
    env = with_gitml(tmp_path, environment)
    here = tmp_path / "here"
    here.mkdir()
    for language, code in _BLOCK.findall(README):
        script = tmp_path / f"block.{language}"
        script.write_text(code if language == "python" else f"set -eu\n{code}", encoding="utf-8")
        run("python" if language == "python" else "sh", script, cwd=here, env=env)
    assert (here / "deployed/weights.json").read_text() == "[2, 1]\n"


def test_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_of_the_source_that_pages_name_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for path in re.findall(
            r"`((?:gitml|schemas|tests|examples)/(?:[\w/.-]*(?:/|\.\w+))?)`", page.read_text(encoding="utf-8")
        ):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
