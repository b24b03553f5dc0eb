"""The configuration of a registry: `gitml.yaml`.

Owns its fields, its first text, and the one edit that GitML makes to it. What a policy means is for the
promotion room; where a store lies is for the registry room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from gitml.errors import InvalidInput
from gitml.model import strict_yaml
from gitml.model.canonical import KeyOrder, dump
from gitml.model.fields import FieldError, Fields, at, read
from gitml.model.names import ASSET_TYPES, check_type_name, check_word
from gitml.model.requirements import check_shapes
from gitml.model.shown import shown
from gitml.model.store_url import check_endpoint
from gitml.model.user_schema import check_user_schema

SCHEMA: Final = "gitml/config/v1"
STORE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
REGISTRY_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}")
DEFAULT_STORE: Final = "default"
EMBEDDED_STORE: Final = "embedded"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BRANCH_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f-\x9f~^:?\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|\.(?:/|\Z)|\A[-./]|/\Z|\A@\Z"
)
_MAX_BRANCH = 200

_ORDER: Final = KeyOrder(
    keys=(
        "schema",
        "registry",
        "default_branch",
        "stores",
        "stages",
        "metrics",
        "teams",
        "forge",
        "registries",
        "types",
    ),
    below={
        "stores": KeyOrder(below={"*": KeyOrder(keys=("url", "endpoint_url", "types"))}),
        "stages": KeyOrder(
            keys=("staging", "production"),
            below={"*": KeyOrder(keys=("from", "require"), below={"require": KeyOrder(keys=("approvals",))})},
        ),
        "forge": KeyOrder(keys=("kind", "url")),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """A store that the repository names.

    Attributes:
        name: Its name.
        url: Where it lies, as it is written.
        endpoint_url: Server of a remote store that is not the vendor's own; without credentials.
        types: Asset types whose versions are registered there.
        options: Whatever else is said of it.
    """

    name: str
    url: str
    endpoint_url: str | None = None
    types: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePolicy:
    """What a promotion to a stage needs.

    Attributes:
        name: The stage and its branch.
        from_: Patterns of branches that versions may come from; empty where any will do.
        require: Rules by name; one that is not known refuses every promotion.
        extra: Other keys of the stage; like unknown rules they refuse every promotion.
    """

    name: str
    from_: tuple[str, ...] = ()
    require: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of a registry.

    Attributes:
        registry: Its random id.
        default_branch: Branch that aliases and deprecations are read on.
        stores: By name.
        stages: By name, in the order of the file.
        metrics: Metric -> `higher` or `lower`, whichever is better.
        teams: Name -> e-mail addresses of those who approve as `@NAME`.
        forge: Where requests live.
        registries: Name -> git URL of another repository.
        types: Asset type of this registry's own -> JSON Schema of its `spec`.
        extra: Fields that this version of GitML does not know.
    """

    registry: str
    default_branch: str
    stores: dict[str, StoreConfig] = field(default_factory=dict)
    stages: dict[str, StagePolicy] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    teams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    forge: dict[str, Any] = field(default_factory=dict)
    registries: dict[str, str] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def known_types(self) -> tuple[str, ...]:
        """The six asset types and those of this registry's own."""
        return (*ASSET_TYPES, *(name for name in self.types if name not in ASSET_TYPES))

    def store_for(self, asset_type: str) -> str:
        """Name of the store that takes an asset type: the one that lists it, else the default."""
        takers = (store.name for store in self.stores.values() if asset_type in store.types)
        return next(takers, DEFAULT_STORE)

    @classmethod
    def parse(cls, data: bytes, *, file: str) -> Config:
        """Read a `gitml.yaml`.

        Raises:
            InvalidInput: It breaks a rule of its format.
        """
        return read(strict_yaml.load(data, file=file), "config", cls._build)

    @classmethod
    def _build(cls, value: Any) -> Config:
        fields = Fields(value)
        fields.schema(SCHEMA)
        registry = fields.text("registry")
        if _UUID.fullmatch(registry) is None:
            raise FieldError(
                ("registry",), f"is {shown(registry)}, which is no UUID", "restore what `gitml init` wrote"
            )
        branch = fields.text("default_branch")
        if not is_branch_name(branch):
            raise FieldError(
                ("default_branch",), f"is {shown(branch)}, which git allows no branch", "name a branch"
            )
        types = {name: _type(name, schema) for name, schema in fields.mapping("types").items()}
        return cls(
            registry=registry,
            default_branch=branch,
            stores=_stores(fields.mapping("stores"), {*ASSET_TYPES, *types}),
            stages={name: _stage(name, entry) for name, entry in fields.mapping("stages").items()},
            metrics=_directions(fields.text_mapping("metrics")),
            teams=_teams(Fields(fields.mapping("teams"), ("teams",))),
            forge=_forge(fields.mapping("forge")),
            registries=_registries(fields.text_mapping("registries")),
            types=types,
            extra=fields.rest(),
        )


