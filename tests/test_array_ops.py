"""
Structural primitives: every test loops over the entries that have array samples, so that a new entry is tested by being there.

Oracles: central differences of the values in NumPy, on arrays of pairwise different sizes including 1 and 0 and with generic
upstream gradients; NumPy running the printed forms; `np.einsum` for contractions.
"""

from __future__ import annotations

import itertools
import math
import random
import string
import warnings
from contextlib import contextmanager

import mpmath
import numpy as np
import pytest

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile import contraction, dims
from bpcompile.forms import Prec
from bpcompile.interpret import evaluate as interpret
from bpcompile.ir import Builder, Lit, Output, Param, Program, Var
from bpcompile.ops import array as a
from bpcompile.ops import linalg as la
from bpcompile.ops.array import at_sizes
from bpcompile.primitive import REGISTRY, ZERO, EachOperand
from bpcompile.printer import Text, show
from bpcompile.reverse import reverse
from bpcompile.wellformed import check

STRUCTURAL = [p for p in REGISTRY if p.shape is not None]
BASE = {"N": 3, "D": 4, "K": 2, "M": 5, "H": 6}
SIZES = (BASE, {**BASE, "N": 1}, {**BASE, "D": 1}, {**BASE, "N": 0}, {**BASE, "D": 0})
#: What NumPy itself refuses on empty arrays.
NEEDS_ELEMENTS = {"amax", "peak", "amin", "hits", "argmax", "argmin"}
POSITIONS = {"gather": 1, "scatter_add": 2}


class Case:
    """One sample of one primitive at concrete sizes."""

    def __init__(self, primitive, shapes, params, sizes):
        self.primitive, self.shapes, self.symbolic, self.sizes = primitive, shapes, params, sizes
        self.params = at_sizes(params, sizes)
        self.concrete = [concrete(s, sizes) for s in shapes]
        first = POSITIONS.get(primitive.name, len(shapes))
        self.floats = [i for i in range(len(shapes)) if i < first]

    def operands(self, seed=0):
        rng = np.random.default_rng(seed)
        if self.primitive.draw is not None:
            return list(self.primitive.draw(rng, *self.concrete, **self.params))
        return [rng.standard_normal(s) if s else np.float64(rng.standard_normal()) for s in self.concrete]

    def variables(self):
        return [Var(name=f"x{i}", shape=s, dtype="float" if i in self.floats else "int") for i, s in enumerate(self.shapes)]

    def value(self, operands):
        with quiet():
            return self.primitive.impl(*operands, **self.params)


@contextmanager
def quiet():
    """NumPy warns of the mean of nothing, as it does in the user's own code."""
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")
        yield


def concrete(shape, sizes):
    return tuple(dims.substitute(d, sizes) for d in shape)


def cases(primitives=STRUCTURAL, sizes=SIZES):
    found = []
    for primitive in primitives:
        for k, (shapes, params) in enumerate(primitive.array_samples):
            for j, assignment in enumerate(sizes):
                case = Case(primitive, shapes, params, assignment)
                flat = [d for s in case.concrete for d in s]
                if j and case.concrete == Case(primitive, shapes, params, BASE).concrete:
                    continue
                if 0 in flat and (primitive.name in NEEDS_ELEMENTS or not fits(case)):
                    continue
                found.append(pytest.param(case, id=f"{primitive.name}-{k}-{'x'.join(map(str, flat))}"))
    return found


def fits(case):
    """Whether positions and bounds lie inside the axes: a sample of index 0 can't be taken of nothing."""
    if case.primitive.name in POSITIONS:
        return all(s[axis] for s in case.concrete[:1] for axis in case.params["axes"])
    if case.primitive.name in {"getitem", "embed", "setitem"}:
        try:
            np.empty(case.concrete[0])[a.as_index(case.params["index"])]
        except IndexError:
            return False
    return True


# -- running equations --------------------------------------------------------------------------------------------------------


def evaluate(result, eqns, env, sizes):
    """Run equations by the values of primitives."""
    for eqn in eqns:
        operands = [x.value if isinstance(x, Lit) else env[x] for x in eqn.args]
        # The values of element-wise entries are Python's, one number at a time.
        function = np.where if eqn.prim.name == "select" else eqn.prim.impl
        env[eqn.out] = function(*operands, **at_sizes(eqn.params, sizes))
        # A slice of nothing is nothing, where the arithmetic of names says -1.
        assert np.shape(env[eqn.out]) == tuple(max(0, d) for d in concrete(eqn.out.shape, sizes)), eqn
    return env[result] if isinstance(result, Var) else result


