"""What is shared: a store, a cache, equal bytes. Nobody changes another's by his own, and a digest is no key."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from support.remote import place
from support.team import Member, Team, git, read, write

from gitml.api import Registry, init
from gitml.errors import IntegrityError, NotFound

CONTENTS: dict[str, str | bytes] = {"weights": bytes(range(256)) * 500, "small": "1,2\n"}


def edit(file: Path, how: str) -> None:
    """Change a file where it stands, in the ways of people and programs."""
    if how == "rights":
        file.chmod(0o666)
    if how == "map":
        with file.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
            mapped[0:1] = b"\xff"
        return
    with file.open("r+b") as stream:
        stream.write(b"\xff")


@pytest.mark.parametrize("how", ["open", "map", "rights"])
@pytest.mark.parametrize("kind", ["folder", "moto"])
def test_an_edit_of_placed_files_stays_there(
    how: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    if kind == "moto":
        there = place("moto", monkeypatch)
        monkeypatch.setenv("GITML_STORE_DEFAULT_ENDPOINT_URL", there.endpoint_url)
        store = there.url
    init(tmp_path / "ours", store=store)
    registry = Registry(tmp_path / "ours")
    registry.register("models/m", write(tmp_path / "out", CONTENTS))
    first, second = tmp_path / "first", tmp_path / "second"
    registry.get("models/m", first)
    for file in first.iterdir():
        assert file.stat().st_nlink == 1 and not file.is_symlink()
        edit(file, how)
    registry.get("models/m", second)  # with moto from the cache
    assert read(second) == read(tmp_path / "out") != read(first)
    assert registry.verify(deep=True).versions == 1
    (state,) = [one for one in registry.status().placed if one.destination == first]
    assert state.modified == ("small", "weights")


def planted(there: Member, text: str) -> None:
    """A pointer of another registry, committed by hand."""
    write(there.folder, {"models/m/1/asset.yaml": text})
    there.git("add", "--force", "models")
    there.git("commit", "--quiet", "--message", "Not ours")


@pytest.mark.parametrize("store", ["of their own", "the same"])
def test_a_digest_alone_gives_no_bytes(tmp_path: Path, store: str) -> None:
    """Who knows what another registry's pointer says gets nothing by it."""
    team = Team(tmp_path / "team")
    ada = team.ada
    ada.registry.register("models/m", write(tmp_path / "out", CONTENTS))
    pointer = (ada.folder / "models/m/1/asset.yaml").read_text()
    theirs = tmp_path / "theirs"
    init(theirs, store=str(team.store if store == "the same" else tmp_path / "store"))
    git(tmp_path, "init", "--quiet", "--bare", str(tmp_path / "r.git"))
    eve = Member(theirs)
    eve.registry.register("models/own", write(tmp_path / "own", {"a": "a"}))
    eve.git("remote", "add", "origin", str(tmp_path / "r.git"))
    planted(eve, pointer)
    for verb in (
        lambda: eve.registry.get("models/m", tmp_path / "got"),
        lambda: eve.registry.open("models/m:small").read(),
    ):
        with pytest.raises(NotFound) as caught:
            verb()
        assert caught.value.code == "bytes-not-here"
    with pytest.raises(IntegrityError):
        eve.registry.verify()
    assert not (tmp_path / "got").exists() or read(tmp_path / "got") == {}
    eve.registry.push()
    assert [str(ref) for ref in eve.registry.status(remote=True).missing] == ["models/m@1"]


def test_packs_mix_files(tmp_path: Path) -> None:
    """A file's chunks are no object of their own, whose size would tell what it is; a footer's reader can tell."""
    init(tmp_path / "ours", store=str(tmp_path / "store"))
    files: dict[str, str | bytes] = {
        f"{number:03}": bytes([number]) * (900 + number) for number in range(200)
    }
    Registry(tmp_path / "ours").register("datasets/d", write(tmp_path / "data", files))
    assert len(list((tmp_path / "store").glob("packs/*/*"))) == 1
    assert "tell known files by the sizes of their chunks" in " ".join(
        (Path(__file__).parents[2] / "docs/stores.md").read_text().split()
    )
