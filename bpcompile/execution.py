"""
Run emitted text: at 50 digits with mpmath in place of `math`, NumPy and SciPy, or in double precision as it is.

The text itself is run, not the program that it was made from. Its syntax tree is changed only where the arithmetic must be:
a number becomes the exact number it stands for, a module becomes its counterpart at 50 digits, a division that NumPy would let
pass yields an infinity. Each condition (`a if c else b`, `np.where(c, a, b)`, `if`) is wrapped to record the sides it took.
In layout `script` the example values at the top are replaced by the inputs of the run.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import itertools
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from mpmath import mp

from bpcompile import exact
from bpcompile.array_execution import ARRAYS, LINALG, STRIDE_TRICKS, as_floats, as_numbers, kind_of, whole
from bpcompile.emit import Emitted
from bpcompile.ir import Param, Tree, Var

_MODULES: Final = frozenset({"math", "numpy", "scipy", "scipy.special"})


class NotRunnable(Exception):  # noqa: N818  a finding about a text, caught by the certificate
    """The text can't be run as promised: the reason is the message."""


class UnknownFunction(Exception):  # noqa: N818  a limit of the checker, not an error of the text
    """The text uses a function that has no counterpart at 50 digits."""


@dataclass(frozen=True, slots=True)
class Site:
    """A condition of the text."""

    text: str
    line: int


@dataclass(slots=True)
class Outcome:
    """
    What one run gave.

    Attributes:
        values: The outputs as the gradient function returns them.
        gradients: One value per variable of each input whose gradient is returned, in order.
        plain: The outputs as the function without gradient returns them (the same in layout `script`).
        sides: For each condition the sides taken: (False seen, True seen).
        infinite: Whether a literal infinity took part: a guard against overflow was at work.
    """

    values: list[Any]
    gradients: list[Any]
    plain: list[Any]
    sides: dict[int, tuple[bool, bool]] = field(default_factory=dict)
    infinite: bool = False


class _Recorder:
    def __init__(self) -> None:
        self.sides: dict[int, tuple[bool, bool]] = {}
        self.infinite = False

    def side(self, site: int, test: Any) -> Any:
        taken = bool(test)
        before = self.sides.get(site, (False, False))
        self.sides[site] = (before[0] or not taken, before[1] or taken)
        return taken

    def sides_of(self, site: int, condition: Any) -> None:
        array = np.asarray(condition, dtype=bool)
        before = self.sides.get(site, (False, False))
        self.sides[site] = (before[0] or not array.all(), before[1] or bool(array.any()))

    def infinity(self) -> Any:
        self.infinite = True
        return mp.inf


