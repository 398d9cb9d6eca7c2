"""
Forward mode over programs with axes: what the certificate compares the gradients of arrays with.

Every value is an array together with its derivatives along some directions (`Dual`). What an operation on axes means is written
here once more, in sums, products and copies of elements, and its derivative follows from the product rule; the derivatives of
element-wise operations are SymPy's. Nothing is shared with the rules of the table or with the reverse pass.

>>> x = Dual(np.array([2.0, 3.0]), np.eye(2))
>>> product = MEANINGS["prod"](x, axis=(0,), keepdims=False)
>>> product.value.tolist(), product.slopes.tolist()
(6.0, [3.0, 2.0])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import sympy
from mpmath import mp

from bpcompile import dims, exact
from bpcompile.ir import Eqn, Lit, Program, Shape, Var
from bpcompile.ops.array import at_sizes
from bpcompile.oracle import OUTSIDE, Unsupported, partial_double, partial_high, strict
from bpcompile.primitive import Primitive

#: Sizes tried for the names of dimensions: the smallest first, pairwise different, 1 and 0 left out.
_BASES: Final = (2, 3, 4, 5, 6, 8, 11, 16, 32, 64, 128, 260, 520, 1030)


def works_on_axes(program: Program) -> bool:
    """Whether an equation is not element-wise."""
    return any(is_structural(eqn.prim) for eqn in program.eqns)


def is_structural(primitive: Primitive) -> bool:
    """Whether an operation moves, joins or sums elements."""
    return primitive.shape is not None or primitive.variadic


# -- sizes


def choose_sizes(program: Program, *, least: int = 0, ones: str = "") -> dict[str, int]:
    """
    Return small, pairwise different numbers for the names of dimensions, such that every equation has the shape it is said to have.

    Args:
        program: The program.
        least: The smallest size wanted; without it 2, or 3 where positions matter: of two elements the first is the last but one.
        ones: A name that gets size 1.

    Raises:
        Unsupported: No such numbers were found.
    """
    names = list(dict.fromkeys(name for var in input_variables(program) for dim in var.shape for name in dims.names(dim)))
    fixed = {dim for var in input_variables(program) for dim in var.shape if isinstance(dim, int)}
    least = least or (3 if any(_by_position(eqn) for eqn in program.eqns) else 2)
    for base in [b for b in _BASES if b >= least]:
        for step in (1, 2):
            pool = [n for n in range(base, base + step * (len(names) + len(fixed)) + 1, step) if n not in fixed]
            for turn in range(min(len(names), 4) or 1):
                sizes = {name: pool[(i + turn) % len(names)] for i, name in enumerate(names)}
                if ones:
                    sizes[ones] = 1
                if _agrees(program, sizes):
                    return sizes
    msg = "no small sizes were found that suit every operation"
    raise Unsupported(msg)


def _by_position(eqn: Eqn) -> bool:
    if eqn.prim.name in {"getitem", "embed", "setitem"}:
        return any(part is not None and part != ("slice", None, None, None) for part in eqn.params["index"])
    return eqn.prim.name in {"gather", "scatter_add", "windows", "unwindows", "concatenate", "pad"}


def input_variables(program: Program) -> Iterator[Var]:
    """Yield the variables of the inputs, upstream gradients left out."""
    for param in program.params:
        if param.seed is None:
            yield from param.leaves()


def concrete(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return a shape in numbers."""
    return tuple(int(dims.substitute(d, dict(sizes))) for d in shape)


def _agrees(program: Program, sizes: Mapping[str, int]) -> bool:
    for eqn in program.eqns:
        if eqn.prim.shape is None:
            continue
        try:
            want = concrete(eqn.out.shape, sizes)
            if any(d < 0 for d in want) or eqn.prim.shape(*[concrete(a.shape, sizes) for a in eqn.args], **at_sizes(eqn.params, sizes)) != want:
                return False
        except (ValueError, TypeError, IndexError, ArithmeticError):
            return False
    return True


def instantiate(program: Program, sizes: Mapping[str, int]) -> list[Eqn]:
    """Return the equations with numbers in place of the names of sizes, and without guards."""
    return [eqn.replace(params=at_sizes(eqn.params, sizes), guard=()) if eqn.params else eqn.replace(guard=()) for eqn in program.eqns]


