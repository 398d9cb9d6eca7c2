"""
The table, first part: arithmetic, elementary functions, comparisons, choice and steps.

One entry is one primitive; nothing else in the package names a primitive to make it known. Conventions of the rules:

* `(ct, ans, *operands) -> cotangent of one operand`, linear in `ct`, local gradient first: `y * ct`.
* An operand that is a literal arrives as a plain number, so rules may look at it with `_is_number`.
* Rules stay right where textbook formulas overflow, cancel or divide by zero. Where the value exists, the branch of a
  `select` that is taken never raises; both branches are written, only the taken one need be computable.
* `x != 0` is preferred to `x > 0` in guards, so that nan stays nan.

SymPy counterparts are chosen to be differentiable without leaving `DiracDelta` or `Derivative` behind: steps and ties are
`Piecewise`, with the value at a tie that the rule has.

>>> sin.vjp[0](1.0, 0.0, 0.0)
1.0
"""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import sympy

from bpcompile.forms import Form, Prec, call, infix, pattern, prefix
from bpcompile.primitive import ZERO, Kink, Primitive, Rule, define

_INF: Final = math.inf
_NAN: Final = math.nan
_HALF: Final = sympy.Rational(1, 2)

# What parts of the lines below share -----------------------------------------------------------------------------------


def _calls(math_name: str, numpy_name: str) -> dict[str, Form]:
    """Return the two call forms of a function that both targets have."""
    return {"math": call(math_name), "numpy": call(numpy_name)}


def _both(form: Form) -> dict[str, Form]:
    return {"math": form, "numpy": form}


def _everywhere(rule: Rule) -> dict[str, Rule]:
    """Write an operation with simpler ones on every target."""
    return dict.fromkeys(("math", "numpy", "literal"), rule)


def _one_over(function: str) -> dict[str, Form]:
    """Return the forms `1.0 / function(x)`, `function` being in `math` and NumPy by the same name."""
    return {
        target: pattern(f"1.0 / {module}.{function}({{0}})", Prec.TERM, Prec.TEST, imports=(package,))
        for target, module, package in (("math", "math", "math"), ("numpy", "np", "numpy"))
    }


def _of_one_over(math_name: str, numpy_name: str) -> dict[str, Form]:
    """Return the forms `function(1.0 / x)`."""
    return {
        "math": pattern(f"{math_name}(1.0 / {{0}})", Prec.ATOM, Prec.FACTOR, imports=("math",)),
        "numpy": pattern(f"{numpy_name}(1.0 / {{0}})", Prec.ATOM, Prec.FACTOR, imports=("numpy",)),
    }


def _is_number(operand: Any) -> bool:
    return isinstance(operand, int | float)


def constant(like: Any, function: Primitive, number: float) -> Any:
    """
    Return `function(number)`, as an equation of its own where `like` is a variable of a program.

    `math.log(2)` tells a reader more than its digits, and the certificate can evaluate it to 50 of them.
    """
    emit = getattr(type(like), "emit_with", None)
    if emit is not None:
        return emit(like, function, (number,))
    if isinstance(like, sympy.Basic):
        return function.sympy(sympy.pi if number == math.pi else sympy.Rational(number))
    return function.impl(number)


def _inverse(s: Any) -> Any:
    """Return 1 / s, inf where s is 0."""
    return select(ne(s, 0), 1.0 / s, _INF)


# Arithmetic ------------------------------------------------------------------------------------------------------------

_PAIRS: Final = ((2.0, 3.0), (-1.5, 0.75), (4.0, -2.5), (-0.3, -1.1))


def _second_of_div(ct: Any, ans: Any, x: Any, y: Any) -> Any:
    # The quotient is at hand: never y**2, which over- and underflows long before the gradient does.
    return -ct * ans * ans if _is_number(x) and x == 1 else -ct * ans / y


def _real_power(x: Any, y: Any) -> Any:
    """Return x ** y for floats, refusing what Python answers with a complex number."""
    result = x**y
    if isinstance(result, complex):
        msg = "math domain error"
        raise ValueError(msg)
    return result


def _power(x: Any, n: float) -> Any:
    """Return x to a literal power above 0 in its shortest form."""
    if n == int(n):
        return x**n if n != 1 else x
    return sqrt(x) if n == 0.5 else powr(x, n)


def _base_of_pow(ct: Any, ans: Any, x: Any, y: Any) -> Any:
    if not _is_number(y) or y != int(y):
        return _base_of_powr(ct, ans, x, y)
    if y == 0:
        return 0 * ct
    # x ** (y - 1) of a small x would raise OverflowError for y < 0, where ans / x is inf.
    return y * ans / x * ct if y < 0 else y * _power(x, y - 1) * ct if y != 1 else ct


def _base_of_powr(ct: Any, ans: Any, x: Any, y: Any) -> Any:
    if _is_number(y):
        if y in (0, 1):
            return y * ct
        if y > 1:
            return y * _power(x, y - 1) * ct
        return (y * ans / x if y < 0 else select(ne(x, 0), y * ans / x, _INF)) * ct
    # y * x ** (y - 1) is right wherever it exists; below an exponent of 1 it would raise at 0 and overflow near 0.
    at_zero = select(ne(y, 0), y * _INF, 0.0)
    return select(y >= 1, y * powr(x, y - 1), select(ne(x, 0), y * ans / x, at_zero)) * ct


def _exponent_of_powr(ct: Any, ans: Any, x: Any, y: Any) -> Any:
    if _is_number(x):
        if x in (0, 1):
            return 0 * ct
        return (ans * constant(ans, log, x) if x > 0 else _NAN) * ct
    return select(x > 0, ans * log(x), select(eq(x, 0), 0.0, _NAN)) * ct


