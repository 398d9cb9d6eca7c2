"""
Programs with arrays on which other tools are wrong: branches, ties, roots at 0, overflow, broadcasting, aliasing, types.

Expected numbers are closed forms, or central differences of the user's own code. Texts run with NumPy's warnings raised as errors,
on read-only arrays.
"""

from __future__ import annotations

import numpy as np
import pytest

from bpcompile import compile_gradient
from bpcompile.diagnostics import CompileError


def compiled_of(text, **options):
    options.setdefault("check", "fast")  # the full certificate has its own tests
    return compile_gradient("import numpy as np\n" + text, **options)


def frozen(value):
    array = np.array(value)
    array.flags.writeable = False
    return array


def gradient(text, *arguments, upstream=None, quiet=False, **options):
    """Return value and gradients, with NumPy's warnings as errors unless the program itself has them."""
    compiled = compiled_of(text, **options)
    with np.errstate(all="ignore" if quiet else "raise", under="ignore"):
        seeds = {} if upstream is None else {compiled.emitted.seeds[0]: frozen(upstream)}
        return compiled(*map(frozen, arguments), **seeds)


def differences(text, arguments, upstream, h=1e-6):
    space = {"np": np}
    exec(text, space)
    found = []
    for k, x in enumerate(arguments):
        if np.asarray(x).dtype.kind != "f":
            continue
        out = np.zeros_like(x)
        for index in np.ndindex(*np.shape(x)):
            pair = []
            for sign in (h, -h):
                moved = [np.array(a) for a in arguments]
                moved[k][index] += sign
                pair.append(np.sum(np.asarray(upstream) * space["f"](*moved)))
            out[index] = (pair[0] - pair[1]) / (2 * h)
        found.append(out)
    return found


def agrees(text, *arguments, **options):
    """Compare every gradient with differences, for a generic upstream gradient."""
    space = {"np": np}
    exec(text, space)
    value = space["f"](*arguments)
    upstream = np.random.default_rng(5).uniform(0.5, 1.5, np.shape(value)) * np.random.default_rng(6).choice([-1, 1], np.shape(value))
    got, gradients = gradient(text, *arguments, upstream=upstream, **options)
    np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-14)
    floats = [a for a in arguments if np.asarray(a).dtype.kind == "f"]
    for x, g, want in zip(floats, gradients, differences(text, arguments, upstream), strict=True):
        assert np.shape(g) == np.shape(x)
        np.testing.assert_allclose(g, want, rtol=1e-6, atol=1e-7)


RNG = np.random.default_rng(17)


def normal(*shape):
    return RNG.standard_normal(shape)


# -- A: branches and ties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["code", "notes"])
def test_h001_the_branch_not_taken_does_no_harm(style):
    text = 'def f(x: "N D"):\n    return np.sum(np.where(x > 0, np.sqrt(x), x))\n'
    _, (dx,) = gradient(text, [[-1.0, 4.0, -2.0], [0.25, -3.0, 1.0]], style=style)
    np.testing.assert_allclose(dx, [[1, 0.25, 1], [1, 1, 0.5]])


def test_h002_a_masked_logarithm():
    text = 'def f(x: "N"):\n    return np.sum(np.where(x > 0, x * np.log(x), 0.0))\n'
    value, (dx,) = gradient(text, [0.0, 0.5, -1.0])
    np.testing.assert_allclose(value, 0.5 * np.log(0.5))
    np.testing.assert_allclose(dx, [0, 1 + np.log(0.5), 0])


@pytest.mark.parametrize("row", [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, 0.0, -1.0]])
@pytest.mark.parametrize("name", ["max", "min"])
def test_h011_weights_of_ties_sum_to_one(name, row):
    text = f'def f(x: "N D"):\n    return np.{name}(x, axis=1)\n'
    _, (dx,) = gradient(text, [row, [5.0, 1.0, 9.0]], upstream=[2.0, -3.0])
    np.testing.assert_allclose(dx.sum(axis=1), [2, -3])
    best = getattr(np, name)(row)
    assert np.all(dx[0][np.array(row) != best] == 0)
    assert np.all(dx[0] >= 0)


def test_h011_max_pooling_of_equal_elements():
    text = 'def f(x: "4 6"):\n    return x.reshape(2, 2, 3, 2).max(axis=(1, 3))\n'
    _, (dx,) = gradient(text, np.zeros((4, 6)), upstream=np.full((2, 3), 4.0))
    np.testing.assert_allclose(dx.sum(), 24)
    np.testing.assert_allclose(dx.reshape(2, 2, 3, 2).sum(axis=(1, 3)), np.full((2, 3), 4.0))


