"""
Forward code to a `Program`: choose what in the file is the program, read it, name its inputs and outputs.

The file is a script (names bound to numbers are the inputs, the last value that depends on them is the output) or holds a
function (its parameters are the inputs, what it returns the outputs). `Evaluator` does the reading; this module decides.

>>> from bpcompile.diagnostics import Source
>>> print(read_code(Source("x = 3\\ny = -4\\nq = x + y\\nf = q * y\\n")))
program(x, y)
  q = add x y
  f = mul q y
return f = f
"""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import bpcompile.ops  # noqa: F401  fills the registry that the functions of forward code are said in
from bpcompile import dims
from bpcompile.diagnostics import CompileError, Diagnostic, Source, Span, error
from bpcompile.frontends.arrays import settled
from bpcompile.frontends.evaluation import Evaluator
from bpcompile.frontends.known_functions import suggest
from bpcompile.frontends.source_text import identifier, imports_sympy, parse, read_bytes, too_deep, with_deep_stack
from bpcompile.frontends.values import (
    MAX_ELEMENTS,
    MAX_PATH,
    Function,
    Input,
    Knowledge,
    ListValue,
    Partial,
    Poison,
    Poisoned,
    Refusal,
    Restart,
    Scope,
    Value,
    describe,
)
from bpcompile.ir import Atom, Dim, Lit, Output, Param, Program, Shape, Var, leaves

__all__ = ["imports_sympy", "read_bytes", "read_code", "read_expression"]

#: How often a text is read again because inputs turned out to be sizes; each time at least one more is known.
_MAX_READINGS: Final = 1000

#: Words that a quoted annotation may hold without being the name of a dimension.
_TYPE_WORDS: Final = frozenset(
    {
        "float",
        "int",
        "bool",
        "str",
        "list",
        "tuple",
        "None",
        "Any",
        "object",
        "Float",
        "Array",
        "List",
        "Tuple",
        "NDArray",
        "ArrayLike",
        "Sequence",
        "Number",
        "Real",
    }
)


#: What may stand before the sizes in a quoted annotation, with the name it has in `Int[np.ndarray, "N"]`.
_DTYPES: Final = {"int": "Int", "bool": "Bool", "float": "Float"}


@dataclass(frozen=True, slots=True)
class _Request:
    """What the caller asked for, names in the form that Python's parser gives them."""

    shapes: Mapping[str, Shape]
    wrt: tuple[str, ...] | None
    of: tuple[str, ...] | None
    at: Mapping[str, Any]


def read_code(
    source: Source,
    *,
    shapes: Mapping[str, Shape | int] | None = None,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
) -> Program:
    """
    Read forward code: a script or a function.

    Args:
        source: The text; parsed, never executed.
        shapes: Shapes of inputs by name; `()` is a scalar.
        wrt: The inputs whose gradient is wanted; all when None.
        of: Outputs by name, or the function to compile.
        at: Example values by name.

    Returns:
        The program; every assignment to a name is a stage.

    Raises:
        CompileError: E100 to E119, all of the file's errors together.
    """
    request = _request(shapes, wrt, of, at)
    return _deep(source, lambda tree: _read_code(source, tree, request))


def read_expression(
    source: Source,
    *,
    shapes: Mapping[str, Shape | int] | None = None,
    wrt: Sequence[str] | None = None,
    of: Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
) -> Program:
    """
    Read a one-liner: its free names are the inputs, in the order in which they appear.

    Args:
        source: An expression, or assignments separated by `;` or line ends.
        shapes: Shapes of inputs by name.
        wrt: The inputs whose gradient is wanted; all when None.
        of: Outputs by name.
        at: Example values by name.

    Returns:
        The program; its output is `f` unless it is assigned to another name.

    Raises:
        CompileError: E100 to E119.

    >>> print(read_expression(Source("x * sin(y)")))
    program(x, y)
      t0 = sin y
      t1 = mul x t0
    return f = t1
    """
    stripped = Source("\n".join(line.lstrip() for line in source.lines), source.name) if source.text[:1].isspace() else source
    request = _request(shapes, wrt, of, at)
    return _deep(stripped, lambda tree: _read_script(stripped, tree, request, "expression"))


