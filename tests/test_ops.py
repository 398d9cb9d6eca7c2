"""
The table, entry by entry: every test loops over the registry, so that a new entry is tested by being there.

Oracles: SymPy's derivatives, proved equal or evaluated to 50 digits; mpmath's numerical derivatives; the printed forms run by
Python and NumPy. Rules are run on floats the way emitted code runs them: lazily, one branch of a `select` only.
"""

from __future__ import annotations

import itertools
import math
import random

import mpmath
import numpy as np
import pytest
import sympy
from scipy import special

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile.forms import call
from bpcompile.ir import Builder, Lit, Var
from bpcompile.ops import scalar as s
from bpcompile.ops import special as sp
from bpcompile.primitive import REGISTRY, TARGETS, ZERO, Primitive, Registry, define

#: Gates whose second operand is a function of the first.
REDUNDANT = {"sigmoid_slope": s.sigmoid.impl, "tanh_slope": math.tanh}
ELEMENTWISE = [p for p in REGISTRY if p.shape is None]
CONDITIONS = ("and", "or", "not")
HIGH = mpmath.MPContext()
HIGH.dps = 60


def _by_name(primitive):
    return primitive.name


def _with_rules():
    return [(p, i) for p in ELEMENTWISE for i, rule in enumerate(p.vjp) if rule is not ZERO]


def _id(case):
    return f"{case[0].name}-{case[1]}"


# Running rules as emitted code does -------------------------------------------------------------------------------------


def lazily(function, *operands, literal=()):
    """Run `function` on variables (plain numbers at the positions `literal`), evaluating only what the result needs."""
    values = {}
    arguments = []
    for i, operand in enumerate(operands):
        if i in literal:
            arguments.append(operand)
        else:
            arguments.append(Var())
            values[arguments[-1]] = operand
    with Builder() as builder:
        result = function(*arguments)
    definitions = {eqn.out: eqn for eqn in builder.eqns}

    def value(atom):
        if isinstance(atom, Lit):
            return atom.value
        if not isinstance(atom, Var):
            return atom
        if atom not in values:
            eqn = definitions[atom]
            if eqn.prim.name == "select":
                condition, yes, no = eqn.args
                values[atom] = value(yes) if value(condition) else value(no)
            else:
                values[atom] = eqn.prim.impl(*map(value, eqn.args), **eqn.params)
        return values[atom]

    return value(result)


def gradient(primitive, index, *operands, ct=1.0, literal=()):
    """Return the cotangent of one operand at a point, computed lazily."""
    ans = primitive.impl(*operands)
    return lazily(primitive.vjp[index], ct, ans, *operands, literal=[i + 2 for i in literal])


def same(a, b, tolerance=1e-12):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=0.0)


# SymPy's side -----------------------------------------------------------------------------------------------------------


def _is_static(operand):
    return type(operand) is int


def symbols_like(sample):
    """Return one symbol an operand with the sign of the sample; integers and truth values stay as they are."""
    names = []
    for i, operand in enumerate(sample):
        if isinstance(operand, bool):
            names.append(sympy.true if operand else sympy.false)
        elif _is_static(operand):
            names.append(sympy.Integer(operand))
        else:
            names.append(sympy.Symbol(f"x{i}", positive=True) if operand > 0 else sympy.Symbol(f"x{i}", negative=True))
    return names


def active(expression, point):
    """Return the expression with each `Piecewise` replaced by the branch that holds at a point."""

    def pick(*pairs):
        for pair in pairs:
            if pair[1] == True or pair[1].subs(point) == True:  # noqa: E712  SymPy's true
                return pair[0]
        return sympy.nan

    return sympy.sympify(expression).replace(sympy.Piecewise, pick)


def proved(residual):
    """Whether SymPy reduces an expression to 0."""
    residual = sympy.nsimplify(residual, rational=True)
    attempts = (
        lambda e: e,
        sympy.expand,
        sympy.simplify,
        lambda e: sympy.simplify(e.rewrite(sympy.exp)),
        lambda e: sympy.simplify(sympy.powsimp(sympy.powdenest(sympy.expand_func(e), force=False))),
        lambda e: sympy.radsimp(sympy.simplify(e**2)) if e.is_Add else e,
    )
    return any(attempt(residual) == 0 for attempt in attempts)


