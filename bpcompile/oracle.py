"""
What the certificate compares with: derivatives that share no code with the table's rules or the reverse pass.

`SympyReference` differentiates the whole function with `sympy.diff`. `Tape` is for functions too large for that: it carries
dual numbers forward through the program, the partial derivatives of each primitive taken by `sympy.diff` from the primitive's
SymPy counterpart. Both speak of element-wise programs: with arrays, each element of an output is a scalar function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import sympy
from mpmath import mp
from sympy.core.function import Derivative, Subs

from bpcompile import dims, exact
from bpcompile.ir import Eqn, Lit, Program, Shape, Var
from bpcompile.primitive import Primitive

#: Functions that are constant between their jumps: almost everywhere their derivative is 0.
_STEPS: Final = (sympy.floor, sympy.ceiling, sympy.sign, sympy.Heaviside)
#: Limits beyond which a function is not differentiated as one SymPy expression: nodes, nodes times inputs, depth.
MAX_NODES: Final = 3000
MAX_WORK: Final = 20_000
MAX_DEPTH: Final = 40
#: Beyond this many conditions SymPy's own rewriting of `Piecewise` becomes slow.
MAX_BRANCHES: Final = 8


class Unsupported(Exception):  # noqa: N818  a limit of an oracle, turned into a reason
    """The oracle can't say: the reason is the message."""


# -- SymPy's side of a primitive


