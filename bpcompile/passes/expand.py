"""
Write gates with the operations that the target has.

Before, for `math`::

    s = sigmoid x

After::

    t0 = lt x -709.0
    t1 = neg x
    t2 = exp t1
    t3 = select t0 inf t2
    t4 = add 1.0 t3
    s = div 1.0 t4

The table says how (`Primitive.lower`); under literal numerics the formula of the textbooks is taken instead, where the entry
has one.
"""

from __future__ import annotations

from bpcompile.ir import Builder, Eqn, Program, Var, value_of
from bpcompile.primitive import REGISTRY


def expand(program: Program, *, target: str, literal: bool) -> Program:
    """
    Return the program without primitives that the target writes with simpler ones.

    Args:
        program: Any program.
        target: `math` or `numpy`.
        literal: Take the textbook formula rather than the safe one.
    """
    if not any(eqn.prim.lower for eqn in program.eqns):
        return program
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        lower = eqn.prim.lower.get("literal" if literal and "literal" in eqn.prim.lower else target)
        if lower is None:
            eqns.append(eqn)
            continue
        with Builder() as builder:
            builder.span, builder.origin, builder.guard = eqn.span, eqn.origin, eqn.guard
            value = lower(*map(value_of, eqn.args))
            if not isinstance(value, Var) or not builder.eqns or builder.eqns[-1].out is not value:
                value = builder.emit(REGISTRY["copy"], (value,))
        # The last operation defines the variable that the rest of the program reads.
        last = builder.eqns[-1]
        note = eqn.note or ("" if literal else eqn.prim.note)
        eqns += builder.eqns[:-1]
        eqns.append(last.replace(out=eqn.out, note=note))
    return program.with_eqns(eqns)
