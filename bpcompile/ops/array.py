"""
Structural primitives: what arrays need besides element-wise operations.

Static parameters (`axis`, `keepdims`) are keyword-only arguments of rules, forms and shapes.
"""

from __future__ import annotations

from typing import Any

from bpcompile.forms import Form, Prec, method, pattern
from bpcompile.primitive import ZERO, define


def _sum_shape(shape: tuple[Any, ...], *, axis: tuple[int, ...], keepdims: bool) -> tuple[Any, ...]:
    return tuple(1 if i in axis else size for i, size in enumerate(shape) if keepdims or i not in axis)


def _sum_form(*, axis: tuple[int, ...], keepdims: bool) -> Form:
    axes = str(axis[0]) if len(axis) == 1 else str(axis)
    return method("sum", f"axis={axes}" + (", keepdims=True" if keepdims else ""))


sum_ = define(
    name="sum",
    sympy=lambda x, **_: x,
    impl=lambda x, **_: x,
    forms={"math": lambda **_: pattern("{0}", Prec.ATOM, Prec.ATOM), "numpy": _sum_form},
    vjp=(lambda ct, ans, x, *, axis, keepdims: spread(ct, x, axis=axis, keepdims=keepdims),),
    samples=((1.5,),),
    shape=_sum_shape,
    short="sum",
    total=True,
    notes="Emitted by the reverse pass to undo broadcasting; on scalars it is the identity.",
)

spread = define(
    name="spread",
    sympy=lambda ct, x, **_: ct,
    impl=lambda ct, x, **_: ct,
    forms={
        "math": lambda **_: pattern("{0}", Prec.ATOM, Prec.ATOM),
        "numpy": lambda **_: pattern("np.broadcast_to({0}, {1}.shape)", Prec.ATOM, Prec.TEST, Prec.ATOM, imports=("numpy",)),
    },
    vjp=(lambda ct, ans, y, x, *, axis, keepdims: sum_(ct, axis=axis, keepdims=keepdims), ZERO),
    samples=((1.5, 2.0),),
    shape=lambda y, x, **_: x,
    total=True,
    notes="The vjp of `sum`: the same value for every element that was summed.",
)

fill_like = define(
    name="fill_like",
    sympy=lambda x, value: value,
    impl=lambda x, value: value,
    forms={
        "math": pattern("{1}", Prec.ATOM, Prec.ATOM, Prec.ATOM),
        "numpy": pattern("np.full_like({0}, {1})", Prec.ATOM, Prec.TEST, Prec.TEST, imports=("numpy",)),
    },
    vjp=(ZERO, lambda ct, ans, x, value: ct),
    samples=((1.0, 2.5),),
    shape=lambda x, value: x,
    total=True,
    notes="A gradient that is the same number for every element.",
)

chain = define(
    name="chain",
    sympy=lambda local, ct: local * ct,
    impl=lambda local, ct: local * ct,
    forms={
        target: Form("{0} * {1}", Prec.TERM, (Prec.TERM, Prec.FACTOR), loud=(0,))
        for target in ("math", "numpy")
    },
    vjp=(lambda ct, ans, local, upstream: ct * upstream, lambda ct, ans, local, upstream: ct * local),
    samples=((1.5, -2.0),),
    total=True,
    notes="Local gradient times upstream gradient, as lecture notes write it: the local gradient keeps its parentheses.",
)
