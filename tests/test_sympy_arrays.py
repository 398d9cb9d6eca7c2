"""
Matrix expressions and index notation as input, against explicit entries.

The oracle writes every entry out: matrices become matrices of symbols, sums are expanded, and the gradient is SymPy's derivative of
the scalar that is left, evaluated by mpmath at 50 digits. SymPy's derivative by a matrix is never asked.
"""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest
import sympy
from sympy import (
    Identity,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Matrix,
    MatrixSymbol,
    Product,
    Sum,
    Symbol,
    Trace,
    det,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)
from sympy.matrices.expressions.dotproduct import DotProduct
from sympy.matrices.expressions.kronecker import KroneckerProduct

from bpcompile import compile_gradient

n, m, r = symbols("n m r", integer=True, positive=True)
i, j, k, p, q = symbols("i j k p q", integer=True)
a, b, c, t = symbols("a b c t")


class Oracle:
    """An expression written out in symbols of its own, one for each entry of each input."""

    def __init__(self, expression, shapes, sizes, order=()):
        """Write out `expression`; `shapes` are those of the inputs by name, `order` its free indices with their ranges."""
        self.symbols = {
            name: np.array([Symbol(f"{name}_{'_'.join(map(str, at))}", real=True) for at in np.ndindex(*shape)], dtype=object).reshape(shape)
            for name, shape in shapes.items()
        }
        expression = sympy.sympify(expression)
        self.entries = {}
        for values in itertools.product(*(range(lo, hi) for _, lo, hi in order)):
            at = {s: v for (s, _, _), v in zip(order, values, strict=True)}
            self.entries[values] = self._written_out(self._placed(expression, at), sizes)
        if not order:
            (only,) = self.entries.values()
            if isinstance(only, sympy.matrices.matrixbase.MatrixBase):
                self.entries = {at: only[at] for at in np.ndindex(*only.shape)}
        self.shape = tuple(1 + max(at[axis] for at in self.entries) - min(at[axis] for at in self.entries) for axis in range(len(next(iter(self.entries)))))

    @staticmethod
    def _placed(expression, at):
        for symbol, value in at.items():
            expression = expression.xreplace({symbol: sympy.Integer(value)}) if isinstance(symbol, Idx) else expression.subs(symbol, value)
        return expression

    def _written_out(self, expression, sizes):
        numbers = {symbol: sympy.Integer(size) for symbol, size in (sizes or {}).items()}
        expression = expression.xreplace(numbers)
        matrices = {s: sympy.ImmutableMatrix(*s.shape, list(self.symbols[s.name].ravel())) for s in expression.atoms(MatrixSymbol)}
        expression = expression.xreplace(matrices).doit()
        if isinstance(expression, sympy.MatrixExpr):
            expression = expression.as_explicit()
        parts = {x: self.symbols[x.base.name if hasattr(x.base, "name") else str(x.base)][tuple(map(int, x.indices))] for x in expression.atoms(Indexed)}
        scalars = {Symbol(name): value[()] for name, value in self.symbols.items() if value.shape == ()}
        return expression.xreplace(parts).subs(scalars)

    def functions(self):
        """Return a function of the entries of the inputs and of the upstream gradient: values, then gradients."""
        names = [s for array in self.symbols.values() for s in array.ravel()]
        seeds = sympy.symbols(f"seed:{len(self.entries)}")
        total = sum((seed * entry for seed, entry in zip(seeds, self.entries.values(), strict=True)), sympy.S.Zero)
        return sympy.lambdify([*names, *seeds], [*self.entries.values(), *(sympy.diff(total, s) for s in names)], "mpmath", cse=True)

    def evaluate(self, function, point, upstream):
        """Return values and gradients at a point."""
        with mpmath.workdps(50):
            numbers = [mpmath.mpf(float(number)) for array in [*(point[name] for name in self.symbols), upstream] for number in np.ravel(array)]
            found = np.array([complex(number) for number in function(*numbers)])
        assert abs(found.imag).max() < 1e-30
        values, gradients, at = found.real[: len(self.entries)].reshape(self.shape), {}, len(self.entries)
        for name, array in self.symbols.items():
            gradients[name] = found.real[at : at + array.size].reshape(array.shape)
            at += array.size
        return values, gradients


