"""Names are legal, unique, telling, the same on every run, and what had to be changed is said."""

from __future__ import annotations

import ast
import builtins
import keyword
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from bpcompile.compiler import compile_expression, compile_gradient
from bpcompile.ir import Builder, Output, Param, Program, Var
from bpcompile.naming import RESERVED, Names, legal
from bpcompile.primitive import REGISTRY

ROOT = Path(__file__).resolve().parent.parent

# -- legal ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("x", "x"),
        ("x_1", "x_1"),
        ("_x", "_x"),
        ("x'", "x_prime"),
        ("x″", "x_prime_prime"),
        ("α", "α"),
        ("\\alpha", "alpha"),
        ("\\alpha_{1}", "alpha_1"),
        ("x_{2}", "x_2"),
        ("$x$", "x"),
        ("x y", "x_y"),
        ("x-1", "x_1"),
        ("x.y", "x_y"),
        ("1x", "v1x"),
        ("²", "v2"),
        ("", "v"),
        ("   ", "v"),
        ("+-", "v"),
        ("µ", "μ"),  # the micro sign is the letter mu to Python
        ("ﬁ", "fi"),
        ("ﬁt", "fit"),
        ("ｘ", "x"),
        ("𝐱", "x"),
        ("café", "café"),
        ("cafe\u0301", "café"),
        ("день", "день"),
        ("変数", "変数"),
        ("a\nb", "a_b"),
        ('a"b', "a_b"),
        ('"""', "v"),
        ("x; import os", "x_import_os"),
        ("__import__('os').system('ls')", None),
        ("x=1", "x_1"),
        ("\x00", "v"),
        ("\u200bx", None),
        ("\N{PILE OF POO}", "v"),
    ],
)
def test_legal(name, identifier):
    got = legal(name)
    assert got.isidentifier()
    assert got == unicodedata.normalize("NFKC", got)
    if identifier is not None:
        assert got == identifier


@given(st.text(max_size=12))
def test_legal_is_an_identifier_of_python(name):
    text = legal(name)
    assert text.isidentifier()
    assert ast.parse(f"{text if not keyword.iskeyword(text) else text + '_'} = 1")
    # The parser normalises identifiers: what we compare must be normalised already.
    tree = ast.parse(f"{text}_ = 1")
    assert tree.body[0].targets[0].id == f"{text}_"


# -- uniqueness -----------------------------------------------------------------------------------------------------------


def product_of(names: list[str]) -> Program:
    inputs = [Var(name=n) for n in names]
    with Builder() as b:
        value = b.emit(REGISTRY["sin"], (inputs[0],))
        for v in inputs[1:]:
            value = b.emit(REGISTRY["mul"], (value, v))
    return Program([Param(n, v) for n, v in zip(names, inputs, strict=True)], b.eqns, [Output("f", value)])


@pytest.mark.parametrize(
    "names",
    [
        ["x'", "x_prime", "x′"],
        ["µ", "μ"],
        ["ﬁ", "fi"],
        ["x-1", "x_1", "x 1"],
        ["", "v", " "],
        ["lambda", "lambda_"],
        ["class", "class_", "class_2"],
        ["a", "a ", " a"],
        ["x", "x", "x"],
        ["x1", "x1", "x1_2"],
        ["f", "f_", "f2"],
        ["np", "math", "special", "value", "value_and_grad", "cache", "np_"],
        ["print", "sum", "max", "abs", "print_"],
    ],
)
def test_names_are_unique(names):
    given_out = Names(product_of(names))
    assert len(set(given_out.params)) == len(names)
    for old, new in zip(names, given_out.params, strict=True):
        assert new.isidentifier()
        assert new not in RESERVED
        assert (old, new) in given_out.changed or old == new


@given(st.lists(st.text(max_size=4) | st.sampled_from(["x", "dx", "x_", "f", "df", "d_x", "lambda", "np", "t0", "cond1"]), min_size=1, max_size=6))
def test_whatever_the_names_the_output_runs(names):
    symbols = [sympy.Dummy(n) if n else sympy.Dummy("v") for n in names]
    f = sympy.Integer(1)
    for i, symbol in enumerate(symbols):
        f = f * (symbol + i + 1)
    compiled = compile_gradient(f, wrt=None, check="off")
    arguments = [p for _, p in compiled.emitted.params]
    assert len(set(arguments)) == len(symbols)
    value, gradients = compiled(*[1.5] * len(symbols))
    want = 1.0
    for i in range(len(symbols)):
        want *= 1.5 + i + 1
    assert value == pytest.approx(want)
    assert sorted(gradients) == pytest.approx(sorted(want / (2.5 + i) for i in range(len(symbols))))


# -- gradients ------------------------------------------------------------------------------------------------------------


def identifiers(text: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)} | {
        a.arg for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) for a in n.args.args
    }


