"""Azure DevOps' REST API, version 7.1, as far as requests go; the names of accounts are e-mail addresses.

Source: https://learn.microsoft.com/rest/api/azure/devops/git and Microsoft's own Python client, whose models the bodies
of calls are held against. Its own ways: a completion is queued and done by the second look at it; lists cut texts;
votes name no commit; paths do not mind case.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import azure_devops_client  # noqa: TID252 - by either name of the package
from .core import (  # noqa: TID252
    Comment,
    CommitInfo,
    Project,
    PullRequest,
    Refusal,
    Review,
    Right,
    Said,
    State,
    User,
    Why,
)
from .routing import Call, Reply, Route, Vendor, route  # noqa: TID252

_STATUS = {
    Why.NO_TOKEN: 401,
    Why.FORBIDDEN: 403,
    Why.NOT_FOUND: 404,
    Why.INVALID: 400,
    Why.EXISTS: 409,
    Why.STALE: 409,
    Why.CONFLICT: 409,
    Why.RULES: 403,
    Why.CLOSED: 409,
}
_SAYS = {
    Why.FORBIDDEN: (
        "GitNeedsPermissionException",
        "TF401027: You need the Git 'PullRequestContribute' permission to perform this action.",
    ),
    Why.NOT_FOUND: ("GitPullRequestNotFoundException", "TF401180: The requested pull request was not found."),
    Why.EXISTS: (
        "GitPullRequestExistsException",
        "TF401179: An active pull request for the source and target branch already exists.",
    ),
    Why.STALE: (
        "GitPullRequestStaleException",
        "TF401192: The source was modified since the pull request was last seen.",
    ),
}
_NAMED = {State.OPEN: "active", State.MERGED: "completed", State.CLOSED: "abandoned"}
_ORG = r"/(?P<org>[^/]+)"
_REPO = _ORG + r"/(?P<project>[^/]+)/_apis/git/repositories/(?P<repo>[^/]+)"
_PULLS = _REPO + r"/(?i:pullRequests)"
_PULL = _PULLS + r"/(?P<number>\d+)"
ROUTES: list[Route] = []


@dataclass
class _Completion:
    """A completion that waits to be done."""

    user: User
    head: str
    message: str
    squash: bool
    looks: int = 0


def _kept(call: Call, what: str) -> dict[Any, Any]:
    """What these routes keep: `completions` and `unmerged` by request, `votes` by review, `threads` by comment."""
    found = call.forge.vendor_state.setdefault(f"azure {what}", {})
    assert isinstance(found, dict)
    return found


def _error(refusal: Refusal) -> Reply:
    if refusal.why is Why.NO_TOKEN:
        page = b"<!DOCTYPE html><html><title>Azure DevOps Services | Sign In</title></html>"
        headers = {"Content-Type": "text/html; charset=utf-8"}
        if refusal.message == "sign in":
            return Reply(status=302, body=page, headers={**headers, "Location": "/_signin"})
        return Reply(status=401, body=page, headers=headers)
    key, message = _SAYS.get(refusal.why, ("InvalidArgumentValueException", refusal.message))
    return Reply(status=_STATUS[refusal.why], body=_exception(key, message))


def _exception(key: str, message: str) -> dict[str, Any]:
    name = f"Microsoft.TeamFoundation.Git.Server.{key}, Microsoft.TeamFoundation.Git.Server"
    return {"$id": "1", "innerException": None, "message": message, "typeName": name, "typeKey": key,
            "errorCode": 0, "eventId": 3000}  # fmt: skip


def _limited(seconds: float) -> Reply:
    message = (
        "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource."
    )
    headers = {"Retry-After": str(int(seconds)), "X-RateLimit-Remaining": "0"}
    return Reply(status=429, body=_exception("RequestBlockedException", message), headers=headers)


def _token(call: Call) -> str | None:
    """The token; whoever has none is led to a page to sign in, unless the call says not to."""
    token = call.token
    if (
        not any(user.token == token for user in call.forge.users)
        and call.headers.get("X-TFS-FedAuthRedirect") is None
    ):
        raise Refusal(Why.NO_TOKEN, "sign in")
    return token


def _project(call: Call, user: User) -> Project:
    return call.forge.project("/".join(call.found[name] for name in ("org", "project", "repo")), user)


def _pull_of(call: Call, user: User) -> tuple[Project, PullRequest]:
    project = _project(call, user)
    return project, project.get(int(call.found["number"]))


def _time(moment: datetime | None) -> str | None:
    """Seven digits of a second, as .NET counts."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _guid(kind: str, name: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{name}"))


