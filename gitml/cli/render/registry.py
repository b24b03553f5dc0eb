"""How results about versions look to a person: register, list, show, diff, lineage, alias, init."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gitml.cli.terminal.output import Column, Node, Piece, Printer, Style, Styled
from gitml.cli.terminal.text import count, number, one_line, pairs, short_commit, short_digest, size

if TYPE_CHECKING:
    from gitml.registry.external.contents import Elsewhere
    from gitml.registry.read.diff import Difference, FileChange
    from gitml.registry.read.lineage import Lineage
    from gitml.registry.read.listing import ListedVersion, Listing, Shown
    from gitml.registry.setup.initialise import Initialised
    from gitml.registry.sql.query import Queried
    from gitml.registry.write.edit import Edited
    from gitml.registry.write.registered import Registered, RegisterPlan

_MAX_FILES = 40
_MAX_VALUE = 48


def initialised(result: Initialised, out: Printer) -> None:
    """`init`."""
    name = Styled(str(result.directory), Style.NAME)
    if not result.changed:
        out.line(name, " is a registry already: 0 files changed, 0 commits")
    else:
        verb = "would become" if result.dry_run else "is now"
        out.line(
            name, f" {verb} a registry", f", commit {short_commit(result.commit)}" if result.commit else ""
        )
    out.fields(
        [
            ("registry", result.registry or "a new random id"),
            ("default branch", result.default_branch),
            ("store", result.store or "embedded: bytes stay in this clone until a store is configured"),
            ("remote", result.remote or "none"),
        ],
        indent=2,
    )


def registered(result: Registered, out: Printer) -> None:
    """`register`."""
    if result.plan is not None:
        _register_plan(result.plan, out)
        return
    ref = Styled(str(result.ref), Style.NAME)
    if result.created:
        out.line("registered ", ref, f" on {result.branch}, commit {short_commit(result.commit)}")
    else:
        out.line(ref, f" has these contents and fields already, on {result.branch}: nothing was committed")
    out.fields(
        [
            *_queried(result.query),
            *_elsewhere(result.external),
            ("contents", f"{count(result.files, 'file')}, {size(result.size_bytes)}, {result.digest}"),
            (
                "bytes",
                f"{size(result.new_bytes)} new, {size(result.reused_bytes)} already there (saved by deduplication), "
                f"{size(result.stored_bytes)} sent to the store {result.store}",
            ),
        ],
        indent=2,
    )
    if result.store == "embedded":
        out.line(Styled("  the bytes are in this clone only, until `gitml push`", Style.DIM))


def _register_plan(plan: RegisterPlan, out: Printer) -> None:
    out.line(
        "would register ", Styled(str(plan.ref), Style.NAME), f" on {plan.branch}" + _new(plan.new_branch)
    )
    contents = f"{count(plan.files, 'file')}, {size(plan.size_bytes)}"
    out.fields(
        [
            *_queried(plan.query),
            ("contents", contents if plan.query is None else "what the query gives, as Parquet"),
            ("store", plan.store),
        ],
        indent=2,
    )


def _queried(query: Queried | None) -> list[tuple[str, str]]:
    """Which database was asked, or would be, and how much came back."""
    if query is None:
        return []
    where = f"{query.dialect} {query.database}" + (f" on {query.host}" if query.host else "")
    if query.rows is None or query.columns is None:
        return [("query", f"{where}, not asked: {one_line(query.sql)}")]
    return [("query", f"{count(query.rows, 'row')} of {count(query.columns, 'column')} from {where}")]


def _elsewhere(external: Elsewhere | None) -> list[tuple[str, str]]:
    """How much data stays where it is, and where that is."""
    if external is None:
        return []
    more = f" and {len(external.sources) - 1} more" if len(external.sources) > 1 else ""
    much = f"{count(external.files, 'file')}, {size(external.size_bytes)}"
    return [("refers to", f"{much}, which stay in {external.sources[0]}{more}")]


def _new(is_new: bool) -> str:  # noqa: FBT001 - reads as its one call
    return ", a new branch" if is_new else ""


def listing(result: Listing, out: Printer) -> None:
    """`list`."""
    rows: list[list[Piece]] = [
        [
            Styled(str(row.ref), Style.DIM if row.deprecated else Style.NAME),
            size(row.size_bytes),
            f"{row.files:,}",
            Styled(" ".join(row.stages), Style.GOOD),
            " ".join(row.aliases),
            pairs(row.metrics),
            row.created,
            Styled(_note(row), Style.WARN),
        ]
        for row in result.versions
    ]
    if rows:
        heads: list[Column | str] = [
            "REFERENCE",
            Column("SIZE", right=True),
            Column("FILES", right=True, spare=2),
            "STAGES",
            "ALIASES",
            "METRICS",
        ]
        out.table([*heads, Column("CREATED", spare=3), Column("NOTE", spare=1)], rows)
    out.line(
        Styled(
            f"{len(rows):,} shown of {count(result.total_versions, 'version')} of {count(result.assets, 'asset')}"
            f" in commit {short_commit(result.commit)}",
            Style.DIM,
        )
    )


def _note(row: ListedVersion) -> str:
    external = row.external
    if external is None:
        return _deprecation(row.deprecated)
    much = f"refers to {count(external.files, 'file')}, {size(external.size_bytes)} elsewhere"
    return "; ".join(part for part in (much, _deprecation(row.deprecated)) if part)


def _deprecation(found: Any) -> str:
    if found is None:
        return ""
    text = "deprecated"
    if found.reason:
        text += f": {found.reason}"
    return f"{text} (use {found.replaced_by})" if found.replaced_by else text


def shown(result: Shown, out: Printer) -> None:
    """`show`."""
    asset = result.asset
    out.line(
        Styled(str(result.ref), Style.NAME),
        Styled(f"  read from commit {short_commit(result.commit)}", Style.DIM),
    )
    contents = asset["contents"]
    facts: list[tuple[str, Piece]] = [
        ("description", str(asset.get("description") or "")),
        ("deprecated", Styled(_deprecation(result.deprecated), Style.WARN)),
        ("stages", Styled(" ".join(result.stages), Style.GOOD)),
        ("aliases", " ".join(result.aliases)),
        ("owners", ", ".join(result.owners)),
        ("created", f"{asset.get('created', '')} by {asset.get('author', '')}"),
        ("labels", pairs(asset.get("labels") or {})),
        (
            "contents",
            f"{count(contents['files'], 'file')}, {size(contents['size'])}, in the store {contents['store']}",
        ),
        ("refers to", _external(contents.get("external") or {})),
        ("digest", str(contents["digest"])),
        ("source", _source(asset.get("source") or {})),
        ("command", str((asset.get("source") or {}).get("command") or "")),
    ]
    out.fields(
        [(name, value) for name, value in facts if (value.text if isinstance(value, Styled) else value)],
        indent=2,
    )
    for name in ("metrics", "params", "spec"):
        _block(name, asset.get(name) or {}, out)
    if asset.get("inputs"):
        out.line(Styled("  inputs", Style.DIM))
        for used in asset["inputs"]:
            role = f" as {used['role']}" if used.get("role") else ""
            out.line(
                "    ",
                Styled(str(used["ref"]), Style.NAME),
                role,
                Styled(f"  {short_digest(used['digest'])}", Style.DIM),
            )
    if result.files is not None:
        out.blank()
        out.table(
            [Column("SIZE", right=True), "DIGEST", "PATH"],
            [
                [size(file.size_bytes), short_digest(file.digest) if file.digest else "-", file.path]
                for file in result.files
            ],
        )
        total = sum(file.size_bytes for file in result.files)
        out.line(Styled(f"{count(len(result.files), 'file')}, {size(total)}", Style.DIM))
    if result.lineage is not None:
        out.blank()
        lineage_tree(result.lineage, out)


def _external(external: Mapping[str, Any]) -> str:
    if not external:
        return ""
    places = ", ".join(str(url) for url in external["from"])
    return f"{count(external['files'], 'file')}, {size(external['size'])}, which stay in {places}"


def _source(source: Mapping[str, Any]) -> str:
    parts = [str(source[key]) for key in ("repo", "path") if source.get(key)]
    if source.get("commit"):
        parts.append(
            f"at {short_commit(source['commit'])}"
            + (" with uncommitted changes" if source.get("dirty") else "")
        )
    return " ".join(parts)


def _block(name: str, values: Mapping[str, Any], out: Printer) -> None:
    if not values:
        return
    out.line(Styled(f"  {name}", Style.DIM))
    out.fields([(key, number(value)) for key, value in values.items()], indent=4)


def pointer_text(result: Shown, out: Printer) -> None:
    """`show --raw`: exactly the file where a program reads it, harmless where a person does."""
    if not out.is_terminal:
        out.write(result.text)
        return
    for line in result.text.splitlines():
        out.line(line)


def difference(result: Difference, out: Printer) -> None:
    """`diff`."""
    out.line(Styled(str(result.old), Style.NAME), " -> ", Styled(str(result.new), Style.NAME))
    if result.fields:
        out.table(
            ["FIELD", "OLD", "NEW", "CHANGE"],
            [
                [
                    change.field,
                    Styled(_side(change.old), Style.BAD),
                    Styled(_side(change.new), Style.GOOD),
                    _delta(change),
                ]
                for change in result.fields
            ],
        )
    for sign, style, files in (
        ("+", Style.GOOD, result.added),
        ("-", Style.BAD, result.removed),
        ("~", Style.WARN, result.changed),
    ):
        for file in files[:_MAX_FILES]:
            out.line(Styled(f"{sign} {file.path}", style), Styled(f"  {_sizes(file)}", Style.DIM))
        if len(files) > _MAX_FILES:
            out.line(Styled(f"{sign} and {len(files) - _MAX_FILES:,} more; --json lists them all", Style.DIM))
    out.line(
        Styled(
            f"{count(len(result.fields), 'field')}, {len(result.added):,} added, {len(result.removed):,} removed, "
            f"{len(result.changed):,} changed files; {size(result.moved_bytes)} would move",
            Style.DIM,
        )
    )


def _side(value: object) -> str:
    if value is None:
        return "-"
    text = ", ".join(_used(item) for item in value) if isinstance(value, list | tuple) else number(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


def _used(item: object) -> str:
    """An input as people write it; anything else as it stands."""
    if not isinstance(item, Mapping) or "ref" not in item:
        return number(item)
    return f"{item['ref']} as {item['role']}" if item.get("role") else str(item["ref"])


def _delta(change: Any) -> str:
    old, new = change.old, change.new
    if isinstance(old, bool) or isinstance(new, bool) or not isinstance(old, int | float):
        return ""
    return f"{new - old:+.6g}" if isinstance(new, int | float) else ""


def _sizes(file: FileChange) -> str:
    if file.old_bytes is not None and file.new_bytes is not None:
        return f"{size(file.old_bytes)} -> {size(file.new_bytes)}"
    return size(file.new_bytes if file.new_bytes is not None else file.old_bytes or 0)


def edited(result: Edited, out: Printer) -> None:
    """`alias` and `deprecate`."""
    name = Styled(str(result.asset), Style.NAME)
    if not result.changed:
        out.line(name, f" says so already on {result.branch}: 0 commits")
    elif result.commit:
        out.line(name, f" changed on {result.branch}, commit {short_commit(result.commit)}")
    else:
        out.line(name, f" would change on {result.branch}")
    for alias, version in sorted(result.aliases.items()):
        out.line("  ", f"{result.asset}@{alias}", " means ", str(version))
    for version, found in sorted(result.deprecated.items()):
        out.line("  ", f"{result.asset}@{version} is ", Styled(_deprecation(found), Style.WARN))


def lineage_tree(result: Lineage, out: Printer) -> None:
    """`lineage`, as a tree."""
    out.tree(_node(result))


def _node(one: Lineage) -> Node:
    text = one.text
    if one.role:
        text += f" as {one.role}"
    text += f"  {short_digest(one.digest)}"
    if one.commit:
        text += f"  in {short_commit(one.commit)}"
    if one.state.value in ("missing", "changed"):
        text += f"  {one.state.value}"
    source = one.source
    if source is not None and source.commit:
        text += f"  made by {source.path or 'code'} at {short_commit(source.commit)}"
    return Node(text, [_node(child) for child in one.related])


def lineage_refs(result: Lineage) -> Iterator[str]:
    """Every version in a lineage, the asked one first."""
    yield result.text
    for child in result.related:
        yield from lineage_refs(child)


def lineage_mermaid(result: Lineage, out: Printer, *, down: bool) -> None:
    """`lineage --format mermaid`: arrows lead from what was used to what was made from it."""
    names = {ref: f"v{position}" for position, ref in enumerate(dict.fromkeys(lineage_refs(result)))}
    out.line("flowchart LR")
    for ref, name in names.items():
        shown = ref.replace('"', "#quot;")
        out.line(f'  {name}["{shown}"]')
    for upper, lower, role in dict.fromkeys(_edges(result)):
        used, made = (upper, lower) if down else (lower, upper)
        label = f"|{role}|" if role else ""
        out.line(f"  {names[used]} -->{label} {names[made]}")


def _edges(one: Lineage) -> Iterator[tuple[str, str, str | None]]:
    """Pairs of neighbours with the input's role, each pair from the asked version outwards."""
    for child in one.related:
        yield one.text, child.text, child.role
        yield from _edges(child)