def test_h009_h010_h012_conventions_element_by_element():
    _, (dx, dy) = gradient('def f(x: "N", y: "N"):\n    return np.sum(np.maximum(x, y))\n', [1.0, 2.0], [1.0, 3.0])
    np.testing.assert_allclose(dx + dy, [1, 1])
    # At a tie of `maximum` the first operand has the gradient.
    _, (dx,) = gradient('def f(x: "N"):\n    return np.sum(np.maximum(0, x) + np.abs(x))\n', [0.0, -1.0, 2.0])
    np.testing.assert_allclose(dx, [0, -1, 2])


# -- B: roots and powers at the edge -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("numerics", ["stable", "literal"])
@pytest.mark.parametrize("axis", ["", ", axis=1", ", axis=1, keepdims=True"])
def test_h016_the_norm_of_nothing_has_gradient_zero(axis, numerics):
    text = f'def f(x: "N D"):\n    return np.sum(np.linalg.norm(x{axis}))\n'
    _, (dx,) = gradient(text, np.zeros((2, 3)), numerics=numerics)
    assert np.all(dx == 0)
    _, (dx,) = gradient(text, [[3.0, 4.0], [0.0, 0.0]], numerics=numerics)
    np.testing.assert_allclose(dx, [[0.6, 0.8], [0, 0]])


def test_h016_the_squared_norm():
    _, (dx,) = gradient('def f(x: "N"):\n    return np.linalg.norm(x) ** 2\n', [0.0, 0.0])
    np.testing.assert_allclose(dx, [0, 0])


def test_h017_distances_masked_before_the_root():
    text = (
        'def f(X: "N D"):\n    d = X[:, None, :] - X[None, :, :]\n    s = np.sum(d * d, axis=2)\n    m = s > 0\n'
        "    r = np.sqrt(np.where(m, s, 1.0))\n    return np.sum(np.where(m, r, 0.0))\n"
    )
    X = normal(4, 3)
    _, (dX,) = gradient(text, X)
    d = X[:, None] - X[None]
    r = np.sqrt((d * d).sum(axis=2)) + np.eye(4)
    np.testing.assert_allclose(dX, 2 * (d / r[:, :, None]).sum(axis=1))


@pytest.mark.parametrize("style", ["code", "notes"])
def test_h018_deviation_of_equal_numbers(style):
    _, (dx,) = gradient('def f(x: "N"):\n    return np.std(x)\n', [2.0, 2.0, 2.0], style=style)
    np.testing.assert_allclose(dx, [0, 0, 0])
    _, (dx,) = gradient('def f(x: "N"):\n    return np.var(x)\n', [2.0, 2.0, 2.0], style=style)
    np.testing.assert_allclose(dx, [0, 0, 0])


@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize("axis", ["", "axis=0", "axis=1, keepdims=True", "axis=(0, 2), ddof=1", "ddof=1"])
def test_h018_deviation_in_general(axis, style):
    agrees(f'def f(x: "N D K"):\n    return x.std({axis}) * 2\n', normal(3, 4, 2), style=style)


def test_h019_powers_of_zero():
    _, (dx, dy) = gradient('def f(x: "N", y: "N"):\n    return np.sum(x ** y)\n', [0.0, 2.0, 1.5], [2.0, 3.0, 0.5])
    np.testing.assert_allclose(dx, [0, 12, 0.5 * 1.5**-0.5])
    np.testing.assert_allclose(dy, [0, 8 * np.log(2), 1.5**0.5 * np.log(1.5)])


@pytest.mark.parametrize(("power", "want"), [("2", [0, -2, 6]), ("1", [1, 1, 1]), ("0", [0, 0, 0]), ("3.0", [0, 3, 27])])
def test_h022_constant_powers(power, want):
    _, (dx,) = gradient(f'def f(x: "N", y: "N"):\n    return np.sum(x ** {power} + y)\n', [0.0, -1.0, 3.0], [0.0, 1.0, 2.0], wrt=["x"])
    np.testing.assert_allclose(dx, want)


@pytest.mark.parametrize("style", ["code", "notes"])
def test_h022_a_constant_in_the_shape_of_an_array(style):
    agrees('def f(x: "N D", y: "D"):\n    return np.sum(x ** 0, axis=1) + x @ y + np.sum(x * 0 + y ** 0)\n', normal(2, 3), normal(3), style=style)


