"""Several stores in one registry: each type's bytes go to the store that takes it, and are found there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.cli import run
from support.team import git, read, write

from gitml.api import Registry, doctor, init
from gitml.errors import AccessDenied, InvalidInput, PolicyRefused, StoreUnavailable, UsageError
from gitml.model.config import Config

HEAD = "schema: gitml/config/v1\nregistry: 6c1d0b9e-0000-4000-8000-000000000001\ndefault_branch: main\n"


def configured(folder: Path, stores: str) -> None:
    """Replace the stores of a registry, and commit."""
    file = folder / "gitml.yaml"
    kept = file.read_text().partition("stores:\n")
    rest = "".join(line for line in kept[2].splitlines(keepends=True) if not line.startswith(" "))
    file.write_text(kept[0] + rest + f"stores:\n{stores}" if kept[1] else kept[0] + f"stores:\n{stores}")
    git(folder, "commit", "--quiet", "--all", "--message", "stores")


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A registry with a remote, whose datasets go to a store of their own."""
    git(tmp_path, "init", "--quiet", "--bare", str(tmp_path / "r.git"))
    folder = tmp_path / "ours"
    init(folder, remote=str(tmp_path / "r.git"))
    file = folder / "gitml.yaml"
    file.write_text(
        file.read_text()
        + "stores:\n  default: {url: ../main}\n  archive: {url: ../archive, types: [datasets, experiments]}\n"
    )
    git(folder, "commit", "--quiet", "--all", "--message", "stores")
    return folder


def roots(store: Path) -> set[str]:
    return {"/".join(path.parts[-3:]) for path in (store / "roots").rglob("*") if path.is_file()}


def test_each_type_has_its_place(ours: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"a.csv": "1\n", "b.csv": "2\n"})
    registry = Registry(ours)
    first = registry.register("datasets/x", str(data))
    model = registry.register("models/m", str(data), inputs=["datasets/x"])
    assert (first.store, model.store) == ("archive", "default")
    assert (roots(tmp_path / "archive"), roots(tmp_path / "main")) == ({"datasets/x/1"}, {"models/m/1"})
    assert registry.show("datasets/x").asset["contents"]["store"] == "archive"
    assert registry.register("datasets/x", str(data)).store == "archive"
    registry.push()
    git(tmp_path, "clone", "--quiet", str(tmp_path / "r.git"), str(tmp_path / "theirs"))
    theirs = Registry(tmp_path / "theirs")
    theirs.get("datasets/x", str(tmp_path / "out"))
    assert read(tmp_path / "out") == read(data)
    assert theirs.verify(all=True, deep=True).versions == 2
    assert [store.name for store in theirs.stores.list()] == ["archive", "default", "embedded"]
    request = registry.promote("models/m", target="staging").request
    assert request is not None
    assert registry.requests.merge(request.number).commit
    registry.stores.replicate("archive", "default")
    assert roots(tmp_path / "main") == {"models/m/1", "datasets/x/1"}


def test_offline_bytes_go_to_the_store_of_their_type(ours: Path, tmp_path: Path) -> None:
    registry = Registry(ours)
    data = str(write(tmp_path / "data", {"a.csv": "1\n"}))
    made = registry.register("datasets/x", data, offline=True)
    assert (made.store, registry.show("datasets/x").asset["contents"]["store"]) == ("embedded", "archive")
    assert registry.register("datasets/x", data, offline=True).store == "embedded"
    assert not (tmp_path / "archive").exists()
    registry.push()
    assert roots(tmp_path / "archive") == {"datasets/x/1"}
    assert not (tmp_path / "main").exists()


def test_what_is_registered_stays_where_it_is(ours: Path, tmp_path: Path) -> None:
    """The configuration says where the next version goes; pointers say where the others are."""
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    configured(ours, "  default: {url: ../main}\n  archive: {url: ../archive}\n")
    again = registry.register("datasets/x", str(tmp_path / "data"))
    assert (again.created, again.store) == (False, "archive")
    other = registry.register("datasets/x", str(write(tmp_path / "more", {"a": "2\n"})))
    assert (str(other.ref), other.store) == ("datasets/x@2", "default")
    assert registry.verify(all=True, deep=True).versions == 2
    configured(ours, "  default: {url: ../main}\n")
    with pytest.raises(Exception, match="archive"):
        registry.get("datasets/x@1", str(tmp_path / "out"))


