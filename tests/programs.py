"""
Random forward code: what `test_random_programs` compiles.

A `Writer` grows a program statement by statement and keeps the values at a few points beside the text, so that every function is
called inside its domain and nothing overflows: a program is generic, never lucky. Three flavours (`math`, `numpy`, `line`) say
which functions may be called and how a choice is written; three forms (`function`, `script`, `line`) say what the file looks like.

The values here are plain floats and only steer the writing; what is right is decided by the oracle of the test.
"""

from __future__ import annotations

import contextlib
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

#: Values at the points of a program.
Values = tuple[float, ...]

# Precedences of the text of an expression: the writer leaves out parentheses where Python lets it.
_CHOICE, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(10)

_LARGEST = 60.0
_SMALLEST = 1e-3


@dataclass(frozen=True)
class Known:
    """A function that programs call: how it is spelled in each flavour, and where."""

    impl: Callable[..., float]
    math: str | None = None
    numpy: str | None = None
    line: str | None = None
    arity: int = 1
    domain: Callable[..., bool] = lambda *_: True


def _both(name: str, impl: Callable[..., float], domain: Callable[..., bool] = lambda *_: True, *, numpy: str | None = None, arity: int = 1) -> Known:
    return Known(impl, f"math.{name}", f"np.{numpy or name}", name, arity, domain)


def _special(name: str, domain: Callable[..., bool] = lambda *_: True, *, arity: int = 1) -> Known:
    function = getattr(special, name)
    return Known(lambda *xs: float(function(*xs)), f"special.{name}", f"special.{name}", name, arity, domain)


def _line(name: str, impl: Callable[..., float], domain: Callable[..., bool] = lambda *_: True) -> Known:
    return Known(impl, line=name, domain=domain)


def _small(x: float) -> bool:
    return abs(x) < 4


def _inside(x: float) -> bool:
    return abs(x) < 0.95


def _outside(x: float) -> bool:
    return abs(x) > 1.05


def _positive(x: float) -> bool:
    return x > 0.01


def _apart(*xs: float) -> bool:
    return all(abs(x) > 0.05 for x in xs)


def _steep(x: float) -> bool:
    return abs(math.cos(x)) > 0.1 and abs(math.sin(x)) > 0.1


def _whole(x: float, y: float) -> bool:
    return abs(y) > 0.2 and abs(x / y - round(x / y)) > 1e-3


def _sinc(x: float) -> float:
    return math.sin(x) / x if x else 1.0


class Module:
    """A module with some functions of its own."""

    def __init__(self, real: Any, functions: dict[str, Callable[..., Any]]) -> None:
        self.real = real
        self.functions = functions

    def __getattr__(self, name: str) -> Any:
        return self.functions[name] if name in self.functions else getattr(self.real, name)


#: What programs call, on floats. Of floats `np.where` and `polygamma` give arrays of no axes, which `round` does not take, and which
#: `+=` would change under every name that they have.
_FLOATS = {f.__name__: lambda *xs, f=f: float(f(*xs)) for f in (np.where, special.polygamma)}
MODULES: dict[str, Any] = {"math": math, "np": Module(np, _FLOATS), "special": Module(special, _FLOATS)}