def index_bounds(program: Program, sizes: Mapping[str, int]) -> dict[Var, int]:
    """Return the size of the smallest axis that each variable of whole numbers points into."""
    bounds: dict[Var, int] = {}
    for eqn in reversed(program.eqns):
        if eqn.prim.name in {"gather", "scatter_add"}:
            shape = concrete(eqn.args[0].shape, sizes)
            first = 1 if eqn.prim.name == "gather" else 2
            pointers = list(zip(eqn.args[first:], (shape[axis] for axis in eqn.params["axes"]), strict=True))
        elif eqn.out in bounds:
            pointers = [(a, bounds[eqn.out]) for a in eqn.args]
        else:
            continue
        for pointer, size in pointers:
            if isinstance(pointer, Var) and pointer.dtype == "int":
                bounds[pointer] = min(size, bounds.get(pointer, size))
    return bounds


def work_of(program: Program, sizes: Mapping[str, int]) -> int:
    """Return about how many multiplications a run of the program takes."""
    total = 0
    for eqn in program.eqns:
        size = math.prod(concrete(eqn.out.shape, sizes))
        if eqn.prim.name == "einsum":
            letters = dict(zip(eqn.params["spec"].partition("->")[0].replace(",", ""), [d for a in eqn.args for d in concrete(a.shape, sizes)], strict=True))
            size = math.prod(letters.values())
        elif is_structural(eqn.prim):
            size = max([size, *(math.prod(concrete(a.shape, sizes)) for a in eqn.args)])
            if eqn.prim.name in _CUBIC:
                size *= concrete(eqn.args[0].shape, sizes)[-1]
        elif eqn.prim.name not in _PLAIN:
            size *= 10
        total += size
    return total


_CUBIC: Final = frozenset({"inv", "det", "logdet", "log_det", "solve", "cholesky", "matrix_power", "cofactor"})


# -- arrays with derivatives


class Dual:
    """
    An array and its derivatives.

    Attributes:
        value: The array.
        slopes: One array of the same shape for each direction, along a first axis; None where all are 0.
    """

    __slots__ = ("slopes", "value")

    def __init__(self, value: Any, slopes: Any = None) -> None:
        self.value = np.asarray(value)
        self.slopes = slopes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    def linear(self, function: Callable[[Any], Any]) -> Dual:
        """Apply a linear function of the elements to the value and to each derivative."""
        slopes = None if self.slopes is None else np.stack([np.asarray(function(slope)) for slope in self.slopes])
        return Dual(function(self.value), slopes)

    def __getitem__(self, index: Any) -> Dual:
        return self.linear(lambda a: a[index])

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, _sum_of([_widened(x.slopes, self, other) for x in (self, other)]))

    def __neg__(self) -> Dual:
        return Dual(-self.value, None if self.slopes is None else -self.slopes)

    def __sub__(self, other: Dual) -> Dual:
        return self + -other

    def __mul__(self, other: Dual) -> Dual:
        a, b = _widened(self.slopes, self, other), _widened(other.slopes, self, other)
        return Dual(self.value * other.value, _sum_of([None if a is None else a * other.value, None if b is None else b * self.value]))

    def __truediv__(self, other: Dual) -> Dual:
        value = _divided(self.value, other.value)
        a, b = _widened(self.slopes, self, other), _widened(other.slopes, self, other)
        return Dual(value, _sum_of([None if a is None else _divided(a, other.value), None if b is None else -_divided(b * value, other.value)]))


def _rank(*duals: Dual) -> int:
    return max(d.value.ndim for d in duals)


def _widened(slopes: Any, *together: Dual) -> Any:
    """Give derivatives the axes that broadcasting with the other operands gives the value."""
    if slopes is None:
        return None
    missing = _rank(*together) + 1 - slopes.ndim
    return slopes.reshape(slopes.shape[:1] + (1,) * missing + slopes.shape[1:])


def _sum_of(parts: Sequence[Any]) -> Any:
    known = [p for p in parts if p is not None]
    if not known:
        return None
    total = known[0]
    for part in known[1:]:
        total = total + part
    return total


def _fitted(dual: Dual) -> Dual:
    """Broadcast derivatives to the shape of the value."""
    if dual.slopes is not None and dual.slopes.shape[1:] != dual.shape:
        dual.slopes = np.broadcast_to(_widened(dual.slopes, dual), (len(dual.slopes), *dual.shape))
    return dual


def _quotient(a: Any, b: Any) -> Any:
    return a / b if isinstance(a, sympy.Basic) or isinstance(b, sympy.Basic) else exact.divide(a, b)


