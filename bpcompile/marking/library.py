"""
What the marked program may call: the functions of `math`, NumPy, `scipy.special` and Python that the reader knows.

A function is called as `f(ledger_and_rng, args, kwargs)`. Nothing here executes anything of the program's own; what is not
in these tables is not read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from bpcompile.marking import numbers as nb
from bpcompile.marking.ledger import Ledger
from bpcompile.marking.numbers import CannotReadError, MismatchError, Tracked, Value, apply, constant, moved, plain, tracked

#: Longest list, range or string that is built.
MAX_LENGTH: Final = 100_000
#: Integers stay below 2 ** this.
MAX_BITS: Final = 256


class Machine(Protocol):
    """What a function may use of the run that calls it."""

    ledger: Ledger
    rng: np.random.Generator

    def call(self, function: Value, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        """Call a function of the program."""
        ...


Function = Callable[[Machine, Sequence[Value], Mapping[str, Value]], Value]


def is_array(value: Value) -> bool:
    """Tell whether a value is an array, not a single number."""
    return isinstance(value, Tracked | np.ndarray) and bool(value.shape)


def is_float(value: Value) -> bool:
    """Tell whether arithmetic on this value is arithmetic on floats."""
    return isinstance(value, Tracked | float | np.floating)


def as_int(value: Value) -> int:
    """Return an integer argument."""
    if isinstance(value, Tracked) and not value.shape and float(value.v).is_integer():
        return int(value.v)
    if isinstance(value, bool | int | np.integer | np.bool_):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, np.ndarray) and value.size == 1:
        return int(value.item())
    raise CannotReadError(f"{nb.describe(value)} where an integer is needed")


def shape_argument(value: Value) -> tuple[int, ...]:
    """Return a shape argument: an integer or several."""
    sizes = tuple(as_int(each) for each in value) if isinstance(value, tuple | list | np.ndarray) else (as_int(value),)
    if any(size < -1 for size in sizes) or math.prod(max(1, size) for size in sizes) > nb.MAX_ELEMENTS:
        raise CannotReadError("an array of this size")
    return sizes


def array_of(machine: Machine, value: Value) -> Value:
    """Return `np.array(value)`, a copy."""
    if isinstance(value, Tracked):
        return Tracked(np.array(value.v), np.array(value.ids))
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple | list):
        parts = [array_of(machine, each) for each in value]
        if not parts:
            return constant([])
        if any(isinstance(part, Tracked | float) for part in parts):
            shapes = {np.shape(plain(part)) for part in parts}
            if len(shapes) > 1:
                raise CannotReadError("an array of rows of different lengths")
            return nb.gathered([tracked(part) for part in parts], np.stack)
        try:
            array = np.array(parts)
        except (ValueError, OverflowError) as fault:
            raise CannotReadError("an array of rows of different lengths") from fault
        if array.dtype.kind not in "biu":
            raise CannotReadError("an array of something else than numbers")
        return array
    if isinstance(value, bool | int | float | np.generic):
        return value
    if isinstance(value, range):
        return np.array(value)
    raise CannotReadError(f"an array of {nb.describe(value)}")


def data_of(machine: Machine, value: Value) -> Value:
    """Return an array argument: an array as it is, a list as an array."""
    return value if isinstance(value, Tracked | np.ndarray) else array_of(machine, value)


# Arithmetic ------------------------------------------------------------------------------------------------------------

_INTEGER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b, "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
    "lshift": lambda a, b: a << b, "rshift": lambda a, b: a >> b,
}  # fmt: skip


def arithmetic(machine: Machine, name: str, a: Value, b: Value) -> Value:
    """Return `a op b` for numbers, arrays, strings and sequences."""
    if isinstance(a, str | tuple | list) or isinstance(b, str | tuple | list):
        return _sequences(machine, name, a, b)
    if not nb.is_number(a) or not nb.is_number(b):
        raise CannotReadError(f"arithmetic on {nb.describe(a if not nb.is_number(a) else b)}")
    if name == "matmul":
        return nb.matmul(machine.ledger, a, b)
    whole = not is_float(a) and not is_float(b) and name != "div"
    if whole and name == "pow":
        return _integer_power(a, b)
    if whole and name in _INTEGER:
        return _integers(name, a, b)
    if name == "floordiv":
        return apply(machine.ledger, "floor", apply(machine.ledger, "div", a, b))
    if name == "pow":
        return _collapse(nb.power(machine.ledger, a, b), a, b)
    if name not in {"add", "sub", "mul", "div", "mod"}:
        raise CannotReadError("this operator on numbers that are not whole")
    return _collapse(apply(machine.ledger, name, a, b), a, b)


def _collapse(result: Tracked, a: Value, b: Value) -> Value:
    """Keep plain floats plain: they are constants."""
    if isinstance(a, Tracked) or isinstance(b, Tracked) or result.shape:
        return result
    return float(result.v)


def _integers(name: str, a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        if name == "lshift" and b > MAX_BITS:
            raise CannotReadError("a number this large")
        if name == "mul" and a.bit_length() + b.bit_length() > MAX_BITS:
            raise CannotReadError("a number this large")
        try:
            return _INTEGER[name](a, b)
        except (ZeroDivisionError, ValueError) as fault:
            raise nb.failed(fault) from fault
    nb.shape_together(np.shape(a), np.shape(b))
    try:
        with np.errstate(all="ignore"):
            result = _INTEGER[name](np.asarray(a), np.asarray(b))
    except (TypeError, ValueError, OverflowError) as fault:
        raise nb.failed(fault) from fault
    return result if result.shape else result.item()


def _integer_power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        if b < 0:
            return float(a) ** b if a else math.inf
        if abs(a) > 1 and a.bit_length() * b > MAX_BITS:
            raise CannotReadError("a number this large")
        return a**b
    result = np.asarray(a, dtype=np.int64) ** np.abs(np.asarray(b, dtype=np.int64))
    return result if result.shape else result.item()


def _sequences(machine: Machine, name: str, a: Value, b: Value) -> Value:
    if name == "mod" and isinstance(a, str):
        return a  # a message: its text plays no part
    if isinstance(a, Tracked | np.ndarray) or isinstance(b, Tracked | np.ndarray):
        return arithmetic(machine, name, data_of(machine, a), data_of(machine, b))
    if name == "add" and type(a) is type(b):
        if len(a) + len(b) > MAX_LENGTH:
            raise CannotReadError("a list this long")
        return a + b
    if name == "mul":
        many, times = (a, b) if isinstance(a, str | tuple | list) else (b, a)
        if isinstance(times, int) and len(many) * max(times, 1) <= MAX_LENGTH:
            return many * times
        raise CannotReadError("a list this long")
    raise CannotReadError(f"arithmetic on {nb.describe(a)}")


# Tables ----------------------------------------------------------------------------------------------------------------


def _elementwise(name: str, arity: int = 1) -> Function:
    def function(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        out = kwargs.get("out")
        operands = [data_of(machine, each) for each in args[:arity]]
        if len(operands) < arity:
            raise CannotReadError("a missing argument")
        result = apply(machine.ledger, name, *operands)
        if len(args) > arity:
            out = args[arity]
        if isinstance(out, Tracked):
            nb.write(out, ..., result)
            return out
        return result

    return function


def _whole(function: Callable[..., Any]) -> Function:
    """A function whose result carries no gradient: comparisons, positions, predicates."""

    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        given = [plain(data_of(machine, each)) if isinstance(each, Tracked | list | np.ndarray) else each for each in args]
        try:
            result = function(*given, **{key: plain(each) for key, each in kwargs.items() if key not in {"out", "dtype"}})
        except (TypeError, ValueError, IndexError) as fault:
            raise CannotReadError(str(fault).splitlines()[0][:120] if str(fault) else "a wrong argument") from fault
        return _untracked(result)

    return call


def _untracked(result: Any) -> Value:
    if isinstance(result, tuple):
        return tuple(_untracked(each) for each in result)
    array = np.asarray(result)
    if array.dtype.kind == "f":
        return constant(array)
    if array.dtype.kind in "biu":
        return array if array.shape else array.item()
    raise CannotReadError("a result that is no number")


def _moving(function: Callable[..., Any]) -> Function:
    """A function of one array that only moves its elements."""

    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        array = data_of(machine, args[0])
        rest = [_static(each) for each in args[1:]]
        named = {key: _static(each) for key, each in kwargs.items()}
        if isinstance(array, Tracked):
            return moved(array, lambda a: function(a, *rest, **named))
        try:
            return function(np.asarray(array), *rest, **named)
        except (ValueError, IndexError, TypeError) as fault:
            raise nb.failed(fault) from fault

    return call


def _static(value: Value) -> Any:
    """Return an argument such as an axis or a shape as plain numbers."""
    if isinstance(value, tuple | list):
        return type(value)(_static(each) for each in value)
    if isinstance(value, Tracked):
        return as_int(value)
    return value


def _joining(function: Callable[..., Any]) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        parts = args[0]
        if not isinstance(parts, tuple | list):
            raise CannotReadError("not a list of arrays")
        arrays = [data_of(machine, part) for part in parts]
        axis = {"axis": as_int(args[1])} if len(args) > 1 else {key: _static(each) for key, each in kwargs.items()}
        if not any(isinstance(each, Tracked | float) for each in arrays):
            try:
                return function([np.asarray(each) for each in arrays], **axis)
            except (ValueError, TypeError) as fault:
                raise nb.failed(fault) from fault
        return nb.gathered([tracked(each) for each in arrays], lambda a: function(a, **axis))

    return call


def _reducing(name: str) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        value = data_of(machine, args[0])
        axis = args[1] if len(args) > 1 else kwargs.get("axis")
        axis = _static(axis)
        keepdims = bool(plain(kwargs.get("keepdims", False)))
        ledger = machine.ledger
        if not isinstance(value, Tracked) and name in {"sum", "max", "min", "prod"}:
            value = np.asarray(value)
            try:
                result = getattr(value, name)(axis=axis, keepdims=keepdims)
            except (ValueError, np.exceptions.AxisError) as fault:
                raise nb.failed(fault) from fault
            return _untracked(result)
        array = tracked(value)
        if name == "sum":
            return nb.total(ledger, array, axis, keepdims)
        if name in {"max", "min"}:
            return nb.extreme(ledger, array, axis, keepdims, np.max if name == "max" else np.min)
        if name == "prod":
            return nb.product(ledger, array, axis, keepdims)
        n = math.prod(array.shape[k] for k in nb.axes_of(axis, array.v.ndim))
        if name == "mean":
            return nb.total(ledger, array, axis, keepdims, 1.0 / max(n, 1))
        ddof = as_int(kwargs.get("ddof", 0))
        centred = apply(ledger, "sub", array, nb.total(ledger, array, axis, True, 1.0 / max(n, 1)))
        variance = nb.total(ledger, apply(ledger, "mul", centred, centred), axis, keepdims, 1.0 / max(n - ddof, 1))
        return apply(ledger, "sqrt", variance) if name == "std" else variance

    return call


def _contraction(function: Callable[[Ledger, Value, Value], Tracked]) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        if len(args) != 2:
            raise CannotReadError("a product of other than two arrays")
        a, b = data_of(machine, args[0]), data_of(machine, args[1])
        if not is_float(a) and not is_float(b) and function is nb.dot:
            try:
                return _untracked(np.dot(a, b))
            except ValueError as fault:
                raise nb.failed(fault) from fault
        return function(machine.ledger, a, b)

    return call


def _outer(ledger: Ledger, a: Value, b: Value) -> Tracked:
    return nb.contract(ledger, ("a", "b"), "ab", (moved(tracked(a), np.ravel), moved(tracked(b), np.ravel)))


def _einsum(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    text = args[0]
    operands = [tracked(data_of(machine, each)) for each in args[1:]]
    if not isinstance(text, str) or "." in text:
        raise CannotReadError("this form of einsum")
    left, arrow, right = text.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise CannotReadError("an einsum with another number of operands than it names")
    if not arrow:
        joined = "".join(parts)
        right = "".join(sorted(letter for letter in set(joined) if joined.count(letter) == 1))
    return nb.contract(machine.ledger, parts, right, operands)


def _tensordot(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    a, b = tracked(data_of(machine, args[0])), tracked(data_of(machine, args[1]))
    axes = _static(args[2] if len(args) > 2 else kwargs.get("axes", 2))
    if isinstance(axes, int):
        first, second = tuple(range(a.v.ndim - axes, a.v.ndim)), tuple(range(axes))
    else:
        first, second = (nb.axes_of(tuple(each) if isinstance(each, tuple | list) else each, array.v.ndim) for each, array in zip(axes, (a, b), strict=True))
    left = [chr(97 + k) for k in range(a.v.ndim)]
    right = [chr(97 + 13 + k) for k in range(b.v.ndim)]
    for p, q in zip(first, second, strict=True):
        if a.shape[p] != b.shape[q]:
            raise MismatchError(f"shapes {a.shape} and {b.shape} do not fit this product", a.shape[p], b.shape[q])
        right[q] = left[p]
    result = [x for k, x in enumerate(left) if k not in first] + [x for k, x in enumerate(right) if k not in second]
    return nb.contract(machine.ledger, ("".join(left), "".join(right)), "".join(result), (a, b))


def _norm(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = tracked(data_of(machine, args[0]))
    if len(args) > 1 or kwargs.get("ord") not in {None, 2}:
        raise CannotReadError("this norm")
    square = apply(machine.ledger, "mul", array, array)
    return apply(machine.ledger, "sqrt", nb.total(machine.ledger, square, _static(kwargs.get("axis")), bool(kwargs.get("keepdims", False))))


def _where(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    if len(args) == 1:
        return _whole(np.nonzero)(machine, args, {})
    condition, a, b = (data_of(machine, each) for each in args)
    if not any(is_float(each) for each in (a, b)):
        return _untracked(np.where(plain(condition), a, b))
    return nb.chosen(plain(condition), a, b)


def _clip(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = data_of(machine, args[0])
    low = args[1] if len(args) > 1 else kwargs.get("a_min", kwargs.get("min"))
    high = args[2] if len(args) > 2 else kwargs.get("a_max", kwargs.get("max"))
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    result = apply(machine.ledger, "clip", array, low, high)
    out = kwargs.get("out")
    if isinstance(out, Tracked):
        nb.write(out, ..., result)
        return out
    return result


def _array(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return as_dtype(array_of(machine, args[0]), args[1] if len(args) > 1 else kwargs.get("dtype"), fresh=True)


def _asarray(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return as_dtype(data_of(machine, args[0]), args[1] if len(args) > 1 else kwargs.get("dtype"))


def as_dtype(value: Value, dtype: Value, *, fresh: bool = False) -> Value:
    """Convert to a dtype, as far as it decides between floats, integers and truth values."""
    kind = dtype_kind(dtype)
    if kind == "f" and not isinstance(value, Tracked):
        return constant(plain(value))
    if kind in {"i", "b"} and not (isinstance(value, np.ndarray) and value.dtype.kind == kind):
        return np.asarray(plain(value)).astype(int if kind == "i" else bool)
    if isinstance(value, bool | int | float) and not fresh:
        return value
    return value


def dtype_kind(dtype: Value) -> str:
    """Return `f`, `i`, `b`, or an empty string for a dtype that says nothing."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "path", "")
    name = str(name).rpartition(".")[2]
    if name.startswith(("float", "double", "f4", "f8", "single", "longdouble")):
        return "f"
    if name.startswith(("int", "uint", "long", "i4", "i8")):
        return "i"
    return "b" if name.startswith("bool") else ""