def high(expression, point):
    value = sympy.sympify(expression).evalf(50, subs=point, maxn=400)
    return HIGH.mpf(str(value))


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_is_sympys_derivative(case):
    primitive, index = case
    ct = sympy.Symbol("ct", real=True)
    rng = random.Random(f"{primitive.name} {index}")
    seen = set()
    for sample in primitive.samples:
        xs = symbols_like(sample)
        if not isinstance(xs[index], sympy.Symbol):
            continue  # a number that stays as it is carries no derivative
        ans = primitive.sympy(*xs)
        # A literal arrives as a plain number: integer exponents are tested as they are used.
        operands = [v if isinstance(v, int) and not isinstance(v, bool) else x for v, x in zip(sample, xs, strict=True)]
        wanted = sympy.diff(ans, xs[index])
        rules = [("vjp", primitive.vjp[index](ct, ans, *operands))]
        if primitive.textbook is not None:
            rules.append(("textbook", primitive.textbook[index](ans, *operands) * ct))
        here = {x: sympy.Rational(v) for x, v in zip(xs, sample, strict=True) if isinstance(x, sympy.Symbol)}
        for kind, got in rules:
            residual = active(got, here) - ct * active(wanted, here)
            key = (kind, sympy.srepr(residual))
            if key not in seen:
                seen.add(key)
                assert proved(residual), residual
            for _ in range(5):
                near = {x: v * (1 + sympy.Rational(rng.randint(-40, 40), 1000)) for x, v in here.items()}
                a, b = high(active(got, near).subs(ct, 1), near), high(active(wanted, near), near)
                assert abs(a - b) <= HIGH.mpf(10) ** -44 * (1 + abs(b)) or _is_series(primitive, near), (kind, sample)


def _is_series(primitive, point):
    return primitive.name == "sinc" and all(abs(v) < 0.25 for v in point.values())


# Floats -----------------------------------------------------------------------------------------------------------------


def exact_function(primitive, sample):
    """Return the SymPy counterpart as a function of `mpf` numbers, literal operands fixed."""
    xs = [sympy.Symbol(f"x{i}", real=True) for i in range(len(sample))]
    fixed = [v if _is_static(v) or isinstance(v, bool) else x for v, x in zip(sample, xs, strict=True)]
    return sympy.lambdify(xs, primitive.sympy(*map(sympy.sympify, fixed)), modules="mpmath")


@pytest.mark.parametrize("primitive", ELEMENTWISE, ids=_by_name)
def test_value_is_the_sympy_counterpart(primitive):
    for sample in primitive.samples:
        if primitive.result == "bool":
            assert primitive.impl(*sample) is (primitive.sympy(*map(sympy.sympify, sample)) == True)  # noqa: E712  SymPy's true
            continue
        with mpmath.workdps(30):
            wanted = float(exact_function(primitive, sample)(*map(mpmath.mpf, sample)))
        assert math.isclose(primitive.impl(*sample), wanted, rel_tol=4e-15, abs_tol=1e-15), sample


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_on_floats_is_the_numerical_derivative(case):
    primitive, index = case
    for sample in primitive.samples:
        if _is_static(sample[index]) or isinstance(sample[index], bool):
            continue
        ans = primitive.impl(*sample)
        order = tuple(int(i == index) for i in range(len(sample)))
        with mpmath.workdps(40):
            wanted = float(mpmath.diff(exact_function(primitive, sample), tuple(map(mpmath.mpf, sample)), order))
        assert math.isclose(primitive.vjp[index](1.0, ans, *sample), wanted, rel_tol=1e-10, abs_tol=1e-25), sample
        if primitive.textbook is not None and abs(sample[0]) < 19:
            assert math.isclose(primitive.textbook[index](ans, *sample), wanted, rel_tol=1e-10, abs_tol=1e-25), sample