def _unique(user: User) -> str:
    return user.email or user.login


def _user(call: Call, user: User) -> dict[str, Any]:
    found = _guid("user", user.id)
    url = f"{call.base_url}/_apis/Identities/{found}"
    return {"id": found, "displayName": user.name, "uniqueName": _unique(user), "url": url,
            "imageUrl": url, "descriptor": f"aad.{found}"}  # fmt: skip


def _vote(call: Call, review: Review) -> int:
    usual = {Said.APPROVED: 10, Said.REJECTED: -10, Said.COMMENTED: 0}[review.said]
    return int(_kept(call, "votes").get(review.id, usual))


def _reviewers(call: Call, project: Project, request: PullRequest) -> list[dict[str, Any]]:
    votes = {one.login: 0 for one in request.reviewers}
    votes |= {review.user.login: 0 for review in request.reviews}
    votes |= {review.user.login: _vote(call, review) for review in project.standing(request)}
    users = [one for one in call.forge.users if one.login in votes]
    return [{**_user(call, one), "vote": votes[one.login], "hasDeclined": False} for one in users]


def _pull(call: Call, project: Project, request: PullRequest, *, listed: bool = False) -> dict[str, Any]:
    org, name, repo = project.name.split("/")
    is_open = request.state is State.OPEN
    key = (project.name, request.number)
    if key in _kept(call, "completions"):
        status = "queued"
    else:
        status = "succeeded" if not is_open or project.can_merge(request) else "conflicts"
    status = _kept(call, "unmerged").get(key, status)
    url = f"{call.base_url}/{org}/_apis/git/repositories/{_guid('repo', project.id)}"
    found: dict[str, Any] = {
        "repository": {
            "id": _guid("repo", project.id),
            "name": repo,
            "url": url,
            "project": {"id": _guid("project", name), "name": name, "state": "wellFormed"},
        },
        "pullRequestId": request.number,
        "codeReviewId": request.number,
        "status": _NAMED[request.state],
        "createdBy": _user(call, request.author),
        "creationDate": _time(request.opened),
        "title": request.title,
        "sourceRefName": f"refs/heads/{request.branch}",
        "targetRefName": f"refs/heads/{request.target}",
        "mergeStatus": status,
        "isDraft": request.draft,
        "mergeId": _guid("merge", request.id),
        "lastMergeSourceCommit": {"commitId": project.head(request)},
        "lastMergeTargetCommit": {"commitId": project.base(request)},
        "reviewers": _reviewers(call, project, request),
        "url": f"{url}/pullRequests/{request.number}",
        "supportsIterations": True,
    }
    if request.body:  # an empty text is left out
        found["description"] = request.body[:400] if listed else request.body
    if request.merged_commit is not None:
        found["lastMergeCommit"] = {"commitId": request.merged_commit}
    if not is_open:
        found["closedDate"] = _time(request.closed)
        found["closedBy"] = _user(call, request.merged_by or request.author)
    if request.auto_merge is not None:
        found["autoCompleteSetBy"] = _user(call, request.auto_merge)
    return found


def _values(items: list[Any]) -> Reply:
    return Reply(body={"value": items, "count": len(items)})


def _page_of(call: Call, items: list[Any]) -> list[Any]:
    skip = call.number("$skip", 0)
    return items[skip : skip + call.number("$top", 101)]