def statements(eqn, names, target="numpy"):
    """Print one equation as statements, the way an emitter does."""
    operands = [Text(names[x]) if isinstance(x, Var) else Text(repr(x.value), Prec.FACTOR if x.value < 0 else Prec.ATOM) for x in eqn.args]
    form = eqn.prim.form(target, eqn.params, [x.shape for x in eqn.args])
    out = names[eqn.out] = f"t{len(names)}"
    if not form.statements:
        return [f"{out} = {show(eqn.prim.name, form, operands).text}"]
    return filled(form.statements, form, out, operands)


def filled(templates, form, out, operands):
    parts = [o.within(form.operands[min(i, len(form.operands) - 1)]) for i, o in enumerate(operands)]
    return [line.format(*parts, out=out, **{name: f"fresh_{name}" for name in form.fresh}) for line in templates]


def run(lines, env):
    code = "\n".join(lines)
    space = {"np": np, **env}
    try:
        exec(code, space)
    except Exception as error:
        raise AssertionError(f"{code}\n{error}") from error
    return space


def undo(case, index, ct):
    """Return the equations of one rule and their result."""
    operands = case.variables()
    ans = Var(name="ans", shape=case.primitive.shape(*case.shapes, **case.symbolic))
    with Builder() as builder:
        result = case.primitive.vjp[index](ct if ct is not None else (ct := Var(name="ct", shape=ans.shape)), ans, *operands, **case.symbolic)
    return operands, ans, ct, builder.eqns, result


def differentiable(case):
    if case.primitive.result != "float":
        return []
    vjp = case.primitive.vjp
    return [i for i in case.floats if isinstance(vjp, EachOperand) or vjp[i] is not ZERO]


def central(case, operands, index, upstream):
    """Return the gradient of sum(value * upstream) by central differences."""
    h = 1e-6
    x = np.array(operands[index], dtype=float)
    out = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * h
            args = [moved if i == index else v for i, v in enumerate(operands)]
            values.append(np.sum(case.value(args) * upstream))
        out[at] = (values[0] - values[1]) / (2 * h)
    return out


def upstream_for(value, seed=1):
    return np.random.default_rng(seed).standard_normal(np.shape(value))


# -- every entry ------------------------------------------------------------------------------------------------------------------


def test_every_structural_entry_has_samples():
    assert [p.name for p in STRUCTURAL if not p.array_samples] == []
    assert len(STRUCTURAL) >= 45


@pytest.mark.parametrize("case", cases())
def test_shape_rule_is_the_shape_of_the_value(case):
    value = case.value(case.operands())
    assert concrete(case.primitive.shape(*case.shapes, **case.symbolic), case.sizes) == np.shape(value)
    # The rule on numbers says the same as the rule on names.
    assert case.primitive.shape(*case.concrete, **case.params) == np.shape(value)


