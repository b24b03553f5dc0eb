"""The verbs of `gitml pr`: :class:`Requests`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from gitml.forge import detect as _detect
    from gitml.forge.base import Forge, Request
    from gitml.promotion import merge as _merge
else:
    _detect = LazyModule("gitml.forge.detect")
    _merge = LazyModule("gitml.promotion.merge")


class Requests:
    """Requests to promote, on the forge of the repository, `local` included."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def _forge_to_change(self, *, dry_run: bool) -> Forge:
        if not dry_run:
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

    def approve(self, number: int, message: str | None = None, *, dry_run: bool = False) -> Request:
        """Approve the request's present head.

        Raises:
            NotFound: No such request.
            Conflict: It is not open.
            PolicyRefused: The author cannot approve.
        """
        return self._forge_to_change(dry_run=dry_run).approve(number, message, dry_run=dry_run)

    def reject(self, number: int, message: str, *, dry_run: bool = False) -> Request:
        """Reject the request, saying why.

        Raises:
            NotFound: No such request.
            Conflict: It is not open.
        """
        return self._forge_to_change(dry_run=dry_run).reject(number, message, dry_run=dry_run)

    def merge(self, number: int, *, dry_run: bool = False) -> _merge.Merged:
        """Judge the request against the stage as it is now, and merge it.

        Raises:
            PolicyRefused: A rule is not satisfied; lists every reason.
            Conflict: It conflicts with what the stage runs now, or is closed.
        """
        forge = self._forge_to_change(dry_run=dry_run)
        return _merge.merge_request(self._ws, forge, number, dry_run=dry_run)

    def close(self, number: int, *, dry_run: bool = False) -> Request:
        """Close the request without merging it.

        Raises:
            NotFound: No such request.
            Conflict: It is merged already.
        """
        return self._forge_to_change(dry_run=dry_run).close(number, dry_run=dry_run)
