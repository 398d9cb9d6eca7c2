"""
Random programs: the emitted gradient is the derivative of the user's own code, and the emitted value its value.

The oracle executes the program's text, as Python would, on dual numbers of 50 digits with closed-form derivatives written here
once more; it shares nothing with the compiler. Beside each derivative it carries a bound on what double precision may lose: how
far the value of each operation may be off, how far that moves its local gradient, and the sum of the absolute values of all paths
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3: running error analysis). A result is right within
that bound. Points on a kink, or where the bound says that nothing is left to compare, are left out and counted.

`BPCOMPILE_EXAMPLES=200000 pytest tests/test_random_programs.py` runs more programs than the profile says.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import operator
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import programs
import pytest
import sympy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import special

from bpcompile.compiler import Compiled, compile_expression, compile_gradient
from bpcompile.diagnostics import CompileError
from bpcompile.primitive import REGISTRY
from bpcompile.wellformed import check_guards

MP = mpmath.MPContext()
MP.dps = 50
EPS = 2.0**-53

#: How many programs there are in all.
TOTAL = int(os.environ.get("BPCOMPILE_EXAMPLES") or {"default": 320, "long": 20_000, "night": 200_000}[os.environ.get("HYPOTHESIS_PROFILE", "default")])
#: The most programs of one test, so that workers share them evenly.
_MOST = 500
_OPTIONS = [(target, style, numerics) for target in ("python", "numpy") for style in ("code", "notes") for numerics in ("stable", "literal")]
# Every combination of the options that change arithmetic is a test of its own, or several.
SHARDS = [(*options, part) for part in range(-(-TOTAL // (len(_OPTIONS) * _MOST))) for options in _OPTIONS]
#: What a seed makes does not shrink: its program says what is wrong, and fewer statements make another program.
_PHASES = (Phase.explicit, Phase.generate)


# -- the oracle

#: An operand of the run at hand, which says how many inputs there are.
CURRENT: list[Dual] = []


class Kink(Exception):
    """The point is too near a jump or an edge to say anything."""


class Trace:
    """What one run of the oracle keeps: how many operations there were, and how literal the emitted code is."""

    def __init__(self, *, literal: bool = False) -> None:
        self.operations = 0
        self.literal = literal


class Dual:
    """
    A value with its gradient, and bounds on the rounding errors of both.

    Attributes:
        value, gradient: To 50 digits.
        paths: Per input, the sum of the absolute products of local gradients over all paths.
        slack, slacks: First-order bounds on the error of the value, and of each component of the gradient.
    """

    __slots__ = ("gradient", "paths", "slack", "slacks", "trace", "value")

    def __init__(self, value: Any, gradient: list[Any], paths: list[float], slack: float, slacks: list[float], trace: Trace) -> None:
        self.value, self.gradient, self.paths, self.slack, self.slacks, self.trace = value, gradient, paths, slack, slacks, trace

    def _with(self, other: Any) -> tuple[Dual, Dual]:
        return self, other if isinstance(other, Dual) else constant(other, self)

    def __add__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return combine(a.value + b.value, (a, b), (1, 1))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return combine(a.value - b.value, (a, b), (1, -1))

    def __rsub__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return combine(b.value - a.value, (b, a), (1, -1))

    def __mul__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return combine(a.value * b.value, (a, b), (b.value, a.value), (b.slack, a.slack))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return quotient(a, b)

    def __rtruediv__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return quotient(b, a)

    def __neg__(self) -> Dual:
        return combine(-self.value, (self,), (-1,))

    def __pos__(self) -> Dual:
        return self

    def __abs__(self) -> Dual:
        away(self.value)
        return -self if self.value < 0 else combine(self.value, (self,), (1,))

    def __pow__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return power(a, b, other if isinstance(other, int | float) else None)

    def __rpow__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return power(b, a, None)

    def __mod__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return remainder(a, b, MP.floor)

    def __rmod__(self, other: Any) -> Dual:
        a, b = self._with(other)
        return remainder(b, a, MP.floor)

    def __floordiv__(self, other: Any) -> Dual:
        return step(MP.floor)(self / other)

    def __rfloordiv__(self, other: Any) -> Dual:
        return step(MP.floor)(other / self)

    def __round__(self) -> Dual:
        return step(MP.nint, 0.5)(self)

    def _compare(self, other: Any) -> Any:
        """Return self - other, refusing what lies within rounding of a tie unless both sides are one value."""
        a, b = self._with(other)
        if a is b:
            return 0
        difference = a.value - b.value
        away(difference, abs(a.value) + abs(b.value) + a.slack + b.slack)
        return difference

    def __lt__(self, other: Any) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._compare(other) >= 0

    def __eq__(self, other: object) -> bool:
        return self._compare(other) == 0

    def __ne__(self, other: object) -> bool:
        return self._compare(other) != 0

    __hash__ = None  # type: ignore[assignment]  # a tie may be a kink, so equality may raise


def away(difference: Any, scale: Any = 0) -> None:
    """Refuse a point within 1e-6 of a jump."""
    if not abs(difference) > 1e-6 * (1 + scale):
        raise Kink


def constant(value: Any, like: Dual) -> Dual:
    zeros = [0.0] * len(like.gradient)
    return Dual(MP.mpf(float(value)), [MP.mpf(0)] * len(zeros), zeros, 0.0, zeros, like.trace)


def variable(value: float, index: int, count: int, trace: Trace) -> Dual:
    zeros = [0.0] * count
    paths = [float(i == index) for i in range(count)]
    return Dual(MP.mpf(value), [MP.mpf(p) for p in paths], paths, 0.0, zeros, trace)


def combine(
    value: Any, operands: Sequence[Dual], partials: Sequence[Any], slacks: Sequence[float] | None = None, *, ulps: float = 1.0, extra: float = 0.0
) -> Dual:
    """
    Return an operation's result.

    Args:
        value: Its value.
        operands: Its operands.
        partials: Its local gradients.
        slacks: How far each local gradient may be off.
        ulps: The accuracy of one evaluation.
        extra: A further error of the value.
    """
    trace = operands[0].trace
    trace.operations += 1
    sizes = [abs(float(p)) for p in partials]
    off = slacks or (0.0,) * len(sizes)
    size = abs(float(value))
    if not math.isfinite(size) or not all(map(math.isfinite, sizes)):
        raise Kink
    gradient, paths, errors = [], [], []
    for k in range(len(operands[0].gradient)):
        gradient.append(sum((p * a.gradient[k] for p, a in zip(partials, operands, strict=True)), MP.mpf(0)))
        path = sum(p * a.paths[k] for p, a in zip(sizes, operands, strict=True))
        paths.append(path)
        errors.append(sum(p * a.slacks[k] + e * a.paths[k] for p, e, a in zip(sizes, off, operands, strict=True)) + 4 * ulps * EPS * path)
    slack = sum(p * a.slack for p, a in zip(sizes, operands, strict=True)) + ulps * EPS * size + extra
    return Dual(value, gradient, paths, slack, errors, trace)


def quotient(a: Dual, b: Dual) -> Dual:
    if b.value == 0:
        raise Kink
    value = a.value / b.value
    first, second = float(1 / b.value), float(value / b.value)
    relative = b.slack / abs(float(b.value))
    # 1 / (1 + exp(-x)), kept literal, has the local gradient (1 - s) * s, which cancels where the quotient is near 1.
    cancelled = EPS * abs(float(b.value / (b.value - 1))) if a.trace.literal and b.value != 1 else 0.0
    slacks = (abs(first) * relative, abs(second) * (2 * relative + cancelled) + a.slack * first * first)
    return combine(value, (a, b), (1 / b.value, -value / b.value), slacks)


def moved(function: Callable[..., Any], values: Sequence[Any], slacks: Sequence[float]) -> float:
    """Return how far `function` moves when its operands are off by so much."""
    here = function(*values)
    total = 0.0
    for i, slack in enumerate(slacks):
        if slack == 0:
            continue
        there = [*values[:i], values[i] + slack, *values[i + 1 :]]
        changed = function(*there)
        if isinstance(changed, MP.mpc):
            raise Kink
        total += abs(float(changed - here))
    return total


def elementary(
    value: Callable[..., Any],
    *partials: Callable[..., Any],
    ulps: float = 4.0,
    literal: Callable[..., Any] | None = None,
    composed: bool = False,
    rough: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """
    Return a function on dual numbers.

    Args:
        value: The function on 50 digits.
        *partials: Its local gradients.
        ulps: The accuracy of one evaluation in double precision.
        literal: What a textbook formula of the local gradient loses, in units of rounding.
        composed: Whether it is computed as a function of 1 / x, or in several operations.
        rough: What any formula of the local gradient loses, in units of rounding.
    """

    def apply(*args: Any) -> Any:
        # Of plain numbers too the result is a dual number: it says how far a constant may be off.
        like = next((a for a in args if isinstance(a, Dual)), CURRENT[-1])
        operands = [a if isinstance(a, Dual) else constant(a, like) for a in args]
        values = [a.value for a in operands]
        try:
            result = value(*values)
            derivatives = [p(*values) for p in partials]
            if isinstance(result, MP.mpc) or any(isinstance(d, MP.mpc) for d in derivatives):
                raise Kink
            reach = [a.slack + 4 * EPS * abs(float(a.value)) * (a.slack > 0 or composed or len(values) > 1) for a in operands]
            slacks = [moved(p, values, reach) + ulps * EPS * abs(float(d)) for p, d in zip(partials, derivatives, strict=True)]
        except (ValueError, ZeroDivisionError, OverflowError):
            raise Kink from None
        for known, wanted in ((literal, like.trace.literal), (rough, True)):
            if known and wanted:
                slacks = [s + EPS * abs(float(known(*values))) for s in slacks]
        extra = sum(4 * EPS * abs(float(v * d)) for v, d in zip(values, derivatives, strict=True)) if composed else 0.0
        return combine(result, operands, derivatives, slacks, ulps=ulps, extra=extra)

    return apply


def power(a: Dual, b: Dual, exponent: float | None) -> Dual:
    """Return a ** b; a literal exponent carries no gradient."""
    if exponent is None:
        if a.value <= 0:
            raise Kink
        general = elementary(lambda x, y: x**y, lambda x, y: y * x ** (y - 1), lambda x, y: x**y * MP.ln(x), composed=True)
        return general(a, b)  # type: ignore[no-any-return]
    if exponent == 0:
        return combine(MP.mpf(1), (a,), (0,))
    if a.value == 0 or (a.value < 0 and exponent != int(exponent)):
        raise Kink
    n = int(exponent) if exponent == int(exponent) else MP.mpf(exponent)
    fixed = elementary(lambda x: x**n, lambda x: n * x ** (n - 1), ulps=4.0 + abs(exponent))
    return fixed(a)  # type: ignore[no-any-return]


def remainder(a: Dual, b: Dual, whole: Callable[[Any], Any]) -> Dual:
    ratio = a.value / b.value
    away(ratio - MP.nint(ratio), abs(ratio))
    times = whole(ratio)
    # (ans - x) / y is exact but for what its operands are off by.
    slack = EPS * 4 * (abs(float(ratio)) + 1) + (a.slack + b.slack * abs(float(times))) / abs(float(b.value))
    return combine(a.value - times * b.value, (a, b), (1, -times), (0.0, slack))


def step(function: Callable[[Any], Any], offset: float = 0.0) -> Callable[..., Any]:
    """Return a function that is constant between its jumps, which are at the integers plus `offset`."""

    def apply(x: Any) -> Any:
        x = x if isinstance(x, Dual) else constant(x, CURRENT[-1])
        shifted = x.value - offset
        away(shifted - MP.nint(shifted), abs(x.value))
        return combine(function(x.value), (x,), (0,))

    return apply


def _truncate(x: Any) -> Any:
    return MP.floor(x) if x >= 0 else MP.ceil(x)


def sign(x: Any) -> Any:
    if not isinstance(x, Dual):
        return math.copysign(1.0, x) if x else 0.0
    away(x.value)
    return combine(MP.sign(x.value), (x,), (0,))


def heaviside(x: Any, at_zero: Any) -> Any:
    del at_zero
    away(x.value if isinstance(x, Dual) else x)
    return constant(float(x > 0), CURRENT[-1])


def where(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


def clip(x: Any, low: Any, high: Any) -> Any:
    return min(max(x, low), high)


def relu(x: Any) -> Any:
    return max(x, 0.0)


def _cbrt(x: Any) -> Any:
    return MP.sign(x) * MP.cbrt(abs(x))


def _sinc(x: Any) -> Any:
    return MP.sin(x) / x if x else MP.mpf(1)


def _sinc_slope(x: Any) -> Any:
    return (MP.cos(x) - MP.sin(x) / x) / x if x else MP.mpf(0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + MP.exp(-x))


_ROOT_PI = MP.sqrt(MP.pi)
_LN2, _LN10 = MP.ln(2), MP.ln(10)

DUAL: dict[str, Callable[..., Any]] = {
    "exp": elementary(MP.exp, MP.exp),
    "exp2": elementary(lambda x: MP.mpf(2) ** x, lambda x: MP.mpf(2) ** x * _LN2),
    "expm1": elementary(MP.expm1, MP.exp),
    "log": elementary(MP.ln, lambda x: 1 / x),
    "log1p": elementary(lambda x: MP.ln(1 + x), lambda x: 1 / (1 + x)),
    "log2": elementary(lambda x: MP.ln(x) / _LN2, lambda x: 1 / (x * _LN2)),
    "log10": elementary(lambda x: MP.ln(x) / _LN10, lambda x: 1 / (x * _LN10)),
    "sqrt": elementary(MP.sqrt, lambda x: 1 / (2 * MP.sqrt(x))),
    "cbrt": elementary(_cbrt, lambda x: 1 / (3 * _cbrt(x) ** 2)),
    "sin": elementary(MP.sin, MP.cos),
    "cos": elementary(MP.cos, lambda x: -MP.sin(x)),
    "tan": elementary(MP.tan, lambda x: 1 / MP.cos(x) ** 2),
    "sec": elementary(MP.sec, lambda x: MP.sec(x) * MP.tan(x)),
    "csc": elementary(MP.csc, lambda x: -MP.csc(x) * MP.cot(x)),
    "cot": elementary(MP.cot, lambda x: -1 / MP.sin(x) ** 2),
    "asin": elementary(MP.asin, lambda x: 1 / MP.sqrt(1 - x * x), literal=lambda x: (1 - x * x) ** -1.5),
    "acos": elementary(MP.acos, lambda x: -1 / MP.sqrt(1 - x * x), literal=lambda x: (1 - x * x) ** -1.5),
    "atan": elementary(MP.atan, lambda x: 1 / (1 + x * x)),
    "asec": elementary(lambda x: MP.acos(1 / x), lambda x: 1 / (abs(x) * MP.sqrt(x * x - 1)), literal=lambda x: abs(x) * (x * x - 1) ** -1.5, composed=True),
    "acsc": elementary(lambda x: MP.asin(1 / x), lambda x: -1 / (abs(x) * MP.sqrt(x * x - 1)), literal=lambda x: abs(x) * (x * x - 1) ** -1.5, composed=True),
    "acot": elementary(lambda x: MP.atan(1 / x), lambda x: -1 / (1 + x * x), composed=True),
    "sinh": elementary(MP.sinh, MP.cosh),
    "cosh": elementary(MP.cosh, MP.sinh),
    "tanh": elementary(MP.tanh, lambda x: MP.sech(x) ** 2, literal=lambda _: 1),
    "sech": elementary(MP.sech, lambda x: -MP.sech(x) * MP.tanh(x)),
    "csch": elementary(MP.csch, lambda x: -MP.csch(x) * MP.coth(x)),
    "coth": elementary(MP.coth, lambda x: -(MP.csch(x) ** 2), literal=lambda x: MP.coth(x) ** 2),
    "asinh": elementary(MP.asinh, lambda x: 1 / MP.sqrt(1 + x * x)),
    "acosh": elementary(MP.acosh, lambda x: 1 / MP.sqrt(x * x - 1), literal=lambda x: x * x * (x * x - 1) ** -1.5),
    "atanh": elementary(MP.atanh, lambda x: 1 / (1 - x * x), literal=lambda x: (1 - x * x) ** -2),
    "asech": elementary(lambda x: MP.acosh(1 / x), lambda x: -1 / (x * MP.sqrt(1 - x * x)), literal=lambda x: (1 - x * x) ** -1.5 / x, composed=True),
    "acsch": elementary(lambda x: MP.asinh(1 / x), lambda x: -1 / (abs(x) * MP.sqrt(1 + x * x)), composed=True),
    "acoth": elementary(lambda x: MP.atanh(1 / x), lambda x: 1 / (1 - x * x), literal=lambda x: x * x * (1 - x * x) ** -2, composed=True),
    "atan2": elementary(MP.atan2, lambda y, x: x / (x * x + y * y), lambda y, x: -y / (x * x + y * y)),
    "hypot": elementary(MP.hypot, lambda x, y: x / MP.hypot(x, y), lambda x, y: y / MP.hypot(x, y)),
    "expit": elementary(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), literal=_sigmoid),
    "softplus": elementary(lambda x: MP.ln(1 + MP.exp(x)), _sigmoid, composed=True),
    "logaddexp": elementary(
        lambda x, y: MP.ln(MP.exp(x) + MP.exp(y)),
        lambda x, y: _sigmoid(x - y),
        lambda x, y: _sigmoid(y - x),
        composed=True,
        literal=lambda x, y: abs(x) + abs(y) + 1,
    ),
    "sinc": elementary(_sinc, _sinc_slope, literal=lambda x: 2 / x, composed=True, rough=lambda x: 32 * x if abs(x) < 0.25 else 8 / x),
    "erf": elementary(MP.erf, lambda x: 2 / _ROOT_PI * MP.exp(-x * x), rough=lambda x: 2 * x * x * MP.exp(-x * x)),
    "erfc": elementary(MP.erfc, lambda x: -2 / _ROOT_PI * MP.exp(-x * x), ulps=16, rough=lambda x: 2 * x * x * MP.exp(-x * x)),
    "erfinv": elementary(MP.erfinv, lambda x: _ROOT_PI / 2 * MP.exp(MP.erfinv(x) ** 2), ulps=32),
    "gamma": elementary(MP.gamma, lambda x: MP.gamma(x) * MP.digamma(x), ulps=64, rough=MP.gamma),
    "lgamma": elementary(lambda x: MP.ln(abs(MP.gamma(x))), MP.digamma, ulps=64, rough=lambda _: 64),
    "digamma": elementary(MP.digamma, lambda x: MP.psi(1, x), ulps=64),
    "beta": elementary(
        MP.beta,
        lambda x, y: MP.beta(x, y) * (MP.digamma(x) - MP.digamma(x + y)),
        lambda x, y: MP.beta(x, y) * (MP.digamma(y) - MP.digamma(x + y)),
        ulps=64,
        rough=lambda x, y: 64 * MP.beta(x, y) * (abs(MP.digamma(x)) + abs(MP.digamma(y)) + abs(MP.digamma(x + y))),
    ),
    "floor": step(MP.floor),
    "ceil": step(MP.ceil),
    "trunc": step(_truncate),
    "round": round,
    "fmod": lambda x, y: remainder(*[v if isinstance(v, Dual) else constant(v, CURRENT[-1]) for v in (x, y)], _truncate),
    "fabs": abs,
    "abs": abs,
    "pow": lambda x, y: (x if isinstance(x, Dual) or isinstance(y, Dual) else constant(x, CURRENT[-1])) ** y,
    "max": max,
    "min": min,
    "sign": sign,
    "heaviside": heaviside,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "radians": lambda x: x * (math.pi / 180),
    "relu": relu,
    "clip": clip,
}
DUAL["sigmoid"] = DUAL["expit"]


def _polygamma(order: int, x: Any) -> Any:
    return elementary(lambda v: MP.psi(order, v), lambda v: MP.psi(order + 1, v), ulps=64)(x)


_NUMPY_NAMES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "maximum": "max",
    "minimum": "min",
    "power": "pow",
}
ORACLE: dict[str, Any] = {
    "math": programs.Module(math, DUAL),
    "np": programs.Module(
        np,
        {
            **DUAL,
            **{new: DUAL[old] for new, old in _NUMPY_NAMES.items()},
            "where": where,
            "sinc": lambda x: DUAL["sinc"](math.pi * x),
            "logical_not": lambda c: not c,
        },
    ),
    "special": programs.Module(special, {**DUAL, "gammaln": DUAL["lgamma"], "polygamma": _polygamma}),
}
LINE: dict[str, Any] = {name: DUAL[known.line] for name, known in programs.FUNCTIONS.items() if known.line} | {"polygamma": _polygamma, "clip": clip}


def flatten(values: Sequence[Any]) -> list[float]:
    return [float(v) for value in values for v in (value if isinstance(value, list) else [value])]


def nested(like: Sequence[Any], flat: Sequence[Any]) -> list[Any]:
    iterator = iter(flat)
    return [[next(iterator) for _ in value] if isinstance(value, list) else next(iterator) for value in like]


def evaluate(sample: programs.Sample, point: Sequence[Any], *, literal: bool) -> tuple[list[Dual], Trace]:
    """Run the program's text on dual numbers."""
    trace = Trace(literal=literal)
    flat = flatten(point)
    duals = [variable(v, i, len(flat), trace) for i, v in enumerate(flat)]
    namespace = {**(LINE if sample.flavour == "line" else ORACLE), **dict(zip(sample.inputs, nested(point, duals), strict=True))}
    CURRENT.append(duals[0])
    try:
        exec(sample.run, namespace)
    finally:
        CURRENT.pop()
    return [o if isinstance(o, Dual) else constant(o, duals[0]) for o in namespace["_result"]], trace