_divide: Final = np.frompyfunc(_quotient, 2, 1)


def _divided(a: Any, b: Any) -> Any:
    kinds = {np.asarray(a).dtype.kind, np.asarray(b).dtype.kind}
    if "O" in kinds or "f" not in kinds:
        return _divide(a, b)
    with np.errstate(all="ignore"):
        return np.divide(a, b)


def _slopes_or_zero(dual: Dual, count: int) -> Any:
    return np.zeros((count, *dual.shape), dtype=dual.value.dtype) if dual.slopes is None else dual.slopes


def _joined(duals: Sequence[Dual], join: Callable[[Sequence[Any]], Any]) -> Dual:
    """Apply a function that copies elements of several arrays into one."""
    count = max((len(d.slopes) for d in duals if d.slopes is not None), default=0)
    value = join([d.value for d in duals])
    if not count:
        return Dual(value)
    every = [_slopes_or_zero(d, count) for d in duals]
    return Dual(value, np.stack([np.asarray(join([s[p] for s in every])) for p in range(count)]))


# -- what operations on axes mean


def _kept(axis: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:  # noqa: FBT001  a static parameter
    return () if keepdims else axis


def _total(x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    return x.linear(lambda a: np.sum(a, axis=axis, keepdims=keepdims) if a.ndim else a)


def _mean(x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    count = math.prod(x.shape[i] for i in axis)
    return x.linear(lambda a: _divided(np.sum(a, axis=axis, keepdims=keepdims), count))


def _deviation(x: Dual, *, axis: tuple[int, ...], keepdims: bool, ddof: int) -> Dual:
    count = math.prod(x.shape[i] for i in axis) - ddof
    away = x - _mean(x, axis=axis, keepdims=True)
    return _root(_total(away * away, axis=axis, keepdims=keepdims).linear(lambda a: _divided(a, count)))


def _spread(y: Dual, x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    def spread(a: Any) -> Any:
        for i in sorted(_kept(axis, keepdims)):
            a = np.expand_dims(a, i)
        return np.broadcast_to(a, x.shape)

    return y.linear(spread) if x.shape else y


def _unknown(array: Any) -> Any:
    return np.asarray(array != array, dtype=bool)  # noqa: PLR0124  nan


def _extreme(best_of: Callable[..., Any]) -> Callable[..., Dual]:
    def extreme(x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
        value = np.asarray(best_of(x.value, axis=axis, keepdims=True))
        hits = np.asarray(x.value == value, dtype=bool)
        weight = hits.astype(x.value.dtype) if x.value.dtype == object else hits.astype(float)
        weight = _divided(weight, np.sum(hits, axis=axis, keepdims=True))
        lost = np.any(_unknown(x.value), axis=axis, keepdims=True)
        result = Dual(value if not lost.any() else np.where(lost, math.nan, value))
        if x.slopes is not None:
            result.slopes = np.stack([np.sum(weight * s, axis=axis, keepdims=True) for s in x.slopes])
        return result if keepdims else result.linear(lambda a: np.squeeze(a, axis=axis))

    return extreme


def _hits(x: Dual, best: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    hits = np.asarray(x.value == _spread(best, x, axis=axis, keepdims=keepdims).value, dtype=bool)
    weights = _divided(hits.astype(int), np.sum(hits, axis=axis, keepdims=True))
    return Dual(weights if x.value.dtype == object else np.asarray(weights, dtype=float))


def _position(function: Callable[..., Any]) -> Callable[..., Dual]:
    return lambda x, *, axis: Dual(function(x.value, axis=axis))


def _slices(x: Dual, axis: int) -> list[Dual]:
    moved = x.linear(lambda a: np.moveaxis(a, axis, 0))
    return [moved[i] for i in range(x.shape[axis])]


def _stacked(parts: Sequence[Dual], x: Dual, axis: int) -> Dual:
    if not parts:
        return x
    return _joined([_fitted(p) for p in parts], lambda arrays: np.stack([np.asarray(a) for a in arrays], axis=axis))


def _ones(x: Dual) -> Dual:
    return Dual(np.ones(x.shape, dtype=x.value.dtype))


def _prod(x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    rest = [i for i in range(len(x.shape)) if i not in axis]
    flat = x.linear(lambda a: np.transpose(a, [*rest, *axis]).reshape([*(a.shape[i] for i in rest), -1] if a.size else [*(a.shape[i] for i in rest), 0]))
    result = Dual(np.ones(flat.shape[:-1], dtype=x.value.dtype))
    for i in range(math.prod(x.shape[i] for i in axis) if flat.shape[-1] else 0):
        result = result * flat[..., i]
    result = _fitted(result)
    return result.linear(lambda a: np.expand_dims(a, sorted(axis))) if keepdims else result


def _running(x: Dual, axis: int, *, before: bool) -> Dual:
    parts: list[Dual] = []
    product: Dual | None = None
    for part in _slices(x, axis):
        if before:
            parts.append(product or _ones(part))
        product = part if product is None else product * part
        if not before:
            parts.append(product)
    return _stacked(parts, x, axis)


def _others(x: Dual, *, axis: int) -> Dual:
    slices = _slices(x, axis)
    parts = []
    for i, part in enumerate(slices):
        product = _ones(part)
        for j, other in enumerate(slices):
            if j != i:
                product = product * other
        parts.append(product)
    return _stacked(parts, x, axis)


def _discounted(r: Dual, x: Dual, *, axis: int) -> Dual:
    wide = r.linear(lambda a: np.broadcast_to(a, x.shape))
    parts: list[Dual] = []
    factors = _slices(x, axis)
    for i, part in reversed(list(enumerate(_slices(wide, axis)))):
        parts.insert(0, part + factors[i + 1] * parts[0] if parts else part)
    return _stacked(parts, x, axis)


def _position_in(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(*part[1:]) if isinstance(part, tuple) else part for part in index)


def _plainly(a: Any) -> Any:
    """Return the number of an array without axes: NumPy would put the array itself into an array of objects."""
    return a[()] if isinstance(a, np.ndarray) and not a.ndim else a


def _filled(shape: tuple[int, ...], place: Any, a: Any) -> Any:
    out = np.zeros(shape, dtype=np.asarray(a).dtype)
    out[place] = _plainly(a)
    return out


def _overwritten(x: Dual, value: Dual, *, index: tuple[Any, ...]) -> Dual:
    def write(arrays: Sequence[Any]) -> Any:
        out = np.array(arrays[0], dtype=np.result_type(arrays[0], arrays[1]))
        out[_position_in(index)] = _plainly(arrays[1])
        return out

    return _joined([x, value], write)


def _pointers(indices: Sequence[Dual], axes: tuple[int, ...]) -> tuple[Any, ...]:
    return (slice(None),) * axes[0] + tuple(np.asarray(i.value, dtype=np.intp) for i in indices)


def _added(shape: tuple[int, ...], place: Any, a: Any) -> Any:
    out = np.zeros(shape, dtype=np.asarray(a).dtype)
    np.add.at(out, place, a)
    return out


def _padded(a: Any, *, widths: tuple[tuple[int, int], ...]) -> Any:
    shape = tuple(before + size + after for size, (before, after) in zip(a.shape, widths, strict=True))
    return _filled(shape, tuple(slice(before, before + size) for size, (before, _) in zip(a.shape, widths, strict=True)), a)


def _window_places(shape: tuple[int, ...], axes: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield a place within the window, and what of the array stands there."""
    for offset in np.ndindex(*sizes):
        cut = [slice(None)] * len(shape)
        for axis, start, size, step in zip(axes, offset, sizes, steps, strict=True):
            cut[axis] = slice(start, shape[axis] - size + start + 1, step)
        yield offset, tuple(cut)


def _windows(x: Dual, *, axes: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> Dual:
    def windows(a: Any) -> Any:
        shape = list(a.shape)
        for axis, size, step in zip(axes, sizes, steps, strict=True):
            shape[axis] = (a.shape[axis] - size) // step + 1
        out = np.zeros((*shape, *sizes), dtype=a.dtype)
        for offset, cut in _window_places(a.shape, axes, sizes, steps):
            out[(..., *offset)] = _plainly(a[cut])
        return out

    return x.linear(windows)


def _unwindows(like: Dual, value: Dual, *, axes: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...]) -> Dual:
    def unwindows(a: Any) -> Any:
        out = np.zeros(like.shape, dtype=a.dtype)
        for offset, cut in _window_places(like.shape, axes, sizes, steps):
            out[cut] += a[(..., *offset)]
        return out

    return value.linear(unwindows)


def _einsum(a: Dual, b: Dual, *, spec: str) -> Dual:
    inputs, _, output = spec.partition("->")
    left, right = inputs.split(",")
    parts = [
        None if a.slopes is None else np.einsum(f"Z{left},{right}->Z{output}", a.slopes, b.value),
        None if b.slopes is None else np.einsum(f"{left},Z{right}->Z{output}", a.value, b.slopes),
    ]
    return Dual(np.einsum(spec, a.value, b.value), _sum_of(parts))


def _undiagonal(like: Dual, value: Dual, *, axis1: int, axis2: int) -> Dual:
    def undiagonal(a: Any) -> Any:
        out = np.zeros(like.shape, dtype=a.dtype)
        moved = np.moveaxis(out, (axis1, axis2), (-2, -1))
        for i in range(like.shape[axis1]):
            moved[..., i, i] = a[..., i] if np.ndim(a) else _plainly(a)
        return out

    return value.linear(undiagonal)


def _product(a: Dual, b: Dual) -> Dual:
    parts = [None if a.slopes is None else a.slopes @ b.value, None if b.slopes is None else a.value @ b.slopes]
    return Dual(a.value @ b.value, _sum_of(parts))


def _each_matrix(function: Callable[..., Dual]) -> Callable[..., Dual]:
    """Apply a function of matrices to each of a stack."""

    def apply(a: Dual, *rest: Dual, **params: Any) -> Dual:
        stack = a.shape[:-2]
        if not stack:
            return _fitted(function(a, *rest, **params))
        parts = [_fitted(function(a[i], *(r[i] for r in rest), **params)) for i in np.ndindex(*stack)]
        if not parts:
            msg = "an empty stack of matrices"
            raise Unsupported(msg)
        return _joined(parts, lambda arrays: np.stack([np.asarray(x) for x in arrays]).reshape(*stack, *np.shape(arrays[0])))

    return apply


def _eliminated(a: Dual, b: Dual) -> tuple[list[Dual], Dual]:
    """Return the rows of the solution of a x = b, and det a, by Gauss's elimination."""
    n = len(a.value)
    left, right = [a[i] for i in range(n)], [b[i] for i in range(n)]
    det = Dual(np.asarray(mp.mpf(1) if a.value.dtype == object else 1.0))
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(left[i].value[k]))
        if pivot != k:
            left[k], left[pivot], right[k], right[pivot], det = left[pivot], left[k], right[pivot], right[k], -det
        det = det * left[k][k]
        for i in range(n):
            if i != k:
                factor = left[i][k] / left[k][k]
                left[i], right[i] = left[i] - factor * left[k], right[i] - factor * right[k]
    return [_fitted(right[k] / left[k][k]) for k in range(n)], det


def _identity(n: int, like: Dual) -> Dual:
    return Dual(np.eye(n).astype(like.value.dtype))


@_each_matrix
def _inverse(a: Dual) -> Dual:
    return _stacked(_eliminated(a, _identity(len(a.value), a))[0], a, 0)


@_each_matrix
def _determinant(a: Dual) -> Dual:
    return _eliminated(a, _identity(len(a.value), a))[1]


@_each_matrix
def _log_determinant(a: Dual) -> Dual:
    det = _eliminated(a, _identity(len(a.value), a))[1]
    log = mp.log if a.value.dtype == object else math.log
    value = det.value[()]
    if not value:
        return Dual(np.asarray(math.nan))
    return Dual(log(abs(value)), None if det.slopes is None else _divided(det.slopes, value))


@_each_matrix
def _log_of_determinant(a: Dual) -> Dual:
    det = _determinant(a).value[()]
    return _log_determinant(a) if det > 0 else Dual(np.asarray(math.nan))


@_each_matrix
def _solution(a: Dual, b: Dual) -> Dual:
    return _stacked(_eliminated(a, b)[0], b, 0)


@_each_matrix
def _cofactors(a: Dual) -> Dual:
    n = len(a.value)
    rows = []
    for i in range(n):
        row = []
        for j in range(n):
            minor = a.linear(lambda m, i=i, j=j: np.delete(np.delete(m, i, 0), j, 1))  # type: ignore[misc]  # defaults bind the loop's variables
            det = _eliminated(minor, _identity(n - 1, a))[1]
            row.append(_fitted(det if (i + j) % 2 == 0 else -det))
        rows.append(_stacked(row, a, 0))
    return _stacked(rows, a, 0)


@_each_matrix
def _factor(a: Dual) -> Dual:
    """Cholesky's factor, row by row, from the lower triangle."""
    n = len(a.value)
    zero = a[0][0] - a[0][0] if n else a
    lower = [[Dual(zero.value)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = a[i][j]
            for k in range(j):
                rest = rest - lower[i][k] * lower[j][k]
            lower[i][j] = _root(rest) if i == j else rest / lower[j][j]
    return _stacked([_stacked(row, a, 0) for row in lower], a, 0)


def _root(x: Dual) -> Dual:
    """Square root of every element; the derivative at 0 is taken as 0."""
    root = np.frompyfunc(_plain_root, 1, 1)(x.value)
    value = np.asarray(root, dtype=x.value.dtype)
    if x.slopes is None:
        return Dual(value)
    zero = np.asarray(value == 0, dtype=bool)
    local = np.where(zero, 0, _divided(1, 2 * np.where(zero, 1, value)))
    return Dual(value, x.slopes * local)


def _plain_root(x: Any) -> Any:
    if x < 0:
        return mp.nan if isinstance(x, mp.mpf) else math.nan
    return mp.sqrt(x) if isinstance(x, mp.mpf) else math.sqrt(x)


@_each_matrix
def _power(a: Dual, *, n: int) -> Dual:
    base = _inverse(a) if n < 0 else a
    result = _identity(len(a.value), a)
    for _ in range(abs(n)):
        result = _product(result, base)
    return result


def _norm(x: Dual, *, axis: tuple[int, ...], keepdims: bool) -> Dual:
    return _root(_total(x * x, axis=axis, keepdims=keepdims))


def _copied(function: Callable[..., Any]) -> Callable[..., Dual]:
    """Return the meaning of an operation on one array that copies elements."""
    return lambda x, **params: x.linear(lambda a: function(a, **params))


#: What each operation on axes computes, called with duals and static parameters.
MEANINGS: Final[dict[str, Callable[..., Dual]]] = {
    "sum": _total,
    "spread": _spread,
    "fill_like": lambda x, value: value.linear(lambda a: np.broadcast_to(a, x.shape)),
    "mean": _mean,
    "std": _deviation,
    "hits": _hits,
    "amax": _extreme(np.max),
    "amin": _extreme(np.min),
    "argmax": _position(np.argmax),
    "argmin": _position(np.argmin),
    "prod": _prod,
    "others": _others,
    "cumprod": lambda x, *, axis: _running(x, axis, before=False),
    "cumprod_before": lambda x, *, axis: _running(x, axis, before=True),
    "discounted": _discounted,
    "cumsum": _copied(lambda a, *, axis: np.cumsum(a, axis=axis)),
    "transpose": _copied(lambda a, *, perm: np.transpose(a, perm)),
    "reshape": _copied(lambda a, *, shape: np.reshape(a, shape)),
    "broadcast_to": _copied(lambda a, *, shape: np.broadcast_to(a, shape)),
    "getitem": _copied(lambda a, *, index: a[_position_in(index)]),
    "embed": lambda like, value, *, index: value.linear(lambda a: _filled(like.shape, _position_in(index), a)),
    "setitem": _overwritten,
    "gather": lambda x, *indices, axes: x.linear(lambda a: a[_pointers(indices, axes)]),
    "scatter_add": lambda like, value, *indices, axes: value.linear(lambda a: _added(like.shape, _pointers(indices, axes), a)),
    "dim": lambda *, size: Dual(np.asarray(size)),
    "arange": lambda *, size: Dual(np.arange(size)),
    "eye": lambda *, size: Dual(np.eye(size, dtype=int)),
    "zeros": lambda *, shape: Dual(np.zeros(shape, dtype=int)),
    "zeros_like": lambda x: Dual(np.zeros(x.shape, dtype=int)),
    "full": lambda value, *, shape: value.linear(lambda a: np.broadcast_to(a, shape)),
    "concatenate": lambda *xs, axis: _joined(xs, lambda arrays: np.concatenate(arrays, axis=axis)),
    "stack": lambda *xs, axis: _joined(xs, lambda arrays: np.stack([np.asarray(a) for a in arrays], axis=axis)),
    "pad": _copied(_padded),
    "matrix": lambda *entries, shape: _joined(entries, lambda arrays: np.stack([np.asarray(a) for a in arrays], axis=0)).linear(lambda a: np.reshape(a, shape)),
    "windows": _windows,
    "unwindows": _unwindows,
    "einsum": _einsum,
    "trace": _copied(lambda a: sum(a[i, i] for i in range(len(a)))),
    "diagonal": _copied(lambda a, *, axis1, axis2: np.diagonal(a, axis1=axis1, axis2=axis2)),
    "undiagonal": _undiagonal,
    "diag": _copied(lambda a: _filled((len(a), len(a)), (np.arange(len(a)), np.arange(len(a))), a)),
    "tril": _copied(lambda a, *, k: a * np.asarray(np.arange(a.shape[-1]) <= np.arange(a.shape[-2])[:, None] + k, dtype=int)),
    "triu": _copied(lambda a, *, k: a * np.asarray(np.arange(a.shape[-1]) >= np.arange(a.shape[-2])[:, None] + k, dtype=int)),
    "inv": _inverse,
    "det": _determinant,
    "cofactor": _cofactors,
    "logdet": _log_determinant,
    "log_det": _log_of_determinant,
    "solve": _solution,
    "cholesky": _factor,
    "matrix_power": _power,
    "norm": _norm,
}


# -- element-wise operations

#: Operations that are written out here, for they are most of every program.
_PLAIN: Final[dict[str, Callable[..., Dual]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "copy": lambda a: a,
}


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            result = function(*args)
        except OUTSIDE:
            return math.nan
        return math.nan if isinstance(result, complex) else result

    return call


def _local_times(local: Any, slope: Any) -> Any:
    """Multiply, where no slope meets an infinite local derivative to no effect."""
    return slope * local if slope else 0 * slope


_chained: Final = np.frompyfunc(_local_times, 2, 1)


def _taken(test: Any, a: Any, b: Any) -> Any:
    return math.nan if test != test else a if test else b  # noqa: PLR0124  nan decides nothing


_choose: Final = np.frompyfunc(_taken, 3, 1)


def elementwise(primitive: Primitive, operands: Sequence[Dual], *, high: bool) -> Dual:
    """
    Apply an element-wise operation.

    Raises:
        Unsupported: SymPy has no partial derivative of it.
    """
    plain = _PLAIN.get(primitive.name)
    if plain is not None:
        with np.errstate(all="ignore"):
            return _fitted(plain(*operands))
    if primitive.name == "select":
        return _select(*operands, high=high)
    function = np.frompyfunc(_guarded(strict(primitive, high=high)), len(operands), 1)
    result = Dual(_numbers(function(*[_plain(o.value) for o in operands]), primitive, high=high))
    if primitive.result != "float":
        return result
    make = partial_high if high else partial_double
    parts = []
    for i, operand in enumerate(operands):
        if operand.slopes is None:
            continue
        local = np.frompyfunc(_guarded(make(primitive, i)), len(operands), 1)(*[_plain(o.value) for o in operands])
        parts.append(_numbers(_chained(local, _widened(operand.slopes, *operands)), primitive, high=high))
    result.slopes = _sum_of(parts)
    return _fitted(result)


def _plain(value: Any) -> Any:
    """Return an array whose elements are numbers of Python's, not NumPy's."""
    return value.astype(object) if value.dtype != object else value


def _numbers(value: Any, primitive: Primitive, *, high: bool) -> Any:
    return np.asarray(value) if high or primitive.result != "float" else np.asarray(value, dtype=float)


def _select(test: Dual, a: Dual, b: Dual, *, high: bool) -> Dual:
    value = np.asarray(_choose(test.value, a.value, b.value))
    count = max((len(x.slopes) for x in (a, b) if x.slopes is not None), default=0)
    result = Dual(value if high else value.astype(float))
    if count:
        sides = [_widened(_slopes_or_zero(x, count), test, a, b) for x in (a, b)]
        slopes = np.asarray(_choose(test.value, *sides))
        result.slopes = slopes if high else slopes.astype(float)
    return _fitted(result)


# -- programs


def apply(eqn: Eqn, operands: Sequence[Dual], elements: Callable[[Primitive, Sequence[Dual]], Dual]) -> Dual:
    """Return the result of an equation at concrete sizes; `elements` says what element-wise operations do."""
    meaning = MEANINGS.get(eqn.prim.name)
    return _fitted(meaning(*operands, **eqn.params)) if meaning else elements(eqn.prim, operands)


class ArrayTape:
    """
    A program at concrete sizes, for values and for derivatives.

    Attributes:
        wanted: The input variables whose derivative is taken.
    """

    def __init__(self, program: Program, sizes: Mapping[str, int], *, high: bool) -> None:
        """
        Lay out the equations.

        Raises:
            Unsupported: An operation has no meaning here.
        """
        self.high = high
        self.inputs = list(input_variables(program))
        self.wanted = [v for p in program.params if p.seed is None and p.wrt for v in p.leaves() if v.dtype == "float"]
        self._outputs = [o.atom for o in program.outputs]
        self._eqns = instantiate(program, sizes)
        for eqn in self._eqns:
            if is_structural(eqn.prim) and eqn.prim.name not in MEANINGS:
                msg = f"`{eqn.prim.name}` works on axes"
                raise Unsupported(msg)
        last: dict[Var, int] = {a: i for i, eqn in enumerate(self._eqns) for a in eqn.args if isinstance(a, Var)}
        kept = set(self._outputs)
        self._dead: list[list[Var]] = [[] for _ in self._eqns]
        for var, i in last.items():
            if var not in kept:
                self._dead[i].append(var)

    def run(self, point: Sequence[Any], slopes: Mapping[Var, Any]) -> list[Dual]:
        """Return the outputs with their derivatives along the directions that `slopes` holds for some inputs."""
        env: dict[Var, Dual] = {v: Dual(self._entered(v, x), slopes.get(v)) for v, x in zip(self.inputs, point, strict=True)}
        for eqn, dead in zip(self._eqns, self._dead, strict=True):
            operands = [self._literal(a) if isinstance(a, Lit) else env[a] for a in eqn.args]
            with np.errstate(all="ignore"):  # what is outside a domain is nan
                env[eqn.out] = apply(eqn, operands, partial(elementwise, high=self.high))
            for var in dead:
                del env[var]
        return [self._literal(o) if isinstance(o, Lit) else env[o] for o in self._outputs]

    def _entered(self, var: Var, value: Any) -> Any:
        return np.asarray(value, dtype=int) if var.dtype == "int" else value

    def _literal(self, literal: Lit) -> Dual:
        return Dual(np.asarray(exact.exact_mpf(literal.value) if self.high else literal.value))

    def outputs(self, point: Sequence[Any]) -> list[Any]:
        """Return the values of the outputs; nan where an operation has none."""
        try:
            return [_unboxed(d.value) for d in self.run(point, {})]
        except OUTSIDE:
            return [math.nan for _ in self._outputs]

    def evaluate(self, point: Sequence[Any], direction: Sequence[Any], upstream: Sequence[Any]) -> tuple[list[Any], Any]:
        """Return the values of the outputs, and the derivative of their upstream-weighted sum along a direction."""
        slopes = {v: np.asarray(d)[None] for v, d in zip(self.inputs, direction, strict=True) if v in self.wanted}
        try:
            results = self.run(point, slopes)
        except OUTSIDE:
            return [math.nan for _ in self._outputs], math.nan
        return [_unboxed(d.value) for d in results], self._weighted(results, upstream, 1)[0]

    def gradients(self, point: Sequence[Any], upstream: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the values of the outputs and the gradient of each wanted input, element by element."""
        where = {v: i for i, v in enumerate(self.inputs)}
        counts = [np.size(point[where[v]]) for v in self.wanted]
        total, zero, one = sum(counts), (mp.mpf(0) if self.high else 0.0), (mp.mpf(1) if self.high else 1.0)
        slopes, first = {}, 0
        for var, count in zip(self.wanted, counts, strict=True):
            unit = np.full((total, count), zero)
            unit[np.arange(first, first + count), np.arange(count)] = one
            slopes[var] = unit.reshape(total, *np.shape(point[where[var]]))
            first += count
        try:
            results = self.run(point, slopes if total else {})
        except OUTSIDE:
            return [math.nan for _ in self._outputs], [math.nan for _ in self.wanted]
        every = self._weighted(results, upstream, total)
        gradients, first = [], 0
        for var, count in zip(self.wanted, counts, strict=True):
            gradients.append(_unboxed(every[first : first + count].reshape(np.shape(point[where[var]]))))
            first += count
        return [_unboxed(d.value) for d in results], gradients

    def _weighted(self, results: Sequence[Dual], upstream: Sequence[Any], count: int) -> Any:
        total = np.full(count, mp.mpf(0) if self.high else 0.0)
        for result, weight in zip(results, upstream, strict=True):
            if result.slopes is not None:
                total = total + np.sum(result.slopes * np.asarray(weight), axis=tuple(range(1, result.slopes.ndim)))
        return total


def _unboxed(array: Any) -> Any:
    """Return an array, or the number of one without axes."""
    return array if array.ndim else array[()]
