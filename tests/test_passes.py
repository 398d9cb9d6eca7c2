"""Each pass does what its docstring shows, keeps values and gradients, and walks long programs without recursion."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import math
import operator
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ir_programs import ARITHMETIC, canonical, precise, read, sample

from bpcompile.compiler import compile_expression
from bpcompile.interpret import evaluate
from bpcompile.ir import Builder, Eqn, Lit, Logic, Output, Param, Program, Var
from bpcompile.passes.absorb import absorb
from bpcompile.passes.aliases import forward_aliases
from bpcompile.passes.cse import share
from bpcompile.passes.cut import cut
from bpcompile.passes.dead import eliminate_dead
from bpcompile.passes.expand import expand
from bpcompile.passes.fold import fold
from bpcompile.passes.guards import find_guards, separate_branches
from bpcompile.passes.recognise import recognise
from bpcompile.passes.safe_branches import guard_branches
from bpcompile.passes.schedule import schedule
from bpcompile.passes.simplify import simplify
from bpcompile.primitive import REGISTRY
from bpcompile.reverse import reverse
from bpcompile.wellformed import check, check_guards

PASSES = Path(inspect.getfile(importlib.import_module("bpcompile.passes"))).parent


def texts(name: str) -> list[str]:
    """The indented blocks of a pass module's docstring, in order: Before, and After where it is a program."""
    doc = inspect.getdoc(importlib.import_module(f"bpcompile.passes.{name}")) or ""
    return [inspect.cleandoc(block) for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", doc + "\n")]


def wanted(text: str, **settings) -> str:
    return canonical(read(text, **settings)[0])


def test_every_pass_shows_a_before():
    modules = sorted(p.stem for p in PASSES.glob("*.py") if p.stem != "__init__")
    assert modules == sorted(
        "absorb aliases broadcast choices collect cse cut dead expand fold guards recognise safe_branches schedule shift signs simplify sums".split()
    )
    for name in modules:
        assert texts(name), name
        public = [n.name for n in ast.parse((PASSES / f"{name}.py").read_text("utf-8")).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
        assert public, name


# -- the Before and After of each docstring -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        # What is read no longer is left for `dead`.
        ("cse", share),
        ("dead", eliminate_dead),
        ("expand", lambda p: expand(p, target="math", literal=False)),
        ("fold", fold),
        ("recognise", lambda p: recognise(p, stable=True)),
        ("schedule", schedule),
        ("simplify", lambda p: eliminate_dead(simplify(p))),
    ],
)
def test_the_docstring_holds(name, transform):
    before, after = texts(name)
    program, _ = read(before)
    check(program)
    assert canonical(transform(program)) == wanted(after)


def test_the_docstring_of_aliases_holds():
    before, after = texts("aliases")
    adjoints = {"dq": "q", "dt": "t", "ds": "s", "dx": "x"}
    program, names = read(before, adjoints=adjoints)
    names["s"].stage = True
    program.gradients = {names["x"]: names["dx"]}
    assert canonical(forward_aliases(program)) == wanted(after, adjoints=adjoints)


def test_the_docstring_of_guards_holds():
    program, names = read(texts("guards")[0])
    guarded = find_guards(program)
    assert {eqn.out.name: eqn.guard for eqn in guarded.eqns} == {"c": (), "r": ((names["c"], True),), "f": ()}
    # So will the equations that undo it.
    joint = find_guards(eliminate_dead(reverse(guarded)))
    assert all(eqn.guard[:1] == ((names["c"], True),) for eqn in joint.eqns if eqn.origin is names["r"] and eqn.prim.name in {"div", "mul"})
    assert any(eqn.prim.name == "div" for eqn in joint.eqns)


def test_the_docstring_of_safe_branches_holds():
    before, after = texts("safe_branches")
    assert canonical(guard_branches(find_guards(read(before)[0]))) == wanted(after)


def test_the_docstring_of_cut_holds():
    program, _ = read(texts("cut")[0])
    assert all(eqn.out.stage for eqn in cut(program).eqns)


# -- values and gradients stay --------------------------------------------------------------------------------------------


def expanded(target: str, *, literal: bool) -> Callable[[Program], Program]:
    return lambda p: expand(p, target=target, literal=literal)


