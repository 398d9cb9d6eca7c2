"""
Change one thing in a NumPy text, the way a person gets array code wrong.

A transpose dropped, an axis or `keepdims` changed, factors of a product swapped, a sum left out, an accumulation that overwrites,
`np.add.at` as a plain `+=`; and what `mutants` does to any text.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from mutants import Mutant, mutate

_SWAPPED = {
    "maximum": "minimum", "minimum": "maximum", "cumsum": "cumprod", "cumprod": "cumsum", "zeros_like": "ones_like", "ones_like": "zeros_like",
    "concatenate": "stack", "sum": "mean", "mean": "sum", "max": "min", "min": "max", "tril": "triu", "triu": "tril", "inv": "pinv", "zeros": "ones",
    "ones": "zeros", "exp": "expm1", "log": "log1p", "prod": "sum",
}  # fmt: skip


def array_mutants(text: str) -> Iterator[Mutant]:
    """Yield every text with one change."""
    yield from mutate(text, per_name=1)
    tree = ast.parse(text)
    places = [(i, node) for i, node in enumerate(ast.walk(tree))]
    for i, node in places:
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            at = next(n for k, n in enumerate(ast.walk(changed)) if k == i)
            new = change(at)
            if new is not None:
                changed = _Replace(at, new).visit(changed)
            line = getattr(node, "lineno", 0)
            yield Mutant(ast.unparse(ast.fix_missing_locations(changed)), f"line {line}: {what} in `{ast.unparse(node)}`")


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _changes(node: ast.AST):
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose dropped", lambda n: n.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield "factors swapped", lambda n: ast.BinOp(n.right, n.op, n.left)
        yield "left transposed", lambda n: ast.BinOp(ast.Attribute(n.left, "T", ast.Load()), n.op, n.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name, method = node.func.attr, not (isinstance(node.func.value, ast.Name) and node.func.value.id == "np")
        if name in {"sum", "copy", "ravel", "transpose", "astype"} and method:
            yield f"{name} dropped", lambda n: n.func.value
        if name in _SWAPPED:
            yield f"{name} to {_SWAPPED[name]}", lambda n: setattr(n.func, "attr", _SWAPPED[n.func.attr])
        if name in {"cumsum", "cumprod", "tril", "triu", "swapaxes", "broadcast_to", "diagonal"} and not method:
            yield f"{name} dropped", lambda n: n.args[0]
        if name == "where" and len(node.args) == 3:
            yield "branches swapped", lambda n: ast.Call(n.func, [n.args[0], n.args[2], n.args[1]], [])
        if name in {"outer", "solve"}:
            yield "operands swapped", lambda n: ast.Call(n.func, n.args[::-1], [])
        for k, keyword in enumerate(node.keywords):
            if keyword.arg == "keepdims":
                yield "keepdims dropped", lambda n, k=k: n.keywords.pop(k) and None
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, int):
                yield "axis changed", lambda n, k=k: setattr(n.keywords[k], "value", ast.Constant(1 - n.keywords[k].value.value))
                yield "axis dropped", lambda n, k=k: n.keywords.pop(k) and None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "np.add.at":
        yield (
            "np.add.at to +=",
            lambda n: ast.AugAssign(ast.Subscript(n.value.args[0], n.value.args[1], ast.Store()), ast.Add(), n.value.args[2]),
        )
        yield (
            "np.add.at to =",
            lambda n: ast.Assign([ast.Subscript(n.value.args[0], n.value.args[1], ast.Store())], n.value.args[2]),
        )
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Subscript):
        yield "+= to =", lambda n: ast.Assign([n.target], n.value)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        if node.slice.step is not None and isinstance(node.ctx, ast.Load):
            yield "step dropped", lambda n: ast.Subscript(n.value, ast.Slice(n.slice.lower, n.slice.upper), n.ctx)
        if node.slice.lower is not None and node.slice.upper is None:
            yield "wrong end", lambda n: ast.Subscript(n.value, ast.Slice(None, ast.UnaryOp(ast.USub(), n.slice.lower)), n.ctx)
        if node.slice.upper is not None and node.slice.lower is None:
            yield "wrong end", lambda n: ast.Subscript(n.value, ast.Slice(ast.Constant(1), None), n.ctx)
