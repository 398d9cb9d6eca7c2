"""
The examples with arrays: their twins are what the compiler writes today, agree with NumPy running the example itself, and with the
formulas of textbooks.

`pytest tests/test_array_examples.py --update-golden` rewrites the twins; read the difference before it is committed.
"""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bpcompile.compiler import compile_file

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "arrays"
TWINS = {"grad": {}, "notes": {"layout": "script", "style": "notes"}}
NAMES = sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("run_") and not p.stem.endswith(tuple(f"_{t}" for t in TWINS)))
DRIVERS = sorted(p.stem for p in FOLDER.glob("run_*.py"))
#: Read by SymPy, so that there is no NumPy function to compare with: see test_sympy_arrays.py.
SYMPY = {n for n in NAMES if "sympy" in (FOLDER / f"{n}.py").read_text("utf-8")}

#: Arguments of each example, sizes pairwise different.
DRAW = np.random.default_rng(20)
POSITIONS = np.array([2, 0, 1, 2, 2])
SHAPES = {
    "matrix_product": [(5, 10), (10, 3)],
    "affine": [(5, 2, 3, 4), (24, 6), (6,)],
    "layers": [(4, 7), (3, 4), (3, 1), (5, 3), (5, 1), (2, 5), (2, 1), (2, 7)],
    "layers_one_sample": [(4,), (3, 4), (3,), (5, 3), (5,), (2, 5), (2,), (2,)],
    "convolution": [(5, 7), (2, 3)],
    "convolution_layer": [(2, 4, 6, 7), (5, 4, 3, 3), (5,)],
    "max_pool": [(2, 3, 4, 6)],
    "recurrent": [(4, 3), (5,), (5, 3), (5, 5), (5,), (5,)],
    "lstm_step": [(2, 3), (2, 4), (2, 4), (3, 16), (4, 16), (16,)],
    "gru_step": [(2, 3), (2, 4), (3, 4), (4, 4), (3, 4), (4, 4), (3, 4), (4, 4)],
    "softmax_loss": [(5, 4), (4, 3), (3,), POSITIONS],
    "batch_norm": [(5, 3), (3,), (3,)],
    "layer_norm": [(2, 3, 4), (4,), (4,)],
    "attention": [(2, 3, 4), (2, 5, 4), (2, 5, 6)],
    "svm_loss": [(4, 3), (5, 4), POSITIONS],
    "embedding": [(3, 4), POSITIONS[:4].reshape(2, 2), (8, 5), (5,)],
    "least_squares": [(3,), (), (5, 3), (5,)],
    "logistic": [(3,), (), (5, 3), (5,)],
    "rosenbrock": [(6,)],
}


def arguments(name: str) -> list[np.ndarray]:
    return [item if isinstance(item, np.ndarray) else DRAW.normal(size=item) for item in SHAPES[name]]


def twin(name: str, kind: str = "grad") -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(FOLDER / f"{name}_{kind}.py")))


