"""The row on promotion: how long a request takes in a registry that has grown large."""

from __future__ import annotations

import subprocess

from tests.bench.context import Context
from tests.bench.measure import Case, Run, compare
from tests.bench.report import Check, Outcome
from tests.bench.tools import Gitml

_INPUTS = ("a", "b", "c")
_VERSIONS_EACH = 20
_REQUEST = "refs/gitml/requests/1"


def promote(context: Context) -> Outcome:
    """One model with three inputs to a stage, requests kept in git, in a registry with many versions."""
    sizes = context.sizes
    gitml = grown(context.gitml(), context, sizes.versions)
    before = (gitml.repo / ".git" / "index").read_bytes()

    def forget() -> None:
        gitml.run(["git", "update-ref", "-d", _REQUEST], cwd=gitml.remote)

    def ask() -> Run:
        return gitml.gitml("promote", "models/m", "-t", "staging")

    ask()
    times = compare({"gitml promote": Case(prepare=forget, command=ask)}, sizes.rounds)
    status = gitml.run(["git", "status", "--porcelain"], cwd=gitml.repo).output
    touched = len(status.splitlines()) + ((gitml.repo / ".git" / "index").read_bytes() != before)
    return Outcome(
        checks=[
            Check(
                what=f"`gitml promote` with {sizes.versions:,} versions",
                limit=1,
                measured=times["gitml promote"].median_s,
                unit="s",
            ),
            Check(what="working files touched", limit=0, measured=touched, unit="files"),
        ],
        times=times,
        figures={"processor": f"{times['gitml promote'].cpu_s:.2f} s"},
    )


def grown(gitml: Gitml, context: Context, versions: int) -> Gitml:
    """A pushed registry with models/m, made from three datasets, among so many versions of other datasets."""
    source = context.folder / "contents"
    source.mkdir()
    for name in _INPUTS:
        (source / "x.txt").write_text(name)
        gitml.gitml("register", f"datasets/{name}", source)
    words = [word for name in _INPUTS for word in ("--input", f"datasets/{name}")]
    (source / "x.txt").write_text("m")
    gitml.gitml("register", "models/m", source, *words)
    gitml.gitml("push")
    head = gitml.run(["git", "rev-parse", "HEAD"], cwd=gitml.repo).output.strip()
    branch = gitml.run(["git", "branch", "--show-current"], cwd=gitml.repo).output.strip()
    pointer = (gitml.repo / "datasets/a/1/asset.yaml").read_text()
    stream = [
        f"commit refs/heads/{branch}\ncommitter A <a@example.com> 1795233600 +0000\ndata 4\nmany\nfrom {head}\n"
    ]
    for number in range(versions):
        asset, version = f"many{number // _VERSIONS_EACH}", str(number % _VERSIONS_EACH + 1)
        text = pointer.replace("name: a\n", f"name: {asset}\n").replace(
            'version: "1"', f'version: "{version}"'
        )
        stream.append(
            f"M 100644 inline datasets/{asset}/{version}/asset.yaml\ndata {len(text.encode())}\n{text}\n"
        )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"],
        input="".join(stream).encode(),
        cwd=gitml.repo,
        env=gitml.env,
        check=True,
    )
    gitml.run(["git", "reset", "--quiet", "--hard"], ["git", "push", "--quiet"], cwd=gitml.repo)
    return gitml