def _request(shapes: Mapping[str, Shape | int] | None, wrt: Sequence[str] | None, of: Sequence[str] | None, at: Mapping[str, Any] | None) -> _Request:
    return _Request(
        {identifier(name): _shape(name, sizes) for name, sizes in (shapes or {}).items()},
        None if wrt is None else tuple(map(identifier, wrt)),
        tuple(map(identifier, of)) if of else None,
        {identifier(name): value for name, value in (at or {}).items()},
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """
    Keep the cyclic garbage collector out of the reading.

    A program is many small objects that all live on: scanning them again and again takes half of the time and finds nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _deep(source: Source, read: Callable[[ast.Module], Program]) -> Program:
    """Parse and read; where Python's default limit of recursion does not suffice, with a larger stack."""
    with _without_collection():
        tree = parse(source)
        try:
            return read(tree)
        except RecursionError:
            try:
                return with_deep_stack(lambda: read(tree))
            except RecursionError as fault:
                raise too_deep(source) from fault


def _read_code(source: Source, tree: ast.Module, request: _Request) -> Program:
    if not tree.body:
        raise error("E114", "there is no code in this file", Span(source, 1, 1, 1, 2), help="write the forward pass, for example `x = 3` and `f = x**2`")
    functions = _functions(tree.body)
    named = [name for name in request.of or () if name in functions]
    if named:
        return _read_function(source, tree, request, named[0])
    if not functions or _computes(tree.body):
        program: Program | None = _read_script(source, tree, request, "script", may_be_empty=bool(functions))
        if program is not None:
            return program
    return _read_function(source, tree, request, _main_function(functions))


def _functions(body: list[ast.stmt]) -> dict[str, ast.FunctionDef | ast.Lambda]:
    """Return the functions that a module defines at its top level, lambdas with names among them."""
    found: dict[str, ast.FunctionDef | ast.Lambda] = {}
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            found.pop(statement.name, None)
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda) and isinstance(statement.targets[0], ast.Name):
            found.pop(statement.targets[0].id, None)
            found[statement.targets[0].id] = statement.value
    return found


def _computes(body: list[ast.stmt]) -> bool:
    """Whether a module has statements of its own that may compute something, beside definitions and numbers."""
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Lambda | ast.Constant | ast.UnaryOp | None):
            continue
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.While):
            return True
        if isinstance(statement, ast.If) and not (
            isinstance(statement.test, ast.Compare) and isinstance(statement.test.left, ast.Name) and statement.test.left.id == "__name__"
        ):
            return True
        if statement is body[-1] and isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            called = statement.value.func if isinstance(statement.value, ast.Call) else None
            return not (isinstance(called, ast.Name) and called.id == "print")
    return False


def _main_function(functions: Mapping[str, ast.FunctionDef | ast.Lambda]) -> str:
    """Return the last function that no other one uses: the others serve it."""
    if len(functions) == 1:
        return next(iter(functions))
    used: set[str] = set()
    for name, node in functions.items():
        used.update(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and inner.id != name)
    free = [name for name in functions if name not in used]
    return free[-1] if free else list(functions)[-1]


def _readings(source: Source, read: Callable[[Knowledge], Program | None]) -> Program | None:
    """Read, and read again while more must be known of inputs from the start."""
    known = Knowledge()
    for _ in range(_MAX_READINGS):
        try:
            return read(known)
        except Restart as restart:
            more = known.after(restart)
            if more == known:
                break
            known = more
    raise error("E106", "the sizes in this program can't be worked out", Span(source, 1, 1, 1, 2))


# Scripts and one-liners.


