from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.team import Member, Team, write

from gitml.errors import Conflict, InvalidInput, NotFound, PolicyRefused, UsageError

FILES = {"b.bin": bytes(range(256)) * 400, "a/x.txt": "x\n", "a.txt": "y\n", "README.md": "# Digits\n"}


def test_the_pointer_is_committed_alone_and_the_tree_digest_is_what_sha256sum_says(
    alone: Member, tmp_path: Path
) -> None:
    folder = write(tmp_path / "out", FILES)
    write(alone.folder, {"mine.txt": "staged\n", "other.txt": "not\n"})
    alone.git("add", "mine.txt")
    done = alone.registry.register("models/digits", folder, message="CNN", metrics={"accuracy": 0.98})
    assert str(done.ref) == "models/digits@1" and done.created and done.files == 4
    assert alone.git("show", "--name-only", "--format=%s", done.commit or "").split("\n\n") == [
        "Register models/digits@1",
        "models/digits/1/README.md\nmodels/digits/1/asset.yaml",
    ]
    pipeline = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0r sha256sum -- | sha256sum"
    printed = subprocess.run(
        pipeline, shell=True, cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert done.digest == f"sha256:{printed.split()[0]}"
    assert alone.git("status", "--porcelain").splitlines() == ["A  mine.txt", "?? other.txt"]
    assert (alone.folder / "models/digits/1/README.md").read_text() == "# Digits\n"


def test_equal_contents_and_fields_change_nothing(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    first = alone.registry.register("models/digits", folder, metrics={"accuracy": 0.98})
    again = alone.registry.register("models/digits", folder, metrics={"accuracy": 0.98})
    unsaid = alone.registry.register("models/digits", folder)
    assert not again.created and not unsaid.created and again.ref == unsaid.ref == first.ref
    assert alone.git("rev-parse", "HEAD") == first.commit


def test_other_fields_or_contents_are_the_next_version(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    alone.registry.register("models/digits", folder, metrics={"accuracy": 0.98})
    second = alone.registry.register("models/digits", folder, metrics={"accuracy": 0.99})
    write(folder, {"a.txt": "changed\n"})
    third = alone.registry.register("models/digits", folder)
    assert [str(second.ref), str(third.ref)] == ["models/digits@2", "models/digits@3"]
    assert second.new_bytes == 0 and third.new_bytes == len("changed\n")


def test_a_version_is_write_once(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    alone.registry.register("models/digits", folder, version="1.0.0")
    assert not alone.registry.register("models/digits", folder, version="1.0.0").created
    write(folder, {"a.txt": "changed\n"})
    with pytest.raises(Conflict, match="write-once"):
        alone.registry.register("models/digits", folder, version="1.0.0")
    with pytest.raises(UsageError):
        alone.registry.register("models/digits", folder)
    assert str(alone.registry.register("models/digits", folder, bump="minor").ref) == "models/digits@1.1.0"


@pytest.mark.parametrize(("first", "second"), [("3", "03"), ("1.0-RC", "1.0-rc")])
def test_versions_that_would_be_confused_are_a_conflict(
    alone: Member, tmp_path: Path, first: str, second: str
) -> None:
    alone.registry.register("models/digits", write(tmp_path / "out", FILES), version=first)
    with pytest.raises(Conflict):
        alone.registry.register("models/digits", write(tmp_path / "out", {"n": "n"}), version=second)


@pytest.mark.parametrize("version", ["latest", "production"])
def test_a_version_cannot_have_the_name_of_a_stage(alone: Member, tmp_path: Path, version: str) -> None:
    with pytest.raises((Conflict, InvalidInput)):
        alone.registry.register("models/digits", write(tmp_path / "out", FILES), version=version)


def test_numbers_run_above_all_branches(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    alone.registry.register("models/digits", folder, branch="working/a")
    assert alone.git("branch", "--show-current") == "main"
    assert not (alone.folder / "models").exists()
    write(folder, {"a.txt": "changed\n"})
    assert str(alone.registry.register("models/digits", folder).ref) == "models/digits@2"


def test_an_interrupted_register_takes_its_number_up_again(team: Team, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    first = team.ada.registry.register("models/digits", folder)
    team.ada.git("reset", "--hard", "--quiet", "HEAD~1")
    assert team.ada.registry.register("models/digits", folder).ref == first.ref
    team.ada.git("reset", "--hard", "--quiet", "HEAD~1")
    write(folder, {"a.txt": "other\n"})
    assert str(team.ada.registry.register("models/digits", folder).ref) == "models/digits@2"


def test_two_clones_that_share_a_store_take_different_numbers(team: Team, tmp_path: Path) -> None:
    grace = team.clone("grace")
    one = team.ada.registry.register("models/digits", write(tmp_path / "one", {"a": "1"}))
    two = grace.registry.register("models/digits", write(tmp_path / "two", {"a": "2"}))
    assert [str(one.ref), str(two.ref)] == ["models/digits@1", "models/digits@2"]


def test_racing_writers_in_one_clone_lose_nothing(alone: Member, tmp_path: Path) -> None:
    folders = [write(tmp_path / f"out{n}", {"a": f"{n}"}) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda folder: alone.registry.register("models/digits", folder), folders))
    assert sorted(str(one.ref) for one in done) == [f"models/digits@{n}" for n in range(1, 7)]
    assert len(alone.registry.list("models/digits").versions) == 6
    assert alone.registry.verify(deep=True).versions == 6


def test_a_stage_is_no_place_to_register(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    with pytest.raises(PolicyRefused):
        alone.registry.register("models/digits", folder, branch="production")
    alone.git("switch", "--quiet", "--create", "staging")
    with pytest.raises(PolicyRefused):
        alone.registry.register("models/digits", folder)


def test_a_detached_head_needs_a_branch(alone: Member, tmp_path: Path) -> None:
    folder = write(tmp_path / "out", FILES)
    alone.git("switch", "--quiet", "--detach")
    with pytest.raises(UsageError) as caught:
        alone.registry.register("models/digits", folder)
    assert caught.value.hint == "--branch NAME"
    assert alone.registry.register("models/digits", folder, branch="working/x").branch == "working/x"


def test_inputs_are_pinned_by_digest(alone: Member, tmp_path: Path) -> None:
    data = alone.registry.register("datasets/digits", write(tmp_path / "data", {"train.csv": "1,2\n"}))
    alone.registry.register(
        "models/digits", write(tmp_path / "out", FILES), inputs=["training=datasets/digits"]
    )
    shown = alone.registry.show("models/digits")
    assert shown.asset["inputs"] == [{"ref": "datasets/digits@1", "digest": data.digest, "role": "training"}]
    with pytest.raises(NotFound):
        alone.registry.register("models/other", write(tmp_path / "out", FILES), inputs=["datasets/none@1"])


def test_source_says_where_the_code_was(team: Team, tmp_path: Path) -> None:
    write(team.ada.folder, {"train.py": "print()\n"})
    team.ada.git("add", "train.py")
    done = team.ada.registry.register(
        "models/digits", write(tmp_path / "out", FILES), source="train.py", command="python train.py"
    )
    source = team.ada.registry.show("models/digits").asset["source"]
    assert source["path"] == "train.py" and source["command"] == "python train.py" and source["dirty"] is True
    assert source["repo"] == team.remote.as_uri()
    assert any("uncommitted" in warning for warning in done.warnings)


@pytest.mark.parametrize(
    ("asset", "error"),
    [
        ("models/../x", InvalidInput),
        ("models/Digits", InvalidInput),
        ("models/con", InvalidInput),
        ("-x/digits", (InvalidInput, UsageError)),
        ("digits", (InvalidInput, UsageError)),
        ("nonsense/digits", (InvalidInput, UsageError)),
        ("models/a\n", InvalidInput),
        ("models/a@1", (InvalidInput, UsageError)),
    ],
)
def test_bad_names_are_refused(alone: Member, tmp_path: Path, asset: str, error: type[Exception]) -> None:
    before = alone.git("rev-parse", "HEAD")
    with pytest.raises(error):
        alone.registry.register(asset, write(tmp_path / "out", FILES))
    assert alone.git("rev-parse", "HEAD") == before


def test_a_dry_run_reads_and_writes_nothing(alone: Member, tmp_path: Path) -> None:
    before = alone.git("rev-parse", "HEAD")
    done = alone.registry.register("models/digits", write(tmp_path / "out", FILES), dry_run=True)
    assert done.plan is not None and str(done.plan.ref) == "models/digits@1" and done.plan.files == 4
    assert alone.git("rev-parse", "HEAD") == before
    assert not list((alone.folder / ".git/gitml").rglob("*.yaml")) and not (alone.folder / "models").exists()


def test_a_shared_store_that_is_gone_commits_nothing(team: Team, tmp_path: Path) -> None:
    write(tmp_path, {"team/store": "a file where the store should be"})
    before = team.ada.git("rev-parse", "HEAD")
    with pytest.raises(Exception, match="store"):
        team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    assert team.ada.git("rev-parse", "HEAD") == before