def agree(expression, shapes, *, sizes=None, order=(), stages=None, oracle=None, domain=None, points=2, **options):
    """Compile an expression and compare value and gradients with its entries; return what was compiled."""
    stages = {**(stages or {}), "f": expression}
    compiled = compile_gradient(stages, **{"check": "off", **options})
    written = Oracle(expression if oracle is None else oracle, shapes, sizes, order)
    function = written.functions()
    params = [param.name for param in compiled.program.params]
    assert sorted(params) == sorted(shapes)
    generator = np.random.default_rng(5)
    for _ in range(points):
        point = {name: generator.uniform(-1.2, 1.4, shape) for name, shape in shapes.items()}
        point = domain(point) if domain else point
        for array in point.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        upstream = generator.uniform(0.5, 2.0, written.shape)
        values, gradients = written.evaluate(function, point, upstream)
        result, found = compiled(*(point[name] for name in params), **{compiled.emitted.seeds[0]: upstream})
        assert np.shape(result) == written.shape
        assert result == pytest.approx(values, rel=1e-9, abs=1e-10), compiled.source
        for name, gradient in zip(params, found, strict=True):
            assert np.shape(gradient) == shapes[name], name
            assert gradient == pytest.approx(gradients[name], rel=1e-8, abs=1e-9), f"d{name}\n{compiled.source}"
    return compiled


def body(compiled):
    """Return the lines of `value_and_grad` without comments, checks and conversions."""
    text = compiled.source.split("def value_and_grad")[1].split("\ndef ")[0]
    lines = [line.split("  #")[0].strip() for line in text.splitlines()[2:]]
    return [
        line
        for line in lines
        if line and not line.startswith(("#", "return")) and "_array(" not in line and "_same_size(" not in line and "broadcast_to(np.asarray" not in line
    ]


# Matrices ---------------------------------------------------------------------------------------------------------------

A = MatrixSymbol("A", 2, 2)
B = MatrixSymbol("B", 2, 2)
C = MatrixSymbol("C", 3, 3)
X = MatrixSymbol("X", 2, 3)
W = MatrixSymbol("W", 4, 2)
v = MatrixSymbol("v", 2, 1)
w = MatrixSymbol("w", 2, 1)
y = MatrixSymbol("y", 4, 1)
An = MatrixSymbol("A", n, n)
Xn = MatrixSymbol("X", n, m)
vn = MatrixSymbol("v", n, 1)

SHAPES = {"A": (2, 2), "B": (2, 2), "C": (3, 3), "X": (2, 3), "W": (4, 2), "v": (2, 1), "w": (2, 1), "y": (4, 1), "a": (), "b": ()}


def regular(point):
    """Make square matrices well-conditioned, with a positive determinant."""
    return {name: value + 3 * np.eye(len(value)) if name in "ABC" else value for name, value in point.items()}


