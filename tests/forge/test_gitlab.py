"""What is GitLab's own: texts that it would carry out, approvals without a head, tokens of jobs, sub-groups, one reviewer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.forge.core import Right, Said
from servers.forge.faults import Fault, How
from support.forges import Watch, World, world

from gitml.errors import AccessDenied, Conflict, InvalidInput, NotFound, PolicyRefused, StoreUnavailable
from gitml.forge import gitlab
from gitml.forge.access import Access, Place, Token
from gitml.forge.base import RequestState
from gitml.forge.gitlab_text import shown, without_draft, written
from gitml.forge.hosting import CheckState, HostedRequest, MergeOutcome
from gitml.forge.patience import Patience, Words


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world("gitlab", tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World, *, draft: bool = False, body: str = "") -> HostedRequest:
    there.branch("feature")
    return there.host().open(branch="feature", target="production", title="T", body=body, draft=draft)


def access(there: World, **options: Any) -> Access:
    words = Words(forge="GitLab (double)", rights="all rights", token="GITML_FORGE_TOKEN")
    watch = Watch()
    made = Access(
        api_url=f"{there.api_url}/api/v4",
        place=Place(host="127.0.0.1", path=there.project.name),
        token=Token(value="token-of-ada", source="GITLAB_TOKEN"),
        patience=Patience(words, sleep=watch.sleep, clock=watch.clock, wall=watch.clock),
    )
    return replace(made, **options)


# Texts ---------------------------------------------------------------------------------------------------------------


@given(st.text(alphabet="/\\ \n\tab"))
def test_a_text_comes_back_and_commands_nothing(text: str) -> None:
    sent = written(text)
    assert shown(sent) == text
    assert not [line for line in sent.split("\n") if line.lstrip().startswith("/")]


def test_a_text_without_commands_stays_as_it_is() -> None:
    text = "a/b\n- /not first\n\\n\n<!-- x -->\n"
    assert written(text) == shown(text) == text


@pytest.mark.parametrize(
    ("title", "shown_title"),
    [("Draft: T", "T"), ("[draft] T", "T"), ("(Draft)T", "T"), ("draft of T", "draft of T"), ("T", "T")],
)
def test_the_title_of_a_draft(title: str, shown_title: str) -> None:
    assert without_draft(title) == shown_title


def test_nothing_that_is_said_is_carried_out(there: World) -> None:
    body = "/merge\n  /approve now\nrest"
    made = opened(there, body=body)
    host = there.host()
    assert made.body == body and host.get(made.number).body == body
    assert host.update(made.number, title="T", body="/close").body == "/close"
    host.comment(made.number, "gitml-check", "/label ~x")
    host.comment(made.number, "gitml-check", "/label ~x")
    there.host("bob").approve(made.number, head=made.head, comment="/merge")
    host.close(made.number, "/reopen")
    assert [one.body.partition("\n")[0] for one in there.project.get(made.number).comments] == [
        "\\/label ~x", "\\/merge", "\\/reopen",
    ]  # fmt: skip


def test_a_draft_is_told_by_its_title_and_stays_one(there: World) -> None:
    made = opened(there, draft=True)
    assert there.project.get(made.number).title == "Draft: T" and made.title == "T" and made.draft
    changed = there.host().update(made.number, title="Better", body="text")
    assert (changed.title, changed.draft, there.project.get(made.number).title) == (
        "Better", True, "Draft: Better",
    )  # fmt: skip
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "draft status" in done.said


# Reviews -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_undated", [False, True], ids=["dated", "by-note"])
def test_an_approval_is_of_the_head_that_was_there(there: World, is_undated: bool) -> None:
    made, bob = opened(there), there.host("bob")
    there.double.forge.vendor_state["gitlab-undated"] = is_undated
    bob.approve(made.number, head=made.head, comment=None)
    moved = there.branch("feature", "production", other="text")
    assert bob.get(made.number).head == moved
    assert [(one.head, one.stands) for one in bob.reviews(made.number)] == [(made.head, True)]
    bob.approve(made.number, head=moved, comment=None)
    assert [(one.head, one.stands) for one in bob.reviews(made.number)] == [(moved, True)]


def test_a_head_that_comes_back_is_to_be_approved_again(there: World) -> None:
    made, bob = opened(there), there.host("bob")
    bob.approve(made.number, head=made.head, comment=None)
    for tip in (there.branch("feature", "production", other="text"), made.head):
        there.project.git("update-ref", "refs/heads/feature", tip)
        assert bob.get(made.number).head == tip
    # It is the same commit; who approved it then saw what is there now.
    assert [one.head for one in bob.reviews(made.number)] == [made.head]
    there.project.get(made.number).reviews.clear()
    there.project.git("update-ref", "refs/heads/feature", there.branch("else", "production", more="text"))
    assert bob.get(made.number).head != made.head
    bob.approve(made.number, head=bob.get(made.number).head, comment=None)
    there.project.git("update-ref", "refs/heads/feature", made.head)
    assert bob.get(made.number).head == made.head
    assert [one.head == made.head for one in bob.reviews(made.number)] == [False]


def test_an_approval_that_nothing_dates_does_not_stand(there: World) -> None:
    made = opened(there)
    there.double.forge.vendor_state["gitlab-undated"] = True
    there.host("bob").approve(made.number, head=made.head, comment=None)
    request = there.project.get(made.number)
    request.heads.clear()
    (review,) = there.host().reviews(made.number)
    assert not review.stands and review.head == "" and "does not tell when" in review.why_not


def test_approving_another_head_than_is_there_is_a_conflict(there: World) -> None:
    made = opened(there)
    there.branch("feature", "production", other="text")
    with pytest.raises(Conflict):
        there.host("bob").approve(made.number, head=made.head, comment=None)
    with pytest.raises(Conflict):
        there.host("bob").reject(made.number, head=made.head, comment="no")


def test_who_may_not_approve_is_told_so(there: World) -> None:
    made = opened(there)
    with pytest.raises(AccessDenied) as caught:
        there.host().approve(made.number, head=made.head, comment=None)
    assert caught.value.code == "forge-forbidden"
    there.user("bob").right = Right.READ
    with pytest.raises(AccessDenied) as caught:
        there.host("bob").merge(made.number, head=made.head, message="m")
    assert caught.value.code == "forge-forbidden"


def test_a_rejection_makes_a_reviewer_and_an_approval_takes_it_back(there: World) -> None:
    made, bob = opened(there), there.host("bob")
    there.host().ask(made.number, ["eve"])
    bob.reject(made.number, head=made.head, comment="not yet")
    assert [one.login for one in there.project.get(made.number).reviewers] == ["eve", "bob"]
    assert [(one.kind.value, one.head) for one in bob.reviews(made.number)] == [("rejected", made.head)]
    bob.approve(made.number, head=made.head, comment=None)
    assert [one.kind.value for one in bob.reviews(made.number)] == ["approved"]


def test_an_undated_rejection_holds_up(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(there)
    there.project.review(there.user("eve"), made.number, Said.REJECTED)
    monkeypatch.setattr("gitml.forge.gitlab_replies._REJECTED", "in other words")
    (review,) = there.host().reviews(made.number)
    assert review.stands and review.head == made.head


def test_a_licence_is_needed_for_two_reviewers(there: World) -> None:
    made, host = opened(there), there.host()
    there.double.forge.vendor_state["gitlab-free"] = True
    host.ask(made.number, ["bob"])
    with pytest.raises(InvalidInput, match="keeps one reviewer"):
        host.ask(made.number, ["eve"])
    with pytest.raises(NotFound, match="no user team"):
        host.ask(made.number, ["team/vision"])


def test_authors_are_asked_for_page_by_page(there: World) -> None:
    there.double.forge.vendor_state["gitlab-graphql-page"] = 1
    there.branch("one", "main", "eve", a="1")
    there.branch("feature", "one", "bob", b="2")
    made = there.host().open(branch="feature", target="production", title="T", body="", draft=False)
    there.branch("production", "main", c="3")
    assert there.host().authors(made.number) == ("ada", "bob", "eve")


# Merging -------------------------------------------------------------------------------------------------------------


def test_a_merge_that_it_is_not_ready_for_is_tried_again(there: World) -> None:
    made = opened(there)
    there.double.forge.vendor_state["gitlab-busy"] = 99
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "checking" in done.said
    there.watch.slept.clear()
    there.double.forge.vendor_state["gitlab-busy"] = 2
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED
    assert len(there.watch.slept) == 2


def test_a_merge_that_failed_comes_with_status_200(there: World) -> None:
    made = opened(there)
    there.double.forge.vendor_state["gitlab-merge-error"] = "pre-receive hook declined"
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and done.said == "pre-receive hook declined"


def test_a_project_without_merge_commits_is_refused_before(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, before = opened(there), there.project.tip("production")
    there.project.squash_only = True
    assert there.host().merge(made.number, head=made.head, message="m").said == "the project squashes"
    monkeypatch.setattr(
        "gitml.forge.gitlab_calls.Calls.settings", lambda _: {"merge_method": "ff", "squash_option": "never"}
    )
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "fast-forward" in done.said
    assert there.project.tip("production") == before


def test_what_is_merged_without_a_merge_commit_is_its_head(there: World) -> None:
    made = opened(there)
    there.host().merge(made.number, head=made.head, message="m")
    there.project.get(made.number).merged_commit = None
    assert there.host().get(made.number).merged_commit == made.head


def test_nothing_to_wait_for_is_said(there: World) -> None:
    made = opened(there)
    with pytest.raises(PolicyRefused) as caught:
        there.host().merge_when_allowed(made.number, head=made.head)
    assert f"pr merge {made.number}" in str(caught.value.hint)
    there.project.required_approvals = 1
    with pytest.raises(Conflict):
        there.host().merge_when_allowed(made.number, head="0" * 40)
    there.host().merge_when_allowed(made.number, head=made.head)
    there.host().merge_when_allowed(made.number, head=made.head)
    assert there.host().get(made.number).state is RequestState.OPEN


def test_a_check_that_is_pending_already_stays_so(there: World) -> None:
    made, host = opened(there), there.host()
    for _ in range(2):
        host.set_status(made.head, name="n", state=CheckState.PENDING, text="é" * 300)
    assert [len(one.text) for one in there.project.statuses[made.head]] == [255]


# Where and who -------------------------------------------------------------------------------------------------------


def test_a_project_in_sub_groups(there: World) -> None:
    project = there.double.forge.add_project("team/models/vision/registry", there.project.bare)
    there.branch("feature")
    host = gitlab.open_host(access(there, place=Place(host="127.0.0.1", path=project.name)))
    made = host.open(branch="feature", target="production", title="T", body="", draft=False)
    assert len(project.requests) == 1 and host.authors(made.number) == ("ada",)
    host.merge(made.number, head=made.head, message="m")
    assert any("team%2Fmodels%2Fvision%2Fregistry" in one.path for one in there.double.log)


def test_a_gitlab_below_a_path_of_its_host(there: World) -> None:
    made = opened(there)
    host = gitlab.open_host(access(there, place=Place(host="127.0.0.1", path=f"gitlab/{there.project.name}")))
    assert host.get(made.number).number == made.number
    with pytest.raises(InvalidInput, match="GROUP/PROJECT"):
        gitlab.open_host(access(there, place=Place(host="127.0.0.1", path="gitlab/registry")))


def test_what_others_left_hides_no_request(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a commit, and one whose merge the forge does not tell the time of."""
    from servers.forge import gitlab as routes

    first = opened(there)
    there.host().merge(first.number, head=first.head, message="m")
    there.branch("other", "production", other="text")
    headless = there.host().open(branch="other", target="production", title="T", body="", draft=False)
    told = routes._mr

    def tell(call: Any, project: Any, request: Any, **rest: Any) -> Any:
        found = told(call, project, request, **rest)
        found["sha"] = None if request.number == headless.number else found["sha"]
        return found | {"merged_at": None}

    monkeypatch.setattr(routes, "_mr", tell)
    assert [(one.number, one.merged) for one in there.host().list()] == [(first.number, None)]