TRANSFORMS: dict[str, Callable[[Program], Program]] = {
    "aliases": forward_aliases,
    "cse": share,
    "cut": cut,
    "dead": eliminate_dead,
    "expand math": expanded("math", literal=False),
    "expand numpy": expanded("numpy", literal=False),
    "expand literal": expanded("math", literal=True),
    "fold": fold,
    "guards": find_guards,
    "recognise": lambda p: recognise(p, stable=True),
    "recognise literal": lambda p: recognise(p, stable=False),
    # It may leave a condition behind what it guards: the compiler finds guards anew after it.
    "schedule": lambda p: find_guards(schedule(p)),
    "simplify": simplify,
}
#: Passes that run on the program of the user only; the others run on the program with its gradient too.
PRIMAL = {"cut", "recognise", "recognise literal", "schedule", "fold"}
EVERYTHING = "aliases, expand math, simplify, cse, guards, dead"


def joined(program: Program) -> Program:
    """The program with its gradient, guards known, as the compiler has it before the passes."""
    return find_guards(eliminate_dead(reverse(find_guards(program))))


def close(a, b, tolerance=1e-20) -> bool:
    return a == b or abs(a - b) <= tolerance * (1 + abs(a))


def results(program: Program, point) -> list:
    """Outputs and gradients at 50 digits; upstream gradients are 1.5, 2.5, ..."""
    seeds = {s: 1.5 + i for i, s in enumerate(program.seeds)}
    env = precise(program, {**point, **seeds})
    return [a.value if isinstance(a, Lit) else env[a] for a in program.results()]


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_values_stay(name):
    transform = TRANSFORMS[name]
    for seed in range(60):
        given = sample(seed, size=14, outputs=1 + seed % 2)
        before = find_guards(given.program)
        want = results(before, given.point)
        after = transform(before)
        check(after)
        # Numbers folded at compile time are doubles: sqrt(2) is right to 17 digits then, not to 50.
        tolerance = 1e-12 if name.partition(" ")[0] in {"fold", "simplify", "expand"} else 1e-20
        assert all(close(a, b, tolerance) for a, b in zip(want, results(after, given.point), strict=True)), (seed, str(before))


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n not in PRIMAL])
def test_gradients_stay(name):
    for seed in range(60):
        given = sample(seed, size=12, outputs=1 + seed % 2)
        before = joined(given.program)
        want = results(before, given.point)
        after = find_guards(TRANSFORMS[name](before))
        check(after)
        assert all(close(a, b, 1e-11) for a, b in zip(want, results(after, given.point), strict=True)), (seed, str(before))


def test_gradients_stay_through_all_passes():
    for seed in range(150):
        given = sample(seed, size=16, outputs=1 + seed % 3)
        program = find_guards(given.program)
        want = results(joined(program), given.point)
        stages = find_guards(schedule(cut(share(find_guards(fold(recognise(program, stable=True)))))))
        joint = reverse(stages)
        for step in EVERYTHING.split(", "):
            joint = TRANSFORMS[step](joint)
            check(joint)
        assert all(close(a, b, 1e-11) for a, b in zip(want, results(joint, given.point), strict=True)), (seed, str(program))


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_a_second_run_changes_nothing(name):
    if name in {"simplify", "cut"}:
        pytest.skip("simplify hoists shared products one step a run; cut marks variables, not equations")
    for seed in range(30):
        once = TRANSFORMS[name](find_guards(sample(seed).program))
        assert canonical(TRANSFORMS[name](once)) == canonical(once)


# -- simplify: identities for every float ---------------------------------------------------------------------------------

EDGES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 3.5, -0.3, 1e-3, 7e5)
FLOATS: dict[str, Callable] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": np.power,
    "copy": lambda x: x,
    "select": lambda c, a, b: a if c else b,
}


def in_floats(program: Program, point) -> list[float]:
    """Outputs as NumPy computes them: an overflow is inf, a division by zero inf or nan."""
    with np.errstate(all="ignore"):
        env = evaluate(program, {v: np.float64(x) for v, x in point.items()}, meaning=lambda p: FLOATS.get(p.name, p.impl), literal=np.float64)
    return [float(a.value if isinstance(a, Lit) else env[a]) for a in program.results()]


