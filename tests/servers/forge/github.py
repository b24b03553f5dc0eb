"""GitHub's REST API, version 2022-11-28, as far as requests go; and the one GraphQL mutation that has no REST form.

Source: https://docs.github.com/en/rest. Calls are held against GitHub's own OpenAPI document where it is installed.
"""

from __future__ import annotations

import json
import time
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
    Why.EXISTS: 422,
    Why.STALE: 409,
    Why.CONFLICT: 405,
    Why.RULES: 405,
    Why.CLOSED: 405,
}
_SAID = {
    "APPROVE": Said.APPROVED,
    "REQUEST_CHANGES": Said.REJECTED,
    "COMMENT": Said.COMMENTED,
}
_NAMED = {Said.APPROVED: "APPROVED", Said.REJECTED: "CHANGES_REQUESTED", Said.COMMENTED: "COMMENTED"}
_REPO = r"/repos/(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_PULL = _REPO + r"/pulls/(?P<number>\d+)"
_ISSUE = _REPO + r"/issues/(?P<number>\d+)"
ROUTES: list[Route] = []


def _error(refusal: Refusal) -> Reply:
    message = {Why.NO_TOKEN: "Bad credentials", Why.NOT_FOUND: "Not Found"}.get(refusal.why, refusal.message)
    body: dict[str, Any] = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    if refusal.why in (Why.INVALID, Why.EXISTS):
        text = refusal.message
        if refusal.why is Why.EXISTS:
            text = "A pull request already exists for team:branch."
        body |= {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom",
                                                             "message": text}]}  # fmt: skip
    if refusal.why is Why.STALE and "base branch" in refusal.message:
        return Reply(
            status=405, body={"message": "Base branch was modified. Review and try the merge again."}
        )
    return Reply(status=_STATUS[refusal.why], body=body)


def _limited(seconds: float) -> Reply:
    reset = str(int(time.time() + seconds))
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset, "Retry-After": str(int(seconds))}
    return Reply(status=403, body={"message": "API rate limit exceeded for user ID 1."}, headers=headers)


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
    url = f"{call.base_url}/users/{user.login}"
    return {"login": user.login, "id": user.id, "node_id": f"U_{user.id}", "type": "User", "url": url,
            "html_url": url, "site_admin": False}  # fmt: skip


def _association(user: User) -> str:
    return "MEMBER" if user.right.value == "write" else "NONE"


def _url(call: Call, project: Project, rest: str) -> str:
    return f"{call.base_url}/repos/{project.name}{rest}"


def _pull(call: Call, project: Project, request: PullRequest, *, whole: bool = False) -> dict[str, Any]:
    owner = project.name.partition("/")[0]
    base = {"label": f"{owner}:{request.target}", "ref": request.target, "sha": project.base(request)}
    head = {"label": f"{owner}:{request.branch}", "ref": request.branch, "sha": project.head(request)}
    found: dict[str, Any] = {
        "url": _url(call, project, f"/pulls/{request.number}"),
        "id": request.id,
        "node_id": f"PR_{request.number}",
        "html_url": f"{call.base_url}/{project.name}/pull/{request.number}",
        "issue_url": _url(call, project, f"/issues/{request.number}"),
        "comments_url": _url(call, project, f"/issues/{request.number}/comments"),
        "number": request.number,
        "state": "open" if request.state is State.OPEN else "closed",
        "locked": False,
        "title": request.title,
        "user": _user(call, request.author),
        "body": request.body or None,
        "created_at": _time(request.opened),
        "updated_at": _time(request.updated),
        "closed_at": _time(request.closed),
        "merged_at": _time(request.merged),
        "merge_commit_sha": request.merged_commit,
        "draft": request.draft,
        "requested_reviewers": [_user(call, one) for one in request.reviewers],
        "head": head,
        "base": base,
        "author_association": _association(request.author),
        "auto_merge": None if request.auto_merge is None else {"merge_method": "merge"},
    }
    if whole:
        is_open = request.state is State.OPEN
        found |= {
            "merged": request.state is State.MERGED,
            "merged_by": _user(call, request.merged_by),
            "mergeable": project.can_merge(request) if is_open else None,
            "mergeable_state": "clean" if is_open else "unknown",
            "comments": len(request.comments),
            "commits": len(project.commits(project.base(request), project.head(request))) if is_open else 1,
        }
    return found


