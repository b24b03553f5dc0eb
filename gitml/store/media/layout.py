"""Names of the objects in a store; see :mod:`gitml.store.media.medium` for what a name may be."""

from __future__ import annotations

import re

from gitml.errors import InvalidInput

MARKER = "gitml-store.json"
PACKS = "packs/"
SEGMENTS = "segments/"
MANIFESTS = "manifests/"
ROOTS = "roots/"
PURGED = "purged/"
CONDEMNED = "gc/condemned/"
MOVING = "gc/moving/"

_HEX_ID = re.compile(r"[0-9a-f]{64}")
_REGISTRY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def _fanned(prefix: str, hex_id: str) -> str:
    if not _HEX_ID.fullmatch(hex_id):
        raise InvalidInput(f"{hex_id!r} is no object id (64 hex digits)", code="object-id")
    return f"{prefix}{hex_id[:2]}/{hex_id}"


def pack_name(hex_id: str) -> str:
    """Name of the pack with that id."""
    return _fanned(PACKS, hex_id)


def segment_name(hex_id: str) -> str:
    """Name of the segment with that id."""
    return _fanned(SEGMENTS, hex_id)


def manifest_name(hex_id: str) -> str:
    """Name of the manifest with that id."""
    return _fanned(MANIFESTS, hex_id)


def roots_prefix(registry: str, folder: str = "") -> str:
    """Prefix of the roots of a registry, or of one asset (`models/digits`) in it."""
    if not _REGISTRY_ID.fullmatch(registry):
        raise InvalidInput(
            f"{registry!r} is no registry id (letters, digits and '-', at most 64)", code="registry-id"
        )
    return f"{ROOTS}{registry}/{folder}/" if folder else f"{ROOTS}{registry}/"


def root_name(registry: str, folder: str) -> str:
    """Name of the root of a version; `folder` as in git, `models/digits/3`."""
    return roots_prefix(registry) + folder


def purged_name(tree_hex: str) -> str:
    """Name whose presence forbids a tree."""
    if not _HEX_ID.fullmatch(tree_hex):
        raise InvalidInput(f"{tree_hex!r} is no tree digest (64 hex digits)", code="object-id")
    return PURGED + tree_hex


def id_of(name: str) -> str:
    """The last part of a name: the id of a pack, segment or manifest."""
    return name.rpartition("/")[2]