def _filled(value: float | None) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        shape = shape_argument(args[0] if args else kwargs.get("shape", ()))
        given = value
        rest = list(args[1:])
        if given is None:
            fill = rest.pop(0) if rest else kwargs.get("fill_value")
            if isinstance(fill, Tracked):
                return moved(fill, lambda a: np.array(np.broadcast_to(a, shape)))
            given = float(plain(fill))
        return as_dtype(constant(np.full(shape, given)), rest[0] if rest else kwargs.get("dtype"))

    return call


def _filled_like(value: float | None) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        like = plain(data_of(machine, args[0]))
        given = value if value is not None else float(plain(args[1] if len(args) > 1 else kwargs["fill_value"]))
        dtype = kwargs.get("dtype", args[1] if len(args) > 1 and value is not None else None)
        if dtype_kind(dtype) in {"i", "b"}:
            return np.full(np.shape(like), given, dtype=int if dtype_kind(dtype) == "i" else bool)
        if isinstance(like, np.ndarray) and like.dtype.kind in "biu" and dtype_kind(dtype) != "f":
            return np.full(like.shape, given, dtype=like.dtype)
        return constant(np.full_like(np.asarray(like, dtype=float), given))

    return call


def _random(kind: str) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        size = kwargs.get("size")
        if kind in {"randn", "rand"}:
            shape = shape_argument(tuple(args))
        elif kind in {"random", "standard_normal"}:
            size = args[0] if args else size
            shape = () if size is None else shape_argument(size)
        else:
            size = args[2] if len(args) > 2 else size
            shape = () if size is None else shape_argument(size)
        if kind in {"randn", "standard_normal"}:
            return constant(machine.rng.standard_normal(shape))
        if kind in {"rand", "random"}:
            return constant(machine.rng.random(shape))
        low, high = (args[0] if args else kwargs.get("low", kwargs.get("loc", 0.0))), (args[1] if len(args) > 1 else None)
        if kind == "randint":
            low, high = (0, low) if high is None else (low, high)
            result = machine.rng.integers(as_int(low), max(as_int(high), as_int(low) + 1), shape or None)
            return result if shape else int(result)
        first, second = float(plain(low)), float(plain(kwargs.get("high", kwargs.get("scale", 1.0)) if high is None else high))
        if kind == "uniform":
            return constant(machine.rng.uniform(first, second, shape))
        return constant(first + second * machine.rng.standard_normal(shape))

    return call


