"""
What is known of a file before anything of it is computed: which numbers are sizes, which statements make inputs.

The judgement needs generic points and sizes that differ, so the numbers a file is written with are not the ones it is marked
at. `make_plan` finds the literals that may be replaced: sizes of arrays, and example values.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bpcompile.marking.words import is_container, stems

#: Functions whose arguments are sizes.
_SIZED: Final = frozenset(
    "randn rand random random_sample standard_normal zeros ones empty full eye identity range xrange arange reshape randint uniform normal "
    "choice repeat tile broadcast_to".split()
)
#: Functions that make an array, whose literal sizes may be replaced.
_MAKERS: Final = frozenset("randn rand random random_sample standard_normal zeros ones empty full eye identity randint uniform normal".split())

#: Functions whose literal arguments say how many there are of something.
_COUNTED: Final = frozenset("range xrange arange repeat tile reshape split eye full broadcast_to bincount".split())

#: Where a literal stands: line and column.
Place = tuple[int, int]


@dataclass
class Plan:
    """
    What is known.

    Attributes:
        names: Every name, attribute and string key in the file.
        sizes: The literals that are sizes of arrays, with what they are written as.
        inputs: The statements that make inputs of the forward pass, by position in the file.
        size_names: Names that hold sizes.
        index_names: Names that are used as indices.
        bounds: Literals that labels are drawn below.
        buffers: Statements that make a gradient's upstream value or buffer with literal sizes.
        fixed: Numbers that are sizes and stand elsewhere too, as in `range(5)` or `/ 5`: they stay what they are.
        calls: What functions are called with in the file itself, by line; None until that was looked at.
        bare: Functions may be called by their bare names, as in formulas.
    """

    names: set[str] = field(default_factory=set)
    sizes: dict[Place, int] = field(default_factory=dict)
    size_names: set[str] = field(default_factory=set)
    inputs: set[Place] = field(default_factory=set)
    index_names: set[str] = field(default_factory=set)
    bounds: dict[Place, int] = field(default_factory=dict)
    buffers: set[Place] = field(default_factory=set)
    fixed: set[int] = field(default_factory=set)
    calls: dict[int, dict[str, Any]] | None = None
    bare: bool = False
    _wanted: set[str] | None = None

    def has_gradient(self, name: str) -> bool:
        """Tell whether something in the file looks like the gradient of `name`."""
        if self._wanted is None:
            self._wanted = {stem for each in self.names for stem in stems(each)}
        return name in self._wanted

    def gradient_like(self, name: str) -> bool:
        """Tell whether `name` looks like the gradient of something in the file; only a hint."""
        return any(stem in self.names for stem in stems(name))


def place(node: ast.AST) -> Place:
    """Return where a node stands."""
    return (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))


def called(node: ast.AST) -> str:
    """Return the last part of the name of a called function."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def base_name(node: ast.AST) -> str:
    """Return the name that a target such as `self.params["W"]` is known by."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return node.slice.value
        return base_name(node.value)
    return ""


def in_gradient_container(node: ast.AST) -> bool:
    """Tell whether a target is an item of a dictionary of gradients: `grads["W1"]`."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and is_container(ast.unparse(node.value))


def make_plan(tree: ast.Module) -> Plan:
    """Read a file once; see the module's docstring."""
    plan = Plan()
    nodes = list(ast.walk(tree))
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    classes = {
        node.name: next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
        for node in nodes
        if isinstance(node, ast.ClassDef)
    }
    for node in nodes:
        if isinstance(node, ast.Name):
            plan.names.add(node.id)
        elif isinstance(node, ast.Attribute):
            plan.names.add(node.attr)
        elif isinstance(node, ast.arg):
            plan.names.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 40:
            plan.names.add(node.value)
        if isinstance(node, ast.Subscript):
            plan.index_names |= {each.id for each in ast.walk(node.slice) if isinstance(each, ast.Name)}
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq) for op in node.ops):
            plan.index_names |= {each.id for each in (node.left, *node.comparators) if isinstance(each, ast.Name)}
    _find_sizes(plan, nodes, {**functions, **{name: each for name, each in classes.items() if each is not None}})
    written = _written_in_place(plan, nodes)
    for body, strict in _input_bodies(tree, classes.values()):
        for statement in body:
            if isinstance(statement, ast.Assign) and _makes_inputs(plan, statement, written, strict=strict):
                plan.inputs.add(place(statement))
    return plan