def same_float(a: float, b: float) -> bool:
    return (a != a and b != b) or a == b or math.isclose(a, b, rel_tol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_simplify_uses_only_identities_of_floats(seed):
    given = sample(seed, size=6, primitives=[n for n in ARITHMETIC if n != "div"], stages=seed % 2 == 0, branches=False)
    after = simplify(given.program)
    inputs = list(given.point)
    for row in itertools.islice(itertools.product(EDGES, repeat=len(inputs)), 400):
        point = dict(zip(inputs, row, strict=True))
        for a, b in zip(in_floats(given.program, point), in_floats(after, point), strict=True):
            # A sum that cancels may differ by its rounding.
            assert same_float(a, b) or abs(a - b) < 1e-9, (str(given.program), str(after), row)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 0, -1, -2, -3, -4, -5, 2.0, -2.0, 4.0])
@pytest.mark.parametrize("x", [*EDGES, 1e200, -1e200, 1e-200, 5e-324])
def test_simplify_keeps_powers(n, x):
    base = Var(name="x")
    with Builder() as b:
        f = b.emit(REGISTRY["pow"], (base, n))
    program = Program([Param("x", base)], b.eqns, [Output("f", f)])
    assert same_float(*in_floats(program, {base: x}), *in_floats(simplify(program), {base: x}))


@pytest.mark.parametrize(
    "text",
    [
        "x / 0.5",
        "x / 4",
        "x / -8.0",
        "x / 3",
        "x / 5e-324",
        "x / 1e308",
        "-x / y",
        "x / -y",
        "-(x - y)",
        "-(2 * x)",
        "x * 2 * y",
        "3 * (-x)",
        "(-x) * (-y)",
        "-(-x)",
        "1 * x",
        "x * -1",
    ],
)
@pytest.mark.parametrize("x", [*EDGES, 1e-320, 1e300])
def test_simplify_keeps_single_operations(text, x):
    tree = ast.parse(text, mode="eval").body
    names = {"x": Var(name="x"), "y": Var(name="y")}
    eqns: list[Eqn] = []

    def build(node):
        if isinstance(node, ast.Name):
            return names[node.id]
        if isinstance(node, ast.Constant):
            return Lit(node.value)
        operands = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
        kind = {ast.USub: "neg", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}[type(node.op)]
        eqns.append(Eqn(Var(), REGISTRY[kind], tuple(map(build, operands))))
        return eqns[-1].out

    out = build(tree)
    program = Program([Param(n, v) for n, v in names.items()], eqns, [Output("f", out)])
    for y in EDGES:
        point = {names["x"]: x, names["y"]: y}
        before, after = (*in_floats(program, point), *in_floats(simplify(program), point))
        assert same_float(before, after), (x, y)
        assert before != 0 or math.copysign(1, before) == math.copysign(1, after), (x, y)


def test_simplify_never_reads_a_stage_apart():
    program, _ = read("t0 = neg x\ns = mul 2.0 t0   (a stage)\nf = mul 3.0 s")
    assert canonical(eliminate_dead(simplify(program))) == "v1 = mul -2.0 x\nv2 = mul 3.0 v1\nreturn v2"


# -- cse ------------------------------------------------------------------------------------------------------------------


def guarded_program(*, same_branch: bool) -> tuple[Program, Var, Var]:
    """f = (1/x + y if c else 1/x * y), or the same with both quotients in one branch."""
    x, y = Var(name="x"), Var(name="y")
    with Builder() as b:
        c = b.emit(REGISTRY["gt"], (x, 0))
        first = b.emit(REGISTRY["div"], (1.0, x))
        second = b.emit(REGISTRY["div"], (1.0, x))
        if same_branch:
            f = b.emit(REGISTRY["select"], (c, b.emit(REGISTRY["mul"], (first, b.emit(REGISTRY["sin"], (second,)))), y))
        else:
            f = b.emit(REGISTRY["select"], (c, b.emit(REGISTRY["add"], (first, y)), b.emit(REGISTRY["mul"], (second, y))))
    return find_guards(Program([Param("x", x), Param("y", y)], b.eqns, [Output("f", f)])), x, y