@pytest.mark.parametrize("case", cases())
def test_rules_are_central_differences(case):
    for index in differentiable(case):
        operands = case.operands()
        value = case.value(operands)
        upstream = upstream_for(value)
        variables, ans, ct, eqns, result = undo(case, index, None)
        env = {**dict(zip(variables, operands, strict=True)), ans: value, ct: upstream}
        with quiet():
            got = evaluate(result, eqns, env, case.sizes)
        want = central(case, operands, index, upstream)
        if isinstance(result, Var):
            assert np.shape(got) == np.shape(operands[index])
        np.testing.assert_allclose(np.broadcast_to(got, want.shape), want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", [c for c in cases(sizes=(BASE,)) if c.values[0].primitive.shape(*c.values[0].shapes, **c.values[0].symbolic) == ()])
def test_rules_take_a_number_for_the_cotangent_of_a_scalar(case):
    for index in differentiable(case):
        operands = case.operands()
        variables, ans, _, eqns, result = undo(case, index, 1.5)
        env = {**dict(zip(variables, operands, strict=True)), ans: case.value(operands)}
        got = evaluate(result, eqns, env, case.sizes)
        assert isinstance(result, Var | float)
        np.testing.assert_allclose(np.broadcast_to(got, np.shape(operands[index])), central(case, operands, index, 1.5), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("known", [False, True], ids=["params", "shapes"])
@pytest.mark.parametrize("target", ["numpy", "notes"])
def test_forms_compute_the_value(case, known, target):
    operands = case.operands(seed=2)
    form = case.primitive.form(target, case.symbolic, case.shapes if known else None)
    names = [Text(f"x{i}") for i in range(len(operands))]
    env = {**case.sizes, **{f"x{i}": frozen(x) for i, x in enumerate(operands)}}
    lines = filled(form.statements, form, "out", names) if form.statements else [f"out = {show(case.primitive.name, form, names).text}"]
    with quiet():
        got = run(lines, env)["out"]
        want = case.value(operands)
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    if not form.view and isinstance(got, np.ndarray):
        assert got.flags.writeable
        assert not any(np.shares_memory(got, x) for x in operands if isinstance(x, np.ndarray))


@pytest.mark.parametrize("case", cases())
def test_forms_that_accumulate_add_the_value(case):
    form = case.primitive.form("numpy", case.symbolic, case.shapes)
    if form.accumulate:
        operands = case.operands(seed=3)
        want = case.value(operands)
        base = upstream_for(want, seed=4)
        env = {**case.sizes, **{f"x{i}": frozen(x) for i, x in enumerate(operands)}, "out": base.copy()}
        if np.shape(want):
            got = run(filled(form.accumulate, form, "out", [Text(f"x{i}") for i in range(len(operands))]), env)["out"]
            np.testing.assert_allclose(got, base + want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", cases(sizes=(BASE,)))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_printed_rules_run_and_keep_the_dtype(case, dtype):
    for index in differentiable(case):
        operands = [np.asarray(x, dtype=dtype) if i in case.floats else x for i, x in enumerate(case.operands())]
        value = np.asarray(case.value(operands), dtype=dtype)
        upstream = upstream_for(value).astype(dtype)
        variables, ans, ct, eqns, result = undo(case, index, None)
        if not isinstance(result, Var):
            continue
        names = {**{v: f"x{i}" for i, v in enumerate(variables)}, ans: "ans", ct: "ct"}
        env = {**case.sizes, **{f"x{i}": frozen(x) for i, x in enumerate(operands)}, "ans": frozen(value), "ct": frozen(upstream)}
        lines = [line for eqn in eqns for line in statements(eqn, names)]
        got = run(lines, env)[names[result]]
        assert got.dtype == dtype, "\n".join(lines)
        want = evaluate(result, eqns, {**dict(zip(variables, operands, strict=True)), ans: value, ct: upstream}, case.sizes)
        np.testing.assert_allclose(got, want, rtol=1e-3 if dtype is np.float32 else 1e-9, atol=1e-3 if dtype is np.float32 else 1e-9)


@pytest.mark.parametrize("case", cases(sizes=(BASE, {**BASE, "N": 1})))
def test_values_take_numbers_of_any_precision(case):
    operands = case.operands(seed=5)
    if not case.floats:
        return
    high = [exact(x) if i in case.floats else x for i, x in enumerate(operands)]
    got = np.asarray(case.value(high), dtype=float)
    np.testing.assert_allclose(got, np.asarray(case.value(operands), dtype=float), rtol=1e-9, atol=1e-9)


def exact(x):
    return np.array([mpmath.mpf(float(v)) for v in np.ravel(x)], dtype=object).reshape(np.shape(x)) if np.ndim(x) else mpmath.mpf(x)


def frozen(x):
    if isinstance(x, np.ndarray):
        x = x.copy()
        x.flags.writeable = False
    return x


@pytest.mark.parametrize("case", cases([p for p in STRUCTURAL if p.shape_only], sizes=(BASE,)))
def test_only_the_shape_of_some_operands_counts(case):
    operands = case.operands()
    other = [np.full_like(x, 7.5) if i in case.primitive.shape_only else x for i, x in enumerate(operands)]
    np.testing.assert_array_equal(case.value(operands), case.value(other))
    assert all(case.primitive.vjp[i] is ZERO for i in case.primitive.shape_only if not isinstance(case.primitive.vjp, EachOperand))


# -- single entries -----------------------------------------------------------------------------------------------------------------


def text(primitive, *shapes, target="numpy", **params):
    form = primitive.form(target, params, shapes or None)
    return form.statements or form.template


def test_forms_read_as_people_write():
    assert text(a.sum_, ("N", "D"), axis=(0,), keepdims=False) == "{0}.sum(axis=0)"
    assert text(a.sum_, ("N", "D"), axis=(0, 1), keepdims=False) == "{0}.sum()"
    assert text(a.sum_, axis=(0, 1), keepdims=False) == "{0}.sum(axis=(0, 1))"
    assert text(a.sum_, ("N", "D"), axis=(1,), keepdims=True) == "{0}.sum(axis=1, keepdims=True)"
    assert text(a.spread, axis=(0,), keepdims=False) == "np.broadcast_to({0}, {1}.shape)"
    assert text(a.spread, axis=(1,), keepdims=False) == "np.broadcast_to({0}[:, None], {1}.shape)"
    assert text(a.transpose, perm=(1, 0)) == "{0}.T"
    assert text(a.transpose, perm=(0, 2, 1)) == "np.swapaxes({0}, -1, -2)"
    assert text(a.transpose, perm=(1, 0, 2)) == "{0}.transpose(1, 0, 2)"
    assert text(a.reshape, shape=("N", 3)) == "{0}.reshape(N, 3)"
    assert text(a.reshape, shape=(dims.multiply("N", 3),)) == "{0}.ravel()"
    assert text(a.getitem, index=(a.ALL, 0, ("slice", 1, 3, None), None)) == "{0}[:, 0, 1:3, None]"
    assert text(a.getitem, index=(("slice", dims.add("N", 1), None, None),)) == "{0}[N + 1 :]"
    assert text(a.embed, index=(a.ALL, 0)) == ("{out} = np.zeros_like({0})", "{out}[:, 0] = {1}")
    assert text(a.scatter_add, axes=(0,)) == ("{out} = np.zeros_like({0})", "np.add.at({out}, {2}, {1})")
    assert text(a.scatter_add, axes=(0, 1))[1] == "np.add.at({out}, ({2}, {3}), {1})"
    assert text(a.gather, axes=(1,)) == "{0}[:, {1}]"
    assert text(a.concatenate, axis=1) == "np.concatenate([{}], axis=1)"
    assert text(a.stack, (), (), axis=0) == "np.array([{}])"
    assert text(a.pad, widths=((1, 1), (1, 1))) == "np.pad({0}, 1)"
    assert text(a.pad, widths=((0, 0), (1, "K"))) == "np.pad({0}, ((0, 0), (1, K)))"
    assert text(la.undiagonal, ("N", "N"), (), axis1=0, axis2=1)[1] == "np.fill_diagonal({out}, {1})"
    assert text(la.norm, ("N",), axis=(0,), keepdims=False) == "np.linalg.norm({0})"


def test_the_gradient_of_padding_reads_as_people_write():
    ct, x = Var(shape=("N", 7, 8)), Var(shape=("N", 5, 6))
    with Builder() as b:
        a.pad.vjp[0](ct, Var(), x, widths=((0, 0), (1, 1), (1, 1)))
    assert b.eqns[0].prim.form("numpy", b.eqns[0].params).template == "{0}[:, 1:-1, 1:-1]"


def gradient(primitive, *operands, index=0, ct=None, **params):
    """Return the value of one rule at a point."""
    value = primitive.impl(*operands, **params)
    variables = [Var(shape=np.shape(x), dtype="int" if np.asarray(x).dtype.kind == "i" else "float") for x in operands]
    upstream = np.ones(np.shape(value)) if ct is None else ct
    seed, ans = Var(shape=np.shape(value)), Var(shape=np.shape(value))
    with Builder() as builder:
        result = primitive.vjp[index](seed, ans, *variables, **params)
    return evaluate(result, builder.eqns, {**dict(zip(variables, operands, strict=True)), seed: upstream, ans: value}, {})


def test_ties_share_the_gradient():
    x = np.array([[2.0, 5.0, 5.0], [1.0, 1.0, 1.0], [0.0, 3.0, -1.0]])
    got = gradient(a.amax, x, axis=(1,), keepdims=False, ct=np.array([2.0, 3.0, 5.0]))
    np.testing.assert_allclose(got, [[0, 1, 1], [1, 1, 1], [0, 5, 0]])
    assert gradient(a.amin, np.zeros((2, 2)), axis=(0, 1), keepdims=True).sum() == pytest.approx(1)


@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [4.0], []])
def test_gradient_of_a_product_with_zeros(x):
    x = np.array(x)
    want = [math.prod(np.delete(x, i)) for i in range(len(x))]
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(gradient(a.prod, x, axis=(0,), keepdims=False), want)


@pytest.mark.parametrize("zeros", [(), (0,), (1,), (3,), (1, 2), (0, 3)])
def test_gradient_of_running_products_with_zeros(zeros):
    x = np.array([1.5, -2.0, 0.5, 3.0])
    x[list(zeros)] = 0.0
    ct = np.array([0.3, -1.0, 2.0, 0.7])
    want = [sum(ct[k] * math.prod(x[j] for j in range(k + 1) if j != i) for k in range(i, 4)) for i in range(4)]
    with np.errstate(all="raise"):
        np.testing.assert_allclose(gradient(a.cumprod, x, axis=0, ct=ct), want)


def test_repeated_positions_accumulate():
    x, i = np.zeros((3, 2)), np.array([1, 1, -1, 1])
    ct = np.arange(8.0).reshape(4, 2)
    got = gradient(a.gather, x, i, axes=(0,), ct=ct)
    np.testing.assert_array_equal(got, [[0, 0], [0 + 2 + 6, 1 + 3 + 7], [4, 5]])


def test_gradient_of_the_determinant_of_singular_matrices():
    for matrix in ([[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], np.ones((3, 3)), np.diag([0.0, 2.0, 3.0]), np.zeros((1, 1)), np.zeros((0, 0))):
        m = np.array(matrix, dtype=float)
        want = np.array(la.cofactor.impl(exact(m)), dtype=float)
        np.testing.assert_allclose(gradient(la.det, m), want, atol=1e-12)
    np.testing.assert_allclose(gradient(la.det, np.array([[1.0, 2.0], [2.0, 4.0]])), [[4, -2], [-2, 1]], atol=1e-12)


def test_norm_at_zero():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(gradient(la.norm, np.zeros(3), axis=(0,), keepdims=False), np.zeros(3))
        got = gradient(la.norm, np.array([[3.0, 4.0], [0.0, 0.0]]), axis=(1,), keepdims=False)
    np.testing.assert_allclose(got, [[0.6, 0.8], [0, 0]])


def test_powers_take_few_products():
    x = Var(shape=("N", "N"))
    with Builder() as b:
        la.matrix_power.vjp[0](Var(shape=("N", "N")), Var(), x, n=1000)
    assert len(b.eqns) < 80


def test_moving_truth_values_keeps_them():
    mask = Var(shape=("N", "D"), dtype="bool")
    labels = Var(shape=("N",), dtype="int")
    with Builder():
        assert a.transpose(mask, perm=(1, 0)).dtype == "bool"
        assert a.getitem(labels, index=(0,)).dtype == "int"
        assert a.gather(labels, labels, axes=(0,)).dtype == "int"
        assert a.sum_(Var(shape=("N",)), axis=(0,), keepdims=False).dtype == "float"


def test_kronecker_product():
    x, y = Var(shape=(2, 3)), Var(shape=(4, 5))
    with Builder() as b:
        out = la.kron(x, y)
    rng = np.random.default_rng(0)
    p, q = rng.standard_normal((2, 3)), rng.standard_normal((4, 5))
    np.testing.assert_allclose(evaluate(out, b.eqns, {x: p, y: q}, {}), np.kron(p, q))


@pytest.mark.parametrize(
    "apply",
    [
        lambda x: a.transpose(x, perm=(0, 0)),
        lambda x: a.reshape(x, shape=("N", 5)),
        lambda x: a.broadcast_to(x, shape=(2, "N", 3)),
        lambda x: a.getitem(x, index=(a.ALL, 4)),
        lambda x: a.getitem(x, index=(0, 0, 0)),
        lambda x: a.setitem(x, x, index=(0,)),
        lambda x: a.concatenate(x, a.transpose(x, perm=(1, 0)), axis=0),
        lambda x: a.stack(x, a.getitem(x, index=(0,)), axis=0),
        lambda x: a.windows(x, axes=(1,), sizes=(5,), steps=(1,)),
        lambda x: a.gather(x, x, axes=(0, 1)),
        lambda x: la.einsum(x, x, spec="ij,jk->ik"),
        lambda x: la.einsum(x, x, spec="ijk,jk->i"),
        la.inv,
        lambda x: la.diagonal(x, axis1=0, axis2=1),
        la.diag,
        lambda x: la.solve(x, x),
        la.trace,
    ],
)
def test_shapes_that_do_not_agree_are_refused(apply):
    with Builder(), pytest.raises(ValueError):
        apply(Var(shape=("N", 4)))


@pytest.mark.parametrize("size", range(8))
def test_slice_lengths_are_numpys(size):
    bounds = (None, *range(-9, 10))
    for start, stop, step in itertools.product(bounds, bounds, (None, 1, 2, 3, -1, -2, -5)):
        assert a.slice_length(size, start, stop, step) == len(np.arange(size)[start:stop:step])


def test_slice_lengths_of_named_sizes():
    for start, stop, step in itertools.product((None, 0, 1, 3, -2), (None, 9, 10, -1, -3), (None, 2, 3, -1, -2)):
        if step is not None and step < 0:
            start, stop = stop, start  # noqa: PLW2901  from the end to the front
        want = len(np.arange(12)[start:stop:step])
        if want:  # bounds in order
            assert dims.substitute(a.slice_length("N", start, stop, step), {"N": 12}) == want, (start, stop, step)


def test_an_index_is_printed_as_it_was_written():
    rng = random.Random(3)

    def part():
        return ("slice", rng.choice([None, 1, -3]), rng.choice([None, 4, -1]), rng.choice([None, 2, -1]))

    x = np.arange(7 * 6 * 5).reshape(7, 6, 5)
    for _ in range(300):
        index = tuple(rng.choice([None, a.ALL, rng.randrange(-5, 5), part()]) for _ in range(rng.randrange(4)))
        got = eval(f"x[{a.show_index(index)}]", {"x": x})
        np.testing.assert_array_equal(got, x[a.as_index(index)])
        assert a.index_shape(x.shape, index) == np.shape(got)


# -- contractions ---------------------------------------------------------------------------------------------------------------------


def specs(longest):
    """Yield every contraction of two operands of up to `longest` indices, up to renaming; of long results only some orders."""
    letters = "ijklmn"
    for n, m in itertools.product(range(longest + 1), repeat=2):
        left = letters[:n]
        for shared in range(min(n, m) + 1):
            fresh = letters[n : n + m - shared]
            for common in itertools.combinations(left, shared):
                for right in itertools.permutations([*common, *fresh]):
                    if [c for c in right if c in fresh] != list(fresh):
                        continue
                    alone = [c for c in left if c not in common] + list(fresh)
                    for kept in range(shared + 1):
                        for both in itertools.combinations(common, kept):
                            orders = itertools.permutations([*alone, *both])
                            for out in orders if len(alone) + kept <= 4 else itertools.islice(orders, 0, None, 37):
                                yield f"{left},{''.join(right)}->{''.join(out)}"


def operands_of(spec):
    rng = np.random.default_rng(len(spec))
    sizes = dict(zip("ijklmn", (2, 3, 4, 5, 2, 3), strict=True))
    left, right = spec.partition("->")[0].split(",")
    return [rng.standard_normal([sizes[c] for c in t]) for t in (left, right)]


@pytest.mark.parametrize("style", ["code", "notes"])
def test_every_contraction_is_printed_right(style):
    count = 0
    for spec in specs(3):
        x, y = operands_of(spec)
        form = contraction.form(spec, style)
        got = eval(show("einsum", form, [Text("x"), Text("y")]).text, {"np": np, "x": x, "y": y})
        np.testing.assert_allclose(got, np.einsum(spec, x, y), rtol=1e-12, atol=1e-12, err_msg=f"{spec}: {form.template}")
        assert np.shape(got) == contraction.result_shape(x.shape, y.shape, spec)
        count += 1
    assert count > 1000


def test_sums_and_products_stand_in_parentheses_where_they_must():
    for spec in specs(3):
        x, y = operands_of(spec)
        for style in ("code", "notes"):
            form = contraction.form(spec, style)
            for shown, prec in (("{} + 3 * {}", Prec.ARITH), ("{} * {}", Prec.TERM), ("-{}", Prec.FACTOR)):
                left, right = shown.format("x", "x"), shown.format("y", "y")
                got = eval(show("einsum", form, [Text(left, prec), Text(right, prec)]).text, {"np": np, "x": x, "y": y})
                want = np.einsum(spec, eval(left, {"x": x}), eval(right, {"y": y}))
                np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12, err_msg=spec)


def test_no_einsum_for_matrices_and_vectors():
    for spec in specs(2):
        for style in ("code", "notes"):
            template = contraction.form(spec, style).template
            assert "einsum" not in template, spec
            assert "tensordot" not in template, spec


@pytest.mark.parametrize(
    ("spec", "code", "notes"),
    [
        ("ij,jk->ik", "{0} @ {1}", "{0}.dot({1})"),
        ("ij,kj->ik", "{0} @ {1}.T", "{0}.dot({1}.T)"),
        ("ji,jk->ik", "{0}.T @ {1}", "{0}.T.dot({1})"),
        ("jk,ij->ik", "{1} @ {0}", "{1}.dot({0})"),
        ("ij,jk->ki", "{1}.T @ {0}.T", "{1}.T.dot({0}.T)"),
        ("ij,j->i", "{0} @ {1}", "{0}.dot({1})"),
        ("ij,i->j", "{0}.T @ {1}", "{0}.T.dot({1})"),
        ("i,ij->j", "{0} @ {1}", "{0}.dot({1})"),
        ("k,dk->d", "{0} @ {1}.T", "{0}.dot({1}.T)"),
        ("i,i->", "{0} @ {1}", "{0}.dot({1})"),
        ("i,j->ij", "np.outer({0}, {1})", "np.outer({0}, {1})"),
        ("i,j->ji", "np.outer({1}, {0})", "np.outer({1}, {0})"),
        ("ij,ij->", "np.sum({0} * {1})", "np.sum({0} * {1})"),
        ("ij,ij->i", "({0} * {1}).sum(axis=1)", "({0} * {1}).sum(axis=1)"),
        ("ij,i->ij", "{0} * {1}[:, None]", "{0} * {1}[:, None]"),
        ("bij,bjk->bik", "{0} @ {1}", "{0} @ {1}"),
        ("bij,bkj->bik", "{0} @ np.swapaxes({1}, -1, -2)", "{0} @ np.swapaxes({1}, -1, -2)"),
        ("btd,dk->btk", "{0} @ {1}", "{0} @ {1}"),
        ("btk,dk->btd", "{0} @ {1}.T", "{0} @ {1}.T"),
        ("btd,btk->dk", "np.tensordot({0}, {1}, axes=((0, 1), (0, 1)))", "np.tensordot({0}, {1}, axes=((0, 1), (0, 1)))"),
        ("bij,bj->bi", 'np.einsum("bij,bj->bi", {0}, {1})', 'np.einsum("bij,bj->bi", {0}, {1})'),
    ],
)
def test_contractions_read_as_people_write(spec, code, notes):
    assert contraction.form(spec).template == code
    assert contraction.form(spec, "notes").template == notes


def test_the_lecture_notes_lines():
    """D = W.dot(X): dW = dD.dot(X.T), dX = W.T.dot(dD)."""
    w, x, ct = Var(shape=(5, 10)), Var(shape=(10, 3)), Var(shape=(5, 3))
    with Builder() as b:
        ans = la.matmul(w, x)
        la.einsum.vjp[0](ct, ans, w, x, **b.eqns[0].params)
        la.einsum.vjp[1](ct, ans, w, x, **b.eqns[0].params)
    names = {w: "W", x: "X", ct: "dD"}
    texts = [show("einsum", e.prim.form("notes", e.params), [Text(names[v]) for v in e.args]).text for e in b.eqns]
    assert texts == ["W.dot(X)", "dD.dot(X.T)", "W.T.dot(dD)"]


@pytest.mark.parametrize("spec", ["ij,jk", "ij->ij", "ii,ij->j", "ij,jk->i", "ij,jk->iik", "ij,jk->ikl"])
def test_what_is_no_contraction_of_two_operands_is_refused(spec):
    with pytest.raises(ValueError):
        contraction.parse(spec)


def contracted(inputs, output, arrays, shapes=None, sizes=None):
    variables = [Var(shape=s) for s in (shapes or [x.shape for x in arrays])]
    with Builder() as builder:
        result = contraction.contract(variables, inputs, output)
    for eqn in builder.eqns:
        if eqn.prim.name == "einsum":
            contraction.parse(eqn.params["spec"])
    return evaluate(result, builder.eqns, dict(zip(variables, arrays, strict=True)), sizes or {}), builder.eqns


@pytest.mark.parametrize("seed", range(400))
def test_any_einsum(seed):
    rng = random.Random(seed)
    letters = string.ascii_lowercase[: rng.randrange(1, 6)]
    sizes = {c: rng.choice([2, 3, 4, 5, 1, 0] if rng.random() < 0.3 else [2, 3, 4]) for c in letters}
    inputs = ["".join(rng.choice(letters) for _ in range(rng.randrange(4))) for _ in range(rng.randrange(1, 5))]
    used = [c for c in letters if any(c in t for t in inputs)]
    output = "".join(rng.sample(used, rng.randrange(len(used) + 1)))
    numbers = np.random.default_rng(seed)
    stretch = rng.random() < 0.3
    arrays = [numbers.standard_normal([1 if stretch and rng.random() < 0.2 else sizes[c] for c in t]) for t in inputs]
    try:
        want = np.einsum(",".join(inputs) + "->" + output, *arrays)
    except ValueError:  # NumPy takes no diagonal of (1, N)
        return
    if not any(x.ndim for x in arrays):
        return
    got, _ = contracted(inputs, output, arrays)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
    assert np.shape(got) == want.shape


def test_orders_are_cheap():
    rng = np.random.default_rng(0)
    x, y, v = rng.standard_normal((50, 60)), rng.standard_normal((60, 70)), rng.standard_normal(70)
    got, eqns = contracted(["ij", "jk", "k"], "i", [x, y, v])
    np.testing.assert_allclose(got, x @ y @ v)
    assert [e.out.shape for e in eqns] == [(60,), (50,)]


def test_named_sizes_in_any_einsum():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((3, 4), (5, 4), (3, 5), (1, 5))]
    shapes = [("N", "D"), ("K", "D"), ("N", "K"), (1, "K")]
    got, _ = contracted(["ij", "kj", "ik", "ik"], "ki", arrays, shapes, {"N": 3, "D": 4, "K": 5})
    np.testing.assert_allclose(got, np.einsum("ij,kj,ik,ik->ki", *arrays))


