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
    Matrix,
    MatrixSymbol,
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
        expression = expression.subs(sizes) if sizes else expression
        matrices = {s: sympy.ImmutableMatrix(*s.shape, list(self.symbols[s.name].ravel())) for s in expression.atoms(MatrixSymbol)}
        expression = expression.xreplace(matrices).doit()
        expression = expression.subs(sizes).doit() if sizes else expression
        if isinstance(expression, sympy.MatrixExpr):
            expression = expression.as_explicit()
        parts = {x: self.symbols[x.base.name if hasattr(x.base, "name") else str(x.base)][tuple(map(int, x.indices))] for x in expression.atoms(Indexed)}
        scalars = {Symbol(name): value[()] for name, value in self.symbols.items() if value.shape == ()}
        return expression.xreplace(parts).subs(scalars)

    def evaluate(self, point, upstream):
        """Return values and gradients at a point."""
        with mpmath.workdps(50):
            flat = {s: mpmath.mpf(float(v)) for name, array in self.symbols.items() for s, v in zip(array.ravel(), np.ravel(point[name]), strict=True)}
            names = list(flat)
            total = sum(
                (sympy.Float(float(upstream[place]), 60) * entry for place, entry in zip(np.ndindex(*self.shape), self.entries.values(), strict=True)),
                sympy.S.Zero,
            )
            values = [complex(sympy.lambdify(names, entry, "mpmath")(*flat.values())) for entry in self.entries.values()]
            gradients = {}
            for name, array in self.symbols.items():
                slopes = [complex(sympy.lambdify(names, sympy.diff(total, s), "mpmath")(*flat.values())) for s in array.ravel()]
                gradients[name] = np.array(slopes).real.reshape(array.shape)
        return np.array(values).real.reshape(self.shape), gradients


def agree(expression, shapes, *, sizes=None, order=(), stages=None, oracle=None, domain=None, points=2, **options):
    """Compile an expression and compare value and gradients with its entries; return what was compiled."""
    stages = {**(stages or {}), "f": expression}
    compiled = compile_gradient(stages, **{"check": "off", **options})
    written = Oracle(expression if oracle is None else oracle, shapes, sizes, order)
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
        values, gradients = written.evaluate(point, upstream)
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

A = MatrixSymbol("A", 3, 3)
B = MatrixSymbol("B", 3, 3)
X = MatrixSymbol("X", 3, 2)
W = MatrixSymbol("W", 4, 3)
v = MatrixSymbol("v", 3, 1)
w = MatrixSymbol("w", 3, 1)
y = MatrixSymbol("y", 4, 1)
An = MatrixSymbol("A", n, n)
Xn = MatrixSymbol("X", n, m)
vn = MatrixSymbol("v", n, 1)

SHAPES = {"A": (3, 3), "B": (3, 3), "X": (3, 2), "W": (4, 3), "v": (3, 1), "w": (3, 1), "y": (4, 1), "a": (), "b": ()}


def regular(point):
    """Make square matrices well-conditioned, with a positive determinant."""
    return {name: value + 3 * np.eye(3) if np.shape(value) == (3, 3) else value for name, value in point.items()}


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
    "trace of a sum": Trace(A + B.T),
    "trace of a power": Trace(A**4),
    "exponential of a trace": exp(Trace(A)),
    "trace squared": Trace(Identity(3) - A) ** 2,
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
    "element": A[1, 1] * A[0, 2] + A[1, 1] ** 2,
    "element of a product": (W * X)[2, 1],
    "element of an inverse": A.I[0, 2],
    "slice": A[0:2, 1:3] * X[0:2, :],
    "slice with a step": A[0:3:2, :] * v,
    "row": A[1, :] * v,
    "identity": a * Identity(3) + A,
    "zeros": A * B + sympy.ZeroMatrix(3, 3),
    "ones": A * sympy.OneMatrix(3, 2) + X,
    "one number for all": a * sympy.OneMatrix(3, 3) + A,
    "dot product": DotProduct(v, w),
    "dot product of a row": DotProduct(v, w.T),
    "kronecker": KroneckerProduct(A, X),
    "kronecker of three": Trace(KroneckerProduct(v, v.T, A)),
    "blocks": sympy.BlockMatrix([[A, X], [X.T, sympy.Identity(2)]]),
    "block column": sympy.BlockMatrix([[A], [W]]),
    "diagonal blocks": sympy.BlockDiagMatrix(A, X),
    "diagonal of a vector": sympy.DiagMatrix(v) * A,
    "frobenius": sqrt(Trace(X.T * X)),
    "frobenius of a difference": sqrt(Trace((A - B).T * (A - B))),
    "one by one": v.T * A * v,
    "one by one as a scalar": (v.T * v)[0] * a,
    "root of one by one": sqrt(v.T * v),
    "exponential of one by one": exp(v.T * A * v),
    "quadratic form": (v.T * A * v)[0, 0],
    "squared residual": ((W * v - y).T * (W * v - y))[0],
    "squared residual as a matrix": (W * v - y).T * (W * v - y),
    "sandwich": det(A * B) + Trace(A.I) * exp(Trace(B)) + (v.T * A.I * v)[0],
    "explicit": Matrix([[a, b], [1, a * b], [0, sin(a)]]).T * X,
    "explicit of elements": Matrix([[A[0, 0], A[1, 1] * a], [A[2, 0], 1]]),
    "explicit column": A * Matrix([1, 2, a]),
    "explicit numbers": Matrix([[1, 2, 0], [0, 1, 5], [2, 2, 1]]) * X,
    "explicit and back": (Matrix([[a, -b], [b, a]]) ** 2)[0, 1] * A[0, 0],
    "norm of a vector": v.as_explicit().norm() * a,
    "adjoint": A.adjoint() * v,
    "negated": -(A * v),
    "many factors": A * B * A * B * A * X,
    "sine of a size": A * sin(a),
}


@pytest.mark.parametrize("name", MATRICES)
def test_matrix_expressions(name):
    expression = MATRICES[name]
    used = {s.name for s in expression.atoms(MatrixSymbol)} | {s.name for s in expression.free_symbols if type(s) is Symbol}
    agree(expression, {k: s for k, s in SHAPES.items() if k in used}, domain=regular)
