"""`gitml ci init`: files that the published schemas accept, and whose lines run on real repositories."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.cli import InFolder
from support.pipelines import Runner, check_run, events_run
from support.promoting import founded, land
from support.team import Team, git

from gitml.errors import Conflict, UsageError
from gitml.registry.setup.pipelines import PipelineChange

KINDS = {
    "github": (".github/workflows/gitml.yml", "github-workflows"),
    "gitlab": (".gitlab-ci.yml", "gitlab-ci"),
    "azure": ("azure-pipelines.yml", "azure-pipelines"),
    "bitbucket": ("bitbucket-pipelines.yml", "bitbucket-pipelines"),
    "gitea": (".gitea/workflows/gitml.yml", "github-workflows"),
}
TRANSFORMS = {"gitlab": "gitlab-ci", "azure": "azure-pipelines"}


def with_store(team: Team, url: str) -> None:
    path = team.ada.folder / "gitml.yaml"
    path.write_text(re.sub(r"url: .*", f'url: "{url}"', path.read_text(), count=1))
    team.ada.git("commit", "-qam", "another store")


def assert_valid(kind: str, path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{KINDS[kind][1]}"]
    command += ["--data-transform", TRANSFORMS[kind]] if kind in TRANSFORMS else []
    command += ["--regex-variant", "nonunicode"] if kind == "azure" else []
    done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_accepts_it(tmp_path: Path, kind: str) -> None:
    team = Team(tmp_path)
    for url in (None, "s3://team-ml/registry", "az://account/registry"):
        if url:
            with_store(team, url)
        found = team.ada.registry.ci.init(kind, force=True)
        assert found.path == KINDS[kind][0]
        path = team.ada.folder / found.path
        assert path.read_text() == found.text
        assert "\n\n\n" not in found.text and not re.search(r"[ \t]\n", found.text)
        if url is None or kind in ("github", "azure"):
            assert_valid(kind, path)
    assert re.search(r"gitml\[azure(,git(hub|lab))?\]==", found.text)
    assert found.secrets == ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY")
    assert all(name in found.text for name in found.secrets)
    if kind in ("github", "gitea"):
        assert "AZURE_STORAGE_ACCOUNT_KEY: ${{ secrets.AZURE_STORAGE_ACCOUNT_KEY }}" in found.text


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_to_its_rules(tmp_path: Path, kind: str) -> None:
    ada = Team(tmp_path).ada
    text = ada.registry.ci.init(kind, dry_run=True).text
    uses = re.findall(r"- uses: (\S+)", text)
    assert all(re.fullmatch(r"[a-z]+/[a-z-]+@[0-9a-f]{40}", one) for one in uses)
    assert bool(uses) == (kind in ("github", "gitea"))
    assert "pull_request_target" not in text
    assert "python -m pip" not in text, "it would run a module of the work tree"
    if kind in ("github", "gitea"):
        data = yaml.load(text, yaml.BaseLoader)
        assert data["permissions"] == {}
        assert data["jobs"]["events"]["permissions"] == {"contents": "read"}
        rights = {"contents": "read", "pull-requests": "write", "statuses": "write"}
        assert data["jobs"]["check"]["permissions"] == rights, "for the comment and the status, and no more"
        for job in data["jobs"].values():
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), "a branch's name would be run"


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    ada = Team(tmp_path).ada
    run = InFolder(ada.folder)
    assert run.ok("ci", "init", "gitlab", "-n", "--json").document["plan"]["change"] == "written"
    assert not (ada.folder / ".gitlab-ci.yml").exists()
    assert run.ok("ci", "init", "gitlab", "--json").document["change"] == "written"
    assert run.ok("ci", "init", "gitlab", "--json").document["change"] == "unchanged"
    (ada.folder / ".gitlab-ci.yml").write_text("mine: {script: [make]}\n")
    with pytest.raises(Conflict):
        ada.registry.ci.init("gitlab")
    assert run("ci", "init", "gitlab").exit_code == 5
    assert (ada.folder / ".gitlab-ci.yml").read_text().startswith("mine")
    assert ada.registry.ci.init("gitlab", force=True).change is PipelineChange.REPLACED
    with pytest.raises(UsageError):
        ada.registry.ci.init("jenkins")


def test_a_registry_in_a_folder(tmp_path: Path) -> None:
    run = InFolder(tmp_path)
    run.ok("init", str(tmp_path / "repo"))
    (tmp_path / "repo/ml").mkdir()
    (tmp_path / "repo/gitml.yaml").rename(tmp_path / "repo/ml/gitml.yaml")
    git(tmp_path / "repo", "add", "-A")
    git(tmp_path / "repo", "commit", "-qm", "moved")
    text = InFolder(tmp_path / "repo/ml").ok("ci", "init", "github", "--json").document["text"]
    assert 'gitml -R ml check "origin' in text and "gitml -R ml events" in text
    assert (tmp_path / "repo/.github/workflows/gitml.yml").exists()


@pytest.mark.parametrize(
    "kind", [one if one == "github" else pytest.param(one, marks=pytest.mark.nightly) for one in KINDS]
)
def test_its_lines_run(tmp_path: Path, kind: str) -> None:
    team = founded(tmp_path)
    ada = team.ada
    text = ada.registry.ci.init(kind).text
    land(ada, ada.registry.promote("datasets/digits", target="staging"))
    before = git(tmp_path, "--git-dir", str(team.remote), "rev-parse", "staging")
    asked = ada.registry.promote("models/digits", target="staging")
    assert asked.request is not None
    ada.git("push", "-q", "origin", f"{asked.request.head}:refs/heads/asked")
    if kind in ("github", "gitea"):
        ada.git("push", "-q", "origin", f"{asked.request.head}:refs/pull/7/head")

    done = check_run(
        Runner(team.remote.as_uri(), kind, text, tmp_path / "good"), asked.request.head, "staging"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if kind == "github":
        assert "passes for staging" in (tmp_path / "summary").read_text()
    if kind == "bitbucket":
        assert '"result":"PASSED"' in (tmp_path / "good-bin/curl.calls").read_text()

    ada.git("switch", "-qc", "evil", "origin/staging")
    (ada.folder / "models/digits").mkdir(parents=True, exist_ok=True)
    (ada.folder / "models/digits/staging.yaml").write_text('current: "9"\n')
    (ada.folder / "gitml.py").write_text("open('ran', 'w')\n")
    ada.git("add", "-A")
    ada.git("commit", "-qm", "not there")
    ada.git("push", "-q", "origin", "evil")
    if kind in ("github", "gitea"):
        ada.git("push", "-q", "-f", "origin", "evil:refs/pull/7/head")
    bad = Runner(team.remote.as_uri(), kind, text, tmp_path / "bad")
    done = check_run(bad, ada.git("rev-parse", "evil"), "staging")
    assert done.returncode != 0
    assert "models/digits" in done.stdout
    assert not (bad.folder / "ran").exists()
    if kind == "bitbucket":
        assert '"result":"FAILED"' in (tmp_path / "bad-bin/curl.calls").read_text()

    land(ada, asked)
    after = git(tmp_path, "--git-dir", str(team.remote), "rev-parse", "staging")
    done = events_run(Runner(team.remote.as_uri(), kind, text, tmp_path / "moved"), before, after)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"promoted"' in done.stdout and '"models/digits"' in done.stdout
    born = Runner(team.remote.as_uri(), kind, text, tmp_path / "born")
    if kind in ("github", "gitea", "gitlab"):
        done = events_run(born, "0" * 40, after)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count('"promoted"') == 2
