"""
The mistakes people make, each as the edit that undoes it.

`attempts` lists edits of a line; the judge evaluates each where the line stands and keeps the one whose value is what the
line should have computed, at every point. So a diagnosis is never read off the text, and comes with the corrected line.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: Most edits tried on one line.
MAX_ATTEMPTS: Final = 900
#: A line of more parts than this is no line a person corrects by one edit.
MAX_NODES: Final = 1500


@dataclass(frozen=True, eq=False)
class Found:
    """A diagnosis: its class, the corrected line, and what the message needs."""

    diagnosis: str
    text: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Attempt:
    """An edited statement, what it would mean, and how likely it is: lower `order` first."""

    statement: ast.stmt
    found: Found
    order: int
    rank: int


@dataclass(frozen=True, eq=False)
class Use:
    """A forward statement that uses the variable of a gradient: the statement, and the author's gradient of its result."""

    statement: ast.stmt
    gradient: str


@dataclass(frozen=True, eq=False)
class Facts:
    """
    What is known around a line.

    Attributes:
        gradients: The author's gradients in scope, with shapes.
        values: Other arrays and numbers in scope, with shapes.
        past: Names that were changed after the forward pass.
        parents: For each forward variable, those its statement reads.
        expected_shape: The shape the gradient should have, if known.
        sizes: Names of sizes.
        unset: The target had no value before.
        variable: The forward variable whose gradient this is.
        uses: What uses it.
    """

    gradients: Mapping[str, tuple[int, ...]]
    values: Mapping[str, tuple[int, ...]]
    past: Sequence[str] = ()
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    expected_shape: tuple[int, ...] | None = None
    sizes: Sequence[str] = ()
    unset: bool = False
    variable: str = ""
    uses: Sequence[Use] = ()


Edit = tuple[ast.expr, str, int]

_TWO: Final = 2


def attempts(statement: ast.stmt, facts: Facts) -> list[Attempt]:
    """Return the edits of a statement, likeliest first."""
    found: list[Attempt] = []
    if sum(1 for _ in ast.walk(statement)) > MAX_NODES:
        return found
    seen = {ast.unparse(statement)}

    def add(edited: ast.stmt, diagnosis: str, order: int, **details: Any) -> None:
        if len(found) >= MAX_ATTEMPTS:
            return
        try:
            ast.fix_missing_locations(ast.copy_location(edited, statement))
            text = ast.unparse(edited)
        except (ValueError, RecursionError, AttributeError):
            return
        if text in seen:
            return
        seen.add(text)
        # A line that is too much has no corrected form.
        corrected = None if text.endswith(" *= 1") else text.replace("past·", "")
        found.append(Attempt(edited, Found(diagnosis, corrected, details), order, len(found)))

    for edited, diagnosis, order in _of_statement(statement):
        add(edited, diagnosis, order)
    for root, rebuild in _roots(statement):
        for node, inside in _walk(root):
            for replacement, diagnosis, order in _of_node(node, inside, facts):
                add(rebuild(_swap(root, node, replacement)), diagnosis, order)
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.Assign | ast.AugAssign) and isinstance(value, ast.expr):
        for replacement, diagnosis, order in _of_whole(value, facts):
            add(_with_value(statement, replacement), diagnosis, order)
        for replacement, diagnosis, order in _everywhere(value, facts):
            add(_with_value(statement, replacement), diagnosis, order)
        for edited, diagnosis in _textbook(statement, facts):
            add(edited, diagnosis, 9 if diagnosis == "unknown" else 5)
    return sorted(found, key=lambda each: (each.order, each.rank))


def _roots(statement: ast.stmt) -> Iterator[tuple[ast.expr, Any]]:
    if isinstance(statement, ast.Assign):
        yield statement.value, lambda new: ast.Assign(statement.targets, new)
        target = statement.targets[0]
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Constant):
            yield target.slice, lambda new: ast.Assign([ast.Subscript(target.value, new, ast.Store())], statement.value)
    elif isinstance(statement, ast.AugAssign):
        yield statement.value, lambda new: ast.AugAssign(statement.target, statement.op, new)
        if isinstance(statement.target, ast.Subscript) and not isinstance(statement.target.slice, ast.Constant):
            own = statement.target
            yield own.slice, lambda new: ast.AugAssign(ast.Subscript(own.value, new, ast.Store()), statement.op, statement.value)
    elif isinstance(statement, ast.Return) and statement.value is not None:
        yield statement.value, ast.Return
    elif isinstance(statement, ast.Expr):
        yield statement.value, ast.Expr


