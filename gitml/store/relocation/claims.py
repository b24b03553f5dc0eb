"""Which root a version has: the first that was created, unless that one leads nowhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gitml.errors import NotFound, OutcomeUnknown, PolicyRefused, StoreUnavailable
from gitml.store.formats.root import Root, encode_root
from gitml.store.media import layout
from gitml.store.media.medium import Medium, PutOutcome
from gitml.store.relocation.moving import objects_gone, replace_root, root_at
from gitml.store.relocation.relocate import used_objects

_LOOKS: Final = 8


class Claims:
    """The roots of one medium.

    Args:
        jobs: Threads of one look at the objects of a tree.
    """

    def __init__(self, medium: Medium, jobs: int) -> None:
        self._medium = medium
        self._jobs = jobs

    def standing(self, name: str, root: Root) -> Root:
        """The root that a version has, which is `root` unless it had another one that leads somewhere.

        Args:
            name: Of the version's root.

        Raises:
            PolicyRefused: The tree was purged.
            StoreUnavailable: An object of the tree is gone.
            OutcomeUnknown: A reply was lost, and the look failed too.
        """
        for _ in range(_LOOKS):
            if self._medium.head(layout.purged_name(root.tree.hex)) is not None:
                raise PolicyRefused(
                    f"the contents {root.tree} were purged from {self._medium.url} and are refused",
                    code="purged",
                    hint="register other contents",
                    context={"tree": str(root.tree)},
                )
            standing = self._create(name, root)
            if standing.tree != root.tree or standing == root or not self.missing(standing):
                return standing
            self.refuse_incomplete(root)
            # What seems incomplete may be a layout that somebody replaced by a whole one since it was read.
            moved = replace_root(self._medium, name, standing, root)
            if moved is not None:
                return moved
        raise StoreUnavailable(
            f"{name} in {self._medium.url} changes all the time", hint="run the command again"
        )

    def _create(self, name: str, root: Root) -> Root:
        """Create a root unless there is one; the one that stands then."""
        for _ in range(_LOOKS):
            try:
                if self._medium.put_if_absent(name, [encode_root(root)]) is PutOutcome.CREATED:
                    return root
            except OutcomeUnknown as unknown:
                try:
                    found = root_at(self._medium, name)
                except StoreUnavailable:
                    raise unknown from None
            else:
                found = root_at(self._medium, name)
            if found is not None:
                return found
        raise StoreUnavailable(f"{name} in {self._medium.url} comes and goes", hint="run the command again")

    def refuse_incomplete(self, root: Root) -> None:
        """See that nothing of a tree is gone.

        Raises:
            StoreUnavailable: Something is.
        """
        missing = self.missing(root)
        if missing:
            raise objects_gone(root, self._medium.url, missing)

    def missing(self, root: Root) -> list[str]:
        """Objects of a tree that the store does not have with the size they must have."""
        missing: list[str] = []

        def is_there(name: str, size_bytes: int | None) -> bool:
            found = self._medium.head(name)
            return found is not None and (size_bytes is None or found == size_bytes)

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="gitml-head") as pool:
            heads = []
            name = ""
            try:
                for used in used_objects(self._medium, root):
                    name = used.name
                    if used.pack is not None:
                        heads.append((name, pool.submit(is_there, name, used.size_bytes)))
            except NotFound:
                missing.append(name)
            missing += [name for name, answer in heads if not answer.result()]
        return missing