@pytest.mark.parametrize("primitive", ELEMENTWISE, ids=_by_name)
def test_operands_with_no_rule_carry_no_derivative(primitive):
    for i, rule in enumerate(primitive.vjp):
        if rule is not ZERO:
            continue
        for sample in primitive.samples:
            if _is_static(sample[i]) or isinstance(sample[i], bool) or primitive.result == "bool":
                continue  # an order or a condition: it can't be moved a little
            near = (*sample[:i], sample[i] * (1 + 1e-7), *sample[i + 1 :])
            assert primitive.impl(*near) == primitive.impl(*sample)


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_is_linear_in_ct(case):
    primitive, index = case
    for sample in primitive.samples:
        one, two, three = (gradient(primitive, index, *sample, ct=ct) for ct in (1.0, 2.5, -0.75))
        assert math.isclose(two, 2.5 * one, rel_tol=1e-14)
        assert math.isclose(three, -0.75 * one, rel_tol=1e-14)
        assert gradient(primitive, index, *sample, ct=0.0) == 0


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_takes_literals(case):
    """Whichever operands are literals, the rule says the same."""
    primitive, index = case
    others = [i for i in range(primitive.arity) if i != index]
    for sample in primitive.samples:
        wanted = primitive.vjp[index](1.0, primitive.impl(*sample), *sample)
        for count in range(len(others) + 1):
            for literal in itertools.combinations(others, count):
                assert same(gradient(primitive, index, *sample, literal=literal), wanted), (sample, literal)


# Printed forms ----------------------------------------------------------------------------------------------------------


def printed(form, operands):
    return form.template.replace("{}", ", ".join(operands), 1) if "{}" in form.template else form.template.format(*operands)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("primitive", ELEMENTWISE, ids=_by_name)
def test_form_computes_the_value(primitive, target):
    form = primitive.form(target, {})
    names = {"math": math, "numpy": np, "scipy.special": special}
    bound = {{"numpy": "np", "scipy.special": "special"}.get(m, m): names[m] for m in form.imports}
    for sample in primitive.samples:
        wanted = primitive.impl(*sample)
        if target == "math":
            got = eval(printed(form, [f"({v!r})" for v in sample]), bound)
            assert isinstance(got, bool if primitive.result == "bool" else int | float)
            assert type(got) is not np.float64, "Python code gets Python floats"
        else:
            arrays = {f"a{i}": np.array([v, v]) for i, v in enumerate(sample)}
            result = eval(printed(form, list(arrays)), {**bound, **arrays})
            assert result.shape == (2,)
            got = result[0].item()
        assert same(float(got), float(wanted), 1e-13), sample


@pytest.mark.parametrize("primitive", [p for p in ELEMENTWISE if p.lower], ids=_by_name)
def test_lowered_forms_compute_the_value(primitive):
    for target, lower in primitive.lower.items():
        for sample in primitive.samples:
            tolerance = 1e-13 if target != "literal" or abs(sample[0]) < 20 else math.inf
            assert same(lazily(lower, *sample), primitive.impl(*sample), tolerance), (target, sample)


@pytest.mark.parametrize("primitive", [p for p in ELEMENTWISE if p.lower], ids=_by_name)
@pytest.mark.parametrize("x", [0.0, -0.0, 1e-300, 36.0, -36.0, 700.0, -700.0, 720.0, -720.0, 800.0, -800.0, 1e300, -1e300])
def test_lowered_forms_hold_where_literal_ones_overflow(primitive, x):
    for target in TARGETS:
        lower = primitive.lower.get(target)
        if lower is None:
            continue
        operands = (x, REDUNDANT[primitive.name](x)) if primitive.name in REDUNDANT else (x, primitive.samples[0][1]) if primitive.arity == 2 else (x,)
        try:
            wanted = primitive.impl(*operands)
        except ZeroDivisionError:
            continue
        got = lazily(lower, *operands)
        # Below the smallest normal number digits go one by one.
        assert math.isclose(got, wanted, rel_tol=1e-13, abs_tol=3e-308), (target, operands)


