"""What a build server does with the file that `gitml ci init` writes: a clone, its variables, and the lines of a job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from support.team import git


@dataclass
class Runner:
    """What a build server does: a fresh clone, variables, and the lines of a job in one shell."""

    remote: str
    kind: str
    text: str
    folder: Path
    number: int = 7
    token: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        return yaml.safe_load(self.text)

    def clone(self, rev: str) -> None:
        git(self.folder.parent, "clone", "-q", self.remote, str(self.folder))
        git(self.folder, "checkout", "-q", "--detach", rev)

    def run(self, script: str, extra: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        programs = self.folder.parent / f"{self.folder.name}-bin"
        programs.mkdir(exist_ok=True)
        for name in ("pip", "curl"):  # what needs the internet
            (programs / name).write_text(f'#!/bin/sh\necho "$@" >> "{programs}/{name}.calls"\n')
            (programs / name).chmod(0o755)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = os.environ | {"PATH": path, "CI": "true"} | self.variables | dict(extra)
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=self.folder, env=variables, capture_output=True, text=True
        )

    def expressions(self, step: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
        """Variables of a step, with what stands between `${{` and `}}` filled in."""
        return {
            name: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known.get(found[1], ""), value)
            for name, value in step.get("env", {}).items()
        }


def check_run(runner: Runner, head: str, base: str) -> subprocess.CompletedProcess[str]:
    """The job that checks a request, as this kind of build server starts it."""
    temp = runner.folder.parent
    if runner.kind in ("github", "gitea"):
        runner.clone(f"origin/{base}")
        step = runner.data["jobs"]["check"]["steps"][-1]
        known = {
            "github.base_ref": base, "github.event.pull_request.head.sha": head,
            "github.event.pull_request.number": str(runner.number), "runner.temp": str(temp),
            "github.token": runner.token,
        }  # fmt: skip
        runner.variables = {
            "GITHUB_STEP_SUMMARY": str(temp / "summary"), "GITHUB_BASE_REF": base,
            "GITHUB_REF": f"refs/pull/{runner.number}/merge",
        }  # fmt: skip
        return runner.run(step["run"], runner.expressions(step, known))
    runner.clone(head)
    if runner.kind == "gitlab":
        runner.variables = {
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": base, "CI_COMMIT_SHA": head,
            "CI_MERGE_REQUEST_IID": str(runner.number), "GITLAB_TOKEN": runner.token,
        }  # fmt: skip
        return runner.run("\n".join(runner.data["gitml-check"]["script"]))
    if runner.kind == "azure":
        runner.variables = {
            "SYSTEM_PULLREQUEST_TARGETBRANCH": f"refs/heads/{base}", "SYSTEM_PULLREQUEST_SOURCECOMMITID": head,
            "AGENT_TEMPDIRECTORY": str(temp), "SYSTEM_PULLREQUEST_PULLREQUESTID": str(runner.number),
            "SYSTEM_ACCESSTOKEN": runner.token,
        }  # fmt: skip
        return runner.run(runner.data["steps"][2]["script"])
    runner.variables = {
        "BITBUCKET_PR_DESTINATION_BRANCH": base, "BITBUCKET_COMMIT": head,
        "BITBUCKET_REPO_FULL_NAME": "team/registry", "BITBUCKET_PR_ID": str(runner.number),
        "BITBUCKET_TOKEN": runner.token, "BITBUCKET_GIT_SSH_ORIGIN": runner.remote,
    }  # fmt: skip
    (step,) = runner.data["pipelines"]["pull-requests"]["**"]
    return runner.run("\n".join(step["step"]["script"]))


def events_run(runner: Runner, before: str, after: str) -> subprocess.CompletedProcess[str]:
    """The job that runs when a stage has moved."""
    runner.clone(after)
    if runner.kind in ("github", "gitea"):
        step = runner.data["jobs"]["events"]["steps"][-1]
        known = {"github.event.before": before, "github.sha": after, "runner.temp": str(runner.folder.parent)}
        return runner.run(step["run"], runner.expressions(step, known))
    if runner.kind == "gitlab":
        runner.variables = {"CI_COMMIT_BEFORE_SHA": before, "CI_COMMIT_SHA": after}
        return runner.run("\n".join(runner.data["gitml-events"]["script"]))
    if runner.kind == "azure":
        runner.variables = {"BUILD_SOURCEVERSION": after, "AGENT_TEMPDIRECTORY": str(runner.folder.parent)}
        return runner.run(runner.data["steps"][3]["script"])
    runner.variables = {
        "BITBUCKET_COMMIT": after,
        "BITBUCKET_GIT_SSH_ORIGIN": runner.remote,
    }
    (step,) = runner.data["pipelines"]["branches"]["staging"]
    return runner.run("\n".join(step["step"]["script"]))