MATRICES = {
    "sum": A + 2 * B - A.T,
    "product": W * X,
    "product of three": W * A * X,
    "scaled product": 3 * a * W * X,
    "transpose of a product": (W * X).T,
    "inverse": A.I,
    "inverse times vector": A.I * v,
    "sandwich of an inverse": W * A.I * W.T,
    "square": A**2,
    "cube": A**3,
    "fifth power": A**5,
    "negative power": A**-2,
    "zeroth power": A**0 + B,
    "trace plus one": Trace(A) + 1,
    "trace of a product": Trace(A * B),
    "trace of three": Trace(A * X * X.T),
    "determinant of three": det(C),
    "logarithm of three": log(det(C)),
    "inverse of three": C.I[0, 2] * C[1, 1],
    "trace of a sum": Trace(A + B.T),
    "trace of a power": Trace(A**4),
    "exponential of a trace": exp(Trace(A)),
    "trace squared": Trace(Identity(2) - A) ** 2,
    "determinant": det(A),
    "reciprocal determinant": a / det(A),
    "log of a determinant": log(det(A)),
    "log of an absolute determinant": log(sympy.Abs(det(A))),
    "determinant of an inverse sandwich": det(W.T * W) * Trace(A.I * B),
    "hadamard": sympy.HadamardProduct(A, B, A.T),
    "hadamard of the same": sympy.HadamardProduct(A, B) + sympy.HadamardProduct(A, A),
    "hadamard power": sympy.HadamardPower(A, 3) + sympy.HadamardPower(B, 2),
    "applied sine": A.applyfunc(sin),
    "applied formula": (A + B).applyfunc(lambda z: 1 / (1 + exp(-z * a))),
    "applied to a product": (W * X).applyfunc(tanh),
    "applied twice": (W * (A * X).applyfunc(tanh)).applyfunc(lambda z: z**2 + 1),
    "applied constant": A.applyfunc(lambda z: sympy.Integer(2)) + B,
    "element": C[1, 1] * C[0, 2] + C[1, 1] ** 2,
    "element of a product": (W * X)[2, 1],
    "element of an inverse": A.I[0, 1],
    "slice": C[0:2, 1:3] * X,
    "slice with a step": W[0:4:2, :] * v,
    "slice without an end": W[1:, :] * v,
    "row": A[1, :] * v,
    "identity": a * Identity(2) + A,
    "zeros": A * B + sympy.ZeroMatrix(2, 2),
    "ones": A * sympy.OneMatrix(2, 3) + X,
    "one number for all": a * sympy.OneMatrix(2, 2) + A,
    "dot product": DotProduct(v, w),
    "dot product of a row": DotProduct(v, w.T),
    "kronecker": KroneckerProduct(A, X),
    "kronecker of three": Trace(KroneckerProduct(v, v.T, A)),
    "blocks": sympy.BlockMatrix([[A, X], [X.T, sympy.Identity(3)]]),
    "block column": sympy.BlockMatrix([[A], [W]]),
    "diagonal blocks": sympy.BlockDiagMatrix(A, X),
    "diagonal of a vector": sympy.DiagMatrix(v) * A,
    "frobenius": sqrt(Trace(X.T * X)),
    "frobenius of a difference": sqrt(Trace((A - B).T * (A - B))),
    "one by one": v.T * A * v,
    "one by one as a scalar": (v.T * v)[0] * a,
    "root of one by one": sqrt(v.T * v),
    "quadratic form": (v.T * A * v)[0, 0],
    "squared residual": ((W * v - y).T * (W * v - y))[0],
    "squared residual as a matrix": (W * v - y).T * (W * v - y),
    "sandwich": det(A * B) + Trace(A.I) * exp(Trace(B)) + (v.T * A.I * v)[0],
    "explicit": Matrix([[a, b], [1, a * b], [0, sin(a)]]) * X,
    "explicit of elements": Matrix([[A[0, 0], A[1, 1] * a], [A[1, 0], 1], [0, a]]),
    "explicit column": A * Matrix([2, a]),
    "explicit numbers": Matrix([[1, 2], [0, 1], [2, 2]]) * X,
    "explicit and back": (Matrix([[a, -b], [b, a]]) ** 2)[0, 1] * A[0, 0],
    "norm of a vector": v.as_explicit().norm() * a,
    "adjoint": A.adjoint() * v,
    "negated": -(A * v),
    "many factors": A * B * A * B * A * X,
    "sine of a size": A * sin(a),
}


def test_a_function_of_a_one_by_one_matrix_is_a_number():
    agree(exp(v.T * A * v), {"A": (2, 2), "v": (2, 1)}, oracle=exp((v.T * A * v)[0, 0]))


@pytest.mark.parametrize("name", MATRICES)
def test_matrix_expressions(name):
    expression = MATRICES[name]
    used = {s.name for s in expression.atoms(MatrixSymbol)} | {s.name for s in expression.free_symbols if type(s) is Symbol}
    agree(expression, {k: s for k, s in SHAPES.items() if k in used}, domain=regular)


# Index notation ---------------------------------------------------------------------------------------------------------

