"""
Count the arithmetic of emitted text: what the value costs, and what value and gradient cost together.

An operation is what a person would count on paper: `+ - * / **`, a comparison, a call such as `math.exp`. A sign and moving
data about cost nothing; of a conditional expression the dearer branch counts. The count is read off the text itself, so it can't
be kinder than the text.

>>> class Text:
...     text, layout = "x = 3\\n# forward pass\\nf = x * x\\n# backward pass\\ndx = 2 * x\\n", "script"
>>> count(Text())
Cost(value=1, value_and_grad=2)
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

#: Calls that move or shape data without computing anything.
_FREE: Final = frozenset(
    {
        "_array", "_check_shape", "_integers", "_same_shape", "_same_size",
        "array", "asarray", "ascontiguousarray", "astype", "bool", "broadcast_to", "copy", "empty", "empty_like", "errstate", "expand_dims", "float", "float64",
        "full", "full_like", "int", "len", "list", "ones", "ones_like", "print", "range", "ravel", "reshape", "shape", "squeeze", "transpose", "tuple", "zeros",
        "zeros_like", "zip",
    }
)  # fmt: skip
_BACKWARD: Final = ("# backward", "# backprop")


class Text(Protocol):
    """What is counted: emitted text and its layout (`bpcompile.emit.Emitted`)."""

    @property
    def text(self) -> str:
        """The file."""

    @property
    def layout(self) -> str:
        """`function`, `split` or `script`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Arithmetic operations of the value, and of value and gradient together."""

    value: int
    value_and_grad: int

    @property
    def ratio(self) -> float:
        """How many times the value both together cost; a value that costs nothing counts as one operation."""
        return self.value_and_grad / max(1, self.value)

    def __str__(self) -> str:
        return f"value {self.value}, value and gradient {self.value_and_grad} ({self.ratio:.2f} times)"


def count(emitted: Text, tree: ast.Module | None = None) -> Cost:
    """
    Count the operations of emitted text.

    Args:
        emitted: The text and its layout.
        tree: Its syntax tree, for callers that have it.

    Raises:
        SyntaxError: The text is not Python.
    """
    if tree is None:
        tree = ast.parse(emitted.text)
    functions = {node.name: node.body for node in tree.body if isinstance(node, ast.FunctionDef)}
    if emitted.layout == "function":
        return Cost(_operations(functions.get("value", [])), _operations(functions.get("value_and_grad", [])))
    if emitted.layout == "split":
        forward = _operations(functions.get("forward", []))
        return Cost(forward, forward + _operations(functions.get("backward", [])))
    start = _backward_line(emitted.text)
    forward = _operations([s for s in tree.body if s.lineno < start])
    return Cost(forward, forward + _operations([s for s in tree.body if s.lineno >= start]))


def _backward_line(text: str) -> int:
    """Return the line of the comment that opens the backward pass, or one past the end."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if line.lower().startswith(_BACKWARD):
            return number
    return len(lines) + 1


def _operations(body: Sequence[ast.stmt]) -> int:
    """Count the operations of statements, without recursion over nested expressions; printing results is not counted."""
    total = 0
    stack: list[ast.AST] = [s for s in body if not _is_print(s)]
    push = stack.append
    while stack:
        node = stack.pop()
        kind = type(node)
        # What a long straight-line text is made of comes first: this loop runs once a node.
        if kind is ast.Name or kind is ast.Constant:
            continue
        if kind is ast.Assign:
            push(node.value)  # type: ignore[attr-defined]  # `kind` says so, here and below
        elif kind is ast.BinOp:
            total += 1
            push(node.left)  # type: ignore[attr-defined]
            push(node.right)  # type: ignore[attr-defined]
        elif kind is ast.AugAssign:
            total += 1
            push(node.value)  # type: ignore[attr-defined]
        elif isinstance(node, ast.Call):
            total += _call_cost(node)
            stack.extend(node.args)
            push(node.func)
        elif isinstance(node, ast.IfExp):
            total += max(_operations_of(node.body), _operations_of(node.orelse))
            push(node.test)
        elif isinstance(node, ast.If):
            if not _is_main_guard(node):
                total += max(_operations(node.body), _operations(node.orelse))
                push(node.test)
        else:
            if isinstance(node, ast.Compare):
                total += len(node.ops)
            stack.extend(_children(node))
    return total


def _operations_of(expression: ast.expr) -> int:
    return _operations([ast.Expr(expression)])


def _call_cost(node: ast.Call) -> int:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    if name in _FREE:
        return 0
    # max(a, b, c) compares twice.
    return max(1, len(node.args) - 1) if name in {"max", "min"} else 1


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.Subscript):
        return (node.value,)
    if isinstance(node, ast.FunctionDef):
        return node.body
    return ast.iter_child_nodes(node)


def _is_print(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name) and node.value.func.id == "print"


def _is_main_guard(node: ast.If) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))
