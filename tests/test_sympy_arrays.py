"""
Matrix expressions and index notation as input, against explicit entries.

The oracle writes every entry out: matrices become matrices of symbols, sums are expanded, and the gradient is SymPy's derivative of
the scalar that is left, evaluated by mpmath at 50 digits. SymPy's derivative by a matrix is never asked.
"""

from __future__ import annotations

import itertools
from pathlib import Path

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

from bpcompile import CompileError, compile_file, compile_gradient

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

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
    "diagonal alone": (Si[i, i], (i,)),
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


def test_bound_symbols_are_not_mixed_up():
    """Sums of one name inside each other, beside each other, and under a Kronecker delta."""
    over = (i, 0, 3)
    fixed, other = IndexedBase("x", shape=(4,)), IndexedBase("M", shape=(4, 4))
    agree(Sum(fixed[i], over, over), {"x": (4,)}, oracle=4 * Sum(fixed[i], over))
    agree(Sum(fixed[i] * Sum(fixed[i] ** 2, over), over), {"x": (4,)})
    agree(Sum(KroneckerDelta(i, 2) * fixed[i] * Sum(fixed[i] ** 2, over), over), {"x": (4,)})
    inner = Sum(other[i, j], (j, 0, 3))
    agree(
        Sum(KroneckerDelta(i, j) * inner * fixed[j], over, (j, 0, 3)), {"x": (4,), "M": (4, 4)}, oracle=Sum(fixed[k] * Sum(other[k, j], (j, 0, 3)), (k, 0, 3))
    )
    alike = Idx("i", 4)  # another symbol of the same name and range
    agree(Sum(Sum(other[alike, i] * fixed[i], over), alike), {"x": (4,), "M": (4, 4)}, oracle=Sum(other[k, i] * fixed[i], over, (k, 0, 3)))


# The emitted text ---------------------------------------------------------------------------------------------------------


def test_a_matrix_product_is_written_as_in_the_notes():
    big, tall = MatrixSymbol("W", 5, 10), MatrixSymbol("X", 10, 3)
    bases = IndexedBase("W", shape=(5, 10)), IndexedBase("X", shape=(10, 3))
    for product in (big * tall, Sum(bases[0][i, k] * bases[1][k, j], (k, 0, 9)), Sum(big[i, k] * tall[k, j], (k, 0, 9))):
        notes = compile_gradient({"D": product}, style="notes", check="off")
        assert [line for line in body(notes) if line[0] != "_"] == ["D = W.dot(X)", "dW = dD.dot(X.T)", "dX = W.T.dot(dD)"]
        assert "dW = dD.dot(X.T)  # (1) (5, 10) = (5, 3) . (3, 10)" in notes.source
        code = compile_gradient({"D": product}, check="off")
        assert [line for line in body(code) if line[0] != "_"] == ["D = W @ X", "dW = dD @ X.T", "dX = W.T @ dD"]


@pytest.mark.parametrize("layout", ["function", "split", "script"])
@pytest.mark.parametrize("style", ["code", "notes"])
def test_all_layouts_take_arrays(layout, style):
    compiled = compile_gradient({"Z": W * X, "f": Trace((W * X).T * (W * X))}, layout=layout, style=style, check="fast")
    assert compiled.certificate.ok
    assert "Z = W" in compiled.source
    space: dict = {}
    exec(compiled.source, space)
    if layout == "script":
        np.testing.assert_allclose(space["dW"], 2 * space["W"] @ space["X"] @ space["X"].T)


def stages_of(stages):
    """Return what is computed, in order, by name."""
    compiled = compile_gradient(stages, check="off")
    return [line for line in body(compiled) if line.split(" ")[0] in stages]


