"""Rows on promotion: how long a request, and its check, take in a registry that has grown large."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from functools import partial

from tests.bench.bucket import Bucket
from tests.bench.context import Context
from tests.bench.measure import Case, Measured, Run, compare
from tests.bench.remote import on_server
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
    touched = int((gitml.repo / ".git" / "index").read_bytes() != before)
    # After the index was read: looking at the status may write it.
    touched += len(gitml.run(["git", "status", "--porcelain"], cwd=gitml.repo).output.splitlines())
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
    """A pushed registry whose stage has so many versions, and lacks models/m and the three datasets it is made from."""
    source = context.folder / "contents"
    source.mkdir()
    (source / "x.txt").write_text("seed")
    gitml.gitml("register", "datasets/seed", source)
    gitml.gitml("push")
    branch = _fill(gitml, versions)
    gitml.run(["git", "push", "--quiet", "origin", branch, f"{branch}:staging"], cwd=gitml.repo)
    for name in _INPUTS:
        (source / "x.txt").write_text(name)
        gitml.gitml("register", f"datasets/{name}", source)
    words = [word for name in _INPUTS for word in ("--input", f"datasets/{name}")]
    (source / "x.txt").write_text("m")
    gitml.gitml("register", "models/m", source, *words)
    gitml.gitml("push")
    return gitml


def _fill(gitml: Gitml, versions: int) -> str:
    """Commit so many versions that say what the seed says, and give the branch."""
    head = gitml.run(["git", "rev-parse", "HEAD"], cwd=gitml.repo).output.strip()
    branch = gitml.run(["git", "branch", "--show-current"], cwd=gitml.repo).output.strip()
    pointer = (gitml.repo / "datasets/seed/1/asset.yaml").read_text()
    stream = [
        f"commit refs/heads/{branch}\ncommitter A <a@example.com> 1795233600 +0000\ndata 4\nmany\nfrom {head}\n"
    ]
    for number in range(versions):
        asset, version = f"many{number // _VERSIONS_EACH}", str(number % _VERSIONS_EACH + 1)
        text = pointer.replace("name: seed\n", f"name: {asset}\n").replace(
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
    gitml.run(["git", "reset", "--quiet", "--hard"], cwd=gitml.repo)
    return branch


@on_server
def check(context: Context, bucket: Bucket) -> Outcome:
    """The check of that request, and of one of its inputs alone, bytes included, in a store on S3."""
    versions = context.sizes.versions
    counts: dict[tuple[int, str], int] = {}
    times: dict[str, Measured] = {}
    for size in (context.sizes.few_versions, versions):
        place = bucket.place(f"check-{size}")
        sized = replace(context, folder=context.folder / str(size))
        sized.folder.mkdir()
        gitml = grown(sized.gitml(place), sized, size)
        for ref in ("models/m", "datasets/a"):
            asked = json.loads(gitml.gitml("promote", ref, "-t", "staging", "--json").output)
            change = f"..{asked['request']['head']}"
            with place.metered() as (behind, proxy):
                gitml.reach(behind)
                found = json.loads(gitml.gitml("check", change, "-t", "staging", "--json").output)
                counts[size, ref] = len(proxy.log)
            if not found["passed"]:
                raise AssertionError(found)
            gitml.reach(place)
            if (size, ref) == (versions, "models/m"):
                command = partial(gitml.gitml, "check", change, "-t", "staging")
                times = compare({"gitml check": Case(command=command)}, context.sizes.remote_rounds)
    one, four = counts[versions, "datasets/a"], counts[versions, "models/m"]
    return Outcome(
        checks=[
            Check(
                what=f"`gitml check` with {versions:,} versions",
                limit=5,
                measured=times["gitml check"].median_s,
                unit="s",
            ),
            Check(
                what=f"more requests with {versions:,} versions than with {context.sizes.few_versions:,}",
                limit=0,
                measured=four - counts[context.sizes.few_versions, "models/m"],
                unit="requests",
            ),
            Check(
                what="requests for four versions, in requests for one",
                limit=4,
                measured=four / one,
            ),
        ],
        times=times,
        figures={
            "processor": f"{times['gitml check'].cpu_s:.2f} s",
            "requests": f"{four}, for one of the versions {one}",
        },
    )
