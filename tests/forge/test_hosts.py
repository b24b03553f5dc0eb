"""What every hosted forge has to do, by its own API: the contract of `Host`, run for each vendor on the double."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.forge.core import Right, Said
from servers.forge.faults import Fault, How
from support.forges import World, spoken, world

from gitml.errors import (
    AccessDenied,
    Conflict,
    GitMLError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
)
from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.hosting import CheckState, HostedRequest, MergeOutcome

BODY = "What moves\n\n<!-- gitml-request {} -->"


@pytest.fixture(params=spoken())
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(request.param, tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World, branch: str = "gitml/production/x", login: str = "ada") -> HostedRequest:
    there.branch(branch)
    return there.host(login).open(branch=branch, target="production", title="A title", body=BODY, draft=False)


def test_opening(there: World) -> None:
    head = there.branch("gitml/production/x")
    host = there.host()
    made = host.open(
        branch="gitml/production/x", target="production", title="A title", body=BODY, draft=False
    )
    assert (made.number, made.state, made.branch, made.target) == (
        made.number, RequestState.OPEN, "gitml/production/x", "production",
    )  # fmt: skip
    assert (made.head, made.author.login, made.title, made.draft) == (
        head,
        there.login("ada"),
        "A title",
        False,
    )
    assert made.body == BODY
    assert made.url.startswith("http") and made.opened.tzinfo is not None
    assert host.get(made.number).head == head


def test_opening_again_finds_it(there: World) -> None:
    first = opened(there)
    again = there.host("bob").open(
        branch=first.branch, target=first.target, title="Another", body="", draft=False
    )
    assert (again.number, again.title, again.author.login) == (first.number, "A title", there.login("ada"))
    assert len(there.project.requests) == 1


def test_a_draft(there: World) -> None:
    host = there.host()
    if not host.capabilities.draft:
        pytest.skip("this forge has no drafts")
    there.branch("gitml/production/d")
    assert host.open(branch="gitml/production/d", target="production", title="T", body="", draft=True).draft


def test_updating(there: World) -> None:
    made, host = opened(there), there.host()
    host.update(made.number, title="Better", body="More")
    found = host.get(made.number)
    assert (found.title, found.body) == ("Better", "More")


def test_words_come_back(there: World) -> None:
    made, host = opened(there), there.host()
    for title in ("Käse 🧀 <b>", "a \"quoted\" 'title'", "draft of a plan"):
        host.update(made.number, title=title, body="ü\nz")
        found = host.get(made.number)
        assert (found.title, found.body) == (title, "ü\nz")


def test_listing_page_by_page(there: World) -> None:
    host = there.host(page_size=2)
    for number in range(5):
        opened(there, f"gitml/production/{number}")
    host.close(2, None)
    assert [one.number for one in host.list(RequestState.OPEN)] == [5, 4, 3, 1]
    assert [one.number for one in host.list()] == [5, 4, 3, 2, 1]
    assert [one.number for one in host.list(RequestState.CLOSED)] == [2]
    assert [one.number for one in host.list(branch="gitml/production/2")] == [3]
    assert list(host.list(target="staging")) == []


def test_the_one_comment(there: World) -> None:
    made, host = opened(there), there.host()
    there.project.comment(there.user("bob"), made.number, "looks good")
    host.comment(made.number, "gitml-check", "first")
    host.comment(made.number, "gitml-check", "second")
    host.comment(made.number, "gitml-other", "third")
    bodies = [comment.body for comment in there.project.get(made.number).comments]
    assert len(bodies) == 3
    end = {"bitbucket": "[//]: # (gitml-check)"}.get(there.kind, "<!-- gitml-check -->")
    assert "second" in bodies[1] and bodies[1].endswith(end) and "third" in bodies[2]


def test_the_comment_among_many(there: World) -> None:
    made, host = opened(there), there.host(page_size=2)
    for number in range(5):
        there.project.comment(there.user("bob"), made.number, f"{number}")
    host.comment(made.number, "gitml-check", "first")
    host.comment(made.number, "gitml-check", "second")
    assert len(there.project.get(made.number).comments) == 6


@pytest.mark.parametrize("state", CheckState)
def test_a_status(there: World, state: CheckState) -> None:
    made, host = opened(there), there.host()
    host.set_status(
        made.head, name="gitml/check", state=state, text="x" * 500, url="https://ci.example.com/1"
    )
    newest = there.project.statuses[made.head][-1]
    assert (newest.name, newest.state, newest.url) == ("gitml/check", state.value, "https://ci.example.com/1")


def test_reviews(there: World) -> None:
    made = opened(there)
    there.host("bob").approve(made.number, head=made.head, comment="fine")
    there.host("eve").reject(made.number, head=made.head, comment="not yet")
    approved, rejected = there.host().reviews(made.number)
    assert (approved.kind, approved.actor.login, approved.stands) == (
        ReviewKind.APPROVED,
        there.login("bob"),
        True,
    )
    assert (rejected.kind, rejected.actor.login, rejected.stands) == (
        ReviewKind.REJECTED,
        there.login("eve"),
        True,
    )
    assert approved.head in (made.head, None)
    assert approved.time.tzinfo is not None


def test_a_review_is_of_the_head_that_was_seen(there: World) -> None:
    made = opened(there)
    there.host("bob").approve(made.number, head=made.head, comment=None)
    moved = there.branch(made.branch, "production", other="text")
    assert there.host().get(made.number).head == moved
    for review in there.host().reviews(made.number):
        assert review.head == made.head or not review.stands


def test_reviews_page_by_page(there: World) -> None:
    made = opened(there)
    for number in range(5):
        user = there.double.forge.add_user(f"reviewer{number}", email=f"r{number}@example.com")
        there.project.review(user, made.number, Said.APPROVED)
    assert len(there.host(page_size=2).reviews(made.number)) == 5


def test_authors_are_opener_and_committers(there: World) -> None:
    there.branch("gitml/production/x", author="eve")
    made = there.host("bob").open(
        branch="gitml/production/x", target="production", title="T", body="", draft=False
    )
    assert {there.login("bob"), there.login("eve")} <= set(there.host().authors(made.number))
    assert there.login("ada") not in there.host().authors(made.number)


def test_asking(there: World) -> None:
    made, host = opened(there), there.host()
    if not host.capabilities.reviewers:
        pytest.skip("this forge cannot be asked for reviews")
    host.ask(made.number, [there.login("bob")])
    host.ask(made.number, [there.login("bob")])
    assert [one.login for one in there.project.get(made.number).reviewers] == ["bob"]
    with pytest.raises((InvalidInput, NotFound)):
        host.ask(made.number, ["nobody-of-that-name"])


def test_merging(there: World) -> None:
    made, host = opened(there), there.host()
    before = there.project.tip("production")
    done = host.merge(made.number, head=made.head, message="Merge it\n\nbecause")
    assert done.outcome is MergeOutcome.MERGED
    found = host.get(made.number)
    assert found.state is RequestState.MERGED and found.merged_commit == there.project.tip("production")
    parents = there.project.git("rev-parse", f"{found.merged_commit}^1", f"{found.merged_commit}^2").split()
    assert parents == [before, made.head]
    assert found.merged_by is not None and found.merged_by.login == there.login("ada")
    assert found.merged is not None and found.head == made.head
    assert there.project.git("log", "-1", "--format=%B", str(found.merged_commit)) == "Merge it\n\nbecause"
    assert [one.merged_commit for one in host.list(RequestState.MERGED, target="production")] == [
        found.merged_commit
    ]


def test_merging_again_is_merged(there: World) -> None:
    made, host = opened(there), there.host()
    host.merge(made.number, head=made.head, message="m")
    assert host.merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED


def test_a_head_that_moved_is_not_merged(there: World) -> None:
    made, before = opened(there), there.project.tip("production")
    there.branch(made.branch, "production", other="text")
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.STALE
    assert there.project.tip("production") == before


def test_the_forges_own_rules(there: World) -> None:
    made = opened(there)
    there.project.required_approvals = 1
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and done.said
    there.host("bob").approve(made.number, head=made.head, comment=None)
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED


def test_a_conflict_is_not_merged(there: World) -> None:
    there.branch("gitml/production/c", file="one")
    host = there.host()
    made = host.open(branch="gitml/production/c", target="production", title="T", body="", draft=False)
    there.branch("production", "main", file="two")
    assert host.merge(made.number, head=made.head, message="m").outcome is MergeOutcome.REFUSED


def test_merging_by_itself(there: World) -> None:
    made, host = opened(there), there.host()
    if not host.capabilities.auto_merge:
        pytest.skip("this forge does not merge by itself")
    there.project.required_approvals = 1
    host.merge_when_allowed(made.number, head=made.head)
    assert host.get(made.number).state is RequestState.OPEN
    there.host("bob").approve(made.number, head=made.head, comment=None)
    assert host.get(made.number).state is RequestState.MERGED


def test_closing(there: World) -> None:
    made, host = opened(there), there.host()
    host.close(made.number, "no longer wanted")
    host.close(made.number, "no longer wanted")
    assert host.get(made.number).state is RequestState.CLOSED
    bodies = [one.body for one in there.project.get(made.number).comments]
    assert sum("no longer wanted" in body for body in bodies) == 1
    again = opened(there)
    host.merge(again.number, head=again.head, message="m")
    with pytest.raises(Conflict):
        host.close(again.number, None)


def test_who_i_am(there: World) -> None:
    assert there.host("bob").me().login == there.login("bob")


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_no_such_request(there: World) -> None:
    with pytest.raises(NotFound):
        there.host().get(77)


def test_a_token_of_nobody(there: World) -> None:
    with pytest.raises(AccessDenied) as caught:
        there.host("nobody").get(1)
    assert "token-of-nobody" not in str(caught.value) + str(caught.value.hint)


def test_a_token_that_may_only_read(there: World) -> None:
    made = opened(there)
    there.user("bob").right = Right.READ
    host = there.host("bob")
    assert host.get(made.number).number == made.number
    with pytest.raises(AccessDenied) as caught:
        host.update(made.number, title="x", body="y")
    assert "all rights" in str(caught.value.hint)


def test_a_project_that_may_not_be_seen(there: World) -> None:
    there.user("bob").right = Right.NONE
    with pytest.raises((NotFound, AccessDenied)):
        there.host("bob").get(1)


EXPECTED = {401: AccessDenied, 403: AccessDenied, 404: NotFound, 410: NotFound, 409: Conflict, 412: Conflict,
            423: Conflict}  # fmt: skip


REFUSALS = sorted({*range(400, 500)} - {408, 425, 429})
OUTAGES = [408, 425, 429, *range(500, 600)]


def test_a_refusal_is_told_at_once(there: World) -> None:
    made, host = opened(there), there.host()
    for status in REFUSALS:
        there.double.faults.add(Fault(how=How.STATUS, status=status, times=1))
        with pytest.raises(EXPECTED.get(status, InvalidInput)) as caught:
            host.get(made.number)
        assert str(status) in caught.value.message and caught.value.hint
    assert there.watch.slept == []


def test_an_outage_of_a_read_is_ridden_out(there: World) -> None:
    made, host = opened(there), there.host()
    for status in OUTAGES:
        there.double.faults.add(Fault(how=How.STATUS, status=status, times=1))
        assert host.get(made.number).number == made.number
    assert len(there.watch.slept) == len(OUTAGES) and there.double.faults.left == 0


def test_an_answer_that_is_none_is_asked_for_again(there: World) -> None:
    made, host = opened(there), there.host()
    for how in (How.HTML, How.EMPTY, How.TRUNCATED, How.CUT):
        there.double.faults.add(Fault(how=how, times=1))
        assert host.get(made.number).head == made.head
        there.double.faults.add(Fault(how=how, times=1))
        assert [one.number for one in host.list(RequestState.OPEN)] == [made.number]


def test_an_outage_that_lasts_is_told(there: World) -> None:
    made, host = opened(there), there.host()
    for how in (How.HTML, How.EMPTY, How.TRUNCATED, How.CUT, How.STATUS, How.RATE_LIMIT):
        status = 503 if how is How.STATUS else 500
        there.double.faults.add(Fault(how=how, status=status, seconds=900, times=1000))
        with pytest.raises(StoreUnavailable) as caught:
            host.get(made.number)
        there.double.faults.clear()
        assert caught.value.exit_code == 7 and caught.value.hint


def test_a_slow_forge_is_waited_for_and_then_not(there: World) -> None:
    made, host = opened(there), there.host(timeout_s=1.0)
    there.double.faults.add(Fault(how=How.SLOW, seconds=3, times=1))
    assert host.get(made.number).number == made.number


def test_a_rate_limit_is_waited_out(there: World) -> None:
    made, host = opened(there), there.host()
    there.double.faults.add(Fault(how=How.RATE_LIMIT, seconds=30, times=1))
    assert host.get(made.number).number == made.number
    assert len(there.watch.slept) >= 1 and 29 <= sum(there.watch.slept) <= 40


WRITES = ["open", "comment", "approve", "reject", "merge", "close", "update", "status"]


def write(there: World, what: str, made: HostedRequest) -> None:
    host = there.host("bob")
    match what:
        case "open":
            there.host().open(
                branch="gitml/production/n", target="production", title="T", body="", draft=False
            )
        case "comment":
            host.comment(made.number, "gitml-check", "text")
        case "approve":
            host.approve(made.number, head=made.head, comment="yes")
        case "reject":
            host.reject(made.number, head=made.head, comment="no")
        case "merge":
            host.merge(made.number, head=made.head, message="m")
        case "close":
            host.close(made.number, "enough")
        case "update":
            host.update(made.number, title="Other", body="text")
        case "status":
            host.set_status(made.head, name="gitml/check", state=CheckState.PASSED, text="ok")


def traces(there: World, made: HostedRequest) -> dict[str, int]:
    """How often each kind of thing is there."""
    request = there.project.get(made.number)
    newest = {one.name for one in there.project.statuses.get(made.head, [])}
    return {
        "requests": len(there.project.requests),
        "comments": len({(one.user.login, one.body) for one in request.comments}) + 1000 * (
            len(request.comments) - len({(one.user.login, one.body) for one in request.comments})
        ),
        "reviews": len(there.project.standing(request)),
        "merges": int(there.project.git("rev-list", "--count", "--merges", "production")),
        "closed": int(request.closed is not None),
        "statuses": len(newest),
        "changed": int(request.title == "Other"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "how"),
    [
        *((what, how) for what in WRITES for how in (How.CUT, How.STATUS)),
        *((what, how) for what in ("open", "merge") for how in (How.HTML, How.TRUNCATED)),
    ],
)
def test_a_lost_reply_of_a_write_is_looked_up(there: World, what: str, how: How) -> None:
    """The effect is there once, whether the forge did it before the reply was lost or not at all."""
    for after_effect in (True, False):
        made = opened(there, f"gitml/production/{after_effect}".lower())
        there.branch("gitml/production/n", x=str(after_effect))
        before = traces(there, made)
        writes = "POST|PUT|PATCH"
        for method in writes.split("|"):
            there.double.faults.add(
                Fault(how=how, status=502, after_effect=after_effect, method=method, times=1)
            )
        write(there, what, made)
        there.double.faults.clear()
        after = traces(there, made)
        changed = {key: after[key] - before[key] for key in after if after[key] != before[key]}
        assert set(changed.values()) == {1}, changed
        if what == "open":
            break


def test_nobody_knows_where_nothing_answers_after_a_write(there: World) -> None:
    made, host = opened(there), there.host("bob")
    host.me()
    there.double.faults.add(Fault(how=How.CUT, after_effect=True, method="POST", times=1))
    there.double.faults.add(Fault(how=How.CUT, method="GET", times=1000, skip=0))
    with pytest.raises((OutcomeUnknown, StoreUnavailable)):
        host.comment(made.number, "gitml-check", "text")


def test_two_open_at_once(there: World) -> None:
    there.branch("gitml/production/x")
    found: list[HostedRequest | GitMLError] = []
    barrier = threading.Barrier(4)

    def one(login: str) -> None:
        host = there.host(login)
        barrier.wait()
        try:
            found.append(
                host.open(branch="gitml/production/x", target="production", title="T", body="", draft=False)
            )
        except GitMLError as error:
            found.append(error)

    threads = [threading.Thread(target=one, args=(login,)) for login in ("ada", "bob", "ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.number for one in found if isinstance(one, HostedRequest)] == [1, 1, 1, 1]
    assert len(there.project.requests) == 1


def test_two_merge_at_once(there: World) -> None:
    made = opened(there)
    outcomes: list[MergeOutcome] = []
    barrier = threading.Barrier(2)

    def one(login: str) -> None:
        host = there.host(login)
        barrier.wait()
        outcomes.append(host.merge(made.number, head=made.head, message="m").outcome)

    threads = [threading.Thread(target=one, args=(login,)) for login in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [MergeOutcome.MERGED, MergeOutcome.MERGED]
    assert there.project.git("rev-list", "--count", "--merges", "production") == "1"
