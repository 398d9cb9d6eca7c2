"""
Programs with choices, end to end: what a branch not taken computes neither fails nor reaches a result.

Each program runs over a grid of points on which every branch is taken; NumPy raises at any warning. The values are those of the
program itself, the gradients central differences of it, at points away from the jumps.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math

import numpy as np
import pytest

from bpcompile.compiler import compile_gradient

_GRID = (-2.3, -1.83, -0.7, 0.4, 0.9, 1.6, 3.1)

#: Bodies of functions of x and y in plain Python.
_PROGRAMS = {
    # Two conditions guard the adjoint of s, the forward pass knows one of them.
    "common case": "s = max(math.erf(x), math.ceil(x))\nh = x - s\nreturn -(h if s <= 0 else math.sqrt(s)) * y",
    # The second operand of `and` is computed under the first.
    "and": "return (1.0 if x > 0 and math.log(x) > 0.2 and math.log(x) < 1.0 else x) * y",
    "or": "return y if x <= 0 or math.log(x) < 0.2 else y * math.log(x)",
    "not": "return y if not (x > 0 and math.sqrt(x) > 1.1) else y * math.sqrt(math.sqrt(x) - 1.0)",
    "a condition used twice": "a = 2.0 if x > 0 and math.log(x) * y > 1 else 3.0\nb = y if x > 0 and math.log(x) * y < 2 else x\nreturn a * b",
    # What is safe for the inner branch alone is not for the outer.
    "inner and outer": "return (math.log(y - 0.3) * math.sqrt(x) if y > 0.5 else math.sqrt(x)) if x > 0.5 else x * y",
    "a chosen divisor": "return y / (math.log(x) if x > 0 else y) if x > y else x",
    "a chosen root": "return math.sqrt(-x if x < 0 else y) if y > 0 else x * y",
    # acosh has no slope at 1, where it has a value.
    "an edge": "return min(1.0, math.acosh(x) if x > 1.0 else y) * y",
    "a product of zero and infinity": "return (math.sqrt(x) if x > 0 else y) * (x if x > 0 else 0.0)",
    "shared in two branches": "return (1.0 / x + y if x > 1 else 2.0) if y > 0 else (1.0 / x + y) * 2.0 if x < -1 else y",
}


def python_source(body: str) -> str:
    return "import math\n\ndef f(x, y):\n" + "".join(f"    {line}\n" for line in body.splitlines())


def program(body: str):
    namespace: dict[str, object] = {}
    exec(python_source(body), namespace)
    return namespace["f"]


def is_smooth(function, x: float, y: float, h: float = 1e-4) -> bool:
    """Whether differences of two step sizes agree, so that no jump is near."""
    return all(
        math.isclose(
            function(x + h * dx, y + h * dy) - function(x - h * dx, y - h * dy),
            2 * (function(x + h / 2 * dx, y + h / 2 * dy) - function(x - h / 2 * dx, y - h / 2 * dy)),
            rel_tol=1e-3,
            abs_tol=1e-9,
        )
        for dx, dy in ((1, 0), (0, 1))
    )


def differences(function, x: float, y: float, h: float = 1e-6) -> tuple[float, float]:
    return (function(x + h, y) - function(x - h, y)) / (2 * h), (function(x, y + h) - function(x, y - h)) / (2 * h)


@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize("numerics", ["stable", "literal"])
@pytest.mark.parametrize("name", list(_PROGRAMS))
def test_branches_not_taken_are_harmless(name, style, numerics):
    source = python_source(_PROGRAMS[name])
    function = program(_PROGRAMS[name])
    points = [p for p in itertools.product(_GRID, repeat=2) if is_smooth(function, *p)]
    assert len(points) > 20
    values = [function(*p) for p in points]
    slopes = [differences(function, *p) for p in points]
    for layout in ("function", "split"):
        compiled = compile_gradient(source, target="python", layout=layout, style=style, numerics=numerics, check="off")
        for point, value, slope in zip(points, values, slopes, strict=True):
            got, gradient = compiled(*point)
            assert got == pytest.approx(value, rel=1e-12), (point, compiled.source)
            assert gradient == pytest.approx(slope, rel=1e-5, abs=1e-7), (point, compiled.source)
        compiled = compile_gradient(source, target="numpy", layout=layout, style=style, numerics=numerics, check="off")
        xs, ys = (np.array(v) for v in zip(*points, strict=True))
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            got, gradient = compiled(xs, ys)
        assert got == pytest.approx(np.array(values), rel=1e-12), compiled.source
        for mine, theirs in zip(gradient, zip(*slopes, strict=True), strict=True):
            assert mine == pytest.approx(np.array(theirs), rel=1e-5, abs=1e-7), compiled.source


def test_what_two_tests_of_one_condition_need_is_computed_once():
    compiled = compile_gradient(python_source(_PROGRAMS["and"]), target="python", check="off")
    assert compiled.source.count("math.log(x)") == 2  # once in `value`, once in `value_and_grad`
    assert "xpos and logx > 0.2 and logx < 1.0" in compiled.source


def test_a_page_adds_to_a_copy_of_what_np_where_gave():
    # Of floats np.where gives an array of no axes, which `+=` would change under its other name.
    source = "import numpy as np\nx = 0.7\nu = 1.3\na = np.maximum(x, -2.0)\nb = a * u\nd = a * b\nc = np.maximum(b - np.log(a), 0.1)\nresult = c + d\n"

    def f(x, u):
        return max(x * u - math.log(x), 0.1) + x * x * u

    for style in ("code", "notes"):
        page = compile_gradient(source, target="numpy", layout="script", style=style, check="off").source
        namespace: dict[str, float] = {}
        with contextlib.redirect_stdout(io.StringIO()):
            exec(page, namespace)
        assert namespace["result"] == pytest.approx(f(0.7, 1.3))
        assert (namespace["dx"], namespace["du"]) == pytest.approx(differences(f, 0.7, 1.3)), page


# -- results that do not depend on the inputs -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 4), ()])
@pytest.mark.parametrize("layout", ["function", "split"])
@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize(
    "results",
    [
        "(x - y) ** 0",
        "(x - y) ** 0, x * y",
        "x",
        "x, x",
        "2, y, x + 1",
        "z, z * x, 3 * z",
        "np.floor(x)",
        "w, w, y",
        "x * 0 + z",
        "special.erf(z), np.where(x > y, z, z)",
    ],
)
def test_every_result_has_the_shape_of_the_inputs(results, style, layout, shape):
    source = f"import numpy as np\nfrom scipy import special\n\ndef f(x, y):\n    z = np.sqrt(2.0)\n    w = x\n    return {results}\n"
    compiled = compile_gradient(source, target="numpy", style=style, layout=layout, check="off")
    rng = np.random.default_rng(5)
    given = {"x": rng.uniform(0.5, 2.0, shape), "y": rng.uniform(0.5, 2.0, shape)}
    arguments = [given[param.name] for param, _ in compiled.emitted.params]
    namespace: dict[str, object] = {}
    exec(source, namespace)
    wanted = namespace["f"](given["x"], given["y"])
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for values in (compiled(*arguments)[0], compiled.value(*arguments)):
        values = values if isinstance(values, tuple) else (values,)  # noqa: PLW2901  one result or several
        assert len(values) == len(wanted)
        for got, want in zip(values, wanted, strict=True):
            assert got.shape == shape
            assert got.dtype == float
            assert np.allclose(got, want, rtol=1e-14)
            assert not any(np.shares_memory(got, a) for a in arguments)
    for gradient, (param, _) in zip(compiled(*arguments)[1], compiled.emitted.gradients, strict=True):
        assert gradient.shape == shape
        h = 1e-6
        moved = [namespace["f"](**{**given, param.name: given[param.name] + s * h}) for s in (1, -1)]
        up, down = ([m] if not isinstance(m, tuple) else m for m in moved)
        slope = sum((np.broadcast_to(a, shape) - np.broadcast_to(b, shape)) / (2 * h) for a, b in zip(up, down, strict=True))
        assert gradient == pytest.approx(slope, abs=1e-7)


def test_float32_stays_in_a_constant_result():
    compiled = compile_gradient("import numpy as np\n\ndef f(x, y):\n    return (x - y) ** 0, x * y\n", target="numpy", check="off")
    (one, product), (dx, dy) = compiled(np.ones(3, np.float32), np.full(3, 2.0, np.float32))
    assert {a.dtype for a in (one, product, dx, dy)} == {np.dtype(np.float32)}