@pytest.mark.parametrize("primitive", [p for p in ELEMENTWISE if p.lower], ids=_by_name)
def test_lowered_forms_keep_nan(primitive):
    for target in TARGETS:
        if target in primitive.lower:
            assert math.isnan(lazily(primitive.lower[target], *[math.nan] * primitive.arity))


# No rule raises where the value exists ----------------------------------------------------------------------------------

EDGES = (
    0.0, -0.0, 5e-324, 1e-300, -1e-200, 1e-6, 0.5, -0.5, 1.0, -1.0, 1 - 2**-53, 1 + 2**-52, 2.0, -2.0, 7.25, -7.25,
    40.0, -40.0, 400.0, -400.0, 709.5, -709.5, 800.0, -800.0, 1e155, -1e155, 1e300, -1e300,
)  # fmt: skip


def _edge_points(primitive):
    """Return points on every edge; a static operand keeps its sampled values, a pair is drawn from fewer edges."""
    choices = []
    for i in range(primitive.arity):
        sampled = list(dict.fromkeys(sample[i] for sample in primitive.samples))
        if all(_is_static(v) or isinstance(v, bool) for v in sampled):
            choices.append(sampled)
        else:
            choices.append(EDGES if primitive.arity < 3 else EDGES[::3])
    if primitive is s.pow_:
        choices[1] = (0, 1, 2, 3, -1, -2, 2.0, 0.0, 5)
    for point in itertools.product(*choices):
        yield (point[0], REDUNDANT[primitive.name](point[0])) if primitive.name in REDUNDANT else point


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_never_raises_where_the_value_exists(case):
    primitive, index = case
    literal = (1,) if primitive is s.pow_ else (0,) if primitive is sp.polygamma else ()
    if index in literal:
        return
    for point in _edge_points(primitive):
        try:
            value = primitive.impl(*point)
        except (ArithmeticError, ValueError):
            continue
        if not math.isfinite(value):
            continue
        gradient(primitive, index, *point, literal=literal)  # anything but an exception


def _is_excepted(primitive, point):
    if primitive is s.atan2:
        return point[0] == 0 and point[1] <= 0  # on the cut SymPy's derivative is nan or at the mercy of the sign of 0
    if primitive is s.powr:
        return point[0] < 0 and abs(point[1]) > 2**53  # y - 1 is y: whether it is odd is lost
    return primitive is sp.beta and (min(map(abs, point)) < 0.5 or max(map(abs, point)) > 50)  # the entry's notes say what is lost


@pytest.mark.parametrize("case", _with_rules(), ids=_id)
def test_rule_is_right_at_the_edges(case):
    """Where SymPy's derivative at 50 digits is a moderate number, so is the rule's, to 12 digits."""
    primitive, index = case
    if primitive.result == "bool" or primitive is s.select:
        return
    xs = [sympy.Symbol(f"x{i}", real=True) for i in range(primitive.arity)]
    checked = 0
    compiled = {}
    for point in _edge_points(primitive):
        if max(abs(v) for v in point) > 1e200 or _is_excepted(primitive, point):
            continue
        static = tuple(v if type(v) is int else None for v in point)
        if static not in compiled:
            fixed = [x if v is None else v for x, v in zip(xs, static, strict=True)]
            compiled[static] = sympy.lambdify(xs, sympy.diff(primitive.sympy(*map(sympy.sympify, fixed)), xs[index]), modules="mpmath")
        try:
            value = primitive.impl(*point)
            if not math.isfinite(value) or 0 < abs(value) < 1e-307:
                continue  # a subnormal value has lost its digits, and no rule that uses it gets them back
            with mpmath.workdps(450):
                wanted = compiled[static](*map(mpmath.mpf, point))
        except (ArithmeticError, ValueError, TypeError, NotImplementedError):
            continue
        if isinstance(wanted, mpmath.mpc) or not mpmath.isfinite(wanted) or not 1e-290 < abs(wanted) < 1e290:
            continue
        literal = (1,) if primitive is s.pow_ else (0,) if primitive is sp.polygamma else ()
        got = gradient(primitive, index, *point, literal=literal)
        assert math.isclose(got, float(wanted), rel_tol=1e-12), (point, got, float(wanted))
        checked += 1
    assert checked >= 3


