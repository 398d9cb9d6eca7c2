"""
Change one thing in a Python text: a sign, an operand, `+=`, a constant.

Changes are made in the text itself, so comments and layout stay as they are. Not changed: docstrings, prints, imports, the
parameters of functions (but their default values are), what a name is bound to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}
_COMPARISONS = {ast.Gt: (">", "<"), ast.Lt: ("<", ">"), ast.GtE: (">=", "<"), ast.LtE: ("<=", ">")}
_MODULES = frozenset({"math", "np", "numpy", "special", "scipy"})


@dataclass(frozen=True)
class Mutant:
    """A changed text and what was changed."""

    text: str
    what: str


def mutate(text: str, *, per_name: int = 3) -> Iterator[Mutant]:
    """
    Yield every text with one change.

    Args:
        text: Python source.
        per_name: How many other names in scope replace each operand.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()) + 1)
    data = text.encode()

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    def replace(begin: int, end: int, new: str, what: str) -> Mutant:
        line = data[:begin].count(b"\n") + 1
        return Mutant((data[:begin] + new.encode() + data[end:]).decode(), f"line {line}: {what} in `{lines[line - 1].strip()}`")

    def span(node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)

    def between(left: ast.expr, right: ast.expr, old: str) -> int:
        """Find an operator between its operands, past closing parentheses and before opening ones."""
        return data.index(old.encode(), span(left)[1], span(right)[0])

    tree = ast.parse(text)
    for scope, statements in _scopes(tree):
        for statement in statements:
            for node in _walk(statement):
                if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
                    old, new = _OPERATORS[type(node.op)]
                    begin = between(node.left, node.right, old)
                    yield replace(begin, begin + len(old), new, f"{old} to {new}")
                elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                    begin = span(node)[0]
                    yield replace(begin, begin + 1, "+", "- dropped")
                elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
                    old, new = _COMPARISONS[type(node.ops[0])]
                    begin = between(node.left, node.comparators[0], old)
                    yield replace(begin, begin + len(old), new, f"{old} to {new}")
                elif isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
                    yield replace(*span(node), repr(node.value + 1), f"{node.value} to {node.value + 1}")
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope:
                    defined = [n for n, line in scope.items() if n != node.id and line < node.lineno]
                    for other in _spread(defined, per_name, node.lineno + node.col_offset):
                        yield replace(*span(node), other, f"{node.id} to {other}")
            if isinstance(statement, ast.AugAssign):
                begin = data.index(b"=", span(statement.target)[1])
                yield replace(begin - 1, begin + 1, "=", "+= to =")
                yield replace(begin - 1, begin + 1, "-=", "+= to -=")
            elif isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
                begin, end = span(statement.value)
                yield replace(begin, end, f"-({data[begin:end].decode()})", "sign put before the value")


def _scopes(tree: ast.Module) -> Iterator[tuple[dict[str, int], list[ast.stmt]]]:
    """Yield the names of each scope, with the line from which they are bound, and its statements."""
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    for arguments, body in [(n.args, n.body) for n in functions] or [(None, tree.body)]:
        bound = {a.arg: 0 for a in arguments.args} if arguments is not None else {}
        kept = [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom | ast.If | ast.Expr)]
        for statement in kept:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    bound.setdefault(node.id, node.lineno)
        defaults = [ast.copy_location(ast.Expr(d), d) for d in arguments.defaults] if arguments is not None else []
        yield bound, [*defaults, *kept]


def _walk(statement: ast.stmt) -> Iterator[ast.AST]:
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in _MODULES):
                stack.append(node.value)
            continue
        if isinstance(node, ast.JoinedStr):
            continue
        yield node
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _spread(names: list[str], count: int, turn: int) -> list[str]:
    """Pick some names, different ones at different places, without chance."""
    if len(names) <= count:
        return names
    step = len(names) // count
    return [names[(turn + k * step) % len(names)] for k in range(count)]