add = define(
    name="add",
    sympy=operator.add,
    impl=operator.add,
    forms=_both(infix("+", Prec.ARITH)),
    vjp=(lambda ct, ans, x, y: ct, lambda ct, ans, x, y: ct),
    textbook=(lambda ans, x, y: 1, lambda ans, x, y: 1),
    samples=_PAIRS,
    total=True,
)
sub = define(
    name="sub",
    sympy=operator.sub,
    impl=operator.sub,
    forms=_both(infix("-", Prec.ARITH)),
    vjp=(lambda ct, ans, x, y: ct, lambda ct, ans, x, y: -ct),
    textbook=(lambda ans, x, y: 1, lambda ans, x, y: -1),
    samples=_PAIRS,
    total=True,
)
mul = define(
    name="mul",
    sympy=operator.mul,
    impl=operator.mul,
    forms=_both(infix("*", Prec.TERM)),
    vjp=(lambda ct, ans, x, y: y * ct, lambda ct, ans, x, y: x * ct),
    textbook=(lambda ans, x, y: y, lambda ans, x, y: x),
    samples=_PAIRS,
    total=True,
)
div = define(
    name="div",
    sympy=operator.truediv,
    impl=operator.truediv,
    forms=_both(infix("/", Prec.TERM)),
    vjp=(lambda ct, ans, x, y: ct / y, _second_of_div),
    textbook=(lambda ans, x, y: 1.0 / y, lambda ans, x, y: -x / y**2),
    domain="y != 0",
    samples=_PAIRS,
)
neg = define(
    name="neg",
    sympy=operator.neg,
    impl=operator.neg,
    forms=_both(prefix("-", Prec.FACTOR)),
    vjp=(lambda ct, ans, x: -ct,),
    textbook=(lambda ans, x: -1,),
    samples=((2.0,), (-1.5,)),
    total=True,
)
pow_ = define(
    name="pow",
    sympy=operator.pow,
    impl=_real_power,
    forms=_both(infix("**", Prec.POWER, right=True)),
    vjp=(_base_of_pow, _exponent_of_powr),
    textbook=(lambda ans, x, y: y * x ** (y - 1), lambda ans, x, y: ans * log(x)),
    domain="y an integer; x != 0 where y < 0",
    samples=((1.7, 3), (2.5, 2), (0.4, -2), (3.0, -1), (1.3, 4), (0.6, 2.0)),
    notes="Only for exponents whose value is a literal integer: any other would make Python answer with complex numbers. See powr.",
    short="pow",
)
powr: Primitive = define(
    name="powr",
    sympy=operator.pow,
    impl=math.pow,
    forms=_calls("math.pow", "np.power"),
    vjp=(_base_of_powr, _exponent_of_powr),
    textbook=(lambda ans, x, y: y * powr(x, y - 1), lambda ans, x, y: ans * log(x)),
    domain="x > 0; x = 0 where y >= 0; x < 0 where y is an integer",
    kinks=(
        Kink("x = 0, 0 < y < 1", "inf", "the limit from the right"),
        Kink("x = 0, for d/dy", "0", "x**y is 0 for every y > 0"),
        Kink("x < 0, for d/dy", "nan", "x**y is real at isolated y only"),
    ),
    samples=((2.0, 3.5), (0.3, 0.5), (1.7, -1.25), (4.0, 2.0), (0.6, 0.9), (2.5, 1.5)),
    notes="The real power, never complex: a negative base with a fractional exponent is a ValueError in Python and nan in NumPy. The real cube root is cbrt.",
    short="pow",
)

# Exponentials and logarithms -------------------------------------------------------------------------------------------

_REALS: Final = ((0.7,), (-1.3,), (2.5,), (-0.2,))
_POSITIVE: Final = ((0.3,), (1.7,), (4.2,))

exp: Primitive = define(
    name="exp",
    sympy=sympy.exp,
    impl=math.exp,
    forms=_calls("math.exp", "np.exp"),
    vjp=(lambda ct, ans, x: ans * ct,),
    samples=_REALS,
    hazard="overflows above 709",
    short="exp",
)
exp2 = define(
    name="exp2",
    sympy=lambda x: 2**x,
    impl=math.exp2,
    forms=_calls("math.exp2", "np.exp2"),
    vjp=(lambda ct, ans, x: constant(ans, log, 2) * ans * ct,),
    samples=_REALS,
    short="exp2",
)
expm1 = define(
    name="expm1",
    sympy=lambda x: sympy.exp(x) - 1,
    impl=math.expm1,
    forms=_calls("math.expm1", "np.expm1"),
    vjp=(lambda ct, ans, x: exp(x) * ct,),
    samples=(*_REALS, (1e-9,)),
    notes="ans + 1 would save a call and lose every digit of the gradient below -37.",
    short="expm1",
)
log: Primitive = define(
    name="log",
    sympy=sympy.log,
    impl=math.log,
    forms=_calls("math.log", "np.log"),
    vjp=(lambda ct, ans, x: ct / x,),
    textbook=(lambda ans, x: 1.0 / x,),
    domain="x > 0",
    samples=_POSITIVE,
    short="log",
)
log1p: Primitive = define(
    name="log1p",
    sympy=lambda x: sympy.log(1 + x),
    impl=math.log1p,
    forms=_calls("math.log1p", "np.log1p"),
    vjp=(lambda ct, ans, x: ct / (1 + x),),
    textbook=(lambda ans, x: 1.0 / (1 + x),),
    domain="x > -1",
    samples=((0.7,), (-0.4,), (3.0,), (1e-9,)),
    short="log1p",
)
log2 = define(
    name="log2",
    sympy=lambda x: sympy.log(x) / sympy.log(2),
    impl=math.log2,
    forms=_calls("math.log2", "np.log2"),
    vjp=(lambda ct, ans, x: ct / (x * constant(ans, log, 2)),),
    textbook=(lambda ans, x: 1.0 / (x * constant(ans, log, 2)),),
    domain="x > 0",
    samples=_POSITIVE,
    short="log2",
)
log10 = define(
    name="log10",
    sympy=lambda x: sympy.log(x) / sympy.log(10),
    impl=math.log10,
    forms=_calls("math.log10", "np.log10"),
    vjp=(lambda ct, ans, x: ct / (x * constant(ans, log, 10)),),
    textbook=(lambda ans, x: 1.0 / (x * constant(ans, log, 10)),),
    domain="x > 0",
    samples=_POSITIVE,
    short="log10",
)

# Roots -----------------------------------------------------------------------------------------------------------------