def _with_value(statement: ast.Assign | ast.AugAssign, value: ast.expr) -> ast.stmt:
    if isinstance(statement, ast.Assign):
        return ast.Assign(statement.targets, value)
    return ast.AugAssign(statement.target, statement.op, value)


def _walk(root: ast.expr) -> Iterator[tuple[ast.expr, tuple[str, ...]]]:
    """Yield the parts of an expression with what they stand in: `compare`, `exponent`, `shape`."""
    stack: list[tuple[ast.expr, tuple[str, ...]]] = [(root, ())]
    while stack:
        node, inside = stack.pop()
        yield node, inside
        for name, child in ast.iter_fields(node):
            for each in child if isinstance(child, list) else (child,):
                own = inside
                if isinstance(node, ast.Compare):
                    own = (*inside, "compare")
                elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and name == "right":
                    own = (*inside, "exponent")
                elif isinstance(node, ast.Call) and name == "func":
                    own = (*inside, "function")
                elif isinstance(node, ast.Attribute) and node.attr in {"shape", "size"}:
                    own = (*inside, "shape")
                elif isinstance(node, ast.Subscript) and name == "slice":
                    own = (*inside, "index")
                if isinstance(each, ast.keyword):
                    if each.arg not in {"axis", "keepdims"}:
                        stack.append((each.value, own))
                elif isinstance(each, ast.expr):
                    stack.append((each, own))


def _swap(root: ast.expr, target: ast.AST, new: ast.expr) -> ast.expr:
    """Return `root` with one part replaced; what is untouched is shared."""
    if root is target:
        return new
    result = _swapped(root, target, new)
    assert isinstance(result, ast.expr)
    return result


def _swapped(node: ast.AST, target: ast.AST, new: ast.expr) -> ast.AST:
    changed: dict[str, Any] = {}
    for name, child in ast.iter_fields(node):
        if isinstance(child, list):
            parts = [new if each is target else _swapped(each, target, new) if isinstance(each, ast.AST) else each for each in child]
            if any(a is not b for a, b in zip(parts, child, strict=True)):
                changed[name] = parts
        elif isinstance(child, ast.AST):
            part = new if child is target else _swapped(child, target, new)
            if part is not child:
                changed[name] = part
    if not changed:
        return node
    return type(node)(**{name: changed.get(name, child) for name, child in ast.iter_fields(node)})


# Building ---------------------------------------------------------------------------------------------------------------