def test_named_matrices_are_found_again():
    Z = W * X
    assert stages_of({"Z": Z, "f": Z * X.T}) == ["Z = W @ X", "f = Z @ X.T"]
    assert stages_of({"Z": Z, "f": (Z * X.T).T}) == ["Z = W @ X", "f = X @ Z.T"]
    U = MatrixSymbol("U", 4, 3)
    assert stages_of({"Z": Z, "S": Z + U, "f": (Z + U).applyfunc(tanh)}) == ["Z = W @ X", "S = U + Z", "f = np.tanh(S)"]
    residual = W * v - y
    assert stages_of({"d": residual, "f": residual.T * residual}) == ["d = W @ v - y", "f = d.T @ d"]
    assert stages_of({"d": residual, "f": Trace(residual * residual.T)})[0] == "d = W @ v - y"
    turn = Matrix([[sympy.cos(t), -sin(t)], [sin(t), sympy.cos(t)]])
    assert stages_of({"R": turn, "f": turn * A})[-1] == "f = R @ A"


def test_named_expressions_with_indices_are_found_again():
    h, l = symbols("h l", integer=True)
    M1, M2, x1 = IndexedBase("M1", shape=(n, m)), IndexedBase("M2", shape=(m, r)), IndexedBase("x", shape=(n,))
    hidden = Sum(M1[i, h] * x1[i], (i, 0, n - 1))
    active = tanh(hidden)
    out = Sum(M2[h, l] * active, (h, 0, m - 1))
    assert stages_of({"hidden": hidden, "active": active, "out": out}) == ["hidden = x @ M1", "active = np.tanh(hidden)", "out = active @ M2"]
    loss = Sum(out**2, (l, 0, r - 1))
    assert stages_of({"hidden": hidden, "active": active, "out": out, "loss": loss})[:3] == ["hidden = x @ M1", "active = np.tanh(hidden)", "out = active @ M2"]


def test_entries_that_sympy_writes_out_are_one_operation():
    """`(v.T*v)[0]` of three rows is a sum of three squares to SymPy."""
    u = MatrixSymbol("u", 3, 1)
    assert "[1" not in agree((u.T * u)[0], {"u": (3, 1)}).source
    compiled = agree((u.T * C * u)[0], {"C": (3, 3), "u": (3, 1)})
    assert "[1, 1]" not in compiled.source
    compiled = agree(((W * v - y).T * (W * v - y))[0] + (v.T * v)[0], {"W": (4, 2), "v": (2, 1), "y": (4, 1)})
    assert "W @" in compiled.source
    # What is no whole sum stays as it is written.
    agree(C[0, 0] + C[1, 1] + C[2, 0] * C[0, 1], {"C": (3, 3)})
    agree(C[0, 0] * u[1, 0] + C[1, 0] * u[2, 0] + C[2, 0] * u[0, 0], {"C": (3, 3), "u": (3, 1)})
    agree(sum(C[p_, q_] * u[q_, 0] * (1 + p_) for p_ in range(3) for q_ in range(3)), {"C": (3, 3), "u": (3, 1)})
    agree(sum(C[p_, q_] ** 2 for p_ in range(3) for q_ in range(3)), {"C": (3, 3)})


def test_vectors_keep_their_two_axes():
    compiled = agree(Trace(v * w.T) * v, {"v": (2, 1), "w": (2, 1)})
    (dv, dw) = compiled(np.ones((2, 1)), np.full((2, 1), 2.0))[1]
    assert dv.shape == dw.shape == (2, 1)


# Lecture examples -------------------------------------------------------------------------------------------------------


