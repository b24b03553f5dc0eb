"""What is GitHub's own: outsiders' reviews, limits of texts, merges by itself, and replies that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.forge.core import Right
from servers.forge.faults import Fault, How
from support.forges import World, world

from gitml.errors import AccessDenied, InvalidInput, PolicyRefused, StoreUnavailable
from gitml.forge.hosting import CheckState, HostedRequest


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world("github", tmp_path) as found:
        yield found


def opened(there: World) -> HostedRequest:
    there.branch("feature")
    return there.host().open(branch="feature", target="production", title="T", body="", draft=False)


def test_an_outsiders_review_does_not_stand(there: World) -> None:
    made = opened(there)
    there.user("eve").right = Right.READ
    there.host("eve").approve(made.number, head=made.head, comment=None)
    (review,) = there.host().reviews(made.number)
    assert not review.stands and "no member" in review.why_not


def test_a_dismissed_review_does_not_stand(there: World) -> None:
    made = opened(there)
    there.host("bob").reject(made.number, head=made.head, comment="no")
    there.project.dismiss(made.number, there.project.get(made.number).reviews[0].id)
    assert [review.stands for review in there.host().reviews(made.number)] == [False]


def test_a_comment_is_no_review(there: World) -> None:
    made = opened(there)
    there.host().close(made.number, "enough")
    assert there.host().reviews(made.number) == ()


def test_a_status_text_is_cut(there: World) -> None:
    made = opened(there)
    there.host().set_status(made.head, name="n", state=CheckState.FAILED, text="é" * 300)
    assert len(there.project.statuses[made.head][0].text) == 140


def test_nothing_to_wait_for_is_said(there: World) -> None:
    made = opened(there)
    with pytest.raises(PolicyRefused) as caught:
        there.host().merge_when_allowed(made.number, head=made.head)
    assert "clean status" in caught.value.message and f"pr merge {made.number}" in str(caught.value.hint)


def test_what_cannot_be_opened_says_why(there: World) -> None:
    with pytest.raises(InvalidInput) as caught:
        there.host().open(branch="none", target="production", title="T", body="", draft=False)
    assert "no branch none" in caught.value.message


def test_a_secondary_limit_is_waited_out(there: World) -> None:
    made, host = opened(there), there.host()
    there.double.faults.add(Fault(how=How.STATUS, status=403, headers={"Retry-After": "11"}))
    assert host.get(made.number).number == made.number
    assert there.watch.slept == [11.0]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_reply_that_leads_elsewhere_takes_no_token_there(there: World, status: int, tmp_path: Path) -> None:
    made, host = opened(there), there.host()
    elsewhere = there.double.origin.replace("127.0.0.1", "localhost") + "/github/user"
    there.double.faults.add(Fault(how=How.STATUS, status=status, headers={"Location": elsewhere}, times=1000))
    before = len(there.double.log)
    with pytest.raises((StoreUnavailable, AccessDenied)):
        host.get(made.number)
    there.double.faults.clear()
    assert all(one.headers["Host"].startswith("127.0.0.1") for one in there.double.log[before:])


def test_every_call_says_who_and_which_program(there: World) -> None:
    there.double.log.clear()
    opened(there)
    assert {one.headers["User-Agent"] for one in there.double.log} == {"gitml"}
    assert {one.headers["Authorization"] for one in there.double.log} == {"token token-of-ada"}
