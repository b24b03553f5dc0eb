"""Every reader, for a moment in the suite and for minutes at night; and that the fuzzer notices a bad reader."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from fuzz.checking import check
from fuzz.mutating import mutants
from fuzz.targets import TARGETS, Target

INPUTS = 300
SEED = os.environ.get("GITML_TEST_SEED", "1")
SECONDS = int(os.environ.get("GITML_TEST_FUZZ_S", "60"))
TESTS = Path(__file__).parents[1]


def _commit_in(encoding: bytes, body: bytes = b"Text") -> bytes:
    head, _, _ = TARGETS["git-commit"].seeds[0].partition(b"\n\n")
    return head.replace(b"ISO-8859-1", encoding) + b"\n\n" + body


FOUND: dict[str, list[bytes]] = {
    "git-url": [b"g:/h:0org-repo." + b"gi" * 32_000, b"g@h/:/h"],
    "git-commit": [
        _commit_in(b"\x01\x00\x00"),
        _commit_in(b"punycode", b"-" + b"9" * 60_000),
        _commit_in(b"idna", b"a." * 30_000),
        b"tree 1\nauthor " + b"<" * 65_000 + b"\ncommitter A <a> 1 +0000\n\n",
        b"tree 1\nauthor A <a> " + b"9" * 8_000 + b" +0000\ncommitter A <a> 1 +0000\n\n",
    ],
    "zip": [TARGETS["zip"].seeds[1].replace(b"config.json", b"\0" * 11)],
    "git-words": [b"remote: " + b"a" * 65_000, b"x?" + b"token" * 13_000, b"remote: " + b"http://" * 9_000],
    "git-tree": [b"1006", b"100644 a\0short", b"\xca0644 a\0" + b"1" * 20, b"100644 a/b\0" + b"1" * 20],
    "git-listing": [b"100644 ", b"100644 blob 1 1\ta\0", b"100644 \xe2lob 1\ta\0"],
}
"""Inputs that once broke a reader."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment(name: str) -> None:
    target = TARGETS[name]
    assert all(check(target, seed) for seed in target.seeds), "an example is refused"
    taken = 0
    for data in islice(mutants(target.seeds, target.words, f"{SEED}-{name}"), INPUTS):
        try:
            taken += check(target, data)
        except BaseException as error:
            error.add_note(f"{name}: {data[:2000]!r}")
            raise
    assert taken


@pytest.mark.parametrize(("name", "data"), [(name, one) for name, found in FOUND.items() for one in found])
def test_found_before(name: str, data: bytes) -> None:
    check(TARGETS[name], data)


@pytest.mark.nightly
@pytest.mark.parametrize("name", TARGETS)
def test_minutes(name: str, tmp_path: Path) -> None:
    code = "import runpy, sys; sys.argv[0] = 'fuzz'; runpy.run_module('fuzz', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, name, "--seconds", str(SECONDS)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert list(tmp_path.glob("crash-*")) == []


def test_a_bad_reader_is_noticed() -> None:
    def bad(data: bytes) -> None:
        data.decode("ascii")

    target = Target("bad", bad, (b"good",))
    with pytest.raises(UnicodeDecodeError):
        for data in islice(mutants(target.seeds, target.words, "1"), INPUTS):
            check(target, data)
