"""What every hosted forge does, whatever its API calls it: requests, reviews, comments and statuses over a bare repository.

Merges are made by git in the repository itself. Routes of a vendor translate to and from these words; a wish that the
forge refuses is a :class:`Refusal`, which each vendor says in its own way.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_OID = re.compile("[0-9a-f]{40}")


class Right(Enum):
    """What a token may do."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


class Why(Enum):
    """Why the forge refuses."""

    NO_TOKEN = "no-token"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    INVALID = "invalid"
    EXISTS = "exists"  # a request is open for the same two branches; `Refusal.number` says which
    STALE = "stale"  # the head is not the expected one
    CONFLICT = "conflict"  # git cannot merge
    RULES = "rules"  # the rules of the forge are not satisfied yet
    CLOSED = "closed"  # the request is merged or closed


class Refusal(Exception):  # noqa: N818 - an answer of the forge rather than a fault of this program
    """The forge does not do it."""

    def __init__(self, why: Why, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.why, self.message, self.number = why, message, number


@dataclass(kw_only=True)
class User:
    """An account; its commits are known by its e-mail address, which it may hide from others."""

    id: int
    login: str
    name: str
    email: str | None
    token: str
    right: Right = Right.WRITE
    hides_email: bool = False

    @property
    def public_email(self) -> str | None:
        """What the forge tells others."""
        return None if self.hides_email else self.email


class Said(Enum):
    """What a review says."""

    APPROVED = "approved"
    REJECTED = "rejected"
    COMMENTED = "commented"


@dataclass(kw_only=True)
class Review:
    """A review of one head; a dismissed one counts no more."""

    id: int
    user: User
    said: Said
    head: str
    body: str
    time: datetime
    dismissed: bool = False


@dataclass(kw_only=True)
class Comment:
    """A comment on a request."""

    id: int
    user: User
    body: str
    created: datetime
    updated: datetime


@dataclass(kw_only=True)
class Status:
    """How a check went on a commit: `state` is pending, passed or failed."""

    id: int
    name: str
    state: str
    text: str
    url: str
    user: User
    created: datetime


class State(Enum):
    """Where a request stands."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(kw_only=True)
class PullRequest:
    """A request.

    Attributes:
        last_head: What was merged, or the tip when it was closed.
        last_base: The same of the target.
        heads: Each head that it had, and since when.
        from_fork: Whether its branch is shown as that of another repository, which has the same name there.
    """

    id: int
    number: int
    branch: str
    target: str
    title: str
    body: str
    draft: bool
    author: User
    opened: datetime
    updated: datetime
    state: State = State.OPEN
    last_head: str = ""
    last_base: str = ""
    merged_commit: str | None = None
    merged: datetime | None = None
    merged_by: User | None = None
    closed: datetime | None = None
    auto_merge: User | None = None
    reviewers: list[User] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    heads: list[tuple[datetime, str]] = field(default_factory=list)
    from_fork: bool = False


@dataclass(frozen=True, kw_only=True)
class CommitInfo:
    """A commit as the API tells it."""

    oid: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    time: datetime
    message: str


def now() -> datetime:
    """The present moment; vendors tell it as exactly as they do."""
    return datetime.now(UTC)


def page(items: Iterable[T], number: int, size: int) -> tuple[list[T], bool]:
    """One page, counted from 1, and whether there is a next one."""
    found = list(items)
    start = (number - 1) * size
    return found[start : start + size], len(found) > start + size


class Project:
    """One repository on the forge.

    Attributes:
        name: `owner/name`; more parts where the vendor has sub-groups.
        bare: The bare repository.
        lock: Held while one call is carried out.
        required_approvals: The forge's own rule for every branch.
        drops_stale_reviews: Whether a moved head dismisses the reviews.
        squash_only: Whether the project forbids merge commits.
    """

    def __init__(self, name: str, bare: Path, forge: Forge) -> None:
        self.name, self.bare, self.forge = name, bare, forge
        self.lock = threading.RLock()
        self.id = 1000
        self.default_branch = "main"
        self.requests: dict[int, PullRequest] = {}
        self.statuses: dict[str, list[Status]] = {}
        self.required_approvals = 0
        self.drops_stale_reviews = False
        self.squash_only = False
        self._ids = 5000

    def git(self, *arguments: str, env: dict[str, str] | None = None, ok: tuple[int, ...] = (0,)) -> str:
        """Run git in the bare repository."""
        done = subprocess.run(
            ["git", "--git-dir", str(self.bare), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"} | (env or {}),
        )
        if done.returncode not in ok:
            raise Refusal(Why.INVALID, f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def next_id(self) -> int:
        """A number that nothing else has."""
        self._ids += 1
        return self._ids

    def tip(self, branch: str) -> str | None:
        """Tip of a branch; git is asked where it is not written in a file of its own, as new ones are."""
        file = self.bare / "refs/heads" / branch
        if ".." not in branch and file.is_file():
            written = file.read_text().strip()
            if _OID.fullmatch(written):
                return written
        found = self.git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/heads/{branch}", ok=(0, 1, 128)
        )
        return found or None

    def has_commit(self, oid: str) -> bool:
        """Whether a commit is there."""
        return self.git("cat-file", "-t", oid, ok=(0, 1, 128)) == "commit"

    def commit(self, oid: str) -> CommitInfo:
        """One commit."""
        return self._commits("--no-walk", oid)[0]

    def commits(self, base: str, head: str) -> list[CommitInfo]:
        """Commits of head that base lacks, oldest first."""
        return self._commits("--reverse", f"{base}..{head}")

    def history(self, tip: str) -> list[CommitInfo]:
        """A commit and all before it, newest first."""
        return self._commits(tip)

    def _commits(self, *which: str) -> list[CommitInfo]:
        shape = "%H%x1f%P%x1f%an%x1f%ae%x1f%cn%x1f%ce%x1f%ct%x1f%B%x1e"
        text = self.git("log", f"--format={shape}", *which)
        found = []
        for row in text.split("\x1e"):
            if row.strip():
                oid, parents, an, ae, cn, ce, when, message = row.strip("\n").split("\x1f", 7)
                found.append(
                    CommitInfo(
                        oid=oid,
                        parents=tuple(parents.split()),
                        author_name=an,
                        author_email=ae,
                        committer_name=cn,
                        committer_email=ce,
                        time=datetime.fromtimestamp(int(when), UTC),
                        message=message.strip(),
                    )
                )
        return found

    # Requests ------------------------------------------------------------------------------------------------------

    def head(self, request: PullRequest) -> str:
        """Newest commit of a request; a push to its branch moves it."""
        if request.state is not State.OPEN:
            return request.last_head
        tip = self.tip(request.branch) or request.last_head
        if tip != request.last_head:
            request.last_head, request.updated = tip, now()
            request.heads.append((now(), tip))
            self.git("update-ref", f"refs/pull/{request.number}/head", tip)
            if self.drops_stale_reviews:
                for review in request.reviews:
                    review.dismissed = True
        return tip

    def base(self, request: PullRequest) -> str:
        """Tip of the target; of one that ended, the tip that it had then."""
        if request.state is not State.OPEN:
            return request.last_base
        return self.tip(request.target) or request.last_base

    def get(self, number: int) -> PullRequest:
        """One request."""
        found = self.requests.get(number)
        if found is None:
            raise Refusal(Why.NOT_FOUND, f"no request {number}")
        self.head(found)
        return found

    def find(
        self, *, state: State | None = None, branch: str | None = None, target: str | None = None
    ) -> list[PullRequest]:
        """Requests, newest first."""
        return [
            self.get(request.number)
            for request in sorted(self.requests.values(), key=lambda one: -one.number)
            if state in (None, request.state)
            and branch in (None, request.branch)
            and target in (None, request.target)
        ]

    def open(
        self, user: User, *, branch: str, target: str, title: str, body: str, draft: bool = False
    ) -> PullRequest:
        """Open a request; one for the same two branches refuses it."""
        self.must(user, Right.WRITE)
        head, base = self.tip(branch), self.tip(target)
        if head is None or base is None:
            raise Refusal(Why.INVALID, f"there is no branch {branch if head is None else target}")
        if not title.strip():
            raise Refusal(Why.INVALID, "a request needs a title")
        for other in self.find(state=State.OPEN, branch=branch, target=target):
            raise Refusal(Why.EXISTS, f"a request exists already for {branch}: {other.number}", other.number)
        if not self.commits(base, head):
            raise Refusal(Why.INVALID, f"no commits between {target} and {branch}")
        request = PullRequest(
            id=self.next_id(),
            number=max(self.requests, default=0) + 1,
            branch=branch,
            target=target,
            title=title,
            body=body,
            draft=draft,
            author=user,
            opened=now(),
            updated=now(),
            last_head=head,
            last_base=base,
            heads=[(now(), head)],
        )
        self.requests[request.number] = request
        self.git("update-ref", f"refs/pull/{request.number}/head", head)
        return request

    def edit(
        self, user: User, number: int, *, title: str | None = None, body: str | None = None
    ) -> PullRequest:
        """Change title and body."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        request.title = request.title if title is None else title
        request.body = request.body if body is None else body
        request.updated = now()
        return request

    def close(self, user: User, number: int) -> PullRequest:
        """Close without merging; again is no change, a merged one cannot be."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        if request.state is State.MERGED:
            raise Refusal(Why.CLOSED, f"request {number} is merged")
        if request.state is State.OPEN:
            request.last_base = self.base(request)
            request.state, request.closed, request.updated = State.CLOSED, now(), now()
        return request

    def reopen(self, user: User, number: int) -> PullRequest:
        """Open a closed request again."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        if request.state is State.CLOSED:
            request.state, request.closed, request.updated = State.OPEN, None, now()
        return request

    # What people say -----------------------------------------------------------------------------------------------

    def review(
        self, user: User, number: int, said: Said, *, head: str | None = None, body: str = ""
    ) -> Review:
        """Review a head, the present one where none is named; nobody approves a request of their own."""
        self.must(user, Right.READ)
        request = self.get(number)
        if request.state is not State.OPEN:
            raise Refusal(Why.CLOSED, f"request {number} is {request.state.value}")
        if user is request.author and said is not Said.COMMENTED:
            raise Refusal(Why.INVALID, "can not approve or reject your own request")
        if head is not None and not self.has_commit(head):
            raise Refusal(Why.INVALID, f"{head} is no commit of this request")
        review = Review(
            id=self.next_id(),
            user=user,
            said=said,
            head=head or self.head(request),
            body=body,
            time=now(),
        )
        request.reviews.append(review)
        request.reviewers = [one for one in request.reviewers if one is not user]
        request.updated = now()
        if request.auto_merge is not None and self.why_not(request) is None:
            self.merge(request.auto_merge, number)
        return review

    def withdraw(self, user: User, number: int) -> None:
        """Take one's approval or rejection back."""
        for review in self.get(number).reviews:
            if review.user is user:
                review.dismissed = True

    def dismiss(self, number: int, review_id: int) -> Review:
        """Let a review count no more."""
        for review in self.get(number).reviews:
            if review.id == review_id:
                review.dismissed = True
                return review
        raise Refusal(Why.NOT_FOUND, f"no review {review_id}")

    def standing(self, request: PullRequest) -> list[Review]:
        """Each person's last approval or rejection that is not dismissed."""
        last: dict[str, Review] = {}
        for review in request.reviews:
            if review.said is not Said.COMMENTED:
                last[review.user.login] = review
        return [review for review in last.values() if not review.dismissed]

    def ask(self, user: User, number: int, logins: Sequence[str]) -> PullRequest:
        """Ask people for a review; one who is unknown refuses all."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        people = [self.forge.user(login) for login in logins]
        if any(one is None or one is request.author for one in people):
            raise Refusal(Why.INVALID, f"reviews may only be asked from collaborators: {', '.join(logins)}")
        request.reviewers += [one for one in people if one is not None and one not in request.reviewers]
        return request

    def comment(self, user: User, number: int, body: str) -> Comment:
        """Comment on a request."""
        self.must(user, Right.READ)
        comment = Comment(id=self.next_id(), user=user, body=body, created=now(), updated=now())
        self.get(number).comments.append(comment)
        return comment

    def find_comment(self, comment_id: int) -> tuple[PullRequest, Comment]:
        """A comment of any request."""
        for request in self.requests.values():
            for comment in request.comments:
                if comment.id == comment_id:
                    return request, comment
        raise Refusal(Why.NOT_FOUND, f"no comment {comment_id}")

    def edit_comment(self, user: User, comment_id: int, body: str) -> Comment:
        """Change one's own comment, or anybody's with the right to write."""
        comment = self.find_comment(comment_id)[1]
        if comment.user is not user:
            self.must(user, Right.WRITE)
        comment.body, comment.updated = body, now()
        return comment

    def set_status(
        self, user: User, commit: str, *, name: str, state: str, text: str = "", url: str = ""
    ) -> Status:
        """Say on a commit how a check went; the newest of a name is the one that counts."""
        self.must(user, Right.WRITE)
        if not self.has_commit(commit):
            raise Refusal(Why.INVALID, f"no commit {commit}")
        status = Status(
            id=self.next_id(), name=name, state=state, text=text, url=url, user=user, created=now()
        )
        self.statuses.setdefault(commit, []).append(status)
        return status

    # Merging -------------------------------------------------------------------------------------------------------

    def why_not(self, request: PullRequest) -> str | None:
        """What the forge's own rules lack; None where they are satisfied."""
        standing, head = self.standing(request), self.head(request)
        if any(review.said is Said.REJECTED for review in standing):
            return "changes were requested"
        approved = sum(review.said is Said.APPROVED and review.head == head for review in standing)
        if approved < self.required_approvals:
            return f"at least {self.required_approvals} approving review is required"
        return "it is a draft" if request.draft else None

    def can_merge(self, request: PullRequest) -> bool:
        """Whether git can merge it."""
        return self._merged_tree(self.base(request), self.head(request)) is not None

    def _merged_tree(self, base: str, head: str) -> str | None:
        text = self.git("merge-tree", "--write-tree", "--no-messages", base, head, ok=(0, 1))
        lines = text.splitlines()
        return lines[0] if len(lines) == 1 else None

    def merge(
        self, user: User, number: int, *, head: str | None = None, message: str = "", squash: bool = False
    ) -> str:
        """Merge by git into the target; gives the commit. A head that is not the expected one refuses."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        if request.state is not State.OPEN:
            raise Refusal(Why.CLOSED, f"request {number} is {request.state.value}")
        tip, base = self.head(request), self.base(request)
        if head is not None and head != tip:
            raise Refusal(Why.STALE, "head branch was modified; review and try the merge again")
        reason = self.why_not(request)
        if reason is not None:
            raise Refusal(Why.RULES, reason)
        if self.squash_only and not squash:
            raise Refusal(Why.RULES, "merge commits are not allowed on this repository")
        tree = self._merged_tree(base, tip)
        if tree is None:
            raise Refusal(Why.CONFLICT, "the request is not mergeable")
        parents = ["-p", base] if squash else ["-p", base, "-p", tip]
        email = user.email or f"{user.login}@users.noreply.example.com"
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", user.name), ("EMAIL", email))
        }
        words = message or f"Merge request {number} from {request.branch}\n\n{request.title}"
        commit = self.git("commit-tree", tree, *parents, "-m", words, env=who)
        try:
            self.git("update-ref", f"refs/heads/{request.target}", commit, base)
        except Refusal as refusal:
            raise Refusal(Why.STALE, "base branch was modified; review and try the merge again") from refusal
        request.last_head, request.last_base = tip, base
        request.state, request.merged_commit, request.merged_by = State.MERGED, commit, user
        request.merged = request.closed = request.updated = now()
        return commit

    def merge_when_allowed(self, user: User, number: int) -> PullRequest:
        """Let the forge merge once its rules allow."""
        self.must(user, Right.WRITE)
        request = self.get(number)
        if request.state is not State.OPEN:
            raise Refusal(Why.CLOSED, f"request {number} is {request.state.value}")
        request.auto_merge = user
        return request

    def must(self, user: User, right: Right) -> None:
        """Refuse a token that may not do something."""
        order = list(Right)
        if order.index(user.right) < order.index(right):
            raise Refusal(Why.FORBIDDEN, f"{user.login} lacks the right to {right.value}")


class Forge:
    """Users and projects; `vendor_state` is whatever a vendor's routes want to keep."""

    def __init__(self) -> None:
        self.users: list[User] = []
        self.projects: dict[str, Project] = {}
        self.vendor_state: dict[str, object] = {}

    def add_user(
        self, login: str, *, name: str = "", email: str | None = None, right: Right = Right.WRITE
    ) -> User:
        """A new account; its token is `token-of-LOGIN`."""
        user = User(
            id=100 + len(self.users),
            login=login,
            name=name or login.title(),
            email=email,
            token=f"token-of-{login}",
            right=right,
        )
        self.users.append(user)
        return user

    def user(self, login: str) -> User | None:
        """An account by its login."""
        return next((user for user in self.users if user.login == login), None)

    def user_of_email(self, email: str) -> User | None:
        """The account that an address of a commit belongs to."""
        return next((user for user in self.users if user.email and user.email == email), None)

    def user_of_token(self, token: str | None) -> User:
        """Whose token it is; nobody's is refused."""
        found = next((user for user in self.users if token is not None and user.token == token), None)
        if found is None:
            raise Refusal(Why.NO_TOKEN, "bad credentials")
        return found

    def add_project(self, name: str, bare: Path) -> Project:
        """Offer a bare repository."""
        project = Project(name, bare, self)
        project.id += len(self.projects)
        project.git("config", "http.receivepack", "true")
        self.projects[name] = project
        return project

    def project(self, name: str, user: User | None = None) -> Project:
        """A project by its name, for a user who may see it."""
        found = self.projects.get(name.removesuffix(".git"))
        if found is None or (user is not None and user.right is Right.NONE):
            raise Refusal(Why.NOT_FOUND, f"no project {name}")
        return found