def _name(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body if not text.isidentifier() else ast.Name(text, ast.Load())


def _bin(left: ast.expr, op: ast.operator, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, op, right)


def _mul(left: ast.expr, right: ast.expr) -> ast.expr:
    return _bin(left, ast.Mult(), right)


def _number(value: float) -> ast.expr:
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _np(function: str, *arguments: ast.expr, **keywords: Any) -> ast.expr:
    return ast.Call(
        ast.Attribute(ast.Name("np", ast.Load()), function, ast.Load()),
        list(arguments),
        [ast.keyword(key, each if isinstance(each, ast.expr) else ast.Constant(each)) for key, each in keywords.items()],
    )


def _transposed(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return node.value
    return ast.Attribute(node, "T", ast.Load())


def _negative(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand
    return ast.UnaryOp(ast.USub(), node)


def _broadcasts(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a == b or 1 in {a, b} for a, b in zip(reversed(shape), reversed(other), strict=False))


# Edits ------------------------------------------------------------------------------------------------------------------


def _of_statement(statement: ast.stmt) -> Iterator[tuple[ast.stmt, str, int]]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
            yield ast.AugAssign(target, ast.Add(), statement.value), "overwrites", 0
            if isinstance(target, ast.Subscript):
                yield ast.Expr(_add_at(target, statement.value)), "repeated-index", 1
    elif isinstance(statement, ast.AugAssign):
        if isinstance(statement.op, ast.Add):
            yield ast.AugAssign(statement.target, ast.Sub(), statement.value), "sign", 0
            yield ast.Assign([statement.target], statement.value), "accumulates-onto", 1
            yield ast.AugAssign(statement.target, ast.Mult(), ast.Constant(1)), "accumulates-onto", 1
            if isinstance(statement.target, ast.Subscript):
                yield ast.Expr(_add_at(statement.target, statement.value)), "repeated-index", 0
        elif isinstance(statement.op, ast.Sub):
            yield ast.AugAssign(statement.target, ast.Add(), statement.value), "sign", 0
        elif isinstance(statement.op, ast.Mult):
            yield ast.AugAssign(statement.target, ast.Div(), statement.value), "wrong-power", 3
        elif isinstance(statement.op, ast.Div):
            yield ast.AugAssign(statement.target, ast.Mult(), statement.value), "wrong-power", 3
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        name = ast.unparse(call.func)
        other = {"np.add.at": "subtract", "np.subtract.at": "add"}.get(name)
        if other is not None:
            function = ast.Attribute(ast.Attribute(ast.Name("np", ast.Load()), other, ast.Load()), "at", ast.Load())
            yield ast.Expr(ast.Call(function, call.args, call.keywords)), "sign", 0


def _add_at(target: ast.Subscript, value: ast.expr) -> ast.expr:
    function = ast.Attribute(ast.Attribute(ast.Name("np", ast.Load()), "add", ast.Load()), "at", ast.Load())
    return ast.Call(function, [target.value, target.slice, value], [])


_FLIPPED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.Gt, ast.GtE), ast.LtE: (ast.Gt, ast.GtE), ast.Gt: (ast.Lt, ast.LtE), ast.GtE: (ast.Lt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
}  # fmt: skip
_REDUCTIONS: Final = frozenset({"sum", "mean", "max", "min", "amax", "amin", "prod", "var", "std"})


def _of_node(node: ast.expr, inside: tuple[str, ...], facts: Facts) -> Iterator[Edit]:
    if "function" in inside and isinstance(node, ast.Name):
        return
    if isinstance(node, ast.Name):
        yield from _of_name(node, inside, facts)
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node, inside)
    elif isinstance(node, ast.BinOp):
        yield from _of_operator(node, inside, facts)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub):
            yield node.operand, "sign", 0
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for flipped in _FLIPPED.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [flipped()], node.comparators), "wrong-route", 2
        yield ast.Compare(node.comparators[0], node.ops, [node.left]), "wrong-route", 3
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body), "wrong-route", 2
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Attribute):
        if node.attr == "T" and "function" not in inside:
            yield node.value, "transpose", 1
    elif isinstance(node, ast.Subscript) and "shape" not in inside:
        yield from _of_index(node)
        if not {"exponent", "compare", "index"} & set(inside):
            yield _bin(node, ast.Pow(), ast.Constant(2)), "wrong-power", 3
    elif isinstance(node, ast.List | ast.Tuple) and "index" not in inside and len(node.elts) == _TWO:
        yield type(node)(node.elts[::-1], ast.Load()), "operands-swapped", 3


def _of_name(node: ast.Name, inside: tuple[str, ...], facts: Facts) -> Iterator[Edit]:
    own = node.id
    shape = facts.values.get(own, facts.gradients.get(own))
    if own in facts.past:
        yield ast.Name(f"past·{own}", ast.Load()), "updated-value", 1
    if shape is None or "shape" in inside:
        return
    if len(shape) == _TWO and "index" not in inside:
        yield ast.Attribute(node, "T", ast.Load()), "transpose", 2
    for other, others_shape in facts.gradients.items():
        if other != own and own in facts.gradients and (others_shape == shape or len(others_shape) == len(shape) or _broadcasts(shape, others_shape)):
            yield _name(other), "stale-variable", 4 if others_shape == shape else 5
    for other, others_shape in facts.gradients.items():
        if own in facts.values and own not in facts.gradients and "index" not in inside and others_shape == shape:
            yield _name(other), "stale-variable", 6
    for other, others_shape in facts.values.items():
        if other == own or not (others_shape == shape or _broadcasts(shape, others_shape)):
            continue
        if "compare" in inside:
            yield _name(other), "wrong-route", 4
        elif own in facts.gradients:
            continue
        else:
            yield _name(other), _relation(own, other, facts), 4 if others_shape == shape else 5
    if own in facts.values:
        for other, others_shape in facts.values.items():
            if other != own and not _broadcasts(shape, others_shape) and others_shape:
                yield _name(other), _relation(own, other, facts), 6
    if "exponent" not in inside and "compare" not in inside:
        yield _bin(node, ast.Pow(), ast.Constant(2)), "wrong-power", 3
        if len(shape) >= 1:
            for k in range(len(shape)):
                yield _np("sum", node, axis=k), "missing-sum", 4
                yield _np("sum", node, axis=k, keepdims=True), "missing-sum", 4
        if own in facts.values:
            yield _bin(ast.Constant(1), ast.Sub(), node), "unknown", 7
            yield _bin(ast.Constant(1), ast.Sub(), _bin(node, ast.Pow(), ast.Constant(2))), "unknown", 7
            yield ast.Compare(node, [ast.Gt()], [ast.Constant(0)]), "wrong-route", 7
        for name in _EPS:
            if name in facts.values:
                yield _bin(node, ast.Add(), ast.Name(name, ast.Load())), "eps-term", 5
        yield _bin(node, ast.Add(), ast.Constant(1e-5)), "eps-term", 8
        yield _bin(node, ast.Add(), ast.Constant(1e-8)), "eps-term", 8
        yield _bin(node, ast.Add(), ast.Constant(1e-7)), "eps-term", 8


