"""What is Gitea's own: titles of drafts, official reviews, heads of forks, merges that it is not ready for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.forge.core import Right
from servers.forge.faults import Fault, How
from support.forges import World, world

from gitml.errors import Conflict, InvalidInput, PolicyRefused, StoreUnavailable
from gitml.forge.base import RequestState
from gitml.forge.hosting import HostedRequest, MergeOutcome


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world("gitea", tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World, *, draft: bool = False) -> HostedRequest:
    there.branch("feature")
    return there.host().open(branch="feature", target="production", title="T", body="", draft=draft)


def test_a_draft_is_told_by_its_title_and_stays_one(there: World) -> None:
    made = opened(there, draft=True)
    assert there.project.get(made.number).title == "WIP: T"
    assert (made.title, made.draft) == ("T", True)
    changed = there.host().update(made.number, title="Better", body="text")
    assert (changed.title, changed.draft) == ("Better", True)
    assert there.project.get(made.number).title == "WIP: Better"
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "Work in progress" in done.said
    there.project.edit(there.user("ada"), made.number, title="Ready")
    there.project.get(made.number).draft = False
    assert not there.host().get(made.number).draft


def test_a_review_counts_where_gitea_counts_it(there: World) -> None:
    made = opened(there)
    there.user("eve").right = Right.READ
    there.host("eve").approve(made.number, head=made.head, comment=None)
    (review,) = there.host().reviews(made.number)
    assert not review.stands and "may not approve" in review.why_not


def test_the_official_word_stands_last(there: World) -> None:
    """A review that was begun first and sent last keeps its place in Gitea's list."""
    made, project = opened(there), there.project
    there.host("bob").approve(made.number, head=made.head, comment=None)
    there.host("bob").reject(made.number, head=made.head, comment="no")
    first, last = project.get(made.number).reviews
    last.time = first.time.replace(year=2020)
    assert [one.stands for one in there.host().reviews(made.number)] == [False, True]


def test_a_dismissed_review_does_not_stand_and_can_be_given_again(there: World) -> None:
    made, bob = opened(there), there.host("bob")
    bob.approve(made.number, head=made.head, comment=None)
    there.project.dismiss(made.number, there.project.get(made.number).reviews[0].id)
    assert [one.stands for one in bob.reviews(made.number)] == [False]
    there.double.faults.add(Fault(how=How.STATUS, status=502, method="POST", times=1))
    bob.approve(made.number, head=made.head, comment=None)
    assert [one.stands for one in bob.reviews(made.number)] == [False, True]


def test_who_has_reviewed_is_not_asked_again(there: World) -> None:
    made = opened(there)
    there.host().ask(made.number, ["bob", "eve"])
    there.host("bob").approve(made.number, head=made.head, comment=None)
    there.host().ask(made.number, ["bob", "eve"])
    assert [one.stands for one in there.host().reviews(made.number)] == [True]
    there.branch("feature", "production", other="text")
    there.host().ask(made.number, ["bob"])
    assert [one.login for one in there.project.get(made.number).reviewers] == ["eve", "bob"]


