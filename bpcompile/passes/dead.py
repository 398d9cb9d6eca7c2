"""
Drop equations whose result nothing needs.

Before::

    t0 = sin x
    t1 = cos x
    return t0

After::

    t0 = sin x
    return t0
"""

from __future__ import annotations

from bpcompile.ir import Eqn, Program, Var


def eliminate_dead(program: Program) -> Program:
    """Return the program with only what its results and their guards depend on."""
    live = {atom for atom in program.results() if isinstance(atom, Var)}
    kept: list[Eqn] = []
    for eqn in reversed(program.eqns):
        if eqn.out in live:
            kept.append(eqn)
            for arg in eqn.args:
                if isinstance(arg, Var):
                    live.add(arg)
            if eqn.guard:
                live.update(c for c, _ in eqn.guard)
    if len(kept) == len(program.eqns):
        return program
    kept.reverse()
    return program.with_eqns(kept)