def test_a_forks_branch_of_the_same_name_is_another(there: World) -> None:
    made = opened(there)
    there.project.get(made.number).from_fork = True
    assert list(there.host().list(branch="feature")) == []
    assert [one.number for one in there.host().list()] == [made.number]


@pytest.mark.parametrize(
    ("token", "header"),
    [
        (Token(value="token-of-ada", source="GITLAB_TOKEN"), ("PRIVATE-TOKEN", "token-of-ada")),
        (Token(value="token-of-ada", source="git's credential helper", user="ada"),
         ("PRIVATE-TOKEN", "token-of-ada")),
        (Token(value="token-of-ada", source="git's credential helper", user="oauth2"),
         ("Authorization", "Bearer token-of-ada")),
        (Token(value="token-of-ada", source="CI_JOB_TOKEN"), ("JOB-TOKEN", "token-of-ada")),
    ],
    ids=["own", "helper", "oauth", "job"],
)  # fmt: skip
def test_each_kind_of_token_has_its_header(there: World, token: Token, header: tuple[str, str]) -> None:
    there.double.forge.vendor_state["gitlab-job"] = True
    there.double.log.clear()
    assert gitlab.open_host(access(there, token=token)).me().login == "ada"
    kinds = {"PRIVATE-TOKEN", "JOB-TOKEN", "Authorization"}
    for one in there.double.log:
        assert {name: value for name, value in one.headers.items() if name in kinds} == dict([header])
        assert one.headers["User-Agent"] == "gitml"


