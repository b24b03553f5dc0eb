"""What a forge replies may be anything: it is understood, or it is no answer; it is never a crash."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.forge import gitea_replies, gitlab_replies
from gitml.forge.patience import Failed
from gitml.forge.rest import attempted, said_in

TIME = "2026-01-02T03:04:05.678Z"
SHA = "a" * 40
ADA, BOB = ({"id": 1, "login": "ada", "full_name": "Ada", "email": "ada@example.com"},
            {"id": 2, "username": "bob", "name": "Bob"})  # fmt: skip
GITEA_PULL = {
    "number": 1, "user": ADA, "title": "WIP: T", "body": "B", "state": "closed", "draft": True, "merged": True,
    "html_url": "https://x", "merged_at": TIME, "merge_commit_sha": SHA, "merged_by": ADA, "created_at": TIME,
    "updated_at": TIME, "base": {"label": "p", "ref": "p", "sha": SHA, "repo_id": 1},
    "head": {"label": "f", "ref": "refs/pull/1/head", "sha": SHA, "repo_id": 1},
}  # fmt: skip
GITEA_REVIEW = {
    "id": 1, "user": ADA, "state": "APPROVED", "body": "", "commit_id": SHA, "official": True, "dismissed": False,
    "submitted_at": TIME,
}  # fmt: skip
GITLAB_PULL = {
    "iid": 1, "author": BOB, "title": "Draft: T", "description": "B", "state": "merged", "draft": True, "sha": SHA,
    "source_branch": "f", "target_branch": "p", "source_project_id": 1, "target_project_id": 1, "web_url": "https://x",
    "diff_refs": {"start_sha": SHA}, "created_at": TIME, "updated_at": TIME, "merged_at": TIME,
    "merge_commit_sha": SHA, "squash_commit_sha": None, "merge_user": BOB,
}  # fmt: skip
GITLAB_REVIEWS = {
    "versions": [{"head_commit_sha": SHA, "created_at": TIME}],
    "approvals": [{"user": BOB, "approved_at": TIME}, {"user": BOB}],
    "reviewers": [{"user": BOB, "state": "requested_changes"}],
    "notes": [{"system": True, "author": BOB, "body": "requested changes", "created_at": TIME}],
}


def gitlab_reviews(value: Any) -> Any:
    arrivals = [gitlab_replies.arrival_of(one) for one in value["versions"]]
    return gitlab_replies.reviews_of(arrivals, value["approvals"], value["reviewers"], lambda: value["notes"])


TRANSLATIONS: list[tuple[Any, Callable[[Any], Any]]] = [
    (GITEA_PULL, lambda v: (gitea_replies.has_head(v), gitea_replies.is_from_here(v), gitea_replies.request_of(v))),
    (GITEA_REVIEW, gitea_replies.review_of),
    ({"author": ADA, "committer": None}, gitea_replies.commit_logins),
    (GITLAB_PULL, lambda v: (gitlab_replies.has_head(v), gitlab_replies.is_from_here(v), gitlab_replies.request_of(v))),
    (GITLAB_REVIEWS, gitlab_reviews),
]  # fmt: skip

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([TIME, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-02"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Ways to every value within a value, and to itself."""
    found: list[tuple[Any, ...]] = [()]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        found += [(key, *way) for way in places(one)]
    return found


def changed(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    if not way:
        return new
    made = copy.deepcopy(value)
    at = made
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = new
    return made


def check_types(value: Any) -> None:
    """That what came out is what its type says."""
    if isinstance(value, tuple | list):
        for one in value:
            check_types(one)
    if is_dataclass(value):
        for name, kind in get_type_hints(type(value)).items():
            assert isinstance(getattr(value, name), kind), (name, getattr(value, name))
            check_types(getattr(value, name))


@pytest.mark.parametrize(("sample", "translate"), TRANSLATIONS)
def test_a_reply_as_it_should_be_is_understood(sample: Any, translate: Callable[[Any], Any]) -> None:
    assert attempted(lambda: translate(sample))() is not None


@pytest.mark.parametrize(("sample", "translate"), TRANSLATIONS)
@given(st.data())
def test_a_reply_of_another_form_is_no_answer(
    sample: Any, translate: Callable[[Any], Any], data: st.DataObject
) -> None:
    way = data.draw(st.sampled_from(places(sample)))
    value = changed(sample, way, data.draw(anything))
    with suppress(Failed):
        check_types(attempted(lambda: translate(value))())


@given(anything)
def test_what_a_forge_says_is_always_a_text(body: Any) -> None:
    assert isinstance(said_in(body), str)
