"""
Compute at compile time what does not depend on any input.

Before::

    t0 = mul 2 3.141592653589793
    t1 = sqrt t0
    f = div x t1

After::

    f = div x 2.5066282746310002

A product of a value with itself becomes its square. Lecture style keeps the operations, which say where a number comes from.
"""

from __future__ import annotations

import math

from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.primitive import REGISTRY


def fold(program: Program) -> Program:
    """Return the program with operations on literals replaced by their results."""
    same: dict[Var, Atom] = {}
    eqns: list[Eqn] = []
    for eqn in program.eqns:
        if same:
            args = tuple([same.get(a, a) if isinstance(a, Var) else a for a in eqn.args])
            if args != eqn.args:
                eqn = eqn.replace(args=args)  # noqa: PLW2901  the equation goes on under its new operands
        if eqn.prim.name == "mul" and eqn.args[0] is eqn.args[1]:
            eqn = eqn.replace(prim=REGISTRY["pow"], args=(eqn.args[0], Lit(2)))  # noqa: PLW2901  a square has one operand, and one contribution to its gradient
        value = constant(eqn)
        if value is None or eqn.out.stage:
            eqns.append(eqn)
        else:
            same[eqn.out] = value
    return program.redirected(eqns, same)


def constant(eqn: Eqn) -> Lit | None:
    """Return the value of an operation on literals, or None where it has operands, fails, or is no finite float."""
    if eqn.out.dtype != "float" or eqn.out.shape or eqn.prim.name == "copy" or not eqn.args:
        return None
    values = [a.value for a in eqn.args if isinstance(a, Lit)]
    if len(values) < len(eqn.args):
        return None
    try:
        value = eqn.prim.impl(*values, **eqn.params)
    except (ArithmeticError, ValueError):
        return None  # what the user wrote fails when it runs, as it would without us
    return Lit(float(value)) if isinstance(value, int | float) and math.isfinite(value) else None
