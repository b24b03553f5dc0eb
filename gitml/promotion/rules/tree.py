"""Rules about the tree that a stage would have: well-formed, within its scope, write-once, and of one piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitml.model.names import VersionId
from gitml.model.paths import fold
from gitml.promotion.case import Case, Problem, Rule, Shape
from gitml.promotion.view import CONFIG_FILE, REGULAR_MODES, Defect


def schema(case: Case) -> Iterator[Problem]:
    """Every pointer that comes or is to run, and every registry file that is touched, is well formed."""
    case.after.load(case.added)
    for version in case.added:
        pointer = case.after.pointer(version)
        if isinstance(pointer, Defect):
            yield Problem(rule=Rule.SCHEMA, asset=str(version), message=pointer.message)
        for name, file in case.after.versions[version].items():
            if file.mode not in REGULAR_MODES:
                message = f"{version.folder}/{name} is no regular file (mode {file.mode})"
                yield Problem(rule=Rule.SCHEMA, asset=str(version), message=message)
    known = {stray.path for stray in case.before.strays}
    for defect in [
        *(s for s in case.after.strays if s.path not in known),
        *case.after.defects_of(case.changed),
    ]:
        yield Problem(rule=Rule.SCHEMA, asset=defect.path, message=defect.message)
    yield from _look_alikes(case)


def _look_alikes(case: Case) -> Iterator[Problem]:
    """Files of the registry that a file system or a person could take for each other."""
    added = sorted(
        path for path in case.after.files.keys() - case.before.files.keys() if case.after.is_inside(path)
    )
    if not added:
        return
    own = f"{case.stage}.yaml"
    spellings: dict[str, list[str]] = {}
    for spelling in _with_folders(case.after.files):
        spellings.setdefault(fold(spelling), []).append(spelling)
    for path in added:
        twins = [min(set(spellings[fold(s)]) - {s}, default="") for s in _with_folders([path])]
        other, name = max(twins), path.rpartition("/")[2]
        if other:
            message = f"{path} and {other} differ only in the case or form of their letters"
            yield Problem(rule=Rule.SCHEMA, asset=path, message=message, hint="rename one")
        elif name != own and fold(name) == fold(own):
            message = f"{path} looks like {own}, which says what {case.stage} runs, and is another file"
            yield Problem(rule=Rule.SCHEMA, asset=path, message=message, hint="remove it")


def _with_folders(paths: Iterable[str]) -> set[str]:
    """Paths, and every folder that they lie in."""
    found: set[str] = set()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def scope(case: Case) -> Iterator[Problem]:
    """A promotion by asset touches version folders and the stage's own files, nothing else."""
    if case.shape is not Shape.BY_ASSET:
        return
    own = {
        view.path(asset.folder, f"{case.stage}.yaml")
        for view in (case.before, case.after)
        for asset in view.stage_files(case.stage)
    }
    for path in sorted(case.changed - own):
        if case.before.is_in_version(path) or case.after.is_in_version(path):
            continue
        what = "the configuration" if path == case.after.path(CONFIG_FILE) else "a file that is no part of it"
        yield Problem(
            rule=Rule.SCOPE,
            asset=path,
            message=f"a promotion by asset may not change {path}, {what}",
            hint="change it by a promotion of the branch, or by an ordinary merge",
        )


def write_once(case: Case) -> Iterator[Problem]:
    """A version on a stage never changes; it may go as a whole when nothing needs it."""
    where = case.stage or "the target"
    altered = [
        (version, left)
        for version, files in case.before.versions.items()
        if (left := case.after.versions.get(version)) != files
    ]
    needed = _needed(case) if altered else {}
    for version, left in sorted(altered, key=lambda item: str(item[0])):
        rest = case.after.path(version.folder) + "/"
        if left is not None or any(path.startswith(rest) for path in case.after.files):
            message = f"{version} is on {where} already, and its folder would change"
            hint = "register the change as another version"
            yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message, hint=hint)
        elif version in needed:
            message = f"{version} would be removed from {where}, and {needed[version]} needs it"
            yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message)
    yield from _two_spellings(case)


def _two_spellings(case: Case) -> Iterator[Problem]:
    of_asset: dict[object, list[VersionId]] = {}
    assets = {version.asset for version in case.added}
    for version in case.after.versions:
        if version.asset in assets:
            of_asset.setdefault(version.asset, []).append(version)
    for version in case.added:
        for other in of_asset[version.asset]:
            if other != version and other.version.same_as(version.version):
                message = f"{version} and {other} are the same version in two spellings"
                yield Problem(rule=Rule.WRITE_ONCE, asset=str(version), message=message)


def _needed(case: Case) -> dict[VersionId, str]:
    """Versions that what runs after the change needs, with what needs them; pointers gone are read before it."""
    needed: dict[VersionId, str] = {}
    queue: list[tuple[VersionId, str]] = [
        (VersionId(asset=asset, version=version), f"what {case.stage} runs")
        for asset, version in case.currents_after.items()
        if not isinstance(version, Defect)
    ]
    while queue:
        version, by = queue.pop()
        view = next((view for view in (case.after, case.before) if version in view.versions), None)
        if version in needed or view is None:
            continue
        needed[version] = by
        pointer = view.pointer(version)
        if not isinstance(pointer, Defect):
            queue += [(item.ref, str(version)) for item in pointer.inputs if item.repo is None]
    return needed


def current(case: Case) -> Iterator[Problem]:
    """What the stage's files name is there."""
    for asset, version in sorted(case.currents_after.items(), key=lambda item: str(item[0])):
        if isinstance(version, Defect):
            yield Problem(rule=Rule.CURRENT, asset=str(asset), message=version.message)
        elif VersionId(asset=asset, version=version) not in case.after.versions:
            message = f"{asset}/{case.stage}.yaml names version {version}, which would not be on {case.stage}"
            yield Problem(rule=Rule.CURRENT, asset=f"{asset}@{version}", message=message)