class Execution:
    """
    Emitted text, ready to be run.

    Attributes:
        sites: The conditions of the text, in order.
    """

    def __init__(self, emitted: Emitted, *, tree: ast.Module | None = None, record: bool = True) -> None:
        """
        Parse the text.

        Args:
            emitted: The text and how to call it.
            tree: Its syntax tree, for callers that have it; it is not changed.
            record: Whether runs in double precision record the sides that conditions take; very long texts load faster without.

        Raises:
            NotRunnable: It is not Python, imports what it must not, or lacks the functions of its layout.
        """
        self.emitted = emitted
        self._record = record
        self._recorder = _Recorder()
        self.sites: list[Site] = []
        self._codes: dict[bool, types.CodeType] = {}
        self._constants: dict[str, Any] = {}
        self._functions: dict[bool, tuple[dict[str, Any], list[_Recorder]]] = {}
        try:
            tree = tree or ast.parse(emitted.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            msg = f"the emitted text is not Python: {error}"
            raise NotRunnable(msg) from error
        self._aliases = _imports(tree)
        self._check_layout(tree)

    def _check_layout(self, tree: ast.Module) -> None:
        emitted = self.emitted
        wanted = {"function": ("value", "value_and_grad"), "split": ("forward", "backward"), "script": ()}[emitted.layout]
        found = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        for name in wanted:
            if name not in found:
                msg = f"the emitted text does not define `{name}`"
                raise NotRunnable(msg)
        if emitted.layout == "script":
            self._check_examples(tree)

    def _check_examples(self, tree: ast.Module) -> None:
        """The values at the top of a script must be the user's."""
        for param, name in self.emitted.params:
            value = _first_assignment(tree, name)
            if value is None:
                msg = f"the emitted text does not set the input `{name}`"
                raise NotRunnable(msg)
            if param.example is None:
                continue
            # An array constructor is no literal: its value is replaced in the runs all the same.
            if _is_literal(value) and not _same_numbers(_literal(value), param.example):
                msg = f"the emitted text sets `{name}` to {ast.unparse(value)}, the example value is {param.example!r}"
                raise NotRunnable(msg)

    def run(self, inputs: Sequence[Any], upstream: Sequence[Any] | None, *, high: bool) -> Outcome:
        """
        Run the text once.

        Args:
            inputs: One value an input of `emitted.params`, in its shape (numbers, nested lists, arrays).
            upstream: One upstream gradient an output, or None for the defaults; ignored in layout `script`.
            high: Whether to run at 50 digits.

        Raises:
            NotRunnable: The result has not the promised form.
            UnknownFunction: No counterpart at 50 digits.
            Exception: Whatever else the text raises.
        """
        recorder = self._recorder = _Recorder()
        emitted = self.emitted
        if emitted.layout == "script":
            namespace = self._namespace(recorder, high=high)
            namespace.update({f"_input_{i}": value for i, value in enumerate(inputs)})
            exec(self._code(high=high), namespace)  # noqa: S102  running the text is the check
            values = [_get(namespace, name) for name in emitted.outputs]
            raw = [_get(namespace, name) for _, name in emitted.gradients]
            return self._outcome(values, raw, values, recorder)
        namespace, holder = self._defined(high=high)
        holder[0] = recorder
        seeds = list(upstream) if upstream is not None else []
        if emitted.layout == "function":
            both = namespace["value_and_grad"](*inputs, *seeds)
            plain = namespace["value"](*inputs)
            if not isinstance(both, tuple) or len(both) != 2:
                msg = "`value_and_grad` does not return a pair"
                raise NotRunnable(msg)
            values, gradients = both
        else:
            made = namespace["forward"](*inputs)
            if not isinstance(made, tuple) or len(made) != 2:
                msg = "`forward` does not return a pair"
                raise NotRunnable(msg)
            plain = values = made[0]
            gradients = namespace["backward"](*seeds, made[1])
        single = len(emitted.outputs) == 1
        values = [values] if single else list(values)
        plain = [plain] if single else list(plain)
        raw = list(gradients) if isinstance(gradients, tuple) else [gradients]
        return self._outcome(values, raw, plain, recorder)

    @property
    def sides(self) -> dict[int, tuple[bool, bool]]:
        """The sides that the conditions took in the last run, also where it raised."""
        return self._recorder.sides

    def _outcome(self, values: list[Any], raw: list[Any], plain: list[Any], recorder: _Recorder) -> Outcome:
        expected = self.emitted.gradients
        if len(raw) != len(expected):
            msg = f"{len(raw)} gradients for {len(expected)} inputs"
            raise NotRunnable(msg)
        if not len(values) == len(plain) == len(self.emitted.outputs):
            msg = f"{len(values)} values for {len(self.emitted.outputs)} outputs"
            raise NotRunnable(msg)
        gradients: list[Any] = []
        for (param, name), value in zip(expected, raw, strict=True):
            gradients += [_as_number(v, f"gradient `{name}`") for v in _leaf_values(param, name, value)]
        values, plain = ([_as_number(v, f"value `{name}`") for v, name in zip(part, self.emitted.outputs, strict=True)] for part in (values, plain))
        return Outcome(values, gradients, plain, recorder.sides, recorder.infinite)

    def _defined(self, *, high: bool) -> tuple[dict[str, Any], list[_Recorder]]:
        """Execute the module once; its functions record into whatever recorder the holder holds."""
        if high not in self._functions:
            holder = [_Recorder()]
            namespace = self._namespace(None, high=high, holder=holder)
            exec(self._code(high=high), namespace)  # noqa: S102  running the text is the check
            self._functions[high] = (namespace, holder)
        return self._functions[high]

    def _code(self, *, high: bool) -> types.CodeType:
        if high not in self._codes:
            try:
                self._codes[high] = compile(self._prepared(high=high), "<emitted>", "exec", dont_inherit=True)
            except (MemoryError, SyntaxError) as error:
                msg = f"the emitted text can't be compiled: {error}"
                raise NotRunnable(msg) from error
        return self._codes[high]

    def _prepared(self, *, high: bool) -> ast.Module | str:
        """Return what is compiled: a rewritten tree, or the text itself where nothing needs to change."""
        rewriter = _Rewriter(self.emitted, self._aliases, high=high, constants=self._constants)
        if high or self._record:
            tree: ast.Module = rewriter.visit(ast.parse(self.emitted.text))
            self.sites = rewriter.sites
            return ast.fix_missing_locations(tree)
        if self.emitted.layout != "script":
            return self.emitted.text
        tree = ast.parse(self.emitted.text)
        for statement in tree.body:
            if not rewriter.script_inputs:
                break
            if isinstance(statement, ast.Assign):
                rewriter.replace_inputs(statement)
                ast.fix_missing_locations(statement)
        return tree

    def _namespace(self, recorder: _Recorder | None, *, high: bool, holder: list[_Recorder] | None = None) -> dict[str, Any]:
        held = holder if holder is not None else [recorder or _Recorder()]

        # The recorder is looked up at each call: every run has one of its own.
        def side(site: int, test: Any) -> Any:
            return held[0].side(site, test)

        def where(site: int, condition: Any, a: Any, b: Any) -> Any:
            return _where(held[0], site, condition, a, b, high=high)

        def infinity() -> Any:
            return held[0].infinity()

        space: dict[str, Any] = {"__name__": "emitted", "_side": side, "_where": where}
        if not high:
            space["__builtins__"] = {**vars(builtins), "print": lambda *_, **__: None, "input": None, "open": None}
            return space
        space["__builtins__"] = _BUILTINS
        space.update(_OPERATIONS)
        space["_infinity"] = infinity
        self._code(high=True)  # fills the constants
        space.update(self._constants)
        for alias, target in self._aliases.items():
            space[alias] = _counterpart(target)
        return space


def _get(namespace: dict[str, Any], name: str) -> Any:
    if name not in namespace:
        msg = f"the emitted text does not set `{name}`"
        raise NotRunnable(msg)
    return namespace[name]


def _is_number(value: Any) -> bool:
    return isinstance(value, mp.mpf | int | float | np.floating | np.integer) and not isinstance(value, bool)


def _as_number(value: Any, what: str) -> Any:
    """Return a number or an array; an array without axes counts as its number."""
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" or (value.dtype.kind == "O" and all(map(_is_number, value.ravel()))):
            return value
        msg = f"{what} is not an array of numbers"
        raise NotRunnable(msg)
    if _is_number(value):
        return value
    msg = f"{what} is not a number: {type(value).__name__}"
    raise NotRunnable(msg)


def _leaf_values(param: Param, name: str, value: Any) -> list[Any]:
    """Take a gradient apart like its parameter."""
    found: list[Any] = []
    stack: list[tuple[Tree, Any]] = [(param.tree, value)]
    while stack:
        tree, part = stack.pop()
        if isinstance(tree, Var):
            found.append(part)
            continue
        if not isinstance(part, list | tuple | np.ndarray) or len(part) != len(tree):
            msg = f"`{name}` has not the form of `{param.name}`"
            raise NotRunnable(msg)
        stack.extend(reversed(list(zip(tree, part, strict=True))))
    return found


def _is_literal(value: ast.expr) -> bool:
    allowed = (ast.Constant, ast.UnaryOp, ast.unaryop, ast.List, ast.Tuple, ast.Load)
    return all(isinstance(node, allowed) for node in ast.walk(value))


def _literal(value: ast.expr) -> Any:
    # Not ast.literal_eval, which refuses a sign before a sign.
    return eval(compile(ast.Expression(value), "<example>", "eval"), {"__builtins__": {}})  # noqa: S307  constants and signs only


def _same_numbers(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        b = b.tolist()
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same_numbers, a, b))
    return not isinstance(a, list | tuple) and not isinstance(b, list | tuple) and (a == b or (a != a and b != b))  # noqa: PLR0124  nan is nan


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: `math`, `numpy.exp`."""
    aliases: dict[str, str] = {}
    functions = [statement for node in tree.body if isinstance(node, ast.FunctionDef) for statement in node.body]
    for node in itertools.chain(tree.body, functions):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name not in _MODULES:
                    msg = f"the emitted text imports `{name.name}`"
                    raise NotRunnable(msg)
                aliases[name.asname or name.name.partition(".")[0]] = name.name if name.asname else name.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            if node.module not in _MODULES:
                msg = f"the emitted text imports `{node.module}`"
                raise NotRunnable(msg)
            for name in node.names:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
    return aliases


def _first_assignment(tree: ast.Module, name: str) -> ast.expr | None:
    """Return the value first assigned to a module variable."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                return node.value
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for part, value in zip(target.elts, node.value.elts, strict=False):
                    if isinstance(part, ast.Name) and part.id == name:
                        return value
    return None


