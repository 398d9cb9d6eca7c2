"""Each invariant, broken by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bpcompile.ir import Builder, Eqn, Lit, Output, Param, Program, Var
from bpcompile.ops import scalar as ops
from bpcompile.primitive import REGISTRY
from bpcompile.wellformed import IllFormed, check


def program() -> Program:
    x, y = Var(name="x"), Var(name="y")
    with Builder() as builder:
        c = ops.gt(x, y)
        f = ops.select(c, x * y, x + 1.0)
    return Program([Param("x", x), Param("y", y)], builder.eqns, [Output("f", f)])


def test_good_programs_pass() -> None:
    check(program())
    x, w = Var(name="x", shape=("N", 3)), Var(name="w", shape=(3,))
    with Builder() as builder:
        f = ops.exp(x) * w
        g = ops.copy(ops.and_(ops.gt(x, 0.0), ops.lt(x, w)))
        g.dtype = "bool"
    check(Program([Param("x", x), Param("w", w)], builder.eqns, [Output("f", f), Output("g", g)]))


def use_before_definition(p: Program) -> None:
    p.eqns.reverse()


def define_twice(p: Program) -> None:
    p.eqns.append(p.eqns[0].replace(args=p.eqns[0].args))


def redefine_input(p: Program) -> None:
    p.eqns.append(Eqn(next(p.inputs()), REGISTRY["neg"], (Lit(1.0),)))


def repeat_parameter(p: Program) -> None:
    p.params.append(p.params[0])


def lose_output(p: Program) -> None:
    p.outputs.append(Output("g", Var(name="g")))


def lose_gradient(p: Program) -> None:
    p.gradients[next(p.inputs())] = Var(name="dx")


def differentiate_by_no_input(p: Program) -> None:
    p.gradients[p.eqns[-1].out] = Lit(1.0)


def lose_seed(p: Program) -> None:
    p.seeds.append(Var(name="df"))


def change_gradient_shape(p: Program) -> None:
    x = next(p.inputs())
    wide = Var(name="wide", shape=(4,))
    p.params.append(Param("wide", wide))
    p.gradients[x] = wide


def change_shape(p: Program) -> None:
    p.eqns[-1].out.shape = (3,)


def break_broadcasting(p: Program) -> None:
    a, b = Var(name="a", shape=(2,)), Var(name="b", shape=(3,))
    p.params += [Param("a", a), Param("b", b)]
    p.eqns.append(Eqn(Var(shape=(3,)), REGISTRY["add"], (a, b)))


def use_condition_as_number(p: Program) -> None:
    p.eqns.append(Eqn(Var(), REGISTRY["neg"], (p.eqns[0].out,)))


def choose_a_condition(p: Program) -> None:
    x = next(p.inputs())
    p.eqns.append(Eqn(Var(), REGISTRY["select"], (p.eqns[0].out, p.eqns[0].out, x)))


def use_number_as_condition(p: Program) -> None:
    x = next(p.inputs())
    p.eqns.append(Eqn(Var(), REGISTRY["select"], (x, x, x)))


def use_literal_as_condition(p: Program) -> None:
    p.eqns.append(Eqn(Var(dtype="bool"), REGISTRY["not"], (Lit(1.0),)))


def mistype_result(p: Program) -> None:
    p.eqns[0].out.dtype = "float"


def guard_too_early(p: Program) -> None:
    late = p.eqns[0].out
    p.eqns.insert(0, Eqn(Var(), REGISTRY["neg"], (next(p.inputs()),), guard=((late, True),)))


def guard_by_number(p: Program) -> None:
    p.eqns.append(Eqn(Var(), REGISTRY["neg"], (next(p.inputs()),), guard=((next(p.inputs()), True),)))


def drop_operand(p: Program) -> None:
    p.eqns.append(Eqn(Var(), REGISTRY["add"], (next(p.inputs()),)))


def put_a_number_for_an_atom(p: Program) -> None:
    p.eqns.append(Eqn(Var(), REGISTRY["neg"], (1.0,)))  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (use_before_definition, "used before it is defined"),
        (define_twice, "defined twice"),
        (redefine_input, "`x` is defined twice"),
        (repeat_parameter, "a parameter twice"),
        (lose_output, "output `g`: `g` is not defined"),
        (lose_gradient, "gradient of `x`: `dx` is not defined"),
        (differentiate_by_no_input, "which is no input"),
        (lose_seed, "upstream gradient: `df`"),
        (change_gradient_shape, r"gradient of `x` has shape \(4,\)"),
        (change_shape, r"the operands give shape \(\), the result has \(3,\)"),
        (break_broadcasting, "do not broadcast"),
        (use_condition_as_number, "used as a number"),
        (choose_a_condition, "used as a number"),
        (use_number_as_condition, "`x` is used as a condition"),
        (use_literal_as_condition, "`1.0` is used as a condition"),
        (mistype_result, "the result is bool"),
        (guard_too_early, "not defined before it"),
        (guard_by_number, "is not a condition"),
        (drop_operand, "1 operands for 2"),
        (put_a_number_for_an_atom, "neither a variable nor a literal"),
    ],
)
def test_broken_invariant_is_named(breaks: Callable[[Program], None], message: str) -> None:
    broken = program()
    breaks(broken)
    with pytest.raises(IllFormed, match=message):
        check(broken)


def test_message_shows_the_equation() -> None:
    x = Var(name="x")
    with pytest.raises(IllFormed, match="equation `z = add x y`"):
        check(Program([Param("x", x)], [Eqn(Var(name="z"), REGISTRY["add"], (x, Var(name="y")))], []))


def test_linear_and_fast() -> None:
    """A walk of 100,000 equations; the limit is loose, for slow machines."""
    x = Var(name="x")
    with Builder() as builder:
        v = x
        for _ in range(100_000):
            v = ops.sin(v)
    long = Program([Param("x", x)], builder.eqns, [Output("f", v)])
    start = time.process_time()
    check(long)
    assert time.process_time() - start < 2.0