def test_the_three_layer_network_has_the_gradients_of_the_closed_forms():
    """With b, y and x as in the book, compared as SymPy expressions: the emitted code runs on symbols."""
    d, q, l = 2, 3, 2
    compiled = compile_file(EXAMPLES / "three_layer_indices.py", numerics="literal", style="notes")
    found = compiled.program
    assert [param.name for param in found.params] == ["x", "v", "gamma", "w", "theta", "y"]
    names = {"x": (d,), "v": (d, q), "gamma": (q,), "w": (q, l), "theta": (l,), "y": (l,)}
    at = {name: np.array(sympy.symbols(f"{name}:{int(np.prod(shape))}", real=True), dtype=object).reshape(shape) for name, shape in names.items()}
    sigmoid = np.vectorize(lambda z: 1 / (1 + exp(-z)), otypes=[object])
    b_ = sigmoid(at["x"] @ at["v"] - at["gamma"])
    o = sigmoid(b_ @ at["w"] - at["theta"])
    g = o * (o - at["y"]) * (1 - o)  # the error that comes back to the output layer
    back = at["w"] @ g
    closed = {
        "w": np.outer(b_, g),
        "theta": -g,
        "v": np.outer(at["x"], b_ * (1 - b_) * back),
        "gamma": b_ * (b_ - 1) * back,
    }
    generator = np.random.default_rng(2)
    numbers = {name: generator.normal(size=shape) for name, shape in names.items()}
    gradients = dict(zip(names, compiled(*numbers.values())[1], strict=True))
    flat = {s: sympy.Float(float(v), 60) for name in names for s, v in zip(at[name].ravel(), numbers[name].ravel(), strict=True)}
    energy = sum((o - at["y"]) ** 2) / 2
    for name, formulas in closed.items():
        for place in np.ndindex(*names[name]):
            # The closed form is the derivative, exactly; and what is emitted is the closed form.
            difference = sympy.diff(energy, at[name][place]) - formulas[place]
            assert abs(difference.evalf(50, subs=flat)) < 1e-40
            assert gradients[name][place] == pytest.approx(float(formulas[place].evalf(30, subs=flat)), rel=1e-12)


@pytest.mark.parametrize(("rows", "columns", "high", "wide"), [(3, 3, 2, 2), (5, 4, 2, 3), (4, 6, 1, 4)])
def test_the_gradient_of_a_convolution_is_the_full_convolution_with_the_turned_kernel(rows, columns, high, wide):
    compiled = compile_file(EXAMPLES / "convolution_indices.py", check="fast")
    generator = np.random.default_rng(4)
    picture, kernel = generator.normal(size=(rows, columns)), generator.normal(size=(high, wide))
    upstream = generator.normal(size=(rows - high + 1, columns - wide + 1))
    value, (dx, dw) = compiled(picture, kernel, dy=upstream)
    padded = np.pad(upstream, ((high - 1, high - 1), (wide - 1, wide - 1)))
    turned = np.rot90(kernel, 2)
    for place in np.ndindex(rows, columns):
        part = padded[place[0] : place[0] + high, place[1] : place[1] + wide]
        assert dx[place] == pytest.approx(np.sum(part * turned), rel=1e-12, abs=1e-14)
    for place in np.ndindex(high, wide):
        part = picture[place[0] : place[0] + upstream.shape[0], place[1] : place[1] + upstream.shape[1]]
        assert dw[place] == pytest.approx(np.sum(part * upstream), rel=1e-12, abs=1e-14)
    for place in np.ndindex(*value.shape):
        part = picture[place[0] : place[0] + high, place[1] : place[1] + wide]
        assert value[place] == pytest.approx(np.sum(part * kernel), rel=1e-12, abs=1e-14)


# Files ------------------------------------------------------------------------------------------------------------------


def compiled_file(folder, text, **options):
    path = folder / "given.py"
    path.write_text("from sympy import *\n" + text, "utf-8")
    return compile_file(path, **{"check": "off", **options})


def test_files_with_matrices(tmp_path):
    compiled = compiled_file(
        tmp_path,
        """
n, m, k = symbols("n m k", integer=True)
X = MatrixSymbol("X", n, m)
B = MatrixSymbol("B", m, k)
a = symbols("a")
Z = X*B
R = Matrix([[a, 1], [2, a**2]])
f = Trace(Z.T*Z) + a*Trace(R)
at = {a: 2, X: [[1, 2], [3, 4], [5, 6]], B: Matrix([[1, 0], [0, 1]])}
""",
        layout="script",
        style="notes",
    )
    assert [p.name for p in compiled.program.params] == ["X", "B", "a"]
    space: dict = {}
    exec(compiled.source, space)
    assert space["f"] == pytest.approx(91 + 2 * 6)
    assert "Z = X.dot(B)" in compiled.source
    np.testing.assert_allclose(space["dX"], 2 * np.array([[1, 2], [3, 4], [5, 6]]))


