"""
NumPy forward code against the program that is read from it.

The oracle is NumPy itself: each text is executed with `exec` on random arrays of pairwise different sizes, and its values are
compared with those of the program under `interpret.evaluate`. The texts are tables: a function of arrays and the shapes of
its arguments.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile import dims
from bpcompile.diagnostics import CompileError, Source
from bpcompile.frontends.python_source import read_code
from bpcompile.interpret import evaluate
from bpcompile.ir import Lit, Var
from bpcompile.ops.array import at_sizes
from bpcompile.wellformed import check


def meaning(sizes):
    """What a primitive computes on arrays: scalar ones are applied to each element."""

    def of(primitive):
        if primitive.name == "select":
            return np.where
        if primitive.name == "copy":
            return lambda x: x
        if primitive.name in {"and", "or", "not"}:
            return {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}[primitive.name]
        if primitive.shape is not None:
            return lambda *operands, **params: primitive.impl(*operands, **at_sizes(params, sizes))

        def each(*operands):
            if not any(np.ndim(o) for o in operands):
                return primitive.impl(*(o.item() if isinstance(o, np.generic | np.ndarray) else o for o in operands))
            kind = {"bool": bool, "int": int}.get(primitive.result, float)
            return np.frompyfunc(primitive.impl, len(operands), 1)(*operands).astype(kind)

        return each

    return of


def bind(tree, value, env):
    if isinstance(tree, Var):
        env[tree] = value
    else:
        for part, item in zip(tree, value, strict=True):
            bind(part, item, env)


def outputs_at(program, inputs):
    """The outputs of a program in order, at inputs by name; every result is checked to have the shape that the program says."""
    check(program)
    env: dict[Var, Any] = {}
    sizes: dict[str, int] = {}
    for param in program.params:
        bind(param.tree, inputs[param.name], env)
        for var in param.leaves():
            for name, size in zip(var.shape, np.shape(env[var]), strict=True):
                if isinstance(name, str):
                    assert sizes.setdefault(name, size) == size
                else:
                    assert name == size
    values = evaluate(program, env, meaning=meaning(sizes))
    for eqn in program.eqns:
        if eqn.out in values and not eqn.guard:
            assert np.shape(values[eqn.out]) == tuple(dims.substitute(d, sizes) for d in eqn.out.shape), eqn
    return [o.atom.value if isinstance(o.atom, Lit) else values[o.atom] for o in program.outputs]


def flat(value):
    if isinstance(value, dict):
        return [item for part in value.values() for item in flat(part)]
    return [item for part in value for item in flat(part)] if isinstance(value, list | tuple) else [value]


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for got, want in zip(ours, theirs, strict=True):
        assert np.shape(got) == np.shape(want)
        np.testing.assert_allclose(np.asarray(got, dtype=float), np.asarray(want, dtype=float), rtol=1e-10, atol=1e-12)


def run(text, arguments):
    namespace = {"np": np, "math": math, "sliding_window_view": np.lib.stride_tricks.sliding_window_view}
    exec(text, namespace)
    function = [f for f in namespace.values() if getattr(f, "__module__", "") is None or getattr(f, "__code__", None)][-1]
    return flat([function(**arguments)])


SIZES = {"N": 4, "D": 3, "K": 2, "M": 5, "H": 6, "T": 7}


def draw(shape, sizes, rng):
    return rng.standard_normal([sizes.get(s, s) for s in shape])


def compare(text, shapes, sizes=None, *, integers=None, **options):
    """Read a function, run it with NumPy, compare at two points."""
    sizes = {**SIZES, **(sizes or {})}
    program = read_code(Source(text, "expr.py"), shapes=shapes, **options)
    rng = np.random.default_rng(1)
    for _ in range(2):
        arguments = {}
        for name, shape in shapes.items():
            if name in (integers or {}):
                arguments[name] = rng.integers(0, sizes.get(integers[name], integers[name]), [sizes.get(s, s) for s in shape])
            else:
                arguments[name] = draw(shape, sizes, rng) if shape else float(rng.standard_normal())
        copies = {k: np.copy(v) for k, v in arguments.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = run(text, arguments)
            same(outputs_at(program, {k: v if v.shape else float(v) for k, v in copies.items()}), wanted)
    return program


def refused(text, **options):
    with pytest.raises(CompileError) as caught:
        read_code(Source(text, "expr.py"), **options)
    return caught.value.diagnostics


X = {"x": ("N", "D")}
XW = {"X": ("N", "D"), "W": ("D", "K")}
V = {"v": ("N",), "w": ("N",)}
CUBE = {"a": (2, 3, 4)}

ONE_LINERS = [
    # Products.
    ("X @ W", XW),
    ("X.dot(W)", XW),
    ("np.dot(X, W)", XW),
    ("np.matmul(X, W)", XW),
    ("v @ w", V),
    ("np.dot(v, w)", V),
    ("np.outer(v, w)", {"v": ("N",), "w": ("D",)}),
    ("np.outer(v, X)", {"v": ("N",), "X": ("D", 2)}),
    ("X @ v", {"X": ("N", "D"), "v": ("D",)}),
    ("v @ X", {"X": ("N", "D"), "v": ("N",)}),
    ("X.T @ X", {"X": ("N", "D")}),
    ("a @ b", {"a": (2, 3, 4), "b": (2, 4, 5)}),
    ("a @ b", {"a": (2, 3, 4), "b": (4, 5)}),
    ("a @ b", {"a": (3, 4), "b": (2, 4, 5)}),
    ("a @ b", {"a": (2, 1, 3, 4), "b": (5, 4, 6)}),
    ("a @ b", {"a": (2, 3, 4), "b": (4,)}),
    ("a @ b", {"a": (3,), "b": (2, 3, 4)}),
    ("np.dot(a, b)", {"a": (2, 3, 4), "b": (4,)}),
    ("np.dot(v, 2.0) + np.dot(3, v)", {"v": ("N",)}),
    ("np.inner(a, b)", {"a": (2, 3), "b": (4, 3)}),
    ("np.vdot(a, b)", {"a": (2, 3), "b": (3, 2)}),
    ("np.einsum('ij,jk->ik', X, W)", XW),
    ("np.einsum('ij,jk', X, W)", XW),
    ("np.einsum('ij, kj -> ki', X, W)", {"X": ("N", "D"), "W": ("K", "D")}),
    ("np.einsum('ii->i', X)", {"X": ("N", "N")}),
    ("np.einsum('ii', X)", {"X": ("N", "N")}),
    ("np.einsum('ij->ji', X)", {"X": ("N", "D")}),
    ("np.einsum('ij->', X)", {"X": ("N", "D")}),
    ("np.einsum('i,ij,j->', v, X, w)", {"v": ("N",), "X": ("N", "D"), "w": ("D",)}),
    ("np.einsum('...ij,...jk->...ik', a, b)", {"a": (2, 3, 4), "b": (2, 4, 5)}),
    ("np.einsum('...i->...', a)", CUBE),
    ("np.einsum('bhqd,bhkd->bhqk', q, k, optimize=True)", {"q": (2, 3, 4, 5), "k": (2, 3, 6, 5)}),
    ("np.tensordot(a, b, axes=([1, 2], [0, 1]))", {"a": (2, 3, 4), "b": (3, 4, 5)}),
    ("np.tensordot(a, b)", {"a": (2, 3, 4), "b": (3, 4, 5)}),
    ("np.tensordot(a, b, 1)", {"a": (2, 3), "b": (3, 4, 5)}),
    ("np.tensordot(a, b, axes=0)", {"a": (2, 3), "b": (4,)}),
    ("np.tensordot(a, b, axes=(0, -1))", {"a": (2, 3), "b": (4, 2)}),
    ("np.kron(a, b)", {"a": (2, 3), "b": (4, 5)}),
    ("np.kron(a, b)", {"a": (2,), "b": (4, 5)}),
    ("np.cross(a, b)", {"a": (4, 3), "b": (4, 3)}),
    # Reductions.
    *[
        (f"x.{f}({a})", {"x": ("N", "D", 2)})
        for f in ("sum", "mean", "max", "min", "prod", "var", "std")
        for a in ("", "axis=0", "axis=-1", "1, keepdims=True")
    ],
    *[
        (f"np.{f}(x, {a})", {"x": (2, 3, 4)})
        for f in ("sum", "mean", "amax", "min", "prod", "std")
        for a in ("axis=(0, 2)", "axis=(-1, 0), keepdims=True", "axis=None")
    ],
    ("x.var(axis=0, ddof=1)", X),
    ("np.std(x, ddof=1)", X),
    ("np.var(x, 1, ddof=1, keepdims=True)", X),
    ("np.cumsum(x, axis=1)", X),
    ("x.cumsum()", X),
    ("np.cumprod(x, 0)", X),
    ("np.linalg.norm(x)", X),
    ("np.linalg.norm(x, axis=1)", X),
    ("np.linalg.norm(x, axis=-1, keepdims=True)", X),
    ("np.linalg.norm(x, 'fro')", X),
    ("np.linalg.norm(v, 1) + np.linalg.norm(v, np.inf) + np.linalg.norm(v, 2)", {"v": ("N",)}),
    ("np.linalg.norm(x, ord=1, axis=0)", X),
    ("np.average(x, axis=1, weights=w)", {"x": ("N", "D"), "w": ("D",)}),
    ("np.average(x)", X),
    ("np.average(x, weights=w)", {"x": ("N", "D"), "w": ("N", "D")}),
    ("np.ptp(x, axis=0)", X),
    ("sum(v)", {"v": ("N",)}),
    ("max(v) - min(v)", {"v": ("N",)}),
    ("sum(x)", X),
    ("np.sum(x > 0, axis=0) + 0.0 * x[0]", X),
    ("np.mean([v, w], axis=0)", V),
    ("np.sum([v, w])", V),
    ("np.max([v, 2 * w], axis=0)", V),
    ("x.dot(np.ones(3))", {"x": (4, 3)}),
    ("np.trace(x) + x.trace()", {"x": ("N", "N")}),
    ("np.diag(x)", {"x": ("N", "N")}),
    ("np.diag(v)", {"v": ("N",)}),
    ("np.diagonal(a, axis1=1, axis2=2)", {"a": (2, 3, 3)}),
    ("np.tril(x) + np.triu(x, 1)", {"x": ("N", "N")}),
    ("np.where(np.tri(4) > 0, x, -1.0)", {"x": (4, 4)}),
    # Shapes.
    ("x.T", X),
    ("x.T", {"x": ("N",)}),
    ("x.T", {"x": (2, 3, 4)}),
    ("x.transpose(2, 0, 1)", {"x": (2, 3, 4)}),
    ("x.transpose((1, 0, 2))", {"x": (2, 3, 4)}),
    ("np.transpose(x)", X),
    ("np.transpose(x, (0, 2, 1))", {"x": (2, 3, 4)}),
    ("np.swapaxes(x, -1, -2)", {"x": (2, 3, 4)}),
    ("np.moveaxis(x, 0, -1)", {"x": (2, 3, 4)}),
    ("np.moveaxis(x, [0, 1], [2, 0])", {"x": (2, 3, 4)}),
    ("x.reshape(-1)", X),
    ("x.reshape(2, -1)", {"x": (3, 4)}),
    ("x.reshape((2, 6))", {"x": (3, 4)}),
    ("np.reshape(x, (6, 2))", {"x": (3, 4)}),
    ("x.reshape(x.shape[0], -1)", {"x": ("N", "D", 2)}),
    ("x.reshape(x.shape[0] * x.shape[1], 2)", {"x": ("N", "D", 2)}),
    ("x.ravel() + x.flatten() + np.ravel(x)", X),
    ("np.squeeze(x)", {"x": (1, 4, 1)}),
    ("x.squeeze(axis=-1)", {"x": (1, "N", 1)}),
    ("np.expand_dims(x, 1)", X),
    ("np.expand_dims(x, (0, -1))", X),
    ("np.broadcast_to(v, (5, 4))", {"v": (4,)}),
    ("np.repeat(x, 3, axis=1)", X),
    ("np.repeat(x, 2)", X),
    ("x.repeat(2, axis=0)", X),
    ("np.tile(x, 2)", X),
    ("np.tile(v, (3, 2))", {"v": ("N",)}),
    ("np.tile(a, (2, 1, 3))", CUBE),
    ("np.flip(x)", X),
    ("np.flip(x, axis=1) + np.fliplr(x) + np.flipud(x)", X),
    *[(f"np.rot90(x, {k})", X) for k in range(-1, 4)],
    ("np.roll(v, 2) + np.roll(v, -1)", {"v": (5,)}),
    ("np.roll(x, 1, axis=1)", {"x": (4, 3)}),
    ("np.roll(x, 4)", {"x": (4, 3)}),
    ("np.diff(x, axis=0)", {"x": (4, 3)}),
    ("np.diff(v, n=2)", {"v": (5,)}),
    ("np.atleast_2d(v) @ x", {"v": ("N",), "x": ("N", "D")}),
    # Joining.
    ("np.concatenate([v, w])", {"v": ("N",), "w": ("D",)}),
    ("np.concatenate((x, y), axis=1)", {"x": ("N", "D"), "y": ("N", "K")}),
    ("np.concatenate([x, y], axis=None)", {"x": ("N", "D"), "y": ("K",)}),
    ("np.concatenate([x, np.ones((x.shape[0], 1))], axis=1)", X),
    ("np.stack([v, w])", V),
    ("np.stack([v, w], axis=1)", V),
    ("np.stack((v, w), axis=-1)", V),
    ("np.hstack([v, w])", {"v": ("N",), "w": ("D",)}),
    ("np.hstack([x, y])", {"x": ("N", "D"), "y": ("N", "K")}),
    ("np.vstack([v, w])", V),
    ("np.vstack([x, v])", {"x": ("N", "D"), "v": ("D",)}),
    ("np.column_stack([v, x])", {"v": ("N",), "x": ("N", "D")}),
    ("np.append(v, 1.0)", {"v": ("N",)}),
    ("np.array([v, w])", V),
    ("np.array([s, 2.0 * s, 3.0])", {"s": ()}),
    ("np.array([[np.cos(s), -np.sin(s)], [np.sin(s), np.cos(s)]]) @ v", {"s": (), "v": (2,)}),
    ("x + np.array([[1.0, 2.0, 3.0]])", {"x": (4, 3)}),
    ("x * [1, 2, 3] + (4, 5, 6)", {"x": (4, 3)}),
    ("[1, 2, 3] / (x**2 + 1)", {"x": (4, 3)}),
    ("np.split(x, 2, axis=1)", {"x": ("N", 6)}),
    ("np.split(v, [1, 3])", {"v": (5,)}),
    ("np.array_split(v, 3)", {"v": (7,)}),
    ("np.hsplit(x, 3)", {"x": ("N", 6)}),
    ("np.pad(x, 1)", X),
    ("np.pad(x, ((0, 1), (2, 0)))", X),
    ("np.pad(v, (1, 2), mode='constant')", {"v": ("N",)}),
    ("np.pad(x, 1, constant_values=2.5)", X),
    ("np.lib.stride_tricks.sliding_window_view(v, 3) @ w", {"v": (7,), "w": (3,)}),
    ("np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(0, 1))[::2, ::1].sum(axis=(-1, -2))", {"x": (6, 7)}),
    # Sizes and constants.
    ("x - x.mean(axis=0)", X),
    ("x / x.shape[0]", X),
    ("x.sum() / len(x) + x.size + x.ndim", X),
    ("np.zeros(x.shape) + np.ones_like(x) * 2 + np.full(x.shape, 3.5) + np.zeros_like(x) + x", X),
    ("np.eye(3) @ x", {"x": (3, 2)}),
    ("np.eye(x.shape[0]) - x", {"x": ("N", "N")}),
    ("np.arange(x.shape[0])[:, None] * x", X),
    ("np.arange(1, 5) * x", {"x": (4,)}),
    ("np.arange(0, 1, 0.25) * x + np.arange(8, 0, -2)", {"x": (4,)}),
    ("np.arange(3.0) + x", {"x": (3,)}),
    ("np.linspace(0, 1, 4) * x", {"x": (4,)}),
    ("np.linspace(a, b, 5)", {"a": (), "b": ()}),
    ("np.ones((2, x.shape[1])) @ x.T", X),
    ("x * np.size(x, 0) + np.shape(x)[1]", X),
    ("1.0 / (2 * x.shape[0] + 1) * x", X),
    # Element-wise, with axes.
    ("np.maximum(x, 0) + np.minimum(x, y) + np.clip(x, -0.5, 0.5)", {"x": ("N", "D"), "y": ("D",)}),
    ("np.where(x > 0, x, 0.1 * x)", X),
    ("np.where(c > 0, x, 0)", {"c": ("N", 1), "x": ("N", "D")}),
    ("np.where((x > 0) & ~(x > 1) | (x < -1), x, 0)", X),
    ("np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)", X),
    ("x[:, None] - y[None, :]", {"x": ("N",), "y": ("D",)}),
    ("x.clip(-0.5, 0.5) + x.clip(min=0) + x.clip(max=0)", X),
    ("(x > 0) * x + (x > 0).astype(float) + (x > 0).mean()", X),
    ("np.logical_and(x > 0, x < 1) * x", X),
    ("abs(x) + np.abs(x) + x**2 + 2**x - -x", X),
    ("np.sign(x) * np.sqrt(np.abs(x)) // 1", X),
    ("np.any(x > 0) * x + np.all(x > -9, axis=0)", X),
    ("np.count_nonzero(x > 0) * x", X),
    ("np.meshgrid(v, w)", {"v": ("N",), "w": ("D",)}),
    ("np.meshgrid(v, w, indexing='ij')", {"v": ("N",), "w": ("D",)}),
    # Parts.
    ("x[0]", X),
    ("x[-1]", X),
    ("x[1, 2] * x[-1][0]", X),
    ("x[:, 0]", X),
    ("x[:2]", {"x": (4, 3)}),
    ("x[1:-1]", {"x": (5, 3)}),
    ("x[::2]", {"x": (5, 3)}),
    ("x[::-1, 1:]", {"x": ("N", 3)}),
    ("x[3:0:-2]", {"x": (5,)}),
    ("x[-2:]", {"x": (5,)}),
    ("x[7:]", {"x": (5, 2)}),
    ("x[..., 0]", {"x": (2, 3, 4)}),
    ("x[0, ...]", {"x": (2, 3, 4)}),
    ("x[..., None, 1:]", {"x": (2, 3, 4)}),
    ("x[None]", X),
    ("x[:, np.newaxis, :]", X),
    ("x[()]", X),
    ("x[:]", X),
    ("x[1:, :-1] - x[:-1, 1:]", {"x": (4, 5)}),
    ("x[1:] - x[:-1]", {"x": ("N",)}),
    ("x[x.shape[0] - 1] + x[len(x) - 2]", X),
    ("x[: x.shape[0] - 1]", X),
    ("x[[0, 2, 0]]", {"x": (4, 3)}),
    ("x[:, [2, 0]]", {"x": (4, 3)}),
    ("x[[0, 1, -1], [2, 0, 1]]", {"x": (4, 3)}),
    ("x[np.arange(3), [2, 0, 1]]", {"x": (3, 3)}),
    ("x[range(3), (2, 0, 1)]", {"x": (3, 3)}),
    ("x[np.array([[0, 1], [2, 3]])]", {"x": (4, 3)}),
    ("a[0, :, [0, 1, 3]]", CUBE),
    ("a[:, [0, 2], 1]", CUBE),
    ("a[[0, 1], :, [0, 3]]", CUBE),
    ("a[1:, [0, 2]]", CUBE),
    ("a[[0, 1], None, [0, 2]]", CUBE),
    ("a[[0, 1], [0, 2], None]", CUBE),
    ("a[..., [3, 1]]", CUBE),
    ("a[1][2][0] + a[1][2, 0] + a[1, 2][0]", CUBE),
    ("np.take(x, [0, 2], axis=1)", {"x": (4, 3)}),
    ("x[np.argmax(v)]", {"x": ("N", "D"), "v": ("N",)}),
    ("x[np.arange(4), np.argmax(x, axis=1)] - x.max(axis=1)", {"x": (4, 3)}),
    ("np.take_along_axis(x, x.argmax(axis=1)[:, None], axis=1)", X),
    # Linear algebra.
    ("np.linalg.inv(x) @ x", {"x": (3, 3)}),
    ("np.linalg.det(x)", {"x": ("N", "N")}),
    ("np.linalg.slogdet(x)", {"x": (3, 3)}),
    ("np.linalg.solve(x, v)", {"x": (3, 3), "v": (3,)}),
    ("np.linalg.solve(x, y)", {"x": ("N", "N"), "y": ("N", "D")}),
    ("np.linalg.cholesky(x @ x.T + 3 * np.eye(3))", {"x": (3, 3)}),
    ("np.linalg.matrix_power(x, 3)", {"x": ("N", "N")}),
    ("np.linalg.multi_dot([x, y, z])", {"x": (2, 3), "y": (3, 4), "z": (4, 5)}),
    ("[r.sum() for r in x]", {"x": (3, 2)}),
    ("sum(r * i for i, r in enumerate(x))", {"x": (3, 2)}),
    ("[a @ b for a, b in zip(x, y)]", {"x": (3, 2), "y": (3, 2)}),
    ("float(x.sum()) * x.sum().item()", X),
    ("x.astype(float) + x.copy() + np.asarray(x) + np.array(x)", X),
    ("(lambda z: z @ z)(v)", {"v": ("N",)}),
]


@pytest.mark.parametrize(("text", "shapes"), ONE_LINERS, ids=[f"{i}: {row[0][:50]}" for i, row in enumerate(ONE_LINERS)])
def test_expressions(text, shapes):
    function = f"def f({', '.join(shapes)}):\n    return {text}\n"
    for sizes in (None, {"N": 1, "D": 1, "K": 1}):
        if sizes and not any(isinstance(s, str) for shape in shapes.values() for s in shape):
            continue
        # Where a size may be 1, these mean something else, or nothing.
        if sizes and ("squeeze(x)" in text or "ddof=1" in text or "[1, 2]" in text or "len(x) - 2" in text):
            continue
        annotations = {name: " ".join(map(str, shape)) for name, shape in shapes.items()}
        header = ", ".join(f'{n}: "{s}"' if s else n for n, s in annotations.items())
        compare(
            function.replace(f"def f({', '.join(shapes)})", f"def f({header})") if not any(s[:1].isdigit() for s in annotations.values()) else function,
            shapes,
            sizes,
        )


# Whole functions: what course notes and papers write.

FUNCTIONS = {
    "two layers": (
        """
