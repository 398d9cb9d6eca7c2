"""
SymPy expressions as a flat table of nodes: each distinct sub-expression once, arguments before the nodes that use them.

Everything after this module works on node numbers: no recursion over an expression, no comparison of deep trees, and a shared
part is visited once however often it occurs. The table also travels between processes (`encode`, `decode`) and turns back into
SymPy objects without evaluating them again (`rebuild`).

Nodes that the compiler has no meaning for become `Opaque` leaves that remember what they were.

>>> x = sympy.Symbol("x")
>>> table = Table()
>>> root = table.add(sympy.sin(x) * sympy.cos(x) + sympy.sin(x))
>>> len(table), table.rebuild([root])[0]
(5, sin(x)*cos(x) + sin(x))
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Self

import sympy
from sympy.codegen import cfunctions, numpy_nodes
from sympy.core.function import Application, AppliedUndef
from sympy.core.operations import LatticeOp
from sympy.core.relational import Relational
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanFalse, BooleanTrue
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.kronecker import KroneckerProduct
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.special import OneMatrix
from sympy.matrices.matrixbase import MatrixBase

from bpcompile.frontends.stages import Stage
from bpcompile.ir import Dim

#: The kinds of inner nodes that stand for arrays or for their elements, and what these are made with.
ARRAY_HEADS: Final[Mapping[str, type[sympy.Basic]]] = {
    head.__name__: head
    for head in (
        *(sympy.MatAdd, sympy.MatMul, sympy.MatPow, sympy.Transpose, sympy.Adjoint, sympy.Inverse, sympy.Trace, sympy.Determinant),
        *(sympy.HadamardProduct, sympy.HadamardPower, ElementwiseApplyFunction, sympy.Lambda, MatrixElement, sympy.MatrixSlice),
        *(sympy.Identity, sympy.ZeroMatrix, OneMatrix, DotProduct, KroneckerProduct, sympy.BlockMatrix, sympy.BlockDiagMatrix),
        *(sympy.DiagMatrix, sympy.ImmutableDenseMatrix, sympy.Tuple),
        *(sympy.Indexed, sympy.Sum, sympy.Product, sympy.KroneckerDelta),
    )
}

#: Every kind of inner node that has a meaning, by class name.
HEADS: Final[Mapping[str, type[sympy.Basic]]] = {
    head.__name__: head
    for head in (
        *(sympy.Add, sympy.Mul, sympy.Pow, sympy.exp, sympy.log, sympy.Abs, sympy.sign, sympy.Min, sympy.Max),
        *(sympy.sin, sympy.cos, sympy.tan, sympy.sec, sympy.csc, sympy.cot),
        *(sympy.asin, sympy.acos, sympy.atan, sympy.asec, sympy.acsc, sympy.acot, sympy.atan2, sympy.sinc),
        *(sympy.sinh, sympy.cosh, sympy.tanh, sympy.sech, sympy.csch, sympy.coth),
        *(sympy.asinh, sympy.acosh, sympy.atanh, sympy.asech, sympy.acsch, sympy.acoth),
        *(sympy.floor, sympy.ceiling, sympy.frac, sympy.Mod, sympy.Heaviside, sympy.arg),
        *(sympy.re, sympy.im, sympy.conjugate, sympy.UnevaluatedExpr),
        *(sympy.erf, sympy.erfc, sympy.erfinv, sympy.gamma, sympy.loggamma, sympy.polygamma, sympy.beta),
        *(sympy.Piecewise, ExprCondPair, sympy.ITE, sympy.And, sympy.Or, sympy.Not, sympy.Xor, sympy.Implies),
        *(sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge, sympy.Eq, sympy.Ne),
        *(cfunctions.log1p, cfunctions.expm1, cfunctions.exp2, cfunctions.log2, cfunctions.log10),
        *(cfunctions.Sqrt, cfunctions.Cbrt, cfunctions.hypot, cfunctions.fma, numpy_nodes.logaddexp),
        *ARRAY_HEADS.values(),
    )
}
_HEADS: Final = frozenset(HEADS.values())
#: Leaves that carry sizes: they have arguments and are SymPy objects all the same.
_SIZED: Final = (sympy.MatrixSymbol, sympy.IndexedBase, sympy.Idx)

#: Leaves that are not numbers, symbols or stages, by name.
_CONSTANTS: Final[Mapping[str, sympy.Basic]] = {
    type(constant).__name__: constant
    for constant in (
        *(sympy.pi, sympy.E, sympy.GoldenRatio, sympy.EulerGamma, sympy.Catalan, sympy.TribonacciConstant),
        *(sympy.I, sympy.oo, -sympy.oo, sympy.zoo, sympy.nan, sympy.true, sympy.false),
    )
}

#: The input is real by contract, so these are the identity.
_TRANSPARENT: Final = frozenset({sympy.re, sympy.conjugate, sympy.UnevaluatedExpr})

#: Floats beyond this binary exponent are not representable; the bound keeps conversions short.
_EXPONENT_LIMIT: Final = 5000
_LARGEST: Final = Fraction(sys.float_info.max)
_SMALLEST: Final = Fraction(math.ulp(0.0))


class Opaque(sympy.AtomicExpr):  # type: ignore[misc]  # SymPy's classes are untyped
    """
    A leaf in place of a node without meaning here.

    Attributes:
        kind: Its class, or the name of the undefined function.
        family: `array`, `undefined` or `other`.
    """

    __slots__ = ("family", "kind")

    kind: str
    family: str

    def __new__(cls, kind: str, family: str) -> Self:
        """Make a leaf; two of one kind are equal, which is of no consequence as both are refused."""
        self: Self = super().__new__(cls)
        self.kind = kind
        self.family = family
        return self

    def _hashable_content(self) -> tuple[str, ...]:
        return (self.kind, self.family)


class Index(sympy.AtomicExpr):  # type: ignore[misc]  # SymPy's classes are untyped
    """
    An index with its range: what the symbol of a sum, or a free one, becomes.

    Attributes:
        name: What the user calls it.
        start: Its first value.
        size: How many values it takes.
        symbol: The node of the symbol that it was: indices of two symbols are never the same.
    """

    __slots__ = ("name", "size", "start", "symbol")

    name: str
    start: Dim
    size: Dim
    symbol: int
    is_commutative = True

    def __new__(cls, name: str, start: Dim, size: Dim, symbol: int = -1) -> Self:
        """Make an index; two of one symbol and range are the same."""
        self: Self = super().__new__(cls)
        self.name = name
        self.start = start
        self.size = size
        self.symbol = symbol
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.name, str(self.start), str(self.size), self.symbol)


class Table:
    """
    The nodes.

    Attributes:
        heads: The class of each node.
        args: Its arguments as node numbers; a stage has one, its definition.
        atoms: For a leaf or a stage the SymPy object itself.
    """

    def __init__(self) -> None:
        self.heads: list[type[sympy.Basic]] = []
        self.args: list[tuple[int, ...]] = []
        self.atoms: list[sympy.Basic | None] = []
        self._index: dict[Any, int] = {}
        self._seen: dict[int, int] = {}
        self._alive: list[sympy.Basic] = []

    def __len__(self) -> int:
        return len(self.heads)

    def add(self, expr: sympy.Basic) -> int:
        """Enter an expression with all its parts and return its number."""
        seen = self._seen
        stack: list[sympy.Basic] = [expr]
        made: dict[int, tuple[Any, ...]] = {}
        while stack:
            node = stack[-1]
            if id(node) in seen:
                stack.pop()
                continue
            head = type(node)
            if head is Stage:
                parts: tuple[Any, ...] = (node.definition,)
            elif head in _HEADS:
                parts = made.setdefault(id(node), node.args)  # a matrix makes its arguments anew each time
            elif head in _SIZED and _is_plain(node):
                parts = made.setdefault(id(node), _sizes(node))
            else:
                parts = ()
            missing = [part for part in parts if id(part) not in seen]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            self._alive.append(node)  # an id is only a key as long as its object lives
            numbers = tuple([seen[id(part)] for part in parts])
            if head is Stage:
                seen[id(node)] = self._enter((Stage, node.index), Stage, numbers, node)
            elif head in _SIZED and _is_plain(node):
                seen[id(node)] = self._enter((head, node), head, numbers, node)
            else:
                seen[id(node)] = self.normal(head, numbers) if numbers else self.leaf(node)
        return seen[id(expr)]

    def leaf(self, atom: sympy.Basic) -> int:
        """Return the number of a leaf."""
        if isinstance(atom, sympy.Float | sympy.Rational) or type(atom) in (sympy.Symbol, sympy.Dummy, Opaque, Index) or type(atom).__name__ in _CONSTANTS:
            return self._enter((type(atom), atom), type(atom), (), atom)
        return self.leaf(_opaque(atom))

    def number(self, value: Fraction, *, inexact: bool = False) -> int:
        """Return the number of the leaf of a numeric value: a float if `inexact`, else exact."""
        return self.leaf(sympy.Float(float(value)) if inexact else sympy.Rational(value.numerator, value.denominator))

    def node(self, head: type[sympy.Basic], args: Sequence[int]) -> int:
        """Return the number of `head(*args)`, entered as it is."""
        args = tuple(args)
        return self._enter((head, args), head, args, None)

    def stage(self, atom: Stage, definition: int) -> int:
        """Return the number of a stage whose definition is another node now."""
        return self._enter((Stage, atom.index, definition), Stage, (definition,), atom)

    def find(self, head: type[sympy.Basic], args: Sequence[int]) -> int | None:
        """Return the number of `head(*args)`, None if there is no such node."""
        return self._index.get((head, tuple(args)))

    def value(self, number: int) -> tuple[Fraction, bool] | None:
        """Return the exact value of a numeric leaf and whether it is a float; None for any other node and where no float is near."""
        atom = self.atoms[number]
        if isinstance(atom, sympy.Rational):
            return Fraction(int(atom.p), int(atom.q)), False
        if isinstance(atom, sympy.Float):
            sign, mantissa, exponent, _ = atom._mpf_
            if abs(exponent) > _EXPONENT_LIMIT or not mantissa:
                return None
            size = Fraction(int(mantissa)) * Fraction(2) ** exponent
            return ((-size if sign else size), True) if _SMALLEST <= size <= _LARGEST else None
        return None

    def is_one_of(self, number: int, *heads: type[sympy.Basic]) -> bool:
        """Whether a node is of one of these classes."""
        return self.heads[number] in heads

    def reachable(self, roots: Sequence[int]) -> list[int]:
        """Return the nodes that `roots` are made of, arguments first."""
        seen = set(roots)
        stack = list(seen)
        while stack:
            for part in self.args[stack.pop()]:
                if part not in seen:
                    seen.add(part)
                    stack.append(part)
        return sorted(seen)

    def _enter(self, key: Any, head: type[sympy.Basic], args: tuple[int, ...], atom: sympy.Basic | None) -> int:
        number = self._index.get(key)
        if number is None:
            number = self._index[key] = len(self.heads)
            self.heads.append(head)
            self.args.append(args)
            self.atoms.append(atom)
        return number

    def normal(self, head: type[sympy.Basic], args: tuple[int, ...]) -> int:
        """Enter a node with what real inputs make trivial taken out."""
        if head in _TRANSPARENT:
            return args[0]
        if head in (sympy.Transpose, sympy.Adjoint):
            inner = args[0]
            return self.args[inner][0] if self.heads[inner] is sympy.Transpose else self.node(sympy.Transpose, args)
        if head is sympy.Inverse:
            return self.node(head, args[:1])
        if head is sympy.MatPow and self.atoms[args[1]] == -1:
            return self.node(sympy.Inverse, args[:1])
        if head is sympy.MatAdd:
            return self.node(head, sorted(args))
        if head is sympy.im:
            return self.leaf(sympy.S.Zero)
        if issubclass(head, Relational):
            return self._relation(head, args)
        if head is sympy.Not and self.heads[args[0]] in (BooleanTrue, BooleanFalse):
            return self.leaf(sympy.false if self.heads[args[0]] is BooleanTrue else sympy.true)
        if head in (sympy.And, sympy.Or):
            return self._junction(head, args)
        if head is sympy.Piecewise:
            return self._pieces(args)
        return self.node(head, args)

    def _relation(self, head: type[sympy.Basic], args: tuple[int, ...]) -> int:
        numbers = [self.atoms[a] for a in args]
        if all(isinstance(a, sympy.Number) for a in numbers):
            return self.leaf(sympy.true if head(*numbers) == sympy.true else sympy.false)
        return self.node(head, args)

    def _junction(self, head: type[sympy.Basic], args: tuple[int, ...]) -> int:
        absorbing, neutral = (BooleanFalse, BooleanTrue) if head is sympy.And else (BooleanTrue, BooleanFalse)
        kept = tuple([a for a in args if self.heads[a] is not neutral])
        for a in kept:
            if self.heads[a] is absorbing:
                return a
        if not kept:
            return args[0]
        return kept[0] if len(kept) == 1 else self.node(head, kept)

    def _pieces(self, args: tuple[int, ...]) -> int:
        kept: list[int] = []
        for pair in args:
            condition = self.heads[self.args[pair][1]]
            if condition is BooleanFalse:
                continue
            kept.append(pair)
            if condition is BooleanTrue:
                break
        if kept and self.heads[self.args[kept[0]][1]] is BooleanTrue:
            return self.args[kept[0]][0]
        return self.node(sympy.Piecewise, kept)

    def rebuild(self, roots: Sequence[int], replace: Mapping[int, sympy.Basic] | None = None, *, keep_stages: bool = False) -> list[Any]:
        """
        Return nodes as SymPy objects, put together without evaluating anything again.

        Args:
            roots: The nodes.
            replace: What stands for some nodes, by number.
            keep_stages: Keep stages as symbols with a definition, rather than putting the definition in their place.
        """
        built: dict[int, Any] = {}
        for number in self.reachable(roots):
            atom = self.atoms[number]
            if replace and number in replace:
                built[number] = replace[number]
            elif self.heads[number] is Stage:
                (definition,) = self.args[number]
                built[number] = Stage(atom.name, built[definition]) if keep_stages and atom is not None else built[definition]
            elif atom is not None:
                built[number] = atom
            else:
                built[number] = _assemble(self.heads[number], [built[part] for part in self.args[number]])
                hash(built[number])  # hashed while its parts are, so that hashing never has far to go
        return [built[root] for root in roots]

    def encode(self, roots: Sequence[int]) -> tuple[list[Any], list[int]]:
        """Return the nodes as plain lists, numbers and strings, fit for JSON, and the places of `roots` among them."""
        order = self.reachable(roots)
        place = {number: i for i, number in enumerate(order)}
        return [self._encode(number, place) for number in order], [place[root] for root in roots]

    def _encode(self, number: int, place: Mapping[int, int]) -> list[Any]:
        atom: Any = self.atoms[number]
        parts = [place[part] for part in self.args[number]]
        if atom is None:
            return ["node", self.heads[number].__name__, parts]
        if isinstance(atom, Stage):
            return ["stage", atom.name, parts[0]]
        if isinstance(atom, sympy.Dummy):
            return ["dummy", atom.name, atom.dummy_index, atom._assumptions_orig]  # noqa: SLF001  what the user asked for
        if isinstance(atom, sympy.Symbol):
            return ["symbol", atom.name, atom._assumptions_orig]  # noqa: SLF001  what the user asked for
        if isinstance(atom, sympy.Rational) and atom.is_finite:
            return ["rational", hex(int(atom.p)), hex(int(atom.q))]  # hex: decimal conversion of ints has a length limit
        if isinstance(atom, sympy.Float):
            sign, mantissa, exponent, bits = atom._mpf_
            return ["float", sign, hex(int(mantissa)), int(exponent), int(bits), atom._prec]  # noqa: SLF001  as above
        if isinstance(atom, Opaque):
            return ["opaque", atom.kind, atom.family]
        if isinstance(atom, sympy.MatrixSymbol):
            return ["matrix", atom.name, parts]
        if isinstance(atom, sympy.IndexedBase | sympy.Idx):
            label: Any = atom.label
            return ["base" if isinstance(atom, sympy.IndexedBase) else "idx", label.name, label._assumptions_orig, parts]  # noqa: SLF001  as above
        return ["constant", type(atom).__name__]


def decode(nodes: Sequence[Sequence[Any]], roots: Sequence[int]) -> list[Any]:
    """Return the SymPy objects of what `Table.encode` returned."""
    table = Table()
    numbers: list[int] = []
    for kind, *rest in nodes:
        if kind == "node":
            name, parts = rest
            number = table.node(HEADS[name], [numbers[p] for p in parts])
        elif kind in ("matrix", "base", "idx"):
            number = table.add(_sized(kind, rest[:-1], table.rebuild([numbers[p] for p in rest[-1]])))
        elif kind == "stage":
            # A stage is known by its identity, which the place in the list stands for here.
            number = table._enter((Stage, len(numbers)), Stage, (numbers[rest[1]],), Stage(rest[0], sympy.S.Zero))  # noqa: SLF001  same module
        else:
            number = table.leaf(_decode_leaf(kind, rest))
        numbers.append(number)
    return table.rebuild([numbers[root] for root in roots], keep_stages=True)


def _decode_leaf(kind: str, rest: Sequence[Any]) -> sympy.Basic:
    if kind == "dummy":
        return sympy.Dummy(rest[0], dummy_index=rest[1], **rest[2])
    if kind == "symbol":
        return sympy.Symbol(rest[0], **rest[1])
    if kind == "rational":
        return sympy.Rational(int(rest[0], 16), int(rest[1], 16))
    if kind == "float":
        sign, mantissa, exponent, bits, precision = rest
        return sympy.Float._new((sign, sympy.Integer(int(mantissa, 16)).p, exponent, bits), precision)  # noqa: SLF001  as `encode`
    return Opaque(*rest) if kind == "opaque" else _CONSTANTS[rest[0]]


def _is_plain(node: Any) -> bool:
    """Whether a leaf that carries sizes has a name of its own, and says nothing of how memory is laid out."""
    if isinstance(node, sympy.MatrixSymbol):
        return True
    laid_out = isinstance(node, sympy.IndexedBase) and (node.offset != 0 or node.strides is not None)
    return type(node.label) is sympy.Symbol and not laid_out


def _sizes(node: Any) -> tuple[Any, ...]:
    """Return the sizes that a leaf carries: those of a matrix or an indexed base, or the range of an index."""
    if isinstance(node, sympy.MatrixSymbol):
        return tuple(node.shape)
    return tuple(node.args[1]) if len(node.args) > 1 else ()


def _sized(kind: str, label: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """Return a leaf that carries sizes, as `Table._encode` has described it."""
    if kind == "matrix":
        return sympy.MatrixSymbol(label[0], *sizes)
    symbol = sympy.Symbol(label[0], **label[1])
    if kind == "idx":
        return sympy.Idx(symbol, tuple(sizes)) if sizes else sympy.Idx(symbol)
    return sympy.IndexedBase(symbol, shape=tuple(sizes)) if sizes else sympy.IndexedBase(symbol)


def _assemble(head: Any, args: list[Any]) -> Any:
    """Return `head(*args)` unevaluated."""
    if head is sympy.ImmutableDenseMatrix:
        return head(*args[:2], list(args[2]))
    if head in (sympy.Add, sympy.Mul):
        return head._from_args(args)  # noqa: SLF001  the constructor that does not evaluate
    built = sympy.Basic.__new__(head, *args)
    if head in (sympy.Sum, sympy.Product):
        built.is_commutative = True
    if head is sympy.Pow:
        built.is_commutative = all(a.is_commutative for a in args)
    if issubclass(head, LatticeOp | MinMaxBase):
        built._argset = frozenset(args)  # noqa: SLF001  what its own constructor sets
    if issubclass(head, Application):
        built.nargs = head.nargs
    return built


def _opaque(node: sympy.Basic) -> Opaque:
    kind = str(getattr(type(node), "__name__", type(node)))
    if isinstance(node, AppliedUndef):
        return Opaque(kind, "undefined")
    arrays = (
        sympy.MatrixExpr,
        MatrixBase,
        sympy.Indexed,
        sympy.IndexedBase,
        sympy.Idx,
        sympy.Sum,
        sympy.Product,
        sympy.NDimArray,
        sympy.Trace,
        sympy.Determinant,
        sympy.Permanent,
    )
    element = sympy.matrices.expressions.matexpr.MatrixElement
    return Opaque(kind, "array" if isinstance(node, (*arrays, element)) else "other")
