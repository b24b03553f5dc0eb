"""A git repository as the registry of everything a machine-learning team ships.

    import gitml

    gitml.init("registry", store="../store")
    registry = gitml.Registry("registry")
    registry.register("datasets/digits", "data/")

The verbs are methods of :class:`gitml.Registry`; the same names on the module work on the registry of the
current folder. Nothing heavy is imported before the first use.
"""

from __future__ import annotations

from gitml._version import __version__

TYPE_CHECKING = False  # as typing has it, without the time that importing typing takes
if TYPE_CHECKING:
    from typing import Any

    from gitml.api import Registry, doctor, init
    from gitml.errors import GitMLError
    from gitml.model.reference import AssetRef

_VERBS = (
    "alias",
    "deprecate",
    "diff",
    "get",
    "history",
    "lineage",
    "list",
    "open",
    "promote",
    "pull",
    "push",
    "register",
    "rollback",
    "show",
    "status",
    "verify",
)

__all__ = ["AssetRef", "GitMLError", "Registry", "__version__", "doctor", "init", *_VERBS]


def __getattr__(name: str) -> Any:
    if name in ("Registry", "doctor", "init"):
        from gitml import api

        return getattr(api, name)
    if name in _VERBS:
        from gitml.api import Registry

        return getattr(Registry(needed=False), name)
    if name == "GitMLError":
        from gitml.errors import GitMLError

        return GitMLError
    if name == "AssetRef":
        from gitml.model.reference import AssetRef

        return AssetRef
    raise AttributeError(f"module 'gitml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