def _everywhere(value: ast.expr, facts: Facts) -> Iterator[Edit]:
    """One name for another wherever it stands, where it stands more than once."""
    counts = Counter(node.id for node in ast.walk(value) if isinstance(node, ast.Name))
    for own, count in counts.items():
        shape = facts.values.get(own)
        if count < _TWO or shape is None:
            continue
        for other, others_shape in facts.values.items():
            if other != own and others_shape == shape:
                yield _renamed(value, own, other), _relation(own, other, facts), 4


def _renamed(value: ast.expr, own: str, other: str) -> ast.expr:
    class Rename(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return _name(other) if node.id == own else node

    renamed: ast.expr = Rename().visit(copy.deepcopy(value))
    return renamed


_EPS: Final = ("eps", "epsilon", "EPS", "delta", "small")


def _relation(own: str, other: str, facts: Facts) -> str:
    if other in facts.parents.get(own, ()) or own in facts.parents.get(other, ()):
        return "wrong-stage"
    if any(own in parents and other in parents for parents in facts.parents.values()):
        return "operands-swapped"
    for name in facts.parents.get(own, ()):
        if other in facts.parents.get(name, ()):
            return "wrong-stage"
    for name in facts.parents.get(other, ()):
        if own in facts.parents.get(name, ()):
            return "wrong-stage"
    return "stale-variable"


def _of_constant(node: ast.Constant, inside: tuple[str, ...]) -> Iterator[Edit]:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if "exponent" in inside:
        for other in (value + 1, value - 1, value + 2, value - 0.5, value + 0.5):
            yield _number(other), "wrong-power", 2
        yield _number(-value), "wrong-power", 3
        return
    if "index" in inside:
        for other in (value + 1, value - 1):
            if other >= -1 and isinstance(value, int):
                yield _number(other), "stale-variable", 4
        return
    for other in (2 * value, value / 2):
        yield _number(int(other) if other == int(other) and isinstance(value, int) else other), "factor-two", 2
    yield _number(-value), "sign", 1
    for other in (value + 1, value - 1, 1.0, 0.5):
        if other != value:
            yield _number(other), "unknown" if value not in {2, 3} else "factor-two", 6
    if value:
        yield _number(1 / value), "wrong-power", 5


def _of_operator(node: ast.BinOp, inside: tuple[str, ...], facts: Facts) -> Iterator[Edit]:
    left, right = node.left, node.right
    op = node.op
    if isinstance(op, ast.Add):
        yield _bin(left, ast.Sub(), right), "sign", 1
        yield _bin(_negative(left), ast.Add(), right), "sign", 1
        yield _bin(left, ast.Mult(), right), "unknown", 6
    elif isinstance(op, ast.Sub):
        yield _bin(left, ast.Add(), right), "sign", 1
        yield _bin(right, ast.Sub(), left), "sign", 1
        for other in (1, 0, -1) if _is_constant(right, 1) else ():  # N - 1
            yield (left if other == 0 else _bin(left, ast.Sub(), _number(other))), "missing-mean-factor", 3
    elif isinstance(op, ast.Mult):
        yield _bin(left, ast.Div(), right), "wrong-power", 4
    elif isinstance(op, ast.Div):
        yield _bin(left, ast.Mult(), right), "wrong-power", 4
        yield _bin(right, ast.Div(), left), "operands-swapped", 3
        yield _bin(left, ast.Div(), _bin(right, ast.Sub(), ast.Constant(1))), "missing-mean-factor", 3
    elif isinstance(op, ast.Pow):
        yield left, "wrong-power", 2
        if not isinstance(right, ast.Constant):
            yield _bin(left, op, _bin(right, ast.Sub(), ast.Constant(1))), "wrong-power", 2
            yield _bin(left, op, _bin(right, ast.Add(), ast.Constant(1))), "wrong-power", 3
    elif isinstance(op, ast.MatMult):
        yield from ((_bin(a, ast.MatMult(), b), kind, order) for a, b, kind, order in _products(left, right))
        yield _mul(left, right), "unknown", 6
    if isinstance(op, ast.Add | ast.Sub) and not {"exponent", "compare", "index", "function"} & set(inside):
        for name in list(facts.gradients)[-8:]:
            yield _bin(_mul(left, _name(name)), op, right), "missing-upstream", 5
            yield _bin(left, op, _mul(right, _name(name))), "missing-upstream", 5
    if isinstance(op, ast.Add | ast.Sub):
        for keep, dropped in ((left, right), (right, left)):
            small = isinstance(dropped, ast.Constant) or (isinstance(dropped, ast.Name) and dropped.id in _EPS)
            yield (_negative(keep) if isinstance(op, ast.Sub) and keep is right else keep), "eps-term" if small else "accumulates-onto", 5
    if isinstance(op, ast.Mult | ast.Div):
        yield left, _dropped(right, facts), 3
        if isinstance(op, ast.Mult):
            yield right, _dropped(left, facts), 3
            yield from ((_bin(a, ast.MatMult(), b), "transpose", 5) for a, b, *_ in _products(left, right))
            yield _bin(left, ast.MatMult(), right), "unknown", 6


def _is_constant(node: ast.expr, value: float) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _dropped(node: ast.expr, facts: Facts) -> str:
    """What it means that a factor is too much."""
    if isinstance(node, ast.Constant) and node.value in {2, 0.5}:
        return "factor-two"
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    if (names and names <= {*facts.sizes, "N", "m", "n", "batch_size", "M", "B"}) or "shape" in ast.unparse(node):
        return "missing-mean-factor"
    if isinstance(node, ast.Name) and node.id in facts.values:
        return "wrong-power"
    return "unknown"


def _products(left: ast.expr, right: ast.expr) -> Iterator[tuple[ast.expr, ast.expr, str, int]]:
    yield _transposed(left), right, "transpose", 1
    yield left, _transposed(right), "transpose", 1
    yield right, left, "operands-swapped", 1
    yield _transposed(left), _transposed(right), "transpose", 2
    yield _transposed(right), left, "operands-swapped", 2
    yield right, _transposed(left), "operands-swapped", 2
    yield _transposed(right), _transposed(left), "operands-swapped", 3


def _of_call(node: ast.Call) -> Iterator[Edit]:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    method = isinstance(function, ast.Attribute) and not (isinstance(function.value, ast.Name) and function.value.id in {"np", "numpy", "math"})
    operands = [function.value, *node.args] if method and isinstance(function, ast.Attribute) else list(node.args)

    def rebuilt(arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword] | None = None) -> ast.expr:
        own = list(node.keywords if keywords is None else keywords)
        if method and isinstance(function, ast.Attribute):
            return ast.Call(ast.Attribute(arguments[0], function.attr, ast.Load()), list(arguments[1:]), own)
        return ast.Call(function, list(arguments), own)

    if name in {"dot", "matmul"} and len(operands) == _TWO:
        yield from ((rebuilt([a, b]), kind, order) for a, b, kind, order in _products(*operands))
        yield _mul(operands[0], operands[1]), "unknown", 6
    elif name in {"outer", "divide", "subtract"} and len(operands) == _TWO:
        yield rebuilt(operands[::-1]), "operands-swapped", 2
    elif name == "where" and len(operands) == 3:
        yield rebuilt([operands[0], operands[2], operands[1]]), "wrong-route", 2
    elif name in {"transpose", "swapaxes"} and len(operands) >= 1:
        yield operands[0], "transpose", 2
        yield from _permutations(operands, rebuilt)
    elif name in _REDUCTIONS:
        yield from _of_reduction(node, name, operands, rebuilt)
    elif (name == "einsum" and node.args and isinstance(node.args[0], ast.Constant)) or name in {"maximum", "minimum"}:
        return
    if name in {"exp", "log", "sqrt", "tanh", "square", "abs"} and len(operands) == 1:
        yield operands[0], "wrong-stage", 4
    if name in {"sin", "cos"} and isinstance(function, ast.Attribute):
        other = "cos" if name == "sin" else "sin"
        yield ast.Call(ast.Attribute(function.value, other, ast.Load()), node.args, []), "unknown", 4