def run_directly(sample: programs.Sample, point: Sequence[Any]) -> list[float] | None:
    """Run the program's text as Python and NumPy run it; None where its functions are no Python functions."""
    if sample.flavour == "line":
        return None
    values = [list(v) if isinstance(v, list) else v for v in point]
    namespace = {**programs.MODULES, **dict(zip(sample.inputs, values, strict=True))}
    with np.errstate(all="ignore"):
        exec(sample.run, namespace)
    return [float(v) for v in namespace["_result"]]


# -- the comparison

SEEN: Counter[str] = Counter()


def compile_sample(sample: programs.Sample, **options: Any) -> Compiled:
    if sample.form == "line":
        return compile_expression(sample.text, **options)
    lengths = {name: (len(value),) for name, value in zip(sample.inputs, sample.points[0], strict=True) if isinstance(value, list)}
    return compile_gradient(sample.text, shapes=lengths if sample.form == "function" else None, **options)


def numbers(value: Any) -> list[float]:
    """Return the numbers of a nested result, arrays of one element as numbers."""
    if isinstance(value, list | tuple):
        return [n for v in value for n in numbers(v)]
    return [float(value)]


def run_script(compiled: Compiled) -> tuple[list[Any], dict[str, Any]]:
    namespace: dict[str, Any] = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(divide="raise", over="raise", invalid="raise"):
        exec(compile(compiled.source, "<page>", "exec"), namespace)
    return [namespace[name] for name in compiled.emitted.outputs], {param.name: namespace[name] for param, name in compiled.emitted.gradients}