def _cube_root(x: Any) -> Any:
    third = sympy.Rational(1, 3)
    return sympy.Piecewise((x**third, x >= 0), (-((-x) ** third), True))


sqrt: Primitive = define(
    name="sqrt",
    sympy=sympy.sqrt,
    impl=math.sqrt,
    forms=_calls("math.sqrt", "np.sqrt"),
    vjp=(lambda ct, ans, x: select(ne(ans, 0), 0.5 / ans, _INF) * ct,),
    textbook=(lambda ans, x: 0.5 / ans,),
    domain="x >= 0",
    kinks=(Kink("x = 0", "inf", "the limit from the right"),),
    samples=_POSITIVE,
    short="sqrt",
)
cbrt = define(
    name="cbrt",
    sympy=_cube_root,
    impl=math.cbrt,
    forms=_calls("math.cbrt", "np.cbrt"),
    vjp=(lambda ct, ans, x: select(ne(ans, 0), 1 / (3 * ans * ans), _INF) * ct,),
    textbook=(lambda ans, x: 1 / (3 * ans**2),),
    kinks=(Kink("x = 0", "inf", "the limit from both sides"),),
    samples=((0.7,), (-8.0,), (27.0,), (-0.2,)),
    short="cbrt",
)
hypot: Primitive = define(
    name="hypot",
    sympy=lambda x, y: sympy.sqrt(x**2 + y**2),
    impl=math.hypot,
    forms=_calls("math.hypot", "np.hypot"),
    vjp=(
        lambda ct, ans, x, y: select(ne(ans, 0), x / ans, 0.0) * ct,
        lambda ct, ans, x, y: select(ne(ans, 0), y / ans, 0.0) * ct,
    ),
    textbook=(lambda ans, x, y: x / ans, lambda ans, x, y: y / ans),
    kinks=(Kink("x = y = 0", "(0, 0)", "the subgradient of least norm"),),
    samples=_PAIRS,
    short="hypot",
)

# Circular functions ----------------------------------------------------------------------------------------------------

_ANGLES: Final = ((0.7,), (-1.3,), (2.5,), (-0.2,))
_UNIT: Final = ((0.3,), (-0.7,), (0.95,))
_OUTSIDE: Final = ((1.4,), (-2.5,), (3.0,))

sin: Primitive = define(
    name="sin",
    sympy=sympy.sin,
    impl=math.sin,
    forms=_calls("math.sin", "np.sin"),
    vjp=(lambda ct, ans, x: cos(x) * ct,),
    samples=_ANGLES,
    total=True,
    short="sin",
)
cos: Primitive = define(
    name="cos",
    sympy=sympy.cos,
    impl=math.cos,
    forms=_calls("math.cos", "np.cos"),
    vjp=(lambda ct, ans, x: -sin(x) * ct,),
    samples=_ANGLES,
    total=True,
    short="cos",
)
tan: Primitive = define(
    name="tan",
    sympy=sympy.tan,
    impl=math.tan,
    forms=_calls("math.tan", "np.tan"),
    vjp=(lambda ct, ans, x: (1 + ans * ans) * ct,),
    textbook=(lambda ans, x: 1 + ans**2,),
    domain="x != pi/2 + k pi",
    samples=_ANGLES,
    total=True,
    short="tan",
)
sec = define(
    name="sec",
    sympy=sympy.sec,
    impl=lambda x: 1.0 / math.cos(x),
    forms=_one_over("cos"),
    lower=_everywhere(lambda x: 1.0 / cos(x)),
    vjp=(lambda ct, ans, x: ans * tan(x) * ct,),
    domain="x != pi/2 + k pi",
    samples=_ANGLES,
    short="sec",
    cost=2,
)
csc = define(
    name="csc",
    sympy=sympy.csc,
    impl=lambda x: 1.0 / math.sin(x),
    forms=_one_over("sin"),
    lower=_everywhere(lambda x: 1.0 / sin(x)),
    vjp=(lambda ct, ans, x: -ans * cot(x) * ct,),
    domain="x != k pi",
    samples=_ANGLES,
    short="csc",
    cost=2,
)
cot: Primitive = define(
    name="cot",
    sympy=sympy.cot,
    impl=lambda x: 1.0 / math.tan(x),
    forms=_one_over("tan"),
    lower=_everywhere(lambda x: 1.0 / tan(x)),
    vjp=(lambda ct, ans, x: -(1 + ans * ans) * ct,),
    textbook=(lambda ans, x: -(1 + ans**2),),
    domain="x != k pi",
    samples=_ANGLES,
    short="cot",
    cost=2,
)
# (1 - x) * (1 + x) keeps its digits near 1, where 1 - x * x cancels.
asin = define(
    name="asin",
    sympy=sympy.asin,
    impl=math.asin,
    forms=_calls("math.asin", "np.arcsin"),
    vjp=(lambda ct, ans, x: _inverse(sqrt((1 - x) * (1 + x))) * ct,),
    textbook=(lambda ans, x: 1.0 / sqrt(1 - x**2),),
    domain="-1 <= x <= 1",
    kinks=(Kink("x = -1 and x = 1", "inf", "the limit from inside"),),
    samples=_UNIT,
    short="asin",
)
acos = define(
    name="acos",
    sympy=sympy.acos,
    impl=math.acos,
    forms=_calls("math.acos", "np.arccos"),
    vjp=(lambda ct, ans, x: -_inverse(sqrt((1 - x) * (1 + x))) * ct,),
    textbook=(lambda ans, x: -1.0 / sqrt(1 - x**2),),
    domain="-1 <= x <= 1",
    kinks=(Kink("x = -1 and x = 1", "-inf", "the limit from inside"),),
    samples=_UNIT,
    short="acos",
)
atan: Primitive = define(
    name="atan",
    sympy=sympy.atan,
    impl=math.atan,
    forms=_calls("math.atan", "np.arctan"),
    vjp=(lambda ct, ans, x: ct / (1 + x * x),),
    textbook=(lambda ans, x: 1.0 / (1 + x**2),),
    samples=_REALS,
    total=True,
    short="atan",
)
atan2 = define(
    name="atan2",
    sympy=sympy.atan2,
    impl=math.atan2,
    forms=_calls("math.atan2", "np.arctan2"),
    vjp=(
        lambda ct, ans, y, x: _over_square(x, hypot(x, y)) * ct,
        lambda ct, ans, y, x: -_over_square(y, hypot(x, y)) * ct,
    ),
    textbook=(lambda ans, y, x: x / (x**2 + y**2), lambda ans, y, x: -y / (x**2 + y**2)),
    kinks=(
        Kink("x = y = 0", "(0, 0)", "no direction is better than another; never nan"),
        Kink("y = 0, x < 0", "the limit", "the angle jumps by 2 pi, its gradient does not"),
    ),
    samples=((2.0, 3.0), (-1.5, 0.75), (4.0, -2.5), (-0.3, -1.1)),
    total=True,
    short="atan2",
)