@pytest.mark.parametrize("name", "el ef ir ict ot et iag iff".split())
def test_d_before_a_name_may_be_another_word(name):
    """`d` + `el` is a keyword, `d` + `ir` a builtin: the gradient is called otherwise."""
    compiled = compile_expression(f"{name} * {name} * y", check="off")
    assert compiled(3.0, 2.0) == (18.0, (12.0, 9.0)) if compiled.emitted.params[0][1] == name else compiled(2.0, 3.0) == (18.0, (9.0, 12.0))
    taken = keyword.kwlist + dir(builtins)
    assert not identifiers(compiled.source) & set(taken) - {"float", "max", "min", "abs"}
    gradient = next(g for p, g in compiled.emitted.gradients if p.name == name)
    assert gradient not in taken
    assert gradient.startswith("d")


@pytest.mark.parametrize(("first", "second"), [("x", "dx"), ("t", "dt"), ("h", "dh"), ("x", "d_x"), ("f", "df"), ("y", "df"), ("x", "dy")])
def test_an_input_may_be_called_as_a_gradient(first, second):
    compiled = compile_expression(f"{first}**2 * {second}", check="fast")
    order = [n for _, n in compiled.emitted.params]
    point = dict(zip(order, (3.0, 5.0), strict=True))
    by_name = {p.name: point[n] for p, n in compiled.emitted.params}
    a, b = by_name[first], by_name[second]
    value, gradients = compiled(*point.values())
    assert value == a * a * b
    named = {p.name: g for (p, _), g in zip(compiled.emitted.gradients, gradients, strict=True)}
    assert named == {first: 2 * a * b, second: a * a}
    # The gradients' names are no input's.
    assert not {g for _, g in compiled.emitted.gradients} & set(order)


def test_all_three_of_a_name_its_gradient_and_the_way_out():
    compiled = compile_expression("x * dx * d_x * d_x2", check="fast")
    value, gradients = (
        compiled(2.0, 3.0, 5.0, 7.0) if [n for _, n in compiled.emitted.params] == ["x", "dx", "d_x", "d_x2"] else compiled(*sorted_point(compiled))
    )
    assert value == 210.0
    assert {p.name: g for (p, _), g in zip(compiled.emitted.gradients, gradients, strict=True)} == {"x": 105.0, "dx": 70.0, "d_x": 42.0, "d_x2": 30.0}


def sorted_point(compiled):
    numbers = {"x": 2.0, "dx": 3.0, "d_x": 5.0, "d_x2": 7.0}
    return [numbers[p.name] for p, _ in compiled.emitted.params]


@pytest.mark.parametrize(
    "name",
    "x0 x1 t0 t1 v1 v3 sum1 sum2 cond1 pick1 prod1 expnegx invden den num sigx xpy f1 quot1 diff1 xsqr sinx cosx negx dsinx expnegabsx xneg xnonneg".split(),
)
@pytest.mark.parametrize("target", ["python", "numpy"])
def test_an_input_may_be_called_as_a_temporary(name, target):
    text = f"(x + 1/(1 + exp(-{name})) + sin(x)) / (1/(1 + exp(-x)) + (x + {name})**2) + cos(sin(x) + {name})"
    compiled = compile_expression(text, check="fast" if target == "python" else "off", target=target)
    plain = compile_expression(text.replace(name, "yy") if name != "x1" else text.replace("x1", "yy"), check="off", target=target)
    assert sorted(n for _, n in compiled.emitted.params) == sorted(["x", name])
    first = [n for _, n in compiled.emitted.params] == [name, "x"]
    point = (0.7, -0.4) if first else (-0.4, 0.7)
    swapped = [n for _, n in plain.emitted.params] == ["yy", "x"]
    other = (0.7, -0.4) if swapped else (-0.4, 0.7)
    a, b = compiled(*point), plain(*other)
    assert a[0] == pytest.approx(b[0], rel=1e-14)
    assert sorted(a[1]) == pytest.approx(sorted(b[1]), rel=1e-12)


@pytest.mark.parametrize("name", "np math sum max abs sin exp self out value forward cache value_and_grad special print lambda_ None_ match type".split())
def test_an_input_may_shadow_what_the_file_uses(name):
    symbol, x = sympy.Symbol(name, real=True), sympy.Symbol("x", real=True)
    for target in ("python", "numpy"):
        compiled = compile_gradient(sympy.exp(symbol) * sympy.sin(x) + sympy.Abs(x * symbol), target=target, check="off")
        point = {p.name: 0.5 if p.name == "x" else 0.25 for p, _ in compiled.emitted.params}
        value, gradients = compiled(*point.values())
        assert float(value) == pytest.approx(float(sympy.exp(0.25) * sympy.sin(0.5) + 0.125))
        named = {p.name: float(g) for (p, _), g in zip(compiled.emitted.gradients, gradients, strict=True)}
        assert named[name] == pytest.approx(float(sympy.exp(0.25) * sympy.sin(0.5) + 0.5))
        assert named["x"] == pytest.approx(float(sympy.exp(0.25) * sympy.cos(0.5) + 0.25))


# -- temporaries ----------------------------------------------------------------------------------------------------------