def test_many_operands():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 2)) for _ in range(40)]
    inputs = [contractions(i) for i in range(40)]
    got, eqns = contracted(inputs, inputs[0][0] + inputs[-1][1], arrays)
    np.testing.assert_allclose(got, np.linalg.multi_dot(arrays))
    assert len(eqns) == 39


def contractions(i):
    return string.ascii_letters[i] + string.ascii_letters[i + 1]


@pytest.mark.parametrize(
    ("shapes", "inputs", "output"),
    [([("N", 3)], ["ijk"], "i"), ([("N", 3)], ["ij"], "k"), ([("N", 3)], ["ij"], "ii"), ([("N",), ("D",)], ["i", "i"], ""), ([], [], "")],
)
def test_einsums_that_make_no_sense_are_refused(shapes, inputs, output):
    with Builder(), pytest.raises(ValueError):
        contraction.contract([Var(shape=s) for s in shapes], inputs, output)


def test_numbers_among_the_operands():
    x = Var(shape=("N",))
    with Builder() as b:
        out = contraction.contract([2.0, x, 3.0], ["", "i", ""], "")
    assert evaluate(out, b.eqns, {x: np.array([1.0, 4.0])}, {"N": 2}) == 30.0


# -- through the reverse pass ---------------------------------------------------------------------------------------------------------


