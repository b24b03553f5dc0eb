"""Roots: what a version is in the store, and what keeps it alive there.

A root names a tree and the manifest that lists it. It is the one object that is named by what it is for, so
it is the one that may be replaced: by an equivalent root, which lists the same tree in another layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from gitml.model.digest import Digest
from gitml.model.names import VersionId
from gitml.store.formats import wire
from gitml.store.media import layout
from gitml.store.media.medium import Buffer

SCHEMA = "gitml/root/v1"
ROOT_LIMIT_BYTES = 64 * 1024

_Sha = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]


class _Wire(msgspec.Struct):
    schema: str
    tree: _Sha
    listing: _Sha
    manifest: _Sha
    size: wire.Count
    files: wire.Count
    created: str


class _Schema(msgspec.Struct):
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKey:
    """Which version of which registry."""

    registry: str
    id: VersionId

    @property
    def name(self) -> str:
        """Name of the root object."""
        return layout.root_name(self.registry, self.id.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A tree, and the manifest that says where it lies."""

    tree: Digest
    listing: Digest
    manifest: str
    """Id of the manifest, 64 hex digits."""
    size_bytes: int
    files: int
    created: str
    """Moment of writing, ISO 8601 UTC."""


def encode_root(root: Root) -> bytes:
    """The stored bytes of a root."""
    record = _Wire(
        schema=SCHEMA,
        tree=str(root.tree),
        listing=str(root.listing),
        manifest=f"sha256:{root.manifest}",
        size=root.size_bytes,
        files=root.files,
        created=root.created,
    )
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def decode_root(data: Buffer, what: str) -> Root:
    """Read a root.

    Raises:
        IntegrityError: It is no root.
        InvalidInput: It needs a newer GitML.
    """
    if len(data) > ROOT_LIMIT_BYTES:
        raise wire.malformed(what, f"it has {len(data)} bytes, {ROOT_LIMIT_BYTES} are allowed")
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
        if schema != SCHEMA:
            known, _, version = schema.rpartition("/v")
            if known == "gitml/root" and version.isdecimal():
                raise wire.needs_newer(f"{what} has format {schema}", f"{version}.0")
            raise wire.malformed(what, f"its schema is {schema!r}, not {SCHEMA!r}")
        record = msgspec.json.decode(data, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wire.malformed(what, str(error)) from error
    return Root(
        tree=Digest.parse(record.tree),
        listing=Digest.parse(record.listing),
        manifest=record.manifest.removeprefix("sha256:"),
        size_bytes=record.size,
        files=record.files,
        created=record.created,
    )
