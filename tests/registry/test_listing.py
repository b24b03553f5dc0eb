from __future__ import annotations

from pathlib import Path

import pytest
from support.team import Member, alone, write

from gitml.errors import InvalidInput, NotFound, UsageError


@pytest.fixture
def stocked(tmp_path: Path) -> Member:
    return alone(tmp_path, stock)


def stock(member: Member, folder: Path) -> None:
    for number, accuracy in enumerate((0.91, 0.97, 0.95), start=1):
        member.registry.register(
            "models/digits",
            write(folder / "out", {"w.bin": f"{number}" * 100, "card.md": "same\n"}),
            metrics={"accuracy": accuracy},
            params={"epochs": number},
            labels={"team": "vision"},
        )
    member.registry.register("datasets/digits", write(folder / "data", {"train.csv": "1\n"}))


def refs(member: Member, *arguments: str, **options: object) -> list[str]:
    return [str(row.ref) for row in member.registry.list(*arguments, **options).versions]  # type: ignore[arg-type]


def test_newest_of_each_or_all_of_one(stocked: Member) -> None:
    assert refs(stocked) == ["datasets/digits@1", "models/digits@3"]
    assert refs(stocked, "model") == refs(stocked, "models") == ["models/digits@3"]
    assert refs(stocked, "models/digits") == ["models/digits@3", "models/digits@2", "models/digits@1"]
    listing = stocked.registry.list()
    assert (listing.assets, listing.total_versions) == (2, 4)
    with pytest.raises(NotFound):
        refs(stocked, "models/none")


def test_on_a_stage_what_it_runs(stocked: Member) -> None:
    stocked.git("branch", "staging")
    request = stocked.registry.promote("models/digits@1", target="staging").request
    assert request is not None
    stocked.registry.requests.merge(request.number)
    assert refs(stocked) == ["datasets/digits@1", "models/digits@3"]
    assert refs(stocked, rev="staging") == ["datasets/digits@1", "models/digits@1"]
    assert len(refs(stocked, "models/digits", rev="staging")) == 3
    stocked.git("switch", "--quiet", "staging")
    assert refs(stocked) == ["datasets/digits@1", "models/digits@1"]
    assert str(stocked.registry.show("models/digits").ref) == "models/digits@1"
    assert refs(stocked, rev="main") == ["datasets/digits@1", "models/digits@3"]
    write(stocked.folder, {"models/digits/staging.yaml": 'current: "9"\n'})
    stocked.git("commit", "--quiet", "--all", "-m", "what is not there")
    assert refs(stocked) == ["datasets/digits@1", "models/digits@3"]


def test_what_breaks_a_rule_is_named_and_the_rest_is_listed(stocked: Member) -> None:
    write(
        stocked.folder,
        {"models/digits/2/asset.yaml": "schema: nonsense\n", "models/other/1/asset.yaml": "- 1\n"},
    )
    write(stocked.folder, {"datasets/digits/about.yaml": "aliases: [1]\n"})
    stocked.git("add", "models", "datasets")
    stocked.git("commit", "-q", "-m", "Bad files")
    listing = stocked.registry.list()
    assert [str(row.ref) for row in listing.versions] == ["models/digits@3"]
    assert set(listing.failed) == {"datasets/digits", "models/other@1"}
    assert "datasets/digits/about.yaml" in listing.failed["datasets/digits"].message
    one = stocked.registry.list("models/digits")
    assert [str(row.ref) for row in one.versions] == ["models/digits@3", "models/digits@1"]
    assert "models/digits/2/asset.yaml" in one.failed["models/digits@2"].message
    assert stocked.registry.show("models/digits@3").ref.version.text == "3"
    with pytest.raises(InvalidInput):
        stocked.registry.show("models/digits@2")


def test_where_and_sort(stocked: Member) -> None:
    assert refs(stocked, "models/digits", where=["metrics.accuracy>=0.95"]) == [
        "models/digits@3",
        "models/digits@2",
    ]
    assert refs(stocked, "models/digits", where=["metrics.accuracy>=0.95", "params.epochs=2"]) == [
        "models/digits@2"
    ]
    assert refs(stocked, "models/digits", where=["labels.team=audio"]) == []
    assert refs(stocked, "models/digits", sort="-metrics.accuracy") == [
        f"models/digits@{n}" for n in (2, 3, 1)
    ]
    assert refs(stocked, "models/digits", sort="accuracy") == [f"models/digits@{n}" for n in (1, 3, 2)]
    with pytest.raises(UsageError):
        refs(stocked, "models/digits", sort="nonsense")
    with pytest.raises(UsageError):
        refs(stocked, "models/digits", where=["nonsense"])


def test_show_has_the_pointer_and_its_files(stocked: Member) -> None:
    shown = stocked.registry.show("models/digits@2", files=True)
    assert shown.asset["metrics"] == {"accuracy": 0.97} and shown.asset["version"] == "2"
    assert shown.text.startswith("schema: gitml/asset/v1\n")
    assert [(file.path, file.size_bytes) for file in shown.files or ()] == [("card.md", 5), ("w.bin", 100)]
    assert shown.asset["contents"]["review"] == ["card.md"]


def test_diff_counts_what_moves(stocked: Member) -> None:
    found = stocked.registry.diff("models/digits@1", "models/digits@2")
    fields = {change.field: (change.old, change.new) for change in found.fields}
    assert fields.pop("source.commit")[0] == stocked.git("rev-parse", "HEAD~4")
    assert fields == {"metrics.accuracy": (0.91, 0.97), "params.epochs": (1, 2)}
    assert [change.path for change in found.changed] == ["w.bin"] and found.moved_bytes == 100
    assert not found.added and not found.removed and not found.equal
    assert stocked.registry.diff("models/digits@2", "models/digits@2").equal


def test_lineage_runs_both_ways(stocked: Member, tmp_path: Path) -> None:
    stocked.registry.register(
        "endpoints/digits", write(tmp_path / "end", {"e.yaml": "a: 1\n"}), inputs=["model=models/digits@2"]
    )
    up = stocked.registry.lineage("endpoints/digits")
    assert [(str(one.ref), one.role) for one in up.related] == [("models/digits@2", "model")]
    down = stocked.registry.lineage("models/digits@2", direction="down")
    assert [str(one.ref) for one in down.related] == ["endpoints/digits@1"]
    with pytest.raises(UsageError):
        stocked.registry.lineage("models/digits@2", direction="sideways")


def test_one_file_is_read_through_the_store(stocked: Member) -> None:
    with stocked.registry.open("models/digits@2:w.bin") as file:
        file.seek(98)
        assert file.read() == b"22"
    with pytest.raises(NotFound):
        stocked.registry.open("models/digits@2:none")
    with pytest.raises(UsageError):
        stocked.registry.open("models/digits@2")
