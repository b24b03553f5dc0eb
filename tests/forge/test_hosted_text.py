"""What a request says of itself, and whose word counts."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gitml.forge.base import ReviewKind
from gitml.forge.hosted_text import branch_of, cut, read_body, write_body
from gitml.forge.hosting import Account, HostedReview
from gitml.forge.people import Authors, read_reviews
from gitml.git.names import check_branch

LINES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), LINES, st.lists(LINES, max_size=3))
def test_a_body_comes_back(body: str, source: str, refs: list[str]) -> None:
    written = write_body(body, source, refs)
    found = read_body(written)
    if "gitml-request" not in body:
        assert found == (body.replace("\r\n", "\n").strip(), source, tuple(sorted(refs)))
    assert read_body(written.replace("\n", "\r\n"))[1:] == found[1:]


def test_nothing_in_it_ends_the_comment() -> None:
    text = write_body("b", "--> <script>", ["a-->b"])
    assert text.count("-->") == 1 and "<script>" not in text
    assert read_body(text) == ("b", "--> <script>", ("a-->b",))


@given(st.text(st.sampled_from("ab `\n"), max_size=600), st.integers(200, 500))
def test_a_text_is_cut_between_lines(text: str, longest: int) -> None:
    found = cut(text, longest)
    assert len(found) <= longest and cut(found, longest) == found
    if len(text) <= longest:
        assert found == text
    else:
        assert found.endswith("is left out.*")
        shown = found.rpartition("\n\n")[0].removesuffix("\n```").rstrip()
        assert text.startswith(shown)


def test_no_block_is_left_open_by_a_cut() -> None:
    found = cut("start\n```\n" + "code\n" * 100, 200)
    assert found.count("```") == 2 and found.index("is left out") > found.rindex("```")


def test_what_is_hidden_survives_a_limit() -> None:
    written = write_body("line\n" * 2000, "main", ["models/digits@1"], longest=4000)
    assert len(written) <= 4000
    body, source, refs = read_body(written)
    assert (source, refs) == ("main", ("models/digits@1",)) and body.endswith("is left out.*")


def test_words_of_strangers() -> None:
    assert read_body("hello") == ("hello", "", ())
    assert read_body('<!-- gitml-request {"source": 3, "refs": [1]} -->') == ("", "", ())
    assert read_body("<!-- gitml-request {nonsense} -->") == ("", "", ())
    assert read_body('x\n\n<!-- gitml-request {"refs": "a"} -->\n\ny') == ("x\n\ny", "", ())


@given(LINES, st.lists(LINES, max_size=3))
def test_a_branch_is_one(source: str, refs: list[str]) -> None:
    name = branch_of(source, "production", refs)
    assert check_branch(name) == name and name.startswith("gitml/production/")
    assert name == branch_of(source, "production", sorted(refs, reverse=True))
    assert name != branch_of(source + "x", "production", refs)
    assert name != branch_of(source, "staging", refs)


def review(login: str, kind: ReviewKind = ReviewKind.APPROVED, **options: object) -> HostedReview:
    made = {"head": "a" * 40, "time": datetime(2026, 1, 1, tzinfo=UTC), **options}
    return HostedReview(kind=kind, actor=Account(login=login, name=login), **made)  # type: ignore[arg-type]


def counting(*reviews: HostedReview, authors: Authors | None = None) -> list[bool]:
    nobody = Authors.of([], [])
    return [one.counts for one in read_reviews(reviews, "a" * 40, authors or nobody)]


def test_reviews_that_count() -> None:
    rejected = ReviewKind.REJECTED
    assert counting(review("bob"), review("eve", rejected)) == [True, True]
    assert counting(review("bob", head="b" * 40)) == [False]
    assert counting(review("bob", head=None)) == [True]
    assert counting(review("bob", stands=False)) == [False]
    assert counting(review("bob"), review("Bob", rejected)) == [False, True]
    assert counting(review("bob", rejected), review("bob")) == [False, True]
    assert counting(review("bob"), review("bob", rejected, stands=False)) == [False, False]
    assert counting(review("bob"), review("bob", rejected, head="b" * 40)) == [True, False]


def test_authors_do_not_approve_themselves() -> None:
    authors = Authors.of(["Ada"], ["eve@example.com", "12345+Bob@users.noreply.github.com", "x@y"])
    assert counting(review("ada"), review("BOB"), review("cyd"), authors=authors) == [False, False, True]
    assert counting(review("ada", ReviewKind.REJECTED), authors=authors) == [True]
    assert authors.include(Account(login="e", name="e", email="Eve@example.com"))
    assert not authors.include(Account(login="e", name="e"))
