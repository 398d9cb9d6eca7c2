"""Gradients of programs with axes, end to end, against central differences of the user's own code under NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from bpcompile import compile_gradient

PROGRAMS = {
    "matrix product": ('def f(W: "5 10", X: "10 3"):\n    return W @ X\n', {"W": (5, 10), "X": (10, 3)}),
    "two layers": (
        'def f(X: "N D", y: "N C", W1: "D H", b1: "H", W2: "H C", b2: "C"):\n'
        "    H1 = np.tanh(X @ W1 + b1)\n    d = H1 @ W2 + b2 - y\n    return 0.5 * np.sum(d * d)\n",
        {"X": (4, 3), "y": (4, 2), "W1": (3, 5), "b1": (5,), "W2": (5, 2), "b2": (2,)},
    ),
    "softmax through a quotient": (
        'def f(X: "N D", W: "D C", t: "N C"):\n    s = X @ W\n    e = np.exp(s)\n'
        "    p = e / e.sum(axis=1, keepdims=True)\n    return -np.mean(np.sum(t * np.log(p), axis=1))\n",
        {"X": (4, 3), "W": (3, 5), "t": (4, 5)},
    ),
    "batch normalisation": (
        'def f(X: "N D", g: "D", b: "D"):\n    mu = X.mean(axis=0)\n    v = X.var(axis=0)\n    return g * (X - mu) / np.sqrt(v + 0.1) + b\n',
        {"X": (5, 3), "g": (3,), "b": (3,)},
    ),
    "hinge": ('def f(X: "N D", w: "D", y: "N"):\n    return np.mean(np.maximum(0, 1 - y * (X @ w)))\n', {"X": (6, 3), "w": (3,), "y": (6,)}),
    "slices": ('def f(x: "7", w: "2"):\n    return np.sum((x[1:] - x[:-1])**2) * w[0] + np.sum(x[::2]) * w[1]\n', {"x": (7,), "w": (2,)}),
}


@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_equal_differences_of_the_users_code(name, style):
    text, shapes = PROGRAMS[name]
    compiled = compile_gradient("import numpy as np\n" + text, style=style)
    space: dict = {"np": np}
    exec(text, space)
    generator = np.random.default_rng(3)
    arrays = {n: generator.uniform(-1.5, 1.5, s) for n, s in shapes.items()}
    for array in arrays.values():
        array.flags.writeable = False
    want = space["f"](**arrays)
    upstream = generator.uniform(-1, 1, np.shape(want))
    seed = compiled.emitted.seeds[0]
    value, gradients = compiled(**arrays, **{seed: upstream})
    assert value == pytest.approx(want, rel=1e-12)
    for n, gradient in zip(shapes, gradients, strict=True):
        assert np.shape(gradient) == shapes[n]
        for index in np.ndindex(*shapes[n]):
            ahead, behind = ({**arrays, n: arrays[n].copy()} for _ in range(2))
            ahead[n][index] += 1e-6
            behind[n][index] -= 1e-6
            slope = np.sum(upstream * (space["f"](**ahead) - space["f"](**behind))) / 2e-6
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-7), (n, index)


def test_lecture_style_shows_the_shapes():
    compiled = compile_gradient("import numpy as np\n" + PROGRAMS["matrix product"][0], style="notes")
    assert "# (1) (5, 10) = (5, 3) . (3, 10)" in compiled.source
    assert ".dot(X.T)" in compiled.source