def _choice(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    source = np.arange(as_int(args[0])) if isinstance(args[0], int) else plain(data_of(machine, args[0]))
    size = args[1] if len(args) > 1 else kwargs.get("size")
    return _untracked(machine.rng.choice(source, None if size is None else shape_argument(size)))


def _nothing(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return None


def _arange(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    if any(is_float(each) for each in args):
        raise CannotReadError("a range of numbers that are not whole")
    numbers = [as_int(each) for each in args]
    if len(range(*numbers)) > MAX_LENGTH:
        raise CannotReadError("a range this long")
    return as_dtype(np.arange(*numbers), kwargs.get("dtype"))


def _linspace(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    many = as_int(args[2] if len(args) > 2 else kwargs.get("num", 50))
    if many > MAX_LENGTH:
        raise CannotReadError("an array of this size")
    return constant(np.linspace(float(plain(args[0])), float(plain(args[1])), many))


def _eye(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    n = shape_argument(args[0])[0]
    m = shape_argument(args[1])[0] if len(args) > 1 else n
    shape_argument((n, m))
    return constant(np.eye(n, m))


def _accumulate_at(sign: float) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        target, index, value = args
        if not isinstance(target, Tracked):
            raise CannotReadError("a target that is no array of floats")
        add_at(machine.ledger, target, index_of(index), value, sign)
        return None

    return call


def add_at(ledger: Ledger, target: Tracked, index: Any, value: Value, sign: float = 1.0) -> None:
    """Do `np.add.at(target, index, value)`."""
    places = np.arange(target.v.size).reshape(target.shape)
    try:
        hit = places[index]
    except IndexError as fault:
        raise nb.failed(fault) from fault
    source = tracked(value)
    shape = nb.shape_together(hit.shape, source.shape)
    if shape != hit.shape:
        raise CannotReadError("a value of more axes than the place it goes to")
    values = target.v.copy().ravel()
    np.add.at(values, hit.ravel(), sign * np.broadcast_to(source.v, shape).ravel())
    before = target.ids
    result = nb.linear(ledger, values.reshape(target.shape), [(places, before, 1.0), (hit, np.broadcast_to(source.ids, shape), sign)])
    nb.write(target, ..., result)


def index_of(index: Value) -> Any:
    """Return an index as NumPy takes it."""
    if isinstance(index, tuple):
        return tuple(index_of(each) for each in index)
    if isinstance(index, list):
        return np.array([as_int(each) for each in index], dtype=int) if not any(isinstance(e, bool) for e in index) else np.array(index)
    if isinstance(index, range):
        return np.array(index, dtype=int)
    if isinstance(index, Tracked):
        raise CannotReadError("an array of floats as an index", index=index)
    if isinstance(index, slice):
        return slice(*(None if each is None else as_int(each) for each in (index.start, index.stop, index.step)))
    return index


def _pad(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    if mode != "constant" or any(float(np.max(plain(kwargs.get("constant_values", 0.0)))) != 0 for _ in (0,)):
        raise CannotReadError("padding with other than zeros")
    width = _static(args[1])
    return moved(tracked(data_of(machine, args[0])), lambda a: np.pad(a, width))


def _square(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = data_of(machine, args[0])
    return arithmetic(machine, "mul", array, array)


def _reciprocal(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return apply(machine.ledger, "div", 1.0, data_of(machine, args[0]))


def _binary(name: str) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        result = arithmetic(machine, name, data_of(machine, args[0]), data_of(machine, args[1]))
        out = args[2] if len(args) > 2 else kwargs.get("out")
        if isinstance(out, Tracked):
            nb.write(out, ..., result)
            return out
        return result

    return call


def _cumsum(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = data_of(machine, args[0])
    axis = _static(args[1] if len(args) > 1 else kwargs.get("axis"))
    return nb.running_sum(machine.ledger, array, axis) if isinstance(array, Tracked) else np.cumsum(array, axis=axis)


def _sort(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = tracked(data_of(machine, args[0]))
    axis = as_int(args[1] if len(args) > 1 else kwargs.get("axis", -1))
    order = np.argsort(array.v, axis=axis, kind="stable")
    return Tracked(np.take_along_axis(array.v, order, axis), np.take_along_axis(array.ids, order, axis))


def _same(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return args[0]


def _logsumexp(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = tracked(data_of(machine, args[0]))
    axis, keepdims = _static(kwargs.get("axis", args[1] if len(args) > 1 else None)), bool(kwargs.get("keepdims", False))
    ledger = machine.ledger
    shift = array.v.max(axis=axis, keepdims=True)
    sums = nb.total(ledger, apply(ledger, "exp", apply(ledger, "sub", array, constant(shift))), axis, keepdims)
    return apply(ledger, "add", apply(ledger, "log", sums), constant(shift if keepdims else shift.reshape(sums.shape)))


def _softmax(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = tracked(data_of(machine, args[0]))
    ledger, axis = machine.ledger, _static(kwargs.get("axis", args[1] if len(args) > 1 else None))
    raised = apply(ledger, "exp", apply(ledger, "sub", array, constant(array.v.max(axis=axis, keepdims=True))))
    return apply(ledger, "div", raised, nb.total(ledger, raised, axis, True))


def _bincount(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    places = np.asarray(plain(data_of(machine, args[0])))
    weights = kwargs.get("weights", args[1] if len(args) > 1 else None)
    size = max(int(places.max(initial=-1)) + 1, as_int(kwargs.get("minlength", 0)))
    if size > MAX_LENGTH or places.dtype.kind not in "iu":
        raise CannotReadError("this bincount")
    if weights is None:
        return np.bincount(places, minlength=size)
    target = constant(np.zeros(size))
    add_at(machine.ledger, target, places, weights)
    return target


def _trace(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return nb.total(machine.ledger, moved(tracked(args[0]), np.diagonal))


def _inverse(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    array = tracked(data_of(machine, args[0]))
    if array.v.ndim != 2 or array.shape[0] != array.shape[1]:
        raise MismatchError("the inverse of a matrix that is not square", *(array.shape if array.v.ndim == 2 else (0, 0)))
    with np.errstate(all="ignore"):
        try:
            result = np.linalg.inv(array.v)
        except np.linalg.LinAlgError as fault:
            raise CannotReadError("the inverse of a singular matrix") from fault
    n = len(result)
    partial = -np.einsum("ia,bj->ijab", result, result)
    places = np.arange(n * n).reshape(n, n, 1, 1)
    return nb.linear(machine.ledger, result, [(places, array.ids[None, None], partial)])


def _solve(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return nb.matmul(machine.ledger, _inverse(machine, args[:1], {}), args[1])


_SHARED: Final[dict[str, Function]] = {name: _elementwise(name) for name in "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan sinh cosh tanh exp2".split()}

MATH: Final[dict[str, Function]] = {
    **_SHARED,
    **{name: _elementwise(name) for name in "asin acos atan asinh acosh atanh floor ceil trunc erf erfc gamma lgamma".split()},
    "fabs": _elementwise("abs"), "pow": _elementwise("powr", 2), "hypot": _elementwise("hypot", 2), "atan2": _elementwise("atan2", 2),
    "fsum": _reducing("sum"), "prod": _reducing("prod"),
    "isnan": _whole(np.isnan), "isinf": _whole(np.isinf), "isfinite": _whole(np.isfinite), "isclose": _whole(np.isclose),
}  # fmt: skip

SPECIAL: Final[dict[str, Function]] = {name: _elementwise(name) for name in "erf erfc erfinv gamma digamma".split()} | {
    "expit": _elementwise("sigmoid"),
    "gammaln": _elementwise("lgamma"),
    "psi": _elementwise("digamma"),
    "logsumexp": _logsumexp,
    "softmax": _softmax,
}

NUMPY: Final[dict[str, Function]] = {
    **_SHARED,
    **{numpy: _elementwise(name) for numpy, name in (
        ("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"), ("arcsinh", "asinh"), ("arccosh", "acosh"), ("arctanh", "atanh"),
        ("abs", "abs"), ("absolute", "abs"), ("fabs", "abs"), ("sign", "sign"), ("floor", "floor"), ("ceil", "ceil"), ("trunc", "trunc"),
        ("negative", "neg"), ("sinc", "sinc"), ("round", "round"), ("rint", "round"),
    )},
    **{numpy: _elementwise(name, 2) for numpy, name in (
        ("maximum", "max"), ("minimum", "min"), ("fmax", "max"), ("fmin", "min"), ("hypot", "hypot"), ("arctan2", "atan2"), ("logaddexp", "logaddexp"),
        ("float_power", "powr"), ("heaviside", "heaviside"), ("fmod", "fmod"),
    )},
    **{numpy: _binary(name) for numpy, name in (
        ("add", "add"), ("subtract", "sub"), ("multiply", "mul"), ("divide", "div"), ("true_divide", "div"), ("power", "pow"), ("mod", "mod"),
        ("floor_divide", "floordiv"), ("matmul", "matmul"),
    )},
    "square": _square, "reciprocal": _reciprocal,
    **{name: _reducing(name) for name in "sum mean var std prod max min".split()}, "amax": _reducing("max"), "amin": _reducing("min"),
    **{name: _whole(getattr(np, name)) for name in (
        "argmax argmin argsort nonzero isnan isinf isfinite isclose allclose any all equal not_equal less less_equal greater greater_equal "
        "logical_and logical_or logical_not unique ndim size shape array_equal count_nonzero unravel_index indices meshgrid searchsorted "
        "triu_indices tril_indices diag_indices ravel_multi_index ix_ flatnonzero"
    ).split()},
    **{name: _moving(getattr(np, name)) for name in (
        "transpose reshape ravel squeeze expand_dims swapaxes moveaxis rollaxis roll flip fliplr flipud rot90 broadcast_to repeat tile diag "
        "atleast_1d atleast_2d diagonal tril triu ascontiguousarray take"
    ).split()},
    "copy": _array, "array": _array, "asarray": _asarray, "asanyarray": _asarray, "float64": _asarray, "float32": _asarray,
    "concatenate": _joining(np.concatenate), "stack": _joining(np.stack), "vstack": _joining(np.vstack), "hstack": _joining(np.hstack),
    "column_stack": _joining(np.column_stack),
    "dot": _contraction(nb.dot), "outer": _contraction(_outer), "inner": _contraction(nb.dot), "vdot": _contraction(nb.dot),
    "einsum": _einsum, "tensordot": _tensordot, "linalg.norm": _norm, "linalg.inv": _inverse, "trace": _trace, "bincount": _bincount, "linalg.solve": _solve,
    "where": _where, "clip": _clip, "pad": _pad, "cumsum": _cumsum, "sort": _sort,
    "zeros": _filled(0.0), "ones": _filled(1.0), "empty": _filled(0.0), "full": _filled(None),
    "zeros_like": _filled_like(0.0), "ones_like": _filled_like(1.0), "empty_like": _filled_like(0.0), "full_like": _filled_like(None),
    "arange": _arange, "linspace": _linspace, "eye": _eye, "identity": _eye,
    **{f"random.{name}": _random(name) for name in "randn rand random standard_normal randint uniform normal".split()},
    "random.seed": _nothing, "random.choice": _choice, "set_printoptions": _nothing, "random.random_sample": _random("random"), "seterr": _nothing,
    "add.at": _accumulate_at(1.0), "subtract.at": _accumulate_at(-1.0),
}  # fmt: skip

CONSTANTS: Final[dict[str, Value]] = {
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "nan": math.nan,
    "tau": math.tau,
    "newaxis": None,
    "Inf": math.inf,
    "NaN": math.nan,
}


# Python's own ----------------------------------------------------------------------------------------------------------


def length(value: Value) -> int:
    """Return `len(value)`."""
    if isinstance(value, Tracked | np.ndarray):
        if not value.shape:
            raise CannotReadError("the length of a number")
        return value.shape[0]
    if isinstance(value, str | tuple | list | dict | range | set):
        return len(value)
    raise CannotReadError(f"the length of {nb.describe(value)}")


def elements(machine: Machine, value: Value) -> list[Value]:
    """Return what a loop over `value` yields."""
    if isinstance(value, Tracked):
        if not value.shape:
            raise CannotReadError("a loop over a number")
        return [moved(value, operator.itemgetter(k)) for k in range(value.shape[0])]
    if isinstance(value, np.ndarray):
        return [each if isinstance(each, np.ndarray) else each.item() for each in value]
    if isinstance(value, range | tuple | list | str | dict | set):
        if len(value) > MAX_LENGTH:
            raise CannotReadError("a loop this long")
        return list(value)
    if isinstance(value, float | int | bool):
        raise CannotReadError("a loop over a number", scalar=True)
    raise CannotReadError(f"a loop over {nb.describe(value)}")


def _range(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    try:
        result = range(*(as_int(each) for each in args))
    except (TypeError, ValueError) as fault:
        raise nb.failed(fault) from fault
    return result


def _sum(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    result: Value = args[1] if len(args) > 1 else 0
    for each in elements(machine, args[0]):
        result = arithmetic(machine, "add", result, each)
    return result


def _extreme(name: str) -> Function:
    def call(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
        items = elements(machine, args[0]) if len(args) == 1 else list(args)
        if kwargs or not items:
            raise CannotReadError(f"`{name}` with a key or of nothing")
        if all(isinstance(each, int | float) for each in items):
            return max(items) if name == "max" else min(items)
        result = items[0]
        for each in items[1:]:
            result = apply(machine.ledger, name, result, each)
        return result

    return call


def _abs(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return apply(machine.ledger, "abs", args[0]) if is_float(args[0]) else abs(plain(args[0]))


def _zip(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return list(zip(*(elements(machine, each) for each in args), strict=False))


def _enumerate(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return list(enumerate(elements(machine, args[0]), as_int(args[1]) if len(args) > 1 else 0))


def _reversed(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    if isinstance(args[0], range):
        return args[0][::-1]
    return elements(machine, args[0])[::-1]


def _list(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return elements(machine, args[0]) if args else []


def _tuple(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return tuple(_list(machine, args, kwargs))


def _set(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    try:
        return set(_list(machine, args, kwargs))
    except TypeError as fault:
        raise CannotReadError("a set of arrays") from fault


def _dict(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    result: dict[Any, Value] = {}
    if args:
        pairs = args[0].items() if isinstance(args[0], dict) else elements(machine, args[0])
        try:
            result.update(dict(pairs))
        except (TypeError, ValueError) as fault:
            raise CannotReadError("this dictionary") from fault
    return {**result, **kwargs}


def _int(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    value = plain(args[0]) if args else 0
    try:
        return int(value) if not isinstance(value, str) else 0
    except (TypeError, ValueError, OverflowError) as fault:
        raise CannotReadError("this integer") from fault


def _float(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    value = args[0] if args else 0.0
    if isinstance(value, Tracked):
        return moved(value, np.squeeze) if value.v.size == 1 else value
    return float(plain(value)) if nb.is_number(value) else math.inf if value == "inf" else math.nan


def _map(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return [machine.call(args[0], row, {}) for row in zip(*(elements(machine, each) for each in args[1:]), strict=False)]


def _sorted(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    items = elements(machine, args[0])
    if kwargs or any(isinstance(each, Tracked | np.ndarray) for each in items):
        raise CannotReadError("this sorting")
    try:
        return sorted(items)
    except TypeError as fault:
        raise CannotReadError("this sorting") from fault


def _isinstance(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    value = args[0]
    kinds = args[1] if isinstance(args[1], tuple) else (args[1],)
    names = {str(getattr(kind, "path", kind)).rpartition(".")[2] for kind in kinds}
    arrays = isinstance(value, Tracked | np.ndarray) and bool(value.shape)
    truth = {
        "ndarray": arrays, "int": isinstance(value, int), "float": isinstance(value, float) or (isinstance(value, Tracked) and not arrays),
        "list": isinstance(value, list), "tuple": isinstance(value, tuple), "dict": isinstance(value, dict), "str": isinstance(value, str),
        "bool": isinstance(value, bool),
    }  # fmt: skip
    return any(truth.get(name, False) for name in names)


def _any(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return any(truth(each) for each in elements(machine, args[0]))


def _all(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return all(truth(each) for each in elements(machine, args[0]))


def truth(value: Value) -> bool:
    """Return `bool(value)`."""
    number = plain(value)
    if isinstance(number, np.ndarray) and number.size != 1:
        raise CannotReadError("the truth of an array")
    if isinstance(number, np.ndarray | np.generic | int | float | str | tuple | list | dict | set | range) or number is None:
        return bool(number)
    return True


def _len(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return length(args[0])


def _bool(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return truth(args[0])


def _text(machine: Machine, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    return str(args[0]) if args and isinstance(args[0], int | str) else ""


PYTHON: Final[dict[str, Function]] = {
    "range": _range, "len": _len, "sum": _sum, "max": _extreme("max"), "min": _extreme("min"), "abs": _abs,
    "zip": _zip, "enumerate": _enumerate, "reversed": _reversed, "list": _list, "tuple": _tuple, "set": _set, "dict": _dict, "int": _int,
    "float": _float, "map": _map, "sorted": _sorted, "isinstance": _isinstance, "any": _any, "all": _all,
    "pow": _binary("pow"), "bool": _bool,
    "print": _nothing, "str": _text, "repr": _text, "format": _text,
    "round": _elementwise("round"), "xrange": _range, "super": _nothing, "object": _nothing, "type": _nothing, "id": _nothing,
}  # fmt: skip


# Methods of values -----------------------------------------------------------------------------------------------------


def attribute(value: Value, name: str) -> Value:
    """Return an attribute of an array that is no method, or raise KeyError."""
    array = plain(value)
    shape = np.shape(array)
    if name == "shape":
        return tuple(int(n) for n in shape)
    if name == "ndim":
        return len(shape)
    if name == "size":
        return int(np.size(array))
    if name == "T":
        return moved(value, np.transpose) if isinstance(value, Tracked) else np.transpose(array)
    if name == "dtype":
        return DType(np.asarray(array).dtype.kind)
    raise KeyError(name)


class DType:
    """The dtype of an array."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.path = {"f": "float64", "b": "bool", "i": "int64", "u": "int64"}.get(kind, "object")


def method(machine: Machine, value: Value, name: str, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    """Call a method of an array."""
    if name in {"sum", "mean", "var", "std", "prod", "max", "min", "argmax", "argmin", "argsort", "clip", "dot", "ravel", "squeeze",
                "swapaxes", "cumsum", "repeat", "any", "all", "nonzero", "round", "diagonal", "take"}:  # fmt: skip
        return NUMPY[name](machine, (value, *args), kwargs)
    if name == "reshape":
        shape = args[0] if len(args) == 1 else tuple(args)
        return NUMPY["reshape"](machine, (value, _static(shape)), {})
    if name == "transpose":
        order = args[0] if len(args) == 1 and isinstance(args[0], tuple | list) else tuple(args) or None
        return NUMPY["transpose"](machine, (value, order), {})
    if name == "flatten":
        return NUMPY["copy"](machine, (NUMPY["ravel"](machine, (value,), {}),), {})
    if name in {"copy", "view"}:
        return NUMPY["copy"](machine, (value,), {}) if name == "copy" else value
    if name == "astype":
        return as_dtype(array_of(machine, value), args[0] if args else kwargs.get("dtype"))
    if name == "fill":
        if isinstance(value, Tracked):
            nb.write(value, ..., args[0])
            return None
    elif name == "item":
        return moved(value, np.squeeze) if isinstance(value, Tracked) else np.asarray(value).item()
    elif name == "tolist":
        return [method(machine, each, name, (), {}) if is_array(each) else each for each in elements(machine, value)]
    raise CannotReadError(f"`.{name}` of an array")


def method_of_container(machine: Machine, value: Any, name: str, args: Sequence[Value], kwargs: Mapping[str, Value]) -> Value:
    """Call a method of a list, tuple, dictionary or string."""
    if isinstance(value, str):
        if name in {"lower", "upper", "strip"}:
            return getattr(value, name)()
        if name in {"startswith", "endswith"} and args and isinstance(args[0], str):
            return getattr(value, name)(args[0])
        return ""
    if isinstance(value, list) and len(value) < MAX_LENGTH:
        if name == "append":
            value.append(args[0])
            return None
        if name == "insert":
            value.insert(as_int(args[0]), args[1])
            return None
        if name == "extend":
            value.extend(elements(machine, args[0]))
            return None
        if name == "pop" and value:
            return value.pop(*(as_int(each) for each in args))
        if name == "reverse":
            value.reverse()
            return None
        if name == "copy":
            return list(value)
        if name == "index" and args[0] in value:
            return value.index(args[0])
    if isinstance(value, dict):
        if name in {"items", "keys", "values"}:
            return list(getattr(value, name)())
        if name in {"get", "setdefault", "pop"} and args:
            default = args[1] if len(args) > 1 else None
            if name == "setdefault":
                return value.setdefault(args[0], default)
            return value.get(args[0], default) if name == "get" else value.pop(args[0], default)
        if name == "update":
            value.update(args[0] if args and isinstance(args[0], dict) else {}, **kwargs)
            return None
        if name == "copy":
            return dict(value)
    if isinstance(value, set) and name == "add":
        value.add(args[0])
        return None
    raise CannotReadError(f"`.{name}` of {nb.describe(value)}")