@pytest.mark.parametrize("token", [Token(value="token-of-ada", source="CI_JOB_TOKEN"),
                                   Token(value="glcbt-64_x", source="GITML_FORGE_TOKEN")])  # fmt: skip
def test_a_jobs_token_that_may_not_is_no_token(there: World, token: Token) -> None:
    """`check` goes on without approvals then, as without any token."""
    with pytest.raises(AccessDenied) as caught:
        gitlab.open_host(access(there, token=token))
    assert caught.value.code == "no-forge-token" and "GITLAB_TOKEN" in str(caught.value.hint)


# Replies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_reply_that_leads_elsewhere_takes_no_token_there(there: World, status: int) -> None:
    made, host = opened(there), there.host()
    elsewhere = there.double.origin.replace("127.0.0.1", "localhost") + "/gitlab/api/v4/user"
    there.double.faults.add(Fault(how=How.STATUS, status=status, headers={"Location": elsewhere}, times=1000))
    before = len(there.double.log)
    with pytest.raises(StoreUnavailable, match="another host"):
        host.get(made.number)
    there.double.faults.clear()
    assert all(one.headers["Host"].startswith("127.0.0.1") for one in there.double.log[before:])


def test_a_write_that_is_led_elsewhere_is_no_read(there: World) -> None:
    made, host = opened(there), there.host()
    here = f"{there.api_url}/api/v4/user"
    there.double.faults.add(
        Fault(how=How.STATUS, status=302, headers={"Location": here}, method="PUT", times=1000)
    )
    with pytest.raises(StoreUnavailable):
        host.update(made.number, title="x", body="")
    there.double.faults.clear()


def test_how_long_a_limit_lasts_is_heard(there: World) -> None:
    made, host = opened(there), there.host()
    there.double.faults.add(Fault(how=How.STATUS, status=429, headers={"Retry-After": "11"}))
    assert host.get(made.number).number == made.number
    assert there.watch.slept == [11.0]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"3", b'{"iid": "1"}', b"null", b'{"iid": 1, "state": []}'])
def test_json_of_another_form_is_no_answer(
    there: World, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from servers.forge import gitlab as routes
    from servers.forge.routing import Reply

    made = opened(there)
    monkeypatch.setattr(routes, "_mr", lambda *_, **__: body)
    monkeypatch.setattr(routes, "_list", lambda *_: Reply(body=body))
    with pytest.raises(StoreUnavailable):
        there.host().get(made.number)
    if body != b"[]":
        with pytest.raises(StoreUnavailable):
            list(there.host().list())


def test_what_graphql_refuses_is_told(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = opened(there)
    monkeypatch.setattr(gitlab, "_AUTHORS", "query { nothing }")
    with pytest.raises(InvalidInput, match="one query and one mutation"):
        there.host().authors(made.number)
