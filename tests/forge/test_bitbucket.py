"""What is Bitbucket's own: who is who, what is hidden, merges that no head guards, and that Data Center is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.forge.faults import Fault, How
from support.forges import World, world

from gitml.errors import Conflict, InvalidInput, OutcomeUnknown, PolicyRefused, UsageError
from gitml.forge.access import Access, Token, place_of
from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.bitbucket import open_host
from gitml.forge.bitbucket_replies import authorization, hidden, reviews_of, shown
from gitml.forge.hosted_text import read_body, write_body
from gitml.forge.hosting import CheckState, HostedRequest, MergeOutcome
from gitml.forge.patience import Patience, Words
from gitml.forge.vendors import VENDORS


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world("bitbucket", tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World, branch: str = "feature") -> HostedRequest:
    there.branch(branch)
    return there.host().open(branch=branch, target="production", title="T", body="B", draft=False)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (Token(value="secret", source="x"), "Bearer secret"),
        (Token(value="secret", source="x", user="x-token-auth"), "Bearer secret"),
        (Token(value="secret", source="x", user="ada"), "Basic ada:secret"),
        (Token(value="ada@example.com:secret", source="x"), "Basic ada@example.com:secret"),
    ],
)
def test_how_a_token_is_shown(token: Token, said: str) -> None:
    kind, _, value = authorization(token).partition(" ")
    assert f"{kind} {base64.b64decode(value).decode() if kind == 'Basic' else value}" == said


def test_data_center_is_refused() -> None:
    place = place_of("https://bitbucket.example.com/scm/team/registry.git")
    assert place is not None
    words = Words(forge="Bitbucket", rights="all", token="x")
    access = Access(
        api_url=VENDORS["bitbucket"].api_url(place),
        place=place,
        token=Token(value="x", source="x"),
        patience=Patience(words),
    )
    with pytest.raises(UsageError) as caught:
        open_host(access)
    assert "Data Center" in caught.value.message and caught.value.exit_code == 2


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20),
)
def test_what_is_hidden_comes_back(body: str, source: str) -> None:
    text = write_body(body, source, ["models/x@1", "a(b)"])
    if "[//]" not in text and "\\u00" not in body:
        assert read_body(shown(hidden(text))) == read_body(text)


def test_people_see_no_comments(there: World) -> None:
    made = opened(there)
    there.host().update(made.number, title="T", body=write_body("What moves", "main", ["models/a(b)@1"]))
    raw = there.project.get(made.number).body
    assert "<!--" not in raw and raw.splitlines()[-1].startswith("[//]: # (gitml-request {")
    assert read_body(there.host().get(made.number).body) == ("What moves", "main", ("models/a(b)@1",))


def test_names_of_branches_in_filters(there: World) -> None:
    odd = 'odd"name'
    made = opened(there, odd)
    opened(there)
    assert [one.number for one in there.host().list(RequestState.OPEN, branch=odd)] == [made.number]


def test_commits_have_all_of_their_digits(there: World) -> None:
    made = opened(there)
    assert (len(made.head), len(made.base or "")) == (40, 40)
    before = len(there.double.log)
    host = there.host()
    for _ in range(3):
        host.get(made.number)
    commits = [one for one in there.double.log[before:] if "/commit/" in one.path]
    assert len(commits) == 2, "what a commit is called never changes"


def test_merged_requests_do_not_cost_a_call_each(there: World) -> None:
    host = there.host()
    for number in range(6):
        made = opened(there, f"feature{number}")
        host.merge(made.number, head=made.head, message="m")
    before = len(there.double.log)
    found = list(there.host().list(RequestState.MERGED, target="production"))
    assert [one.number for one in found] == [6, 5, 4, 3, 2, 1]
    assert all(len(one.head) == len(one.merged_commit or "") == 40 for one in found)
    assert len(there.double.log) - before == 2


def test_merged_requests_are_found_where_history_is_not(there: World) -> None:
    made = opened(there)
    there.host().merge(made.number, head=made.head, message="m")
    there.double.faults.add(Fault(how=How.STATUS, status=404, path="/commits/"))
    (found,) = there.host().list(RequestState.MERGED, target="production")
    assert (found.head, found.merged_commit) == (made.head, there.project.tip("production"))


def test_an_approval_without_a_record_does_not_count() -> None:
    user = {"account_id": "1", "display_name": "Bob"}
    pull: dict[str, Any] = {"source": {"commit": {"hash": "h1"}}, "created_on": "2026-01-01T00:00:00+00:00"}
    for state, kind in (("approved", ReviewKind.APPROVED), ("changes_requested", ReviewKind.REJECTED)):
        pull["participants"] = [{"user": user, "state": state}]
        (found,) = reviews_of(pull, [], lambda name: {"hash": name})
        assert (found.kind, found.stands) == (kind, kind is ReviewKind.REJECTED)


def test_reviewers_survive_an_update(there: World) -> None:
    made, host = opened(there), there.host()
    host.ask(made.number, ["557058:bob"])
    host.update(made.number, title="Other", body="B")
    host.ask(made.number, ["557058:eve"])
    assert [one.login for one in there.project.get(made.number).reviewers] == ["bob", "eve"]
    with pytest.raises(InvalidInput):
        host.ask(made.number, ["bob"])


@pytest.mark.parametrize("at", ["before", "within"])
def test_a_head_that_moves_in_the_moment_of_the_merge(
    there: World, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    made = opened(there)
    merge = there.project.merge

    def late(*arguments: Any, **more: Any) -> Any:
        there.branch("feature", "production", other="text")
        return merge(*arguments, **more)

    if at == "before":
        there.branch("feature", "production", other="text")
        assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.STALE
        return
    monkeypatch.setattr(there.project, "merge", late)
    with pytest.raises(Conflict) as caught:
        there.host().merge(made.number, head=made.head, message="m")
    assert caught.value.code == "merged-another-head" and made.head[:12] in caught.value.message


@pytest.mark.parametrize("refuses", [False, True])
def test_a_merge_that_takes_its_time(there: World, refuses: bool) -> None:
    made = opened(there)
    there.double.forge.vendor_state["bitbucket"] = {"slow": True}
    there.project.required_approvals = int(refuses)
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is (MergeOutcome.REFUSED if refuses else MergeOutcome.MERGED)
    assert bool(done.said) is refuses
    assert there.watch.slept


def test_a_merge_that_never_ends(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(there)
    there.double.forge.vendor_state["bitbucket"] = {"slow": True, "never": True}
    with pytest.raises(OutcomeUnknown) as caught:
        there.host().merge(made.number, head=made.head, message="m")
    assert caught.value.exit_code == 8 and sum(there.watch.slept) < 65


def test_a_merge_that_timed_out_is_looked_for(there: World) -> None:
    made = opened(there)
    there.double.faults.add(Fault(how=How.STATUS, status=555, after_effect=True, path="/merge$"))
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED


def test_it_does_not_merge_by_itself(there: World) -> None:
    made = opened(there)
    with pytest.raises(PolicyRefused) as caught:
        there.host().merge_when_allowed(made.number, head=made.head)
    assert "pr merge" in str(caught.value.hint)


def test_a_status_leads_somewhere(there: World) -> None:
    made = opened(there)
    there.host().set_status(made.head, name="gitml/check", state=CheckState.PENDING, text="t")
    assert (
        there.project.statuses[made.head][0].url == f"https://bitbucket.org/team/registry/commits/{made.head}"
    )