FUNCTIONS: dict[str, Known] = {
    "exp": _both("exp", math.exp, _small),
    "exp2": _both("exp2", math.exp2, _small),
    "expm1": _both("expm1", math.expm1, _small),
    "log": _both("log", math.log, _positive),
    "log1p": _both("log1p", math.log1p, lambda x: x > -0.95),
    "log2": _both("log2", math.log2, _positive),
    "log10": _both("log10", math.log10, _positive),
    "sqrt": _both("sqrt", math.sqrt, _positive),
    "cbrt": _both("cbrt", math.cbrt, _apart),
    "sin": _both("sin", math.sin),
    "cos": _both("cos", math.cos),
    "tan": _both("tan", math.tan, _steep),
    "asin": _both("asin", math.asin, _inside, numpy="arcsin"),
    "acos": _both("acos", math.acos, _inside, numpy="arccos"),
    "atan": _both("atan", math.atan, numpy="arctan"),
    "sinh": _both("sinh", math.sinh, _small),
    "cosh": _both("cosh", math.cosh, _small),
    "tanh": _both("tanh", math.tanh, _small),
    "asinh": _both("asinh", math.asinh, numpy="arcsinh"),
    "acosh": _both("acosh", math.acosh, lambda x: x > 1.05, numpy="arccosh"),
    "atanh": _both("atanh", math.atanh, _inside, numpy="arctanh"),
    "atan2": _both("atan2", math.atan2, _apart, numpy="arctan2", arity=2),
    "hypot": _both("hypot", math.hypot, _apart, arity=2),
    "fmod": _both("fmod", math.fmod, _whole, arity=2),
    "fabs": _both("fabs", math.fabs, _apart),
    "abs": Known(abs, "abs", "np.abs", "abs", 1, _apart),
    "floor": _both("floor", math.floor, lambda x: _whole(x, 1.0)),
    "ceil": _both("ceil", math.ceil, lambda x: _whole(x, 1.0)),
    "trunc": _both("trunc", math.trunc, lambda x: _whole(x, 1.0)),
    "round": Known(round, "round", "np.round", "round", 1, lambda x: _whole(x + 0.5, 1.0)),
    "pow": Known(math.pow, "math.pow", "np.power", "pow", 2, lambda x, y: x > 0.05 and x < 8 and abs(y) < 4),
    "max": Known(max, "max", "np.maximum", "max", 2),
    "min": Known(min, "min", "np.minimum", "min", 2),
    "sign": Known(lambda x: math.copysign(1.0, x), None, "np.sign", "sign", 1, _apart),
    "logaddexp": Known(lambda x, y: float(np.logaddexp(x, y)), None, "np.logaddexp", "logaddexp", 2),
    "heaviside": Known(lambda x, _: float(x > 0), None, "np.heaviside", "heaviside", 2, lambda x, _: _apart(x)),
    "square": Known(lambda x: x * x, None, "np.square", "square"),
    "reciprocal": Known(lambda x: 1.0 / x, None, "np.reciprocal", "reciprocal", 1, _apart),
    "normal_sinc": Known(lambda x: _sinc(math.pi * x), None, "np.sinc", None, 1, _apart),
    "radians": _both("radians", math.radians),
    "erf": Known(math.erf, "math.erf", "special.erf", "erf", 1, _small),
    "erfc": Known(math.erfc, "math.erfc", "special.erfc", "erfc", 1, _small),
    "gamma": Known(math.gamma, "math.gamma", "special.gamma", "gamma", 1, lambda x: 0.1 < x < 5),
    "lgamma": Known(math.lgamma, "math.lgamma", "special.gammaln", "lgamma", 1, _positive),
    "digamma": _special("digamma", lambda x: x > 0.1),
    "erfinv": _special("erfinv", _inside),
    "expit": _special("expit", _small),
    "beta": _special("beta", lambda x, y: 0.1 < x < 6 and 0.1 < y < 6, arity=2),
    "sec": _line("sec", lambda x: 1 / math.cos(x), _steep),
    "csc": _line("csc", lambda x: 1 / math.sin(x), _steep),
    "cot": _line("cot", lambda x: 1 / math.tan(x), _steep),
    "asec": _line("asec", lambda x: math.acos(1 / x), _outside),
    "acsc": _line("acsc", lambda x: math.asin(1 / x), _outside),
    "acot": _line("acot", lambda x: math.atan(1 / x), _apart),
    "sech": _line("sech", lambda x: 1 / math.cosh(x), _small),
    "csch": _line("csch", lambda x: 1 / math.sinh(x), lambda x: _small(x) and _apart(x)),
    "coth": _line("coth", lambda x: 1 / math.tanh(x), lambda x: _small(x) and _apart(x)),
    "asech": _line("asech", lambda x: math.acosh(1 / x), lambda x: 0.05 < x < 0.95),
    "acsch": _line("acsch", lambda x: math.asinh(1 / x), _apart),
    "acoth": _line("acoth", lambda x: math.atanh(1 / x), _outside),
    "sigmoid": _line("sigmoid", lambda x: 1 / (1 + math.exp(-x)), _small),
    "softplus": _line("softplus", lambda x: math.log(1 + math.exp(x)), _small),
    "relu": _line("relu", lambda x: max(x, 0.0), _apart),
    "sinc": _line("sinc", _sinc, _apart),
}

