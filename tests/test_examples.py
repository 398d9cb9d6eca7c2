"""
The examples: their emitted twins are what the compiler writes today, run, and give the numbers known from lecture notes.

`pytest tests/test_examples.py --update-golden` rewrites the twins and the README; read the difference before it is committed.
"""

from __future__ import annotations

import ast
import math
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bpcompile.compiler import compile_file
from bpcompile.marking import mark_source, render

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.py") if not p.stem.endswith(("_grad", "_notes")))
#: The two twins of each example.
TWINS = {"grad": {}, "notes": {"layout": "script", "style": "notes"}}


def is_scalar(name: str) -> bool:
    """Whether an example is about numbers; those about arrays import NumPy."""
    path = EXAMPLES / f"{name}_grad.py"
    return not path.exists() or "import numpy" not in path.read_text("utf-8")


SCALARS = [name for name in NAMES if is_scalar(name)]
ARRAYS = [name for name in NAMES if name not in SCALARS]

STAGES = ["sigy", "num", "sigx", "xpy", "xpysqr", "den", "invden", "f"]


def fresh(name: str, twin: str) -> str:
    return compile_file(EXAMPLES / f"{name}.py", **TWINS[twin]).source


def golden(name: str, twin: str) -> str:
    return (EXAMPLES / f"{name}_{twin}.py").read_text("utf-8")


def run(name: str, twin: str) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"{name}_{twin}.py")))


def statements(text: str) -> list[str]:
    """Lines of code without their comments."""
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def blocks(text: str) -> list[str]:
    """The names of the stages that the backward pass undoes, in order."""
    return re.findall(r"# backprop (\w+) = ", text)


def test_there_are_examples():
    assert {"add_multiply", "product", "neuron", "four_gates", "max_gate", "staged", "staged_sympy", "staged_flat"} <= set(NAMES)