# The values of HAZARDS A to D --------------------------------------------------------------------------------------------


def test_ties_and_kinks():
    for primitive in (s.max_, s.min_):
        assert [gradient(primitive, i, 2.0, 2.0) for i in (0, 1)] == [1.0, 0.0]
    assert gradient(s.relu, 0, 0.0) == 0
    assert gradient(s.abs_, 0, 0.0) == 0
    assert gradient(s.abs_, 0, -0.0) == 0
    assert [gradient(s.clip, 0, x, 0.0, 1.0) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0, 1, 1, 1, 0]
    assert [gradient(s.clip, 1, x, 0.0, 1.0) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [1, 0, 0, 0, 0]
    assert [gradient(s.clip, 2, x, 0.0, 1.0) for x in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0, 0, 0, 0, 1]
    for x in (-1.0, 1.2, 1.7, 3.0):
        weights = [gradient(s.clip, i, x, 2.0, 1.0) for i in (0, 1, 2)]
        assert weights == [0, 0, 1], "bounds that cross: the upper one wins, as in NumPy"


def test_roots_at_zero():
    assert gradient(s.sqrt, 0, 0.0) == math.inf
    assert gradient(s.cbrt, 0, 0.0) == math.inf
    assert s.cbrt.impl(-8.0) == pytest.approx(-2, rel=1e-15)
    assert gradient(s.cbrt, 0, -8.0) == pytest.approx(1 / 12, rel=1e-15)
    assert [gradient(s.hypot, i, 0.0, 0.0) for i in (0, 1)] == [0, 0]
    assert [gradient(s.hypot, i, 3e200, 4e200) for i in (0, 1)] == pytest.approx([0.6, 0.8], rel=1e-15)
    assert math.isnan(gradient(s.sqrt, 0, math.nan))


def test_powers():
    assert [gradient(s.powr, i, 0.0, 2.0) for i in (0, 1)] == [0, 0]
    assert gradient(s.powr, 0, -2.0, 2.0) == -4
    assert math.isnan(gradient(s.powr, 1, -2.0, 2.0))
    assert gradient(s.powr, 0, 0.0, 0.5) == math.inf
    assert gradient(s.powr, 0, 0.0, 1.0) == 1
    assert gradient(s.powr, 0, 0.0, 0.0) == 0
    for y, wanted in ((0.5, math.inf), (1.5, 0.0), (1.0, 1.0), (0.0, 0.0)):
        assert gradient(s.powr, 0, 0.0, y, literal=[1]) == wanted
    with pytest.raises(ValueError):
        s.powr.impl(-8.0, 1 / 3)
    with pytest.raises(ValueError):
        s.pow_.impl(-8.0, 1 / 3)
    assert [gradient(s.pow_, 0, x, n, literal=[1]) for x, n in ((0.0, 0), (0.0, 1), (-1.0, 2.0), (-1.0, 0.0), (-1.0, -1))] == [0, 1, -2, 0, -1]
    assert gradient(s.powr, 1, 2.0, 3.0, literal=[0]) == pytest.approx(8 * math.log(2))
    assert gradient(s.powr, 1, 0.0, 3.0, literal=[0]) == 0
    assert math.isnan(gradient(s.powr, 1, -2.0, 2.0, literal=[0]))


def test_power_minus_one_at_zero_is_minus_infinity_in_numpy():
    with np.errstate(all="ignore"):
        x = np.array([0.0])
        assert s.pow_.vjp[0](1.0, x**-1.0, x, -1)[0] == -math.inf


def test_sigmoid_far_out():
    assert gradient(s.sigmoid, 0, -800.0) == 0
    assert gradient(s.sigmoid, 0, 800.0) == 0
    assert gradient(s.sigmoid, 0, -400.0) == pytest.approx(1.9151695967140057e-174, rel=1e-14)
    assert gradient(s.sigmoid, 0, 400.0) == pytest.approx(1.9151695967140057e-174, rel=1e-14)
    assert gradient(s.sigmoid, 0, 40.0) == pytest.approx(4.248354255291589e-18, rel=1e-14)
    assert gradient(s.tanh, 0, 20.0) == pytest.approx(1.6993417021166356e-17, rel=1e-14)


def test_softplus_and_logaddexp_far_out():
    assert (s.softplus.impl(800.0), gradient(s.softplus, 0, 800.0)) == (800.0, 1.0)
    assert (s.softplus.impl(-800.0), gradient(s.softplus, 0, -800.0)) == (0.0, 0.0)
    assert s.logaddexp.impl(1000.0, 1000.0) == pytest.approx(1000 + math.log(2), rel=1e-15)
    assert [gradient(s.logaddexp, i, 1000.0, 1000.0) for i in (0, 1)] == [0.5, 0.5]


def test_hyperbolic_functions_far_out():
    assert gradient(s.tanh, 0, 20.0) == pytest.approx(1.6993417021166356e-17, rel=1e-14)
    assert gradient(s.tanh, 0, -20.0) == pytest.approx(1.6993417021166356e-17, rel=1e-14)
    assert gradient(s.tanh, 0, 800.0) == 0
    assert s.sech.impl(800.0) == s.csch.impl(-800.0) == 0
    assert s.csch.impl(-709.0) == pytest.approx(1 / math.sinh(-709), rel=1e-14)
    assert gradient(s.coth, 0, 20.0) == pytest.approx(-1.6993417021166356e-17, rel=1e-14)
    assert gradient(s.coth, 0, 1e-200) == -math.inf


def test_sinc_near_zero():
    assert gradient(s.sinc, 0, 1e-6) == pytest.approx(-3.3333333333330000e-07, rel=1e-15)
    assert gradient(s.sinc, 0, 1e-9) == pytest.approx(-3.3333333333333333e-10, rel=1e-15)
    assert (s.sinc.impl(0.0), gradient(s.sinc, 0, 0.0)) == (1.0, 0.0)
    for x in (0.2499, 0.2501, -0.2499, 0.1):
        wanted = float(mpmath.mp.diff(lambda t: mpmath.sin(t) / t, x)) if x else 0.0
        assert gradient(s.sinc, 0, x) == pytest.approx(wanted, rel=2e-14)


def test_ends_of_inverse_functions():
    assert gradient(s.asin, 0, 1.0) == gradient(s.asin, 0, -1.0) == gradient(s.acosh, 0, 1.0) == gradient(s.asec, 0, -1.0) == math.inf
    assert gradient(s.acos, 0, 1.0) == gradient(s.acos, 0, -1.0) == gradient(s.asech, 0, 1.0) == gradient(s.acsc, 0, 1.0) == -math.inf
    assert gradient(s.asin, 0, 1 - 2**-53) == pytest.approx(2**26, rel=1e-15)


def test_atan2():
    assert [gradient(s.atan2, i, 0.0, 0.0) for i in (0, 1)] == [0, 0]
    assert [s.atan2.impl(y, -1.0) for y in (0.0, -0.0)] == [math.pi, -math.pi]
    assert gradient(s.atan2, 0, 3e200, 4e200) == pytest.approx(1.6e-201, rel=1e-14)
    assert gradient(s.atan2, 1, 3e200, 4e200) == pytest.approx(-1.2e-201, rel=1e-14)


def test_steps():
    assert [s.heaviside.impl(x, 0.5) for x in (-1.0, 0.0, 2.0)] == [0, 0.5, 1]
    for name in ("floor", "ceil", "round", "trunc", "sign"):
        assert REGISTRY[name].vjp == (ZERO,)
        assert REGISTRY[name].kinks
    assert [s.round_.impl(x) for x in (0.5, 1.5, 2.5, -0.5)] == [0, 2, 2, 0]
    for x in (0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0.51, -2.7):
        assert s.round_.sympy(sympy.Rational(x)) == round(x)


def test_mod_counts_whole_periods_exactly():
    # 1.0 / 0.1 is 10.0, but only nine of the double 0.1 fit into 1.0.
    assert gradient(s.mod, 1, 1.0, 0.1) == pytest.approx(-9, rel=1e-12)
    assert [gradient(s.mod, i, -7.0, 3.0) for i in (0, 1)] == [1, 3]
    assert [gradient(s.fmod, i, -7.0, 3.0) for i in (0, 1)] == [1, 2]
    assert [s.mod.impl(x, y) for x, y in ((7.0, -3.0), (-7.0, 3.0))] == [-2, 2]


def test_special_functions():
    assert gradient(sp.digamma, 0, 1.0) == pytest.approx(1.6449340668482264, rel=1e-15)
    assert gradient(sp.erfinv, 0, 0.5) == pytest.approx(1.1125848189719498, rel=1e-14)
    assert gradient(sp.lgamma, 0, 171.9) == pytest.approx(float(special.digamma(171.9)), rel=1e-14)
    assert gradient(s.expm1, 0, -50.0) == pytest.approx(math.exp(-50), rel=1e-15)
    for x in (0.3, -1.3, 25.0, 0.0, -2.0, math.inf, -math.inf, math.nan):
        assert same(sp.digamma.impl(x), float(special.digamma(x)), 1e-13)
        for n in (0, 1, 2, 3):
            assert same(sp.polygamma.impl(n, x), float(special.polygamma(n, x)), 1e-12), (n, x)
    for x in (0.999999, -0.5, 1.0, -1.0, 1.5, math.nan, 0.0):
        assert same(sp.erfinv.impl(x), float(special.erfinv(x)), 1e-13)


# The lecture's forms ------------------------------------------------------------------------------------------------------


def spelled(function, *operands):
    """Return what a rule emits, in Lisp's manner; variables are named by position."""
    names = {}
    arguments = []
    for operand in operands:
        arguments.append(Var() if isinstance(operand, str) else operand)
        if isinstance(operand, str):
            names[arguments[-1]] = operand
    with Builder() as builder:
        result = function(*arguments)

    def text(atom):
        return names.get(atom, repr(atom))

    for eqn in builder.eqns:
        names[eqn.out] = f"({eqn.prim.name} {' '.join(map(text, eqn.args))})"
    return text(result)


@pytest.mark.parametrize(
    ("primitive", "index", "operands", "text"),
    [
        (s.add, 0, ("x", "y"), "1"),
        (s.sub, 1, ("x", "y"), "-1"),
        (s.mul, 0, ("x", "y"), "y"),
        (s.mul, 1, ("x", "y"), "x"),
        (s.div, 0, ("x", "y"), "(div 1.0 y)"),
        (s.div, 1, ("x", "y"), "(div (neg x) (pow y 2))"),
        (s.div, 1, (1.0, "y"), "(div -1.0 (pow y 2))"),
        (s.pow_, 0, ("x", 2), "(mul 2 x)"),
        (s.pow_, 0, ("x", 3), "(mul 3 (pow x 2))"),
        (s.sigmoid, 0, ("x",), "(mul (sub 1 ans) ans)"),
        (s.log, 0, ("x",), "(div 1.0 x)"),
        (s.sqrt, 0, ("x",), "(div 0.5 ans)"),
        (s.tanh, 0, ("x",), "(sub 1 (pow ans 2))"),
    ],
)
def test_textbook_form(primitive, index, operands, text):
    assert spelled(primitive.textbook[index], "ans", *operands) == text


@pytest.mark.parametrize(
    ("primitive", "index", "operands", "text"),
    [
        (s.add, 0, ("x", "y"), "ct"),
        (s.mul, 0, (2.0, "y"), "(mul y ct)"),
        (s.div, 0, ("x", "y"), "(div ct y)"),
        (s.div, 1, (1.0, "y"), "(mul (mul (neg ct) ans) ans)"),
        (s.div, 1, ("x", "y"), "(div (mul (neg ct) ans) y)"),
        (s.exp, 0, ("x",), "(mul ans ct)"),
        (s.pow_, 0, ("x", 2), "(mul (mul 2 x) ct)"),
        (s.pow_, 0, ("x", 2.0), "(mul (mul 2.0 x) ct)"),
        (s.pow_, 0, ("x", 1), "ct"),
        (s.pow_, 0, ("x", 0), "0"),
        (s.powr, 0, ("x", 1.5), "(mul (mul 1.5 (sqrt x)) ct)"),
        (s.powr, 1, (2, "y"), "(mul (mul ans (log 2)) ct)"),
        (s.sigmoid, 0, ("x",), "(mul (sigmoid_slope x ans) ct)"),
        (s.log2, 0, ("x",), "(div ct (mul x (log 2)))"),
    ],
)
def test_compact_form(primitive, index, operands, text):
    assert spelled(primitive.vjp[index], "ct", "ans", *operands) == text


# The registry --------------------------------------------------------------------------------------------------------------


def test_table_is_complete():
    names = """add sub mul div neg pow powr exp exp2 expm1 log log1p log2 log10 sqrt cbrt sin cos tan sec csc cot asin acos atan
        asec acsc acot sinh cosh tanh tanh_slope sech csch coth asinh acosh atanh asech acsch acoth atan2 hypot sigmoid sigmoid_slope softplus
        logaddexp relu abs sign min max clip floor ceil round trunc mod fmod heaviside sinc lt le gt ge eq ne and or not select
        copy erf erfc erfinv gamma lgamma digamma polygamma beta"""
    assert set(names.split()) <= {p.name for p in REGISTRY}


def test_entries_with_a_jump_or_a_tie_say_so():
    flat = ["sign", "floor", "ceil", "round", "trunc", "heaviside"]
    kinked = ["abs", "relu", "max", "min", "clip", "mod", "fmod", "select", "hypot", "atan2", "sqrt", "cbrt", "powr"]
    for name in flat + kinked:
        for kink in REGISTRY[name].kinks:
            assert kink.at
            assert kink.value
            assert kink.why
        assert REGISTRY[name].kinks


def test_results_are_conditions_exactly_where_they_say_so():
    for primitive in ELEMENTWISE:
        for sample in primitive.samples:
            assert isinstance(primitive.impl(*sample), bool) == (primitive.result == "bool")


def test_a_primitive_is_one_entry():
    registry = Registry()
    entry = {
        "name": "cube",
        "sympy": lambda x: x**3,
        "impl": lambda x: x**3,
        "forms": {"math": call("cube"), "numpy": call("cube")},
        "vjp": (lambda ct, ans, x: 3 * x * x * ct,),
        "samples": ((2.0,), (-1.5,)),
    }
    cube = registry.add(Primitive(**entry))
    assert registry["cube"] is cube
    assert [p.name for p in registry] == ["cube"]
    test_rule_is_sympys_derivative((cube, 0))
    test_rule_on_floats_is_the_numerical_derivative((cube, 0))
    test_rule_is_linear_in_ct((cube, 0))
    wrong = Primitive(**{**entry, "vjp": (lambda ct, ans, x: 2 * x * x * ct,)})
    with pytest.raises(AssertionError):
        test_rule_is_sympys_derivative((wrong, 0))
    with pytest.raises(AssertionError):
        test_rule_on_floats_is_the_numerical_derivative((wrong, 0))
    with pytest.raises(ValueError, match="twice"):
        registry.add(Primitive(**entry))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forms": {"math": call("cube")}}, "no form for target numpy"),
        ({"samples": ()}, "needs samples"),
        ({"samples": ((1.0, 2.0),)}, "for 1 operands"),
        ({"vjp": (lambda ct, x: ct,)}, "a rule takes ct, ans and 1 operands"),
        ({"textbook": ()}, "one textbook gradient an operand"),
    ],
)
def test_an_incomplete_entry_is_refused(change, message):
    entry = {
        "name": "never registered",
        "sympy": lambda x: x**3,
        "impl": lambda x: x**3,
        "forms": {"math": call("cube"), "numpy": call("cube")},
        "vjp": (lambda ct, ans, x: 3 * x * x * ct,),
        "samples": ((2.0,),),
    }
    with pytest.raises(ValueError, match=message):
        define(**{**entry, **change})
    assert "never registered" not in REGISTRY
