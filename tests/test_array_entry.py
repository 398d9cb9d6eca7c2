"""Sizes in annotations and what the emitted functions say of arguments of another shape."""

from __future__ import annotations

import numpy as np
import pytest

from bpcompile import CompileError, compile_gradient
from bpcompile.cli import main

GATES = """
import numpy as np

def gates(x: "N D", W: "D 2*H", b: "2*H", s: "N H"):
    H = s.shape[1]
    a = x @ W + b
    return (a[:, :H] * np.tanh(a[:, H:]) * s).sum()
"""


def arrays(*shapes):
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape) for shape in shapes]


def test_sizes_may_be_arithmetic():
    gradient = compile_gradient(GATES, check="off")
    x, W, b, s = arrays((5, 3), (3, 4), (4,), (5, 2))
    value, (_, dW, db, _) = gradient(x, W, b, s)
    h = 1e-6

    def plain(W, b):
        a = x @ W + b
        return (a[:, :2] * np.tanh(a[:, 2:]) * s).sum()

    assert value == pytest.approx(plain(W, b), rel=1e-13)
    for i, j in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[i, j] = h
        assert dW[i, j] == pytest.approx((plain(W + step, b) - plain(W - step, b)) / (2 * h), rel=1e-6, abs=1e-8)
    assert db.shape == (4,)
    with pytest.raises(ValueError, match=r"sizes 2\*H must be equal"):
        gradient(x, *arrays((3, 5), (5,)), s)


@pytest.mark.parametrize("annotation", ["n d", '"n d"', "float n d"])
def test_names_of_sizes_may_be_lower_case(annotation):
    annotation = annotation.strip('"')
    gradient = compile_gradient(f'def f(x: "{annotation}"):\n    return (x * x).sum(axis=0)\n', check="off")
    assert gradient(np.ones((2, 3)))[1][0].shape == (2, 3)


def test_positions_are_annotated_in_words():
    gradient = compile_gradient('def f(p: "N K", y: "int N"):\n    import numpy as np\n    return p[np.arange(p.shape[0]), y].sum()\n', check="off")
    value, gradients = gradient(np.arange(6.0).reshape(2, 3), np.array([2, 0]))
    assert value == 5.0
    assert len(gradients) == 1
    assert np.array_equal(gradients[0], [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(TypeError, match="y must hold integers"):
        gradient(np.ones((2, 3)), np.ones(2))


@pytest.mark.parametrize("annotation", ["float", "np.ndarray", "list[float]", "Tensor | None"])
def test_types_are_no_sizes(annotation):
    assert compile_gradient(f'def f(x: "{annotation}"):\n    return x * x\n', check="off")(3.0) == (9.0, (6.0,))


def test_a_size_that_no_axis_has_alone_is_refused():
    with pytest.raises(CompileError) as caught:
        compile_gradient('def f(x: "N 2*H"):\n    return (x * x).sum()\n', check="off")
    assert "`H` alone" in str(caught.value)


@pytest.mark.parametrize("annotation", ["N ...", "N *B", "N 2**D"])
def test_other_sizes_are_refused(annotation):
    with pytest.raises(CompileError) as caught:
        compile_gradient(f'import numpy as np\ndef f(x: Float[np.ndarray, "{annotation}"]):\n    return (x * x).sum()\n', check="off")
    assert "E104" in str(caught.value)


def test_fixed_sizes_are_checked_with_the_shape():
    gradient = compile_gradient('def f(x: "N 3", w: "3"):\n    return x @ w\n', check="off")
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3\), not \(5, 4\)"):
        gradient(np.ones((5, 4)), np.ones(3))
    with pytest.raises(ValueError, match=r"w must have shape \(3,\), not \(1, 3\)"):
        gradient(np.ones((5, 3)), np.ones((1, 3)))


def test_shapes_from_outside_may_be_arithmetic_too(tmp_path, capsys):
    source = "def f(x, w):\n    return (x @ w).sum()\n"
    gradient = compile_gradient(source, shapes={"x": "N 2*D", "w": ("2*D", "D")}, check="off")
    assert gradient(np.ones((3, 4)), np.ones((4, 2)))[1][1].shape == (4, 2)
    path = tmp_path / "f.py"
    path.write_text(source)
    assert main([str(path), "--shape", "x=N,2*D", "w=2*D,D", "--check", "off"]) == 0
    assert "2*D" in capsys.readouterr().out
    with pytest.raises(CompileError):
        compile_gradient(source, shapes={"x": "N 2**D"}, check="off")


def test_squeeze_wants_an_axis_where_sizes_have_names():
    with pytest.raises(CompileError) as caught:
        compile_gradient('import numpy as np\ndef f(x: "N K"):\n    return np.squeeze(x).sum()\n', check="off")
    assert "E112" in str(caught.value)
    gradient = compile_gradient('import numpy as np\ndef f(x: "N 1"):\n    return (np.squeeze(x, axis=1) ** 2).sum()\n')
    assert gradient(np.full((3, 1), 2.0))[1][0].shape == (3, 1)
    assert compile_gradient('import numpy as np\ndef f(x: "3 1"):\n    return np.squeeze(x)\n', check="off")(np.ones((3, 1)))[0].shape == (3,)