def check_program(sample: programs.Sample, *, target: str, style: str, numerics: str, layout: str, upstream: Sequence[float] = (1.0, -0.75)) -> None:
    """
    Compile a program and compare values and gradients at its points.

    With NumPy all points go in at once, as arrays; a page runs at its own example values.
    """
    try:
        compiled = compile_sample(sample, target=target, style=style, numerics=numerics, layout=layout, check="off")
    except CompileError as refusal:
        assert {d.code for d in refusal.diagnostics} == {"E114"}, f"{refusal}\n{sample}"
        check_constant(sample)
        return
    if sample.form == "script" and compiled.program.outputs[0].name != sample.result:
        check_constant(sample)
        return
    # Lecture style writes the textbook's local gradients, which cancel where the stable ones do not.
    literal = numerics == "literal" or style == "notes"
    emitted = compiled.emitted
    check_guards(compiled.gradient)
    positions = {name: i for i, name in enumerate(sample.inputs)}
    order = [param.name for param, _ in emitted.params]
    assert set(order) <= set(positions), (order, sample)
    points = list(sample.points)
    if layout == "script":
        points = points[:1]
        outputs, gradients = run_script(compiled)
        rows = [(numbers(outputs), gradients)]
        weights = [1.0] * len(outputs)
    else:
        weights = list(upstream[: len(emitted.outputs)])
        seeds = dict(zip(emitted.seeds, weights, strict=True))
        if target == "numpy" and not any(isinstance(v, list) for v in points[0]):
            args = [np.array([p[positions[name]] for p in points]) for name in order]
            for array in args:
                array.setflags(write=False)
            with np.errstate(divide="raise", over="raise", invalid="raise"):
                result, gradient = compiled(*args, **seeds)
            results = result if isinstance(result, tuple) else (result,)
            names = [param.name for param, _ in emitted.gradients]
            for got in (*results, *gradient):
                assert got.shape == (len(points),), (got, compiled.source)
            rows = [([float(r[k]) for r in results], {n: float(g[k]) for n, g in zip(names, gradient, strict=True)}) for k in range(len(points))]
        else:
            rows = []
            for point in points:
                args = [point[positions[name]] for name in order]
                result, gradient = compiled(*args, **seeds)
                rows.append((numbers(result), {param.name: g for (param, _), g in zip(emitted.gradients, gradient, strict=True)}))
                assert numbers(compiled.value(*args)) == pytest.approx(rows[-1][0], rel=1e-12, abs=1e-300), compiled.source
    for point, (values, gradients) in zip(points, rows, strict=True):
        compare(sample, compiled, point, values, gradients, weights=weights, literal=literal)