def test_files_with_a_matrix_of_numbers_alone_are_lists_as_before(tmp_path):
    compiled = compiled_file(tmp_path, 'x, y = symbols("x y")\nf = Matrix([x*y, x + y])\n')
    assert [o.name for o in compiled.program.outputs] == ["f[0]", "f[1]"]


def test_faults_in_files_have_a_line(tmp_path):
    with pytest.raises(CompileError) as caught:
        compiled_file(tmp_path, 'n, i = symbols("n i", integer=True)\ny = IndexedBase("y", shape=(n,))\nf = Sum(y[i], (i, 0, n))\n')
    text = str(caught.value)
    assert "error[E159]" in text
    assert "given.py:4:5" in text
    assert "`y[i]` in `f` runs from 0 to n, and that axis of `y`, of shape (n,), has size n" in text


def test_sizes_that_only_a_sum_of_sizes_tells(tmp_path):
    compiled = compiled_file(
        tmp_path,
        'P, K = symbols("P K", integer=True)\np, i = Idx("p", P), Idx("i", K)\nx, w = IndexedBase("x"), IndexedBase("w")\ny = Sum(x[p + i]*w[i]*(1 + p), i)\n',
        check="fast",
    )
    assert "P = x.shape[0] - K + 1" in compiled.source
    value, _ = compiled(np.arange(5.0), np.array([1.0, 2.0]))
    np.testing.assert_allclose(value, [2.0, 10.0, 24.0, 44.0])


# Refusals ---------------------------------------------------------------------------------------------------------------

bare, line = IndexedBase("bare"), IndexedBase("line", shape=(n,))