def test_only_types_that_have_a_store_leave_the_clone(ours: Path, tmp_path: Path) -> None:
    configured(ours, "  archive: {url: ../archive, types: [datasets]}\n")
    registry = Registry(ours)
    data = str(write(tmp_path / "data", {"a": "1\n"}))
    assert registry.register("datasets/x", data).store == "archive"
    assert registry.register("models/m", data).store == "embedded"
    with pytest.raises(UsageError) as caught:
        registry.push()
    assert caught.value.context == {"ref": "models/m@1", "store": "default"}


def test_a_user_overrides_one_of_them(ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITML_STORE_ARCHIVE_URL", str(tmp_path / "mine"))
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    assert roots(tmp_path / "mine") == {"datasets/x/1"}
    origins = {store.name: store.origin for store in registry.stores.list()}
    assert origins == {"archive": "settings", "default": "repository", "embedded": "built in"}


def test_each_is_trusted_by_itself(ours: Path, tmp_path: Path) -> None:
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    configured(ours, "  default: {url: ../main}\n  archive: {url: ../elsewhere, types: [datasets]}\n")
    assert registry.register("models/m", str(tmp_path / "data")).store == "default"
    with pytest.raises(AccessDenied) as caught:
        registry.register("datasets/x", str(write(tmp_path / "more", {"a": "2\n"})))
    assert (caught.value.code, caught.value.hint) == (
        "store-not-trusted",
        "gitml store trust archive, if that is right",
    )


@pytest.mark.parametrize("what", ["away", "empty"])
def test_a_share_that_is_not_mounted_is_not_written_to(what: str, ours: Path, tmp_path: Path) -> None:
    """Bytes below a mount point without its share would be one machine's own, and hidden once it is mounted."""
    registry = Registry(ours)
    data = write(tmp_path / "data", {"a": "1\n"})
    registry.register("datasets/x", str(data))
    (tmp_path / "archive").rename(tmp_path / "unmounted")
    if what == "empty":
        (tmp_path / "archive").mkdir()
    write(tmp_path / "data", {"a": "2\n"})
    before = git(ours, "rev-parse", "HEAD")
    for attempt in (Registry(ours), registry):
        with pytest.raises(StoreUnavailable) as caught:
            attempt.register("datasets/x", str(data))
        assert (caught.value.code, caught.value.exit_code) == ("store-gone", 7)
        assert "gitml store trust archive" in (caught.value.hint or "")
    assert (git(ours, "rev-parse", "HEAD"), what == "empty") == (before, (tmp_path / "archive").exists())
    assert list(tmp_path.glob("archive/*")) == []
    with pytest.raises(StoreUnavailable) as missing:
        Registry(ours).get("datasets/x", tmp_path / "out")
    assert (missing.value.hint or "").startswith("mount ")
    said = {check.name: check for check in doctor(ours).checks}["store archive"]
    assert (said.health.value, said.error and said.error.code) == ("failed", "store-gone")
    assert Registry(ours).register("models/m", str(data)).store == "default"
    Registry(ours).register("datasets/x", str(data), offline=True)
    with pytest.raises(StoreUnavailable):
        Registry(ours).push()
    if what == "empty":
        (tmp_path / "archive").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "archive")
    Registry(ours).push()
    assert roots(tmp_path / "archive") == {"datasets/x/1", "datasets/x/2"}


def test_a_store_is_begun_anew_where_somebody_says_so(ours: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"a": "1\n"})
    Registry(ours).register("datasets/x", str(data))
    shutil.rmtree(tmp_path / "archive")
    write(tmp_path / "data", {"a": "2\n"})
    Registry(ours).stores.trust("archive", dry_run=True)
    with pytest.raises(StoreUnavailable):
        Registry(ours).register("datasets/x", str(data))
    Registry(ours).stores.trust("archive")
    Registry(ours).register("datasets/x", str(data))
    assert roots(tmp_path / "archive") == {"datasets/x/2"}