def check_constant(sample: programs.Sample) -> None:
    """A choice made when the program is read may leave out all that depends on the inputs: no output, or that of a page is another name."""
    assert not any(any(out.gradient) for point in sample.points for out in evaluate(sample, point, literal=False)[0]), sample
    SEEN["constant"] += 1


def compare(
    sample: programs.Sample,
    compiled: Compiled,
    point: Sequence[Any],
    values: Sequence[float],
    gradients: dict[str, Any],
    *,
    weights: Sequence[float],
    literal: bool,
) -> None:
    """Compare one row of results with the oracle and with the program itself."""
    try:
        wanted, trace = evaluate(sample, point, literal=literal)
    except Kink:
        SEEN["kink"] += 1
        return
    SEEN["point"] += 1
    size = sum(len(v) if isinstance(v, list) else 1 for v in point)
    budget = 2 * (trace.operations + 4) * EPS
    assert len(values) == len(wanted), (values, sample)
    direct = run_directly(sample, point)
    for i, (got, want) in enumerate(zip(values, wanted, strict=True)):
        bound = 4 * want.slack + 4 * EPS * abs(float(want.value))
        assert abs(got - want.value) <= bound, f"value {got!r}, not {float(want.value)!r} +- {bound:.2g}\nat {point}\n{sample}\n{compiled.source}"
        if direct is not None:
            assert abs(got - direct[i]) <= 2 * bound, f"value {got!r}, but Python says {direct[i]!r}\nat {point}\n{sample}\n{compiled.source}"
    nothing = [0.0] * size
    flat = iter(range(size))
    for name, value in zip(sample.inputs, point, strict=True):
        indices = [next(flat) for _ in value] if isinstance(value, list) else [next(flat)]
        mine = numbers(gradients[name]) if name in gradients else [nothing[i] for i in indices]
        mine += [0.0] * (len(indices) - len(mine))
        for i, got in zip(indices, mine, strict=True):
            want = sum((w * o.gradient[i] for w, o in zip(weights, wanted, strict=True)), MP.mpf(0))
            bound = sum(abs(w) * (4 * o.slacks[i] + budget * o.paths[i]) for w, o in zip(weights, wanted, strict=True))
            if bound > 1e-7 * max(1.0, abs(float(want))):
                SEEN["ill-conditioned"] += 1
                continue
            SEEN["gradient"] += 1
            assert abs(got - want) <= bound, f"d{name}[{i}] = {got!r}, not {float(want)!r} +- {bound:.2g}\nat {point}\n{sample}\n{compiled.source}"