def _read_script(source: Source, tree: ast.Module, request: _Request, role: str, *, may_be_empty: bool = False) -> Any:
    """Return the program of a script; None when it has no output and need not have one."""
    return _readings(source, lambda known: _read_script_once(source, tree, request, role, known, may_be_empty=may_be_empty))


def _read_script_once(source: Source, tree: ast.Module, request: _Request, role: str, known: Knowledge, *, may_be_empty: bool) -> Program | None:
    if not tree.body:
        raise error("E114", "there is no expression", help="write one, such as x * y")
    evaluator = Evaluator(source, role, known=known, wrt=frozenset(request.wrt or ()), shapes=request.shapes, at=request.at)
    _run(evaluator, lambda: evaluator.run(tree.body))
    if not evaluator.diagnostics and may_be_empty and not request.of and evaluator.last is None:
        return None
    _raise_errors(evaluator)
    outputs = _script_outputs(evaluator, tree, request)
    params = _script_params(evaluator, tree, request, role)
    return _finish(source, evaluator, params, outputs, "f", request)


def _run(evaluator: Evaluator, read: Callable[[], Any]) -> Any:
    """Read; a limit that is reached ends the reading with what is known of errors."""
    try:
        return read()
    except Refusal as refusal:
        if not refusal.fatal:
            raise
        raise CompileError(*_in_order(evaluator.diagnostics)) from refusal


def _raise_errors(evaluator: Evaluator) -> None:
    if evaluator.diagnostics:
        raise CompileError(*_in_order(evaluator.diagnostics))


def _in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(diagnostics, key=lambda d: (d.span.line, d.span.column) if d.span else (0, 0))


def _script_outputs(evaluator: Evaluator, tree: ast.Module, request: _Request) -> list[Output]:
    end = evaluator.spans.of(tree.body[-1])
    if request.of is None:
        if evaluator.last is None:
            raise error("E114", "no value depends on an input", end, help=_inputs_help(evaluator))
        name, value, span = evaluator.last
        _check_last(evaluator, tree.body[-1])
        return _named_outputs(evaluator, {name or _free_name(("f",), evaluator): (value, span)}, end)
    chosen: dict[str, tuple[Value, Span]] = {}
    for name in request.of:
        if name not in evaluator.module.env:
            known = [n for n, v in evaluator.module.env.items() if evaluator.depends(v)]
            close = suggest(name, known)
            raise error("E115", f"there is no value `{name}` to differentiate", help=f"did you mean `{close}`?" if close else _choices(known))
        chosen[name] = (evaluator.module.env[name], end)
    return _named_outputs(evaluator, chosen, end)


def _inputs_help(evaluator: Evaluator) -> str:
    if evaluator.role != "script":
        return "write an expression of names, such as x * y"
    filled = next((name for name, value in evaluator.module.env.items() if isinstance(value, Var) and value in evaluator.facts.constants), None)
    return f"`--wrt {filled}` makes the constant array `{filled}` an input" if filled else "inputs are names bound to numbers, such as `x = 3`"


def _choices(names: Sequence[str]) -> str:
    return f"the values are {', '.join(f'`{name}`' for name in names[:8])}" if names else ""


def _free_name(wanted: Sequence[str], evaluator: Evaluator, taken: Iterable[str] = ()) -> str:
    """Return the first of the wanted names that is no input, and no other output."""
    used = {*evaluator.inputs, *taken}
    for name in (*wanted, "out", "result"):
        if name not in used:
            return name
    number = 1
    while f"{wanted[0]}{number}" in used:
        number += 1
    return f"{wanted[0]}{number}"


def _check_last(evaluator: Evaluator, statement: ast.stmt) -> None:
    """Refuse a text that ends in a number: an earlier value must not pass for the output that was meant."""
    if isinstance(statement, ast.Expr):
        value = statement.value.value if isinstance(statement.value, ast.Constant) else evaluator.closing
        constant = type(value) in {int, float, bool}
    else:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and evaluator.role == "expression" else None
        constant = isinstance(target, ast.Name) and type(evaluator.module.env.get(target.id)) in {int, float, bool}
    if constant:
        raise error("E114", "the last expression does not depend on an input", evaluator.spans.of(statement), help="`--of NAME` chooses another output")