def _permutations(operands: Sequence[ast.expr], rebuilt: Any) -> Iterator[Edit]:
    arguments = operands[1:]
    if len(arguments) == 1 and isinstance(arguments[0], ast.Tuple):
        arguments = arguments[0].elts
        wrapped = True
    else:
        wrapped = False
    if not all(isinstance(each, ast.Constant) and isinstance(each.value, int) for each in arguments) or not 2 <= len(arguments) <= 4:
        return
    for order in itertools.permutations(range(len(arguments))):
        elements: list[ast.expr] = [ast.Constant(k) for k in order]
        yield rebuilt([operands[0], ast.Tuple(elements, ast.Load())] if wrapped else [operands[0], *elements]), "transpose", 2


def _of_reduction(node: ast.Call, name: str, operands: Sequence[ast.expr], rebuilt: Any) -> Iterator[Edit]:
    keywords = {each.arg: each.value for each in node.keywords}
    keepdims = keywords.get("keepdims")
    axis = keywords.get("axis", operands[1] if len(operands) > 1 else None)
    others = [each for each in node.keywords if each.arg not in {"axis", "keepdims"}]

    def made(new_axis: ast.expr | None, keep: bool) -> ast.expr:  # noqa: FBT001  NumPy's own argument
        own = list(others)
        if new_axis is not None:
            own.append(ast.keyword("axis", new_axis))
        if keep:
            own.append(ast.keyword("keepdims", ast.Constant(True)))
        result: ast.expr = rebuilt(operands[:1], own)
        return result

    kept = keepdims is not None and not _is_constant(keepdims, 0)
    if not kept:
        yield made(axis, True), "missing-keepdims", 1
    else:
        yield made(axis, False), "missing-keepdims", 2
    choices: list[ast.expr | None] = [ast.Constant(0), ast.Constant(1), ast.Constant(2), ast.UnaryOp(ast.USub(), ast.Constant(1))]
    choices += [ast.Tuple([ast.Constant(k) for k in axes], ast.Load()) for axes in ((0, 1), (0, 2), (1, 2), (0, 2, 3), (0, 1, 2))]
    for choice in (*choices, None):
        kind = "missing-sum" if axis is None and name == "sum" and choice is None else "wrong-axis"
        yield made(choice, kept), kind, 1
        yield made(choice, not kept), kind, 3
    yield operands[0], "wrong-axis" if name == "sum" else "missing-mean-factor", 3
    if name in {"sum", "mean"}:
        other = "mean" if name == "sum" else "sum"
        function = node.func
        if isinstance(function, ast.Attribute):
            yield ast.Call(ast.Attribute(function.value, other, ast.Load()), node.args, node.keywords), "missing-mean-factor", 2