def _review(call: Call, project: Project, request: PullRequest, review: Review) -> dict[str, Any]:
    return {
        "id": review.id,
        "node_id": f"PRR_{review.id}",
        "user": _user(call, review.user),
        "body": review.body,
        "state": "DISMISSED" if review.dismissed else _NAMED[review.said],
        "html_url": f"{call.base_url}/{project.name}/pull/{request.number}#r{review.id}",
        "pull_request_url": _url(call, project, f"/pulls/{request.number}"),
        "submitted_at": _time(review.time),
        "commit_id": review.head,
        "author_association": _association(review.user),
    }


def _comment(call: Call, project: Project, request: PullRequest, comment: Comment) -> dict[str, Any]:
    return {
        "id": comment.id,
        "node_id": f"IC_{comment.id}",
        "url": _url(call, project, f"/issues/comments/{comment.id}"),
        "html_url": f"{call.base_url}/{project.name}/pull/{request.number}#c{comment.id}",
        "issue_url": _url(call, project, f"/issues/{request.number}"),
        "user": _user(call, comment.user),
        "body": comment.body,
        "created_at": _time(comment.created),
        "updated_at": _time(comment.updated),
        "author_association": _association(comment.user),
    }


def _commit(call: Call, project: Project, commit: CommitInfo) -> dict[str, Any]:
    when = _time(commit.time)
    author = {"name": commit.author_name, "email": commit.author_email, "date": when}
    committer = {"name": commit.committer_name, "email": commit.committer_email, "date": when}
    return {
        "sha": commit.oid,
        "url": _url(call, project, f"/commits/{commit.oid}"),
        "commit": {"author": author, "committer": committer, "message": commit.message},
        "author": _user(call, call.forge.user_of_email(commit.author_email)),
        "committer": _user(call, call.forge.user_of_email(commit.committer_email)),
        "parents": [{"sha": oid, "url": _url(call, project, f"/commits/{oid}")} for oid in commit.parents],
    }


def _list(call: Call, items: list[Any], translate: Any) -> Reply:
    number, size = call.number("page", 1), min(call.number("per_page", 30), 100)
    found, has_next = page(items, number, size)
    return Reply(body=[translate(one) for one in found], headers=link_pages(call, number, size, has_next))


@route(ROUTES, "GET", "/user")
def _me(call: Call, user: User) -> Reply:
    return Reply(body={**(_user(call, user) or {}), "name": user.name, "email": user.public_email})


@route(ROUTES, "GET", _REPO)
def _repository(call: Call, user: User) -> Reply:
    project = _project(call, user)
    owner, _, name = project.name.partition("/")
    return Reply(
        body={
            "id": project.id,
            "name": name,
            "full_name": project.name,
            "owner": {"login": owner, "id": 1},
            "url": _url(call, project, ""),
            "default_branch": project.default_branch,
        }
    )


@route(ROUTES, "GET", _REPO + "/pulls")
def _pulls(call: Call, user: User) -> Reply:
    project = _project(call, user)
    head = call.first("head")
    branch = head.partition(":")[2] if head and ":" in head else None  # without an owner GitHub ignores it
    wanted = call.first("state", "open")
    found = [
        one
        for one in project.find(branch=branch, target=call.first("base"))
        if wanted == "all" or (one.state is State.OPEN) == (wanted == "open")
    ]
    return _list(call, found, lambda one: _pull(call, project, one))


