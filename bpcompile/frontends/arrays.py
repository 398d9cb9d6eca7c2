"""
Arrays in forward code: NumPy's functions, methods, indices and writes, said in primitives of the table.

Everything here has NumPy's meaning: broadcasting, views and copies, which integers are positions. Values never change in a
program, so a write into a part of an array makes a new value that takes the old one's place; where another name could see the
change, and that name would go on with the old value, the write is refused (`Facts` knows who shares memory with whom).

An index is a tuple of positions, `("slice", start, stop, step)`, None and arrays of positions, as it stands in brackets.
"""

from __future__ import annotations

import ast
import math
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bpcompile import contraction, dims
from bpcompile.frontends import static_values
from bpcompile.frontends.values import (
    MAX_ELEMENTS,
    Function,
    Input,
    Known,
    ListValue,
    Module,
    OneShot,
    Partial,
    Poison,
    Poisoned,
    Refusal,
    Restart,
    Scope,
    Size,
    SizeRange,
    Value,
    describe,
)
from bpcompile.ir import Dim, Lit, Shape, Var, show_shape
from bpcompile.ops.array import index_shape

if TYPE_CHECKING:
    from bpcompile.frontends.evaluation import Evaluator

Operand = Var | int | float
Part = Any

_NUMBERS: Final = frozenset({int, float, bool})
#: Functions of arrays that take numbers as well.
_TAKES_NUMBERS: Final = frozenset({"np.dot", "np.full", "np.full_like", "np.linspace", "np.append"})
ALL: Final = ("slice", None, None, None)

#: Operations that make whole numbers of whole numbers.
_INTEGRAL: Final = frozenset(
    "add sub mul neg abs max min mod clip sign select copy sum prod cumsum cumprod amax amin "
    "getitem setitem embed gather reshape transpose broadcast_to concatenate stack pad windows full diagonal tril triu".split()
)


# What is known of arrays ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Written:
    """
    The parts of an array that were written one by one: `out[:, t] = ...`.

    Attributes:
        base: The array before.
        axes: The axes of which a position was given; all of the others were taken whole.
        sizes: The sizes of these axes.
        values: What was written, by positions.
        whole: The array put together, when every part was written.
    """

    base: Var
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    values: dict[tuple[int, ...], Operand]
    whole: Var | None = None


@dataclass(slots=True)
class Facts:
    """
    What is known of the values of one reading beside their shapes.

    Attributes:
        active: There are arrays at all.
        constants: Values that depend on no input.
        integral: Values that are whole numbers at run time, though not of dtype int in the program.
        root: For an array that may share memory with another value, the value that this memory was first.
        region: For a view of a whole array, which part of it.
        frozen: Views that NumPy does not let anybody write to.
        written: For an array written to part by part, these parts.
        drawn: Random arrays, with the range of whole ones.
    """

    active: bool = False
    constants: set[Var] = field(default_factory=set)
    integral: set[Var] = field(default_factory=set)
    root: dict[Var, Var] = field(default_factory=dict)
    region: dict[Var, tuple[Part, ...]] = field(default_factory=dict)
    frozen: set[Var] = field(default_factory=set)
    written: dict[Var, _Written] = field(default_factory=dict)
    drawn: dict[Var, tuple[int, int] | None] = field(default_factory=dict)

    def track(self, primitive: str, operands: Iterable[Any], out: Var) -> None:
        """Note what a new value is, from what it is computed from."""
        self.active = True
        if all(o in self.constants for o in operands if isinstance(o, Var)):
            self.constants.add(out)
        if primitive in _INTEGRAL and all(map(self.is_integral, operands)):
            self.integral.add(out)

    def is_integral(self, value: Any) -> bool:
        """Say whether a value is a whole number, or an array of whole numbers."""
        if isinstance(value, Var):
            return value.dtype != "float" or value in self.integral
        return isinstance(value, int)

    def find(self, var: Var) -> Var:
        """Return the value that stands for the memory of an array."""
        while var in self.root:
            var = self.root[var]
        return var

    def share(self, view: Var, base: Var, region: tuple[Part, ...] | None = None) -> None:
        """Note that `view` shows the memory of `base`; `region` says which part, where `base` is all of it."""
        self.root[view] = self.find(base)
        if base in self.frozen:
            self.frozen.add(view)
        if region is not None and self.is_whole(base):
            self.region[view] = region

    def is_whole(self, var: Var) -> bool:
        """Say whether an array is all of its memory, in its order."""
        return var not in self.root or self.region.get(var) == ()

    def overwrite(self, new: Var, old: Var) -> None:
        """Note that `new` is what the memory of `old` holds after a write."""
        whole = self.is_whole(old)
        self.root[new] = self.find(old)
        if whole:
            self.region[new] = ()

    def either(self, new: Var, cases: Iterable[Any]) -> None:
        """Note that `new` is one of several values as it is, so that it shares memory with one of them."""
        for case in cases:
            if isinstance(case, Var) and case.shape:
                if self.find(case) is not self.find(new):
                    self.root[self.find(case)] = self.find(new)
                if case in self.frozen:
                    self.frozen.add(new)
        self.region.pop(new, None)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function on arrays: where it stands, its name for people, its arguments."""

    ev: Evaluator
    node: Any
    name: str
    args: list[Value]
    keywords: dict[str, Value]

    def take(self, signature: str) -> list[Value]:
        """
        Return the arguments in the order of the signature, None for those not given.

        Args:
            signature: Names, those with `?` may be left out: `a axis? keepdims?`.

        Raises:
            Refusal: E109, an argument too many, missing, or one that has no meaning here.
        """
        names = signature.split()
        plain = [name.rstrip("?") for name in names]
        if len(self.args) > len(names):
            raise Refusal("E109", f"`{self.name}` takes {len(names)} argument{'' if len(names) == 1 else 's'} here, not {len(self.args)}", node=self.node)
        values: list[Value] = [*self.args, *[None] * (len(names) - len(self.args))]
        given = set(plain[: len(self.args)])
        for key, value in self.keywords.items():
            if key in plain and key not in given:
                values[plain.index(key)] = value
                given.add(key)
            elif key == "dtype" and value is not None:
                self.check_dtype(value)
            elif value is not None and not (key in {"order", "like"} and value == "C"):
                raise Refusal("E109", f"`{self.name}` takes no argument `{key}` here", node=self.keyword(key))
        for name in names:
            if not name.endswith("?") and name not in given:
                raise Refusal("E109", f"`{self.name}` needs the argument `{name}`", node=self.node)
        return values

    def keyword(self, name: str) -> Any:
        """Return the place of an argument given by name."""
        found = [keyword for keyword in getattr(self.node, "keywords", ()) if keyword.arg == name]
        return found[0] if found else self.node

    def place(self, position: int) -> Any:
        """Return the place of a positional argument."""
        nodes = getattr(self.node, "args", [])
        return nodes[position] if len(nodes) == len(self.args) and position < len(nodes) else self.node

    def check_dtype(self, value: Value) -> None:
        """Refuse a dtype other than float64: the arrays of a program are that, or positions."""
        kind = dtype_of(value)
        if kind != "float":
            raise Refusal(
                "E109",
                f"`{self.name}` with a dtype other than float64 is not supported",
                node=self.keyword("dtype"),
                help_="leave it out: arrays are float64, index arrays are int",
            )

    def array(self, value: Value, position: int = 0) -> Any:
        """
        Return an argument as a number or a variable; lists become arrays, conditions 0 and 1.

        Raises:
            Refusal: E111, it is an input of unknown shape.
        """
        found = operand(self.ev, value, self.place(position))
        if self.name not in _TAKES_NUMBERS and isinstance(found, Var) and not found.shape:
            check_shape_known(self.ev, found, f"`{self.name}`", self.node)
        return found

    def emit(self, primitive: str, *operands: Any, **params: Any) -> Any:
        """Append an equation."""
        return self.ev.emit(primitive, operands, self.node, **params)


def dtype_of(value: Value) -> str:
    """Return what a dtype is: `float`, `float32`, `int`, `bool` or `other`."""
    name = value.name if isinstance(value, Known) else value if isinstance(value, str) else ""
    name = name.rpartition(".")[2]
    if name in {"float", "float64", "double", "float_", "d", "f8"}:
        return "float"
    if name in {"float32", "float16", "single", "half", "f", "f4"}:
        return "float32"
    if name in {"int", "int64", "int32", "intp", "int_", "int16", "int8", "uint8", "i", "i8"}:
        return "int"
    return "bool" if name in {"bool", "bool_"} else "other"


# Values as arrays -------------------------------------------------------------------------------------------------------


def is_array(value: Value) -> bool:
    """Say whether a value is an array with axes."""
    return isinstance(value, Var | Input) and bool(value.shape)


def shape_of(value: Any) -> Shape:
    """Return the shape of an operand."""
    return value.shape if isinstance(value, Var) else ()


def operand(ev: Evaluator, value: Value, node: Any) -> Any:
    """Return a value as an operand of arithmetic on arrays: lists become arrays, conditions 0 and 1."""
    if isinstance(value, ListValue | tuple | range | SizeRange):
        value = build(ev, value, node)
    if isinstance(value, Input) and value.state == "list":
        value = _of_input(ev, value, node)
    return ev.number(value, node)


def variable(ev: Evaluator, value: Value, node: Any) -> Var:
    """Return a value as an array, conditions as they are; a plain number becomes an array without axes."""
    if isinstance(value, ListValue | tuple | range | SizeRange):
        value = build(ev, value, node)
    if isinstance(value, Input):
        value = _of_input(ev, value, node) if value.state == "list" else value.scalar()
    if isinstance(value, Var):
        return value
    number = ev.number(value, node)
    return number if isinstance(number, Var) else ev.emit("full", (number,), node, shape=())


def _of_input(ev: Evaluator, value: Input, node: Any) -> Any:
    if value.stated:
        raise Restart((value.root,), "arrays")
    return build(ev, ListValue(ev.sequence(value, node)), node)


def shaped(ev: Evaluator, value: Value, node: Any, what: str) -> Var:
    """
    Return an array that must have axes.

    Raises:
        Refusal: E111, it is a number, or an input of unknown shape.
    """
    if isinstance(value, Input) and not value.shape and value.state == "open" and value.example is None:
        raise unknown_shape(value, what, node)
    array = variable(ev, value, node)
    if not array.shape:
        check_shape_known(ev, array, what, node)
        raise Refusal("E111", f"{what} works on arrays, and this is a number", node=node)
    return array


def check_shape_known(ev: Evaluator, value: Var, what: str, node: Any) -> None:
    """
    Check that a value without axes is not an input that nothing is known of.

    Raises:
        Refusal: E111, it is.
    """
    owner = next((one for one in ev.all_inputs() if one.var is value), None)
    if owner is not None and owner.example is None and owner.path == owner.root:
        raise unknown_shape(owner, what, node)


def unknown_shape(value: Input, what: str, node: Any) -> Refusal:
    """Return the refusal of an input that is used as an array and has no shape."""
    help_ = f'`--shape {value.root}=N,D` says it, or an annotation: `{value.root}: "N D"`'
    return Refusal("E111", f"{what} works on arrays, and the shape of `{value.path}` is not known", node=node, help_=help_)


def build(ev: Evaluator, value: Value, node: Any) -> Any:
    """
    Return what `np.array` makes of nested lists.

    Raises:
        Refusal: E108, rows differ in length.
    """
    if isinstance(value, SizeRange):
        return ev.emit("arange", (), node, size=value.size)
    if isinstance(value, range):
        return _whole_numbers(ev, value, node)
    if isinstance(value, OneShot):
        raise Refusal("E116", "a generator is no array", node=node, help_="make it a list: [...]")
    shape, items, truths = _leaves(ev, value, node)
    ev.charge(len(items), node)
    if not items:
        return ev.emit("zeros", (), node, shape=shape)
    if not any(map(shape_of, items)):
        line = ev.emit("stack", items, node, axis=0)
        whole = line if len(shape) == 1 else ev.emit("reshape", (line,), node, shape=shape)
        return ev.emit("ne", (whole, 0), node) if truths else whole
    level = items
    for size in reversed(shape):
        level = [ev.emit("stack", level[i : i + size], node, axis=0) for i in range(0, len(level), size)]
    return level[0]


def _leaves(ev: Evaluator, value: Value, node: Any) -> tuple[tuple[int, ...], list[Any], bool]:
    """Return the lengths of nested lists, their elements in order, and whether these are all True or False."""
    shape: list[int] = []
    level: list[Value] = [value]
    while level and all(isinstance(item, list | tuple | range) for item in level):
        lengths = {len(item) for item in level}
        if len(lengths) > 1:
            raise Refusal("E108", f"the rows of this array differ in length: {' and '.join(map(str, sorted(lengths)))}", node=node)
        shape.append(len(level[0]))
        level = [part for item in level for part in item]
        ev.charge(len(level), node)
        if len(level) > MAX_ELEMENTS:
            raise Refusal("E107", f"an array of more than {MAX_ELEMENTS:,} elements is written out", node=node)
    items = [operand(ev, item, node) if not isinstance(item, list | tuple | range) else item for item in level]
    shapes = {shape_of(item): item for item in items if not isinstance(item, list | tuple | range)}
    if len(shapes) > 1 or any(isinstance(item, list | tuple | range) for item in items):
        found = " and ".join(map(show_shape, shapes))
        raise Refusal("E112", f"the elements of this array differ in shape: {found or 'numbers and lists'}", node=node)
    return tuple(shape), items, bool(level) and all(isinstance(item, bool) for item in level)


def _whole_numbers(ev: Evaluator, numbers: range, node: Any) -> Any:
    count = ev.emit("arange", (), node, size=len(numbers))
    if numbers.step != 1:
        count = ev.emit("mul", (count, numbers.step), node)
    return ev.emit("add", (count, numbers.start), node) if numbers.start else count


def rows(ev: Evaluator, array: Var, node: Any) -> Sequence[Value]:
    """
    Return the elements of an array along its first axis.

    Raises:
        Refusal: E106, their number is not known while reading.
    """
    size = array.shape[0]
    if not isinstance(size, int):
        ev.static_int(Size(size), node, "the number of rounds")
        raise AssertionError(size)
    ev.charge(size, node)
    return [get(ev, array, (i,), node) for i in range(size)]


def length(ev: Evaluator, value: Value, node: Any) -> Value:
    """Return `len(x)` of an array."""
    return Size.of(variable(ev, value, node).shape[0])


# Sizes ------------------------------------------------------------------------------------------------------------------


def size_arithmetic(op: ast.operator, a: Any, b: Any) -> Value | None:
    """Return `a op b` of sizes and whole numbers where that is a size; None where it is not."""
    if not all(isinstance(one, Size) or type(one) is int for one in (a, b)):
        return None
    x, y = (one.dim if isinstance(one, Size) else one for one in (a, b))
    if isinstance(op, ast.Add):
        return Size.of(dims.add(x, y))
    if isinstance(op, ast.Sub):
        return Size.of(dims.subtract(x, y))
    if isinstance(op, ast.Mult):
        return Size.of(dims.multiply(x, y))
    if isinstance(op, ast.FloorDiv) and y != 0:
        return Size.of(dims.divide(x, y))
    if isinstance(op, ast.Pow) and isinstance(y, int) and 0 <= y <= 8:
        return Size.of(dims.product([x] * y))
    return None  # a quotient of sizes is a float, never a size


def size_comparison(op: ast.cmpop, a: Any, b: Any) -> bool | None:
    """Return a comparison of sizes where their names decide it; None where only run time does."""
    if not all(isinstance(one, Size) or type(one) is int for one in (a, b)):
        return None
    x, y = (one.dim if isinstance(one, Size) else one for one in (a, b))
    gap = dims.subtract(x, y)
    if isinstance(gap, int):
        return static_values.compare(op, gap, 0)
    sign = None if isinstance(gap, str) else gap
    positive = isinstance(gap, str) or bool(sign is not None and sign.is_positive)
    negative = bool(sign is not None and sign.is_negative)
    if not (positive or negative):
        return None
    return static_values.compare(op, 1 if positive else -1, 0)


def shape_argument(ev: Evaluator, value: Value, node: Any) -> Shape:
    """Return a shape given as a number or as a tuple of sizes."""
    if isinstance(value, list | tuple):
        return tuple(ev.size(item, node, "a size") for item in value)
    return (ev.size(value, node, "a size"),)


def _axis(ev: Evaluator, value: Value, rank: int, node: Any) -> int:
    axis = ev.static_int(value, node, "an axis")
    if not -rank <= axis < rank:
        raise Refusal("E108", f"axis {axis} of an array with {rank} ax{'is' if rank == 1 else 'es'}", node=node)
    return axis % rank


def _axes(ev: Evaluator, value: Value, rank: int, node: Any) -> tuple[int, ...]:
    """Return axes as NumPy's reductions take them: None for all, a number, or several."""
    if value is None:
        return tuple(range(rank))
    if isinstance(value, list | tuple):
        found = tuple(_axis(ev, item, rank, node) for item in value)
        if len(set(found)) < len(found):
            raise Refusal("E108", "an axis is given twice", node=node)
        return tuple(sorted(found))
    return (_axis(ev, value, rank, node),)