@pytest.mark.parametrize("twin", list(TWINS))
@pytest.mark.parametrize("name", NAMES)
def test_the_twin_is_what_the_compiler_writes(name, twin, request):
    path = EXAMPLES / f"{name}_{twin}.py"
    text = fresh(name, twin)
    if request.config.getoption("--update-golden"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("name", SCALARS)
def test_the_certificate_of_a_twin_is_complete(name):
    for twin in TWINS:
        doc = ast.get_docstring(ast.parse(golden(name, twin))) or ""
        assert "proved with SymPy" in doc
        assert "SymPy's derivative at 50 digits" in doc
        assert "not checked" not in doc
        assert "operations: value" in doc


@pytest.mark.parametrize("name", SCALARS)
def test_both_twins_agree_with_each_other_and_with_differences(name):
    """The page of notes holds the example values, at which the functions of the other twin are called."""
    page = run(name, "notes")
    functions = run(name, "grad")
    tree = ast.parse(golden(name, "grad"))
    params = [a.arg for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "value" for a in f.args.args]
    point = [getattr(page, p) for p in params]
    value, gradients = functions.value_and_grad(*point)
    assert functions.value(*point) == value
    assert page.f == pytest.approx(value, rel=1e-14)
    for param, gradient in zip(params, gradients, strict=True):
        assert getattr(page, f"d{param}") == pytest.approx(gradient, rel=1e-12)
    for i, gradient in enumerate(gradients):
        for j, part in enumerate(gradient if isinstance(gradient, list) else [gradient]):

            def moved(h: float, i=i, j=j) -> float:
                there = [list(p) if isinstance(p, list) else p for p in point]
                if isinstance(there[i], list):
                    there[i][j] += h
                else:
                    there[i] += h
                return functions.value(*there)

            assert (moved(1e-6) - moved(-1e-6)) / 2e-6 == pytest.approx(part, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ARRAYS)
def test_twins_of_arrays_agree_with_each_other_and_with_differences(name):
    page, functions = run(name, "notes"), run(name, "grad")
    definitions = {f.name: f for f in ast.parse(golden(name, "grad")).body if isinstance(f, ast.FunctionDef)}
    params = [a.arg for a in definitions["value"].args.args]
    (seed,) = [a.arg for a in definitions["value_and_grad"].args.args if a.arg not in params]
    point = {p: getattr(page, p) for p in params}
    for array in point.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    value, gradients = functions.value_and_grad(**point)
    np.testing.assert_array_equal(functions.value(**point), value)
    np.testing.assert_allclose(getattr(page, seed.removeprefix("d")), value, rtol=1e-13)
    upstream = np.random.default_rng(1).normal(size=np.shape(value))
    _, weighted = functions.value_and_grad(**point, **{seed: upstream})
    for param, gradient, other in zip(params, gradients, weighted, strict=True):
        assert np.shape(gradient) == np.shape(point[param])
        np.testing.assert_allclose(getattr(page, f"d{param}"), gradient, rtol=1e-11, atol=1e-13)
        for place in list(np.ndindex(*np.shape(gradient)))[:7]:
            ahead, behind = (np.array(point[param], dtype=float) for _ in range(2))
            ahead[place] += 1e-6
            behind[place] -= 1e-6
            slope = (functions.value(**{**point, param: ahead}) - functions.value(**{**point, param: behind})) / 2e-6
            assert np.sum(upstream * slope) == pytest.approx(other[place], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", ARRAYS)
def test_the_certificate_of_arrays_is_complete(name):
    for twin in TWINS:
        doc = ast.get_docstring(ast.parse(golden(name, twin))) or ""
        assert "proved with SymPy" in doc
        assert "equal forward mode at 50 digits, element by element" in doc
        assert "not checked" not in doc


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("twin", list(TWINS))
def test_a_twin_of_arrays_imports_numpy_alone(name, twin):
    tree = ast.parse(golden(name, twin))
    assert {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names} == {"numpy"}
    assert not any(isinstance(n, ast.ImportFrom) for n in ast.walk(tree))


@pytest.mark.parametrize("name", ["matrix_product_sympy", "matrix_product_sum"])
def test_the_matrix_product_is_written_as_in_the_notes(name):
    notes, code = statements(golden(name, "notes")), statements(golden(name, "grad"))
    assert [c for c in notes if c.startswith(("D =", "dW =", "dX ="))] == ["D = W.dot(X)", "dW = dD.dot(X.T)", "dX = W.T.dot(dD)"]
    assert [c for c in code if c.startswith(("dW =", "dX ="))] == ["dW = dD @ X.T", "dX = W.T @ dD"]
    assert "(5, 10) = (5, 3) . (3, 10)" in golden(name, "notes")


def test_the_layers_are_undone_by_the_delta_recursion():
    code = statements(golden("layers_matrices", "notes"))
    for layer, before in ((3, "a2"), (2, "a1"), (1, "x")):
        assert f"db{layer} = ((1 - a{layer}) * a{layer}) * da{layer}" in code
        assert f"dW{layer} = db{layer}.dot({before}.T)" in code
        assert f"d{before} = W{layer}.T.dot(db{layer})" in code


@pytest.mark.parametrize("name", SCALARS)
def test_the_upstream_gradient_scales(name):
    page, functions = run(name, "notes"), run(name, "grad")
    tree = ast.parse(golden(name, "grad"))
    params = [a.arg for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "value" for a in f.args.args]
    point = [getattr(page, p) for p in params]
    flat = [v for g in functions.value_and_grad(*point)[1] for v in (g if isinstance(g, list) else [g])]
    scaled = [v for g in functions.value_and_grad(*point, df=-2.5)[1] for v in (g if isinstance(g, list) else [g])]
    assert scaled == pytest.approx([-2.5 * v for v in flat], rel=1e-14)


# -- the numbers of the lecture notes -------------------------------------------------------------------------------------


def test_add_multiply():
    assert run("add_multiply", "grad").value_and_grad(-2, 5, -4) == (-12, (-4, -4, 3))
    page = run("add_multiply", "notes")
    assert (page.f, page.dx, page.dy, page.dz) == (-12, -4, -4, 3)
    assert page.q == 3
    assert page.dq == -4


def test_product():
    assert run("product", "grad").value_and_grad(6, -2, -3) == (36, (6, -18, -12))
    page = run("product", "notes")
    assert (page.dx, page.dy, page.dz) == (6, -18, -12)


def test_neuron():
    value, (dw, dx) = run("neuron", "grad").value_and_grad([2, -3, -3], [-1, -2])
    assert value == pytest.approx(0.7311, abs=5e-5)
    assert dw == pytest.approx([-0.1966, -0.3932, 0.1966], abs=5e-5)
    assert dx == pytest.approx([0.3932, -0.5898], abs=5e-5)
    page = run("neuron", "notes")
    assert page.dw == pytest.approx(dw, rel=1e-14)
    assert page.dx == pytest.approx(dx, rel=1e-14)


def test_neuron_is_written_as_in_the_notes():
    code = statements(golden("neuron", "notes"))
    assert "dot = w[0] * x[0] + w[1] * x[1] + w[2]" in code
    assert "ddot = (1 - f) * f" in code
    assert [c for c in code if re.match(r"d[wx] = \[", c)] == ["dw = [x[0] * ddot, x[1] * ddot, (1) * ddot]", "dx = [w[0] * ddot, w[1] * ddot]"]
    # The sigmoid is one gate: between dot and f there is no other stage.
    assert blocks(golden("neuron", "notes")) == ["f", "dot"]
    assert blocks(golden("neuron", "grad")) == ["f", "dot"]
    compact = statements(golden("neuron", "grad"))
    assert any(c.startswith("ddot = ") for c in compact)
    assert any(c.startswith("dw = [") for c in compact)
    assert any(c.startswith("dx = [") for c in compact)


def test_four_gates():
    page = run("four_gates", "notes")
    assert blocks(golden("four_gates", "notes")) == ["f", "shifted", "power", "scaled", "dot"]
    assert page.f == pytest.approx(0.7311, abs=5e-5)
    # The numbers on the circuit of the notes, right to left.
    assert [page.dshifted, page.dpower, page.dscaled, page.ddot] == pytest.approx([-0.5344, -0.5344, -0.1966, 0.1966], abs=5e-5)
    assert page.dw == pytest.approx([-0.1966, -0.3932, 0.1966], abs=5e-5)
    assert page.dx == pytest.approx([0.3932, -0.5898], abs=5e-5)
    code = statements(golden("four_gates", "notes"))
    assert "dpower = (1) * dshifted" in code
    assert "dscaled = power * dpower" in code or "dscaled = (power) * dpower" in code
    assert "ddot = (-1) * dscaled" in code
    neuron = run("neuron", "grad").value_and_grad([2, -3, -3], [-1, -2])
    assert run("four_gates", "grad").value_and_grad([2, -3, -3], [-1, -2])[1][0] == pytest.approx(neuron[1][0], rel=1e-13)


def test_max_gate():
    value, gradients = run("max_gate", "grad").value_and_grad(3, -4, 2, -1)
    assert value == -20
    assert gradients == (-8, 6, 2, 0)
    page = run("max_gate", "notes")
    assert (page.f, page.dx, page.dy, page.dz, page.dw) == (-20, -8, 6, 2, 0)
    # Add distributes, max routes, multiply switches.
    assert page.dprod == page.dlargest == page.dtotal == 2
    assert blocks(golden("max_gate", "notes")) == ["f", "total", "largest", "prod"]


@pytest.mark.parametrize("name", ["staged", "staged_sympy", "staged_flat"])
def test_staged(name):
    def sigmoid(t):
        return 1 / (1 + math.exp(-t))

    def f(x, y):
        return (x + sigmoid(y)) / (sigmoid(x) + (x + y) ** 2)

    value, (dx, dy) = run(name, "grad").value_and_grad(3, -4)
    assert value == pytest.approx(f(3, -4), rel=1e-15)
    assert value == pytest.approx(1.5456448841066441, rel=1e-15)
    assert (dx, dy) == pytest.approx((2.0595697955721652, 1.5922327514838093), rel=1e-14)
    # Nowhere does it overflow.
    functions = run(name, "grad")
    for x, y in ((800.0, -800.0), (-800.0, 3.0), (0.0, 800.0), (-40.0, 40.0)):
        values = functions.value_and_grad(x, y)
        assert all(map(math.isfinite, (values[0], *values[1])))


@pytest.mark.parametrize("name", ["staged", "staged_sympy"])
@pytest.mark.parametrize("twin", list(TWINS))
def test_staged_blocks_in_order(name, twin):
    text = golden(name, twin)
    assert blocks(text) == STAGES[::-1]
    code = [c for c in statements(text) if re.match(r"d[xy] ", c)]
    assert [c.split()[:2] for c in code] == [["dx", "="], ["dy", "="], ["dx", "+="], ["dx", "+="], ["dy", "+="]]


@pytest.mark.parametrize("twin", list(TWINS))
def test_the_flat_expression_gets_the_same_stages(twin):
    text = golden("staged_flat", twin)
    assert sorted(blocks(text)) == sorted(STAGES)
    first: dict[str, str] = {}
    for code in statements(text[text.index("# forward pass") :]):
        match = re.match(r"(\w+) (\+?=) ", code)
        if match:
            first.setdefault(match[1], match[2])
    assert set(STAGES) <= set(first)
    assert set(first.values()) == {"="}


def test_staged_page_reads_as_the_lecture_page():
    """Each backward line is local gradient times upstream gradient."""
    text = golden("staged", "notes")
    code = statements(text)
    forward = code[code.index("x = 3") : code.index("dnum = invden")]
    assert forward == [
        "x = 3",
        "y = -4",
        "sigy = 1.0 / (1 + math.exp(-y))",
        "num = x + sigy",
        "sigx = 1.0 / (1 + math.exp(-x))",
        "xpy = x + y",
        "xpysqr = xpy**2",
        "den = sigx + xpysqr",
        "invden = 1.0 / den",
        "f = num * invden",
    ]
    backward = code[code.index("dnum = invden") : code.index('print("f =", f)')]
    assert backward == [
        "dnum = invden",
        "dinvden = num",
        "dden = (-1.0 / (den**2)) * dinvden",
        "dsigx = (1) * dden",
        "dxpysqr = (1) * dden",
        "dxpy = (2 * xpy) * dxpysqr",
        "dx = (1) * dxpy",
        "dy = (1) * dxpy",
        "dx += ((1 - sigx) * sigx) * dsigx",
        "dx += (1) * dnum",
        "dsigy = (1) * dnum",
        "dy += ((1 - sigy) * sigy) * dsigy",
    ]
    comments = re.findall(r"# backprop (.*)", text)
    assert comments == forward[:1:-1]
    # The number behind a line is that of the stage it undoes.
    numbers = {m[1]: m[2] for m in re.finditer(r"^(\w+) = .*?# \((\d)\)", text[: text.index("# backward pass")], re.MULTILINE)}
    assert numbers == {stage: str(i) for i, stage in enumerate(STAGES, 1)}
    stage = ""
    for line in text[text.index("# backward pass") :].splitlines():
        opened = re.match(r"# backprop (\w+)", line)
        stage = opened[1] if opened else stage
        if re.match(r"d\w+ \+?= ", line):
            assert line.endswith(f"# ({numbers[stage]})"), line


@pytest.mark.parametrize("name", SCALARS)
def test_a_page_prints_its_numbers(name, capsys):
    page = run(name, "notes")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"f = {page.f}"
    assert len(lines) == 1 + sum(k.startswith("d") and k[1:] in vars(page) and f"{k} = {getattr(page, k)}" in lines for k in vars(page))


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("twin", list(TWINS))
def test_a_twin_imports_math_alone(name, twin):
    tree = ast.parse(golden(name, twin))
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert not any(isinstance(n, ast.ImportFrom) for n in ast.walk(tree))
    assert set(modules) <= {"math"}


# -- the README -----------------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_is_printed(request):
    path = ROOT / "README.md"
    readme = path.read_text("utf-8")
    shown = {"forward": (EXAMPLES / "staged.py").read_text("utf-8"), "staged": fresh("staged", "grad")}
    for mark, text in shown.items():
        block = f"<!-- {mark}:begin -->\n```python\n{text}```\n<!-- {mark}:end -->"
        pattern = re.compile(rf"<!-- {mark}:begin -->\n.*?<!-- {mark}:end -->", re.DOTALL)
        assert pattern.search(readme), mark
        if request.config.getoption("--update-golden"):
            readme = pattern.sub(lambda _, b=block: b, readme)
            path.write_text(readme, "utf-8")
        assert block in readme


def test_the_readme_shows_a_report_of_verify(request):
    path = ROOT / "README.md"
    readme = path.read_text("utf-8")
    name = "examples/handwritten/staged_faulty.py"
    report = render(mark_source((ROOT / name).read_text("utf-8"), path=name))
    block = f"<!-- verify:begin -->\n```text\n{report.strip()}\n```\n<!-- verify:end -->"
    if request.config.getoption("--update-golden"):
        readme = re.sub(r"<!-- verify:begin -->\n.*?<!-- verify:end -->", lambda _: block, readme, flags=re.DOTALL)
        path.write_text(readme, "utf-8")
    assert block in readme