def _of_index(node: ast.Subscript) -> Iterator[Edit]:
    index = node.slice
    if isinstance(index, ast.Name):
        yield ast.Subscript(node.value, _bin(index, ast.Sub(), ast.Constant(1)), ast.Load()), "stale-variable", 4
        yield ast.Subscript(node.value, _bin(index, ast.Add(), ast.Constant(1)), ast.Load()), "stale-variable", 4
    elif isinstance(index, ast.BinOp) and isinstance(index.op, ast.Add | ast.Sub):
        yield ast.Subscript(node.value, index.left, ast.Load()), "stale-variable", 4


def _of_whole(value: ast.expr, facts: Facts) -> Iterator[Edit]:
    yield _negative(value), "sign", 0
    names = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)} - {"np", "math"}
    only_upstream = bool(names) and all(each in facts.gradients for each in names)
    shape = facts.expected_shape
    rank = len(shape) if shape is not None else 2
    if shape is None or rank >= 1:
        yield _transposed(value), "transpose", 1
    for axis in (0, 1, 2, (0, 1), (0, 2, 3), (0, 1, 2), (1, 2), None):
        node: ast.expr = ast.Constant(axis) if not isinstance(axis, tuple) else ast.Tuple([ast.Constant(k) for k in axis], ast.Load())
        yield (_np("sum", value, axis=node) if axis is not None else _np("sum", value)), "missing-sum", 1
        if axis is not None:
            yield _np("sum", value, axis=node, keepdims=True), "missing-sum", 1
    if shape is not None:
        yield ast.Call(ast.Attribute(value, "reshape", ast.Load()), [ast.Constant(n) for n in shape], []), "shape-only", 2
    for size in _sizes(facts):
        yield _bin(value, ast.Div(), size), "missing-mean-factor", 2
        yield _bin(value, ast.Div(), _bin(size, ast.Sub(), ast.Constant(1))), "missing-mean-factor", 3
        yield _mul(value, size), "missing-mean-factor", 3
    yield _mul(ast.Constant(2), value), "factor-two", 2
    yield _mul(ast.Constant(0.5), value), "factor-two", 2
    for name, own in facts.gradients.items():
        if name not in names and (shape is None or _broadcasts(own, shape)):
            yield _mul(value, _name(name)), "missing-upstream", 5
    lacking = "upstream-only"
    for name, own in facts.values.items():
        if shape is not None and not _broadcasts(own, shape):
            continue
        x = _name(name)
        one, two, zero = ast.Constant(1), ast.Constant(2), ast.Constant(0)
        square = _bin(x, ast.Pow(), two)
        for factor in (
            x, _bin(one, ast.Sub(), square), _mul(_bin(one, ast.Sub(), x), x), _bin(one, ast.Sub(), x), ast.Compare(x, [ast.Gt()], [zero]), square,
            _mul(two, x), _np("exp", x), _np("cos", x), _negative(_np("sin", x)), _np("sign", x), _negative(x),
        ):  # fmt: skip
            yield _mul(value, factor), lacking, 6
        yield _bin(value, ast.Div(), x), lacking, 6
        yield _negative(_bin(value, ast.Div(), square)), lacking, 6
        yield _bin(value, ast.Div(), square), lacking, 7
        yield _bin(value, ast.Div(), _mul(two, x)), lacking, 7
    if only_upstream or rank >= 1:
        for name, own in facts.values.items():
            if len(own) in {1, _TWO}:
                x = _name(name)
                for left, right in ((value, _transposed(x)), (_transposed(x), value), (value, x), (x, value)):
                    yield ast.Call(ast.Attribute(left, "dot", ast.Load()), [right], []), lacking, 7
    for name, own in facts.gradients.items():
        if shape is None or _broadcasts(own, shape):
            yield _bin(value, ast.Add(), _name(name)), "missing-branch", 6
            yield _bin(value, ast.Sub(), _name(name)), "missing-branch", 7
            for other, others in facts.values.items():
                if shape is None or (_broadcasts(others, shape) and len(facts.values) < 24):
                    yield _bin(value, ast.Add(), _mul(_name(other), _name(name))), "missing-branch", 8


