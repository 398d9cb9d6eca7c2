"""The certificate of programs with axes: what it says, and that every text that computes something else fails it."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from array_mutants import array_mutants
from hypothesis import settings

from bpcompile import compile_gradient
from bpcompile.check import certify

PROGRAMS = {
    "network": (
        'def f(X: "N D", y: Int[np.ndarray, "N"], W: "D H", b: "H", V: "H C"):\n'
        "    h = np.tanh(X @ W + b)\n    s = h @ V\n    e = np.exp(s - s.max(axis=1, keepdims=True))\n"
        "    p = e / e.sum(axis=1, keepdims=True)\n    return -np.mean(np.log(p[np.arange(X.shape[0]), y]))\n",
        {"X": (4, 3), "y": "4 positions below 2", "W": (3, 5), "b": (5,), "V": (5, 2)},
    ),
    "batch normalisation": (
        'def f(X: "N D", g: "D", b: "D"):\n    mu = X.mean(axis=0)\n    v = X.var(axis=0)\n    return g * (X - mu) / np.sqrt(v + 0.1) + b\n',
        {"X": (5, 3), "g": (3,), "b": (3,)},
    ),
    "embedding": (
        'def f(C: "V D", i: Int[np.ndarray, "K"], w: "D"):\n    return np.sum(C[i] * C[i] * w)\n',
        {"C": (4, 3), "i": "5 positions below 3", "w": (3,)},
    ),
    "slices": (
        'def f(x: "N", w: "D"):\n    y = x[1:] - 2 * x[:-1]\n    return np.sum(y * y) + np.cumsum(x)[-1] * w[0] + np.sum(np.cumprod(w)[::-1] ** 2)\n',
        {"x": (5,), "w": (4,)},
    ),
    "writes": (
        'def f(x: "N D", w: "D"):\n    out = np.zeros_like(x)\n    out[:, 0] = x[:, 1] * w[0]\n'
        "    out[1:, 1] = np.sin(x[:-1, 0])\n    return np.sum(out * out * w)\n",
        {"x": (4, 3), "w": (3,)},
    ),
    "attention": (
        'def f(Q: "T D", K: "S D", V: "S E"):\n    s = Q @ K.T\n    e = np.exp(s)\n    a = e / e.sum(axis=-1, keepdims=True)\n    return a @ V\n',
        {"Q": (3, 4), "K": (5, 4), "V": (5, 6)},
    ),
    "linear algebra": (
        'def f(A: "N N", b: "N"):\n    x = np.linalg.solve(A, b)\n    return x @ b + np.linalg.slogdet(A)[1] + np.trace(A @ A) + np.linalg.norm(A)\n',
        {"A": (4, 4), "b": (4,)},
    ),
    "windows": (
        'def f(x: "N M", k: "3 2"):\n    w = np.lib.stride_tricks.sliding_window_view(x, (3, 2))\n    return np.sum(np.tensordot(w, k, 2) ** 2) + np.max(x)\n',
        {"x": (5, 4), "k": (3, 2)},
    ),
}


def compiled_of(name, **options):
    return compile_gradient("import numpy as np\n" + PROGRAMS[name][0], **options)


@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize("layout", ["function", "split"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_with_axes_are_checked(name, layout, style):
    certificate = compiled_of(name, layout=layout, style=style).certificate
    assert certificate.ok
    assert certificate.whole.status == "passed"
    assert certificate.whole.compared == "forward mode at 50 digits, element by element"
    assert certificate.whole.points >= 3
    assert certificate.whole.error < 1e-49
    assert certificate.whole.float_error < 1e-12
    # A root that can't be 0 has a guard that nothing reaches.
    assert not [line for line in certificate.unchecked if "branch never taken" not in line]
    assert certificate.whole.edges >= 5
    assert {gate.status for gate in certificate.gates} <= {"proved", "numeric"}


def test_the_fast_level_compares_in_double_precision():
    certificate = compiled_of("network", check="fast").certificate
    assert certificate.whole.compared == "forward mode in double precision"
    assert certificate.whole.status == "passed"


def test_sizes_that_are_fixed_and_large_are_checked_in_double_precision():
    source = 'import numpy as np\ndef f(X: "64 300", W: "300 20"):\n    return np.mean(np.tanh(X @ W) ** 2)\n'
    certificate = compile_gradient(source).certificate
    assert certificate.whole.status == "passed"
    assert certificate.whole.compared == "forward mode in double precision"
    assert "not checked: values at 50 digits: the sizes are too large" in certificate.lines()


# -- mutants


def arguments(name, seed):
    generator = np.random.default_rng(seed)
    found = []
    for shape in PROGRAMS[name][1].values():
        if isinstance(shape, str):
            count, _, _, bound = shape.split()
            found.append(generator.integers(0, int(bound), int(count)))
            continue
        x = generator.uniform(0.3, 1.5, shape) * generator.choice([-1, 1], shape)
        found.append(x + 3 * np.eye(len(x)) if len(shape) == 2 and shape[0] == shape[1] else x)
    for x in found:
        x.flags.writeable = False
    return found


def results(name, emitted, text, seed):
    """Return what a text computes, or the name of what it raises."""
    space: dict = {}
    inputs = arguments(name, seed)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            exec(compile(text, "<mutant>", "exec"), space)
            if emitted.layout == "split":
                value, cache = space["forward"](*inputs)
                upstream = np.random.default_rng(99).uniform(0.5, 1.5, np.shape(value))
                return [value, *space["backward"](upstream, cache)]
            plain = space["value"](*inputs)
            upstream = np.random.default_rng(99).uniform(0.5, 1.5, np.shape(plain))
            value, gradients = space["value_and_grad"](*inputs, upstream)
            default = space["value_and_grad"](*inputs)[1]
            return [plain, value, *gradients, *default]
    except Exception as error:  # noqa: BLE001  a mutant may raise anything
        return [type(error).__name__]


def same(a, b):
    if len(a) != len(b) or any(isinstance(x, str) for x in (*a, *b)):
        return False
    if any(isinstance(x, tuple) != isinstance(y, tuple) for x, y in zip(a, b, strict=True)):
        return False
    return all(np.shape(x) == np.shape(y) and np.allclose(x, y, rtol=1e-9, atol=1e-12, equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("name", "layout"), [(name, "split" if k % 2 else "function") for k, name in enumerate(PROGRAMS)])
def test_every_mutant_that_changes_the_function_is_caught(name, layout):
    compiled = compiled_of(name, layout=layout)
    emitted, primal = compiled.emitted, compiled.program
    right = [results(name, emitted, emitted.text, seed) for seed in (1, 2)]
    assert not any(isinstance(part, str) for part in right[0])
    missed, changed = [], 0
    mutants = list(array_mutants(emitted.text))
    # Every mutant in the long profiles; here one in so many, evenly spread.
    step = 1 if settings.default.max_examples > 50 else max(1, len(mutants) // 30)
    for mutant in mutants[::step]:
        wrong = replace(emitted, text=mutant.text)
        if all(same(r, results(name, emitted, mutant.text, seed)) for r, seed in zip(right, (1, 2), strict=True)):
            continue
        changed += 1
        if certify(primal, wrong, level="full").ok:
            missed.append(mutant.what)
    assert changed > 10
    assert missed == []
