"""What Microsoft's own client of Azure DevOps asks first, and what it knows: for the double of the forge.

Source: the package `azure-devops` (resource identifiers of its calls, models of their bodies).
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

from .routing import Call  # noqa: TID252 - by either name of the package

_REPO = "{project}/_apis/{area}/repositories/{repositoryId}"
_PULL = _REPO + "/pullRequests/{pullRequestId}"
_LOCATIONS = {
    "9946fd70-0d40-406e-b686-b4744cbbcc37": ("git", "pullRequests", _REPO + "/{resource}/{pullRequestId}"),
    "4b6702c7-aa35-4b89-9c96-b9abf6d3e540": ("git", "reviewers", _PULL + "/{resource}/{reviewerId}"),
    "ab6e2e5d-a0b7-4153-b64a-a4efe0d49449": ("git", "threads", _PULL + "/{resource}/{threadId}"),
    "965a3ec7-5ed8-455a-bdcb-835a5ea7fe7b": (
        "git",
        "comments",
        _PULL + "/threads/{threadId}/{resource}/{commentId}",
    ),
    "d43911ee-6958-46b0-a42b-8445b8a0d004": ("git", "iterations", _PULL + "/{resource}/{iterationId}"),
    "52823034-34a8-4576-922c-8d8b77e9e4c4": ("git", "commits", _PULL + "/{resource}"),
    "28010c54-d0c0-4c89-a5b0-1c9e188b9fb7": ("IMS", "identities", "_apis/{resource}"),
    "428dd4fb-fda5-4722-af02-9313b80305da": ("git", "statuses", _REPO + "/commits/{commitId}/{resource}"),
    "00d9565f-ed9c-4a06-9a50-00e7896ccab4": ("Location", "ConnectionData", "_apis/{resource}"),
    "e81700f7-3be2-46de-8624-2eb35882fcaa": ("Location", "ResourceAreas", "_apis/{resource}"),
}


def locations() -> list[dict[str, Any]]:
    """Where resources are."""
    return [
        {"id": key, "area": area, "resourceName": name, "routeTemplate": template, "resourceVersion": 2,
         "minVersion": "1.0", "maxVersion": "7.2", "releasedVersion": "7.1"}
        for key, (area, name, template) in _LOCATIONS.items()
    ]  # fmt: skip


_MODELS = (
    (r"/threads$", "GitPullRequestCommentThread"),
    (r"/comments/\d+$", "Comment"),
    (r"/reviewers/[^/]+$", "IdentityRefWithVote"),
    (r"/statuses$", "GitStatus"),
    (r"(?i)/pullRequests(/\d+)?$", "GitPullRequest"),
)


def complaint(call: Call) -> str | None:
    """What is wrong with a call: no version, or a field that Microsoft's client does not know."""
    if call.method == "OPTIONS":
        return None
    if "api-version" not in call.query and "api-version=" not in call.headers.get("Accept", ""):
        return "a call names the version of the API that it means"
    model = next((name for pattern, name in _MODELS if re.search(pattern, call.path)), None)
    if not call.body or model is None:
        return None
    try:
        models = import_module("azure.devops.v7_1.git.models")
    except ModuleNotFoundError:
        return None
    return _unknown(models, model, json.loads(call.body))


def _unknown(models: Any, kind: str, value: Any) -> str | None:
    """The first field that a model does not have."""
    if kind.startswith("[") and isinstance(value, list):
        return next((fault for one in value if (fault := _unknown(models, kind.strip("[]"), one))), None)
    model = getattr(models, kind, None)
    if model is None or not isinstance(value, dict):
        return None
    known = {one["key"]: one["type"] for one in model._attribute_map.values()}
    for key, one in value.items():
        if key not in known:
            return f"{kind} has no field {key}"
        fault = _unknown(models, known[key], one)
        if fault is not None:
            return fault
    return None
