"""Digests, and the tree digest against the programs that anybody has."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model.digest import Digest, TreeHasher, sum_line, tree_digest
from gitml.model.paths import path_problem

PIPELINE = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0r sha256sum -- | sha256sum"


def pipeline_digest(folder: Path) -> str:
    """What the documented pipeline prints."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", PIPELINE], cwd=folder, capture_output=True, check=True
    )
    return "sha256:" + done.stdout.split()[0].decode()


def hashed(folder: Path) -> list[tuple[str, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).digest()) for path in files
    ]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
@pytest.mark.parametrize(
    "files",
    [
        {"a": b"1"},
        {"empty": b""},
        {"a/b": b"1", "a.b": b"2", "a-b": b"3", "a b": b"4", "a": None},
        {
            "ü/é": b"x",
            "z": b"y",
            "日本/語.csv": b"",
            "\U0001f600": b"emoji",
            "\uffee": b"below the emoji in UTF-8",
        },
        {
            "-dash": b"1",
            "--": b"2",
            " lead": b"3",
            "trail ": b"4",
            "q'uote": b"5",
            'd"q': b"6",
            "*": b"7",
            "$x": b"8",
        },
        {"A": b"1", "a": b"2", "B": b"3", "_": b"4", "0": b"5", "~": b"6"},
        {f"{n % 17}/{n:04d}.bin": bytes([n % 251]) * n for n in range(400)},
    ],
)
def test_tree_digest_equals_the_pipeline(tmp_path: Path, files: dict[str, bytes | None]) -> None:
    for name, data in files.items():
        if data is not None:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    assert str(tree_digest(hashed(tmp_path))) == pipeline_digest(tmp_path)


def test_the_tree_digest_does_not_depend_on_the_order_given() -> None:
    files = [(f"{n:03d}", hashlib.sha256(str(n).encode()).digest()) for n in range(50)]
    shuffled = files[:]
    random.Random(7).shuffle(shuffled)
    assert tree_digest(shuffled) == tree_digest(files)


def test_sum_line_is_the_line_of_sha256sum() -> None:
    raw = hashlib.sha256(b"x").digest()
    assert sum_line("dir/ü b", raw) == raw.hex().encode() + b"  dir/\xc3\xbc b\n"


@pytest.mark.parametrize(
    ("first", "second"), [("b", "a"), ("a", "a"), ("a/b", "a.b"), ("\U0001f600", "\uffee")]
)
def test_the_hasher_refuses_a_wrong_order(first: str, second: str) -> None:
    hasher = TreeHasher()
    hasher.add(first, bytes(32))
    with pytest.raises(ValueError, match="does not come after"):
        hasher.add(second, bytes(32))


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda p: path_problem(p) is None), st.binary(max_size=9)
    )
)
def test_tree_digest_is_the_digest_of_the_sorted_lines(files: dict[str, bytes]) -> None:
    raws = {path: hashlib.sha256(data).digest() for path, data in files.items()}
    lines = b"".join(sum_line(path, raws[path]) for path in sorted(raws, key=lambda p: p.encode()))
    assert tree_digest(raws.items()) == Digest.of(lines)


@given(st.binary(min_size=32, max_size=32))
def test_parse_reads_what_str_writes(raw: bytes) -> None:
    digest = Digest(raw)
    assert Digest.parse(str(digest)) == digest
    assert digest.hex == raw.hex()


HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f" sha256:{HEX}",
        f"sha256:{HEX}\n",
        f"sha256: {HEX}",
        f"sha256-{HEX}",
        f"md5:{HEX[:32]}",
        f"sha1:{HEX[:40]}",
        f"sha512:{HEX}{HEX}",
        f"blake3:{HEX}",
        f"sha256:{'g' * 64}",
        f"sha256:{'٣' * 64}",
        f"sha256:0x{HEX[:62]}",
        f"sha256:{HEX[:32]}_{HEX[:31]}",
        f"sha256:sha256:{HEX}",
        f"sha256:{HEX}\x00",
    ],
)
def test_nothing_else_is_a_digest(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Digest.parse(text)
    assert caught.value.code == "bad-digest"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33)])
def test_a_digest_has_32_bytes(raw: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Digest(raw)
