"""Hand to the configured stores what only this clone's embedded store has, before anybody needs it."""

from __future__ import annotations

from gitml.errors import Conflict, PolicyRefused, UsageError
from gitml.model.names import VersionId
from gitml.registry.sent import is_sent, remember_sent
from gitml.registry.snapshot import Snapshot
from gitml.registry.stores import DEFAULT, StoreSet
from gitml.registry.workspace import Workspace
from gitml.store.read.reader import TreeSource
from gitml.store.store import Claimed, Root, Store

_LOOKS = 4


class Totals:
    """Sums over the versions that were sent."""

    def __init__(self) -> None:
        self.sent: list[VersionId] = []
        self.new_bytes = 0
        self.reused_bytes = 0
        self.stored_bytes = 0


def send_bytes(ws: Workspace, snapshot: Snapshot, totals: Totals) -> None:
    """Write what only the embedded store has of a commit's versions to the configured ones, and claim them there.

    Not only of versions that the remote lacks: a plain `git push` takes pointers along, and no bytes.

    Raises:
        UsageError: A store that a pointer names is not configured.
        Conflict: The store has other contents under that version.
        PolicyRefused: The contents were purged there.
    """
    stores = ws.stores(snapshot.config)
    if not stores.has_embedded:
        return
    roots = {id_: root for id_ in snapshot.ids() if (root := stores.embedded.root(stores.key(id_)))}
    for id_, pointer in snapshot.pointers(list(roots)).items():
        root = roots[id_]
        if root.tree != pointer.contents.digest or is_sent(stores, pointer):
            continue
        name = pointer.contents.store
        if name not in stores.names():
            raise UsageError(
                f"the bytes of {id_} are in this clone's embedded store, and no store {name!r} is configured "
                "to send them to",
                code="no-store",
                hint="gitml init --store URL|PATH"
                if name == DEFAULT
                else f"add stores.{name}.url to gitml.yaml",
                context={"ref": str(id_), "store": name},
            )
        target = stores.for_writing(name)
        present = target.root(stores.key(id_))
        if present is not None and present.tree == root.tree:
            remember_sent(stores, pointer)
            continue
        ws.progress.note(f"sending {id_} ({root.files} files) to the store {name}")
        tree = stores.embedded.tree(root, expected=pointer.contents, label=str(id_))
        earlier = _earlier(stores, target, id_, snapshot)
        written = target.write(TreeSource(tree), earlier=earlier, progress=ws.progress)
        try:
            claimed = target.claim(stores.key(id_), written)
        except PolicyRefused as error:
            raise _purged(id_, name, error) from error
        if not isinstance(claimed, Claimed):
            raise Conflict(
                f"{id_} is taken in the store by other contents",
                code="version-exists",
                hint=renumbered(ws, id_),
                context={"ref": str(id_)},
            )
        stores.remember_written(target)
        remember_sent(stores, pointer)
        totals.sent.append(id_)
        totals.new_bytes += written.stats.new_bytes
        totals.reused_bytes += written.stats.reused_bytes
        totals.stored_bytes += written.stats.stored_bytes


def _purged(id_: VersionId, store: str, error: PolicyRefused) -> PolicyRefused:
    return PolicyRefused(
        f"{id_} cannot be sent to the store {store}: {error.message}",
        code=error.code,
        hint=f"git rm -r {id_.folder}, commit, and run it again",
        context={**error.context, "ref": str(id_), "store": store},
    )


def _earlier(stores: StoreSet, target: Store, id_: VersionId, snapshot: Snapshot) -> list[Root]:
    """The newest version before this one that the store has; a few are asked for, each with one request."""
    before = [version for version in snapshot.versions(id_.asset) if version < id_.version]
    for version in before[: -_LOOKS - 1 : -1]:
        root = target.root(stores.key(VersionId(asset=id_.asset, version=version)))
        if root is not None:
            return [root]
    return []


def renumbered(ws: Workspace, id_: VersionId) -> str:
    """The commands that give a version a number which nobody has."""
    taken = [
        version for commit in set(ws.branch_tips().values()) for version in ws.at(commit).versions(id_.asset)
    ]
    numbers = [version.number for version in taken if version.number is not None]
    number = max(numbers, default=0) + 1
    return (
        f"gitml register {id_.asset} PATH --version {number} (its bytes are stored already), "
        f"then git rm -r {id_.folder} and commit"
    )
