"""Gitea's REST API, version 1, as far as requests go; Forgejo's is the same there.

Source: the document that each server has at `/swagger.v1.json`, and for statuses and messages `routers/api/v1/repo` and
`services/convert` of its source. Calls are held against the published document where it is installed. `vendor_state`
has under `gitea-checking` how many merges are told to come later.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import openapi  # noqa: TID252 - by either name of the package
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
    page,
)
from .routing import Call, Reply, Route, Vendor, link_pages, route  # noqa: TID252

_STATUS = {
    Why.NO_TOKEN: 401,
    Why.FORBIDDEN: 403,
    Why.NOT_FOUND: 404,
    Why.INVALID: 422,
    Why.EXISTS: 409,
    Why.STALE: 409,
    Why.CONFLICT: 405,
    Why.RULES: 405,
    Why.CLOSED: 404,
}
_SAID = {"APPROVED": Said.APPROVED, "REQUEST_CHANGES": Said.REJECTED, "COMMENT": Said.COMMENTED}
_NAMED = {said: name for name, said in _SAID.items()}
_STATES = {
    "pending": "pending",
    "success": "passed",
    "failure": "failed",
    "error": "failed",
    "warning": "failed",
}
_WIP = re.compile(r"(?:WIP:|\[WIP\])", re.IGNORECASE)
_REPO = r"/repos/(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_PULL = _REPO + r"/pulls/(?P<number>\d+)"
_ISSUE = _REPO + r"/issues/(?P<number>\d+)"
_MERGE_FIELDS = {
    "Do": "do",
    "MergeTitleField": "merge_title_field",
    "MergeMessageField": "merge_message_field",
}
_LATER_FIELDS = {"base_branch"}  # published since the document that a registry has
ROUTES: list[Route] = []


def _said(message: str) -> dict[str, Any]:
    return {"message": message, "url": "https://gitea.example.com/api/swagger"}


def _error(refusal: Refusal) -> Reply:
    message = refusal.message
    if refusal.why is Why.NOT_FOUND:
        return Reply(status=404, body={**_said("The target couldn't be found."), "errors": []})
    if refusal.why is Why.NO_TOKEN:
        message = "invalid username, password or token"
    if refusal.why is Why.EXISTS:
        message = f"pull request already exists for these targets [issue_id: {refusal.number}]"
    if refusal.why is Why.STALE:
        message = "merge push out of date" if "base branch" in message else "head out of date"
    if refusal.why is Why.CONFLICT:
        message = "Please try again later"
    return Reply(status=_STATUS[refusal.why], body=_said(message))


def _limited(seconds: float) -> Reply:
    """Gitea itself has no limits; what stands before it says so in the usual way."""
    return Reply(status=429, body=b"Too Many Requests", headers={"Retry-After": str(int(seconds))})


def _project(call: Call, user: User) -> Project:
    return call.forge.project(f"{call.found['owner']}/{call.found['repo']}", user)


def _pull_of(call: Call, user: User) -> tuple[Project, PullRequest]:
    project = _project(call, user)
    return project, project.get(int(call.found["number"]))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _user(call: Call, user: User | None) -> dict[str, Any] | None:
    if user is None:
        return None
    hidden = f"{user.login}@noreply.gitea.example.com"
    return {
        "id": user.id,
        "login": user.login,
        "login_name": "",
        "full_name": user.name,
        "email": user.public_email or hidden,
        "avatar_url": f"{call.base_url}/avatars/{user.id}",
        "language": "",
        "is_admin": False,
        "active": False,
        "created": "2020-01-01T00:00:00Z",
        "visibility": "public",
        "username": user.login,
    }


def _branch(call: Call, project: Project, name: str, ref: str, sha: str, repo_id: int) -> dict[str, Any]:
    owner, _, repo = project.name.partition("/")
    return {
        "label": name,
        "ref": ref,
        "sha": sha,
        "repo_id": repo_id,
        "repo": {
            "id": repo_id,
            "name": repo,
            "full_name": project.name,
            "owner": {"id": 1, "login": owner, "email": f"{owner}@noreply.gitea.example.com"},
            "default_branch": project.default_branch,
        },
    }


def _pull(call: Call, project: Project, request: PullRequest) -> dict[str, Any]:
    page_url = f"{call.base_url}/{project.name}/pulls/{request.number}"
    head, is_open = project.head(request), request.state is State.OPEN
    ref = request.branch if project.tip(request.branch) else f"refs/pull/{request.number}/head"
    base_sha = project.tip(request.target) or ""  # of a merged one too, the tip as it is now
    head_repo = project.id + 500 if request.from_fork else project.id
    return {
        "id": request.id,
        "url": page_url,
        "number": request.number,
        "user": _user(call, request.author),
        "title": request.title,
        "body": request.body,
        "labels": [],
        "milestone": None,
        "assignee": None,
        "assignees": None,
        "requested_reviewers": [_user(call, one) for one in request.reviewers],
        "state": "open" if is_open else "closed",
        "draft": request.draft,
        "is_locked": False,
        "comments": len(request.comments),
        "html_url": page_url,
        "diff_url": f"{page_url}.diff",
        "patch_url": f"{page_url}.patch",
        "mergeable": is_open and project.can_merge(request),
        "merged": request.state is State.MERGED,
        "merged_at": _time(request.merged),
        "merge_commit_sha": request.merged_commit,
        "merged_by": _user(call, request.merged_by),
        "allow_maintainer_edit": False,
        "base": _branch(call, project, request.target, request.target, base_sha, project.id),
        "head": _branch(call, project, request.branch, ref, head, head_repo),
        "merge_base": project.git("merge-base", project.base(request), head),
        "due_date": None,
        "created_at": _time(request.opened),
        "updated_at": _time(request.updated),
        "closed_at": _time(request.closed),
        "pin_order": 0,
    }


def _review(call: Call, project: Project, request: PullRequest, review: Review) -> dict[str, Any]:
    page_url = f"{call.base_url}/{project.name}/pulls/{request.number}"
    later = [
        one
        for one in request.reviews[request.reviews.index(review) + 1 :]
        if one.user is review.user and one.said is not Said.COMMENTED
    ]
    may_approve = review.user.right is Right.WRITE and review.said is not Said.COMMENTED
    return {
        "id": review.id,
        "user": _user(call, review.user),
        "team": None,
        "state": _NAMED[review.said],
        "body": review.body,
        "commit_id": review.head,
        "stale": review.head != project.head(request),
        "official": may_approve and not later,
        "dismissed": review.dismissed,
        "comments_count": 0,
        "submitted_at": _time(review.time),
        "updated_at": _time(review.time),
        "html_url": f"{page_url}#issuecomment-{review.id}",
        "pull_request_url": page_url,
    }


def _comment(call: Call, project: Project, request: PullRequest, comment: Comment) -> dict[str, Any]:
    page_url = f"{call.base_url}/{project.name}/pulls/{request.number}"
    return {
        "id": comment.id,
        "html_url": f"{page_url}#issuecomment-{comment.id}",
        "pull_request_url": page_url,
        "issue_url": "",
        "user": _user(call, comment.user),
        "original_author": "",
        "original_author_id": 0,
        "body": comment.body,
        "assets": [],
        "created_at": _time(comment.created),
        "updated_at": _time(comment.updated),
    }


def _commit(call: Call, project: Project, commit: CommitInfo) -> dict[str, Any]:
    url = f"{call.base_url}/repos/{project.name}/git/commits/"
    when = _time(commit.time)
    return {
        "url": url + commit.oid,
        "sha": commit.oid,
        "created": when,
        "html_url": f"{call.base_url}/{project.name}/commit/{commit.oid}",
        "commit": {
            "url": url + commit.oid,
            "author": {"name": commit.author_name, "email": commit.author_email, "date": when},
            "committer": {"name": commit.committer_name, "email": commit.committer_email, "date": when},
            "message": commit.message,
        },
        "author": _user(call, call.forge.user_of_email(commit.author_email)),
        "committer": _user(call, call.forge.user_of_email(commit.committer_email)),
        "parents": [{"url": url + oid, "sha": oid, "created": "0001-01-01T00:00:00Z"} for oid in commit.parents],
        "files": [],
        "stats": {"total": 0, "additions": 0, "deletions": 0},
    }  # fmt: skip


def _list(call: Call, items: list[Any], translate: Any) -> Reply:
    number, size = call.number("page", 1), min(call.number("limit", 30), 50)
    found, has_next = page(items, number, size)
    headers = {**link_pages(call, number, size, has_next), "X-Total-Count": str(len(items))}
    return Reply(body=[translate(one) for one in found], headers=headers)


@route(ROUTES, "GET", "/user")
def _me(call: Call, user: User) -> Reply:
    return Reply(body={**(_user(call, user) or {}), "email": user.email})


@route(ROUTES, "GET", _REPO)
def _repository(call: Call, user: User) -> Reply:
    project = _project(call, user)
    return Reply(body=_branch(call, project, "", "", "", project.id)["repo"])


@route(ROUTES, "GET", _REPO + "/pulls")
def _pulls(call: Call, user: User) -> Reply:
    project = _project(call, user)
    wanted = call.first("state", "open")
    found = [
        one
        for one in project.find(target=call.first("base_branch"))
        if wanted == "all" or (one.state is State.OPEN) == (wanted == "open")
    ]
    return _list(call, found, lambda one: _pull(call, project, one))


@route(ROUTES, "POST", _REPO + "/pulls")
def _open(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    title = said.get("title", "")
    branch, target = str(said.get("head", "")).rpartition(":")[2], said.get("base", "")
    if project.tip(branch) is None or project.tip(target) is None:
        raise Refusal(Why.NOT_FOUND, "no such branch")
    request = project.open(
        user,
        branch=branch,
        target=target,
        title=title,
        body=said.get("body") or "",
        draft=_WIP.match(title) is not None,
    )
    return Reply(status=201, body=_pull(call, project, request))


@route(ROUTES, "GET", _PULL)
def _get(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return Reply(body=_pull(call, project, request))


@route(ROUTES, "PATCH", _PULL)
def _edit(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    if user.right is not Right.WRITE and user is not request.author:
        return Reply(status=403)
    said = call.json
    title = said.get("title") or None
    project.edit(user, request.number, title=title, body=said.get("body"))
    request.draft = _WIP.match(request.title) is not None
    if said.get("state") is not None:
        if request.state is State.MERGED:
            text = "cannot change state of this pull request, it was already merged"
            return Reply(status=412, body=_said(text))
        if said["state"] == "closed":
            project.close(user, request.number)
        else:
            project.reopen(user, request.number)
    return Reply(status=201, body=_pull(call, project, request))


@route(ROUTES, "POST", _PULL + "/merge")
def _merge(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    # Newer servers name them in snake_case, and understand the old names too; Forgejo knows the old ones.
    said = {_MERGE_FIELDS.get(name, name): value for name, value in call.json.items()}
    if request.state is State.MERGED:
        return Reply(status=405, body=_said(""))
    if request.state is State.CLOSED:
        raise Refusal(Why.NOT_FOUND, "it is closed")
    if user.right is not Right.WRITE:
        return Reply(status=405, body=_said("User not allowed to merge PR"))
    if request.draft:
        return Reply(status=405, body=_said("Work in progress PRs cannot be merged"))
    checking = int(str(call.forge.vendor_state.get("gitea-checking", 0)))
    if checking:
        call.forge.vendor_state["gitea-checking"] = checking - 1
        return Reply(status=405, body=_said("Please try again later"))
    if said.get("merge_when_checks_succeed") and project.why_not(request) is not None:
        if request.auto_merge is not None:
            return Reply(status=409, body=_said("already scheduled to auto merge"))
        project.merge_when_allowed(user, request.number)
        return Reply(status=201)
    title = said.get("merge_title_field") or f"Merge pull request '{request.title}' (#{request.number})"
    project.merge(
        user,
        request.number,
        head=said.get("head_commit_id") or None,
        message=f"{title}\n\n{said.get('merge_message_field', '')}".strip(),
        squash=said["do"] == "squash",
    )
    return Reply(status=200)


@route(ROUTES, "GET", _PULL + "/commits")
def _commits(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    found = project.commits(project.base(request), project.head(request))
    return _list(call, found[::-1], lambda one: _commit(call, project, one))


@route(ROUTES, "GET", _PULL + "/reviews")
def _reviews(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return _list(call, request.reviews, lambda one: _review(call, project, request, one))


@route(ROUTES, "POST", _PULL + "/reviews")
def _say(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    said = call.json
    event = _SAID.get(said.get("event", ""))
    if event is None:
        raise Refusal(Why.INVALID, "this double has no pending reviews")
    if event is not Said.APPROVED and not (said.get("body") or "").strip():
        raise Refusal(Why.INVALID, f"review event {said['event']} requires a body")
    if user is request.author and event is not Said.COMMENTED:
        word = "approve" if event is Said.APPROVED else "reject"
        raise Refusal(Why.INVALID, f"{word} your own pull is not allowed")
    if request.state is not State.OPEN:
        raise Refusal(Why.INVALID, "can't submit review on a closed or merged PR")
    review = project.review(
        user, request.number, event, head=said.get("commit_id") or None, body=said.get("body") or ""
    )
    return Reply(body=_review(call, project, request, review))


@route(ROUTES, "POST", _PULL + "/requested_reviewers")
def _ask(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    logins = call.json.get("reviewers") or []
    for login in logins:
        if call.forge.user(login) is None:
            raise Refusal(Why.NOT_FOUND, f"User '{login}' not exist")
    new = [login for login in logins if login not in [one.login for one in request.reviewers]]
    project.ask(user, request.number, new)
    for review in request.reviews:  # who is asked again has said nothing yet
        review.dismissed = review.dismissed or review.user.login in new
    return Reply(status=201, body=[])


@route(ROUTES, "GET", _ISSUE + "/comments")
def _comments(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return Reply(body=[_comment(call, project, request, one) for one in request.comments])


@route(ROUTES, "POST", _ISSUE + "/comments")
def _add_comment(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    comment = project.comment(user, request.number, call.json["body"])
    return Reply(status=201, body=_comment(call, project, request, comment))


@route(ROUTES, "PATCH", _REPO + r"/issues/comments/(?P<comment>\d+)")
def _edit_comment(call: Call, user: User) -> Reply:
    project = _project(call, user)
    comment = project.edit_comment(user, int(call.found["comment"]), call.json["body"])
    return Reply(body=_comment(call, project, project.find_comment(comment.id)[0], comment))


@route(ROUTES, "POST", _REPO + r"/statuses/(?P<sha>[0-9a-f]{40,64})")
def _status(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    if said.get("state") not in _STATES:
        raise Refusal(Why.INVALID, "unknown CommitStatusState")
    status = project.set_status(
        user,
        call.found["sha"],
        name=said.get("context") or "default",
        state=_STATES[said["state"]],
        text=said.get("description") or "",
        url=said.get("target_url") or "",
    )
    return Reply(
        status=201,
        body={
            "id": status.id,
            "status": said["state"],
            "context": status.name,
            "description": status.text,
            "target_url": status.url,
            "creator": _user(call, user),
            "created_at": _time(status.created),
            "updated_at": _time(status.created),
            "url": f"{call.base_url}/repos/{project.name}/statuses/{call.found['sha']}",
        },
    )


def _complaint(call: Call) -> str | None:
    known = {name: value for name, value in call.query.items() if name not in _LATER_FIELDS}
    return openapi.complaint("gitea", replace(call, query=known))


VENDOR = Vendor(
    routes=ROUTES,
    error=_error,
    fault=lambda status: _said(f"Fault {status}"),
    rate_limited=_limited,
    complaint=_complaint,
)