# -- the tests


@pytest.mark.parametrize(("target", "style", "numerics", "part"), SHARDS, ids=["-".join(map(str, s)) for s in SHARDS])
@settings(max_examples=-(-TOTAL // len(SHARDS)), phases=_PHASES)
@given(seed=st.integers(0, 2**64 - 1), statements=st.integers(1, 12))
def test_gradient_of_a_random_program(target, style, numerics, part, seed, statements):
    # A generator of hypothesis's own would shrink better, and takes five times as long to draw from. Hypothesis gives every test
    # the same seeds.
    source = random.Random(f"{seed} {target} {style} {numerics} {part}")
    layout = source.choice(("function", "function", "split", "script"))
    sample = programs.sample(
        source,
        form="script" if layout == "script" and source.randrange(3) else None,
        points=1 if layout == "script" else 3 if target == "numpy" else 1,
        lists=target == "python",
        statements=statements,
    )
    if layout == "script" and sample.form != "script":
        layout = "function"
    SEEN["program"] += 1
    check_program(sample, target=target, style=style, numerics=numerics, layout=layout)


def test_the_generator_reaches_every_primitive():
    """What no program uses would go untested: internal primitives are exempt, each for its reason."""
    # sigmoid_slope, tanh_slope: in the derivatives of sigmoid and tanh. chain, copy, fill_like: made by the reverse pass.
    internal = {"sigmoid_slope", "tanh_slope", "chain", "copy", "fill_like"}
    wanted = {p.name for p in REGISTRY if not p.shape} - internal
    found: set[str] = set()
    source = random.Random(1)
    for _ in range(600):
        if wanted <= found:
            break
        with contextlib.suppress(CompileError):
            compiled = compile_sample(programs.sample(source, lists=True), check="off", numerics="literal")
            found |= {eqn.prim.name for eqn in (*compiled.program.eqns, *compiled.gradient.eqns)}
    assert wanted <= found, sorted(wanted - found)


# -- SymPy expressions, differentiated by SymPy

SYMBOLS = sympy.symbols("x y z", real=True)
SYMPY_FUNCTIONS = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "exp": sympy.exp, "atan": sympy.atan, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh,
    "asinh": sympy.asinh, "erf": sympy.erf, "erfc": sympy.erfc, "abs": sympy.Abs, "sign": sympy.sign, "log": sympy.log, "sqrt": sympy.sqrt,
    "gamma": sympy.gamma, "lgamma": sympy.loggamma, "digamma": sympy.digamma, "asin": sympy.asin, "acos": sympy.acos, "atanh": sympy.atanh,
    "acosh": sympy.acosh, "sec": sympy.sec,
    "csc": sympy.csc, "cot": sympy.cot, "acot": sympy.acot, "asec": sympy.asec, "acsc": sympy.acsc, "sech": sympy.sech, "csch": sympy.csch, "coth": sympy.coth,
    "acsch": sympy.acsch, "acoth": sympy.acoth, "asech": sympy.asech, "atan2": sympy.atan2, "max": sympy.Max, "min": sympy.Min, "beta": sympy.beta,
}  # fmt: skip


class Expressions:
    """Grows a SymPy expression and its value side by side, so that every function is called inside its domain."""

    def __init__(self, source: random.Random, point: Sequence[float]) -> None:
        self.source = source
        self.known: list[tuple[sympy.Expr, float]] = list(zip(SYMBOLS, point, strict=True))

    def grow(self, steps: int) -> sympy.Expr:
        for _ in range(steps):
            try:
                expression, value = self._step()
            except RecursionError:  # SymPy folds some nested choices without end
                continue
            if expression.is_number or expression.has(sympy.zoo, sympy.nan, sympy.I) or not 1e-3 < abs(value) < 60:
                continue
            self.known.append((expression, value))
        return self.known[-1][0]

    def _pick(self) -> tuple[sympy.Expr, float]:
        return self.known[-1 - self.source.randrange(min(4, len(self.known)))]

    def _step(self) -> tuple[sympy.Expr, float]:
        (a, u), (b, v) = self._pick(), self._pick()
        kind = self.source.randrange(10)
        if kind < 4:
            number = sympy.Rational(self.source.randrange(1, 9), self.source.randrange(1, 5))
            options = [(a + b, u + v), (a - number * b, u - float(number) * v), (a * b, u * v), (number * a + 1, float(number) * u + 1)]
            return self.source.choice([*options, (a / b, u / v)] if abs(v) > 0.05 else options)
        if kind == 4:
            n = self.source.choice((2, 3, -1, -2))
            return (a**n, u**n) if abs(u) > 0.1 else (a, u)
        if kind == 5:
            return (sympy.Piecewise((a, a > b), (b * a, True)), u if u > v else u * v) if abs(u - v) > 1e-2 else (a, u)
        if kind == 6 and u > 0.1:
            half = sympy.Rational(self.source.choice((1, 3, 5, -1)), 2)
            return a**half, u ** float(half)
        if kind == 7 and abs(u) > 1e-2 and abs(u - 1) > 1e-2:
            # The piece not taken may be outside its domain.
            name, bound = self.source.choice((("log", 0), ("sqrt", 0), ("acosh", 1), ("lgamma", 0)))
            piece = sympy.Piecewise((SYMPY_FUNCTIONS[name](a), a > bound), (b, True))
            return piece, float(programs.FUNCTIONS[name].impl(u)) if u > bound else v
        names = []
        for name in SYMPY_FUNCTIONS:
            known = programs.FUNCTIONS[name]
            if known.domain(*((u,) if known.arity == 1 else (u, v))):
                names.append(name)
        name = self.source.choice(names)
        known = programs.FUNCTIONS[name]
        return (SYMPY_FUNCTIONS[name](a), float(known.impl(u))) if known.arity == 1 else (SYMPY_FUNCTIONS[name](a, b), float(known.impl(u, v)))


Leaf = Callable[[sympy.Expr], Any]


def walk(expression: sympy.Expr, leaf: Leaf, functions: dict[str, Callable[..., Any]]) -> Any:
    """Return the value of a SymPy expression, its symbols and numbers read by `leaf`; of a `Piecewise` only the piece that counts."""
    known: dict[sympy.Basic, Any] = {}

    def value(e: sympy.Basic) -> Any:
        if e not in known:
            known[e] = compute(e)
        return known[e]

    def compute(e: sympy.Basic) -> Any:
        if isinstance(e, sympy.Symbol) or (isinstance(e, sympy.Expr) and e.is_number):
            return leaf(e)
        if e is sympy.true or e is sympy.false:
            return bool(e)
        if isinstance(e, sympy.Piecewise):
            return next(value(piece) for piece, condition in e.args if value(condition))
        if isinstance(e, sympy.ITE):
            return value(e.args[1] if value(e.args[0]) else e.args[2])
        if isinstance(e, sympy.And | sympy.Or):
            return (all if isinstance(e, sympy.And) else any)(value(c) for c in e.args)
        if isinstance(e, sympy.Pow) and e.exp.is_number and e.exp.is_Rational:
            exponent = float(e.exp)
            assert sympy.Rational(exponent) == e.exp, e  # halves and quarters are exact
            return value(e.base) ** (int(exponent) if e.exp.is_Integer else exponent)
        operands = [value(a) for a in e.args]
        if isinstance(e, sympy.Add | sympy.Mul | sympy.Max | sympy.Min):
            return functools.reduce(functions[type(e).__name__], operands)
        return functions[type(e).__name__](*operands)

    return value(expression)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "Pow": operator.pow,
    "Max": max,
    "Min": min,
    "Abs": abs,
    "StrictGreaterThan": operator.gt,
    "GreaterThan": operator.ge,
    "StrictLessThan": operator.lt,
    "LessThan": operator.le,
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "Not": operator.not_,
}
_DUALS = _ARITHMETIC | {f.__name__: DUAL[name] for name, f in SYMPY_FUNCTIONS.items() if f.__name__ not in _ARITHMETIC and isinstance(f, type)}
_DUALS |= {"polygamma": lambda n, x: DUAL["digamma"](x) if n.value == 0 else _polygamma(int(n.value), x)}