REFUSALS = {
    "function of a matrix": (exp(A), "E157", "a matrix of shape (2, 2) stands where a number is wanted"),
    "permanent": (sympy.Permanent(A), "E157", "`Permanent` in `f`"),
    "symbolic power": (An**m, "E150", "the exponent of a matrix in `f` is not a whole number"),
    "free index": (bare[i], "E157", "the shape of `bare` is not known"),
    "free index that is nowhere alone": (xi[n - 1 - i], "E157", "the range of the index `i` is not known"),
    "past the end": (Sum(line[i + 1], (i, 0, n - 1)), "E159", "`line[i + 1]` in `f` runs from 1 to n, and that axis of `line`, of shape (n,), has size n"),
    "before the start": (Sum(line[i], (i, -1, n - 2)), "E159", "runs from -1 to n - 2"),
    "another size": (Sum(line[i], (i, 0, m - 1)), "E159", "runs from 0 to m - 1"),
    "infinite": (Sum(line[i], (i, 0, sympy.oo)), "E157", "the bounds of the sum over `i`"),
    "triangle": (Sum(Mi[i, j], (j, 0, i), over_i), "E157", "the bounds of the sum over `j`"),
    "downwards": (Sum(line[i], (i, 5, 2)), "E157", "runs from 5 down to 2"),
    "square as index": (Sum(line[i**2], (i, 0, 2)), "E157", "an index of `line`"),
    "square as index of unknown size": (Sum(bare[i**2], (i, 0, 2)), "E157", "an index of `bare`"),
    "number of indices": (Sum(bare[i] * bare[i, i], (i, 0, 2)), "E159", "`bare` is used with 1 and with 2 indices"),
    "two lengths": (Sum(bare[i], over_i) * Sum(bare[i], (i, 0, m - 1)), "E159", "lengths m and n"),
    "size of nothing": (a * Sum(i, (i, 0, n - 1)) + Trace(A), "E157", "`n` is not the size of any input"),
    "function without definition": (A.applyfunc(sympy.Function("g")), "E150", "`g` in `f`"),
    "matrix by rule": (sympy.FunctionMatrix(2, 2, "lambda i, j: i + j") * A, "E157", "`FunctionMatrix` in `f`"),
    "memory layout": (IndexedBase("o", offset=2, shape=(n,))[i], "E157", "`IndexedBase` in `f`"),
    "two arrays of one name": (Trace(MatrixSymbol("A", 3, 3)) * Trace(A), "E154", "two different symbols are called `A`"),
    "array and number of one name": (Symbol("A") * Trace(A), "E154", "two different symbols are called `A`"),
    "slice that does not come out even": (C[0:3:2, :] * C, "E157", "in steps of 2"),
    "half a size": (Trace(MatrixSymbol("H", n / 2, n) * MatrixSymbol("G", n, n / 2)), "E157", "the shape of `G` is not made of whole numbers and sizes"),
    "delta with a range": (KroneckerDelta(i, j, (0, 2)) * line[i] * line[j], "E157", "`KroneckerDelta`"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_the_node(name):
    expression, code, text = REFUSALS[name]
    with pytest.raises(CompileError) as caught:
        compile_gradient(expression, check="off")
    assert caught.value.diagnostics[0].code == code
    assert text in str(caught.value)


def test_arrays_need_numpy():
    with pytest.raises(CompileError, match="E003"):
        compile_gradient(Trace(A), target="python")
    with pytest.raises(CompileError, match="E003"):
        compile_gradient(Sum(IndexedBase("x", shape=(3,))[i] * a, (i, 0, 2)), target="python")


# What other tools get wrong -----------------------------------------------------------------------------------------------


def gradient_of(expression, value, **more):
    """Return the gradient by the first input."""
    compiled = compile_gradient(expression, check="off")
    return compiled(value, **more)[1][0]


def test_h064_scalars_of_matrices():
    """On each of these SymPy's own derivative by the matrix is 0."""
    here = np.array([[2.0, 1.0], [0.5, 3.0]])
    turned = np.linalg.inv(here).T
    size = np.linalg.det(here)
    np.testing.assert_allclose(gradient_of(log(det(A)), here), turned)
    np.testing.assert_allclose(gradient_of(Trace(A) + Trace(A**2), here), np.eye(2) + 2 * here.T)
    np.testing.assert_allclose(gradient_of(exp(Trace(A)), here), np.exp(5.0) * np.eye(2))
    np.testing.assert_allclose(gradient_of(3 * det(A), here), 3 * size * turned)
    np.testing.assert_allclose(gradient_of(1 / det(A), here), -turned / size)
    column = np.array([[0.5], [-0.25]])
    np.testing.assert_allclose(gradient_of(sin((v.T * v)[0, 0]), column), 2 * np.cos(0.3125) * column)
    np.testing.assert_allclose(gradient_of(A[0, 0] + 0 * A[1, 1], here), [[1, 0], [0, 0]])
    # A determinant of 0 has a gradient, its logarithm and inverse have none.
    np.testing.assert_allclose(gradient_of(det(A), np.array([[1.0, 2.0], [2.0, 4.0]])), [[4, -2], [-2, 1]], atol=1e-12)


def test_h065_powers_are_powers_of_the_matrix():
    np.testing.assert_allclose(gradient_of(Trace(A**3), np.array([[1.0, 2.0], [3.0, 4.0]])), [[21, 45], [30, 66]])


def test_h066_h067_sums():
    np.testing.assert_allclose(
        gradient_of(Sum(IndexedBase("x")[i] * IndexedBase("w")[i], over_i), np.array([1.0, 2.0, 3.0]), x=np.array([4.0, 5.0, 6.0])), [4, 5, 6]
    )
    # An empty range is 0, as in Python; SymPy takes it for the negative of the sum in between.
    start = compile_gradient(Sum(IndexedBase("x")[i], (i, 3, n)), check="off")
    assert start.value(np.array([1.0, 2.0, 4.0])) == 0
    assert start.value(np.array([1.0, 2.0, 4.0, 8.0])) == 8


def test_h072_entries_are_independent():
    here = np.array([[2.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(gradient_of(Trace(A * A.T), here), 2 * here)
    np.testing.assert_allclose(gradient_of(Trace(A * A), here), 2 * here.T)
    agree(A * B - B * A, {"A": (2, 2), "B": (2, 2)})


def test_m15_norms_and_squared_traces():
    here = np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    np.testing.assert_allclose(gradient_of(sqrt(Trace(X.T * X)), here), here / 5)
    np.testing.assert_array_equal(gradient_of(sqrt(Trace(X.T * X)), 0 * here), 0 * here)
    np.testing.assert_array_equal(gradient_of(sqrt(Sum(xi[i] ** 2, over_i)), np.zeros(4)), np.zeros(4))
    square = np.array([[2.0, 1.0], [0.5, 3.0]])
    np.testing.assert_allclose(gradient_of(Trace(Identity(2) - A) ** 2, square), -2 * (2 - 5.0) * np.eye(2))


def test_names_that_meet_those_of_the_emitted_text():
    for name in ("np", "np.x", "lambda", "dA", "A", "prod1", "n"):
        odd, size = MatrixSymbol(name, n, 2), IndexedBase("s", shape=(n,))
        compiled = compile_gradient({"f": Sum(odd[i, 0] * size[i] * i / n, over_i) + Trace(odd.T * odd)}, check="fast")
        assert compiled.certificate.ok
        named = np.arange(6.0).reshape(3, 2)
        params = [param.name for param in compiled.program.params]
        values = {name: named, "s": np.array([1.0, 2.0, 3.0])}
        value, _ = compiled(*(values[p_] for p_ in params))
        assert value == pytest.approx((2 * 2 * 1 + 4 * 3 * 2) / 3 + 55)


def test_float32_stays_and_nothing_is_changed():
    compiled = compile_gradient({"f": (W * X).applyfunc(tanh)}, check="off")
    arrays = [np.full(shape, 0.5, dtype=np.float32) for shape in ((4, 2), (2, 3))]
    value, gradients = compiled(*arrays)
    assert value.dtype == np.float32
    assert {g.dtype for g in gradients} == {np.dtype("float32")}


def test_an_equation_says_the_order_of_the_axes(tmp_path):
    Z2 = IndexedBase("Z")
    plain = agree(xi[i] * ui[j], {"x": (N,), "u": (D,)}, sizes=SIZES, order=[(j, 0, D), (i, 0, N)], points=1)
    assert plain.program.outputs[0].atom.shape == ("m", "n")
    asked = agree(sympy.Eq(Z2[i, j], xi[i] * ui[j]), {"x": (N,), "u": (D,)}, sizes=SIZES, order=[(i, 0, N), (j, 0, D)], oracle=xi[i] * ui[j], points=1)
    assert asked.program.outputs[0].atom.shape == ("n", "m")
    agree(sympy.Eq(Z2[i], xi[i] ** 2), {"x": (N,)}, sizes=SIZES, order=[(i, 0, N)], oracle=xi[i] ** 2, points=1)
    found = compiled_file(tmp_path, 'n, m = symbols("n m")\ni, j = Idx("i", n), Idx("j", m)\nZ, a, b = map(IndexedBase, "Zab")\nf = Eq(Z[j, i], a[i]*b[j])\n')
    assert [o.name for o in found.program.outputs] == ["f"]
    assert [p.name for p in found.program.params] == ["a", "b"]
    np.testing.assert_array_equal(found.value(np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])), [[3, 6], [4, 8], [5, 10]])
    for wrong in (sympy.Eq(Z2[i], xi[i] * ui[j]), sympy.Eq(Z2[i, i], xi[i]), sympy.Eq(Z2[i], Sum(xi[i], over_i)), sympy.Eq(Z2[i + 1], xi[i])):
        with pytest.raises(CompileError):
            compile_gradient(wrong, check="off")


def test_a_sum_from_one_says_that_it_leaves_one_out():
    started = compile_gradient(Sum(IndexedBase("x")[i] ** 2, (i, 1, n)), check="off")
    assert [note.code for note in started.notes] == ["E162"]
    value, (dx,) = started(np.array([5.0, 1.0, 2.0]))
    assert value == 5.0
    np.testing.assert_array_equal(dx, [0, 2, 4])
    assert not compile_gradient(Sum(IndexedBase("x")[i] ** 2, over_i), check="off").notes
    assert not compile_gradient(Sum(xi[i] ** 2, (i, 1, n - 1)), check="off").notes
