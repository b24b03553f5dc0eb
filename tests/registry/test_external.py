"""Versions that refer to a folder: made, read, judged, refused where nobody trusted it, and copied in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.team import Member, Team, git, read, write

from gitml.api import Registry
from gitml.errors import (
    AccessDenied,
    Conflict,
    GitMLError,
    IntegrityError,
    InvalidInput,
    NotFound,
    UsageError,
)
from gitml.model.strict_yaml import load

FILES: dict[str, str | bytes] = {
    "a.csv": "1,2\n",
    "deep/er/b%20#?.bin": bytes(range(256)) * 40_000,
    "empty": b"",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data", FILES)


@pytest.fixture
def referring(team: Team, data: Path) -> Registry:
    team.ada.registry.register("datasets/raw", data, reference=True, labels={"licence": "MIT"}, message="Raw")
    return team.ada.registry


def pointer(member: Member, folder: str = "datasets/raw/1") -> dict:
    value = load((member.folder / folder / "asset.yaml").read_bytes(), file="asset.yaml").value
    assert isinstance(value, dict)
    return value


def test_the_bytes_stay_where_they_are(team: Team, data: Path) -> None:
    registry = team.ada.registry
    plan = registry.register("datasets/raw", data, reference=True, dry_run=True).plan
    assert plan is not None and plan.external is not None
    assert (plan.external.files, plan.external.size_bytes) == (3, 10_240_004)
    assert not (team.ada.folder / "datasets").exists()
    made = registry.register("datasets/raw", data, reference=True)
    assert made.created and made.external == plan.external
    assert made.stored_bytes < 5_000
    contents = pointer(team.ada)["contents"]
    assert (contents["kind"], contents["files"]) == ("references", 1)
    assert contents["external"] == {"files": 3, "size": 10_240_004, "from": [f"file://{data}"]}
    again = registry.register("datasets/raw", data, reference=True)
    assert (again.created, str(again.ref)) == (False, "datasets/raw@1")


def test_it_reads_as_any_other(referring: Registry, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "out"
    first = referring.get("datasets/raw@1", place)
    assert (first.written, first.written_bytes) == (3, 10_240_004)
    assert read(place) == read(data)
    second = referring.get("datasets/raw@1", place)
    assert (second.written, second.kept) == (0, 3)
    referring.get("datasets/raw@1", tmp_path / "part", include=["deep/**"])
    assert list(read(tmp_path / "part")) == ["deep/er/b%20#?.bin"]
    with referring.open("datasets/raw@1:deep/er/b%20#?.bin") as stream:
        stream.seek(255)
        assert stream.read(3) == b"\xff\x00\x01"
    shown = referring.show("datasets/raw@1", files=True).files
    assert shown is not None
    assert [(one.path, one.size_bytes) for one in shown] == [
        ("a.csv", 4), ("deep/er/b%20#?.bin", 10_240_000), ("empty", 0)
    ]  # fmt: skip
    assert shown[0].url == f"file://{data}/a.csv" and shown[0].digest is not None
    (row,) = referring.list("datasets").versions
    assert row.external is not None and row.external.files == 3
    checked = referring.verify(deep=True)
    assert (checked.versions, checked.sources) == (1, 3)
    with pytest.raises(NotFound):
        referring.open("datasets/raw@1:nothing")


@pytest.mark.parametrize("deep", [False, True])
def test_verify_says_what_helps_against_a_changed_source(deep: bool, referring: Registry, data: Path) -> None:
    (data / "a.csv").write_text("other")
    with pytest.raises(IntegrityError) as caught:
        referring.verify(deep=deep)
    hint = caught.value.hint or ""
    assert "put the registered bytes back there, or register what is there as a new version" in hint
    assert "store repair" not in hint, "the store has no copy of what lies elsewhere"
    referring.register("datasets/raw", data, reference=True)
    assert referring.verify("datasets/raw@2", deep=deep).versions == 1


def test_pulled_on_another_machine_after_trust(
    team: Team, referring: Registry, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    referring.push()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state of another machine"))
    grace = team.clone("grace")
    with pytest.raises(AccessDenied) as caught:
        grace.registry.pull()
    assert caught.value.code == "source-not-trusted"
    assert f"gitml store trust 'file://{data}'" in (caught.value.hint or "")
    assert not (grace.folder / "datasets/raw/1/a.csv").exists()
    trusted = grace.registry.stores.trust(f"file://{data}")
    assert (trusted.name, trusted.before) == (f"file://{data}", None)
    grace.registry.pull()
    assert (grace.folder / "datasets/raw/1/a.csv").read_text() == "1,2\n"
    assert git(grace.folder, "status", "--porcelain") == ""


def change_size(data: Path) -> None:
    (data / "a.csv").write_text("1,2,3\n")


def change_bytes(data: Path) -> None:
    """Same size, same time: only the digest tells."""
    before = (data / "a.csv").stat()
    (data / "a.csv").write_text("1,3\n")
    os.utime(data / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))


def delete(data: Path) -> None:
    (data / "a.csv").unlink()


def truncate(data: Path) -> None:
    (data / "a.csv").write_text("")


def link_file(data: Path) -> None:
    (data / "a.csv").rename(data.parent / "moved")
    (data / "a.csv").symlink_to(data.parent / "moved")


def become_a_folder(data: Path) -> None:
    (data / "a.csv").unlink()
    (data / "a.csv").mkdir()


def become_a_fifo(data: Path) -> None:
    (data / "a.csv").unlink()
    os.mkfifo(data / "a.csv")


def remove_all(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


@pytest.mark.parametrize(
    "how",
    [change_size, change_bytes, delete, truncate, link_file, become_a_folder, become_a_fifo, remove_all],
)
def test_a_source_that_is_not_what_it_was(
    team: Team, referring: Registry, data: Path, tmp_path: Path, how: Callable[[Path], None]
) -> None:
    assert referring.status().sources == ()
    how(data)
    (found, *_) = referring.status().sources
    assert (found.path, str(found.ref)) == ("a.csv", "datasets/raw@1")
    assert not referring.status().clean
    for attempt in (
        lambda: referring.get("datasets/raw@1", tmp_path / "out"),
        lambda: referring.open("datasets/raw@1:a.csv"),
        lambda: referring.verify(),
        lambda: referring.verify(deep=True),
        lambda: referring.stores.adopt("datasets/raw@1"),
    ):
        with pytest.raises(IntegrityError) as caught:
            attempt()
        assert "a.csv" in caught.value.message
    assert not (tmp_path / "out/a.csv").exists()
    assert [str(row.ref) for row in referring.list("datasets/raw").versions] == ["datasets/raw@1"]
    assert "datasets/raw/2" not in team.ada.git("ls-tree", "-r", "--name-only", "HEAD")


def test_a_linked_folder_inside_is_not_followed(referring: Registry, data: Path, tmp_path: Path) -> None:
    """Whoever may write to the folder does not thereby reach what lies outside of it."""
    (data / "deep").rename(tmp_path / "outside")
    (data / "deep").symlink_to(tmp_path / "outside")
    with pytest.raises(IntegrityError) as caught:
        referring.open("datasets/raw@1:deep/er/b%20#?.bin")
    assert caught.value.code == "source-missing"


def test_a_single_file(team: Team, data: Path) -> None:
    registry = team.ada.registry
    registry.register("datasets/one", data / "a.csv", reference=True)
    with registry.open("datasets/one@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"
    assert pointer(team.ada, "datasets/one/1")["contents"]["external"]["from"] == [f"file://{data}/a.csv"]


def test_adopted_bytes_are_a_version_of_their_own(
    team: Team, referring: Registry, data: Path, tmp_path: Path
) -> None:
    planned = referring.stores.adopt("datasets/raw@1", dry_run=True).plan
    assert planned is not None
    assert (str(planned.ref), planned.files, planned.size_bytes) == ("datasets/raw@2", 3, 10_240_004)
    made = referring.stores.adopt("datasets/raw")
    assert (str(made.ref), made.files, made.created, made.external) == ("datasets/raw@2", 3, True, None)
    value = pointer(team.ada, "datasets/raw/2")
    assert "kind" not in value["contents"]
    assert value["labels"] == {"licence": "MIT"} and value["description"] == "Raw"
    old = pointer(team.ada)
    assert value["inputs"] == [
        {"ref": "datasets/raw@1", "digest": old["contents"]["digest"], "role": "reference"}
    ]
    assert referring.diff("datasets/raw@1", "datasets/raw@2").changed == ()
    remove_all(data)
    referring.get("datasets/raw@2", tmp_path / "out")
    assert read(tmp_path / "out") == read(tmp_path / "elsewhere")
    with pytest.raises(UsageError) as caught:
        referring.stores.adopt("datasets/raw@2")
    assert caught.value.code == "no-reference"


def test_adopting_again_changes_nothing(referring: Registry) -> None:
    assert referring.stores.adopt("datasets/raw@1").created
    again = referring.stores.adopt("datasets/raw@1")
    assert (again.created, str(again.ref)) == (False, "datasets/raw@2")


def test_what_is_referred_to_is_not_what_is_registered(
    team: Team, referring: Registry, tmp_path: Path
) -> None:
    """A file that looks like a list of references is a file."""
    with team.ada.registry.open("datasets/raw@1:a.csv"):
        pass
    listing = tmp_path / "references.jsonl"
    store = Registry(team.ada.folder)
    from gitml.registry.workspace import Workspace

    ws = Workspace.open(team.ada.folder)
    found, root = ws.stores(ws.config).locate(ws.head().pointer(referring.show("datasets/raw@1").ref))
    with found.tree(root).open("references.jsonl") as stream:
        listing.write_bytes(stream.read() or b"")
    made = store.register("datasets/raw", listing)
    assert (made.created, str(made.ref)) == (True, "datasets/raw@2")
    assert store.show("datasets/raw@2", files=True).files[0].path == "references.jsonl"  # type: ignore[index]


def test_differences_between_references(referring: Registry, data: Path) -> None:
    (data / "a.csv").write_text("1,2,3\n")
    (data / "new").write_text("new")
    (data / "empty").unlink()
    referring.register("datasets/raw", data, reference=True)
    found = referring.diff("datasets/raw@1", "datasets/raw@2")
    assert [[one.path for one in side] for side in (found.added, found.removed, found.changed)] == [
        ["new"], ["empty"], ["a.csv"],
    ]  # fmt: skip
    assert found.moved_bytes == 9


def hostile(team: Team, old: str, new: str) -> None:
    """Somebody else rewrites what the pointer says."""
    file = team.ada.folder / "datasets/raw/1/asset.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    team.ada.git("commit", "--quiet", "--all", "--message", "x")


def test_a_pointer_cannot_lead_elsewhere(team: Team, referring: Registry, data: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret", {"a.csv": "1,2\n"})
    for place in (f"file://{secret}", f"file://{data}2", "file:///etc", "https://10.0.0.1/x", "s3://private"):
        hostile(team, f"file://{data}", place)
        for attempt in (
            lambda: referring.get("datasets/raw@1", tmp_path / "out"),
            lambda: referring.open("datasets/raw@1:a.csv"),
            lambda: referring.verify(deep=True),
            lambda: referring.stores.adopt("datasets/raw@1"),
        ):
            with pytest.raises(AccessDenied) as caught:
                attempt()
            assert caught.value.code == "source-not-trusted"
        hostile(team, place, f"file://{data}")
    # the list itself is bound by its digest, and lies outside of what the pointer names then
    hostile(team, f"file://{data}", f"file://{secret}")
    referring.stores.trust(f"file://{secret}")
    with pytest.raises(IntegrityError) as differs:
        referring.get("datasets/raw@1", tmp_path / "out")
    assert differs.value.code == "references-differ"


@pytest.mark.parametrize(("old", "new"), [("files: 3", "files: 2"), ("size: 10240004", "size: 1")])
def test_totals_that_lie(team: Team, referring: Registry, tmp_path: Path, old: str, new: str) -> None:
    hostile(team, old, new)
    with pytest.raises(IntegrityError) as caught:
        referring.get("datasets/raw@1", tmp_path / "out")
    assert caught.value.code == "references-differ"


def test_words_that_do_not_go_together(team: Team, data: Path) -> None:
    registry = team.ada.registry
    attempts: list[tuple[Callable[[], object], type[GitMLError]]] = [
        (lambda: registry.register("datasets/x", "s3://team-ml/x"), UsageError),
        (lambda: registry.register("datasets/x", data, hash=True), UsageError),
        (lambda: registry.register("datasets/x", data, reference=True, follow_links=True), UsageError),
        (lambda: registry.register("datasets/x", data / "nothing", reference=True), NotFound),
        (lambda: registry.register("datasets/x", "memory://x", reference=True), InvalidInput),
        (lambda: registry.register("datasets/x", "https://h.example/x?sig=1", reference=True), InvalidInput),
        (lambda: registry.register("datasets/x", "file:///a%2fb", reference=True), InvalidInput),
        (lambda: registry.register("datasets/x", data, data / "a.csv", reference=True), InvalidInput),
        (lambda: registry.stores.trust("memory://x"), InvalidInput),
    ]
    for attempt, expected in attempts:
        with pytest.raises(expected):
            attempt()
    assert not (team.ada.folder / "datasets").exists()


def test_links_and_devices_in_a_folder_are_refused(team: Team, data: Path) -> None:
    (data / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="symbolic link"):
        team.ada.registry.register("datasets/x", data, reference=True)


def test_a_version_is_write_once(referring: Registry, data: Path) -> None:
    (data / "a.csv").write_text("other")
    with pytest.raises(Conflict):
        referring.register("datasets/raw", data, reference=True, version="1")


def test_promotion_needs_the_list_alone(referring: Registry, data: Path) -> None:
    referring.push()
    remove_all(data)
    referring.promote("datasets/raw@1", target="staging")
    assert referring.requests.merge(1) is not None


def test_offline_and_pushed(alone: Member, data: Path) -> None:
    made = alone.registry.register("datasets/raw", data, reference=True, offline=True)
    assert made.store == "embedded"
    with alone.registry.open("datasets/raw@1:a.csv") as stream:
        assert stream.read() == b"1,2\n"


def test_a_purge_says_that_the_data_stays(referring: Registry, data: Path) -> None:
    planned = referring.stores.purge("datasets/raw@1", dry_run=True)
    assert planned.out_of_reach[0] == f"the data itself, which stays in file://{data}"
    referring.stores.purge("datasets/raw@1")
    assert (data / "a.csv").exists()