N, D, K = 4, 3, 2
SIZES = {n: N, m: D, r: K}
xi, yi, ui = IndexedBase("x", shape=(n,)), IndexedBase("y", shape=(n,)), IndexedBase("u", shape=(m,))
Mi, Ri, Ti = IndexedBase("M", shape=(n, m)), IndexedBase("R", shape=(m, r)), IndexedBase("T", shape=(n, m, r))
Si, Zi = IndexedBase("S", shape=(n, n)), IndexedBase("Z")
INDEXED = {"x": (N,), "y": (N,), "u": (D,), "M": (N, D), "R": (D, K), "T": (N, D, K), "S": (N, N), "a": (), "Z": None}
In, Im, Ir = (Idx(name, size) for name, size in (("i", n), ("j", m), ("k", r)))
over_i, over_j, over_k = (i, 0, n - 1), (j, 0, m - 1), (k, 0, r - 1)
FREE = {"i": (0, N), "j": (0, D), "k": (0, K), "p": (0, 3), "q": (0, 2)}

INDICES = {
    "dot product": (Sum(xi[i] * yi[i], over_i), ()),
    "sum of squares": (Sum(xi[i] ** 2, over_i), ()),
    "matrix times vector": (Sum(Mi[i, j] * ui[j], over_j), (i,)),
    "vector times matrix": (Sum(Mi[i, j] * xi[i], over_i), (j,)),
    "matrix product": (Sum(Mi[i, j] * Ri[j, k], over_j), (i, k)),
    "transposed matrix product": (Sum(Mi[i, j] * Si[i, p], over_i).subs(p, q), (j, q)),
    "bilinear form": (Sum(xi[i] * Mi[i, j] * ui[j], over_i, over_j), ()),
    "three matrices": (Sum(Si[q, i] * Mi[i, j] * Ri[j, k], over_i, over_j), (k, q)),
    "stack of products": (Sum(Ti[i, j, k] * ui[j], over_j), (i, k)),
    "contraction of two axes": (Sum(Ti[i, j, k] * Mi[i, j], over_i, over_j), (k,)),
    "outer product": (xi[i] * ui[j], (j, i)),
    "outer sum": (xi[i] + 2 * ui[j], (j, i)),
    "row of a matrix": (Mi[2, j] ** 2, (j,)),
    "last row": (Mi[n - 1, j] * ui[j], (j,)),
    "transposed": (Mi[i, j] * Si[i, i] + xi[i], (i, j)),
    "diagonal": (Si[i, i] ** 2, (i,)),
    "trace": (Sum(Si[i, i], over_i), ()),
    "trace of a square": (Sum(Si[i, q] * Si[q, i], over_i, (q, 0, n - 1)), ()),
    "shifted": (Sum((xi[i + 1] - xi[i]) ** 2, (i, 0, n - 2)), ()),
    "from one": (Sum(xi[i] * yi[i - 1], (i, 1, n - 1)), ()),
    "reversed": (Sum(xi[n - 1 - i] * yi[i], over_i), ()),
    "every second": (Sum(Zi[2 * i] * a, (i, 0, 1)), ()),
    "every second backwards": (Sum(Zi[3 - 2 * i] * Zi[i], (i, 0, 1)), ()),
    "window": (Sum(Zi[p + j] * ui[j], over_j), (p,)),
    "window of stride two": (Sum(Zi[2 * p + j] * ui[j], over_j), (p,)),
    "window with gaps": (Sum(Zi[p + 2 * j] * ui[j], over_j), (p,)),
    "true convolution": (Sum(Zi[p - j + m - 1] * ui[j], over_j), (p,)),
    "backward stride": (Sum(Zi[4 - 2 * p + j] * ui[j], over_j), (p,)),
    "window in two axes": (Sum(Zi[p + j, q + k] * Ri[j, k], over_j, over_k), (p, q)),
    "window of three": (Sum(Zi[p + j + k] * Ri[j, k], over_j, over_k), (p,)),
    "window on a diagonal": (Sum(Zi[j, p + j] * ui[j], over_j), (p,)),
    "channels": (Sum(Zi[k, p + j] * Ti[i, j, k], over_j, over_k), (i, p)),
    "mean": (Sum(xi[i], over_i) / n, ()),
    "variance": (Sum((xi[i] - Sum(xi[q], (q, 0, n - 1)) / n) ** 2, over_i) / n, ()),
    "index as a number": (Sum(i * xi[i], (i, 1, n - 1)), ()),
    "power of an index": (Sum(xi[i] * a**i, (i, 1, n - 1)), ()),
    "quotient in a sum": (Sum(xi[i] * yi[i] / (1 + yi[i] ** 2) / (2 + xi[i] ** 2), over_i), ()),
    "sum of terms with other indices": (Sum(Mi[i, j] * ui[j] + xi[i], over_j), (i,)),
    "sum over an index that is not there": (Sum(xi[i] * ui[1], over_i, over_j), ()),
    "product": (Product(xi[i], over_i), ()),
    "product of sums": (Product(Sum(Mi[i, j] * ui[j], over_j), over_i), ()),
    "product over two": (Product(Mi[i, j], over_i, over_j), ()),
    "product without its index": (Product(a, over_i) * xi[0], ()),
    "partial product": (Product(Mi[i, j], over_j), (i,)),
    "delta": (Sum(KroneckerDelta(i, q) * xi[i] * yi[q], over_i, (q, 0, n - 1)), ()),
    "delta with a number": (Sum(KroneckerDelta(i, 2) * xi[i], over_i) * xi[0], ()),
    "free delta": (KroneckerDelta(i, q) * xi[i] + Si[i, q], (i, q)),
    "delta of a shift": (Sum(KroneckerDelta(i, q + 1) * xi[i] * yi[q], over_i, (q, 0, n - 1)), ()),
    "same name in two sums": (Sum(xi[i], over_i) * Sum(ui[i] ** 2, (i, 0, m - 1)) + Sum(sin(xi[i]), over_i), ()),
    "sum in a sum": (Sum(xi[i] * Sum(xi[i], over_i), over_i), ()),
    "softmax": (exp(xi[i]) / Sum(exp(xi[q]), (q, 0, n - 1)), (i,)),
    "piecewise": (Sum(sympy.Piecewise((xi[i], xi[i] > 0), (xi[i] / 10, True)), over_i), ()),
    "maximum": (Sum(sympy.Max(xi[i], yi[i]), over_i), ()),
    "euclidean norm": (sqrt(Sum(xi[i] ** 2, over_i)), ()),
    "squared residual": (Sum((Sum(Mi[i, j] * ui[j], over_j) - xi[i]) ** 2, over_i), ()),
    "elements of a matrix": (Sum(Xn[i, j] * Xn[i, j] * xi[i], over_i, over_j), ()),
    "elements of a product": ((Xn * Xn.T)[i, q] * xi[q], (i, q)),
    "trace beside sums": (Trace(Xn.T * Xn) * Sum(xi[i], over_i), ()),
    "numbers and indices": (2 * Sum(-3 * xi[i] * yi[i] / 7, over_i), ()),
    "element of a sum": (tanh(xi[0]) * xi[n - 1] + Sum(Mi[1, j], over_j), ()),
}
EXTENTS = {
    "window of stride two": (7,),
    "window with gaps": (7,),
    "window": (5,),
    "true convolution": (5,),
    "backward stride": (7,),
    "window in two axes": (5, 3),
}
EXTENTS |= {"window of three": (6,), "every second": (3,), "every second backwards": (4,), "window on a diagonal": (3, 5), "channels": (2, 5)}


def with_ranges(expression, free):
    """Give free indices a range: those of windows run over 3 places."""
    at = {s: Idx(s.name, FREE[s.name][1]) for s in free if isinstance(s, Symbol) and s.name == "p"}
    return expression.subs(at), tuple(at.get(s, s) for s in free)


@pytest.mark.parametrize("name", INDICES)
def test_index_notation(name):
    expression, free = INDICES[name]
    used = (
        {x.name for x in expression.atoms(IndexedBase)} | {x.name for x in expression.atoms(MatrixSymbol)} | ({"a"} & {s.name for s in expression.free_symbols})
    )
    shapes = {key: EXTENTS[name] if key == "Z" else shape for key, shape in {**INDEXED, "X": (N, D)}.items() if key in used}
    ranges = {"i": N, "j": D, "k": K, "p": 3, "q": 2 if name == "window in two axes" else N}
    named, places = with_ranges(expression, free)
    if name == "window in two axes":
        two = Idx("q", 2)
        named, places = named.subs(q, two), (places[0], two)
    order = [(s, 0, ranges[s.name]) for s in free]
    agree(named, shapes, sizes=SIZES, order=order, oracle=expression, points=1)