def _flag(value: Value, node: Any, what: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool | int):
        raise Refusal("E106", f"`{what}` must be True or False, known while reading", node=node)
    return bool(value)


def _count(ev: Evaluator, shape: Shape, node: Any) -> Any:
    """Return the number of elements as an operand."""
    return ev.number(Size.of(dims.product(shape)), node)


# Attributes and methods -------------------------------------------------------------------------------------------------


def attribute(ev: Evaluator, value: Value, node: ast.Attribute) -> Value:
    """
    Return `x.name` of an array or a number.

    Raises:
        Refusal: E104, there is none; E111, the shape is not known.
    """
    name = node.attr
    if name in ATTRIBUTES:
        if isinstance(value, Input) and not value.shape and value.example is None:
            raise unknown_shape(value, f"`.{name}`", node)
        if isinstance(value, Input) and value.state == "list":
            value = _of_input(ev, value, node)
        array = variable(ev, value, node)
        if not array.shape:
            check_shape_known(ev, array, f"`.{name}`", node)
        return ATTRIBUTES[name](ev, array, node)
    if name in METHODS:
        raise Refusal("E104", f"the method `.{name}` is not called", node=node, help_=f"write `.{name}(...)`")
    raise _no_attribute(value, name, node)


def _no_attribute(value: Value, name: str, node: Any) -> Refusal:
    help_ = {
        "sort": "sorting has no derivative rule",
        "flat": "use `.ravel()`",
        "tolist": "an array can be used as it is",
    }.get(name, "")
    return Refusal("E104", f"`.{name}` of {describe(value)} is not supported", node=node, help_=help_)


def _transposed(ev: Evaluator, array: Var, node: Any) -> Value:
    return permute(ev, array, tuple(reversed(range(len(array.shape)))), node)


def permute(ev: Evaluator, array: Var, perm: tuple[int, ...], node: Any) -> Var:
    """Return an array with its axes in another order: a view."""
    if perm == tuple(range(len(array.shape))):
        return array
    out = ev.emit("transpose", (array,), node, perm=perm)
    ev.facts.share(out, array)
    return out


ATTRIBUTES: Final[dict[str, Callable[[Any, Var, Any], Value]]] = {
    "shape": lambda _ev, array, _node: tuple(map(Size.of, array.shape)),
    "ndim": lambda _ev, array, _node: len(array.shape),
    "size": lambda _ev, array, _node: Size.of(dims.product(array.shape)),
    "T": _transposed,
    "mT": lambda ev, array, node: permute(ev, array, (*range(len(array.shape) - 2), len(array.shape) - 1, len(array.shape) - 2), node),
    "dtype": lambda ev, array, _node: "bool" if array.dtype == "bool" else "int64" if ev.facts.is_integral(array) else "float64",
}


class Method:
    """A method of an array, looked up and about to be called."""

    def __init__(self, owner: Value, name: str, place: ast.expr) -> None:
        self.owner = owner
        self.name = name
        self.place = place

    def apply(self, ev: Evaluator, node: ast.Call, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Return the value of the call."""
        name = self.name
        owner = self.owner
        function = METHODS.get(name)
        if function is None:
            raise _no_attribute(owner, name, node.func)
        if isinstance(owner, Input) and not owner.shape and owner.state == "open" and owner.example is None:
            raise unknown_shape(owner, f"`.{name}`", node.func)
        if name == "fill":
            (value,) = Call(ev, node, ".fill", args, keywords).take("value")
            array = variable(ev, owner, node)
            replace(ev, self.place, array, lambda old: _filled(ev, old, operand(ev, value, node), node), (), node)
            return None
        array = variable(ev, owner, node)
        return function(Call(ev, node, f".{name}", [array, *args], keywords))


# Reductions -------------------------------------------------------------------------------------------------------------


def reduce(ev: Evaluator, primitive: str, x: Any, axis: tuple[int, ...], node: Any, *, keepdims: bool = False) -> Any:
    """Return a reduction over axes; over none of them it is the array itself."""
    if not axis:
        return x
    if primitive in {"amax", "amin"} and any(shape_of(x)[i] == 0 for i in axis):
        raise Refusal("E110", "the largest of no elements", node=node)
    return ev.emit(primitive, (x,), node, axis=axis, keepdims=keepdims)


def _reduction(primitive: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        a, axis, keepdims = c.take("a axis? keepdims?")
        x = c.array(a)
        rank = len(shape_of(x))
        return reduce(c.ev, primitive, x, _axes(c.ev, axis, rank, c.node), c.node, keepdims=_flag(keepdims, c.node, "keepdims"))

    return apply


def _spread_of(c: Call, a: Value, axis: Value, ddof: Value) -> tuple[Any, tuple[int, ...], int]:
    """Return the array, the axes and `ddof` of a variance."""
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    if not axes:
        raise Refusal("E111", f"`{c.name}` works on arrays, and this is a number", node=c.node)
    less = 0 if ddof is None else c.ev.static_int(ddof, c.node, "`ddof`")
    count = dims.subtract(dims.product(x.shape[i] for i in axes), less)
    if less and isinstance(count, int) and count <= 0:
        raise Refusal("E110", f"`{c.name}` with ddof={less} of {count + less} element{'' if count + less == 1 else 's'}", node=c.node)
    return x, axes, less


def _variance(c: Call) -> Any:
    a, axis, ddof, keepdims = c.take("a axis? ddof? keepdims?")
    x, axes, less = _spread_of(c, a, axis, ddof)
    deviation = c.emit("sub", x, reduce(c.ev, "mean", x, axes, c.node, keepdims=True))
    square = c.emit("mul", deviation, deviation)
    keep = _flag(keepdims, c.node, "keepdims")
    if less == 0:
        return reduce(c.ev, "mean", square, axes, c.node, keepdims=keep)
    count = dims.subtract(dims.product(x.shape[i] for i in axes), less)
    return c.emit("div", reduce(c.ev, "sum", square, axes, c.node, keepdims=keep), c.ev.number(Size.of(count), c.node))


def _deviation(c: Call) -> Any:
    a, axis, ddof, keepdims = c.take("a axis? ddof? keepdims?")
    x, axes, less = _spread_of(c, a, axis, ddof)
    return c.emit("std", x, axis=tuple(sorted(axes)), keepdims=_flag(keepdims, c.node, "keepdims"), ddof=less)


def _norm(c: Call) -> Any:
    a, order, axis, keepdims = c.take("x ord? axis? keepdims?")
    x = c.array(a)
    rank = len(shape_of(x))
    axes = _axes(c.ev, axis, rank, c.node)
    keep = _flag(keepdims, c.node, "keepdims")
    # Without axis and order the norm of all elements, whatever the number of axes.
    vector = len(axes) == 1 or (axis is None and order is None)
    if order in {None, "fro"} or (order == 2 and vector):
        if order == "fro" and len(axes) != 2:
            raise Refusal("E108", "the Frobenius norm is that of a matrix", node=c.node)
        return c.emit("norm", x, axis=tuple(sorted(axes)), keepdims=keep)
    if vector and order == 1:
        return reduce(c.ev, "sum", c.emit("abs", x), axes, c.node, keepdims=keep)
    if vector and order in {math.inf, -math.inf}:
        return reduce(c.ev, "amax" if order == math.inf else "amin", c.emit("abs", x), axes, c.node, keepdims=keep)
    kind = "of vectors" if vector else "of matrices"
    raise Refusal("E102", f"`{c.name}` {kind} with ord={order!r} has no derivative rule", node=c.node, help_="the orders None, 2, 1, inf and 'fro' have one")


def _running(primitive: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        a, axis = c.take("a axis?")
        x = c.array(a)
        if axis is None:
            x, axis = flat(c.ev, x, c.node), 0
        return c.emit(primitive, x, axis=_axis(c.ev, axis, len(shape_of(x)), c.node))

    return apply


def _position(primitive: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        a, axis = c.take("a axis?")
        x = c.array(a)
        return c.emit(primitive, x, axis=None if axis is None else _axis(c.ev, axis, len(shape_of(x)), c.node))

    return apply


def _average(c: Call) -> Any:
    a, axis, weights = c.take("a axis? weights?")
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    if weights is None:
        return reduce(c.ev, "mean", x, axes, c.node)
    w = operand(c.ev, weights, c.node)
    if shape_of(w) != shape_of(x):
        if len(axes) != 1 or shape_of(w) != (shape_of(x)[axes[0]],):
            raise _mismatch(c.ev, "the weights of an average do not fit", (x, w), c.node)
        w = c.emit("reshape", w, shape=tuple(size if i == axes[0] else 1 for i, size in enumerate(shape_of(x))))
        total = reduce(c.ev, "sum", w, axes, c.node, keepdims=False)
        total = c.emit("reshape", total, shape=()) if shape_of(total) else total
    else:
        total = reduce(c.ev, "sum", w, axes, c.node)
    return c.emit("div", reduce(c.ev, "sum", c.emit("mul", x, w), axes, c.node), total)


def _range_of(c: Call) -> Any:
    a, axis = c.take("a axis?")
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    return c.emit("sub", reduce(c.ev, "amax", x, axes, c.node), reduce(c.ev, "amin", x, axes, c.node))


def _logsumexp(c: Call) -> Any:
    a, axis, keepdims = c.take("a axis? keepdims?")
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    total, peak = _shifted(c, x, axes)
    result = c.emit("add", c.emit("log", reduce(c.ev, "sum", total, axes, c.node, keepdims=True)), peak)
    if _flag(keepdims, c.node, "keepdims") or not axes:
        return result
    return c.emit("reshape", result, shape=tuple(size for i, size in enumerate(result.shape) if i not in axes))


def _shifted(c: Call, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Return exp(x - max) and the largest element: nothing overflows."""
    peak = reduce(c.ev, "amax", x, axes, c.node, keepdims=True)
    return c.emit("exp", c.emit("sub", x, peak)), peak


def _softmax(c: Call) -> Any:
    a, axis = c.take("x axis?")
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    weights, _ = _shifted(c, x, axes)
    return c.emit("div", weights, reduce(c.ev, "sum", weights, axes, c.node, keepdims=True))


def _log_softmax(c: Call) -> Any:
    a, axis = c.take("x axis?")
    x = c.array(a)
    axes = _axes(c.ev, axis, len(shape_of(x)), c.node)
    weights, peak = _shifted(c, x, axes)
    return c.emit("sub", c.emit("sub", x, peak), c.emit("log", reduce(c.ev, "sum", weights, axes, c.node, keepdims=True)))


# Products ---------------------------------------------------------------------------------------------------------------


def where_from(ev: Evaluator, value: Any) -> str:
    """Return what an operand is and where it comes from: "`W` has shape (5, 2) (line 3)"."""
    name = f"`{value.name}`" if isinstance(value, Var) and value.name else "the other" if isinstance(value, Var) else f"{value!r}"
    line = ev.line_of(value) if isinstance(value, Var) else None
    return f"{name} has shape {show_shape(shape_of(value))}" + (f" (line {line})" if line else "")


def _mismatch(ev: Evaluator, message: str, operands: Sequence[Any], node: Any, help_: str = "") -> Refusal:
    places = " and ".join(where_from(ev, one) for one in operands)
    return Refusal("E112", f"{message}: {places}", node=node, help_=help_)


def contract(ev: Evaluator, operands: Sequence[Any], inputs: Sequence[str], output: str, node: Any) -> Any:
    """Emit a contraction, and note what is known of the values on the way."""
    builder = ev.builder
    builder.span = ev.spans.of(node)
    start = len(builder.eqns)
    try:
        with builder:
            result = contraction.contract(operands, inputs, output)
    except ValueError as fault:
        raise _mismatch(ev, str(fault), operands, node) from fault
    for eqn in builder.eqns[start:]:
        ev.facts.track(eqn.prim.name, [a.value if isinstance(a, Lit) else a for a in eqn.args], eqn.out)
    return result


def matmul(ev: Evaluator, a: Any, b: Any, node: Any, sign: str = "@") -> Any:
    """
    Return `a @ b`.

    Raises:
        Refusal: E112, the shapes do not fit.
    """
    left, right = shape_of(a), shape_of(b)
    for side in (a, b):
        if not shape_of(side):
            if isinstance(side, Var):
                check_shape_known(ev, side, f"`{sign}`", node)
            raise Refusal("E111", f"`{sign}` multiplies arrays along axes, and one side is a number", node=node, help_="write `*` for a product of numbers")
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] != inner:
        swapped = len(left) == len(right) == 2 and left[-1] == right[-1]
        help_ = "transpose the right one: `.T`" if swapped else ""
        ev.reconsider(left[-1], inner)
        raise _mismatch(ev, f"shapes {show_shape(left)} and {show_shape(right)} can't be multiplied with `{sign}`", (a, b), node, help_)
    stack = max(len(left), len(right), 2) - 2
    letters = string.ascii_letters[3 : 3 + stack]
    rows_, columns = ("" if len(left) == 1 else "a"), ("" if len(right) == 1 else "c")
    lead = [letters[stack - max(0, len(shape) - 2) :] for shape in (left, right)]
    return contract(ev, (a, b), (f"{lead[0]}{rows_}b", f"{lead[1]}b{columns}"), f"{letters}{rows_}{columns}", node)


