"""Inputs that other registries hold: whether each is there as it was pinned, and promoted there where that is asked.

Only registries that the target's own `gitml.yaml` names are asked, and those that they name in turn: a request cannot
send the one who judges it anywhere. What an input was made from is followed through every registry, each version once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gitml.errors import AccessDenied, GitMLError, StoreUnavailable
from gitml.git.urls import same_remote
from gitml.model.config import REGISTRY_NAME, Config
from gitml.model.names import VersionId
from gitml.model.pointer import Input, Pointer
from gitml.promotion.case import Needed
from gitml.registry.others.addresses import Address, named
from gitml.registry.others.opening import OtherRegistry
from gitml.registry.snapshot import Snapshot
from gitml.registry.workspace import Workspace

MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One registry that was opened, and what it is read on."""

    registry: OtherRegistry
    snapshot: Snapshot
    address: Address


class ForeignInputs:
    """Looks inputs up in other registries, each of which is asked once.

    Args:
        ws: The registry of the target.
        config: The target's configuration, which names the others.
        stage: The target; inputs have to be on the stage of that name there, where they have to be promoted.
        promoted: Whether they have to be.
    """

    def __init__(self, ws: Workspace, config: Config, stage: str, *, promoted: bool) -> None:
        self._ws = ws
        self._config = config
        self._stage = stage if promoted else None
        self._places: dict[str, _Place | GitMLError] = {}
        self._seen: set[tuple[str, VersionId, str]] = set()

    def look(self, item: Input, *, raises: bool) -> Needed:
        """What is missing of an input, and of what it was made from.

        Args:
            item: The pinned input.
            raises: Whether a registry that cannot be asked is an error, rather than something missing.

        Raises:
            StoreUnavailable, AccessDenied: With `raises`, a registry cannot be asked.
        """
        self._seen.clear()
        found = self._look(self._ws, self._config, item, 0)
        if raises:
            for error in self._places.values():
                if isinstance(error, StoreUnavailable | AccessDenied):
                    raise error
        return found

    def _look(self, home: Workspace, config: Config, item: Input, depth: int) -> Needed:
        node = Needed(ref=item.text, digest=str(item.digest))
        if depth >= MAX_DEPTH:
            return replace(
                node, problem=f"the inputs of {item.text} lead through more than {MAX_DEPTH} registries"
            )
        try:
            address = self._address(home, config, item)
            if address is None:
                return replace(
                    node,
                    problem=f"{item.text} is in a registry that gitml.yaml on the target does not name",
                    hint=f"registries: {{NAME: {item.repo}}} in gitml.yaml on the target",
                )
            place = self._open(address)
            return self._judged(place, item, node, depth)
        except (StoreUnavailable, AccessDenied) as error:
            return replace(node, problem=f"{item.text} cannot be looked up: {error.message}", hint=error.hint)
        except GitMLError as error:
            return replace(node, problem=f"{item.text}: {error.message}", hint=error.hint)

    def _address(self, home: Workspace, config: Config, item: Input) -> Address | None:
        repo = str(item.repo)
        if REGISTRY_NAME.fullmatch(repo):
            return named(config, repo, home)
        for name in config.registries:
            address = named(config, name, home)
            if same_remote(address.url, repo):
                return address
        return None

    def _open(self, address: Address) -> _Place:
        key = address.shown
        if key not in self._places:
            try:
                self._places[key] = self._opened(address)
            except GitMLError as error:
                self._places[key] = error
        found = self._places[key]
        if isinstance(found, GitMLError):
            raise found
        return found

    def _opened(self, address: Address) -> _Place:
        ws = self._ws
        there = OtherRegistry(address, ws.caller, ws.settings, progress=ws.progress, jobs=ws.jobs)
        tip = there.stage_tip(self._stage) if self._stage else there.default_tip()
        return _Place(registry=there, snapshot=there.at(tip.commit), address=address)

    def _judged(self, place: _Place, item: Input, node: Needed, depth: int) -> Needed:
        where = f"the stage {self._stage}" if self._stage else "the default branch"
        pointer = self._pointer(place, item)
        if pointer is None:
            stage = self._stage or "STAGE"
            return replace(
                node,
                problem=f"{item.text} is not on {where} of {place.address.shown}",
                hint=f"gitml promote {item.ref} -t {stage}, in a clone of {place.address.shown}"
                if self._stage
                else f"gitml push, in a clone of {place.address.shown}",
            )
        if pointer.contents.digest != item.digest:
            return replace(
                node,
                problem=f"{item.text} was pinned as {item.digest}, and there it has {pointer.contents.digest}",
            )
        key = (place.address.shown, item.ref, str(item.digest))
        if key in self._seen:
            return node
        self._seen.add(key)
        needs = []
        for below in pointer.inputs:
            if below.repo is not None:
                found = self._look(place.registry, place.snapshot.config, below, depth + 1)
            else:
                same = replace(below, repo=item.repo, commit=None)
                found = self._judged(place, same, Needed(ref=same.text, digest=str(same.digest)), depth)
            if found.is_missing:
                needs.append(found)
        return replace(node, needs=tuple(needs))

    def _pointer(self, place: _Place, item: Input) -> Pointer | None:
        """The version there: on the branch that counts, or, where any will do, in the commit that was pinned."""
        if place.snapshot.has(item.ref):
            return place.snapshot.pointer(item.ref)
        if self._stage is None and item.commit is not None:
            place.registry.bring(item.commit)
            pinned = place.registry.at(item.commit)
            if pinned.has(item.ref):
                return pinned.pointer(item.ref)
        return None