# Who -------------------------------------------------------------------------------------------------------------------


@route(ROUTES, "GET", _ORG + r"/_apis/(?i:connectionData)")
def _me(call: Call, user: User) -> Reply:
    account = {"Account": {"$type": "System.String", "$value": _unique(user)}}
    identity = {"id": _guid("user", user.id), "descriptor": "d", "subjectDescriptor": "s",
                "providerDisplayName": user.name, "isActive": True, "properties": account}  # fmt: skip
    return Reply(
        body={"authenticatedUser": identity, "authorizedUser": identity, "instanceId": _guid("org", 1)}
    )


@route(ROUTES, "GET", _ORG + "/_apis/identities")
def _identities(call: Call, user: User) -> Reply:
    wanted = (call.first("filterValue") or "").casefold()
    found = []
    for one in call.forge.users:
        if wanted in (_unique(one).casefold(), one.name.casefold()):
            names = {name: {"$type": "System.String", "$value": _unique(one)} for name in ("Account", "Mail")}
            found.append({"id": _guid("user", one.id), "providerDisplayName": one.name, "properties": names})
    return _values(found)


# Requests --------------------------------------------------------------------------------------------------------------


@route(ROUTES, "GET", _PULLS)
def _pulls(call: Call, user: User) -> Reply:
    project = _project(call, user)
    wanted = call.first("searchCriteria.status", "active")
    names = {
        word: (call.first(f"searchCriteria.{word}RefName") or "").removeprefix("refs/heads/") or None
        for word in ("source", "target")
    }
    found = [
        one
        for one in project.find(branch=names["source"], target=names["target"])
        if wanted in ("all", _NAMED[one.state])
    ]
    return _values([_pull(call, project, one, listed=True) for one in _page_of(call, found)])