def assigned(source: str) -> list[str]:
    """What the forward pass assigns to, in order."""
    start = source.find("# forward pass") if "# forward pass" in source else source.index("def forward")
    end = source.index("def backward") if "def backward" in source else source.index("# backward pass")
    return [m[1] for line in source[start:end].splitlines() if (m := re.match(r"\s*(\w+) = ", line))]


def forward_names(text: str, **options) -> list[str]:
    return assigned(compile_expression(text, check="off", **options).source)


def test_the_flat_staged_expression_gets_the_names_of_a_person():
    x, y = sympy.symbols("x y")
    flat = (x + 1 / (1 + sympy.exp(-y))) / (1 / (1 + sympy.exp(-x)) + (x + y) ** 2)
    for options in ({}, {"style": "notes"}, {"layout": "split"}, {"layout": "script", "style": "notes"}, {"target": "numpy"}):
        names = assigned(compile_gradient(flat, check="off", **options).source)
        # Compact code may name what it computes once and reads twice.
        assert sorted(n for n in names if n in _STAGES) == sorted(_STAGES)
        if options.get("style") == "notes":
            assert set(names) - {"x", "y"} == set(_STAGES)
    # In forward code the quotient is one gate, as it is written.
    names = forward_names("(x + 1/(1 + exp(-y))) / (1/(1 + exp(-x)) + (x + y)**2)", style="notes")
    assert names == [n for n in _STAGES if n != "invden"]


_STAGES = ["sigy", "num", "sigx", "xpy", "xpysqr", "den", "invden", "f"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sin(x) * cos(y) * sin(x)", "sinx"),
        ("exp(x * y) + sin(exp(x * y))", "expxy"),
        ("log(x) * log(x) * y", "logx"),
        ("sqrt(x) + exp(sqrt(x))", "sqrtx"),
        ("tanh(x + y)", "xpy"),
        ("tanh(x - y)", "xmy"),
        ("sin(x**2) * x", "xsqr"),
        ("sin(x**3) * x", "xcub"),
    ],
)
def test_temporaries_say_what_they_are(text, name):
    assert name in forward_names(text)


@pytest.mark.parametrize("size", [10, 200])
def test_names_stay_short(size):
    names = forward_names(" + ".join(f"sin(x{i} * exp(x{i} + cos(x{i} * y)))" for i in range(size)))
    assert max(map(len, names)) <= 24
    assert len(names) == len(set(names))


# -- reporting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "new"),
    [("lambda", "lambda_"), ("x'", "x_prime"), ("\\theta_{1}", "theta_1"), ("1st", "v1st"), ("np", "np_"), ("a b", "a_b"), ("class", "class_")],
)
def test_a_new_name_is_reported(name, new):
    symbol, x = sympy.Symbol(name, real=True), sympy.Symbol("q", real=True)
    compiled = compile_gradient(symbol * sympy.sin(x), check="off")
    assert new in [n for _, n in compiled.emitted.params]
    notes = [d for d in compiled.notes if d.code == "N101"]
    assert len(notes) == 1
    assert new in notes[0].message
    assert notes[0].level == "note"
    doc = ast.get_docstring(ast.parse(compiled.source))
    assert f"is called `{new}` here" in doc


def test_a_kept_name_is_not_reported():
    compiled = compile_expression("x * y", check="off")
    assert compiled.notes == []
    assert "is called" not in compiled.source


@pytest.mark.parametrize(
    "name",
    [
        '"""',
        'x"""\nimport os\n"""',
        "x\nimport os",
        "x # \n",
        "\\",
        "x\\",
        "'''",
        '__import__("os").system("true")',
        "{{ 7 * 7 }}",
        "{% raw %}",
        "x\r\nimport os",
        "x\u2028import os",
    ],
)
@pytest.mark.parametrize("layout", ["function", "split", "script"])
def test_a_name_cannot_inject_code(name, layout):
    symbol, x = sympy.Symbol(name, real=True), sympy.Symbol("q", real=True)
    compiled = compile_gradient({"inner": symbol * x, name + "s": sympy.sin(symbol * x)}, check="off", layout=layout)
    tree = ast.parse(compiled.source)
    imported = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    assert imported == ["math"]
    assert not identifiers(compiled.source) & {"os", "__import__"}
    assert "{{" not in compiled.source.replace(name, "")
    assert "49" not in compiled.source


# -- determinism ----------------------------------------------------------------------------------------------------------

_SCRIPT = """
import sympy
from bpcompile.compiler import compile_gradient, compile_expression
from bpcompile.naming import Names
names = "c b a dx x lambda np t1 sum1 zeta".split()
symbols = [sympy.Symbol(n) for n in names]
f = sum(sympy.sin(s * t) / (1 + sympy.exp(-t)) for s, t in zip(symbols, symbols[1:]))
for options in ({}, {"style": "notes"}, {"target": "numpy"}):
    print(compile_gradient(f, check="off", **options).source)
print(compile_expression("max(a, b, c) * hypot(d, e) + sin(a * b) * sin(b * a)", check="off").source)
"""


def test_names_do_not_depend_on_the_hash_seed():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT], env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
        for seed in (0, 1, 42)
    }
    assert len(outputs) == 1
