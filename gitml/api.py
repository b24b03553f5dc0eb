"""The verbs of GitML: one short method per command, with the command's name and words.

`gitml.Registry("path").register("models/digits", "out")` does what `gitml -C path register models/digits out`
does. Methods return frozen dataclasses and raise :class:`gitml.errors.GitMLError`; they print nothing, and
report progress only to the `progress` they were given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml._lazy import LazyModule
from gitml.errors import NotFound, UsageError
from gitml.model.progress import SILENT, Progress
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from gitml.forge import detect as _detect
    from gitml.forge.base import Forge, Request
    from gitml.git.repository import Repository
    from gitml.model import names as _names
    from gitml.model import where as _where
    from gitml.promotion import audit as _audit
    from gitml.promotion import check as _check
    from gitml.promotion import events as _events
    from gitml.promotion import history as _history
    from gitml.promotion import merge as _merge
    from gitml.promotion import plan as _plan
    from gitml.promotion import propose as _propose
    from gitml.promotion import receive as _receive
    from gitml.promotion import rollback as _rollback
    from gitml.registry.care import checking as _checking
    from gitml.registry.care import garbage as _care
    from gitml.registry.care import repair as _repair
    from gitml.registry.care import replication as _replication
    from gitml.registry.care import stored as _stored
    from gitml.registry.care import upkeep as _upkeep
    from gitml.registry.care import verification as _verification
    from gitml.registry.others import opening as _others
    from gitml.registry.place import placement as _placement
    from gitml.registry.place import status as _status
    from gitml.registry.read import diff as _diff
    from gitml.registry.read import lineage as _lineage
    from gitml.registry.read import listing as _listing
    from gitml.registry.setup import doctor as _doctor
    from gitml.registry.setup import hooks as _hooks
    from gitml.registry.setup import initialise as _initialise
    from gitml.registry.setup import pipelines as _pipelines
    from gitml.registry.share import outgoing as _outgoing
    from gitml.registry.share import sync as _sync
    from gitml.registry.sql import query as _query
    from gitml.registry.write import drafting as _drafting
    from gitml.registry.write import edit as _edit
    from gitml.registry.write import referring as _referring
    from gitml.registry.write import register as _register
else:
    _detect = LazyModule("gitml.forge.detect")
    _names = LazyModule("gitml.model.names")
    _where = LazyModule("gitml.model.where")
    _audit = LazyModule("gitml.promotion.audit")
    _check = LazyModule("gitml.promotion.check")
    _events = LazyModule("gitml.promotion.events")
    _history = LazyModule("gitml.promotion.history")
    _merge = LazyModule("gitml.promotion.merge")
    _plan = LazyModule("gitml.promotion.plan")
    _receive = LazyModule("gitml.promotion.receive")
    _rollback = LazyModule("gitml.promotion.rollback")
    _care = LazyModule("gitml.registry.care.garbage")
    _checking = LazyModule("gitml.registry.care.checking")
    _diff = LazyModule("gitml.registry.read.diff")
    _drafting = LazyModule("gitml.registry.write.drafting")
    _doctor = LazyModule("gitml.registry.setup.doctor")
    _edit = LazyModule("gitml.registry.write.edit")
    _hooks = LazyModule("gitml.registry.setup.hooks")
    _initialise = LazyModule("gitml.registry.setup.initialise")
    _lineage = LazyModule("gitml.registry.read.lineage")
    _listing = LazyModule("gitml.registry.read.listing")
    _outgoing = LazyModule("gitml.registry.share.outgoing")
    _pipelines = LazyModule("gitml.registry.setup.pipelines")
    _others = LazyModule("gitml.registry.others.opening")
    _placement = LazyModule("gitml.registry.place.placement")
    _referring = LazyModule("gitml.registry.write.referring")
    _register = LazyModule("gitml.registry.write.register")
    _repair = LazyModule("gitml.registry.care.repair")
    _replication = LazyModule("gitml.registry.care.replication")
    _status = LazyModule("gitml.registry.place.status")
    _stored = LazyModule("gitml.registry.care.stored")
    _sync = LazyModule("gitml.registry.share.sync")
    _upkeep = LazyModule("gitml.registry.care.upkeep")
    _verification = LazyModule("gitml.registry.care.verification")
    _query = LazyModule("gitml.registry.sql.query")

Paths = str | Path


def init(
    directory: Paths = ".", *, store: str | None = None, remote: str | None = None, dry_run: bool = False
) -> _initialise.Initialised:
    """Make a git repository a registry and commit `gitml.yaml`; again: no change.

    Args:
        directory: The registry's folder; made, and made a git repository, where it is none.
        store: URL, or path relative to the current folder, of the store that the team shares.
        remote: URL of the git remote `origin`.
        dry_run: Only say what would be done.

    Raises:
        Conflict: Another store, remote or registry is there already.
    """
    return _initialise.initialise(Path(directory), store=store, remote=remote, dry_run=dry_run)


def doctor(path: Paths = ".", *, registry: Paths | None = None) -> _doctor.Diagnosis:
    """Judge the installation: git, identity, configuration, store, remote, protection of the stages.

    Args:
        path: Where the caller is; it need not be in a registry.
        registry: The registry's folder, if it is not at or above `path`.
    """
    return _doctor.diagnose(path, registry)


def install(
    path: Paths = ".",
    *,
    server: Paths | None = None,
    chain: bool = False,
    uninstall: bool = False,
    dry_run: bool = False,
) -> _hooks.Installed:
    """Set the hook of git that looks before a push: `pre-push` of a clone, or `pre-receive` of a server.

    Args:
        path: A folder of the clone.
        server: A bare repository: from then on its stages move by request only. It needs GitML to be installed there.
        chain: Keep a hook that is there already, and run it first.
        uninstall: Take the hook away, and put back what was there before.
        dry_run: Only say what would be done.

    Raises:
        NotFound: There is no repository.
        UsageError: The server's repository is not bare.
        Conflict: There is a hook that GitML did not write.
    """
    return _hooks.install(
        Path(path),
        server=None if server is None else Path(server),
        chain=chain,
        uninstall=uninstall,
        dry_run=dry_run,
    )


def hook(
    name: str,
    *arguments: str,
    updates: Iterable[str] = (),
    path: Paths = ".",
    registry: Paths | None = None,
    progress: Progress = SILENT,
) -> _outgoing.Hooked:
    """Judge a push as git's hook; see :func:`install`.

    Args:
        name: `pre-push` or `pre-receive`.
        arguments: What git gives the hook on its command line.
        updates: What git gives it on its standard input.
        path: Where git runs it.
        registry: The registry's folder, if it is not at or above `path`.
        progress: Where it reports to.

    Raises:
        UsageError: No such hook.
        PolicyRefused: The push must not happen.
    """
    return _receive.run_hook(name, arguments, updates, path=Path(path), registry=registry, progress=progress)


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
        path: Paths = ".",
        *,
        registry: Paths | None = None,
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
        *paths: Paths,
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
    ) -> _register.Registered:
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
            return replace(result, pushed=_sync.push(self._open())) if push and not dry_run else result
        result = _register.register(
            ws,
            asset_id,
            [Path(path) for path in paths],
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
        """List the newest version of each asset, or every version of one.

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
        output: Paths | None = None,
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
            dry_run: Plan only.

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
        self, asset: str, *, target: str, to: str | None = None, dry_run: bool = False
    ) -> _propose.Promotion:
        """Ask to let a stage run a version that ran there before.

        Args:
            asset: TYPE/NAME.
            target: The stage.
            to: The version; default is the one before the present one.
            dry_run: Plan only.

        Raises:
            NotFound: The asset was never on the stage, or nothing ran there before.
            PolicyRefused: The version never ran there.
        """
        return _rollback.rollback(
            self._open_to_change(dry_run=dry_run), asset, target=target, to=to, dry_run=dry_run
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

    def check(self, commits: str | None = None, *, target: str | None = None) -> _check.Checked:
        """Judge a change as a merge into a branch, by that branch's own rules; `passed` says how it ended.

        Args:
            commits: `BASE..HEAD`; default is what CI says, or what is checked out.
            target: The stage, where BASE does not name it.

        Raises:
            NotFound: No such stage or revision.
            InvalidInput: The target's own configuration is malformed.
            Conflict: The change does not merge into the target.
        """
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


class Pipelines:
    """The pipelines of build servers that judge requests."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def init(self, kind: str, *, force: bool = False, dry_run: bool = False) -> _pipelines.Pipeline:
        """Write the pipeline that runs `check` on requests to stages, and `events` when they are merged.

        Args:
            kind: github, gitlab, azure, bitbucket or gitea.
            force: Replace a file that is there.
            dry_run: Only say what would be written.

        Raises:
            UsageError: No such kind.
            Conflict: There is another pipeline in that file.
        """
        return _pipelines.write_pipeline(self._ws, kind, force=force, dry_run=dry_run)


class Requests:
    """Requests to promote, on the forge of the repository, `local` included."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def _forge_to_change(self) -> Forge:
        self._ws.repo.recover_locks()
        return _detect.open_forge(self._ws)

    def list(self, state: str = "open") -> tuple[Request, ...]:
        """Requests in a state: open, merged, closed, rejected or all; newest first.

        Raises:
            UsageError: No such state.
            StoreUnavailable: The remote did not answer.
        """
        return tuple(_detect.open_forge(self._ws).list(state))

    def show(self, number: int) -> Request:
        """One request with its reviews and events.

        Raises:
            NotFound: No such request.
        """
        return _detect.open_forge(self._ws).get(number)

    def approve(self, number: int, message: str | None = None) -> Request:
        """Approve the request's present head.

        Raises:
            NotFound: No such request.
            Conflict: It is not open.
            PolicyRefused: The author cannot approve.
        """
        return self._forge_to_change().approve(number, message)

    def reject(self, number: int, message: str) -> Request:
        """Reject the request, saying why.

        Raises:
            NotFound: No such request.
            Conflict: It is not open.
        """
        return self._forge_to_change().reject(number, message)

    def merge(self, number: int, *, dry_run: bool = False) -> _merge.Merged:
        """Judge the request against the stage as it is now, and merge it.

        Raises:
            PolicyRefused: A rule is not satisfied; lists every reason.
            Conflict: It conflicts with what the stage runs now, or is closed.
        """
        forge = _detect.open_forge(self._ws) if dry_run else self._forge_to_change()
        return _merge.merge_request(self._ws, forge, number, dry_run=dry_run)

    def close(self, number: int) -> Request:
        """Close the request without merging it.

        Raises:
            NotFound: No such request.
            Conflict: It is merged already.
        """
        return self._forge_to_change().close(number)


def stores(
    path: Paths = ".",
    *,
    registry: Paths | None = None,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> Stores:
    """The stores of the registry at or above a folder; `check` of a URL works where there is none, too."""

    def find() -> Workspace:
        return Workspace.open(path, registry, progress=progress, jobs=jobs)

    return Stores(find, caller=path, progress=progress)


class Stores:
    """The stores that this registry's configuration names."""

    def __init__(self, find: Callable[[], Workspace], *, caller: Paths, progress: Progress) -> None:
        self._find = find
        self._caller = caller
        self._progress = progress

    @property
    def _ws(self) -> Workspace:
        return self._find()

    def list(self) -> tuple[_stored.StoreInfo, ...]:
        """Every store: name, location, where that is said, and whether it is trusted on this machine."""
        return _stored.stores(self._ws)

    def check(self, where: str | None = None) -> _checking.StoreCheck:
        """Ask a place everything that a store relies on: races writers, reads after writes, ranges, names, speed.

        What it writes is removed again. A place of a kind that promises nothing by itself (see `allow_schemes` in
        your settings) may be used as a store once this found it fit.

        Args:
            where: Name of a store, or a URL or path; default is the store `default`. A URL or path needs no registry.

        Raises:
            PolicyRefused: A promise is broken; `context["faults"]` lists all of them.
            UsageError: There is no such store.
            StoreUnavailable, AccessDenied, NoSpace: The place cannot be used at all.
        """
        caller = Path(self._caller).resolve()
        return _checking.check(self._find, where, caller=caller, progress=self._progress)

    def trust(self, name: str) -> _stored.Trusted:
        """Accept the present location of a store on this machine, or a location that versions refer to.

        Args:
            name: Name of a store, `REPO//` before it for one of another registry; or the URL of a folder, bucket,
                prefix or web address, and all below it.

        Raises:
            UsageError: No such store.
            InvalidInput: No such kind of location.
        """
        if not ("//" in name and _others.names_store(name)):
            return _stored.trust(self._ws, name)
        caller = Path(self._caller).resolve()
        ws, inner = _others.open_other(name, self._find, caller=caller, progress=self._progress)
        return _stored.trust(ws, inner)

    def verify(
        self, name: str | None = None, *, part: str | None = None, within: str | None = None
    ) -> _stored.StoreVerification:
        """Check every object of a store against its name, and every version's tree for completeness.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            part: Only this part, as `2/7`; seven such runs read each object once.
            within: Only what can be read in this time, as `10m`; the next run goes on there.

        Raises:
            IntegrityError: Something is wrong; `context["faults"]` lists all of it.
            UsageError: A malformed part or time.
        """
        return _stored.verify(self._ws, name, part=part, within=within)

    def du(self, name: str | None = None) -> _stored.DiskUsage:
        """Unique and shared bytes of each version in a store."""
        return _stored.du(self._ws, name)

    def adopt(self, ref: str, *, dry_run: bool = False) -> _register.Registered:
        """Copy the data that a version refers to into the store, as the asset's next version.

        It gets the fields of the version it was copied from, which becomes its input. The bytes stream through this
        machine, judged on the way; none is kept on its disk.

        Args:
            ref: The version, registered with `reference`.
            dry_run: Plan only.

        Raises:
            UsageError: Its bytes are in the store already.
            AccessDenied: It refers to what is not trusted on this machine.
            IntegrityError: A source is gone, or not what was registered; no version is made.
        """
        return _referring.adopt(self._ws, ref, dry_run=dry_run)

    def forget(self, ref: str, *, store: str | None = None, dry_run: bool = False) -> _care.Forgotten:
        """Stop keeping a version, so that `gc` may free what only it uses.

        Args:
            ref: TYPE/NAME@VERSION.
            store: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            NotFound: The store does not keep that version.
            PolicyRefused: A local or remote-tracking branch still has its pointer.
        """
        return _care.forget(self._ws, ref, store=store, dry_run=dry_run)

    def gc(self, name: str | None = None, *, dry_run: bool = False) -> _care.GarbageCollection:
        """Condemn what no version of any registry needs, and delete what was condemned two weeks ago.

        Safe beside writers, readers and other collections. Versions are never let go: see `forget`.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            IntegrityError: A version cannot be followed, so nobody knows what it needs; nothing was deleted.
        """
        return _care.gc(self._ws, name, dry_run=dry_run)

    def repack(self, name: str | None = None, *, dry_run: bool = False) -> _upkeep.Repacked:
        """Merge small packs and leave behind what no version uses; `gc` frees the old ones.

        Safe beside writers, readers and collections.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would be done.

        Raises:
            IntegrityError: Something that would have to move is damaged; nothing was changed.
        """
        return _upkeep.repack(self._ws, name, dry_run=dry_run)

    def purge(self, ref: str, *, store: str | None = None, dry_run: bool = False) -> _upkeep.Purged:
        """Remove what only one version uses from a store, at once, and refuse these contents from then on.

        Readers of other versions whose bytes have to move may have to begin again. Do not repack meanwhile.

        Args:
            ref: TYPE/NAME@VERSION.
            store: Name of the store, or `embedded`; default is the configured one.
            dry_run: Only say what would go.

        Raises:
            NotFound: The store does not keep that version.
            PolicyRefused: Another version has one of its files; `context["files"]` lists them.
            Conflict: The same bytes were registered meanwhile.
        """
        return _upkeep.purge(self._ws, ref, store=store, dry_run=dry_run)

    def replicate(
        self, a: str, b: str, *, deep: bool = False, dry_run: bool = False
    ) -> _replication.Replicated:
        """Give a store every version of another, and restore what it lost.

        Args:
            a: The store to read: a name, URL or path.
            b: The store to bring up to date: a name, URL or path.
            deep: Read all of `b` first and heal what is damaged, too; otherwise only what is missing.
            dry_run: Only say what would be copied.

        Raises:
            NotFound: `a` is no store.
            PartlyDone: Versions that `b` refused or that `a` cannot give, or objects that neither has; the rest is done.
        """
        return _replication.replicate(self._ws, a, b, deep=deep, dry_run=dry_run)

    def repair(
        self,
        name: str | None = None,
        *,
        sources: Sequence[str] = (),
        files: Sequence[str | Path] = (),
        dry_run: bool = False,
    ) -> _repair.Repaired:
        """Restore what a store lost, from other stores, the cache, and files that were placed from this clone.

        Reads all of the store first. Nothing is deleted, and what is right is left alone.

        Args:
            name: Name of the store, or `embedded`; default is the configured one.
            sources: Look in these stores: names, URLs or paths; default is every store that is known.
            files: Look in these folders, too, for files of versions.
            dry_run: Only say what would be done.

        Raises:
            PartlyDone: Bytes are lost; `context["missing"]` says which of which file. The rest is done.
            UsageError: A source is the store itself.
            NotFound: No such folder.
        """
        return _repair.repair(self._ws, name, sources=sources, files=files, dry_run=dry_run)
