"""Bitbucket Cloud's REST API, version 2.0, as far as requests go; accounts are known by identifiers, not by names.

Source: https://developer.atlassian.com/cloud/bitbucket/rest and the document that is published there. Its own ways:
commits have twelve digits in requests; lists hold no participants; a request that is opened again is changed; approving
twice is refused; a merge may answer later.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from . import openapi  # noqa: TID252 - by either name of the package
from .core import (  # noqa: TID252
    Comment,
    CommitInfo,
    Project,
    PullRequest,
    Refusal,
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
    Why.EXISTS: 400,
    Why.STALE: 409,
    Why.CONFLICT: 400,
    Why.RULES: 400,
    Why.CLOSED: 400,
}
_SAYS = {
    Why.NO_TOKEN: "Token is invalid, expired, or not supported for this endpoint.",
    Why.FORBIDDEN: "Your credentials lack one or more required privilege scopes.",
    Why.CONFLICT: "You can't merge until you resolve all merge conflicts.",
    Why.CLOSED: "This pull request is already closed.",
}
_STATES = {State.OPEN: "OPEN", State.MERGED: "MERGED", State.CLOSED: "DECLINED"}
_VOTES = {Said.APPROVED: "approved", Said.REJECTED: "changes_requested"}
_ROOT = "/2.0"
_REPO = _ROOT + r"/repositories/(?P<owner>[^/]+)/(?P<repo>[^/]+)"
_PULLS = _REPO + "/pullrequests"
_PULL = _PULLS + r"/(?P<number>\d+)"
ROUTES: list[Route] = []


def _error(refusal: Refusal) -> Reply:
    message = _SAYS.get(refusal.why, refusal.message)
    return Reply(status=_STATUS[refusal.why], body={"type": "error", "error": {"message": message}})


def _limited(seconds: float) -> Reply:
    message = "Rate limit for this resource has been exceeded"
    return Reply(
        status=429,
        body={"type": "error", "error": {"message": message}},
        headers={"Retry-After": str(int(seconds))},
    )


def _project(call: Call, user: User) -> Project:
    return call.forge.project(f"{call.found['owner']}/{call.found['repo']}", user)


def _pull_of(call: Call, user: User) -> tuple[Project, PullRequest]:
    project = _project(call, user)
    return project, project.get(int(call.found["number"]))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _account_id(user: User) -> str:
    return f"557058:{user.login}"


def _uuid(user: User) -> str:
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, user.login)) + "}"


def _user(user: User) -> dict[str, Any]:
    return {"type": "user", "display_name": user.name, "nickname": user.login, "uuid": _uuid(user),
            "account_id": _account_id(user), "links": {}}  # fmt: skip


def _url(call: Call, project: Project, rest: str) -> str:
    return f"{call.base_url}{_ROOT}/repositories/{project.name}{rest}"


def _end(project: Project, branch: str, commit: str) -> dict[str, Any]:
    return {
        "branch": {"name": branch},
        "commit": {"type": "commit", "hash": commit[:12]},
        "repository": {"type": "repository", "full_name": project.name},
    }


def _participants(project: Project, request: PullRequest) -> list[dict[str, Any]]:
    """People, with what their word is now."""
    said = {review.user.login: review for review in project.standing(request)}
    everyone = [
        *request.reviewers,
        *(one.user for one in request.reviews),
        *(one.user for one in request.comments),
    ]
    found = []
    for user in {one.login: one for one in everyone}.values():
        review = said.get(user.login)
        found.append(
            {
                "type": "participant",
                "user": _user(user),
                "role": "REVIEWER" if user in request.reviewers else "PARTICIPANT",
                "approved": review is not None and review.said is Said.APPROVED,
                "state": _VOTES[review.said] if review is not None else None,
                "participated_on": _time(review.time) if review is not None else None,
            }
        )
    return found


def _pull(call: Call, project: Project, request: PullRequest, *, whole: bool = False) -> dict[str, Any]:
    own = f"/pullrequests/{request.number}"
    links = {"self": {"href": _url(call, project, own)}}
    links["html"] = {"href": f"https://bitbucket.org/{project.name}/pull-requests/{request.number}"}
    merged = request.merged_commit
    found: dict[str, Any] = {
        "type": "pullrequest",
        "id": request.number,
        "title": request.title,
        "description": request.body,
        "state": _STATES[request.state],
        "draft": request.draft,
        "author": _user(request.author),
        "source": _end(project, request.branch, project.head(request)),
        "destination": _end(project, request.target, project.base(request)),
        "merge_commit": None if merged is None else {"type": "commit", "hash": merged[:12]},
        "close_source_branch": False,
        "closed_by": None if request.merged_by is None else _user(request.merged_by),
        "reason": "",
        "comment_count": len(request.comments),
        "task_count": 0,
        "created_on": _time(request.opened),
        "updated_on": _time(request.updated),
        "links": links,
    }
    if whole:  # not in lists
        found["reviewers"] = [_user(one) for one in request.reviewers]
        found["participants"] = _participants(project, request)
    return found


def _page(call: Call, items: Sequence[Any], *, most: int = 50, by: str = "page") -> Reply:
    """One page, with the address of the next one."""
    size = call.number("pagelen", 10)
    if not 1 <= size <= most:
        raise Refusal(Why.INVALID, "Invalid pagelen")
    number = call.number(by, 1)
    body: dict[str, Any] = {"values": list(items[(number - 1) * size : number * size]), "pagelen": size}
    if by == "page":
        body |= {"page": number, "size": len(items)}
    if len(items) > number * size:
        query = {**call.query, by: [str(number + 1)]}
        body["next"] = f"{call.base_url}{call.path}?{urlencode(query, doseq=True)}"
    return Reply(body=body)


@route(ROUTES, "GET", _ROOT + "/user")
def _me(call: Call, user: User) -> Reply:
    return Reply(body={**_user(user), "username": user.login})


@route(ROUTES, "GET", _ROOT + r"/workspaces/(?P<owner>[^/]+)")
def _workspace(call: Call, user: User) -> Reply:
    names = {"self": "workspaces", "repositories": "repositories"}
    links = {
        name: {"href": f"{call.base_url}{_ROOT}/{kind}/{call.found['owner']}"} for name, kind in names.items()
    }
    return Reply(body={"type": "workspace", "slug": call.found["owner"], "uuid": "{1}", "links": links})


@route(ROUTES, "GET", _REPO)
def _repository(call: Call, user: User) -> Reply:
    project = _project(call, user)
    links = {
        "self": {"href": _url(call, project, "")},
        "pullrequests": {"href": _url(call, project, "/pullrequests")},
    }
    return Reply(
        body={"type": "repository", "full_name": project.name, "name": call.found["repo"],
              "slug": call.found["repo"], "uuid": "{2}", "links": links}
    )  # fmt: skip


# Requests --------------------------------------------------------------------------------------------------------------


@route(ROUTES, "GET", _PULLS + "/?")
def _pulls(call: Call, user: User) -> Reply:
    project = _project(call, user)
    states = call.query.get("state", ["OPEN"])
    if set(states) - {"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}:
        raise Refusal(Why.INVALID, "Invalid state")
    wanted = _filter(call.first("q") or "")
    found = [
        one
        for one in project.find(branch=wanted.get("source"), target=wanted.get("destination"))
        if _STATES[one.state] in states
    ]
    if call.first("sort") not in (None, "-id"):
        raise Refusal(Why.INVALID, "this double sorts by -id")
    return _page(call, [_pull(call, project, one) for one in found])


def _filter(text: str) -> dict[str, str]:
    """Names of branches that a filter wants."""
    found = {}
    term = re.compile(r'(source|destination)\.branch\.name = "((?:[^"\\]|\\.)*)"(?: AND |$)')
    while text:
        match = term.match(text)
        if match is None:
            raise Refusal(Why.INVALID, f"Invalid query: {text}")
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
        text = text[match.end() :]
    return found


@route(ROUTES, "POST", _PULLS + "/?")
def _open(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    branch = said["source"]["branch"]["name"]
    target = (said.get("destination") or {}).get("branch", {}).get("name", project.default_branch)
    title, body = said.get("title", ""), said.get("description") or ""
    if len(body) > 32_768:
        raise Refusal(Why.INVALID, "description: Ensure this value has at most 32768 characters")
    for one in project.find(state=State.OPEN, branch=branch, target=target):
        request = project.edit(user, one.number, title=title, body=body)
        break
    else:
        request = project.open(
            user, branch=branch, target=target, title=title, body=body, draft=bool(said.get("draft"))
        )
        request.reviewers = _reviewers(call, said.get("reviewers") or [])
    return Reply(status=201, body=_pull(call, project, request, whole=True))


def _reviewers(call: Call, said: Sequence[dict[str, str]]) -> list[User]:
    found = []
    for one in said:
        key = one.get("uuid") or one.get("account_id")
        user = next((user for user in call.forge.users if key in (_uuid(user), _account_id(user))), None)
        if user is None:
            raise Refusal(Why.INVALID, f"reviewers: {key} is not a user")
        found.append(user)
    return found


@route(ROUTES, "GET", _PULL)
def _get(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return Reply(body=_pull(call, project, request, whole=True))


@route(ROUTES, "PUT", _PULL)
def _edit(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    said = call.json
    if request.state is not State.OPEN:
        raise Refusal(Why.CLOSED, "")
    if not said.get("title"):
        raise Refusal(Why.INVALID, "title: This field is required.")
    project.edit(user, request.number, title=said["title"], body=said.get("description"))
    if "reviewers" in said:
        request.reviewers = _reviewers(call, said["reviewers"])
    return Reply(body=_pull(call, project, request, whole=True))


@route(ROUTES, "POST", _PULL + "/decline")
def _decline(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    if request.state is not State.OPEN:
        raise Refusal(Why.CLOSED, "")
    return Reply(body=_pull(call, project, project.close(user, request.number), whole=True))


@route(ROUTES, "POST", _PULL + "/merge")
def _merge(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    if "slow" in _kept(call):
        _kept(call)["tasks"] = [user, call.json, 0]
        where = _url(call, project, f"/pullrequests/{request.number}/merge/task-status/7")
        return Reply(status=202, headers={"Location": where})
    _do_merge(project, request, user, call.json)
    return Reply(body=_pull(call, project, request, whole=True))


def _do_merge(project: Project, request: PullRequest, user: User, said: dict[str, Any]) -> None:
    strategy = said.get("merge_strategy") or "merge_commit"
    if strategy not in ("merge_commit", "squash", "fast_forward"):
        raise Refusal(Why.INVALID, "merge_strategy: Not a valid choice.")
    project.merge(user, request.number, message=said.get("message") or "", squash=strategy == "squash")


def _kept(call: Call) -> dict[str, Any]:
    found = call.forge.vendor_state.setdefault("bitbucket", {})
    assert isinstance(found, dict)
    return found


@route(ROUTES, "GET", _PULL + "/merge/task-status/7")
def _task(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    task = _kept(call)["tasks"]
    task[2] += 1
    if task[2] < 3 or "never" in _kept(call):
        return Reply(body={"task_status": "PENDING", "links": {}})
    if request.state is State.OPEN:
        _do_merge(project, request, task[0], task[1])
    return Reply(body={"task_status": "SUCCESS", "merge_result": _pull(call, project, request, whole=True)})


@route(ROUTES, "GET", _PULL + "/commits")
def _commits(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    found = project.commits(project.base(request), project.head(request))[::-1]
    return _page(call, [_commit(call, project, one) for one in found], most=100)


@route(ROUTES, "GET", _REPO + r"/commits/(?P<branch>[^/]+)")
def _history(call: Call, user: User) -> Reply:
    project = _project(call, user)
    tip = project.tip(call.found["branch"])
    if tip is None:
        raise Refusal(Why.NOT_FOUND, f"Commit not found: {call.found['branch']}")
    return _page(call, [_commit(call, project, one) for one in project.history(tip)], most=100)


@route(ROUTES, "GET", _REPO + r"/commit/(?P<sha>[0-9a-f]{7,40})")
def _get_commit(call: Call, user: User) -> Reply:
    project = _project(call, user)
    oid = project.git("rev-parse", "--verify", "--quiet", f"{call.found['sha']}^{{commit}}", ok=(0, 1, 128))
    if not oid:
        raise Refusal(Why.NOT_FOUND, f"Commit not found: {call.found['sha']}")
    return Reply(body=_commit(call, project, project.commit(oid)))


def _commit(call: Call, project: Project, commit: CommitInfo) -> dict[str, Any]:
    def person(name: str, email: str) -> dict[str, Any]:
        user = call.forge.user_of_email(email)
        found: dict[str, Any] = {"type": "author", "raw": f"{name} <{email}>"}
        return found | ({} if user is None else {"user": _user(user)})

    return {
        "type": "commit",
        "hash": commit.oid,
        "links": {"self": {"href": _url(call, project, f"/commit/{commit.oid}")}},
        "date": _time(commit.time),
        "author": person(commit.author_name, commit.author_email),
        "committer": person(commit.committer_name, commit.committer_email),
        "message": commit.message,
        "parents": [{"type": "commit", "hash": oid} for oid in commit.parents],
    }


# What people say -------------------------------------------------------------------------------------------------------


def _say(call: Call, user: User, said: Said) -> Reply:
    project, request = _pull_of(call, user)
    if any(one.user is user and one.said is said for one in project.standing(request)):
        raise Refusal(Why.STALE, "You already said so of this pull request.")
    project.review(user, request.number, said)
    return Reply(
        body=next(one for one in _participants(project, request) if one["user"]["uuid"] == _uuid(user))
    )


@route(ROUTES, "POST", _PULL + "/approve")
def _approve(call: Call, user: User) -> Reply:
    return _say(call, user, Said.APPROVED)


@route(ROUTES, "POST", _PULL + "/request-changes")
def _request_changes(call: Call, user: User) -> Reply:
    return _say(call, user, Said.REJECTED)


@route(ROUTES, "DELETE", _PULL + "/(?:approve|request-changes)")
def _unsay(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    project.withdraw(user, request.number)
    return Reply(status=204)


@route(ROUTES, "GET", _PULL + "/activity")
def _activity(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    found: list[tuple[datetime, dict[str, Any]]] = []
    for since, head in request.heads:
        update = {"state": "OPEN", "date": _time(since), "author": _user(request.author), "title": request.title,
                  "source": _end(project, request.branch, head)}  # fmt: skip
        found.append((since, {"update": update}))
    names = {Said.APPROVED: "approval", Said.REJECTED: "changes_requested"}
    for review in request.reviews:
        if review.said in names:
            said = {"date": _time(review.time), "user": _user(review.user)}
            found.append((review.time, {names[review.said]: said}))
    found += [(one.created, {"comment": _comment(call, project, request, one)}) for one in request.comments]
    entries = [entry for _, entry in sorted(found, key=lambda one: one[0], reverse=True)]
    return _page(call, entries, by="ctx")


def _comment(call: Call, project: Project, request: PullRequest, comment: Comment) -> dict[str, Any]:
    own = {"href": _url(call, project, f"/pullrequests/{request.number}/comments/{comment.id}")}
    content = {"type": "rendered", "raw": comment.body, "markup": "markdown", "html": ""}
    return {
        "type": "pullrequest_comment",
        "id": comment.id,
        "content": content,
        "user": _user(comment.user),
        "created_on": _time(comment.created),
        "updated_on": _time(comment.updated),
        "deleted": False,
        "links": {"self": own},
    }


@route(ROUTES, "GET", _PULL + "/comments")
def _comments(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    return _page(call, [_comment(call, project, request, one) for one in request.comments], most=100)


@route(ROUTES, "POST", _PULL + "/comments")
def _add_comment(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    comment = project.comment(user, request.number, _raw(call))
    return Reply(status=201, body=_comment(call, project, request, comment))


@route(ROUTES, "PUT", _PULL + r"/comments/(?P<comment>\d+)")
def _edit_comment(call: Call, user: User) -> Reply:
    project, request = _pull_of(call, user)
    comment = project.find_comment(int(call.found["comment"]))[1]
    if comment.user is not user:
        raise Refusal(Why.FORBIDDEN, "only its author changes a comment")
    project.edit_comment(user, comment.id, _raw(call))
    return Reply(body=_comment(call, project, request, comment))


def _raw(call: Call) -> str:
    raw = call.json["content"]["raw"]
    if not raw or len(raw) > 32_768:
        raise Refusal(Why.INVALID, "content.raw: Ensure this value has at most 32768 characters")
    return str(raw)


@route(ROUTES, "POST", _REPO + r"/commit/(?P<sha>[0-9a-f]{40})/statuses/build")
def _status(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    states = {"INPROGRESS": "pending", "SUCCESSFUL": "passed", "FAILED": "failed", "STOPPED": "failed"}
    if said.get("state") not in states or not said.get("url") or not 0 < len(said.get("key", "")) <= 40:
        raise Refusal(Why.INVALID, "key, state and url are required")
    status = project.set_status(
        user,
        call.found["sha"],
        name=said["key"],
        state=states[said["state"]],
        text=said.get("description") or "",
        url=said["url"],
    )
    return Reply(status=201, body={**said, "type": "build", "created_on": _time(status.created)})


_OF_ANY_LIST = frozenset({"q", "sort", "page", "pagelen", "ctx"})


def _complaint(call: Call) -> str | None:
    """By the published document, which leaves three things out.

    Words that every list takes are described elsewhere; a `type` is required of every object, and none of its own
    examples has one; an empty object is sent where it names no body.
    """
    body = call.body if call.body != b"{}" else b""
    if body.startswith(b"{"):
        said = {"type": "any", **json.loads(body)}
        if "reviewers" in said:
            said["reviewers"] = [{"type": "any", **one} for one in said["reviewers"]]
        body = json.dumps(said).encode()
    known = {name: value for name, value in call.query.items() if name not in _OF_ANY_LIST}
    return openapi.complaint(
        "bitbucket", replace(call, path=call.path.removeprefix(_ROOT).rstrip("/"), query=known, body=body)
    )


VENDOR = Vendor(
    routes=ROUTES,
    error=_error,
    fault=lambda status: {"type": "error", "error": {"message": f"Fault {status}"}},
    rate_limited=_limited,
    complaint=_complaint,
)
