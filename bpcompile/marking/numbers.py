"""
Numbers that remember where they came from: what the marked program computes with.

A `Tracked` is a NumPy array of floats beside an equally shaped array of ids in a `Ledger`. Everything that moves numbers
about is done by NumPy on both arrays alike, so views, copies and writes mean here what they mean in NumPy. Arithmetic makes
new entries, with the derivative rules of the table of primitives.

A name that is bound to a value gets ids of its own (`named`), so that the gradient with respect to that name can be asked
for even where two names share one array.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

import bpcompile.ops  # noqa: F401  importing the package fills the registry
from bpcompile.marking.ledger import Ids, Ledger
from bpcompile.primitive import REGISTRY, Primitive, Zero

#: More elements than this in one array are no small size.
MAX_ELEMENTS: Final = 200_000


class CannotReadError(Exception):
    """A construct that the reader does not follow, or a computation that fails: the message says what."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class MismatchError(CannotReadError):
    """Two sizes that must agree do not."""

    def __init__(self, message: str, first: int, second: int, *, fixed: bool = False) -> None:
        super().__init__(message)
        self.first = first
        self.second = second
        self.fixed = fixed


class Tracked:
    """
    An array of floats whose elements have ids.

    Attributes:
        v: The values.
        i: Ids of the memory behind the values: whoever shares the memory shares them.
        own: Ids that this name has for the same numbers, or None.
        seen: What `i` was when `own` was given; an element written since is no longer the name's own.
    """

    __slots__ = ("i", "own", "seen", "v")

    def __init__(self, v: Any, i: Any, own: Any = None, seen: Any = None) -> None:
        self.v = v
        self.i = i
        self.own = own
        self.seen = seen

    @property
    def ids(self) -> Ids:
        """The ids of the elements as this name knows them."""
        if self.own is None:
            copied: Ids = np.array(self.i)  # what was written down must not change with later writes
            return copied
        merged: Ids = np.where(self.i == self.seen, self.own, self.i)
        return merged

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self.v.shape)

    def __repr__(self) -> str:
        return f"Tracked({self.v!r})"


Value = Any


def plain(value: Value) -> Any:
    """Return the numbers of a value, without ids."""
    return value.v if isinstance(value, Tracked) else value


def is_number(value: Value) -> bool:
    """Tell whether a value is a number or an array of them."""
    return isinstance(value, Tracked | np.ndarray | int | float | np.generic) and not isinstance(value, str)


def constant(value: Any) -> Tracked:
    """Wrap floats that depend on nothing."""
    array = np.asarray(value, dtype=np.float64)
    _limit(array.size)
    return Tracked(array, zeros_as(array))


def zeros_as(array: Any) -> Any:
    """Return ids 0 in the memory layout of `array`, so that views of both are made alike."""
    return np.zeros_like(array, dtype=np.int64)


def tracked(value: Value) -> Tracked:
    """Return a number or an array of numbers as `Tracked`."""
    if isinstance(value, Tracked):
        return value
    if isinstance(value, bool | int | float | np.generic | np.ndarray):
        try:
            return constant(value)
        except (OverflowError, ValueError, TypeError) as fault:
            raise CannotReadError("not a number") from fault
    raise CannotReadError(f"{describe(value)} where a number is needed")


def describe(value: Value) -> str:
    """Say what a value is, for a message."""
    if value is None:
        return "None"
    if isinstance(value, Tracked | np.ndarray):
        return f"an array of shape {value.shape}" if value.shape else "a number"
    names = {bool: "a truth value", int: "an integer", float: "a number", str: "a string", tuple: "a tuple", list: "a list", dict: "a dictionary"}
    return names.get(type(value), "this")


def _limit(size: int) -> None:
    if size > MAX_ELEMENTS:
        raise CannotReadError("an array of this size")


def _layout(array: Any, ids: Ids) -> Any:
    """Arrange ids in the memory layout of `array`."""
    arranged = np.empty_like(array, dtype=np.int64)
    arranged[...] = ids.reshape(array.shape)
    return arranged