def _over_square(x: Any, h: Any) -> Any:
    # h * h would overflow at 1e155 and vanish at 1e-162.
    return select(ne(h, 0), x / h / h, 0.0)


def _scaled_root(x: Any) -> Any:
    """Return abs(x) * sqrt(x**2 - 1)."""
    size = abs_(x)
    return size * sqrt((size - 1) * (size + 1))


asec = define(
    name="asec",
    sympy=sympy.asec,
    impl=lambda x: math.acos(1.0 / x),
    forms=_of_one_over("math.acos", "np.arccos"),
    vjp=(lambda ct, ans, x: _inverse(_scaled_root(x)) * ct,),
    textbook=(lambda ans, x: 1.0 / (abs_(x) * sqrt(x**2 - 1)),),
    domain="x <= -1 or x >= 1",
    kinks=(Kink("x = -1 and x = 1", "inf", "the limit from outside"),),
    samples=_OUTSIDE,
    short="asec",
    cost=2,
)
acsc = define(
    name="acsc",
    sympy=sympy.acsc,
    impl=lambda x: math.asin(1.0 / x),
    forms=_of_one_over("math.asin", "np.arcsin"),
    vjp=(lambda ct, ans, x: -_inverse(_scaled_root(x)) * ct,),
    textbook=(lambda ans, x: -1.0 / (abs_(x) * sqrt(x**2 - 1)),),
    domain="x <= -1 or x >= 1",
    kinks=(Kink("x = -1 and x = 1", "-inf", "the limit from outside"),),
    samples=_OUTSIDE,
    short="acsc",
    cost=2,
)
acot = define(
    name="acot",
    sympy=sympy.acot,
    impl=lambda x: math.atan(1.0 / x) if x != 0 else math.pi / 2,
    forms={
        "math": pattern("math.atan(1.0 / {0}) if {0} != 0 else math.pi / 2", Prec.TEST, Prec.ATOM, atoms=(0,), imports=("math",)),
        "numpy": pattern("np.arctan(1.0 / {0})", Prec.ATOM, Prec.FACTOR, imports=("numpy",)),
    },
    lower={"numpy": lambda x: select(ne(x, 0), atan(1.0 / x), math.pi / 2)},
    vjp=(lambda ct, ans, x: -ct / (1 + x * x),),
    textbook=(lambda ans, x: -1.0 / (1 + x**2),),
    kinks=(Kink("x = 0", "-1", "the angle jumps from -pi/2 to pi/2, its gradient does not"),),
    samples=_REALS,
    notes="SymPy's branch, which is odd: acot(-1) is -pi/4; at 0 it is pi/2.",
    short="acot",
    cost=2,
)

# Hyperbolic functions --------------------------------------------------------------------------------------------------

sinh: Primitive = define(
    name="sinh",
    sympy=sympy.sinh,
    impl=math.sinh,
    forms=_calls("math.sinh", "np.sinh"),
    vjp=(lambda ct, ans, x: cosh(x) * ct,),
    samples=_REALS,
    short="sinh",
)
cosh: Primitive = define(
    name="cosh",
    sympy=sympy.cosh,
    impl=math.cosh,
    forms=_calls("math.cosh", "np.cosh"),
    vjp=(lambda ct, ans, x: sinh(x) * ct,),
    samples=_REALS,
    short="cosh",
)
tanh: Primitive = define(
    name="tanh",
    sympy=sympy.tanh,
    impl=math.tanh,
    forms=_calls("math.tanh", "np.tanh"),
    vjp=(lambda ct, ans, x: tanh_slope(x, ans) * ct,),
    textbook=(lambda ans, x: 1 - ans**2,),
    samples=(*_REALS, (20.0,)),
    total=True,
    hazard="1 - tanh(x)**2 cancels: no digit is left above 19",
    short="tanh",
)
tanh_slope: Primitive = define(
    name="tanh_slope",
    sympy=lambda x, y: 1 - sympy.tanh(x) ** 2,
    impl=lambda x, y: _slope_of_decay(math.exp(-2.0 * abs(x))),
    forms={
        "math": pattern("1.0 / math.cosh({0}) ** 2", Prec.TERM, Prec.TEST, imports=("math",)),
        "numpy": pattern("1.0 / np.cosh({0}) ** 2", Prec.TERM, Prec.TEST, imports=("numpy",)),
    },
    lower={
        "literal": lambda x, y: 1 - y * y,
        "math": lambda x, y: _slope_of_decay(exp(-2 * abs_(x))),
        "numpy": lambda x, y: _slope_of_decay(exp(-2 * abs_(x))),
    },
    vjp=(lambda ct, ans, x, y: -2 * tanh(x) * ans * ct, ZERO),
    samples=tuple((x, math.tanh(x)) for (x,) in (*_REALS, (20.0,))),
    total=True,
    note="1 - tanh**2 would cancel",
    notes="tanh_slope(x, y) is 1 - y**2 for y = tanh(x), which loses digits as the tail flattens; the value comes from x alone.",
    short="slope",
    cost=3,
)
sech: Primitive = define(
    name="sech",
    sympy=sympy.sech,
    impl=lambda x: 1.0 / math.cosh(x) if abs(x) < 710 else 2.0 * math.exp(-abs(x)),
    forms=_one_over("cosh"),
    lower={
        "literal": lambda x: 1.0 / cosh(x),
        "math": lambda x: select(abs_(x) > 710.0, 2.0 * exp(-abs_(x)), 1.0 / cosh(x)),
        "numpy": lambda x: _sech_of_decay(exp(-abs_(x))),
    },
    vjp=(lambda ct, ans, x: -ans * tanh(x) * ct,),
    samples=_REALS,
    total=True,
    note="cosh cannot overflow",
    hazard="cosh overflows above 710",
    short="sech",
    cost=2,
)


