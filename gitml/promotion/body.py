"""The text of a request: what moves, and everything that speaks for and against it, as Markdown.

Pure: from facts to text, the same for the same facts, with no time in it. What does not fit is left out from the end
and counted. Foreign text stands in code spans alone; see `markdown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gitml.model.findings import Finding, Grade, Inspection, table_changes, table_pairs
from gitml.model.pointer import Pointer
from gitml.model.shown import size
from gitml.promotion.facts import ContentsChange, Facts, VersionFacts
from gitml.promotion.markdown import code, sealed, table
from gitml.promotion.policy import Verdict

MARKER: Final = "<!-- gitml:request -->"
MAX_BYTES: Final = 58_000  # forges take 65,536 characters, of which other things need some
_MAX_ROWS: Final = 30
_MAX_CHANGES: Final = 40
_WORDS: Final = {
    Verdict.PASSED: "passes",
    Verdict.FAILED: "**fails**",
    Verdict.NOT_REQUIRED: "not required",
    Verdict.LEFT_ASIDE: "asked when it is merged",
}


def render(facts: Facts, said: str | None = None, *, max_bytes: int = MAX_BYTES) -> str:
    """The body of a request.

    Args:
        facts: What there is to say.
        said: What the asker says of it; it comes first.
        max_bytes: Length of the whole, as UTF-8.
    """
    own = sealed(said or "")
    blocks = [*([own] if own else []), MARKER + "\n" + "\n".join(_moves(facts))]
    rest = ["\n".join(lines) for lines in _sections(facts) if lines]
    left = max_bytes - _bytes("\n\n".join(blocks)) - 200
    kept: list[str] = []
    for block in rest:
        left -= _bytes(block) + 2
        if left < 0:
            break
        kept.append(block)
    blocks += kept
    if len(kept) < len(rest):
        blocks.append(
            f"{len(rest) - len(kept)} of {len(rest)} parts of this text are left out: it would be too long."
        )
    return "\n\n".join(blocks)


def _sections(facts: Facts) -> Iterator[list[str]]:
    yield _rules(facts)
    yield _findings(facts)
    for one in facts.versions:
        if one.moves:
            yield from _version(one, facts)
    for one in facts.versions:
        if not one.moves:
            yield from _version(one, facts)
    if facts.left_out:
        yield [f"{len(facts.left_out)} more versions come, of which no more is told here."]


def _moves(facts: Facts) -> list[str]:
    plan = facts.plan
    stage = code(plan.target)
    rows = [
        [code(move.asset), code(move.from_version or ""), code(move.to_version or "")]
        for move in plan.moves[:_MAX_ROWS]
    ]
    lines = [f"### What {stage} would run", "", *table(["asset", "now", "then"], rows)] if rows else []
    if len(plan.moves) > _MAX_ROWS:
        lines += ["", f"and {len(plan.moves) - _MAX_ROWS} more"]
    moved = {move.to for move in plan.moves}
    along = [version for version in plan.folders if version not in moved]
    lines.append("")
    if along:
        lines.append(f"- travels along: {_some(along)}")
    if plan.already:
        lines.append(f"- runs there already: {_some(plan.already)}")
    if plan.code:
        lines.append(f"- code of {code(plan.source)} at {code(plan.code[:12])} is merged")
    if not plan.born:
        lines.append(f"- {stage} is born with this")
    if plan.approvals_needed:
        lines.append(f"- approvals needed of others than the authors: {plan.approvals_needed}")
    who = f"{code(facts.asker)}, " if facts.asker else ""
    lines.append(f"- asked for by {who}from {code(plan.source)}")
    return lines


def _some(things: Iterable[object]) -> str:
    names = [code(thing) for thing in things]
    return ", ".join(names[:_MAX_ROWS]) + (
        f" and {len(names) - _MAX_ROWS} more" if len(names) > _MAX_ROWS else ""
    )


def _rules(facts: Facts) -> list[str]:
    lines = []
    for verdict, words in _WORDS.items():
        names = [result.rule.value for result in facts.rules if result.verdict is verdict]
        lines += [f"- {words}: {', '.join(names)}"] if names else []
    return ["### Rules of the stage, judged when this was proposed", "", *lines]


def _findings(facts: Facts) -> list[str]:
    found = [
        (one, finding) for one in facts.versions if one.inspection for finding in one.inspection.findings
    ]
    left_out = sum(one.inspection.left_out for one in facts.versions if one.inspection)
    if not found:
        return []
    found.sort(key=lambda pair: pair[1].grade is not Grade.DANGER)
    dangers = sum(finding.grade is Grade.DANGER for _, finding in found)
    rows = [[code(f"{one.version}:{f.file}"), _kind(f), _name(f)] for one, f in found[:_MAX_CHANGES]]
    left_out += len(found) - len(rows)
    lines = ["### Findings in the files", ""]
    if dangers:
        told = "One of them can" if dangers == 1 else f"{dangers} of them can"
        lines += [f"⚠️ {told} run code when somebody loads the file.", ""]
    lines += table(["file", "what", "name"], rows)
    lines += ["", f"and {left_out} more"] if left_out else []
    tool = next(one.inspection for one in facts.versions if one.inspection)
    return [*lines, "", f"Told from the bytes by gitml {tool.version}; that nothing is found proves nothing."]


def _kind(finding: Finding) -> str:
    opcode = f" {code(finding.opcode)}" if finding.opcode else ""
    return ("⚠️ " if finding.grade is Grade.DANGER else "") + finding.kind.value.replace("-", " ") + opcode


def _name(finding: Finding) -> str:
    return code(finding.name) + (f" × {finding.count}" if finding.count > 1 else "")


def _version(one: VersionFacts, facts: Facts) -> Iterator[list[str]]:
    now = f"now {code(one.now.version)}" if one.now else "new" if one.moves else ""
    now = ", ".join(filter(None, ["" if one.moves else "travels along", now]))
    yield [f"### {code(one.version)} ({now})", "", *_general(one)]
    if one.moves:
        yield _metrics(one, facts.directions)
        yield _fields(one)
    yield _inputs(one)
    yield _files(one)
    yield _tables(one)


def _general(one: VersionFacts) -> Iterator[str]:
    pointer, contents = one.pointer, one.pointer.contents
    if pointer.description:
        yield f"- description: {code(pointer.description, 400)}"
    yield f"- contents: {_count(contents.files, 'file')}, {size(contents.size_bytes)}, {code(contents.digest)}"
    if contents.external is not None:
        there = contents.external
        yield f"- refers to {_count(there.files, 'file')}, {size(there.size_bytes)}, that lie elsewhere and are not looked into"
    yield f"- licence: {_licences(one)}"
    yield f"- made by {code(pointer.author)} at {code(pointer.created)}{_source(pointer)}"
    signature = pointer.spec.get("signature")
    if isinstance(signature, dict):
        yield f"- signature: {_signature(signature)}"
    if one.inspection is not None:
        yield from _formats(one.inspection)
    if one.problem:
        yield f"- files cannot be told: {code(one.problem)}"


def _licence(pointer: Pointer | None) -> str:
    labels = pointer.labels if pointer else {}
    return labels.get("licence") or labels.get("license") or ""


def _licences(one: VersionFacts) -> str:
    new, old = _licence(one.pointer), _licence(one.now_pointer)
    was = f", where {code(old) if old else 'none'} runs now" if one.now_pointer and new != old else ""
    return (code(new) if new else "none is said") + was


def _source(pointer: Pointer) -> str:
    source = pointer.source
    parts = [code(source.commit[:12])] if source.commit else []
    parts += [f"in {code(source.repo)}"] if source.repo else []
    parts += ["with uncommitted changes"] if source.dirty else []
    return f", from {' '.join(parts)}" if parts else ""


def _signature(signature: Mapping[str, Any]) -> str:
    def side(name: str) -> str:
        tensors = signature.get(name)
        if not isinstance(tensors, list):
            return "–"
        told = [
            f"{tensor.get('name', '?')}: {tensor.get('dtype', '?')} {tensor.get('shape', '')}"
            for tensor in tensors[:8]
            if isinstance(tensor, dict)
        ]
        return (
            ", ".join(map(code, told)) + (f" and {len(tensors) - 8} more" if len(tensors) > 8 else "") or "–"
        )

    return f"{side('inputs')} → {side('outputs')}"


def _formats(found: Inspection) -> Iterator[str]:
    if found.note:
        return
    counts: dict[str, int] = {}
    for file in found.formats:
        counts[file.format] = counts.get(file.format, 0) + 1
    told = ", ".join(f"{count} × {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    rest = found.files - found.looked_at
    if told:
        yield f"- formats by first bytes: {told}" + (
            f"; {_count(rest, 'file')} not looked into" if rest else ""
        )


def _metrics(one: VersionFacts, directions: Mapping[str, str]) -> list[str]:
    new = one.pointer.metrics
    old = one.now_pointer.metrics if one.now_pointer else {}
    names = sorted({*new, *old})
    if not names:
        return []
    rows = [
        [
            code(name),
            _number(old.get(name)),
            _number(new.get(name)),
            _better(name, old.get(name), new.get(name), directions),
        ]
        for name in names[:_MAX_ROWS]
    ]
    more = ["", f"and {len(names) - _MAX_ROWS} more"] if len(names) > _MAX_ROWS else []
    return [*table(["metric", "now", "then", ""], rows), *more]


def _number(value: Any) -> str:
    return "–" if value is None else code(value)


def _better(name: str, old: Any, new: Any, directions: Mapping[str, str]) -> str:
    if old is None or new is None:
        return "" if old is None and new is None else "new" if old is None else "gone"
    if old == new:
        return "equal"
    way = directions.get(name)
    if way not in ("higher", "lower"):
        return "differs"
    return "better" if (new > old) == (way == "higher") else "**worse**"


def _fields(one: VersionFacts) -> list[str]:
    """Parameters that differ; for a first version all of them."""
    new, old = one.pointer.params, one.now_pointer.params if one.now_pointer else {}
    names = sorted(name for name in {*new, *old} if new.get(name) != old.get(name))
    if not names:
        return []
    rows = [
        [code(name), code(old[name]) if name in old else "–", code(new[name]) if name in new else "–"]
        for name in names[:_MAX_ROWS]
    ]
    more = ["", f"and {len(names) - _MAX_ROWS} more"] if len(names) > _MAX_ROWS else []
    return [*table(["parameter that differs", "now", "then"], rows), *more]


def _inputs(one: VersionFacts) -> list[str]:
    if not one.inputs:
        return []
    rows = [
        [
            code(item.ref),
            code(item.role),
            ("" if item.present else "⚠️ ") + code(item.state),
            code(item.digest[:19]),
        ]
        for item in one.inputs[:_MAX_ROWS]
    ]
    more = ["", f"and {len(one.inputs) - _MAX_ROWS} more"] if len(one.inputs) > _MAX_ROWS else []
    return [*table(["made from", "role", "there", "digest"], rows), *more]


def _files(one: VersionFacts) -> list[str]:
    change = one.change
    if change is None:
        return []
    total = change.added + change.removed + change.changed
    least = "" if change.whole else "at least "
    head = (
        f"Files: {least}{change.added} added, {change.removed} removed, {change.changed} changed; "
        f"{least}{size(change.new_bytes)} in new files."
    )
    if not total:
        return ["Files: none differ."]
    rest = total - len(change.shown)
    return [head, "", *_file_rows(change), *(["", f"and {least}{rest} more"] if rest else [])]


def _file_rows(change: ContentsChange) -> list[str]:
    rows = [
        [
            code(file.path),
            "–" if file.old_bytes is None else size(file.old_bytes),
            "–" if file.new_bytes is None else size(file.new_bytes),
        ]
        for file in change.shown
    ]
    return table(["file", "now", "then"], rows)


def _tables(one: VersionFacts) -> list[str]:
    """Rows and columns: how they change, or for a first version what they are."""
    if one.inspection is None or not one.inspection.tables:
        return []
    old = one.now_inspection.tables if one.now_inspection else ()
    rows: list[list[str]] = []
    for before, after in table_pairs(old, one.inspection.tables):
        path = code((after or before).path)  # type: ignore[union-attr]
        if before is None and after is not None:
            count = (
                _count(after.rows, "row")
                if after.rows is not None
                else f"first {after.sampled_rows} rows read"
            )
            rows.append([path, count, "–", _count(len(after.columns), "column")])
            rows += [
                [
                    path,
                    f"column {code(column.name)}",
                    "–",
                    _column_text(column.type, column.nulls, column.least, column.most),
                ]
                for column in after.columns
            ]
            continue
        rows += [
            [
                path,
                f"{change.what} {code(change.column)}" if change.column else change.what,
                _text(change.old),
                _text(change.new),
            ]
            for change in table_changes(before, after)
        ]
    if not rows:
        return ["Rows, columns and ranges: none differ."]
    more = ["", f"and {len(rows) - _MAX_CHANGES} more"] if len(rows) > _MAX_CHANGES else []
    return [*table(["table", "what", "now", "then"], rows[:_MAX_CHANGES]), *more]


def _column_text(type_: str, nulls: int | None, least: str | None, most: str | None) -> str:
    parts = [code(type_)]
    parts += [f"{nulls} nulls"] if nulls else []
    parts += [f"{code(least)} to {code(most)}"] if least is not None else []
    return ", ".join(parts)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _text(value: str | None) -> str:
    return "–" if value is None else code(value)