def _input_bodies(tree: ast.Module, constructors: Iterable[ast.FunctionDef | None]) -> Iterator[tuple[list[ast.stmt], bool]]:
    yield tree.body, False
    for statement in tree.body:
        if isinstance(statement, ast.If):
            yield statement.body, False
    for constructor in constructors:
        if constructor is not None:
            yield [each for each in ast.walk(constructor) if isinstance(each, ast.stmt)], True


def _find_sizes(plan: Plan, nodes: list[ast.AST], functions: dict[str, ast.FunctionDef]) -> None:
    names: set[str] = set()
    for node in nodes:
        if called(node) in _SIZED:
            assert isinstance(node, ast.Call)
            for argument in (*node.args, *(each.value for each in node.keywords)):
                names |= {each.id for each in _plain(argument) if isinstance(each, ast.Name)}
    # A size that is passed on: `TwoLayerNet(input_size=4)` whose `__init__` makes arrays of `input_size`.
    passed: list[tuple[str, ast.expr]] = []
    for _ in range(3):
        for node in nodes:
            function = functions.get(called(node))
            if function is None or not isinstance(node, ast.Call):
                continue
            parameters = [each.arg for each in function.args.args]
            if parameters[:1] == ["self"]:
                parameters = parameters[1:]
            pairs = [*zip(parameters, node.args, strict=False), *((each.arg or "", each.value) for each in node.keywords)]
            for name, argument in pairs:
                if name in names:
                    passed.append((name, argument))
                    names |= {each.id for each in _plain(argument) if isinstance(each, ast.Name)}
    for node in nodes:
        if called(node) in _MAKERS:
            assert isinstance(node, ast.Call)
            arguments = [*node.args, *(each.value for each in node.keywords if each.arg in {"size", "shape"})]
            if called(node) in {"uniform", "normal", "randint"}:
                arguments = [*node.args[2:3], *(each.value for each in node.keywords if each.arg == "size")]
            elif called(node) not in {"randn", "rand"}:
                arguments = [*node.args[:1], *(each.value for each in node.keywords if each.arg in {"size", "shape"})]
            for argument in arguments:
                for each in _plain(argument):
                    _add_size(plan, each, least=2)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name, value in _pairs(target, node.value):
                    if name in names:
                        _add_size(plan, value, least=1)
        elif isinstance(node, ast.FunctionDef):
            for parameter, default in _defaults(node):
                if parameter in names:
                    _add_size(plan, default, least=1)
    for _, given in passed:
        _add_size(plan, given, least=1)
    plan.size_names = names
    for node in nodes:
        if called(node) in {"randint", "choice"} and isinstance(node, ast.Call):
            for argument in node.args[: 2 if called(node) == "randint" else 1]:
                _add_bound(plan, argument)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and plan.gradient_like(base_name(node.targets[0])):
            parts = list(ast.walk(node.value))
            if any(called(each) in _MAKERS for each in parts) and any(place(each) in plan.sizes for each in parts):
                plan.buffers.add(place(node))
    made = set(plan.sizes) | set(plan.bounds)
    for node in nodes:
        if isinstance(node, ast.Call) and called(node) in _COUNTED:
            for argument in (*node.args, *(each.value for each in node.keywords if each.arg != "axis")):
                _add_fixed(plan, argument, made)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            _add_fixed(plan, node.right, made, most=2)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            _add_fixed(plan, node.right, made, most=2)
            _add_fixed(plan, node.left, made, most=2)
        elif isinstance(node, ast.Slice):
            for bound in (node.lower, node.upper):
                if bound is not None:
                    _add_fixed(plan, bound, made)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
                if isinstance(part, ast.BinOp):
                    _add_fixed(plan, part.right, made)


