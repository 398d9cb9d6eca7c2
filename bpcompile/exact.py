"""
Arithmetic at 50 digits: exact constants, and the functions of `math`, NumPy and SciPy written with mpmath.

A function here never raises for its argument: outside its real domain it yields nan, so that a branch that is not taken can be
evaluated without harm. Only where a result would be too large to hold does it raise, `TooLarge`: no point to compare at.

A double that is the nearest one to a short decimal, a small fraction or a well-known constant stands for that number: `0.1`,
`0.3333333333333333`, `3.141592653589793`. All sides of a comparison read their constants through `exact`, so they speak of the
same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import mpmath
import sympy
from mpmath import mp

#: Digits that results are promised to, and digits worked with.
DIGITS: Final = 50
WORKING_DIGITS: Final = 65

Function = Callable[..., Any]


@lru_cache(maxsize=1)
def _known() -> dict[float, sympy.Expr]:
    """Return the well-known constants by their double."""
    pi, two = sympy.pi, sympy.Integer(2)
    roots = [*map(sympy.sqrt, (two, 3, 5, pi, 2 * pi)), *map(sympy.log, (2, 3, 10, pi, 2 * pi))]
    bases = [pi, pi**2, sympy.E, sympy.GoldenRatio, sympy.EulerGamma, *roots]
    factors = [sympy.Rational(p, q) for p, q in ((1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 3), (1, 4), (1, 6), (1, 180), (2, 3))]
    found: dict[float, sympy.Expr] = {}
    for base in bases:
        for factor in factors:
            for power in (1, -1):
                value = factor * base**power
                found.setdefault(float(value), value)
    return found


@lru_cache(maxsize=65536)
def _exact(value: float) -> sympy.Expr:
    if math.isnan(value):
        return sympy.nan
    if math.isinf(value):
        return sympy.oo if value > 0 else -sympy.oo
    text = repr(value)
    if len(text.split("e", maxsplit=1)[0].strip("-").replace(".", "").strip("0")) <= 12:
        short = Fraction(text)
        return sympy.Rational(short.numerator, short.denominator)
    small = Fraction(value).limit_denominator(1000)
    if float(small) == value:
        return sympy.Rational(small.numerator, small.denominator)
    known = _known().get(abs(value))
    if known is not None:
        return known if value > 0 else -known
    plain = Fraction(value)
    return sympy.Rational(plain.numerator, plain.denominator)


def exact(value: float) -> sympy.Expr:
    """
    Return the number that a written literal stands for.

    >>> exact(0.1), exact(2.0), exact(1 / 3), exact(3.141592653589793)
    (1/10, 2, 1/3, pi)
    """
    if isinstance(value, bool):
        return sympy.true if value else sympy.false
    return sympy.Integer(value) if isinstance(value, int) else _exact(float(value))


@lru_cache(maxsize=65536)
def _exact_mpf(value: float, kind: type) -> Any:
    number = exact(kind(value))
    with mp.workdps(WORKING_DIGITS):
        if number.is_Rational:
            return mp.mpf(number.p) / mp.mpf(number.q)
        if number is sympy.nan:
            return mp.nan
        if number in (sympy.oo, -sympy.oo):
            return mp.inf if number is sympy.oo else -mp.inf
        return mp.mpf(str(sympy.N(number, WORKING_DIGITS + 20)))


def exact_mpf(value: float) -> Any:
    """Return the number that a literal stands for as an `mpf`; a truth value stays as it is."""
    return value if isinstance(value, bool) else _exact_mpf(value, type(value))  # type: ignore[arg-type]  # a class is hashable, whatever its instances are


def as_double(value: Any) -> Any:
    """Return an `mpf` of exactly this double (the value of an input, not a written constant)."""
    return mp.mpf(value)


#: Beyond this exponent of two, `exp` of the value would need more memory than there is.
_HUGE_EXPONENT: Final = 40
_HUGE_ANGLE: Final = 20_000


class TooLarge(ArithmeticError):  # noqa: N818  a property of a point, not an error
    """The result would need more memory than there is."""


def lenient(function: Function, *, exponent: int = _HUGE_ANGLE) -> Function:
    """Return the function with nan for everything that is not a real number, and `TooLarge` for arguments above 2**exponent."""

    def call(*args: Any) -> Any:
        try:
            numbers = [a if isinstance(a, mpmath.mpf) else mp.mpf(a) for a in args]
        except TypeError:
            return mp.nan  # a complex number
        for number in numbers:
            # mp.mag of infinity is infinite: infinities go through, what is merely huge does not.
            if mp.isfinite(number) and number and mp.mag(number) > exponent:
                raise TooLarge
        try:
            result = function(*numbers)
        except (ValueError, ArithmeticError, TypeError, mpmath.libmp.NoConvergence):
            return mp.nan
        if isinstance(result, mpmath.mpc):
            return result.real if result.imag == 0 else mp.nan
        return result

    return call


def divide(a: Any, b: Any) -> Any:
    """Divide; by zero it is nan or an infinity, as in NumPy."""
    try:
        return mp.mpf(a) / mp.mpf(b)
    except ZeroDivisionError:
        return mp.nan if not a or mp.isnan(a) else mp.inf * mp.sign(a)


def power(a: Any, b: Any) -> Any:
    """Raise to a power; nan where that is not a real number."""
    a, b = mp.mpf(a), mp.mpf(b)
    if a == 0 and b < 0:
        return mp.inf
    if mp.isfinite(a) and a and mp.isfinite(b) and b and mp.mag(b) + mp.mag(mp.mag(a)) > _HUGE_EXPONENT:
        raise TooLarge
    try:
        result = a**b
    except (ValueError, ArithmeticError):
        return mp.nan
    if isinstance(result, mpmath.mpc):
        return result.real if result.imag == 0 else mp.nan
    return result


def modulo(a: Any, b: Any) -> Any:
    """Return `a % b` with the sign of the divisor."""
    return mp.nan if b == 0 else a - b * mp.floor(mp.mpf(a) / b)


def floor_divide(a: Any, b: Any) -> Any:
    """Return `a // b`."""
    return mp.floor(divide(a, b))


def _sign(x: Any) -> Any:
    return mp.mpf((x > 0) - (x < 0)) if not mp.isnan(x) else mp.nan


def _heaviside(x: Any, at_zero: Any = 0.5) -> Any:
    return mp.nan if mp.isnan(x) else mp.mpf(0) if x < 0 else mp.mpf(1) if x > 0 else mp.mpf(at_zero)


def _trunc(x: Any) -> Any:
    return mp.floor(x) if x >= 0 else mp.ceil(x)


def _log(x: Any, base: Any = None) -> Any:
    return mp.log(x) if base is None else mp.log(x) / mp.log(base)


def _minimum(*args: Any) -> Any:
    result = args[0]
    for a in args[1:]:
        result = a if a < result or a != a else result  # noqa: PLR0124  nan spreads
    return result


def _maximum(*args: Any) -> Any:
    result = args[0]
    for a in args[1:]:
        result = a if a > result or a != a else result  # noqa: PLR0124  nan spreads
    return result


def _logaddexp(x: Any, y: Any) -> Any:
    return _maximum(x, y) + mp.log1p(mp.exp(-abs(x - y)))


def _hypot(*args: Any) -> Any:
    return mp.sqrt(mp.fsum(a * a for a in args))


def psi(order: Any, x: Any) -> Any:
    """Return the polygamma function; mpmath steps up from a negative x one by one."""
    n = int(order)
    if not mp.isfinite(x) or x > -20:  # so many steps cost little
        return mp.psi(n, x)
    # psi(n, x) + (-1)**(n + 1) * psi(n, 1 - x) has period 1: take it at the fractional part.
    fraction = x - mp.floor(x)
    if not fraction:
        return mp.nan
    return mp.psi(n, fraction) + (-1) ** (n + 1) * (mp.psi(n, 1 - fraction) - mp.psi(n, 1 - x))


_LARGE: Final = {
    "exp": mp.exp,
    "exp2": lambda x: mp.mpf(2) ** x,
    "expm1": mp.expm1,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "gamma": mp.gamma,
    "lgamma": lambda x: mp.log(abs(mp.gamma(x))) if x < 0 else mp.loggamma(x),
    "digamma": lambda x: psi(0, x),
    "polygamma": psi,
    "beta": mp.beta,
    "betaln": lambda a, b: mp.log(abs(mp.beta(a, b))),
    "expit": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: _logaddexp(x, mp.mpf(0)),
    "logaddexp": _logaddexp,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "tanh": mp.tanh,
    "sech": mp.sech,
    "csch": mp.csch,
    "coth": mp.coth,
}
_MODERATE: Final = {
    "log": _log,
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.cbrt(x) if x >= 0 else -mp.cbrt(-x),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "atan2": mp.atan2,
    "hypot": _hypot,
    "erfinv": mp.erfinv,
    "fmod": lambda x, y: mp.nan if y == 0 else x - y * _trunc(x / y),
    "copysign": lambda x, y: abs(x) if y >= 0 else -abs(x),
    "xlogy": lambda x, y: mp.mpf(0) if x == 0 else x * mp.log(y),
}

#: The functions by the name that `math` gives them.
FUNCTIONS: Final[dict[str, Function]] = {
    **{name: lenient(f, exponent=_HUGE_EXPONENT) for name, f in _LARGE.items()},
    **{name: lenient(f) for name, f in _MODERATE.items()},
    "fabs": lenient(abs),
    "sign": lenient(_sign),
    "heaviside": lenient(_heaviside),
    "floor": lenient(mp.floor),
    "ceil": lenient(mp.ceil),
    "trunc": lenient(_trunc),
    "round": lenient(mp.nint),
    "minimum": lenient(_minimum),
    "maximum": lenient(_maximum),
    "pow": power,
    "divide": divide,
    "mod": modulo,
    "floor_divide": floor_divide,
    "isnan": mp.isnan,
    "isinf": mp.isinf,
    "isfinite": mp.isfinite,
}
