"""The Python API: what goes in, what comes back, and what is refused."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
import sympy

import bpcompile
from bpcompile.compiler import Options, compile_expression, compile_file, compile_gradient
from bpcompile.diagnostics import CompileError

x, y = sympy.symbols("x y")


def codes(problem: pytest.ExceptionInfo) -> list[str]:
    return [d.code for d in problem.value.diagnostics]


# -- inputs ---------------------------------------------------------------------------------------------------------------


def test_a_sympy_expression():
    compiled = compile_gradient(x * sympy.exp(y))
    assert [n for _, n in compiled.emitted.params] == ["x", "y"]
    value, gradients = compiled(2.0, 0.5)
    assert value == 2.0 * math.exp(0.5)
    assert gradients == (math.exp(0.5), 2.0 * math.exp(0.5))
    assert compiled.value(2.0, 0.5) == value
    assert compiled.certificate.ok


def test_a_dict_of_named_stages():
    q = x + y
    compiled = compile_gradient({"q": q, "f": q * sympy.Symbol("z")})
    assert "q = x + y" in compiled.source
    assert "dq = z * df" in compiled.source
    assert compiled(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_stages_and_outputs_of_a_dict():
    compiled = compile_gradient({"q": x + y, "f": (x + y) * x, "g": sympy.sin(x + y)}, of=["f", "g"], check="fast")
    (f, g), (dx, dy) = compiled(2.0, 3.0, df=1.0, dg=10.0)
    assert (f, g) == (10.0, math.sin(5.0))
    assert (dx, dy) == pytest.approx((7.0 + 10 * math.cos(5.0), 2.0 + 10 * math.cos(5.0)))


def test_a_list_of_expressions():
    compiled = compile_gradient([x * y, x + y], check="fast")
    assert compiled.emitted.outputs == ["f1", "f2"]
    assert compiled(2.0, 3.0, 1.0, 10.0) == ((6.0, 5.0), (13.0, 12.0))


@pytest.mark.parametrize(
    "text", ["q = x + y; f = q * z", "(x + y) * z", "x = -2\ny = 5\nz = -4\nq = x + y\nf = q * z\n", "def f(x, y, z):\n    q = x + y\n    return q * z\n"]
)
def test_source_text(text):
    assert compile_gradient(text, check="fast")(-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_wrt_chooses_and_orders_the_gradients():
    compiled = compile_gradient(x * y**2, wrt=["y"], check="fast")
    assert compiled(3.0, 2.0) == (12.0, (12.0,))
    assert [p.name for p, _ in compiled.emitted.gradients] == ["y"]
    assert compile_gradient(x * y**2, wrt=[y], check="fast")(3.0, 2.0) == (12.0, (12.0,))


def test_examples_reach_the_page():
    page = compile_gradient(x * y, at={x: 7, "y": -1.5}, layout="script", check="off").source
    assert "x = 7\n" in page
    assert "y = -1.5\n" in page


def test_arrays():
    compiled = compile_gradient("f = x * w", shapes={"x": ("N",), "w": ()}, target="numpy", check="off")
    value, (dx, dw) = compiled(np.array([1.0, 2.0]), 3.0) if [n for _, n in compiled.emitted.params] == ["x", "w"] else compiled(3.0, np.array([1.0, 2.0]))
    assert value.tolist() == [3.0, 6.0]
    assert sorted([np.shape(dx), np.shape(dw)]) == [(), (2,)]


def test_a_file(tmp_path):
    path = tmp_path / "expr.py"
    path.write_text("x = 3\nf = x * x\n", "utf-8")
    assert compile_file(path)(3.0) == (9.0, (6.0,))
    assert compile_file(str(path), text=b"x = 3\nf = x + x\n")(3.0) == (6.0, (2.0,))


def test_the_public_names():
    assert bpcompile.compile_gradient is compile_gradient
    assert isinstance(bpcompile.__version__, str)
    for name in bpcompile.__all__:
        assert hasattr(bpcompile, name)
        assert name in dir(bpcompile)
    with pytest.raises(AttributeError):
        bpcompile.nothing_of_that_name  # noqa: B018, RUF100  the look-up itself raises


# -- what comes back ------------------------------------------------------------------------------------------------------


def test_split_is_called_like_the_function():
    split, function = (compile_gradient(x * sympy.sin(y), layout=layout, check="off") for layout in ("split", "function"))
    assert split(2.0, 0.5, df=3.0) == function(2.0, 0.5, df=3.0)
    assert split.value(2.0, 0.5) == function.value(2.0, 0.5)
    namespace: dict = {}
    exec(split.source, namespace)  # noqa: S102, RUF100  what was emitted
    value, cache = namespace["forward"](2.0, 0.5)
    assert value == function.value(2.0, 0.5)
    assert namespace["backward"](1.0, cache) == function(2.0, 0.5)[1]


def test_a_page_is_run_and_not_called():
    compiled = compile_gradient(x * y, layout="script", check="off", at={x: 2, y: 3})
    with pytest.raises(TypeError, match="a page to run"):
        compiled(1.0, 2.0)


def test_the_certificate_is_in_the_header():
    compiled = compile_gradient(x * y)
    for line in compiled.certificate.lines():
        assert line in compiled.source
    assert compile_gradient(x * y, check="off").certificate is None


def test_the_source_is_what_runs():
    compiled = compile_gradient(x * y, check="off")
    namespace: dict = {}
    exec(compiled.source, namespace)  # noqa: S102, RUF100  what was emitted
    assert namespace["value_and_grad"](2.0, 3.0) == compiled(2.0, 3.0)
    assert compiled.namespace is compiled.namespace


def test_the_program_read_is_not_changed():
    compiled = compile_gradient("a = sin(x); f = a * a", check="off")
    before = str(compiled.program)
    assert all(eqn.origin is None for eqn in compiled.program.eqns)
    assert any(eqn.origin is not None for eqn in compiled.gradient.eqns)
    assert str(compiled.program) == before


def test_compiling_twice_gives_the_same():
    for _ in range(2):
        assert compile_gradient(x * sympy.exp(y) + sympy.sin(x)).source == compile_gradient(x * sympy.exp(y) + sympy.sin(x)).source


def test_progress_is_told():
    said: list[str] = []
    compile_gradient(x * y, progress=said.append)
    assert said[:3] == ["reverse pass", "passes", "writing"]


def test_the_garbage_collector_is_left_as_it_was():
    assert gc.isenabled()
    compile_gradient(x * y, check="off")
    assert gc.isenabled()
    with pytest.raises(CompileError):
        compile_expression("x +", check="off")
    assert gc.isenabled()
    gc.disable()
    try:
        compile_gradient(x * y, check="off")
        assert not gc.isenabled()
    finally:
        gc.enable()


# -- options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"target": "fortran"}, {"layout": "page"}, {"style": "long"}, {"numerics": "exact"}, {"check": "maybe"}])
def test_an_unknown_setting_is_refused_by_name(settings):
    with pytest.raises(CompileError) as problem:
        compile_gradient(x * y, **settings)
    assert codes(problem) == ["E001"]
    assert next(iter(settings.values())) in str(problem.value)


def test_lecture_style_keeps_formulas_unless_told():
    assert Options(style="notes").literal
    assert not Options(style="code").literal
    assert not Options(style="notes", numerics="stable").literal
    assert Options(style="code", numerics="literal").literal
    assert "xpy * xpy" not in compile_gradient("f = (x + y)**2 * x", style="notes", check="off").source


def test_a_template_of_the_user(tmp_path):
    path = tmp_path / "mine.j2"
    path.write_text(
        "# {{ outputs | join }}\n"
        "{% for line in imports %}{{ line }}\n{% endfor %}"
        "def value_and_grad({{ (params + seed_params) | join(', ') }}):\n"
        "{% for line in forward_lines + backward_lines %}    {{ line }}\n{% endfor %}"
        "    return {{ result }}, {{ gradients }}\n",
        "utf-8",
    )
    compiled = compile_gradient(x * sympy.sin(y), template=path, check="off")
    assert compiled.source.startswith("# f\nimport math\ndef value_and_grad(x, y, df=1.0):\n")
    assert compiled(2.0, 0.5) == (2.0 * math.sin(0.5), (math.sin(0.5), 2.0 * math.cos(0.5)))


@pytest.mark.parametrize("text", ["{{ nothing_here }}", "{% for %}", "{{ 1 / 0 }}"])
def test_a_template_that_fails_is_named(tmp_path, text):
    path = tmp_path / "mine.j2"
    path.write_text("line\n" + text, "utf-8")
    with pytest.raises(CompileError) as problem:
        compile_gradient(x * y, template=path, check="off")
    assert codes(problem) == ["E002"]
    assert "mine.j2" in str(problem.value)


def test_a_template_that_is_not_there(tmp_path):
    with pytest.raises(CompileError) as problem:
        compile_gradient(x * y, template=tmp_path / "none.j2", check="off")
    assert codes(problem) == ["E002"]


# -- numbers that must come out -------------------------------------------------------------------------------------------


def test_stable_numerics_at_extreme_arguments():
    sigmoid = compile_expression("1/(1 + exp(-x))", check="off")
    assert sigmoid(-400.0)[1][0] == pytest.approx(1.9151695967140057e-174, rel=1e-12)
    assert sigmoid(40.0)[1][0] == pytest.approx(4.248354255291589e-18, rel=1e-12)
    assert sigmoid(-800.0) == (0.0, (0.0,))
    assert compile_expression("log(1 + exp(x))", check="off")(800.0) == (800.0, (1.0,))
    assert compile_expression("tanh(x)", check="off")(20.0)[1][0] == pytest.approx(1.6993417021166356e-17, rel=1e-12)
    value, gradients = compile_expression("sqrt(x**2 + y**2)", check="off")(3e200, 4e200)
    assert (value, *gradients) == pytest.approx((5e200, 0.6, 0.8), rel=1e-15)


@pytest.mark.parametrize("text", ["exp(x)/(1 + exp(x))", "1/(1 + exp(-x))", "1 - 1/(1 + exp(x))"])
def test_every_spelling_of_the_sigmoid_survives_800(text):
    value, (slope,) = compile_expression(text, check="off")(800.0)
    assert value == 1.0
    assert 0.0 <= slope < 1e-300


def test_a_small_power_of_two_below_a_fraction_line():
    assert compile_expression("x / 5e-324", check="off")(0.0)[0] == 0.0


@pytest.mark.parametrize("target", ["python", "numpy"])
def test_the_cheap_gradient_bound(target):
    text = " * ".join(f"x{i}" for i in range(80))
    compiled = compile_expression(text, check="fast", target=target)
    cost = next(line for line in compiled.certificate.lines() if line.startswith("operations"))
    assert float(cost.split("(")[1].split(" ")[0]) <= 3.0


def test_code_without_an_import_is_code():
    compiled = compile_gradient("W = np.random.randn(5, 10)\nX = np.random.randn(10, 3)\nD = W.dot(X)\n", check="off")
    assert "dW = dD @ X.T" in compiled.source
    compiled = compile_gradient("q = x + y; f = q * x.sum()", shapes={"x": ("N",), "y": ("N",)}, check="off")
    assert [n for _, n in compiled.emitted.params] == ["x", "y"]


def test_shared_layers_stay_linear():
    for layers, body in ((9, "e = sin(e)*cos(e) + e"), (60, "e = sin(e)*cos(e)")):
        text = "; ".join(["e = x", *[body] * layers, "f = e"]) if layers else ""
        compiled = compile_expression(text, check="fast")
        cost = next(line for line in compiled.certificate.lines() if line.startswith("operations"))
        assert float(cost.split("(")[1].split(" ")[0]) <= 4.0
