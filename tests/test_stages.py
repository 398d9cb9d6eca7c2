"""Named stages: found again inside what SymPy flattened, and cut by hand."""

from __future__ import annotations

import pickle

import pytest
import sympy
from sympy import exp, sin, sqrt

from bpcompile.frontends.stages import Stage, stage
from bpcompile.frontends.sympy_exprs import read_expressions

a, b, c, d, w, x, y, z = sympy.symbols("a b c d w x y z")


def lines(**stages):
    """Return the equations of the program whose output is the last stage, without the indentation."""
    name = list(stages)[-1]
    return [line.strip() for line in str(read_expressions({name: stages[name]}, stages=stages)).splitlines()[1:-1]]


def test_staged_example_is_computed_stage_by_stage():
    sigy = 1 / (1 + exp(-y))
    num = x + sigy
    sigx = 1 / (1 + exp(-x))
    xpy = x + y
    xpysqr = xpy**2
    den = sigx + xpysqr
    invden = 1 / den
    f = num * invden
    assert lines(sigy=sigy, num=num, sigx=sigx, xpy=xpy, xpysqr=xpysqr, den=den, invden=invden, f=f) == [
        "t0 = neg y",
        "t1 = exp t0",
        "t2 = add 1 t1",
        "sigy = div 1.0 t2",
        "num = add x sigy",
        "t3 = neg x",
        "t4 = exp t3",
        "t5 = add 1 t4",
        "sigx = div 1.0 t5",
        "xpy = add x y",
        "xpysqr = pow xpy 2",
        "den = add sigx xpysqr",
        "invden = div 1.0 den",
        "f = mul num invden",
    ]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ({"s": x + y, "f": x + y + z}, ["s = add x y", "f = add s z"]),
        ({"s": x + y, "t": x + y + z, "f": w + x + y + z}, ["s = add x y", "t = add s z", "f = add w t"]),
        ({"ab": a * b, "abc": a * b * c}, ["ab = mul a b", "abc = mul ab c"]),
        ({"ab": a * b, "f": a * b / c}, ["ab = mul a b", "f = div ab c"]),
        ({"ab": a * b, "f": c / (a * b)}, ["ab = mul a b", "f = div c ab"]),
        ({"ab": a * b, "f": a**2 * b**2 * c}, ["ab = mul a b", "t0 = pow ab 2", "f = mul t0 c"]),
        ({"d": a - b, "e": c - a + b}, ["d = sub a b", "e = sub c d"]),
        ({"d": a - b, "e": (b - a) * c}, ["d = sub a b", "t0 = neg d", "e = mul t0 c"]),
        ({"s": x + y, "f": 3 * x + 3 * y}, ["s = add x y", "f = mul 3 s"]),
        ({"s": x + y + z, "f": (x + y + z) / 3}, ["t0 = add x y", "s = add t0 z", "f = div s 3"]),
        ({"s": x + y, "f": 2 * x + y}, ["s = add x y", "f = add x s"]),
        ({"s": x + y, "f": sin(x + y) * exp(x + y)}, ["s = add x y", "t0 = exp s", "t1 = sin s", "f = mul t0 t1"]),
        ({"p": x + y, "q": x + y, "f": (x + y) * z}, ["p = add x y", "f = mul p z"]),
        ({"u": 2 * x * y, "f": z - 2 * x * y}, ["t0 = mul 2 x", "u = mul t0 y", "f = sub z u"]),
        ({"u": -x * y, "f": z + x * y}, ["t0 = mul x y", "u = neg t0", "f = sub z u"]),
        ({"u": 2 * x, "f": 1 / (2 * x)}, ["u = mul 2 x", "f = div 1.0 u"]),
        ({"r": sqrt(x), "f": x ** sympy.Rational(3, 2)}, ["r = sqrt x", "f = pow r 3"]),
        ({"x2": x**2, "x4": x**4, "f": x**8}, ["x2 = pow x 2", "x4 = pow x2 2", "f = pow x4 2"]),
        ({"e": exp(x), "f": exp(2 * x) + 1}, ["e = exp x", "t0 = pow e 2", "f = add t0 1"]),
        ({"den": x + y, "f": z / (x + y)}, ["den = add x y", "f = div z den"]),
        ({"s": 0.5 * x + y, "f": 0.5 * x + y + z}, ["t0 = mul 0.5 x", "s = add t0 y", "f = add s z"]),
    ],
)
def test_stage_is_found_again(stages, expected):
    assert lines(**stages) == expected


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        # r**2 is not x below 0.
        ({"r": sqrt(x), "f": x * y}, ["f = mul x y"]),
        # Nothing is saved, and 3/2 of a stage is nobody's thought.
        ({"u": 2 * x, "f": 3 * x}, ["f = mul 3 x"]),
        ({"s": x + 1, "f": x + 3}, ["f = add x 3"]),
        ({"s": x + y, "f": x + z}, ["f = add x z"]),
        # A quotient of two floats is not the float that was written.
        ({"s": 0.3 * x + 0.3 * y, "f": 0.1 * x + 0.1 * y}, ["t0 = add x y", "f = mul 0.1 t0"]),
    ],
)
def test_unused_stage_is_dropped(stages, expected):
    assert lines(**stages) == expected


def test_a_later_stage_names_an_earlier_value():
    assert lines(g=sin(x * y), p=x * y, f=x * y + sin(x * y)) == ["p = mul x y", "g = sin p", "f = add g p"]


def test_a_stage_never_depends_on_a_later_one():
    assert lines(big=x + y + z, small=x + y, f=(x + y) * (x + y + z)) == ["t0 = add x y", "big = add t0 z", "small = add x y", "f = mul big small"]


def test_cut_names_a_value_and_keeps_expressions_shallow():
    q = stage("q", x + y)
    program = read_expressions({"f": q * z + q})
    assert str(program).splitlines()[1:-1] == ["  q = add x y", "  t0 = mul q z", "  f = add t0 q"]
    assert (q * z).args == (z, q) or (q * z).args == (q, z)


def test_ten_thousand_nested_cuts():
    e = x
    for i in range(10_000):
        e = stage(f"q{i}", sin(e) * y)
    program = read_expressions({"f": e})
    assert len(program.eqns) == 20_000
    assert program.reference is None
    assert any("too deep" in note.message for note in program.notes)


def test_cuts_of_one_name_are_different():
    p, q = stage("s", x), stage("s", y)
    assert p != q
    assert p - q != 0
    assert isinstance(p, Stage)


def test_derivative_and_substitution_look_through_a_cut():
    q = stage("q", x**2 * y)
    assert sympy.diff(sin(q), x) == sympy.cos(q) * 2 * x * y
    assert sympy.diff(q**2, q) == 2 * q
    assert (q + 1).subs(x, 3) == 9 * y + 1
    assert (q + 1).xreplace({x: z}) == z**2 * y + 1
    assert (q + 1).subs(q, z) == z + 1
    assert q.subs(w, 3) == q
    assert float(q.subs({x: 2, y: 3})) == 12.0
    assert q.free_symbols == {q, x, y}


def test_cut_survives_pickling():
    q = pickle.loads(pickle.dumps(stage("q", x + y)))
    assert (q.name, q.definition) == ("q", x + y)


@pytest.mark.parametrize(("name", "expr"), [("", x), (3, x), ("q", [x]), ("q", sympy.Matrix([x])), ("q", "x"), ("q", x > 0)])
def test_cut_refuses_what_is_no_scalar_expression(name, expr):
    with pytest.raises(TypeError, match="stage"):
        stage(name, expr)
