from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.team import Member, Team, alone, read, write

from gitml.errors import Conflict, NotFound, UsageError

FILES = {
    "README.md": "# Digits\n",
    "a/one.bin": b"\0" * 70_000,
    "a/two.bin": b"2",
    "b.txt": "b\n",
    "empty": "",
}


@pytest.fixture
def stocked(tmp_path: Path) -> Member:
    return alone(tmp_path, stock)


def stock(member: Member, folder: Path) -> None:
    member.registry.register("models/digits", write(folder / "out", FILES))


def test_contents_come_back_byte_for_byte(stocked: Member, tmp_path: Path) -> None:
    done = stocked.registry.get("models/digits", tmp_path / "got")
    assert done.written == len(FILES) and read(tmp_path / "got") == read(tmp_path / "out")
    again = stocked.registry.get("models/digits", tmp_path / "got")
    assert (again.written, again.kept, again.written_bytes) == (0, len(FILES), 0)


def test_in_the_work_tree_git_sees_nothing(stocked: Member) -> None:
    done = stocked.registry.get("models/digits")
    assert done.destination == stocked.folder / "models/digits/1" and done.kept == 1
    assert stocked.git("status", "--porcelain") == ""
    assert (done.destination / "a/two.bin").read_bytes() == b"2"
    stocked.registry.get("models/digits")
    lines = (stocked.folder / ".git/info/exclude").read_text().splitlines()
    assert sum("models/digits/1" in line for line in lines) == 1


def test_another_version_over_it_writes_only_what_differs(stocked: Member, tmp_path: Path) -> None:
    stocked.registry.get("models/digits@1", tmp_path / "got")
    write(tmp_path / "out", {"b.txt": "changed\n", "new.txt": "new\n"})
    (tmp_path / "out/a/two.bin").unlink()
    stocked.registry.register("models/digits", tmp_path / "out")
    kept = os.stat(tmp_path / "got/a/one.bin").st_ino
    done = stocked.registry.get("models/digits@2", tmp_path / "got")
    assert (done.written, done.removed, done.kept) == (2, 1, 3)
    assert read(tmp_path / "got") == read(tmp_path / "out")
    assert os.stat(tmp_path / "got/a/one.bin").st_ino == kept


def test_what_a_person_changed_or_put_there_is_in_the_way(stocked: Member, tmp_path: Path) -> None:
    write(tmp_path / "got", {"b.txt": "mine\n", "note.txt": "mine\n"})
    with pytest.raises(Conflict) as caught:
        stocked.registry.get("models/digits", tmp_path / "got")
    assert [entry["path"] for entry in caught.value.context["blocked"]] == ["b.txt"]
    assert read(tmp_path / "got") == {"b.txt": b"mine\n", "note.txt": b"mine\n"}
    stocked.registry.get("models/digits", tmp_path / "got", force=True)
    assert read(tmp_path / "got") == read(tmp_path / "out") | {"note.txt": b"mine\n"}


def test_a_selection_and_a_single_file(stocked: Member, tmp_path: Path) -> None:
    assert stocked.registry.get("models/digits", tmp_path / "some", include=["a/*"]).written == 2
    assert stocked.registry.get("models/digits", tmp_path / "rest", exclude=["a/**", "*.md"]).written == 2
    assert stocked.registry.get("models/digits:a/two.bin", tmp_path / "one").written == 1
    assert sorted(read(tmp_path / "one")) == ["a/two.bin"]
    with pytest.raises(NotFound):
        stocked.registry.get("models/digits:none", tmp_path / "none")


def test_the_top_of_the_repository_is_refused(stocked: Member) -> None:
    with pytest.raises((UsageError, Conflict)):
        stocked.registry.get("models/digits", stocked.folder)
    assert not (stocked.folder / "b.txt").exists()


def test_a_dry_run_writes_nothing(stocked: Member, tmp_path: Path) -> None:
    done = stocked.registry.get("models/digits", tmp_path / "got", dry_run=True)
    assert done.plan is not None and done.plan.write == len(FILES) and not (tmp_path / "got").exists()


def test_status_sees_each_kind_of_change(stocked: Member) -> None:
    assert stocked.registry.status().clean
    place = stocked.registry.get("models/digits").destination
    assert stocked.registry.status().clean
    write(place, {"b.txt": "mine\n", "new.txt": "x\n"})
    (place / "empty").unlink()
    state = stocked.registry.status("models/digits@1")
    assert not state.clean
    (placed,) = state.placed
    assert (placed.modified, placed.missing) == (("b.txt",), ("empty",))
    assert "new.txt" in placed.untracked


def test_a_deleted_memory_is_rebuilt(stocked: Member, tmp_path: Path) -> None:
    stocked.registry.get("models/digits", tmp_path / "got")
    shutil.rmtree(stocked.folder / ".git/gitml/placed")
    again = stocked.registry.get("models/digits", tmp_path / "got")
    assert (again.written, again.kept) == (0, len(FILES))


def test_a_bare_repository_places_elsewhere(team: Team, tmp_path: Path) -> None:
    from gitml.api import Registry

    team.ada.registry.register("models/digits", write(tmp_path / "out", FILES))
    team.ada.registry.push()
    bare = Registry(team.remote)
    assert bare.get("models/digits", tmp_path / "got").written == len(FILES)
    with pytest.raises(UsageError):
        bare.get("models/digits")
    with pytest.raises(UsageError):
        bare.pull()


def test_status_enters_no_room_that_writes(stocked: Member) -> None:
    stocked.registry.get("models/digits")
    code = (
        "import sys; from gitml import Registry; print(Registry(sys.argv[1]).status().clean)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('gitml.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(stocked.folder)], capture_output=True, text=True, check=True
    )
    clean, names = done.stdout.splitlines()
    loaded = set(names.split())
    assert clean == "True" and "gitml.store.place.scanning" in loaded
    assert not loaded & {
        "gitml.store.store", "gitml.store.place.placing", "gitml.registry.external.contents", "gitml.model.pointer",
        "gitml.git.checkout", "gitml.git.journal",
    }  # fmt: skip
