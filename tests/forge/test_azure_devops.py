"""What is Azure DevOps' own: addresses, tokens, votes that name no commit, completions that are queued, short texts."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.forge.core import Said
from servers.forge.faults import Fault, How
from support.forges import World, world

from gitml.errors import AccessDenied, Conflict, InvalidInput, OutcomeUnknown, StoreUnavailable
from gitml.forge.access import Token, place_of
from gitml.forge.azure_devops import AzureDevOpsHost
from gitml.forge.azure_devops_calls import authorization, identities_url, names_of
from gitml.forge.azure_devops_replies import reviews_of, time_of
from gitml.forge.base import RequestState, ReviewKind
from gitml.forge.hosting import HostedRequest, MergeOutcome
from gitml.forge.vendors import VENDORS


@pytest.fixture
def there(tmp_path: Path) -> Iterator[World]:
    with world("azure_devops", tmp_path) as found:
        yield found
        assert found.double.complaints == []


def opened(there: World, body: str = "") -> HostedRequest:
    there.branch("feature")
    return there.host().open(branch="feature", target="production", title="T", body=body, draft=False)


@pytest.mark.parametrize(
    ("remote", "api_url", "names"),
    [
        ("https://dev.azure.com/org/project/_git/repo", "https://dev.azure.com", ("org", "project", "repo")),
        ("https://org@dev.azure.com/org/My%20Project/_git/repo", "https://dev.azure.com",
         ("org", "My Project", "repo")),
        ("https://dev.azure.com/org/_git/repo", "https://dev.azure.com", ("org", "repo", "repo")),
        ("git@ssh.dev.azure.com:v3/org/project/repo", "https://dev.azure.com", ("org", "project", "repo")),
        ("org@vs-ssh.visualstudio.com:v3/org/project/repo", "https://dev.azure.com", ("org", "project", "repo")),
        ("https://org.visualstudio.com/project/_git/repo", "https://org.visualstudio.com", ("project", "repo")),
        ("https://org.visualstudio.com/_git/repo", "https://org.visualstudio.com", ("repo", "repo")),
        ("https://org.visualstudio.com/DefaultCollection/project/_git/repo", "https://org.visualstudio.com",
         ("DefaultCollection", "project", "repo")),
        ("https://tfs.example.com/tfs/Main/project/_git/repo", "https://tfs.example.com",
         ("tfs", "Main", "project", "repo")),
    ],
)  # fmt: skip
def test_remotes(remote: str, api_url: str, names: tuple[str, ...]) -> None:
    place = place_of(remote)
    assert place is not None and VENDORS["azure_devops"].api_url(place) == api_url
    organisation, project, repository = names_of(place, api_url)
    assert (*organisation, project, repository) == names


def test_a_collection_that_the_configuration_names_is_not_named_twice() -> None:
    place = place_of("https://tfs.example.com/tfs/Main/project/_git/repo")
    assert place is not None
    assert names_of(place, "https://tfs.example.com/tfs/Main") == ((), "project", "repo")


@pytest.mark.parametrize("remote", ["https://dev.azure.com/org", "git@ssh.dev.azure.com:v3"])
def test_remotes_that_name_no_repository(remote: str) -> None:
    place = place_of(remote)
    assert place is not None
    with pytest.raises(InvalidInput) as caught:
        names_of(place, "https://dev.azure.com")
    assert caught.value.code == "forge-remote"


def test_identities_are_asked_for_at_microsofts_own_hosts() -> None:
    assert identities_url("https://dev.azure.com") == "https://vssps.dev.azure.com"
    assert identities_url("https://org.visualstudio.com") == "https://org.vssps.visualstudio.com"
    assert identities_url("https://tfs.example.com/tfs/Main") == "https://tfs.example.com/tfs/Main"


def test_how_a_token_is_shown() -> None:
    password = "Basic " + base64.b64encode(b":secret").decode()
    assert authorization(Token(value="secret", source="AZURE_DEVOPS_EXT_PAT", user="ada")) == password
    assert authorization(Token(value="secret", source="SYSTEM_ACCESSTOKEN")) == "Bearer secret"
    assert authorization(Token(value="eyJ0.eyJz.sig", source="GITML_FORGE_TOKEN")) == "Bearer eyJ0.eyJz.sig"


def test_a_token_that_is_not_valid_is_not_led_to_sign_in(there: World) -> None:
    with pytest.raises(AccessDenied) as caught:
        there.host("nobody").get(1)
    assert "does not know this token" in caught.value.message
    assert {one.status for one in there.double.log} == {401}


def test_a_long_text_is_found_whole_in_a_list(there: World) -> None:
    body = "x" * 3000 + "\n\n<!-- gitml-request {} -->"
    made = opened(there, body)
    assert [one.body for one in there.host().list(RequestState.OPEN)] == [body]
    with pytest.raises(InvalidInput):
        there.host().update(made.number, title="T", body="x" * 4001)


@pytest.mark.parametrize(("vote", "kind"), [(5, ReviewKind.APPROVED), (-5, ReviewKind.REJECTED)])
def test_votes_in_between(there: World, vote: int, kind: ReviewKind) -> None:
    made, bob = opened(there), there.host("bob")
    assert isinstance(bob, AzureDevOpsHost)
    bob._vote(made.number, made.head, vote)
    assert [(one.kind, one.stands, one.head) for one in bob.reviews(made.number)] == [(kind, True, made.head)]


def test_a_vote_that_is_taken_back_or_changed(there: World) -> None:
    made, bob = opened(there), there.host("bob")
    bob.reject(made.number, head=made.head, comment="no")
    bob.approve(made.number, head=made.head, comment=None)
    assert [(one.kind, one.stands) for one in bob.reviews(made.number)] == [
        (ReviewKind.REJECTED, False), (ReviewKind.APPROVED, True),
    ]  # fmt: skip
    there.project.withdraw(there.user("bob"), made.number)
    assert not any(one.stands for one in bob.reviews(made.number))


def test_a_head_that_moved_is_not_voted_on(there: World) -> None:
    made = opened(there)
    there.branch("feature", "production", other="text")
    with pytest.raises(Conflict):
        there.host("bob").approve(made.number, head=made.head, comment=None)
    assert there.project.get(made.number).reviews == []


PULL = {
    "lastMergeSourceCommit": {"commitId": "h1"},
    "creationDate": "2026-01-01T00:00:00Z",
    "reviewers": [{"id": "b", "uniqueName": "bob@example.com", "vote": 10}],
}
PUSHES = [{"createdDate": "2026-01-01T00:00:00.1234567Z", "sourceRefCommit": {"commitId": "h1"}}]


def note(kind: str = "system", author: str = "B", *, is_group: bool = False) -> dict[str, Any]:
    said = {"CodeReviewThreadType": "VoteUpdate", "CodeReviewVotedByTfId": "b", "CodeReviewVoteResult": "10"}
    return {
        "publishedDate": "2026-01-02T00:00:00Z",
        "comments": [{"commentType": kind, "author": {"id": author, "isContainer": is_group}}],
        "properties": {key: {"$type": "System.String", "$value": value} for key, value in said.items()},
    }


@pytest.mark.parametrize(
    "own", [note(), note(author="00000002-0000-8888-8000-000000000000"), note(author="x", is_group=True)]
)
def test_notes_in_the_voters_name_and_in_azures_own_tell_of_votes(own: dict[str, Any]) -> None:
    assert [(one.stands, one.head) for one in reviews_of(PULL, [own], PUSHES)] == [(True, "h1")]


@pytest.mark.parametrize("forged", [note("text"), note(author="mallory"), note("text", "mallory")])
def test_notes_that_somebody_else_wrote_tell_of_nothing(forged: dict[str, Any]) -> None:
    """Else an author could push after an approval, and date the approval anew."""
    (found,) = reviews_of(PULL, [forged], PUSHES)
    assert (found.kind, found.stands) == (ReviewKind.APPROVED, False) and "which commit" in found.why_not


def test_a_rejection_that_nothing_tells_of_counts() -> None:
    pull = PULL | {
        "reviewers": [
            {"id": "b", "uniqueName": "bob", "vote": -10},
            {"id": "g", "isContainer": True, "vote": 10},
        ]
    }
    assert [(one.kind, one.stands) for one in reviews_of(pull, [], PUSHES)] == [(ReviewKind.REJECTED, True)]


def test_times_have_seven_digits() -> None:
    assert time_of("2016-11-01T16:30:31.6655471Z").microsecond == 665547
    assert time_of("2016-11-01T16:30:32.74Z").microsecond == 740000
    assert time_of("2016-11-01T16:30:32").utcoffset() is not None


def test_a_completion_is_waited_for(there: World) -> None:
    made = opened(there)
    assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.MERGED
    assert there.watch.slept and sum(there.watch.slept) < 5


def test_policies_refuse_a_completion_later(there: World) -> None:
    made = opened(there)
    there.project.required_approvals = 1
    done = there.host().merge(made.number, head=made.head, message="m")
    assert done.outcome is MergeOutcome.REFUSED and "policies" in done.said


@pytest.mark.parametrize("status", ["queued", "succeeded"])
def test_a_completion_that_never_ends(there: World, status: str) -> None:
    made = opened(there)
    there.double.forge.vendor_state |= {"azure unmerged": Stuck(status), "azure completions": Never()}
    if status == "queued":
        with pytest.raises(OutcomeUnknown) as caught:
            there.host().merge(made.number, head=made.head, message="m")
        assert caught.value.exit_code == 8
    else:
        assert there.host().merge(made.number, head=made.head, message="m").outcome is MergeOutcome.REFUSED
    assert sum(there.watch.slept) < 125


class Stuck(dict[Any, Any]):
    """A merge status that stays."""

    def __init__(self, status: str) -> None:
        super().__init__()
        self.status = status

    def get(self, *_: Any) -> str:
        return self.status


class Never(dict[Any, Any]):
    """Completions that nobody does."""

    def setdefault(self, *_: Any) -> None:
        return None


def test_a_note_does_not_block_and_a_rejection_does(there: World) -> None:
    made = opened(there)
    there.host("bob").reject(made.number, head=made.head, comment="no")
    there.host().comment(made.number, "gitml-check", "text")
    states = there.double.forge.vendor_state["azure threads"]
    assert isinstance(states, dict) and sorted(states.values()) == ["active", "closed"]


def test_a_marker_that_somebody_copied(there: World) -> None:
    made = opened(there)
    there.project.comment(there.user("bob"), made.number, "mine\n\n<!-- gitml-check -->")
    there.host().comment(made.number, "gitml-check", "text")
    assert len(there.project.get(made.number).comments) == 2


def test_pushers_and_addresses_are_authors(there: World) -> None:
    made = opened(there)
    there.project.review(there.user("bob"), made.number, Said.APPROVED)
    assert there.host().authors(made.number) == ("ada@example.com",)


def test_commits_are_read_page_by_page(there: World) -> None:
    tip = there.branch("feature")
    for login in ("eve", "bob", "eve"):
        tip = there.branch("feature", tip, author=login, file=f"{login} {tip}")
    host = there.host(page_size=2)
    made = host.open(branch="feature", target="production", title="T", body="", draft=False)
    assert set(host.authors(made.number)) == {"ada@example.com", "bob@example.com", "eve@example.com"}
    assert [one.path.rpartition("/")[2] for one in there.double.log].count("commits") == 2


def test_an_outage_of_identities_is_told(there: World) -> None:
    made = opened(there)
    there.double.faults.add(Fault(how=How.STATUS, status=503, path="identities", times=1000))
    with pytest.raises(StoreUnavailable):
        there.host().ask(made.number, ["bob@example.com"])
