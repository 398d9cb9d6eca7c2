"""Softmax and logsumexp neither overflow nor change where a shift would show."""

from __future__ import annotations

import numpy as np
import pytest

from bpcompile import compile_gradient

BIG = np.array([[1000.0, 1000.0, 0.0], [-1000.0, -1001.0, -999.0]])

#: Functions of `s` whose exponentials may be shifted, with the same function in a form that can't overflow.
SAFE = {
    "softmax": ("    e = np.exp(s)\n    return e / e.sum(axis=1, keepdims=True)\n", lambda s: softmax(s, 1)),
    "softmax with a new axis": ("    e = np.exp(s)\n    t = e.sum(axis=1)\n    return e / t[:, None]\n", lambda s: softmax(s, 1)),
    "softmax over rows": ("    e = np.exp(s)\n    return e / e.sum(axis=0)[None, :]\n", lambda s: softmax(s, 0)),
    "softmax over all": ("    e = np.exp(s)\n    return e / np.sum(e)\n", lambda s: softmax(s, (0, 1))),
    "shifted by hand": ("    e = np.exp(s - s.max(axis=1, keepdims=True))\n    return e / e.sum(axis=1, keepdims=True)\n", lambda s: softmax(s, 1)),
    "shifted by the largest of all": ("    e = np.exp(s - np.max(s) / 1)\n    return e / e.sum(axis=1, keepdims=True)\n", None),
    "logsumexp": ("    return np.log(np.sum(np.exp(s), axis=1))\n", lambda s: logsumexp(s, 1)),
    "logsumexp that keeps its axis": ("    return np.log(np.exp(s).sum(axis=0, keepdims=True))\n", lambda s: logsumexp(s, 0)[None, :]),
    "logsumexp of all": ("    return np.log(np.exp(s).sum())\n", lambda s: logsumexp(s, (0, 1))),
    "both": (
        "    e = np.exp(s)\n    t = e.sum(axis=1, keepdims=True)\n    return (np.log(t) * (e / t)).sum()\n",
        lambda s: (logsumexp(s, 1)[:, None] * softmax(s, 1)).sum(),
    ),
}


def softmax(s, axis):
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def logsumexp(s, axis):
    m = s.max(axis=axis, keepdims=True)
    total = np.log(np.exp(s - m).sum(axis=axis, keepdims=True)) + m
    return np.squeeze(total, axis=axis)


@pytest.mark.parametrize("name", [n for n, (_, safe) in SAFE.items() if safe])
def test_large_values(name):
    text, safe = SAFE[name]
    compiled = compile_gradient('import numpy as np\ndef f(s: "N K"):\n' + text)
    rng = np.random.default_rng(5)
    for s in (BIG, rng.normal(size=(4, 3))):
        want = safe(s)
        upstream = rng.normal(size=np.shape(want))
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            value, (gradient,) = compiled(s, upstream)
        assert np.allclose(value, want, rtol=1e-12, atol=1e-300)
        for place in np.ndindex(s.shape):
            step = np.zeros_like(s)
            step[place] = 1e-5
            slope = np.sum(upstream * (safe(s + step) - safe(s - step))) / 2e-5
            assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_the_lecture_row():
    compiled = compile_gradient('import numpy as np\ndef f(x: "N"):\n    return np.log(np.sum(np.exp(x)))\n')
    value, (gradient,) = compiled(np.array([1000.0, 1000.0, 0.0]))
    assert value == pytest.approx(1000 + np.log(2), rel=1e-15)
    assert np.array_equal(gradient, [0.5, 0.5, 0.0])


#: Here a shift would change the value or the gradient of something.
VISIBLE = {
    "the exponential is returned": "    e = np.exp(s)\n    return e / e.sum(axis=1, keepdims=True), e\n",
    "the sum is returned": "    e = np.exp(s)\n    t = e.sum(axis=1, keepdims=True)\n    return e / t, t\n",
    "another sum": "    e = np.exp(s)\n    return e / e.sum(axis=1, keepdims=True) + e.sum()\n",
    "beside the sums of other slices": "    e = np.exp(s)\n    return e / e.sum(axis=1)\n",
    "upside down": "    e = np.exp(s)\n    return e.sum(axis=1, keepdims=True) / e\n",
    "the sum plus one": "    e = np.exp(s)\n    return e / (1 + e.sum(axis=1, keepdims=True))\n",
    "log of a part": "    e = np.exp(s)\n    t = e.sum(axis=1)\n    return np.log(t[0]) * t[1]\n",
    "a maximum with another use": "    m = s.max(axis=1, keepdims=True)\n    e = np.exp(s - m)\n    return e / e.sum(axis=1, keepdims=True) * m\n",
    "a maximum along the other axis": "    e = np.exp(s - s.max(axis=0))\n    return e / e.sum(axis=1, keepdims=True)\n",
    "a maximum and no quotient": "    e = np.exp(s - s.max(axis=1, keepdims=True))\n    return e\n",
}


@pytest.mark.parametrize("name", VISIBLE)
def test_where_a_shift_would_show_there_is_none(name):
    text = 'import numpy as np\ndef f(s: "3 3"):\n' + VISIBLE[name]
    compiled = compile_gradient(text)
    space: dict = {}
    exec(text, space)
    rng = np.random.default_rng(8)
    s = rng.normal(size=(3, 3))
    want = space["f"](s)
    outputs = want if isinstance(want, tuple) else (want,)
    upstream = [rng.normal(size=np.shape(w)) for w in outputs]
    value, (gradient,) = compiled(s, *upstream)
    for got, expected in zip(value if isinstance(want, tuple) else (value,), outputs, strict=True):
        assert np.allclose(got, expected, rtol=1e-13)

    def total(s):
        result = space["f"](s)
        return sum(np.sum(u * r) for u, r in zip(upstream, result if isinstance(result, tuple) else (result,), strict=True))

    for place in np.ndindex(3, 3):
        step = np.zeros_like(s)
        step[place] = 1e-6
        assert gradient[place] == pytest.approx((total(s + step) - total(s - step)) / 2e-6, rel=1e-6, abs=1e-8)


def test_the_shift_is_no_part_of_literal_numerics():
    text = 'import numpy as np\ndef f(s: "N K"):\n' + SAFE["softmax"][0]
    assert "max(" not in compile_gradient(text, numerics="literal", check="off").source
    source = compile_gradient('import numpy as np\ndef f(s: "N K"):\n' + SAFE["shifted by hand"][0], check="off").source
    assert "==" not in source.partition("# backward pass")[2].partition("def ")[0], "no gradient through the maximum"