def differentiate(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    """
    Return SymPy's derivative, valid almost everywhere.

    `DiracDelta` and derivatives of step functions are 0 away from the jumps; `Mod` and `frac` are written with `floor` first,
    because SymPy leaves their derivatives unevaluated.

    Raises:
        Unsupported: SymPy has no derivative.

    >>> x = sympy.Symbol("x", real=True)
    >>> differentiate(sympy.Mod(x, 3) + sympy.sign(x) * x, x)
    sign(x) + 1
    """
    # SymPy rewrites a - b*floor(a/b) of numbers only, so the substitution terminates.
    plain = expression.replace(sympy.Mod, lambda a, b: a - b * sympy.floor(a / b)).replace(sympy.frac, lambda a: a - sympy.floor(a))
    derivative = plain.diff(symbol)
    if derivative.has(sympy.DiracDelta):
        derivative = derivative.replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    if derivative.has(Subs):
        derivative = derivative.replace(lambda e: isinstance(e, Subs) and _is_step_derivative(e.expr), lambda _: sympy.Integer(0))
    if derivative.has(Derivative):
        derivative = derivative.replace(lambda e: isinstance(e, Derivative) and _is_step_derivative(e), lambda _: sympy.Integer(0))
    if derivative.has(Derivative, Subs, sympy.Integral):
        msg = f"SymPy has no derivative of {expression.func.__name__}"
        raise Unsupported(msg)
    return derivative


def _is_step_derivative(expression: sympy.Basic) -> bool:
    return isinstance(expression, Derivative) and isinstance(expression.expr, _STEPS)


def symbols_for(primitive: Primitive) -> list[sympy.Symbol]:
    """Return one real symbol an operand."""
    return [sympy.Symbol(f"x{i}", real=True) for i in range(primitive.arity)]


_LARGE_NAMES: Final = ("exp", "sinh", "cosh", "tanh", "sech", "csch", "coth", "gamma", "digamma", "beta", "erf", "erfc", "expm1")
_MODERATE_NAMES: Final = (
    "log", "log1p", "sqrt", "cbrt", "sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "asec", "acsc", "acot",
    "asinh", "acosh", "atanh", "asech", "acsch", "acoth", "atan2", "hypot", "erfinv", "floor", "ceil",
)  # fmt: skip


def _high_namespace() -> dict[str, Any]:
    large = {name: exact.lenient(getattr(mp, name), exponent=40) for name in _LARGE_NAMES}
    moderate = {name: exact.lenient(getattr(mp, name)) for name in _MODERATE_NAMES}
    psi = exact.lenient(exact.psi, exponent=40)
    return {
        **large,
        **moderate,
        # SymPy's loggamma is complex below 0, where the logarithm of |gamma| and its derivative are real.
        "loggamma": exact.FUNCTIONS["lgamma"],
        "max": exact.FUNCTIONS["maximum"],
        "min": exact.FUNCTIONS["minimum"],
        "psi": psi,
        "polygamma": psi,
        "sign": exact.FUNCTIONS["sign"],
        "Heaviside": exact.FUNCTIONS["heaviside"],
        "sinc": exact.lenient(lambda x: mp.sin(x) / x if x else mp.mpf(1)),
        "log2": exact.FUNCTIONS["log2"],
        "log10": exact.FUNCTIONS["log10"],
        "exp2": exact.FUNCTIONS["exp2"],
    }


_HIGH: Final = _high_namespace()
_DOUBLE: Final[dict[str, Any]] = {
    "Heaviside": lambda x, at_zero=0.5: 0.0 if x < 0 else 1.0 if x > 0 else at_zero,
    "sign": lambda x: float((x > 0) - (x < 0)),
}


def compile_high(symbols: Sequence[sympy.Symbol], expressions: Any, *, cse: bool = False) -> Callable[..., Any]:
    """Turn SymPy expressions into a function on `mpf` numbers that yields nan outside the real domain."""
    finite = (
        [sympy.sympify(e).xreplace({sympy.zoo: sympy.nan}) for e in expressions]
        if isinstance(expressions, list)
        else sympy.sympify(expressions).xreplace({sympy.zoo: sympy.nan})
    )
    function: Callable[..., Any] = sympy.lambdify(list(symbols), finite, modules=[_HIGH, "mpmath"], cse=cse)
    return function


#: What evaluating an expression outside its domain raises.
OUTSIDE: Final = (ValueError, ArithmeticError, TypeError, NotImplementedError)


def _guarded_high(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            result = function(*args)
        except OUTSIDE:
            return mp.nan
        if isinstance(result, mp.mpc):
            return result.real if result.imag == 0 else mp.nan
        return result

    return call


@lru_cache(maxsize=1024)
def _value_high(primitive: Primitive) -> Callable[..., Any]:
    if primitive.result == "bool":
        return primitive.impl
    xs = symbols_for(primitive)
    return _guarded_high(compile_high(xs, primitive.sympy(*xs)))


#: Operations through which nan goes by itself.
_NAN_SAFE: Final = frozenset({"add", "sub", "mul", "div", "neg"})


@lru_cache(maxsize=1024)
def strict(primitive: Primitive, *, high: bool) -> Callable[..., Any]:
    """
    Return the value function, with nan for nan.

    Comparisons, steps and maxima would hide that an operand is outside its domain, where the emitted text raises.
    """
    function = _value_high(primitive) if high else primitive.impl
    nan = mp.nan if high else math.nan
    if primitive.name in _LOGIC:
        return _LOGIC[primitive.name]
    if primitive.name in _NAN_SAFE or (primitive.result == "float" and primitive.arity == 1 and not primitive.kinks):
        return function

    def call(*args: Any) -> Any:
        for a in args:
            if a != a:  # noqa: PLR0124  nan
                return nan
        return function(*args)

    return call


def _unknown(value: Any) -> bool:
    return bool(value != value)  # noqa: PLR0124  nan


#: Logic of three values: an unknown operand counts only where the other one doesn't decide.
_LOGIC: Final[dict[str, Callable[..., Any]]] = {
    "and": lambda a, b: False if (not _unknown(a) and not a) or (not _unknown(b) and not b) else math.nan if _unknown(a) or _unknown(b) else True,
    "or": lambda a, b: True if (not _unknown(a) and a) or (not _unknown(b) and b) else math.nan if _unknown(a) or _unknown(b) else False,
    "not": lambda a: math.nan if _unknown(a) else not a,
}


@lru_cache(maxsize=1024)
def partial_high(primitive: Primitive, operand: int) -> Callable[..., Any]:
    """Return SymPy's partial derivative of an element-wise operation, on numbers of 50 digits."""
    xs = symbols_for(primitive)
    return _guarded_high(compile_high(xs, differentiate(primitive.sympy(*xs), xs[operand])))


@lru_cache(maxsize=1024)
def partial_double(primitive: Primitive, operand: int) -> Callable[..., Any]:
    """Return SymPy's partial derivative of an element-wise operation, in double precision."""
    xs = symbols_for(primitive)
    expression = differentiate(primitive.sympy(*xs), xs[operand])
    fast: Callable[..., Any] = sympy.lambdify(xs, expression, modules=[_DOUBLE, "math"])
    slow = partial_high(primitive, operand)

    def call(*args: float) -> float:
        try:
            result = fast(*args)
        except NameError:  # no such function in `math`
            result = float(slow(*map(mp.mpf, args)))
        return math.nan if isinstance(result, complex) else result

    return call


# -- points and their elements


class Layout:
    """
    Which sizes the named dimensions have, and which elements of the inputs an element of an output depends on.

    Attributes:
        inputs: The input variables, upstream gradients left out.
    """

    def __init__(self, program: Program, *, unit: bool = False, sizes: Mapping[str, int] | None = None) -> None:
        self.program = program
        self.inputs: list[Var] = [v for p in program.params if p.seed is None for v in p.leaves()]
        self.sizes: dict[str, int] = dict(sizes or {})
        for var in self.inputs:
            for dim in var.shape:
                if isinstance(dim, str) and dim not in self.sizes:
                    # Pairwise different, so that a mix-up of axes can't go unnoticed.
                    self.sizes[dim] = 1 if unit else 2 + len(self.sizes)

    def concrete(self, shape: Shape) -> tuple[int, ...]:
        """Return a shape in numbers."""
        return tuple(int(dims.substitute(d, self.sizes)) for d in shape)

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each output."""
        return [self.concrete(o.atom.shape) for o in self.program.outputs]

    def pick(self, point: Sequence[Any], shape: tuple[int, ...], index: tuple[int, ...]) -> list[Any]:
        """Return the scalar that each input contributes to one element of a result."""
        return [value if not isinstance(value, np.ndarray) else self._element(value, shape, index) for value in point]

    def _element(self, value: Any, shape: tuple[int, ...], index: tuple[int, ...]) -> Any:
        return value[self.project(value.shape, shape, index)] if value.size else math.nan  # what has no elements reaches none

    @staticmethod
    def project(small: tuple[int, ...], shape: tuple[int, ...], index: tuple[int, ...]) -> tuple[int, ...]:
        """Return where broadcasting reads in an operand of shape `small`."""
        offset = len(shape) - len(small)
        # An input of more axes than the result, or of other sizes, doesn't reach it: any element will do.
        return tuple(min(index[axis + offset], size - 1) if axis + offset >= 0 and size != 1 else 0 for axis, size in enumerate(small))

    def elements(self) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """Yield (output, its shape, index) for every element of every output."""
        for k, shape in enumerate(self.output_shapes):
            for index in np.ndindex(*shape):
                yield k, shape, index


def element_of(value: Any, index: tuple[int, ...]) -> Any:
    """Return an element of an array, or a number as it is."""
    return value[index] if isinstance(value, np.ndarray) else value


# -- the whole function with SymPy


class SympyReference:
    """
    Value and gradient of a program as SymPy derives them.

    Attributes:
        wanted: The input variables whose derivative is taken.
    """

    def __init__(self, program: Program) -> None:
        """
        Differentiate and compile.

        Raises:
            Unsupported: The function is too large, or SymPy can't.
        """
        self.layout = Layout(program)
        self.wanted = [v for p in program.params if p.seed is None and p.wrt for v in p.leaves()]
        try:
            self._prepare(program)
        except (RecursionError, MemoryError) as error:
            msg = "nested too deeply for SymPy"
            raise Unsupported(msg) from error
        except (TypeError, ValueError, AttributeError, NotImplementedError, ArithmeticError, KeyError) as error:
            msg = f"SymPy fails with {type(error).__name__}"
            raise Unsupported(msg) from error

    def _prepare(self, program: Program) -> None:
        if program.reference is not None:
            symbols = {v: program.reference.symbols.get(v) or sympy.Dummy(f"x{i}", real=True) for i, v in enumerate(self.layout.inputs)}
            _check_size(program.reference.expressions, len(self.wanted))
            expressions = [_with_exact_floats(e) for e in program.reference.expressions]
        else:
            symbols = {v: sympy.Symbol(f"x{i}", real=True) for i, v in enumerate(self.layout.inputs)}
            _check_program_size(program, len(self.wanted))
            expressions = flatten(program, symbols)
        partials = [differentiate(e, symbols[v]) for e in expressions for v in self.wanted]
        arguments = [symbols[v] for v in self.layout.inputs]
        for expression in (*expressions, *partials):
            if expression.free_symbols - set(arguments):
                msg = "the SymPy expression has free symbols that are no inputs"
                raise Unsupported(msg)
        self._count = len(expressions)
        self._function = compile_high(arguments, [*expressions, *partials], cse=True)

    def evaluate(self, point: Sequence[Any], upstream: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """
        Return the values of the outputs and the gradient of each wanted input.

        Args:
            point: An `mpf` or an array of them for each input variable.
            upstream: An upstream gradient for each output, in its shape.
        """
        layout = self.layout
        index_of = {v: i for i, v in enumerate(layout.inputs)}
        values: list[Any] = [np.empty(s, dtype=object) if s else None for s in layout.output_shapes]
        gradients: list[Any] = [_zeros(point[index_of[v]]) for v in self.wanted]
        cache: dict[tuple[int, tuple[int, ...]], Any] = {}
        for k, shape, index in layout.elements():
            row = cache.get((-1, ())) if not shape else None
            if row is None:
                row = self._row(layout.pick(point, shape, index))
                if not shape:
                    cache[-1, ()] = row
            if shape:
                values[k][index] = row[k]
            else:
                values[k] = row[k]
            ct = element_of(upstream[k], index)
            for i, var in enumerate(self.wanted):
                contribution = ct * row[self._count + k * len(self.wanted) + i]
                if isinstance(gradients[i], np.ndarray) and not gradients[i].size:
                    continue
                if isinstance(gradients[i], np.ndarray):
                    gradients[i][layout.project(point[index_of[var]].shape, shape, index)] += contribution
                else:
                    gradients[i] += contribution
        return values, gradients

    def _row(self, scalars: list[Any]) -> list[Any]:
        try:
            row = self._function(*scalars)
        except OUTSIDE:
            return [mp.nan] * (self._count * (1 + len(self.wanted)))
        return [_real(v) for v in row]


def _real(value: Any) -> Any:
    if isinstance(value, mp.mpc):
        return value.real if value.imag == 0 else mp.nan
    try:
        return mp.mpf(value)
    except TypeError:
        return mp.nan


def _zeros(like: Any) -> Any:
    if isinstance(like, np.ndarray):
        array = np.empty(like.shape, dtype=object)
        array[...] = mp.mpf(0)
        return array
    return mp.mpf(0)


def _with_exact_floats(expression: sympy.Expr) -> sympy.Expr:
    floats = sorted(expression.atoms(sympy.Float), key=str)
    return expression.xreplace({f: exact.exact(float(f)) for f in floats}) if floats else expression


def _check_size(expressions: Sequence[sympy.Expr], inputs: int) -> None:
    """Measure the trees that the expressions stand for without walking them twice at any node."""
    sizes: dict[sympy.Basic, tuple[int, int, int]] = {}
    total = branches = depth = 0
    for expression in expressions:
        stack: list[sympy.Basic] = [expression]
        while stack:
            node = stack[-1]
            if node in sizes:
                stack.pop()
                continue
            waiting = [a for a in node.args if a not in sizes]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            below = [sizes[a] for a in node.args]
            own = int(isinstance(node, sympy.Piecewise | sympy.Max | sympy.Min))
            sizes[node] = (1 + sum(s for s, _, _ in below), 1 + max((d for _, d, _ in below), default=0), own + sum(b for _, _, b in below))
        size, deep, split = sizes[expression]
        total, depth, branches = total + size, max(depth, deep), branches + split
    _limit(total, depth, branches, inputs)


def _check_program_size(program: Program, inputs: int) -> None:
    sizes: dict[Var, tuple[int, int, int]] = {}
    leaf = (1, 1, 0)
    for eqn in program.eqns:
        below = [sizes.get(a, leaf) if isinstance(a, Var) else leaf for a in eqn.args]
        own = int(eqn.prim.name in {"select", "max", "min", "clip", "relu"})
        # Sizes double with every level of sharing: saturate, or the integers themselves become the cost.
        size = min(1 + sum(s for s, _, _ in below), 10**9)
        sizes[eqn.out] = (size, 1 + max((d for _, d, _ in below), default=0), min(own + sum(b for _, _, b in below), 10**9))
    found = [sizes.get(o.atom, leaf) if isinstance(o.atom, Var) else leaf for o in program.outputs]
    _limit(sum(s for s, _, _ in found), max((d for _, d, _ in found), default=0), sum(b for _, _, b in found), inputs)


def _limit(nodes: int, depth: int, branches: int, inputs: int) -> None:
    if nodes > MAX_NODES or nodes * max(1, inputs) > MAX_WORK or depth > MAX_DEPTH or branches > MAX_BRANCHES:
        msg = "too large to differentiate as one expression"
        raise Unsupported(msg)


def flatten(program: Program, symbols: Mapping[Var, sympy.Symbol]) -> list[sympy.Expr]:
    """Return each output as one SymPy expression of the inputs; for small programs only."""
    env: dict[Var, Any] = dict(symbols)
    for eqn in program.eqns:
        if eqn.params or eqn.prim.shape is not None:
            msg = f"`{eqn.prim.name}` works on axes"
            raise Unsupported(msg)
        args = [env[a] if isinstance(a, Var) else exact.exact(a.value) for a in eqn.args]
        env[eqn.out] = eqn.prim.sympy(*args)
    return [sympy.sympify(env[o.atom] if isinstance(o.atom, Var) else exact.exact(o.atom.value)) for o in program.outputs]


# -- forward mode


class Tape:
    """
    A program laid out for evaluation and for dual numbers; work is linear in the number of equations.

    Outside its domain an operation yields nan instead of raising, and a `select` reads only the side it takes, so a branch that
    is not taken does no harm.
    """

    def __init__(self, program: Program, *, high: bool, derivatives: bool = True) -> None:
        """
        Lay out the equations; without `derivatives` for values only.

        Raises:
            Unsupported: An operation works on axes, or SymPy has no partial derivative of it.
        """
        self.layout = Layout(program)
        self.high = high
        self._slots: dict[Var, int] = {}
        self._initial: list[Any] = []
        zero = mp.mpf(0) if high else 0.0
        self._zero = zero
        active: list[bool] = []
        wanted = {v for p in program.params if derivatives and p.wrt and p.seed is None for v in p.leaves()}
        for var in self.layout.inputs:
            self._slots[var] = len(self._initial)
            self._initial.append(zero)
            active.append(var in wanted)
        literals: dict[Lit, int] = {}

        def slot_of(atom: Var | Lit) -> int:
            if isinstance(atom, Var):
                return self._slots[atom]
            if atom not in literals:
                literals[atom] = len(self._initial)
                self._initial.append(exact.exact_mpf(atom.value) if high else atom.value)
                active.append(False)
            return literals[atom]

        self._code: list[tuple[Callable[..., Any] | None, tuple[int, ...], list[tuple[int, Callable[..., Any]]], int]] = []
        for eqn in program.eqns:
            args = tuple([slot_of(a) for a in eqn.args])
            out = len(self._initial)
            is_active = eqn.prim.result == "float" and any(active[a] for a in args)
            function, partials = self._meaning(eqn, args, active) if is_active else (self._value(eqn), [])
            self._slots[eqn.out] = out
            self._initial.append(zero)
            active.append(is_active)
            self._code.append((function, args, partials, out))
        self._outputs = [slot_of(o.atom) for o in program.outputs]

    def _value(self, eqn: Eqn) -> Callable[..., Any] | None:
        if eqn.params or eqn.prim.shape is not None:
            msg = f"`{eqn.prim.name}` works on axes"
            raise Unsupported(msg)
        if eqn.prim.name == "select":
            return None
        return strict(eqn.prim, high=self.high)

    def _meaning(self, eqn: Eqn, args: tuple[int, ...], active: list[bool]) -> tuple[Callable[..., Any] | None, list[tuple[int, Callable[..., Any]]]]:
        function = self._value(eqn)
        if function is None:
            return None, []
        make = partial_high if self.high else partial_double
        return function, [(i, make(eqn.prim, i)) for i, a in enumerate(args) if active[a]]

    def values(self, scalars: Sequence[Any]) -> list[Any]:
        """Return the value in every slot for scalar inputs."""
        values = self._initial.copy()
        values[: len(scalars)] = scalars
        nan = mp.nan if self.high else math.nan
        for function, args, _, out in self._code:
            if function is None:
                condition, a, b = args
                test = values[condition]
                values[out] = nan if test != test else values[a] if test else values[b]  # noqa: PLR0124  nan decides nothing
                continue
            try:
                value = function(*[values[a] for a in args])
            except OUTSIDE:
                value = nan
            values[out] = nan if type(value) is complex else value
        return values

    def arguments(self) -> Iterator[tuple[int, ...]]:
        """Yield the slots of the operands of each equation, in order."""
        for _, args, _, _ in self._code:
            yield args

    def outputs(self, point: Sequence[Any]) -> list[Any]:
        """Return the values of the outputs."""
        found: list[Any] = [np.empty(s, dtype=object if self.high else float) if s else None for s in self.layout.output_shapes]
        scalar: list[Any] | None = None
        for k, shape, index in self.layout.elements():
            if shape:
                found[k][index] = self.values(self.layout.pick(point, shape, index))[self._outputs[k]]
            else:
                scalar = scalar or self.values(self.layout.pick(point, shape, index))
                found[k] = scalar[self._outputs[k]]
        return found

    def evaluate(self, point: Sequence[Any], direction: Sequence[Any], upstream: Sequence[Any]) -> tuple[list[Any], Any]:
        """
        Return the values of the outputs, and the derivative of their upstream-weighted sum along a direction.

        Args:
            point: A number or an array of numbers for each input variable.
            direction: The same; zero for inputs whose gradient is not wanted.
            upstream: An upstream gradient for each output.
        """
        found: list[Any] = [np.empty(s, dtype=object if self.high else float) if s else None for s in self.layout.output_shapes]
        total = self._zero
        scalar: tuple[list[Any], list[Any]] | None = None
        for k, shape, index in self.layout.elements():
            if shape or scalar is None:
                pair = self._duals(self.layout.pick(point, shape, index), self.layout.pick(direction, shape, index))
                if not shape:
                    scalar = pair
            else:
                pair = scalar
            slot = self._outputs[k]
            if shape:
                found[k][index] = pair[0][slot]
            else:
                found[k] = pair[0][slot]
            total += element_of(upstream[k], index) * pair[1][slot]
        return found, total

    def _duals(self, scalars: Sequence[Any], direction: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        values = self._initial.copy()
        tangents = [self._zero] * len(values)
        values[: len(scalars)] = scalars
        tangents[: len(direction)] = direction
        nan = mp.nan if self.high else math.nan
        zero = self._zero
        for function, args, partials, out in self._code:
            if function is None:
                condition, a, b = args
                test = values[condition]
                side = a if test else b
                known = test == test  # noqa: PLR0124  nan decides nothing
                values[out], tangents[out] = (values[side], tangents[side]) if known else (nan, nan)
                continue
            operands = [values[a] for a in args]
            try:
                value = function(*operands)
                tangent = zero
                for i, partial in partials:
                    if tangents[args[i]]:
                        tangent += partial(*operands) * tangents[args[i]]
            except OUTSIDE:
                value, tangent = nan, nan
            values[out] = nan if type(value) is complex else value
            tangents[out] = tangent
        return values, tangents