def shape_together(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """
    Broadcast shapes.

    Raises:
        MismatchError: They do not fit.
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        for first, second in itertools.combinations(shapes, 2):
            for a, b in zip(reversed(first), reversed(second), strict=False):
                if a != b and 1 not in {a, b}:
                    raise MismatchError(f"shapes {first} and {second} do not fit together", a, b) from None
        raise


# Arithmetic ------------------------------------------------------------------------------------------------------------

_UFUNCS: Final[dict[str, Callable[..., Any]]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "neg": np.negative, "powr": np.power, "pow": np.power,
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "cbrt": np.cbrt, "hypot": np.hypot, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "max": np.maximum, "min": np.minimum, "abs": np.abs,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round, "trunc": np.trunc, "mod": np.mod, "fmod": np.fmod,
    "heaviside": np.heaviside, "logaddexp": np.logaddexp, "sinc": np.sinc,
}  # fmt: skip

#: Primitives whose rules are plain arithmetic, so that they hold for whole arrays as they stand.
_WHOLE: Final = frozenset({"add", "sub", "mul", "neg", "exp", "log", "sin", "cos"})


def apply(ledger: Ledger, name: str, *operands: Value) -> Tracked:
    """Apply a scalar primitive element by element, with NumPy's broadcasting."""
    given = [tracked(operand) for operand in operands]
    if name in _SCALAR and not any(each.v.ndim for each in given):
        return _single(ledger, name, given)
    shape = shape_together(*(each.shape for each in given))
    _limit(math.prod(shape))
    primitive = REGISTRY[name]
    values = [each.v for each in given]
    with np.errstate(all="ignore"):
        function = _UFUNCS.get(name)
        result = np.asarray(function(*values) if function else _each(primitive.impl, values), dtype=np.float64)
    ids = [each.ids for each in given]
    if ledger.mute or not any(each.any() for each in ids):
        return Tracked(result, zeros_as(result))
    out = ledger.fresh(result.size)
    for position, own in enumerate(ids):
        if own.any() and not isinstance(_rule(primitive, position), Zero):
            partial = _partial(primitive, position, result, values)
            ledger.record(out, np.broadcast_to(own, shape).ravel(), np.broadcast_to(partial, shape).ravel())
    return Tracked(result, _layout(result, out))


#: Value and partial derivatives on floats, for the arithmetic that long scalar programs consist of.
_SCALAR: Final[dict[str, Callable[..., tuple[float, tuple[float, ...]]]]] = {
    "add": lambda x, y: (x + y, (1.0, 1.0)),
    "sub": lambda x, y: (x - y, (1.0, -1.0)),
    "mul": lambda x, y: (x * y, (y, x)),
    "neg": lambda x: (-x, (-1.0,)),
}


def _single(ledger: Ledger, name: str, given: Sequence[Tracked]) -> Tracked:
    """Apply arithmetic to single numbers, without the cost of arrays."""
    result, partials = _SCALAR[name](*(float(each.v) for each in given))
    ids = [int(each.i if each.own is None else each.own) for each in given]
    kept = [(own, partial) for own, partial in zip(ids, partials, strict=True) if own and partial]
    value = np.array(result)
    if not kept:
        return Tracked(value, np.zeros((), np.int64))
    return Tracked(value, ledger.step([own for own, _ in kept], [partial for _, partial in kept]))


def _rule(primitive: Primitive, position: int) -> Any:
    return primitive.vjp[position]


def _each(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Apply a function of floats to every element; nan where it is not defined."""
    spread = np.broadcast_arrays(*values)
    flat = [_call(function, [float(x) for x in row]) for row in zip(*(each.ravel() for each in spread), strict=True)]
    return np.array(flat, dtype=np.float64).reshape(spread[0].shape)


def _call(function: Callable[..., Any], row: Sequence[float]) -> float:
    try:
        return float(function(*row))
    except (ArithmeticError, ValueError, TypeError):
        return math.nan


def _partial(primitive: Primitive, position: int, result: Any, values: Sequence[Any]) -> Any:
    rule = _rule(primitive, position)
    name = primitive.name
    with np.errstate(all="ignore"):
        if name in _WHOLE:
            return rule(1.0, result, *values)
        if name == "div":
            return 1.0 / values[1] if position == 0 else -result / values[1]
        if name in {"pow", "powr"} and position == 0:
            return values[1] * np.power(values[0], values[1] - 1.0)
    spread = np.broadcast_arrays(result, *values)
    flat = [_call(rule, [1.0, *map(float, row)]) for row in zip(*(each.ravel() for each in spread), strict=True)]
    return np.array(flat, dtype=np.float64).reshape(result.shape)


def power(ledger: Ledger, base: Value, exponent: Value) -> Tracked:
    """Return `base ** exponent`; a negative base with a fractional exponent gives nan."""
    return apply(ledger, "powr", base, exponent)


def linear(ledger: Ledger, result: Any, edges: Sequence[tuple[Any, Any, Any]]) -> Tracked:
    """Make the entries of `result` with edges `(position in result, id, partial)`."""
    result = np.asarray(result, dtype=np.float64)
    if ledger.mute or not any(np.any(ids) for _, ids, _ in edges):
        return Tracked(result, zeros_as(result))
    out = ledger.fresh(result.size)
    for position, ids, partial in edges:
        position, ids, partial = np.broadcast_arrays(position, ids, partial)  # noqa: PLW2901  the same three, spread
        ledger.record(out[position.ravel()], ids.ravel(), np.asarray(partial, dtype=np.float64).ravel())
    return Tracked(result, _layout(result, out))


def named(ledger: Ledger, value: Tracked) -> Tracked:
    """Return the same array under a name of its own: writes are shared, ids are not."""
    if ledger.mute:
        return value
    ids = value.ids
    if not ids.ndim:
        own = ledger.step([int(ids)], [1.0]) if ids else ledger.fresh(1).reshape(())
        return Tracked(value.v, value.i, own, value.i)
    own = ledger.fresh(value.v.size)
    ledger.record(own, ids.ravel(), np.ones(ids.size))
    return Tracked(value.v, value.i, own.reshape(value.v.shape), value.i.copy())


# Moving numbers --------------------------------------------------------------------------------------------------------


def moved(value: Tracked, function: Callable[[Any], Any]) -> Tracked:
    """Apply a function that only moves elements; what is a view in NumPy is one here."""
    with np.errstate(all="ignore"):
        try:
            v, i = function(value.v), function(value.i)
        except (ValueError, IndexError, TypeError) as fault:
            raise failed(fault) from fault
    v, i = np.asarray(v), np.asarray(i)
    _limit(v.size)
    if value.own is None:
        return Tracked(v, i)
    return Tracked(v, i, np.array(function(value.ids)), i.copy())


def gathered(values: Sequence[Tracked], function: Callable[[list[Any]], Any]) -> Tracked:
    """Apply a function of several arrays that only moves elements (concatenate, stack)."""
    try:
        v, i = function([each.v for each in values]), function([each.ids for each in values])
    except (ValueError, IndexError, TypeError) as fault:
        raise failed(fault) from fault
    _limit(np.size(v))
    return Tracked(np.asarray(v, dtype=np.float64), np.asarray(i, dtype=np.int64))


def chosen(condition: Any, first: Value, second: Value) -> Tracked:
    """Return `np.where(condition, first, second)`."""
    a, b = tracked(first), tracked(second)
    shape = shape_together(np.shape(condition), a.shape, b.shape)
    _limit(math.prod(shape))
    return Tracked(np.where(condition, a.v, b.v), np.where(condition, a.ids, b.ids))


def write(target: Tracked, index: Any, value: Value) -> None:
    """Do `target[index] = value`; every name of the same memory sees it."""
    source = tracked(value)
    try:
        part = target.v[index]
        shape_together(np.shape(part), source.shape)
        ids = np.array(source.ids)
        target.v[index] = np.array(source.v)
        target.i[index] = ids
    except CannotReadError:
        raise
    except (ValueError, IndexError, TypeError) as fault:
        raise failed(fault) from fault


_SHAPES: Final = re.compile(r"\((\d+),?\) \((\d+),?\)")
_OUTSIDE: Final = re.compile(r"index (-?\d+) is out of bounds for axis \d+ with size (\d+)")
_LAYOUTS: Final = re.compile(r"shape \(([\d, ]*)\) .*?shape \(([\d, ]*)\)|size (\d+) into shape \(([\d, ]*)\)")


def failed(fault: BaseException) -> CannotReadError:
    """Say what NumPy refused; where two sizes differ, which."""
    whole = (str(fault).splitlines() or [""])[0]
    text = whole[:120]
    match = _SHAPES.search(whole)
    if match:
        return MismatchError(text, int(match[1]), int(match[2]))
    match = _OUTSIDE.search(whole)
    if match:
        return CannotReadError(text, outside=int(match[1]), size=int(match[2]))
    mask = re.search(r"boolean index did not match indexed array along axis \d+; size of axis is (\d+) but size of corresponding boolean axis is (\d+)", whole)
    if mask:
        return MismatchError(text, int(mask[1]), int(mask[2]))
    joined = re.search(r"has size (\d+) and the array at index \d+ has size (\d+)", whole)
    if joined:
        return MismatchError(text, int(joined[1]), int(joined[2]))
    return CannotReadError(text)


# Sums and products -----------------------------------------------------------------------------------------------------


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return an `axis` argument as axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    found = []
    for each in axis if isinstance(axis, tuple | list) else (axis,):
        if not isinstance(each, int | np.integer) or not -ndim <= each < ndim:
            raise CannotReadError(f"axis {each} of an array with {ndim} axes")
        found.append(int(each) % ndim)
    return tuple(found)


def total(ledger: Ledger, value: Tracked, axis: Any = None, keepdims: bool = False, scale: float = 1.0) -> Tracked:  # noqa: FBT001, FBT002  NumPy's own argument
    """Return the sum over axes, times `scale`."""
    axes = axes_of(axis, value.v.ndim)
    kept = value.v.sum(axis=axes, keepdims=True) * scale
    position = np.broadcast_to(np.arange(kept.size).reshape(kept.shape), value.shape)
    result = kept if keepdims else kept.reshape([n for k, n in enumerate(value.shape) if k not in axes])
    return linear(ledger, result, [(position, value.ids, scale)])


def extreme(ledger: Ledger, value: Tracked, axis: Any, keepdims: bool, function: Callable[..., Any]) -> Tracked:  # noqa: FBT001  NumPy's own argument
    """Return the largest or smallest element over axes; ties share the gradient."""
    axes = axes_of(axis, value.v.ndim)
    if value.v.size == 0:
        raise CannotReadError("the largest element of an empty array")
    kept = function(value.v, axis=axes, keepdims=True)
    hits = (value.v == kept).astype(float)
    hits /= hits.sum(axis=axes, keepdims=True)
    position = np.broadcast_to(np.arange(kept.size).reshape(kept.shape), value.shape)
    result = kept if keepdims else kept.reshape([n for k, n in enumerate(value.shape) if k not in axes])
    return linear(ledger, result, [(position, value.ids, hits)])


def product(ledger: Ledger, value: Tracked, axis: Any, keepdims: bool) -> Tracked:  # noqa: FBT001  NumPy's own argument
    """Return the product over axes."""
    axes = axes_of(axis, value.v.ndim)
    kept = value.v.prod(axis=axes, keepdims=True)
    position = np.broadcast_to(np.arange(kept.size).reshape(kept.shape), value.shape)
    with np.errstate(all="ignore"):
        others = np.broadcast_to(kept, value.shape) / value.v
    result = kept if keepdims else kept.reshape([n for k, n in enumerate(value.shape) if k not in axes])
    return linear(ledger, result, [(position, value.ids, others)])


def running_sum(ledger: Ledger, value: Tracked, axis: Any) -> Tracked:
    """Return `np.cumsum`."""
    if axis is None:
        value, axis = moved(value, np.ravel), 0
    (axis,) = axes_of(axis, value.v.ndim)
    result = value.v.cumsum(axis=axis)
    places = np.moveaxis(np.arange(result.size).reshape(result.shape), axis, -1)
    ids = np.moveaxis(value.ids, axis, -1)
    n = result.shape[axis]
    triangle = np.tril(np.ones((n, n)))
    return linear(ledger, result, [(places[..., :, None], ids[..., None, :], triangle)])


def contract(ledger: Ledger, left: Sequence[str], right: str, operands: Sequence[Tracked]) -> Tracked:
    """Return an `einsum`: one string of letters an operand, and that of the result."""
    sizes: dict[str, int] = {}
    for letters, operand in zip(left, operands, strict=True):
        if len(letters) != operand.v.ndim:
            raise CannotReadError(f"{len(letters)} axes named of an array that has {operand.v.ndim}")
        for letter, size in zip(letters, operand.shape, strict=True):
            if sizes.setdefault(letter, size) not in {size, 1} and size != 1:
                shapes = " and ".join(str(each.shape) for each in operands)
                raise MismatchError(f"shapes {shapes} do not fit this product", sizes[letter], size)
            sizes[letter] = max(sizes[letter], size)
    letters = right + "".join(letter for letter in sizes if letter not in right)
    if any(letter not in sizes for letter in right):
        raise CannotReadError("an axis of the result that no operand has")
    grid = tuple(sizes[letter] for letter in letters)
    _limit(math.prod(grid))
    values = [_on_grid(operand.v, own, letters, grid) for own, operand in zip(left, operands, strict=True)]
    ids = [_on_grid(operand.ids, own, letters, grid) for own, operand in zip(left, operands, strict=True)]
    rest = tuple(range(len(right), len(letters)))
    with np.errstate(all="ignore"):
        whole = math.prod(values[1:], start=values[0])
        result = np.asarray(whole.sum(axis=rest))
        shape = grid[: len(right)]
        position = np.broadcast_to(np.arange(result.size).reshape(shape + (1,) * len(rest)), grid)
        edges = []
        for k, own_ids in enumerate(ids):
            others = [each for j, each in enumerate(values) if j != k]
            edges.append((position, own_ids, math.prod(others[1:], start=others[0]) if others else np.ones(grid)))
    return linear(ledger, result, edges)


def _on_grid(array: Any, own: str, letters: str, grid: tuple[int, ...]) -> Any:
    """Spread an operand over all the letters of a product."""
    if len(set(own)) != len(own):  # a diagonal: take it by index
        index = np.indices(grid)
        sizes = dict(zip(own, array.shape, strict=True))
        return array[tuple(index[letters.index(letter)] if sizes[letter] != 1 else 0 for letter in own)]
    present = [letter for letter in letters if letter in own]
    arranged = np.transpose(array, [own.index(letter) for letter in present])
    shape, k = [], 0
    for letter in letters:
        shape.append(arranged.shape[k] if letter in own else 1)
        k += letter in own
    return np.broadcast_to(arranged.reshape(shape), grid)


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def matmul(ledger: Ledger, first: Value, second: Value) -> Tracked:
    """Return `first @ second`."""
    a, b = tracked(first), tracked(second)
    if not a.v.ndim or not b.v.ndim:
        raise CannotReadError("`@` with a number")
    outer = max(a.v.ndim, b.v.ndim) - 2
    batch = _LETTERS[: max(outer, 0)]
    left = batch[len(batch) - (a.v.ndim - 2) :] + "yz" if a.v.ndim > 1 else "z"
    right = batch[len(batch) - (b.v.ndim - 2) :] + "zx" if b.v.ndim > 1 else "z"
    _inner(a, b, a.shape[-1], b.shape[-2] if b.v.ndim > 1 else b.shape[0])
    result = batch + ("y" if a.v.ndim > 1 else "") + ("x" if b.v.ndim > 1 else "")
    return contract(ledger, (left, right), result, (a, b))


def dot(ledger: Ledger, first: Value, second: Value) -> Tracked:
    """Return `np.dot(first, second)`."""
    a, b = tracked(first), tracked(second)
    if not a.v.ndim or not b.v.ndim:
        return apply(ledger, "mul", a, b)
    if a.v.ndim <= 2 and b.v.ndim <= 2:
        return matmul(ledger, a, b)
    _inner(a, b, a.shape[-1], b.shape[-2] if b.v.ndim > 1 else b.shape[0])
    left = _LETTERS[: a.v.ndim - 1] + "z"
    own = _LETTERS[10 : 10 + b.v.ndim - 1]
    right = own[:-1] + "z" + own[-1:] if b.v.ndim > 1 else "z"
    return contract(ledger, (left, right), left[:-1] + (own if b.v.ndim > 1 else ""), (a, b))


def _inner(a: Tracked, b: Tracked, first: int, second: int) -> None:
    """A product, unlike broadcasting, never repeats an axis of size 1."""
    if first != second:
        raise MismatchError(f"shapes {a.shape} and {b.shape} do not fit this product", first, second)