def _sizes(facts: Facts) -> Iterator[ast.expr]:
    for name in facts.sizes:
        yield _name(name)
    for name, shape in facts.values.items():
        if name.isidentifier() or "." in name or "[" in name:
            for axis in range(len(shape)):
                yield ast.Subscript(ast.Attribute(_name(name), "shape", ast.Load()), ast.Constant(axis), ast.Load())
            if len(shape) > 1:
                yield ast.Attribute(_name(name), "size", ast.Load())


# The textbook line --------------------------------------------------------------------------------------------------------


def _textbook(statement: ast.Assign | ast.AugAssign, facts: Facts) -> Iterator[tuple[ast.stmt, str]]:
    """The line as the chain rule gives it, from the forward statements that use the variable."""
    if not facts.uses or not facts.variable:
        return
    terms: list[ast.expr] = []
    for use in facts.uses[:6]:
        own = [*derivative(use.statement, facts.variable, use.gradient)]
        total = _sum(own)
        if total is not None:
            terms.append(total)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    everything = _sum(terms)
    if everything is not None and isinstance(statement, ast.Assign):
        for wrapped in _reduced(everything):
            yield ast.Assign([target], wrapped), "unknown"
    for term in terms:
        for wrapped in _reduced(term):
            yield _with_value(statement, wrapped), "unknown"
            if len(terms) > 1 and isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
                yield ast.AugAssign(target, ast.Add(), wrapped), "unknown"
                yield _with_value(statement, _bin(statement.value, ast.Add(), wrapped)), "missing-branch"