def loss(X: "N D", W1: "D H", b1: "H", W2: "H K", b2: "K", y: Int[np.ndarray, "N"]):
    h = np.maximum(0, X @ W1 + b1)
    scores = h.dot(W2) + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    e = np.exp(shifted)
    probs = e / e.sum(axis=1, keepdims=True)
    N = X.shape[0]
    data = -np.sum(np.log(probs[np.arange(N), y])) / N
    return data + 0.5 * 0.1 * (np.sum(W1 * W1) + np.sum(W2 * W2))
""",
        {"X": ("N", "D"), "W1": ("D", "H"), "b1": ("H",), "W2": ("H", "K"), "b2": ("K",), "y": ("N",)},
        {"y": "K"},
    ),
    "positions by range": (
        """
def loss(s: "N K", y: "N"):
    p = np.exp(s) / np.exp(s).sum(1)[:, None]
    return -np.log(p[range(len(s)), y]).mean()
""",
        {"s": ("N", "K"), "y": ("N",)},
        {"y": "K"},
    ),
    "one hot": (
        """
def loss(s: "N K", y: "N"):
    t = np.eye(s.shape[1])[y]
    u = np.zeros_like(s)
    u[np.arange(s.shape[0]), y] = 1
    return -(t * s).sum() + np.square(u - s).mean()