def _named_outputs(evaluator: Evaluator, chosen: Mapping[str, tuple[Value, Span]], end: Span) -> list[Output]:
    """Return the outputs of named values; a list gives one output an element."""
    outputs: list[Output] = []
    for name, (whole, span) in chosen.items():
        stack: list[tuple[str, Value]] = [(name, whole)]
        while stack:
            path, value = stack.pop()
            if len(outputs) > MAX_ELEMENTS or len(path) > MAX_PATH:  # a list in itself has no end
                raise error("E107", f"the output `{name}` has too many elements", span)
            if isinstance(value, ListValue | tuple):
                stack.extend(reversed([(f"{path}[{i}]", item) for i, item in enumerate(value)]))
            elif isinstance(value, dict):
                stack.extend(reversed([(str(key), item) for key, item in value.items()]))
            elif isinstance(value, Input) and value.state == "list":
                stack.extend(reversed([(item.path, item) for item in value.items]))
            else:
                outputs.append(Output(path, _atom(evaluator, path, value, span), span))
    if not any(isinstance(output.atom, Var) and output.atom not in evaluator.facts.constants for output in outputs):
        raise error("E114", "the output does not depend on an input" if outputs else "there is no output", chosen[next(iter(chosen))][1] if chosen else end)
    return outputs