def test_cse_keeps_the_same_value_in_two_branches_apart():
    program, _, _ = guarded_program(same_branch=False)
    shared = share(program)
    divisions = [eqn for eqn in shared.eqns if eqn.prim.name == "div"]
    assert len(divisions) == 2
    assert {eqn.guard[0][1] for eqn in divisions} == {True, False}
    check(find_guards(shared))


def test_cse_merges_within_one_branch():
    program, _, _ = guarded_program(same_branch=True)
    assert sum(eqn.prim.name == "div" for eqn in share(program).eqns) == 1


def test_cse_takes_the_outer_value_for_an_inner_one_and_not_the_reverse():
    x = Var(name="x")
    for inner_first in (False, True):
        with Builder() as b:
            c = b.emit(REGISTRY["gt"], (x, 0))
            a1 = b.emit(REGISTRY["sqrt"], (x,))
            a2 = b.emit(REGISTRY["sqrt"], (x,))
            inner, outer = (a1, a2) if inner_first else (a2, a1)
            f = b.emit(REGISTRY["add"], (b.emit(REGISTRY["select"], (c, inner, 0.5)), outer))
        program = find_guards(Program([Param("x", x)], b.eqns, [Output("f", f)]))
        shared = share(program)
        check(shared)
        roots = [eqn for eqn in shared.eqns if eqn.prim.name == "sqrt"]
        # What is left is computed whenever the outer value is needed.
        assert any(not eqn.guard for eqn in roots)
        assert evaluate(shared, {x: 4.0})[shared.outputs[0].atom] == 4.0


def test_cse_knows_which_operations_commute():
    for name, merged in (("add", True), ("mul", True), ("sub", False), ("div", False), ("max", False), ("hypot", True), ("atan2", False), ("and", True)):
        x, y = Var(name="x"), Var(name="y")
        with Builder() as b:
            u, v = (b.emit(REGISTRY["gt"], (z, 0)) for z in (x, y)) if name == "and" else (x, y)
            pair = [b.emit(REGISTRY[name], p) for p in ((u, v), (v, u))]
            numbers = [b.emit(REGISTRY["select"], (p, 1.0, 0.0)) for p in pair] if name == "and" else pair
            f = b.emit(REGISTRY["sub"], tuple(numbers))
        program = Program([Param("x", x), Param("y", y)], b.eqns, [Output("f", f)])
        assert (sum(eqn.prim.name == name for eqn in share(program).eqns) == 1 + (name == "sub")) == merged or name == "sub", name


def test_cse_never_reads_an_adjoint_that_is_still_added_to():
    """No equation may read a version of an adjoint after the next version replaced it under its name."""
    for seed in range(200):
        joint = eliminate_dead(share(find_guards(simplify(expand(forward_aliases(joined(sample(seed).program)), target="math", literal=False)))))
        check(joint)
        replaced: dict[Var, int] = {}
        for i, eqn in enumerate(joint.eqns):
            for arg in eqn.args:
                assert arg not in replaced, (seed, i, str(joint))
            before = eqn.adds_to()
            if before is not None:
                replaced[before] = i
        for atom in joint.results():
            assert atom not in replaced


def test_cse_keeps_the_user_names():
    program, _ = read("a = sin x   (a stage)\nb = sin x   (a stage)\nf = mul a b")
    assert canonical(share(program)) == "v1 = sin x\nv2 = copy v1\nv3 = mul v1 v2\nreturn v3"
    program, _ = read("t0 = sin x\nb = sin x   (a stage)\nf = mul t0 b")
    shared = share(program)
    assert canonical(shared) == "v1 = sin x\nv2 = mul v1 v1\nreturn v2"
    assert shared.eqns[0].out.name == "b"


# -- guards ---------------------------------------------------------------------------------------------------------------


def test_guards_nest_and_join():
    program, names = read(
        """
        c = gt x 0
        d = gt y 0
        a = sqrt x
        b = log y
        e = add a b
        t0 = select d e a
        t1 = select c t0 1.0
        f = mul t1 1.0
        """,
    )
    guard = {eqn.out.name: eqn.guard for eqn in find_guards(program).eqns if eqn.out.name}
    c, d = names["c"], names["d"]
    assert guard["a"] == ((c, True),)
    assert guard["b"] == guard["e"] == ((c, True), (d, True))
    assert guard["d"] == ((c, True),)