""",
        {"s": ("N", "K"), "y": ("N",)},
        {"y": "K"},
    ),
    "batchnorm": (
        """
def batchnorm(x: "N D", gamma: "D", beta: "D", eps=1e-5):
    N, D = x.shape
    mu = 1.0 / N * np.sum(x, axis=0)
    xmu = x - mu
    var = 1.0 / N * np.sum(xmu**2, axis=0)
    ivar = 1.0 / np.sqrt(var + eps)
    return gamma * (xmu * ivar) + beta
""",
        {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)},
        {},
    ),
    "layernorm": (
        """
def layernorm(x: "N D", g: "D"):
    return g * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
""",
        {"x": ("N", "D"), "g": ("D",)},
        {},
    ),
    "attention": (
        """
def attention(x: "N T D", Wq: "D D", Wk: "D D", Wv: "D D"):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = q @ np.swapaxes(k, -1, -2) / np.sqrt(x.shape[-1])
    T = x.shape[1]
    s = np.where(np.tril(np.ones((T, T))) == 0, -np.inf, s)
    s = s - s.max(axis=-1, keepdims=True)
    a = np.exp(s)
    a = a / a.sum(axis=-1, keepdims=True)
    return a @ v
""",
        {"x": ("N", "T", "D"), "Wq": ("D", "D"), "Wk": ("D", "D"), "Wv": ("D", "D")},
        {},
    ),
    "heads": (
        """
