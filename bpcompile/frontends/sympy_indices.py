"""
Index notation as operations on arrays.

The value of an expression with indices is an array with one axis for each of them (`Element`); `x[i]*y[j]` has two. Element-wise
operations put the axes of their operands against each other; a `Sum` over a product is one contraction, over anything else a sum
over axes. A position that depends on one index is a slice, on several a window: `x[p + i]` is a sliding window, `x[2*p + i]` one
that moves by 2.

The axes of a result stand in the order in which the free indices are met first going through the inputs, in their order, each
from its first axis to its last; where several indices stand at one axis, in the order of their names. `Eq(Z[i, j], ...)` says
another order.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import sympy

from bpcompile import contraction, dims
from bpcompile.frontends.expression_table import Index, Opaque
from bpcompile.frontends.index_ranges import POSITIONS, Affine, Extent
from bpcompile.frontends.stages import ProductForm
from bpcompile.ir import Atom, Dim, Lit, Operand, Var, show_shape, value_of
from bpcompile.primitive import REGISTRY

if TYPE_CHECKING:
    from bpcompile.frontends.sympy_exprs import Lowering, Plan

ALL: Final = ("slice", None, None, None)
REVERSED: Final = ("slice", None, None, -1)


@dataclass(frozen=True, slots=True)
class Element:
    """
    The element of an array at some indices.

    Attributes:
        array: The array.
        indices: The node of the index of each axis; `x[i, i]` has one twice.
    """

    array: Var
    indices: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """What the array holds."""
        return self.array.dtype


#: What an expression is: a number, or an element of an array.
Value = Atom | Element


def emit(lowering: Lowering, name: str, operands: Sequence[Value | Operand], note: str = "") -> Value:
    """Emit an element-wise operation on elements: an operation on arrays, one axis for each index."""
    for operand in operands:
        if isinstance(operand, Var) and operand.shape:
            shape = show_shape(operand.shape)
            raise lowering.refuse("E157", f"an array of shape {shape} meets an expression with indices in `{lowering.stage}`", "give its element: `x[i]`")
    operands = [diagonal(o) if isinstance(o, Element) else o for o in operands]
    elements = [o for o in operands if isinstance(o, Element)]
    indices = _union(lowering, elements)
    if name == "mul" and len(elements) == 2:
        return product(lowering, elements, indices)
    aligned = [_aligned(o, indices) if isinstance(o, Element) else o for o in operands]
    return Element(lowering.builder.emit(REGISTRY[name], aligned, note=note), indices)


def _union(lowering: Lowering, elements: Sequence[Element]) -> tuple[int, ...]:
    widest = max(elements, key=lambda e: len(e.indices))
    every = {index for e in elements for index in e.indices}
    return widest.indices if every <= set(widest.indices) else lowering.in_order(every)


def diagonal(element: Element) -> Element:
    """Take the diagonal where an index stands at two axes."""
    array, labels = element.array, list(element.indices)
    while len(set(labels)) < len(labels):
        index = next(n for n in labels if labels.count(n) > 1)
        first = labels.index(index)
        second = labels.index(index, first + 1)
        array = REGISTRY["diagonal"](array, axis1=first, axis2=second)
        labels = [n for axis, n in enumerate(labels) if axis not in (first, second)] + [index]
    return Element(array, tuple(labels))


def ordered(element: Element, indices: tuple[int, ...]) -> Element:
    """Return an element with its axes in another order."""
    element = diagonal(element)
    return element if element.indices == indices else Element(_aligned(element, indices), indices)


def _aligned(element: Element, indices: tuple[int, ...]) -> Var:
    """Emit an array with its axes where broadcasting puts `indices`."""
    kept = [index for index in indices if index in element.indices]
    array = element.array
    if tuple(kept) != element.indices:
        array = REGISTRY["transpose"](array, perm=tuple(element.indices.index(i) for i in kept))
    places: list[Any] = [ALL if index in element.indices else None for index in indices]
    while places and places[0] is None:
        del places[0]
    return REGISTRY["getitem"](array, index=tuple(places)) if None in places else array


def product(lowering: Lowering, operands: Sequence[Value], output: tuple[int, ...]) -> Value:
    """Emit a sum of products: of all operands, over every index that `output` lacks."""
    every = dict.fromkeys(index for o in operands if isinstance(o, Element) for index in o.indices)
    if len(every) > len(string.ascii_letters):
        raise lowering.refuse("E157", f"a product in `{lowering.stage}` has more than {len(string.ascii_letters)} indices")
    if len(operands) == 2 and operands[0] == operands[1] and not output and isinstance(operands[0], Element):
        return squares(lowering, diagonal(operands[0]).array)
    operands = _readable(operands, output)
    # i, j, k for people, then the rest of the alphabet.
    alphabet = dict.fromkeys("ijklmnpqrstuvw" + string.ascii_letters)
    letter = dict(zip(every, alphabet, strict=False))
    arrays = [o.array if isinstance(o, Element) else value_of(o) for o in operands]
    inputs = ["".join(letter[i] for i in o.indices) if isinstance(o, Element) else "" for o in operands]
    made = contraction.contract(arrays, inputs, "".join(letter[i] for i in output))
    if not isinstance(made, Var):
        return Lit(made)
    return Element(made, output) if output else made


def squares(lowering: Lowering, array: Var) -> Var:
    """Emit the sum of the squares of all elements."""
    square = lowering.builder.emit(REGISTRY["pow"], (array, Lit(2)))
    return lowering.builder.emit(REGISTRY["sum"], (square,), {"axis": tuple(range(len(array.shape))), "keepdims": False})


def _readable(operands: Sequence[Value], output: tuple[int, ...]) -> Sequence[Value]:
    """Put a factor of which nothing is left behind the other, if that has its indices last: `M @ v` rather than `v @ M.T`."""
    if len(operands) != 2 or not all(isinstance(o, Element) for o in operands):
        return operands
    first, second = operands
    assert isinstance(first, Element)  # both are: above
    assert isinstance(second, Element)
    a, b = first.indices, second.indices
    last = len(b) > len(a) and set(a).isdisjoint(output) and b[-len(a) :] == a
    first_of_all = len(a) > len(b) and set(b).isdisjoint(output) and a[: len(b)] == b
    return (second, first) if last or first_of_all else operands


# Elements of arrays -----------------------------------------------------------------------------------------------------


def plan_index(lowering: Lowering, node: int) -> Plan:
    """Plan an index that is used as a number."""
    start, size = lowering.indices.range_of(node)

    def build(_: list[Value]) -> Value:
        array = lowering.builder.emit(REGISTRY["arange"], (), {"size": size})
        value = Element(array, (node,))
        if start == 0:
            return value
        first = start if isinstance(start, int) else lowering.builder.emit(REGISTRY["dim"], (), {"size": start})
        return emit(lowering, "add", (value, first))

    return [], build


def plan_extent(lowering: Lowering, node: int) -> Plan:
    """Plan the number of values of an index."""
    (index,) = lowering.table.args[node]
    _, size = lowering.indices.range_of(index)
    return [], lambda _: Lit(size) if isinstance(size, int) else lowering.builder.emit(REGISTRY["dim"], (), {"size": size})


def plan_access(lowering: Lowering, node: int) -> Plan:
    """Plan `x[p + i, j]`."""
    base, *parts = lowering.table.args[node]
    faulty = base in lowering.indices.faults or isinstance(lowering.table.atoms[base], Opaque)
    for number in [] if faulty else lowering.table.reachable(parts):
        atom = lowering.table.atoms[number]
        if isinstance(atom, Opaque):
            raise lowering.refuse_opaque(atom)
    places = [lowering.indices.affine(part) for part in parts]

    def build(values: list[Value]) -> Value:
        (array,) = values
        name = lowering.name_of(base)
        if not isinstance(array, Var) or len(array.shape) != len(places):
            axes = len(array.shape) if isinstance(array, Var) else 0
            raise lowering.refuse("E159", f"`{name}` has {axes} axes and is used with {len(places)} indices in `{lowering.stage}`")
        return _Access(lowering, name, array, places).value()

    return [base], build


class _Access:
    """One element of an array: its positions as slices and windows."""

    def __init__(self, lowering: Lowering, name: str, array: Var, places: Sequence[Affine | None]) -> None:
        self.lowering = lowering
        self.indices = lowering.indices
        self.name = name
        self.array = array
        self.places = places
        #: For each axis of the array the terms of its position, outer indices first.
        self.terms: list[list[tuple[int, int]]] = []

    def value(self) -> Value:
        index: list[Any] = []
        for axis, place in enumerate(self.places):
            if place is None or any(not isinstance(self.lowering.table.atoms[n], Index) for n in place.terms):
                raise self.lowering.refuse("E157", f"an index of `{self.name}` in `{self.lowering.stage}` has no meaning here", POSITIONS)
            index.append(self._part(axis, place))
        array = self.array
        # The one position of an axis of size 1 is all of it: `v.ravel()` for a vector of one column.
        only = [size == 1 and not terms for size, terms in zip(array.shape, self.terms, strict=True)]
        if not any(self.terms):
            only = [False] * len(only)
        index = [ALL if one else part for one, part in zip(only, index, strict=True)]
        kept = [one for one, part in zip(only, index, strict=True) if isinstance(part, tuple)]
        if any(part != ALL for part in index):
            array = REGISTRY["getitem"](array, index=tuple(index))
        if any(only):
            array = REGISTRY["reshape"](array, shape=tuple(size for one, size in zip(kept, array.shape, strict=True) if not one))
        array, labels = self._windows(array)
        return Element(array, tuple(labels)) if labels else array

    def _part(self, axis: int, place: Affine) -> Any:
        """Return what stands between the brackets for one axis."""
        size = self.array.shape[axis]
        low, high = self.indices.extent(place)
        end = dims.add(high, 1)
        empty = any(self.indices.range_of(n)[1] == 0 for n in place.terms)
        # NumPy raises where a single position lies outside of an axis, but cuts a slice short and says nothing.
        fits = dims.is_nonnegative(dims.subtract(size, end)) if place.terms else not dims.is_nonnegative(dims.subtract(low, size))
        if not empty and not (dims.is_nonnegative(low) and fits):
            raise self._past_the_end(axis, place, low, high)
        # Outer indices first: the innermost moves inside the window.
        terms = sorted(place.terms.items(), key=lambda term: -self.indices.order(term[0]))
        self.terms.append(terms)
        if not terms:
            return -1 if end == size and size != 1 else low
        if len(terms) > 1:
            return _slice(low, end, None, size)
        ((number, factor),) = terms
        if factor < 0:
            step = factor
            return ("slice", None if end == size else high, None if low == 0 or self.indices.range_of(number)[1] == 0 else dims.subtract(low, 1), step)
        if factor == 1:
            return _slice(low, end, None, size)
        count = dims.divide(dims.add(dims.subtract(size, low), factor - 1), factor)
        return _slice(low, size if count == self.indices.range_of(number)[1] else end, factor, size)

    def _past_the_end(self, axis: int, place: Affine, low: Dim, high: Dim) -> Exception:
        text = f"`{self._show(axis, place)}`"
        reach = f"runs from {dims.show(low)} to {dims.show(high)}" if place.terms else f"is at {dims.show(low)}"
        size = dims.show(self.array.shape[axis])
        message = f"{text} in `{self.lowering.stage}` {reach}, and that axis of `{self.name}`, of shape {show_shape(self.array.shape)}, has size {size}"
        help_ = "positions count from 0, so that the last one is the size - 1"
        return self.lowering.refuse("E159", message, help_)

    def _show(self, axis: int, place: Affine) -> str:
        parts = [("" if factor == 1 else "-" if factor == -1 else f"{factor}*") + self.lowering.name_of(number) for number, factor in place.terms.items()]
        constant = dims.show(place.constant)
        text = " + ".join([*parts, constant] if constant != "0" or not parts else parts).replace("+ -", "- ")
        where = ["..."] * len(self.places)
        where[axis] = text
        return f"{self.name}[{', '.join(where)}]"

    def _windows(self, array: Var) -> tuple[Var, list[int]]:
        """Split each axis with several indices into one axis an index; return the index of each axis as well."""
        rest = [terms for terms in self.terms if terms]
        labels = [terms[0][0] for terms in rest]
        while any(len(terms) > 1 for terms in rest):
            axes = [axis for axis, terms in enumerate(rest) if len(terms) > 1]
            sizes, steps, strides = [], [], []
            for axis in axes:
                number, factor = rest[axis].pop()
                extent = dims.multiply(abs(factor), dims.subtract(self.indices.range_of(number)[1], 1))
                sizes.append(dims.add(extent, 1))
                steps.append(abs(rest[axis][0][1]) if len(rest[axis]) == 1 else 1)
                strides.append(factor)
                labels.append(number)
                rest.append([(number, 1)])
            array = REGISTRY["windows"](array, axes=tuple(axes), sizes=tuple(sizes), steps=tuple(steps))
            # A negative factor runs through the window backwards, a larger one skips.
            places = [ALL] * (len(array.shape) - len(axes)) + [("slice", None, None, f) if f != 1 else ALL for f in strides]
            for axis in axes:
                if len(rest[axis]) == 1 and rest[axis][0][1] < 0:
                    places[axis] = REVERSED
            if any(place != ALL for place in places):
                array = REGISTRY["getitem"](array, index=tuple(places))
        return array, labels


def _slice(start: Dim, stop: Dim, step: int | None, size: Dim) -> Any:
    left = dims.subtract(size, stop)
    end: Dim | None = None if left == 0 else -left if isinstance(left, int) and not isinstance(size, int) else stop
    return ("slice", None if start == 0 else start, end, step)


# Sums and products over indices -----------------------------------------------------------------------------------------


def plan_sum(lowering: Lowering, node: int) -> Plan:
    """Plan a sum over indices: a contraction of the factors of its body, or a sum over axes."""
    table, indices = lowering.table, lowering.indices
    body, *over = table.args[node]
    if (simpler := _without_delta(lowering, body, over)) is not None:
        return [simpler], _same
    if table.heads[body] is sympy.Sum and not set(table.args[body][1:]) & set(over):
        return [table.node(sympy.Sum, (*table.args[body], *over))], _same
    if table.heads[body] is sympy.Add and len({indices.inside(term) for term in table.args[body]}) > 1:
        # Terms over different indices are summed one by one: together they would make an array of all indices.
        return [table.node(sympy.Add, [table.node(sympy.Sum, (term, *over)) for term in table.args[body]])], _same
    form = lowering.product_form(body) if table.heads[body] is sympy.Mul else None
    if form is None:
        form = ProductForm({body: Fraction(1)})
    else:
        found, form = lowering.recovery.cover_product(form)
        form.factors.update({stage: Fraction(power) for stage, power in found})
    inner = {base: power for base, power in form.factors.items() if indices.inside(base) & set(over)}
    missing = [index for index in over if not any(index in indices.inside(base) for base in inner)]
    outer = [lowering.power(base, power) for base, power in form.factors.items() if base not in inner]
    if outer or missing or form.coefficient != 1 or form.inexact:
        factors = [*outer, *(table.node(Extent, (index,)) for index in missing)]
        if form.coefficient != 1 or form.inexact:
            factors.insert(0, table.number(form.coefficient, inexact=form.inexact))
        if inner:
            powers = [lowering.power(base, power) for base, power in sorted(inner.items())]
            rest = powers[0] if len(powers) == 1 else table.node(sympy.Mul, powers)
            factors.append(table.node(sympy.Sum, (rest, *(index for index in over if index not in missing))))
        return [factors[0] if len(factors) == 1 else table.node(sympy.Mul, factors)], _same
    parts = _operands(lowering, inner)
    output = lowering.in_order(indices.inside(node))

    def build(values: list[Value]) -> Value:
        return product(lowering, values, output)

    return parts, build


def _same(values: list[Value]) -> Value:
    return values[0]


def _operands(lowering: Lowering, factors: Mapping[int, Fraction]) -> list[int]:
    """Return the factors of a product, those below the line with one above it that has all of their indices."""
    table, indices = lowering.table, lowering.indices
    above = sorted((base for base, power in factors.items() if power > 0), key=lowering.factor_key)
    below = [base for base, power in factors.items() if power < 0]
    operands = {base: [lowering.power(base, factors[base])] for base in above}
    alone: list[int] = []
    for base in below:
        inverse = lowering.power(base, factors[base])
        host = next((top for top in above if indices.inside(base) <= indices.inside(top)), None)
        (operands[host] if host is not None else alone).append(inverse)
    return [parts[0] if len(parts) == 1 else table.node(sympy.Mul, parts) for parts in operands.values()] + alone


def _without_delta(lowering: Lowering, body: int, over: Sequence[int]) -> int | None:
    """Return a sum over a Kronecker delta without it: the index that it fixes takes the value that it fixes it to."""
    table, indices = lowering.table, lowering.indices
    factors = table.args[body] if table.heads[body] is sympy.Mul else (body,)
    for place, factor in enumerate(factors):
        if table.heads[factor] is not sympy.KroneckerDelta or len(table.args[factor]) != 2:
            continue
        for one, other in (table.args[factor], table.args[factor][::-1]):
            position = indices.affine(other)
            if one not in over or position is None or one in position.terms or _captures(lowering, body, one, position):
                continue
            start, size = indices.range_of(one)
            low, high = indices.extent(position)
            last = dims.subtract(dims.add(start, size), 1)
            if not (dims.is_nonnegative(dims.subtract(low, start)) and dims.is_nonnegative(dims.subtract(last, high))):
                continue
            rest = [f for k, f in enumerate(factors) if k != place]
            inner = table.leaf(sympy.S.One) if not rest else rest[0] if len(rest) == 1 else table.node(sympy.Mul, rest)
            bound = indices.bind(inner, one, other)
            left = [index for index in over if index != one]
            return table.node(sympy.Sum, (bound, *left)) if left else bound
    return None


def _captures(lowering: Lowering, body: int, index: int, position: Affine) -> bool:
    """Whether a sum inside would take an index of `position` for its own, if that were put in the place of `index`."""
    table, indices = lowering.table, lowering.indices
    sums = (n for n in table.reachable([body]) if table.heads[n] in (sympy.Sum, sympy.Product))
    return any(index in indices.inside(n) and not position.terms.keys().isdisjoint(table.args[n][1:]) for n in sums)


def plan_product(lowering: Lowering, node: int) -> Plan:
    """Plan a product over indices."""
    table, indices = lowering.table, lowering.indices
    body, *over = table.args[node]
    missing = [index for index in over if index not in indices.inside(body)]
    if missing:
        rest = [index for index in over if index not in missing]
        inner = table.node(sympy.Product, (body, *rest)) if rest else body
        for index in missing:
            inner = table.node(sympy.Pow, (inner, table.node(Extent, (index,))))
        return [inner], _same

    def build(values: list[Value]) -> Value:
        (value,) = values
        assert isinstance(value, Element)  # its indices are those of the product, at least
        element = diagonal(value)
        axes = tuple(axis for axis, index in enumerate(element.indices) if index in over)
        array = REGISTRY["prod"](element.array, axis=axes, keepdims=False)
        rest = tuple(index for index in element.indices if index not in over)
        return Element(array, rest) if rest else array

    return [body], build


def plan_delta(lowering: Lowering, node: int) -> Plan:
    """Plan a Kronecker delta that no sum takes away: a matrix of zeros and ones."""
    table, indices = lowering.table, lowering.indices
    parts = table.args[node]
    if len(parts) != 2:
        raise lowering.refuse("E157", f"a `KroneckerDelta` with a range in `{lowering.stage}` has no meaning here", "leave the range out")
    places = [indices.affine(part) for part in parts]
    alone: list[int] = [next(iter(p.terms)) for p in places if p is not None and p.constant == 0 and list(p.terms.values()) == [1]]
    if len(alone) == 2 and alone[0] != alone[1] and indices.range_of(alone[0]) == indices.range_of(alone[1]):
        size = indices.range_of(alone[0])[1]
        return [], lambda _: Element(lowering.builder.emit(REGISTRY["eye"], (), {"size": size}), (alone[0], alone[1]))
    return list(parts), lambda values: lowering.emit("select", lowering.emit("eq", *values), Lit(1.0), Lit(0.0))


PLANNERS: Final[Mapping[type[sympy.Basic], Callable[[Lowering, int], Plan]]] = {
    Index: plan_index,
    Extent: plan_extent,
    sympy.Indexed: plan_access,
    sympy.Sum: plan_sum,
    sympy.Product: plan_product,
    sympy.KroneckerDelta: plan_delta,
}