def test_a_value_read_in_both_branches_has_no_guard():
    program, _ = read("c = gt x 0\na = exp x\nb = sin a\ng = cos a\nf = select c b g")
    assert {eqn.out.name: len(eqn.guard) for eqn in find_guards(program).eqns} == {"c": 0, "a": 0, "b": 1, "g": 1, "f": 0}


def test_conditions_come_before_what_they_guard():
    program, names = read("r = sqrt x\nc = gt y 0\nf = select c r x")
    guarded = find_guards(program)
    check(guarded)
    assert [eqn.out.name for eqn in guarded.eqns] == ["c", "r", "f"]
    assert evaluate(guarded, {names["x"]: -1.0, names["y"]: -1.0})[guarded.outputs[0].atom] == -1.0


def test_a_condition_under_its_own_guard_is_no_cycle():
    # c guards what d is computed from, and d guards what c would need: both stay computable.
    program, _ = read("c = gt x 0\na = sin x\nd = gt a 0\nt0 = select d a x\nt1 = select c t0 a\nf = select d t1 x")
    check(find_guards(program))


def test_a_guard_holds_what_its_readers_have_in_common():
    # Two readers that come to one condition over different ways.
    program, names = read("a = gt x 0\nb = gt y 0\nr = sqrt x\nt0 = select b r 1.0\nt1 = select a t0 x\nt2 = select b r y\nf = mul t1 t2")
    guard = {eqn.out.name: eqn.guard for eqn in find_guards(program).eqns if eqn.out.name}
    assert guard["r"] == ((names["b"], True),)
    assert guard["a"] == guard["b"] == ()


def test_the_second_operand_of_and_is_needed_under_the_first():
    program, names = read("a = gt x 0\nl = log x\nb = gt l 1\nc = and a b\nd = lt l 2\ne = and c d\nr = log l\nf = select e r x")
    guarded = find_guards(program)
    check_guards(guarded)
    guard = {eqn.out.name: eqn.guard for eqn in guarded.eqns}
    assert guard["l"] == guard["b"] == ((names["a"], True),)
    # What holds where `e` holds need not be tested beside it.
    assert dict(guard["r"]) == dict.fromkeys((names["a"], names["b"], names["c"], names["d"], names["e"]), True)
    assert Logic(guarded.eqns).tests(guard["r"]) == ((names["e"], True),)
    other, names = read("a = lt x 0\nl = log x\nb = gt l 1\nc = or a b\nd = not c\nr = log l\nf = select d r x")
    guard = {eqn.out.name: eqn.guard for eqn in find_guards(other).eqns}
    assert guard["l"] == ((names["a"], False),)
    assert (names["b"], False) in guard["r"]
    assert Logic(other.eqns).tests(guard["r"]) == ((names["d"], True),)


def test_what_is_computed_from_an_operation_that_can_fail_is_doubled_with_it():
    program, names = read("a = gt x 0\nb = gt y 0\nr = div 1.0 x\nt = add r 1.0\nu = neg y\nm = select b u t\nf = select a t m")
    guarded = find_guards(eliminate_dead(separate_branches(program)))
    check_guards(guarded)
    assert sum(eqn.prim.name == "div" for eqn in guarded.eqns) == 2
    assert all(eqn.guard for eqn in guarded.eqns if eqn.prim.name == "div")
    assert evaluate(guarded, {names["x"]: 0.0, names["y"]: 3.0})[guarded.outputs[0].atom] == -3.0


def test_random_guards_are_sound():
    for seed in range(60):
        given = sample(seed, size=18)
        for program in (given.program, joined(given.program), separate_branches(given.program), share(find_guards(simplify(joined(given.program))))):
            check_guards(find_guards(eliminate_dead(program)))


# -- schedule -------------------------------------------------------------------------------------------------------------