def heads(x: Float[np.ndarray, "5 6"], W: Float[np.ndarray, "6 18"]):
    T, C = x.shape
    q, k, v = np.split(x @ W, 3, axis=1)
    q, k, v = [t.reshape(T, 2, C // 2).transpose(1, 0, 2) for t in (q, k, v)]
    s = np.einsum('htd,hsd->hts', q, k)
    return (s @ v).transpose(1, 0, 2).reshape(T, C)
""",
        {"x": (5, 6), "W": (6, 18)},
        {},
    ),
    "rnn": (
        """
def rnn(x: Float[np.ndarray, "T N D"], h0: Float[np.ndarray, "N H"], Wx: "D H", Wh: "H H", b: "H"):
    h = h0
    hs = {-1: h0}
    loss = 0
    for t in range(3):
        hs[t] = np.tanh(x[t] @ Wx + hs[t - 1] @ Wh + b)
        loss += (hs[t] ** 2).sum()
    return loss, hs[2]
""",
        {"x": ("T", "N", "D"), "h0": ("N", "H"), "Wx": ("D", "H"), "Wh": ("H", "H"), "b": ("H",)},
        {},
    ),
    "rnn into an array": (
        """
def rnn(x: "N 4 D", Wx: "D H", Wh: "H H"):
    N, T, D = x.shape
    H = Wh.shape[0]
    h = np.zeros((N, T, H))
    prev = np.zeros((N, H))
    for t in range(T):
        prev = np.tanh(x[:, t, :] @ Wx + prev @ Wh)
        h[:, t, :] = prev
    return h
""",
        {"x": ("N", 4, "D"), "Wx": ("D", "H"), "Wh": ("H", "H")},
        {},
    ),
    "rnn rows before and after": (
        """
def rnn(x: Float[np.ndarray, "4 D"], W: "D H", U: "H H"):
    h = np.zeros((5, U.shape[0]))
    for t in range(4):
        before = h[t - 1]
        h[t] = np.tanh(x[t] @ W + before @ U)
    return h[:-1].sum() + h[3, 0]
""",
        {"x": (4, "D"), "W": ("D", "H"), "U": ("H", "H")},
        {},
    ),
    "lstm": (
        """
def lstm(x: "N D", h: "N H", c: "N H", Wx: "D M", Wh: "H M", b: "M"):
    H = h.shape[1]
    a = x @ Wx + h @ Wh + b
    sig = lambda z: 1 / (1 + np.exp(-z))
    i, f, o = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H])
    g = np.tanh(a[:, 3 * H:])
    c = f * c + i * g
    return o * np.tanh(c), c
""",
        {"x": ("N", "D"), "h": ("N", "H"), "c": ("N", "H"), "Wx": ("D", "M"), "Wh": ("H", "M"), "b": ("M",)},
        {},
        {"M": 4 * 6},
        {"x": ("N", "D"), "h": ("N", 6), "c": ("N", 6), "Wx": ("D", 24), "Wh": (6, 24), "b": (24,)},
    ),
    "convolution by loops": (
        """
def conv(x: Float[np.ndarray, "2 3 6 5"], w: Float[np.ndarray, "4 3 3 2"], b: Float[np.ndarray, "4"]):
    stride, pad = 2, 1
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode='constant')
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, H_out, W_out))
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    out[n, f, i, j] = np.sum(xp[n, :, i * stride:i * stride + HH, j * stride:j * stride + WW] * w[f]) + b[f]
    return out
""",
        {"x": (2, 3, 6, 5), "w": (4, 3, 3, 2), "b": (4,)},
        {},
    ),
    "convolution element by element": (
        """
def conv(x: Float[np.ndarray, "4 5"], k: Float[np.ndarray, "2 3"]):
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for p in range(2):
                for q in range(3):
                    out[i, j] += x[i + p, j + q] * k[p, q]
    return out
""",
        {"x": (4, 5), "k": (2, 3)},
        {},
    ),
    "convolution, kernel outside": (
        """
def conv(x: Float[np.ndarray, "4 5"], k: Float[np.ndarray, "2 3"]):
    out = np.zeros((3, 3))
    for p in range(2):
        for q in range(3):
            out += x[p:p + 3, q:q + 3] * k[p, q]
    return out
""",
        {"x": (4, 5), "k": (2, 3)},
        {},
    ),
    "convolution by windows": (
        """
