"""The verbs of a registry, one short method each: :class:`Registry`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml._lazy import LazyModule
from gitml.api.pipelines import Pipelines
from gitml.api.requests import Requests
from gitml.api.stores import Stores
from gitml.errors import NotFound, UsageError
from gitml.model.progress import SILENT, Progress
from gitml.model.typed import typed_path
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from gitml.git.repository import Repository
    from gitml.model import names as _names
    from gitml.model import where as _where
    from gitml.promotion import audit as _audit
    from gitml.promotion import check as _check
    from gitml.promotion import events as _events
    from gitml.promotion import history as _history
    from gitml.promotion import plan as _plan
    from gitml.promotion import posting as _posting
    from gitml.promotion import propose as _propose
    from gitml.promotion import rollback as _rollback
    from gitml.registry.care import stored as _stored
    from gitml.registry.care import verification as _verification
    from gitml.registry.others import opening as _others
    from gitml.registry.place import placement as _placement
    from gitml.registry.place import status as _status
    from gitml.registry.read import diff as _diff
    from gitml.registry.read import lineage as _lineage
    from gitml.registry.read import listing as _listing
    from gitml.registry.share import sync as _sync
    from gitml.registry.sql import query as _query
    from gitml.registry.write import drafting as _drafting
    from gitml.registry.write import edit as _edit
    from gitml.registry.write import referring as _referring
    from gitml.registry.write import register as _register
    from gitml.registry.write import registered as _registered
else:
    _names = LazyModule("gitml.model.names")
    _where = LazyModule("gitml.model.where")
    _audit = LazyModule("gitml.promotion.audit")
    _check = LazyModule("gitml.promotion.check")
    _events = LazyModule("gitml.promotion.events")
    _history = LazyModule("gitml.promotion.history")
    _posting = LazyModule("gitml.promotion.posting")
    _plan = LazyModule("gitml.promotion.plan")
    _rollback = LazyModule("gitml.promotion.rollback")
    _stored = LazyModule("gitml.registry.care.stored")
    _verification = LazyModule("gitml.registry.care.verification")
    _others = LazyModule("gitml.registry.others.opening")
    _placement = LazyModule("gitml.registry.place.placement")
    _status = LazyModule("gitml.registry.place.status")
    _diff = LazyModule("gitml.registry.read.diff")
    _lineage = LazyModule("gitml.registry.read.lineage")
    _listing = LazyModule("gitml.registry.read.listing")
    _sync = LazyModule("gitml.registry.share.sync")
    _query = LazyModule("gitml.registry.sql.query")
    _drafting = LazyModule("gitml.registry.write.drafting")
    _edit = LazyModule("gitml.registry.write.edit")
    _referring = LazyModule("gitml.registry.write.referring")
    _register = LazyModule("gitml.registry.write.register")


class Registry:
    """The registry of the nearest `gitml.yaml` at or above a folder.

    Args:
        path: Where the caller is; relative paths start there.
        registry: The registry's folder, if it is not at or above `path`.
        jobs: Worker threads for transfers; None lets GitML choose.
        progress: Where long work reports to.
        needed: Whether there has to be one; without it, what reads another registry (`REPO//…`) works all the same.

    Raises:
        NotFound: There is no repository, or no registry in it.
    """

    def __init__(
        self,
        path: str | Path = ".",
        *,
        registry: str | Path | None = None,
        jobs: int | None = None,
        progress: Progress = SILENT,
        needed: bool = True,
    ) -> None:
        self._path = path
        self._registry = registry
        self._jobs = jobs
        self._progress = progress
        self._repo: Repository | None = None
        try:
            self._repo = self._open().repo
        except NotFound as error:
            if needed or error.code not in ("not-a-repository", "no-registry"):
                raise

    def _open(self) -> Workspace:
        """A fresh view, so that a long-lived Registry sees what others did since."""
        return Workspace.open(
            self._path, self._registry, progress=self._progress, jobs=self._jobs, repo=self._repo
        )

    def _open_for(self, ref: str, *, cached: bool = False) -> tuple[Workspace, str]:
        """The registry that a reference is about, which may be another one, and the reference inside it."""
        if not (cached or "//" in ref):
            return self._open(), ref
        return _others.open_other(
            ref,
            self._open,
            caller=Path(self._path).resolve(),
            progress=self._progress,
            jobs=self._jobs,
            cached=cached,
        )

    def _open_to_change(self, *, dry_run: bool = False) -> Workspace:
        """As :meth:`_open`; what a killed run left half done is settled first, even if nothing else is to do."""
        ws = self._open()
        if not dry_run:
            ws.repo.recover_locks()
        return ws

    def register(
        self,
        asset: str,
        *paths: str | Path,
        version: str | None = None,
        bump: str | None = None,
        labels: Mapping[str, str] | None = None,
        metrics: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        inputs: Sequence[str] = (),
        spec: Mapping[str, Any] | None = None,
        source: str | None = None,
        command: str | None = None,
        message: str | None = None,
        branch: str | None = None,
        offline: bool = False,
        push: bool = False,
        follow_links: bool = False,
        reference: bool = False,
        hash: bool = False,  # noqa: A002, the flag's own name
        sql: str | None = None,
        connection: str | None = None,
        dry_run: bool = False,
    ) -> _registered.Registered:
        """Make the contents of `paths` the next version: bytes to the store, then one commit.

        Equal contents and equal given fields change nothing (`created` is False).

        Args:
            asset: TYPE/NAME.
            paths: A folder gives its contents, a file its base name.
            version: Name of the version; default is the next integer.
            bump: Part of the newest SemVer version to raise instead: major, minor or patch.
            labels, metrics, params: Fields of the pointer; names to text, JSON values, JSON values.
            inputs: `[ROLE=]REF` each: what it was made from; pinned by digest.
            spec: What it is, by the schema of its type.
            source: File that made the contents.
            command: Command line that made them.
            message: Description, one line.
            branch: Branch to commit to; default is the one checked out.
            offline: Keep the bytes in this clone until `push`.
            push: Push afterwards.
            follow_links: Copy what a symbolic link points to instead of refusing it.
            reference: Leave the data where it is, and register where that is: `paths` may then be URLs, too.
            hash: With `reference`: read everything, so that its digests are known; files of this machine always are.
            sql: A query whose result, written as Parquet, are the contents; no `paths` then.
            connection: The database to ask: a URL, `env:NAME` for a variable that holds one, or a name of your settings.
            dry_run: Plan only.

        Raises:
            UsageError: No branch to commit to, or no next version number.
            InvalidInput: A name, path or field breaks a rule.
            NotFound: A path or input does not exist.
            Conflict: The version exists with other contents or fields.
            PolicyRefused: The branch is a stage, or the contents were purged.
        """
        ws = self._open_to_change(dry_run=dry_run)
        query = None
        if sql is not None or connection is not None or not paths:
            query = _query.plan_query(ws, sql, connection, paths)
        given = _drafting.Given(
            version=version,
            bump=bump,
            labels=labels or {},
            metrics=metrics or {},
            params=params or {},
            inputs=tuple(inputs),
            spec=spec or {},
            source=source,
            command=command,
            message=message,
        )
        asset_id = _names.AssetId.parse(asset, ws.config.known_types)
        if reference or hash or any("://" in str(path) for path in paths):
            _referring.check_words(paths, reference=reference, follow_links=follow_links)
            result = _referring.refer(
                ws,
                asset_id,
                [str(path) for path in paths],
                given,
                hash=hash,
                branch=branch,
                offline=offline,
                dry_run=dry_run,
            )
        else:
            result = _register.register(
                ws,
                asset_id,
                [typed_path(path) for path in paths],
                given,
                branch=branch,
                offline=offline,
                follow_links=follow_links,
                query=query,
                dry_run=dry_run,
            )
        if push and not dry_run:
            return replace(result, pushed=_sync.push(self._open()))
        return result

    def list(
        self,
        pattern: str | None = None,
        *,
        rev: str | None = None,
        where: Sequence[str] = (),
        sort: str | None = None,
        cached: bool = False,
    ) -> _listing.Listing:
        """List the newest version of each asset, on a stage the one that it runs; or every version of one.

        Args:
            pattern: None, TYPE, or TYPE/NAME; `REPO//` before it for another registry.
            rev: Branch, tag or commit to read instead of HEAD.
            where: `FIELD=VALUE` and the like (`!= < <= > >=`); all must hold.
            sort: Field to sort by; `-` before it for descending.
            cached: Of another registry: what was read last, without asking it.

        Raises:
            NotFound: No such asset or revision.
            UsageError: A condition or field is malformed.
        """
        conditions = [_where.parse_where(text) for text in where]
        ws, inner = self._open_for(pattern or "", cached=cached)
        return _listing.list_versions(ws, inner or None, rev=rev, where=conditions, sort=sort)

    def show(
        self,
        ref: str,
        *,
        rev: str | None = None,
        files: bool = False,
        lineage: bool = False,
        cached: bool = False,
    ) -> _listing.Shown:
        """Everything the registry, or another one (`REPO//…`), says of one version.

        Raises:
            NotFound: No such version; with `files`, no bytes of it.
            StoreUnavailable: The other registry cannot be reached; `cached` does not ask it.
        """
        ws, inner = self._open_for(ref, cached=cached)
        return _listing.show(ws, inner, rev=rev, files=files, lineage=lineage)

    def diff(self, a: str, b: str, *, rev: str | None = None, cached: bool = False) -> _diff.Difference:
        """Fields, metrics, params and files in which two versions differ, be they of one registry or of two.

        Raises:
            NotFound: No such version, or no bytes of it.
            StoreUnavailable: Another registry cannot be reached; `cached` does not ask it.
        """
        (old, old_ref), (new, new_ref) = (
            self._open_for(ref, cached=cached and "//" in ref) for ref in (a, b)
        )
        return _diff.diff(old, old_ref, new_ref, rev=rev, other=new)

    def get(
        self,
        ref: str,
        output: str | Path | None = None,
        *,
        rev: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        force: bool = False,
        cached: bool = False,
        dry_run: bool = False,
    ) -> _placement.Placement:
        """Place the contents of a version in a folder, verified; only what differs is written.

        Args:
            ref: The version, or a file or folder in it (`REF:PATH`); `REPO//` before it for another registry.
            output: The folder; default is TYPE/NAME/VERSION in the work tree, or below `path` for another registry.
            rev: Branch, tag or commit to read instead of HEAD.
            include, exclude: Anchored globs; `*` stops at `/`, `**` does not.
            force: Write over files that are in the way.
            cached: Of another registry: what was read last, without asking it where its branches are.
            dry_run: Plan only.

        Raises:
            NotFound: No such version, path, or bytes.
            Conflict: Files are in the way.
            IntegrityError: Bytes in the store are wrong; none of them is left in place.
            StoreUnavailable: The store, or the other registry, cannot be reached.
        """
        ws, inner = self._open_for(ref, cached=cached)
        return _placement.get(
            ws, inner, output, rev=rev, include=include, exclude=exclude, force=force, dry_run=dry_run
        )

    def open(self, ref: str, *, rev: str | None = None, cached: bool = False) -> io.RawIOBase:
        """Open one file of a version (`REF:PATH`) for reading; only what is read is fetched, all of it verified.

        Raises:
            UsageError: The reference names no file.
            NotFound: No such version or file.
        """
        ws, inner = self._open_for(ref, cached=cached)
        return _stored.open_file(ws, inner, rev=rev)

    def pull(
        self,
        *refs: str,
        all: bool = False,  # noqa: A002, the flag's own name
        force: bool = False,
        dry_run: bool = False,
    ) -> _sync.Pulled:
        """Fetch and fast-forward, then place contents under TYPE/NAME/VERSION/.

        Args:
            refs: What to place; default is the newest version of each asset, on a stage branch what it runs.
            all: Place every version.
            force: Write over files that are in the way.
            dry_run: Fetch, and say what would be placed.

        Raises:
            Conflict: The branch has diverged, or files are in the way.
        """
        return _sync.pull(
            self._open_to_change(dry_run=dry_run), refs, every=all, force=force, dry_run=dry_run
        )

    def push(self, remote: str | None = None, *, verify: bool = True, dry_run: bool = False) -> _sync.Pushed:
        """Send bytes, then refs; sets the upstream the first time.

        Args:
            remote: Git remote; default is the team's.
            verify: Run the user's pre-push hook.
            dry_run: Fetch and plan only.

        Raises:
            UsageError: No remote, or no store to send the bytes to.
            Conflict: The remote has a version with another pointer, or has moved on.
        """
        return _sync.push(self._open_to_change(dry_run=dry_run), remote, verify=verify, dry_run=dry_run)

    def status(self, *refs: str, remote: bool = False) -> _status.Status:
        """What differs between working files, store, remote, and HEAD.

        Args:
            refs: Only these versions.
            remote: Fetch first, and ask the store for the bytes of each version.
        """
        return _status.status(self._open(), refs, remote=remote)

    def verify(
        self,
        *refs: str,
        all: bool = False,  # noqa: A002, the flag's own name
        deep: bool = False,
        part: str | None = None,
        within: str | None = None,
        history: str | None = None,
    ) -> _verification.Verification | _audit.HistoryVerification:
        """Check that every pointer is valid and its bytes are in the store; or that a stage moved by requests only.

        Args:
            refs: Only these versions; default is every version of HEAD.
            all: Every version of every branch.
            deep: Read all bytes and hash them again.
            part: Of a deep check only this part, as `2/7`; seven such runs read each byte once.
            within: Of a deep check only what can be read in this time, as `10m`; the next run goes on there.
            history: Instead: whether every change of this stage came by an approved request, judged again from git.

        Raises:
            IntegrityError: Something is wrong; `context["faults"]` lists all of it.
            UsageError: `part` or `within` without `deep`, or a malformed one; or `history` with anything else.
            PolicyRefused: Something about the stage came by no approved request; `context["faults"]` lists all of it.
        """
        if history is not None:
            if refs or all or deep or part or within:
                raise UsageError(
                    "the history of a stage is verified alone",
                    code="alone",
                    hint=f"gitml verify --history {history}",
                )
            return _audit.verify_history(self._open(), history)
        return _verification.verify(self._open(), refs, every=all, deep=deep, part=part, within=within)

    def alias(
        self, asset: str, alias: str, version: str, *, branch: str | None = None, dry_run: bool = False
    ) -> _edit.Edited:
        """Point a movable name at a version, by a commit on the default branch or on `branch`.

        Raises:
            NotFound: No such asset or version.
            Conflict: The alias clashes with a version or stage.
        """
        return _edit.alias(
            self._open_to_change(dry_run=dry_run), asset, alias, version, branch=branch, dry_run=dry_run
        )

    def deprecate(
        self,
        ref: str,
        *,
        message: str | None = None,
        replaced_by: str | None = None,
        branch: str | None = None,
        dry_run: bool = False,
    ) -> _edit.Edited:
        """Mark a version as one that should no longer be used, by a commit on the default branch or on `branch`.

        Raises:
            NotFound: No such version or replacement.
        """
        return _edit.deprecate(
            self._open_to_change(dry_run=dry_run),
            ref,
            message=message,
            replaced_by=replaced_by,
            branch=branch,
            dry_run=dry_run,
        )

    def lineage(
        self, ref: str, *, rev: str | None = None, direction: str = "up", cached: bool = False
    ) -> _lineage.Lineage:
        """What a version was made from (`up`), or what was made from it (`down`).

        Raises:
            NotFound: No such version.
            UsageError: The direction is neither.
        """
        try:
            way = _lineage.Direction(direction)
        except ValueError as error:
            raise UsageError(
                f"direction {direction!r} is neither up nor down", hint="--up or --down"
            ) from error
        ws, inner = self._open_for(ref, cached=cached)
        return _lineage.lineage(ws, inner, rev=rev, direction=way)

    def promote(
        self,
        *refs: str,
        target: str,
        source: str | None = None,
        repo: str | None = None,
        title: str | None = None,
        body: str | None = None,
        draft: bool = False,
        reviewers: Sequence[str] = (),
        auto_merge: bool = False,
        no_inputs: bool = False,
        dry_run: bool = False,
    ) -> _propose.Promotion:
        """Ask to move versions to a stage: opens a request, or updates the open one.

        Args:
            refs: The versions; none promotes what the branch `source` added, with its code.
            target: The stage.
            source: Branch that the references are read on, or that is promoted.
            repo: The repository that it goes to and that holds the request; default is this clone's remote. Versions
                can go to another one: their bytes go to its store, and its own policy judges.
            title, body: Of the request.
            draft: Not to be merged yet.
            reviewers: Who should look at it.
            auto_merge: Merge as soon as the policy allows.
            no_inputs: Leave what they were made from behind; only where the target's policy allows that.
            dry_run: Fetch and plan only.

        Raises:
            PolicyRefused: What merge would refuse, approvals aside; lists every reason.
            NotFound: No such version, or it is not pushed yet.
            Conflict: The branches conflict.
        """
        return _plan.promote(
            self._open_to_change(dry_run=dry_run),
            refs,
            target=target,
            source=source,
            repo=repo,
            title=title,
            body=body,
            draft=draft,
            reviewers=reviewers,
            auto_merge=auto_merge,
            no_inputs=no_inputs,
            dry_run=dry_run,
        )

    def rollback(
        self, asset: str, *, target: str, to: str | None = None, now: bool = False, dry_run: bool = False
    ) -> _propose.Promotion:
        """Ask to let a stage run a version that ran there before.

        Args:
            asset: TYPE/NAME.
            target: The stage.
            to: The version; default is the one before the present one.
            now: Merge the request at once, where the stage's policy needs nobody's approval of a rollback.
            dry_run: Fetch and plan only.

        Raises:
            NotFound: The asset was never on the stage, or nothing ran there before.
            PolicyRefused: The stage's rules forbid it; with `now`, somebody would have to approve it.
        """
        return _rollback.rollback(
            self._open_to_change(dry_run=dry_run), asset, target=target, to=to, now=now, dry_run=dry_run
        )

    def history(self, what: str, *, at: str | None = None) -> _history.History:
        """Who put what on a stage, when, by which request; or what an asset went through.

        Args:
            what: A stage, or TYPE/NAME.
            at: ISO 8601 date or time; the answer is then the state at that time.

        Raises:
            NotFound: No such stage or asset, or the clone is too shallow to tell.
        """
        return _history.history(self._open(), what, at=at)

    def check(
        self, commits: str | None = None, *, target: str | None = None, post: bool = False
    ) -> _check.Checked:
        """Judge a change as a merge into a branch, by that branch's own rules; `passed` says how it ended.

        Args:
            commits: `BASE..HEAD`; default is what CI says, or what is checked out.
            target: The stage, where BASE does not name it.
            post: Say it on the request's page, too; `posted` says what stands there. Nothing fails by that.

        Raises:
            NotFound: No such stage or revision.
            InvalidInput: The target's own configuration is malformed.
            Conflict: The change does not merge into the target.
        """
        if post:
            return _posting.check_and_post(self._open(), commits, target=target)
        return _check.check(self._open(), commits, target=target)

    def events(self, commits: str) -> _events.Events:
        """What happened to assets between two commits, oldest first.

        Args:
            commits: `BASE..HEAD`.

        Raises:
            NotFound: No such revision, or the clone is too shallow to tell.
        """
        return _events.events(self._open(), commits)

    @property
    def ci(self) -> Pipelines:
        """The pipelines that check requests of this registry (`gitml ci`)."""
        return Pipelines(self._open())

    @property
    def requests(self) -> Requests:
        """The requests of this registry's forge (`gitml pr`)."""
        return Requests(self._open())

    @property
    def stores(self) -> Stores:
        """The stores of this registry (`gitml store`)."""
        return Stores(self._open, caller=self._path, progress=self._progress)