@route(ROUTES, "POST", _REPO + "/pulls")
def _open(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    request = project.open(
        user,
        branch=str(said.get("head", "")).rpartition(":")[2],
        target=said.get("base", ""),
        title=said.get("title", ""),
        body=said.get("body") or "",
        draft=bool(said.get("draft")),
    )
    return Reply(status=201, body=_pull(call, project, request, whole=True))


@route(ROUTES, "GET", _PULL)
def _get(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return Reply(body=_pull(call, project, request, whole=True))


@route(ROUTES, "PATCH", _PULL)
def _edit(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    said = call.json
    project.edit(user, request.number, title=said.get("title"), body=said.get("body"))
    if said.get("state") == "closed" and request.state is not State.MERGED:
        project.close(user, request.number)
    if said.get("state") == "open":
        project.reopen(user, request.number)
    return Reply(body=_pull(call, project, request, whole=True))


@route(ROUTES, "PUT", _PULL + "/merge")
def _merge(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    said = call.json
    title = said.get("commit_title") or f"Merge pull request #{request.number} from {request.branch}"
    commit = project.merge(
        user,
        request.number,
        head=said.get("sha"),
        message=f"{title}\n\n{said.get('commit_message', '')}".strip(),
        squash=said.get("merge_method") == "squash",
    )
    return Reply(body={"sha": commit, "merged": True, "message": "Pull Request successfully merged"})


@route(ROUTES, "GET", _PULL + "/commits")
def _commits(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    base = project.base(request)
    return _list(call, project.commits(base, project.head(request)), lambda one: _commit(call, project, one))


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
    if event is not Said.APPROVED and not said.get("body"):
        raise Refusal(Why.INVALID, "body is needed for REQUEST_CHANGES and COMMENT")
    review = project.review(
        user, request.number, event, head=said.get("commit_id"), body=said.get("body") or ""
    )
    return Reply(body=_review(call, project, request, review))


@route(ROUTES, "PUT", _PULL + r"/reviews/(?P<review>\d+)/dismissals")
def _dismiss(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    review = project.dismiss(request.number, int(call.found["review"]))
    return Reply(body=_review(call, project, request, review))


@route(ROUTES, "POST", _PULL + "/requested_reviewers")
def _ask(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    project.ask(user, request.number, call.json.get("reviewers", []))
    return Reply(status=201, body=_pull(call, project, request))


@route(ROUTES, "GET", _ISSUE + "/comments")
def _comments(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return _list(call, request.comments, lambda one: _comment(call, project, request, one))


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
    states = {"pending": "pending", "success": "passed", "failure": "failed", "error": "failed"}
    if said.get("state") not in states or len(said.get("description") or "") > 140:
        raise Refusal(Why.INVALID, "state is none, or the description has more than 140 characters")
    status = project.set_status(
        user,
        call.found["sha"],
        name=said.get("context", "default"),
        state=states[said["state"]],
        text=said.get("description") or "",
        url=said.get("target_url") or "",
    )
    return Reply(
        status=201,
        body={
            "id": status.id,
            "state": said["state"],
            "context": status.name,
            "description": status.text,
            "target_url": status.url or None,
            "creator": _user(call, user),
            "created_at": _time(status.created),
            "updated_at": _time(status.created),
            "url": _url(call, project, f"/statuses/{call.found['sha']}"),
        },
    )


@route(ROUTES, "POST", "/graphql")
def _graphql(call: Call, user: User) -> Reply:
    """`enablePullRequestAutoMerge`, which has no REST form."""
    said = json.loads(call.body)
    wanted = said["variables"]["input"]
    if "enablePullRequestAutoMerge" not in said["query"]:
        return Reply(body={"errors": [{"message": "this double knows one mutation"}]})
    number = int(wanted["pullRequestId"].removeprefix("PR_"))
    project = next(iter(call.forge.projects.values()))
    request = project.get(number)
    if wanted.get("expectedHeadOid") not in (None, project.head(request)):
        return Reply(body={"data": None, "errors": [{"message": "Head sha didn't match"}]})
    if project.why_not(request) is None:
        return Reply(
            body={"data": None, "errors": [{"message": "Pull request Pull request is in clean status"}]}
        )
    project.merge_when_allowed(user, number)
    return Reply(body={"data": {"enablePullRequestAutoMerge": {"actor": {"login": user.login}}}})


VENDOR = Vendor(
    routes=ROUTES,
    error=_error,
    fault=lambda status: {"message": f"Fault {status}", "documentation_url": "https://docs.github.com/rest"},
    rate_limited=_limited,
    complaint=lambda call: None if call.path == "/graphql" else openapi.complaint("github", call),
)
