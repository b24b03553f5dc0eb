"""Versions whose data stays where it is: made from a listing, and read through it.

What such a version holds in its store is `references.jsonl` alone. Everything else that reads a version asks here for
its contents, and gets a tree that behaves as any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitml.errors import GitMLError, IntegrityError, InvalidInput, NotFound, UsageError
from gitml.model.config import Config
from gitml.model.pointer import MAX_SOURCES, External, Pointer
from gitml.model.references import (
    FILE,
    MAX_FILES,
    MAX_LINE_BYTES,
    Reference,
)
from gitml.model.source_url import SourceKind, SourceUrl, is_url, typed_source
from gitml.registry.external.origins import Origins
from gitml.store.external.listed import LinesSource, ReferenceList, SortedReferences
from gitml.store.external.origin import Origin, hashed
from gitml.store.external.referenced import LearnedDigests, ReferencedTree
from gitml.store.read.reader import TreeReader
from gitml.store.write.sourcecache import SourceCache

if TYPE_CHECKING:
    from gitml.registry.workspace import Workspace

_STEP_BYTES = 1 << 20
_RACY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a listing of external data found.

    Attributes:
        external: How much, and where; what the pointer will say.
        references: Every file; none after a rehearsal.
    """

    external: External
    references: SortedReferences

    def source(self, ws: Workspace) -> LinesSource:
        """What is to be stored.

        Raises:
            InvalidInput: A path may not be registered, or two of them cannot lie in one folder.
        """
        try:
            return LinesSource(self.references.lines(), _scratch(ws))
        finally:
            self.references.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Data that a version refers to.

    Attributes:
        files, size_bytes: How much there is.
        sources: Locations that it lies in.
    """

    files: int
    size_bytes: int
    sources: tuple[str, ...]

    @classmethod
    def of(cls, external: External | None) -> Elsewhere | None:
        """What a pointer says, for people and machines."""
        if external is None:
            return None
        return cls(
            files=external.files,
            size_bytes=external.size_bytes,
            sources=tuple(str(one) for one in external.sources),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFault:
    """A source that is not what was registered.

    Attributes:
        path: File of the contents.
        url: Where it should be.
        problem: What is wrong, in words.
    """

    path: str
    url: str
    problem: str


def locations(ws: Workspace, texts: Sequence[str]) -> tuple[SourceUrl, ...]:
    """What a caller typed, as locations; paths are relative to the caller.

    Raises:
        InvalidInput: One is of a kind that cannot be referred to, or there are too many.
    """
    found = tuple(
        dict.fromkeys(
            typed_source(text) if is_url(text) else SourceUrl.of_path(Path(os.path.abspath(ws.caller / text)))  # noqa: PTH100, links stay
            for text in texts
        )
    )
    if len(found) > MAX_SOURCES:
        raise InvalidInput(
            f"{len(found)} locations are more than the {MAX_SOURCES} that one version may refer to",
            code="too-many-sources",
            hint="name the folder or prefix that holds them",
        )
    return found


def list_sources(
    ws: Workspace,
    config: Config,
    sources: Sequence[SourceUrl],
    *,
    hash: bool,  # noqa: A002, the flag's own name
    dry_run: bool = False,
) -> Listed:
    """List what lies at locations that the caller named, which is what trusts them.

    Files of this machine are read and hashed; others are where `hash` asks for it, and where nothing else could tell
    later whether they changed.

    Raises:
        NotFound: There is nothing at one of them.
        InvalidInput: A name is refused.
        IntegrityError: A file changed while it was read.
        StoreUnavailable, AccessDenied: The medium refused.
    """
    origins = _origins(ws, config)
    found = SortedReferences(_scratch(ws))
    files = size_bytes = 0
    ws.progress.begin("Listing")
    try:
        for location in sources:
            origin = origins.open(location)
            for reference in origin.files():
                if files == MAX_FILES:
                    raise InvalidInput(
                        f"there are more than {MAX_FILES} files",
                        code="too-many-references",
                        hint="refer to parts of them in versions of their own",
                    )
                files += 1
                size_bytes += reference.size_bytes
                if not dry_run:
                    is_known = not hash and (reference.etag or reference.version_id)
                    found.add(reference if is_known else hashed(origin, reference))
                ws.progress.advance(files=1, size_bytes=reference.size_bytes)
    finally:
        ws.progress.end()
    external = External(files=files, size_bytes=size_bytes, sources=tuple(sources))
    return Listed(external=external, references=found)


def trust_sources(ws: Workspace, config: Config, sources: Sequence[SourceUrl]) -> None:
    """Remember that a person on this machine named these locations."""
    origins = _origins(ws, config)
    for location in sources:
        origins.trust(location)


def contents_of(ws: Workspace, config: Config, pointer: Pointer) -> TreeReader | ReferencedTree:
    """The contents of a version, wherever they lie.

    Raises:
        NotFound: Its bytes are in no store.
        AccessDenied: They lie where nobody on this machine said that they may be read.
        IntegrityError: The store has other bytes than the pointer promises.
    """
    store, root = ws.stores(config).locate(pointer)
    tree = store.tree(root, expected=pointer.contents, label=str(pointer.id))
    if pointer.contents.external is None:
        return tree
    return referenced(ws, config, pointer, tree)


def referenced(ws: Workspace, config: Config, pointer: Pointer, tree: TreeReader) -> ReferencedTree:
    """What a version refers to.

    Raises:
        UsageError: It refers to nothing.
        AccessDenied: It refers to what nobody on this machine has trusted.
        IntegrityError: What it refers to is not what its pointer says.
    """
    external = _external(pointer)
    origins = _origins(ws, config)
    origins.check(external.sources)
    return ReferencedTree(
        read_references(ws, pointer, tree),
        _opener(origins, external.sources),
        label=str(pointer.id),
        learned=LearnedDigests(_notes(ws, pointer, "learned")),
        scratch=_scratch(ws),
        jobs=ws.jobs,
    )


def read_references(ws: Workspace, pointer: Pointer, tree: TreeReader) -> ReferenceList:
    """What a version refers to, without asking any of the places.

    Raises:
        IntegrityError: It is not what the pointer says.
    """
    external, label = _external(pointer), f"{pointer.id}:{FILE}"

    def judge(one: Reference) -> None:
        if not any(location.covers(one.url) for location in external.sources):
            raise _disagrees(pointer, f"{one.url} lies in none of the locations that its pointer names")

    try:
        found = ReferenceList(_lines(tree), label=label, scratch=_scratch(ws), judge=judge)
    except (InvalidInput, NotFound) as error:
        raise IntegrityError(
            error.message, code="bad-references", hint="register it again", context=error.context
        ) from error
    if (len(found), found.size_bytes) != (external.files, external.size_bytes):
        raise _disagrees(pointer, f"it lists {len(found)} files of {found.size_bytes} bytes")
    return found


def look_at_sources(
    ws: Workspace, config: Config, pointer: Pointer, *, deep: bool = False
) -> Iterator[SourceFault]:
    """Sources of a version that are gone or changed; with `deep` all of them are read.

    Raises:
        AccessDenied: A location is not trusted, or may not be read.
        StoreUnavailable: A medium did not answer.
    """
    store, root = ws.stores(config).locate(pointer)
    tree = store.tree(root, expected=pointer.contents, label=str(pointer.id))
    external = _external(pointer)
    # Files lie on other file systems, whose clocks may be behind this one's.
    cache = SourceCache(_notes(ws, pointer, "files"), margin_ns=_RACY_NS)
    origins = _origins(ws, config, cache)
    origins.check(external.sources)
    opener = _opener(origins, external.sources)
    contents = ReferencedTree(
        read_references(ws, pointer, tree),
        opener,
        label=str(pointer.id),
        learned=LearnedDigests(_notes(ws, pointer, "learned")),
        scratch=_scratch(ws),
    )
    ws.progress.begin(
        "Asking sources", total_files=contents.files, total_bytes=contents.size_bytes if deep else None
    )
    cache.begin()
    whole = False
    try:
        for one in contents.references:
            try:
                if deep:
                    for block in contents.blocks(one):
                        ws.progress.advance(size_bytes=len(block))
                else:
                    contents.look(one)
            except IntegrityError as error:
                yield SourceFault(path=one.path, url=str(one.url), problem=error.message)
            ws.progress.advance(files=1)
        whole = not deep  # all was looked at, and not only read
    finally:
        ws.progress.end()
        cache.keep(whole=whole)


def is_local(pointer: Pointer) -> bool:
    """Whether all that a version refers to lies on this machine."""
    external = pointer.contents.external
    return external is not None and all(one.kind is SourceKind.FOLDER for one in external.sources)


def _external(pointer: Pointer) -> External:
    external = pointer.contents.external
    if external is None:
        raise UsageError(
            f"{pointer.id} refers to nothing: its bytes are in the store",
            code="no-reference",
            hint=f"gitml show {pointer.id}",
            context={"ref": str(pointer.id)},
        )
    return external


def _origins(ws: Workspace, config: Config, cache: SourceCache | None = None) -> Origins:
    return Origins(ws.stores(config), ws.identity_url(), cache)


def _opener(origins: Origins, sources: Sequence[SourceUrl]) -> Callable[[Reference], Origin]:
    def opened(reference: Reference) -> Origin:
        location = next(one for one in sources if one.covers(reference.url))
        # One address is one file; a server has nothing to share between them but the connection.
        return origins.open(reference.url if location.kind is SourceKind.WEB else location)

    return opened


def _scratch(ws: Workspace) -> Path:
    return ws.repo.common_dir / "gitml"


def _notes(ws: Workspace, pointer: Pointer, kind: str) -> Path:
    return ws.repo.common_dir / "gitml" / "external" / f"{pointer.contents.digest.hex}.{kind}"


def _lines(tree: TreeReader) -> Iterator[bytes]:
    """Lines of the one file, each at most one byte longer than allowed."""
    with tree.open(FILE) as stream:
        rest = b""
        while block := stream.read(_STEP_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
            if len(rest) > MAX_LINE_BYTES:
                break
        if rest:
            yield rest


def _disagrees(pointer: Pointer, why: str) -> GitMLError:
    return IntegrityError(
        f"{pointer.id}:{FILE} is not what the pointer says: {why}",
        code="references-differ",
        hint="register it again",
        context={"ref": str(pointer.id)},
    )