@route(ROUTES, "POST", _PULLS)
def _open(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    _check_texts(said)
    request = project.open(
        user,
        branch=said["sourceRefName"].removeprefix("refs/heads/"),
        target=said["targetRefName"].removeprefix("refs/heads/"),
        title=said.get("title", ""),
        body=said.get("description") or "",
        draft=bool(said.get("isDraft")),
    )
    return Reply(status=201, body=_pull(call, project, request))


def _check_texts(said: dict[str, Any]) -> None:
    if len(said.get("description") or "") > 4000 or len(said.get("title") or "") > 400:
        raise Refusal(Why.INVALID, "Invalid argument value.\r\nParameter name: The text is too long.")


@route(ROUTES, "GET", _PULL)
def _get(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    key = (project.name, request.number)
    waiting: _Completion | None = _kept(call, "completions").get(key)
    if waiting is not None:
        waiting.looks += 1
        if waiting.looks == 2:
            del _kept(call, "completions")[key]
            try:
                project.merge(
                    waiting.user,
                    request.number,
                    head=waiting.head,
                    message=waiting.message,
                    squash=waiting.squash,
                )
            except Refusal as refusal:
                says = {Why.CONFLICT: "conflicts", Why.RULES: "rejectedByPolicy"}
                _kept(call, "unmerged")[key] = says.get(refusal.why, "failure")
    return Reply(body=_pull(call, project, request))


@route(ROUTES, "PATCH", _PULL)
def _edit(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    said = call.json
    _check_texts(said)
    project.must(user, Right.WRITE)
    if request.state is State.MERGED:
        raise Refusal(Why.CLOSED, "TF401181: The pull request cannot be edited due to its state.")
    _kept(call, "unmerged").pop((project.name, request.number), None)
    match said.get("status"):
        case "abandoned":
            project.close(user, request.number)
        case "active":
            project.reopen(user, request.number)
        case "completed":
            _complete(call, project, request, user, said)
        case None:
            project.edit(user, request.number, title=said.get("title"), body=said.get("description"))
    if said.get("autoCompleteSetBy"):
        if said["autoCompleteSetBy"]["id"] != _guid("user", user.id):
            raise Refusal(Why.FORBIDDEN, "only for oneself")
        project.merge_when_allowed(user, request.number)
        if project.why_not(request) is None:
            project.merge(user, request.number)
    return Reply(body=_pull(call, project, request))


def _complete(call: Call, project: Project, request: PullRequest, user: User, said: dict[str, Any]) -> None:
    head = (said.get("lastMergeSourceCommit") or {}).get("commitId")
    if head is None:
        words = "You must specify a valid LastMergeSourceCommit to perform this operation."
        raise Refusal(Why.INVALID, f"Invalid argument value.\r\nParameter name: {words}")
    if head != project.head(request):
        raise Refusal(Why.STALE, "")
    options = said.get("completionOptions") or {}
    completion = _Completion(
        user=user,
        head=head,
        message=options.get("mergeCommitMessage") or "",
        squash=options.get("mergeStrategy", "noFastForward") == "squash",
    )
    _kept(call, "completions").setdefault((project.name, request.number), completion)


# What people say -------------------------------------------------------------------------------------------------------


@route(ROUTES, "GET", _PULL + "/reviewers")
def _get_reviewers(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return _values(_reviewers(call, project, request))


@route(ROUTES, "PUT", _PULL + r"/reviewers/(?P<id>[0-9a-f-]+)")
def _vote_or_ask(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    who = next((one for one in call.forge.users if _guid("user", one.id) == call.found["id"]), None)
    vote = call.json.get("vote", 0)
    if who is None or vote not in (10, 5, 0, -5, -10):
        raise Refusal(Why.INVALID, "Invalid argument value.\r\nParameter name: reviewer or vote")
    if vote == 0 and who is user and request.reviews:
        project.withdraw(user, request.number)
    elif vote == 0:
        project.ask(user, request.number, [who.login])
    elif who is not user:
        raise Refusal(Why.FORBIDDEN, "TF401186: You cannot record a vote for someone else.")
    else:
        said = Said.APPROVED if vote > 0 else Said.REJECTED
        standing = [_vote(call, one) for one in project.standing(request) if one.user is user]
        if standing != [vote]:  # the same vote again is not noted, whatever was pushed since
            review = project.review(user, request.number, said)
            _kept(call, "votes")[review.id] = vote
    return Reply(body={**_user(call, who), "vote": vote})


def _system_thread(call: Call, review: Review) -> dict[str, Any]:
    """The note of a vote."""

    def text(value: str) -> dict[str, str]:
        return {"$type": "System.String", "$value": value}

    vote = str(_vote(call, review))
    said = {"id": 1, "parentCommentId": 0, "author": _user(call, review.user), "content": f"{review.user.name} voted {vote}",
            "commentType": "system", "publishedDate": _time(review.time)}  # fmt: skip
    return {
        "id": review.id,
        "publishedDate": _time(review.time),
        "lastUpdatedDate": _time(review.time),
        "comments": [said],
        "properties": {
            "CodeReviewThreadType": text("VoteUpdate"),
            "CodeReviewVotedByInitiatorIdentity": text("1"),
            "CodeReviewVotedByIdentity": text("1"),
            "CodeReviewVoteResult": text(vote),
        },
        "identities": {"1": _user(call, review.user)},
        "isDeleted": False,
    }


def _thread(call: Call, comment: Comment) -> dict[str, Any]:
    return {
        "id": comment.id,
        "publishedDate": _time(comment.created),
        "lastUpdatedDate": _time(comment.updated),
        "comments": [_comment(call, comment)],
        "status": _kept(call, "threads").get(comment.id, "active"),
        "properties": {},
        "identities": None,
        "isDeleted": False,
    }


def _comment(call: Call, comment: Comment) -> dict[str, Any]:
    return {"id": 1, "parentCommentId": 0, "author": _user(call, comment.user), "content": comment.body,
            "publishedDate": _time(comment.created), "lastUpdatedDate": _time(comment.updated),
            "commentType": "text"}  # fmt: skip


@route(ROUTES, "GET", _PULL + "/threads")
def _threads(call: Call, user: User) -> Reply:
    request = _pull_of(call, user)[1]
    notes = [_system_thread(call, one) for one in request.reviews if one.said is not Said.COMMENTED]
    return _values(notes + [_thread(call, one) for one in request.comments])


@route(ROUTES, "POST", _PULL + "/threads")
def _add_thread(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    (said,) = call.json["comments"]
    if len(said["content"]) > 150_000:
        raise Refusal(Why.INVALID, "The comment is too long.")
    comment = project.comment(user, request.number, said["content"])
    _kept(call, "threads")[comment.id] = call.json.get("status", "active")
    return Reply(body=_thread(call, comment))


@route(ROUTES, "PATCH", _PULL + r"/threads/(?P<thread>\d+)/comments/(?P<comment>\d+)")
def _edit_comment(call: Call, user: User) -> Reply:
    project = _project(call, user)
    comment = project.find_comment(int(call.found["thread"]))[1]
    if comment.user is not user:
        raise Refusal(Why.FORBIDDEN, "only its author changes a comment")
    return Reply(body=_comment(call, project.edit_comment(user, comment.id, call.json["content"])))


@route(ROUTES, "GET", _PULL + "/iterations")
def _iterations(call: Call, user: User) -> Reply:
    request = _pull_of(call, user)[1]
    return _values(
        [
            {"id": number, "author": _user(call, request.author), "createdDate": _time(since),
             "updatedDate": _time(since), "sourceRefCommit": {"commitId": commit},
             "reason": "create" if number == 1 else "push"}
            for number, (since, commit) in enumerate(request.heads, 1)
        ]
    )  # fmt: skip


@route(ROUTES, "GET", _PULL + "/commits")
def _commits(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    found = project.commits(project.base(request), project.head(request))[::-1]
    size, start = call.number("$top", 100), call.number("continuationToken", 0)
    reply = _values([_commit(one) for one in found[start : start + size]])
    if len(found) > start + size:
        reply.headers["x-ms-continuationtoken"] = str(start + size)
    return reply


def _commit(commit: CommitInfo) -> dict[str, Any]:
    when = _time(commit.time)
    return {
        "commitId": commit.oid,
        "author": {"name": commit.author_name, "email": commit.author_email, "date": when},
        "committer": {"name": commit.committer_name, "email": commit.committer_email, "date": when},
        "comment": commit.message,
    }


@route(ROUTES, "POST", _REPO + r"/commits/(?P<sha>[0-9a-f]{40})/statuses")
def _status(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    states = {"pending": "pending", "succeeded": "passed", "failed": "failed", "error": "failed"}
    if said.get("state") not in states or not said["context"].get("name"):
        raise Refusal(Why.INVALID, "Invalid argument value.\r\nParameter name: status")
    context = said["context"]
    status = project.set_status(
        user,
        call.found["sha"],
        name=f"{context['genre']}/{context['name']}" if context.get("genre") else context["name"],
        state=states[said["state"]],
        text=said.get("description") or "",
        url=said.get("targetUrl") or "",
    )
    body = {"id": status.id, **said, "creationDate": _time(status.created), "createdBy": _user(call, user)}
    return Reply(status=201, body=body)


@route(ROUTES, "GET", _ORG + "/_apis/ResourceAreas")
def _areas(call: Call, user: User) -> Reply:
    """Hosts of other parts of the service; a server of one's own has none."""
    return _values([])


@route(ROUTES, "OPTIONS", _ORG + "/_apis")
def _locations(call: Call, user: User) -> Reply:
    """Where resources are: what a client that is made from the API's own list asks first."""
    return _values(azure_devops_client.locations())


VENDOR = Vendor(
    routes=ROUTES,
    error=_error,
    fault=lambda status: _exception("Fault", f"Fault {status}"),
    rate_limited=_limited,
    token=_token,
    complaint=azure_devops_client.complaint,
)