def _atom(evaluator: Evaluator, name: str, value: Value, span: Span) -> Atom:
    if isinstance(value, Poison):
        for diagnostic in value.pending:
            raise CompileError(diagnostic)
        _raise_errors(evaluator)
    if isinstance(value, Partial):
        raise error("E118", value.reason, span, help=value.help)
    if isinstance(value, Input):
        value = value.scalar()
    if isinstance(value, Var):
        if value.dtype == "bool":
            raise error("E114", f"the output `{name}` is a condition, not a number", span, help="choose between numbers: a if condition else b")
        if value.dtype == "int":
            raise error("E114", f"the output `{name}` is a whole number and has no derivative", span, help="`--of NAME` chooses another output")
        return settled(evaluator, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error("E114", f"the output `{name}` is {describe(value)}, not a number", span)
    return Lit(value)


def _script_params(evaluator: Evaluator, tree: ast.Module, request: _Request, role: str) -> list[Param]:
    roots = list(evaluator.inputs.values())
    if role == "expression":
        # Reading goes by evaluation (the test of `a if c else b` first); people read from left to right.
        places = {name: i for i, name in reversed(list(enumerate(_names_in_order(tree))))}
        roots.sort(key=lambda root: places.get(root.root, len(places)))
    params: list[Param] = []
    for root in roots:
        states = root.states()
        if "static" in states:
            if "value" in states:
                raise Restart((root.root,))
            continue
        if root.root in evaluator.known.fixed:
            continue
        variables = root.tree()
        wrt = (request.wrt is None or root.root in request.wrt) and root.dtype == "float"
        if request.wrt is not None and root.root in request.wrt and not wrt:
            raise error("E115", f"--wrt: `{root.root}` is an array of whole numbers or conditions, without derivative", evaluator.input_spans.get(root.root))
        params.append(Param(root.root, variables, root.example, evaluator.input_spans.get(root.root), wrt))
    return params


def _names_in_order(tree: ast.Module) -> list[str]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return [node.id for node in names]


# Functions.


def _read_function(source: Source, tree: ast.Module, request: _Request, name: str) -> Program:
    program = _readings(source, lambda known: _read_function_once(source, tree, request, name, known))
    if program is None:
        raise AssertionError(name)
    return program


def _read_function_once(source: Source, tree: ast.Module, request: _Request, name: str, known: Knowledge) -> Program:
    evaluator = Evaluator(source, "library", known=known, wrt=frozenset(request.wrt or ()), shapes=request.shapes, at=request.at)
    _run(evaluator, lambda: evaluator.run(tree.body))
    evaluator.finish_library()
    function = evaluator.module.env.get(name)
    if isinstance(function, Poison):
        raise CompileError(*function.pending) if function.pending else error("E114", f"`{name}` can't be read", evaluator.spans.of(tree.body[-1]))
    if not isinstance(function, Function):
        raise error("E114", f"`{name}` is no function at the end of the file", evaluator.spans.of(tree.body[-1]))
    values = _function_inputs(evaluator, function, request)
    try:
        result, scope = _run(evaluator, lambda: evaluator.run_function(function, values, function.node))
    except Refusal as refusal:
        raise CompileError(*_in_order([*evaluator.diagnostics, evaluator.diagnose(refusal, _head(function.node))])) from refusal
    except Poisoned:
        _raise_errors(evaluator)
        raise
    _raise_errors(evaluator)
    outputs = _function_outputs(evaluator, function, result, scope, request)
    params = _script_params(evaluator, tree, request, "function")
    return _finish(source, evaluator, params, outputs, function.name, request)


def _shape(name: str, sizes: Any) -> Shape:
    try:
        return dims.read_shape(sizes)
    except ValueError as fault:
        raise error("E115", f"--shape: a size of `{name}`: {fault}") from fault


def _head(node: ast.FunctionDef | ast.Lambda) -> Any:
    return node.body[-1] if isinstance(node, ast.FunctionDef) else node.body


def _function_inputs(evaluator: Evaluator, function: Function, request: _Request) -> dict[str, Value]:
    """Return what the parameters of the function stand for."""
    arguments = function.node.args
    values: dict[str, Value] = {}
    for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        name = parameter.arg
        default = function.defaults.get(name)
        if isinstance(default, Poison):
            raise CompileError(*default.pending)
        example = request.at.get(name, _plain_numbers(default))
        if name not in request.at and name in function.defaults and not _is_example(example) and not (default is None and name in request.shapes):
            values[name] = default  # True, None, "mean": a setting, known while reading
            continue
        stated = _annotated_shape(parameter.annotation, evaluator)
        shape = request.shapes.get(name, stated)
        dtype = "int" if name in evaluator.known.integers else _annotated_dtype(parameter.annotation) if stated is not None else "float"
        if name in evaluator.known.fixed:
            values[name] = _constant(example)
            continue
        root = Input(name, name, example, shape or (), dtype=dtype, array=bool(stated) or dtype != "float" or name in evaluator.known.arrays)
        evaluator.inputs[name] = root
        evaluator.facts.active = evaluator.facts.active or bool(shape) or dtype != "float"
        evaluator.input_spans[name] = evaluator.spans.of(parameter)
        values[name] = evaluator.structure(root, frozen=name) if isinstance(example, list | tuple) and not root.shape else root
    return values


def _constant(example: Any) -> Value:
    return ListValue(map(_constant, example)) if isinstance(example, list | tuple) else example


def _plain_numbers(value: Value) -> Any:
    if isinstance(value, ListValue):
        return [_plain_numbers(item) for item in value]
    return tuple(_plain_numbers(item) for item in value) if isinstance(value, tuple) else value


def _is_example(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_example(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _annotated_shape(annotation: ast.expr | None, evaluator: Evaluator) -> Shape | None:
    """
    Return the shape that an annotation states: `"N D"`, `"int N"`, `Float[np.ndarray, "N 4*H"]`; None where it states none.

    Raises:
        CompileError: E104, a shape with `...` or an axis that is no size.
    """
    text: str | None = None
    quoted = False
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        inner = re.fullmatch(r"""\s*[\w.]+\[\s*[\w.]+\s*,\s*["']([^"']*)["']\s*\]\s*""", annotation.value)
        text, quoted = (inner[1], False) if inner else (annotation.value, True)
    elif isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple) and len(annotation.slice.elts) > 1:
        last = annotation.slice.elts[-1]
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            text = last.value
    if text is None:
        return None
    words = text.split()
    if quoted:
        words = words[1:] if words[:1] and words[0] in _DTYPES and len(words) > 1 else words
        if not words or any(word in _TYPE_WORDS or not re.fullmatch(r"[\w*/+()-]+", word) for word in words):
            return None
    shape: list[Dim] = []
    for word in words:
        try:
            shape.append(dims.parse(word))
        except ValueError:
            assert annotation is not None
            raise error(
                "E104",
                f"the size `{word}` in this annotation is not supported",
                evaluator.spans.of(annotation),
                help='sizes are names, numbers and their arithmetic without spaces, such as "N 3 4*H"',
            ) from None
    return tuple(shape)


def _annotated_dtype(annotation: ast.expr | None) -> str:
    """Return what the elements are: `Int[np.ndarray, "N"]` holds whole numbers, `Bool[...]` conditions."""
    head: str = ""
    if isinstance(annotation, ast.Subscript):
        head = annotation.value.attr if isinstance(annotation.value, ast.Attribute) else annotation.value.id if isinstance(annotation.value, ast.Name) else ""
    elif isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        head = annotation.value.partition("[")[0].strip().rpartition(".")[2]
        head = _DTYPES.get(head.split()[0], head) if len(head.split()) > 1 else head
    if head.startswith(("Int", "UInt")):
        return "int"
    return "bool" if head.startswith("Bool") else "float"


def _function_outputs(evaluator: Evaluator, function: Function, result: Value, scope: Scope, request: _Request) -> list[Output]:
    node = function.node
    expression = evaluator.returns.value if isinstance(node, ast.FunctionDef) and evaluator.returns is not None else None
    if isinstance(node, ast.Lambda):
        expression = node.body
    place: Any = expression or _head(node)
    span = evaluator.spans.of(place)
    if isinstance(result, Poison):
        _raise_errors(evaluator)
    if isinstance(result, Partial):
        raise error("E118", result.reason, span, help=result.help)
    wanted = [name for name in request.of or () if name != function.name]
    if result is None and not wanted:
        raise error("E114", f"`{function.name}` returns nothing", span, help="end it with `return` and the value to differentiate")
    chosen: dict[str, tuple[Value, Span]] = {}
    if isinstance(result, dict):
        chosen = {str(key): (value, span) for key, value in result.items()}
    elif isinstance(result, tuple) and result:
        parts = expression.elts if isinstance(expression, ast.Tuple) and len(expression.elts) == len(result) else [None] * len(result)
        for part, value in zip(parts, result, strict=True):
            chosen[_output_name(evaluator, function, (part, value), scope, chosen, single=False)] = (value, span if part is None else evaluator.spans.of(part))
    else:
        chosen[_output_name(evaluator, function, (expression, result), scope, chosen, single=True)] = (result, span)
    if wanted:
        available = {**{name: (value, span) for name, value in scope.env.items()}, **chosen}
        for name in wanted:
            if name not in available:
                close = suggest(name, available)
                raise error("E115", f"there is no value `{name}` to differentiate", help=f"did you mean `{close}`?" if close else _choices(list(chosen)))
        chosen = {name: available[name] for name in wanted}
    return _named_outputs(evaluator, chosen, span)


def _output_name(evaluator: Evaluator, function: Function, returned: tuple[ast.expr | None, Value], scope: Scope, taken: Iterable[str], *, single: bool) -> str:
    """Return the name of a returned value: the variable returned, or `f`, or the function's name."""
    used = set(taken)
    node, value = returned
    # After an earlier return under a condition the result is a choice, not the variable named last.
    if isinstance(node, ast.Name) and node.id not in evaluator.inputs and node.id not in used and scope.env.get(node.id) is value:
        return node.id
    if single:
        return _free_name(("f", function.name) if function.name != "lambda" else ("f",), evaluator, scope.env)
    number = len(used) + 1
    name = "f" if number == 1 else f"f{number}"
    while name in used or name in evaluator.inputs or name in scope.env:
        number += 1
        name = f"f{number}"
    return name


# Common.


def _finish(source: Source, evaluator: Evaluator, params: list[Param], outputs: list[Output], name: str, request: _Request) -> Program:
    fixed = evaluator.known.fixed | evaluator.known.sizes
    _check_sizes(evaluator, params)
    names = [param.name for param in params]
    for what, asked in (("wrt", request.wrt or ()), ("at", request.at), ("shape", request.shapes)):
        for one in asked:
            if one not in names and not (what == "at" and one in fixed):
                settled = one in fixed or one in evaluator.inputs
                reason = f"`{one}` is a size here, not an input" if settled else f"there is no input `{one}`"
                if what == "at" and settled:
                    continue
                close = suggest(one, names)
                raise error("E115", f"--{what}: {reason}", help=f"did you mean `{close}`?" if close else f"the inputs are {', '.join(f'`{n}`' for n in names)}")
    _check_examples(params, request)
    program = Program(params, evaluator.builder.eqns, outputs, name, source)
    program.notes.extend(_in_order([*evaluator.notes, *_size_notes(evaluator, evaluator.known.fixed)]))
    return program


def _check_sizes(evaluator: Evaluator, params: Sequence[Param]) -> None:
    """
    See to it that every size which kept its name can be read from an array at run time.

    Raises:
        Restart: It can't: it must be a number.
        CompileError: E104, a size in arithmetic only.
    """
    plain = {size for param in params for var in param.leaves() for size in var.shape if isinstance(size, str)}
    for param in params:
        for size in (size for var in param.leaves() for size in var.shape if not isinstance(size, int | str)):
            lost = next((name for name in dims.names(size) if name not in plain), None)
            if lost is not None:
                raise error("E104", f"no input has an axis of size `{lost}` alone, from which `{dims.show(size)}` could be computed", param.span)
    if evaluator.known.sizes:
        found = {size for param in params for var in param.leaves() for size in var.shape if isinstance(size, str)}
        used = {name for eqn in evaluator.builder.eqns for size in eqn.out.shape for name in dims.names(size)}
        used.update(name for eqn in evaluator.builder.eqns if "size" in eqn.params for name in dims.names(eqn.params["size"]))
        unread = tuple(name for name in sorted(evaluator.known.sizes) if name in used and name not in found)
        if unread:
            raise Restart(unread)


def _size_notes(evaluator: Evaluator, fixed: frozenset[str]) -> list[Diagnostic]:
    return [
        Diagnostic("N103", f"`{name}` {_role(evaluator, name)}, so it is a constant here and not an input", evaluator.input_spans.get(name), "", "", "note")
        for name in sorted(fixed)
        if name in evaluator.input_spans and not evaluator.changes(name)  # a counter `i` is no surprise
    ]


def _role(evaluator: Evaluator, name: str) -> str:
    return "scales a random example" if name in evaluator.known.scales else "decides a size"


def _check_examples(params: Sequence[Param], request: _Request) -> None:
    """Check that the examples given from outside have the structure of the inputs."""
    for param in params:
        given = request.at.get(param.name)
        if given is None:
            continue
        if isinstance(param.tree, Var):
            if isinstance(given, list | tuple) and not param.tree.shape:
                raise error("E115", f"--at: `{param.name}` is a number, and a list is given", param.span)
        elif not _same_structure(param, given):
            raise error("E115", f"--at: `{param.name}` is a list of {sum(1 for _ in leaves(param.tree))}, and the value given is not", param.span)


def _same_structure(param: Param, given: Any) -> bool:
    stack: list[tuple[Any, Any]] = [(param.tree, given)]
    while stack:
        tree, value = stack.pop()
        if isinstance(tree, Var):
            if isinstance(value, list | tuple):
                return False
        elif not isinstance(value, list | tuple) or len(value) != len(tree):
            return False
        else:
            stack.extend(zip(tree, value, strict=True))
    return True
