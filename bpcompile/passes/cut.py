"""
Cut an expression without stages where a person would.

Before, nothing named::

    t0 = add x y
    t1 = pow t0 2
    t2 = sigmoid x
    t3 = add t2 t1
    f = div 1.0 t3

After, all five are stages: each function, each power, each quotient, and each sum that something else than a sum reads.

A small expression is cut everywhere, as a lecture does with a circuit of two dozen gates. In a large one only those values
become variables that more than one place needs, which the emitter finds by itself.
"""

from __future__ import annotations

from typing import Final

from bpcompile.ir import Eqn, Lit, Program, Var

_GATES: Final = 24
_PLAIN: Final = frozenset({"add", "sub", "mul", "neg", "copy", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "select"})
_SUMS: Final = frozenset({"add", "sub"})


def cut(program: Program) -> Program:
    """Return the program with stages marked, if the user named none."""
    results = {o.atom for o in program.outputs}
    for eqn in program.eqns:
        if eqn.out in results:
            eqn.out.stage = True
    named = any(eqn.out.stage and eqn.out not in results for eqn in program.eqns)
    gates = sum(eqn.out.dtype == "float" and eqn.prim.name != "neg" for eqn in program.eqns)
    if named or gates > _GATES:
        return program
    readers: dict[Var, list[Eqn]] = {}
    for eqn in program.eqns:
        for arg in eqn.args:
            if isinstance(arg, Var):
                readers.setdefault(arg, []).append(eqn)
    for eqn in program.eqns:
        if eqn.out.dtype == "float" and not eqn.guard and _is_gate(eqn, readers.get(eqn.out, [])):
            eqn.out.stage = True
    return program


def _is_gate(eqn: Eqn, readers: list[Eqn]) -> bool:
    name = eqn.prim.name
    if name not in _PLAIN:
        return not (name == "div" and isinstance(eqn.args[1], Lit))
    if name in _SUMS and all(isinstance(a, Var) for a in eqn.args):
        return any(r.prim.name not in {*_SUMS, "neg", "select"} and r.out.dtype == "float" for r in readers)
    return False