def test_schedule_puts_a_temporary_before_its_reader():
    for seed in range(80):
        given = sample(seed, size=16)
        after = schedule(given.program)
        check(after)
        assert set(after.eqns) == set(given.program.eqns)
        place = {eqn.out: i for i, eqn in enumerate(after.eqns)}
        readers: dict[Var, list[int]] = {}
        for i, eqn in enumerate(after.eqns):
            for arg in dict.fromkeys(a for a in eqn.args if isinstance(a, Var)):
                readers.setdefault(arg, []).append(i)
        for eqn in after.eqns:
            if not eqn.out.stage and len(readers.get(eqn.out, [])) == 1 and eqn.out not in set(after.results()):
                # Between a temporary and its reader stand only temporaries of that reader.
                between = after.eqns[place[eqn.out] + 1 : readers[eqn.out][0]]
                assert not any(other.out.stage for other in between), (seed, str(after))
        stages = [eqn.out for eqn in given.program.eqns if eqn.out.stage]
        assert [eqn.out for eqn in after.eqns if eqn.out.stage] == stages


# -- expand ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["math", "numpy"])
@pytest.mark.parametrize("literal", [False, True])
def test_nothing_is_left_to_expand(target, literal):
    for entry in REGISTRY:
        if not entry.lower:
            continue
        inputs = [Var(name=f"x{i}") for i in range(entry.arity)]
        with Builder() as b:
            out = b.emit(entry, inputs)
        program = expand(Program([Param(v.name, v) for v in inputs], b.eqns, [Output("f", out)]), target=target, literal=literal)
        check(program)
        assert program.outputs[0].atom is out
        assert not any(eqn.prim.name == entry.name and (target in entry.lower or (literal and "literal" in entry.lower)) for eqn in program.eqns), entry.name


# -- safe branches --------------------------------------------------------------------------------------------------------


def test_branches_not_taken_are_finite():
    """Run every equation, whatever its guard: nothing raises, nothing is nan."""
    for seed in range(120):
        given = sample(seed, size=14)
        joint = guard_branches(find_guards(expand(joined(given.program), target="numpy", literal=False)))
        check(joint)
        bare = joint.with_eqns([eqn.replace(guard=()) for eqn in joint.eqns])
        point = {**given.point, joint.seeds[0]: 1.0}
        want = results(find_guards(joined(given.program)), given.point)
        got = evaluate(bare, point)
        for atom, right in zip(bare.results(), want, strict=True):
            value = atom.value if isinstance(atom, Lit) else got[atom]
            scale = 1.5 if atom is not bare.outputs[0].atom else 1.0
            assert math.isclose(value * scale, float(right), rel_tol=1e-6, abs_tol=1e-6), (seed, str(joint))


# -- recognise ------------------------------------------------------------------------------------------------------------


def kinds(text: str, *, literal: bool = False) -> list[str]:
    """The primitives of a one-line program after recognition."""
    compiled = compile_expression(text, check="off")
    return [eqn.prim.name for eqn in recognise(compiled.program, stable=not literal).eqns]


@pytest.mark.parametrize(
    "text",
    [
        "1/(1 + exp(-x))",
        "1.0/(1.0 + exp(-x))",
        "1/(exp(-x) + 1)",
        "1/(1 + exp(-1*x))",
        "1/(1 + exp(x*-1))",
        "exp(x)/(1 + exp(x))",
        "exp(x)/(exp(x) + 1)",
        "1/(1 + exp(x))",
        "1/(exp(x) + 1)",
        "(1 + exp(-x))**-1",
        "1/(1 + exp(-2*x))",
        "1/(1 + exp(-2*x - 1))",
        "1/(1 + exp(-(x*y)))",
        "1/(1 + exp(-x/3))",
        "1/(1 + exp((-x)/3))",
        "1/(1 + exp(y - x))",
        "1/(1 + exp(-(x + y)))",
        "exp(2*x)/(1 + exp(2*x))",
        "1/(1 + exp(-x*y))",
        "1/(1 + 1/exp(x))",
    ],
)
@pytest.mark.parametrize("literal", [False, True])
def test_sigmoid_is_recognised(text, literal):
    assert "sigmoid" in kinds(text, literal=literal)
    assert "exp" not in kinds(text, literal=literal)