def test_product_with_zeros():
    _, (dx,) = gradient('def f(x: "N D"):\n    return np.sum(np.prod(x, axis=1))\n', [[0.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    np.testing.assert_allclose(dx, [[6, 0, 0], [0, 0, 0]])
    agrees('def f(x: "N D"):\n    return np.cumprod(x, axis=1)\n', np.array([[0.0, 2.0, 3.0], [1.0, 0.0, 5.0]]))


# -- C: overflow and cancellation --------------------------------------------------------------------------------------------


def test_h030_softplus_of_an_array():
    value, (dx,) = gradient('def f(x: "N"):\n    return np.sum(np.log(1 + np.exp(x)))\n', [800.0, -800.0, 0.0])
    np.testing.assert_allclose(value, 800 + np.log(2))
    np.testing.assert_allclose(dx, [1, 0, 0.5])


@pytest.mark.parametrize("text", ["m = x.max()\n    return m + np.log(np.sum(np.exp(x - m)))", "return np.log(np.sum(np.exp(x)))"])
def test_h031_logarithm_of_a_sum_of_exponentials(text):
    value, (dx,) = gradient(f'def f(x: "N"):\n    {text}\n', [1000.0, 1000.0, 0.0])
    np.testing.assert_allclose(value, 1000 + np.log(2))
    np.testing.assert_allclose(dx, [0.5, 0.5, 0])


def test_h033_h034_far_out_derivatives():
    _, (dx,) = gradient('def f(x: "N"):\n    return np.sum(np.tanh(x))\n', [20.0, 0.5])
    np.testing.assert_allclose(dx, [1.6993417021166356e-17, 1 - np.tanh(0.5) ** 2], rtol=1e-12)
    _, (dx,) = gradient('def f(x: "N"):\n    return np.sum(1 / (1 + np.exp(-x)))\n', [40.0, -400.0])
    np.testing.assert_allclose(dx, [4.248354255291589e-18, 1.9151695967140057e-174], rtol=1e-12)


SINGLE = [
    'def f(x: "N D"):\n    return np.mean(np.tanh(x) ** 2)\n',
    'def f(x: "N D"):\n    return x.std(axis=0) + x.var(axis=0)\n',
    'def f(x: "N D"):\n    out = np.zeros_like(x)\n    out[:, 0] = x[:, 1]\n    return np.sum(out * 0.1)\n',
    'def f(x: "N D"):\n    return np.linalg.norm(x @ x.T + 2.0 * np.eye(x.shape[0]))\n',
    'def f(x: "N D"):\n    return np.sum(x * np.arange(x.shape[1]))\n',
    'def f(x: "N D"):\n    return np.sum(np.concatenate([x, np.zeros((1, x.shape[1]))]) ** 2)\n',
    'def f(x: "N D"):\n    e = np.exp(x - x.max(axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)\n',
    'def f(x: "N D"):\n    return np.where(x > 0, x, 0.1 * x).max(axis=0) + np.clip(x, 0, 1).sum(axis=0)\n',
]


@pytest.mark.parametrize("layout", ["function", "split"])
@pytest.mark.parametrize("text", SINGLE)
def test_h039_gradients_have_the_type_of_their_inputs(text, layout):
    compiled = compiled_of(text, layout=layout)
    x = frozen(normal(3, 4).astype(np.float32))
    space = {"np": np}
    exec(text, space)
    want = space["f"](x)
    if layout == "function":
        value, (dx,) = compiled(x)
    else:
        value, cache = compiled.namespace["forward"](x)
        (dx,) = compiled.namespace["backward"](np.ones(np.shape(value)), cache)
    assert np.asarray(value).dtype == np.asarray(want).dtype
    assert dx.dtype == np.float32
    np.testing.assert_allclose(value, want, rtol=1e-5)


# -- E: what SymPy's matrix derivatives get wrong, as code -------------------------------------------------------------------


def test_h064_functions_of_matrices():
    A = normal(3, 3) + 3 * np.eye(3)
    inverse = np.linalg.inv(A).T
    cases = {
        "np.linalg.slogdet(A)[1]": inverse,
        "np.linalg.det(A) * 2": 2 * np.linalg.det(A) * inverse,
        "1 / np.linalg.det(A)": -inverse / np.linalg.det(A),
        "np.exp(0.1 * np.trace(A))": 0.1 * np.exp(0.1 * np.trace(A)) * np.eye(3),
        "np.trace(A) + np.trace(A @ A)": np.eye(3) + 2 * A.T,
        "np.trace(A @ A.T)": 2 * A,
        "A[0, 0]": np.eye(3)[:, :1] @ np.eye(3)[:1],
        "np.sum(np.linalg.inv(A))": -inverse @ np.ones((3, 3)) @ inverse,
        "np.trace(np.linalg.matrix_power(A, 3))": 3 * (A.T @ A.T),
    }
    for text, want in cases.items():
        _, (dA,) = gradient(f'def f(A: "N N"):\n    return {text}\n', A)
        np.testing.assert_allclose(dA, want, rtol=1e-9, atol=1e-10, err_msg=text)


def test_h064_the_determinant_of_a_singular_matrix():
    _, (dA,) = gradient('def f(A: "N N"):\n    return np.linalg.det(A)\n', [[1.0, 2.0], [2.0, 4.0]], quiet=True)
    np.testing.assert_allclose(dA, [[4, -2], [-2, 1]], atol=1e-12)


def test_h072_both_uses_of_an_operand_count():
    x = normal(4, 3)
    _, (dx,) = gradient('def f(x: "N D"):\n    return np.sum(x.dot(x.T))\n', x)
    np.testing.assert_allclose(dx, 2 * np.ones((4, 4)) @ x)
    agrees('def f(A: "N N", X: "N N"):\n    return A @ X - X @ A + A * X\n', normal(3, 3), normal(3, 3))


# -- G: graphs ---------------------------------------------------------------------------------------------------------------


def test_h082_every_use_adds():
    agrees('def f(x: "N", a: "N"):\n    xa = x * a\n    return x * xa + (x * x) * a + x * xa\n', normal(3), normal(3))


def test_h084_inputs_that_are_not_used():
    _, (dx, dw) = gradient('def f(x: "N D", w: "K"):\n    return np.sum(x) / x.shape[0]\n', np.ones((2, 3), np.float32), np.ones(4, np.float32))
    assert dw.shape == (4,)
    assert dw.dtype == dx.dtype == np.float32
    assert np.all(dw == 0)


def test_h087_sharing_is_not_expanded():
    text = 'def f(x: "N"):\n' + "    x = np.sin(x) * np.cos(x)\n" * 60 + "    return np.sum(x)\n"
    compiled = compiled_of(text, check="fast")
    assert compiled.source.count("\n") < 700
    assert compiled(frozen([0.3, -0.2]))[1][0].shape == (2,)


def test_h086_many_statements_with_axes():
    text = 'def f(x: "N D", W: "D D"):\n' + "    x = np.tanh(x @ W)\n" * 150 + "    return np.sum(x)\n"
    compiled = compiled_of(text, check="fast")
    x, W = frozen(normal(2, 3)), frozen(normal(3, 3))
    assert [g.shape for g in compiled(x, W)[1]] == [(2, 3), (3, 3)]


# -- H: NumPy's semantics ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ('def f(x: "N D", b: "D"):\n    return np.tanh(x + b)\n', [(4, 3), (3,)]),
        ('def f(x: "N 1", b: "1 D"):\n    return np.tanh(x * b)\n', [(4, 1), (1, 3)]),
        ('def f(x: "N D", s):\n    return np.tanh(s * x)\n', [(4, 3), ()]),
        ('def f(x: "1 D", b: "D"):\n    return x * b + b\n', [(1, 3), (3,)]),
        ('def f(x: "N D", b: "D"):\n    return np.tanh(x + b)\n', [(1, 3), (3,)]),
        ('def f(x: "N D", b: "D"):\n    return np.tanh(x + b)\n', [(4, 1), (1,)]),
        ('def f(x: "N D", b: "N"):\n    return x * b[:, None] - b.mean()\n', [(4, 3), (4,)]),
        ('def f(x: "K N D", b: "N 1"):\n    return x / (b * b + 1)\n', [(2, 4, 3), (4, 1)]),
    ],
)
def test_h091_broadcasting(text, shapes):
    agrees(text, *[normal(*s) if s else np.float64(0.7) for s in shapes])


@pytest.mark.parametrize(
    "call", ["mean()", "mean(axis=-1)", "var(axis=0, ddof=1)", "var(axis=(0, 2))", "std(axis=1, keepdims=True)", "sum(axis=(-1, 0))", "var(ddof=1)"]
)
def test_h093_reductions(call):
    agrees(f'def f(x: "N D K"):\n    return 1.5 * x.{call}\n', normal(3, 2, 4))


@pytest.mark.parametrize(
    ("product", "a", "b"),
    [
        ("a @ b", "K", "K"),
        ("a @ b", "N K", "K"),
        ("a @ b", "K", "K N"),
        ("a @ b", "B N K", "B K M"),
        ("a @ b", "B N K", "K M"),
        ("a.dot(b)", "N K", "K M"),
        ("a.T * b", "K", "K"),
    ],
)
def test_h094_products(product, a, b):
    sizes = {"N": 2, "K": 3, "M": 5, "B": 4}
    agrees(f'def f(a: "{a}", b: "{b}"):\n    return {product}\n', *[normal(*[sizes[d] for d in s.split()]) for s in (a, b)])


def test_h094_dot_of_more_axes_is_refused():
    with pytest.raises(CompileError, match="dot"):
        compiled_of('def f(a: "B N K", b: "B K M"):\n    return np.dot(a, b)\n')


@pytest.mark.parametrize(
    "body",
    [
        "y = x.copy()\n    y += 1\n    return np.sum(y * x)",
        "y = x * 1\n    z = y[1:3]\n    z *= 10\n    return np.sum(y * y)",
        "y = x * 1\n    z = y.reshape(-1)\n    z[0] = 5.0\n    return np.sum(y * y)",
        "y = x * 1\n    z = y[[1, 2]]\n    z *= 3\n    return np.sum(y) + np.sum(z * z)",
        "y = x * 1\n    z = y.T\n    y[0] = 2.0\n    return np.sum(z * z)",
        "y = x * 1\n    y[:2], y[2:] = y[2:4] * 2, y[:2] * 3\n    return np.sum(y * y * x)",
        "y = x * 1\n    y[1:] = y[:-1]\n    return np.sum(y * y)",
        "x += 1\n    return np.sum(x * x)",
        "y = x\n    y += 1\n    return np.sum(x * y)",
    ],
)
def test_h095_aliasing_is_numpys_or_is_refused_by_line(body):
    text = f'def f(x: "4"):\n    {body}\n'
    try:
        compiled_of(text, check="off")
    except CompileError as error:
        assert "-->" in str(error)
        return
    x = normal(4)
    space = {"np": np}
    exec(text, space)
    value, (dx,) = gradient(text, x)
    np.testing.assert_allclose(value, space["f"](np.array(x)))
    np.testing.assert_allclose(dx, differences(text, [x], 1.0)[0], rtol=1e-6, atol=1e-7)


def test_h096_upstream_gradients_and_caches_are_not_changed():
    compiled = compiled_of('def f(x: "N D"):\n    y = np.maximum(x, 0)\n    z = y[1:]\n    return y * 1.0, z.sum(axis=0)\n', layout="split")
    x = frozen(normal(4, 3))
    values, cache = compiled.namespace["forward"](x)
    before = [np.array(c) for c in cache]
    upstream = [frozen(normal(*np.shape(v))) for v in values]
    first = compiled.namespace["backward"](*upstream, cache)[0]
    second = compiled.namespace["backward"](*upstream, cache)[0]
    np.testing.assert_array_equal(first, second)
    for a, b in zip(before, cache, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("style", ["code", "notes"])
def test_h096_a_gradient_that_starts_as_a_view_is_copied(style):
    agrees('def f(x: "N"):\n    out = np.zeros_like(x)\n    out[0] = x[1] / 2\n    return np.sum(out * out + x)\n', normal(4), style=style)
    agrees(
        'def f(x: "N D", y: "D"):\n    z = np.concatenate([x, y[None]])\n    return np.sin(z) * 2 + z[:, ::-1] * x[0] + x[1]\n',
        normal(3, 4),
        normal(4),
        style=style,
    )
    agrees('def f(x: "N D"):\n    t = x.T\n    s = t + 1\n    return s * x.T + x[0, 0] * s\n', normal(2, 3), style=style)


def test_h096_gradients_share_no_memory():
    _, gradients = gradient('def f(x: "N", y: "N"):\n    return x + y\n', normal(3), normal(3), upstream=normal(3))
    assert not np.shares_memory(gradients[0], gradients[1])
    assert all(g.flags.writeable for g in gradients)


def test_h098_integer_arguments_become_floats():
    value, (dx,) = gradient('def f(x: "N"):\n    out = np.zeros_like(x)\n    out[0] = x[1] / 2\n    return np.sum(out * out + x)\n', [3, 5, 2])
    assert dx.dtype == np.float64
    np.testing.assert_allclose(value, 2.5**2 + 10)
    np.testing.assert_allclose(dx, [1, 3.5, 1])


def test_h098_repeated_positions_accumulate():
    text = 'def f(C: "V D", i: Int[np.ndarray, "K"]):\n    return C[i] * 2\n'
    upstream = normal(5, 3)
    _, (dC,) = gradient(text, normal(4, 3), np.array([1, 1, 0, 1, -1]), upstream=upstream)
    want = np.zeros((4, 3))
    np.add.at(want, [1, 1, 0, 1, -1], 2 * upstream)
    np.testing.assert_allclose(dC, want)


@pytest.mark.parametrize(
    "body", ["np.sum(x * x)", "np.prod(x, axis=0)", "x.sum(axis=0)", "np.cumsum(x, axis=0)", "x @ x.T", "np.exp(x) / 2", "np.concatenate([x, x * 2])"]
)
def test_h099_empty_arrays(body):
    value, (dx,) = gradient(f'def f(x: "N D"):\n    return {body}\n', np.zeros((0, 3)))
    space = {"np": np}
    exec(f"def f(x): return {body}", space)
    assert np.shape(value) == np.shape(space["f"](np.zeros((0, 3))))
    assert dx.shape == (0, 3)


def test_h099_a_slice_that_is_cut_short_is_an_error():
    compiled = compiled_of('def f(x: "N D"):\n    return np.mean(x[:3], axis=0)\n')
    assert compiled(frozen(np.ones((5, 2))))[1][0].shape == (5, 2)
    with pytest.raises(ValueError, match="size N must be at least 3, not 2"):
        compiled(frozen(np.ones((2, 2))))
    compiled = compiled_of('def f(x: "N"):\n    return np.sum(x[1:-1])\n', layout="split")
    with pytest.raises(ValueError, match="at least 2"):
        compiled.namespace["forward"](frozen([1.0]))


@pytest.mark.parametrize("make", [np.asfortranarray, lambda a: a[::-1], lambda a: np.broadcast_to(a[0], a.shape), lambda a: a.T.copy().T, lambda a: a.tolist()])
def test_h101_layouts_of_memory(make):
    text = 'def f(x: "N D"):\n    y = x.copy()\n    y[0] = 2 * x[1]\n    return np.sum(np.tanh(y).ravel()[1:] ** 2)\n'
    x = make(normal(4, 3))
    compiled = compiled_of(text)
    space = {"np": np}
    exec(text, space)
    value, (dx,) = compiled(x)
    np.testing.assert_allclose(value, space["f"](np.array(x)))
    np.testing.assert_allclose(dx, differences(text, [np.array(x)], 1.0)[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "make", [lambda a: a.view(np.matrix), np.ma.masked_array, lambda a: a.astype(object), lambda a: a + 1j, lambda a: a[0], lambda a: a[None]]
)
def test_h101_what_is_no_plain_array_is_refused(make):
    compiled = compiled_of('def f(x: "N D"):\n    return np.sum(x * x)\n')
    with pytest.raises((TypeError, ValueError)):
        compiled(make(np.ones((2, 3))))


def test_h104_random_numbers_in_forward_code_are_refused():
    with pytest.raises(CompileError, match="random"):
        compiled_of('def f(x: "N D"):\n    return np.sum(x * np.random.rand(2, 3))\n')


# -- minor rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["np.sort(x)[0]", "np.median(x)", "np.partition(x, 1)[0]"])
def test_m02_order_statistics_are_refused(body):
    with pytest.raises(CompileError, match="-->"):
        compiled_of(f'def f(x: "N"):\n    return {body}\n')


@pytest.mark.parametrize("make", [float, np.float64, np.asarray, np.float32])
def test_m20_numbers_of_every_kind(make):
    compiled = compiled_of('def f(s, x: "N"):\n    return np.sum(np.where(x > s, x * s, 0.0))\n')
    value, (ds, dx) = compiled(make(0.5), frozen([1.0, 0.25, 2.0]))
    assert float(value) == 1.5
    assert np.shape(ds) == ()
    assert float(ds) == 3.0
    np.testing.assert_allclose(dx, [0.5, 0, 0.5])