from numpy.lib.stride_tricks import sliding_window_view
def conv(x: "N 3 H W", w: "F 3 2 2"):
    cols = sliding_window_view(x, (2, 2), axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum('nchwij,fcij->nfhw', cols, w)
""",
        {"x": ("N", 3, "H", "W"), "w": ("F", 3, 2, 2)},
        {},
        {"W": 5, "F": 4, "H": 7},
    ),
    "max pooling": (
        """
def pool(x: "N C 4 6"):
    N, C, H, W = x.shape
    out = np.zeros((N, C, H // 2, W // 2))
    for i in range(H // 2):
        for j in range(W // 2):
            out[:, :, i, j] = x[:, :, 2 * i:2 * i + 2, 2 * j:2 * j + 2].max(axis=(2, 3))
    return out, x.reshape(N, C, H // 2, 2, W // 2, 2).max(axis=(3, 5))
""",
        {"x": ("N", "C", 4, 6)},
        {},
        {"C": 2},
    ),
    "svm": (
        """
def svm(X: "N D", W: "D K", y: "N"):
    scores = X.dot(W)
    correct = scores[np.arange(X.shape[0]), y][:, np.newaxis]
    margins = np.maximum(0, scores - correct + 1.0)
    margins[np.arange(X.shape[0]), y] = 0
    return np.sum(margins) / X.shape[0] + 0.1 * np.sum(W * W)
""",
        {"X": ("N", "D"), "W": ("D", "K"), "y": ("N",)},
        {"y": "K"},
    ),
    "svm by loops": (
        """
def svm(X: Float[np.ndarray, "4 3"], W: Float[np.ndarray, "3 2"]):
    y = [0, 1, 1, 0]
    loss = 0.0
    for i in range(X.shape[0]):
        scores = X[i].dot(W)
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - scores[y[i]] + 1
            if margin > 0:
                loss += margin
    return loss / X.shape[0]
""",
        {"X": (4, 3), "W": (3, 2)},
        {},
    ),
    "embedding": (
        """
def embed(C: "V D", ix: Int[np.ndarray, "N 3"], W: "E H"):
    emb = C[ix]
    h = np.tanh(emb.reshape(emb.shape[0], -1) @ W)
    return h.sum()
""",
        {"C": ("V", "D"), "ix": ("N", 3), "W": ("E", "H")},
        {"ix": 5},
        {"V": 5, "E": 9},
        {"C": ("V", 3), "ix": ("N", 3), "W": (9, "H")},
    ),
    "scatter": (
        """
def bag(x: "N D", i: Int[np.ndarray, "N"]):
    out = np.zeros((4, x.shape[1]))
    np.add.at(out, i, x)
    return out
""",
        {"x": ("N", "D"), "i": ("N",)},
        {"i": 4},
    ),
    "masks": (
        """
def f(x: "N D", v: "N"):
    a = x.copy()
    a[x < 0] = 0
    b = np.exp(x)
    b[b > 1] *= 2
    b[v > 0] += 1.5
    c = x * 1.0
    c[v < 0] = np.array([1.0, 2.0, 3.0])
    d = x + 0
    d[v > 0, 1] = -1
    return a + b + c + d
""",
        {"x": ("N", "D"), "v": ("N",)},
        {},
        {},
        {"x": ("N", 3), "v": ("N",)},
    ),
    "parts of arrays": (
        """
def f(x: Float[np.ndarray, "4 3"], v: Float[np.ndarray, "3"]):
    a = np.zeros((4, 3))
    a[0] = v
    a[1, :] = 2 * v
    a[2:, 1:] = x[2:, 1:]
    a[-1][0] = 5
    a[..., 2] += v[0]
    a[::2] *= 3
    b = a.copy()
    a[:] = 7
    a[0, 0] = b[1, 1]
    c = np.ones(6).reshape(2, 3)
    c[1] = v
    c[:, :] = c + 1
    d = np.empty((2, 3))
    d[...] = v
    e = np.full((2, 2), 1.5)
    e[0, 0], e[1, 1] = v[0], v[1]
    np.fill_diagonal(e, v[2])
    return a, b, c, d, e
""",
        {"x": (4, 3), "v": (3,)},
        {},
    ),
    "in place": (
        """
def f(x: "N D", b: "D"):
    h = x @ x.T @ x
    h += b
    h -= h.mean(axis=0)
    h *= 2
    h /= 3
    out = [x * 1, x * 2]
    out[0] += 1
    out[1][0] = b
    d = {'a': x + 1}
    d['a'] -= b
    d['a'][0, 1] *= 4
    return h, out, d
""",
        {"x": ("N", "D"), "b": ("D",)},
        {},
    ),
    "branches": (
        """
def f(x: "N D", s):
    out = np.zeros_like(x)
    out[0] = x[1]
    if s > 0:
        out[1] = x[0] * s
        y = x * 2
    else:
        y = x - s
    out[0, 0] += 1
    y += out
    return y if s > 0.5 else out
""",
        {"x": ("N", "D"), "s": ()},
        {},
    ),
    "helper fills": (
        """
def affine(x, w, b):
    out = x.reshape(x.shape[0], -1) @ w
    out += b
    return out, (x, w, b)
def relu(x):
    out = np.maximum(0, x)
    return out, x
def net(x: "N 2 3", w1: "6 H", b1: "H", w2: "H K", b2: "K"):
    a, cache = affine(x, w1, b1)
    h, _ = relu(a)
    s, _ = affine(h, w2, b2)
    return s
""",
        {"x": ("N", 2, 3), "w1": (6, "H"), "b1": ("H",), "w2": ("H", "K"), "b2": ("K",)},
        {},
    ),
    "special": (
        """
def f(z: "N D"):
    from scipy.special import logsumexp, softmax, log_softmax, expit
    return logsumexp(z), logsumexp(z, axis=1), logsumexp(z, axis=0, keepdims=True), softmax(z, axis=1), log_softmax(z, axis=-1), expit(z)
""",
        {"z": ("N", "D")},
        {},
    ),
    "gru": (
        """
def gru(x: "N D", h: "N H", Wz: "M H", Wr: "M H", Wh: "M H"):
    sigmoid = lambda a: 1.0 / (1.0 + np.exp(-a))
    xh = np.hstack([x, h])
    z = sigmoid(xh @ Wz)
    r = sigmoid(xh @ Wr)
    hh = np.tanh(np.concatenate((x, r * h), axis=1) @ Wh)
    return (1 - z) * h + z * hh
""",
        {"x": ("N", "D"), "h": ("N", "H"), "Wz": ("M", "H"), "Wr": ("M", "H"), "Wh": ("M", "H")},
        {},
        {},
        {"x": ("N", 3), "h": ("N", 6), "Wz": (9, 6), "Wr": (9, 6), "Wh": (9, 6)},
    ),
    "comparisons of sizes": (
        """
def f(x: "N D", w: "D K"):
    N, D = x.shape
    assert D == w.shape[0]
    if D != w.shape[0] or x.ndim != 2 or N + 1 <= N:
        return x.sum()
    out = x.reshape(N * D) if N > 0 else x
    return out.reshape(N, D) @ w / (N - 0.5) ** 2 + (2 * N) // 2 - N + w.size
""",
        {"x": ("N", "D"), "w": ("D", "K")},
        {},
    ),
    "flattened by np.prod": (
        """
def f(x: "N 2 D", w: "M K"):
    rows = x.reshape(x.shape[0], np.prod(x.shape[1:]))
    if rows.shape != (x.shape[0], 2 * x.shape[2]) or x.shape[:1] == x.shape[1:]:
        return x.sum()
    cols = x.reshape(len(x), int(np.prod(x.shape[1:]))).T
    return rows @ cols, x[range(0, len(x)), 0], rows.sum() * np.prod(x.shape)
""",
        {"x": ("N", 2, "D"), "w": ("M", "K")},
        {},
    ),
    "distances": (
        """
def f(x: "N D"):
    d = x[:, None, :] - x[None, :, :]
    sq = (d ** 2).sum(-1)
    return np.sqrt(sq + np.eye(len(x))).sum(), np.exp(-0.5 * sq)
""",
        {"x": ("N", "D")},
        {},
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    text, shapes, integers, *rest = FUNCTIONS[name]
    sizes = rest[0] if rest else {}
    stated = rest[1] if len(rest) > 1 else {}
    header = "class Float: __class_getitem__ = Int = classmethod(lambda c, i: i)\nInt = Float\n"
    with_types = text.replace("\ndef ", "\ndef ", 1)
    namespace_text = header + with_types
    sizes = {**SIZES, **sizes}
    program = read_code(Source(text, "expr.py"), shapes=stated or None)
    rng = np.random.default_rng(2)
    points = [sizes, {**sizes, "N": 1}]
    for point in points:
        arguments = {}
        for param in program.params:
            shape = shapes.get(param.name)
            if shape is None:
                arguments[param.name] = param.example
            elif param.name in integers:
                arguments[param.name] = rng.integers(0, point.get(integers[param.name], integers[param.name]), [point.get(s, s) for s in shape])
            else:
                arguments[param.name] = draw(stated.get(param.name, shape), point, rng) if shape else float(rng.standard_normal())
        if any(s == "N" for s in shapes.get("x", ())[:1]) and point["N"] == 1 and name in {"parts of arrays", "branches"}:
            continue
        same(outputs_at(program, {k: np.copy(v) if np.ndim(v) else v for k, v in arguments.items()}), run(namespace_text, arguments))
    for param in program.params:
        assert param.wrt is (param.name not in integers)


def test_masks_as_inputs():
    text = (
        'def f(x: "N D", m: Bool[np.ndarray, "N"]):\n    y = x * 2\n    y[~m] = 0\n    y[m, 0] += 1\n    y[m] *= x[0]\n    y[m, 1:] -= x[0, 1:]\n'
        "    return np.where(m[:, None] & (x > 0), y, -x), m.mean() * y\n"
    )
    program = read_code(Source(text))
    assert [p.wrt for p in program.params] == [True, False]
    arguments = {"x": np.random.default_rng(6).standard_normal((4, 3)), "m": np.array([True, False, True, True])}
    same(outputs_at(program, arguments), run("class Bool: __class_getitem__ = classmethod(lambda c, i: i)\n" + text, arguments))


# Any index at all.

_BOUND = st.one_of(st.none(), st.integers(-6, 6))
_SLICES = st.builds(
    lambda a, b, c: f"{'' if a is None else a}:{'' if b is None else b}" + (f":{c}" if c else ""), _BOUND, _BOUND, st.sampled_from([None, 1, 2, -1, -2])
)
_POSITIONS = st.integers(-3, 2).map(str)
_LISTS = st.lists(st.integers(-3, 2), min_size=2, max_size=2).map(str)
_INDICES = st.lists(
    st.one_of(_SLICES, _SLICES, _POSITIONS, _LISTS, st.sampled_from(["...", "None", ":", "i", "np.arange(2)", "[[0], [1]]"])), min_size=1, max_size=5
).map(", ".join)


@given(_INDICES)
def test_any_index(index):
    x = np.random.default_rng(5).standard_normal((3, 4, 5))
    i = np.array([2, 0])
    text = f'def f(x: Float[np.ndarray, "3 4 5"], i: Int[np.ndarray, "2"]):\n    return x[{index}] * 2\n'
    header = "class Float: __class_getitem__ = classmethod(lambda c, i: i)\nInt = Float\n"
    try:
        wanted = run(header + text, {"x": x, "i": i})
    except IndexError:
        refused(text)
        return
    same(outputs_at(read_code(Source(text)), {"x": x, "i": i}), wanted)


@given(_INDICES, st.sampled_from(["=", "+=", "*="]), st.sampled_from(["v", "w", "1", "x[0]"]))
def test_any_write(index, sign, value):
    arguments = {"x": np.random.default_rng(5).standard_normal((3, 4, 5)), "i": np.array([2, 0]), "v": 1.25, "w": np.arange(5.0) + 0.5}
    text = (
        'def f(x: Float[np.ndarray, "3 4 5"], i: Int[np.ndarray, "2"], v, w: Float[np.ndarray, "5"]):\n'
        f"    a = x * 1\n    b = a + 1\n    a[{index}] {sign} {value}\n    return a, b, a[-1], x\n"
    )
    header = "class Float: __class_getitem__ = classmethod(lambda c, i: i)\nInt = Float\n"
    try:
        wanted = run(header + text, {k: np.copy(a) if np.ndim(a) else a for k, a in arguments.items()})
    except (IndexError, ValueError):
        refused(text)
        return
    try:
        program = read_code(Source(text))
    except CompileError as error:
        # What is refused is named: positions that may repeat, and mixtures of these with slices.
        assert error.diagnostics[0].code == "E113", error
        assert "[" in index or "i" in index or "np" in index, error
        return
    same(outputs_at(program, arguments), wanted)


# Scripts: arrays that are written out or drawn are the inputs.

SCRIPTS = {
    "lecture": (
        "import numpy as np\nW = np.random.randn(5, 10)\nX = np.random.randn(10, 3)\nD = W.dot(X)\n",
        {"W": (5, 10), "X": (10, 3)},
        "D",
    ),
    "sizes with names": (
        "N, D, H = 4, 3, 2\nX = np.random.randn(N, D)\nW = np.random.randn(D, H) * 0.01\nb = np.random.rand(H)\nf = np.sum(np.tanh(X @ W + b)) / N\n",
        {"X": ("N", "D"), "W": ("D", "H"), "b": ("H",)},
        "f",
    ),
    "equal sizes with different names": (
        "D = 3\nH = 3\nW = np.random.randn(D, H)\nf = np.sum(W @ W)\n",
        {"W": (3, 3)},
        "f",
    ),
    "a size that a loop needs": (
        "T = 3\nx = np.random.randn(T, 2)\nW = np.random.randn(2, 2)\nh = np.zeros(2)\nfor t in range(T):\n    h = np.tanh(W @ h + x[t])\nf = h.sum()\n",
        {"x": (3, 2), "W": (2, 2)},
        "f",
    ),
    "a generator": (
        "rng = np.random.default_rng(0)\nX = rng.standard_normal((4, 3))\nY = rng.normal(0, 1, size=(3, 2))\nf = X @ Y\n",
        {"X": (4, 3), "Y": (3, 2)},
        "f",
    ),
    "labels": (
        "np.random.seed(1)\ns = np.random.randn(4, 3)\ny = np.random.randint(0, 3, size=4)\nf = s[np.arange(4), y].sum()\n",
        {"s": (4, 3), "y": (4,)},
        "f",
    ),
    "written out": (
        "X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])\ny = np.array([0, 2])\nf = -np.log(X[np.arange(2), y] / X.sum(axis=1)).mean()\n",
        {"X": (2, 3), "y": (2,)},
        "f",
    ),
    "a dictionary": (
        "params = {'W1': np.random.randn(3, 2), 'b1': np.random.randn(2)}\nx = np.random.randn(4, 3)\nf = (x @ params['W1'] + params['b1']).sum()\n",
        {"W1": (3, 2), "b1": (2,), "x": (4, 3)},
        "f",
    ),
    "a list": (
        "Ws = [np.random.randn(3, 3) for _ in range(2)]\nx = np.random.randn(3)\nfor W in Ws:\n    x = np.tanh(W @ x)\nf = x.sum()\n",
        {"Ws0": (3, 3), "Ws1": (3, 3), "x": (3,)},
        "f",
    ),
    "drawn by a function": (
        "def init(n, m):\n    return np.random.randn(n, m) / np.sqrt(n)\nW = init(3, 2)\nf = (W * W).sum()\n",
        {"W": (3, 2)},
        "f",
    ),
    "both at once": (
        "A, b = np.random.randn(2, 2), np.random.randn(2)\nf = np.linalg.solve(A, b)\n",
        {"A": (2, 2), "b": (2,)},
        "f",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name):
    text, shapes, output = SCRIPTS[name]
    program = read_code(Source(text, "expr.py"))
    assert {p.name: p.tree.shape for p in program.params} == shapes
    assert [o.name for o in program.outputs] == [output]
    namespace: dict[str, Any] = {"np": np}
    exec(text, namespace)
    values = {**namespace.get("params", {}), **{f"Ws{i}": w for i, w in enumerate(namespace.get("Ws", []))}, **namespace}
    if name == "a list":  # the script overwrites its input
        x = np.random.default_rng(0).standard_normal(3)
        values["x"] = x
        for w in namespace["Ws"]:
            x = np.tanh(w @ x)
        values["f"] = x.sum()
    same(outputs_at(program, {p.name: values[p.name] for p in program.params}), [values[output]])
    for param in program.params:
        if param.tree.dtype == "int":
            assert not param.wrt
            assert np.shape(param.example) == param.tree.shape


def test_a_constant_array_is_an_input_when_asked_for():
    text = "W = np.random.randn(3, 2)\nb = np.zeros(2)\nx = np.random.randn(3)\nf = (x @ W + b).sum()\n"
    assert [p.name for p in read_code(Source(text)).params] == ["W", "x"]
    assert [p.name for p in read_code(Source(text), wrt=["W", "b"]).params if p.wrt] == ["W", "b"]


def test_shapes_from_outside():
    program = read_code(Source("def f(X, w):\n    return np.sum((X @ w)**2)\n"), shapes={"X": ("N", "D"), "w": ("D",)})
    assert [p.tree.shape for p in program.params] == [("N", "D"), ("D",)]
    program = read_code(Source("def f(w):\n    s = 0\n    for v in w:\n        s += v*v\n    return s + np.sum(w)\n"), shapes={"w": 3})
    assert program.params[0].tree.shape == (3,)
    same(outputs_at(program, {"w": np.array([1.0, 2.0, 3.0])}), [20.0])


def test_a_row_by_row_result_is_put_together_in_one_step():
    program = read_code(
        Source('def f(x: "N 3"):\n    out = np.zeros((x.shape[0], 3))\n    for t in range(3):\n        out[:, t] = x[:, t] * t\n    return out\n')
    )
    needed, live = [], {program.outputs[0].atom}
    for eqn in reversed(program.eqns):
        if eqn.out in live:
            needed.append(eqn.prim.name)
            live.update(a for a in eqn.args if isinstance(a, Var))
    assert "stack" in needed
    assert "setitem" not in needed


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('def f(x: "N D"):\n    return x.sum(axis=0), x.sum(), x.mean(axis=1), x.prod(axis=0), x @ x.T, x.T @ x\n', {"x": (0, 3)}),
        ('def f(x: "N D"):\n    return np.concatenate([x, x]), np.cumsum(x, axis=0), x.reshape(-1), x[::2], np.exp(x) - x[:, :1]\n', {"x": (0, 3)}),
        ('def f(x: "N D", i: Int[np.ndarray, "M"]):\n    return x[i], np.linalg.norm(x, axis=1), x.T @ x[:, 0]\n', {"x": (3, 2), "i": (0,)}),
        ("def f(x: Float[np.ndarray, '0 3']):\n    return np.zeros((0, 2)), x.sum(), np.ones(3) + x.sum(axis=0), np.pad(x, 1), x.max(axis=1)\n", {"x": (0, 3)}),
    ],
)
def test_empty_arrays(text, arguments):
    program = read_code(Source(text))
    drawn = {n: np.zeros(s, dtype=int) if n == "i" else np.ones(s) for n, s in arguments.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(outputs_at(program, drawn), run("class Float: __class_getitem__ = classmethod(lambda c, i: i)\nInt = Float\n" + text, drawn))


# Writes: NumPy's arrays are shared between names, the program's values are not.

WRITES = [
    # body of f(x: "4 3", v: "3"), refused with these words or right
    ("a = x\na += 1\nreturn a", "in place"),
    ("a = x\na[0] = 1\nreturn a", "caller"),
    ("x[0] = 1\nreturn x", "caller"),
    ("a = x[1:]\na[0] = 1\nreturn x", "caller"),
    ("a = x.T\na *= 2\nreturn x", "input `x`"),
    ("a = x.reshape(-1)\na[0] = 1\nreturn x", "input `x`"),
    ("a = x[[0, 1]]\na[0] = 1\nreturn a, x", ""),
    ("a = x.copy()\na[0] = 1\nreturn a, x", ""),
    ("a = np.array(x)\na[0] = 1\nreturn a, x", ""),
    ("a = np.asarray(x)\na[0] = 1\nreturn a", "caller"),
    ("a = x.flatten()\na[0] = 1\nreturn a, x", ""),
    ("a = x * 1\nb = a\nb[0] = 1\nreturn a, b", "`a` may hold"),
    ("a = x * 1\nb = a[0]\na[0] = 1\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = a[0]\na[1] = 1\nreturn a, b", ""),
    ("a = x * 1\nb = a[0]\na[1] = 1\na[0] = 2\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = a[-1]\na[3] = 1\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = a[:2]\na[2:] = 1\nreturn a, b", ""),
    ("a = x * 1\nb = a[:, 0]\na[1:] = 1\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = a[0]\nb[0] = 1\nreturn a, b", "`a` may hold"),
    ("a = x * 1\nb = a[0].copy()\nb[0] = 1\nreturn a, b", ""),
    ("a = x * 1\nb = [a]\na[0] = 1\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = {'k': a.T}\na += 1\nreturn a, b", "`b` may hold"),
    ("a = x * 1\nb = a + 0\na[0] = 1\nreturn a, b", ""),
    ("def g(z):\n    z[0] = 1\n    return z\na = x * 1\nb = g(a)\nreturn a, b", "`a` may hold"),
    ("def g(z):\n    z[0] = 1\n    return z\nreturn g(x * 1)", ""),
    ("def g(z):\n    z[0] = 1\n    return z\nreturn g(x)", "caller"),
    ("a = x * 1\ndef g():\n    a[0] = 1\ng()\nreturn a", "does not belong"),
    ("a = np.broadcast_to(v, (4, 3))\na[0] = 1\nreturn a", "v"),
    ("a = np.broadcast_to(v * 2, (4, 3))\na[0] = 1\nreturn a", "view"),
    ("a = x * 1\na[[0, 0]] += 1\nreturn a", "add.at"),
    ("a = x * 1\na[[0, 0]] = 1\nreturn a", ""),
    ("a = x * 1\na[np.arange(3), [0, 2, 1]] += v\nreturn a", ""),
    ("a = x * 1\na[np.arange(3), [0, 2, 1]] = v\nreturn a", ""),
    ("a = x * 1\na[[0, 0]] = v\nreturn a", "repeat"),
    ("a = x * 1\nnp.add.at(a, [0, 0], v)\nreturn a", ""),
    ("a = x * 1\na[x > 0] = x[x > 0]\nreturn a", "mask"),
    ("a = x * 1\na[[0, 1]][0] = 5\nreturn a", "copy"),
    ("a = np.arange(4)\na[0] = 1.5\nreturn a * x[:, 0]", "whole numbers"),
    ("a = np.arange(4)\na[0] = 7\nreturn a * x[:, 0]", ""),
    ("a = np.zeros(3, dtype=int)\na += v\nreturn a * x", "whole numbers"),
    ("a = v * 1\na += x\nreturn a", "grow"),
    ("a = x * 1\na[0] = x\nreturn a", "broadcast"),
    ("a = x * 1\na[4] = 0\nreturn a", "out of bounds"),
    ("a = x * 1\nfor r in a:\n    a[0] = 1\nreturn a", "the loop"),
    ("a = x * 1\nfor i in range(4):\n    r = a[i]\n    a[i] = r * 2\nreturn a", ""),
    ("a = x * 1\nb = a\nb += 1\nb = b * 2\nreturn b", ""),
    ("a = x * 1\nb = a\nif v[0] > 0:\n    a[0] = 1\nreturn b", "`b` may hold"),
    ("a = x * 1\nb = a\nif v[0] > 0:\n    a[0] = 1\nreturn a", ""),
    ("a = x * 1\na[0], a[1] = a[1], a[0]\nreturn a", "right side"),
    ("a = x * 1\nb = a[2] = a[1]\na = a + 1\nreturn a, b", ""),
    ("a = x * 1\na[1:3] = b = a[0:2]\nreturn a, b", "right side"),
    ("h = x * 1\nhs = []\nfor i in range(2):\n    hs.append(h)\n    h += 1\nreturn hs", "`hs` may hold"),
    ("h = x * 1\nhs = []\nfor i in range(2):\n    hs.append(h)\n    h = h + 1\nreturn hs", ""),
    ("hs = [x * 1, x * 2]\nks = hs\nks[0] += 1\nreturn hs", ""),
    ("hs = [x * 1] * 2\nhs[0] += 1\nreturn hs", "`hs` may hold"),
    ("a = x * 1\nfor r in x:\n    a[0] += r\nreturn a", ""),
    ("a = x * 1\nb = a if v[0] > 0 else x\nb[0] = 1\nreturn b", "input"),
    ("a = x * 1\nc = x * 2\nb = a if v[0] > 0 else c\nb[0] = 1\nreturn a, b, c", "may hold"),
    ("a = x * 1\nr = a[0]\nif v[0] > 0:\n    a[1] = 0\na[0] = 2\nreturn a, r", "`r` may hold"),
    ("a = x * 1\nif v[0] > 0:\n    a[1] = 0\na[0] = 2\nreturn a", ""),
    ("a = np.zeros((4, 3))\nfor i in range(4):\n    a[i] = x[i]\nb = a\na[0] = 5\nreturn a, b", "`b` may hold"),
    ("a = np.zeros((4, 3))\nfor i in range(4):\n    a[i] = x[i]\nr = a[0]\na[1] = 5\na = a + 1\nreturn a, r", ""),
    ("a = x * 1\na.fill(3)\nreturn a + x", ""),
    ("a = x * 1\na[0], a[1] = a[1].copy(), a[0].copy()\nreturn a", ""),
    ("a = x * 1\ndel a[0]\nreturn a", "del"),
    ("a = np.einsum('ij->ji', x)\na[0] = 1\nreturn a", "input"),
    ("a, b = np.split(x * 1, 2)\na[0] = 1\nreturn a", ""),
    ("a, b = np.split(x * 1, 2)\na[0] = 1\nreturn a, b", "`b` may hold"),
]


@pytest.mark.parametrize(("body", "words"), WRITES, ids=[row[0].replace("\n", "; ") for row in WRITES])
def test_writes(body, words):
    head = 'def f(x: Float[np.ndarray, "4 3"], v: Float[np.ndarray, "3"]):\n'
    text = head + "".join(f"    {line}\n" for line in body.split("\n"))
    rng = np.random.default_rng(3)
    if words:
        found = refused(text)
        assert words in f"{found[0].message} {found[0].help}", found[0].message
        assert found[0].span is not None
        return
    program = read_code(Source(text))
    for _ in range(3):
        arguments = {"x": rng.standard_normal((4, 3)), "v": rng.standard_normal(3)}
        ours = outputs_at(program, {k: v.copy() for k, v in arguments.items()})
        same(ours, run("class Float: __class_getitem__ = classmethod(lambda c, i: i)\n" + text, arguments))


# Refusals.

REFUSED = [
    # text, code, line, column, words in message or help
    (
        'def f(X: "N D", W: "K D"):\n    return X @ W\n',
        "E112",
        2,
        12,
        "(N, D) and (K, D) can't be multiplied with `@`: `X` has shape (N, D) (line 1) and `W` has shape (K, D) (line 1)",
    ),
    ('def f(X: "N D", W: "K D"):\n    return X @ W\n', "E112", 2, 12, ".T"),
    ('def f(X: "N D", y: "M"):\n    z = X * 2\n    return z + y\n', "E112", 3, 12, "`z` has shape (N, D) (line 2) and `y` has shape (M,) (line 1)"),
    ('def f(X: "3 1", y: "2 4"):\n    return X @ y\n', "E112", 2, 12, "can't be multiplied"),
    ('def f(X: "N D"):\n    return X.reshape(3, 5)\n', "E112", 2, 12, "D * N elements can't be reshaped to (3, 5)"),
    ('def f(X: "N 3", y: "N 4"):\n    return np.concatenate([X, y])\n', "E112", 2, 12, "joined along axis 0"),
    ('def f(X: "N 3", y: "N 4"):\n    return np.stack([X, y])\n', "E112", 2, 12, "stacked"),
    ('def f(X: "N D"):\n    return np.linalg.inv(X)\n', "E112", 2, 12, "square"),
    ('def f(X: "N D", w: "K"):\n    return np.einsum("ij,j->i", X, w)\n', "E112", 2, 12, "`j` has size D and size K"),
    ('def f(X: "N D"):\n    return X.sum(axis=2)\n', "E108", 2, 12, "axis 2 of an array with 2 axes"),
    ('def f(X: "N 3"):\n    return X[0, 3]\n', "E108", 2, 12, "index 3 is out of bounds for axis 1 with size 3"),
    ('def f(X: "N 3"):\n    return X[0, 0, 0]\n', "E108", 2, 14, "too many indices"),
    ('def f(X: "N 3"):\n    return X[X > 0]\n', "E111", 2, 12, "np.where"),
    ('def f(X: "N 3"):\n    return X[X[0, 0] * 0.5]\n', "E106", 2, 14, "value of `X`"),
    ('def f(X: "N 3"):\n    return X[X[:, 0] * 0.5]\n', "E116", 2, 14, "whole number"),
    ('def f(X: "N 3"):\n    return X[1.5]\n', "E116", 2, 14, "integer"),
    ('def f(X: "2 3 4", Y: "4 5 6 7"):\n    return np.dot(X, Y)\n', "E111", 2, 12, "einsum"),
    ('def f(X: "N 3"):\n    return X * np.random.rand(3)\n', "E119", 2, 16, "input"),
    ("X = np.random.randn(4, 3)\nmask = (np.random.rand(4, 3) < 0.5) / 0.5\nf = X * mask\n", "E119", 2, 9, "input"),
    ("X = np.random.randn(4, 3)\nh = X * 2\nn = h + np.random.rand(4, 3)\nf = X * n\n", "E119", 3, 9, "input"),
    ('def f(X: "N 3"):\n    return np.matrix(X) * X\n', "E102", 2, 12, "matrix product"),
    ('def f(X: "N 3"):\n    return np.sort(X)\n', "E102", 2, 12, "sorting"),
    ('def f(X: "N 3"):\n    return X.sort()\n', "E104", 2, 12, "sort"),
    ('def f(X: "N 3"):\n    return np.linalg.svd(X)\n', "E102", 2, 12, "np.linalg.svd"),
    ('def f(X: "N 3"):\n    return np.linalg.invv(X)\n', "E102", 2, 12, "np.linalg.inv"),
    ('def f(X: "N 3"):\n    return X.foo\n', "E104", 2, 12, "foo"),
    ('def f(X: "N 3"):\n    s = 0\n    for r in X:\n        s += r.sum()\n    return s\n', "E106", 3, 14, "size `N`"),
    ('def f(X: "N 3"):\n    s = 0\n    for i in range(len(X)):\n        s += X[i].sum()\n    return s\n', "E106", 3, 14, "size `N`"),
    ('def f(X: "N D"):\n    return X if X.shape[0] > 3 else 2 * X\n', "E106", 2, 17, "size `N`"),
    ('def f(X: "N 3"):\n    return X.sum(out=X)\n', "E109", 2, 18, "out"),
    ('def f(X: "N 3"):\n    return np.zeros(3, dtype=np.float32) + X\n', "E109", 2, 24, "dtype"),
    ('def f(X: "N 3"):\n    return X.astype(np.float32)\n', "E109", 2, 12, "dtype"),
    ('def f(X: "N 3"):\n    return np.array([[1, 2], [3]]) + X\n', "E108", 2, 21, "differ in length"),
    ('def f(X: "N 3"):\n    return X @ 2\n', "E111", 2, 12, "number"),
    ('def f(X: "0 3"):\n    return X.max()\n', "E110", 2, 12, "no elements"),
    ('def f(X: "1 3"):\n    return X.var(axis=0, ddof=1)\n', "E110", 2, 12, "ddof=1 of 1 element"),
    ('def f(X: "N 3"):\n    return np.pad(X, 1, mode="edge")\n', "E109", 2, 25, "edge"),
    ('def f(X: "N 5"):\n    return np.split(X, 2, axis=1)\n', "E112", 2, 12, "2 equal parts"),
    ('def f(X: "N 3"):\n    return X[::0]\n', "E108", 2, 14, "step"),
    ('def f(X: "N 3"):\n    return np.arange(3) ** -1 * X\n', "E116", 2, 12, "negative"),
    ('def f(X: "N 3"):\n    return np.linalg.norm(X, 2)\n', "E102", 2, 12, "ord=2"),
    ('def f(X: "N 3"):\n    return X.argmax(axis=1)\n', "E114", 2, 12, "whole number"),
    ('def f(X: "N 3"):\n    y = X * 2 if X[0, 0] > 0 else X[0]\n    return y\n', "E118", 2, 9, "differ"),
    ("def f(X):\n    return X @ X\n", "E111", 2, 12, "--shape X=N,D"),
    ("def f(X):\n    return X.sum()\n", "E111", 2, 12, "shape of `X` is not known"),
    ("def f(X):\n    return X.T * 2\n", "E111", 2, 12, "shape of `X` is not known"),
    ("def f(X):\n    return X[:, 0]\n", "E111", 2, 12, "shape of `X` is not known"),
    ("def f(X):\n    return np.sum(X, axis=0)\n", "E111", 2, 12, "shape of `X` is not known"),
    ("X = np.zeros((3, 2))\nf = X * 2\n", "E114", 2, 1, "--wrt X"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "words"), REFUSED, ids=[repr(row[0])[:70] for row in REFUSED])
def test_refusals(text, code, line, column, words):
    first = refused(text)[0]
    assert (first.code, first.span.line, first.span.column) == (code, line, column), first.message
    assert words in f"{first.message} {first.help} {first.label}"
    assert not first.message.endswith(".")