@pytest.mark.parametrize(
    "text",
    [
        "2/(1 + exp(-x))",
        "1/(2 + exp(-x))",
        "1/(1 - exp(-x))",
        "exp(x)/(1 + exp(y))",
        "exp(x)/(1 + exp(-x))",
        "1/(1 + exp(-x)**2)",
        "1/(1 + 2**-x)",
        "x/(1 + exp(-x))",
        "exp(y)*(1/(1 + exp(x)))",
        "log(2 + exp(x))",
        "log(1 - exp(x))",
        "log(exp(x))",
        "exp(x) - 2",
        "1 - exp(x)",
        "sqrt(x**2 - y**2)",
        "sqrt(x**2 + y**3)",
        "sqrt(x**2 + y)",
        "sin(x)/y",
        "sin(y)/x",
        "log(x + 2)",
        "log(1 + 2*exp(x))",
        "sqrt(x*y + y*y)",
        "log(exp(x) + exp(y) + 2)",
        "log(exp(x) + x)",
    ],
)
def test_look_alikes_keep_their_value(text):
    point = {"x": 0.7, "y": 0.4}
    python = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "sin": math.sin}
    compiled = compile_expression(text, check="fast")
    args = [point[name] for _, name in compiled.emitted.params]
    try:
        want = eval(text, {**python, **point})  # noqa: S307, RUF100  text of this test
    except ValueError:
        with pytest.raises(ValueError, match=r"math domain error|expected a positive input"):
            compiled.value(*args)
        return
    assert compiled.value(*args) == pytest.approx(want, rel=1e-14)
    _, gradients = compiled(*args)
    for i, name in enumerate(n for _, n in compiled.emitted.params):
        ahead, behind = ({**python, **point, name: point[name] + h} for h in (1e-6, -1e-6))
        slope = (eval(text, ahead) - eval(text, behind)) / 2e-6  # noqa: S307, RUF100  text of this test
        assert gradients[i] == pytest.approx(slope, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["2/(1 + exp(-x))", "1/(2 + exp(-x))", "1/(1 - exp(-x))", "exp(x)/(1 + exp(y))", "exp(x)/(1 + exp(-x))", "1/(1 + 2**-x)", "exp(y)*(1/(1 + exp(x)))"]
)
def test_look_alikes_are_not_the_gate_alone(text):
    """Either no sigmoid at all, or one with something around it."""
    assert kinds(text)[-1] != "sigmoid"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("log(1 + exp(x))", "softplus"),
        ("log(exp(x) + 1)", "softplus"),
        ("log(1 + exp(2*x))", "softplus"),
        ("log(exp(x) + exp(y))", "logaddexp"),
        ("log(exp(x) + exp(y) + exp(z))", "logaddexp"),
        ("log(1 + exp(x) + exp(y))", "logaddexp"),
        ("log(1 + x)", "log1p"),
        ("log(x + 1)", "log1p"),
        ("log(1 - x)", "log1p"),
        ("log(1 + x*y)", "log1p"),
        ("exp(x) - 1", "expm1"),
        ("exp(x*y) - 1", "expm1"),
        ("sqrt(x**2 + y**2)", "hypot"),
        ("sqrt(x*x + y*y)", "hypot"),
        ("sin(x)/x", "sinc"),
        ("sin(2*x)/(2*x)", "sinc"),
    ],
)
def test_stable_gates_are_recognised_unless_literal(text, name):
    assert name in kinds(text)
    assert name not in kinds(text, literal=True)


def test_named_stages_stay_gates_of_their_own():
    assert "sigmoid" not in kinds("e = exp(-x); d = 1 + e; f = 1/d")


# -- signs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("sqrt(x*x + 1e-5)", False),
        ("sqrt(abs(x) + y**2 + 0.25)", False),
        ("sqrt(exp(x) + 1)", False),
        ("sqrt(sqrt(x**4 + 3) + y*y)", False),
        ("sqrt(x + 1e-5)", True),
        ("sqrt(x*x)", True),
        ("sqrt(x*y + 1)", True),
        ("sqrt(x**3 + 1)", True),
        ("sqrt(x*x - 1e-5)", True),
        ("sqrt(exp(x))", True),  # it vanishes at -1500
        ("sqrt(x*x + 1e-320)", True),  # nothing is left of it in single precision
        ("sqrt((x*x + 1) * (y*y + 1e-200))", True),
    ],
)
@pytest.mark.parametrize("target", ["python", "numpy"])
def test_a_root_is_guarded_unless_its_operand_is_positive(text, guarded, target):
    compiled = compile_expression(text, target=target)
    assert ("math.inf" in compiled.source.replace("= math.inf", "") or "np.inf" in compiled.source) is guarded