def _reduced(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    for axis in (0, 1):
        yield _np("sum", node, axis=axis)
        yield _np("sum", node, axis=axis, keepdims=True)
    yield _np("sum", node)


def _sum(terms: Sequence[ast.expr]) -> ast.expr | None:
    result: ast.expr | None = None
    for term in terms:
        result = term if result is None else _bin(result, ast.Add(), term)
    return result


def derivative(statement: ast.stmt, variable: str, upstream: str) -> list[ast.expr]:
    """
    Return the terms that a forward statement sends to the gradient of a variable, as a person writes them.

    Example::

        q = x * y       # variable x, upstream dq
        dq * y
    """
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return []
    result = statement.targets[0]
    terms: list[ast.expr] = []
    stack: list[tuple[ast.expr, ast.expr, bool]] = [(statement.value, _name(upstream), True)]
    steps = 0
    while stack and steps < 60:
        steps += 1
        node, ct, top = stack.pop()
        if ast.unparse(node) == variable:
            terms.append(ct)
            continue
        if variable not in ast.unparse(node):
            continue
        answer = result if top and isinstance(result, ast.Name) else node
        if isinstance(answer, ast.Name):
            answer = ast.Name(answer.id, ast.Load())
        for operand, sent in _rule(node, ct, answer):
            stack.append((operand, sent, False))
    return terms[::-1]


def _rule(node: ast.expr, ct: ast.expr, answer: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    one, two = ast.Constant(1), ast.Constant(2)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand, _negative(ct)
    elif isinstance(node, ast.BinOp):
        a, b = node.left, node.right
        if isinstance(node.op, ast.Add):
            yield a, ct
            yield b, ct
        elif isinstance(node.op, ast.Sub):
            yield a, ct
            yield b, _negative(ct)
        elif isinstance(node.op, ast.Mult):
            yield a, _mul(b, ct)
            yield b, _mul(a, ct)
        elif isinstance(node.op, ast.Div):
            yield a, _bin(ct, ast.Div(), b)
            yield b, _bin(_mul(_negative(a), ct), ast.Div(), _bin(b, ast.Pow(), two))
        elif isinstance(node.op, ast.Pow) and isinstance(b, ast.Constant) and isinstance(b.value, int | float):
            yield a, _mul(_mul(b, a if b.value == 2 else _bin(a, ast.Pow(), ast.Constant(b.value - 1))), ct)
        elif isinstance(node.op, ast.MatMult):
            yield a, _bin(ct, ast.MatMult(), _transposed(b))
            yield b, _bin(_transposed(a), ast.MatMult(), ct)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value, _transposed(ct)
    elif isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
        method = isinstance(function, ast.Attribute) and not (isinstance(function.value, ast.Name) and function.value.id in {"np", "numpy", "math"})
        operands = [function.value, *node.args] if method and isinstance(function, ast.Attribute) else list(node.args)
        module = function.value if isinstance(function, ast.Attribute) and not method else ast.Name("np", ast.Load())

        def call(other: str, *arguments: ast.expr) -> ast.expr:
            return ast.Call(ast.Attribute(module, other, ast.Load()), list(arguments), [])

        if name in {"dot", "matmul"} and len(operands) == _TWO:
            a, b = operands
            yield a, ast.Call(ast.Attribute(ct, "dot", ast.Load()), [_transposed(b)], [])
            yield b, ast.Call(ast.Attribute(_transposed(a), "dot", ast.Load()), [ct], [])
            return
        if (name == "maximum" and len(operands) == _TWO) or (name == "max" and len(operands) == _TWO and not node.keywords and not method):
            a, b = operands
            yield a, _mul(ast.Compare(a, [ast.GtE()], [b]), ct)
            yield b, _mul(ast.Compare(b, [ast.Gt()], [a]), ct)
            return
        if not operands:
            return
        x = operands[0]
        if name == "exp":
            yield x, _mul(answer, ct)
        elif name == "log":
            yield x, _bin(ct, ast.Div(), x)
        elif name == "tanh":
            yield x, _mul(_bin(one, ast.Sub(), _bin(answer, ast.Pow(), two)), ct)
        elif name == "sqrt":
            yield x, _bin(_mul(ast.Constant(0.5), ct), ast.Div(), answer)
        elif name == "sin":
            yield x, _mul(call("cos", x), ct)
        elif name == "cos":
            yield x, _mul(_negative(call("sin", x)), ct)
        elif name == "square":
            yield x, _mul(_mul(two, x), ct)
        elif name in {"abs", "fabs"}:
            yield x, _mul(call("sign", x), ct)
        elif name == "sum":
            keywords = {each.arg: each.value for each in node.keywords}
            axis = keywords.get("axis")
            if axis is None or "keepdims" in keywords:
                yield x, _mul(ct, _np("ones_like", x))
            else:
                yield x, _mul(_np("expand_dims", ct, axis), _np("ones_like", x))
        elif name == "mean" and not node.keywords and len(operands) == 1:
            yield x, _bin(_mul(ct, _np("ones_like", x)), ast.Div(), ast.Attribute(x, "size", ast.Load()))
        elif name in {"sigmoid", "expit"}:
            yield x, _mul(_mul(answer, _bin(one, ast.Sub(), answer)), ct)
