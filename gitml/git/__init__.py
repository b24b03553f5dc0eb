"""The one room that runs git.

Callers need :class:`Repository` and the words of :mod:`gitml.git.types`; GitPython is loaded with the first command.
"""

from __future__ import annotations

from gitml.git.repository import Repository
from gitml.git.types import (
    ANY,
    FILE_MODE,
    FOLDER_MODE,
    Change,
    Changes,
    Commit,
    Diverged,
    Entry,
    Head,
    Identity,
    MergeConflict,
    MergedTree,
    Operation,
    Person,
    PushRef,
    PushResult,
    PushStatus,
    RefUpdate,
    Stale,
    TreeChange,
    TreeEntry,
    Upstream,
)
from gitml.git.urls import check_url, same_remote

__all__ = [
    "ANY",
    "FILE_MODE",
    "FOLDER_MODE",
    "Change",
    "Changes",
    "Commit",
    "Diverged",
    "Entry",
    "Head",
    "Identity",
    "MergeConflict",
    "MergedTree",
    "Operation",
    "Person",
    "PushRef",
    "PushResult",
    "PushStatus",
    "RefUpdate",
    "Repository",
    "Stale",
    "TreeChange",
    "TreeEntry",
    "Upstream",
    "check_url",
    "same_remote",
]
