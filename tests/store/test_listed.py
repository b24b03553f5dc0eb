"""Long lists of references: sorted on the way in, looked up on the way out, and never in memory as a whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitml.errors import IntegrityError, InvalidInput
from gitml.model.references import Reference, parse_references
from gitml.model.source_url import SourceUrl
from gitml.store.external import listed
from gitml.store.external.listed import LinesSource, ReferenceList, SortedReferences
from gitml.store.external.referenced import ReferencedTree

ROW = Reference(path="a", url=SourceUrl.parse("s3://team-ml/raw/a"), size_bytes=3, etag="0123abcd")


def rows(*paths: str) -> list[Reference]:
    return [replace(ROW, path=path, size_bytes=number) for number, path in enumerate(paths)]


def sorted_lines(references: list[Reference]) -> list[bytes]:
    found = SortedReferences()
    for one in references:
        found.add(one)
    return list(found.lines())


@pytest.mark.parametrize("run", [1, 2, 7, 1000])
@pytest.mark.parametrize("order", ["sorted", "reversed", "shuffled", "two listings"])
def test_lines_come_in_path_order(run: int, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "_RUN_REFERENCES", run)
    monkeypatch.setattr(listed, "_STEP_BYTES", 100)
    made = rows(*(f"d{number % 7}/é {number:03}" for number in range(60)))
    in_order = sorted(made, key=lambda one: one.path.encode())
    shuffled = random.Random(run).sample(made, len(made))
    given = {
        "sorted": in_order, "reversed": in_order[::-1], "shuffled": shuffled,
        "two listings": in_order[30:] + in_order[:30],
    }[order]  # fmt: skip
    lines = sorted_lines(given)
    assert list(parse_references(lines)) == in_order
    source = LinesSource(lines)
    assert b"".join(source.blocks()) == b"".join(lines)


@pytest.mark.parametrize(
    "paths", [("b", "a", "b"), ("a/x", "A/x"), ("a", "b", "a/c"), ("x/asset.yaml", "asset.yaml")]
)
def test_what_cannot_lie_together_is_found_across_runs(
    paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed, "_RUN_REFERENCES", 1)
    with pytest.raises(InvalidInput):
        sorted_lines(rows(*paths))


def test_a_list_is_read_and_looked_up() -> None:
    made = rows(*(f"d/{number:05}" for number in range(1000)))
    found = ReferenceList(one.line() for one in made)
    assert (len(found), found.size_bytes) == (1000, sum(range(1000)))
    assert list(found) == made
    assert [found.find(one.path) for one in made] == made
    assert [found.find(one.path) for one in reversed(made)] == made[::-1]
    for path in ("", "a", "d", "d/00000x", "d/00063x", "d/99999", "z"):
        assert found.find(path) is None


def test_a_reference_that_may_not_be_used_ends_the_reading() -> None:
    def judge(one: Reference) -> None:
        if one.path == "b":
            raise KeyError(one.path)

    with pytest.raises(KeyError):
        ReferenceList((one.line() for one in rows("a", "b", "c")), judge=judge)


_MEASURED = """
import sys
from pathlib import Path
from gitml.model.references import Reference
from gitml.model.source_url import SourceUrl
from gitml.store.external.listed import LinesSource, ReferenceList, SortedReferences

count = int(sys.argv[1])
bucket = SourceUrl.parse("s3://team-ml/raw")
found = SortedReferences()
for number in reversed(range(count)):
    path = f"folder {number // 1000:05}/file {number % 1000:03}.parquet"
    found.add(Reference(path=path, url=bucket.below(path), size_bytes=number, etag=f"{number:032x}"))
source = LinesSource(found.lines())
found.close()


def lines():
    rest = b""
    for block in source.blocks():
        for start in range(0, len(block), 1 << 16):
            *whole, rest = (rest + bytes(block[start : start + (1 << 16)])).split(b"\\n")
            for line in whole:
                yield line + b"\\n"


again = ReferenceList(lines())
assert len(again) == count
assert sum(1 for _ in again) == count
assert all(again.find(one.path) == one for number, one in enumerate(again) if number % 50 == 0)
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


def measured(count: int) -> int:
    """Peak memory in MB of a process that sorts, writes, reads and looks up so many references."""
    top = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(count)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(top)},
    )
    return int(done.stdout)


@pytest.mark.nightly
def test_memory_is_flat() -> None:
    small, large = measured(40_000), measured(160_000)
    assert large < 150
    assert large - small <= 30


@dataclass
class Short:
    """A place that gives other bytes than it said, of a file of which nobody knows the digest."""

    given: bytes
    ranged: bool = False

    def files(self) -> Iterator[Reference]:
        yield from ()

    def look(self, reference: Reference) -> None:
        return None

    def blocks(self, reference: Reference, start: int = 0) -> Iterator[bytes]:
        yield from (self.given[at : at + 2] for at in range(0, len(self.given), 2))


@pytest.mark.parametrize("given", [b"", b"abc", b"abcde"])
def test_a_file_of_another_size_is_never_whole(given: bytes) -> None:
    (one,) = [replace(row, size_bytes=4, sha256=None, etag="e") for row in rows("a")]
    tree = ReferencedTree(ReferenceList([one.line()]), lambda _: Short(given), label="datasets/raw@1")
    read = bytearray()
    with pytest.raises(IntegrityError, match="instead of 4"):
        for block in tree.blocks(one):
            read += block
    assert len(read) < max(1, len(given)), "the last bytes are held back"
