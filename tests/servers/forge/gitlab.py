"""GitLab's REST API, version 4, as far as merge requests go; and what of it is asked for by GraphQL.

Source: `doc/api` of GitLab, and for statuses and messages `lib/api` of its source. GitLab does not tell of which head an
approval is, keeps approvals when the head moves, takes no second one from the same person, and lets only reviewers
request changes. `vendor_state` may have: `gitlab-busy`, how many merges are refused while it looks whether it can merge;
`gitlab-undated`, which leaves out when approvals were given; `gitlab-free`, which keeps one reviewer; `gitlab-job`, which
lets tokens of jobs see merge requests; `gitlab-merge-error`, which makes merges fail by a reply of status 200.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from .core import (  # noqa: TID252 - by either name of the package
    Comment,
    CommitInfo,
    Project,
    PullRequest,
    Refusal,
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
    Why.INVALID: 400,
    Why.EXISTS: 409,
    Why.STALE: 409,
    Why.CONFLICT: 422,
    Why.RULES: 405,
    Why.CLOSED: 405,
}
_MESSAGES = {
    Why.NO_TOKEN: "401 Unauthorized",
    Why.FORBIDDEN: "403 Forbidden",
    Why.NOT_FOUND: "404 Not found",
    Why.CONFLICT: "Branch cannot be merged",
    Why.RULES: "405 Method Not Allowed",
    Why.CLOSED: "405 Method Not Allowed",
}
_NAMED = {State.OPEN: "opened", State.MERGED: "merged", State.CLOSED: "closed"}
_CHECKS = {"pending": "pending", "running": "pending", "success": "passed", "failed": "failed"}
_DRAFT = re.compile(r"(?:\[draft\]|\(draft\)|draft:)", re.IGNORECASE)
_COMMAND = re.compile(r"^\s*/[a-z_]+", re.MULTILINE)
_API = "/api/v4"
_PROJECT = _API + r"/projects/(?P<project>[^/]+)"
_MR = _PROJECT + r"/merge_requests/(?P<number>\d+)"
ROUTES: list[Route] = []


def _error(refusal: Refusal) -> Reply:
    message: Any = _MESSAGES.get(refusal.why, refusal.message)
    if refusal.why is Why.EXISTS:
        message = [f"Another open merge request already exists for this source branch: !{refusal.number}"]
    if refusal.why is Why.STALE and "head" in refusal.message:
        message = "SHA does not match HEAD of source branch"
    return Reply(status=_STATUS[refusal.why], body={"message": message})


def _limited(seconds: float) -> Reply:
    reset = str(int(datetime.now(UTC).timestamp() + seconds))
    headers = {"RateLimit-Remaining": "0", "RateLimit-Reset": reset, "Retry-After": str(int(seconds))}
    return Reply(status=429, body=b"Retry later\n", headers={**headers, "Content-Type": "text/plain"})


def _token(call: Call) -> str | None:
    return call.headers.get("PRIVATE-TOKEN") or call.headers.get("JOB-TOKEN") or call.token


def _project(call: Call, user: User) -> Project:
    if call.headers.get("JOB-TOKEN") and not call.forge.vendor_state.get("gitlab-job"):
        raise Refusal(Why.NOT_FOUND, "no merge requests for jobs")
    name = call.found["project"]
    if name.isdecimal():  # a project's number is as good as its name
        name = next((one.name for one in call.forge.projects.values() if one.id == int(name)), name)
    return call.forge.project(name, user)


def _mr_of(call: Call, user: User) -> tuple[Project, PullRequest]:
    project = _project(call, user)
    return project, project.get(int(call.found["number"]))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user(call: Call, user: User | None) -> dict[str, Any] | None:
    if user is None:
        return None
    url = f"{call.base_url}/{user.login}"
    return {"id": user.id, "username": user.login, "name": user.name, "state": "active", "locked": False,
            "avatar_url": None, "web_url": url}  # fmt: skip


def _mr(call: Call, project: Project, request: PullRequest, *, whole: bool = False) -> dict[str, Any]:
    head, is_open = project.head(request), request.state is State.OPEN
    source_id = project.id + 500 if request.from_fork else project.id
    why = project.why_not(request) if is_open else "not_open"
    found: dict[str, Any] = {
        "id": request.id,
        "iid": request.number,
        "project_id": project.id,
        "title": request.title,
        "description": request.body,
        "state": _NAMED[request.state],
        "created_at": _time(request.opened),
        "updated_at": _time(request.updated),
        "merged_by": _user(call, request.merged_by),
        "merge_user": _user(call, request.merged_by or request.auto_merge),
        "merged_at": _time(request.merged),
        "closed_by": None,
        "closed_at": _time(request.closed) if request.state is State.CLOSED else None,
        "target_branch": request.target,
        "source_branch": request.branch,
        "user_notes_count": len(request.comments),
        "author": _user(call, request.author),
        "assignees": [],
        "assignee": None,
        "reviewers": [_user(call, one) for one in request.reviewers],
        "source_project_id": source_id,
        "target_project_id": project.id,
        "labels": [],
        "draft": request.draft,
        "work_in_progress": request.draft,
        "milestone": None,
        "merge_when_pipeline_succeeds": request.auto_merge is not None,
        "merge_status": "can_be_merged",
        "detailed_merge_status": _detailed(call, project, request, why),
        "sha": head,
        "merge_commit_sha": request.merged_commit,
        "squash_commit_sha": None,
        "should_remove_source_branch": None,
        "force_remove_source_branch": False,
        "web_url": f"{call.base_url}/{project.name}/-/merge_requests/{request.number}",
        "squash": False,
        "has_conflicts": False,
        "blocking_discussions_resolved": True,
    }
    if whole:
        refs = {"base_sha": project.git("merge-base", project.base(request), head), "head_sha": head}
        found["diff_refs"] = {**refs, "start_sha": project.base(request)}
        found["merge_error"] = call.forge.vendor_state.get("gitlab-merge-error")
        found["user"] = {"can_merge": True}
    return found


def _detailed(call: Call, project: Project, request: PullRequest, why: str | None) -> str:
    if request.state is not State.OPEN:
        return "not_open"
    if int(str(call.forge.vendor_state.get("gitlab-busy", 0))):
        return "checking"
    if request.draft:
        return "draft_status"
    if not project.can_merge(request):
        return "conflict"
    return {None: "mergeable", "changes were requested": "requested_changes"}.get(why, "not_approved")


def _note(call: Call, request: PullRequest, comment: Comment, *, system: bool = False) -> dict[str, Any]:
    return {
        "id": comment.id,
        "type": None,
        "body": comment.body,
        "author": _user(call, comment.user),
        "created_at": _time(comment.created),
        "updated_at": _time(comment.updated),
        "system": system,
        "noteable_id": request.id,
        "noteable_type": "MergeRequest",
        "noteable_iid": request.number,
        "resolvable": False,
        "internal": False,
    }


def _commit(call: Call, project: Project, commit: CommitInfo) -> dict[str, Any]:
    return {
        "id": commit.oid,
        "short_id": commit.oid[:8],
        "title": commit.message.partition("\n")[0],
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
        "authored_date": _time(commit.time),
        "committer_name": commit.committer_name,
        "committer_email": commit.committer_email,
        "committed_date": _time(commit.time),
        "created_at": _time(commit.time),
        "parent_ids": list(commit.parents),
        "web_url": f"{call.base_url}/{project.name}/-/commit/{commit.oid}",
    }


def _list(call: Call, items: list[Any], translate: Any) -> Reply:
    number, size = call.number("page", 1), min(call.number("per_page", 20), 100)
    found, has_next = page(items, number, size)
    headers = {
        **link_pages(call, number, size, has_next),
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": str(number + 1) if has_next else "",
        "X-Total": str(len(items)),
    }
    return Reply(body=[translate(one) for one in found], headers=headers)


def _check_commands(text: str | None) -> None:
    """Real GitLab carries commands out; here none may come."""
    if text and _COMMAND.search(text):
        raise Refusal(Why.INVALID, f"this double carries no commands out: {text!r}")


def _is_at_head(project: Project, request: PullRequest, sha: str | None) -> None:
    if sha is not None and sha != project.head(request):
        raise Refusal(Why.STALE, "head was modified")


@route(ROUTES, "GET", _API + "/user")
def _me(call: Call, user: User) -> Reply:
    if call.headers.get("JOB-TOKEN"):
        raise Refusal(Why.NO_TOKEN, "a job is nobody")
    return Reply(body={**(_user(call, user) or {}), "email": user.email, "public_email": user.public_email})


@route(ROUTES, "GET", _API + "/job")
def _job(call: Call, user: User) -> Reply:
    return Reply(body={"id": 1, "status": "running", "user": _user(call, user)})


@route(ROUTES, "GET", _API + "/users")
def _users(call: Call, user: User) -> Reply:
    found = call.forge.user(call.first("username") or "")
    return _list(call, [found] if found else [], lambda one: _user(call, one))


@route(ROUTES, "GET", _PROJECT)
def _get_project(call: Call, user: User) -> Reply:
    project = _project(call, user)
    return Reply(
        body={
            "id": project.id,
            "name": project.name.rpartition("/")[2],
            "path_with_namespace": project.name,
            "default_branch": project.default_branch,
            "merge_method": "merge",
            "squash_option": "always" if project.squash_only else "default_off",
            "web_url": f"{call.base_url}/{project.name}",
        }
    )


@route(ROUTES, "GET", _PROJECT + "/merge_requests")
def _mrs(call: Call, user: User) -> Reply:
    project = _project(call, user)
    wanted = call.first("state", "all")
    found = [
        one
        for one in project.find(branch=call.first("source_branch"), target=call.first("target_branch"))
        if wanted in ("all", _NAMED[one.state])
    ]
    return _list(call, found, lambda one: _mr(call, project, one))


@route(ROUTES, "POST", _PROJECT + "/merge_requests")
def _open(call: Call, user: User) -> Reply:
    project, said = _project(call, user), call.json
    for name in ("source_branch", "target_branch", "title"):
        if not said.get(name):
            return Reply(status=400, body={"error": f"{name} is missing"})
    _check_commands(said.get("description"))
    branch, target = said["source_branch"], said["target_branch"]
    for name, value in (("source_branch", branch), ("target_branch", target)):
        if project.tip(value) is None:
            return Reply(status=400, body={"message": {name: [f'"{value}" does not exist']}})
    request = project.open(
        user,
        branch=branch,
        target=target,
        title=said["title"].strip(),
        body=said.get("description") or "",
        draft=_DRAFT.match(said["title"]) is not None,
    )
    return Reply(status=201, body=_mr(call, project, request, whole=True))


@route(ROUTES, "GET", _MR)
def _get(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    return Reply(body=_mr(call, project, request, whole=True))


@route(ROUTES, "PUT", _MR)
def _edit(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    said = call.json
    _check_commands(said.get("description"))
    project.edit(user, request.number, title=said.get("title"), body=said.get("description"))
    request.draft = _DRAFT.match(request.title) is not None
    if "reviewer_ids" in said:
        known = {one.id: one for one in call.forge.users}
        people = [known[one] for one in said["reviewer_ids"] if one in known]
        request.reviewers = people[:1] if call.forge.vendor_state.get("gitlab-free") else people
    if said.get("state_event") == "close" and request.state is State.OPEN:
        project.close(user, request.number)
    if said.get("state_event") == "reopen":
        project.reopen(user, request.number)
    return Reply(body=_mr(call, project, request, whole=True))


@route(ROUTES, "PUT", _MR + "/merge")
def _merge(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    # Parameters may stand in the body or in the query.
    said = {**{name: values[0] for name, values in call.query.items()}, **call.json}
    if user.right is not Right.WRITE:
        raise Refusal(Why.NO_TOKEN, "may not merge")
    if request.state is not State.OPEN or request.draft:
        raise Refusal(Why.RULES, "not mergeable")
    busy = int(str(call.forge.vendor_state.get("gitlab-busy", 0)))
    if busy:
        call.forge.vendor_state["gitlab-busy"] = busy - 1
        raise Refusal(Why.CONFLICT, "not yet")
    wanted = said.get("merge_when_pipeline_succeeds")
    if wanted in (True, "true"):
        if project.why_not(request) is None:  # no pipeline, and nothing else to wait for
            raise Refusal(Why.RULES, "nothing to wait for")
        _is_at_head(project, request, said.get("sha"))
        project.merge_when_allowed(user, request.number)
        return Reply(body=_mr(call, project, request, whole=True))
    if call.forge.vendor_state.get("gitlab-merge-error"):
        return Reply(body=_mr(call, project, request, whole=True))
    project.merge(
        user,
        request.number,
        head=said.get("sha"),
        message=said.get("merge_commit_message") or "",
        squash=said.get("squash") in (True, "true", "True"),
    )
    return Reply(body=_mr(call, project, request, whole=True))


@route(ROUTES, "GET", _MR + "/commits")
def _commits(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    found = project.commits(project.base(request), project.head(request))
    return _list(call, found[::-1], lambda one: _commit(call, project, one))


@route(ROUTES, "GET", _MR + "/versions")
def _versions(call: Call, user: User) -> Reply:
    _, request = _mr_of(call, user)
    rows = [
        {
            "id": number,
            "head_commit_sha": head,
            "base_commit_sha": request.last_base,
            "start_commit_sha": request.last_base,
            "created_at": _time(time),
            "merge_request_id": request.id,
            "state": "collected",
            "real_size": "1",
        }
        for number, (time, head) in enumerate(request.heads, 1)
    ]
    return _list(call, rows[::-1], lambda one: one)


def _approvals(call: Call, project: Project, request: PullRequest, user: User) -> dict[str, Any]:
    approvals = [one for one in project.standing(request) if one.said is Said.APPROVED]
    is_dated = not call.forge.vendor_state.get("gitlab-undated")
    return {
        "approved": len(approvals) >= project.required_approvals,
        "user_has_approved": any(one.user is user for one in approvals),
        "user_can_approve": user.right is Right.WRITE and user is not request.author,
        "approved_by": [
            {"user": _user(call, one.user), **({"approved_at": _time(one.time)} if is_dated else {})}
            for one in approvals
        ],
    }


@route(ROUTES, "GET", _MR + "/approvals")
def _get_approvals(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    return Reply(body=_approvals(call, project, request, user))


@route(ROUTES, "POST", _MR + "/approve")
def _approve(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    _is_at_head(project, request, call.json.get("sha"))
    state = _approvals(call, project, request, user)
    if state["user_has_approved"] or not state["user_can_approve"]:
        raise Refusal(Why.NO_TOKEN, "may not approve")
    project.review(user, request.number, Said.APPROVED)
    return Reply(status=201, body=_approvals(call, project, request, user))


@route(ROUTES, "POST", _MR + "/unapprove")
def _unapprove(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    if not _approvals(call, project, request, user)["user_has_approved"]:
        raise Refusal(Why.NOT_FOUND, "no approval")
    project.withdraw(user, request.number)
    return Reply(status=201, body=_approvals(call, project, request, user))


@route(ROUTES, "GET", _MR + "/reviewers")
def _reviewers(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    states = {one.user.login: one for one in project.standing(request)}
    names = {Said.APPROVED: "approved", Said.REJECTED: "requested_changes"}
    people = [*request.reviewers, *(one.user for one in states.values() if one.user not in request.reviewers)]
    rows = [
        {
            "user": _user(call, one),
            "state": names[states[one.login].said] if one.login in states else "unreviewed",
            "created_at": _time(request.opened),
        }
        for one in people
    ]
    return _list(call, rows, lambda one: one)


@route(ROUTES, "GET", _MR + "/notes")
def _notes(call: Call, user: User) -> Reply:
    _, request = _mr_of(call, user)
    words = {Said.APPROVED: "approved this merge request", Said.REJECTED: "requested changes"}
    rows = [(one, False) for one in request.comments] + [
        (Comment(id=one.id, user=one.user, body=words[one.said], created=one.time, updated=one.time), True)
        for one in request.reviews
        if one.said in words
    ]
    rows.sort(key=lambda row: row[0].created, reverse=call.first("sort", "desc") == "desc")
    return _list(call, rows, lambda row: _note(call, request, row[0], system=row[1]))


@route(ROUTES, "POST", _MR + "/notes")
def _add_note(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    _check_commands(call.json["body"])
    comment = project.comment(user, request.number, call.json["body"])
    return Reply(status=201, body=_note(call, request, comment))


@route(ROUTES, "PUT", _MR + r"/notes/(?P<note>\d+)")
def _edit_note(call: Call, user: User) -> Reply:
    project, request = _mr_of(call, user)
    _check_commands(call.json["body"])
    comment = project.edit_comment(user, int(call.found["note"]), call.json["body"])
    return Reply(body=_note(call, request, comment))


@route(ROUTES, "POST", _PROJECT + r"/statuses/(?P<sha>[0-9a-f]{40,64})")
def _status(call: Call, user: User) -> Reply:
    project, said, sha = _project(call, user), call.json, call.found["sha"]
    if said.get("state") not in _CHECKS or len(said.get("description") or "") > 255:
        return Reply(status=400, body={"error": "state does not have a valid value"})
    name = said.get("name") or "default"
    last = next((one for one in reversed(project.statuses.get(sha, [])) if one.name == name), None)
    if last is not None and last.state == "pending" and said["state"] == "pending":
        text = "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition)"
        return Reply(status=400, body={"message": text})
    status = project.set_status(
        user,
        sha,
        name=name,
        state=_CHECKS[said["state"]],
        text=said.get("description") or "",
        url=said.get("target_url") or "",
    )
    return Reply(
        status=201,
        body={
            "id": status.id,
            "sha": sha,
            "ref": None,
            "status": said["state"],
            "name": status.name,
            "target_url": status.url or None,
            "description": status.text,
            "created_at": _time(status.created),
            "author": _user(call, user),
        },
    )


@route(ROUTES, "POST", "/api/graphql")
def _graphql(call: Call, user: User) -> Reply:
    """Whose accounts made the commits; and to request changes, which has no REST form."""
    if call.headers.get("JOB-TOKEN"):
        raise Refusal(Why.NO_TOKEN, "not for jobs")
    query, wanted = call.json["query"], call.json["variables"]
    project = call.forge.project(wanted["project"], user)
    request = project.get(int(wanted["iid"]))
    if "mergeRequestRequestChanges" in query:
        if user not in request.reviewers:
            return Reply(body={"data": {"mergeRequestRequestChanges": {"errors": ["Reviewer not found"]}}})
        people = list(request.reviewers)
        project.review(user, request.number, Said.REJECTED, body="by mutation")
        request.reviewers = people
        return Reply(body={"data": {"mergeRequestRequestChanges": {"errors": []}}})
    if "committers" not in query:
        return Reply(body={"errors": [{"message": "this double knows one query and one mutation"}]})
    commits = project.commits(project.base(request), project.head(request))[::-1]
    start = int(wanted.get("after") or 0)

    size = int(str(call.forge.vendor_state.get("gitlab-graphql-page", 100)))
    shown = commits[start : start + size]
    page_info = {"hasNextPage": len(commits) > start + size, "endCursor": str(start + size)}
    committers = {one.committer_email: _person(call, one.committer_email) for one in commits}
    merge_request = {
        "committers": {"nodes": [one for one in committers.values() if one]},
        "commits": {
            "nodes": [{"author": _person(call, one.author_email)} for one in shown],
            "pageInfo": page_info,
        },
    }
    return Reply(body={"data": {"project": {"mergeRequest": merge_request}}})


def _person(call: Call, email: str) -> dict[str, Any] | None:
    """The account that an address of a commit belongs to."""
    found = call.forge.user_of_email(email)
    return {"username": found.login} if found else None


VENDOR = Vendor(
    routes=ROUTES,
    error=_error,
    fault=lambda status: {"message": f"{status} Fault"},
    rate_limited=_limited,
    token=_token,
)