def test_the_list_says_what_takes_what_and_what_is_wrong(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    configured(
        ours,
        "  default: {url: 's3://team-ml/x', endpoint_url: 'https://s3.example.com'}\n"
        "  archive: {url: ../elsewhere, types: [datasets, experiments]}\n"
        "  far: {url: 'sftp://host/x', types: [models]}\n",
    )
    monkeypatch.setenv("GITML_STORE_BARE_URL", "s3://team-ml/y")
    monkeypatch.setenv("GITML_STORE_BARE_ENDPOINT_URL", "http://ada:Secret99@s3.example.com")
    stores = {store.name: store for store in Registry(ours).stores.list()}
    assert (stores["default"].endpoint, stores["default"].types) == ("https://s3.example.com", ())
    assert stores["archive"].types == ("datasets", "experiments")
    assert (stores["archive"].trusted, stores["archive"].moved_from) == (False, "../archive")
    assert (stores["far"].location, "gitml.yaml: stores.far.url" in (stores["far"].problem or "")) == (
        None,
        True,
    )
    assert "your settings: stores.bare.endpoint_url" in (stores["bare"].problem or "")
    assert stores["bare"].endpoint is None
    shown = run("-C", str(ours), "store", "list")
    assert "Secret99" not in shown.stdout + repr(stores)
    for words in (
        "s3://team-ml/x at https://s3.example.com", "all other types", "datasets, experiments", "moved",
        "gitml store trust archive", "not usable", "far: gitml.yaml: stores.far.url",
    ):  # fmt: skip
        assert words in shown.stdout


def test_care_finds_the_store_of_a_type(ours: Path, tmp_path: Path) -> None:
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    git(ours, "rm", "-rq", "datasets/x/1")
    git(ours, "commit", "-qm", "Drop it")
    assert registry.stores.purge("datasets/x@1", dry_run=True).store == "archive"
    assert registry.stores.forget("datasets/x@1").store == "archive"


def test_a_stage_that_does_not_name_the_store_refuses(ours: Path, tmp_path: Path) -> None:
    registry = Registry(ours)
    registry.register("datasets/x", str(write(tmp_path / "data", {"a": "1\n"})))
    registry.push()
    request = registry.promote("datasets/x", target="staging").request
    assert request is not None
    registry.requests.merge(request.number)
    configured(
        ours,
        "  default: {url: ../main}\n  archive: {url: ../archive}\n  cold: {url: ../cold, types: [datasets]}\n",
    )
    registry.register("datasets/x", str(write(tmp_path / "more", {"a": "2\n"})))
    registry.push()
    with pytest.raises(PolicyRefused) as caught:
        registry.promote("datasets/x", target="staging")
    assert "in the store 'cold'" in str(caught.value.context)


@pytest.mark.parametrize(
    ("stores", "why"),
    [
        ("{a: {url: x, types: [datasets]}, b: {url: y, types: [models, datasets]}}", "the store a takes already"),
        ("{a: {url: x, types: [datasets, datasets]}}", "the store a takes already"),
        ("{a: {url: x, types: [dataset]}}", "no asset type"), ("{a: {url: x, types: [Datasets]}}", "no asset type"),
        ("{a: {url: x, types: datasets}}", "must be a list"), ("{a: {url: x, types: [1]}}", "must be a text"),
        ("{a: {url: x, types: ['*']}}", "no asset type"), ("{a: {url: x, types: [reports]}}", "no asset type"),
        ("{embedded: {url: x}}", "every clone's own store"),
    ],
)  # fmt: skip
def test_rules(stores: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Config.parse(f"{HEAD}stores: {stores}\n".encode(), file="gitml.yaml")
    assert why in caught.value.message
    assert caught.value.exit_code == 3


def test_own_types_have_a_store_too() -> None:
    text = HEAD + "types: {reports: {}}\nstores: {a: {url: x, types: [reports]}, default: {url: y}}\n"
    config = Config.parse(text.encode(), file="gitml.yaml")
    assert (config.store_for("reports"), config.store_for("models")) == ("a", "default")
    named = Config.parse(f"{HEAD}stores: {{default: {{url: y, types: [models]}}}}\n".encode(), file="g")
    assert {named.store_for(type_) for type_ in ("models", "datasets")} == {"default"}
