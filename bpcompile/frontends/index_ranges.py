"""
Index notation before it is lowered: which symbols are indices, which are sizes, and over what ranges the indices run.

`Sum(x[i], (i, 0, n - 1))` binds `i`: each bound symbol becomes an `Index` that carries its range, innermost sums first, so that
two sums may use one name. A symbol that stands in an index and is bound nowhere is a free index, with the range of its `Idx`, or
of the axis in which it stands alone. Symbols in shapes and bounds are sizes. An `IndexedBase` without a shape is as long as the
ranges of its indices ask for. Positions count from 0, as in Python.

>>> i, n = sympy.symbols("i n", integer=True)
>>> x = sympy.IndexedBase("x")
>>> table = Table()
>>> root = table.add(sympy.Sum(x[i + 1], (i, 0, n - 1)))
>>> indices = Indices(table, [root], {})
>>> indices.resolve([root])
>>> indices.infer([indices.numbers[root]])
>>> list(indices.shapes.values())
[(n + 1,)]
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import sympy

from bpcompile import dims
from bpcompile.diagnostics import Diagnostic
from bpcompile.frontends.expression_table import ARRAY_HEADS, Index, Opaque, Table
from bpcompile.frontends.stages import Stage
from bpcompile.frontends.written_out import gathered, is_entry
from bpcompile.ir import Dim, Shape, show_shape

#: Ways to read the free indices of a stage that are tried.
_READINGS: Final = 64
#: What can stand between the brackets.
POSITIONS: Final = "a position is a sum of indices, each with a whole number as factor: `x[2*p + i]`"
#: Sums of so many numbers are written out.
_TERMS: Final = 64
_SCALAR_HEADS: Final = frozenset({sympy.Trace, sympy.Determinant, sympy.matrices.expressions.dotproduct.DotProduct})
_SIZE_HEADS: Final = (sympy.MatrixSymbol, sympy.IndexedBase, sympy.Idx, sympy.Identity, sympy.ZeroMatrix, ARRAY_HEADS["OneMatrix"])


class Entries(sympy.Expr):  # type: ignore[misc]  # SymPy's classes are untyped
    """The entry of a matrix at its row and column: what element-wise operations on matrices work on."""


class Extent(sympy.Expr):  # type: ignore[misc]  # SymPy's classes are untyped
    """How many values an index takes, as a number."""


@dataclass(frozen=True, slots=True)
class Affine:
    """
    A position that depends on indices in a linear way.

    Attributes:
        constant: What is left where all indices are 0.
        terms: The factor of each index, by the number of its node.
    """

    constant: Dim
    terms: Mapping[int, int]


class Indices:
    """
    The indices, sizes and shapes of the expressions in a table.

    Attributes:
        shapes: The shape of each array that is an input, by the number of its node.
        sizes: The name of each symbol that is a size, by the number of its node.
        numbers: The node that each node of the user's has become.
        faults: What is wrong with an array that is an input.
        notes: What a reader should know of them.
        no_values: Symbols that are no inputs: sizes, and arguments of functions that are applied to matrices.
        not_inputs: These, and symbols that are indices somewhere.
    """

    def __init__(self, table: Table, roots: Sequence[int], shapes: Mapping[str, Shape]) -> None:
        self.table = table
        self.shapes: dict[int, Shape] = {}
        self.sizes: dict[int, str] = {}
        self.numbers: dict[int, int] = {}
        self.faults: dict[int, Diagnostic] = {}
        self.notes: list[str] = []
        self._given = shapes
        self._values: dict[str, Dim] = {}
        self._leaves: set[int] = set()
        self._free_sets: list[frozenset[int]] = []
        self._inside: list[frozenset[int]] = []
        self._matrix_shapes: list[Shape | None] = []
        self._readings: dict[int, dict[int, None]] = {}
        self._order: dict[int, int] = {}
        self._entries: list[bool] = []
        self._ranges: dict[int, tuple[Dim, Dim]] = {}
        self.no_values: set[int] = set()
        self.not_inputs: set[int] = set()
        self.arguments = {p for n, h in enumerate(table.heads) if h is sympy.Lambda for p in table.args[table.args[n][0]]}
        self._scan(table.reachable(roots))
        self._use_given_shapes()

    # What the user's symbols are

    def _scan(self, nodes: Sequence[int]) -> None:
        table = self.table
        bound: set[int] = set()
        sizes: set[int] = set()
        for number in nodes:
            head, args = table.heads[number], table.args[number]
            if head in (sympy.Sum, sympy.Product):
                for limit in args[1:]:
                    bound.update(table.args[limit][:1])
                    sizes.update(n for n in table.reachable(table.args[limit][1:]) if self._is_symbol(n))
            elif head in _SIZE_HEADS:
                sizes.update(n for n in table.reachable(args) if self._is_symbol(n))
            elif head is sympy.MatrixSlice:
                sizes.update(n for n in table.reachable(args[1:]) if self._is_symbol(n))
            elif head is sympy.Lambda:
                bound.update(table.args[args[0]])
            if head is sympy.Idx:
                bound.add(number)
        sizes -= bound
        taken: set[str] = set()
        for number in sorted(sizes):
            atom: Any = table.atoms[number]
            name = _identifier(atom.name)
            while name in taken:
                name += "_"
            taken.add(name)
            self.sizes[number] = name
        for number in nodes:
            head, args = table.heads[number], table.args[number]
            positions = args[1:] if head in (sympy.Indexed, ARRAY_HEADS["MatrixElement"]) else args if head is sympy.KroneckerDelta else ()
            bound.update(n for n in table.reachable(positions) if self._is_symbol(n) and n not in self.sizes)
        self._leaves = bound
        self.no_values = self.arguments | set(self.sizes)
        self.not_inputs = self.no_values | {n for n in bound if self._is_symbol(n)}

    def _is_symbol(self, number: int) -> bool:
        return type(self.table.atoms[number]) in (sympy.Symbol, sympy.Dummy)

    def _use_given_shapes(self) -> None:
        """Let `--shape` say what the symbolic sizes of a matrix are."""
        for number, head in enumerate(list(self.table.heads)):
            if head not in (sympy.MatrixSymbol, sympy.IndexedBase) or not self.table.args[number]:
                continue
            given = self._given.get(array_name(self.table.atoms[number]))
            if given is not None and len(given) == len(self.table.args[number]):
                for part, size in zip(self.table.args[number], given, strict=True):
                    if part in self.sizes:
                        self._values.setdefault(self.sizes[part], size)

    # Sizes and positions

    def affine(self, root: int) -> Affine | None:
        """Return a position as a linear function of its indices, or None if it is none."""
        table = self.table
        found: dict[int, Affine | None] = {}
        for number in table.reachable([root]):
            atom, head = table.atoms[number], table.heads[number]
            parts = [found[part] for part in table.args[number]] if head in (sympy.Add, sympy.Mul) else []
            if number in self._leaves or isinstance(atom, Index):
                found[number] = Affine(0, {number: 1})
            elif isinstance(atom, sympy.Integer):
                found[number] = Affine(int(atom), {})
            elif number in self.sizes:
                name = self.sizes[number]
                found[number] = Affine(self._values.get(name, name), {})
            elif head is sympy.Add:
                found[number] = _sum(parts)
            elif head is sympy.Mul:
                found[number] = _product(parts)
            else:
                found[number] = None
        return found[root]

    def size(self, number: int) -> Dim | None:
        """Return the size that an expression says, or None if it says none."""
        position = self.affine(number)
        return position.constant if position is not None and not position.terms else None

    def range_of(self, number: int) -> tuple[Dim, Dim]:
        """Return first value and number of values of an index."""
        index: Any = self.table.atoms[number]
        return index.start, index.size

    def extent(self, position: Affine) -> tuple[Dim, Dim]:
        """Return the smallest and the largest value of a position."""
        low = high = position.constant
        for number, factor in position.terms.items():
            start, size = self.range_of(number)
            last = dims.subtract(dims.add(start, size), 1)
            first, end = (start, last) if factor > 0 else (last, start)
            low = dims.add(low, dims.multiply(factor, first))
            high = dims.add(high, dims.multiply(factor, end))
        return low, high

    # Binding

    def resolve(self, roots: Sequence[int]) -> None:
        """Give bound symbols their ranges in everything that `roots` are made of."""
        table = self.table
        for number in table.reachable(roots):
            if number not in self.numbers:
                args = tuple([self.numbers[part] for part in table.args[number]])
                if table.heads[number] in (sympy.Sum, sympy.Product):
                    self.numbers[number] = self._closed(table.heads[number], args)
                else:
                    node = self._renewed(number, args)
                    if table.heads[node] is sympy.Add and sum(map(self._has_entries, table.args[node])) > 1:
                        node = gathered(table, node)
                    self.numbers[number] = node
                    if table.heads[node] in (sympy.Sum, sympy.Add):
                        self._note_order(node)

    def _has_entries(self, node: int) -> bool:
        table, known = self.table, self._entries
        for number in range(len(known), len(table)):
            known.append(is_entry(table, number) or any(known[part] for part in table.args[number]))
        return known[node]

    def _note_order(self, node: int) -> None:
        for part in (node, *self.table.args[node]):
            if self.table.heads[part] is sympy.Sum:
                for index in self.table.args[part][1:]:
                    if isinstance(self.table.atoms[index], Index):
                        self.order(index)

    def _renewed(self, number: int, args: tuple[int, ...]) -> int:
        """Return a node with other arguments."""
        table = self.table
        head, atom = table.heads[number], table.atoms[number]
        if isinstance(atom, sympy.MatrixSymbol | sympy.IndexedBase | sympy.Idx):
            return number
        if head not in ARRAY_HEADS.values() and head is not Entries:
            args = tuple([self.as_scalar(part) for part in args])
        if args == table.args[number]:
            return number
        return table.stage(atom, args[0]) if isinstance(atom, Stage) else table.normal(head, args)

    def as_scalar(self, number: int) -> int:
        """Return a matrix of one entry as this entry, where a number is wanted."""
        shape = self.matrix_shape(number)
        if shape is None:
            return number
        table = self.table
        if shape != (1, 1):
            return self.refusal(f"a matrix of shape {show_shape(shape)} stands where a number is wanted", "`.applyfunc(f)` applies a function to each entry")
        zero = table.leaf(sympy.S.Zero)
        return table.node(ARRAY_HEADS["MatrixElement"], (number, zero, zero))

    def refusal(self, message: str, help_: str = "") -> int:
        """Return a leaf that is refused where it is needed."""
        return self.table.leaf(Opaque(f"{message}\n{help_}", "refused"))

    def _closed(self, head: type[sympy.Basic], args: tuple[int, ...]) -> int:
        """Return a sum or product whose symbols are bound."""
        table, name = self.table, head.__name__
        body = args[0]
        found: list[int] = []
        for limit in args[1:]:
            parts = table.args[limit]
            if len(parts) != 3 or parts[0] not in self._leaves:
                return self.refusal(f"a `{name}` without bounds", f"write `{name}(f, (i, 0, n - 1))`")
            low, high = self.size(parts[1]), self.size(parts[2])
            label = self._label(parts[0])
            if low is None or high is None:
                return self.refusal(f"the bounds of the {name.lower()} over `{label}` are not made of whole numbers and sizes")
            size = dims.add(dims.subtract(high, low), 1)
            if isinstance(size, int) and size < 0:
                return self.refusal(
                    f"the {name.lower()} over `{label}` runs from {dims.show(low)} down to {dims.show(high)}", "bounds go from the smaller to the larger"
                )
            if isinstance(low, int) and isinstance(size, int) and size <= _TERMS and not self._has_arrays(body):
                body = self._written_out(head, body, parts[0], range(low, low + size))
                continue
            index = table.leaf(Index(label, low, size, parts[0]))
            self._order.setdefault(index, len(self._order))
            self._readings.setdefault(parts[0], {})[index] = None
            if index in found:  # `Sum(f, (i, 0, 3), (i, 0, 3))`: the second knows nothing of the first
                body, found = table.node(head, (body, *found)), []
            body = self.bind(body, parts[0], index)
            found.append(index)
        return table.node(head, (body, *found)) if found else body

    def _has_arrays(self, node: int) -> bool:
        return any(self.table.heads[n] in (sympy.MatrixSymbol, sympy.IndexedBase, sympy.Idx) for n in self.table.reachable([node]))

    def _written_out(self, head: type[sympy.Basic], body: int, leaf: int, values: range) -> int:
        """Return a short sum or product of numbers term by term."""
        table = self.table
        terms = [self.bind(body, leaf, table.leaf(sympy.Integer(value))) for value in values]
        if len(terms) == 1:
            return terms[0]
        if not terms:
            return table.leaf(sympy.S.Zero if head is sympy.Sum else sympy.S.One)
        return table.node(sympy.Add if head is sympy.Sum else sympy.Mul, terms)

    def _label(self, number: int) -> str:
        atom: Any = self.table.atoms[number]
        return str(atom.label.name if isinstance(atom, sympy.Idx) else atom.name)

    def bind(self, root: int, leaf: int, value: int) -> int:
        """Return a node with `value` in the place of a leaf."""
        self._extend_free_sets()
        table, made = self.table, {leaf: value}
        stack = [root]
        while stack:
            node = stack[-1]
            if node in made:
                stack.pop()
            elif leaf not in self._leaf_set(node):
                made[node] = node
                stack.pop()
            elif missing := [part for part in table.args[node] if part not in made]:
                stack.extend(reversed(missing))
            else:
                made[node] = self._renewed(node, tuple([made[part] for part in table.args[node]]))
                stack.pop()
        return made[root]

    def _leaf_set(self, node: int) -> frozenset[int]:
        return self._free_sets[node]

    def _extend_free_sets(self) -> None:
        """Note which leaves that may be bound each node has."""
        table, sets = self.table, self._free_sets
        for number in range(len(sets), len(table)):
            parts = [sets[part] for part in table.args[number] if sets[part]]
            own = {number} if number in self._leaves or isinstance(table.atoms[number], Index) else set()
            found = parts[0] if len(parts) == 1 and not own else frozenset(own.union(*parts))
            if table.heads[number] in (sympy.Sum, sympy.Product):
                found -= {part for part in table.args[number][1:] if isinstance(table.atoms[part], Index)}
            sets.append(found)

    def inside(self, node: int) -> frozenset[int]:
        """Return the indices that a node has an axis for: those in it that no sum in it has taken."""
        table, sets = self.table, self._inside
        for number in range(len(sets), len(table)):
            if isinstance(table.atoms[number], Index):
                sets.append(frozenset({number}))
                continue
            args = table.args[number]
            found = frozenset().union(*(sets[part] for part in args)) if args else frozenset()
            if table.heads[number] in (sympy.Sum, sympy.Product):
                found -= set(args[1:])
            sets.append(found)
        return sets[node]

    def order(self, index: int) -> int:
        """Return where an index stands among all: inner sums first, free indices last."""
        return self._order.setdefault(index, len(self._order))

    # Shapes

    def matrix_shape(self, root: int) -> Shape | None:
        """Return the shape of a matrix, None for a scalar."""
        known = self._matrix_shapes
        for number in range(len(known), len(self.table)):
            known.append(self._matrix_shape(number))
        return known[root]

    def _matrix_shape(self, number: int) -> Shape | None:
        table, known = self.table, self._matrix_shapes
        head, args = table.heads[number], table.args[number]
        name = head.__name__
        of = [known[part] for part in args]
        matrices = [shape for shape in of if shape is not None]
        if name in ("MatrixSymbol", "ZeroMatrix", "OneMatrix", "ImmutableDenseMatrix"):
            return self._sized(args[:2])
        if name == "Identity":
            return self._sized((args[0], args[0]))
        if head in _SCALAR_HEADS or not matrices or name not in ARRAY_HEADS or name in ("MatrixElement", "Sum", "Product", "Indexed", "Tuple", "Lambda"):
            return None
        if name == "MatMul":
            return (matrices[0][0], matrices[-1][1])
        if name == "Transpose":
            return matrices[0][::-1]
        if name == "MatrixSlice":
            return self._slice_shape(args)
        if name == "KroneckerProduct":
            return dims.product(s[0] for s in matrices), dims.product(s[1] for s in matrices)
        if name == "BlockMatrix":
            rows, columns, entries = table.args[args[0]]
            blocks = [known[part] for part in table.args[entries]]
            down, across = self.size(rows), self.size(columns)
            if any(b is None for b in blocks) or not isinstance(down, int) or not isinstance(across, int):
                return None
            return _added(b[0] for b in blocks[::across] if b), _added(b[1] for b in blocks[:across] if b)
        if name == "BlockDiagMatrix":
            return _added(s[0] for s in matrices), _added(s[1] for s in matrices)
        if name == "DiagMatrix":
            size = dims.product(matrices[0])
            return size, size
        return matrices[0]

    def _sized(self, parts: Sequence[int]) -> Shape | None:
        sizes = [self.size(part) for part in parts]
        return tuple(size for size in sizes if size is not None) if None not in sizes else ("?", "?")

    def _slice_shape(self, args: Sequence[int]) -> Shape | None:
        sizes = []
        for part in args[1:]:
            start, stop, step = (self.size(bound) for bound in self.table.args[part])
            if start is None or stop is None or not isinstance(step, int) or step < 1:
                return ("?", "?")
            sizes.append(dims.divide(dims.subtract(stop, start), step))
        return tuple(sizes)

    def infer(self, roots: Sequence[int]) -> None:
        """Find the ranges of free indices and the shapes of arrays in everything that (resolved) `roots` are made of."""
        accesses = list(self._accesses(roots))
        wanted = self._free_leaves(roots)
        ranges: dict[int, tuple[Dim, Dim]] = {}
        for leaf in wanted:
            own = [self.size(part) for part in self.table.args[leaf]]
            if len(own) == 2 and own[0] is not None and own[1] is not None:
                ranges[leaf] = own[0], dims.add(dims.subtract(own[1], own[0]), 1)
        shapes = {base: self._declared(base) for base, _ in accesses}
        for number in self.table.reachable(roots):
            if self.table.heads[number] in (sympy.MatrixSymbol, sympy.IndexedBase):
                shapes.setdefault(number, self._declared(number))
        bases: dict[int, list[tuple[Affine | None, ...]]] = {}
        for base, places in accesses:
            if self.table.heads[base] is sympy.IndexedBase:
                bases.setdefault(base, []).append(places)
        for strict in (True, False):
            changed = True
            while changed:
                changed = self._infer_ranges(accesses, shapes, ranges, wanted)
                for base, uses in bases.items():
                    if shapes[base] is None and (shape := self._infer_shape(base, uses, ranges, strict=strict)):
                        shapes[base] = shape
                        changed = True
        for base, shape in shapes.items():
            if self.table.heads[base] not in (sympy.MatrixSymbol, sympy.IndexedBase):
                continue
            if shape is None and base not in self.faults:
                name = array_name(self.table.atoms[base])
                help_ = f'give it: `IndexedBase("{name}", shape=(n,))`; or give its indices a range: `i = Idx("i", n)`'
                self.faults[base] = Diagnostic("E157", f"the shape of `{name}` is not known", help=help_)
            self.shapes[base] = shape or ()
            if base in bases and not self.table.args[base] and shape is not None:
                self._note_unread(base, bases[base], ranges)
        for leaf in wanted:
            if leaf in ranges:
                index = self.table.leaf(Index(self._label(leaf), *ranges[leaf], leaf))
                self._readings.setdefault(leaf, {})[index] = None
        self._ranges = ranges

    def _note_unread(self, base: int, uses: Sequence[tuple[Affine | None, ...]], ranges: Mapping[int, tuple[Dim, Dim]]) -> None:
        """Note an array without a shape of its own whose first elements nobody reads: a sum from 1 may have been meant to start there."""
        for axis, places in enumerate(zip(*uses, strict=True)):
            lows = [self._low(place, ranges) for place in places]
            if all(low is not None and dims.is_nonnegative(dims.subtract(low, 1)) for low in lows):
                where = f"axis {axis} of `{array_name(self.table.atoms[base])}`"
                self.notes.append(f"{where} is never read at position 0: positions count from 0, so that a sum from 1 leaves one out")

    def _low(self, place: Affine | None, ranges: Mapping[int, tuple[Dim, Dim]]) -> Dim | None:
        if place is None:
            return None
        low = place.constant
        for number, factor in place.terms.items():
            known = self._known_range(number, ranges)
            if known is None:
                return None
            first = known[0] if factor > 0 else dims.subtract(dims.add(*known), 1)
            low = dims.add(low, dims.multiply(factor, first))
        return low

    def close(self, root: int) -> int:
        """Return a (resolved) node whose free indices have their ranges."""
        number = self.numbers[root]
        for leaf in sorted(self._free_leaves([number])):
            if leaf in self._ranges:
                index = self.table.leaf(Index(self._label(leaf), *self._ranges[leaf], leaf))
                self.order(index)
                number = self.bind(number, leaf, index)
            elif self._is_symbol(leaf) or self.table.heads[leaf] is sympy.Idx:
                label = self._label(leaf)
                help_ = f'say how far it runs: `{label} = Idx("{label}", n)`, or give the array a shape'
                number = self.bind(number, leaf, self.refusal(f"the range of the index `{label}` is not known", help_))
        return number

    def close_like(self, root: int, known: set[int]) -> int:
        """Return a stage with its free indices read such that it is one of the `known` nodes, if there is such a reading."""
        number = self.numbers[root]
        leaves = [leaf for leaf in sorted(self._free_leaves([number])) if self._readings.get(leaf)]
        first = None
        for tried, reading in enumerate(product(*(self._readings[leaf] for leaf in leaves))):
            closed = number
            for leaf, index in zip(leaves, reading, strict=True):
                closed = self.bind(closed, leaf, index)
            if closed in known:
                return closed
            first = closed if first is None else first
            if tried >= _READINGS:
                break
        return number if first is None else first

    def _free_leaves(self, roots: Sequence[int]) -> list[int]:
        return [n for n in self.table.reachable(roots) if n in self._leaves and not self._is_lambda(n)]

    def _is_lambda(self, number: int) -> bool:
        """Whether a leaf is bound by a function that is applied to matrices."""
        return number in self.arguments

    def _accesses(self, roots: Sequence[int]) -> Iterator[tuple[int, tuple[Affine | None, ...]]]:
        for number in self.table.reachable(roots):
            if self.table.heads[number] in (sympy.Indexed, ARRAY_HEADS["MatrixElement"]):
                base, *places = self.table.args[number]
                yield base, tuple(self.affine(place) for place in places)
            elif self.table.heads[number] is sympy.KroneckerDelta:
                yield number, tuple(self.affine(place) for place in self.table.args[number])

    def _declared(self, base: int) -> Shape | None:
        table = self.table
        if table.heads[base] is not sympy.IndexedBase:
            shape = self.matrix_shape(base)
            if shape is not None and "?" in shape:
                if table.heads[base] is sympy.MatrixSymbol:
                    self.faults[base] = _no_sizes(table.atoms[base])
                return None
            return shape
        sizes = tuple(self.size(part) for part in table.args[base])
        given = self._given.get(array_name(table.atoms[base]))
        if not sizes:
            return given
        if None in sizes:
            self.faults[base] = _no_sizes(table.atoms[base])
            return None
        return tuple(size for size in sizes if size is not None)

    def _infer_ranges(self, accesses: Sequence[Any], shapes: Mapping[int, Shape | None], ranges: dict[int, tuple[Dim, Dim]], wanted: Sequence[int]) -> bool:
        changed = False
        for base, places in accesses:
            if self.table.heads[base] is sympy.KroneckerDelta:
                changed |= self._infer_equal(places, ranges, wanted)
                continue
            for axis, place in enumerate(places):
                alone = _alone(place)
                shape = shapes.get(base)
                if alone is not None and alone in wanted and alone not in ranges and shape is not None and axis < len(shape):
                    ranges[alone] = 0, shape[axis]
                    changed = True
        return changed

    def _infer_equal(self, places: tuple[Affine | None, ...], ranges: dict[int, tuple[Dim, Dim]], wanted: Sequence[int]) -> bool:
        """Give an index that is compared with another the range of that one."""
        first, second = (_alone(place) for place in places[:2])
        for one, other in ((first, second), (second, first)):
            if one is not None and other is not None and one in wanted and one not in ranges:
                known = self._known_range(other, ranges)
                if known is not None:
                    ranges[one] = known
                    return True
        return False

    def _known_range(self, number: int, ranges: Mapping[int, tuple[Dim, Dim]]) -> tuple[Dim, Dim] | None:
        return self.range_of(number) if isinstance(self.table.atoms[number], Index) else ranges.get(number)

    def _infer_shape(self, base: int, uses: Sequence[tuple[Affine | None, ...]], ranges: Mapping[int, tuple[Dim, Dim]], *, strict: bool) -> Shape | None:
        """Return the shape that the uses of an array ask for; where not `strict`, those uses that have ranges."""
        name = array_name(self.table.atoms[base])
        if any(place is None for places in uses for place in places):
            self.faults.setdefault(base, Diagnostic("E157", f"an index of `{name}` has no meaning here", help=POSITIONS))
            return None
        if len({len(places) for places in uses}) > 1:
            self.faults.setdefault(base, Diagnostic("E159", f"`{name}` is used with {len(uses[0])} and with {len(uses[-1])} indices"))
            return None
        sizes: list[Dim] = []
        for axis in range(len(uses[0])):
            ends: list[Dim] = []
            for places in uses:
                end = self._end(places[axis], ranges)
                if end is not None:
                    ends.append(end)
                elif strict:
                    return None
            if not ends:
                return None
            largest = next((e for e in ends if all(dims.is_nonnegative(dims.subtract(e, other)) for other in ends)), None)
            if largest is None:
                shown = " and ".join(dict.fromkeys(dims.show(e) for e in ends))
                message = f"`{name}` is used up to lengths {shown}, and which of them is larger is not known"
                self.faults.setdefault(base, Diagnostic("E159", message, help=f'say how long it is: `IndexedBase("{name}", shape=(n,))`'))
                return None
            sizes.append(largest)
        return tuple(sizes)

    def _end(self, place: Affine | None, ranges: Mapping[int, tuple[Dim, Dim]]) -> Dim | None:
        """Return how long an axis must be for a position, None if that is not known."""
        if place is None:
            return None
        end = dims.add(place.constant, 1)
        for number, factor in place.terms.items():
            known = self._known_range(number, ranges)
            if known is None:
                return None
            last = known[0] if factor < 0 else dims.subtract(dims.add(*known), 1)
            end = dims.add(end, dims.multiply(factor, last))
        return end


def array_name(atom: Any) -> str:
    """Return the name of a matrix or an indexed base."""
    return str(atom.name)


def _no_sizes(atom: Any) -> Diagnostic:
    help_ = "sizes are whole numbers, symbols, and sums and products of these"
    return Diagnostic("E157", f"the shape of `{array_name(atom)}` is not made of whole numbers and sizes", help=help_)


def _identifier(name: str) -> str:
    """Return a name that can stand in code."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII) or "n"
    text = f"n{text}" if text[0].isdigit() else text
    return f"{text}_" if keyword.iskeyword(text) else text