#: Marks a return in the middle, and where the result for a second output begins.
_RETURN, _SECOND = "return \0", "\0\0"

#: Names for values: some short, some telling, some that a gradient or a temporary would like to have.
_NAMES = "a b c e h q s z t0 t1 x0 v1 num den sigx xpy dx da df dden out total lam beta_ gamma_ f g d tmp x_ sq _u el"
_INPUTS = "x y z w u dx t0 a1 theta x1"


@dataclass(frozen=True)
class Sample:
    """
    One random program.

    Attributes:
        text: What the compiler reads.
        flavour: `math`, `numpy` or `line`.
        form: `function`, `script` or `line`.
        inputs: The names of the inputs in order.
        points: For each point the value of each input; a list for an input that is a list.
        run: Python source of the same computation: it reads the inputs by name and binds `_result`, a tuple of outputs.
        result: The name of the first output.
    """

    text: str
    flavour: str
    form: str
    inputs: tuple[str, ...]
    points: tuple[tuple[Any, ...], ...]
    run: str
    result: str
    size: int = field(compare=False, default=0)

    def __repr__(self) -> str:
        return f"Sample({self.flavour}, {self.form}, at {self.points}):\n{self.text}"


class _Rejected(Exception):
    """The expression at hand has no value at a point."""


@dataclass(frozen=True)
class _Term:
    text: str
    level: int
    values: Values

    def at(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


class Writer:
    """
    Writes one program.

    Args:
        random: Where choices come from.
        flavour: `math`, `numpy` or `line`.
        form: `function`, `script` or `line`.
        points: At how many points the program is evaluated.
        lists: Whether inputs may be lists.
    """

    def __init__(self, random: random.Random, *, flavour: str, form: str, points: int = 1, lists: bool = False) -> None:
        self.random = random
        self.flavour = flavour
        self.form = form
        self.count = points
        self.allow_lists = lists
        self.functions = {n: k for n, k in FUNCTIONS.items() if getattr(k, flavour)}
        self.scalars: dict[str, Values] = {}
        self.lists: dict[str, list[Values]] = {}
        self.inputs: list[tuple[str, Any]] = []
        self.lines: list[str] = []
        self.helpers: list[str] = []
        self.helper_names: list[tuple[str, int]] = []
        self.size = 0
        self.fresh: list[str] = []

    # -- choices

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def choose(self, options: Sequence[Any]) -> Any:
        return options[self.random.randrange(len(options))]

    def number(self) -> float:
        """Return a point in [-3, 3], away from 0."""
        size = self.random.randrange(60, 3000) / 1000
        if size == 1.0:  # `x = 1` and `x *= ...` after it start a product: no input
            size = 1.001
        if self.chance(50):
            size = size + self.random.randrange(1, 10**6) * 1e-9
        return -size if self.chance(50) else size

    def name(self) -> str:
        """Return a name for a value: a new one, or one that is taken already and so gets another value."""
        if self.scalars and self.chance(20):
            return str(self.choose(list(self.scalars)))
        taken = {*self.scalars, *self.lists}
        free = [n for n in _NAMES.split() if n not in taken] or [f"v{len(taken)}"]
        return str(self.choose(free))

    # -- expressions

    def literal(self) -> _Term:
        text = str(
            self.choose(("2", "3", "0.5", "1.5", "0.1", "1", "1.0", "2.5", "0.3", "-1.5", "-2", "1e-2", "4.0", "math.pi" if self.flavour == "math" else "0.7"))
        )
        value = math.pi if text == "math.pi" else float(text)
        return _Term(text, _SIGN if text.startswith("-") else _ATOM, (value,) * self.count)

    def atom(self) -> _Term:
        if self.lists and self.chance(25):
            name = self.choose(list(self.lists))
            index = self.random.randrange(len(self.lists[name]))
            shown = index - len(self.lists[name]) if self.chance(15) and name not in dict(self.inputs) else index
            return _Term(f"{name}[{shown}]", _ATOM, self.lists[name][index])
        if self.scalars and self.chance(85):
            # Names that nothing has read yet come first, so that little of a program is dead.
            name = self.choose(self.fresh) if self.fresh and self.chance(50) else self.choose(list(self.scalars))
            return _Term(name, _ATOM, self.scalars[name])
        return self.literal()

    def expression(self, depth: int) -> _Term:
        """Return a random expression no deeper than `depth`."""
        for _ in range(4):
            try:
                term = self._expression(depth)
            except (_Rejected, ArithmeticError, ValueError):
                continue
            if all(_SMALLEST < abs(v) < _LARGEST for v in term.values):
                return term
        return self.atom()

    def _expression(self, depth: int) -> _Term:
        if depth <= 0:
            return self.atom()
        self.size += 1
        kind = self.random.randrange(100)
        if kind < 34:
            return self._operation(depth)
        if kind < 74:
            return self._call(depth)
        if kind < 80:
            inner = self.expression(depth - 1)
            return _Term(f"-{inner.at(_SIGN)}", _SIGN, tuple(-v for v in inner.values))
        if kind < 88:
            return self._power(depth)
        if kind < 92 and self.helper_names:
            name, arity = self.choose(self.helper_names)
            args = [self.expression(depth - 1) for _ in range(arity)]
            return self._evaluated(f"{name}({', '.join(a.at(_CHOICE) for a in args)})")
        if kind < 94:
            return self._several(depth)
        return self._choice(depth)

    def _operation(self, depth: int) -> _Term:
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        symbol = self.choose("++--***//%" if self.chance(30) else "+-*/")
        pairs = list(zip(left.values, right.values, strict=True))
        if symbol == "%":
            if not all(_whole(x, y) for x, y in pairs):
                raise _Rejected
            return _Term(f"{left.at(_PRODUCT)} % {right.at(_SIGN)}", _PRODUCT, tuple(x % y for x, y in pairs))
        if symbol == "/":
            if not all(abs(y) > 0.01 for y in right.values):
                raise _Rejected
            return _Term(f"{left.at(_PRODUCT)} / {right.at(_SIGN)}", _PRODUCT, tuple(x / y for x, y in pairs))
        if symbol == "*":
            return _Term(f"{left.at(_PRODUCT)} * {right.at(_SIGN)}", _PRODUCT, tuple(x * y for x, y in pairs))
        if symbol == "-":
            return _Term(f"{left.at(_SUM)} - {right.at(_PRODUCT)}", _SUM, tuple(x - y for x, y in pairs))
        return _Term(f"{left.at(_SUM)} + {right.at(_PRODUCT)}", _SUM, tuple(x + y for x, y in pairs))

    def _call(self, depth: int) -> _Term:
        first = self.expression(depth - 1)
        second = self.expression(depth - 1) if self.chance(35) else None
        usable = []
        for known in self.functions.values():
            if known.arity == 2 and second is None:
                continue
            if known.numpy == "np.reciprocal" and not self._depends(first.text):
                continue  # NumPy's reciprocal of the integer 3 is the integer 0
            rows = list(zip(first.values, second.values, strict=True)) if known.arity == 2 and second else [(v,) for v in first.values]
            if all(known.domain(*row) for row in rows):
                usable.append((known, rows))
        pairs = [u for u in usable if u[0].arity == 2]
        known, rows = self.choose(pairs if pairs and self.chance(70) else usable)
        args = first.at(_CHOICE) + (f", {second.at(_CHOICE)}" if known.arity == 2 and second else "")
        return _Term(f"{getattr(known, self.flavour)}({args})", _ATOM, tuple(float(known.impl(*row)) for row in rows))

    def _power(self, depth: int) -> _Term:
        base = self.expression(depth - 1)
        whole = self.chance(70)
        exponent = str(self.choose(("2", "3", "2", "4", "5", "-1", "-2", "2.0", "0", "1"))) if whole else str(self.choose(("0.5", "1.5", "-0.5", "2.5")))
        if any(abs(v) < 0.05 for v in base.values) or (not whole and any(v < 0.05 for v in base.values)):
            raise _Rejected
        return _Term(f"{base.at(_ATOM)} ** {exponent}", _POWER, tuple(v ** float(exponent) if whole else math.pow(v, float(exponent)) for v in base.values))

    def _several(self, depth: int) -> _Term:
        """Return what takes several operands: max, min, clip, polygamma, a sum of a list."""
        if self.lists and self.chance(50):
            name = self.choose(list(self.lists))
            rows = list(zip(*self.lists[name], strict=True))
            function: Any = self.choose((sum, max, min))
            return _Term(f"{function.__name__}({name})", _ATOM, tuple(float(function(row)) for row in rows))
        first = self.expression(depth - 1)
        if self.chance(40):
            order = self.choose((1, 2))
            if not all(0.1 < v < 20 for v in first.values):
                raise _Rejected
            spelled = "polygamma" if self.flavour == "line" else "special.polygamma"
            return _Term(f"{spelled}({order}, {first.at(_CHOICE)})", _ATOM, tuple(float(special.polygamma(order, v)) for v in first.values))
        if self.flavour == "math":
            others = [self.expression(depth - 1), self.expression(depth - 1)]
            rows = list(zip(first.values, *[o.values for o in others], strict=True))
            which: Any = self.choose((max, min))
            return _Term(f"{which.__name__}({', '.join(t.at(_CHOICE) for t in (first, *others))})", _ATOM, tuple(which(row) for row in rows))
        low, high = self.choose(((-0.5, 0.75), (0.0, 1.0), (-2.0, 2.0)))
        name = "clip" if self.flavour == "line" else "np.clip"
        return _Term(f"{name}({first.at(_CHOICE)}, {low}, {high})", _ATOM, tuple(min(max(v, low), high) for v in first.values))

    def condition(self, depth: int) -> tuple[str, tuple[bool, ...]]:
        """Return a condition, which needs parentheses as an operand."""
        if self.flavour != "numpy" and self.chance(15):
            with contextlib.suppress(_Rejected):
                return self._short_circuit(depth)
        left, right = self.expression(depth - 1), self.literal() if self.chance(50) else self.expression(depth - 1)
        symbol = self.choose(("<", ">", "<=", ">=", ">", "<", "!=", "=="))
        compare: dict[str, Callable[[float, float], bool]] = {
            "<": lambda a, b: a < b,
            ">": lambda a, b: a > b,
            "<=": lambda a, b: a <= b,
            ">=": lambda a, b: a >= b,
            "==": lambda a, b: a == b,
            "!=": lambda a, b: a != b,
        }
        truths = tuple(compare[symbol](a, b) for a, b in zip(left.values, right.values, strict=True))
        text = f"{left.at(_SUM)} {symbol} {right.at(_SUM)}"
        if depth > 1 and self.chance(20):
            other, more = self.condition(depth - 1)
            use_or = self.chance(50)
            word = ("|" if use_or else "&") if self.flavour == "numpy" else ("or" if use_or else "and")
            text = f"({text}) {word} ({other})"
            truths = tuple((a or b) if use_or else (a and b) for a, b in zip(truths, more, strict=True))
        elif self.chance(8):
            text = f"np.logical_not({text})" if self.flavour == "numpy" else f"not ({text})" if self.chance(50) else f"not {text}"
            truths = tuple(not t for t in truths)
        return text, truths

    def _short_circuit(self, depth: int) -> tuple[str, tuple[bool, ...]]:
        """Return a condition whose second half may be outside its domain where the first decides."""
        inner = self.expression(depth - 1)
        known, bound = self.choose((("log", 0.0), ("sqrt", 0.0), ("acosh", 1.0), ("log10", 0.0)))
        function = self.functions[known]
        if any(abs(v - bound) < 0.05 for v in inner.values) or not self._depends(inner.text):
            raise _Rejected
        limit = float(self.choose((0.25, 0.5, 1.25)))
        call = f"{getattr(function, self.flavour)}({inner.at(_CHOICE)})"
        truths = tuple(v > bound and function.impl(v) > limit for v in inner.values)
        if self.chance(50):
            return f"{inner.at(_SUM)} > {bound} and {call} > {limit}", truths
        return f"{inner.at(_SUM)} <= {bound} or {call} <= {limit}", tuple(not t for t in truths)

    def _choice(self, depth: int) -> _Term:
        if self.chance(40):
            return self._guarded(depth)
        condition, truths = self.condition(depth)
        yes, no = self.expression(depth - 1), self.expression(depth - 1)
        values = tuple(a if t else b for t, a, b in zip(truths, yes.values, no.values, strict=True))
        return self._select(condition, yes, no, values)

    def _select(self, condition: str, yes: _Term, no: _Term, values: Values) -> _Term:
        if self.flavour == "numpy":
            return _Term(f"np.where({condition}, {yes.text}, {no.text})", _ATOM, values)
        return _Term(f"{yes.at(_OR)} if {condition} else {no.at(_CHOICE)}", _CHOICE, values)

    def _guarded(self, depth: int) -> _Term:
        """Return a choice whose branch not taken may lie outside its domain."""
        inner = self.expression(depth - 1)
        other = self.expression(depth - 1)
        known, bound = self.choose((("log", 0.0), ("sqrt", 0.0), ("acosh", 1.0), ("log10", 0.0), ("gamma", 0.0)))
        function = self.functions[known]
        # Of constants alone, the branch not taken has no value at all, and is refused.
        if any(abs(v - bound) < 0.05 or v > 5 for v in inner.values) or not self._depends(inner.text):
            raise _Rejected
        call = _Term(f"{getattr(function, self.flavour)}({inner.at(_CHOICE)})", _ATOM, ())
        values = tuple(float(function.impl(v)) if v > bound else o for v, o in zip(inner.values, other.values, strict=True))
        if self.chance(50):
            return self._select(f"{inner.at(_SUM)} > {bound}", call, other, values)
        return self._select(f"{inner.at(_SUM)} <= {bound}", other, call, values)

    def _evaluated(self, text: str) -> _Term:
        """Return the text of an atom with the values that Python gives it."""
        return _Term(text, _ATOM, tuple(float(eval(text, self._namespace(k))) for k in range(self.count)))

    # -- statements

    def _namespace(self, point: int) -> dict[str, Any]:
        namespace = dict(MODULES)
        namespace |= {k.line: k.impl for k in FUNCTIONS.values() if k.line and self.flavour == "line"}
        if self.helpers:
            exec("\n".join(self.helpers), namespace)
        namespace |= {name: values[point] for name, values in self.scalars.items()}
        return namespace | {name: [v[point] for v in items] for name, items in self.lists.items()}

    def _bind(self, name: str, values: Values) -> None:
        self.scalars[name] = values
        if name in self.fresh:
            self.fresh.remove(name)
        self.fresh.append(name)

    def _depends(self, text: str) -> bool:
        """Say whether a text mentions a value: in a script, a name bound to a number alone would be an input."""
        return any(word in self.scalars or word in self.lists for word in re.findall(r"\w+", text))

    def _used(self, text: str) -> None:
        words = set(re.findall(r"\w+", text))
        self.fresh = [n for n in self.fresh if n not in words]

    def statement(self) -> None:
        """Write one statement, or a few that belong together."""
        kind = self.random.randrange(100)
        if self.form == "line" or kind < 50:
            self._assign()
        elif kind < 62:
            self._augment()
        elif kind < 70:
            self._swap()
        elif kind < 80:
            self._make_list()
        elif kind < 88:
            self._loop()
        elif kind < 97:
            self._branch()
        else:
            self._return()

    def _assign(self) -> None:
        term = self.expression(self.choose((1, 2, 2, 3)))
        if not self._depends(term.text):
            return
        name = self.name()
        self.lines.append(f"{name} = {term.text}")
        self._used(term.text)
        self._bind(name, term.values)

    def _augment(self) -> None:
        if not self.scalars:
            return
        name = self.choose(list(self.scalars))
        term = self.expression(2)
        self._try([f"{name} {self.choose(('+=', '-=', '*=', '+='))} {term.text}"], [name])

    def _swap(self) -> None:
        if len(self.scalars) < 2:
            return
        first, second = self.choose(list(self.scalars)), self.choose(list(self.scalars))
        if first == second:
            return
        values = self.expression(1).text, self.expression(1).text
        if all(map(self._depends, values)):
            self._try([f"{first}, {second} = {values[0]}, {values[1]}"], [first, second])

    def _make_list(self) -> None:
        taken = {*self.scalars, *self.lists}
        free = [n for n in ("row", "ws", "parts") if n not in taken]
        if not free:
            return
        items = [self.expression(1) for _ in range(self.choose((2, 3)))]
        if not all(self._depends(i.text) for i in items):
            return
        lines = [f"{free[0]} = [{', '.join(i.text for i in items)}]"]
        if self.chance(30):
            lines = [f"{free[0]} = [{self.choose(('t * t', 't + 1', '2 * t', '-t'))} for t in ({', '.join(i.text for i in items)})]"]
        if self.chance(25) and self._depends(more := self.expression(1).text):
            lines.append(f"{free[0]}.append({more})")
        self._try(lines, [free[0]])

    def _loop(self) -> None:
        if not self.scalars:
            return
        name = self.choose(list(self.scalars))
        sin = {"math": "math.sin", "numpy": "np.sin"}[self.flavour]
        tanh = {"math": "math.tanh", "numpy": "np.tanh"}[self.flavour]
        other = self.atom()
        start = "" if self.chance(70) else "1, "
        stop = self.choose((2, 3, 4))
        if self.lists and self.chance(50):
            listed = self.choose(list(self.lists))
            header, each = f"for i in range({len(self.lists[listed])}):", f"{listed}[i]"
            if self.chance(50) and listed not in dict(self.inputs):
                header, each = f"for k, item in enumerate({listed}):", "item"
        else:
            header, each = f"for i in range({start}{stop}):", "i"
        body = self.choose(
            (
                f"{name} = {sin}({name}) * {other.at(_SIGN)} + {each}",
                f"{name} += {each} * {other.at(_SIGN)}",
                f"{name} = {tanh}({name} + {each} * {other.at(_SIGN)})",
                f"{name} = {name} * 0.5 + {each}",
            ),
        )
        self._try([header, f"    {body}"], [name])

    def _branch(self) -> None:
        condition, _ = self.condition(1)
        if self.flavour == "numpy" and "np." in condition:
            return
        name = self.name()
        yes, no = self.expression(2).text, self.expression(2).text
        if not all(map(self._depends, (condition, yes, no))):
            return
        lines = [f"if {condition}:", f"    {name} = {yes}"]
        if name not in self.scalars or self.chance(50):
            lines += ["else:", f"    {name} = {no}"]
        self._try(lines, [name])

    def _return(self) -> None:
        """Write a return under a condition; what follows is written as if it were not taken."""
        if self.form != "function" or not self.scalars:
            return
        condition, _ = self.condition(1)
        if self.flavour == "numpy" and "np." in condition:
            return
        results = self.expression(2).text, self.atom().text
        if all(map(self._depends, (condition, *results))):
            self.lines += [f"if {condition}:", f"    {_RETURN}{results[0]}{_SECOND}{results[1]}"]

    def _try(self, lines: list[str], changed: list[str]) -> None:
        """Keep the lines if what they change is finite and of moderate size at every point."""
        code = compile("\n".join(lines), "<statement>", "exec")
        results = []
        with np.errstate(all="ignore"):
            for k in range(self.count):
                namespace = self._namespace(k)
                try:
                    exec(code, namespace)
                except (ArithmeticError, ValueError):
                    return
                results.append([namespace[name] for name in changed])
        flat = [v for row in results for value in row for v in (value if isinstance(value, list) else [value])]
        if any(isinstance(v, complex) or not _SMALLEST < abs(v) < _LARGEST for v in flat):
            return
        self.lines += lines
        self.size += 2
        self._used("\n".join(lines))
        for i, name in enumerate(changed):
            if isinstance(results[0][i], list):
                self.lists[name] = [tuple(float(row[i][j]) for row in results) for j in range(len(results[0][i]))]
            else:
                self._bind(name, tuple(float(row[i]) for row in results))

    # -- the file

    def _start(self) -> None:
        names = _INPUTS.split()
        for _ in range(self.choose((1, 2, 2, 3, 3, 4))):
            name = names.pop(self.random.randrange(len(names)))
            if self.allow_lists and self.chance(20):
                items = [tuple(self.number() for _ in range(self.count)) for _ in range(self.choose((2, 3)))]
                self.lists[name] = items
                self.inputs.append((name, items))
            else:
                values = tuple(float(self.number()) for _ in range(self.count))
                if self.form == "script" and self.chance(20):
                    values = tuple(float(self.choose((-3, -2, 2, 3, 4))) for _ in range(self.count))
                self._bind(name, values)
                self.inputs.append((name, values))
        if self.form != "line" and self.chance(25):
            body = self.choose(("t * t + 1", "math.sin(t) * 2" if self.flavour == "math" else "np.sin(t) * 2", "t / (1 + t * t)", "t * (t - 0.5)"))
            style = self.random.randrange(3)
            name = "helper"
            if style == 0:
                self.helpers, arity = [f"def {name}(t):", f"    r = {body}", "    return r - 0.25 * t", ""], 1
            elif style == 1:
                self.helpers, arity = [f"{name} = lambda t, u: {body} + u * 0.5", ""], 2
            else:
                self.helpers, arity = [f"def {name}(t, u, scale=2.0):", f"    return scale * ({body}) - u", ""], 2
            self.helper_names.append((name, arity))

    def write(self, statements: int) -> Sample:
        """Write a program of about so many statements."""
        with np.errstate(all="ignore"):
            self._start()
            inputs = dict(self.inputs)
            for _ in range(statements):
                self.statement()
            final = self._result()
        outputs = [final]
        if self.form == "function" and self.chance(20):
            outputs.append(self.choose(list(self.scalars)))
        return self._file(inputs, list(dict.fromkeys(outputs)))

    def _result(self) -> str:
        """Combine what nothing has read yet, so that the whole program counts."""
        pending = list(self.fresh) or [self.choose(list(self.scalars))] if self.scalars else []
        pieces = pending + [f"{n}[{i}]" for n, items in self.lists.items() for i in range(len(items))]
        text = pieces[0]
        for piece in pieces[1:]:
            text += f" {self.choose('+-*')} {piece}"
        free = next(n for n in ("result", "loss", "final") if n not in self.scalars)
        self.lines.append(f"{free} = {text}")
        self.scalars[free] = ()
        return free

    def _file(self, inputs: dict[str, Any], outputs: list[str]) -> Sample:
        names = tuple(inputs)
        points = tuple(tuple([row[k] for row in value] if isinstance(value, list) else value[k] for value in inputs.values()) for k in range(self.count))
        header = {"math": ["import math"], "numpy": ["import numpy as np"], "line": []}[self.flavour]
        body = "\n".join(self.lines)
        several = len(outputs) > 1
        written = [re.sub(f"{_SECOND}.*", lambda m: m[0].replace(_SECOND, ", ") if several else "", line) for line in self.lines]
        plain = [line.replace(_RETURN, "return ") for line in written]
        tupled = [line.replace(_RETURN, "return (") + ",)" if _RETURN in line else line for line in written]
        if "math." in body + "".join(self.helpers) and "import math" not in header:
            header.append("import math")
        if "special." in body:
            header.append("from scipy import special")
        returned = ", ".join(outputs)
        runner = [*self.helpers, *self.lines, f"_result = ({returned},)"]
        if self.form == "function":
            arguments = ", ".join(names)
            runner = [
                *self.helpers,
                f"def forward({arguments}):",
                *[f"    {line}" for line in tupled],
                f"    return ({returned},)",
                f"_result = forward({arguments})",
            ]
            lines = [*header, "", *self.helpers, f"def forward({', '.join(names)}):", *[f"    {line}" for line in plain], f"    return {returned}"]
        elif self.form == "script":
            starts = [f"{name} = {_shown(value)}" for name, value in zip(names, points[0], strict=True)]
            lines = [*header, "", *self.helpers, *starts, *self.lines]
        else:
            expression = self.lines[-1].partition(" = ")[2]
            lines = ["; ".join([*self.lines[:-1], expression])]
        return Sample(
            "\n".join(lines) + ("\n" if self.form != "line" else ""), self.flavour, self.form, names, points, "\n".join(runner) + "\n", outputs[0], self.size
        )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(int(value)) if value == int(value) else repr(value)


def sample(
    source: random.Random, *, flavour: str | None = None, form: str | None = None, points: int = 1, lists: bool = False, statements: int | None = None
) -> Sample:
    """Return a random program; what is not given is chosen."""
    flavour = flavour or source.choice(("math", "numpy", "line"))
    form = "line" if flavour == "line" else form or source.choice(("function", "function", "script"))
    length = source.choice((1, 2, 3, 4, 5, 6, 8, 12)) if statements is None else statements
    return Writer(source, flavour=flavour, form=form, points=points, lists=lists and form != "line").write(length)