NUMPY = {"tanh": np.tanh, "tanh_slope": lambda x, y: 1 / np.cosh(x) ** 2, "exp": np.exp, "log": np.log, "select": np.where, "sqrt": np.sqrt}


def test_a_network_through_the_reverse_pass():
    """Two layers, the largest score taken out, softmax cross-entropy with labels: against central differences."""
    shapes = {"X": ("N", "D"), "W": ("D", "H"), "b": ("H",), "V": ("H", "K")}
    sizes = {"N": 3, "D": 4, "H": 6, "K": 2}
    inputs = {name: Var(name=name, shape=shape) for name, shape in shapes.items()}
    labels = Var(name="y", shape=("N",), dtype="int")
    by_name = {p.name: p for p in REGISTRY}
    with Builder() as b:
        hidden = by_name["tanh"](la.matmul(inputs["X"], inputs["W"]) + inputs["b"])
        scores = contraction.contract([hidden, inputs["V"]], ["nh", "hk"], "nk")
        scores = scores - a.amax(scores, axis=(1,), keepdims=True)
        e = by_name["exp"](scores)
        probs = e / a.sum_(e, axis=(1,), keepdims=True)
        rows = b.emit(a.arange, (), {"size": "N"})
        loss = -a.mean(by_name["log"](a.gather(probs, rows, labels, axes=(0, 1))), axis=(0,), keepdims=False)
    program = Program([*(Param(n, v) for n, v in inputs.items()), Param("y", labels, wrt=False)], b.eqns, [Output("loss", loss)])
    check(program)
    whole = reverse(program)
    check(whole)
    at = whole.with_eqns([eqn.replace(params=at_sizes(eqn.params, sizes)) for eqn in whole.eqns])
    rng = np.random.default_rng(0)
    point = {**{v: rng.standard_normal(concrete(v.shape, sizes)) for v in inputs.values()}, labels: np.array([0, 1, 1]), whole.seeds[0]: 1.5}

    def run_at(values):
        return interpret(at, values, meaning=lambda p: NUMPY.get(p.name, p.impl))

    found = run_at(point)
    for var in inputs.values():
        want = np.zeros_like(point[var])
        for index in np.ndindex(*want.shape):
            step = np.zeros_like(want)
            step[index] = 1e-6
            want[index] = 1.5 * (run_at({**point, var: point[var] + step})[loss] - run_at({**point, var: point[var] - step})[loss]) / 2e-6
        np.testing.assert_allclose(found[whole.gradients[var]], want, rtol=1e-6, atol=1e-8)
