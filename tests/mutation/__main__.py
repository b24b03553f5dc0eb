"""`python -m tests.mutation [--part K/N]`: does a test notice, when a rule judges a little otherwise?

Each mutant is one small change of one file of the policy engine: a comparison turned, an `and` for an `or`, a
condition denied, a `continue` for a `break`, a problem that is not told. The pure tests of the rules run against
it in a process of their own, with the mutant in the place of the file by an import hook: no file is written. What no
test notices is listed; some of it means the same as the original, so that the goal is below all of them.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "gitml/promotion/case.py",
    "gitml/promotion/policy.py",
    "gitml/promotion/rules/coming.py",
    "gitml/promotion/rules/people.py",
    "gitml/promotion/rules/quality.py",
    "gitml/promotion/rules/stating.py",
    "gitml/promotion/rules/tree.py",
    "gitml/model/requirements.py",
)
TESTS = (
    "tests/promotion/test_policy.py",
    "tests/promotion/test_demands.py",
    "tests/model/test_requirements.py",
)
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
GOAL = 0.85


@dataclass(frozen=True)
class Mutant:
    """One changed file."""

    file: str
    line: int
    what: str
    source: str


class _Changes:
    """Every small change of a node, as functions that make it."""

    def of(self, node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNED:
            turned = copy.deepcopy(node)
            turned.ops = [TURNED[type(node.ops[0])]()]
            yield "comparison turned", turned
        if isinstance(node, ast.BoolOp):
            other = copy.deepcopy(node)
            other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "and/or", other
            for at in range(len(node.values)):
                fewer = copy.deepcopy(node)
                del fewer.values[at]
                yield f"without part {at + 1}", fewer.values[0] if len(fewer.values) == 1 else fewer
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield "without not", copy.deepcopy(node.operand)
        if isinstance(node, ast.If | ast.IfExp):
            denied = copy.deepcopy(node)
            denied.test = ast.UnaryOp(op=ast.Not(), operand=denied.test)
            yield "condition denied", denied
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
            empty = ast.parse("()" if isinstance(node.value, ast.Yield) else "yield from ()").body[0]
            yield "not told", empty
        if isinstance(node, ast.Continue):
            yield "break", ast.Break()
        if (
            isinstance(node, ast.Return)
            and isinstance(node.value, ast.Constant)
            and node.value.value is not None
        ):
            flipped = copy.deepcopy(node)
            flipped.value = ast.Constant(value=not node.value.value)
            yield "other answer", flipped
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in (0, 1):
            yield "other number", ast.Constant(value=node.value + 1)


class _Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, number: int, new: ast.AST) -> None:
        self._number = number
        self._new = new
        self._seen = -1

    def visit(self, node: ast.AST) -> ast.AST:
        self._seen += 1
        if self._seen == self._number:
            self._seen += sum(1 for _ in ast.walk(node)) - 1
            return ast.copy_location(self._new, node)
        return self.generic_visit(node)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes in the order in which a transformer visits them."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def _quiet(tree: ast.Module) -> set[int]:
    """Nodes whose change nobody can see: texts of messages, and annotations, which are never run."""
    quiet: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.JoinedStr):
            parts = [node]
        if isinstance(node, ast.AnnAssign | ast.arg):
            parts = [node.annotation]
        if isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        for part in parts:
            quiet |= {id(one) for one in ast.walk(part)} if part is not None else set()
    return quiet


def mutants(file: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    quiet = _quiet(tree)
    for number, node in enumerate(_in_order(tree)):
        if id(node) in quiet:
            continue
        for what, new in _Changes().of(node):
            changed = _Replace(number, new).visit(copy.deepcopy(tree))
            source = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutant(file=file, line=getattr(node, "lineno", 0), what=what, source=source)


def survives(mutant: Mutant) -> bool:
    """Whether no test notices."""
    module = mutant.file.removesuffix(".py").replace("/", ".")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
               "-p", "tests.mutation.stand_in", *TESTS]  # fmt: skip
    environment = os.environ | {
        "GITML_MUTANT_MODULE": module, "GITML_MUTANT_SOURCE": mutant.source, "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_MAX_EXAMPLES": "20",
    }  # fmt: skip
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="1/1", help="only part K of N")
    parser.add_argument("-j", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    chosen = [one for file in FILES for one in mutants(file)][part - 1 :: parts]
    left = 0
    with ThreadPoolExecutor(options.j) as pool:
        for tried, (one, alive) in enumerate(zip(chosen, pool.map(survives, chosen), strict=True), 1):
            if alive:
                left += 1
                sys.stdout.write(f"not noticed ({tried} tried): {one.file}:{one.line}: {one.what}\n")
                sys.stdout.flush()
    score = 1 - left / len(chosen) if chosen else 1.0
    sys.stdout.write(f"{len(chosen)} mutants, {len(chosen) - left} noticed: {score:.1%}\n")
    return 0 if score >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