def _slope_of_decay(e: Any) -> Any:
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def _sech_of_decay(e: Any) -> Any:
    return 2.0 * e / (1.0 + e * e)


def _csch_value(x: float) -> float:
    return 1.0 / math.sinh(x) if abs(x) < 710 else math.copysign(2.0, x) * math.exp(-abs(x))


csch: Primitive = define(
    name="csch",
    sympy=sympy.csch,
    impl=_csch_value,
    forms=_one_over("sinh"),
    lower={
        "literal": lambda x: 1.0 / sinh(x),
        **dict.fromkeys(("math", "numpy"), lambda x: select(abs_(x) > 710.0, 2.0 * sign(x) * exp(-abs_(x)), 1.0 / sinh(x))),
    },
    vjp=(lambda ct, ans, x: -ans * coth(x) * ct,),
    domain="x != 0",
    samples=_REALS,
    note="sinh cannot overflow",
    hazard="sinh overflows above 710",
    short="csch",
    cost=2,
)
coth: Primitive = define(
    name="coth",
    sympy=sympy.coth,
    impl=lambda x: 1.0 / math.tanh(x),
    forms=_one_over("tanh"),
    # A product, not **2: near 0 the square is inf and must not raise.
    vjp=(lambda ct, ans, x: -_square(csch(x)) * ct,),
    textbook=(lambda ans, x: 1 - ans**2,),
    domain="x != 0",
    samples=(*_REALS, (20.0,)),
    hazard="1 - coth(x)**2 cancels: no digit is left above 19",
    short="coth",
    cost=2,
)


def _square(x: Any) -> Any:
    return x * x


asinh = define(
    name="asinh",
    sympy=sympy.asinh,
    impl=math.asinh,
    forms=_calls("math.asinh", "np.arcsinh"),
    vjp=(lambda ct, ans, x: ct / hypot(1.0, x),),
    textbook=(lambda ans, x: 1.0 / sqrt(1 + x**2),),
    samples=_REALS,
    total=True,
    short="asinh",
)
acosh = define(
    name="acosh",
    sympy=sympy.acosh,
    impl=math.acosh,
    forms=_calls("math.acosh", "np.arccosh"),
    # Two roots, not one of the product: x**2 overflows where the gradient is still 1e-155.
    vjp=(lambda ct, ans, x: _inverse(sqrt(x - 1) * sqrt(x + 1)) * ct,),
    textbook=(lambda ans, x: 1.0 / sqrt(x**2 - 1),),
    domain="x >= 1",
    kinks=(Kink("x = 1", "inf", "the limit from the right"),),
    samples=((1.2,), (3.0,), (8.5,)),
    short="acosh",
)
atanh = define(
    name="atanh",
    sympy=sympy.atanh,
    impl=math.atanh,
    forms=_calls("math.atanh", "np.arctanh"),
    vjp=(lambda ct, ans, x: ct / ((1 - x) * (1 + x)),),
    textbook=(lambda ans, x: 1.0 / (1 - x**2),),
    domain="-1 < x < 1",
    samples=_UNIT,
    short="atanh",
)
asech = define(
    name="asech",
    sympy=sympy.asech,
    impl=lambda x: math.acosh(1.0 / x),
    forms=_of_one_over("math.acosh", "np.arccosh"),
    vjp=(lambda ct, ans, x: -_inverse(x * sqrt((1 - x) * (1 + x))) * ct,),
    textbook=(lambda ans, x: -1.0 / (x * sqrt(1 - x**2)),),
    domain="0 < x <= 1",
    kinks=(Kink("x = 1", "-inf", "the limit from the left"),),
    samples=((0.2,), (0.5,), (0.9,)),
    short="asech",
    cost=2,
)
acsch = define(
    name="acsch",
    sympy=sympy.acsch,
    impl=lambda x: math.asinh(1.0 / x),
    forms=_of_one_over("math.asinh", "np.arcsinh"),
    vjp=(lambda ct, ans, x: -ct / (abs_(x) * hypot(1.0, x)),),
    textbook=(lambda ans, x: -1.0 / (abs_(x) * sqrt(1 + x**2)),),
    domain="x != 0",
    samples=_REALS,
    short="acsch",
    cost=2,
)
acoth = define(
    name="acoth",
    sympy=sympy.acoth,
    impl=lambda x: math.atanh(1.0 / x),
    forms=_of_one_over("math.atanh", "np.arctanh"),
    vjp=(lambda ct, ans, x: ct / ((1 - x) * (1 + x)),),
    textbook=(lambda ans, x: 1.0 / (1 - x**2),),
    domain="x < -1 or x > 1",
    samples=_OUTSIDE,
    short="acoth",
    cost=2,
)

# The logistic family ---------------------------------------------------------------------------------------------------


def _sigmoid_value(x: float) -> float:
    return 1.0 / (1.0 + (_INF if x < -709 else math.exp(-x)))


def _slope_value(x: float, s: float) -> float:
    e = math.exp(-abs(x))
    return e / ((1.0 + e) * (1.0 + e))


def _bounded_exp(x: Any) -> Any:
    """Return exp(-x), inf where Python would raise."""
    return select(x < -709.0, _INF, exp(-x))


def _array_sigmoid(x: Any) -> Any:
    e = exp(-abs_(x))
    return select(x >= 0, 1.0, e) / (1.0 + e)


def _array_sigmoid_slope(x: Any) -> Any:
    e = exp(-abs_(x))
    return e / ((1.0 + e) * (1.0 + e))


