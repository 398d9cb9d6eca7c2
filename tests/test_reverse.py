"""The reverse pass against differences at 50 digits that know no rule, and against NumPy for shapes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from ir_programs import precise, read, sample, slopes

from bpcompile.compiler import compile_expression, compile_gradient
from bpcompile.ir import Lit, Output, Param, Program, Var
from bpcompile.passes.dead import eliminate_dead
from bpcompile.passes.guards import find_guards
from bpcompile.reverse import active_vars, reverse
from bpcompile.wellformed import check


def joint(program: Program, **options) -> Program:
    result = find_guards(eliminate_dead(reverse(find_guards(program), **options)))
    check(result)
    return result


def gradients(program: Program, point, weights=None, **options) -> dict[Var, float]:
    result = joint(program, **options)
    seeds = dict(zip((s for s in result.seeds if isinstance(s, Var)), weights or [1.0] * len(result.seeds), strict=False))
    env = precise(result, {**point, **seeds})
    return {v: a.value if isinstance(a, Lit) else env[a] for v, a in result.gradients.items()}


def agrees(got, want) -> bool:
    return abs(got - want) <= 1e-12 * (1 + abs(want))


@pytest.mark.parametrize("textbook", [False, True])
@pytest.mark.parametrize("upstream", [False, True])
@pytest.mark.parametrize("block", range(8))
def test_random_programs(block, upstream, textbook):
    for seed in range(block * 25, block * 25 + 25):
        given = sample(1000 + seed, size=6 + seed % 14)
        try:
            got = gradients(given.program, given.point, upstream=upstream, textbook=textbook)
        except ZeroDivisionError:
            # The formula of a textbook has a hole where the function is smooth: (cos(x) - sinc(x)) / x at 0.
            assert textbook
            continue
        want = slopes(find_guards(given.program), given.point, given.program.outputs[0].atom)
        assert set(got) == set(given.point)
        for var, value in got.items():
            assert agrees(value, want[var]), (seed, var, str(given.program))


@pytest.mark.parametrize("block", range(3))
def test_several_outputs_with_upstream_gradients(block):
    for seed in range(block * 20, block * 20 + 20):
        given = sample(2000 + seed, size=10, outputs=2 + seed % 2)
        weights = [1.5, -2.0, 0.25][: len(given.program.outputs)]
        got = gradients(given.program, given.point, weights=weights)
        total = dict.fromkeys(given.point, 0.0)
        for weight, output in zip(weights, given.program.outputs, strict=True):
            for var, slope in slopes(find_guards(given.program), given.point, output.atom).items():
                total[var] += weight * slope
        for var, value in got.items():
            assert agrees(value, total[var]), (seed, var, str(given.program))


# -- structure ------------------------------------------------------------------------------------------------------------


def test_the_first_contribution_starts_the_others_add():
    program, names = read("a = mul x x\nb = sin x\nt0 = add a b\nf = mul t0 x")
    result = joint(program)
    versions = [eqn for eqn in result.eqns if eqn.out.twin is names["x"]]
    assert [eqn.adds_to() is not None for eqn in versions] == [False, True, True, True]
    for before, after in itertools.pairwise(versions):
        assert after.adds_to() is before.out
    assert result.gradients[names["x"]] is versions[-1].out


def test_equations_are_undone_last_to_first():
    program, names = read("a = sin x\nb = cos a\nf = exp b")
    origins = [eqn.origin for eqn in reverse(program).eqns if eqn.origin is not None]
    order = list(dict.fromkeys(origins))
    assert order == [names["f"], names["b"], names["a"]]


def test_an_unused_input_has_gradient_zero():
    program, names = read("f = sin x")
    lonely = Var(name="y")
    program.params.append(Param("y", lonely))
    result = joint(program)
    assert result.gradients[lonely] == Lit(0.0)
    assert isinstance(result.gradients[names["x"]], Var)


def test_an_input_read_by_a_condition_alone_has_gradient_zero():
    program, names = read("c = gt y 0\nf = select c x 1.0")
    assert joint(program).gradients[names["y"]] == Lit(0.0)


def test_gradients_that_are_not_wanted_are_not_computed():
    program, names = read("a = sin x\nb = exp y\nf = mul a b")
    program.params[1].wrt = False
    result = joint(program)
    assert list(result.gradients) == [names["x"]]
    assert active_vars(program) == {names["x"], names["a"], names["f"]}
    assert not any(eqn.out.twin in (names["y"], names["b"]) for eqn in result.eqns)


def test_an_output_that_is_an_input():
    x = Var(name="x")
    program = Program([Param("x", x)], [], [Output("f", x)])
    assert gradients(program, {x: 2.0}, weights=[3.0]) == {x: 3.0}


def test_an_output_that_is_an_input_and_used():
    program, names = read("g = mul x x")
    program.outputs.insert(0, Output("f", names["x"]))
    # d(3 x + 5 x**2) at 2
    assert gradients(program, {names["x"]: 2.0}, weights=[3.0, 5.0]) == {names["x"]: 23.0}


def test_the_same_output_twice():
    program, names = read("f = mul x x")
    program.outputs.append(Output("g", names["f"]))
    assert gradients(program, {names["x"]: 2.0}, weights=[3.0, 5.0]) == {names["x"]: 32.0}


def test_an_output_that_another_is_computed_from():
    program, names = read("f = mul x x\ng = mul f 2.0\nreturn f, g")
    assert gradients(program, {names["x"]: 3.0}, weights=[1.0, 10.0]) == {names["x"]: 126.0}
    # The upstream gradient itself is never added to.
    result = joint(program)
    assert all(eqn.out not in set(result.seeds) for eqn in result.eqns)


def test_a_constant_output():
    x = Var(name="x")
    program = Program([Param("x", x)], [], [Output("f", Lit(2.5))])
    assert joint(program).gradients == {x: Lit(0.0)}


def test_fan_out_of_one_operation():
    program, names = read("f = mul x x")
    assert gradients(program, {names["x"]: 3.0}) == {names["x"]: 6.0}
    # H082: x * xa + (x * x) * a + x * xa with xa = x * a
    program, names = read("xa = mul x a\nt0 = mul x xa\nt1 = mul x x\nt2 = mul t1 a\nt3 = mul x xa\nt4 = add t0 t2\nf = add t4 t3")
    assert gradients(program, {names["x"]: 2.0, names["a"]: 3.0}) == {names["x"]: 36.0, names["a"]: 12.0}


def test_upstream_gradients_become_parameters_behind_the_inputs():
    program, _ = read("f = mul x y\ng = add x y\nreturn f, g")
    result = joint(program)
    assert [(p.name, p.seed, p.wrt) for p in result.params] == [("x", None, True), ("y", None, True), ("df", "f", False), ("dg", "g", False)]
    assert [(p.name, p.seed) for p in program.params] == [("x", None), ("y", None)]


def test_without_upstream_the_seed_is_one():
    program, _ = read("f = mul x y")
    assert joint(program, upstream=False).seeds == [Lit(1.0)]


def test_lecture_style_multiplies_local_and_upstream():
    program, names = read("a = sin x   (a stage)\nf = mul a y   (a stage)")
    result = joint(program, textbook=True)
    chains = [eqn for eqn in result.eqns if eqn.prim.name == "chain"]
    assert [eqn.out.twin for eqn in chains] == [names["a"], names["y"], names["x"]]
    assert chains[0].args[0] is names["y"]


def test_a_list_has_one_gradient_an_element():
    w = tuple(Var(name=f"w[{i}]") for i in range(3))
    program, names = read("f = mul a b")
    program.eqns[0].args = (w[0], w[2])
    program.params = [Param("w", w)]
    result = joint(program)
    assert list(result.gradients) == list(w)
    assert result.gradients[w[1]] == Lit(0.0)
    assert names["f"] is result.outputs[0].atom


# -- guards ---------------------------------------------------------------------------------------------------------------


def test_the_branch_not_taken_is_not_undone():
    program, names = read("c = gt x 0\nr = sqrt x\nf = select c r x")
    x = names["x"]
    assert gradients(program, {x: -1.0}) == {x: 1.0}
    assert float(gradients(program, {x: 4.0})[x]) == 0.25
    result = joint(program)
    assert all(eqn.guard for eqn in result.eqns if eqn.prim.name in {"sqrt", "div"})


def test_contributions_leave_a_guard_through_a_select():
    program, names = read("c = gt x 0\na = sin y\nr = sqrt x\nt0 = mul r a\nt1 = select c t0 1.0\nf = mul t1 a")
    for x in (-1.0, 4.0):
        point = {names["x"]: x, names["y"]: 0.3}
        got, want = gradients(program, point), slopes(find_guards(program), point, names["f"])
        for var, value in got.items():
            assert agrees(value, want[var])


def test_nested_guards():
    text = """
        c = gt x 0
        r = sqrt x
        d = gt r 1
        l = log r
        m = sub 2 r
        e = acosh m
        t0 = select d l e
        t1 = exp x
        t2 = select c t0 t1
        f = mul t2 y
        """
    for x in (-0.5, 0.25, 4.0):
        program, names = read(text)
        point = {names["x"]: x, names["y"]: 0.7}
        got, want = gradients(program, point), slopes(find_guards(program), point, names["f"])
        for var, value in got.items():
            assert agrees(value, want[var]), x


# -- shapes ---------------------------------------------------------------------------------------------------------------

SIZES = {"N": 3, "M": 2, 1: 1}
SHAPES = [
    ("x * y + sin(x)", {"x": ("N",), "y": ()}),
    ("x * y + sin(x)", {"x": (), "y": ("N",)}),
    ("x * y / (2 + cos(y))", {"x": ("M", "N"), "y": ("N",)}),
    ("x * exp(y)", {"x": ("M", "N"), "y": ("M", 1)}),
    ("x * exp(y)", {"x": ("M", 1), "y": (1, "N")}),
    ("x - y * y", {"x": (1,), "y": ("N",)}),
    ("x * y * z", {"x": ("M", "N"), "y": ("N",), "z": ()}),
    ("np.maximum(x, y) + x", {"x": ("N",), "y": (1,)}),
    ("x**2 + y", {"x": ("M", "N"), "y": (1, 1)}),
    ("sigmoid(x) + 3", {"x": ("M", "N")}),
    ("x + y", {"x": ("N",), "y": ("N",)}),
    ("np.where(x > 0.5, np.sqrt(x), y)", {"x": ("N",), "y": ()}),
    ("np.where(y > 0, np.log(x + 3) * z, x)", {"x": ("M", "N"), "y": ("N",), "z": ("M", 1)}),
    ("y * 2", {"y": ("N",)}),
    # A value with fewer axes than the condition of its branch: masked first, summed then.
    ("np.where(x > 0, np.exp(y), x)", {"x": ("N",), "y": ()}),
    ("np.where(x > 0, x * y, x)", {"x": ("N",), "y": ()}),
    ("np.where(x > 0, x, np.exp(y) * x)", {"x": ("M", "N"), "y": ("M", 1)}),
    ("np.where(x > 0, np.where(y > 0, np.sqrt(y) * z, z), x)", {"x": ("M", "N"), "y": ("N",), "z": ()}),
    ("np.where(y > 0, np.exp(x) * y, x)", {"x": ("M", "N"), "y": ("N",)}),
    ("x * 0 + y", {"x": ("N",), "y": ("N",)}),
]


@pytest.mark.parametrize(("text", "shapes"), SHAPES)
@pytest.mark.parametrize("style", ["code", "notes"])
@pytest.mark.parametrize("layout", ["function", "split"])
def test_gradients_have_the_shape_of_their_input(text, shapes, style, layout):
    compiled = compile_gradient(f"f = {text}", shapes=shapes, target="numpy", check="off", style=style, layout=layout)
    generator = np.random.default_rng(5)
    names = [n for _, n in compiled.emitted.params]
    arrays = {n: generator.uniform(-2, 2, [SIZES[s] for s in shapes[n]]) for n in names}
    value = compiled.value(**arrays)
    upstream = generator.uniform(-1, 1, np.shape(value))
    result, grads = compiled(**arrays, df=upstream)
    assert np.array_equal(result, value)
    for name, gradient in zip(names, grads, strict=True):
        assert np.shape(gradient) == arrays[name].shape, name
        for index in np.ndindex(*arrays[name].shape):
            ahead, behind = ({**arrays, name: arrays[name].copy()} for _ in range(2))
            ahead[name][index] += 1e-6
            behind[name][index] -= 1e-6
            slope = np.sum(upstream * (compiled.value(**ahead) - compiled.value(**behind))) / 2e-6
            assert np.asarray(gradient)[index] == pytest.approx(slope, rel=1e-6, abs=1e-7), (name, index)


def test_a_dimension_of_size_one_at_run_time_keeps_its_shape():
    """N may be 1: the gradient of an (N,) input has shape (1,) then, and so has that of a (1,) input."""
    compiled = compile_gradient("f = x * y", shapes={"x": ("N",), "y": (1,)}, target="numpy", check="off")
    for n in (1, 2, 5):
        x, y = np.arange(1.0, n + 1), np.array([3.0])
        _, (dx, dy) = compiled(x, y)
        assert dx.shape == (n,)
        assert dy.shape == (1,)
        assert dy[0] == x.sum()


def test_math_code_of_kinks_under_a_guard():
    compiled = compile_expression("sqrt(x) if x > 0 else max(x, y)", check="fast")
    assert compiled(-1.0, -2.0) == (-1.0, (1.0, 0.0))
    assert compiled(-3.0, -2.0) == (-2.0, (0.0, 1.0))
    assert compiled(4.0, 0.0) == (2.0, (0.25, 0.0))
    assert math.isfinite(compiled(0.0, 0.0)[0])