def _matmul(c: Call) -> Any:
    a, b = c.take("a b")
    return matmul(c.ev, c.array(a), c.array(b, 1), c.node, c.name)


def _dot(c: Call) -> Any:
    a, b = (c.array(value, i) for i, value in enumerate(c.take("a b")))
    left, right = len(shape_of(a)), len(shape_of(b))
    if not left or not right:
        return c.emit("mul", a, b) if isinstance(a, Var) or isinstance(b, Var) else a * b
    if right > 2 or (left > 2 and right > 1):
        raise Refusal(
            "E111",
            f"`{c.name}` of arrays with {left} and {right} axes",
            node=c.node,
            help_="`np.einsum` says which axes meet; `@` multiplies stacks of matrices",
        )
    return matmul(c.ev, a, b, c.node, c.name)


def _outer(c: Call) -> Any:
    a, b = (flat(c.ev, c.array(value, i), c.node) for i, value in enumerate(c.take("a b")))
    return contract(c.ev, (a, b), ("i", "j"), "ij", c.node)


def _inner(c: Call) -> Any:
    a, b = (c.array(value, i) for i, value in enumerate(c.take("a b")))
    left, right = shape_of(a), shape_of(b)
    if not left or not right:
        return c.emit("mul", a, b)
    if left[-1] != right[-1]:
        raise _mismatch(c.ev, f"`{c.name}` of arrays with different last axes", (a, b), c.node)
    first = string.ascii_letters[1 : len(left)]
    second = string.ascii_letters[len(left) : len(left) + len(right) - 1]
    return contract(c.ev, (a, b), (f"{first}a", f"{second}a"), first + second, c.node)


def _vdot(c: Call) -> Any:
    a, b = (flat(c.ev, c.array(value, i), c.node) for i, value in enumerate(c.take("a b")))
    if a.shape != b.shape:
        raise _mismatch(c.ev, f"`{c.name}` of arrays of different sizes", (a, b), c.node)
    return contract(c.ev, (a, b), ("a", "a"), "", c.node)


def _einsum(c: Call) -> Any:
    if not c.args or not isinstance(c.args[0], str):
        raise Refusal("E104", f"`{c.name}` without a string of indices is not supported", node=c.node, help_='write np.einsum("ij,jk->ik", a, b)')
    c = Call(c.ev, c.node, c.name, c.args, {k: v for k, v in c.keywords.items() if k != "optimize"})
    if c.keywords:
        c.take("subscripts " + " ".join(f"operand{i}" for i in range(len(c.args) - 1)))
    operands = [c.array(value, i + 1) for i, value in enumerate(c.args[1:])]
    text = c.args[0].replace(" ", "")
    inputs, arrow, output = text.partition("->")
    groups = inputs.split(",")
    if "." in text:
        groups, output = _without_dots(c, groups, output if arrow else None, operands)
        arrow = "->"
    if not all(letter in string.ascii_letters for letter in "".join(groups) + output):
        raise Refusal("E109", f"`{c.args[0]}` is no string of indices", node=c.place(0))
    if not arrow:
        joined = "".join(groups)
        output = "".join(letter for letter in sorted(set(joined)) if joined.count(letter) == 1)
    if len(groups) != len(operands):
        raise Refusal("E109", f"`{c.args[0]}` has {len(groups)} groups of indices for {len(operands)} arrays", node=c.node)
    result = contract(c.ev, operands, groups, output, c.node)
    if len(operands) == 1 and isinstance(result, Var) and result is not operands[0] and c.ev.primitive_of(result) in {"transpose", "diagonal", "getitem"}:
        c.ev.facts.share(result, operands[0])
    return result


def _without_dots(c: Call, groups: list[str], output: str | None, operands: list[Any]) -> tuple[list[str], str]:
    """Write out `...`: one letter an axis, the same from the right."""
    used = set("".join(groups) + (output or ""))
    free = [letter for letter in string.ascii_letters if letter not in used]
    counts = []
    for group, one in zip(groups, operands, strict=False):
        plain = group.replace("...", "")
        if "." in plain:
            raise Refusal("E109", f"`{c.args[0]}` is no string of indices", node=c.place(0))
        counts.append(len(shape_of(one)) - len(plain) if "..." in group else 0)
    if any(count < 0 for count in counts):
        raise Refusal("E112", f"`{c.args[0]}` has more indices than an array has axes", node=c.node)
    widest = max(counts, default=0)
    dots = "".join(free[:widest])
    full = [group.replace("...", dots[widest - count :]) for group, count in zip(groups, counts, strict=False)]
    if output is None:
        joined = "".join(group.replace("...", "") for group in groups)
        output = "..." + "".join(letter for letter in sorted(set(joined)) if joined.count(letter) == 1)
    return [*full, *groups[len(full) :]], output.replace("...", dots)


def _tensordot(c: Call) -> Any:
    a, b, axes = c.take("a b axes?")
    x, y = c.array(a), c.array(b, 1)
    left, right = len(shape_of(x)), len(shape_of(y))
    if isinstance(axes, list | tuple) and len(axes) == 2:
        pair = [_ordered_axes(c.ev, one, rank, c.node) for one, rank in zip(axes, (left, right), strict=True)]
    else:
        count = 2 if axes is None else c.ev.static_int(axes, c.node, "the number of axes")
        if count < 0 or count > min(left, right):
            raise Refusal("E108", f"`{c.name}` over {count} axes of arrays with {left} and {right}", node=c.node)
        pair = [tuple(range(left - count, left)), tuple(range(count))]
    if len(pair[0]) != len(pair[1]):
        raise Refusal("E109", f"`{c.name}` pairs {len(pair[0])} axes with {len(pair[1])}", node=c.node)
    first = list(string.ascii_letters[:left])
    second = list(string.ascii_letters[left : left + right])
    for i, j in zip(*pair, strict=True):
        if shape_of(x)[i] != shape_of(y)[j]:
            raise _mismatch(c.ev, f"`{c.name}` pairs axes of sizes {dims.show(shape_of(x)[i])} and {dims.show(shape_of(y)[j])}", (x, y), c.node)
        second[j] = first[i]
    output = [letter for i, letter in enumerate(first) if i not in pair[0]] + [letter for j, letter in enumerate(second) if j not in pair[1]]
    return contract(c.ev, (x, y), ("".join(first), "".join(second)), "".join(output), c.node)


def _ordered_axes(ev: Evaluator, value: Value, rank: int, node: Any) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(_axis(ev, item, rank, node) for item in items)


def _kron(c: Call) -> Any:
    a, b = (c.array(value, i) for i, value in enumerate(c.take("a b")))
    left, right = shape_of(a), shape_of(b)
    if not left or not right:
        return c.emit("mul", a, b)
    rank = max(len(left), len(right))
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    a = c.emit("reshape", a, shape=tuple(size for one in left for size in (one, 1)))
    b = c.emit("reshape", b, shape=tuple(size for one in right for size in (1, one)))
    return c.emit("reshape", c.emit("mul", a, b), shape=tuple(dims.multiply(x, y) for x, y in zip(left, right, strict=True)))


def _cross(c: Call) -> Any:
    a, b = (c.array(value, i) for i, value in enumerate(c.take("a b")))
    if shape_of(a)[-1:] != (3,) or shape_of(b)[-1:] != (3,):
        raise Refusal("E112", f"`{c.name}` works on vectors of 3 components", node=c.node)
    first, second = ([get(c.ev, x, (*_all(len(x.shape) - 1), i), c.node) for i in range(3)] for x in (a, b))
    parts = []
    for i, j in ((1, 2), (2, 0), (0, 1)):
        parts.append(c.emit("sub", c.emit("mul", first[i], second[j]), c.emit("mul", first[j], second[i])))
    return c.emit("stack", *parts, axis=len(parts[0].shape))


def _trace(c: Call) -> Any:
    (a,) = c.take("a")
    x = c.array(a)
    if len(shape_of(x)) != 2:
        raise Refusal("E112", f"`{c.name}` of an array of shape {show_shape(shape_of(x))}", node=c.node, help_="only of matrices")
    return c.emit("trace", x)


def _diagonal(c: Call) -> Any:
    a, offset, axis1, axis2 = c.take("a offset? axis1? axis2?")
    x = shaped(c.ev, a, c.place(0), f"`{c.name}`")
    if offset not in {None, 0}:
        raise Refusal("E109", f"`{c.name}` with an offset is not supported", node=c.node)
    rank = len(x.shape)
    one, other = (_axis(c.ev, v, rank, c.node) for v in (0 if axis1 is None else axis1, 1 if axis2 is None else axis2))
    out = c.emit("diagonal", x, axis1=one, axis2=other)
    c.ev.facts.share(out, x)
    c.ev.facts.frozen.add(out)
    return out


def _diag(c: Call) -> Any:
    v, k = c.take("v k?")
    x = c.array(v)
    if k not in {None, 0}:
        raise Refusal("E109", f"`{c.name}` of another diagonal is not supported", node=c.node)
    return c.emit("diag", x) if len(shape_of(x)) == 1 else _diagonal(Call(c.ev, c.node, c.name, [x], {}))


