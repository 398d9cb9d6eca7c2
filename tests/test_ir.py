"""Variables, literals, equations, programs and the builder."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_programs import read

import bpcompile.ops  # noqa: F401  fills the registry
from bpcompile.interpret import evaluate
from bpcompile.ir import Builder, Eqn, Lit, Output, Param, Program, Var, broadcast, leaves, show_shape, value_of
from bpcompile.primitive import REGISTRY


def test_a_variable_has_no_truth_value():
    with pytest.raises(TypeError, match="use `select`"):
        bool(Var())
    with pytest.raises(TypeError, match="use `select`"):
        1 if Var() else 0  # noqa: B018, RUF100  the question itself raises


def test_variables_compare_by_identity():
    a, b = Var(name="x"), Var(name="x")
    assert a == a
    assert a != b
    assert len({a, b}) == 2


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [(2, 2, True), (2, 2.0, False), (1, True, False), (0.0, -0.0, False), (math.nan, math.nan, True), (0.1, 0.1, True), (math.inf, -math.inf, False)],
)
def test_literals_keep_their_type_and_sign(a, b, same):
    assert (Lit(a) == Lit(b)) is same
    if same:
        assert hash(Lit(a)) == hash(Lit(b))
    assert repr(Lit(a)) == repr(a)


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (lambda x: x + 0, []),
        (lambda x: 0 + x, []),
        (lambda x: x - 0, []),
        (lambda x: x * 1, []),
        (lambda x: 1.0 * x, []),
        (lambda x: x / 1, []),
        (lambda x: x**1, []),
        (lambda x: 0 - x, ["neg"]),
        (lambda x: -1 * x, ["neg"]),
        (lambda x: x * -1, ["neg"]),
        (lambda x: -x, ["neg"]),
        (lambda x: x + 1, ["add"]),
        (lambda x: 2 - x, ["sub"]),
        (lambda x: 1 / x, ["div"]),
        (lambda x: x**2, ["pow"]),
        (lambda x: 2**x, ["pow"]),
        (lambda x: x < 0, ["lt"]),
        (lambda x: x >= 0, ["ge"]),
    ],
)
def test_operators_emit_no_identity(build, names):
    x = Var(name="x")
    with Builder() as b:
        result = build(x)
    assert [eqn.prim.name for eqn in b.eqns] == names
    assert result is (b.eqns[-1].out if names else x)


def test_operators_fold_zero_and_one():
    x = Var(name="x")
    with Builder() as b:
        assert x * 0 == 0
        assert 0 * x == 0
        assert 0 / x == 0
        assert x**0 == 1
    assert b.eqns == []


def test_builders_nest():
    x = Var(name="x")
    with Builder() as outer:
        a = x + 1
        with Builder() as inner:
            c = x * 2
        d = a * 3
    assert [e.out for e in outer.eqns] == [a, d]
    assert [e.out for e in inner.eqns] == [c]
    with pytest.raises(IndexError):
        x + 1


def test_a_builder_leaves_the_stack_on_an_error():
    x = Var(name="x", shape=(2,))
    y = Var(name="y", shape=(3,))
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\) do not broadcast"), Builder():
        x + y
    with pytest.raises(IndexError):
        Builder.current()


def test_the_builder_records_where_an_equation_comes_from():
    x, c = Var(name="x"), Var(dtype="bool")
    with Builder() as b:
        b.origin, b.guard = x, ((c, True),)
        b.emit(REGISTRY["sin"], (x,), note="why")
    (eqn,) = b.eqns
    assert (eqn.origin, eqn.guard, eqn.note) == (x, ((c, True),), "why")


def test_replace_changes_what_it_is_told_and_nothing_else():
    x, c = Var(name="x"), Var(dtype="bool")
    eqn = Eqn(Var(), REGISTRY["sin"], (x,), origin=x, guard=((c, False),), note="n")
    other = eqn.replace(prim=REGISTRY["cos"])
    assert other.prim.name == "cos"
    assert eqn.prim.name == "sin"
    assert (other.out, other.args, other.origin, other.guard, other.note, other.span) == (eqn.out, eqn.args, eqn.origin, eqn.guard, eqn.note, eqn.span)


def test_adds_to_is_an_accumulation_of_one_adjoint():
    x, y = Var(name="x"), Var(name="y")
    first, second, other = Var(twin=x), Var(twin=x), Var(twin=y)
    add, sub, mul = (REGISTRY[n] for n in ("add", "sub", "mul"))
    assert Eqn(second, add, (first, Lit(1.0))).adds_to() is first
    assert Eqn(second, sub, (first, Lit(1.0))).adds_to() is first
    assert Eqn(second, mul, (first, Lit(1.0))).adds_to() is None
    assert Eqn(second, add, (Lit(1.0), first)).adds_to() is None
    assert Eqn(second, add, (other, first)).adds_to() is None
    assert Eqn(Var(), add, (first, Lit(1.0))).adds_to() is None


def test_leaves_are_read_left_to_right_however_deep():
    a, b, c = Var(name="a"), Var(name="b"), Var(name="c")
    assert list(leaves(((a, (b,)), c))) == [a, b, c]
    deep = a
    for _ in range(20_000):
        deep = (deep,)
    assert list(leaves(deep)) == [a]


def test_a_program_prints_its_equations():
    program, _ = read("t0 = add x y\nt1 = mul t0 2.0\nreturn t1")
    assert str(program) == "program(x, y)\n  t0 = add x y\n  t1 = mul t0 2.0\nreturn t1 = t1"


def test_redirected_copies_what_a_pass_may_change():
    program, names = read("a = sin x\nb = sin x\nreturn b")
    program.gradients = {names["x"]: names["b"]}
    other = program.redirected(program.eqns[:1], {names["b"]: names["a"]})
    assert other.outputs[0].atom is names["a"]
    assert other.gradients[names["x"]] is names["a"]
    assert program.outputs[0].atom is names["b"]
    assert program.gradients[names["x"]] is names["b"]
    assert list(program.results()) == [names["b"], names["b"]]


sizes = st.lists(st.sampled_from([1, 2, 3]), max_size=4).map(tuple)


@given(sizes, sizes, sizes)
def test_broadcast_is_numpys(a, b, c):
    import numpy as np

    try:
        want = np.broadcast_shapes(a, b, c)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast(a, b, c)
    else:
        assert broadcast(a, b, c) == want


def test_named_dimensions_are_equal_by_name_alone():
    assert broadcast(("N", 1), ("M",)) == ("N", "M")
    assert broadcast(("N",), ("N",), ()) == ("N",)
    for a, b in ((("N",), ("M",)), (("N",), (3,))):
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast(a, b)


def test_shapes_print_as_tuples():
    assert [show_shape(s) for s in ((), (3,), ("N", 2))] == ["()", "(3,)", "(N, 2)"]


def test_rules_see_plain_numbers():
    x = Var()
    assert value_of(Lit(2.5)) == 2.5
    assert value_of(x) is x


def test_evaluate_skips_what_no_branch_needs():
    x = Var(name="x")
    with Builder() as b:
        c = b.emit(REGISTRY["gt"], (x, 0))
        b.guard = ((c, True),)
        r = b.emit(REGISTRY["sqrt"], (x,))
        b.guard = ()
        f = b.emit(REGISTRY["select"], (c, r, -1.0))
    program = Program([Param("x", x)], b.eqns, [Output("f", f)])
    assert evaluate(program, {x: 4.0})[f] == 2.0
    env = evaluate(program, {x: -4.0})
    assert env[f] == -1.0
    assert r not in env


def test_evaluate_takes_another_meaning():
    program, names = read("f = sin x")
    assert evaluate(program, {names["x"]: 3.0}, meaning=lambda p: lambda x: (p.name, x))[names["f"]] == ("sin", 3.0)
    program, names = read("f = add x 2")
    assert evaluate(program, {names["x"]: "a"}, meaning=lambda p: lambda x, y: x + y, literal=str)[names["f"]] == "a2"
