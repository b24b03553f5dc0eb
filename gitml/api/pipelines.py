"""The verbs of `gitml ci`: :class:`Pipelines`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitml._lazy import LazyModule
from gitml.registry.workspace import Workspace

if TYPE_CHECKING:
    from gitml.registry.setup import pipelines as _pipelines
else:
    _pipelines = LazyModule("gitml.registry.setup.pipelines")


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
