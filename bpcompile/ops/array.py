"""
Structural primitives: what arrays need besides element-wise operations.

Static parameters (`axis`, `keepdims`, `shape`, `index`, ...) are keyword-only arguments of rules, forms, shapes and values. Axes are
never negative; sizes are dimensions as in `dims`, and values want them as numbers (`at_sizes`). An index is a tuple of positions,
`("slice", start, stop, step)` and None, as they stand in brackets.

The bounds of a slice are taken to lie inside an axis whose size only run time knows, and in order; `assumed` says so in numbers, for
emitted code to check.

>>> from bpcompile.ir import Builder, Var
>>> x = Var(name="x", shape=("N", 4))
>>> with Builder():
...     print(transpose(x, perm=(1, 0)).shape, getitem(x, index=(0,)).shape, mean(x, axis=(1,), keepdims=True).shape)
(4, 'N') (4,) ('N', 1)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bpcompile import dims
from bpcompile.forms import Form, Prec, method, pattern
from bpcompile.ir import Builder, Dim, Shape, broadcast, show_shape
from bpcompile.ops.scalar import gt, select
from bpcompile.primitive import ZERO, EachOperand, Kink, Primitive, define

ALL: Final = ("slice", None, None, None)
REVERSED: Final = ("slice", None, None, -1)
#: What arrays are printed as where there are none: never used, for the target without arrays refuses them.
NEVER: Final = pattern("{0}", Prec.ATOM, Prec.ATOM)
NO_ANCESTOR: Final = pattern("0.0", Prec.ATOM, Prec.ATOM)
#: Static parameters that hold sizes.
_SIZED: Final = frozenset({"shape", "size", "widths", "sizes", "steps", "index"})
_NUMPY: Final = ("numpy",)


def at_sizes(params: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """
    Return the static parameters of an equation with numbers in place of the names of sizes: what values are computed with.

    >>> at_sizes({"index": (("slice", "D", None, None), 0)}, {"D": 3})
    {'index': (('slice', 3, None, None), 0)}
    """
    return {name: _at(value, dict(sizes), index=name == "index") if name in _SIZED else value for name, value in params.items()}


def _at(value: Any, sizes: dict[str, int], *, index: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(part if index and part == "slice" else _at(part, sizes, index=index) for part in value)
    return value if value is None else dims.substitute(value, sizes)


def no_sympy(*_: Any, **__: Any) -> Any:
    """Refuse SymPy scalars: the operation only exists on arrays."""
    raise TypeError("an operation on arrays has no SymPy counterpart on scalars")


def show_dims(shape: Sequence[Dim]) -> str:
    """Return a shape as Python source."""
    return f"({dims.show(shape[0])},)" if len(shape) == 1 else f"({', '.join(map(dims.show, shape))})"


def forms(numpy: Form | Callable[..., Form], math: Form = NEVER) -> dict[str, Form | Callable[..., Form]]:
    """Return the forms of an operation that only exists on arrays."""
    return {"math": lambda **_: math, "numpy": numpy}


def view(form: Form) -> Form:
    """Return the form of an operation whose result may share memory with its operand."""
    return replace(form, view=True)


def lines(*statements: str, operands: tuple[Prec, ...], accumulate: tuple[str, ...] = (), fresh: tuple[str, ...] = (), atoms: tuple[int, ...] = ()) -> Form:
    """Return the form of what takes several statements."""
    return Form("", Prec.ATOM, operands, _NUMPY, atoms, statements=statements, accumulate=accumulate, fresh=fresh)


def dim_of(size: Dim) -> Any:
    """Return a size as a factor in a rule: a number, or a variable whose value run time knows."""
    return size if isinstance(size, int) else Builder.current().emit(dim, (), {"size": size})


def is_number(value: Any) -> bool:
    """Whether a rule was given a plain number: the cotangent of a scalar may be one."""
    return isinstance(value, int | float)


def _axes_text(axis: tuple[int, ...], keepdims: bool, shapes: Sequence[Shape] | None) -> str:  # noqa: FBT001  a static parameter
    parts = []
    if shapes is None or len(axis) < len(shapes[0]) or keepdims:
        parts.append(f"axis={axis[0] if len(axis) == 1 else axis}")
    return ", ".join([*parts, "keepdims=True"] if keepdims else parts)


def _reduced(shape: Shape, *, axis: tuple[int, ...], keepdims: bool) -> Shape:
    return tuple(1 if i in axis else size for i, size in enumerate(shape) if keepdims or i not in axis)


def _reduction(name: str) -> Callable[..., Form]:
    def form(*, axis: tuple[int, ...], keepdims: bool, shapes: Sequence[Shape] | None = None) -> Form:
        return method(name, _axes_text(axis, keepdims, shapes))

    return form


def _places(axis: tuple[int, ...], keepdims: bool) -> tuple[Any, ...]:  # noqa: FBT001  a static parameter
    """Return the index that puts a reduced array against the unreduced one; broadcasting does the rest."""
    if keepdims:
        return ()
    places: list[Any] = [None if i in axis else ALL for i in range(max(axis, default=-1) + 1)]
    while places and places[0] is None:
        del places[0]
    return tuple(places)


def against(y: Any, axis: tuple[int, ...], keepdims: bool) -> Any:  # noqa: FBT001  a static parameter
    """Return a reduced value with axes of size 1 where it must meet the unreduced array: `y[:, None]`."""
    places = _places(axis, keepdims)
    return getitem(y, index=places) if places and not is_number(y) else y


def _summed_to(value: Any, shape: Shape) -> Any:
    """Undo broadcasting: sum over the axes that `shape` lacks or has with size 1."""
    if is_number(value) or value.shape == shape:
        return value
    extra = len(value.shape) - len(shape)
    if extra > 0:
        value = sum_(value, axis=tuple(range(extra)), keepdims=False)
    lead = max(0, -extra)  # axes of size 1 in front, as assignment to a part of an array allows them
    ones = tuple(i for i, (have, want) in enumerate(zip(value.shape, shape[lead:], strict=True)) if want == 1 and have != 1)
    if ones:
        value = sum_(value, axis=ones, keepdims=True)
    return reshape(value, shape=shape) if lead else value


# Indices ----------------------------------------------------------------------------------------------------------------


def slice_length(size: Dim, start: Dim | None, stop: Dim | None, step: int | None) -> Dim:
    """
    Return how many elements a slice takes of an axis.

    >>> slice_length(5, 1, None, 2), slice_length("N", 1, -1, None), slice_length("N", None, None, -1)
    (2, N - 2, 'N')
    """
    step = 1 if step is None else step
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if all(bound is None or isinstance(bound, int) for bound in (start, stop)) and isinstance(size, int):
        return len(range(*slice(start, stop, step).indices(size)))
    if step > 0:
        span = dims.subtract(size if stop is None else _bound(stop, size), 0 if start is None else _bound(start, size))
    else:
        span = dims.subtract(dims.subtract(size, 1) if start is None else _bound(start, size), -1 if stop is None else _bound(stop, size))
    if isinstance(span, int) and span <= 0:
        return 0
    return span if abs(step) == 1 else dims.divide(dims.add(span, abs(step) - 1), abs(step))


def assumed(shape: Shape, index: tuple[Any, ...]) -> list[tuple[Dim, Dim]]:
    """
    Return what taking a part of an array relies on: pairs of sizes, the first at least as large as the second.

    >>> assumed(("N", 4, "D"), (("slice", 1, -1, None), ("slice", 1, None, None), ("slice", None, "K", None)))
    [('N', 2), ('D', 'K')]
    """
    pairs: list[tuple[Dim, Dim]] = []
    axis = 0
    for part in index:
        if part is None:
            continue
        if isinstance(part, tuple):
            pairs += _assumed_of_slice(shape[axis], *part[1:])
        axis += 1
    return list(dict.fromkeys(pairs))


def _assumed_of_slice(size: Dim, start: Dim | None, stop: Dim | None, step: int | None) -> Iterator[tuple[Dim, Dim]]:
    if all(bound is None or isinstance(bound, int) for bound in (size, start, stop)) and isinstance(size, int):
        return
    forward = step is None or step > 0
    if forward:
        low, high = 0 if start is None else _bound(start, size), size if stop is None else _bound(stop, size)
        needed = [(size, high), (size, low), (high, low), (low, 0), (high, 0)]
    else:
        low, high = -1 if stop is None else _bound(stop, size), dims.subtract(size, 1) if start is None else _bound(start, size)
        needed = [(dims.subtract(size, 1), high), (dims.subtract(size, 1), low), (high, low), (low, -1), (high, -1)]
    found: dict[tuple[Dim, Dim], None] = {}
    for large, small in needed:
        if dims.surely_at_least(large, small):
            continue
        # N - 1 >= 1 reads better as N >= 2.
        rest = dims.subtract(large, small)
        number = dims.constant_of(rest)
        found[dims.subtract(rest, number) if number < 0 else large, -number if number < 0 else small] = None
    # Of several numbers the largest says it all.
    for large, small in found:
        if not any(other == large and isinstance(small, int) and isinstance(least, int) and least > small for other, least in found):
            yield large, small


def _bound(bound: Dim, size: Dim) -> Dim:
    negative = bound < 0 if isinstance(bound, int) else not isinstance(bound, str) and bool(bound.is_negative)
    return dims.add(size, bound) if negative else bound


def index_shape(shape: Shape, index: tuple[Any, ...]) -> Shape:
    """
    Return the shape of a part of an array.

    Raises:
        ValueError: There are more positions than axes, or one is out of bounds.
    """
    if sum(part is not None for part in index) > len(shape):
        raise ValueError(f"too many indices: an array of shape {show_shape(shape)} has {len(shape)} axes")
    result: list[Dim] = []
    axis = 0
    for part in index:
        if part is None:
            result.append(1)
            continue
        size = shape[axis]
        if isinstance(part, tuple):
            result.append(slice_length(size, *part[1:]))
        elif isinstance(part, int) and isinstance(size, int) and not -size <= part < size:
            raise ValueError(f"index {part} is out of bounds for axis {axis} with size {size}")
        axis += 1
    return (*result, *shape[axis:])


def show_index(index: tuple[Any, ...]) -> str:
    """
    Return what stands between the brackets.

    >>> show_index((ALL, 0, ("slice", 1, None, None), None, ALL)), show_index(()), show_index((ALL, REVERSED))
    (':, 0, 1:, None', '()', ':, ::-1')
    """
    parts = list(index)
    while len(parts) > 1 and parts[-1] == ALL:
        del parts[-1]
    return ", ".join(map(_show_part, parts)) if parts else "()"


def _show_part(part: Any) -> str:
    if part is None:
        return "None"
    if not isinstance(part, tuple):
        return dims.show(part)
    start, stop, step = ("" if bound is None else dims.show(bound) for bound in part[1:])
    # Formatters put spaces around the colon of a slice whose bounds are sums or products.
    colon = ":" if all(text.removeprefix("-").isidentifier() or text.removeprefix("-").isdigit() for text in (start, stop, step) if text) else " : "
    text = f"{start}{colon}{stop}".strip() + (f"{colon}{step}" if step else "")
    return text.strip()


def as_index(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index as NumPy takes it."""
    return tuple(slice(*part[1:]) if isinstance(part, tuple) else part for part in index)


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the index that takes `part` of one axis and all of the others."""
    return (ALL,) * axis + (part,)


def flip(x: Any, axis: int) -> Any:
    """Emit an array in reverse order along an axis."""
    return getitem(x, index=along(axis, REVERSED))


def _shifted(x: Any, axis: int, places: int) -> Any:
    """Emit an array moved by one place along an axis, zeros coming in: to the right for places = 1, to the left for -1."""
    front, back = along(axis, ("slice", None, -1, None)), along(axis, ("slice", 1, None, None))
    source, target = (front, back) if places > 0 else (back, front)
    return embed(x, getitem(x, index=source), index=target)


def zeros_for(like: Any, *values: Any) -> Any:
    """Return zeros in the shape of `like` that can hold all of the values (floats, complex numbers or objects)."""
    return np.zeros(np.shape(like), dtype=np.result_type(np.asarray(like), *map(np.asarray, values)))


# Sums and what undoes them ----------------------------------------------------------------------------------------------


def _sum_value(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.sum(x, axis=axis, keepdims=keepdims) if np.ndim(x) else x


def _spread_value(y: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.broadcast_to(np.asarray(y)[as_index(_places(axis, keepdims))], x.shape) if np.ndim(x) else y


def _spread_form(*, axis: tuple[int, ...], keepdims: bool) -> Form:
    places = _places(axis, keepdims)
    operand = f"{{0}}[{show_index(places)}]" if places else "{0}"
    return Form(
        f"np.broadcast_to({operand}, {{1}}.shape)",
        Prec.ATOM,
        (Prec.ATOM if places else Prec.TEST, Prec.ATOM),
        _NUMPY,
        accumulate=(f"{{out}} += {operand}",),
        view=True,
    )


_REDUCTIONS: Final[tuple[tuple[tuple[Shape, ...], dict[str, Any]], ...]] = (
    ((("N",),), {"axis": (0,), "keepdims": False}),
    ((("N", "D"),), {"axis": (0,), "keepdims": False}),
    ((("N", "D"),), {"axis": (1,), "keepdims": False}),
    ((("N", "D"),), {"axis": (1,), "keepdims": True}),
    ((("N", "D"),), {"axis": (0, 1), "keepdims": False}),
    ((("N", "D", "K"),), {"axis": (0, 2), "keepdims": False}),
    ((("N", "D", "K"),), {"axis": (0, 1, 2), "keepdims": True}),
    ((("N", "D", 1, "K"),), {"axis": (1, 2), "keepdims": False}),
)

sum_ = define(
    name="sum",
    symbol="Σ",
    sympy=lambda x, **_: x,
    impl=_sum_value,
    forms={"math": lambda **_: NEVER, "numpy": _reduction("sum")},
    vjp=(lambda ct, ans, x, *, axis, keepdims: spread(ct, x, axis=axis, keepdims=keepdims),),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    shape=_reduced,
    short="sum",
    total=True,
    notes="Also emitted by the reverse pass to undo broadcasting; on scalars it is the identity.",
)

spread: Primitive = define(
    name="spread",
    shape_only=(1,),
    sympy=lambda ct, x, **_: ct,
    impl=_spread_value,
    forms={"math": lambda **_: NEVER, "numpy": _spread_form},
    vjp=(lambda ct, ans, y, x, *, axis, keepdims: sum_(ct, axis=axis, keepdims=keepdims), ZERO),
    samples=((1.5, 2.0),),
    array_samples=tuple(((_reduced(x, **params), x), params) for (x,), params in _REDUCTIONS),
    shape=lambda y, x, **_: x,
    total=True,
    cost=0,
    notes="The vjp of `sum`: the same value for every element that was summed.",
)

fill_like = define(
    name="fill_like",
    shape_only=(0,),
    sympy=lambda x, value: value,
    impl=lambda x, value: np.full(np.shape(x), value) if np.ndim(x) else value,
    forms={
        "math": pattern("{1}", Prec.ATOM, Prec.ATOM, Prec.ATOM),
        "numpy": Form("np.full_like({0}, {1})", Prec.ATOM, (Prec.TEST, Prec.TEST), _NUMPY, accumulate=("{out} += {1}",)),
    },
    vjp=(ZERO, lambda ct, ans, x, value: _total(ct)),
    samples=((1.0, 2.5),),
    array_samples=((((), ()), {}), ((("N", "D"), ()), {})),
    shape=lambda x, value: x,
    total=True,
    cost=0,
    notes="A gradient that is the same number for every element.",
)


def _total(ct: Any) -> Any:
    """Sum over all axes."""
    return ct if is_number(ct) or not ct.shape else sum_(ct, axis=tuple(range(len(ct.shape))), keepdims=False)


chain = define(
    name="chain",
    sympy=lambda local, ct: local * ct,
    impl=lambda local, ct: local * ct,
    forms={target: Form("{0} * {1}", Prec.TERM, (Prec.TERM, Prec.FACTOR), loud=(0,)) for target in ("math", "numpy")},
    vjp=(lambda ct, ans, local, upstream: ct * upstream, lambda ct, ans, local, upstream: ct * local),
    samples=((1.5, -2.0),),
    total=True,
    notes="Local gradient times upstream gradient, as lecture notes write it: the local gradient keeps its parentheses.",
)


def _mean_rule(ct: Any, ans: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    count = dims.product(x.shape[i] for i in axis)
    # The mean of nothing is nan, and its gradient has no elements to be wrong in.
    return spread(ct if count == 0 else ct / dim_of(count), x, axis=axis, keepdims=keepdims)


mean = define(
    name="mean",
    sympy=lambda x, **_: x,
    impl=lambda x, *, axis, keepdims: np.mean(x, axis=axis, keepdims=keepdims),
    forms=forms(_reduction("mean")),
    vjp=(_mean_rule,),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    shape=_reduced,
    short="mean",
    notes="The gradient divides by the number of elements: 1/N.",
)


def _std_value(x: Any, *, axis: tuple[int, ...], keepdims: bool, ddof: int) -> Any:
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    count = math.prod(np.shape(x)[i] for i in axis) - ddof
    with np.errstate(all="ignore"):
        return operator.pow(np.sum(deviation * deviation, axis=axis, keepdims=keepdims) / np.float64(max(count, 0)), 0.5)


def _std_form(*, axis: tuple[int, ...], keepdims: bool, ddof: int, shapes: Sequence[Shape] | None = None) -> Form:
    axes = _axes_text(axis, keepdims, shapes)
    return method("std", ", ".join(filter(None, [axes, f"ddof={ddof}" if ddof else ""])))


def _std_rule(ct: Any, ans: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, ddof: int) -> Any:
    count = dims.subtract(dims.product(x.shape[i] for i in axis), ddof)
    if isinstance(count, int) and count <= 0:
        return 0.0 * x
    # The deviations add up to 0, so the mean takes no share. Where all elements are equal they are 0, and so is the gradient.
    scale = ct / (dim_of(count) * select(gt(ans, 0.0), ans, 1.0))
    return (x - mean(x, axis=axis, keepdims=True)) * against(scale, axis, keepdims)


std = define(
    name="std",
    sympy=lambda x, **_: 0 * x,
    impl=_std_value,
    forms=forms(_std_form),
    vjp=(_std_rule,),
    samples=((1.5,),),
    # NumPy warns of the deviation of nothing, so the axes that are reduced have sizes.
    array_samples=(
        (((5,),), {"axis": (0,), "keepdims": False, "ddof": 0}),
        (((5, "D"),), {"axis": (0,), "keepdims": False, "ddof": 1}),
        ((("N", 4),), {"axis": (1,), "keepdims": True, "ddof": 0}),
        (((2, "D", 3),), {"axis": (0, 2), "keepdims": False, "ddof": 1}),
    ),
    kinks=(Kink("all elements equal", "0", "the smallest of the subgradients, and what keeps later products finite"),),
    shape=lambda x, *, axis, keepdims, ddof: _reduced(x, axis=axis, keepdims=keepdims),
    total=True,
    short="std",
    notes="The square root of the mean squared deviation from the mean; the sum of squares is divided by N - ddof.",
)


# The largest, the smallest ----------------------------------------------------------------------------------------------


def _hits_value(x: Any, best: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    hits = np.equal(x, np.asarray(best)[as_index(_places(axis, keepdims))]).astype(np.asarray(x).dtype)
    with np.errstate(invalid="ignore"):  # a slice with a nan has no largest element: its weights are nan as well
        return hits / np.sum(hits, axis=axis, keepdims=True) if hits.size else hits


def _hits_form(*, axis: tuple[int, ...], keepdims: bool) -> Form:
    places = _places(axis, keepdims)
    best = f"{{1}}[{show_index(places)}]" if places else "{1}"
    axes = axis[0] if len(axis) == 1 else axis
    return lines(
        f"{{out}} = ({{0}} == {best}).astype({{0}}.dtype)",
        f"{{out}} /= {{out}}.sum(axis={axes}, keepdims=True)",
        operands=(Prec.ATOM, Prec.ATOM if places else Prec.BOR),
        atoms=(0,),
    )


def _extreme_rule(ct: Any, ans: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    return hits(x, ans, axis=axis, keepdims=keepdims) * against(ct, axis, keepdims)


hits = define(
    name="hits",
    sympy=no_sympy,
    impl=_hits_value,
    forms=forms(_hits_form),
    vjp=(ZERO, ZERO),
    samples=((1.5, 1.5),),
    array_samples=tuple(((x, _reduced(x, **params)), params) for (x,), params in _REDUCTIONS),
    draw=lambda rng, x, best, *, axis, keepdims: (a := rng.integers(0, 3, x).astype(float), np.max(a, axis=axis, keepdims=keepdims)),
    shape=lambda x, best, **_: x,
    short="hit",
    notes="Where the largest (or smallest) element of each slice stands: weights that sum to 1, shared equally at ties. In the dtype of x.",
)

_TIES: Final = (Kink("equal largest elements", "the gradient is shared equally among them", "the weights must sum to 1, and no element is special"),)

amax = define(
    name="amax",
    symbol="max",
    sympy=no_sympy,
    impl=lambda x, *, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    forms=forms(_reduction("max")),
    vjp=(_extreme_rule,),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    kinks=_TIES,
    shape=_reduced,
    short="max",
)
peak = define(
    name="peak",
    sympy=no_sympy,
    impl=lambda x, *, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims),
    forms=forms(_reduction("max")),
    vjp=(ZERO,),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    shape=_reduced,
    short="max",
    notes="The largest elements as a shift on which the result does not depend, so that they carry no gradient.",
)
amin = define(
    name="amin",
    symbol="min",
    sympy=no_sympy,
    impl=lambda x, *, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims),
    forms=forms(_reduction("min")),
    vjp=(_extreme_rule,),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    kinks=(Kink("equal smallest elements", "the gradient is shared equally among them", "as for `amax`"),),
    shape=_reduced,
    short="min",
)


def _position_shape(x: Shape, *, axis: int | None) -> Shape:
    return () if axis is None else x[:axis] + x[axis + 1 :]


def _position(name: str, function: Callable[..., Any]) -> Primitive:
    return define(
        name=name,
        sympy=no_sympy,
        impl=lambda x, *, axis: function(x, axis=axis),
        forms=forms(lambda *, axis: method(name, "" if axis is None else f"axis={axis}")),
        vjp=(ZERO,),
        samples=((1.5,),),
        array_samples=(((("N", "D"),), {"axis": 1}), ((("N", "D"),), {"axis": None})),
        shape=_position_shape,
        result="int",
        short="best",
        notes="The first position at ties, as NumPy. An integer: carries no derivative.",
    )


argmax = _position("argmax", np.argmax)
argmin = _position("argmin", np.argmin)


# Products and running sums ----------------------------------------------------------------------------------------------


def _colons(axis: int) -> str:
    return ":, " * axis


def _others_form(*, axis: int) -> Form:
    pre = _colons(axis)
    return lines(
        "{out} = np.ones_like({0})",
        f"{{out}}[{pre}1:] = np.cumprod({{0}}[{pre}:-1], axis={axis})",
        f"{{out}}[{pre}:-1] *= np.cumprod({{0}}[{pre}:0:-1], axis={axis})[{pre}::-1]",
        operands=(Prec.ATOM,),
        atoms=(0,),
    )


def _before_value(x: Any, *, axis: int) -> Any:
    out = np.ones_like(x)
    out[as_index(along(axis, ("slice", 1, None, None)))] = np.cumprod(x[as_index(along(axis, ("slice", None, -1, None)))], axis=axis)
    return out


def _before_form(*, axis: int) -> Form:
    pre = _colons(axis)
    return lines(
        "{out} = np.ones_like({0})",
        f"{{out}}[{pre}1:] = np.cumprod({{0}}[{pre}:-1], axis={axis})",
        operands=(Prec.ATOM,),
        atoms=(0,),
    )


def _discounted_value(r: Any, x: Any, *, axis: int) -> Any:
    out = np.array(np.broadcast_to(r, np.shape(x)), dtype=np.result_type(np.asarray(r), np.asarray(x)))
    run, factor = np.moveaxis(out, axis, 0), np.moveaxis(np.asarray(x), axis, 0)
    for i in reversed(range(len(factor) - 1)):
        run[i] += factor[i + 1] * run[i + 1]
    return out


def _discounted_form(*, axis: int) -> Form:
    pre = _colons(axis)
    return lines(
        "{out} = {0}.copy()",
        f"for {{i}} in reversed(range({{1}}.shape[{axis}] - 1)):",
        f"    {{out}}[{pre}{{i}}] += {{1}}[{pre}{{i}} + 1] * {{out}}[{pre}{{i}} + 1]",
        operands=(Prec.ATOM, Prec.ATOM),
        atoms=(1,),
        fresh=("i",),
    )


def _swept(ct: Any, x: Any, axis: int) -> Any:
    """Return the cotangent of the sums in `discounted`: the same recurrence, run from the front."""
    return flip(discounted(flip(ct, axis), _shifted(flip(x, axis), axis, 1), axis=axis), axis)


def _before_rule(ct: Any, ans: Any, x: Any, *, axis: int) -> Any:
    return ans * discounted(_shifted(ct, axis, -1), x, axis=axis)


def _others_rule(ct: Any, ans: Any, x: Any, *, axis: int) -> Any:
    left = cumprod_before(x, axis=axis)
    back = flip(x, axis)
    right = cumprod_before(back, axis=axis)
    from_left = _before_rule(ct * flip(right, axis), left, x, axis=axis)
    from_right = _before_rule(flip(ct * left, axis), right, back, axis=axis)
    return from_left + flip(from_right, axis)


def _prod_rule(ct: Any, ans: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if len(axis) == 1:
        return others(x, axis=axis[0]) * against(ct, axis, keepdims)
    # Several axes are one after moving them to the front.
    rest = tuple(i for i in range(len(x.shape)) if i not in axis)
    perm = axis + rest
    moved = _permuted(x, perm)
    flat = reshape(moved, shape=(dims.product(x.shape[i] for i in axis), *(x.shape[i] for i in rest)))
    back = reshape(others(flat, axis=0), shape=tuple(x.shape[i] for i in perm))
    return _permuted(back, _inverse(perm)) * against(ct, axis, keepdims)


_LINES: Final = (((("N",),), {"axis": 0}), ((("N", "D"),), {"axis": 0}), ((("N", "D", "K"),), {"axis": 1}))


def _with_zeros(rng: Any, *shapes: Shape, **_: Any) -> tuple[Any, ...]:
    """Draw normal deviates, some of them exactly 0."""
    return tuple(np.where(rng.random(s) < 0.25, 0.0, rng.standard_normal(s)) for s in shapes)


prod = define(
    name="prod",
    sympy=lambda x, **_: x,
    impl=lambda x, *, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims),
    forms=forms(_reduction("prod")),
    vjp=(_prod_rule,),
    samples=((1.5,),),
    array_samples=_REDUCTIONS,
    draw=_with_zeros,
    shape=_reduced,
    short="prod",
    notes="The gradient multiplies the other elements instead of dividing by this one: right where elements are 0.",
)
others = define(
    name="others",
    sympy=no_sympy,
    impl=lambda x, *, axis: _before_value(x, axis=axis) * np.flip(_before_value(np.flip(x, axis), axis=axis), axis),
    forms=forms(_others_form),
    vjp=(_others_rule,),
    samples=((1.5,),),
    array_samples=_LINES,
    draw=_with_zeros,
    shape=lambda x, **_: x,
    short="others",
    notes="For each element the product of all others along an axis: those before it times those after it.",
)
cumprod = define(
    name="cumprod",
    sympy=no_sympy,
    impl=lambda x, *, axis: np.cumprod(x, axis=axis),
    forms=forms(lambda *, axis: pattern(f"np.cumprod({{0}}, axis={axis})", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(lambda ct, ans, x, *, axis: cumprod_before(x, axis=axis) * discounted(ct, x, axis=axis),),
    samples=((1.5,),),
    array_samples=_LINES,
    draw=_with_zeros,
    shape=lambda x, **_: x,
    short="cumprod",
    notes="y_k = x_0 ... x_k, so dx_i = (x_0 ... x_{i-1}) S_i with S_i = ct_i + x_{i+1} S_{i+1}: no division, right where elements are 0.",
)
cumprod_before: Primitive = define(
    name="cumprod_before",
    sympy=no_sympy,
    impl=_before_value,
    forms=forms(_before_form),
    vjp=(_before_rule,),
    samples=((1.5,),),
    array_samples=_LINES,
    draw=_with_zeros,
    shape=lambda x, **_: x,
    short="before",
    notes="The product of the elements before each one; 1 for the first.",
)
discounted: Primitive = define(
    name="discounted",
    sympy=no_sympy,
    impl=_discounted_value,
    forms=forms(_discounted_form),
    vjp=(
        lambda ct, ans, r, x, *, axis: _swept(ct, x, axis),
        lambda ct, ans, r, x, *, axis: _shifted(_swept(ct, x, axis), axis, 1) * ans,
    ),
    samples=((1.5, 2.0),),
    array_samples=tuple(((x, x), params) for (x,), params in _LINES),
    draw=_with_zeros,
    shape=lambda r, x, **_: x,
    short="sums",
    notes="S_i = r_i + x_{i+1} S_{i+1}, from the end.",
)
cumsum: Primitive = define(
    name="cumsum",
    sympy=no_sympy,
    impl=lambda x, *, axis: np.cumsum(x, axis=axis),
    forms=forms(lambda *, axis: pattern(f"np.cumsum({{0}}, axis={axis})", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(lambda ct, ans, x, *, axis: flip(cumsum(flip(ct, axis), axis=axis), axis),),
    samples=((1.5,),),
    array_samples=_LINES,
    shape=lambda x, **_: x,
    short="cumsum",
)


# Moving axes ------------------------------------------------------------------------------------------------------------


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(i) for i in range(len(perm)))


def _permuted(x: Any, perm: tuple[int, ...]) -> Any:
    return x if is_number(x) or perm == tuple(range(len(perm))) else transpose(x, perm=perm)


def _transpose_shape(x: Shape, *, perm: tuple[int, ...]) -> Shape:
    if sorted(perm) != list(range(len(x))):
        raise ValueError(f"axes {perm} do not fit an array of shape {show_shape(x)}")
    return tuple(x[i] for i in perm)


def _transpose_form(*, perm: tuple[int, ...]) -> Form:
    last = len(perm) - 1
    if perm == tuple(range(last, -1, -1)):
        return view(pattern("{0}.T", Prec.ATOM, Prec.ATOM))
    if perm == (*range(last - 1), last, last - 1):
        return view(pattern("np.swapaxes({0}, -1, -2)", Prec.ATOM, Prec.TEST, imports=_NUMPY))
    return view(method("transpose", ", ".join(map(str, perm))))


transpose = define(
    name="transpose",
    symbol="T",
    sympy=no_sympy,
    impl=lambda x, *, perm: np.transpose(x, perm),
    forms=forms(_transpose_form),
    vjp=(lambda ct, ans, x, *, perm: _permuted(ct, _inverse(perm)),),
    samples=((1.5,),),
    array_samples=(
        ((("N", "D"),), {"perm": (1, 0)}),
        ((("N", "D", "K"),), {"perm": (0, 2, 1)}),
        ((("N", "D", "K"),), {"perm": (2, 1, 0)}),
        ((("N", "D", "K", 2),), {"perm": (2, 0, 3, 1)}),
    ),
    shape=_transpose_shape,
    passes=True,
    total=True,
    cost=0,
    short="T",
)


def _reshape_shape(x: Shape, *, shape: Shape) -> Shape:
    if dims.product(x) != dims.product(shape):
        raise ValueError(f"an array of shape {show_shape(x)} can't be reshaped to {show_shape(shape)}")
    return shape


def _reshape_form(*, shape: Shape, shapes: Sequence[Shape] | None = None) -> Form:
    if shapes is not None and not shapes[0]:
        return view(pattern(f"np.reshape({{0}}, {show_dims(shape)})", Prec.ATOM, Prec.TEST, imports=_NUMPY))
    if len(shape) == 1:
        return view(method("ravel"))
    return view(method("reshape", ", ".join(map(dims.show, shape)) if shape else "()"))


def _reshaped(x: Any, shape: Shape) -> Any:
    if is_number(x):
        return x
    return reshape(x, shape=shape)


reshape = define(
    name="reshape",
    sympy=no_sympy,
    impl=lambda x, *, shape: np.reshape(x, shape),
    forms=forms(_reshape_form),
    vjp=(lambda ct, ans, x, *, shape: _reshaped(ct, x.shape),),
    samples=((1.5,),),
    array_samples=(
        ((("N", "D"),), {"shape": (dims.multiply("N", "D"),)}),
        ((("N", 6),), {"shape": ("N", 2, 3)}),
        ((("N", "D", 2),), {"shape": ("N", dims.multiply("D", 2))}),
        (((1, 1),), {"shape": ()}),
        (((),), {"shape": (1, 1)}),
    ),
    shape=_reshape_shape,
    short="flat",
    passes=True,
    total=True,
    cost=0,
)


def _broadcast_shape(x: Shape, *, shape: Shape) -> Shape:
    lead = len(shape) - len(x)
    if lead < 0 or any(have not in {1, want} for have, want in zip(x, shape[lead:], strict=True)):
        raise ValueError(f"an array of shape {show_shape(x)} can't be broadcast to {show_shape(shape)}")
    return shape


broadcast_to = define(
    name="broadcast_to",
    sympy=no_sympy,
    impl=lambda x, *, shape: np.broadcast_to(x, shape),
    forms=forms(lambda *, shape: view(pattern(f"np.broadcast_to({{0}}, {show_dims(shape)})", Prec.ATOM, Prec.TEST, imports=_NUMPY))),
    vjp=(lambda ct, ans, x, *, shape: _summed_to(ct, x.shape),),
    samples=((1.5,),),
    array_samples=(
        (((),), {"shape": ("N", "D")}),
        ((("D",),), {"shape": ("N", "D")}),
        ((("N", 1),), {"shape": ("K", "N", "D")}),
        (((1, "D", 1),), {"shape": (1, "D", 3)}),
    ),
    shape=_broadcast_shape,
    passes=True,
    total=True,
    cost=0,
)


# Parts of arrays --------------------------------------------------------------------------------------------------------

_PARTS: Final = (
    (("N",), (0,)),
    (("N",), (-1,)),
    (("N", "D"), (ALL, 0)),
    (("N", "D"), (REVERSED,)),
    (("N", "D"), (None, ALL, None)),
    ((6, "D"), (("slice", 1, 5, 2), ALL)),
    ((6, "D"), (("slice", -2, None, -3), None, -1)),
    ((dims.add("N", "D"), "K"), (("slice", "N", None, None),)),
    ((dims.add("N", 2), "D"), (("slice", 1, -1, None),)),
    ((dims.add("N", 3),), (("slice", 1, None, 2),)),
    ((3, "N"), (2, ("slice", None, None, 3))),
    (("N", 2, "D"), (ALL, 1, ALL)),
)


def _embed_value(like: Any, ct: Any, *, index: tuple[Any, ...]) -> Any:
    out = zeros_for(like, ct)
    out[as_index(index)] = ct
    return out


def _embed_shape(like: Shape, ct: Shape, *, index: tuple[Any, ...]) -> Shape:
    _fits(ct, index_shape(like, index))
    return like


def _fits(value: Shape, part: Shape) -> None:
    """Check that a value can be written to a part of an array: broadcasting, and axes of size 1 in front are ignored."""
    while len(value) > len(part) and value[0] == 1:
        value = value[1:]
    _broadcast_shape(value, shape=part)


def _setitem_value(x: Any, value: Any, *, index: tuple[Any, ...]) -> Any:
    out = np.array(x, dtype=np.result_type(np.asarray(x), np.asarray(value)))
    out[as_index(index)] = value
    return out


def _setitem_shape(x: Shape, value: Shape, *, index: tuple[Any, ...]) -> Shape:
    _fits(value, index_shape(x, index))
    return x


def _part_undone(ct: Any, x: Any, index: tuple[Any, ...]) -> Any:
    if all(place is None or place == ALL for place in index) and not is_number(ct):
        return getitem(ct, index=tuple(0 if place is None else place for place in index))  # only axes of size 1 were added
    return embed(x, ct, index=index)


getitem: Primitive = define(
    name="getitem",
    symbol="[ ]",
    sympy=no_sympy,
    impl=lambda x, *, index: x[as_index(index)],
    forms=forms(lambda *, index: view(pattern(f"{{0}}[{show_index(index)}]", Prec.ATOM, Prec.ATOM))),
    vjp=(lambda ct, ans, x, *, index: _part_undone(ct, x, index),),
    samples=((1.5,),),
    array_samples=tuple(((x,), {"index": index}) for x, index in _PARTS),
    shape=lambda x, *, index: index_shape(x, index),
    passes=True,
    total=True,
    cost=0,
    short="part",
)
embed: Primitive = define(
    name="embed",
    shape_only=(0,),
    sympy=no_sympy,
    impl=_embed_value,
    forms=forms(
        lambda *, index: lines(
            "{out} = np.zeros_like({0})",
            f"{{out}}[{show_index(index)}] = {{1}}",
            operands=(Prec.TEST, Prec.TEST),
            accumulate=(f"{{out}}[{show_index(index)}] += {{1}}",),
        )
    ),
    vjp=(ZERO, lambda ct, ans, like, value, *, index: _summed_to(getitem(ct, index=index), () if is_number(value) else value.shape)),
    samples=((1.5, 2.0),),
    array_samples=tuple(((x, index_shape(x, index)), {"index": index}) for x, index in _PARTS),
    shape=_embed_shape,
    total=True,
    cost=0,
    notes="The vjp of `getitem`: zeros, with a part filled in.",
)
setitem: Primitive = define(
    name="setitem",
    sympy=no_sympy,
    impl=_setitem_value,
    forms=forms(
        lambda *, index: lines(
            "{out} = {0}.copy()",
            f"{{out}}[{show_index(index)}] = {{1}}",
            operands=(Prec.ATOM, Prec.TEST),
        )
    ),
    vjp=(
        lambda ct, ans, x, value, *, index: 0.0 if is_number(ct) else setitem(ct, 0.0, index=index),
        lambda ct, ans, x, value, *, index: ct if is_number(ct) else _summed_to(getitem(ct, index=index), () if is_number(value) else value.shape),
    ),
    samples=((1.5, 2.0),),
    array_samples=(
        *(((x, index_shape(x, index)), {"index": index}) for x, index in _PARTS),
        ((("N", "D"), ()), {"index": (ALL, 0)}),
        ((("N", 5), (1, 3)), {"index": (ALL, ("slice", 1, 4, None))}),
        ((("N", "D"), (1, 1, "D")), {"index": (0,)}),
    ),
    shape=_setitem_shape,
    passes=True,
    total=True,
    cost=0,
    notes="A copy with a part overwritten: what an assignment to a part of an array means when values never change.",
)


# Index arrays -----------------------------------------------------------------------------------------------------------


def _gather_shape(x: Shape, *indices: Shape, axes: tuple[int, ...]) -> Shape:
    if len(indices) != len(axes) or any(axis >= len(x) for axis in axes):
        raise ValueError(f"{len(indices)} index arrays for the axes {axes} of an array of shape {show_shape(x)}")
    return x[: axes[0]] + broadcast(*indices) + x[axes[-1] + 1 :]


def _gather_index(indices: Sequence[Any], axes: tuple[int, ...]) -> tuple[Any, ...]:
    return (slice(None),) * axes[0] + tuple(np.asarray(i, dtype=np.intp) for i in indices)


def _gather_form(*, axes: tuple[int, ...]) -> Form:
    places = ", ".join([":"] * axes[0] + [f"{{{i + 1}}}" for i in range(len(axes))])
    return pattern(f"{{0}}[{places}]", Prec.ATOM, Prec.ATOM, Prec.TEST)


def _scatter_value(like: Any, ct: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    out = zeros_for(like, ct)
    np.add.at(out, _gather_index(indices, axes), ct)
    return out


def _scatter_shape(like: Shape, ct: Shape, *indices: Shape, axes: tuple[int, ...]) -> Shape:
    _broadcast_shape(ct, shape=_gather_shape(like, *indices, axes=axes))
    return like


def _scatter_form(*, axes: tuple[int, ...]) -> Form:
    parts = ["slice(None)"] * axes[0] + [f"{{{i + 2}}}" for i in range(len(axes))]
    places = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
    add = f"np.add.at({{out}}, {places}, {{1}})"
    return lines("{out} = np.zeros_like({0})", add, operands=(Prec.TEST,), accumulate=(add,))


def _gather_rule(i: int, ct: Any, ans: Any, x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    return scatter_add(x, ct, *indices, axes=axes) if i == 0 else 0


def _scatter_rule(i: int, ct: Any, ans: Any, like: Any, value: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    return _summed_to(gather(ct, *indices, axes=axes), () if is_number(value) else value.shape) if i == 1 else 0


_PICKS: Final = (
    (("N",), (("K",),), (0,)),
    (("N", "D"), (("K",),), (0,)),
    (("N", "D"), (("K",),), (1,)),
    (("N", "D"), (("N",), ("N",)), (0, 1)),
    (("N", "D"), ((), ("K",)), (0, 1)),
    (("N", "D"), (("K", 1), (3,)), (0, 1)),
    (("M", "N", "D", 2), (("K", 2), ("K", 2)), (1, 2)),
)


def _draw_gather(rng: Any, x: tuple[int, ...], *indices: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Any, ...]:
    # A small range of positions, so that some repeat; negative ones count from the end.
    return (rng.standard_normal(x), *(rng.integers(-1, max(1, x[axis] - 1), shape) for axis, shape in zip(axes, indices, strict=True)))


def _draw_scatter(rng: Any, like: tuple[int, ...], ct: tuple[int, ...], *indices: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Any, ...]:
    drawn = _draw_gather(rng, like, *indices, axes=axes)
    return (drawn[0], rng.standard_normal(ct), *drawn[1:])


gather = define(
    name="gather",
    sympy=no_sympy,
    impl=lambda x, *indices, axes: x[_gather_index(indices, axes)],
    forms=forms(_gather_form),
    vjp=EachOperand(_gather_rule),
    samples=((1.5, 0.0),),
    array_samples=tuple(((x, *indices), {"axes": axes}) for x, indices, axes in _PICKS),
    draw=_draw_gather,
    shape=_gather_shape,
    passes=True,
    cost=0,
    short="pick",
    notes="NumPy's integer-array indexing of consecutive axes; positions carry no derivative.",
)
scatter_add = define(
    name="scatter_add",
    shape_only=(0,),
    sympy=no_sympy,
    impl=_scatter_value,
    forms=forms(_scatter_form),
    vjp=EachOperand(_scatter_rule),
    samples=((1.5, 2.0, 0.0),),
    array_samples=tuple(((x, _gather_shape(x, *indices, axes=axes), *indices), {"axes": axes}) for x, indices, axes in _PICKS),
    draw=_draw_scatter,
    shape=_scatter_shape,
    short="placed",
    notes="The vjp of `gather`: repeated positions accumulate (np.add.at), as `x[i] += ct` would not.",
)


# Arrays from sizes ------------------------------------------------------------------------------------------------------


def _size_prec(size: Dim) -> Prec:
    if isinstance(size, int | str):
        return Prec.ATOM
    return Prec.ARITH if size.is_Add else Prec.TERM if size.is_Mul else Prec.ATOM


dim = define(
    name="dim",
    sympy=no_sympy,
    impl=lambda *, size: float(size),
    forms=forms(lambda *, size: Form(dims.show(size), _size_prec(size), (Prec.ATOM,)), NO_ANCESTOR),
    vjp=(),
    samples=((),),
    array_samples=(((), {"size": "N"}), ((), {"size": dims.add(dims.multiply("N", "D"), 1)})),
    shape=lambda *, size: (),
    total=True,
    cost=0,
    notes="A size that only run time knows, as a number.",
)
arange = define(
    name="arange",
    sympy=no_sympy,
    impl=lambda *, size: np.arange(size),
    forms=forms(lambda *, size: Form(f"np.arange({dims.show(size)})", Prec.ATOM, (Prec.ATOM,), _NUMPY), NO_ANCESTOR),
    vjp=(),
    samples=((),),
    array_samples=(((), {"size": "N"}),),
    shape=lambda *, size: (size,),
    result="int",
    total=True,
    cost=0,
)
eye = define(
    name="eye",
    sympy=no_sympy,
    impl=lambda *, size: np.eye(size),
    forms=forms(lambda *, size: Form(f"np.eye({dims.show(size)})", Prec.ATOM, (Prec.ATOM,), _NUMPY), NO_ANCESTOR),
    vjp=(),
    samples=((),),
    array_samples=(((), {"size": "N"}),),
    shape=lambda *, size: (size, size),
    total=True,
    cost=0,
)
zeros = define(
    name="zeros",
    sympy=no_sympy,
    impl=lambda *, shape: np.zeros(shape),
    forms=forms(lambda *, shape: Form(f"np.zeros({show_dims(shape)})", Prec.ATOM, (Prec.ATOM,), _NUMPY), NO_ANCESTOR),
    vjp=(),
    samples=((),),
    array_samples=(((), {"shape": ("N", "D")}), ((), {"shape": ("N",)})),
    shape=lambda *, shape: shape,
    total=True,
    cost=0,
)
zeros_like = define(
    name="zeros_like",
    shape_only=(0,),
    sympy=lambda x: 0 * x,
    impl=lambda x: np.zeros_like(x) if np.ndim(x) else 0.0,
    forms=forms(pattern("np.zeros_like({0})", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(ZERO,),
    samples=((1.5,),),
    array_samples=(((("N", "D"),), {}),),
    shape=lambda x: x,
    total=True,
    cost=0,
    notes="Zeros in the shape and the type of an array.",
)
full = define(
    name="full",
    sympy=no_sympy,
    impl=lambda value, *, shape: np.full(shape, value),
    forms=forms(lambda *, shape: pattern(f"np.full({show_dims(shape)}, {{0}})", Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=(lambda ct, ans, value, *, shape: _summed_to(ct, () if is_number(value) else value.shape),),
    samples=((1.5,),),
    array_samples=((((),), {"shape": ("N", "D")}), ((("D",),), {"shape": ("N", "D")})),
    shape=lambda value, *, shape: _broadcast_shape(value, shape=shape),
    total=True,
    cost=0,
)


# Joining and padding ----------------------------------------------------------------------------------------------------


def _concatenate_shape(*xs: Shape, axis: int) -> Shape:
    first = xs[0]
    if axis >= len(first) or any(x[:axis] + x[axis + 1 :] != first[:axis] + first[axis + 1 :] or len(x) != len(first) for x in xs):
        raise ValueError(f"shapes {' and '.join(map(show_shape, xs))} can't be joined along axis {axis}")
    total: Dim = 0
    for x in xs:
        total = dims.add(total, x[axis])
    return (*first[:axis], total, *first[axis + 1 :])


def _concatenate_rule(i: int, ct: Any, ans: Any, *xs: Any, axis: int) -> Any:
    start: Dim = 0
    for x in xs[:i]:
        start = dims.add(start, x.shape[axis])
    stop = None if i == len(xs) - 1 else dims.add(start, xs[i].shape[axis])
    return getitem(ct, index=along(axis, ("slice", None if start == 0 else start, stop, None)))


def _stack_shape(*xs: Shape, axis: int) -> Shape:
    if axis > len(xs[0]) or any(x != xs[0] for x in xs):
        raise ValueError(f"shapes {' and '.join(map(show_shape, xs))} can't be stacked along axis {axis}")
    return (*xs[0][:axis], len(xs), *xs[0][axis:])


def _stack_form(*, axis: int, shapes: Sequence[Shape] | None = None) -> Form:
    if shapes is not None and not shapes[0]:
        return pattern("np.array([{}])", Prec.ATOM, Prec.TEST, imports=_NUMPY)
    return pattern("np.stack([{}]" + (f", axis={axis})" if axis else ")"), Prec.ATOM, Prec.TEST, imports=_NUMPY)


concatenate = define(
    name="concatenate",
    sympy=no_sympy,
    impl=lambda *xs, axis: np.concatenate(xs, axis=axis),
    forms=forms(lambda *, axis: pattern("np.concatenate([{}]" + (f", axis={axis})" if axis else ")"), Prec.ATOM, Prec.TEST, imports=_NUMPY)),
    vjp=EachOperand(_concatenate_rule),
    samples=((1.5, 2.0),),
    array_samples=(
        ((("N",), ("D",), (2,)), {"axis": 0}),
        ((("N", "D"), ("N", "K")), {"axis": 1}),
        ((("N", "D"),), {"axis": 0}),
        (((0, "D"), ("N", "D"), (1, "D")), {"axis": 0}),
    ),
    shape=_concatenate_shape,
    passes=True,
    total=True,
    cost=0,
    short="both",
)
stack = define(
    name="stack",
    sympy=no_sympy,
    impl=lambda *xs, axis: np.stack(xs, axis=axis),
    forms=forms(_stack_form),
    vjp=EachOperand(lambda i, ct, ans, *xs, axis: getitem(ct, index=along(axis, i))),
    samples=((1.5, 2.0),),
    array_samples=(
        (((), (), ()), {"axis": 0}),
        ((("N",), ("N",)), {"axis": 0}),
        ((("N",), ("N",)), {"axis": 1}),
        ((("N", "D"), ("N", "D"), ("N", "D")), {"axis": 1}),
    ),
    shape=_stack_shape,
    passes=True,
    total=True,
    cost=0,
    short="rows",
)


def _matrix_form(*, shape: tuple[int, int]) -> Form:
    rows, columns = shape
    lines = [", ".join(f"{{{row * columns + column}}}" for column in range(columns)) for row in range(rows)]
    return pattern(f"np.array([{', '.join(f'[{line}]' for line in lines)}])", Prec.ATOM, Prec.TEST, imports=_NUMPY)


def _matrix_shape(*entries: Shape, shape: tuple[int, int]) -> Shape:
    if any(entries) or len(entries) != shape[0] * shape[1]:
        raise ValueError(f"{len(entries)} numbers for a matrix of shape {show_shape(shape)}")
    return shape


matrix = define(
    name="matrix",
    sympy=no_sympy,
    impl=lambda *entries, shape: np.array(entries).reshape(shape),
    forms=forms(_matrix_form),
    vjp=EachOperand(lambda i, ct, ans, *entries, shape: getitem(ct, index=divmod(i, shape[1]))),
    samples=((1.5, 2.0),),
    array_samples=((((),) * 6, {"shape": (2, 3)}), (((),), {"shape": (1, 1)})),
    shape=_matrix_shape,
    total=True,
    cost=0,
    short="mat",
    notes="A matrix of numbers, written out row by row.",
)


def _pad_shape(x: Shape, *, widths: tuple[tuple[Dim, Dim], ...]) -> Shape:
    if len(x) != len(widths):
        raise ValueError(f"{len(widths)} pairs of widths for an array of shape {show_shape(x)}")
    return tuple(dims.add(dims.add(size, before), after) for size, (before, after) in zip(x, widths, strict=True))


def _pad_form(*, widths: tuple[tuple[Dim, Dim], ...]) -> Form:
    every = {width for pair in widths for width in pair}
    text = dims.show(widths[0][0]) if len(every) == 1 else show_tuple([show_dims(pair) for pair in widths])
    return pattern(f"np.pad({{0}}, {text})", Prec.ATOM, Prec.TEST, imports=_NUMPY)


def show_tuple(parts: Sequence[str]) -> str:
    """Return the text of a tuple of texts."""
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _pad_rule(ct: Any, ans: Any, x: Any, *, widths: tuple[tuple[Dim, Dim], ...]) -> Any:
    index = tuple(("slice", None if before == 0 else before, None if after == 0 else dims.subtract(0, after), None) for before, after in widths)
    return getitem(ct, index=index)


pad = define(
    name="pad",
    sympy=no_sympy,
    impl=lambda x, *, widths: np.pad(x, widths),
    forms=forms(_pad_form),
    vjp=(_pad_rule,),
    samples=((1.5,),),
    array_samples=(
        ((("N",),), {"widths": ((1, 2),)}),
        ((("N", "D"),), {"widths": ((1, 1), (1, 1))}),
        ((("N", "D"),), {"widths": ((0, 0), ("K", 0))}),
        ((("N", "D"),), {"widths": (("K", "K"), (0, "M"))}),
    ),
    shape=_pad_shape,
    passes=True,
    total=True,
    cost=0,
    short="pad",
)


# Windows ----------------------------------------------------------------------------------------------------------------


def _windows_shape(x: Shape, *, axes: tuple[int, ...], sizes: tuple[Dim, ...], steps: tuple[int, ...]) -> Shape:
    result = list(x)
    for axis, size, step in zip(axes, sizes, steps, strict=True):
        room = dims.subtract(x[axis], size)
        if isinstance(room, int) and room < 0:
            raise ValueError(f"a window of size {size} is larger than the axis of size {x[axis]}")
        result[axis] = dims.add(room if step == 1 else dims.divide(room, step), 1)
    return (*result, *sizes)


def _steps_index(axes: tuple[int, ...], steps: tuple[int, ...]) -> tuple[Any, ...]:
    places = dict(zip(axes, steps, strict=True))
    return tuple(("slice", None, None, places[i]) if places.get(i, 1) != 1 else ALL for i in range(max(axes) + 1))


def _windows_value(x: Any, *, axes: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, sizes, axis=axes)[as_index(_steps_index(axes, steps))]


def _windows_form(*, axes: tuple[int, ...], sizes: tuple[Dim, ...], steps: tuple[int, ...]) -> Form:
    one = len(axes) == 1
    size, axis = (dims.show(sizes[0]), str(axes[0])) if one else (show_dims(sizes), str(axes))
    text = f"np.lib.stride_tricks.sliding_window_view({{0}}, {size}, axis={axis})"
    if any(step != 1 for step in steps):
        text += f"[{show_index(_steps_index(axes, steps))}]"
    return view(pattern(text, Prec.ATOM, Prec.TEST, imports=_NUMPY))


def _unwindows_value(like: Any, ct: Any, *, axes: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    out = zeros_for(like, ct)
    for offset in np.ndindex(*sizes):
        index: list[Any] = [slice(None)] * out.ndim
        for axis, start, step in zip(axes, offset, steps, strict=True):
            index[axis] = slice(start, start + step * np.shape(ct)[axis], step)
        out[tuple(index)] += ct[(..., *offset)]
    return out


def _unwindows_shape(like: Shape, ct: Shape, *, axes: tuple[int, ...], sizes: tuple[Dim, ...], steps: tuple[int, ...]) -> Shape:
    if ct != _windows_shape(like, axes=axes, sizes=sizes, steps=steps):
        raise ValueError(f"windows of shape {show_shape(ct)} do not come from an array of shape {show_shape(like)}")
    return like


def _unwindows_form(*, axes: tuple[int, ...], sizes: tuple[Dim, ...], steps: tuple[int, ...]) -> Form:
    names = tuple("ijklmnpqrstuvw"[: len(axes)])
    parts = [":"] * (max(axes) + 1)
    for name, axis, step in zip(names, axes, steps, strict=True):
        count = f"{{1}}.shape[{axis}]"
        parts[axis] = f"{{{name}}} : {{{name}}} + {count}" if step == 1 else f"{{{name}}} : {{{name}}} + {step} * {count} : {step}"
    loops = [f"{'    ' * depth}for {{{name}}} in range({dims.show(size)}):" for depth, (name, size) in enumerate(zip(names, sizes, strict=True))]
    places = ", ".join(f"{{{name}}}" for name in names)
    add = (*loops, f"{'    ' * len(names)}{{out}}[{', '.join(parts)}] += {{1}}[..., {places}]")
    return lines("{out} = np.zeros_like({0})", *add, operands=(Prec.TEST, Prec.ATOM), accumulate=add, fresh=names, atoms=(1,))


_WINDOWS: Final = (
    (((7,),), {"axes": (0,), "sizes": (3,), "steps": (1,)}),
    (((7, "N"),), {"axes": (0,), "sizes": (3,), "steps": (2,)}),
    (((dims.add("N", 4), dims.add("D", 4)),), {"axes": (0, 1), "sizes": (2, 3), "steps": (1, 1)}),
    ((("K", 6, dims.add("N", 4)),), {"axes": (1, 2), "sizes": (2, 2), "steps": (2, 3)}),
    (((dims.add("H", "K"), 2),), {"axes": (0,), "sizes": ("K",), "steps": (1,)}),
    (((5, 6),), {"axes": (1, 0), "sizes": (3, 2), "steps": (1, 2)}),
)

windows = define(
    name="windows",
    sympy=no_sympy,
    impl=_windows_value,
    forms=forms(_windows_form),
    vjp=(lambda ct, ans, x, *, axes, sizes, steps: unwindows(x, ct, axes=axes, sizes=sizes, steps=steps),),
    samples=((1.5,),),
    array_samples=_WINDOWS,
    shape=_windows_shape,
    passes=True,
    total=True,
    cost=0,
    short="cols",
    notes="Sliding windows, as convolution and pooling see them; the axes within a window come last.",
)
unwindows: Primitive = define(
    name="unwindows",
    shape_only=(0,),
    sympy=no_sympy,
    impl=_unwindows_value,
    forms=forms(_unwindows_form),
    vjp=(ZERO, lambda ct, ans, like, value, *, axes, sizes, steps: windows(ct, axes=axes, sizes=sizes, steps=steps)),
    samples=((1.5, 2.0),),
    array_samples=tuple(((x, _windows_shape(x, **params)), params) for (x,), params in _WINDOWS),
    shape=_unwindows_shape,
    notes="The vjp of `windows`: where windows overlap, their elements add up. One addition of arrays for each place in the window.",
)