def _on_duals(expression: sympy.Expr, point: Sequence[float], trace: Trace) -> Dual:
    """Return value, gradient and bounds of an expression, by the rules of this file."""
    duals = [variable(v, i, len(point), trace) for i, v in enumerate(point)]
    at = dict(zip(SYMBOLS, duals, strict=True))

    def leaf(e: sympy.Expr) -> Dual:
        if e in at:
            return at[e]
        number = constant(0.0, duals[0])
        number.value = MP.mpf(str(e.evalf(60)))
        number.slack = 0.0 if e.is_Rational and e.q & (e.q - 1) == 0 else 4 * EPS * abs(float(number.value))
        return number

    CURRENT.append(duals[0])
    try:
        return walk(expression, leaf, _DUALS)  # type: ignore[no-any-return]
    finally:
        CURRENT.pop()


def _digits(expression: sympy.Expr, point: Sequence[float]) -> Any:
    """Return the value of an expression at 50 digits, that of a step's derivative taken as 0."""
    at = dict(zip(SYMBOLS, map(MP.mpf, point), strict=True))
    return walk(expression, lambda e: at[e] if e in at else MP.mpf(str(e.evalf(60))), _FIFTY)


def _step(x: Any, at_zero: Any = None) -> Any:
    del at_zero
    if x == 0:
        raise Kink
    return MP.mpf(x > 0)