sigmoid: Primitive = define(
    name="sigmoid",
    symbol="σ",
    sympy=lambda x: 1 / (1 + sympy.exp(-x)),
    impl=_sigmoid_value,
    forms={
        "math": pattern("1.0 / (1.0 + math.exp(-{0}))", Prec.TERM, Prec.FACTOR, imports=("math",)),
        "numpy": pattern("1.0 / (1.0 + np.exp(-{0}))", Prec.TERM, Prec.FACTOR, imports=("numpy",)),
    },
    lower={
        "literal": lambda x: 1.0 / (1 + exp(-x)),
        "math": lambda x: 1.0 / (1.0 + _bounded_exp(x)),
        "numpy": _array_sigmoid,
    },
    vjp=(lambda ct, ans, x: sigmoid_slope(x, ans) * ct,),
    textbook=(lambda ans, x: (1 - ans) * ans,),
    samples=_REALS,
    total=True,
    note="exp cannot overflow",
    hazard="exp(-x) overflows below -709, and 1 - sigmoid(x) cancels: no digit is left above 37",
    short="sig",
    cost=3,
)
sigmoid_slope: Primitive = define(
    name="sigmoid_slope",
    sympy=lambda x, s: sympy.sech(x / 2) ** 2 / 4,
    impl=_slope_value,
    forms={
        "math": pattern("1.0 / (2.0 * math.cosh(0.5 * {0})) ** 2", Prec.TERM, Prec.FACTOR, imports=("math",)),
        "numpy": pattern("1.0 / (2.0 * np.cosh(0.5 * {0})) ** 2", Prec.TERM, Prec.FACTOR, imports=("numpy",)),
    },
    lower={
        "literal": lambda x, s: (1 - s) * s,
        "math": lambda x, s: select(x < 0.0, 1.0 - s, _bounded_exp(x) * s) * s,
        "numpy": lambda x, s: _array_sigmoid_slope(x),
    },
    vjp=(lambda ct, ans, x, s: -tanh(x / 2) * ans * ct, ZERO),
    samples=tuple((x, _sigmoid_value(x)) for (x,) in (*_REALS, (40.0,))),
    total=True,
    notes="sigmoid_slope(x, s) is (1 - s) * s for s = sigmoid(x), without the cancellation of 1 - s.",
    short="slope",
    cost=3,
)
softplus = define(
    name="softplus",
    sympy=lambda x: sympy.log(1 + sympy.exp(x)),
    impl=lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    forms={
        "math": pattern("math.log(1.0 + math.exp({0}))", Prec.ATOM, Prec.TEST, imports=("math",)),
        "numpy": pattern("np.logaddexp(0.0, {0})", Prec.ATOM, Prec.TEST, imports=("numpy",)),
    },
    lower={
        "literal": lambda x: log(1.0 + exp(x)),
        "math": lambda x: max_(x, 0.0) + log1p(exp(-abs_(x))),
    },
    vjp=(lambda ct, ans, x: sigmoid(x) * ct,),
    samples=_REALS,
    total=True,
    note="exp cannot overflow",
    hazard="exp(x) overflows above 709",
    short="softplus",
    cost=3,
)
logaddexp = define(
    name="logaddexp",
    sympy=lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    impl=lambda x, y: max(x, y) + math.log1p(math.exp(-abs(x - y))),
    forms={
        "math": pattern("math.log(math.exp({0}) + math.exp({1}))", Prec.ATOM, Prec.TEST, imports=("math",)),
        "numpy": call("np.logaddexp"),
    },
    lower={
        "literal": lambda x, y: log(exp(x) + exp(y)),
        "math": lambda x, y: max_(x, y) + log1p(exp(-abs_(x - y))),
    },
    vjp=(lambda ct, ans, x, y: sigmoid(x - y) * ct, lambda ct, ans, x, y: sigmoid(y - x) * ct),
    textbook=(lambda ans, x, y: exp(x - ans), lambda ans, x, y: exp(y - ans)),
    samples=_PAIRS,
    total=True,
    note="exp cannot overflow",
    hazard="exp overflows above 709",
    notes="Two operands that are both infinite with one sign give nan in Python.",
    short="lae",
    cost=5,
)
sinc = define(
    name="sinc",
    sympy=lambda x: sympy.Piecewise((sympy.sin(x) / x, sympy.Ne(x, 0)), (1, True)),
    impl=lambda x: math.sin(x) / x if x != 0 else 1.0,
    forms={
        "math": pattern("math.sin({0}) / {0} if {0} != 0 else 1.0", Prec.TEST, Prec.ATOM, atoms=(0,), imports=("math",)),
        "numpy": pattern("np.sinc({0} / np.pi)", Prec.ATOM, Prec.TERM, imports=("numpy",)),
    },
    lower={"numpy": lambda x: select(ne(x, 0), sin(x) / x, 1.0)},
    vjp=(lambda ct, ans, x: select(abs_(x) < 0.25, _sinc_series(x, x * x), (cos(x) - ans) / x) * ct,),
    textbook=(lambda ans, x: (cos(x) - ans) / x,),
    samples=((0.7,), (-1.3,), (2.5,), (-0.3,)),
    total=True,
    hazard="(cos(x) - sinc(x)) / x cancels near 0",
    notes="sin(x) / x, unnormalised. Within 0.25 of 0 the gradient is its Taylor series to x**9, right to 6e-15 relative.",
    short="sinc",
    cost=2,
)


def _sinc_series(x: Any, q: Any) -> Any:
    return -x / 3 * (1 - q / 10 * (1 - q / 28 * (1 - q / 54 * (1 - q / 88))))


# Choice and ties -------------------------------------------------------------------------------------------------------

_FIRST: Final = (Kink("x = y", "(1, 0)", "a tie goes to the first operand, so that the weights sum to 1"),)

