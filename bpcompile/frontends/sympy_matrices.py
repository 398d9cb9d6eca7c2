"""
Matrix expressions as operations on arrays of two axes.

Whatever works entry by entry (sums, multiples, Hadamard products, `applyfunc`) is read as an expression in the entries, with the
same rules as numbers; products, traces and transposes are contractions, so that `A.T*B` needs no transpose of its own. Vectors
are matrices of one column or one row and keep their two axes.

A named product is found again in a longer one, as SymPy flattens `(W*X)*Y`; a matrix whose transpose is named is read as `Z.T`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import sympy

from bpcompile import contraction, dims
from bpcompile.frontends import sympy_indices
from bpcompile.frontends.expression_table import ARRAY_HEADS, Index, Table
from bpcompile.frontends.index_ranges import Entries, Indices
from bpcompile.frontends.sympy_indices import Element, Value, ordered
from bpcompile.ir import Dim, Lit, Shape, Var
from bpcompile.ops import linalg
from bpcompile.primitive import REGISTRY

if TYPE_CHECKING:
    from bpcompile.frontends.sympy_exprs import Lowering, Plan

#: A factor of a product: the node of a matrix, and whether it is transposed.
_Factor = tuple[int, bool]
#: Up to here powers are written as products.
_PRODUCTS: Final = 3
#: Matrices nested deeper than this are not compared with transposes.
_DEPTH: Final = 30

_APPLY: Final = ARRAY_HEADS["ElementwiseApplyFunction"]
_ONE: Final = ARRAY_HEADS["OneMatrix"]
_KRON: Final = ARRAY_HEADS["KroneckerProduct"]
_DOT: Final = ARRAY_HEADS["DotProduct"]


class Products:
    """The products of matrices that have a name, to be found again in longer ones."""

    def __init__(self) -> None:
        self._by_first: dict[_Factor, list[tuple[tuple[_Factor, ...], _Factor]]] = {}

    def add(self, node: int, factors: Sequence[_Factor]) -> None:
        """File a named product, and its transpose."""
        if len(factors) > 1:
            turned = tuple((base, not flag) for base, flag in reversed(factors))
            for form, name in ((tuple(factors), (node, False)), (turned, (node, True))):
                self._by_first.setdefault(form[0], []).append((form, name))

    def cover(self, factors: Sequence[_Factor], whole: int) -> list[_Factor]:
        """Return a product with named parts in the place of their factors: the longest first, among equals the latest."""
        result: list[_Factor] = []
        at = 0
        while at < len(factors):
            best: tuple[tuple[_Factor, ...], _Factor] | None = None
            for form, name in self._by_first.get(factors[at], ()):
                fits = tuple(factors[at : at + len(form)]) == form and name[0] != whole
                if fits and (best is None or len(form) >= len(best[0])):
                    best = form, name
            result.append(best[1] if best else factors[at])
            at += len(best[0]) if best else 1
        return result


# Entries ----------------------------------------------------------------------------------------------------------------


def entries(table: Table, indices: Indices, node: int) -> int | None:
    """Return a matrix that is computed entry by entry as an expression in the entries of others, None for any other."""
    head, args = table.heads[node], table.args[node]

    def entry(part: int) -> int:
        return table.node(Entries, (part,)) if indices.matrix_shape(part) is not None else part

    if head is sympy.MatAdd:
        return table.node(sympy.Add, [_multiple(table, indices, part) or entry(part) for part in args])
    if head is sympy.MatMul:
        return _multiple(table, indices, node)
    if head is sympy.HadamardProduct:
        return table.node(sympy.Mul, [entry(part) for part in args])
    if head is sympy.HadamardPower:
        return table.node(sympy.Pow, [entry(part) for part in args])
    if head is _APPLY:
        function, matrix = args
        if table.heads[function] is not sympy.Lambda or len(table.args[table.args[function][0]]) != 1:
            return indices.refusal("a function that is applied to a matrix has no formula", "`A.applyfunc(lambda t: ...)`")
        variables, body = table.args[function]
        return indices.bind(body, table.args[variables][0], entry(matrix))
    if head is sympy.ZeroMatrix:
        return table.leaf(sympy.S.Zero)
    if head is _ONE:
        return table.leaf(sympy.S.One)
    return None


def _multiple(table: Table, indices: Indices, node: int) -> int | None:
    """Return a number times a product of matrices as an expression in the entries of the product."""
    if table.heads[node] is not sympy.MatMul:
        return None
    args = table.args[node]
    numbers = [part for part in args if indices.matrix_shape(part) is None]
    if not numbers:
        return None
    matrices = [part for part in args if part not in numbers]
    factors = [f for part in numbers for f in (table.args[part] if table.heads[part] is sympy.Mul else (part,))]
    factors.sort(key=lambda part: table.value(part) is None)
    if not matrices:
        return None
    of = matrices[0] if len(matrices) == 1 else table.node(sympy.MatMul, matrices)
    return table.node(sympy.Mul, [*factors, table.node(Entries, (of,))])


def entry_indices(table: Table, indices: Indices, shape: Shape) -> tuple[int, int]:
    """Return the indices of rows and columns."""
    found = [table.leaf(Index(name, 0, size)) for name, size in zip(("row", "column"), shape, strict=True)]
    for index in found:
        indices.order(index)
    return found[0], found[1]


def plan_entries(lowering: Lowering, node: int) -> Plan:
    """Plan the entries of a matrix."""
    (matrix,) = lowering.table.args[node]
    places = entry_indices(lowering.table, lowering.indices, lowering.shape_of(matrix))
    return [matrix], lambda values: Element(_array(lowering, values[0]), places)


def plan_entrywise(lowering: Lowering, node: int) -> Plan:
    """Plan a matrix that is computed entry by entry."""
    table = lowering.table
    shape = lowering.shape_of(node)
    scalar = entries(table, lowering.indices, node)
    if scalar is None:
        return plan_matmul(lowering, node)
    if (turned := _turned(lowering, node)) is not None:
        return [turned], lambda values: _transposed(_array(lowering, values[0]))
    return [scalar], lambda values: gathered(lowering, values[0], shape)


def gathered(lowering: Lowering, value: Value, shape: Shape) -> Var:
    """Return the matrix whose entries an expression gives."""
    if isinstance(value, Element):
        places = entry_indices(lowering.table, lowering.indices, shape)
        if not set(value.indices) <= set(places):
            raise lowering.refuse("E157", f"a matrix in `{lowering.stage}` depends on indices beside its own", "write the whole in index notation")
        array = ordered(value, tuple(i for i in places if i in value.indices)).array
        if len(value.indices) == 2:
            return array
        if value.indices == places[:1]:
            array = REGISTRY["getitem"](array, index=(("slice", None, None, None), None))
        return lowering.builder.emit(REGISTRY["broadcast_to"], (array,), {"shape": shape})
    number = Lit(float(value.value)) if isinstance(value, Lit) else value
    return lowering.builder.emit(REGISTRY["full"], (number,), {"shape": shape})


def _array(lowering: Lowering, value: Value) -> Var:
    if not isinstance(value, Var):
        raise lowering.refuse("E157", f"a matrix in `{lowering.stage}` depends on indices", "write the whole in index notation")
    return value


# Products ---------------------------------------------------------------------------------------------------------------


def factors_of(lowering: Lowering, node: int) -> list[_Factor] | None:
    """Return the factors of a product of matrices; None if it has numbers among them."""
    table = lowering.table
    parts = table.args[node] if table.heads[node] is sympy.MatMul else (node,)
    if any(lowering.indices.matrix_shape(part) is None for part in parts):
        return None
    found = []
    for part in parts:
        turned = _turned(lowering, part)
        if table.heads[part] is sympy.Transpose:
            found.append((table.args[part][0], True))
        elif table.heads[part] is not sympy.Identity or len(parts) == 1:
            found.append((part, False) if turned is None else (turned, True))
    return found or [(parts[0], False)]


def plan_matmul(lowering: Lowering, node: int) -> Plan:
    """Plan a product of matrices."""
    factors = factors_of(lowering, node) or []
    factors = lowering.products.cover(factors, node)
    return [base for base, _ in factors], lambda values: _chain(lowering, values, factors, closed=False)


def _chain(lowering: Lowering, values: Sequence[Value], factors: Sequence[_Factor], *, closed: bool) -> Value:
    """Emit the product of a chain of matrices, or its trace."""
    letters = "ijklmnpqrstuvwxyzabcdefgh"
    if len(factors) >= len(letters):
        half = len(factors) // 2
        first = _chain(lowering, values[:half], factors[:half], closed=False)
        second = _chain(lowering, values[half:], factors[half:], closed=False)
        return _chain(lowering, [first, second], [(-1, False), (-1, False)], closed=closed)
    arrays = [_array(lowering, value) for value in values]
    if closed and len(factors) == 2 and arrays[0] is arrays[1] and factors[0][1] != factors[1][1]:
        return sympy_indices.squares(lowering, arrays[0])
    ends = [(letters[k], "i" if closed and k == len(factors) - 1 else letters[k + 1]) for k in range(len(factors))]
    inputs = [b + a if flag else a + b for (a, b), (_, flag) in zip(ends, factors, strict=True)]
    made = contraction.contract(arrays, inputs, "" if closed else "i" + ends[-1][1])
    return made if isinstance(made, Var) else Lit(made)


def plan_trace(lowering: Lowering, node: int) -> Plan:
    """Plan a trace: of a product it is a contraction as well."""
    matrix = lowering.table.args[node][0]
    factors = factors_of(lowering, matrix) if matrix not in lowering.atoms else None
    if factors is None or len(factors) == 1:
        return [matrix], lambda values: REGISTRY["trace"](_array(lowering, values[0]))
    factors = lowering.products.cover(factors, -1)
    return [base for base, _ in factors], lambda values: _chain(lowering, values, factors, closed=True)


def plan_only_entry(lowering: Lowering, node: int) -> Plan:
    """Plan the entry of a matrix of one, which is its trace as well."""
    matrix = lowering.table.args[node][0]
    if lowering.indices.matrix_shape(matrix) != (1, 1) or lowering.table.heads[matrix] is not sympy.MatMul or matrix in lowering.atoms:
        return sympy_indices.plan_access(lowering, node)
    return plan_trace(lowering, node)


def plan_dot(lowering: Lowering, node: int) -> Plan:
    """Plan the product of two vectors, each of one column or one row."""
    first, second = lowering.table.args[node]
    same = (lowering.shape_of(first)[0] == 1) == (lowering.shape_of(second)[0] == 1)

    def build(values: list[Value]) -> Value:
        made = contraction.contract([_array(lowering, v) for v in values], ["ij", "ij" if same else "ji"], "")
        return made if isinstance(made, Var) else Lit(made)

    return [first, second], build


def plan_power(lowering: Lowering, node: int) -> Plan:
    """Plan a power of a matrix with a whole number as exponent."""
    table = lowering.table
    base, exponent = table.args[node]
    exact = table.value(exponent)
    zero = table.atoms[exponent] == 0
    if (exact is None and not zero) or (exact is not None and exact[0].denominator != 1):
        if lowering.shape_of(base) == (1, 1):
            scalar = lowering.indices.as_scalar(base)
            return [table.node(sympy.Pow, (scalar, exponent))], lambda values: gathered(lowering, values[0], (1, 1))
        help_ = "whole numbers are powers of a matrix; for powers of its entries there is `HadamardPower`"
        raise lowering.refuse("E150", f"the exponent of a matrix in `{lowering.stage}` is not a whole number", help_)
    power = 0 if exact is None else int(exact[0])
    if power == 0:
        return [], lambda _: lowering.builder.emit(REGISTRY["eye"], (), {"size": lowering.shape_of(base)[0]})
    if 0 < power <= _PRODUCTS:
        factors = (factors_of(lowering, base) if table.heads[base] is sympy.Transpose else None) or [(base, False)]
        return [factors[0][0]] * power, lambda values: _chain(lowering, values, factors * power, closed=False)
    return [base], lambda values: REGISTRY["matrix_power"](_array(lowering, values[0]), n=power)


# Transposes -------------------------------------------------------------------------------------------------------------


def _transposed(array: Var) -> Var:
    turned: Var = REGISTRY["transpose"](array, perm=(1, 0))
    return turned


def plan_transpose(lowering: Lowering, node: int) -> Plan:
    """Plan a transpose."""
    return [lowering.table.args[node][0]], lambda values: _transposed(_array(lowering, values[0]))


def _turned(lowering: Lowering, node: int) -> int | None:
    """Return the node of the transpose of a sum or product, where it is known and has fewer transposes itself."""
    table = lowering.table
    if table.heads[node] not in (sympy.MatAdd, sympy.MatMul, sympy.HadamardProduct, _APPLY) or node in lowering.atoms:
        return None
    found = _find_transpose(table, lowering.indices, node, _DEPTH)
    if found is None or found == node or found >= lowering.user_nodes:
        return None
    return found if found in lowering.atoms or _transposes(table, found) < _transposes(table, node) else None


def _transposes(table: Table, node: int) -> int:
    return sum(table.heads[part] is sympy.Transpose for part in table.reachable([node]))


def _find_transpose(table: Table, indices: Indices, node: int, depth: int) -> int | None:
    """Return the node of the transpose of a matrix, None if there is none."""
    head, args = table.heads[node], table.args[node]
    if head is sympy.Transpose:
        return args[0]
    if depth and head in (sympy.MatAdd, sympy.MatMul, sympy.HadamardProduct, _APPLY):
        parts: list[int] = []
        for part in args:
            other = part if indices.matrix_shape(part) is None else _find_transpose(table, indices, part, depth - 1)
            if other is None:
                return None
            parts.append(other)
        if head is sympy.MatMul:
            numbers = [part for part in parts if indices.matrix_shape(part) is None]
            parts = numbers + [part for part in reversed(parts) if indices.matrix_shape(part) is not None]
        found = table.find(head, sorted(parts) if head is sympy.MatAdd else parts)
        if found is not None:
            return found
    if head is sympy.Identity:
        return node
    return table.find(sympy.Transpose, (node,))


# Others -----------------------------------------------------------------------------------------------------------------


def _unary(name: str) -> Callable[[Lowering, int], Plan]:
    def plan(lowering: Lowering, node: int) -> Plan:
        return [lowering.table.args[node][0]], lambda values: REGISTRY[name](_array(lowering, values[0]))

    return plan


def plan_identity(lowering: Lowering, node: int) -> Plan:
    """Plan an identity matrix."""
    return [], lambda _: lowering.builder.emit(REGISTRY["eye"], (), {"size": lowering.shape_of(node)[0]})


def plan_slice(lowering: Lowering, node: int) -> Plan:
    """Plan a part of a matrix: `A[0:2, 1:3]`."""
    table, indices = lowering.table, lowering.indices
    matrix, *ranges = table.args[node]
    index: list[Any] = []
    for part, size in zip(ranges, lowering.shape_of(matrix), strict=True):
        start, stop, step = (indices.size(bound) for bound in table.args[part])
        if start is None or stop is None or not isinstance(step, int) or step < 1:
            raise lowering.refuse("E157", f"a slice of a matrix in `{lowering.stage}` is not made of whole numbers and sizes")
        if not (dims.is_nonnegative(start) and dims.is_nonnegative(dims.subtract(size, stop))):
            reach = f"{dims.show(start)} to {dims.show(stop)}"
            raise lowering.refuse("E159", f"a slice from {reach} in `{lowering.stage}` is not known to lie inside an axis of size {dims.show(size)}")
        if isinstance(dims.subtract(stop, start), int) and dims.subtract(stop, start) % step:
            help_ = "SymPy and Python count its rows differently: let the step divide the length"
            raise lowering.refuse("E157", f"a slice from {dims.show(start)} to {dims.show(stop)} in steps of {step} in `{lowering.stage}`", help_)
        index.append(("slice", None if start == 0 else start, None if stop == size else stop, None if step == 1 else step))
    return [matrix], lambda values: REGISTRY["getitem"](_array(lowering, values[0]), index=tuple(index))


def plan_kronecker(lowering: Lowering, node: int) -> Plan:
    """Plan a Kronecker product."""

    def build(values: list[Value]) -> Value:
        arrays = [_array(lowering, value) for value in values]
        total = arrays[0]
        for array in arrays[1:]:
            total = linalg.kron(total, array)
        return total

    return list(lowering.table.args[node]), build


def plan_blocks(lowering: Lowering, node: int) -> Plan:
    """Plan a matrix of matrices."""
    table = lowering.table
    _, columns, held = table.args[table.args[node][0]]
    across = _integer(table, columns)
    return list(table.args[held]), lambda values: _joined([_array(lowering, v) for v in values], across)


def _integer(table: Table, node: int) -> int:
    atom: Any = table.atoms[node]
    return int(atom)


def _joined(blocks: Sequence[Var], across: int) -> Var:
    lines = [_concatenated(blocks[k : k + across], 1) for k in range(0, len(blocks), across)]
    return _concatenated(lines, 0)


def _concatenated(arrays: Sequence[Var], axis: int) -> Var:
    return arrays[0] if len(arrays) == 1 else REGISTRY["concatenate"](*arrays, axis=axis)


def plan_diagonal_blocks(lowering: Lowering, node: int) -> Plan:
    """Plan matrices along a diagonal, zeros beside them."""
    parts = list(lowering.table.args[node])
    shapes = [lowering.shape_of(part) for part in parts]

    def build(values: list[Value]) -> Value:
        blocks = []
        for i, value in enumerate(values):
            for j in range(len(values)):
                zeros: tuple[Dim, Dim] = (shapes[i][0], shapes[j][1])
                blocks.append(_array(lowering, value) if i == j else lowering.builder.emit(REGISTRY["zeros"], (), {"shape": zeros}))
        return _joined(blocks, len(values))

    return parts, build


def plan_diagonal(lowering: Lowering, node: int) -> Plan:
    """Plan the diagonal matrix of a vector."""
    (vector,) = lowering.table.args[node]
    places = (("slice", None, None, None), 0) if lowering.shape_of(vector)[1] == 1 else (0,)
    return [vector], lambda values: REGISTRY["diag"](REGISTRY["getitem"](_array(lowering, values[0]), index=places))


def plan_explicit(lowering: Lowering, node: int) -> Plan:
    """Plan a matrix that is written out, entry by entry."""
    rows, columns, held = lowering.table.args[node]
    shape = (_integer(lowering.table, rows), _integer(lowering.table, columns))

    def build(values: list[Value]) -> Value:
        entries = [v for v in values if isinstance(v, Var | Lit) and not v.shape]
        if len(entries) < len(values):
            raise lowering.refuse("E157", f"an entry of a matrix in `{lowering.stage}` is an array itself", "give its element: `x[i]`")
        if not values:
            return lowering.builder.emit(REGISTRY["zeros"], (), {"shape": shape})
        numbers = [float(v.value) if isinstance(v, Lit) else v for v in entries]
        return lowering.builder.emit(REGISTRY["matrix"], numbers, {"shape": shape})

    return list(lowering.table.args[held]), build


PLANNERS: Final[Mapping[type[sympy.Basic], Callable[[Lowering, int], Plan]]] = {
    Entries: plan_entries,
    sympy.MatAdd: plan_entrywise,
    sympy.MatMul: plan_entrywise,
    sympy.HadamardProduct: plan_entrywise,
    sympy.HadamardPower: plan_entrywise,
    _APPLY: plan_entrywise,
    sympy.ZeroMatrix: plan_entrywise,
    _ONE: plan_entrywise,
    sympy.Trace: plan_trace,
    ARRAY_HEADS["MatrixElement"]: plan_only_entry,
    sympy.Determinant: _unary("det"),
    sympy.Inverse: _unary("inv"),
    sympy.MatPow: plan_power,
    sympy.Transpose: plan_transpose,
    sympy.Identity: plan_identity,
    sympy.MatrixSlice: plan_slice,
    _DOT: plan_dot,
    _KRON: plan_kronecker,
    sympy.BlockMatrix: plan_blocks,
    sympy.BlockDiagMatrix: plan_diagonal_blocks,
    sympy.DiagMatrix: plan_diagonal,
    sympy.ImmutableDenseMatrix: plan_explicit,
}