def test_what_others_left_hides_no_request(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a commit, and one whose merge the forge does not tell the time of."""
    from servers.forge import gitea as routes

    first = opened(there)
    there.host().merge(first.number, head=first.head, message="m")
    there.branch("other", "production", other="text")
    headless = there.host().open(branch="other", target="production", title="T", body="", draft=False)
    told = routes._pull

    def tell(call: Any, project: Any, request: Any, **rest: Any) -> Any:
        found = told(call, project, request, **rest)
        found["head"]["sha"] = "" if request.number == headless.number else found["head"]["sha"]
        return found | {"merged_at": None}

    monkeypatch.setattr(routes, "_pull", tell)
    assert [(one.number, one.merged) for one in there.host().list()] == [(first.number, None)]


def test_a_forks_branch_of_the_same_name_is_another(there: World) -> None:
    made = opened(there)
    there.project.get(made.number).from_fork = True
    assert list(there.host().list(branch="feature")) == []
    assert [one.number for one in there.host().list()] == [made.number]


def test_a_branch_that_is_gone_keeps_its_name(there: World) -> None:
    made = opened(there)
    there.host().merge(made.number, head=made.head, message="m")
    there.project.git("update-ref", "-d", "refs/heads/feature")
    found = there.host().get(made.number)
    assert (found.branch, found.head) == ("feature", made.head)


def test_a_merge_that_it_is_not_ready_for_is_tried_again(there: World) -> None:
    made = opened(there)
    there.double.forge.vendor_state["gitea-checking"] = 2
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED
    assert len(there.watch.slept) == 2


def test_an_empty_answer_to_a_merge_is_looked_up(there: World) -> None:
    """Gitea answers a merge with nothing, as many a thing in between does."""
    made = opened(there)
    there.double.faults.add(Fault(how=How.EMPTY, method="POST", path="/merge", times=1))
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "merged nothing" in done.said
    there.double.faults.add(Fault(how=How.EMPTY, method="POST", path="/merge", after_effect=True, times=1))
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED


def test_merging_by_itself(there: World) -> None:
    made, host = opened(there), there.host()
    there.project.required_approvals = 1
    host.merge_when_allowed(made.number, head=made.head)
    host.merge_when_allowed(made.number, head=made.head)
    with pytest.raises(Conflict):
        host.merge_when_allowed(made.number, head="0" * 40)
    there.host("bob").approve(made.number, head=made.head, comment=None)
    host.merge_when_allowed(made.number, head=made.head)
    assert host.get(made.number).state is RequestState.MERGED


def test_a_draft_does_not_merge_by_itself(there: World) -> None:
    made = opened(there, draft=True)
    with pytest.raises(PolicyRefused, match="Work in progress"):
        there.host().merge_when_allowed(made.number, head=made.head)


def test_what_may_not_be_merged_says_why(there: World) -> None:
    made = opened(there)
    there.project.squash_only = True
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.REFUSED
    there.project.squash_only = False
    there.user("bob").right = Right.READ
    done = there.host("bob").merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "not allowed" in done.said


def test_ones_own_request_cannot_be_approved(there: World) -> None:
    made = opened(there)
    with pytest.raises(InvalidInput, match="approve your own"):
        there.host().approve(made.number, head=made.head, comment=None)


def test_a_smaller_page_than_asked_for_is_not_the_last(there: World) -> None:
    for number in range(60):  # the server gives 50 at most
        there.branch(f"b{number}", "main", **{f"f{number}": "x"})
        there.project.open(there.user("ada"), branch=f"b{number}", target="production", title="T", body="")
    assert len(list(there.host(page_size=100).list())) == 60


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"3", b'{"number": "1"}', b"null", b'{"merged": 1, "head": []}']
)
def test_json_of_another_form_is_no_answer(
    there: World, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from servers.forge import gitea
    from servers.forge.routing import Reply

    made = opened(there)
    monkeypatch.setattr(gitea, "_pull", lambda *_: body)
    monkeypatch.setattr(gitea, "_list", lambda *_: Reply(body=body))
    with pytest.raises(StoreUnavailable):
        there.host().get(made.number)
    if body != b"[]":
        with pytest.raises(StoreUnavailable):
            list(there.host().list())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_reply_that_leads_elsewhere_takes_no_token_there(there: World, status: int) -> None:
    made, host = opened(there), there.host()
    elsewhere = there.double.origin.replace("127.0.0.1", "localhost") + "/gitea/user"
    there.double.faults.add(Fault(how=How.STATUS, status=status, headers={"Location": elsewhere}, times=1000))
    before = len(there.double.log)
    with pytest.raises(StoreUnavailable, match="another host"):
        host.get(made.number)
    there.double.faults.clear()
    assert all(one.headers["Host"].startswith("127.0.0.1") for one in there.double.log[before:])


def test_every_call_says_who_and_which_program(there: World) -> None:
    there.double.log.clear()
    opened(there)
    assert {one.headers["User-Agent"] for one in there.double.log} == {"gitml"}
    assert {one.headers["Authorization"] for one in there.double.log} == {"token token-of-ada"}