_FIFTY: dict[str, Callable[..., Any]] = _ARITHMETIC | {
    **{name: getattr(MP, name) for name in "sin cos tan exp atan sinh cosh tanh asinh erf erfc log sqrt gamma asin acos atanh acosh".split()},
    **{name: getattr(MP, name) for name in "sec csc cot acot asec acsc sech csch coth acsch acoth asech atan2 beta loggamma sign".split()},
    "polygamma": MP.psi,
    "Heaviside": _step,
    "DiracDelta": lambda *_: MP.mpf(0),
}


def _sympy_oracle(expression: sympy.Expr, point: Sequence[float]) -> tuple[Any, list[Any]]:
    """Return value and gradient at 50 digits as SymPy differentiates the expression."""
    # SymPy thinks of log(x) as complex, and of the derivative of its absolute value as unknown.
    plain = expression.replace(sympy.Abs, lambda u: sympy.Abs(u) if u.is_extended_real else sympy.sqrt(u**2))
    plain = plain.replace(sympy.sign, lambda u: sympy.sign(u) if u.is_extended_real else u / sympy.sqrt(u**2))
    return _digits(expression, point), [_digits(plain.diff(s), point) for s in SYMBOLS]


@pytest.mark.parametrize(("target", "numerics"), [("python", "stable"), ("python", "literal"), ("numpy", "stable"), ("numpy", "literal")])
@settings(max_examples=max(1, TOTAL // 80), phases=_PHASES)
@given(seed=st.integers(0, 2**64 - 1), steps=st.integers(2, 8))
def test_gradient_of_a_random_sympy_expression(target, numerics, seed, steps):
    source = random.Random(f"{seed} {target} {numerics}")
    point = [source.choice((-1, 1)) * source.randrange(200, 2500) / 1000 for _ in SYMBOLS]
    expression = Expressions(source, point).grow(steps)
    if not expression.free_symbols:
        return
    trace = Trace(literal=numerics == "literal")
    try:
        mine = _on_duals(expression, point, trace)
        value, slopes = _sympy_oracle(expression, point)
    except Kink:
        SEEN["kink"] += 1
        return
    # The two oracles agree to most of their digits: neither is trusted alone.
    for theirs, ours in zip((value, *slopes), (mine.value, *mine.gradient), strict=True):
        assert abs(theirs - ours) <= MP.mpf(10) ** -30 * (1 + abs(theirs)), expression
    compiled = compile_gradient(expression, target=target, numerics=numerics, check="off")
    order = [param.name for param, _ in compiled.emitted.params]
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        got, gradient = compiled(*[dict(zip("xyz", point, strict=True))[name] for name in order])
    # SymPy has reordered sums and products: the bound holds for its own order only, so it is widened.
    assert abs(float(got) - value) <= 32 * mine.slack + 32 * EPS * abs(float(value)), f"{expression} at {point}\n{compiled.source}"
    budget = 8 * (trace.operations + 4) * EPS
    for name, g in zip(order, gradient, strict=True):
        i = "xyz".index(name)
        bound = 32 * mine.slacks[i] + budget * mine.paths[i] + 1e-40
        assert abs(float(g) - slopes[i]) <= bound, f"d{name} = {g!r}, not {float(slopes[i])!r} +- {bound:.2g} of {expression} at {point}\n{compiled.source}"