def function_of(name: str):
    """The example itself, as NumPy runs it."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    if name == "matrix_product":
        return lambda W, X: W.dot(X)
    space: dict = {}
    exec(compile(text, name, "exec"), space)
    last = [n.name for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)][-1]
    return space[last]


def test_every_example_has_arguments():
    assert set(NAMES) - SYMPY == set(SHAPES)


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("name", NAMES)
def test_the_twin_is_what_the_compiler_writes(name, kind, request):
    path = FOLDER / f"{name}_{kind}.py"
    text = compile_file(FOLDER / f"{name}.py", **TWINS[kind]).source
    if request.config.getoption("--update-golden"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("name", NAMES)
def test_the_certificate_of_a_twin_is_complete(name, kind):
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}_{kind}.py").read_text("utf-8"))) or ""
    assert "proved with SymPy" in doc
    assert "at 50 digits" in doc
    assert "not checked" not in doc


def test_twins_pass_ruff_with_its_own_defaults():
    paths = [str(p) for kind in TWINS for folder in (FOLDER, FOLDER.parent) for p in sorted(folder.glob(f"*_{kind}.py"))]
    assert len(paths) > 2 * len(NAMES)
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_value_and_gradients_equal_what_numpy_says(name):
    example, functions = function_of(name), twin(name)
    given = arguments(name)
    for array in given:
        array.flags.writeable = False
    want = example(*given)
    outputs = want if isinstance(want, tuple) else (want,)
    upstream = [DRAW.normal(size=np.shape(w)) for w in outputs]
    value, gradients = functions.value_and_grad(*given, *upstream)
    for got, w in zip(value if isinstance(want, tuple) else (value,), outputs, strict=True):
        np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-14)

    def total(*args) -> float:
        result = example(*args)
        return sum(float(np.sum(u * r)) for u, r in zip(upstream, result if isinstance(want, tuple) else (result,), strict=True))

    floats = [i for i, x in enumerate(given) if x.dtype.kind == "f"]
    assert len(gradients) == len(floats)
    for i, gradient in zip(floats, gradients, strict=True):
        assert np.shape(gradient) == given[i].shape
        for place in np.ndindex(given[i].shape):
            ahead, behind = given[i].copy(), given[i].copy()
            ahead[place] += 1e-6
            behind[place] -= 1e-6
            slope = (total(*given[:i], ahead, *given[i + 1 :]) - total(*given[:i], behind, *given[i + 1 :])) / 2e-6
            assert np.asarray(gradient)[place] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_runs_and_agrees_with_the_functions(name):
    page, functions = twin(name, "notes"), twin(name)
    tree = ast.parse((FOLDER / f"{name}_grad.py").read_text("utf-8"))
    params = [a.arg for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "value" for a in f.args.args]
    _, gradients = functions.value_and_grad(*[getattr(page, p) for p in params])
    named = re.findall(r"its gradients? \(([^)]*)\)", (FOLDER / f"{name}_grad.py").read_text("utf-8"))[0]
    for gradient, got in zip([n.strip() for n in named.split(",") if n.strip()], gradients, strict=True):
        np.testing.assert_allclose(got, getattr(page, gradient), rtol=1e-9, atol=1e-12)


# -- textbooks ------------------------------------------------------------------------------------------------------------


def test_the_matrix_product_of_the_lecture():
    text = (FOLDER / "matrix_product_notes.py").read_text("utf-8")
    assert re.search(r"dW = dD\.dot\(X\.T\) +# .*\(5, 10\) = \(5, 3\) \. \(3, 10\)", text)
    assert "dX = W.T.dot(dD)" in text


@pytest.mark.parametrize("name", ["layers", "layers_one_sample"])
def test_layers_are_the_delta_recursion(name):
    a0, W1, b1, W2, b2, W3, b3, y = arguments(name)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    a1 = sigmoid(W1 @ a0 + b1)
    a2 = sigmoid(W2 @ a1 + b2)
    a3 = sigmoid(W3 @ a2 + b3)
    delta3 = (a3 - y) * a3 * (1 - a3)
    delta2 = W3.T @ delta3 * a2 * (1 - a2)
    delta1 = W2.T @ delta2 * a1 * (1 - a1)
    deltas = zip((delta1, delta2, delta3), (a0, a1, a2), strict=True)
    batch = a0.ndim == 2
    want = [(d @ a.T, d.sum(axis=1, keepdims=True)) if batch else (np.outer(d, a), d) for d, a in deltas]
    _, (_, dW1, db1, dW2, db2, dW3, db3, _) = twin(name).value_and_grad(a0, W1, b1, W2, b2, W3, b3, y)
    for (dW, db), got_W, got_b in zip(want, (dW1, dW2, dW3), (db1, db2, db3), strict=True):
        np.testing.assert_allclose(got_W, dW, rtol=1e-12)
        np.testing.assert_allclose(got_b, db, rtol=1e-12)


def test_the_input_gradient_of_a_convolution_is_a_full_convolution_with_the_rotated_kernel():
    for shape, kernel in (((3, 3), (2, 2)), ((5, 7), (2, 3))):
        x, k = DRAW.normal(size=shape), DRAW.normal(size=kernel)
        dout = DRAW.normal(size=tuple(n - m + 1 for n, m in zip(shape, kernel, strict=True)))
        _, (dx, dk) = twin("convolution").value_and_grad(x, k, dout)
        padded = np.pad(dout, [(m - 1, m - 1) for m in kernel])
        rotated = k[::-1, ::-1]
        for i, j in np.ndindex(shape):
            assert dx[i, j] == pytest.approx(np.sum(padded[i : i + kernel[0], j : j + kernel[1]] * rotated), rel=1e-12, abs=1e-14)
        for p, q in np.ndindex(kernel):
            assert dk[p, q] == pytest.approx(np.sum(x[p : p + dout.shape[0], q : q + dout.shape[1]] * dout), rel=1e-12, abs=1e-14)


def test_softmax_and_cross_entropy_are_probabilities_minus_targets():
    X, W, b, y = arguments("softmax_loss")
    scores = X @ W + b
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(5), y] -= 1
    _, (dX, dW, db) = twin("softmax_loss").value_and_grad(X, W, b, y)
    np.testing.assert_allclose(dW, X.T @ p / 5, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(db, p.sum(axis=0) / 5, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(dX, p @ W.T / 5, rtol=1e-11, atol=1e-14)


def test_weights_shared_over_time_collect_their_gradients():
    text = (FOLDER / "recurrent_grad.py").read_text("utf-8")
    for weight in ("dWx", "dWh", "db"):
        assert len(re.findall(rf"^    {weight} = ", text, re.MULTILINE)) == 1
        assert len(re.findall(rf"^    {weight} \+= ", text, re.MULTILINE)) == 3


# -- what drives them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRIVERS)
def test_drivers_run(name):
    done = subprocess.run([sys.executable, f"{name}.py"], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.fixture
def drivers(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize("batch", [60, 1, 12])
@pytest.mark.parametrize("model", ["least_squares", "logistic"])
def test_descent_reaches_the_minimum(model, batch, drivers):
    space = runpy.run_path(str(FOLDER / "run_descent.py"))
    X, response, labels = space["data"]()
    y, rate = (response, 0.1) if model == "least_squares" else (labels, 0.5)
    w, b, count = space["descend"](space[model], X, y, rate=rate if batch == 60 else rate / 5, batch=batch)
    A = np.column_stack([X, np.ones(60)])
    theta = np.zeros(4)
    for _ in range(50):  # Newton's method, with derivatives written by hand
        z = A @ theta
        p = z if model == "least_squares" else 1 / (1 + np.exp(-z))
        weight = np.ones(60) if model == "least_squares" else p * (1 - p)
        theta = theta - np.linalg.solve(A.T @ (weight[:, None] * A), A.T @ (p - y))
    np.testing.assert_allclose([*w, b], theta, atol=0.05 if batch < 60 else 0.02)
    if batch == 60:
        assert count < 2000, "stopped by its tolerance"


def test_gradients_vanish_and_explode(drivers):
    norms = runpy.run_path(str(FOLDER / "run_gradient_norms.py"))["norms"]
    for scale in (0.5, 2.0):
        steps = norms(scale)
        np.testing.assert_allclose(steps[:-1] / steps[1:], scale, rtol=1e-3)


def test_scipy_minimises_with_an_emitted_gradient(drivers):
    result = runpy.run_path(str(FOLDER / "run_minimize.py"))["solve"](10)
    np.testing.assert_allclose(result.x, np.ones(10), atol=1e-6)
    assert result.nfev < 200