def _added(sizes: Iterator[Dim]) -> Dim:
    total: Dim = 0
    for size in sizes:
        total = dims.add(total, size)
    return total


def _alone(place: Affine | None) -> int | None:
    """Return the index that a position is, None if it is anything else."""
    if place is None or place.constant != 0 or list(place.terms.values()) != [1]:
        return None
    return next(iter(place.terms))


def _sum(parts: Sequence[Affine | None]) -> Affine | None:
    constant: Dim = 0
    terms: dict[int, int] = {}
    for part in parts:
        if part is None:
            return None
        constant = dims.add(constant, part.constant)
        for number, factor in part.terms.items():
            terms[number] = terms.get(number, 0) + factor
    return Affine(constant, {number: factor for number, factor in terms.items() if factor})


def _product(parts: Sequence[Affine | None]) -> Affine | None:
    constant: Dim = 1
    linear: Affine | None = None
    for part in parts:
        if part is None or (part.terms and linear is not None):
            return None
        if part.terms:
            linear = part
        else:
            constant = dims.multiply(constant, part.constant)
    if linear is None:
        return Affine(constant, {})
    if not isinstance(constant, int):
        return None
    return Affine(dims.multiply(constant, linear.constant), {number: constant * factor for number, factor in linear.terms.items()})