def _add_bound(plan: Plan, node: ast.expr) -> None:
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value >= 2:
        plan.bounds[place(node)] = node.value


def _add_fixed(plan: Plan, node: ast.expr, made: set[Place], most: int = 1) -> None:
    for each in ast.walk(node):
        value = each.value if isinstance(each, ast.Constant) else None
        if isinstance(value, int | float) and most < value < 1e9 and value == int(value) and place(each) not in made:
            plan.fixed.add(int(value))


def _defaults(node: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    arguments = node.args.args
    if node.args.defaults:
        for argument, default in zip(arguments[-len(node.args.defaults) :], node.args.defaults, strict=True):
            yield argument.arg, default
    for argument, given in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if given is not None:
            yield argument.arg, given


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List) and len(target.elts) == len(value.elts):
        for each, own in zip(target.elts, value.elts, strict=True):
            yield from _pairs(each, own)
    elif isinstance(target, ast.Name | ast.Attribute):
        yield base_name(target), value


def _plain(node: ast.expr) -> Iterator[ast.expr]:
    """The names and numbers of a shape, not those inside arithmetic or calls."""
    if isinstance(node, ast.Tuple | ast.List):
        for each in node.elts:
            yield from _plain(each)
    elif isinstance(node, ast.BinOp):
        yield from (each for each in ast.walk(node) if isinstance(each, ast.Name))
    elif isinstance(node, ast.Name | ast.Constant | ast.Attribute):
        yield node


def _add_size(plan: Plan, node: ast.expr, least: int) -> None:
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value >= least:
        plan.sizes[place(node)] = node.value


def _written_in_place(plan: Plan, nodes: list[ast.AST]) -> set[str]:
    """Names of buffers and counters: their first value is no example value."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.AugAssign):
            read = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
            read |= {each.attr for each in ast.walk(node.value) if isinstance(each, ast.Attribute)}
            gradients = any(plan.gradient_like(name) for name in read) or any(in_gradient_container(each) for each in ast.walk(node.value))
            if not gradients:
                found.add(base_name(node.target))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and not (isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str)):
                    found.add(base_name(target))
    return found


def _makes_inputs(plan: Plan, statement: ast.Assign, written: set[str], *, strict: bool) -> bool:
    for target in statement.targets:
        for each in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
            name = base_name(each)
            if not name or name in plan.size_names or name in written:
                return False
            if plan.gradient_like(name) or in_gradient_container(each):
                return False
    return _literal(plan, statement.value, strict=strict)


def _literal(plan: Plan, node: ast.expr, *, strict: bool) -> bool:
    """
    Tell whether an expression is an example value: numbers, lists of them, arrays that are made of nothing else.

    Args:
        plan: Knows which names are sizes.
        node: The expression.
        strict: Plain numbers do not count, only arrays that are made.
    """
    numbers = makes = False
    stack: list[ast.expr] = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, ast.Constant):
            if type(each.value) not in {int, float}:
                return False
            numbers = True
        elif isinstance(each, ast.UnaryOp):
            stack.append(each.operand)
        elif isinstance(each, ast.BinOp):
            stack += [each.left, each.right]
        elif isinstance(each, ast.List | ast.Tuple):
            if not each.elts:
                return False
            stack += each.elts
        elif isinstance(each, ast.Call):
            name = called(each)
            if name in _MAKERS:
                makes = True
            elif name in {"array", "asarray", "float", "float64"}:
                stack += each.args[:1]
            elif name in {"astype", "reshape", "copy"} and isinstance(each.func, ast.Attribute):
                stack.append(each.func.value)
            elif name == "sqrt":
                stack += each.args
            else:
                return False
        elif not (isinstance(each, ast.Name | ast.Attribute | ast.Subscript) and base_name(each) in {*plan.size_names, "shape"}):
            return False
    return makes or (numbers and not strict)
