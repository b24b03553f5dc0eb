"""Words that people type or paste: names, versions, references, branches, addresses, globs, numbers, dates."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.canaries import Door, assert_refused, call, watched
from support.team import write

from gitml.api import Registry
from gitml.errors import UsageError

LONG = "a" * 129
NAMES = [
    "", ".", "..", "../x", "/abs", "a/b", "-x", "--upload-pack=touch", "_x", "A", "Digits", "a b", "a\tb", "a\nb",
    "a\rb", "a\\b", "a:b", "a@b", "a*b", "a?b", "a|b", "a<b", "a>b", 'a"b', "a'b", "a;b", "a$(b)", "a`b`", "a&b",
    "%2e%2e", "%252e%252e%252f", "a%00b", "a#b", "é", "ﬀ", "ß", "a\u200bb", "a\u202eb", "a\u2066b", "а",
    "a\u0301", "\u212a", "ı", "\ufeffa", "\U000e0041", "\x1b]0;x\x07", "a\u0085b", ".git", ".g\u200cit", "con", "nul",
    "aux.json", "com1", "lpt9.txt", "prn.", LONG, "~", "~root", "a~1\u0000",
]  # fmt: skip
TYPES = [
    "",
    "..",
    "../models",
    "Models",
    "-models",
    ".git",
    "modelz",
    "models/..",
    "./models",
    "models\n",
    "gitml",
    "%6dodels",
]
VERSIONS = [
    "", ".", "..", "-1", "--all", "../1", "1/2", "1\\2", "1 2", "1\n", "1\x00", "a" * 65, "asset.yaml", "x.YAML",
    "1:2", "1@2", "1*", "é", "1\u200b", "١", "con", "nul.txt", "latest", "1;rm", "$(id)", ".1", "+1", "_1", "~1", "HEAD^{commit}",
]  # fmt: skip
BRANCHES = [
    "-x", "--exec=touch /tmp/x", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "a?b", "a*", "a[b", "a\\b", "/a", "a/",
    "a//b", ".a", "a/.b", "a.lock", "a.", "@", "a@{b", "../../x", "a\x7fb", "", "HEAD",
]  # fmt: skip
REVISIONS = [
    "-x",
    "--output=x",
    "--help",
    "a\nb",
    "",
    "\x00",
    "no-such-branch",
    "HEAD:../../x",
    "a..b",
    "@{-1}",
    "a\x1bb",
    "x" * 5000,
]
REFERENCES = [
    "", "@", ":", "//", "models", "models/", "models//digits", "/models/digits", "models/digits/1/2", "models/digits@",
    "models/digits@@1", "models/digits@1@2", "models/digits@sha256:", "models/digits@sha256:xyz", "models/digits@md5:" + "0" * 32,
    "models/digits@sha1:" + "0" * 40, "models/digits@sha256:" + "0" * 63, "models/digits@SHA256:" + "0" * 64,
    "../digits@1", "models/../digits", "models/digits@../1", "-digits", "--all", "models/-x@1", "models/digits@1\n",
    "models/digits@1\x00", "models/di\u202egits", "models%2fdigits", "mo\u0064els/digits@١", "models/digits@9" * 300,
    "ext::sh -c touch% x//models/digits@1", "file:///etc//models/digits@1", "-x//models/digits@1", "shared//models/digits@1",
]  # fmt: skip
PATHS_IN = [
    "..", "../x", "a/../../x", "/etc/passwd", "weights.bin/..", "./weights.bin", "weights.bin/", "a//b", "a\\..\\b",
    "weights.bin\x00", "%2e%2e/x", "%252e%252e", "weights.bin?x", "weights.bin#x", "weights.bin;x", "C:\\x", "~/x", "\u202e",
    "x" * 1025, "a/" * 600 + "b", "weights.bin\n", "WEIGHTS.BIN", "asset.yaml",
]  # fmt: skip
URLS = [
    "ext::sh -c touch% /tmp/x", "ext::git-upload-pack /x", "fd::17/foo", "transport::address", "foo::https://h/x", "https::x",
    "-u", "--upload-pack=touch /tmp/x", "ssh://-oProxyCommand=touch/x", "ssh://-x@host/x", "ssh://host/-x", "-oProxyCommand=x:y",
    "git@-host:x", "host:-x", "ssh://%2dhost/x", "git://host/x", "http://host/x", "ftp://host/x", "ftps://host/x", "rsync://host/x",
    "file://host/x", "https:///x", "https://", "https://ho st/x", "https://host/x\ny",
    "https://host/x\r", "https://host/%0ax", "https://host\x1b[31m/x", " https://host/x", "https://host/x ", "",
    "https://host:notaport/x", "https://[::1/x", "git+ssh://-x/y", "gopher://h/x", "https://ho\u202est/x", "https://h\x00st/x",
    "x" * 5000,
]  # fmt: skip
STORES = [
    "simplecache::file:///etc", "filecache::s3://x/y", "blockcache::/tmp", "::", "a::b", "data:,x", "memory://x", "github://a:b@c/",
    "http://host/x", "https://host/x", "ftp://host/x", "sftp://host/x", "ssh://host/x", "reference://x", "zip://x", "tar://x",
    "libarchive://x", "local://x", "dask://x", "git://x", "hf://x/y", "jupyter://x", "webhdfs://h/x", "smb://h/x", "dropbox://x",
    "~/store", "~root/store", "file://host/share", "file://~/x", "file:relative", "s3://user:pass@bucket/x", "s3://", "s3:///x",
    "s3://bucket/../other", "s3://-bucket/x", "s3://bucket/x?sig=abcdefgh", "s3://bucket/x#y", "az://key@container/x", "abfs://",
    "", " ", "sto\nre", "sto\x00re", "sto\x1bre", "$HOME/store", "${HOME}/store", "{{ x }}/y",
    "file:///a\\b", "\\\\host\\share", "C:\\store", "s3a://x/y", "S3://UPPER CASE/x", "oss://x/y",
    "gs://bucket/x", "gcs://b/x", "adl://x/y", "wandb://x", "generic://x", "arrow_hdfs://x", "http::https://x", "x" * 5000,
]  # fmt: skip
GLOBS = ["", "x" * 5000]
CONDITIONS = ["", "accuracy", "=", ">=1", "x" * 5000]
MOMENTS = [
    "", "yesterday", "2026-13-01", "2026-01-32", "9" * 5000, "2026-01-01T25:00:00Z", "-1", "0000-00-00", "1e400",
    "2026-01-01\n", "٢٠٢٦-01-01",
]  # fmt: skip

# What `alias` and `promote` say of a word that is no name may be "usage", "invalid" or "not found", never "unexpected".
REFUSALS = (2, 3, 4, 5, 12)


def _ids(values: list[str]) -> list[str]:
    return [f"{number}-{ascii(value)[1:25]}" for number, value in enumerate(values)]


def _rows(values: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("text", values, ids=_ids(values))


@_rows(NAMES)
def test_asset_names(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", f"models/{text}", arena.contents), (2, 3))


@_rows(TYPES)
def test_asset_types(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", f"{text}/new", arena.contents), (2, 3))


@_rows(VERSIONS)
def test_versions(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", "models/new", arena.contents, version=text), (2, 3, 5))


@pytest.mark.parametrize("text", ["01", "001", "0" * 40 + "1"])
def test_versions_that_equal_another(arena, door: Door, text: str) -> None:
    for dry_run in (True, False):
        outcome = arena.call(door, "register", "models/digits", arena.contents, version=text, dry_run=dry_run)
        assert_refused(outcome, 5, "models/digits@1")


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"": "x"}}, {"labels": {"a": "b\0"}}, {"params": {"": 1}}, {"metrics": {"": 1}}, {"command": "a\0b"},
        {"message": "two\nlines"}, {"message": "a\0b"}, {"inputs": ["a\0b=models/digits@1"]},
    ],
)  # fmt: skip
def test_fields_of_the_pointer(arena, fields: dict[str, object]) -> None:
    assert_refused(
        arena.call(Door.PYTHON, "register", "models/new", arena.contents, **fields), 3, "asset.yaml:"
    )


@pytest.mark.parametrize("text", ["two\nlines", "end\r\n", "a\u2028b"])
def test_messages_of_one_line(arena, door: Door, text: str) -> None:
    assert_refused(
        arena.call(door, "register", "models/new", arena.contents, message=text), 3, "must be one line"
    )


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("text", "why"),
    [("two\nlines", "must be one line"), ("a\u2028b", "must be one line"), ("a\0b", "must be one line"),
     ("x" * 70_000, "65536")],
    ids=["break", "separator", "NUL", "long"],
)  # fmt: skip
def test_reasons_of_deprecations(arena, door: Door, text: str, why: str, dry_run: bool) -> None:
    """What cannot be read again is never written: about.yaml would be lost, and its asset with it."""
    outcome = arena.call(door, "deprecate", "models/digits@1", message=text, dry_run=dry_run)
    assert_refused(outcome, 3, "models/digits/about.yaml:", why)


@pytest.mark.parametrize("text", ["a\0b", "\udcff", "x" * 70_000], ids=["NUL", "byte", "long"])
def test_words_of_requests(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "requests.reject", 1, message=text), 2, "comment")
    assert_refused(arena.call(door, "requests.approve", 1, message=text), 2, "comment")
    for word in ("title", "body"):
        for dry_run in (False, True):
            options = {word: text, "dry_run": dry_run, "target": "staging"}
            assert_refused(arena.call(door, "promote", "models/digits@1", **options), 2, word)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
def test_paths_that_no_file_can_have(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", "models/new", text), 2, "no path")
    assert_refused(arena.call(door, "register", "models/new", arena.contents, source=text), 2, "no path")
    assert_refused(arena.call(door, "get", "models/digits", output=text), 2, "no path")
    assert_refused(arena.call(door, "init", text), 2, "no path")
    with pytest.raises(UsageError, match="no path"):
        Registry(arena.ada.folder, registry=text)


@_rows(BRANCHES)
def test_branches(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "register", "models/new", arena.contents, branch=text), (2, 3))
    assert_refused(arena.call(door, "alias", "models/digits", "champion", "1", branch=text), (2, 3))


@_rows(REVISIONS)
def test_revisions(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "list", rev=text), (2, 4))
    assert_refused(arena.call(door, "show", "models/digits@1", rev=text), (2, 4))


@_rows(REFERENCES)
def test_references(arena, door: Door, text: str) -> None:
    for verb in ("show", "get", "deprecate", "lineage"):
        assert_refused(arena.call(door, verb, text), REFUSALS)


@_rows(REFERENCES)
def test_references_between_verbs(arena, text: str) -> None:
    for door in (Door.PYTHON, Door.CLI)[: 1 + (len(text) % 3 == 0)]:
        assert_refused(arena.call(door, "diff", "models/digits@1", text), REFUSALS)
        assert_refused(arena.call(door, "verify", text), REFUSALS)
        assert_refused(arena.call(door, "status", text), REFUSALS)
        assert_refused(arena.call(door, "promote", text, target="staging"), REFUSALS)
        assert_refused(
            arena.call(door, "register", "models/new", arena.contents, inputs=[f"training={text}"]), REFUSALS
        )


@_rows(PATHS_IN)
def test_paths_in_references(arena, door: Door, text: str) -> None:
    outcome = arena.call(door, "get", f"models/digits@1:{text}", output=arena.base / "place")
    assert_refused(outcome, (2, 3, 4))


@_rows(PATHS_IN)
def test_paths_opened_from_python(arena, text: str) -> None:
    assert_refused(arena.call(Door.PYTHON, "open", f"models/digits@1:{text}"), (2, 3, 4))


@_rows([*NAMES[1:], "latest", "about", "asset", "1", "staging", "production", "v1.0.0/"])
def test_aliases(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "alias", "models/digits", text, "1"), (2, 3, 5))


@_rows(VERSIONS)
def test_alias_targets(arena, door: Door, text: str) -> None:
    if text == "latest":
        pytest.skip("a selector where a version is asked for")
    assert_refused(arena.call(door, "alias", "models/digits", "champion", text), (2, 3, 4))


@_rows([*NAMES, "Staging", "refs/heads/staging", "main", "staging/"])
def test_stages(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "promote", "models/digits@1", target=text), (2, 3, 4))
    assert_refused(arena.call(door, "rollback", "models/digits", target=text), (2, 3, 4))


@_rows(BRANCHES)
def test_promoted_branches(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "promote", source=text, target="staging"), (2, 3, 4))


@_rows(URLS)
def test_repositories_of_requests(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "promote", "models/digits@1", target="staging", repo=text), (2, 3))


@_rows(URLS)
def test_addresses_of_remotes(arena, door: Door, text: str) -> None:
    assert_refused(arena.call_in(arena.base, door, "init", arena.base / "fresh", remote=text), (2, 3))


@_rows(URLS)
def test_names_of_remotes(arena, door: Door, text: str) -> None:
    if not text:
        pytest.skip("an empty word is no remote at all")
    assert_refused(arena.call(door, "push", text), (2, 3, 4))


@_rows(STORES)
def test_addresses_of_stores(arena, door: Door, text: str) -> None:
    assert_refused(arena.call_in(arena.base, door, "init", arena.base / "fresh", store=text), (2, 3, 10))


@_rows(GLOBS)
def test_globs(arena, door: Door, text: str) -> None:
    outcome = arena.call(door, "get", "models/digits@1", output=arena.base / "place", include=[text])
    assert_refused(outcome, (2, 3))


def test_globs_are_linear(arena, door: Door) -> None:
    for pattern in ("*a" * 500 + "b", "**/" * 300 + "x", "?" * 4000, "[" * 50, "{" * 50, "(a+)+$"):
        outcome = arena.call(
            door, "get", "models/digits@1", output=arena.base / "place", include=[pattern], dry_run=True
        )
        assert outcome.exit_code in (0, 2, 3, 4), outcome.said


@_rows(CONDITIONS)
def test_conditions(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "list", where=[text]), (2, 3))


@_rows(MOMENTS)
def test_moments(arena, door: Door, text: str) -> None:
    assert_refused(arena.call(door, "history", "staging", at=text), (2, 3))


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**400, 999_999])
def test_numbers_of_requests(arena, door: Door, number: int) -> None:
    for verb in ("show", "approve", "merge", "close"):
        assert_refused(arena.call(door, f"requests.{verb}", number), (2, 3, 4))


@pytest.mark.parametrize("name", ["..", "-x", "no-such", "\x1b[31m", "a\nb", "../../etc", "x" * 5000])
def test_names_of_stores(arena, door: Door, name: str) -> None:
    for verb in ("trust", "verify", "du"):
        assert_refused(arena.call(door, f"stores.{verb}", name), (2, 3, 4))


@pytest.mark.parametrize("name", ["-store", "--upload-pack=x", "%HOME%", "a b", "%2e%2e"])
def test_odd_folders_are_nothing_but_folders(tmp_path: Path, environment: dict[str, str], name: str) -> None:
    with watched(tmp_path, Path(environment["HOME"])):
        outcome = call(Door.PYTHON, tmp_path, "init", tmp_path / "registry", store=f"./{name}")
        assert outcome.exit_code == 0, outcome.said
        write(tmp_path / "in", {"a.txt": "a"})
        assert call(Door.CLI, tmp_path / "registry", "register", "models/a", tmp_path / "in").exit_code == 0
    assert (tmp_path / name / "gitml-store.json").is_file()