select: Primitive = define(
    name="select",
    sympy=lambda c, a, b: sympy.Piecewise((a, c), (b, True)),
    impl=lambda c, a, b: a if c else b,
    forms={"math": pattern("{1} if {0} else {2}", Prec.TEST, Prec.OR, Prec.OR, Prec.TEST), "numpy": call("np.where")},
    vjp=(ZERO, lambda ct, ans, c, a, b: select(c, ct, 0.0), lambda ct, ans, c, a, b: select(c, 0.0, ct)),
    textbook=(lambda ans, c, a, b: 0, lambda ans, c, a, b: select(c, 1.0, 0.0), lambda ans, c, a, b: select(c, 0.0, 1.0)),
    domain="c a condition",
    kinks=(Kink("where c changes", "the gradient of the operand taken", "the condition itself carries no derivative"),),
    samples=((True, 2.0, -3.0), (False, 2.0, -3.0)),
    total=True,
)
max_: Primitive = define(
    name="max",
    sympy=lambda x, y: sympy.Piecewise((x, x >= y), (y, True)),
    impl=max,
    forms={"math": call("max", flat=True), "numpy": call("np.maximum")},
    vjp=(lambda ct, ans, x, y: select(x >= y, ct, 0.0), lambda ct, ans, x, y: select(x >= y, 0.0, ct)),
    textbook=(lambda ans, x, y: select(x >= y, 1.0, 0.0), lambda ans, x, y: select(x >= y, 0.0, 1.0)),
    kinks=_FIRST,
    samples=_PAIRS,
    total=True,
    short="max",
)
min_ = define(
    name="min",
    sympy=lambda x, y: sympy.Piecewise((x, x <= y), (y, True)),
    impl=min,
    forms={"math": call("min", flat=True), "numpy": call("np.minimum")},
    vjp=(lambda ct, ans, x, y: select(x <= y, ct, 0.0), lambda ct, ans, x, y: select(x <= y, 0.0, ct)),
    textbook=(lambda ans, x, y: select(x <= y, 1.0, 0.0), lambda ans, x, y: select(x <= y, 0.0, 1.0)),
    kinks=_FIRST,
    samples=_PAIRS,
    total=True,
    short="min",
)
# min(max(x, lo), hi): where lo > hi, the upper bound wins, as in NumPy.
clip = define(
    name="clip",
    sympy=lambda x, lo, hi: min_.sympy(max_.sympy(x, lo), hi),
    impl=lambda x, lo, hi: min(max(x, lo), hi),
    forms={"math": pattern("min(max({0}, {1}), {2})", Prec.ATOM, Prec.TEST), "numpy": call("np.clip")},
    vjp=(
        lambda ct, ans, x, lo, hi: select(and_(x >= lo, x <= hi), ct, 0.0),
        lambda ct, ans, x, lo, hi: select(and_(x < lo, lo <= hi), ct, 0.0),
        lambda ct, ans, x, lo, hi: select(or_(x > hi, lo > hi), ct, 0.0),
    ),
    textbook=(
        lambda ans, x, lo, hi: select(and_(x >= lo, x <= hi), 1.0, 0.0),
        lambda ans, x, lo, hi: select(and_(x < lo, lo <= hi), 1.0, 0.0),
        lambda ans, x, lo, hi: select(or_(x > hi, lo > hi), 1.0, 0.0),
    ),
    kinks=(Kink("x = lo and x = hi", "1 for x, 0 for the bound", "both edges count as inside"),),
    samples=((0.5, 0.0, 1.0), (-2.0, -1.0, 1.5), (3.0, -1.0, 1.5), (0.5, 2.0, 1.0)),
    total=True,
    short="clip",
    cost=2,
)
relu = define(
    name="relu",
    sympy=lambda x: sympy.Piecewise((x, x > 0), (0, True)),
    impl=lambda x: max(x, 0.0),
    forms={
        "math": pattern("max({0}, 0.0)", Prec.ATOM, Prec.TEST),
        "numpy": pattern("np.maximum({0}, 0.0)", Prec.ATOM, Prec.TEST, imports=("numpy",)),
    },
    vjp=(lambda ct, ans, x: select(x > 0, ct, 0.0),),
    textbook=(lambda ans, x: select(x > 0, 1.0, 0.0),),
    kinks=(Kink("x = 0", "0", "what every deep-learning library chooses; sparse"),),
    samples=_REALS,
    total=True,
    short="relu",
)
abs_: Primitive = define(
    name="abs",
    sympy=lambda x: sympy.Piecewise((x, x > 0), (-x, x < 0), (0, True)),
    impl=abs,
    forms=_calls("abs", "np.abs"),
    vjp=(lambda ct, ans, x: sign(x) * ct,),
    kinks=(Kink("x = 0", "0", "the subgradient of least size"),),
    samples=_REALS,
    total=True,
    short="abs",
)

# Steps -----------------------------------------------------------------------------------------------------------------


class floor_(sympy.floor):  # type: ignore[misc]  # noqa: N801  SymPy ships no types
    """SymPy's floor, whose derivative SymPy leaves unevaluated, with the derivative 0 that it has between jumps."""

    def _eval_derivative(self, symbol: Any) -> Any:  # noqa: ARG002  SymPy's hook
        return sympy.S.Zero


# SymPy's printers look a function up by the name of its class.
floor_.__name__ = floor_.__qualname__ = "floor"


def _truncated(x: Any) -> Any:
    return sympy.Piecewise((floor_(x), x >= 0), (-floor_(-x), True))


def _rounded(x: Any) -> Any:
    nearest = floor_(x + _HALF)
    return sympy.Piecewise((2 * floor_(x / 2 + _HALF / 2), sympy.Eq(nearest, x + _HALF)), (nearest, True))


_JUMP: Final = "the function jumps there and is flat on both sides"
_AT_INTEGERS: Final = (Kink("x an integer", "0", _JUMP),)