#: The functions that the layouts define.
_COMPUTING: Final = frozenset({"value", "value_and_grad", "forward", "backward"})
#: Calls whose arguments are sizes and axes, not values.
_STRUCTURAL: Final = frozenset({
    "_at_least", "_same_size", "arange", "argmax", "argmin", "broadcast_to", "cumprod", "cumsum", "diagonal", "empty", "expand_dims", "eye", "full",
    "matrix_power", "max",
    "mean", "min", "norm", "ones", "pad", "prod", "range", "repeat", "reshape", "roll", "sliding_window_view", "squeeze", "std", "sum", "swapaxes",
    "tensordot", "tile", "transpose", "tril", "triu", "var", "zeros",
})  # fmt: skip
#: Those of them that are no functions of NumPy's.
_OF_SIZES: Final = frozenset({"_at_least", "_same_size", "range"})
_RISKY: Final[dict[type[ast.operator], str]] = {ast.Div: "_divide", ast.Pow: "_power", ast.Mod: "_modulo", ast.FloorDiv: "_floor_divide"}


class _Rewriter(ast.NodeTransformer):
    """Prepare a syntax tree for a run; what it changes is said in the module's docstring."""

    def __init__(self, emitted: Emitted, aliases: dict[str, str], *, high: bool, constants: dict[str, Any]) -> None:
        self.high = high
        self.aliases = aliases
        self.constants = constants
        self.sites: list[Site] = []
        self.recording = True
        self.script_inputs = {name: f"_input_{i}" for i, (_, name) in enumerate(emitted.params)} if emitted.layout == "script" else {}
        self.names: dict[tuple[type, str], str] = {}
        self.quiet = False
        self.sizes = False

    # -- statements

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if self.high else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if self.high else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Constant) or (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print" and self.high):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if self.script_inputs:
            self.replace_inputs(node)
        return self.generic_visit(node)

    def replace_inputs(self, node: ast.Assign) -> None:
        """Put the inputs of the run in place of the example values of a script."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                node.value = self._input(target) or node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) and len(target.elts) == len(node.value.elts):
                node.value.elts = [self._input(t) or v for t, v in zip(target.elts, node.value.elts, strict=True)]

    def _input(self, target: ast.expr) -> ast.expr | None:
        name = self.script_inputs.pop(target.id, None) if isinstance(target, ast.Name) else None
        return ast.Name(name, ast.Load()) if name else None

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        name = _RISKY.get(type(node.op))
        if self.high and name and isinstance(node.target, ast.Name):
            call = ast.Call(ast.Name(name, ast.Load()), [ast.Name(node.target.id, ast.Load()), self.visit(node.value)], [])
            return ast.copy_location(ast.Assign([node.target], call), node)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)):
            return ast.copy_location(ast.Pass(), node)
        node.test = self._recorded(node.test)
        node.body = [self.visit(s) for s in node.body]
        node.orelse = [self.visit(s) for s in node.orelse]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        # Conditions of functions that only look at their arguments are no branches of the computation.
        self.recording = node.name in _COMPUTING
        # Annotations and decorators are no arithmetic.
        node.returns = None
        for arg in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            arg.annotation = None
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        # A private function of the file looks at types and shapes: which way it branches says nothing of the arithmetic.
        self.quiet = node.name.startswith("_")
        node.body = [self.visit(s) for s in node.body]
        self.quiet = False
        return node

    # -- expressions

    def _recorded(self, test: ast.expr) -> ast.expr:
        if not self.recording:
            return self.visit(test)  # type: ignore[no-any-return]  # an expression stays one
        if self.quiet:
            return cast("ast.expr", self.visit(test))
        site = len(self.sites)
        self.sites.append(Site(ast.unparse(test), test.lineno))
        visited = self.visit(test)
        return ast.Call(ast.Name("_side", ast.Load()), [ast.Constant(site), visited], [])

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        # A chain of `else` branches is walked in a loop: it may be as long as the program.
        chain: list[ast.IfExp] = []
        last: ast.expr = node
        while isinstance(last, ast.IfExp):
            last.test = self._recorded(last.test)
            last.body = self.visit(last.body)
            chain.append(last)
            last = last.orelse
        chain[-1].orelse = self.visit(last)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        # So is a long sum, which nests to the left.
        chain: list[ast.BinOp] = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp):
            chain.append(first)
            first = first.left
        result: ast.expr = self.visit(first)
        for link in reversed(chain):
            right = self.visit(link.right)
            name = _RISKY.get(type(link.op)) if self.high else None
            new: ast.expr = ast.Call(ast.Name(name, ast.Load()), [result, right], []) if name else ast.BinOp(result, link.op, right)
            result = ast.copy_location(new, link)
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if self.high and isinstance(node.op, ast.Invert):
            return ast.copy_location(ast.Call(ast.Name("_invert", ast.Load()), [node.operand], []), node)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if not self.high or isinstance(value, bool) or not isinstance(value, int | float):
            return node
        if self.sizes and isinstance(value, int):
            return node
        key = (type(value), repr(value))
        name = self.names.get(key)
        if name is None:
            name = self.names[key] = f"_constant_{len(self.names)}"
            self.constants[name] = exact.exact_mpf(value)
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        if not self.high:
            return node
        if isinstance(node.ctx, ast.Load):
            node.value = ast.Call(ast.Name("_subscripted", ast.Load()), [node.value], [])
        if isinstance(node.slice, ast.Tuple):
            node.slice.elts = [self._position(e) for e in node.slice.elts]
        else:
            node.slice = self._position(node.slice)
        return node

    def _position(self, node: ast.expr) -> ast.expr:
        """Return an index whose numbers are whole numbers again."""
        if isinstance(node, ast.Slice | ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)):
            return node
        before, self.sizes = self.sizes, True
        visited: ast.expr = self.visit(node)
        self.sizes = before
        return ast.Call(ast.Name("_whole", ast.Load()), [visited], [])

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not self.high:
            return self.generic_visit(node)
        module = isinstance(node.value, ast.Name) and node.value.id in self.aliases
        if module and node.attr in {"inf", "infty", "Inf"}:
            return ast.copy_location(ast.Call(ast.Name("_infinity", ast.Load()), [], []), node)
        if module or (isinstance(node.value, ast.Attribute) and isinstance(node.value.value, ast.Name) and node.value.value.id in self.aliases):
            return node
        return ast.copy_location(ast.Call(ast.Name("_attribute", ast.Load()), [self.visit(node.value), ast.Constant(node.attr)], []), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
        if name == "where" and self.recording and len(node.args) == 3 and not node.keywords:
            site = len(self.sites)
            self.sites.append(Site(ast.unparse(node.args[0]), node.lineno))
            args = [self.visit(a) for a in node.args]
            return ast.copy_location(ast.Call(ast.Name("_where", ast.Load()), [ast.Constant(site), *args], []), node)
        node.func = self.visit(function)
        # The first argument of np.sum(x, axis) is a value, the others are sizes; so are all of x.sum(axis).
        before, self.sizes = self.sizes, name in _STRUCTURAL and (isinstance(function, ast.Attribute) or name in _OF_SIZES)
        node.args = [self.visit(a) for a in node.args]
        self.sizes = True
        node.keywords = [self.visit(k) for k in node.keywords]
        self.sizes = before
        return node


# -- the counterparts at 50 digits


def _elementwise(function: Callable[..., Any], arity: int) -> Callable[..., Any]:
    applied: Callable[..., Any] = np.frompyfunc(function, arity, 1)
    return applied


def _call_any(function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply to numbers or, element by element, to arrays."""
    by_arity: dict[int, Callable[..., Any]] = {}

    def call(*args: Any, **_: Any) -> Any:
        if any(isinstance(a, np.ndarray) for a in args):
            ufunc = by_arity.setdefault(len(args), _elementwise(function, len(args)))
            return ufunc(*args)
        return function(*[a.item() if isinstance(a, np.generic) else a for a in args])

    return call


_divide = _call_any(exact.divide)
_raised = _call_any(exact.power)
_modulo = _call_any(exact.modulo)
_floored = _call_any(exact.floor_divide)


def _power(a: Any, b: Any) -> Any:
    # Sizes stay whole numbers of Python's.
    return a**b if isinstance(a, int) and isinstance(b, int) and b >= 0 else _raised(a, b)


def _floor_divide(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, int) and isinstance(b, int) else _floored(a, b)


def _invert(value: Any) -> Any:
    return np.logical_not(value) if isinstance(value, np.ndarray) else not value


def _where(recorder: _Recorder, site: int, condition: Any, a: Any, b: Any, *, high: bool) -> Any:
    recorder.sides_of(site, condition)
    if not high:
        return np.where(condition, a, b)
    return _elementwise(lambda c, x, y: x if c else y, 3)(condition, a, b)


_as_array: Final = as_numbers


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute of a number or array, as if it were a NumPy array of floats."""
    if name == "astype":
        return lambda dtype, *_, **__: as_floats(value) if kind_of(dtype) == "f" else np.asarray(value).astype(dtype)
    if name == "dtype":
        kept = isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "iub"
        return np.asarray(value).dtype if kept else np.dtype(float)
    if isinstance(value, mp.mpf | int | float | bool | np.ndarray | np.generic):
        return getattr(_as_array(value), name)
    return getattr(value, name)


def _subscripted(value: Any) -> Any:
    """Return what can be indexed: NumPy makes numbers of arrays without axes."""
    return np.asarray(value, dtype=object) if isinstance(value, mp.mpf) else value


_OPERATIONS: Final[dict[str, Any]] = {
    "_subscripted": _subscripted,
    "_whole": whole,
    "_divide": _divide,
    "_power": _power,
    "_modulo": _modulo,
    "_floor_divide": _floor_divide,
    "_invert": _invert,
    "_attribute": _attribute,
}


def _number(value: Any = 0) -> Any:
    return mp.mpf(value)


_BUILTINS: Final[dict[str, Any]] = {
    **{
        name: getattr(builtins, name)
        for name in (
            "abs", "all", "any", "bool", "dict", "enumerate", "int", "isinstance", "len", "list", "max", "min", "range", "reversed", "set", "slice", "sum",
            "tuple", "zip",
            "ArithmeticError", "Exception", "OverflowError", "TypeError", "ValueError", "ZeroDivisionError", "AttributeError",
        )
    },
    # NumPy imports pieces of itself through the builtins of whoever calls it; import statements of the text are gone by now.
    "__import__": builtins.__import__,
    "float": _number,
    "pow": exact.power,
    "round": exact.FUNCTIONS["round"],
    "print": lambda *_, **__: None,
}  # fmt: skip


class _Counterpart:
    """A module at 50 digits."""

    def __init__(self, name: str, real: Any, members: dict[str, Any]) -> None:
        self._name = name
        self._real = real
        self._members = members

    def __getattr__(self, name: str) -> Any:
        if name in self._members:
            member = self._members[name]
            return member() if isinstance(member, _Lazy) else member
        if self._real is None or hasattr(self._real, name):
            msg = f"{self._name}.{name}"
            raise UnknownFunction(msg)
        msg = f"module {self._name!r} has no attribute {name!r}"
        raise AttributeError(msg)


class _Lazy:
    """A constant that depends on the working precision."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        return self._make()


_CONSTANTS: Final[dict[str, Any]] = {
    "pi": _Lazy(lambda: +mp.pi),
    "e": _Lazy(lambda: +mp.e),
    "tau": _Lazy(lambda: 2 * mp.pi),
    "inf": _Lazy(lambda: mp.inf),
    "nan": _Lazy(lambda: mp.nan),
    "euler_gamma": _Lazy(lambda: +mp.euler),
}
_SHARED: Final = (
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "asinh", "acosh",
    "atanh", "atan2", "hypot", "fabs", "floor", "ceil", "trunc", "fmod", "copysign", "isnan", "isinf", "isfinite", "pow",
)  # fmt: skip
_F = exact.FUNCTIONS


def _product(values: Any, *, start: Any = 1) -> Any:
    result = mp.mpf(start)
    for value in values:
        result *= value
    return result


_MATH: Final[dict[str, Any]] = {
    **_CONSTANTS,
    **{name: _F[name] for name in _SHARED},
    **{name: _F[name] for name in ("erf", "erfc", "gamma", "lgamma")},
    "fsum": mp.fsum,
    "prod": _product,
    "degrees": lambda x: x * 180 / mp.pi,
    "radians": lambda x: x * mp.pi / 180,
}
_SPECIAL: Final[dict[str, Any]] = {
    name: _call_any(_F[function])
    for name, function in {
        "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "gamma": "gamma", "gammaln": "lgamma", "loggamma": "lgamma", "digamma": "digamma", "psi": "digamma",
        "polygamma": "polygamma", "beta": "beta", "betaln": "betaln", "expit": "expit", "xlogy": "xlogy",
    }.items()
}  # fmt: skip


def _filled(value: Any) -> Callable[..., Any]:
    def fill(shape: Any, *_: Any, **__: Any) -> Any:
        return _full(shape, value)

    return fill


def _full(shape: Any, value: Any, *_: Any, **__: Any) -> Any:
    array = np.empty(shape, dtype=object)
    value = _unboxed(value)
    array[...] = mp.mpf(value) if not isinstance(value, np.ndarray) else value
    return array


def _keep(value: Any, *_: Any, **__: Any) -> Any:
    return _unboxed(_as_array(value))


def _unboxed(array: Any) -> Any:
    """Return the number of an array without axes: NumPy would put the array itself into an array of objects."""
    return array[()] if isinstance(array, np.ndarray) and not array.ndim and array.dtype == object else array


_NUMPY: Final[dict[str, Any]] = {
    **_CONSTANTS,
    "newaxis": None,
    **{name: _call_any(_F[name]) for name in _SHARED},
    **{
        name: _call_any(_F[function])
        for name, function in {
            "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
            "absolute": "fabs",
            "abs": "fabs", "sign": "sign", "rint": "round", "round": "round", "around": "round", "fix": "trunc", "power": "pow", "float_power": "pow",
            "heaviside": "heaviside", "minimum": "minimum", "maximum": "maximum", "logaddexp": "logaddexp", "divide": "divide", "true_divide": "divide",
            "mod": "mod", "remainder": "mod", "floor_divide": "floor_divide",
        }.items()
    },
    "square": lambda x: x * x,
    "negative": lambda x: -x,
    "reciprocal": lambda x: _divide(mp.mpf(1), x),
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "deg2rad": lambda x: x * mp.pi / 180,
    "rad2deg": lambda x: x * 180 / mp.pi,
    "sinc": _call_any(lambda x: mp.mpf(1) if x == 0 else mp.sin(mp.pi * x) / (mp.pi * x)),
    "clip": lambda x, low, high: _call_any(_F["minimum"])(_call_any(_F["maximum"])(x, low), high),
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "greater": np.greater,
    "less": np.less,
    "asarray": _keep,
    "array": lambda value, *_, **__: _as_array(value).copy(),
    "atleast_1d": lambda value: np.atleast_1d(_as_array(value)),
    "ascontiguousarray": _keep,
    "float64": _keep,
    "ndarray": np.ndarray,
    "matrix": np.matrix,
    "ma": np.ma,
    "zeros": _filled(0),
    "ones": _filled(1),
    "empty": _filled(0),
    "full": _full,
    "zeros_like": lambda x, *_, **__: _full(np.shape(x), 0),
    "ones_like": lambda x, *_, **__: _full(np.shape(x), 1),
    "empty_like": lambda x, *_, **__: _full(np.shape(x), 0),
    "full_like": lambda x, value, *_, **__: _full(np.shape(x), value),
    "broadcast_to": lambda x, shape, **__: _unboxed(np.broadcast_to(_as_array(x), shape)),
    "broadcast_shapes": np.broadcast_shapes,
    "sum": lambda x, axis=None, keepdims=False, **__: np.sum(_as_array(x), axis=axis, keepdims=keepdims),
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "reshape": lambda x, shape: np.reshape(_as_array(x), shape),
    "ravel": lambda x: np.ravel(_as_array(x)),
    "expand_dims": lambda x, axis: np.expand_dims(_as_array(x), axis),
    "errstate": lambda **_: contextlib.nullcontext(),
    **ARRAYS,
}  # fmt: skip


def _counterpart(target: str) -> Any:
    special = _Counterpart("scipy.special", None, _SPECIAL)
    tricks = _Counterpart("numpy.lib.stride_tricks", np.lib.stride_tricks, STRIDE_TRICKS)
    parts = {"linalg": _Counterpart("numpy.linalg", np.linalg, LINALG), "lib": _Counterpart("numpy.lib", np.lib, {"stride_tricks": tricks})}
    modules: dict[str, Any] = {
        "math": _Counterpart("math", math, _MATH),
        "numpy": _Counterpart("numpy", np, {**_NUMPY, **parts}),
        "scipy.special": special,
        "scipy": _Counterpart("scipy", None, {"special": special}),
    }
    if target in modules:
        return modules[target]
    module, _, name = target.rpartition(".")
    return getattr(modules[module], name)
