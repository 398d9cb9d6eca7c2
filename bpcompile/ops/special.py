"""
The table, second part: the error function, the gamma function and their kin.

`math` has `erf`, `erfc`, `gamma` and `lgamma`; everything else prints as a call of `scipy.special`, on both targets. The
values here come from mpmath at 30 digits instead, so that compiling and checking need no SciPy.
"""

from __future__ import annotations

import math
from typing import Any, Final

import mpmath
import sympy

from bpcompile.forms import Form, Prec, pattern
from bpcompile.ops.scalar import constant, exp, sqrt
from bpcompile.primitive import ZERO, Kink, Primitive, define

# A context of its own: the precision of the global one belongs to whoever uses it.
_MP: Final = mpmath.MPContext()
_MP.dps = 30


def _scipy(function: str, arity: int) -> dict[str, Form]:
    """Return the forms that call `scipy.special`; Python code gets a float, not a NumPy scalar."""
    arguments = ", ".join(f"{{{i}}}" for i in range(arity))
    return {
        "math": pattern(f"float(special.{function}({arguments}))", Prec.ATOM, Prec.TEST, imports=("scipy.special",)),
        "numpy": pattern(f"special.{function}({arguments})", Prec.ATOM, Prec.TEST, imports=("scipy.special",)),
    }


def _math_or_scipy(math_name: str, function: str) -> dict[str, Form]:
    return {
        "math": pattern(f"math.{math_name}({{0}})", Prec.ATOM, Prec.TEST, imports=("math",)),
        "numpy": _scipy(function, 1)["numpy"],
    }


def _bell(x: Any) -> Any:
    """Return 2 exp(-x**2) / sqrt(pi)."""
    return 2.0 / constant(x, sqrt, math.pi) * exp(-x * x)


def _is_pole(x: float) -> bool:
    return x <= 0 and x == math.floor(x)


def _erfinv_value(x: float) -> float:
    if abs(x) >= 1 or x != x:  # noqa: PLR0124  nan
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    return float(_MP.erfinv(x))


def _digamma_value(x: float) -> float:
    if math.isinf(x) or x != x or _is_pole(x):  # noqa: PLR0124  nan
        return math.inf if x == math.inf else math.copysign(math.inf, -x) if x == 0 else math.nan
    return float(_MP.digamma(x))


def _polygamma_value(n: int, x: float) -> float:
    n = int(n)
    if n == 0:
        return _digamma_value(x)
    if x == math.inf or x != x:  # noqa: PLR0124  nan
        return 0.0 if x == math.inf else math.nan
    if x == -math.inf or _is_pole(x):
        return math.copysign(math.inf, (-1) ** (n + 1))
    if x < -100:
        # mpmath steps up from x one by one. psi(n, x) + (-1)**(n + 1) * psi(n, 1 - x) has period 1: take it at the fractional part.
        fraction = _MP.mpf(x) - math.floor(x)
        return float(_MP.polygamma(n, fraction) + (-1) ** (n + 1) * (_MP.polygamma(n, 1 - fraction) - _MP.polygamma(n, 1 - _MP.mpf(x))))
    return float(_MP.polygamma(n, x))


def _beta_value(a: float, b: float) -> float:
    # The gamma functions of beta cancel: as many digits as the operands are apart are lost.
    extent = sum(abs(math.frexp(v)[1]) for v in (a, b))
    try:
        with _MP.workprec(110 + extent):
            return float(_MP.beta(a, b))
    except (ValueError, ZeroDivisionError):
        return math.inf


_REALS: Final = ((0.7,), (-1.3,), (2.5,), (-0.2,))
_POSITIVE: Final = ((0.3,), (1.7,), (4.2,))
_POLES: Final = (Kink("x = 0, -1, -2, ...", "no value", "poles of the gamma function"),)

erf = define(
    name="erf",
    sympy=sympy.erf,
    impl=math.erf,
    forms=_math_or_scipy("erf", "erf"),
    vjp=(lambda ct, ans, x: _bell(x) * ct,),
    samples=_REALS,
    total=True,
    short="erf",
)
erfc = define(
    name="erfc",
    sympy=sympy.erfc,
    impl=math.erfc,
    forms=_math_or_scipy("erfc", "erfc"),
    vjp=(lambda ct, ans, x: -_bell(x) * ct,),
    samples=_REALS,
    total=True,
    short="erfc",
)
erfinv = define(
    name="erfinv",
    sympy=sympy.erfinv,
    impl=_erfinv_value,
    forms=_scipy("erfinv", 1),
    vjp=(lambda ct, ans, x: 0.5 * constant(ans, sqrt, math.pi) * exp(ans * ans) * ct,),
    domain="-1 < x < 1",
    samples=((0.5,), (-0.3,), (0.9,)),
    short="erfinv",
)
gamma = define(
    name="gamma",
    sympy=sympy.gamma,
    impl=math.gamma,
    forms=_math_or_scipy("gamma", "gamma"),
    vjp=(lambda ct, ans, x: ans * digamma(x) * ct,),
    domain="x not 0, -1, -2, ...",
    kinks=_POLES,
    samples=(*_POSITIVE, (-1.3,)),
    hazard="overflows above 171; lgamma does not",
    short="gamma",
)
lgamma = define(
    name="lgamma",
    sympy=sympy.loggamma,
    impl=math.lgamma,
    forms=_math_or_scipy("lgamma", "gammaln"),
    vjp=(lambda ct, ans, x: digamma(x) * ct,),
    domain="x not 0, -1, -2, ...",
    kinks=_POLES,
    samples=_POSITIVE,
    notes="log(abs(gamma(x))). SymPy's loggamma agrees for x > 0; below it is complex, with the same derivative.",
    short="lgamma",
)
digamma: Primitive = define(
    name="digamma",
    sympy=sympy.digamma,
    impl=_digamma_value,
    forms=_scipy("digamma", 1),
    vjp=(lambda ct, ans, x: polygamma(1, x) * ct,),
    domain="x not 0, -1, -2, ...",
    kinks=_POLES,
    samples=(*_POSITIVE, (-1.3,)),
    short="digamma",
)
polygamma: Primitive = define(
    name="polygamma",
    sympy=sympy.polygamma,
    impl=_polygamma_value,
    forms=_scipy("polygamma", 2),
    vjp=(ZERO, lambda ct, ans, n, x: polygamma(n + 1, x) * ct),
    domain="n = 0, 1, 2, ... a literal; x not 0, -1, -2, ...",
    kinks=_POLES,
    samples=((1, 0.3), (2, 1.7), (3, 4.2), (1, -1.3), (0, 2.0)),
    notes="The derivative in n has no closed form: front ends refuse an order that is not a literal.",
    short="polygamma",
)
beta = define(
    name="beta",
    sympy=sympy.beta,
    impl=_beta_value,
    forms=_scipy("beta", 2),
    vjp=(
        lambda ct, ans, x, y: ans * (digamma(x) - digamma(x + y)) * ct,
        lambda ct, ans, x, y: ans * (digamma(y) - digamma(x + y)) * ct,
    ),
    domain="x, y and x + y not 0, -1, -2, ...",
    kinks=_POLES,
    notes="Where one operand is far smaller than the other, the difference of digammas loses digits: as many as the ratio has.",
    samples=((0.5, 1.5), (2.0, 3.5), (4.2, 0.7)),
    short="beta",
)