# -- transposes and contractions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_transposes_merge_into_contractions_and_keep_the_value(seed):
    choice = random.Random(seed)
    sizes = dict(zip("ijk", (2, 3, 5), strict=True))
    letters = ["".join(choice.sample("ijk", choice.choice((2, 3)))) for _ in range(2)]
    common = "".join(sorted(set(letters[0]) & set(letters[1])))
    output = "".join(choice.sample(sorted(set("".join(letters)) - {common[0]}), len(set("".join(letters)) - {common[0]})))
    with Builder() as b:
        operands, arrays, turned = [], [], []
        for text in letters:
            x = Var(name="ab"[len(arrays)], shape=tuple(sizes[i] for i in text))
            arrays.append(x)
            perm = tuple(choice.sample(range(len(text)), len(text)))
            operands.append(b.emit(REGISTRY["transpose"], (x,), {"perm": perm}))
            turned.append("".join(text[axis] for axis in perm))
        product = b.emit(REGISTRY["einsum"], tuple(operands), {"spec": f"{turned[0]},{turned[1]}->{output}"})
        perm = tuple(choice.sample(range(len(output)), len(output)))
        result = b.emit(REGISTRY["transpose"], (product,), {"perm": perm})
        total = b.emit(REGISTRY["sum"], (b.emit(REGISTRY["neg"], (result,)),), {"axis": (0,), "keepdims": False})
    program = Program([Param(x.name, x) for x in arrays], b.eqns, [Output("f", total)])
    after = eliminate_dead(absorb(program))
    check(after)
    assert [eqn.prim.name for eqn in after.eqns] == ["einsum", "sum", "neg"]
    point = {x: np.random.default_rng(seed).normal(size=x.shape) for x in arrays}
    assert np.allclose(evaluate(after, point)[after.outputs[0].atom], evaluate(program, point)[total], rtol=1e-13)


def test_named_and_shared_transposes_keep_their_line():
    x, y = Var(name="x", shape=(2, 3)), Var(name="y", shape=(2, 5))
    with Builder() as b:
        turned = b.emit(REGISTRY["transpose"], (x,), {"perm": (1, 0)})
        turned.stage, turned.name = True, "xT"
        product = b.emit(REGISTRY["einsum"], (turned, y), {"spec": "ij,jk->ik"})
        back = b.emit(REGISTRY["transpose"], (product,), {"perm": (1, 0)})
    program = Program([Param("x", x), Param("y", y)], b.eqns, [Output("f", back), Output("g", product)])
    assert [eqn.prim.name for eqn in eliminate_dead(absorb(program)).eqns] == ["transpose", "einsum", "transpose"]


# -- scale ----------------------------------------------------------------------------------------------------------------


def long_chain(length: int) -> Program:
    x = Var(name="x")
    value, choice = x, random.Random(1)
    with Builder() as b:
        for i in range(length):
            if i % 1000 == 0:
                c = b.emit(REGISTRY["gt"], (value, 0))
                value = b.emit(REGISTRY["select"], (c, b.emit(REGISTRY["sin"], (value,)), value))
            value = b.emit(REGISTRY[choice.choice(("sin", "neg", "atan", "cos"))], (value,)) if i % 2 else b.emit(REGISTRY["mul"], (1.0001, value))
    return Program([Param("x", x)], b.eqns, [Output("f", value)])


def test_a_chain_100000_deep_goes_through_every_pass():
    program = long_chain(100_000)
    program = find_guards(schedule(cut(share(find_guards(fold(recognise(eliminate_dead(program), stable=True)))))))
    joint = reverse(program)
    for step in EVERYTHING.split(", "):
        joint = TRANSFORMS[step](joint)
    check(joint)
    guard_branches(joint)
    assert len(joint.eqns) > 200_000