def is_branch_name(text: str) -> bool:
    """Whether git allows a branch of this name. Source: git-check-ref-format(1)."""
    return 0 < len(text) <= _MAX_BRANCH and "*" not in text and _BRANCH_FORBIDDEN.search(text) is None


def _stores(entries: dict[str, Any], known_types: set[str]) -> dict[str, StoreConfig]:
    """Every store; a type goes to one of them, so that nobody has to guess where its bytes are."""
    stores = {name: _store(name, entry) for name, entry in entries.items()}
    takers: dict[str, str] = {}
    for store in stores.values():
        for number, name in enumerate(store.types):
            path = ("stores", store.name, "types", number)
            if name not in known_types:
                raise FieldError(
                    path,
                    f"is {shown(name)}, which is no asset type",
                    f"one of {', '.join(sorted(known_types))}",
                )
            if name in takers:
                raise FieldError(
                    path,
                    f"is {name}, which the store {takers[name]} takes already",
                    "let one store take each type",
                )
            takers[name] = store.name
    return stores


def _store(name: str, entry: Any) -> StoreConfig:
    path = ("stores", name)
    if STORE_NAME.fullmatch(name) is None:
        raise FieldError(path, "is no valid name of a store", f"it must match {STORE_NAME.pattern}")
    if name == EMBEDDED_STORE:
        raise FieldError(
            path, "is the name of every clone's own store inside its repository", "give it another name"
        )
    fields = Fields(entry, path)
    endpoint = fields.optional_text("endpoint_url")
    if endpoint is not None:
        with at((*path, "endpoint_url")):
            check_endpoint(endpoint, allow_http=True)  # whether it may do without TLS is for its user to say
    return StoreConfig(
        name=name,
        url=fields.text("url"),
        endpoint_url=endpoint,
        types=fields.texts("types"),
        options=fields.rest(),
    )


def _stage(name: str, entry: Any) -> StagePolicy:
    path = ("stages", name)
    with at(path):
        check_word(name, "stage")
    fields = Fields(entry, path)
    require = fields.mapping("require")
    check_shapes(require, (*path, "require"))
    return StagePolicy(name=name, from_=fields.texts("from"), require=require, extra=fields.rest())


def _directions(metrics: dict[str, str]) -> dict[str, str]:
    for name, direction in metrics.items():
        if direction not in ("higher", "lower"):
            raise FieldError(
                ("metrics", name),
                f"must be higher or lower, and is {shown(direction)}",
                "say which way is better",
            )
    return metrics


def _teams(teams: Fields) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in list(teams.rest()):
        with at((*teams.path, name)):
            check_word(name, "team")
        found[name] = teams.texts(name)
    return found


def _forge(forge: dict[str, Any]) -> dict[str, Any]:
    fields = Fields(forge, ("forge",))
    fields.optional_text("kind")
    fields.optional_text("url")
    return forge


def _registries(registries: dict[str, str]) -> dict[str, str]:
    for name, url in registries.items():
        if REGISTRY_NAME.fullmatch(name) is None or not url:
            raise FieldError(
                ("registries", name),
                "must be a word and a git URL",
                f"the word must match {REGISTRY_NAME.pattern}",
            )
    return registries


def _type(name: str, schema: Any) -> Any:
    path = ("types", name)
    with at(path):
        check_type_name(name)
        if not isinstance(schema, dict):
            raise InvalidInput("it must be a mapping", hint="give a JSON Schema, or {} for no rules")
        check_user_schema(schema)
    return schema


def initial(registry_id: str, default_branch: str, store_url: str | None) -> bytes:
    """The text that `init` writes.

    Args:
        registry_id: A random UUID.
        default_branch: Branch that aliases and deprecations are read on.
        store_url: Location of the store `default`; None for none yet.
    """
    value: dict[str, Any] = {"schema": SCHEMA, "registry": registry_id, "default_branch": default_branch}
    if store_url is not None:
        value["stores"] = {"default": {"url": store_url}}
    value["stages"] = {
        "staging": {"from": ["working/*", default_branch]},
        "production": {"from": ["staging"]},
    }
    value["forge"] = {"kind": "auto"}
    return dump(value, order=_ORDER)


def with_store(text: bytes, name: str, url: str) -> bytes:
    """Add a store to a configuration, and leave every other line as it is; see :mod:`gitml.model.config_edit`."""
    from gitml.model.config_edit import add_store

    return add_store(text, name, url)


def matches(pattern: str, branch: str) -> bool:
    """Whether a branch matches a pattern of `from`; `*` stands for anything, `/` included."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == branch
    last = middle.pop()
    if len(branch) < len(first) + len(last) or not branch.startswith(first) or not branch.endswith(last):
        return False
    position, end = len(first), len(branch) - len(last)
    for piece in middle:
        position = branch.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True