def _triangle(primitive: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        m, k = c.take("m k?")
        x = c.array(m)
        if len(shape_of(x)) < 2:
            raise Refusal("E112", f"`{c.name}` of an array of shape {show_shape(shape_of(x))}", node=c.node, help_="only of matrices")
        return c.emit(primitive, x, k=0 if k is None else c.ev.static_int(k, c.node, "`k`"))

    return apply


def _tri(c: Call) -> Any:
    n, m, k = c.take("N M? k?")
    first = c.ev.size(n, c.node, "a size")
    second = first if m is None else c.ev.size(m, c.node, "a size")
    return c.emit("tril", c.emit("full", 1.0, shape=(first, second)), k=0 if k is None else c.ev.static_int(k, c.node, "`k`"))


# Linear algebra ---------------------------------------------------------------------------------------------------------


def _matrix(primitive: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        (a,) = c.take("a")
        return c.emit(primitive, _square(c, a))

    return apply


def _square(c: Call, value: Value) -> Var:
    x = operand(c.ev, value, c.place(0))
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        if len(shape) > 1:
            c.ev.reconsider(shape[-1], shape[-2])
        raise _mismatch(c.ev, f"`{c.name}` works on square matrices", (x,), c.node)
    return x  # type: ignore[no-any-return]  # it has a shape


def _slogdet(c: Call) -> Any:
    (a,) = c.take("a")
    x = _square(c, a)
    return (c.emit("sign", c.emit("det", x)), c.emit("logdet", x))


def _solve(c: Call) -> Any:
    a, b = c.take("a b")
    return c.emit("solve", _square(c, a), c.array(b, 1))


def _matrix_power(c: Call) -> Any:
    a, n = c.take("a n")
    return c.emit("matrix_power", _square(c, a), n=c.ev.static_int(n, c.node, "the exponent"))


def _multi_dot(c: Call) -> Any:
    (arrays,) = c.take("arrays")
    items = [operand(c.ev, item, c.node) for item in c.ev.sequence(arrays, c.node)]
    total = items[0]
    for item in items[1:]:
        total = matmul(c.ev, total, item, c.node, c.name)
    return total


# Shapes -----------------------------------------------------------------------------------------------------------------


def flat(ev: Evaluator, x: Any, node: Any) -> Any:
    """Return all elements in one axis: a view where the array is not one."""
    shape = shape_of(x)
    if len(shape) == 1:
        return x
    if not isinstance(x, Var):
        return ev.emit("stack", (x,), node, axis=0)
    return reshape(ev, x, (dims.product(shape),), node)


def reshape(ev: Evaluator, x: Var, shape: Shape, node: Any) -> Var:
    """Return the array in another shape; NumPy's result may share its memory."""
    if x.shape == shape:
        return x
    out = ev.emit("reshape", (x,), node, shape=shape)
    ev.facts.share(out, x)
    return out


def _reshape_to(c: Call, value: Value, wanted: list[Value]) -> Var:
    x = variable(c.ev, value, c.node)
    sizes = [c.ev.size(one, c.node, "a size", negative=True) for one in wanted]
    open_ = [i for i, size in enumerate(sizes) if size == -1]
    if any(isinstance(size, int) and size < -1 for size in sizes) or len(open_) > 1:
        raise Refusal("E108", "a shape has one -1 at most, and no other negative size", node=c.node)
    total = dims.product(x.shape)
    if open_:
        rest = dims.product(size for size in sizes if size != -1)
        if rest == 0:
            raise Refusal("E108", "-1 can't stand for a size beside a size of 0", node=c.node)
        sizes[open_[0]] = dims.divide(total, rest)
    shape = tuple(sizes)
    if dims.product(shape) != total:
        shown = tuple(-1 if i in open_ else size for i, size in enumerate(shape))
        c.ev.reconsider(dims.product(shape), total)
        raise _mismatch(c.ev, f"an array of {dims.show(total)} elements can't be reshaped to {show_shape(shown)}", (x,), c.node)
    return reshape(c.ev, x, shape, c.node)


def _reshape(c: Call) -> Any:
    a, shape = c.take("a shape")
    return _reshape_to(c, a, list(shape) if isinstance(shape, list | tuple) else [shape])


def _reshape_method(c: Call) -> Any:
    sizes = c.args[1:]
    keywords = dict(c.keywords)
    if "shape" in keywords:
        sizes = [keywords.pop("shape")]
    Call(c.ev, c.node, c.name, [], keywords).take("")
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
        sizes = list(sizes[0])
    return _reshape_to(c, c.args[0], list(sizes))


def _ravel(c: Call) -> Any:
    (a,) = c.take("a")
    x = variable(c.ev, a, c.node)
    return flat(c.ev, x, c.node)


def _flatten(c: Call) -> Any:
    (a,) = c.take("a")
    x = variable(c.ev, a, c.node)
    return c.emit("copy", x) if len(x.shape) == 1 else c.emit("reshape", x, shape=(dims.product(x.shape),))


def _transpose_by(c: Call, value: Value, axes: Sequence[Value] | None) -> Var:
    x = variable(c.ev, value, c.node)
    rank = len(x.shape)
    if axes is None:
        return permute(c.ev, x, tuple(reversed(range(rank))), c.node)
    perm = tuple(_axis(c.ev, axis, rank, c.node) for axis in axes)
    if sorted(perm) != list(range(rank)):
        raise Refusal("E108", f"axes {perm} do not fit an array with {rank} axes", node=c.node)
    return permute(c.ev, x, perm, c.node)


def _transpose(c: Call) -> Any:
    a, axes = c.take("a axes?")
    return _transpose_by(c, a, axes)


def _transpose_method(c: Call) -> Any:
    axes = c.args[1:]
    Call(c.ev, c.node, c.name, [], c.keywords).take("")
    if len(axes) == 1 and (isinstance(axes[0], list | tuple) or axes[0] is None):
        return _transpose_by(c, c.args[0], axes[0])
    return _transpose_by(c, c.args[0], axes or None)


def _swapaxes(c: Call) -> Any:
    a, axis1, axis2 = c.take("a axis1 axis2")
    x = variable(c.ev, a, c.node)
    rank = len(x.shape)
    i, j = (_axis(c.ev, axis, rank, c.node) for axis in (axis1, axis2))
    perm = list(range(rank))
    perm[i], perm[j] = j, i
    return permute(c.ev, x, tuple(perm), c.node)


def _moveaxis(c: Call) -> Any:
    a, source, destination = c.take("a source destination")
    x = variable(c.ev, a, c.node)
    rank = len(x.shape)
    sources, targets = (_ordered_axes(c.ev, one, rank, c.node) for one in (source, destination))
    if len(sources) != len(targets) or len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise Refusal("E108", "the axes to move and their places do not agree", node=c.node)
    order = [axis for axis in range(rank) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return permute(c.ev, x, tuple(order), c.node)


def _squeeze(c: Call) -> Any:
    a, axis = c.take("a axis?")
    x = variable(c.ev, a, c.node)
    if axis is None and not all(isinstance(size, int) for size in x.shape):
        # Whether a size that only run time knows is 1 would decide how many axes the result has.
        raise Refusal("E112", f"which axes of shape {show_shape(x.shape)} have size 1 is known at run time only", node=c.node, help_="say which: axis=0")
    axes = tuple(i for i, size in enumerate(x.shape) if size == 1) if axis is None else _axes(c.ev, axis, len(x.shape), c.node)
    for i in axes:
        if x.shape[i] != 1:
            raise Refusal("E112", f"axis {i} of an array of shape {show_shape(x.shape)} is not of size 1", node=c.node)
    return reshape(c.ev, x, tuple(size for i, size in enumerate(x.shape) if i not in axes), c.node)


def _expand_dims(c: Call) -> Any:
    a, axis = c.take("a axis")
    x = variable(c.ev, a, c.node)
    many = list(axis) if isinstance(axis, list | tuple) else [axis]
    rank = len(x.shape) + len(many)
    places = {_axis(c.ev, one, rank, c.node) for one in many}
    if len(places) < len(many):
        raise Refusal("E108", "an axis is given twice", node=c.node)
    return get(c.ev, x, tuple(None if i in places else ALL for i in range(max(places, default=-1) + 1)), c.node)


def _atleast(rank: int) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        (a,) = c.take("a")
        return at_least(c.ev, c.array(a), rank, c.node)

    return apply


def at_least(ev: Evaluator, x: Any, rank: int, node: Any) -> Any:
    """Return an array with at least 1 or 2 axes, new ones in front."""
    have = len(shape_of(x))
    if have >= rank:
        return x
    if not isinstance(x, Var):
        return ev.emit("full", (x,), node, shape=(1,) * rank)
    if not have:
        return ev.emit("reshape", (x,), node, shape=(1,) * rank)
    return get(ev, x, (None,) * (rank - have), node)


def broadcast_to(ev: Evaluator, x: Any, shape: Shape, node: Any) -> Any:
    """Return an array repeated to a shape: a view that can't be written to."""
    if shape_of(x) == shape:
        return x
    if not isinstance(x, Var):
        return ev.emit("full", (x,), node, shape=shape)
    out = ev.emit("broadcast_to", (x,), node, shape=shape)
    ev.facts.share(out, x)
    ev.facts.frozen.add(out)
    return out


def _broadcast_to(c: Call) -> Any:
    a, shape = c.take("a shape")
    return broadcast_to(c.ev, c.array(a), shape_argument(c.ev, shape, c.node), c.node)


def _repeat(c: Call) -> Any:
    a, repeats, axis = c.take("a repeats axis?")
    x = c.array(a)
    if axis is None:
        x, axis = flat(c.ev, x, c.node), 0
    where = _axis(c.ev, axis, len(x.shape), c.node)
    if isinstance(repeats, list | tuple) or is_array(repeats):
        raise Refusal("E109", f"`{c.name}` with a number for each element is not supported", node=c.node)
    count = c.ev.size(repeats, c.node, "the number of repeats")
    wide = c.emit("getitem", x, index=(*_all(where + 1), None))
    wide = c.emit("broadcast_to", wide, shape=(*x.shape[: where + 1], count, *x.shape[where + 1 :]))
    return c.emit("reshape", wide, shape=(*x.shape[:where], dims.multiply(x.shape[where], count), *x.shape[where + 1 :]))


def _tile(c: Call) -> Any:
    a, reps = c.take("a reps")
    x = c.array(a)
    counts = shape_argument(c.ev, reps, c.node)
    rank = max(len(counts), len(shape_of(x)))
    shape = (1,) * (rank - len(shape_of(x))) + shape_of(x)
    counts = (1,) * (rank - len(counts)) + counts
    if not isinstance(x, Var):
        return c.emit("full", x, shape=counts)
    wide = c.emit("reshape", x, shape=tuple(part for size in shape for part in (1, size)))
    wide = c.emit("broadcast_to", wide, shape=tuple(part for pair in zip(counts, shape, strict=True) for part in pair))
    return c.emit("reshape", wide, shape=tuple(dims.multiply(n, size) for n, size in zip(counts, shape, strict=True)))


def _flip(c: Call) -> Any:
    m, axis = c.take("m axis?")
    x = shaped(c.ev, m, c.place(0), f"`{c.name}`")
    axes = _axes(c.ev, axis, len(x.shape), c.node)
    return get(c.ev, x, tuple(("slice", None, None, -1) if i in axes else ALL for i in range(max(axes, default=-1) + 1)), c.node)


def _flip_one(axis: int) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        (m,) = c.take("m")
        return _flip(Call(c.ev, c.node, c.name, [m], {"axis": axis}))

    return apply


def _rot90(c: Call) -> Any:
    m, k = c.take("m k?")
    x = shaped(c.ev, m, c.place(0), f"`{c.name}`")
    turns = (1 if k is None else c.ev.static_int(k, c.node, "`k`")) % 4
    if len(x.shape) < 2:
        raise Refusal("E112", f"`{c.name}` of an array of shape {show_shape(x.shape)}", node=c.node)
    back = ("slice", None, None, -1)
    perm = (1, 0, *range(2, len(x.shape)))
    if turns == 0:
        return x
    if turns == 2:
        return get(c.ev, x, (back, back), c.node)
    if turns == 1:
        return permute(c.ev, get(c.ev, x, (ALL, back), c.node), perm, c.node)
    return get(c.ev, permute(c.ev, x, perm, c.node), (ALL, back), c.node)


def _roll(c: Call) -> Any:
    a, shift, axis = c.take("a shift axis?")
    x = shaped(c.ev, a, c.place(0), f"`{c.name}`")
    if axis is None:
        rolled = _roll(Call(c.ev, c.node, c.name, [flat(c.ev, x, c.node), shift], {"axis": 0}))
        return c.emit("reshape", rolled, shape=x.shape)
    where = _axis(c.ev, axis, len(x.shape), c.node)
    by = c.ev.static_int(shift, c.node, "the shift")
    size = x.shape[where]
    by = by % size if isinstance(size, int) and size else by
    if by == 0 or size == 0:
        return c.emit("copy", x)
    lead = _all(where)
    tail = get(c.ev, x, (*lead, ("slice", -by, None, None)), c.node)
    head = get(c.ev, x, (*lead, ("slice", None, -by, None)), c.node)
    return c.emit("concatenate", tail, head, axis=where)


def _diff(c: Call) -> Any:
    a, n, axis = c.take("a n? axis?")
    x = shaped(c.ev, a, c.place(0), f"`{c.name}`")
    where = _axis(c.ev, -1 if axis is None else axis, len(x.shape), c.node)
    lead = _all(where)
    for _ in range(1 if n is None else c.ev.static_int(n, c.node, "the number of differences")):
        after = get(c.ev, x, (*lead, ("slice", 1, None, None)), c.node)
        before = get(c.ev, x, (*lead, ("slice", None, -1, None)), c.node)
        x = c.emit("sub", after, before)
    return x


# Joining and splitting --------------------------------------------------------------------------------------------------


def _parts(c: Call, value: Value) -> list[Any]:
    if isinstance(value, OneShot):
        raise Refusal("E116", f"`{c.name}` takes a list of arrays, not a generator", node=c.node, help_="write [...]")
    items = [operand(c.ev, item, c.place(0)) for item in c.ev.sequence(value, c.place(0))]
    if not items:
        raise Refusal("E109", f"`{c.name}` of nothing", node=c.node)
    return items


def join(c: Call, items: list[Any], axis: int) -> Any:
    """Return arrays joined along an axis."""
    for item in items:
        if not shape_of(item):
            raise Refusal("E112", f"`{c.name}` joins arrays, and one of these is a number", node=c.node)
    first = items[0]
    for item in items[1:]:
        same = len(shape_of(item)) == len(shape_of(first))
        if not same or any(x != y for i, (x, y) in enumerate(zip(shape_of(item), shape_of(first), strict=True)) if i != axis):
            for x, y in zip(shape_of(item), shape_of(first), strict=False):
                c.ev.reconsider(x, y)
            raise _mismatch(
                c.ev,
                f"arrays of shapes {show_shape(shape_of(first))} and {show_shape(shape_of(item))} can't be joined along axis {axis}",
                (first, item),
                c.node,
            )
    return c.emit("concatenate", *items, axis=axis)


def _concatenate(c: Call) -> Any:
    arrays, axis = c.take("arrays axis?")
    items = _parts(c, arrays)
    if "axis" in c.keywords and c.keywords["axis"] is None:
        return join(c, [flat(c.ev, item, c.node) for item in items], 0)
    rank = len(shape_of(items[0]))
    if not rank:
        raise Refusal("E112", f"`{c.name}` joins arrays, and one of these is a number", node=c.node)
    return join(c, items, _axis(c.ev, 0 if axis is None else axis, rank, c.node))


def stack(c: Call, items: list[Any], axis: int) -> Any:
    """Return arrays of one shape put together along a new axis."""
    for item in items[1:]:
        if shape_of(item) != shape_of(items[0]):
            for x, y in zip(shape_of(item), shape_of(items[0]), strict=False):
                c.ev.reconsider(x, y)
            raise _mismatch(
                c.ev, f"arrays of shapes {show_shape(shape_of(items[0]))} and {show_shape(shape_of(item))} can't be stacked", (items[0], item), c.node
            )
    return c.emit("stack", *items, axis=axis)


def _stack(c: Call) -> Any:
    arrays, axis = c.take("arrays axis?")
    items = _parts(c, arrays)
    rank = len(shape_of(items[0])) + 1
    return stack(c, items, _axis(c.ev, 0 if axis is None else axis, rank, c.node))


def _hstack(c: Call) -> Any:
    (arrays,) = c.take("tup")
    items = [at_least(c.ev, item, 1, c.node) for item in _parts(c, arrays)]
    return join(c, items, 0 if len(shape_of(items[0])) == 1 else 1)


def _vstack(c: Call) -> Any:
    (arrays,) = c.take("tup")
    return join(c, [at_least(c.ev, item, 2, c.node) for item in _parts(c, arrays)], 0)


def _column_stack(c: Call) -> Any:
    (arrays,) = c.take("tup")
    items = []
    for item in _parts(c, arrays):
        column = at_least(c.ev, item, 1, c.node)
        items.append(get(c.ev, column, (ALL, None), c.node) if len(shape_of(column)) == 1 else column)
    return join(c, items, 1)


def _append(c: Call) -> Any:
    arr, values, axis = c.take("arr values axis?")
    x, y = c.array(arr), c.array(values, 1)
    if axis is None:
        return join(c, [flat(c.ev, x, c.node), flat(c.ev, y, c.node)], 0)
    return join(c, [x, y], _axis(c.ev, axis, len(shape_of(x)), c.node))


def _split_at(c: Call, x: Var, axis: int, bounds: Sequence[Dim | None]) -> Value:
    lead = _all(axis)
    return ListValue([get(c.ev, x, (*lead, ("slice", a, b, None)), c.node) for a, b in pairwise([None, *bounds, None])], c.ev.path)


def _split(*, exact: bool, fixed: int | None = None) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        if fixed is None:
            ary, sections, axis = c.take("ary indices_or_sections axis?")
        else:
            (ary, sections), axis = c.take("ary indices_or_sections"), fixed
        x = shaped(c.ev, ary, c.place(0), f"`{c.name}`")
        where = _axis(c.ev, 0 if axis is None else axis, len(x.shape), c.node)
        size = x.shape[where]
        if isinstance(sections, list | tuple):
            return _split_at(c, x, where, [c.ev.size(one, c.node, "a place to split at", negative=True) for one in sections])
        count = c.ev.static_int(sections, c.node, "the number of parts")
        if count < 1:
            raise Refusal("E109", f"`{c.name}` into {count} parts", node=c.node)
        if isinstance(size, int) and not exact:
            each, more = divmod(size, count)
            lengths = [each + (i < more) for i in range(count)]
            return _split_at(c, x, where, [sum(lengths[: i + 1]) for i in range(count - 1)])
        part = dims.divide(size, count)
        if dims.multiply(part, count) != size:
            raise Refusal("E112", f"an axis of size {dims.show(size)} can't be split into {count} equal parts", node=c.node)
        return _split_at(c, x, where, [dims.multiply(part, i + 1) for i in range(count - 1)])

    return apply


def _pad(c: Call) -> Any:
    array, width, mode, constant = c.take("array pad_width mode? constant_values?")
    x = shaped(c.ev, array, c.place(0), f"`{c.name}`")
    rank = len(x.shape)
    if mode not in {None, "constant"}:
        raise Refusal("E109", f"`{c.name}` with mode {mode!r} is not supported", node=c.keyword("mode"), help_="mode 'constant' is")
    widths = _widths(c, width, rank)
    padded = c.emit("pad", x, widths=widths)
    if constant is None or (type(constant) in _NUMBERS and constant == 0):
        return padded
    value = operand(c.ev, constant, c.node)
    if shape_of(value):
        raise Refusal("E109", f"`{c.name}` with several constants is not supported", node=c.node)
    frame = c.emit("full", value, shape=padded.shape)
    index = tuple(("slice", before, dims.add(before, size), None) for (before, _), size in zip(widths, x.shape, strict=True))
    return c.emit("setitem", frame, x, index=index)


def _widths(c: Call, value: Value, rank: int) -> tuple[tuple[Dim, Dim], ...]:
    def one(item: Value) -> Dim:
        return c.ev.size(item, c.node, "a width")

    if not isinstance(value, list | tuple):
        return ((one(value), one(value)),) * rank
    items = list(value)
    if items and not any(isinstance(item, list | tuple) for item in items):
        pair = items * 2 if len(items) == 1 else items
        if len(pair) != 2:
            raise Refusal("E109", f"`{c.name}` takes a width, a pair, or a pair for each axis", node=c.node)
        return ((one(pair[0]), one(pair[1])),) * rank
    if len(items) == 1:
        items = items * rank
    if len(items) != rank:
        raise Refusal("E112", f"{len(items)} pairs of widths for an array with {rank} axes", node=c.node)
    pairs = [list(item) * 2 if len(item) == 1 else list(item) for item in items]
    return tuple((one(before), one(after)) for before, after in pairs)


def _windows(c: Call) -> Any:
    a, shape, axis, writeable = c.take("x window_shape axis? writeable?")
    x = shaped(c.ev, a, c.place(0), f"`{c.name}`")
    if writeable:
        raise Refusal("E109", f"`{c.name}` with `writeable` is not supported", node=c.node)
    sizes = shape_argument(c.ev, shape, c.node)
    axes = tuple(range(len(x.shape))) if axis is None else _ordered_axes(c.ev, axis, len(x.shape), c.node)
    if len(axes) != len(sizes) or len(set(axes)) < len(axes):
        raise Refusal("E109", f"`{c.name}` with {len(sizes)} sizes for {len(axes)} axes", node=c.node)
    out = c.emit("windows", x, axes=axes, sizes=sizes, steps=(1,) * len(axes))
    c.ev.facts.share(out, x)
    c.ev.facts.frozen.add(out)
    return out


# New arrays -------------------------------------------------------------------------------------------------------------


def _integer_dtype(c: Call) -> tuple[Call, bool]:
    """Take an integer dtype out of the arguments: the values may then be used as positions."""
    value = c.keywords.get("dtype")
    if value is not None and dtype_of(value) == "int":
        return Call(c.ev, c.node, c.name, c.args, {k: v for k, v in c.keywords.items() if k != "dtype"}), True
    return c, False


def _filled_with(value: float | None) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        plain, whole = _integer_dtype(c)
        (shape,) = plain.take("shape")
        return new(c.ev, shape_argument(c.ev, shape, c.node), value, c.node, whole=whole)

    return apply


def new(ev: Evaluator, shape: Shape, value: Any, node: Any, *, whole: bool = False) -> Any:
    """Return a new array of one value."""
    if not shape:
        return value
    zero = isinstance(value, float | int) and value == 0
    out = ev.emit("zeros", (), node, shape=shape) if zero else ev.emit("full", (value,), node, shape=shape)
    if whole:
        ev.facts.integral.add(out)
    return out


def _like(value: float) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        plain, whole = _integer_dtype(c)
        a, shape = plain.take("a shape?")
        x = variable(c.ev, a, c.node)
        whole = whole or ("dtype" not in c.keywords and c.ev.facts.is_integral(x))
        if x.shape and x.dtype == "float" and shape is None and not whole and "dtype" not in c.keywords:
            # In the type of x, float32 too.
            return c.emit("fill_like", x, value) if value else c.emit("zeros_like", x)
        return new(c.ev, x.shape if shape is None else shape_argument(c.ev, shape, c.node), value, c.node, whole=whole)

    return apply


def _full(c: Call) -> Any:
    plain, whole = _integer_dtype(c)
    shape, value, dtype = plain.take("shape fill_value dtype?")
    if dtype is not None:
        plain.check_dtype(dtype)
    number = c.array(value, 1)
    return new(c.ev, shape_argument(c.ev, shape, c.node), number, c.node, whole=whole or ("dtype" not in c.keywords and c.ev.facts.is_integral(number)))


def _full_like(c: Call) -> Any:
    a, value = c.take("a fill_value")
    x = variable(c.ev, a, c.node)
    return new(c.ev, x.shape, _as_in(c.ev.facts, c.array(value, 1), x), c.node, whole=c.ev.facts.is_integral(x))


def _eye(c: Call) -> Any:
    n, m = c.take("N M?")
    size = c.ev.size(n, c.node, "a size")
    if m is not None and c.ev.size(m, c.node, "a size") != size:
        raise Refusal("E109", f"`{c.name}` of a matrix that is not square", node=c.node)
    return c.emit("eye", size=size)


def _arange(c: Call) -> Any:
    plain, whole = _integer_dtype(c)
    start, stop, step = plain.take("start stop? step?")
    if stop is None:
        start, stop = 0, start
    bounds = [_static(c, one) for one in (start, stop, 1 if step is None else step)]
    if any(isinstance(one, Size) for one in bounds):
        first, last, by = bounds
        if by != 1 or isinstance(first, float) or isinstance(last, float):
            raise Refusal("E106", f"`{c.name}` in steps, up to a size that only run time knows", node=c.node)
        size = size_arithmetic(ast.Sub(), last, first)
        out = c.emit("arange", size=size.dim if isinstance(size, Size) else size)
        return out if first == 0 else c.emit("add", out, c.ev.number(first, c.node))
    first, last, by = bounds
    if by == 0:
        raise Refusal("E109", f"the step of `{c.name}` is zero", node=c.node)
    count = max(0, math.ceil((last - first) / by))
    if count > MAX_ELEMENTS:
        raise Refusal("E107", f"`{c.name}` of {count:,} elements", node=c.node)
    out = c.emit("arange", size=count)
    if by != 1:
        out = c.emit("mul", out, by)
    if first != 0:
        out = c.emit("add", out, first)
    if not whole and any(isinstance(one, float) for one in bounds):
        if out in c.ev.facts.integral or out.dtype == "int":
            out = c.emit("mul", out, 1.0)
    elif whole and any(isinstance(one, float) for one in bounds):
        raise Refusal("E109", f"`{c.name}` of whole numbers in steps that are not whole", node=c.node)
    return out


def _static(c: Call, value: Value) -> Any:
    """Return a bound as a number or a size known now."""
    if isinstance(value, Size) or type(value) in _NUMBERS:
        return value
    if isinstance(value, float):
        return value
    size = c.ev.size(value, c.node, f"a bound of `{c.name}`", negative=True)
    return Size.of(size)


def _linspace(c: Call) -> Any:
    start, stop, num, endpoint = c.take("start stop num? endpoint?")
    count = 50 if num is None else c.ev.static_int(num, c.node, "the number of points")
    if count < 0 or count > MAX_ELEMENTS:
        raise Refusal("E109", f"`{c.name}` of {count} points", node=c.node)
    first, last = c.array(start), c.array(stop, 1)
    if shape_of(first) or shape_of(last):
        raise Refusal("E111", f"`{c.name}` between arrays is not supported", node=c.node)
    parts = count - 1 if endpoint is None or endpoint else count
    points = c.emit("arange", size=count)
    if count < 2:
        return c.emit("add", c.emit("mul", points, 0.0), first)
    gap = c.ev.arithmetic(ast.Sub(), last, first, c.node)
    scaled = c.emit("mul", points, c.ev.arithmetic(ast.Div(), gap, parts, c.node))
    return c.emit("add", scaled, first)


def _array(c: Call) -> Any:
    plain, _ = _integer_dtype(c)
    keywords = {k: v for k, v in plain.keywords.items() if k not in {"copy", "ndmin"}}
    object_, dtype = Call(c.ev, c.node, c.name, c.args, keywords).take("object dtype?")
    if dtype is not None and dtype_of(dtype) not in {"float", "int"}:
        plain.check_dtype(dtype)
    if isinstance(object_, Input) and object_.state == "open" and not object_.shape and isinstance(object_.example, list | tuple):
        object_ = c.ev.structure(object_)
    if isinstance(object_, ListValue | tuple | range | SizeRange) or (isinstance(object_, Input) and object_.state == "list"):
        return operand(c.ev, object_, c.place(0))
    if isinstance(object_, OneShot | dict | str) or object_ is None:
        raise Refusal("E116", f"`{c.name}` of {describe(object_)}", node=c.node, help_="write a list: [...]")
    if isinstance(object_, Size):
        return c.ev.number(object_, c.node)
    x = variable(c.ev, object_, c.place(0))
    return c.emit("copy", x) if x.shape and not c.name.endswith(("asarray", "asanyarray", "ascontiguousarray")) else x


def _copy(c: Call) -> Any:
    (a,) = c.take("a")
    x = variable(c.ev, a, c.node)
    return c.emit("copy", x) if x.shape else x


def _astype(c: Call) -> Any:
    a, dtype = c.take("a dtype")
    x = variable(c.ev, a, c.node)
    kind = dtype_of(dtype)
    if c.ev.drawing and kind == "float32":
        return x
    if kind == "float":
        number = c.ev.number(x, c.node)
        if x.dtype == "bool":
            return c.emit("select", x, 1.0, 0.0)
        return c.emit("mul", number, 1.0) if c.ev.facts.is_integral(number) else c.emit("copy", number)
    if kind == "int" and (c.ev.facts.is_integral(x) or x.dtype == "bool"):
        return c.emit("copy", c.ev.number(x, c.node))
    if kind == "int":
        return c.emit("trunc", x)
    if kind == "bool":
        return x if x.dtype == "bool" else c.emit("ne", x, 0)
    raise Refusal("E109", "this dtype is not supported", node=c.node, help_="leave it out: a program computes in the precision of its inputs")


def _item(c: Call) -> Any:
    (a,) = c.take("a")
    x = variable(c.ev, a, c.node)
    if any(size != 1 for size in x.shape):
        raise Refusal("E112", f"`.item` of an array of shape {show_shape(x.shape)}", node=c.node)
    return reshape(c.ev, x, (), c.node) if x.shape else x


def _meshgrid(c: Call) -> Any:
    indexing = c.keywords.get("indexing", "xy")
    if set(c.keywords) - {"indexing"} or indexing not in {"xy", "ij"} or not c.args:
        raise Refusal("E109", f"`{c.name}` takes vectors and `indexing`", node=c.node)
    vectors = [flat(c.ev, c.array(value, i), c.node) for i, value in enumerate(c.args)]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[0], order[1] = 1, 0
    shape: list[Dim] = [1] * len(vectors)
    for vector, axis in zip(vectors, order, strict=True):
        shape[axis] = vector.shape[0]
    grids = []
    for vector, axis in zip(vectors, order, strict=True):
        placed = reshape(c.ev, vector, tuple(vector.shape[0] if i == axis else 1 for i in range(len(vectors))), c.node)
        grids.append(broadcast_to(c.ev, placed, tuple(shape), c.node))
    return ListValue(grids, c.ev.path)


def _shape(c: Call) -> Any:
    (a,) = c.take("a")
    if not isinstance(a, Input | Var | list | tuple):
        return ()
    return tuple(map(Size.of, variable(c.ev, a, c.node).shape))


def _ndim(c: Call) -> Any:
    (a,) = c.take("a")
    return len(variable(c.ev, a, c.node).shape)


def _size(c: Call) -> Any:
    a, axis = c.take("a axis?")
    x = variable(c.ev, a, c.node)
    return Size.of(dims.product(x.shape) if axis is None else x.shape[_axis(c.ev, axis, len(x.shape), c.node)])


def _clip_method(c: Call) -> Any:
    names = {"min": "a_min", "max": "a_max"}
    a, low, high = Call(c.ev, c.node, c.name, c.args, {names.get(k, k): v for k, v in c.keywords.items()}).take("a a_min? a_max?")
    x = c.array(a)
    bounds = [None if v is None else operand(c.ev, v, c.node) for v in (low, high)]
    if bounds[0] is not None and bounds[1] is not None:
        return c.emit("clip", x, *bounds)
    if bounds[0] is None and bounds[1] is None:
        return x
    return c.emit("max", x, bounds[0]) if bounds[0] is not None else c.emit("min", x, bounds[1])


def _take(c: Call) -> Any:
    a, indices, axis = c.take("a indices axis?")
    x = shaped(c.ev, a, c.place(0), f"`{c.name}`")
    if axis is None:
        x, axis = flat(c.ev, x, c.node), 0
    where = _axis(c.ev, axis, len(x.shape), c.node)
    return read(c.ev, x, [*_all(where), part(c.ev, indices, c.node)], c.node)


def _take_along(c: Call) -> Any:
    arr, indices, axis = c.take("arr indices axis")
    x, picks = shaped(c.ev, arr, c.place(0), f"`{c.name}`"), variable(c.ev, indices, c.place(1))
    where = _axis(c.ev, axis, len(x.shape), c.node)
    if len(picks.shape) != len(x.shape):
        raise _mismatch(c.ev, f"`{c.name}` wants as many axes in both", (x, picks), c.node)
    index: list[Part] = []
    for i, size in enumerate(picks.shape):
        if i == where:
            index.append(part(c.ev, picks, c.node))
            continue
        if size != x.shape[i]:
            raise _mismatch(c.ev, f"`{c.name}` wants equal sizes beside axis {where}", (x, picks), c.node)
        count = c.emit("arange", size=size)
        index.append(reshape(c.ev, count, tuple(size if j == i else 1 for j in range(len(x.shape))), c.node))
    return read(c.ev, x, index, c.node)


def _count_nonzero(c: Call) -> Any:
    a, axis, keepdims = c.take("a axis? keepdims?")
    x = variable(c.ev, a, c.node)
    hits = x if x.dtype == "bool" else c.emit("ne", x, 0)
    return reduce(c.ev, "sum", c.ev.number(hits, c.node), _axes(c.ev, axis, len(x.shape), c.node), c.node, keepdims=_flag(keepdims, c.node, "keepdims"))


def _quantified(*, every: bool) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        a, axis, keepdims = c.take("a axis? keepdims?")
        x = variable(c.ev, a, c.node)
        hits = c.ev.number(x if x.dtype == "bool" else c.emit("ne", x, 0), c.node)
        axes = _axes(c.ev, axis, len(x.shape), c.node)
        count = reduce(c.ev, "amin" if every else "amax", hits, axes, c.node, keepdims=_flag(keepdims, c.node, "keepdims"))
        return c.emit("gt", count, 0)

    return apply


def _refused(help_: str) -> Callable[[Call], Value]:
    def apply(c: Call) -> Value:
        raise Refusal("E102", f"`{c.name}` has no derivative rule", label="not in the table of primitives", node=getattr(c.node, "func", c.node), help_=help_)

    return apply


# Reading parts ----------------------------------------------------------------------------------------------------------


def _all(count: int) -> tuple[Part, ...]:
    return (ALL,) * count


def index_parts(ev: Evaluator, node: ast.expr, rank: int) -> list[Part]:
    """Return what stands between the brackets, `...` written out: positions, slices, None, arrays of positions, masks."""
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    parts: list[Part] = []
    for one in nodes:
        if isinstance(one, ast.Constant) and one.value is Ellipsis:
            parts.append(Ellipsis)
        elif isinstance(one, ast.Slice):
            parts.append(_slice(ev, one))
        elif isinstance(one, ast.Starred):
            parts.extend(part(ev, item, one) for item in ev.items(ev.eval(one.value), one))
        else:
            value = ev.eval(one)
            if isinstance(value, tuple) and len(nodes) == 1:
                parts.extend(part(ev, item, one) for item in value)
            else:
                parts.append(part(ev, value, one))
    taken = sum(_width(one) for one in parts)
    if parts.count(Ellipsis) > 1:
        raise Refusal("E108", "an index has one `...` at most", node=node)
    if taken > rank:
        raise Refusal("E108", f"too many indices: {taken} for an array with {rank} ax{'is' if rank == 1 else 'es'}", node=node)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = _all(rank - taken)
    return parts


def _width(one: Part) -> int:
    """Return how many axes a part of an index takes."""
    if one is None or one is Ellipsis:
        return 0
    return len(one.shape) if isinstance(one, Var) and one.dtype == "bool" else 1


def _slice(ev: Evaluator, node: ast.Slice) -> Part:
    bounds = [None if one is None else _bound(ev, ev.eval(one), one) for one in (node.lower, node.upper)]
    step = None if node.step is None else ev.eval(node.step)
    by = None if step is None else ev.static_int(step, node.step, "the step of a slice")
    if by == 0:
        raise Refusal("E108", "the step of a slice is zero", node=node)
    start, stop = bounds
    # The same part in its shortest form: `x[0:]` is `x[:]`.
    if by == 1:
        by = None
    if start == 0 and (by is None or by > 0):
        start = None
    return ("slice", start, stop, by)


def _bound(ev: Evaluator, value: Value, node: Any) -> Dim | None:
    return None if value is None else ev.size(value, node, "a bound of a slice", negative=True)


def part(ev: Evaluator, value: Value, node: Any) -> Part:
    """
    Return one position, or array of positions, of an index.

    Raises:
        Restart: It is an input that thereby is an array of positions.
        Refusal: E116, it can't be a position.
    """
    if value is None or (isinstance(value, tuple) and value[:1] == ("slice",)):
        return value
    if isinstance(value, bool):
        raise Refusal("E116", "True and False are no positions", node=node, help_="a mask chooses with np.where(mask, a, b)")
    if isinstance(value, Input):
        if not value.shape and value.state != "list":
            return ev.static_int(value, node, "an index")
        if value.state == "list":
            raise Restart((value.root,), "arrays") if value.stated else Refusal("E116", "a list of inputs is no array of positions", node=node)
        value = value.scalar()
    if isinstance(value, Size):
        return value.dim
    if isinstance(value, list | tuple | range | SizeRange):
        if isinstance(value, list | tuple) and value and all(isinstance(item, bool) for item in value):
            value = ListValue([i for i, item in enumerate(value) if item])
        value = build(ev, value, node)
    if isinstance(value, Var):
        if value.dtype == "bool" or ev.facts.is_integral(value):
            return value
        owners = ev.roots_of(value)
        if owners and all(root.shape or root.dtype != "float" or root.root in ev.known.integers for root in owners):
            wanted = tuple(dict.fromkeys(root.root for root in owners if root.dtype == "float"))
            if wanted and not ev.known.integers.issuperset(wanted) and all(_may_be_positions(root.example) for root in owners):
                raise Restart(wanted, "integers")
        if not value.shape and owners:
            return ev.static_int(value, node, "an index")
        raise Refusal(
            "E116", "an index must be a whole number, and this is a float", node=node, help_='an input of positions is annotated `Int[np.ndarray, "N"]`'
        )
    if isinstance(value, float):
        raise Refusal("E116", f"an index must be an integer, not {value!r}", node=node, help_="int(...) or `//` gives one")
    return ev.static_int(value, node, "an index")


def _may_be_positions(example: Any) -> bool:
    """Whether an example value allows an input to be an array of positions."""
    if isinstance(example, list | tuple):
        return all(map(_may_be_positions, example))
    return example is None or (isinstance(example, int) and not isinstance(example, bool)) or (hasattr(example, "dtype") and example.dtype.kind in "iu")


def subscript(ev: Evaluator, array: Var, node: ast.Subscript) -> Value:
    """Return `x[...]` of an array."""
    parts = index_parts(ev, node.slice, len(array.shape))
    return read(ev, array, parts, node)


def read(ev: Evaluator, array: Var, parts: Sequence[Part], node: Any) -> Value:
    """
    Return a part of an array.

    Raises:
        Refusal: E108, out of bounds; E111, a mask, whose result has a size that depends on values.
    """
    if any(isinstance(one, Var) and one.dtype == "bool" for one in parts):
        raise Refusal(
            "E111",
            "a mask as an index gives an array whose size depends on values",
            node=node,
            help_="np.where(mask, x, 0.0) keeps the shape; a sum or a mean can be taken of that",
        )
    found = recorded(ev, array, parts, node)
    if found is not None:
        return found
    array = settled(ev, array)
    if not any(isinstance(one, Var) for one in parts):
        return get(ev, array, tuple(parts), node)
    return _gather(ev, array, list(parts), node)


def get(ev: Evaluator, array: Var, index: tuple[Part, ...], node: Any) -> Any:
    """Return a part of an array by positions, slices and None: a view."""
    trimmed = list(index)
    while trimmed and trimmed[-1] == ALL:
        trimmed.pop()
    if not trimmed:
        return array
    check_bounds(ev, array, index, node)
    out = ev.emit("getitem", (array,), node, index=tuple(trimmed))
    if out.shape:
        ev.facts.share(out, array, _region(array, index) or None)
    return out


def check_bounds(ev: Evaluator, array: Var, index: Sequence[Part], node: Any) -> None:
    """Refuse a position outside of an axis of known size."""
    axis = 0
    for one in index:
        if one is None:
            continue
        size = array.shape[axis]
        if isinstance(one, int) and isinstance(size, int) and not -size <= one < size:
            raise Refusal("E108", f"index {one} is out of bounds for axis {axis} with size {size}", node=node)
        axis += _width(one)
    del ev


def _gather(ev: Evaluator, array: Var, parts: list[Part], node: Any) -> Any:
    """Return a part of an array by arrays of positions: beside these, plain positions count as such too."""
    parts = [*parts, *_all(len(array.shape) - sum(map(_width, parts)))]
    chosen = [i for i, one in enumerate(parts) if one is not None and not isinstance(one, tuple)]
    basic = tuple(ALL if i in chosen else one for i, one in enumerate(parts))
    check_bounds(ev, array, [one if not isinstance(one, Var) else ALL for one in parts], node)
    whole = get(ev, array, basic, node)
    # Parts of the index and axes of `whole` correspond one to one.
    axes = tuple(chosen)
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        # As in NumPy: positions that do not stand together put their axes first.
        rest = tuple(i for i in range(len(whole.shape)) if i not in axes)
        whole = ev.emit("transpose", (whole,), node, perm=(*axes, *rest))
        axes = tuple(range(len(axes)))
    operands = [Lit(parts[i]) if isinstance(parts[i], int) else parts[i] if isinstance(parts[i], Var) else ev.number(Size(parts[i]), node) for i in chosen]
    try:
        return ev.emit("gather", (whole, *operands), node, axes=axes)
    except Refusal as refusal:
        if refusal.code != "E112":
            raise
        raise _mismatch(ev, "the arrays of positions do not broadcast", [o for o in operands if isinstance(o, Var)], node) from refusal


# Writing parts ----------------------------------------------------------------------------------------------------------


def assign(ev: Evaluator, target: ast.Subscript, value: Value, node: Any) -> None:
    """
    Carry out `x[...] = value` of an array.

    Raises:
        Refusal: E113, another name would see the change.
    """
    array = _target_array(ev, target)
    parts = index_parts(ev, target.slice, len(array.shape))
    number = value if isinstance(value, Var) and value.dtype == "bool" and array.dtype == "bool" else operand(ev, value, node)
    replace(ev, target.value, array, lambda old: written(ev, old, parts, number, target), _region(array, parts), target)


def augment(ev: Evaluator, target: ast.Subscript, op: ast.operator, right: Callable[[], Value], node: Any) -> None:
    """Carry out `x[...] op= value` of an array."""
    array = _target_array(ev, target)
    parts = index_parts(ev, target.slice, len(array.shape))
    value = operand(ev, right(), node)

    def change(old: Var) -> Var:
        masks = [i for i, one in enumerate(parts) if isinstance(one, Var) and one.dtype == "bool"]
        if masks:
            at = masks[0]
            rest = [*parts[:at], *_all(len(parts[at].shape)), *parts[at + 1 :]]
            if any(isinstance(one, Var) or one is None for one in rest):
                raise _part_refused(target)
            inner = get(ev, old, tuple(rest), target)
            lead = sum(isinstance(one, tuple) for one in parts[:at])
            if len(shape_of(value)) > len(inner.shape) - lead - len(parts[at].shape):
                raise _part_refused(target)
            return written(ev, old, parts, _result(ev, ev.arithmetic(op, inner, value, node), old, target), target, whole=True)
        if any(isinstance(one, Var) for one in parts) and not _distinct(ev, parts):
            raise Refusal(
                "E113",
                "positions that repeat are changed once only by this, and these may repeat",
                node=target,
                help_="np.add.at(x, index, value) adds every time",
            )
        before = read(ev, old, parts, target)
        after = _result(ev, ev.arithmetic(op, before, value, node), old, target)
        if shape_of(after) != shape_of(before):
            raise _mismatch(ev, "a part can't be changed to a larger shape", (before, value), target)
        return written(ev, old, parts, after, target)

    replace(ev, target.value, array, change, _region(array, parts), target)


def _result(ev: Evaluator, value: Any, old: Var, node: Any) -> Any:
    if ev.facts.is_integral(old) and not ev.facts.is_integral(value):
        raise _truncation(node)
    return value


def _as_in(facts: Facts, value: Any, array: Var) -> Any:
    """Return a whole number as the float that it becomes in an array of floats."""
    return float(value) if isinstance(value, int) and not facts.is_integral(array) else value


def _truncation(node: Any) -> Refusal:
    return Refusal(
        "E116", "a float is written into an array of whole numbers, which cuts off its fraction", node=node, help_="make the array of floats: np.zeros(...)"
    )


def _target_array(ev: Evaluator, target: ast.Subscript) -> Var:
    container = ev.raw(target.value)
    if isinstance(container, Input):
        raise input_changes(container.root, target)
    return container  # type: ignore[no-any-return]  # the caller looked


def input_changes(name: str, node: Any) -> Refusal:
    """Return the refusal of a write into an array that the caller sees."""
    return Refusal(
        "E113",
        f"part of the input `{name}` is changed in place, and the caller's array would change",
        node=node,
        help_=f"copy it first: `{name} = {name}.copy()`",
    )


def _part_refused(node: Any) -> Refusal:
    return Refusal("E113", "this way of changing part of an array is not supported", node=node, help_="np.where(condition, new, old) makes a new array")


def _region(array: Var, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return which part of an array an index takes, positions counted from the front where the size is known; `()` for all of it."""
    if any(isinstance(one, Var) or one is None for one in parts):
        return ()
    return tuple(one + size if isinstance(one, int) and one < 0 and isinstance(size, int) else one for one, size in zip(parts, array.shape, strict=False))


def written(ev: Evaluator, old: Var, parts: Sequence[Part], value: Any, node: Any, *, whole: bool = False) -> Var:
    """
    Return the array with a part overwritten.

    Args:
        ev: The reading.
        old: The array before.
        parts: The index.
        value: What is written.
        node: The place.
        whole: For a mask, `value` is not what goes to the chosen elements but all of the new array.
    """
    facts = ev.facts
    if old.dtype == "bool":
        raise Refusal("E113", "part of an array of conditions is changed", node=node, help_="combine conditions with `&` and `|`")
    if facts.is_integral(old) and not facts.is_integral(value):
        raise _truncation(node)
    value = _as_in(facts, value, old)
    masks = [i for i, one in enumerate(parts) if isinstance(one, Var) and one.dtype == "bool"]
    if masks:
        return _masked(ev, old, list(parts), masks, value, node, whole=whole)
    if any(isinstance(one, Var) for one in parts):
        return _scattered(ev, old, list(parts), value, node)
    index = tuple(parts)
    check_bounds(ev, old, index, node)
    slot = index_shape(old.shape, index)
    while len(shape_of(value)) > len(slot) and shape_of(value)[0] == 1:
        value = get(ev, value, (0,), node)  # axes of size 1 in front are ignored
    record = _record(ev, old, index, value)
    trimmed = list(index)
    while trimmed and trimmed[-1] == ALL:
        trimmed.pop()
    if not trimmed and shape_of(value) != old.shape:
        return ev.emit("full", (value,), node, shape=old.shape)
    out = ev.emit("copy", (value,), node) if not trimmed else ev.emit("setitem", (old, value), node, index=tuple(trimmed))
    if record is not None:
        facts.written[out] = record
    return out


def _masked(ev: Evaluator, old: Var, parts: list[Part], masks: list[int], value: Any, node: Any, *, whole: bool) -> Var:
    if len(masks) > 1 or any(isinstance(one, Var) or one is None for i, one in enumerate(parts) if i != masks[0]):
        raise _part_refused(node)
    at = masks[0]
    mask = parts[at]
    rest = [*parts[:at], *_all(len(mask.shape)), *parts[at + 1 :]]
    if any(one != ALL for one in rest):
        inner = get(ev, old, tuple(rest), node)
        lead = sum(isinstance(one, tuple) for one in parts[:at])
        changed = _masked(ev, inner, [*_all(lead), mask], [lead], value, node, whole=whole)
        return ev.emit("setitem", (old, changed), node, index=tuple(rest))
    if old.shape[at : at + len(mask.shape)] != mask.shape:
        raise _mismatch(ev, "a mask must have the shape of what it chooses from", (old, mask), node)
    after = len(old.shape) - at - len(mask.shape)
    if not whole and len(shape_of(value)) > after:
        raise Refusal(
            "E111",
            "an array is written through a mask, and how many elements it takes depends on values",
            node=node,
            help_="np.where(mask, new, old) takes both in full",
        )
    if after:
        mask = ev.emit("getitem", (mask,), node, index=(*_all(len(mask.shape)), *(None,) * after))
    out = ev.emit("select", (mask, value, old), node)
    if out.shape != old.shape:
        raise _mismatch(ev, "a value does not fit the part that it is written to", (old, value), node)
    return out


def _distinct(ev: Evaluator, parts: Sequence[Part]) -> bool:
    """Whether no two elements of an index by arrays can be the same: one of these counts up."""
    indices = [one for one in parts if isinstance(one, Var)]
    counting = [one for one in indices if ev.primitive_of(one) == "arange" and len(one.shape) == 1]
    return bool(counting) and all(len(one.shape) <= 1 for one in indices)


def _scattered(ev: Evaluator, old: Var, parts: list[Part], value: Any, node: Any) -> Var:
    """Write to positions given by arrays: elsewhere the old array stays."""
    if any(isinstance(one, tuple) and one != ALL for one in parts) or None in parts:
        raise _part_refused(node)
    chosen = [i for i, one in enumerate(parts) if not isinstance(one, tuple)]
    if chosen != list(range(chosen[0], chosen[0] + len(chosen))):
        raise _part_refused(node)
    distinct = _distinct(ev, parts)
    if shape_of(value) and not distinct:
        raise Refusal(
            "E113",
            "an array is written to positions that may repeat",
            node=node,
            help_="np.add.at(x, index, value) adds; a single number can be written to positions that repeat",
        )
    axes = tuple(chosen)
    operands = [Lit(parts[i]) if isinstance(parts[i], int) else parts[i] for i in chosen]
    hit = ev.emit("gt", (ev.emit("scatter_add", (old, 1.0, *operands), node, axes=axes), 0.0), node)
    if shape_of(value):
        value = ev.emit("scatter_add", (old, value, *operands), node, axes=axes)
    return ev.emit("select", (hit, value, old), node)


def add_at(c: Call) -> Value:
    """Carry out `np.add.at(x, index, value)`."""
    ev, node = c.ev, c.node
    _, index, value = c.take("a indices b")
    target = node.args[0]
    array = ev.raw(target)
    if isinstance(array, Input):
        raise input_changes(array.root, node)
    if not isinstance(array, Var):
        raise Refusal("E116", f"`np.add.at` of {describe(array)}", node=node)
    parts = [part(ev, item, node) for item in index] if isinstance(index, tuple) else [part(ev, index, node)]
    if any(isinstance(one, tuple) or one is None or (isinstance(one, Var) and one.dtype == "bool") for one in parts):
        raise _part_refused(node)
    number = operand(ev, value, node)

    def change(old: Var) -> Var:
        if ev.facts.is_integral(old) and not ev.facts.is_integral(number):
            raise _truncation(node)
        operands = [Lit(one) if isinstance(one, int) else one for one in parts]
        axes = tuple(range(len(parts)))
        added = ev.emit("scatter_add", (old, number, *operands), node, axes=axes)
        return ev.emit("add", (old, added), node)

    replace(ev, target, array, change, (), node)
    return None


def _filled(ev: Evaluator, old: Var, value: Any, node: Any) -> Var:
    out = ev.emit("full", (_as_in(ev.facts, value, old),), node, shape=old.shape)
    if ev.facts.is_integral(old) and not ev.facts.is_integral(out):
        raise _truncation(node)
    return out


def fill_diagonal(c: Call) -> Value:
    """Carry out `np.fill_diagonal(x, value)`."""
    ev, node = c.ev, c.node
    _, value = c.take("a val")
    target = node.args[0]
    array = ev.raw(target)
    if isinstance(array, Input):
        raise input_changes(array.root, node)
    if not isinstance(array, Var) or len(array.shape) != 2 or array.shape[0] != array.shape[1]:
        raise Refusal("E112", "`np.fill_diagonal` works on square matrices", node=node)
    number = operand(ev, value, node)

    def change(old: Var) -> Var:
        hit = ev.emit("gt", (ev.emit("eye", (), node, size=old.shape[0]), 0.0), node)
        return ev.emit("select", (hit, number, old), node)

    if shape_of(number):
        raise _part_refused(node)
    replace(ev, target, array, change, (), node)
    return None


def replace(ev: Evaluator, place: ast.expr, old: Var, change: Callable[[Var], Var], region: tuple[Part, ...], node: Any) -> None:
    """
    Put a changed array in the place of the old one: under its name, in its list, in the array that it is part of.

    Args:
        ev: The reading.
        place: The expression that says where the array is.
        old: The array before.
        change: Makes the new array.
        region: The part that changes.
        node: Where the change is written.

    Raises:
        Refusal: E113, another name would see the change, or an input would change.
    """
    if isinstance(place, ast.Subscript):
        owner = ev.raw(place.value)
        if isinstance(owner, Input):
            raise input_changes(owner.root, node)
        if isinstance(owner, Var):
            parts = index_parts(ev, place.slice, len(owner.shape))
            if any(isinstance(one, Var) for one in parts):
                raise Refusal("E113", "a copy is changed, and then lost", node=node, help_="an index of positions or a mask makes a copy")
            new_row = change(old)
            replace(ev, place.value, owner, lambda whole: written(ev, whole, parts, new_row, node), _region(owner, parts), node)
            return
        if isinstance(owner, ListValue | dict):
            check_alone(ev, old, region, node, None)
            out = change(old)
            ev.facts.overwrite(out, old)
            ev.store_in(place, owner, out)
            return
    if not isinstance(place, ast.Name):
        raise Refusal("E113", "an array that has no name is changed", node=node, help_="give it a name first")
    if place.id not in ev.scope.env:
        raise Refusal(
            "E113", f"`{place.id}` is changed by a function that it does not belong to", node=node, help_="pass it as a parameter and return the new one"
        )
    check_alone(ev, old, region, node, place.id)
    out = change(old)
    ev.facts.overwrite(out, old)
    ev.store(place.id, out, node)


def check_alone(ev: Evaluator, array: Var, region: tuple[Part, ...], node: Any, slot: str | None) -> None:
    """
    Check that nothing else sees a change of an array; names of the function at hand that do can't be used any more.

    Args:
        ev: The reading.
        array: What changes.
        region: The part of it.
        node: The place.
        slot: The name that the array has, None where it is an element of a list or dictionary.

    Raises:
        Refusal: E113.
    """
    facts = ev.facts
    root = facts.find(array)
    owner = next((one for one in ev.all_inputs() if one.var is not None and facts.find(one.var) is root), None)
    if owner is not None:
        if array is owner.var:
            raise input_changes(owner.root, node)
        raise Refusal(
            "E113",
            f"this array may share memory with the input `{owner.root}`, and the caller's array would change",
            node=node,
            help_="`.copy()` makes an array of its own",
        )
    if array in facts.frozen:
        raise Refusal("E113", "this array is a view that NumPy does not let anybody write to", node=node, help_="`.copy()` makes an array of its own")
    exact = facts.is_whole(array)
    own = 1 if slot is None else 0
    stale: dict[str, None] = {}
    for scope, name, held in holders(ev):
        if held is array:
            if scope is ev.scope and name == slot:
                continue
            if scope is None and own:
                own -= 1  # where it stands in its list
                continue
        elif facts.find(held) is not root or (exact and _apart(facts.region.get(held), region)):
            continue
        if scope is not ev.scope:
            raise _shared(name, node)
        stale[name] = None
    # A name that gets a new value before it is used again never shows the change: the error waits for a use.
    for name in stale:
        ev.forget(name, _shared(name, node), node)


def _shared(name: str, node: Any) -> Refusal:
    return Refusal(
        "E113",
        f"this changes an array in place that `{name}` may hold as well",
        node=node,
        help_="`.copy()` makes an array of its own",
    )


def _apart(view: tuple[Part, ...] | None, region: tuple[Part, ...]) -> bool:
    """Whether a view and the part that changes have no element in common, as far as the text says."""
    for a, b in zip(view or (), region, strict=False):
        if isinstance(a, int) and isinstance(b, int):
            if a != b and (a >= 0) == (b >= 0):
                return True
        elif isinstance(a, int) or isinstance(b, int):
            position, cut = (a, b) if isinstance(a, int) else (b, a)
            if isinstance(cut, tuple) and isinstance(position, int) and position >= 0 and _misses(cut, position):
                return True
        elif isinstance(a, tuple) and isinstance(b, tuple) and (_before(a, b) or _before(b, a)):
            return True
    return False


def _misses(cut: Part, position: int) -> bool:
    start, stop, step = cut[1:]
    if step is not None and step < 0:
        return False
    return (isinstance(start, int) and start >= 0 and position < start) or (isinstance(stop, int) and stop >= 0 and position >= stop)


def _before(a: Part, b: Part) -> bool:
    if any(cut[3] is not None and cut[3] < 0 for cut in (a, b)):
        return False
    stop, start = a[2], b[1]
    return isinstance(stop, int) and isinstance(start, int) and 0 <= stop <= start


def holders(ev: Evaluator) -> Iterator[tuple[Scope | None, str, Var]]:
    """Yield every array that a name, a list, or a loop in progress holds, with the scope where that is a name's own value, and the name."""
    seen: set[int] = set()
    stack: list[tuple[Scope | None, str, Value]] = [(None, label, items) for label, items in ev.iterating]
    scopes: list[Scope | None] = [ev.scope, *ev.callers]
    while scopes or stack:
        if not stack:
            scope = scopes.pop()
            if scope is not None and id(scope) not in seen:
                seen.add(id(scope))
                scopes.append(scope.parent)
                stack.extend((scope, name, value) for name, value in scope.env.items())
            continue
        owner, name, value = stack.pop()
        kind = type(value)
        if kind is Var:
            yield owner, name, value
        elif kind is Input:
            if value.var is not None:
                yield owner, name, value.var
        elif isinstance(value, list | tuple | dict):
            if id(value) not in seen:
                seen.add(id(value))
                stack.extend((None, name, item) for item in (value.values() if isinstance(value, dict) else value))
        elif kind is Function:
            stack.extend((None, name, item) for item in value.defaults.values())
            scopes.append(value.scope)


# Arrays written part by part --------------------------------------------------------------------------------------------


def _places(array: Var, index: Sequence[Part]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Return the axes of which a position is given, their sizes and the positions, where all other axes are taken whole."""
    axes, sizes, key = [], [], []
    for axis, one in enumerate(index):
        if isinstance(one, int):
            size = array.shape[axis]
            if not isinstance(size, int) or not -size <= one < size:
                return None
            axes.append(axis)
            sizes.append(size)
            key.append(one % size)
        elif one != ALL:
            return None
    return (tuple(axes), tuple(sizes), tuple(key)) if axes else None


def _record(ev: Evaluator, old: Var, index: Sequence[Part], value: Any) -> _Written | None:
    """Return the parts written so far, with this one."""
    found = _places(old, index)
    record = ev.facts.written.pop(old, None)
    if found is None:
        return None
    axes, sizes, key = found
    if record is None or record.axes != axes or record.whole is not None:
        record = _Written(old, axes, sizes, {})
    record.values[key] = value
    return record


def recorded(ev: Evaluator, array: Var, parts: Sequence[Part], node: Any) -> Any:
    """Return a part that was written as a whole, None if this is not one: what was written, not the array that it went into."""
    record = ev.facts.written.get(array)
    found = _places(array, parts) if record is not None else None
    if record is None or found is None or found[0] != record.axes:
        return None
    if found[2] not in record.values:
        return read(ev, record.base, parts, node) if _is_fresh(ev, record.base) else None
    value = record.values[found[2]]
    slot = tuple(size for axis, size in enumerate(array.shape) if axis not in record.axes)
    if not slot:
        return value
    if shape_of(value) != slot:
        return None
    # NumPy gives a view: who writes to the array changes it.
    out = ev.emit("copy", (value,), node)
    ev.facts.share(out, array, _region(array, parts) or None)
    return out


def _is_fresh(ev: Evaluator, base: Var) -> bool:
    return ev.primitive_of(base) in {"zeros", "full", "zeros_like", "fill_like"}


def settled(ev: Evaluator, array: Var) -> Var:
    """Return an array of which every part was written, put together in one step."""
    record = ev.facts.written.get(array)
    if record is None or len(record.values) != math.prod(record.sizes):
        return array
    if record.whole is None:
        record.whole = _assembled(ev, array, record)
    return record.whole


def _assembled(ev: Evaluator, array: Var, record: _Written) -> Var:
    # What is put together belongs to the last write, wherever it is read first.
    node = ev.eqn_of(array)
    slot = tuple(size for axis, size in enumerate(array.shape) if axis not in record.axes)
    guard = ev.builder.guard
    span = node.span or ev.builder.span
    first = record.axes[0]
    keys = sorted(record.values)
    values = []
    ev.builder.guard = node.guard
    try:
        for key in keys:
            value = record.values[key]
            if shape_of(value) != slot:
                value = ev.emit_at("full", (value,), span, shape=slot)
            values.append(value)
        if record.axes == tuple(range(first, first + len(record.axes))):
            out = ev.emit_at("stack", values, span, axis=first)
            if len(record.axes) > 1:
                out = ev.emit_at("reshape", (out,), span, shape=array.shape)
        else:
            rest = tuple(axis for axis in range(len(array.shape)) if axis not in record.axes)
            out = ev.emit_at("stack", values, span, axis=0)
            out = ev.emit_at("reshape", (out,), span, shape=(*record.sizes, *slot))
            order = (*record.axes, *rest)
            out = ev.emit_at("transpose", (out,), span, perm=tuple(order.index(axis) for axis in range(len(order))))
    finally:
        ev.builder.guard = guard
    out.name, out.stage = array.name, array.stage
    ev.facts.overwrite(out, array)
    return out


# The functions ----------------------------------------------------------------------------------------------------------

FUNCTIONS: Final[dict[str, Callable[[Call], Value]]] = {
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "prod": _reduction("prod"),
    "max": _reduction("amax"),
    "amax": _reduction("amax"),
    "min": _reduction("amin"),
    "amin": _reduction("amin"),
    "nansum": _reduction("sum"),
    "var": _variance,
    "std": _deviation,
    "average": _average,
    "ptp": _range_of,
    "cumsum": _running("cumsum"),
    "cumprod": _running("cumprod"),
    "argmax": _position("argmax"),
    "argmin": _position("argmin"),
    "count_nonzero": _count_nonzero,
    "all": _quantified(every=True),
    "any": _quantified(every=False),
    "matmul": _matmul,
    "dot": _dot,
    "outer": _outer,
    "inner": _inner,
    "vdot": _vdot,
    "einsum": _einsum,
    "tensordot": _tensordot,
    "kron": _kron,
    "cross": _cross,
    "trace": _trace,
    "diag": _diag,
    "diagonal": _diagonal,
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    "tri": _tri,
    "transpose": _transpose,
    "swapaxes": _swapaxes,
    "moveaxis": _moveaxis,
    "reshape": _reshape,
    "ravel": _ravel,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "atleast_1d": _atleast(1),
    "atleast_2d": _atleast(2),
    "broadcast_to": _broadcast_to,
    "repeat": _repeat,
    "tile": _tile,
    "flip": _flip,
    "flipud": _flip_one(0),
    "fliplr": _flip_one(1),
    "rot90": _rot90,
    "roll": _roll,
    "diff": _diff,
    "concatenate": _concatenate,
    "concat": _concatenate,
    "stack": _stack,
    "hstack": _hstack,
    "vstack": _vstack,
    "row_stack": _vstack,
    "column_stack": _column_stack,
    "append": _append,
    "split": _split(exact=True),
    "array_split": _split(exact=False),
    "vsplit": _split(exact=True, fixed=0),
    "hsplit": _split(exact=True, fixed=1),
    "pad": _pad,
    "zeros": _filled_with(0.0),
    "empty": _filled_with(0.0),
    "ones": _filled_with(1.0),
    "full": _full,
    "zeros_like": _like(0.0),
    "empty_like": _like(0.0),
    "ones_like": _like(1.0),
    "full_like": _full_like,
    "eye": _eye,
    "identity": _eye,
    "arange": _arange,
    "linspace": _linspace,
    "meshgrid": _meshgrid,
    "array": _array,
    "asarray": _array,
    "asanyarray": _array,
    "ascontiguousarray": _array,
    "copy": _copy,
    "take": _take,
    "take_along_axis": _take_along,
    "shape": _shape,
    "ndim": _ndim,
    "size": _size,
    "fill_diagonal": fill_diagonal,
    "sort": _refused("sorting along axes has no derivative rule"),
    "argsort": _refused("sorting along axes has no derivative rule"),
    "median": _refused("sorting along axes has no derivative rule"),
    "percentile": _refused("sorting along axes has no derivative rule"),
    "quantile": _refused("sorting along axes has no derivative rule"),
    "unique": _refused("the size of its result depends on values"),
    "nonzero": _refused("the size of its result depends on values; np.where(mask, a, b) keeps the shape"),
    "argwhere": _refused("the size of its result depends on values; np.where(mask, a, b) keeps the shape"),
    "matrix": _refused("`*` is a matrix product there: use np.array and `@`"),
    "convolve": _refused("write it with sliding windows: sliding_window_view(x, k) @ w"),
    "select": _refused("nest np.where"),
    "interp": _refused("write the piecewise formula with np.where"),
}

LINALG: Final[dict[str, Callable[[Call], Value]]] = {
    "norm": _norm,
    "inv": _matrix("inv"),
    "det": _matrix("det"),
    "slogdet": _slogdet,
    "solve": _solve,
    "cholesky": _matrix("cholesky"),
    "matrix_power": _matrix_power,
    "multi_dot": _multi_dot,
    "trace": _trace,
    "outer": _outer,
    "matmul": _matmul,
    "diagonal": _diagonal,
    "cross": _cross,
    "tensordot": _tensordot,
    "vector_norm": _norm,
}

STRIDES: Final[dict[str, Callable[[Call], Value]]] = {
    "sliding_window_view": _windows,
    "as_strided": _refused("it may read anything: use sliding_window_view"),
}

SPECIAL: Final[dict[str, Callable[[Call], Value]]] = {"logsumexp": _logsumexp, "softmax": _softmax, "log_softmax": _log_softmax}

METHODS: Final[dict[str, Callable[[Call], Value]]] = {
    **{
        name: FUNCTIONS[name]
        for name in (
            "sum mean prod max min var std ptp cumsum cumprod argmax argmin all any dot trace diagonal swapaxes ravel squeeze repeat copy take".split()
        )
    },
    "reshape": _reshape_method,
    "transpose": _transpose_method,
    "flatten": _flatten,
    "astype": _astype,
    "item": _item,
    "clip": _clip_method,
    "fill": _copy,
}


# Random arrays ----------------------------------------------------------------------------------------------------------

#: Functions of np.random: where their size stands among the arguments.
_SIZED: Final = {
    "random": 0,
    "random_sample": 0,
    "sample": 0,
    "ranf": 0,
    "standard_normal": 0,
    "standard_exponential": 0,
    "exponential": 1,
    "poisson": 1,
    "normal": 2,
    "uniform": 2,
    "lognormal": 2,
    "laplace": 2,
    "logistic": 2,
    "gamma": 2,
    "beta": 2,
    "binomial": 2,
}


def draw(ev: Evaluator, node: ast.Call, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
    """Return a placeholder for random numbers: an input of a script takes its shape from it."""
    low, high = 0, 2
    whole = name in {"randint", "integers", "choice", "permutation"}
    if name in {"rand", "randn"}:
        shape: Shape = tuple(ev.size(one, node, "a size") for one in args)
    elif name in {"randint", "integers"}:
        first = ev.static_int(args[0] if args else keywords.get("low"), node, "a bound of random numbers")
        last = args[1] if len(args) > 1 else keywords.get("high")
        low, high = (0, first) if last is None else (first, ev.static_int(last, node, "a bound of random numbers"))
        given = args[2] if len(args) > 2 else keywords.get("size")
        shape = () if given is None else shape_argument(ev, given, node)
    elif name in {"choice", "permutation"}:
        if not isinstance(args[0] if args else None, int):
            raise Refusal("E119", f"`np.random.{name}` gives another number on every run", node=node, help_="make it an input of the program")
        high = args[0]
        given = args[0] if name == "permutation" else args[1] if len(args) > 1 else keywords.get("size")
        shape = () if given is None else shape_argument(ev, given, node)
    elif name in _SIZED:
        given = args[_SIZED[name]] if len(args) > _SIZED[name] else keywords.get("size")
        shape = () if given is None else shape_argument(ev, given, node)
    else:
        raise Refusal("E119", f"`np.random.{name}` gives another number on every run", node=node, help_="make it an input of the program")
    out = Var(shape=shape, dtype="int" if whole else "float")
    ev.facts.active = True
    ev.facts.drawn[out] = (low, max(low + 1, high)) if whole else None
    return out


def is_module_of_random(value: Value) -> bool:
    """Say whether a value is NumPy's module of random numbers, or a generator."""
    return isinstance(value, Module) and value.name == "numpy.random"


def unusable(value: Value, node: Any) -> None:
    """Refuse what has an error already, or a value in one branch only."""
    if isinstance(value, Poison):
        raise Poisoned
    if isinstance(value, Partial):
        raise Refusal("E118", value.reason, node=node, help_=value.help)
