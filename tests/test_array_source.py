"""
NumPy forward code against the program that is read from it.

The oracle is NumPy itself: each text is executed with `exec` on random arrays of pairwise different sizes, and its values are
compared with those of the program under `interpret.evaluate`. The texts are tables: a function of arrays and the shapes of
its arguments.
"""

from __future__ import annotations

import functools
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
    program = read_code(Source(text, "expr.py"), shapes=options.pop("given", None) or shapes, **options)
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
    *[(f"x.{f}({a})", {"x": ("N", "D", 2)}) for f in ("sum", "mean", "max", "min", "prod", "var", "std") for a in ("", "axis=0", "axis=-1", "1, keepdims=True")],
    *[(f"np.{f}(x, {a})", {"x": (2, 3, 4)}) for f in ("sum", "mean", "amax", "min", "prod", "std") for a in ("axis=(0, 2)", "axis=(-1, 0), keepdims=True", "axis=None")],
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
    ("np.squeeze(x)", {"x": (1, "N", 1)}),
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
        if sizes and ("squeeze(x)" in text or "ddof=1" in text or "[1, 2]" in text or "len(x) - 2" in text):
            continue
        annotations = {name: " ".join(map(str, shape)) for name, shape in shapes.items()}
        header = ", ".join(f'{n}: "{s}"' if s else n for n, s in annotations.items())
        compare(function.replace(f"def f({', '.join(shapes)})", f"def f({header})") if not any(s[:1].isdigit() for s in annotations.values()) else function, shapes, sizes)