sign: Primitive = define(
    name="sign",
    sympy=lambda x: sympy.Piecewise((1, x > 0), (-1, x < 0), (0, True)),
    impl=lambda x: 1.0 if x > 0 else -1.0 if x < 0 else 0.0,
    forms={"math": pattern("1.0 if {0} > 0 else -1.0 if {0} < 0 else 0.0", Prec.TEST, Prec.ATOM, atoms=(0,)), "numpy": call("np.sign")},
    vjp=(ZERO,),
    kinks=(Kink("x = 0", "0", _JUMP),),
    samples=_REALS,
    total=True,
    short="sign",
)
floor: Primitive = define(
    name="floor",
    sympy=floor_,
    impl=math.floor,
    forms=_calls("math.floor", "np.floor"),
    vjp=(ZERO,),
    kinks=_AT_INTEGERS,
    samples=_REALS,
    total=True,
    short="floor",
)
ceil = define(
    name="ceil",
    sympy=lambda x: -floor_(-x),
    impl=math.ceil,
    forms=_calls("math.ceil", "np.ceil"),
    vjp=(ZERO,),
    kinks=_AT_INTEGERS,
    samples=_REALS,
    total=True,
    short="ceil",
)
round_ = define(
    name="round",
    sympy=_rounded,
    impl=round,
    forms=_calls("round", "np.round"),
    vjp=(ZERO,),
    kinks=(Kink("x an integer and a half", "0", _JUMP),),
    samples=((0.7,), (-1.3,), (2.4,), (-0.2,)),
    total=True,
    notes="To the nearest integer, halves to the even one.",
    short="round",
)
trunc: Primitive = define(
    name="trunc",
    sympy=_truncated,
    impl=math.trunc,
    forms=_calls("math.trunc", "np.trunc"),
    vjp=(ZERO,),
    kinks=_AT_INTEGERS,
    samples=_REALS,
    total=True,
    short="trunc",
)
# (x - ans) / y is the whole quotient exactly; floor(x / y) is one too many for 1.0 % 0.1.
mod = define(
    name="mod",
    sympy=lambda x, y: x - y * floor_(x / y),
    impl=operator.mod,
    forms=_both(infix("%", Prec.TERM)),
    vjp=(lambda ct, ans, x, y: ct, lambda ct, ans, x, y: (ans - x) / y * ct),
    textbook=(lambda ans, x, y: 1, lambda ans, x, y: -floor(x / y)),
    domain="y != 0",
    kinks=(Kink("x a multiple of y", "as on the right", "the function jumps there; its gradient in x is 1 on both sides"),),
    samples=((7.3, 2.0), (-7.3, 2.0), (7.3, -2.0), (-7.3, -2.5)),
    notes="Python's and NumPy's %: the result has the sign of y.",
    short="mod",
)
fmod = define(
    name="fmod",
    sympy=lambda x, y: x - y * _truncated(x / y),
    impl=math.fmod,
    forms=_calls("math.fmod", "np.fmod"),
    vjp=(lambda ct, ans, x, y: ct, lambda ct, ans, x, y: (ans - x) / y * ct),
    textbook=(lambda ans, x, y: 1, lambda ans, x, y: -trunc(x / y)),
    domain="y != 0",
    kinks=(Kink("x a multiple of y", "as farther from 0", "the function jumps there; its gradient in x is 1 on both sides"),),
    samples=((7.3, 2.0), (-7.3, 2.0), (7.3, -2.0), (-7.3, -2.5)),
    notes="C's fmod: the result has the sign of x.",
    short="fmod",
)
heaviside = define(
    name="heaviside",
    sympy=lambda x, h: sympy.Piecewise((1, x > 0), (0, x < 0), (h, True)),
    impl=lambda x, h: 1.0 if x > 0 else 0.0 if x < 0 else h,
    forms={
        "math": pattern("1.0 if {0} > 0 else 0.0 if {0} < 0 else {1}", Prec.TEST, Prec.ATOM, Prec.TEST, atoms=(0,)),
        "numpy": call("np.heaviside"),
    },
    vjp=(ZERO, lambda ct, ans, x, h: select(eq(x, 0), ct, 0.0)),
    textbook=(lambda ans, x, h: 0, lambda ans, x, h: select(eq(x, 0), 1.0, 0.0)),
    kinks=(Kink("x = 0", "0", _JUMP),),
    samples=((0.7, 0.5), (-1.3, 0.5)),
    total=True,
    short="step",
)

# Conditions ------------------------------------------------------------------------------------------------------------


def _comparison(name: str, symbol: str, value: Any, relation: Any) -> Primitive:
    return define(
        name=name,
        sympy=relation,
        impl=value,
        forms=_both(infix(symbol, Prec.CMP)),
        vjp=(ZERO, ZERO),
        samples=_PAIRS,
        result="bool",
        total=True,
    )


lt = _comparison("lt", "<", operator.lt, sympy.Lt)
le = _comparison("le", "<=", operator.le, sympy.Le)
gt = _comparison("gt", ">", operator.gt, sympy.Gt)
ge = _comparison("ge", ">=", operator.ge, sympy.Ge)
eq: Primitive = _comparison("eq", "==", operator.eq, sympy.Eq)
ne: Primitive = _comparison("ne", "!=", operator.ne, sympy.Ne)

_TRUTHS: Final = ((True, True), (True, False), (False, True), (False, False))

and_: Primitive = define(
    name="and",
    sympy=sympy.And,
    impl=lambda a, b: bool(a and b),
    forms={"math": infix("and", Prec.AND), "numpy": infix("&", Prec.BAND)},
    vjp=(ZERO, ZERO),
    samples=_TRUTHS,
    result="bool",
    total=True,
)
or_: Primitive = define(
    name="or",
    sympy=sympy.Or,
    impl=lambda a, b: bool(a or b),
    forms={"math": infix("or", Prec.OR), "numpy": infix("|", Prec.BOR)},
    vjp=(ZERO, ZERO),
    samples=_TRUTHS,
    result="bool",
    total=True,
)
not_ = define(
    name="not",
    sympy=sympy.Not,
    impl=operator.not_,
    # Not `~`: of Python's True it is -2, which is true.
    forms={"math": prefix("not ", Prec.NOT), "numpy": call("np.logical_not")},
    vjp=(ZERO,),
    samples=((True,), (False,)),
    result="bool",
    total=True,
)
copy = define(
    name="copy",
    sympy=lambda x: x,
    impl=lambda x: x,
    forms={"math": pattern("{0}", Prec.ATOM, Prec.ATOM), "numpy": pattern("{0}.copy()", Prec.ATOM, Prec.ATOM)},
    vjp=(lambda ct, ans, x: ct,),
    samples=_REALS,
    total=True,
    cost=0,
)
